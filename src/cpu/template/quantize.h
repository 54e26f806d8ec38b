// Activations as integers, after the instruction set's simd.h.
#pragma once

#include "cpu/declare.h"

void XN_KERNEL(quantize)(const float *x, size_t n, struct xn_cpu_row *out) {
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
    for (size_t i = 0; i < padded; i += XN_CPU_SUPER)
        order_lanes(out->q + i, out->scale + i / GROUP, out->sum + i / GROUP);
}
