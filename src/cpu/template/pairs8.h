// group_dot and add_dot of template/gemm8.h without VNNI: products of bytes are summed in pairs of 16 bits, as many
// pairs as fit, and then widened. Of signed integers' products one pair fits.
#pragma once

struct strip { // signed integers without their signs
    int8_t size[STRIP][XN_CPU_SUPER];
};

static inline __attribute__((always_inline)) void strip_prepare(const int rows, const uint32_t most,
                                                                const struct xn_cpu_row8 *w, struct strip *strip) {
    if (most <= 127) return;
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < XN_CPU_SUPER; j += 4 * LANES)
            i_store(&strip->size[i][j], i_abs(i_load((const int8_t *)w[i].q + j)));
}

// Adds to `dot` (`fresh`: is that, dot being nothing) the products over `steps` dwords of columns, for each row of
// weights times its `by`, pairs of numbers of 16 bits.
static inline __attribute__((always_inline)) void add_dot(const int rows, const int vectors, const int steps,
                                                          const uint32_t most, const struct xn_cpu_row8 *w,
                                                          const struct strip *strip, int at, const int apart,
                                                          const int8_t (*x)[4], const vi by[STRIP], const bool fresh,
                                                          vi dot[STRIP][VECTORS]) {
    const bool is_signed = most > 127;
    const int fit = is_signed ? 1 : 32767 / (2 * 127 * (int)most), at_once = fit < steps ? fit : steps;
#pragma GCC unroll 8
    for (int s = 0; s < steps; s += at_once) {
        if (at_once <= 2) { // few enough to stay in registers as they are, beside `dot`
            vi weights[2][STRIP], size[2][STRIP];
            for (int t = 0; t < at_once; t++)
#pragma GCC unroll 8
                for (int i = 0; i < rows; i++) {
                    weights[t][i] = i_weights(w[i].q + at + apart * (s + t));
                    if (is_signed) size[t][i] = i_weights((const uint8_t *)strip->size[i] + at + apart * (s + t));
                }
#pragma GCC unroll 4
            for (int j = 0; j < vectors; j++) {
                vi right[2];
                for (int t = 0; t < at_once; t++)
                    right[t] = i_load(x[(s + t) * XN_CPU_PANEL + j * LANES]);
#pragma GCC unroll 8
                for (int i = 0; i < rows; i++) {
                    vi pairs = is_signed ? i_pairs(size[0][i], i_sign(right[0], weights[0][i]))
                                         : i_pairs(weights[0][i], right[0]);
                    if (at_once == 2) pairs = i_add16(pairs, i_pairs(weights[1][i], right[1]));
                    vi wide = i_products16(pairs, by[i]);
                    dot[i][j] = fresh && s == 0 ? wide : i_add32(dot[i][j], wide);
                    __asm__("" : I_REGISTER(dot[i][j])); // compilers would rather keep all products
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
                                                            const int8_t (*x)[4], vi dot[STRIP][VECTORS]) {
    vi ones[STRIP];
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
        ones[i] = i_ones16();
    add_dot(rows, vectors, steps, most, w, strip, at, apart, x, ones, true, dot);
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
