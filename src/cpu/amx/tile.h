// AMX's tile instructions, as few of them as the kernels use: eight tiles of 16 rows of 64 bytes. With XN_AMX_EMULATE
// they are computed with AVX-512, for tests on processors that lack them: the same operations in the same order, but
// for the rounding within a pair of products.
#pragma once

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#ifdef XN_AMX_EMULATE

static __thread __m512i emulated_tile[8][16];

static inline void tiles_begin(void) {}
static inline void tiles_end(void) {}
static inline void emulated_load(int t, const void *p, size_t stride) {
    for (int i = 0; i < 16; i++)
        emulated_tile[t][i] = _mm512_loadu_si512((const char *)p + (size_t)i * stride);
}
static inline void emulated_store(int t, void *p, size_t stride) {
    for (int i = 0; i < 16; i++)
        _mm512_storeu_si512((char *)p + (size_t)i * stride, emulated_tile[t][i]);
}
static inline void emulated_zero(int t) {
    for (int i = 0; i < 16; i++)
        emulated_tile[t][i] = _mm512_setzero_si512();
}
// c[i][j] += the products of pairs of a's row i with b's column j.
static inline void emulated_products(int c, int a, int b) {
    for (int i = 0; i < 16; i++) {
        int pair[16];
        _mm512_storeu_si512(pair, emulated_tile[a][i]);
        __m512 sum = _mm512_castsi512_ps(emulated_tile[c][i]);
        for (int k = 0; k < 16; k++)
            sum = _mm512_dpbf16_ps(sum, (__m512bh)_mm512_set1_epi32(pair[k]), (__m512bh)emulated_tile[b][k]);
        emulated_tile[c][i] = _mm512_castps_si512(sum);
    }
}
#define TILE_LOAD(t, p, stride) emulated_load(t, p, stride)
#define TILE_STORE(t, p, stride) emulated_store(t, p, stride)
#define TILE_ZERO(t) emulated_zero(t)
#define TILE_PRODUCTS(c, a, b) emulated_products(c, a, b)

#else

// Every tile is whole. A thread's tiles are its own until tiles_end gives them back, which spares the system saving
// them.
static inline void tiles_begin(void) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config __attribute__((aligned(64))) = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = 64;
        config.rows[i] = 16;
    }
    _tile_loadconfig(&config);
}
static inline void tiles_end(void) {
    _tile_release();
}
#define TILE_LOAD(t, p, stride) _tile_loadd(t, p, stride)
#define TILE_STORE(t, p, stride) _tile_stored(t, p, stride)
#define TILE_ZERO(t) _tile_zero(t)
#define TILE_PRODUCTS(c, a, b) _tile_dpbf16ps(c, a, b)

#endif
