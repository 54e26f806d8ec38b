// Products of panels of bfloat16 without tiles: pairs of a row of weights are broadcast to sixteen rows of activations.
#include "cpu/avx512/simd.h"
#include "cpu/declare.h"

enum { STRIP = 8, PAIRS = XN_CPU_TILE_COLS / 2, TILE = XN_CPU_TILE_ROWS * XN_CPU_TILE_COLS };

// One product of terms: columns of weights come every w_step values, of activations every x_step.
static inline __attribute__((always_inline)) void strip(const int halves, uint32_t blocks, const uint16_t *w,
                                                        size_t w_step, const uint16_t *x, size_t x_step, float *c,
                                                        bool accumulate) {
    __m512 sum[STRIP][2];
#pragma GCC unroll 8
    for (int i = 0; i < STRIP; i++)
#pragma GCC unroll 2
        for (int h = 0; h < halves; h++)
            sum[i][h] = accumulate ? _mm512_loadu_ps(c + i * XN_CPU_PANEL + h * V) : _mm512_setzero_ps();
    for (uint32_t b = 0; b < blocks; b++, w += w_step, x += x_step)
        for (int p = 0; p < PAIRS; p++) {
            __m512bh right[2];
#pragma GCC unroll 2
            for (int h = 0; h < halves; h++)
                right[h] = (__m512bh)_mm512_loadu_si512(x + h * TILE + p * 2 * V);
#pragma GCC unroll 8
            for (int i = 0; i < STRIP; i++) {
                int pair;
                memcpy(&pair, w + i * XN_CPU_TILE_COLS + 2 * p, sizeof pair);
                __m512bh left = (__m512bh)_mm512_set1_epi32(pair);
#pragma GCC unroll 2
                for (int h = 0; h < halves; h++)
                    sum[i][h] = _mm512_dpbf16_ps(sum[i][h], left, right[h]);
            }
        }
#pragma GCC unroll 8
    for (int i = 0; i < STRIP; i++)
#pragma GCC unroll 2
        for (int h = 0; h < halves; h++)
            _mm512_storeu_ps(c + i * XN_CPU_PANEL + h * V, sum[i][h]);
}

void xn_cpu_gemm16_avx512vnni(uint32_t m, uint32_t blocks, uint32_t w_terms, uint32_t terms, const uint16_t *w,
                              const uint16_t *x, size_t stride, uint32_t n, float *c, size_t c_stride,
                              bool accumulate) {
    for (uint32_t p = 0; p < n; p += XN_CPU_PANEL, x += stride, c += c_stride)
        for (uint32_t i = 0; i < m; i += STRIP) {
            const uint16_t *rows =
                w + (size_t)(i / XN_CPU_TILE_ROWS) * blocks * w_terms * TILE + i % XN_CPU_TILE_ROWS * XN_CPU_TILE_COLS;
            for (uint32_t product = 0; product < w_terms * terms && product < 3; product++) {
                uint32_t of_w = terms == 1 ? product : product / 2, of_x = terms == 1 ? 0 : product % 2;
                const uint16_t *left = rows + of_w * TILE, *right = x + of_x * 2 * TILE;
                if (n - p > V)
                    strip(2, blocks, left, w_terms * TILE, right, terms * 2 * TILE, c + i * XN_CPU_PANEL,
                          accumulate || product);
                else
                    strip(1, blocks, left, w_terms * TILE, right, terms * 2 * TILE, c + i * XN_CPU_PANEL,
                          accumulate || product);
            }
        }
}
