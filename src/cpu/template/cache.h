// What attention of a few queries does with rows of the cache (F32 or F16): scores of keys, weighted sums of values;
// after the instruction set's simd.h. A few rows and queries at a time stay in registers.
#pragma once

#include "cpu/template/load.h"

enum { CACHE_ROWS = 4, CACHE_QUERIES = V >= 16 ? 4 : 2 };

// Rows of k values at w, row_bytes apart.
struct cache_rows {
    const char *w, *ahead;
    size_t row_bytes;
    uint32_t k;
};

static inline vf load_rest(load_values *load, const size_t size, const char *p, size_t n) {
    char padded[V * 4] = {0};
    memcpy(padded, p, n * size);
    return load(padded);
}

#define INLINE_ALWAYS static inline __attribute__((always_inline))

// Calls the share of a vector of each of `rows` rows.
INLINE_ALWAYS void call_ahead(const struct cache_rows *c, const size_t size, const int rows, uint32_t at) {
    if (!c->ahead) return;
    const char *p = c->ahead + (size_t)rows * at * size;
    for (size_t i = 0; i < (size_t)rows * V * size; i += 64)
        __builtin_prefetch(p + i);
}

INLINE_ALWAYS void score_rows(load_values *load, const size_t size, const int rows, const int n,
                              const struct cache_rows *c, const float *x, size_t ldx, float *out, size_t ldo) {
    vf sum[CACHE_QUERIES * CACHE_ROWS], row[CACHE_ROWS]; // sum: [query][row]
#pragma GCC unroll 16
    for (int i = 0; i < n * CACHE_ROWS; i++)
        sum[i] = v_set1(0);
    uint32_t at = 0;
    for (; at + V <= c->k; at += V) {
        call_ahead(c, size, rows, at);
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++)
            row[r] = load(c->w + (size_t)r * c->row_bytes + at * size);
#pragma GCC unroll 4
        for (int i = 0; i < n; i++) {
            vf query = v_load(x + (size_t)i * ldx + at);
#pragma GCC unroll 4
            for (int r = 0; r < rows; r++)
                sum[i * CACHE_ROWS + r] = v_fma(query, row[r], sum[i * CACHE_ROWS + r]);
        }
    }
    uint32_t rest = c->k - at;
    if (rest) {
        for (int r = 0; r < rows; r++)
            row[r] = load_rest(load, size, c->w + (size_t)r * c->row_bytes + at * size, rest);
        for (int i = 0; i < n; i++)
            for (int r = 0; r < rows; r++)
                sum[i * CACHE_ROWS + r] =
                    v_fma(v_load_n(x + (size_t)i * ldx + at, rest), row[r], sum[i * CACHE_ROWS + r]);
    }
    enum { AT_ONCE = V / CACHE_ROWS }; // queries whose sums over all rows fill a vector
    if (rows == CACHE_ROWS && n % AT_ONCE == 0) {
#pragma GCC unroll 4
        for (int i = 0; i < n; i += AT_ONCE) {
            float sums[V];
            v_store(sums, v_sums(sum + i * CACHE_ROWS));
            for (int j = 0; j < AT_ONCE; j++)
                memcpy(out + (size_t)(i + j) * ldo, sums + j * CACHE_ROWS, CACHE_ROWS * sizeof *out);
        }
        return;
    }
    for (int i = 0; i < n; i++)
        for (int r = 0; r < rows; r++)
            out[(size_t)i * ldo + (size_t)r] = v_sum(sum[i * CACHE_ROWS + r]);
}

INLINE_ALWAYS void mix_rows(load_values *load, const size_t size, const int rows, const int n,
                            const struct cache_rows *c, const float *s, size_t lds, float *out, size_t ldo) {
    vf factor[CACHE_QUERIES][CACHE_ROWS], row[CACHE_ROWS];
    for (int i = 0; i < n; i++)
        for (int r = 0; r < rows; r++)
            factor[i][r] = v_set1(s[(size_t)i * lds + (size_t)r]);
    uint32_t at = 0;
    for (; at + V <= c->k; at += V) {
        call_ahead(c, size, rows, at);
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++)
            row[r] = load(c->w + (size_t)r * c->row_bytes + at * size);
#pragma GCC unroll 4
        for (int i = 0; i < n; i++) {
            float *to = out + (size_t)i * ldo + at;
            vf sum = v_load(to);
#pragma GCC unroll 4
            for (int r = 0; r < rows; r++)
                sum = v_fma(factor[i][r], row[r], sum);
            v_store(to, sum);
        }
    }
    uint32_t rest = c->k - at;
    if (!rest) return;
    for (int r = 0; r < rows; r++)
        row[r] = load_rest(load, size, c->w + (size_t)r * c->row_bytes + at * size, rest);
    for (int i = 0; i < n; i++) {
        float *to = out + (size_t)i * ldo + at;
        vf sum = v_load_n(to, rest);
        for (int r = 0; r < rows; r++)
            sum = v_fma(factor[i][r], row[r], sum);
        v_store_n(to, sum, rest);
    }
}

// All queries with `rows` rows; the first of them calls.
#define QUERIES(function, rows, from, from_ld)                                                                         \
    do {                                                                                                               \
        uint32_t i = 0;                                                                                                \
        for (; i + CACHE_QUERIES <= n; i += CACHE_QUERIES, c.ahead = NULL)                                             \
            function(load, size, rows, CACHE_QUERIES, &c, from + i * from_ld, from_ld, out + i * ldo, ldo);            \
        if (CACHE_QUERIES > 3 && n - i == 3)                                                                           \
            function(load, size, rows, 3, &c, from + i * from_ld, from_ld, out + i * ldo, ldo);                        \
        else if (CACHE_QUERIES > 2 && n - i == 2)                                                                      \
            function(load, size, rows, 2, &c, from + i * from_ld, from_ld, out + i * ldo, ldo);                        \
        else if (n - i == 1)                                                                                           \
            function(load, size, rows, 1, &c, from + i * from_ld, from_ld, out + i * ldo, ldo);                        \
    } while (0)

INLINE_ALWAYS void scores(load_values *load, const size_t size, const char *w, size_t row_bytes, uint32_t rows,
                          const float *x, size_t ldx, uint32_t n, uint32_t k, const char *ahead, float *out,
                          size_t ldo) {
    uint32_t step;
    for (uint32_t r = 0; r < rows; r += step, out += step) {
        struct cache_rows c = {w + r * row_bytes, ahead ? ahead + r * row_bytes : NULL, row_bytes, k};
        step = rows - r < CACHE_ROWS ? 1 : CACHE_ROWS;
        if (step == 1)
            QUERIES(score_rows, 1, x, ldx);
        else
            QUERIES(score_rows, CACHE_ROWS, x, ldx);
    }
}

INLINE_ALWAYS void mix(load_values *load, const size_t size, const char *w, size_t row_bytes, uint32_t rows,
                       const float *s, size_t lds, uint32_t n, uint32_t k, const char *ahead, float *out, size_t ldo) {
    uint32_t step;
    for (uint32_t r = 0; r < rows; r += step, s += step) {
        struct cache_rows c = {w + r * row_bytes, ahead ? ahead + r * row_bytes : NULL, row_bytes, k};
        step = rows - r < CACHE_ROWS ? 1 : CACHE_ROWS;
        if (step == 1)
            QUERIES(mix_rows, 1, s, lds);
        else
            QUERIES(mix_rows, CACHE_ROWS, s, lds);
    }
}

#define CACHE(type, size)                                                                                              \
    void XN_KERNEL(scores_##type)(const void *w, size_t row_bytes, uint32_t rows, const float *x, size_t ldx,          \
                                  uint32_t n, uint32_t k, const void *ahead, float *out, size_t ldo) {                 \
        scores(load_##type, size, w, row_bytes, rows, x, ldx, n, k, ahead, out, ldo);                                  \
    }                                                                                                                  \
    void XN_KERNEL(mix_##type)(const void *w, size_t row_bytes, uint32_t rows, const float *s, size_t lds, uint32_t n, \
                               uint32_t k, const void *ahead, float *out, size_t ldo) {                                \
        mix(load_##type, size, w, row_bytes, rows, s, lds, n, k, ahead, out, ldo);                                     \
    }
