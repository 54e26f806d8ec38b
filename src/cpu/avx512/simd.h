// The vocabulary of the kernel templates (c/simd.h) for AVX-512: sixteen floats at a time.
#pragma once

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define XN_KERNEL(name) xn_cpu_##name##_avx512
#define XN_GEMM_STRIP 12
enum { V = 16, GEMM_ROWS = XN_GEMM_STRIP, GEMM_VECTORS = 2 };

typedef __m512 vf;

static inline vf v_set1(float x) {
    return _mm512_set1_ps(x);
}
static inline vf v_load(const float *p) {
    return _mm512_loadu_ps(p);
}
static inline void v_store(float *p, vf v) {
    _mm512_storeu_ps(p, v);
}
static inline __mmask16 v_mask(size_t n) {
    return (__mmask16)((1u << n) - 1);
}
static inline vf v_load_n(const float *p, size_t n) {
    return _mm512_maskz_loadu_ps(v_mask(n), p);
}
static inline void v_store_n(float *p, vf v, size_t n) {
    _mm512_mask_storeu_ps(p, v_mask(n), v);
}
static inline vf v_load_f16(const uint16_t *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
static inline void v_store_f16(uint16_t *p, vf v) {
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
static inline vf v_load_bf16(const uint16_t *p) {
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
static inline vf v_fma(vf a, vf b, vf c) {
    return _mm512_fmadd_ps(a, b, c);
}
static inline vf v_fnma(vf a, vf b, vf c) { // c - a b, rounded once
    return _mm512_fnmadd_ps(a, b, c);
}
static inline vf v_max(vf a, vf b) {
    return _mm512_max_ps(a, b);
}
static inline vf v_min(vf a, vf b) {
    return _mm512_min_ps(a, b);
}
static inline vf v_abs(vf a) {
    return _mm512_abs_ps(a);
}
static inline vf v_copysign(vf magnitude, vf sign) {
    return _mm512_or_ps(_mm512_abs_ps(magnitude), _mm512_and_ps(sign, _mm512_set1_ps(-0.0f)));
}
static inline vf
v_reciprocal(vf a) { // a step of Newton's from 14 bits: a division of this width takes four times as long
    vf r = _mm512_rcp14_ps(a);
    return r * _mm512_fnmadd_ps(a, r, _mm512_set1_ps(2.0f));
}
static inline vf v_sqrt(vf a) {
    return _mm512_sqrt_ps(a);
}
static inline vf v_round(vf a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vf v_pow2(vf n) {
    return _mm512_scalef_ps(_mm512_set1_ps(1.0f), n);
}
static inline float v_sum(vf a) {
    return _mm512_reduce_add_ps(a);
}
static inline float v_highest(vf a) {
    return _mm512_reduce_max_ps(a);
}
static inline void v_store_i8(int8_t *p, vf v) {
    _mm_storeu_si128((__m128i *)p, _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(v)));
}
static inline vf v_sums(const vf s[V]) {
    __m512d pair[8];
    vf part[4], half[2];
    for (int i = 0; i < 8; i++) // sums over half of each 128 bits of two vectors side by side, then over all of four
        pair[i] =
            _mm512_castps_pd(_mm512_unpacklo_ps(s[2 * i], s[2 * i + 1]) + _mm512_unpackhi_ps(s[2 * i], s[2 * i + 1]));
    for (int i = 0; i < 4; i++)
        part[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(pair[2 * i], pair[2 * i + 1])) +
                  _mm512_castpd_ps(_mm512_unpackhi_pd(pair[2 * i], pair[2 * i + 1]));
    for (int i = 0; i < 2; i++)
        half[i] = _mm512_shuffle_f32x4(part[2 * i], part[2 * i + 1], 0x88) +
                  _mm512_shuffle_f32x4(part[2 * i], part[2 * i + 1], 0xdd);
    return _mm512_shuffle_f32x4(half[0], half[1], 0x88) + _mm512_shuffle_f32x4(half[0], half[1], 0xdd);
}
static inline void v_transpose(vf r[V]) {
    vf a[V], b[V];
    for (int i = 0; i < V; i += 2) {
        a[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        a[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < V; i += 4) {
        b[i] = _mm512_shuffle_ps(a[i], a[i + 2], 0x44);
        b[i + 1] = _mm512_shuffle_ps(a[i], a[i + 2], 0xee);
        b[i + 2] = _mm512_shuffle_ps(a[i + 1], a[i + 3], 0x44);
        b[i + 3] = _mm512_shuffle_ps(a[i + 1], a[i + 3], 0xee);
    }
    // b[4 g + c]: 128-bit part p holds column 4 p + c of rows 4 g .. 4 g + 3.
    for (int c = 0; c < 4; c++) {
        vf even01 = _mm512_shuffle_f32x4(b[c], b[4 + c], 0x88), odd01 = _mm512_shuffle_f32x4(b[c], b[4 + c], 0xdd);
        vf even23 = _mm512_shuffle_f32x4(b[8 + c], b[12 + c], 0x88);
        vf odd23 = _mm512_shuffle_f32x4(b[8 + c], b[12 + c], 0xdd);
        r[c] = _mm512_shuffle_f32x4(even01, even23, 0x88);
        r[8 + c] = _mm512_shuffle_f32x4(even01, even23, 0xdd);
        r[4 + c] = _mm512_shuffle_f32x4(odd01, odd23, 0x88);
        r[12 + c] = _mm512_shuffle_f32x4(odd01, odd23, 0xdd);
    }
}
