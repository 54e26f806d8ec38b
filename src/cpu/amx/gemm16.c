// Products of panels of bfloat16 on tiles: two by two of them for 32 rows of weights and 32 of activations, so that
// each tile loaded is used twice. Weights, the left side, lie in rows as decoding writes them; activations, the right
// side, in pairs of columns. Both come in tiles of 16 whole lines, one after the other, and results keep 128 bytes
// between their rows: rows far apart cost more than the products.
#include "cpu/amx/tile.h"
#include "cpu/declare.h"

enum {
    TILE = XN_CPU_TILE_ROWS * XN_CPU_TILE_COLS,
    LINE = 64,                                // bytes of a row of a tile
    SPAN = XN_CPU_PANEL * (int)sizeof(float), // bytes between rows of results
    DOWN = XN_CPU_TILE_ROWS * XN_CPU_PANEL,   // values between results of two tiles of weights
    BESIDE = 16,                              // values between results of two tiles of activations
};

#define RESULTS(operation)                                                                                             \
    do {                                                                                                               \
        operation(0, c, SPAN);                                                                                         \
        if (halves == 2) operation(1, c + BESIDE, SPAN);                                                               \
        if (tiles == 2) operation(2, c + DOWN, SPAN);                                                                  \
        if (tiles == 2 && halves == 2) operation(3, c + DOWN + BESIDE, SPAN);                                          \
    } while (0)

// `tiles` tiles of weights (their columns `blocks` tiles long) with one or two halves of a panel. Terms: each of the
// weights' meets each of the activations', but for the product of the two small ones.
static inline __attribute__((always_inline)) void products(const int tiles, const int halves, const int w_terms,
                                                           const int terms, uint32_t blocks, const uint16_t *w,
                                                           const uint16_t *x, float *c, bool accumulate) {
    if (accumulate) {
        RESULTS(TILE_LOAD);
    } else {
        TILE_ZERO(0);
        if (halves == 2) TILE_ZERO(1);
        if (tiles == 2) TILE_ZERO(2);
        if (tiles == 2 && halves == 2) TILE_ZERO(3);
    }
    const uint16_t *below = w + (size_t)blocks * w_terms * TILE;
    for (uint32_t b = 0; b < blocks; b++, w += w_terms * TILE, below += w_terms * TILE, x += 2 * terms * TILE) {
        TILE_LOAD(4, w, LINE);
        if (tiles == 2) TILE_LOAD(5, below, LINE);
#pragma GCC unroll 2
        for (int t = terms - 1; t >= 0; t--) {
            TILE_LOAD(6, x + 2 * t * TILE, LINE);
            TILE_PRODUCTS(0, 4, 6);
            if (halves == 2) {
                TILE_LOAD(7, x + 2 * t * TILE + TILE, LINE);
                TILE_PRODUCTS(1, 4, 7);
            }
            if (tiles == 2) TILE_PRODUCTS(2, 5, 6);
            if (tiles == 2 && halves == 2) TILE_PRODUCTS(3, 5, 7);
        }
        if (w_terms == 1) continue;
        TILE_LOAD(4, w + TILE, LINE);
        TILE_PRODUCTS(0, 4, 6);
        if (halves == 2) TILE_PRODUCTS(1, 4, 7);
        if (tiles == 1) continue;
        TILE_LOAD(5, below + TILE, LINE);
        TILE_PRODUCTS(2, 5, 6);
        if (halves == 2) TILE_PRODUCTS(3, 5, 7);
    }
    RESULTS(TILE_STORE);
}

static inline __attribute__((always_inline)) void panels(const int w_terms, const int terms, uint32_t m,
                                                         uint32_t blocks, const uint16_t *w, const uint16_t *x,
                                                         size_t stride, uint32_t n, float *c, size_t c_stride,
                                                         bool accumulate) {
    for (uint32_t p = 0; p < n; p += XN_CPU_PANEL, x += stride, c += c_stride) {
        for (uint32_t i = 0; i < m; i += 2 * XN_CPU_TILE_ROWS) {
            const uint16_t *rows = w + (size_t)i * blocks * w_terms * XN_CPU_TILE_COLS;
            float *to = c + (size_t)i * XN_CPU_PANEL;
            if (m - i == XN_CPU_TILE_ROWS && n - p > 16)
                products(1, 2, w_terms, terms, blocks, rows, x, to, accumulate);
            else if (m - i == XN_CPU_TILE_ROWS)
                products(1, 1, w_terms, terms, blocks, rows, x, to, accumulate);
            else if (n - p > 16)
                products(2, 2, w_terms, terms, blocks, rows, x, to, accumulate);
            else
                products(2, 1, w_terms, terms, blocks, rows, x, to, accumulate);
        }
    }
}

void xn_cpu_gemm16_amx(uint32_t m, uint32_t blocks, uint32_t w_terms, uint32_t terms, const uint16_t *w,
                       const uint16_t *x, size_t stride, uint32_t n, float *c, size_t c_stride, bool accumulate) {
    tiles_begin();
    if (terms == 1 && w_terms == 1)
        panels(1, 1, m, blocks, w, x, stride, n, c, c_stride, accumulate);
    else if (w_terms == 1)
        panels(1, 2, m, blocks, w, x, stride, n, c, c_stride, accumulate);
    else if (terms == 1)
        panels(2, 1, m, blocks, w, x, stride, n, c, c_stride, accumulate);
    else
        panels(2, 2, m, blocks, w, x, stride, n, c, c_stride, accumulate);
    tiles_end();
}
