#include "text/tokenizer_internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

int xn_vocabulary_init(struct xn_vocabulary *v, size_t n, size_t pool, struct xn_error *err) {
    *v = (struct xn_vocabulary){0};
    memset(v->byte, -1, sizeof v->byte);
    if (n > XN_MAX_TOKENS)
        return xn_fail(err, XN_ERR_LIMIT, "vocabulary of %zu tokens, at most %d expected", n, XN_MAX_TOKENS);
    v->tokens = xn_alloc_zero(n, sizeof *v->tokens);
    v->pool = xn_alloc(pool + 1, 1);
    if (!v->tokens || !v->pool) {
        xn_vocabulary_free(v);
        return xn_fail(err, XN_ERR_NOMEM, "no memory for a vocabulary of %zu tokens", n);
    }
    v->n = n;
    v->pool_capacity = pool;
    return XN_OK;
}

void xn_vocabulary_free(struct xn_vocabulary *v) {
    free(v->tokens);
    free(v->pool);
    free(v->slots);
    *v = (struct xn_vocabulary){0};
}

void xn_vocabulary_set(struct xn_vocabulary *v, size_t id, const char *text, size_t size) {
    if (id >= v->n || size > v->pool_capacity - v->pool_size) return;
    char *copy = v->pool + v->pool_size;
    if (size) memcpy(copy, text, size);
    v->pool_size += size;
    v->tokens[id].text = copy;
    v->tokens[id].size = (uint32_t)size;
}

static uint64_t mix(uint64_t a, uint64_t b) {
    __uint128_t product = (__uint128_t)(a ^ 0x9e3779b97f4a7c15u) * (b ^ 0xd6e8feb86659fd93u);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t xn_hash_bytes(const char *data, size_t size) {
    uint64_t h = size;
    while (size >= 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        h = mix(h, word);
        data += 8;
        size -= 8;
    }
    uint64_t tail = 0;
    memcpy(&tail, data, size);
    return mix(h, tail);
}

int xn_vocabulary_index(struct xn_vocabulary *v, size_t *duplicates, struct xn_error *err) {
    size_t n_slots = 16;
    while (n_slots < 2 * v->n)
        n_slots *= 2;
    v->slots = xn_alloc_zero(n_slots, sizeof *v->slots);
    if (!v->slots) return xn_fail(err, XN_ERR_NOMEM, "no memory for the look-up of %zu tokens", v->n);
    v->mask = n_slots - 1;
    size_t twice = 0;
    for (size_t id = 0; id < v->n; id++) {
        const struct xn_token *token = &v->tokens[id];
        if (!token->text) continue;
        if (token->size > v->longest) v->longest = token->size;
        size_t slot = xn_hash_bytes(token->text, token->size) & v->mask;
        bool known = false;
        for (; v->slots[slot] && !known; slot = (slot + 1) & v->mask) {
            const struct xn_token *other = &v->tokens[v->slots[slot] - 1];
            known = other->size == token->size && memcmp(other->text, token->text, token->size) == 0;
        }
        if (known)
            twice++;
        else
            v->slots[slot] = (uint32_t)id + 1;
    }
    for (int b = 0; b < 256; b++) {
        static const char hex[] = "0123456789ABCDEF";
        const char name[6] = {'<', '0', 'x', hex[b >> 4], hex[b & 15], '>'};
        v->byte[b] = xn_vocabulary_find(v, name, sizeof name);
    }
    if (duplicates) *duplicates = twice;
    return XN_OK;
}

int32_t xn_vocabulary_find(const struct xn_vocabulary *v, const char *text, size_t size) {
    if (!v->slots || size > v->longest) return -1;
    for (size_t slot = xn_hash_bytes(text, size) & v->mask; v->slots[slot]; slot = (slot + 1) & v->mask) {
        const struct xn_token *token = &v->tokens[v->slots[slot] - 1];
        if (token->size == size && memcmp(token->text, text, size) == 0) return (int32_t)(v->slots[slot] - 1);
    }
    return -1;
}

static int by_spelling(const void *a, const void *b, void *vocabulary) {
    const struct xn_vocabulary *v = vocabulary;
    int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    const struct xn_token *x = &v->tokens[i], *y = &v->tokens[j];
    int order = memcmp(x->text, y->text, x->size < y->size ? x->size : y->size);
    if (order) return order;
    if (x->size != y->size) return x->size < y->size ? -1 : 1;
    return i < j ? -1 : i > j;
}

int xn_prefix_index_build(struct xn_prefix_index *index, const struct xn_vocabulary *v, struct xn_error *err) {
    size_t kept = 0;
    for (size_t i = 0; i < index->n; i++)
        if (v->tokens[index->ids[i]].size) index->ids[kept++] = index->ids[i];
    index->n = kept;
    if (kept > XN_MAX_TOKENS) return xn_fail(err, XN_ERR_LIMIT, "%zu tokens, at most %d expected", kept, XN_MAX_TOKENS);
    if (kept) qsort_r(index->ids, kept, sizeof *index->ids, by_spelling, (void *)v);
    size_t i = 0;
    for (int b = 0; b <= 256; b++) {
        while (i < kept && (uint8_t)v->tokens[index->ids[i]].text[0] < b)
            i++;
        index->first[b] = (uint32_t)i;
    }
    return XN_OK;
}

void xn_prefix_index_free(struct xn_prefix_index *index) {
    free(index->ids);
    *index = (struct xn_prefix_index){0};
}

void xn_prefix_index_each(const struct xn_prefix_index *index, const struct xn_vocabulary *v, const char *text,
                          size_t size, xn_prefix_found *found, void *user) {
    if (!size || !index->n) return;
    // [low, high): the tokens that share the text's first `depth` bytes.
    size_t low = index->first[(uint8_t)text[0]], high = index->first[(uint8_t)text[0] + 1], depth = 1;
    while (low < high) {
        const struct xn_token *token = &v->tokens[index->ids[low]];
        if (high - low == 1) { // one candidate: compare what is left of it
            if (token->size <= size && memcmp(token->text + depth, text + depth, token->size - depth) == 0)
                found(user, index->ids[low], token->size);
            return;
        }
        if (token->size == depth) {
            found(user, index->ids[low], depth);
            while (low < high && v->tokens[index->ids[low]].size == depth) // spelled alike: the lowest id counts
                low++;
            continue;
        }
        if (depth == size) return;
        uint8_t next = (uint8_t)text[depth];
        size_t l = low, h = high;
        while (l < h) { // the first token whose byte at `depth` is not below `next`
            size_t middle = l + (h - l) / 2;
            if ((uint8_t)v->tokens[index->ids[middle]].text[depth] < next)
                l = middle + 1;
            else
                h = middle;
        }
        low = l;
        h = high;
        while (l < h) { // the first above it
            size_t middle = l + (h - l) / 2;
            if ((uint8_t)v->tokens[index->ids[middle]].text[depth] <= next)
                l = middle + 1;
            else
                h = middle;
        }
        high = l;
        depth++;
    }
}
