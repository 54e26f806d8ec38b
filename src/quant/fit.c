#include "quant/fit.h"

#include <math.h>
#include <stdlib.h>

// Sums run in eight lanes, which compilers turn into vectors (a float sum in one chain they must leave as it is).
// Groups are multiples of 8 values.
enum { LANES = 8 };

static float sum_of(const float lanes[LANES]) {
    float sum = 0;
    for (int j = 0; j < LANES; j++)
        sum += lanes[j];
    return sum;
}

// Below this a value counts as zero: its reciprocal would not be finite.
static const float tiny = 0x1p-120f;

struct xn_codes xn_codes_whole(int lo, int hi) {
    return (struct xn_codes){.lo = (float)lo, .hi = (float)hi};
}

struct xn_codes xn_codes_of(const int8_t values[16]) {
    int lo = values[0], hi = values[0];
    for (int i = 1; i < 16; i++) {
        lo = values[i] < lo ? values[i] : lo;
        hi = values[i] > hi ? values[i] : hi;
    }
    struct xn_codes codes = {.lo = (float)lo, .hi = (float)hi, .values = values};
    // Halfway between two whole numbers is a multiple of 1/2, so a bin lies on one side of it: its middle speaks for
    // all.
    for (int j = 0; j < 2 * (hi - lo); j++) {
        int four = 2 * j + 1 + 4 * lo; // four times the bin's middle
        int best = 0;
        for (int i = 1; i < 16; i++)
            if (abs(4 * values[i] - four) < abs(4 * values[best] - four)) best = i;
        codes.nearest[j] = (uint8_t)best;
    }
    codes.nearest[2 * (hi - lo)] = codes.nearest[2 * (hi - lo) - 1];
    return codes;
}

static inline int index_of(const struct xn_codes *codes, float v) {
    float bin = (v - codes->lo) * 2, last = (codes->hi - codes->lo) * 2;
    bin = bin > 0 ? bin : 0;
    bin = bin < last ? bin : last;
    return codes->nearest[(int)bin];
}

// The codes nearest to x / d, in code units.
static void round_to_codes(const struct xn_codes *codes, const float *x, int n, float inverse, float *c, int8_t *q) {
    if (!codes->values) {
        for (int i = 0; i < n; i++)
            c[i] = xn_nearest(x[i] * inverse, codes->lo, codes->hi);
        for (int i = 0; q && i < n; i++)
            q[i] = (int8_t)c[i];
        return;
    }
    for (int i = 0; i < n; i++) {
        int index = index_of(codes, x[i] * inverse);
        c[i] = (float)codes->values[index];
        if (q) q[i] = (int8_t)index;
    }
}

static float inverse_of(float d) {
    return fabsf(d) > tiny ? 1 / d : 0;
}

float xn_codes_quantize(const struct xn_codes *codes, const float *x, const float *w, int n, float d, int8_t *q) {
    float c[XN_GROUP_MAX], error[LANES] = {0};
    round_to_codes(codes, x, n, inverse_of(d), c, q);
    for (int i = 0; i < n; i += LANES) {
        for (int j = 0; j < LANES; j++) {
            float e = x[i + j] - d * c[i + j];
            error[j] += w[i + j] * e * e;
        }
    }
    return sum_of(error);
}

static void moments(const float *x, const float *w, const float *c, int n, float *xc, float *cc) {
    float xs[LANES] = {0}, cs[LANES] = {0};
    for (int i = 0; i < n; i += LANES) {
        for (int j = 0; j < LANES; j++) {
            float wc = w[i + j] * c[i + j];
            xs[j] += wc * x[i + j];
            cs[j] += wc * c[i + j];
        }
    }
    *xc = sum_of(xs);
    *cc = sum_of(cs);
}

void xn_codes_moments(const struct xn_codes *codes, const float *x, const float *w, int n, const int8_t *q, float *xc,
                      float *cc) {
    float c[XN_GROUP_MAX];
    for (int i = 0; i < n; i++)
        c[i] = codes->values ? (float)codes->values[q[i] & 15] : (float)q[i];
    moments(x, w, c, n, xc, cc);
}

float xn_codes_fit(const struct xn_codes *codes, const float *x, const float *w, int n) {
    float extreme = 0, c[XN_GROUP_MAX];
    for (int i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(extreme)) extreme = x[i];
    if (!(fabsf(extreme) > tiny)) return 0;
    // The value of largest magnitude is laid at either end of the codes and some steps to both sides: a little beyond
    // it is clipped, a little within leaves room that finer steps for the many small values can repay.
    const int steps = 3;
    const float step = codes->values ? (codes->hi - codes->lo) / 90 : 0.25f, ends[2] = {codes->lo, codes->hi};
    float best = extreme / codes->lo, best_gain = 0;
    for (int i = 0; i < 2 * (2 * steps + 1); i++) {
        float xc, cc, end = ends[i % 2] + step * (float)(i / 2 - steps);
        round_to_codes(codes, x, n, end / extreme, c, NULL);
        moments(x, w, c, n, &xc, &cc);
        // The error is the sum of w x x less xc * xc / cc, at the scale xc / cc.
        float gain = xc * xc / cc;
        if (cc > 0 && gain > best_gain) {
            best_gain = gain;
            best = xc / cc;
        }
    }
    return best;
}

float xn_affine_quantize(const float *x, const float *w, int n, float d, float m, float levels, int8_t *q) {
    float error[LANES] = {0}, inverse = inverse_of(d);
    for (int i = 0; i < n; i += LANES) {
        for (int j = 0; j < LANES; j++) {
            float c = xn_nearest((x[i + j] - m) * inverse, 0, levels);
            float e = x[i + j] - (d * c + m);
            error[j] += w[i + j] * e * e;
            if (q) q[i + j] = (int8_t)c;
        }
    }
    return sum_of(error);
}

// The d and m that suit codes c best, for y; gain is what they take off the sum of w y y. False where all codes are
// one.
static bool affine_solve(const float *y, const float *w, const float *c, int n, float limit, float *d, float *m,
                         float *gain) {
    float ws[LANES] = {0}, ys[LANES] = {0}, cs[LANES] = {0}, ycs[LANES] = {0}, ccs[LANES] = {0};
    for (int i = 0; i < n; i += LANES) {
        for (int j = 0; j < LANES; j++) {
            float wc = w[i + j] * c[i + j];
            ws[j] += w[i + j];
            ys[j] += w[i + j] * y[i + j];
            cs[j] += wc;
            ycs[j] += wc * y[i + j];
            ccs[j] += wc * c[i + j];
        }
    }
    float sw = sum_of(ws), sy = sum_of(ys), sc = sum_of(cs), syc = sum_of(ycs), scc = sum_of(ccs);
    float determinant = sw * scc - sc * sc;
    if (!(determinant > 0)) return false;
    *d = (sw * syc - sy * sc) / determinant;
    *m = (scc * sy - sc * syc) / determinant;
    if (*m > limit) {
        *m = limit;
        *d = (syc - limit * sc) / scc;
    }
    if (!(*d > 0)) return false;
    *gain = 2 * (*d * syc + *m * sy) - (*d * *d * scc + 2 * *d * *m * sc + *m * *m * sw);
    return true;
}

void xn_affine_fit(const float *x, const float *w, int n, float levels, bool below, float *d, float *m) {
    float low = x[0], high = x[0], y[XN_GROUP_MAX], c[XN_GROUP_MAX];
    for (int i = 1; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    if (below && low > 0) low = 0;
    *d = 0;
    *m = low;
    if (!(high - low > tiny)) return;
    // Sums of what lies above the lowest value: less is lost to cancellation.
    for (int i = 0; i < n; i++)
        y[i] = x[i] - low;
    *d = (high - low) / levels;
    float best_gain = 0, limit = below ? -low : INFINITY;
    const int steps = 5;
    for (int s = -steps; s <= steps; s++) {
        float inverse = (levels + 0.2f * (float)s) / (high - low), scale, minimum, gain;
        for (int i = 0; i < n; i++)
            c[i] = xn_nearest(y[i] * inverse, 0, levels);
        if (affine_solve(y, w, c, n, limit, &scale, &minimum, &gain) && gain > best_gain) {
            best_gain = gain;
            *d = scale;
            *m = low + minimum;
        }
    }
    if (below && *m > 0) *m = 0; // a rounding past the limit
}

void xn_two_level_encode(const struct xn_codes *codes, const float *x, const float *w, int groups, int limit,
                         struct xn_two_level *out) {
    const int size = 256 / groups;
    float scales[16], extreme = 0;
    for (int g = 0; g < groups; g++) {
        scales[g] = xn_codes_fit(codes, x + g * size, w + g * size, size);
        if (fabsf(scales[g]) > fabsf(extreme)) extreme = scales[g];
    }
    out->d = xn_half_of_scale(extreme / (float)-limit);
    float d = xn_f16_to_f32(out->d), total = 0, xc = 0, cc = 0;
    for (int g = 0; g < groups; g++) {
        const float *xg = x + g * size, *wg = w + g * size;
        int around = d != 0 ? (int)xn_nearest(scales[g] / d, (float)-limit, (float)(limit - 1)) : 0, best = around;
        float best_error = xn_codes_quantize(codes, xg, wg, size, d * (float)around, NULL);
        for (int s = around - 1; s <= around + 1; s += 2) {
            if (s < -limit || s >= limit) continue;
            float error = xn_codes_quantize(codes, xg, wg, size, d * (float)s, NULL);
            if (error < best_error) best_error = error, best = s;
        }
        out->scales[g] = (int8_t)best;
        total += xn_codes_quantize(codes, xg, wg, size, d * (float)best, out->q + g * size);
        float gxc, gcc;
        xn_codes_moments(codes, xg, wg, size, out->q + g * size, &gxc, &gcc);
        xc += gxc * (float)best;
        cc += gcc * (float)(best * best);
    }
    // With all that chosen, another d may suit it better.
    uint16_t refined = xn_half_of_scale(cc > 0 ? xc / cc : 0);
    float error = 0;
    int8_t q[256];
    for (int g = 0; g < groups; g++)
        error += xn_codes_quantize(codes, x + g * size, w + g * size, size,
                                   xn_f16_to_f32(refined) * (float)out->scales[g], q + g * size);
    if (error < total) {
        out->d = refined;
        memcpy(out->q, q, sizeof q);
    }
}
