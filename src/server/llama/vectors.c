// /embedding in llama-server's form, and /rerank.
//
// Documents are ranked by the cosine of their vector and the query's. (Models with a head that scores pairs, which
// llama-server asks for, are not among the families; models that embed rank too.)
#include "server/llama/internal.h"

#include "base/memory.h"
#include "server/embed.h"

#include <stdlib.h>
#include <string.h>

enum { TEXTS_MOST = 2048 };

struct texts {
    struct xn_ids *ids;
    size_t n;
};

static void free_texts(struct texts *t) {
    for (size_t i = 0; i < t->n && t->ids; i++)
        free(t->ids[i].data);
    free(t->ids);
}

static int begin_texts(struct texts *t, size_t n, const char *name, struct xn_error *err) {
    if (n == 0 || n > TEXTS_MOST) return xn_fail(err, XN_ERR_ARGUMENT, "%s: expected 1 to %d texts", name, TEXTS_MOST);
    t->ids = xn_alloc_zero(n, sizeof *t->ids);
    t->n = n;
    return t->ids ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "out of memory for %zu texts", n);
}

// Text i of the list: a string, or an object that has one.
static int read_text(const struct xn_served *served, const json_t *value, const char *name, struct xn_ids *ids,
                     struct xn_error *err) {
    if (json_is_object(value)) value = json_object_get(value, "text");
    if (!json_is_string(value) || !json_string_length(value))
        return xn_fail(err, XN_ERR_ARGUMENT, "%s: expected texts that are not empty, found %s", name,
                       xn_json_kind(value));
    return xn_embed_ids(served, json_string_value(value), json_string_length(value), ids, err);
}

static json_t *vector_of(const float *v, uint32_t n) {
    json_t *array = json_array();
    for (uint32_t i = 0; i < n; i++)
        json_array_append_new(array, json_real((double)v[i]));
    return array;
}

static int embedding(struct xn_call *call, const json_t *body, struct xn_completion_request *request,
                     struct xn_error *err) {
    const json_t *content = json_object_get(body, "content");
    int64_t norm = 2;
    (void)request;
    if (!content) content = json_object_get(body, "input");
    XN_TRY(xn_field_int(body, "embd_normalize", -1, 2, &norm, err));
    if (norm == 0 || norm == 1)
        return xn_fail(err, XN_ERR_ARGUMENT, "embd_normalize: only -1 (none) and 2 (Euclidean) are supported");
    struct texts t = {0};
    struct xn_embedding e = {0};
    bool list = json_is_array(content);
    int status = begin_texts(&t, list ? json_array_size(content) : 1, "content", err);
    for (size_t i = 0; i < t.n && status == XN_OK; i++)
        status = read_text(call->served, list ? json_array_get(content, i) : content, "content", &t.ids[i], err);
    if (status == XN_OK)
        status = xn_embed(call->served, call->x, t.ids, t.n, xn_embed_pooling(call->served), norm == 2, 0, &e, err);
    if (status == XN_OK) {
        json_t *reply = json_array();
        for (size_t i = 0; i < t.n; i++)
            json_array_append_new(reply, json_pack("{s:I, s:[o]}", "index", (json_int_t)i, "embedding",
                                                   vector_of(e.vectors + i * e.width, e.width)));
        status = xn_reply_json(call->x, 200, reply, err);
    }
    free(e.vectors);
    free_texts(&t);
    return status;
}

struct ranked {
    size_t index;
    double score;
};

static int by_score(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return (x->index > y->index) - (x->index < y->index);
}

// Vectors have a length of 1; the query's is the last.
static json_t *rank(const struct xn_embedding *e, size_t n, size_t top, const json_t *documents, bool tell) {
    struct ranked *order = xn_alloc(n, sizeof *order);
    json_t *results = json_array();
    if (!order) return results;
    const float *query = e->vectors + n * e->width;
    for (size_t i = 0; i < n; i++) {
        order[i] = (struct ranked){.index = i};
        for (uint32_t k = 0; k < e->width; k++)
            order[i].score += (double)query[k] * (double)e->vectors[i * e->width + k];
    }
    qsort(order, n, sizeof *order, by_score);
    for (size_t i = 0; i < n && i < top; i++) {
        json_t *result =
            json_pack("{s:I, s:f}", "index", (json_int_t)order[i].index, "relevance_score", order[i].score);
        json_t *document = json_array_get(documents, order[i].index);
        if (tell)
            json_object_set_new(result, "document",
                                json_is_object(document) ? json_incref(document)
                                                         : json_pack("{s:O}", "text", document));
        json_array_append_new(results, result);
    }
    free(order);
    return results;
}

static int rerank(struct xn_call *call, const json_t *body, struct xn_completion_request *request,
                  struct xn_error *err) {
    json_t *documents = NULL;
    int64_t top = INT32_MAX;
    bool tell = false;
    (void)request;
    XN_TRY(xn_field_array(body, "documents", &documents, err));
    if (!documents) XN_TRY(xn_field_array(body, "texts", &documents, err));
    if (!documents) return xn_fail(err, XN_ERR_ARGUMENT, "documents: missing");
    XN_TRY(xn_field_int(body, "top_n", 1, INT32_MAX, &top, err));
    XN_TRY(xn_field_bool(body, "return_documents", &tell, err));
    size_t n = json_array_size(documents);
    if (n == 0) return xn_fail(err, XN_ERR_ARGUMENT, "documents: there is none");
    struct texts t = {0};
    struct xn_embedding e = {0};
    int status = begin_texts(&t, n + 1, "documents", err);
    for (size_t i = 0; i < n && status == XN_OK; i++)
        status = read_text(call->served, json_array_get(documents, i), "documents", &t.ids[i], err);
    if (status == XN_OK) status = read_text(call->served, json_object_get(body, "query"), "query", &t.ids[n], err);
    if (status == XN_OK)
        status = xn_embed(call->served, call->x, t.ids, t.n, xn_embed_pooling(call->served), true, 0, &e, err);
    if (status == XN_OK)
        status = xn_reply_json(call->x, 200,
                               json_pack("{s:s, s:s, s:{s:I, s:I}, s:o}", "model", call->served->name, "object", "list",
                                         "usage", "prompt_tokens", (json_int_t)e.tokens, "total_tokens",
                                         (json_int_t)e.tokens, "results", rank(&e, n, (size_t)top, documents, tell)),
                               err);
    free(e.vectors);
    free_texts(&t);
    return status;
}

int xn_llama_embedding(void *server, struct xn_exchange *x, struct xn_error *err) {
    return xn_call_handle(server, x, embedding, err);
}
int xn_llama_rerank(void *server, struct xn_exchange *x, struct xn_error *err) {
    return xn_call_handle(server, x, rerank, err);
}
