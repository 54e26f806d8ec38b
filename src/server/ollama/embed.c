// POST /api/embed and /api/embeddings
#include "server/embed.h"
#include "server/ollama/internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TEXTS_MOST = 2048 };

static json_t *vector_of(const float *v, uint32_t n) {
    json_t *array = json_array();
    for (uint32_t i = 0; i < n; i++)
        json_array_append_new(array, json_real((double)v[i]));
    return array;
}

// Inputs that are too long lose their end, unless the client wants to know.
static int read_text(const struct xn_served *served, const json_t *text, const char *name, bool truncate,
                     struct xn_ids *ids, struct xn_error *err) {
    if (!json_is_string(text) || !json_string_length(text))
        return xn_fail(err, XN_ERR_ARGUMENT, "%s: expected a text that is not empty, found %s", name,
                       xn_json_kind(text));
    XN_TRY(xn_embed_ids(served, json_string_value(text), json_string_length(text), ids, err));
    if (truncate && ids->n > served->context) ids->n = served->context;
    return XN_OK;
}

struct request {
    json_t *body;
    struct xn_call call;
    struct xn_ollama_options options;
    bool old; // /api/embeddings: one prompt, one vector as it is
};

static int begin(struct request *r, void *server, struct xn_exchange *x, struct xn_error *err) {
    const char *model = NULL;
    XN_TRY(xn_exchange_json(x, &r->body, err));
    XN_TRY(xn_field_string(r->body, "model", &model, err));
    XN_TRY(xn_call_begin(&r->call, server, x, model, err));
    XN_TRY(xn_ollama_keep_alive(r->body, &r->options, err));
    if (r->options.keep && !r->call.server->read_only)
        xn_served_keep(r->call.server->models, r->call.served, r->options.keep_alive);
    return XN_OK;
}

static int reply(const struct request *r, const struct xn_embedding *e, size_t n, double seconds,
                 struct xn_error *err) {
    if (r->old)
        return xn_reply_json(r->call.x, 200, json_pack("{s:o}", "embedding", vector_of(e->vectors, e->width)), err);
    json_t *vectors = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(vectors, vector_of(e->vectors + i * e->width, e->width));
    return xn_reply_json(r->call.x, 200,
                         json_pack("{s:s, s:o, s:I, s:I, s:I}", "model", r->call.served->name, "embeddings", vectors,
                                   "total_duration", (json_int_t)(seconds * 1e9), "load_duration", (json_int_t)0,
                                   "prompt_eval_count", (json_int_t)e->tokens),
                         err);
}

static int embed(struct request *r, struct xn_error *err) {
    const char *name = r->old ? "prompt" : "input";
    const json_t *input = json_object_get(r->body, name);
    bool list = json_is_array(input) && !r->old, truncate = true;
    int64_t dimensions = 0;
    struct timespec before, after;
    XN_TRY(xn_field_bool(r->body, "truncate", &truncate, err));
    XN_TRY(xn_field_int(r->body, "dimensions", 1, INT32_MAX, &dimensions, err));
    size_t n = list ? json_array_size(input) : 1;
    if (n > TEXTS_MOST) return xn_fail(err, XN_ERR_ARGUMENT, "%s: expected at most %d texts", name, TEXTS_MOST);
    if (n == 0 || (!r->old && (!input || json_is_null(input)))) // asks for the model only
        return reply(r, &(struct xn_embedding){0}, 0, 0, err);
    struct xn_ids *ids = xn_alloc_zero(n, sizeof *ids);
    struct xn_embedding e = {0};
    int status = ids ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "out of memory for %zu texts", n);
    for (size_t i = 0; i < n && status == XN_OK; i++)
        status = read_text(r->call.served, list ? json_array_get(input, i) : input, name, truncate, &ids[i], err);
    clock_gettime(CLOCK_MONOTONIC, &before);
    if (status == XN_OK)
        status = xn_embed(r->call.served, r->call.x, ids, n, xn_embed_pooling(r->call.served), !r->old,
                          (uint32_t)dimensions, &e, err);
    clock_gettime(CLOCK_MONOTONIC, &after);
    if (status == XN_OK)
        status = reply(r, &e, n,
                       (double)(after.tv_sec - before.tv_sec) + 1e-9 * (double)(after.tv_nsec - before.tv_nsec), err);
    free(e.vectors);
    for (size_t i = 0; i < n && ids; i++)
        free(ids[i].data);
    free(ids);
    return status;
}

static int handle(void *server, struct xn_exchange *x, bool old, struct xn_error *err) {
    struct request r = {.old = old};
    int status = begin(&r, server, x, err);
    if (status == XN_OK) status = embed(&r, err);
    xn_call_end(&r.call);
    json_decref(r.body);
    return status;
}

int xn_ollama_embed(void *server, struct xn_exchange *x, struct xn_error *err) {
    return handle(server, x, false, err);
}
int xn_ollama_embeddings(void *server, struct xn_exchange *x, struct xn_error *err) {
    return handle(server, x, true, err);
}
