// Activations as integers, after the instruction set's simd.h.
#pragma once

#include "cpu/declare.h"

// In the order of the values.
static void quantize_row(const float *x, size_t n, struct xn_cpu_row *out) {
    enum { BLOCK = 32, GROUP = 16 };
    for (size_t i = 0; i < n; i += BLOCK) {
        vf v[BLOCK / V], most = v_set1(0);
        for (int j = 0; j < BLOCK / V; j++) {
            v[j] = v_load(x + i + j * V);
            most = v_max(most, v_abs(v[j]));
        }
        float amax = v_highest(most);
        float d = amax / 127, inverse = amax > 1e-30f ? 127 / amax : 0; // what is smaller counts as 0
        for (int g = 0; g < BLOCK / GROUP; g++) {
            vf sum = v_set1(0);
            for (int j = 0; j < GROUP / V; j++) {
                vf q = v_round(v[g * (GROUP / V) + j] * v_set1(inverse));
                v_store_i8(out->q + i + g * GROUP + j * V, q);
                sum = sum + q;
            }
            out->scale[i / GROUP + g] = d;
            out->sum[i / GROUP + g] = d * v_sum(sum);
        }
    }
    size_t padded = (n + XN_CPU_SUPER - 1) / XN_CPU_SUPER * XN_CPU_SUPER;
    memset(out->q + n, 0, padded - n);
    memset(out->scale + n / GROUP, 0, (padded - n) / GROUP * sizeof(float));
    memset(out->sum + n / GROUP, 0, (padded - n) / GROUP * sizeof(float));
}

void XN_KERNEL(quantize)(const float *x, size_t n, struct xn_cpu_row *out) {
    enum { GROUP = 16 };
    quantize_row(x, n, out);
    for (size_t i = 0; i < n; i += XN_CPU_SUPER)
        order_lanes(out->q + i, out->scale + i / GROUP, out->sum + i / GROUP,
                    out->lanes ? out->lanes + i / XN_CPU_SUPER : NULL);
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
    _Alignas(64) float scale[XN_CPU_PAD][XN_CPU_SUPER / 16], sum[XN_CPU_PAD][XN_CPU_SUPER / 16];
    for (uint32_t at = 0; at < k; at += XN_CPU_SUPER, panel++) {
        uint32_t depth = k - at < XN_CPU_SUPER ? k - at : XN_CPU_SUPER;
        for (uint32_t i = 0; i < n; i++) {
            struct xn_cpu_row row = {.q = q[i], .scale = scale[i], .sum = sum[i]};
            quantize_row(rows[i] + at, depth, &row);
            for (int b = 0; b < XN_CPU_SUPER / 32; b++) // one scale a block
                scale[i][b] = scale[i][2 * b];
        }
        lay_beside(q, sizeof q[0], n, XN_CPU_SUPER / 4, panel->q[0][16 * half]);
        lay_beside(scale, sizeof scale[0], n, XN_CPU_SUPER / 32, &panel->scale[0][16 * half]);
        lay_beside(sum, sizeof sum[0], n, XN_CPU_SUPER / 16, &panel->sum[0][16 * half]);
    }
}
