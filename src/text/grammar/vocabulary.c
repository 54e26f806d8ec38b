#include "text/grammar/vocabulary.h"

#include "base/memory.h"
#include "text/grammar/compile.h"
#include "text/unicode.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_TOKENS = 1 << 24 };

struct entry {
    const uint8_t *data;
    uint32_t size;
    int32_t token;
};

static int by_bytes(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    const int order = memcmp(x->data, y->data, x->size < y->size ? x->size : y->size);
    if (order) return order;
    if (x->size != y->size) return x->size < y->size ? -1 : 1;
    return (x->token > y->token) - (x->token < y->token);
}

static int keep_bytes(struct xn_token_tree *t, const struct xn_token_bytes *tokens, size_t n) {
    size_t size = 0;
    for (size_t i = 0; i < n; i++)
        size += tokens[i].size;
    t->bytes = xn_alloc(size + 1, 1);
    t->starts = xn_alloc(n + 1, sizeof *t->starts);
    if (!t->bytes || !t->starts) return -1;
    size = 0;
    for (size_t i = 0; i < n; i++) {
        t->starts[i] = size;
        if (tokens[i].size) memcpy(t->bytes + size, tokens[i].data, tokens[i].size);
        size += tokens[i].size;
    }
    t->starts[n] = size;
    return 0;
}

const void *xn_token_tree_bytes(const struct xn_token_tree *tree, int32_t token, size_t *size) {
    *size = 0;
    if (token < 0 || (size_t)token >= tree->n_tokens || tree->ends[token]) return tree->bytes;
    *size = tree->starts[token + 1] - tree->starts[token];
    return tree->bytes + tree->starts[token];
}

// Branches of sorted entries.
static int fill(const struct xn_token_tree *t, struct xn_token_branches *to, const struct entry *entries, size_t n) {
    size_t capacity = 0;
    uint32_t open[XN_TOKEN_LONGEST]; // the nodes of the entry before, by depth
    uint32_t n_open = 0;
    for (size_t i = 0; i < n; i++) {
        const struct entry *e = &entries[i];
        uint32_t shared = 0;
        while (shared < n_open && shared < e->size && to->nodes[open[shared]].byte == e->data[shared])
            shared++;
        while (n_open > shared)
            to->nodes[open[--n_open]].past = (uint32_t)to->n;
        for (; n_open < e->size; n_open++) {
            if (XN_GROW(to->nodes, capacity, to->n + 1)) return -1;
            open[n_open] = (uint32_t)to->n;
            to->nodes[to->n++] =
                (struct xn_token_node){.token = -1, .byte = e->data[n_open], .depth = (uint16_t)n_open};
        }
        struct xn_token_node *node = &to->nodes[open[e->size - 1]];
        t->same[e->token] = node->token;
        node->token = e->token;
    }
    while (n_open)
        to->nodes[open[--n_open]].past = (uint32_t)to->n;
    return 0;
}

int xn_token_tree_new(const struct xn_token_bytes *tokens, const bool *ends, size_t n, struct xn_token_tree **out,
                      struct xn_error *err) {
    *out = NULL;
    if (n > MAX_TOKENS) return xn_fail(err, XN_ERR_LIMIT, "%zu tokens, at most %d", n, MAX_TOKENS);
    struct xn_token_tree *t = xn_alloc_zero(1, sizeof *t);
    struct entry *entries = xn_alloc(n + 1, sizeof *entries);
    int status = t && entries ? 0 : -1;
    if (status == 0) {
        t->n_tokens = n;
        t->same = xn_alloc(n + 1, sizeof *t->same);
        t->ends = xn_alloc_zero(n + 1, 1);
        if (!t->same || !t->ends || keep_bytes(t, tokens, n)) status = -1;
    }
    if (status == 0) {
        size_t n_short = 0, n_long = 0; // short ones from the front, long ones from the back
        for (size_t i = 0; i < n; i++) {
            t->same[i] = -1;
            t->ends[i] = ends && ends[i];
            if (t->ends[i] || tokens[i].size == 0 || tokens[i].size > XN_TOKEN_LONGEST) continue;
            const struct entry e = {tokens[i].data, tokens[i].size, (int32_t)i};
            if (e.size <= XN_GRAMMAR_HORIZON)
                entries[n_short++] = e;
            else
                entries[n - ++n_long] = e;
        }
        qsort(entries, n_short, sizeof *entries, by_bytes);
        qsort(entries + n - n_long, n_long, sizeof *entries, by_bytes);
        status = fill(t, &t->usual, entries, n_short);
        if (status == 0) status = fill(t, &t->lengthy, entries + n - n_long, n_long);
    }
    free(entries);
    if (status) {
        xn_token_tree_free(t);
        return xn_fail(err, XN_ERR_NOMEM, "no memory for the tree of %zu tokens", n);
    }
    *out = t;
    return XN_OK;
}

int xn_token_tree_of(const struct xn_tokenizer *tokenizer, struct xn_token_tree **out, struct xn_error *err) {
    *out = NULL;
    const size_t n = (size_t)xn_tokenizer_size(tokenizer);
    struct xn_token_bytes *tokens = xn_alloc_zero(n + 1, sizeof *tokens);
    size_t *starts = xn_alloc_zero(n + 1, sizeof *starts);
    bool *ends = xn_alloc_zero(n + 1, sizeof *ends);
    struct xn_text all = {0};
    int status = tokens && starts && ends ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "no memory for %zu tokens", n);
    for (size_t i = 0; status == XN_OK && i < n; i++) {
        starts[i] = all.size;
        ends[i] = xn_token_ends(tokenizer, (int32_t)i);
        static const char mark = (char)XN_TOKEN_SPECIAL;
        const bool special = xn_token_is_special(tokenizer, (int32_t)i);
        if (special && xn_text_append(&all, &mark, 1))
            status = xn_fail(err, XN_ERR_NOMEM, "no memory for %zu tokens", n);
        if (status == XN_OK) status = xn_token_append_bytes(tokenizer, (int32_t)i, &all, err);
        // A token of that very byte can't be in a text, and must not be taken for the mark.
        if (!special && all.size > starts[i] && memchr(all.data + starts[i], mark, all.size - starts[i]))
            all.size = starts[i];
        tokens[i].size = (uint32_t)(all.size - starts[i]);
    }
    for (size_t i = 0; status == XN_OK && i < n; i++)
        tokens[i].data = all.data + starts[i];
    if (status == XN_OK) status = xn_token_tree_new(tokens, ends, n, out, err);
    free(tokens);
    free(starts);
    free(ends);
    free(all.data);
    return status;
}

void xn_token_tree_free(struct xn_token_tree *t) {
    if (!t) return;
    free(t->usual.nodes);
    free(t->lengthy.nodes);
    free(t->same);
    free(t->ends);
    free(t->bytes);
    free(t->starts);
    free(t);
}
