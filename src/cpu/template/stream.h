// Products of rows of float weights (F32, F16, BF16; at any address) with a few rows of float32 activations, and
// weighted sums of such rows, after the instruction set's simd.h. One row of weights at a time, so that memory is read
// in one ascending stream. Sums are taken in the same order however many rows of activations there are.
#pragma once

#include "cpu/template/load.h"

enum {
    STREAM_AHEAD = 8192,          // bytes that the reader asks for in advance, where that helps
    STREAM_MOST = V < 16 ? 4 : 8, // rows of activations whose sums stay in registers
};

static inline __attribute__((always_inline)) void stream_row(load_values *load, const size_t size, const int n,
                                                             const bool asks, const char *w, const float *const *x,
                                                             uint32_t k, float *out, size_t ld) {
    enum { UNROLL = 2 };
    vf sum[STREAM_MOST][UNROLL];
#pragma GCC unroll 8
    for (int i = 0; i < n; i++)
#pragma GCC unroll 2
        for (int u = 0; u < UNROLL; u++)
            sum[i][u] = v_set1(0);
    uint32_t p = 0;
    for (; p + (uint32_t)UNROLL * V <= k; p += (uint32_t)UNROLL * V) {
        for (size_t line = 0; asks && line < (size_t)UNROLL * V * size; line += 64)
            __builtin_prefetch(w + p * size + STREAM_AHEAD + line);
#pragma GCC unroll 2
        for (int u = 0; u < UNROLL; u++) {
            vf weights = load(w + (p + (uint32_t)u * V) * size);
#pragma GCC unroll 8
            for (int i = 0; i < n; i++)
                sum[i][u] = v_fma(weights, v_load(x[i] + p + (uint32_t)u * V), sum[i][u]);
        }
    }
    for (; p < k; p += V) {
        uint32_t rest = k - p < V ? k - p : V;
        char padded[V * 4] = {0};
        memcpy(padded, w + p * size, rest * size);
        vf weights = load(padded);
#pragma GCC unroll 8
        for (int i = 0; i < n; i++)
            sum[i][0] = v_fma(weights, rest == V ? v_load(x[i] + p) : v_load_n(x[i] + p, rest), sum[i][0]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) {
        vf total = sum[i][0];
#pragma GCC unroll 2
        for (int u = 1; u < UNROLL; u++)
            total = total + sum[i][u];
        out[(size_t)i * ld] = v_sum(total);
    }
}

#define STREAM_ROWS(type, size, count)                                                                                 \
    for (; n >= (count); n -= (count), x += (count), out += (count)*ld)                                                \
        for (uint32_t r = 0; r < rows; r++)                                                                            \
            if (asks)                                                                                                  \
                stream_row(load_##type, size, count, true, (const char *)w + r * row_bytes, x, k, out + r, ld);        \
            else                                                                                                       \
                stream_row(load_##type, size, count, false, (const char *)w + r * row_bytes, x, k, out + r, ld);

#define STREAM(type, size)                                                                                             \
    void XN_KERNEL(stream_##type)(const void *w, size_t row_bytes, uint32_t rows, const float *const *x, uint32_t n,   \
                                  uint32_t k, float *out, size_t ld) {                                                 \
        const bool asks = xn_cpu_asks_ahead;                                                                           \
        if (STREAM_MOST == 8) {                                                                                        \
            STREAM_ROWS(type, size, STREAM_MOST)                                                                       \
        }                                                                                                              \
        STREAM_ROWS(type, size, 4)                                                                                     \
        STREAM_ROWS(type, size, 2)                                                                                     \
        STREAM_ROWS(type, size, 1)                                                                                     \
    }
STREAM(f32, 4)
STREAM(f16, 2)
STREAM(bf16, 2)

#define DECODE(type, size)                                                                                             \
    void XN_KERNEL(decode_##type)(const void *blocks, float *out, size_t n) {                                          \
        const char *p = blocks;                                                                                        \
        size_t i = 0;                                                                                                  \
        for (; i + V <= n; i += V)                                                                                     \
            v_store(out + i, load_##type(p + i * size));                                                               \
        if (i < n) {                                                                                                   \
            char padded[V * size] = {0};                                                                               \
            memcpy(padded, p + i * size, (n - i) * size);                                                              \
            v_store_n(out + i, load_##type(padded), n - i);                                                            \
        }                                                                                                              \
    }
DECODE(f16, 2)
DECODE(bf16, 2)
