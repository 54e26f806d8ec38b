// Products of integer formats with 512-bit vectors; included after `dot_bytes(weights, activations, signed)` and
// DOT_NAME(name) are defined, once for maddubs and once for VNNI.
#pragma once

#include "cpu/declare.h"

enum { AHEAD = 2048 }; // bytes of weights asked for in advance

typedef void unpack_fn(const uint8_t *p, struct unpacked *u);

// Weights of 256 values as the integer product takes them.
struct wide {
    __m512i q[4];
    __m512 scale, minimum;
};

INLINE void widen(const struct unpacked *u, const bool is_signed, struct wide *w) {
    for (int j = 0; j < 4; j++)
        w->q[j] = _mm512_inserti64x4(_mm512_castsi256_si512(u->q[2 * j]), u->q[2 * j + 1], 1);
    w->scale = _mm512_insertf32x8(_mm512_castps256_ps512(u->scale[0]), u->scale[1], 1);
    if (!is_signed) w->minimum = _mm512_insertf32x8(_mm512_castps256_ps512(u->minimum[0]), u->minimum[1], 1);
    prepare_weights(w, is_signed);
}

INLINE void accumulate(const struct wide *w, const bool is_signed, const struct xn_cpu_row *x, size_t at,
                       __m512 sum[2]) {
    __m512i lanes = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    __m512 scale = _mm512_mul_ps(w->scale, _mm512_loadu_ps(x->scale + at / 16));
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        __m512i q = _mm512_loadu_si512(x->q + at + 64 * j);
        __m512 d = _mm512_cvtepi32_ps(dot_bytes(w->q[j], q, is_signed));
        __m512i group = _mm512_add_epi32(lanes, _mm512_set1_epi32(4 * j));
        sum[j & 1] = _mm512_fmadd_ps(_mm512_permutexvar_ps(group, scale), d, sum[j & 1]);
    }
    if (HAS_MINIMUM(is_signed)) sum[0] = _mm512_fnmadd_ps(w->minimum, _mm512_loadu_ps(x->sum + at / 16), sum[0]);
}

INLINE void dot_row(unpack_fn *unpack, const size_t bytes, const size_t values, const bool is_signed, const int n,
                    const uint8_t *w, const struct xn_cpu_row *x, uint32_t k, float *out, size_t ld) {
    const size_t super_bytes = bytes * (XN_CPU_SUPER / values);
    __m512 sum[8][2];
    struct unpacked u;
    struct wide wide;
#pragma GCC unroll 8
    for (int i = 0; i < n; i++)
        sum[i][0] = sum[i][1] = _mm512_setzero_ps();
    size_t at = 0;
    for (; at + XN_CPU_SUPER <= k; at += XN_CPU_SUPER, w += super_bytes) {
        for (size_t line = 0; line < super_bytes; line += 64)
            _mm_prefetch((const char *)w + AHEAD + line, _MM_HINT_T0);
        unpack(w, &u);
        widen(&u, is_signed, &wide);
#pragma GCC unroll 8
        for (int i = 0; i < n; i++)
            accumulate(&wide, is_signed, &x[i], at, sum[i]);
    }
    if (values < XN_CPU_SUPER && at < k) {
        uint8_t padded[TAIL_BYTES];
        unpack(pad_tail(w, (k - at) / values * bytes, padded), &u);
        widen(&u, is_signed, &wide);
#pragma GCC unroll 8
        for (int i = 0; i < n; i++)
            accumulate(&wide, is_signed, &x[i], at, sum[i]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < n; i++)
        out[(size_t)i * ld] = _mm512_reduce_add_ps(_mm512_add_ps(sum[i][0], sum[i][1]));
}

#define ROWS(name, n)                                                                                                  \
    for (uint32_t r = 0; r < rows; r++)                                                                                \
        dot_row(unpack_##name, BYTES_##name, VALUES_##name, SIGNED_##name, n, (const uint8_t *)w + r * row_bytes, x,   \
                k, out + r, ld);
#define X(name, type)                                                                                                  \
    void DOT_NAME(name)(const void *w, size_t row_bytes, uint32_t rows, const struct xn_cpu_row *x, uint32_t n,        \
                        uint32_t k, float *out, size_t ld) {                                                           \
        for (; n >= 8; n -= 8, x += 8, out += 8 * ld)                                                                  \
            ROWS(name, 8)                                                                                              \
        for (; n >= 4; n -= 4, x += 4, out += 4 * ld)                                                                  \
            ROWS(name, 4)                                                                                              \
        for (; n >= 2; n -= 2, x += 2, out += 2 * ld)                                                                  \
            ROWS(name, 2)                                                                                              \
        for (; n >= 1; n -= 1, x += 1, out += ld)                                                                      \
            ROWS(name, 1)                                                                                              \
    }
#include "cpu/int_formats.inc"
#undef X
