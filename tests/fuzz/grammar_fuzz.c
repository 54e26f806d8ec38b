// Grammars from any bytes: GBNF or, after a '{', a JSON schema, then a text for it after a NUL. Making one ends without
// a crash, and masks over the single bytes say what the automaton takes.
#include "text/grammar/mask.h"

#include <stdlib.h>
#include <string.h>

static struct xn_token_tree *bytes_tree(void) {
    static uint8_t bytes[256];
    struct xn_token_bytes tokens[257] = {0};
    bool ends[257] = {0};
    for (int i = 0; i < 256; i++) {
        bytes[i] = (uint8_t)i;
        tokens[i] = (struct xn_token_bytes){&bytes[i], 1};
    }
    ends[256] = true;
    struct xn_token_tree *tree;
    if (xn_token_tree_new(tokens, ends, 257, &tree, NULL) != XN_OK) abort();
    return tree;
}

static int make(const char *data, size_t n, struct xn_grammar **g, struct xn_error *err) {
    if (n == 0 || data[0] != '{') return xn_grammar_from_gbnf(data, n, "fuzz", g, err);
    *g = NULL;
    json_t *schema = json_loadb(data, n, 0, NULL);
    if (!schema) return xn_fail(err, XN_ERR_FORMAT, "no JSON");
    int status = xn_grammar_from_json_schema(schema, g, err);
    json_decref(schema);
    return status;
}

// The text byte by byte: each is taken where the mask before it says so, and not where it doesn't.
static void follow(struct xn_masks *masks, const uint8_t *text, size_t n) {
    struct xn_error err;
    struct xn_grammar_state *s;
    if (xn_grammar_state_new(xn_masks_automaton(masks), &s, &err) != XN_OK) abort();
    uint64_t mask[5];
    for (size_t i = 0; i < n && i < 200; i++) {
        bool good;
        if (xn_mask(masks, s, mask, &err) != XN_OK) break;
        if (xn_grammar_state_accept(s, text + i, 1, &good, &err) != XN_OK) break;
        if (good != (mask[text[i] / 64] >> (text[i] % 64) & 1)) abort();
        if (!good) break;
    }
    if (xn_mask(masks, s, mask, &err) == XN_OK && xn_grammar_state_may_end(s) != (mask[4] & 1)) abort();
    xn_grammar_state_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct xn_token_tree *tree;
    if (!tree) tree = bytes_tree();
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    const size_t n = end ? (size_t)(end - data) : size;
    struct xn_error err = {0};
    struct xn_grammar *g;
    struct xn_masks *masks;
    if (make((const char *)data, n, &g, &err) != XN_OK) {
        if (g || !err.message[0]) abort();
        return 0;
    }
    if (xn_masks_new(g, tree, &masks, &err) == XN_OK) {
        if (end) follow(masks, end + 1, size - n - 1);
        xn_masks_free(masks);
    } else if (err.status != XN_ERR_LIMIT) {
        abort();
    }
    xn_grammar_free(g);
    return 0;
}
