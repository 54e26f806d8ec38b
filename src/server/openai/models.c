// GET /v1/models and /v1/models/{id}
#include "server/openai/internal.h"

#include <string.h>
#include <time.h>

static json_t *model_of(struct xn_models *models, size_t i) {
    static const char *const states[] = {
        [XN_MODEL_UNLOADED] = "unloaded",
        [XN_MODEL_LOADING] = "loading",
        [XN_MODEL_LOADED] = "loaded",
        [XN_MODEL_FAILED] = "failed",
    };
    struct xn_model_entry entry;
    xn_models_entry(models, i, &entry);
    json_t *aliases = json_array();
    for (size_t k = 1; k < entry.n_names; k++)
        json_array_append_new(aliases, json_string(entry.names[k]));
    json_t *model = json_pack("{s:s, s:s, s:I, s:s, s:o, s:{s:s}}", "id", entry.names[0], "object", "model", "created",
                              (json_int_t)entry.created, "owned_by", "xenon", "aliases", aliases, "status", "value",
                              states[entry.state]);
    // What a loaded one knows, as llama-server tells it.
    struct xn_served *served = xn_served_peek(models, i);
    if (!served) return model;
    const struct xn_recipe *r = &served->model->recipe;
    json_object_set_new(model, "meta",
                        json_pack("{s:I, s:I, s:I, s:I, s:I}", "n_vocab", (json_int_t)r->vocab, "n_ctx",
                                  (json_int_t)served->context, "n_ctx_train", (json_int_t)r->context, "n_embd",
                                  (json_int_t)r->hidden, "size", (json_int_t)entry.size));
    xn_served_release(models, served);
    return model;
}

// The same list as clients of Anthropic's API want it.
static json_t *anthropic_list(struct xn_models *models) {
    size_t n = xn_models_count(models);
    json_t *data = json_array();
    for (size_t i = 0; i < n; i++) {
        struct xn_model_entry entry;
        xn_models_entry(models, i, &entry);
        time_t at = (time_t)entry.created;
        struct tm utc;
        char created[32] = "1970-01-01T00:00:00Z";
        if (gmtime_r(&at, &utc)) strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", &utc);
        json_array_append_new(data, json_pack("{s:s, s:s, s:s, s:s}", "type", "model", "id", entry.names[0],
                                              "display_name", entry.names[0], "created_at", created));
    }
    json_t *first = json_object_get(json_array_get(data, 0), "id"),
           *last = n ? json_object_get(json_array_get(data, n - 1), "id") : NULL;
    return json_pack("{s:O?, s:O?, s:b, s:o}", "first_id", first, "last_id", last, "has_more", 0, "data", data);
}

int xn_openai_models(void *server, struct xn_exchange *x, struct xn_error *err) {
    struct xn_models *models = ((struct xn_server *)server)->models;
    if (xn_exchange_header(x, "anthropic-version")) return xn_reply_json(x, 200, anthropic_list(models), err);
    json_t *data = json_array();
    for (size_t i = 0; i < xn_models_count(models); i++)
        json_array_append_new(data, model_of(models, i));
    return xn_reply_json(x, 200, json_pack("{s:s, s:o}", "object", "list", "data", data), err);
}

int xn_openai_model(void *server, struct xn_exchange *x, struct xn_error *err) {
    struct xn_models *models = ((struct xn_server *)server)->models;
    const char *path = xn_exchange_path(x), *name = strstr(path, "/models/");
    name = name ? name + strlen("/models/") : "";
    size_t i = xn_models_find(models, name);
    if (!*name || i == SIZE_MAX) return xn_fail(err, XN_ERR_MISSING, "no model \"%.128s\" is known", name);
    return xn_reply_json(x, 200, model_of(models, i), err);
}
