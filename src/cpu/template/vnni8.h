// group_dot of template/gemm8.h with VNNI, after `i_dot(sum, weights, x)`.
#pragma once

struct strip { // signed integers moved up by 128, which becomes a minimum: the instruction takes unsigned weights
    uint8_t q[STRIP][XN_CPU_SUPER];
    float minimum[STRIP][XN_CPU_SUPER / 16];
};

static inline __attribute__((always_inline)) void strip_prepare(const int rows, const uint32_t most,
                                                                const struct xn_cpu_row8 *w, struct strip *strip) {
    if (most <= 127) return;
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < XN_CPU_SUPER; j += 4 * LANES)
            i_store(&strip->q[i][j], i_shift(i_load((const int8_t *)w[i].q + j)));
        for (int j = 0; j < XN_CPU_SUPER / 16; j += LANES)
            v_store(&strip->minimum[i][j], v_load(&w[i].scale[j]) * v_set1(128));
    }
}

struct columns {
    char nothing;
};
static inline void columns_prepare(const int vectors, const uint32_t most, const int depth,
                                   const struct xn_cpu_chunk *x, uint32_t at, struct columns *columns) {
    (void)vectors, (void)most, (void)depth, (void)x, (void)at, (void)columns;
}

static inline __attribute__((always_inline)) void group_dot(const int rows, const int vectors, const int steps,
                                                            const uint32_t most, const struct xn_cpu_row8 *w,
                                                            const struct strip *strip, int at, const int apart,
                                                            const struct xn_cpu_chunk *x, const struct columns *columns,
                                                            int first, uint32_t column, vi dot[STRIP][VECTORS]) {
    (void)columns;
#pragma GCC unroll 8
    for (int t = 0; t < steps; t++) {
        vi right[VECTORS];
#pragma GCC unroll 4
        for (int j = 0; j < vectors; j++)
            right[j] = i_load(x->q[first + t][column + (uint32_t)j * LANES]);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            vi weights = i_weights((most > 127 ? strip->q[i] : w[i].q) + at + apart * t);
#pragma GCC unroll 4
            for (int j = 0; j < vectors; j++)
                dot[i][j] = i_dot(t == 0 ? i_zero() : dot[i][j], weights, right[j]);
        }
    }
}

#define HAS_MINIMUM8(most) true
#define MINIMUM8(most) ((most) > 127 ? strip.minimum[i] : w[i].minimum)

#define GEMM8_KINDS                                                                                                    \
    if (group == 32 && most <= 127)                                                                                    \
        PANELS(32, 127);                                                                                               \
    else if (group == 32)                                                                                              \
        PANELS(32, 255);                                                                                               \
    else if (most <= 127)                                                                                              \
        PANELS(16, 127);                                                                                               \
    else                                                                                                               \
        PANELS(16, 255);
