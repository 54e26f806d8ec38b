// Products of bytes in registers, after `i_dot`, the vocabulary of integers and MULTIPLY8_NAME.
#pragma once

#include "cpu/declare.h"

uint64_t MULTIPLY8_NAME(uint64_t rounds, float *result) {
    enum { CHAINS = 12 };
    vi sum[CHAINS], a = i_weights((const uint8_t *)"1234"), b = i_weights((const uint8_t *)"4321");
#pragma GCC unroll 12
    for (int j = 0; j < CHAINS; j++)
        sum[j] = i_zero();
    for (uint64_t i = 0; i < rounds; i++)
#pragma GCC unroll 12
        for (int j = 0; j < CHAINS; j++) {
            sum[j] = i_dot(sum[j], a, b);
            __asm__ volatile("" : "+x"(sum[j])); // or the compiler foresees what the loop adds up to
        }
    vi total = i_zero();
#pragma GCC unroll 12
    for (int j = 0; j < CHAINS; j++)
        total = i_add32(total, sum[j]);
    *result = i_float(total)[0];
    return rounds * CHAINS * LANES * 4 * 2;
}
