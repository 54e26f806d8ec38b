// group_dot of template/gemm8.h without VNNI: products of bytes are summed in pairs of 16 bits, as many pairs as fit,
// and then widened. Integers that use all of a byte are taken as the signed ones that they were (int_formats.inc): of
// their products one pair fits.
#pragma once

struct strip { // of signed integers: as they are, and without their signs
    int8_t value[STRIP][XN_CPU_SUPER], size[STRIP][XN_CPU_SUPER];
};

static inline __attribute__((always_inline)) void strip_prepare(const int rows, const uint32_t most, const uint8_t *w,
                                                                struct strip *strip) {
    if (most <= 127) return;
    for (int i = 0; i < rows; i++, w += XN_CPU_SUPER)
        for (int j = 0; j < XN_CPU_SUPER; j += 4 * LANES) {
            vi value = i_down(i_load((const int8_t *)w + j));
            i_store(&strip->value[i][j], value);
            i_store(&strip->size[i][j], i_abs(value));
        }
}

static inline __attribute__((always_inline)) void group_dot(const int rows, const int steps, const uint32_t most,
                                                            const uint8_t *w, const struct strip *strip, int at,
                                                            const int8_t (*x)[4], vi dot[STRIP][VECTORS]) {
    const bool is_signed = most > 127;
    const int fit = is_signed ? 1 : 32767 / (2 * 127 * (int)most), at_once = fit < steps ? fit : steps;
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < VECTORS; j++)
            dot[i][j] = i_zero();
#pragma GCC unroll 8
    for (int s = 0; s < steps; s += at_once) {
        vi pairs[STRIP][VECTORS];
#pragma GCC unroll 8
        for (int t = s; t < s + at_once; t++) {
            vi weights[STRIP], size[STRIP];
#pragma GCC unroll 8
            for (int i = 0; i < rows; i++) {
                const uint8_t *from = is_signed ? (const uint8_t *)strip->value[i] : w + (size_t)i * XN_CPU_SUPER;
                weights[i] = i_weights(from + at + 4 * t);
                if (is_signed) size[i] = i_weights((const uint8_t *)strip->size[i] + at + 4 * t);
            }
#pragma GCC unroll 4
            for (int j = 0; j < VECTORS; j++) {
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
            for (int j = 0; j < VECTORS; j++)
                dot[i][j] = i_add32(dot[i][j], i_widen(pairs[i][j]));
    }
}

#define HAS_MINIMUM8(most) ((most) <= 127)

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
