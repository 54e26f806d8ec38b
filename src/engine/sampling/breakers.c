#include "engine/sampling/breakers.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

void xn_dry_breakers_free(struct xn_dry_breakers *b) {
    free(b->items);
    free(b->tails.data);
    *b = (struct xn_dry_breakers){0};
}

int xn_dry_breakers_add(struct xn_dry_breakers *b, const int32_t *ids, size_t n, struct xn_error *err) {
    if (n == 0) return xn_fail(err, XN_ERR_ARGUMENT, "DRY: a sequence breaker without a token");
    size_t n_tail = n - 1 < XN_DRY_BREAKER_TAIL ? n - 1 : XN_DRY_BREAKER_TAIL;
    if (XN_GROW(b->items, b->capacity, b->n + 1) || XN_GROW(b->tails.data, b->tails.capacity, b->tails.n + n_tail + 1))
        return xn_fail(err, XN_ERR_NOMEM, "no memory for DRY's sequence breakers");
    if (n_tail) memcpy(b->tails.data + b->tails.n, ids + 1, n_tail * sizeof *ids);
    b->items[b->n++] = (struct xn_dry_breaker){ids[0], (int32_t)n_tail, b->tails.n};
    b->tails.n += n_tail;
    return XN_OK;
}

static bool is_known(const struct xn_dry_breakers *b, size_t begin, const struct xn_ids *ids) {
    for (size_t i = begin; i < b->n; i++) {
        const struct xn_dry_breaker *x = &b->items[i];
        if (x->head == ids->data[0] && (size_t)x->n_tail == ids->n - 1 &&
            (x->n_tail == 0 ||
             memcmp(b->tails.data + x->tail, ids->data + 1, (size_t)x->n_tail * sizeof *ids->data) == 0))
            return true;
    }
    return false;
}

// One token of the vocabulary, `size` bytes of text, against the breaker.
static int spell_token(struct xn_dry_breakers *b, const struct xn_tokenizer *t, int32_t id, const struct xn_text *piece,
                       const char *text, size_t n_text, struct xn_ids *ids, struct xn_error *err) {
    if (memmem(piece->data, piece->size, text, n_text)) return xn_dry_breakers_add(b, &id, 1, err);
    size_t begin = b->n;
    // The end of the token, `n` bytes of it, is the breaker's beginning.
    for (size_t n = piece->size < n_text ? piece->size : n_text - 1; n > 0; n--) {
        if (memcmp(piece->data + piece->size - n, text, n) != 0) continue;
        ids->n = 0;
        if (XN_GROW(ids->data, ids->capacity, 1)) return xn_fail(err, XN_ERR_NOMEM, "no memory for DRY's breakers");
        ids->data[ids->n++] = id;
        XN_TRY(xn_tokenize(t, text + n, n_text - n, 0, ids, err));
        if (ids->n > XN_DRY_BREAKER_TAIL + 1) ids->n = XN_DRY_BREAKER_TAIL + 1;
        if (!is_known(b, begin, ids)) XN_TRY(xn_dry_breakers_add(b, ids->data, ids->n, err));
    }
    return XN_OK;
}

int xn_dry_breakers_spell(struct xn_dry_breakers *b, const struct xn_tokenizer *t, const char *text,
                          struct xn_error *err) {
    size_t n_text = strlen(text);
    if (n_text == 0) return xn_fail(err, XN_ERR_ARGUMENT, "DRY: an empty sequence breaker");
    if (n_text > XN_DRY_BREAKER_BYTES) n_text = XN_DRY_BREAKER_BYTES;
    struct xn_text piece = {0};
    struct xn_ids ids = {0};
    int status = XN_OK;
    for (int32_t id = 0; id < xn_tokenizer_size(t) && status == XN_OK; id++) {
        struct xn_detokenizer d;
        xn_detokenizer_init(&d, t, true);
        d.started = true; // what stands inside a text, with its blank
        piece.size = 0;
        status = xn_detokenize(&d, id, &piece, err);
        if (status == XN_OK && piece.size) status = spell_token(b, t, id, &piece, text, n_text, &ids, err);
    }
    free(piece.data);
    free(ids.data);
    return status;
}

int xn_dry_breakers_usual(struct xn_dry_breakers *b, const struct xn_tokenizer *t, struct xn_error *err) {
    static const char *const usual[] = {"\n", ":", "\"", "*"};
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        XN_TRY(xn_dry_breakers_spell(b, t, usual[i], err));
    return XN_OK;
}

static int by_head(const void *a, const void *b) {
    const struct xn_dry_breaker *x = a, *y = b;
    if (x->head != y->head) return x->head < y->head ? -1 : 1;
    return x->n_tail < y->n_tail ? -1 : x->n_tail > y->n_tail;
}

void xn_dry_breakers_sort(struct xn_dry_breakers *b) {
    if (b->n) qsort(b->items, b->n, sizeof *b->items, by_head);
}

const struct xn_dry_breaker *xn_dry_breakers_find(const struct xn_dry_breakers *b, int32_t head, size_t *n) {
    size_t low = 0, high = b->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (b->items[middle].head < head)
            low = middle + 1;
        else
            high = middle;
    }
    size_t end = low;
    while (end < b->n && b->items[end].head == head)
        end++;
    *n = end - low;
    return end > low ? &b->items[low] : NULL;
}
