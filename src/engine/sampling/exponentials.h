// The terms of a softmax over a whole vocabulary, in loops that the compiler turns into vectors.
#pragma once

#include "device/candidates.h"

// e^x for x <= 0 to 2 units in the last place, without a call, so that a loop over it becomes vectors: x = k ln 2 + r
// with |r| <= ln 2 / 2, the series of e^r to r^7, and k added to the exponent. Below -87 it is 0; NaN gives 0.
static inline __attribute__((always_inline)) float xn_exp_below(float x) {
    const float shift = 0x1.8p23f; // adding it rounds to a whole number
    float inside = x > -87.0f ? x : -87.0f;
    float k = (inside * 0x1.715476p0f + shift) - shift;
    float r = (inside - k * 0x1.62e4p-1f) - k * 0x1.7f7d1cp-20f; // ln 2 in two parts: the first product is exact
    float e =
        1.0f + r * (1.0f + r * (0.5f + r * (0x1.555556p-3f +
                                            r * (0x1.555556p-5f +
                                                 r * (0x1.111112p-7f + r * (0x1.6c16c2p-10f + r * 0x1.a01a02p-13f))))));
    union {
        int32_t bits;
        float value;
    } power = {.bits = ((int32_t)k + 127) * (1 << 23)};
    return x > -87.0f ? e * power.value : 0;
}

enum { XN_EXP_CHUNK = XN_SUM_CHUNK }; // terms summed in single precision; the sums of chunks are added in double
// The sum of xn_exp_below(x - max) over x[n], of a chunk at the most. The order of the additions is fixed
// (device/candidates.h), so that vectors of any width, and GPUs, give the same bits.
static inline __attribute__((always_inline)) double xn_sum_terms(const float *x, int32_t n, float max) {
    enum { LANES = XN_SUM_LANES };
    float sums[LANES] = {0};
    double sum = 0;
    int32_t at = 0;
    for (; at + LANES <= n; at += LANES)
        for (int i = 0; i < LANES; i++)
            sums[i] += xn_exp_below(x[at + i] - max);
    for (; at < n; at++)
        sums[0] += xn_exp_below(x[at] - max);
    for (int i = 0; i < LANES; i++)
        sum += (double)sums[i];
    return sum;
}
