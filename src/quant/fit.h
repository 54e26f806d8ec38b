// Fitting of scales: the part of encoding that the families share. All errors are weighted sums of squares. Inputs may
// be any floats; those that are not finite, or too large for a format, give some block, never undefined behaviour.
#pragma once

#include "quant/half.h"

#include <stdbool.h>
#include <stddef.h>

enum { XN_GROUP_MAX = 256 };

// The codes that a group's values are rounded to, in units of its scale: the whole numbers lo ... hi, or 16 numbers.
struct xn_codes {
    float lo, hi;
    const int8_t *values; // NULL: whole numbers; their index is the number itself
    uint8_t nearest[512]; // of values: index of the nearest to [j / 2, (j + 1) / 2) + lo
};
struct xn_codes xn_codes_whole(int lo, int hi);
struct xn_codes xn_codes_of(const int8_t values[16]);

// The code nearest to each of n values at scale d: its index into q[], where not NULL. Returns the error of d times the
// codes.
float xn_codes_quantize(const struct xn_codes *codes, const float *x, const float *w, int n, float d, int8_t *q);
// The scale (of either sign) that does best among a range around the largest value's, and the best for the codes it
// gives.
float xn_codes_fit(const struct xn_codes *codes, const float *x, const float *w, int n);
// The sums of w x c and w c c over the codes c of the indices q.
void xn_codes_moments(const struct xn_codes *codes, const float *x, const float *w, int n, const int8_t *q, float *xc,
                      float *cc);

// The same for x = d q + m with whole numbers q of 0 ... levels. With `below` m is at most 0, as in the K formats.
float xn_affine_quantize(const float *x, const float *w, int n, float d, float m, float levels, int8_t *q);
void xn_affine_fit(const float *x, const float *w, int n, float levels, bool below, float *d, float *m);

// To the nearest of lo ... hi; NaN becomes lo.
static inline float xn_nearest(float v, float lo, float hi) {
    v = v > lo ? v : lo;
    v = v < hi ? v : hi;
    return v + 0x1.8p23f - 0x1.8p23f; // numbers of that size have no fraction: the addition rounds
}

// The 16-bit float nearest to f, but never an infinity: finite weights stay finite.
static inline uint16_t xn_half_of_scale(float f) {
    f = f > -65504.0f ? f : -65504.0f;
    return xn_f32_to_f16(f < 65504.0f ? f : 65504.0f);
}

// The weights of n values: `importance`, or where it is NULL a one for each, written to `ones`.
static inline const float *xn_weights(const float *importance, size_t at, float *ones, int n) {
    if (importance) return importance + at;
    for (int i = 0; i < n; i++)
        ones[i] = 1;
    return ones;
}

// A block of 256 values whose groups' scales are whole numbers themselves, times d: x = d * scales[group] * code.
struct xn_two_level {
    uint16_t d;
    int8_t scales[16];
    int8_t q[256]; // indices of codes
};
// Encodes with `groups` groups (8 or 16) and scales of -limit ... limit - 1.
void xn_two_level_encode(const struct xn_codes *codes, const float *x, const float *w, int groups, int limit,
                         struct xn_two_level *out);
