// Unpacking of integer formats to 512-bit vectors, in the order of the lanes: wide_NAME for each; after IN_PLACE is
// defined. Formats without a way of their own come by avx2/unpack.h.
#pragma once

#include "cpu/avx2/unpack.h"
#include "cpu/kernels.h"

// Weights of 256 values as the integer product takes them. Activations of this level stand in the same order
// (XN_CPU_DWORDS in kernels.h): each of the sixteen lanes holds values of one group of 16 only, in all four vectors, so
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

// A field of bits of each byte, from bit `shift` of its lane on. Products that take any unsigned byte take it where it
// stands, and the scale makes up for it (`rescaled`).
INLINE __m512i field(__m512i x, __m512i shift, char mask) {
    return IN_PLACE ? _mm512_and_si512(x, _mm512_sllv_epi32(_mm512_set1_epi8(mask), shift))
                    : _mm512_and_si512(_mm512_srlv_epi32(x, shift), _mm512_set1_epi8(mask));
}
INLINE __m512 rescaled(__m512 scale, __m512i shift) {
    __m512i factor = _mm512_sub_epi32(_mm512_set1_epi32(127 << 23), _mm512_slli_epi32(shift, 23)); // 2^-shift
    return IN_PLACE ? _mm512_mul_ps(scale, _mm512_castsi512_ps(factor)) : scale;
}
// Sixteen bytes, one a group, to the lanes.
INLINE __m128i bytes_to_lanes(__m128i x) {
    return _mm_shuffle_epi8(x, _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
}
INLINE __m512 times_wide(__m512 x, float y) {
    return _mm512_mul_ps(x, _mm512_set1_ps(y));
}

#include "cpu/avx512/wide_iq.h"
#include "cpu/avx512/wide_iq1.h"
#include "cpu/avx512/wide_k.h"
#include "cpu/avx512/wide_nibbles.h"
#include "cpu/avx512/wide_ternary.h"

#define WIDEN(name)                                                                                                    \
    INLINE void wide_##name(const uint8_t *p, struct weights *w) {                                                     \
        struct unpacked u;                                                                                             \
        unpack_##name(p, &u);                                                                                          \
        widen(&u, SIGNED_##name, w);                                                                                   \
    }
WIDEN(q5_0)
WIDEN(q5_1)
WIDEN(q8_0)
