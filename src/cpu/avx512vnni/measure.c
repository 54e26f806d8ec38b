// Products of bfloat16 in registers.
#include "cpu/avx512/simd.h"
#include "cpu/declare.h"

uint64_t xn_cpu_multiply16_avx512vnni(uint64_t rounds, float *result) {
    enum { CHAINS = 16 };
    __m512 sum[CHAINS];
    __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.999f), _mm512_set1_ps(0.001f));
#pragma GCC unroll 16
    for (int j = 0; j < CHAINS; j++)
        sum[j] = _mm512_set1_ps((float)j);
    for (uint64_t i = 0; i < rounds; i++)
#pragma GCC unroll 16
        for (int j = 0; j < CHAINS; j++)
            sum[j] = _mm512_dpbf16_ps(sum[j], a, a);
#pragma GCC unroll 16
    for (int j = 1; j < CHAINS; j++)
        sum[0] = sum[0] + sum[j];
    *result = _mm512_reduce_add_ps(sum[0]);
    return rounds * CHAINS * V * 2 * 2;
}
