// Products of integer formats with 512-bit vectors; included after `dot_bytes(sum, weights, activations, signed)`,
// DOT_NAME(name) and what else the two files define, once for maddubs and once for VNNI.
#pragma once

#include "cpu/avx512/wide.h"

typedef __m512 vs;
#define VS_ZERO _mm512_setzero_ps()

INLINE vs accumulate(const struct weights *w, const bool is_signed, const int most, const int8_t *q,
                     const float *scales, const float *group_sums, vs sum) {
    (void)most;
    __m512i dot = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++)
        dot = dot_bytes(dot, w->q[j], _mm512_loadu_si512(q + 64 * j), is_signed);
    if (HAS_MINIMUM(is_signed)) sum = _mm512_fnmadd_ps(w->minimum, _mm512_loadu_ps(group_sums), sum);
    __m512 scale = _mm512_mul_ps(w->scale, _mm512_loadu_ps(scales));
    return _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(dot), sum);
}

// Weights from group `groups` of 16 on count for nothing.
INLINE void drop_groups(struct weights *w, uint32_t groups, const bool is_signed) {
    __mmask16 counts = _mm512_cmplt_epi32_mask(group_of_lane(), _mm512_set1_epi32((int)groups));
    w->scale = _mm512_maskz_mov_ps(counts, w->scale);
    if (!is_signed) w->minimum = _mm512_maskz_mov_ps(counts, w->minimum);
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

#define FAST_BYTES 128
#include "cpu/template/dot_rows.h"

#define X(name, type, ...) DOT(wide_##name, name)
#include "cpu/int_formats.inc"
#undef X
