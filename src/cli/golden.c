#include "cli/golden.h"

#include "base/memory.h"
#include "format/source.h"

#include <stdlib.h>
#include <string.h>

enum { GOLDEN_BYTES = 1 << 28, MAX_PROMPT = 1 << 20, MAX_GREEDY = 1 << 16 };

static int array_of(const char *path, const json_t *root, const char *key, size_t least, size_t most,
                    const json_t **array, struct xn_error *err) {
    *array = json_object_get(root, key);
    if (!json_is_array(*array)) return xn_fail(err, XN_ERR_FORMAT, "%s: key \"%s\": expected an array", path, key);
    size_t n = json_array_size(*array);
    if (n < least || n > most)
        return xn_fail(err, XN_ERR_FORMAT, "%s: key \"%s\": found %zu elements, expected %zu to %zu", path, key, n,
                       least, most);
    return XN_OK;
}

static int floats(const char *path, const json_t *root, const char *key, size_t least, size_t most, float **out,
                  uint32_t *n, struct xn_error *err) {
    const json_t *array;
    XN_TRY(array_of(path, root, key, least, most, &array, err));
    *n = (uint32_t)json_array_size(array);
    *out = xn_alloc_zero(*n ? *n : 1, sizeof **out);
    if (!*out) return xn_fail(err, XN_ERR_NOMEM, "%s: key \"%s\": out of memory", path, key);
    for (uint32_t i = 0; i < *n; i++) {
        const json_t *value = json_array_get(array, i);
        if (!json_is_number(value))
            return xn_fail(err, XN_ERR_FORMAT, "%s: key \"%s\": element %u is no number", path, key, i);
        (*out)[i] = (float)json_number_value(value);
    }
    return XN_OK;
}

static int ids(const char *path, const json_t *root, const char *key, size_t least, size_t most, uint32_t vocab,
               int32_t **out, uint32_t *n, struct xn_error *err) {
    const json_t *array;
    XN_TRY(array_of(path, root, key, least, most, &array, err));
    *n = (uint32_t)json_array_size(array);
    *out = xn_alloc_zero(*n ? *n : 1, sizeof **out);
    if (!*out) return xn_fail(err, XN_ERR_NOMEM, "%s: key \"%s\": out of memory", path, key);
    for (uint32_t i = 0; i < *n; i++) {
        const json_t *value = json_array_get(array, i);
        if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) >= vocab)
            return xn_fail(err, XN_ERR_FORMAT, "%s: key \"%s\": element %u is no token id below %u", path, key, i,
                           vocab);
        (*out)[i] = (int32_t)json_integer_value(value);
    }
    return XN_OK;
}

static int fill(const char *path, const json_t *root, struct xn_golden *g, struct xn_error *err) {
    if (!json_is_object(root)) return xn_fail(err, XN_ERR_FORMAT, "%s: expected a JSON object", path);
    uint32_t n;
    XN_TRY(floats(path, root, "logits_first", 1, INT32_MAX, &g->logits_first, &g->n_logits, err));
    XN_TRY(floats(path, root, "logits_last", g->n_logits, g->n_logits, &g->logits_last, &n, err));
    XN_TRY(ids(path, root, "prompt_ids", 2, MAX_PROMPT, g->n_logits, &g->prompt, &g->n_prompt, err));
    XN_TRY(ids(path, root, "greedy_ids", 0, MAX_GREEDY, g->n_logits, &g->greedy, &g->n_greedy, err));
    XN_TRY(floats(path, root, "greedy_margin", g->n_greedy, g->n_greedy, &g->margin, &n, err));
    const json_t *nll = json_object_get(root, "mean_nll"), *text = json_object_get(root, "text");
    if (!json_is_number(nll)) return xn_fail(err, XN_ERR_FORMAT, "%s: key \"mean_nll\": expected a number", path);
    g->mean_nll = json_number_value(nll);
    if (!json_is_string(text)) return XN_OK;
    g->text_size = json_string_length(text);
    g->text = xn_strndup(json_string_value(text), g->text_size);
    return g->text ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", path);
}

int xn_golden_read(const char *path, struct xn_golden *golden, struct xn_error *err) {
    *golden = (struct xn_golden){0};
    json_t *root;
    XN_TRY(xn_json_file(path, GOLDEN_BYTES, &root, err));
    int status = fill(path, root, golden, err);
    json_decref(root);
    if (status != XN_OK) xn_golden_free(golden);
    return status;
}

void xn_golden_free(struct xn_golden *golden) {
    free(golden->text);
    free(golden->prompt);
    free(golden->logits_first);
    free(golden->logits_last);
    free(golden->greedy);
    free(golden->margin);
    *golden = (struct xn_golden){0};
}
