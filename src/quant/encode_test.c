// Encoding: how much of random weights each format keeps, that importance is heeded, and that odd inputs do no harm.
#include "quant/format.h"

#include "base/memory.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 256 * 64 };

static uint32_t seed;

static float uniform(void) { // 0 to 1
    seed = seed * 1664525 + 1013904223;
    return (float)(seed >> 8) * 0x1p-24f;
}

// Nearly normal, standard deviation 1.
static float normal(void) {
    float sum = 0;
    for (int i = 0; i < 12; i++)
        sum += uniform();
    return sum - 6;
}

// What of normal values is lost, root mean square: a little more than what the encoders reach, and below what rounding
// without a search for scales does. `slow`: tried on fewer values.
static const struct {
    enum xn_type type;
    double error;
    bool slow;
} bounds[] = {
    {XN_F32, 0, false},       {XN_F64, 0, false},        {XN_F16, 0.00022, false},   {XN_BF16, 0.0018, false},
    {XN_Q8_0, 0.0056, false}, {XN_Q4_0, 0.083, false},   {XN_Q4_1, 0.072, false},    {XN_Q5_0, 0.0413, false},
    {XN_Q5_1, 0.0348, false}, {XN_Q2_K, 0.272, false},   {XN_Q3_K, 0.148, false},    {XN_Q4_K, 0.0727, false},
    {XN_Q5_K, 0.036, false},  {XN_Q6_K, 0.0175, false},  {XN_IQ4_NL, 0.0758, false}, {XN_IQ4_XS, 0.0764, false},
    {XN_TQ1_0, 0.447, false}, {XN_TQ2_0, 0.447, false},  {XN_MXFP4, 0.1165, false},  {XN_NVFP4, 0.0855, false},
    {XN_IQ1_S, 0.46, true},   {XN_IQ1_M, 0.43, true},    {XN_IQ2_XXS, 0.34, true},   {XN_IQ2_XS, 0.297, true},
    {XN_IQ2_S, 0.25, true},   {XN_IQ3_XXS, 0.185, true}, {XN_IQ3_S, 0.137, true},
};

static size_t row_of(uint32_t type) {
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
        if (bounds[i].type == type) return i;
    fail_msg("no bound for type %u", type);
    return 0;
}

static double bound_of(uint32_t type) {
    return bounds[row_of(type)].error;
}

// Encodes and decodes; returns the weighted error as a share of the weighted sum of squares (both root).
static double lost(const struct xn_format *format, const float *x, size_t n, const float *importance,
                   const float *judge) {
    size_t bytes;
    assert_true(xn_format_bytes(format, n, &bytes));
    uint8_t *blocks = xn_alloc(bytes, 1);
    float *y = xn_alloc(n, sizeof *y);
    format->encode(x, blocks, n, importance);
    format->decode(blocks, y, n);
    double error = 0, sum = 0;
    for (size_t i = 0; i < n; i++) {
        double w = judge ? (double)judge[i] : 1, e = (double)x[i] - (double)y[i];
        error += w * e * e;
        sum += w * (double)x[i] * (double)x[i];
    }
    free(blocks);
    free(y);
    return sqrt(error / sum);
}

static void normal_values_keep_what_their_bits_allow(void **state) {
    (void)state;
    static float x[N], w[N];
    static const float sizes[] = {1, 0.03f, 40};
    for (uint32_t type = 0; type < XN_TYPE_COUNT; type++) {
        const struct xn_format *format = xn_format_of(type);
        if (!format || !format->encode) continue;
        for (int s = 0; s < 3; s++) {
            seed = 7;
            for (int i = 0; i < N; i++) {
                x[i] = sizes[s] * normal();
                w[i] = uniform() * uniform();
            }
            // NVFP4's scales end at 2^-9 (subnormal): small values lose more.
            double bound = bound_of(type) * (type == XN_NVFP4 && sizes[s] < 0.1f ? 1.5 : 1);
            size_t n = bounds[row_of(type)].slow ? 2048 : N;
            double found = lost(format, x, n, NULL, NULL);
            if (found > bound)
                fail_msg("%s, values of %g: %.5f lost, %.5f allowed", format->name, sizes[s], found, bound);
            // Whoever's error counts more loses less than without saying so.
            double blind = lost(format, x, n, NULL, w), heeded = lost(format, x, n, w, w);
            if (heeded > blind) fail_msg("%s: %.6f lost with importance, %.6f without", format->name, heeded, blind);
        }
    }
}

static void what_a_format_can_hold_it_keeps(void **state) {
    (void)state;
    // The values of encoded blocks, encoded again, are nearly the same: all have a scale that hits them.
    static const enum xn_type types[] = {XN_Q4_0, XN_Q5_0, XN_Q8_0, XN_IQ4_NL, XN_TQ1_0, XN_TQ2_0, XN_MXFP4, XN_NVFP4};
    static float x[N], y[N];
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        const struct xn_format *format = xn_format_of(types[t]);
        seed = 11;
        for (int i = 0; i < N; i++)
            x[i] = normal();
        size_t bytes;
        assert_true(xn_format_bytes(format, N, &bytes));
        uint8_t *blocks = xn_alloc(bytes, 1);
        format->encode(x, blocks, N, NULL);
        format->decode(blocks, y, N);
        free(blocks);
        double again = lost(format, y, N, NULL, NULL);
        if (again > 1e-3) fail_msg("%s: %.6f lost of its own values", format->name, again);
    }
    // Values of -d, 0 and d are exact in the ternary formats.
    seed = 13;
    for (int i = 0; i < N; i++)
        x[i] = 0.25f * floorf(uniform() * 3 - 1);
    assert_true(lost(xn_format_of(XN_TQ1_0), x, N, NULL, NULL) == 0);
    assert_true(lost(xn_format_of(XN_TQ2_0), x, N, NULL, NULL) == 0);
}

static void q8_0_is_within_half_a_step(void **state) {
    (void)state;
    const struct xn_format *format = xn_format_of(XN_Q8_0);
    float x[32], y[32];
    uint8_t block[34];
    seed = 17;
    for (int round = 0; round < 1000; round++) {
        float largest = 0;
        for (int i = 0; i < 32; i++) {
            x[i] = normal() * (1 + (float)round);
            largest = fmaxf(largest, fabsf(x[i]));
        }
        format->encode(x, block, 32, NULL);
        format->decode(block, y, 32);
        // Half a step, and what the scale loses as a 16-bit float, at most 127 steps of 2^-11 of one.
        for (int i = 0; i < 32; i++)
            assert_true(fabsf(x[i] - y[i]) <= largest / 127 * (0.5f + 127 * 0x1p-11f));
    }
}

static void odd_values_do_no_harm(void **state) {
    (void)state;
    enum { M = 256 };
    static const float odd[] = {0,    -0.0f, 1e-45f, -1e-40f, 1e-30f,   1e-10f,    6e-8f, 65504,  -65504,
                                1e5f, 1e30f, -3e38f, 3.4e38f, INFINITY, -INFINITY, NAN,   -1e-3f, 1};
    enum { ODD = sizeof odd / sizeof *odd };
    for (uint32_t type = 0; type < XN_TYPE_COUNT; type++) {
        const struct xn_format *format = xn_format_of(type);
        if (!format || !format->encode) continue;
        size_t bytes;
        assert_true(xn_format_bytes(format, M, &bytes));
        float x[M], y[M], w[M];
        // Exactly as large as the values need: the sanitizers see a byte more.
        uint8_t *blocks = xn_alloc(bytes + 1, 1);
        format->encode(x, blocks, 0, NULL);
        for (int a = 0; a < ODD; a++) {
            for (int b = 0; b < ODD; b++) {
                if (bounds[row_of(type)].slow && (a + b) % 12) continue;
                for (int i = 0; i < M; i++) {
                    x[i] = i % 7 == 3 ? odd[b] : odd[a];
                    w[i] = i % 5 == 0 ? 0 : fabsf(odd[(a + i) % 10]);
                }
                for (int weighted = 0; weighted < 2; weighted++) {
                    format->encode(x, blocks + 1, M, weighted ? w : NULL);
                    format->decode(blocks + 1, y, M);
                    bool moderate = fabsf(odd[a]) < 7e4f && fabsf(odd[b]) < 7e4f;
                    for (int i = 0; i < M; i++)
                        if (moderate && !isfinite(y[i]))
                            fail_msg("%s: %g and %g give %g", format->name, odd[a], odd[b], y[i]);
                }
            }
        }
        // Nothing becomes nothing.
        memset(x, 0, sizeof x);
        format->encode(x, blocks, M, NULL);
        format->decode(blocks, y, M);
        for (int i = 0; i < M; i++)
            assert_true(y[i] == 0);
        free(blocks);
    }
}

// One large value among small ones must not swamp them all where a format has groups; and a shift must not hurt those
// with minima.
static void outliers_and_shifts_are_coped_with(void **state) {
    (void)state;
    static float x[N];
    static const enum xn_type grouped[] = {XN_Q4_K, XN_Q5_K, XN_Q6_K, XN_IQ4_XS};
    // The group with the outlier has steps 4 times as wide, an eighth of the values 16 times the square error:
    // with 1.56 times the energy to relate it to, 1.36 times the loss. Were all values swamped it would be 3.2 times.
    for (size_t t = 0; t < 4; t++) {
        seed = 19;
        for (int i = 0; i < N; i++)
            x[i] = normal() * (i % 256 == 77 ? 12 : 1);
        double found = lost(xn_format_of(grouped[t]), x, N, NULL, NULL);
        if (found > 1.6 * bound_of(grouped[t])) fail_msg("%s: %.6f lost", xn_format_of(grouped[t])->name, found);
    }
    static const enum xn_type shifted[] = {XN_Q4_1, XN_Q5_1, XN_Q2_K, XN_Q4_K, XN_Q5_K};
    for (size_t t = 0; t < 5; t++) {
        seed = 23;
        for (int i = 0; i < N; i++)
            x[i] = normal() - 20;
        // The spread is a twentieth of the size, and the error a share of the spread (the K formats' minima are rounded
        // too).
        double found = lost(xn_format_of(shifted[t]), x, N, NULL, NULL);
        if (found > bound_of(shifted[t]) / 20 * 2.5) fail_msg("%s: %.6f lost", xn_format_of(shifted[t])->name, found);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normal_values_keep_what_their_bits_allow),
        cmocka_unit_test(what_a_format_can_hold_it_keeps),
        cmocka_unit_test(q8_0_is_within_half_a_step),
        cmocka_unit_test(odd_values_do_no_harm),
        cmocka_unit_test(outliers_and_shifts_are_coped_with),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
