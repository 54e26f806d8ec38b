// The one matrix product of float32, after the instruction set's simd.h: blocks of GEMM_ROWS rows by GEMM_VECTORS
// vectors of columns held in registers; a value of `a` is broadcast, a row of `b` loaded. Fewer rows or columns take
// the smaller blocks.
#pragma once

#include "cpu/declare.h"

static inline __attribute__((always_inline)) void gemm_block(const int rows, const int vectors, uint32_t k,
                                                             const float *a, size_t lda, const float *b, size_t ldb,
                                                             float *c, size_t ldc, bool accumulate) {
    vf sum[GEMM_ROWS][GEMM_VECTORS];
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < vectors; j++)
            sum[i][j] = v_set1(0);
    for (uint32_t p = 0; p < k; p++) {
        vf right[GEMM_VECTORS];
#pragma GCC unroll 4
        for (int j = 0; j < vectors; j++)
            right[j] = v_load(b + j * V);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            vf left = v_set1(a[(size_t)i * lda]);
#pragma GCC unroll 4
            for (int j = 0; j < vectors; j++)
                sum[i][j] = v_fma(left, right[j], sum[i][j]);
        }
        a++;
        b += ldb;
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < vectors; j++) {
            float *to = c + (size_t)i * ldc + j * V;
            if (accumulate) sum[i][j] = sum[i][j] + v_load(to);
            v_store(to, sum[i][j]);
        }
}

#define GEMM_STRIP(rows)                                                                                               \
    static void gemm_strip_##rows(uint32_t n, uint32_t k, const float *a, size_t lda, const float *b, size_t ldb,      \
                                  float *c, size_t ldc, bool accumulate) {                                             \
        uint32_t j = 0;                                                                                                \
        for (; j + GEMM_VECTORS * V <= n; j += GEMM_VECTORS * V)                                                       \
            gemm_block(rows, GEMM_VECTORS, k, a, lda, b + j, ldb, c + j, ldc, accumulate);                             \
        for (; j < n; j += V)                                                                                          \
            gemm_block(rows, 1, k, a, lda, b + j, ldb, c + j, ldc, accumulate);                                        \
    }
GEMM_STRIP(1)
GEMM_STRIP(2)
GEMM_STRIP(4)
#if XN_GEMM_STRIP > 4
#define GEMM_STRIP_OF(rows) GEMM_STRIP(rows)
GEMM_STRIP_OF(XN_GEMM_STRIP)
#endif
#define CONCAT_(a, b) a##b
#define CONCAT(a, b) CONCAT_(a, b)

void XN_KERNEL(gemm)(uint32_t m, uint32_t n, uint32_t k, const float *a, size_t lda, const float *b, size_t ldb,
                     float *c, size_t ldc, bool accumulate) {
    uint32_t i = 0;
#define STRIPS(count, strip)                                                                                           \
    for (; i + (count) <= m; i += (count))                                                                             \
        strip(n, k, a + i * lda, lda, b, ldb, c + i * ldc, ldc, accumulate);
    STRIPS(XN_GEMM_STRIP, CONCAT(gemm_strip_, XN_GEMM_STRIP))
    STRIPS(4, gemm_strip_4)
    STRIPS(2, gemm_strip_2)
    STRIPS(1, gemm_strip_1)
#undef STRIPS
}
