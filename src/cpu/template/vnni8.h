// group_dot of template/gemm8.h with VNNI, after `i_dot(sum, weights, x)`.
#pragma once

struct strip {
    char unused;
};

static inline void strip_prepare(int rows, uint32_t most, const uint8_t *w, struct strip *strip) {
    (void)rows, (void)most, (void)w, (void)strip;
}

static inline __attribute__((always_inline)) void group_dot(const int rows, const int steps, const uint32_t most,
                                                            const uint8_t *w, const struct strip *strip, int at,
                                                            const int8_t (*x)[4], vi dot[STRIP][VECTORS]) {
    (void)most, (void)strip; // sums have 32 bits
#pragma GCC unroll 8
    for (int t = 0; t < steps; t++) {
        vi right[VECTORS];
#pragma GCC unroll 4
        for (int j = 0; j < VECTORS; j++)
            right[j] = i_load(x[t * XN_CPU_PANEL + j * LANES]);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            vi weights = i_weights(w + (size_t)i * XN_CPU_SUPER + at + 4 * t);
#pragma GCC unroll 4
            for (int j = 0; j < VECTORS; j++)
                dot[i][j] = i_dot(t == 0 ? i_zero() : dot[i][j], weights, right[j]);
        }
    }
}

#define HAS_MINIMUM8(most) true

#define GEMM8_KINDS                                                                                                    \
    (void)most;                                                                                                        \
    if (group == 32)                                                                                                   \
        PANELS(32, 255);                                                                                               \
    else                                                                                                               \
        PANELS(16, 255);
