// What the hardware can do, after the instruction set's simd.h: loads from memory, multiply-adds in registers.
#pragma once

#include "cpu/declare.h"

float XN_KERNEL(read)(const float *x, size_t n, size_t ahead) {
    enum { LANES = 8 };
    vf sum[LANES];
    for (int j = 0; j < LANES; j++)
        sum[j] = v_set1(0);
    for (size_t i = 0; i + LANES * V <= n; i += LANES * V) {
        if (ahead) __builtin_prefetch(x + i + ahead);
#pragma GCC unroll 8
        for (int j = 0; j < LANES; j++)
            sum[j] = sum[j] + v_load(x + i + (size_t)j * V);
    }
    for (int j = 1; j < LANES; j++)
        sum[0] = sum[0] + sum[j];
    return v_sum(sum[0]);
}

uint64_t XN_KERNEL(multiply)(uint64_t rounds, float *result) {
    enum { CHAINS = 12 };
    vf sum[CHAINS], a = v_set1(0.999f), b = v_set1(0.001f);
#pragma GCC unroll 12
    for (int j = 0; j < CHAINS; j++)
        sum[j] = v_set1((float)j);
    for (uint64_t i = 0; i < rounds; i++)
#pragma GCC unroll 12
        for (int j = 0; j < CHAINS; j++)
            sum[j] = v_fma(sum[j], a, b);
#pragma GCC unroll 12
    for (int j = 1; j < CHAINS; j++)
        sum[0] = sum[0] + sum[j];
    *result = v_sum(sum[0]);
    return rounds * CHAINS * V * 2;
}
