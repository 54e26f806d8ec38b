// group_dot of template/gemm8.h without VNNI: products of bytes are summed in pairs of 16 bits, as many pairs as fit,
// and then widened. Of signed integers' products one pair fits.
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

static inline __attribute__((always_inline)) void group_dot(const int rows, const int vectors, const int steps,
                                                            const uint32_t most, const struct xn_cpu_row8 *w,
                                                            const struct strip *strip, int at, const int apart,
                                                            const int8_t (*x)[4], vi dot[STRIP][VECTORS]) {
    const bool is_signed = most > 127;
    const int fit = is_signed ? 1 : 32767 / (2 * 127 * (int)most), at_once = fit < steps ? fit : steps;
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < vectors; j++)
            dot[i][j] = i_zero();
#pragma GCC unroll 8
    for (int s = 0; s < steps; s += at_once) {
        vi pairs[STRIP][VECTORS];
#pragma GCC unroll 8
        for (int t = s; t < s + at_once; t++) {
            vi weights[STRIP], size[STRIP];
#pragma GCC unroll 8
            for (int i = 0; i < rows; i++) {
                weights[i] = i_weights(w[i].q + at + apart * t);
                if (is_signed) size[i] = i_weights((const uint8_t *)strip->size[i] + at + apart * t);
            }
#pragma GCC unroll 4
            for (int j = 0; j < vectors; j++) {
                vi right = i_load(x[t * XN_CPU_PANEL + j * LANES]);
#pragma GCC unroll 8
                for (int i = 0; i < rows; i++) {
                    vi product = is_signed ? i_pairs(size[i], i_sign(right, weights[i])) : i_pairs(weights[i], right);
                    // Added now: compilers would rather keep all products, and then have no registers for them.
                    if (at_once == 1) {
                        dot[i][j] = i_add32(dot[i][j], i_widen(product));
                        __asm__("" : I_REGISTER(dot[i][j]));
                        continue;
                    }
                    pairs[i][j] = t == s ? product : i_add16(pairs[i][j], product);
                    __asm__("" : I_REGISTER(pairs[i][j]));
                }
            }
        }
        if (at_once == 1) continue;
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
            for (int j = 0; j < vectors; j++)
                dot[i][j] = i_add32(dot[i][j], i_widen(pairs[i][j]));
    }
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
    else if (most <= 15)                                                                                               \
        PANELS(16, 15);                                                                                                \
    else if (most <= 63)                                                                                               \
        PANELS(16, 63);                                                                                                \
    else if (most <= 127)                                                                                              \
        PANELS(16, 127);                                                                                               \
    else                                                                                                               \
        PANELS(16, 255);
