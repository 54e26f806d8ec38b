#include "cpu/store.h"

#include "base/memory.h"
#include "device/host.h"

#include <stdlib.h>
#include <string.h>

enum {
    BLOCK = 256 << 20, // of address space: pages that nothing was written to cost no memory
    PIECE = 1 << 20,   // that a thread copies at once
};

struct block {
    struct block *next;
    char *data;
    size_t used, size;
    uint32_t live; // entries in it
};

struct entry {
    size_t bytes; // of each matrix
    uint32_t count;
    const void **copies;
    struct block *block;
};

struct xn_cpu_store {
    struct block *blocks;
    struct entry *entries;
    size_t n_entries, capacity;
    uint64_t copied, limit;
};

// Three quarters of what is free: the rest is for the cache, and for the file's pages while they are read.
static uint64_t memory_limit(void) {
    return xn_host_free_memory() / 4 * 3;
}

struct xn_cpu_store *xn_cpu_store_new(void) {
    struct xn_cpu_store *store = xn_alloc_zero(1, sizeof *store);
    if (store) store->limit = memory_limit();
    return store;
}

void xn_cpu_store_free(struct xn_cpu_store *store) {
    if (!store) return;
    while (store->n_entries)
        free(store->entries[--store->n_entries].copies);
    free(store->entries);
    while (store->blocks) {
        struct block *next = store->blocks->next;
        free(store->blocks->data);
        free(store->blocks);
        store->blocks = next;
    }
    free(store);
}

static struct block *find_block(struct xn_cpu_store *store, size_t bytes) {
    for (struct block *b = store->blocks; b; b = b->next)
        if (b->size - b->used >= bytes) return b;
    struct block *b = xn_alloc_zero(1, sizeof *b);
    if (!b) return NULL;
    b->size = bytes > BLOCK ? bytes : BLOCK;
    b->data = xn_alloc_aligned_raw(b->size, 1);
    if (!b->data) {
        free(b);
        return NULL;
    }
    b->next = store->blocks;
    store->blocks = b;
    return b;
}

struct copying {
    struct xn_pool *pool;
    const void *const *from;
    const void *const *to;
    size_t bytes;
    uint32_t count;
    const struct xn_cpu_relay *relay; // NULL: as they are
};

static void copy(void *user, uint32_t thread, uint32_t threads) {
    (void)thread;
    (void)threads;
    struct copying *c = user;
    uint64_t pieces = (c->bytes + PIECE - 1) / PIECE;
    for (uint64_t i; (i = xn_pool_next(c->pool, thread)) < pieces * c->count;) {
        size_t matrix = i / pieces, at = i % pieces * PIECE, n = c->bytes - at < PIECE ? c->bytes - at : PIECE;
        memcpy((char *)c->to[matrix] + at, (const char *)c->from[matrix] + at, n);
    }
}

static void lay(void *user, uint32_t thread, uint32_t threads) {
    (void)thread;
    (void)threads;
    struct copying *c = user;
    const struct xn_cpu_relay *r = c->relay;
    uint64_t each = 1 + PIECE / r->to_row, pieces = (r->rows + each - 1) / each; // rows of a piece
    for (uint64_t i; (i = xn_pool_next(c->pool, thread)) < pieces * c->count;) {
        size_t matrix = i / pieces;
        for (uint64_t row = i % pieces * each; row < r->rows && row < (i % pieces + 1) * each; row++)
            r->lay((const char *)c->from[matrix] + row * r->from_row, r->k, (char *)c->to[matrix] + row * r->to_row);
    }
}

const void *const *xn_cpu_store_take(struct xn_cpu_store *store, struct xn_pool *pool, const struct xn_matrix *matrix,
                                     size_t bytes, const struct xn_cpu_relay *relay) {
    size_t each, all;
    if (!store || !matrix->count || !bytes || xn_add_overflow(bytes, XN_ALIGN - 1, &each)) return NULL;
    each = each / XN_ALIGN * XN_ALIGN; // the next matrix begins aligned
    if (xn_mul_overflow(each, matrix->count, &all) || all > store->limit || store->copied > store->limit - all ||
        all / PIECE > UINT32_MAX / 2)
        return NULL;
    if (xn_grow((void **)&store->entries, &store->capacity, store->n_entries + 1, sizeof *store->entries)) return NULL;
    struct entry e = {.bytes = bytes, .count = matrix->count};
    e.copies = xn_alloc(matrix->count, sizeof *e.copies);
    e.block = e.copies ? find_block(store, all) : NULL;
    if (!e.block) {
        free(e.copies);
        return NULL;
    }
    for (uint32_t i = 0; i < e.count; i++)
        e.copies[i] = e.block->data + e.block->used + i * each;
    e.block->used += all;
    e.block->live++;
    store->copied += all;
    xn_pool_run(pool, relay ? lay : copy, &(struct copying){pool, matrix->data, e.copies, bytes, e.count, relay});
    store->entries[store->n_entries++] = e;
    return e.copies;
}

void xn_cpu_store_leave(struct xn_cpu_store *store, const void *const *copies) {
    for (size_t i = 0; store && copies && i < store->n_entries; i++) {
        struct entry *e = &store->entries[i];
        if (e->copies != copies) continue;
        struct block *block = e->block;
        store->copied -= (e->bytes + XN_ALIGN - 1) / XN_ALIGN * XN_ALIGN * e->count;
        free(e->copies);
        *e = store->entries[--store->n_entries];
        if (--block->live) return;
        struct block **link = &store->blocks;
        while (*link != block)
            link = &(*link)->next;
        *link = block->next;
        free(block->data);
        free(block);
        return;
    }
}
