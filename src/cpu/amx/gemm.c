// The product of float32 matrices on tiles: both sides as sums of two bfloat16 numbers, three of whose four products
// count (the rest is below 2^-16). Small products stay with vectors.
#include "cpu/amx/tile.h"
#include "cpu/declare.h"

#include <string.h>

enum {
    LEAST = 1 << 16, // multiplications from which packing pays
    M = 64,          // rows of a, columns of both, and columns of b that are packed at once
    K = 128,
    N = 128,
    TERMS = 2,
    TILE = XN_CPU_TILE_ROWS * XN_CPU_TILE_COLS,
};

static uint32_t min_u32(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

// Rows of a as weights, zeros up to whole tiles.
static void pack_left(uint32_t m, uint32_t k, const float *a, size_t lda, uint16_t *out) {
    uint32_t blocks = xn_cpu_blocks16(k);
    for (uint32_t i = 0; i < (m + 15) / 16 * 16; i++) {
        uint16_t *to = out + (size_t)(i / 16) * blocks * TERMS * TILE + i % 16 * XN_CPU_TILE_COLS;
        if (i < m)
            xn_cpu_decode16_f32_avx512vnni(a + i * lda, k, TERMS, to);
        else
            for (uint32_t j = 0; j < blocks * TERMS; j++)
                memset(to + (size_t)j * TILE, 0, XN_CPU_TILE_COLS * sizeof *to);
    }
}

// Rows of b, which are columns of both, as pairs.
static void pack_right(uint32_t k, uint32_t n, const float *b, size_t ldb, uint16_t *out) {
    uint32_t blocks = xn_cpu_blocks16(k);
    const float *rows[XN_CPU_TILE_COLS];
    for (uint32_t j = 0; j < blocks; j++) {
        uint32_t first = j * XN_CPU_TILE_COLS, count = min_u32(k - first, XN_CPU_TILE_COLS);
        for (uint32_t i = 0; i < count; i++)
            rows[i] = b + (first + i) * ldb;
        xn_cpu_pack16_down_avx512vnni(rows, count, n, TERMS, out + (size_t)j * 2 * TERMS * TILE,
                                      (size_t)blocks * 2 * TERMS * TILE);
    }
}

// Results of panels to rows of c; n a multiple of 16.
static void unpack(uint32_t m, uint32_t n, const float *from, uint32_t span, float *c, size_t ldc, bool accumulate) {
    for (uint32_t i = 0; i < m; i++)
        for (uint32_t j = 0; j < n; j += 16) {
            __m512 x =
                _mm512_loadu_ps(from + ((size_t)(j / XN_CPU_PANEL) * span + i) * XN_CPU_PANEL + j % XN_CPU_PANEL);
            float *to = c + i * ldc + j;
            _mm512_storeu_ps(to, accumulate ? _mm512_add_ps(x, _mm512_loadu_ps(to)) : x);
        }
}

void xn_cpu_gemm_amx(uint32_t m, uint32_t n, uint32_t k, const float *a, size_t lda, const float *b, size_t ldb,
                     float *c, size_t ldc, bool accumulate) {
    if (m < XN_CPU_TILE_ROWS || k < XN_CPU_TILE_COLS || (uint64_t)m * n * k < LEAST) {
        xn_cpu_gemm_avx512(m, n, k, a, lda, b, ldb, c, ldc, accumulate);
        return;
    }
    uint16_t left[M * K * TERMS] __attribute__((aligned(64))), right[K * N * TERMS] __attribute__((aligned(64)));
    float results[M * N] __attribute__((aligned(64)));
    for (uint32_t j = 0; j < n; j += N)
        for (uint32_t p = 0; p < k; p += K) {
            uint32_t width = min_u32(n - j, N), depth = min_u32(k - p, K), blocks = xn_cpu_blocks16(depth);
            pack_right(depth, width, b + p * ldb + j, ldb, right);
            for (uint32_t i = 0; i < m; i += M) {
                uint32_t rows = min_u32(m - i, M), span = (rows + 15) / 16 * 16;
                pack_left(rows, depth, a + i * lda + p, lda, left);
                xn_cpu_gemm16_amx(span, blocks, TERMS, TERMS, left, right, (size_t)blocks * 2 * TERMS * TILE, width,
                                  results, (size_t)span * XN_CPU_PANEL, false);
                unpack(rows, width, results, span, c + i * ldc + j, ldc, accumulate || p);
            }
        }
}
