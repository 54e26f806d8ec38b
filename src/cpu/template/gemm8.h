// Products of panels of integers (cpu/panels.h), after the instruction set's vocabulary of integers:
//   vi, LANES: vectors of dwords, and how many they hold; floats are simd.h's
//   STRIP, VECTORS: rows of weights and vectors of activations that stay in registers
//   i_*: what integers need
//   struct strip, strip_prepare(rows, most, w, strip): what a strip's weights are for group_dot, once for all groups
//   group_dot(rows, steps, most, w, strip, at, x, dot): the products of up to STRIP rows with VECTORS vectors of
//   activations over `steps` dwords of columns, from column `at` of the weights on, as integers
//
// Integers of a group of columns are summed, then scaled by the group's two scales and summed as floats; minima of
// weights take the sums of activations.
#pragma once

#include "cpu/declare.h"

#include <string.h>

enum { DWORDS = XN_CPU_SUPER / 4, GROUPS = XN_CPU_SUPER / 16 };

static inline __attribute__((always_inline)) void strip8(const int rows, const int group, const uint32_t most,
                                                         const uint8_t *w, const float *scale, const float *minimum,
                                                         const struct xn_cpu_chunk *x, uint32_t at, float *c,
                                                         bool accumulate) {
    vf sum[STRIP][VECTORS];
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < VECTORS; j++)
            sum[i][j] = accumulate ? v_load(c + i * XN_CPU_PANEL + j * LANES) : v_set1(0);
    const int steps = group / 4;
    struct strip strip;
    strip_prepare(rows, most, w, &strip);
    for (int g = 0; g < XN_CPU_SUPER / group; g++) {
        vi dot[STRIP][VECTORS];
        const int first = g * group / 16;
        group_dot(rows, steps, most, w, &strip, g * group, &x->q[g * steps][at], dot);
#pragma GCC unroll 4
        for (int j = 0; j < VECTORS; j++) {
            vf across = v_load(&x->scale[first / 2][at + (uint32_t)j * LANES]);
            vf total = v_load(&x->sum[first][at + (uint32_t)j * LANES]);
            if (group == 32) total = total + v_load(&x->sum[first + 1][at + (uint32_t)j * LANES]);
#pragma GCC unroll 8
            for (int i = 0; i < rows; i++) {
                sum[i][j] = v_fma(v_set1(scale[i * GROUPS + first]) * across, i_float(dot[i][j]), sum[i][j]);
                if (HAS_MINIMUM8(most)) sum[i][j] = sum[i][j] - v_set1(minimum[i * GROUPS + first]) * total;
            }
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < VECTORS; j++)
            v_store(c + i * XN_CPU_PANEL + j * LANES, sum[i][j]);
}

// All panels, for one kind of weights.
static inline __attribute__((always_inline)) void panels8(const int group, const uint32_t most, uint32_t m,
                                                          const struct xn_cpu_rows8 *w, const struct xn_cpu_chunk *x,
                                                          size_t stride, uint32_t n, float *c, bool accumulate) {
    enum { WIDE = VECTORS * LANES };
    for (uint32_t p = 0; p < n; p += XN_CPU_PANEL, x += stride, c += (size_t)m * XN_CPU_PANEL)
        for (uint32_t at = 0; at < XN_CPU_PANEL && p + at < n; at += WIDE)
            for (uint32_t i = 0; i < m;) {
                const uint8_t *q = w->q + (size_t)i * XN_CPU_SUPER;
                const float *scale = w->scale + (size_t)i * GROUPS, *minimum = w->minimum + (size_t)i * GROUPS;
                float *to = c + (size_t)i * XN_CPU_PANEL + at;
                if (m - i >= STRIP) {
                    strip8(STRIP, group, most, q, scale, minimum, x, at, to, accumulate);
                    i += STRIP;
                } else {
                    strip8(1, group, most, q, scale, minimum, x, at, to, accumulate);
                    i++;
                }
            }
}

#define PANELS(group, most) panels8(group, most, m, w, x, stride, n, c, accumulate)

void GEMM8_NAME(uint32_t m, const struct xn_cpu_rows8 *w, uint32_t group, uint32_t most, const struct xn_cpu_chunk *x,
                size_t stride, uint32_t n, float *c, bool accumulate) {
    GEMM8_KINDS
}
