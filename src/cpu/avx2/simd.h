// The vocabulary of the kernel templates (c/simd.h) for AVX2, FMA and F16C: eight floats at a time.
#pragma once

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define XN_KERNEL(name) xn_cpu_##name##_avx2
#define XN_GEMM_STRIP 6
enum { V = 8, GEMM_ROWS = XN_GEMM_STRIP, GEMM_VECTORS = 2 };

typedef __m256 vf;

static inline vf v_set1(float x) {
    return _mm256_set1_ps(x);
}
static inline vf v_load(const float *p) {
    return _mm256_loadu_ps(p);
}
static inline void v_store(float *p, vf v) {
    _mm256_storeu_ps(p, v);
}
static inline __m256i v_mask(size_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline vf v_load_n(const float *p, size_t n) {
    return _mm256_maskload_ps(p, v_mask(n));
}
static inline void v_store_n(float *p, vf v, size_t n) {
    _mm256_maskstore_ps(p, v_mask(n), v);
}
static inline vf v_load_f16(const uint16_t *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
static inline void v_store_f16(uint16_t *p, vf v) {
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
static inline vf v_load_bf16(const uint16_t *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
static inline vf v_fma(vf a, vf b, vf c) {
    return _mm256_fmadd_ps(a, b, c);
}
static inline vf v_fnma(vf a, vf b, vf c) { // c - a b, rounded once
    return _mm256_fnmadd_ps(a, b, c);
}
static inline vf v_max(vf a, vf b) {
    return _mm256_max_ps(a, b);
}
static inline vf v_min(vf a, vf b) {
    return _mm256_min_ps(a, b);
}
static inline vf v_abs(vf a) {
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}
static inline vf v_copysign(vf magnitude, vf sign) {
    vf bit = _mm256_set1_ps(-0.0f);
    return _mm256_or_ps(_mm256_andnot_ps(bit, magnitude), _mm256_and_ps(bit, sign));
}
static inline vf v_reciprocal(vf a) {
    return _mm256_set1_ps(1.0f) / a;
}
static inline vf v_sqrt(vf a) {
    return _mm256_sqrt_ps(a);
}
static inline vf v_round(vf a) {
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vf v_pow2(vf n) {
    __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}
static inline float v_sum(vf a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
static inline float v_highest(vf a) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_shuffle_ps(m, m, 1)));
}
// V whole numbers |v| <= 127 as bytes.
static inline void v_store_i8(int8_t *p, vf v) {
    __m256i i = _mm256_cvtps_epi32(v);
    __m128i s = _mm_packs_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));
    _mm_storel_epi64((__m128i *)p, _mm_packs_epi16(s, s));
}
static inline vf v_sums(const vf s[V]) {
    __m256d pair[4];
    vf part[2];
    for (int i = 0; i < 4; i++) // sums over half of each 128 bits of two vectors side by side, then over all of four
        pair[i] =
            _mm256_castps_pd(_mm256_unpacklo_ps(s[2 * i], s[2 * i + 1]) + _mm256_unpackhi_ps(s[2 * i], s[2 * i + 1]));
    for (int i = 0; i < 2; i++)
        part[i] = _mm256_castpd_ps(_mm256_unpacklo_pd(pair[2 * i], pair[2 * i + 1])) +
                  _mm256_castpd_ps(_mm256_unpackhi_pd(pair[2 * i], pair[2 * i + 1]));
    return _mm256_permute2f128_ps(part[0], part[1], 0x20) + _mm256_permute2f128_ps(part[0], part[1], 0x31);
}
static inline void v_transpose(vf r[V]) {
    vf a[V], b[V];
    for (int i = 0; i < V; i += 2) {
        a[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        a[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < V; i += 4) {
        b[i] = _mm256_shuffle_ps(a[i], a[i + 2], 0x44);
        b[i + 1] = _mm256_shuffle_ps(a[i], a[i + 2], 0xee);
        b[i + 2] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0x44);
        b[i + 3] = _mm256_shuffle_ps(a[i + 1], a[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x20);
        r[i + 4] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x31);
    }
}
