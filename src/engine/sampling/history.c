#include "engine/sampling/history.h"

#include "base/memory.h"

#include <stdlib.h>

static int32_t bounded(int32_t n) {
    return n < 0 || n > XN_HISTORY_MOST ? XN_HISTORY_MOST : n;
}

int xn_history_init(struct xn_history *h, int32_t vocab, int32_t capacity, int32_t window, struct xn_error *err) {
    *h = (struct xn_history){.vocab = vocab, .capacity = bounded(capacity), .window = bounded(window)};
    if (h->capacity < h->window) h->capacity = h->window;
    if (h->capacity == 0) return XN_OK;
    h->tokens = xn_alloc((size_t)h->capacity, sizeof *h->tokens);
    bool failed = !h->tokens;
    if (h->window) {
        h->count = xn_alloc_zero((size_t)vocab, sizeof *h->count);
        h->place = xn_alloc((size_t)vocab, sizeof *h->place);
        h->distinct = xn_alloc((size_t)vocab, sizeof *h->distinct);
        failed |= !h->count || !h->place || !h->distinct;
    }
    if (!failed) return XN_OK;
    xn_history_free(h);
    return xn_fail(err, XN_ERR_NOMEM, "no memory for a sampler's last %d tokens of %d", h->capacity, vocab);
}

void xn_history_free(struct xn_history *h) {
    free(h->tokens);
    free(h->count);
    free(h->place);
    free(h->distinct);
    h->tokens = h->count = h->place = h->distinct = NULL;
}

static void leave(struct xn_history *h, int32_t token) {
    if (--h->count[token]) return;
    int32_t last = h->distinct[--h->n_distinct];
    h->distinct[h->place[token]] = last;
    h->place[last] = h->place[token];
}

static void enter(struct xn_history *h, int32_t token) {
    if (h->count[token]++) return;
    h->place[token] = h->n_distinct;
    h->distinct[h->n_distinct++] = token;
}

void xn_history_push(struct xn_history *h, int32_t token) {
    if (token < 0 || token >= h->vocab || h->capacity == 0) return;
    if (h->window) {
        if (h->n >= h->window) leave(h, xn_history_back(h, h->window - 1));
        enter(h, token);
    }
    h->tokens[h->next] = token;
    h->next = h->next + 1 == h->capacity ? 0 : h->next + 1;
    if (h->n < h->capacity) h->n++;
}
