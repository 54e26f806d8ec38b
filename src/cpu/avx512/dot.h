// Products of integer formats with 512-bit vectors; included after `dot_bytes(sum, weights, activations, signed)` and
// DOT_NAME(name) are defined, once for maddubs and once for VNNI.
#pragma once

#include "cpu/declare.h"

// Weights of 256 values as the integer product takes them. Activations of this level stand in the same order
// (XN_CPU_LANES in kernels.h): each of the sixteen lanes holds values of one group of 16 only, in all four vectors, so
// that the four products are summed as integers and take one conversion and one scale.
struct weights {
    __m512i q[4];
    __m512 scale, minimum;
};

typedef void unpack_fn(const uint8_t *p, struct weights *w);

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

INLINE void widen(const struct unpacked *u, const bool is_signed, struct weights *w) {
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
INLINE void wide_scales_k(const uint8_t *p, struct weights *w) {
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

INLINE void wide_q4_k(const uint8_t *p, struct weights *w) {
    wide_nibbles_k(p + 16, w->q);
    wide_scales_k(p, w);
}

INLINE void wide_q5_k(const uint8_t *p, struct weights *w) {
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

INLINE void wide_q6_k(const uint8_t *p, struct weights *w) {
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
    INLINE void wide_##name(const uint8_t *p, struct weights *w) {                                                     \
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
WIDEN(iq1_s)
WIDEN(iq1_m)
WIDEN(iq2_xxs)
WIDEN(iq2_xs)
WIDEN(iq2_s)
WIDEN(iq3_xxs)
WIDEN(iq3_s)
WIDEN(tq1_0)
WIDEN(tq2_0)
WIDEN(nvfp4)

typedef __m512 vs;
#define VS_ZERO _mm512_setzero_ps()

INLINE vs accumulate(const struct weights *w, const bool is_signed, const int8_t *q, const float *scales,
                     const float *group_sums, vs sum) {
    __m512i dot = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++)
        dot = dot_bytes(dot, w->q[j], _mm512_loadu_si512(q + 64 * j), is_signed);
    if (HAS_MINIMUM(is_signed)) sum = _mm512_fnmadd_ps(w->minimum, _mm512_loadu_ps(group_sums), sum);
    __m512 scale = _mm512_mul_ps(w->scale, _mm512_loadu_ps(scales));
    return _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(dot), sum);
}

// The sums of four vectors each, the first n of them.
INLINE void store_sums(vs a, vs b, vs c, vs d, float *out, uint32_t n) {
    vs e = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    vs f = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    vs g = _mm512_add_ps(_mm512_shuffle_ps(e, f, 0x44), _mm512_shuffle_ps(e, f, 0xee));
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(g), _mm512_extractf32x8_ps(g, 1));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    _mm_mask_storeu_ps(out, (__mmask8)(n < 4 ? (1u << n) - 1 : 15), four);
}

#define AHEAD 8192
#define AHEAD_TO _MM_HINT_T1
#include "cpu/template/dot_rows.h"

#define X(name, type) DOT(wide_##name, name)
#include "cpu/int_formats.inc"
#undef X
