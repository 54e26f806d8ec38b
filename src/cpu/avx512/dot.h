// Products of integer formats with 512-bit vectors; included after `dot_bytes(sum, weights, activations, signed)` and
// DOT_NAME(name) are defined, once for maddubs and once for VNNI.
#pragma once

#include "cpu/declare.h"

enum { AHEAD = 8192 }; // bytes of weights asked for in advance

// Weights of 256 values as the integer product takes them. Activations of this level stand in the same order
// (XN_CPU_LANES in kernels.h): each of the sixteen lanes holds values of one group of 16 only, in all four vectors, so
// that the four products are summed as integers and take one conversion and one scale.
struct wide {
    __m512i q[4];
    __m512 scale, minimum;
};

typedef void unpack_fn(const uint8_t *p, struct wide *w);

// Group of lane l: 4 (l % 4) + l / 4.
INLINE __m512i group_of_lane(void) {
    return _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
}
// Dwords j, or dwords of the second half of 32 bytes, of chunk l % 4 (32 bytes each): lanes of group 4 b + g read chunk
// b.
INLINE __m512i chunk_dwords(int j) {
    return _mm512_add_epi32(_mm512_setr_epi32(0, 8, 16, 24, 4, 12, 20, 28, 0, 8, 16, 24, 4, 12, 20, 28),
                            _mm512_set1_epi32(j));
}
// Eight scales, one for 32 values, to the lanes.
INLINE __m512 spread_wide(__m256 x) {
    return _mm512_permutexvar_ps(_mm512_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6, 1, 3, 5, 7, 1, 3, 5, 7),
                                 _mm512_castps256_ps512(x));
}

// From the order of the values: four by four transposes of dwords.
INLINE void interleave(const __m512i n[4], __m512i q[4]) {
    __m512i a = _mm512_unpacklo_epi32(n[0], n[1]), b = _mm512_unpackhi_epi32(n[0], n[1]);
    __m512i c = _mm512_unpacklo_epi32(n[2], n[3]), d = _mm512_unpackhi_epi32(n[2], n[3]);
    q[0] = _mm512_unpacklo_epi64(a, c);
    q[1] = _mm512_unpackhi_epi64(a, c);
    q[2] = _mm512_unpacklo_epi64(b, d);
    q[3] = _mm512_unpackhi_epi64(b, d);
}

INLINE void widen(const struct unpacked *u, const bool is_signed, struct wide *w) {
    __m512i n[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++)
        n[j] = _mm512_inserti64x4(_mm512_castsi256_si512(u->q[2 * j]), u->q[2 * j + 1], 1);
    interleave(n, w->q);
    __m512 scale = _mm512_insertf32x8(_mm512_castps256_ps512(u->scale[0]), u->scale[1], 1);
    w->scale = _mm512_permutexvar_ps(group_of_lane(), scale);
    if (is_signed) return;
    __m512 minimum = _mm512_insertf32x8(_mm512_castps256_ps512(u->minimum[0]), u->minimum[1], 1);
    w->minimum = _mm512_permutexvar_ps(group_of_lane(), minimum);
}

// Scales and minima of Q4_K and Q5_K.
INLINE void wide_scales_k(const uint8_t *p, struct wide *w) {
    uint64_t scales, minima;
    scale_bytes_k(p, &scales, &minima);
    w->scale = spread_wide(times(bytes_to_float(_mm_cvtsi64_si128((long long)scales)), load_half(p)));
    w->minimum = spread_wide(times(bytes_to_float(_mm_cvtsi64_si128((long long)minima)), load_half(p + 2)));
}

INLINE void wide_nibbles_k(const uint8_t *p, __m512i q[4]) {
    __m512i a = _mm512_loadu_si512(p), b = _mm512_loadu_si512(p + 64), fifteen = _mm512_set1_epi8(15);
    __m512i high = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 4);
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        __m512i x = _mm512_permutex2var_epi32(a, chunk_dwords(j), b);
        q[j] = _mm512_and_si512(_mm512_srlv_epi32(x, high), fifteen);
    }
}

INLINE void wide_q4_k(const uint8_t *p, struct wide *w) {
    wide_nibbles_k(p + 16, w->q);
    wide_scales_k(p, w);
}

INLINE void wide_q5_k(const uint8_t *p, struct wide *w) {
    wide_nibbles_k(p + 48, w->q);
    __m512i bits = _mm512_castsi256_si512(load_32(p + 16)), sixteen = _mm512_set1_epi8(16);
    // The bit of 32 values s, of lanes with s = 2 (l % 4) + l / 8, to bit 4 of its byte.
    __m512i turn = _mm512_setr_epi32(4, 2, 0, 30, 4, 2, 0, 30, 3, 1, 31, 29, 3, 1, 31, 29);
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        __m512i at =
            _mm512_add_epi32(_mm512_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4, 0, 0, 0, 0, 4, 4, 4, 4), _mm512_set1_epi32(j));
        __m512i x = _mm512_rolv_epi32(_mm512_permutexvar_epi32(at, bits), turn);
        w->q[j] = _mm512_ternarylogic_epi32(w->q[j], x, sixteen, 0xf8); // q | (x & 16)
    }
    wide_scales_k(p, w);
}

INLINE void wide_q6_k(const uint8_t *p, struct wide *w) {
    __m512i a = _mm512_loadu_si512(p), b = _mm512_loadu_si512(p + 64), top = _mm512_loadu_si512(p + 128);
    __m512i fifteen = _mm512_set1_epi8(15), bits = _mm512_set1_epi8(0x30);
    __m512i high = _mm512_setr_epi32(0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4);
    __m512i turn = _mm512_setr_epi32(4, 0, 4, 0, 4, 0, 4, 0, 2, 30, 2, 30, 2, 30, 2, 30);
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        __m512i step = _mm512_set1_epi32(j);
        __m512i low = _mm512_setr_epi32(0, 0, 16, 16, 4, 4, 20, 20, 8, 8, 24, 24, 12, 12, 28, 28);
        __m512i two = _mm512_setr_epi32(0, 0, 8, 8, 4, 4, 12, 12, 0, 0, 8, 8, 4, 4, 12, 12);
        __m512i x = _mm512_permutex2var_epi32(a, _mm512_add_epi32(low, step), b);
        __m512i y = _mm512_rolv_epi32(_mm512_permutexvar_epi32(_mm512_add_epi32(two, step), top), turn);
        x = _mm512_and_si512(_mm512_srlv_epi32(x, high), fifteen);
        w->q[j] = _mm512_ternarylogic_epi32(x, y, bits, 0xf8); // x | (y & bits)
    }
    __m128i order = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m128i scales = _mm_shuffle_epi8(load_16(p + 192), order);
    w->scale = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(scales)), _mm512_set1_ps(load_half(p + 208)));
    w->minimum = _mm512_mul_ps(w->scale, _mm512_set1_ps(32));
}

#define WIDEN(name)                                                                                                    \
    INLINE void wide_##name(const uint8_t *p, struct wide *w) {                                                        \
        struct unpacked u;                                                                                             \
        unpack_##name(p, &u);                                                                                          \
        widen(&u, SIGNED_##name, w);                                                                                   \
    }
WIDEN(q4_0)
WIDEN(q4_1)
WIDEN(q5_0)
WIDEN(q5_1)
WIDEN(q8_0)
WIDEN(q2_k)
WIDEN(q3_k)
WIDEN(iq4_nl)
WIDEN(iq4_xs)

INLINE void accumulate(const struct wide *w, const bool is_signed, const struct xn_cpu_row *x, size_t at,
                       __m512 sum[2]) {
    __m512i dot = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++)
        dot = dot_bytes(dot, w->q[j], _mm512_loadu_si512(x->q + at + 64 * j), is_signed);
    __m512 scale = _mm512_mul_ps(w->scale, _mm512_loadu_ps(x->scale + at / 16));
    sum[0] = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(dot), sum[0]);
    if (HAS_MINIMUM(is_signed)) sum[1] = _mm512_fnmadd_ps(w->minimum, _mm512_loadu_ps(x->sum + at / 16), sum[1]);
}

INLINE void dot_row(unpack_fn *unpack, const size_t bytes, const size_t values, const bool is_signed, const int n,
                    const uint8_t *w, const struct xn_cpu_row *x, uint32_t k, float *out, size_t ld) {
    const size_t super_bytes = bytes * (XN_CPU_SUPER / values);
    __m512 sum[8][2];
    struct wide wide;
#pragma GCC unroll 8
    for (int i = 0; i < n; i++)
        sum[i][0] = sum[i][1] = _mm512_setzero_ps();
    size_t at = 0;
    for (; at + XN_CPU_SUPER <= k; at += XN_CPU_SUPER, w += super_bytes) {
        for (size_t line = 0; line < super_bytes; line += 64)
            _mm_prefetch((const char *)w + AHEAD + line, _MM_HINT_T0);
        unpack(w, &wide);
        prepare_weights(&wide, is_signed);
#pragma GCC unroll 8
        for (int i = 0; i < n; i++)
            accumulate(&wide, is_signed, &x[i], at, sum[i]);
    }
    if (values < XN_CPU_SUPER && at < k) {
        uint8_t padded[TAIL_BYTES];
        unpack(pad_tail(w, (k - at) / values * bytes, padded), &wide);
        prepare_weights(&wide, is_signed);
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
        dot_row(wide_##name, BYTES_##name, VALUES_##name, SIGNED_##name, n, (const uint8_t *)w + r * row_bytes, x, k,  \
                out + r, ld);
#define X(name, type, ...)                                                                                             \
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
