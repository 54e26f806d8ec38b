// How the server and its models are: /health, /props, /slots, /metrics; and models loaded and dropped by name.
#include "server/llama/internal.h"

#include "base/memory.h"
#include "xenon/xenon.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS_MOST = 1024 };

int xn_llama_health(void *server, struct xn_exchange *x, struct xn_error *err) {
    struct xn_models *models = ((struct xn_server *)server)->models;
    bool loading = false, loaded = false;
    for (size_t i = 0; i < xn_models_count(models); i++) {
        struct xn_model_entry entry;
        xn_models_entry(models, i, &entry);
        loading |= entry.state == XN_MODEL_LOADING;
        loaded |= entry.state == XN_MODEL_LOADED;
    }
    if (loading && !loaded)
        return xn_reply_json(x, 503,
                             json_pack("{s:{s:i, s:s, s:s}}", "error", "code", 503, "message", "Loading model", "type",
                                       "unavailable_error"),
                             err);
    return xn_reply_json(x, 200, json_pack("{s:s}", "status", "ok"), err);
}

// The model that ?model= names, else the first.
static int find(struct xn_server *server, struct xn_exchange *x, size_t *i, struct xn_error *err) {
    const char *name = xn_exchange_query(x, "model");
    *i = xn_models_find(server->models, name);
    return *i == SIZE_MAX ? xn_fail(err, XN_ERR_MISSING, "model \"%.128s\" not found", name) : XN_OK;
}

static void set_token(json_t *object, const char *name, const struct xn_tokenizer *tokenizer, int32_t id) {
    struct xn_str text = id >= 0 ? xn_token_text(tokenizer, id) : (struct xn_str){0};
    json_object_set_new(object, name, xn_json_text(text.data, text.size));
}

// What only a loaded model knows.
static void add_loaded(json_t *props, struct xn_served *served) {
    struct xn_serving_state state;
    xn_serving_state(served->serving, &state, NULL, 0);
    json_object_set_new(props, "total_slots", json_integer(state.slots));
    json_object_set_new(props, "default_generation_settings",
                        json_pack("{s:i, s:i, s:i, s:b, s:b, s:o}", "id", 0, "id_task", -1, "n_ctx",
                                  (int)served->context, "speculative", 0, "is_processing", 0, "params",
                                  xn_llama_params(&served->sampling)));
    const char *template = served->chat_template ? served->chat_template : "";
    json_object_set_new(props, "chat_template", xn_json_text(template, strlen(template)));
    set_token(props, "bos_token", served->model->tokenizer, xn_token_bos(served->model->tokenizer));
    set_token(props, "eos_token", served->model->tokenizer, xn_token_eos(served->model->tokenizer));
}

int xn_llama_props(void *user, struct xn_exchange *x, struct xn_error *err) {
    struct xn_server *server = user;
    struct xn_model_entry entry;
    size_t i;
    XN_TRY(find(server, x, &i, err));
    xn_models_entry(server->models, i, &entry);
    struct xn_served *served = xn_served_peek(server->models, i);
    json_t *props = json_pack("{s:s, s:o, s:s, s:{s:b, s:b}, s:b}", "model_alias", entry.names[0], "model_path",
                              xn_json_text(entry.path, strlen(entry.path)), "build_info", "xenon-" XENON_VERSION_STRING,
                              "modalities", "vision", 0, "audio", 0, "is_sleeping", !served);
    if (served) add_loaded(props, served);
    xn_served_release(server->models, served);
    return xn_reply_json(x, 200, props, err);
}

static json_t *slot_of(const struct xn_served *served, size_t i, const struct xn_serving_slot *slot) {
    return json_pack("{s:i, s:I, s:i, s:b, s:b, s:I, s:I, s:I, s:o, s:[{s:b, s:I}]}", "id", (int)i, "id_task",
                     slot->busy ? (json_int_t)slot->id : -1, "n_ctx", (int)served->context, "speculative", 0,
                     "is_processing", slot->busy, "n_past", (json_int_t)slot->length, "n_prompt_tokens",
                     (json_int_t)slot->prompt, "n_prompt_tokens_processed", (json_int_t)slot->done, "params",
                     xn_llama_params(&served->sampling), "next_token", "has_next_token", slot->busy, "n_decoded",
                     (json_int_t)slot->generated);
}

int xn_llama_slots(void *user, struct xn_exchange *x, struct xn_error *err) {
    struct xn_server *server = user;
    size_t at;
    XN_TRY(find(server, x, &at, err));
    struct xn_served *served = xn_served_peek(server->models, at);
    struct xn_serving_slot *slots = xn_alloc_zero(SLOTS_MOST, sizeof *slots);
    struct xn_serving_state state = {0};
    json_t *list = json_array();
    bool free_slot = !served;
    if (served && slots) xn_serving_state(served->serving, &state, slots, SLOTS_MOST);
    for (size_t i = 0; i < state.slots && i < SLOTS_MOST; i++) {
        json_array_append_new(list, slot_of(served, i, &slots[i]));
        free_slot |= !slots[i].busy;
    }
    free(slots);
    xn_served_release(server->models, served);
    const char *fail = xn_exchange_query(x, "fail_on_no_slot");
    if (fail && strcmp(fail, "0") != 0 && !free_slot) {
        json_decref(list);
        return xn_reply_json(x, 503,
                             json_pack("{s:{s:i, s:s, s:s}}", "error", "code", 503, "message", "no slot available",
                                       "type", "unavailable_error"),
                             err);
    }
    return xn_reply_json(x, 200, list, err);
}

int xn_llama_metrics(void *user, struct xn_exchange *x, struct xn_error *err) {
    struct xn_server *server = user;
    char *text;
    size_t size;
    XN_TRY(xn_metrics_text(server->metrics, server->models, &text, &size, err));
    int status = xn_reply(x, 200, "text/plain; version=0.0.4; charset=utf-8", text, size, err);
    free(text);
    return status;
}

// {"model": NAME}
static int named(struct xn_server *server, struct xn_exchange *x, size_t *i, struct xn_error *err) {
    json_t *body;
    const char *name = NULL;
    if (server->read_only) return xn_fail(err, XN_ERR_UNSUPPORTED, "this server does not load or unload by request");
    XN_TRY(xn_exchange_json(x, &body, err));
    int status = xn_field_string(body, "model", &name, err);
    if (status == XN_OK && !name) status = xn_fail(err, XN_ERR_ARGUMENT, "model: missing");
    *i = status == XN_OK ? xn_models_find(server->models, name) : SIZE_MAX;
    if (status == XN_OK && *i == SIZE_MAX) status = xn_fail(err, XN_ERR_MISSING, "model \"%.128s\" not found", name);
    json_decref(body);
    return status;
}

static int success(struct xn_exchange *x, struct xn_error *err) {
    return xn_reply_json(x, 200, json_pack("{s:b}", "success", 1), err);
}

int xn_llama_load(void *user, struct xn_exchange *x, struct xn_error *err) {
    struct xn_server *server = user;
    struct xn_model_entry entry;
    struct xn_served *served;
    size_t i;
    XN_TRY(named(server, x, &i, err));
    xn_models_entry(server->models, i, &entry);
    XN_TRY(xn_served_acquire(server->models, entry.names[0], &served, err));
    xn_served_release(server->models, served);
    return success(x, err);
}

int xn_llama_unload(void *user, struct xn_exchange *x, struct xn_error *err) {
    struct xn_server *server = user;
    size_t i;
    XN_TRY(named(server, x, &i, err));
    xn_models_unload(server->models, i);
    return success(x, err);
}
