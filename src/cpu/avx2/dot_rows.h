// Products of rows of integer weights with a few rows of activations: DOT(NAME, FORMAT, ..) makes a kernel of
// `addends_NAME`.
//
// What the groups of a row of weights add to a result is left in a buffer, for eight rows of weights, and then summed
// for the eight together, group after group and 256 values after 256. That is the order in which panels sum
// (template/gemm8.h), so a result is the same to the last bit whatever rows of activations are computed beside it, and
// however.
#pragma once

#include "cpu/avx2/products.h"

enum {
    AHEAD = 3072,           // bytes of weights asked for in advance
    PLAIN_BYTES = 256,      // of 256 weights from which on reading is all that counts, and the processor may know best
    TOGETHER = V,           // rows of weights that are summed together
    MOST_TOGETHER = 8,      // rows of activations
    ADDENDS = 96,           // vectors of them that a row of weights leaves
    FIRST_CACHE = 20 << 10, // bytes of activations that stay in the first cache while rows of weights pass
    SCALES = 32 * sizeof(float),                    // of 256 activations, and sums
    NARROW = XN_CPU_SUPER + SCALES,                 // bytes that are read of 256 activations: for unsigned weights
    WIDE = sizeof(struct xn_cpu_wide) + SCALES / 2, // and for signed ones
    CROWDING = 512, // of them for 256 values from which on weights had better wait in the second
};

// What the groups of 256 weights add, V groups a vector: whether those of 32 or of 16.
#define ADDEND_VECTORS(group) ((group) == 32 ? 1 : 2)

// Eight rows' groups that stand in vector `at` of their addends, added to `sum` one after the other. Those of 32 stand
// in the order of the blocks, or in that of xn_cpu_row's scales.
INLINE __m256 add_groups(const __m256 addends[TOGETHER][ADDENDS], size_t at, const bool ascending, __m256 sum) {
    static const int blocks[V] = XN_CPU_BLOCK_ORDER;
    vf a[V];
#pragma GCC unroll 8
    for (int r = 0; r < TOGETHER; r++)
        a[r] = addends[r][at];
    v_transpose(a);
#pragma GCC unroll 8
    for (int g = 0; g < V; g++)
        sum = _mm256_add_ps(sum, a[ascending ? g : blocks[g]]);
    return sum;
}

// The sums of their groups of 256 values.
INLINE __m256 sum_groups(const __m256 addends[TOGETHER][ADDENDS], size_t at, const int group, const bool ascending) {
    __m256 sum = add_groups(addends, at, group == 16 || ascending, _mm256_setzero_ps());
    return group == 32 ? sum : add_groups(addends, at + 1, true, sum);
}

// What 256 values of weights at p (or `left`, where the row ends before) add to n products, with the 256 values of x
// from s x 256 on: ADDEND_VECTORS of the format's group for each product.
typedef void addends_fn(const uint8_t *p, size_t left, size_t readable, const struct xn_cpu_row *x, const uint32_t n,
                        size_t s, __m256 *to);

// `of_x`: bytes of a row of activations that are read for 256 values.
INLINE void dot_rows(addends_fn *addends_of, const size_t bytes, const size_t values, const size_t of_x,
                     const int group, const bool ascending, const uint32_t n, const uint8_t *w, size_t row_bytes,
                     uint32_t rows, const struct xn_cpu_row *x, uint32_t k, float *out, size_t ld) {
    const size_t super_bytes = bytes * (XN_CPU_SUPER / values), supers = ((size_t)k + XN_CPU_SUPER - 1) / XN_CPU_SUPER;
    const size_t vectors = n * ADDEND_VECTORS(group), most = ADDENDS / vectors;
    const size_t near = FIRST_CACHE / (n * of_x), piece = n < 4 || most < near ? most : near;
    const bool pieces = n >= 4 && supers > piece, crowded = n >= 4 && of_x > CROWDING;
    const size_t to_next = TOGETHER * row_bytes + piece * super_bytes - supers * super_bytes;
    const bool asks = n > 1 || super_bytes < PLAIN_BYTES || xn_cpu_asks_ahead;
    const uint8_t *end = w + (size_t)(rows - 1) * row_bytes + (size_t)k / values * bytes;
    __m256 addends[TOGETHER][ADDENDS];
    for (uint32_t first = 0; first < rows; first += TOGETHER) {
        uint32_t some = rows - first < TOGETHER ? rows - first : TOGETHER;
        __m256 sums[MOST_TOGETHER];
#pragma GCC unroll 8
        for (uint32_t i = 0; i < n; i++)
            sums[i] = _mm256_setzero_ps();
        for (size_t begin = 0; begin < supers; begin += piece) {
            size_t count = supers - begin < piece ? supers - begin : piece;
            for (uint32_t r = 0; r < some; r++) {
                const uint8_t *p = w + (first + r) * row_bytes + begin * super_bytes;
                __m256 *to = addends[r];
                for (size_t s = begin; s < begin + count; s++, p += super_bytes, to += vectors) {
                    // Rows in one piece are one stream; else a row's next piece comes next, and its last is followed by
                    // the first of eight rows on.
                    size_t ahead = !pieces ? AHEAD : s + piece < supers ? piece * super_bytes : to_next;
                    for (size_t line = 0; asks && line < super_bytes; line += 64)
                        if (crowded)
                            _mm_prefetch((const char *)p + ahead + line, _MM_HINT_T1);
                        else
                            _mm_prefetch((const char *)p + ahead + line, _MM_HINT_T0);
                    addends_of(p, k - s * XN_CPU_SUPER, (size_t)(end - p), x, n, s, to);
                }
            }
            for (uint32_t r = some; r < TOGETHER; r++)
                memset(addends[r], 0, count * vectors * sizeof(__m256));
            for (size_t at = 0; at < count * vectors; at += vectors)
#pragma GCC unroll 8
                for (uint32_t i = 0; i < n; i++)
                    sums[i] =
                        _mm256_add_ps(sums[i], sum_groups(addends, at + i * ADDEND_VECTORS(group), group, ascending));
        }
#pragma GCC unroll 8
        for (uint32_t i = 0; i < n; i++)
            if (some == TOGETHER)
                v_store(out + i * ld + first, sums[i]);
            else
                v_store_n(out + i * ld + first, sums[i], some);
    }
}

typedef void dot_rows_fn(const void *w, size_t row_bytes, uint32_t rows, const struct xn_cpu_row *x, uint32_t k,
                         float *out, size_t ld);

// n rows of activations by functions for 1, 2, 4 and 8 (NULL: four are the most).
INLINE void dot_in_parts(dot_rows_fn *const of[4], const void *w, size_t row_bytes, uint32_t rows,
                         const struct xn_cpu_row *x, uint32_t n, uint32_t k, float *out, size_t ld) {
    for (uint32_t log; n && rows; x += 1u << log, out += ld << log, n -= 1u << log) {
        log = n >= 8 && of[3] ? 3 : n >= 4 ? 2 : n / 2;
        of[log](w, row_bytes, rows, x, k, out, ld);
    }
}

// A function for each number of rows: compilers take long over large ones. `group`: of how many values what is added is
// left (a format's groups, or blocks); `ascending`: those of 32 are in the order of the blocks.
#define DOT_ROWS(name, format, group, ascending, n)                                                                    \
    static __attribute__((noinline)) void dot_##name##_##n(const void *w, size_t row_bytes, uint32_t rows,             \
                                                           const struct xn_cpu_row *x, uint32_t k, float *out,         \
                                                           size_t ld) {                                                \
        dot_rows(addends_##name, BYTES_##format, VALUES_##format, SIGNED_##format ? WIDE : NARROW, group, ascending,   \
                 n, w, row_bytes, rows, x, k, out, ld);                                                                \
    }
#define DOT_WITH(name, format, group, ascending, eight)                                                                \
    DOT_ROWS(name, format, group, ascending, 1)                                                                        \
    DOT_ROWS(name, format, group, ascending, 2)                                                                        \
    DOT_ROWS(name, format, group, ascending, 4)                                                                        \
    void xn_cpu_dot_##name##_avx2(const void *w, size_t row_bytes, uint32_t rows, const struct xn_cpu_row *x,          \
                                  uint32_t n, uint32_t k, float *out, size_t ld) {                                     \
        static dot_rows_fn *const of[] = {dot_##name##_1, dot_##name##_2, dot_##name##_4, eight};                      \
        dot_in_parts(of, w, row_bytes, rows, x, n, k, out, ld);                                                        \
    }
// The kernel of up to four rows at once, or of up to eight.
#define DOT(name, format, group, ascending) DOT_WITH(name, format, group, ascending, NULL)
#define DOT_OF_8(name, format, group, ascending)                                                                       \
    DOT_ROWS(name, format, group, ascending, 8)                                                                        \
    DOT_WITH(name, format, group, ascending, dot_##name##_8)
