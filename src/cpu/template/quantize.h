// Activations as integers, after the instruction set's simd.h.
#pragma once

#include "cpu/declare.h"

enum { BLOCK = 32, GROUP = 16, GROUPS = XN_CPU_SUPER / GROUP };

// n values, up to XN_CPU_SUPER, in their order, and zeros behind them; `total`: the sums of the groups' integers.
static void quantize_super(const float *x, size_t n, int8_t *q, float *scale, float *sum, int16_t total[GROUPS]) {
    for (size_t i = 0; i < n; i += BLOCK) {
        vf v[BLOCK / V], most = v_set1(0);
        for (int j = 0; j < BLOCK / V; j++) {
            v[j] = v_load(x + i + j * V);
            most = v_max(most, v_abs(v[j]));
        }
        float amax = v_highest(most);
        float d = amax / 127, inverse = amax > 1e-30f ? 127 / amax : 0; // what is smaller counts as 0
        for (int g = 0; g < BLOCK / GROUP; g++) {
            vf integers = v_set1(0);
            for (int j = 0; j < GROUP / V; j++) {
                vf rounded = v_round(v[g * (GROUP / V) + j] * v_set1(inverse));
                v_store_i8(q + i + g * GROUP + j * V, rounded);
                integers = integers + rounded;
            }
            float all = v_sum(integers);
            scale[i / GROUP + g] = d;
            sum[i / GROUP + g] = d * all;
            total[i / GROUP + g] = (int16_t)all;
        }
    }
    memset(q + n, 0, XN_CPU_SUPER - n);
    for (size_t g = n / GROUP; g < GROUPS; g++) {
        scale[g] = sum[g] = 0;
        total[g] = 0;
    }
}

void XN_KERNEL(quantize)(const float *x, size_t n, struct xn_cpu_row *out) {
    for (size_t i = 0; i < n; i += XN_CPU_SUPER) {
        int8_t *q = out->q + i;
        float *scale = out->scale + i / GROUP, *sum = out->sum + i / GROUP;
        int16_t total[GROUPS];
        quantize_super(x + i, n - i < XN_CPU_SUPER ? n - i : XN_CPU_SUPER, q, scale, sum, total);
        order_lanes(q, scale, sum, total, out->lanes ? out->lanes + i / XN_CPU_SUPER : NULL,
                    out->wide ? out->wide + i / XN_CPU_SUPER : NULL);
    }
}

// Dword j of row i to out[j * XN_CPU_PANEL + i]; transposing only moves bits, whatever they mean.
static void lay_beside(const void *first, size_t row_bytes, uint32_t n, uint32_t dwords, void *out) {
    const float *rows[XN_CPU_PAD];
    for (uint32_t i = 0; i < n; i++)
        rows[i] = (const float *)(const void *)((const char *)first + i * row_bytes);
    XN_KERNEL(transpose)(rows, n, dwords, out, XN_CPU_PANEL);
}

void XN_KERNEL(pack8)(const float *const *rows, uint32_t n, uint32_t k, uint32_t half, struct xn_cpu_chunk *panel) {
    _Alignas(64) int8_t q[XN_CPU_PAD][XN_CPU_SUPER];
    _Alignas(64) float scale[XN_CPU_PAD][GROUPS], sum[XN_CPU_PAD][GROUPS];
    _Alignas(64) int16_t total[XN_CPU_PAD][GROUPS];
    for (uint32_t at = 0; at < k; at += XN_CPU_SUPER, panel++) {
        uint32_t depth = k - at < XN_CPU_SUPER ? k - at : XN_CPU_SUPER;
        for (uint32_t i = 0; i < n; i++) {
            quantize_super(rows[i] + at, depth, q[i], scale[i], sum[i], total[i]);
            for (int b = 0; b < XN_CPU_SUPER / BLOCK; b++) // one scale a block
                scale[i][b] = scale[i][2 * b];
        }
        lay_beside(q, sizeof q[0], n, XN_CPU_SUPER / 4, panel->q[0][16 * half]);
        lay_beside(scale, sizeof scale[0], n, XN_CPU_SUPER / BLOCK, &panel->scale[0][16 * half]);
        lay_beside(sum, sizeof sum[0], n, GROUPS, &panel->sum[0][16 * half]);
        lay_beside(total, sizeof total[0], n, XN_CPU_SUPER / BLOCK, panel->total[0][16 * half]);
    }
}
