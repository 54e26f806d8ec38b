// Products of many rows of activations: the rows lie side by side in panels of XN_CPU_PANEL, in one of three forms; a
// block of weights is decoded to the same form, a part of its columns at a time, and multiplied by all panels.
//
// The result of m rows of weights is [panel][m][XN_CPU_PANEL] float32.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum xn_cpu_tile {
    XN_TILE_FLOAT, // float32: exact activations
    XN_TILE_BF16,  // both sides rounded to bfloat16, products summed in float32
    XN_TILE_SPLIT, // numbers as sums of two bfloat16 ones where one is not enough: nearly exact, for more products
    XN_TILE_INT8,  // weights as their format's integers, activations in 8-bit blocks of 32
    XN_TILE_KINDS,
};

enum {
    XN_CPU_PANEL = 32,     // rows of activations in a panel
    XN_CPU_TILE_ROWS = 16, // rows of a tile: weights of BF16 come in so many
    XN_CPU_TILE_COLS = 32, // values of a row of a tile of BF16
    XN_CPU_SUPER = 256,    // values that an integer kernel takes at once
};

// FLOAT: value j of row r is number j * XN_CPU_PANEL + r.
//
// BF16: columns in blocks of 32, zeros behind the last. Of activations, a block is two tiles (rows 0 .. 15 and 16 ..
// 31) of [16 pairs of columns][16 rows][2]; of weights, 16 rows of 32 columns are a tile, and tiles of the same 16 rows
// follow each other. So a tile is 16 lines of 64 bytes, as AMX loads it. SPLIT: a block of activations is four tiles,
// two of the rounded values and two of what rounding left; a block of weights that need two terms (F16, F32) two tiles.
//
// INT8: columns in chunks of 256, zeros behind the last.
struct xn_cpu_chunk {
    int8_t q[XN_CPU_SUPER / 4][XN_CPU_PANEL][4];
    float scale[XN_CPU_SUPER / 32][XN_CPU_PANEL];      // of 32 values
    float sum[XN_CPU_SUPER / 16][XN_CPU_PANEL];        // scale times the sum of 16 integers
    int16_t total[XN_CPU_SUPER / 32][XN_CPU_PANEL][2]; // the sums of 16 integers and of the next 16
};

// A row of weights' chunk: value j is scale[j / 16] * q[j] - minimum[j / 16]. Formats whose integers use all of a byte
// (`most` 255) have signed ones there, and no minima.
//
// Weights in lanes (cpu/lanes.h) have their integers in that order, and those with a scale for 16 values have `whole`
// ones: of block b, values 16 h to 16 h + 15 are d * by[h][b][0] * q - d_minimum * minimum[b][h]. A scale stands there
// twice, as products of pairs of 16 bits want it.
struct xn_cpu_row8 {
    _Alignas(64) uint8_t q[XN_CPU_SUPER];
    union {
        struct {
            float scale[XN_CPU_SUPER / 16], minimum[XN_CPU_SUPER / 16];
        };
        struct {
            int16_t by[2][XN_CPU_SUPER / 32][2], minimum[XN_CPU_SUPER / 32][2];
            float d, d_minimum;
        } whole;
    };
};

static inline uint32_t xn_cpu_blocks16(uint32_t k) { // of columns of BF16
    return (k + XN_CPU_TILE_COLS - 1) / XN_CPU_TILE_COLS;
}
static inline uint32_t xn_cpu_chunks(uint32_t k) {
    return (k + XN_CPU_SUPER - 1) / XN_CPU_SUPER;
}
static inline uint32_t xn_cpu_panels(uint32_t n) {
    return (n + XN_CPU_PANEL - 1) / XN_CPU_PANEL;
}
// How many bfloat16 numbers stand for a value of activations.
static inline uint32_t xn_cpu_terms16(enum xn_cpu_tile tile) {
    return tile == XN_TILE_SPLIT ? 2 : 1;
}
// Bytes of a panel of rows of k values.
static inline size_t xn_cpu_panel_bytes(enum xn_cpu_tile tile, uint32_t k) {
    switch (tile) {
    case XN_TILE_BF16:
    case XN_TILE_SPLIT:
        return xn_cpu_terms16(tile) * (size_t)xn_cpu_blocks16(k) * XN_CPU_TILE_COLS * XN_CPU_PANEL * sizeof(uint16_t);
    case XN_TILE_INT8:
        return xn_cpu_chunks(k) * sizeof(struct xn_cpu_chunk);
    default:
        return (size_t)k * XN_CPU_PANEL * sizeof(float);
    }
}
