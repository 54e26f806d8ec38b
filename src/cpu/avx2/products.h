// Products of 256 integers of weights with as many of activations, and their scaling: what kernels of weights in the
// file's layout and of weights in lanes share.
#pragma once

#include "cpu/avx2/simd.h"
#include "cpu/avx2/unpack.h"
#include "cpu/declare.h"

// What no integer of a format is above, as unsigned bytes, and how many values have one scale.
enum {
#define X(name, type, group, most) MOST_##name = most, GROUP_##name = group,
#include "cpu/int_formats.inc"
#undef X
};

// Sums of two products of bytes, sixteen of them. A signed weight lends its sign to the activation; |both| fit 16 bits
// twice.
INLINE __m256i pairs_of_bytes(__m256i w, __m256i x, const bool is_signed) {
    if (is_signed) {
        x = _mm256_sign_epi8(x, w);
        w = _mm256_abs_epi8(w);
    }
    return _mm256_maddubs_epi16(w, x);
}
INLINE __m256i widen(__m256i pairs) { // sums of two
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

// What a group adds to a product: the sum of its integers' products by both scales, less the minimum of the weights by
// the sum of the activations. Panels compute the same (template/gemm8.h), rounding for rounding. Eight groups of 32, in
// the order of xn_cpu_row's scales:
INLINE __m256 scale_32(__m256i dots, __m256 scale, __m256 minimum, const bool is_signed, const float *scales,
                       const float *sums) {
    __m256 sum = _mm256_mul_ps(_mm256_mul_ps(scale, _mm256_loadu_ps(scales)), _mm256_cvtepi32_ps(dots));
    return is_signed ? sum : _mm256_fnmadd_ps(minimum, _mm256_loadu_ps(sums), sum);
}
// Sixteen groups of 16, ascending, two of a block.
INLINE void scale_16(const __m256i dots[2], const __m256 scale[2], const __m256 minimum[2], const bool is_signed,
                     const __m256 across[2], const float *group_sums, __m256 *out) {
    for (int h = 0; h < 2; h++) {
        __m256 both = _mm256_mul_ps(scale[h], across[h]);
        __m256 sum = _mm256_mul_ps(both, _mm256_cvtepi32_ps(dots[h]));
        if (!is_signed) sum = _mm256_fnmadd_ps(minimum[h], _mm256_loadu_ps(group_sums + 8 * h), sum);
        out[h] = sum;
    }
}

// Eight blocks, whose two groups have been multiplied by their scales as integers: the products and the minima. Where
// minima have no number of their own they are subtracted as integers (`most`: of Q2_K's weights, which has one).
#define HAS_OWN_MINIMUM(most) ((most) <= 3)
INLINE __m256 scale_whole(__m256i dots, __m256i minima, float d, float d_minimum, const bool own, __m256 across) {
    if (!own) dots = _mm256_sub_epi32(dots, minima);
    __m256 sum = _mm256_mul_ps(times(across, d), _mm256_cvtepi32_ps(dots));
    return own ? _mm256_fnmadd_ps(times(across, d_minimum), _mm256_cvtepi32_ps(minima), sum) : sum;
}

// 16 values a step, by the scale and the minimum of their group.
INLINE void store_decoded(const struct unpacked *u, const bool is_signed, float out[XN_CPU_SUPER]) {
    for (int g = 0; g < 16; g++) {
        __m256i lane = _mm256_set1_epi32(g & 7);
        __m256 scale = _mm256_permutevar8x32_ps(u->scale[g / 8], lane);
        __m128i q = g & 1 ? _mm256_extracti128_si256(u->q[g / 2], 1) : _mm256_castsi256_si128(u->q[g / 2]);
        for (int half = 0; half < 2; half++, q = _mm_srli_si128(q, 8)) {
            __m256 v = is_signed ? signed_to_float(q) : bytes_to_float(q);
            v = is_signed ? _mm256_mul_ps(v, scale)
                          : _mm256_fmsub_ps(v, scale, _mm256_permutevar8x32_ps(u->minimum[g / 8], lane));
            _mm256_storeu_ps(out + 16 * g + 8 * half, v);
        }
    }
}
