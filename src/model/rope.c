#include "model/rope.h"
#include "model/recipe.h"

#include <math.h>
#include <string.h>

// The i-th of the unscaled frequencies is theta^(-2i/dims). The steps are rounded to float32 one by one, as the models
// were trained: at position 3,000 an angle is 3,000 times the frequency's error away.
static float power_of(double theta, uint32_t dims, uint32_t i) {
    float exponent = (float)(2 * i) / (float)dims;
    return (float)pow(theta, exponent);
}

static float power(const struct xn_rope_params *p, uint32_t i) {
    return power_of(p->theta, p->dims, i);
}

static float llama3(const struct xn_rope_params *p, float frequency) {
    float wavelength = (float)(2 * M_PI) / frequency;
    if (wavelength < (float)(p->original / p->high)) return frequency;
    if (wavelength > (float)(p->original / p->low)) return frequency / (float)p->factor;
    float smooth = ((float)p->original / wavelength - (float)p->low) / (float)(p->high - p->low);
    return (1 - smooth) * frequency / (float)p->factor + smooth * frequency;
}

struct ramp {
    float low, high; // pairs below low keep their frequency, those above high are interpolated
};

// The pair that turns `rotations` times within the original context.
static double correction(const struct xn_rope_params *p, double rotations) {
    return p->dims * log(p->original / (rotations * 2 * M_PI)) / (2 * log(p->theta));
}

static struct ramp yarn_ramp(const struct xn_rope_params *p) {
    double low = correction(p, p->beta_fast), high = correction(p, p->beta_slow);
    if (p->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0);
    high = fmin(high, p->dims - 1);
    if (low == high) high += 0.001; // a step instead of 0 / 0
    return (struct ramp){(float)low, (float)high};
}

static float yarn(const struct xn_rope_params *p, const struct ramp *ramp, uint32_t i) {
    float position = ((float)i - ramp->low) / (ramp->high - ramp->low);
    float keep = 1 - fminf(fmaxf(position, 0), 1);
    float base = power(p, i);
    return 1 / ((float)p->factor * base) * (1 - keep) + 1 / base * keep;
}

static double yarn_mscale(double factor, double mscale) {
    return factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1;
}

static double magnitude(const struct xn_rope_params *p) {
    if (p->magnitude > 0) return p->magnitude;
    switch (p->scaling) {
    case XN_SCALING_YARN:
        if (p->mscale > 0 && p->mscale_all_dim > 0)
            return yarn_mscale(p->factor, p->mscale) / yarn_mscale(p->factor, p->mscale_all_dim);
        return yarn_mscale(p->factor, 1);
    case XN_SCALING_LONGROPE:
        return p->factor <= 1 ? 1 : sqrt(1 + log(p->factor) / log(p->original));
    default:
        return 1;
    }
}

int xn_rope_frequencies(const struct xn_rope_params *p, float *frequency, float *out_magnitude, struct xn_error *err) {
    struct ramp ramp = {0, 1};
    uint32_t turning = (uint32_t)(p->share * p->dims / 2);
    if (p->scaling == XN_SCALING_YARN) ramp = yarn_ramp(p);
    for (uint32_t i = 0; i < p->dims / 2; i++) {
        float f;
        if (p->scaling == XN_SCALING_YARN)
            f = yarn(p, &ramp, i);
        else if (p->scaling == XN_SCALING_LONGROPE && p->divisors)
            f = 1 / (p->divisors[i] * power(p, i));
        else
            f = 1 / power(p, i);
        if (p->scaling == XN_SCALING_PROPORTIONAL && i >= turning) f = 0;
        if (p->scaling == XN_SCALING_LINEAR || p->scaling == XN_SCALING_PROPORTIONAL) f /= (float)p->factor;
        if (p->scaling == XN_SCALING_LLAMA3) f = llama3(p, f);
        if (p->scaling != XN_SCALING_LONGROPE && p->divisors) f /= p->divisors[i];
        if (!isfinite(f) || f < 0)
            return xn_fail(err, XN_ERR_FORMAT, "rope: frequency %u is %g, expected a finite one; theta %g, factor %g",
                           i, f, p->theta, p->factor);
        frequency[i] = f;
    }
    double m = magnitude(p);
    if (!isfinite(m) || m <= 0)
        return xn_fail(err, XN_ERR_FORMAT,
                       "rope: magnitude is %g, expected a positive number; factor %g, original context %g", m,
                       p->factor, p->original);
    *out_magnitude = (float)m;
    return XN_OK;
}

static bool same_set(const float *a, const float *b, uint32_t dims) {
    return a == b || (a && b && memcmp(a, b, dims / 2 * sizeof *a) == 0);
}

bool xn_rope_same(const struct xn_rope *a, const struct xn_rope *b) {
    return a->dims == b->dims && a->magnitude == b->magnitude && a->original == b->original && a->theta == b->theta &&
           a->growth == b->growth && same_set(a->frequency, b->frequency, a->dims) &&
           same_set(a->long_frequency, b->long_frequency, a->dims);
}

uint32_t xn_rope_set(const struct xn_rope *rope, uint32_t length) {
    if (rope->kind == XN_ROPE_NONE || rope->original == 0 || length <= rope->original) return 0;
    return rope->long_frequency ? 1 : length;
}

const float *xn_rope_at(const struct xn_rope *rope, uint32_t length, float *scratch) {
    if (xn_rope_set(rope, length) == 0) return rope->frequency;
    if (rope->long_frequency) return rope->long_frequency;
    float stretch = rope->growth * (float)length / (float)rope->original - (rope->growth - 1);
    float theta = rope->theta * powf(stretch, (float)rope->dims / (float)(rope->dims - 2));
    for (uint32_t i = 0; i < rope->dims / 2; i++)
        scratch[i] = 1 / power_of(theta, rope->dims, i);
    return scratch;
}

uint32_t xn_rope_ahead(const struct xn_rope *rope, uint32_t length) {
    if (rope->long_frequency || xn_rope_set(rope, length) == 0) return length;
    uint64_t ahead = rope->original;
    while (ahead < length)
        ahead += ahead / 4 + 1;
    return ahead < UINT32_MAX ? (uint32_t)ahead : UINT32_MAX;
}
