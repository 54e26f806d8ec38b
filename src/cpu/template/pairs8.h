// group_dot and add_dot of template/gemm8.h without VNNI: products of bytes are summed in pairs of 16 bits, as many
// pairs as fit, and then widened. That is for unsigned weights; signed ones are multiplied as numbers of 16 bits, the
// even bytes of a dword and the odd ones, into which both sides are taken apart beforehand. (Products of bytes want one
// side unsigned: with the weights' signs on the activations they are three instructions that only two units of Zen 4
// execute, against two.)
#pragma once

struct strip {
    int16_t even[STRIP][XN_CPU_SUPER / 2], odd[STRIP][XN_CPU_SUPER / 2];
};

static inline __attribute__((always_inline)) void strip_prepare(const int rows, const uint32_t most,
                                                                const struct xn_cpu_row8 *w, struct strip *strip) {
    if (most <= 127) return;
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < XN_CPU_SUPER / 4; j += LANES) {
            vi q = i_load((const int8_t *)w[i].q + 4 * j);
            i_store(&strip->even[i][2 * j], i_even(q));
            i_store(&strip->odd[i][2 * j], i_odd(q));
        }
}

struct columns {
    int16_t even[XN_CPU_SUPER / 4][XN_CPU_PANEL][2], odd[XN_CPU_SUPER / 4][XN_CPU_PANEL][2];
};

static inline __attribute__((always_inline)) void columns_prepare(const int vectors, const uint32_t most,
                                                                  const int depth, const struct xn_cpu_chunk *x,
                                                                  uint32_t at, struct columns *columns) {
    if (most <= 127) return;
    for (int t = 0; t < depth / 4; t++)
#pragma GCC unroll 4
        for (int j = 0; j < vectors; j++) {
            vi q = i_load(x->q[t][at + (uint32_t)j * LANES]);
            i_store(columns->even[t][j * LANES], i_even(q));
            i_store(columns->odd[t][j * LANES], i_odd(q));
        }
}

// Products with signed weights over `steps` dwords of columns from `first` on.
static inline __attribute__((always_inline)) void signed_dot(const int rows, const int vectors, const int steps,
                                                             const struct strip *strip, int at, const int apart,
                                                             const struct columns *columns, int first,
                                                             vi dot[STRIP][VECTORS]) {
#pragma GCC unroll 8
    for (int t = 0; t < steps; t++) {
        vi even[STRIP], odd[STRIP];
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            even[i] = i_weights((const uint8_t *)strip->even[i] + at + apart * t);
            odd[i] = i_weights((const uint8_t *)strip->odd[i] + at + apart * t);
        }
#pragma GCC unroll 4
        for (int j = 0; j < vectors; j++) {
            vi x_even = i_load((const int8_t *)columns->even[first + t][j * LANES]);
            vi x_odd = i_load((const int8_t *)columns->odd[first + t][j * LANES]);
            __asm__("" : I_REGISTER(x_even), I_REGISTER(x_odd)); // or each row would load them
#pragma GCC unroll 8
            for (int i = 0; i < rows; i++) {
                vi product = i_products16(even[i], x_even);
                dot[i][j] = t == 0 ? product : i_add32(dot[i][j], product);
                dot[i][j] = i_add32(dot[i][j], i_products16(odd[i], x_odd));
                __asm__("" : I_REGISTER(dot[i][j])); // compilers would rather keep all products
            }
        }
    }
}

// Adds to `dot` (`fresh`: is that, dot being nothing) the products with unsigned weights over `steps` dwords of
// columns, for each row of weights times its `by`, pairs of numbers of 16 bits.
static inline __attribute__((always_inline)) void add_dot(const int rows, const int vectors, const int steps,
                                                          const uint32_t most, const struct xn_cpu_row8 *w, int at,
                                                          const int apart, const int8_t (*x)[4], const vi by[STRIP],
                                                          const bool fresh, vi dot[STRIP][VECTORS]) {
    const int fit = most > 127 ? 1 : 32767 / (2 * 127 * (int)most), at_once = fit < steps ? fit : steps;
#pragma GCC unroll 8
    for (int s = 0; s < steps; s += at_once) {
        if (at_once <= 2) { // few enough to stay in registers as they are, beside `dot`
            vi weights[2][STRIP];
            for (int t = 0; t < at_once; t++)
#pragma GCC unroll 8
                for (int i = 0; i < rows; i++)
                    weights[t][i] = i_weights(w[i].q + at + apart * (s + t));
#pragma GCC unroll 4
            for (int j = 0; j < vectors; j++) {
                vi right[2];
                for (int t = 0; t < at_once; t++)
                    right[t] = i_load(x[(s + t) * XN_CPU_PANEL + j * LANES]);
#pragma GCC unroll 8
                for (int i = 0; i < rows; i++) {
                    vi pairs = i_pairs(weights[0][i], right[0]);
                    if (at_once == 2) pairs = i_add16(pairs, i_pairs(weights[1][i], right[1]));
                    vi wide = i_products16(pairs, by[i]);
                    dot[i][j] = fresh && s == 0 ? wide : i_add32(dot[i][j], wide);
                    __asm__("" : I_REGISTER(dot[i][j]));
                }
            }
            continue;
        }
        vi pairs[STRIP][VECTORS];
#pragma GCC unroll 8
        for (int t = s; t < s + at_once; t++) {
            vi weights[STRIP];
#pragma GCC unroll 8
            for (int i = 0; i < rows; i++)
                weights[i] = i_weights(w[i].q + at + apart * t);
#pragma GCC unroll 4
            for (int j = 0; j < vectors; j++) {
                vi right = i_load(x[t * XN_CPU_PANEL + j * LANES]);
#pragma GCC unroll 8
                for (int i = 0; i < rows; i++) {
                    vi product = i_pairs(weights[i], right);
                    pairs[i][j] = t == s ? product : i_add16(pairs[i][j], product);
                    __asm__("" : I_REGISTER(pairs[i][j]));
                }
            }
        }
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
            for (int j = 0; j < vectors; j++) {
                vi wide = i_products16(pairs[i][j], by[i]);
                dot[i][j] = fresh && s == 0 ? wide : i_add32(dot[i][j], wide);
            }
    }
}

static inline __attribute__((always_inline)) void group_dot(const int rows, const int vectors, const int steps,
                                                            const uint32_t most, const struct xn_cpu_row8 *w,
                                                            const struct strip *strip, int at, const int apart,
                                                            const struct xn_cpu_chunk *x, const struct columns *columns,
                                                            int first, uint32_t column, vi dot[STRIP][VECTORS]) {
    if (most > 127) {
        signed_dot(rows, vectors, steps, strip, at, apart, columns, first, dot);
        return;
    }
    vi ones[STRIP];
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
        ones[i] = i_ones16();
    add_dot(rows, vectors, steps, most, w, at, apart, &x->q[first][column], ones, true, dot);
}

#define HAS_MINIMUM8(most) ((most) <= 127)
#define MINIMUM8(most) w[i].minimum

// Integers up to 3, 15, 31 and 63 need different sums.
#define GEMM8_KINDS                                                                                                    \
    if (group == 32 && most <= 15)                                                                                     \
        PANELS(32, 15);                                                                                                \
    else if (group == 32 && most <= 31)                                                                                \
        PANELS(32, 31);                                                                                                \
    else if (group == 32 && most <= 127)                                                                               \
        PANELS(32, 127);                                                                                               \
    else if (group == 32)                                                                                              \
        PANELS(32, 255);                                                                                               \
    else if (most <= 3)                                                                                                \
        PANELS(16, 3);                                                                                                 \
    else if (most <= 15)                                                                                               \
        PANELS(16, 15);                                                                                                \
    else if (most <= 63)                                                                                               \
        PANELS(16, 63);                                                                                                \
    else if (most <= 127)                                                                                              \
        PANELS(16, 127);                                                                                               \
    else                                                                                                               \
        PANELS(16, 255);
