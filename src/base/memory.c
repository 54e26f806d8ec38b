#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void *xn_alloc(size_t n, size_t size) {
    size_t bytes;
    if (xn_mul_overflow(n, size, &bytes)) return NULL;
    return malloc(bytes ? bytes : 1);
}

void *xn_alloc_zero(size_t n, size_t size) {
    return calloc(n ? n : 1, size ? size : 1);
}

void *xn_realloc(void *p, size_t n, size_t size) {
    size_t bytes;
    if (xn_mul_overflow(n, size, &bytes)) return NULL;
    return realloc(p, bytes ? bytes : 1);
}

static void *alloc_aligned(size_t n, size_t size, size_t *allocated) {
    size_t bytes, padded;
    if (xn_mul_overflow(n, size, &bytes) || xn_add_overflow(bytes, XN_ALIGN, &padded)) return NULL;
    void *p = NULL;
    *allocated = padded / XN_ALIGN * XN_ALIGN;
    // Large memory in large pages, where the system has them: rows and panels are walked with strides of many small
    // ones.
    enum { HUGE_PAGE = 2 << 20 };
    size_t align = *allocated >= 2 * HUGE_PAGE ? HUGE_PAGE : XN_ALIGN;
    if (posix_memalign(&p, align, *allocated) != 0) return NULL;
    if (align == HUGE_PAGE) madvise(p, *allocated / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE); // failure costs speed alone
    return p;
}

void *xn_alloc_aligned(size_t n, size_t size) {
    size_t allocated;
    void *p = alloc_aligned(n, size, &allocated);
    if (p) memset(p, 0, allocated);
    return p;
}

void *xn_alloc_aligned_raw(size_t n, size_t size) {
    size_t allocated;
    return alloc_aligned(n, size, &allocated);
}

char *xn_strndup(const char *s, size_t n) {
    size_t bytes;
    if (xn_add_overflow(n, 1, &bytes)) return NULL;
    char *copy = malloc(bytes);
    if (!copy) return NULL;
    if (n) memcpy(copy, s, n);
    copy[n] = 0;
    return copy;
}

char *xn_strdup(const char *s) {
    return xn_strndup(s, strlen(s));
}

char *xn_format(const char *format, ...) {
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    return n < 0 ? NULL : text;
}

int xn_grow(void **items, size_t *capacity, size_t want, size_t size) {
    if (want <= *capacity) return 0;
    size_t next = *capacity ? *capacity : 16;
    while (next < want)
        if (xn_mul_overflow(next, 2, &next)) return -1;
    void *grown = xn_realloc(*items, next, size);
    if (!grown) return -1;
    *items = grown;
    *capacity = next;
    return 0;
}

struct xn_arena_block {
    struct xn_arena_block *next;
    size_t used, size;
    unsigned char *data;
};

enum { ARENA_BLOCK = 64 * 1024 };

void *xn_arena_alloc(struct xn_arena *arena, size_t n, size_t size) {
    size_t bytes, padded;
    if (xn_mul_overflow(n, size, &bytes) || xn_add_overflow(bytes, XN_ALIGN, &padded)) return NULL;
    bytes = padded / XN_ALIGN * XN_ALIGN;
    struct xn_arena_block *block = arena->blocks;
    if (!block || block->size - block->used < bytes) {
        size_t block_size = bytes > ARENA_BLOCK ? bytes : ARENA_BLOCK;
        block = calloc(1, sizeof *block);
        if (!block) return NULL;
        block->data = xn_alloc_aligned(block_size, 1);
        if (!block->data) {
            free(block);
            return NULL;
        }
        block->size = block_size;
        block->next = arena->blocks;
        arena->blocks = block;
    }
    void *p = block->data + block->used;
    block->used += bytes;
    return p;
}

char *xn_arena_strdup(struct xn_arena *arena, const char *s) {
    size_t n = strlen(s) + 1;
    char *copy = xn_arena_alloc(arena, n, 1);
    if (copy) memcpy(copy, s, n);
    return copy;
}

void xn_arena_free(struct xn_arena *arena) {
    struct xn_arena_block *block = arena->blocks;
    while (block) {
        struct xn_arena_block *next = block->next;
        free(block->data);
        free(block);
        block = next;
    }
    arena->blocks = NULL;
}
