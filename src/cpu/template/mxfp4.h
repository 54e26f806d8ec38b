// Products and decoding of MXFP4 weights, after the instruction set's simd.h and its `codes`. Activations stay floats:
// models are released in this format, and routers behind it choose other experts where activations are rounded to
// integers.
#pragma once

#include "cpu/declare.h"
#include "cpu/template/mxfp4_scale.h"

enum {
    MX_VALUES = 32,
    MX_BLOCK = 17,
    MX_VECTORS = MX_VALUES / V,
    MX_AHEAD = 4096, // bytes that the reader asks for in advance
};

static inline __attribute__((always_inline)) void mx_block(const uint8_t *p, vf out[MX_VECTORS]) {
    vf scale = v_set1(mx_scale(p[0]));
    codes(p + 1, out);
#pragma GCC unroll 4
    for (int j = 0; j < MX_VECTORS; j++)
        out[j] = out[j] * scale;
}

// A row of weights with n rows of activations.
static inline __attribute__((always_inline)) void mx_row(const int n, const uint8_t *w, const float *const *x,
                                                         uint32_t k, float *out, size_t ld) {
    const int chains = n == 1 ? 4 : n == 2 ? 2 : 1; // sums that do not wait for each other
    vf sum[8][4];
#pragma GCC unroll 8
    for (int i = 0; i < n; i++)
#pragma GCC unroll 4
        for (int c = 0; c < 4; c++)
            sum[i][c] = v_set1(0);
    for (uint32_t at = 0, block = 0; at < k; at += MX_VALUES, block++, w += MX_BLOCK) {
        vf weights[MX_VECTORS];
        __builtin_prefetch(w + MX_AHEAD);
        mx_block(w, weights);
#pragma GCC unroll 4
        for (int j = 0; j < MX_VECTORS; j++)
#pragma GCC unroll 8
            for (int i = 0; i < n; i++)
                sum[i][j % chains] = v_fma(weights[j], v_load(x[i] + at + j * V), sum[i][j % chains]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < n; i++)
        out[(size_t)i * ld] = v_sum(sum[i][0] + sum[i][1] + sum[i][2] + sum[i][3]);
}

#define MX_ROWS(n)                                                                                                     \
    for (uint32_t r = 0; r < rows; r++)                                                                                \
    mx_row(n, (const uint8_t *)w + r * row_bytes, x, k, out + r, ld)

void XN_KERNEL(stream_mxfp4)(const void *w, size_t row_bytes, uint32_t rows, const float *const *x, uint32_t n,
                             uint32_t k, float *out, size_t ld) {
    for (; n >= 8; n -= 8, x += 8, out += 8 * ld)
        MX_ROWS(8);
    for (; n >= 4; n -= 4, x += 4, out += 4 * ld)
        MX_ROWS(4);
    for (; n >= 2; n -= 2, x += 2, out += 2 * ld)
        MX_ROWS(2);
    for (; n >= 1; n -= 1, x += 1, out += ld)
        MX_ROWS(1);
}

void XN_KERNEL(decode_mxfp4)(const void *blocks, float *out, size_t n) {
    const uint8_t *p = blocks;
    for (size_t i = 0; i < n; i += MX_VALUES, p += MX_BLOCK) {
        vf weights[MX_VECTORS];
        mx_block(p, weights);
        for (int j = 0; j < MX_VECTORS; j++)
            v_store(out + i + (size_t)j * V, weights[j]);
    }
}
