// The vocabulary of the kernel templates in plain C: four floats at a time. avx2/simd.h and avx512/simd.h have the same
// words.
#pragma once

#include "quant/half.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define XN_KERNEL(name) xn_cpu_##name##_c
#define XN_GEMM_STRIP 4
enum { V = 4, GEMM_ROWS = XN_GEMM_STRIP, GEMM_VECTORS = 2 };

typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));

static inline vf v_set1(float x) {
    return (vf){x, x, x, x};
}
static inline vf v_load(const float *p) {
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void v_store(float *p, vf v) {
    memcpy(p, &v, sizeof v);
}
// The first n < V values; the others are zero, and not stored.
static inline vf v_load_n(const float *p, size_t n) {
    vf v = {0};
    memcpy(&v, p, n * sizeof *p);
    return v;
}
static inline void v_store_n(float *p, vf v, size_t n) {
    memcpy(p, &v, n * sizeof *p);
}
static inline vf v_load_f16(const uint16_t *p) {
    uint16_t h[V];
    memcpy(h, p, sizeof h);
    return (vf){xn_f16_to_f32(h[0]), xn_f16_to_f32(h[1]), xn_f16_to_f32(h[2]), xn_f16_to_f32(h[3])};
}
static inline void v_store_f16(uint16_t *p, vf v) {
    for (int i = 0; i < V; i++)
        p[i] = xn_f32_to_f16(v[i]);
}
static inline vf v_load_bf16(const uint16_t *p) {
    uint16_t h[V];
    memcpy(h, p, sizeof h);
    return (vf){xn_bf16_to_f32(h[0]), xn_bf16_to_f32(h[1]), xn_bf16_to_f32(h[2]), xn_bf16_to_f32(h[3])};
}
static inline vf v_fma(vf a, vf b, vf c) {
    return a * b + c;
}
static inline vf v_select(vi mask, vf a, vf b) {
    return (vf)((mask & (vi)a) | (~mask & (vi)b));
}
// Where either is not a number: b.
static inline vf v_max(vf a, vf b) {
    return v_select(a > b, a, b);
}
static inline vf v_min(vf a, vf b) {
    return v_select(a < b, a, b);
}
static inline vf v_abs(vf a) {
    return (vf)((vi)a & 0x7fffffff);
}
static inline vf v_copysign(vf magnitude, vf sign) {
    return (vf)(((vi)magnitude & 0x7fffffff) | ((vi)sign & (int32_t)0x80000000));
}
// 1 / a, for a >= 1, to 1 unit or two in the last place.
static inline vf v_reciprocal(vf a) {
    return 1.0f / a;
}
static inline vf v_sqrt(vf a) {
    return (vf){sqrtf(a[0]), sqrtf(a[1]), sqrtf(a[2]), sqrtf(a[3])};
}
// To the nearest integer, |a| < 2^22.
static inline vf v_round(vf a) {
    return (a + 12582912.0f) - 12582912.0f;
}
// 2^n for whole -126 <= n <= 127 (a NaN gives anything).
static inline vf v_pow2(vf n) {
    return (vf)((vi)(n + 12582912.0f + 127.0f) << 23);
}
static inline float v_sum(vf a) {
    return (a[0] + a[2]) + (a[1] + a[3]);
}
static inline float v_highest(vf a) {
    float m = a[0];
    for (int i = 1; i < V; i++)
        m = a[i] > m ? a[i] : m;
    return m;
}
// Value i of the result is the sum of s[i].
static inline vf v_sums(const vf s[V]) {
    return (vf){v_sum(s[0]), v_sum(s[1]), v_sum(s[2]), v_sum(s[3])};
}
// Rows of V x V values: row i of the result is column i.
static inline void v_transpose(vf r[V]) {
    vf t[V];
    for (int i = 0; i < V; i++)
        t[i] = (vf){r[0][i], r[1][i], r[2][i], r[3][i]};
    for (int i = 0; i < V; i++)
        r[i] = t[i];
}
