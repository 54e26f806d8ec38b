// Products of panels of integers (cpu/panels.h), after the instruction set's vocabulary of integers:
//   vi, LANES: vectors of dwords, and how many they hold; floats are simd.h's
//   VECTORS: the most vectors of activations that stay in registers
//   STRIP, STRIP_OF(vectors): the most rows of weights, and how many beside so many vectors
//   i_*: what integers need
//   struct strip, strip_prepare(rows, most, w, strip): what a strip's weights are for group_dot, once for all groups
//   struct columns, columns_prepare(vectors, most, depth, x, at, columns): what so many vectors of activations from
//   column `at` on are for group_dot, once for all rows of weights
//   group_dot(rows, vectors, steps, most, w, strip, at, apart, x, columns, first, column, dot): the products of so many
//   rows and vectors of activations over `steps` dwords of columns from `first` on, as integers; those of the weights
//   stand `apart` bytes from each other, from byte `at` on
//   HAS_MINIMUM8(most), MINIMUM8(most): whether weights have minima, and where those of row i stand
//   and where GEMM8_LANES_NAME is, for weights with whole scales:
//   add_dot(.., by, fresh, dot): adds such products times a number for each row to `dot`, or begins it with them
//   scale_whole(dots, minima, d, d_minimum, own, across), HAS_OWN_MINIMUM(most): the scaling of a block
//   (avx2/products.h)
//
// Integers of a group of columns are summed, then scaled by the group's two scales and summed as floats, group after
// group, and the sums of chunks chunk after chunk; minima of weights take the sums of activations. avx2/dot_rows.h
// computes the same, rounding for rounding, so these files are compiled without contraction of products and sums. Fewer
// columns of a panel than VECTORS hold take fewer vectors and more rows.
#pragma once

#include "cpu/declare.h"

#include <string.h>

// Where the first dword of a group of columns stands in a row of weights, and how far apart they are: in the order of
// the columns, or in lanes (cpu/lanes.h).
static inline __attribute__((always_inline)) int group_at(const bool lanes, const int group, int g) {
    if (!lanes) return g * group;
    return group == 32 ? 4 * g : 4 * (g / 2) + g % 2 * (XN_CPU_SUPER / 2);
}

#ifdef GEMM8_LANES_NAME
// What the blocks of a chunk's first `depth` columns add, of weights in lanes with whole scales.
static inline __attribute__((always_inline)) void add_whole(const int rows, const int vectors, const uint32_t most,
                                                            const int depth, const struct xn_cpu_row8 *w,
                                                            const struct xn_cpu_chunk *x, uint32_t at,
                                                            vf sum[STRIP][VECTORS]) {
    for (int b = 0; b < depth / 32; b++) {
        vi dot[STRIP][VECTORS], by[STRIP];
        for (int h = 0; h < 2; h++) {
#pragma GCC unroll 8
            for (int i = 0; i < rows; i++)
                by[i] = i_weights((const uint8_t *)w[i].whole.by[h][b]);
            add_dot(rows, vectors, 4, most, w, group_at(true, 16, 2 * b + h), 32, &x->q[8 * b + 4 * h][at], by, h == 0,
                    dot);
        }
#pragma GCC unroll 4
        for (int j = 0; j < vectors; j++) {
            vf across = v_load(&x->scale[b][at + (uint32_t)j * LANES]);
            vi total = i_load((const int8_t *)x->total[b][at + (uint32_t)j * LANES]);
#pragma GCC unroll 8
            for (int i = 0; i < rows; i++) {
                vi minima = i_products16(total, i_weights((const uint8_t *)w[i].whole.minimum[b]));
                sum[i][j] = sum[i][j] + scale_whole(dot[i][j], minima, w[i].whole.d, w[i].whole.d_minimum,
                                                    HAS_OWN_MINIMUM(most), across);
            }
        }
    }
}
#endif

static inline __attribute__((always_inline)) void strip8(const int rows, const int vectors, const int group,
                                                         const uint32_t most, const bool lanes, const int depth,
                                                         const struct xn_cpu_row8 *w, const struct xn_cpu_chunk *x,
                                                         const struct columns *columns, uint32_t at, float *c,
                                                         bool accumulate) {
    vf sum[STRIP][VECTORS];
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < vectors; j++)
            sum[i][j] = v_set1(0);
    const int steps = group / 4;
    struct strip strip;
    strip_prepare(rows, most, w, &strip);
#ifdef GEMM8_LANES_NAME
    if (lanes && group == 16) add_whole(rows, vectors, most, depth, w, x, at, sum);
#endif
    for (int g = 0; !(lanes && group == 16) && g < depth / group; g++) {
        vi dot[STRIP][VECTORS];
        const int first = g * group / 16;
        group_dot(rows, vectors, steps, most, w, &strip, group_at(lanes, group, g), lanes ? 32 : 4, x, columns,
                  g * steps, at, dot);
#pragma GCC unroll 4
        for (int j = 0; j < vectors; j++) {
            vf across = v_load(&x->scale[first / 2][at + (uint32_t)j * LANES]);
            vf total = v_load(&x->sum[first][at + (uint32_t)j * LANES]);
            if (group == 32) total = total + v_load(&x->sum[first + 1][at + (uint32_t)j * LANES]);
#pragma GCC unroll 8
            for (int i = 0; i < rows; i++) {
                vf addend = v_set1(w[i].scale[first]) * across * i_float(dot[i][j]);
                if (HAS_MINIMUM8(most)) addend = v_fnma(v_set1(MINIMUM8(most)[first]), total, addend);
                sum[i][j] = sum[i][j] + addend;
            }
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < vectors; j++) {
            float *to = c + i * XN_CPU_PANEL + j * LANES;
            if (accumulate) sum[i][j] = v_load(to) + sum[i][j];
            v_store(to, sum[i][j]);
        }
}

// Columns from `at` on that fill so many vectors, for one kind of weights.
static inline __attribute__((always_inline)) void columns8(const int vectors, const int group, const uint32_t most,
                                                           const bool lanes, const int depth, uint32_t m,
                                                           const struct xn_cpu_row8 *w, const struct xn_cpu_chunk *x,
                                                           uint32_t at, float *c, bool accumulate) {
    struct columns columns;
    columns_prepare(vectors, most, depth, x, at, &columns);
    for (uint32_t i = 0; i < m;) {
        float *to = c + (size_t)i * XN_CPU_PANEL + at;
        if (m - i >= STRIP_OF(vectors)) {
            strip8(STRIP_OF(vectors), vectors, group, most, lanes, depth, w + i, x, &columns, at, to, accumulate);
            i += STRIP_OF(vectors);
        } else {
            strip8(1, vectors, group, most, lanes, depth, w + i, x, &columns, at, to, accumulate);
            i++;
        }
    }
}

// All panels, for one kind of weights.
static inline __attribute__((always_inline)) void panels8(const int group, const uint32_t most, const bool lanes,
                                                          const int depth, uint32_t m, const struct xn_cpu_row8 *w,
                                                          const struct xn_cpu_chunk *x, size_t stride, uint32_t n,
                                                          float *c, size_t c_stride, bool accumulate) {
    for (uint32_t p = 0; p < n; p += XN_CPU_PANEL, x += stride, c += c_stride) {
        uint32_t columns = n - p < XN_CPU_PANEL ? n - p : XN_CPU_PANEL, left;
        for (uint32_t at = 0; at < columns;) {
            left = (columns - at + LANES - 1) / LANES;
            if (VECTORS > 2 && left > 3) {
                columns8(VECTORS, group, most, lanes, depth, m, w, x, at, c, accumulate);
                at += VECTORS * LANES;
            } else if (left > 1) {
                columns8(2, group, most, lanes, depth, m, w, x, at, c, accumulate);
                at += 2 * LANES;
            } else {
                columns8(1, group, most, lanes, depth, m, w, x, at, c, accumulate);
                at += LANES;
            }
        }
    }
}

#define GEMM8(name)                                                                                                    \
    void name(uint32_t m, const struct xn_cpu_row8 *w, uint32_t group, uint32_t most, uint32_t depth,                  \
              const struct xn_cpu_chunk *x, size_t stride, uint32_t n, float *c, size_t c_stride, bool accumulate) {   \
        GEMM8_KINDS                                                                                                    \
    }

#define PANELS(group, most) panels8(group, most, false, (int)depth, m, w, x, stride, n, c, c_stride, accumulate)
GEMM8(GEMM8_NAME)
#ifdef GEMM8_LANES_NAME
#undef PANELS
#define PANELS(group, most) panels8(group, most, true, (int)depth, m, w, x, stride, n, c, c_stride, accumulate)
GEMM8(GEMM8_LANES_NAME)
#endif
