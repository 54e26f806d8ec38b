// POST /v1/embeddings
#include "server/openai/internal.h"

#include "base/memory.h"
#include "server/embed.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_INPUTS = 2048 };

// Input i: a text, or an array of ids.
static int read_input(const struct xn_served *served, const json_t *value, size_t i, struct xn_ids *ids,
                      struct xn_error *err) {
    if (json_is_string(value)) {
        if (!json_string_length(value)) return xn_fail(err, XN_ERR_ARGUMENT, "input: text %zu is empty", i);
        return xn_embed_ids(served, json_string_value(value), json_string_length(value), ids, err);
    }
    size_t n = json_array_size(value);
    if (n == 0) return xn_fail(err, XN_ERR_ARGUMENT, "input: item %zu: expected a string or an array of tokens", i);
    if (XN_GROW(ids->data, ids->capacity, n)) return xn_fail(err, XN_ERR_NOMEM, "out of memory for an input");
    for (size_t k = 0; k < n; k++) {
        const json_t *id = json_array_get(value, k);
        json_int_t token = json_is_integer(id) ? json_integer_value(id) : -1;
        if (token < 0 || token >= (json_int_t)served->model->recipe.vocab)
            return xn_fail(err, XN_ERR_ARGUMENT, "input: item %zu: element %zu is no token", i, k);
        ids->data[ids->n++] = (int32_t)token;
    }
    return XN_OK;
}

// As little-endian float32, in base64.
static json_t *base64_of(const float *v, uint32_t n) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *bytes = (const unsigned char *)v;
    size_t size = n * sizeof *v, at = 0;
    char *text = xn_alloc(size / 3 + 2, 4);
    if (!text) return json_null();
    for (size_t i = 0; i < size; i += 3) {
        uint32_t left = (uint32_t)(size - i > 2 ? 3 : size - i), word = (uint32_t)bytes[i] << 16;
        if (left > 1) word |= (uint32_t)bytes[i + 1] << 8;
        if (left > 2) word |= bytes[i + 2];
        for (uint32_t k = 0; k < 4; k++)
            text[at++] = k <= left ? letters[word >> (18 - 6 * k) & 63] : '=';
    }
    json_t *string = xn_json_text(text, at);
    free(text);
    return string;
}

static json_t *vector_of(const float *v, uint32_t n, bool base64) {
    if (base64) return base64_of(v, n);
    json_t *array = json_array();
    for (uint32_t i = 0; i < n; i++)
        json_array_append_new(array, json_real((double)v[i]));
    return array;
}

static int reply(struct xn_call *call, const struct xn_embedding *e, size_t n, bool base64, struct xn_error *err) {
    json_t *data = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(data, json_pack("{s:s, s:I, s:o}", "object", "embedding", "index", (json_int_t)i,
                                              "embedding", vector_of(e->vectors + i * e->width, e->width, base64)));
    json_t *body =
        json_pack("{s:s, s:o, s:s, s:{s:I, s:I}}", "object", "list", "data", data, "model", call->served->name, "usage",
                  "prompt_tokens", (json_int_t)e->tokens, "total_tokens", (json_int_t)e->tokens);
    xn_exchange_note_number(call->x, "prompt_tokens", (double)e->tokens);
    return xn_reply_json(call->x, 200, body, err);
}

static int embed(struct xn_call *call, const json_t *body, struct xn_completion_request *request,
                 struct xn_error *err) {
    (void)request;
    const json_t *input = json_object_get(body, "input");
    const char *format = "float";
    int64_t dimensions = 0;
    XN_TRY(xn_field_string(body, "encoding_format", &format, err));
    if (strcmp(format, "float") != 0 && strcmp(format, "base64") != 0)
        return xn_fail(err, XN_ERR_ARGUMENT, "encoding_format: \"%.32s\" is none, expected float or base64", format);
    XN_TRY(xn_field_int(body, "dimensions", 1, INT32_MAX, &dimensions, err));
    bool list = json_is_array(input) && !json_is_integer(json_array_get(input, 0));
    size_t n = list ? json_array_size(input) : 1;
    if (n == 0 || n > MOST_INPUTS || (!json_is_string(input) && !json_is_array(input)))
        return xn_fail(err, XN_ERR_ARGUMENT, "input: expected a string, tokens, or an array of up to %d of those",
                       MOST_INPUTS);
    struct xn_ids *ids = xn_alloc_zero(n, sizeof *ids);
    int status = ids ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "out of memory for %zu inputs", n);
    for (size_t i = 0; i < n && status == XN_OK; i++)
        status = read_input(call->served, list ? json_array_get(input, i) : input, i, &ids[i], err);
    struct xn_embedding e = {0};
    if (status == XN_OK)
        status = xn_embed(call->served, call->x, ids, n, xn_embed_pooling(call->served), true, (uint32_t)dimensions, &e,
                          err);
    if (status == XN_OK) status = reply(call, &e, n, strcmp(format, "base64") == 0, err);
    free(e.vectors);
    for (size_t i = 0; i < n && ids; i++)
        free(ids[i].data);
    free(ids);
    return status;
}

int xn_openai_embeddings(void *server, struct xn_exchange *x, struct xn_error *err) {
    return xn_call_handle(server, x, embed, err);
}
