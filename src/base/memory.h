// All allocation of the library: sizes checked for overflow, buffers aligned for the widest vector, an arena for what
// lives and dies together.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define XN_ALIGN 64 // bytes: a cache line, and a 512-bit vector

// Each returns NULL when there is no memory or n * size does not fit a size_t; the memory is freed with free().
void *xn_alloc(size_t n, size_t size);             // n * size bytes, not initialised
void *xn_alloc_zero(size_t n, size_t size);        // the same, zeroed
void *xn_realloc(void *p, size_t n, size_t size);  // as reallocarray
void *xn_alloc_aligned(size_t n, size_t size);     // XN_ALIGN-aligned, zeroed
void *xn_alloc_aligned_raw(size_t n, size_t size); // the same, not initialised: takes memory only where it is written
char *xn_strndup(const char *s, size_t n);         // a copy, NUL-terminated
char *xn_strdup(const char *s);
char *xn_format(const char *format, ...) __attribute__((format(printf, 1, 2))); // as asprintf; NULL without memory

// Grows *items (elements of `size` bytes) so that it holds at least `want`; doubles. Returns 0, or -1 without memory
// (then *items and *capacity are as before).
int xn_grow(void **items, size_t *capacity, size_t want, size_t size);
#define XN_GROW(array, capacity, want) xn_grow((void **)&(array), &(capacity), (want), sizeof *(array))

// An arena: allocations freed all at once. Zero-initialise; xn_arena_free frees and leaves it empty.
struct xn_arena {
    struct xn_arena_block *blocks;
};
void *xn_arena_alloc(struct xn_arena *arena, size_t n, size_t size); // zeroed, XN_ALIGN-aligned; NULL without memory
char *xn_arena_strdup(struct xn_arena *arena, const char *s);
void xn_arena_free(struct xn_arena *arena);

// a * b and a + b into *out; true when it overflows.
static inline int xn_mul_overflow(size_t a, size_t b, size_t *out) {
    return __builtin_mul_overflow(a, b, out);
}
static inline int xn_add_overflow(size_t a, size_t b, size_t *out) {
    return __builtin_add_overflow(a, b, out);
}
