// Encoding of the formats that take small vectors of values from a grid: IQ1, IQ2, IQ3. Each vector is held against
// every point of the grid, which is slow (a few MB/s) but misses nothing.
#include "quant/blocks.h"
#include "quant/families.h"
#include "quant/fit.h"

#include <math.h>

enum { POINTS_MAX = 2048, WIDTH_MAX = 8, CANDIDATES = 7 };

// What the formats differ in. A value is d * unit * (1 + 2 * scale) * (point + delta), with a sign where points are
// magnitudes.
struct shape {
    const void *grid;
    int points, width; // entries, and values an entry: 8 (uint64_t) or 4 (uint32_t)
    int group;         // values that share a scale
    int scales;        // of a group, 0 to scales - 1
    float unit, top;   // top: the largest number of a point
    bool signs;        // points are magnitudes
    bool even;         // of eight signs an even number is set
    int delta_span;    // values that share the sign of delta; 0: there is none
};

struct block {
    uint16_t d;
    uint8_t scales[16];
    uint16_t points[64];
    uint8_t signs[32]; // a bit a value
    bool minus[32];    // delta is negative, for 8 values each
};

// The grid with all first values together, then all second ones, and so on.
struct points {
    int n, width;
    float at[WIDTH_MAX][POINTS_MAX];
};

static void spread_points(const struct shape *shape, struct points *out) {
    out->n = shape->points;
    out->width = shape->width;
    for (int k = 0; k < shape->points; k++) {
        for (int j = 0; j < shape->width; j++) {
            uint8_t byte = ((const uint8_t *)shape->grid)[k * shape->width + j];
            out->at[j][k] = shape->signs ? (float)byte : (float)(int8_t)byte;
        }
    }
}

// The point whose s-fold is nearest to x.
static int nearest_point(const struct points *points, const float *x, const float *w, float s) {
    float cost[POINTS_MAX] = {0};
    for (int j = 0; j < points->width; j++) {
        // w (s p - x)^2, without what is the same for all
        float a = w[j] * s * s, b = 2 * w[j] * s * x[j];
        const float *p = points->at[j];
        for (int k = 0; k < points->n; k++)
            cost[k] += p[k] * (a * p[k] - b);
    }
    int best = 0;
    for (int k = 1; k < points->n; k++)
        if (cost[k] < cost[best]) best = k;
    return best;
}

// Magnitudes and signs of eight values. Where their number must be even and is not, the sign whose value matters least
// is wrong: its magnitude counts as negative.
static uint8_t split_signs(const float *x, const float *w, bool even, float magnitudes[8]) {
    unsigned signs = 0;
    int least = 0;
    for (int j = 0; j < 8; j++) {
        magnitudes[j] = fabsf(x[j]);
        signs |= (unsigned)(x[j] < 0) << j;
        if (w[j] * x[j] * x[j] < w[least] * x[least] * x[least]) least = j;
    }
    if (even && __builtin_parity(signs)) {
        signs ^= 1u << least;
        magnitudes[least] = -magnitudes[least];
    }
    return (uint8_t)signs;
}

struct sums {
    float xv, vv, error; // over w: x v, v v, and (x - s v)^2 for values s v
};

// Eight values with one delta.
static struct sums encode_eight(const struct shape *shape, const struct points *points, const float *x, const float *w,
                                float s, float delta, uint16_t *out, uint8_t *signs) {
    float target[8];
    *signs = 0;
    if (shape->signs)
        *signs = split_signs(x, w, shape->even, target);
    else
        for (int j = 0; j < 8; j++)
            target[j] = x[j] - s * delta;
    struct sums sums = {0};
    for (int v = 0; v < 8; v += shape->width) {
        int k = nearest_point(points, target + v, w + v, s);
        out[v / shape->width] = (uint16_t)k;
        for (int j = 0; j < shape->width; j++) {
            float value = points->at[j][k] + delta, wv = w[v + j] * value;
            if (*signs >> (v + j) & 1) wv = -wv, value = -value;
            float e = x[v + j] - s * value;
            sums.xv += wv * x[v + j];
            sums.vv += wv * value;
            sums.error += w[v + j] * e * e;
        }
    }
    return sums;
}

static void add(struct sums *a, struct sums b) {
    a->xv += b.xv;
    a->vv += b.vv;
    a->error += b.error;
}

// A group, which starts at value `at` of the block, at scale s.
static struct sums encode_group(const struct shape *shape, const struct points *points, const float *x, const float *w,
                                int at, float s, struct block *out) {
    struct sums total = {0};
    const int span = shape->delta_span ? shape->delta_span : shape->group, per_eight = 8 / shape->width;
    for (int i = at; i < at + shape->group; i += span) {
        struct sums best = {.error = INFINITY};
        for (int minus = 0; minus < (shape->delta_span ? 2 : 1); minus++) {
            float delta = shape->delta_span ? minus ? -0.125f : 0.125f : 0;
            struct sums sums = {0};
            uint16_t chosen[8];
            uint8_t signs[4];
            for (int v = 0; v < span; v += 8)
                add(&sums, encode_eight(shape, points, x + i + v, w + i + v, s, delta, chosen + v / 8 * per_eight,
                                        signs + v / 8));
            if (minus && !(sums.error < best.error)) continue;
            best = sums;
            memcpy(out->points + i / shape->width, chosen, (size_t)(span / shape->width) * sizeof *chosen);
            memcpy(out->signs + i / 8, signs, (size_t)(span / 8));
            for (int v = 0; v < span; v += 8)
                out->minus[(i + v) / 8] = minus;
        }
        add(&total, best);
    }
    return total;
}

// The scale that a group would have best, of several that lay its largest value at the end of the points or beyond.
static float fit_group(const struct shape *shape, const struct points *points, const float *x, const float *w, int at,
                       struct block *space) {
    float largest = 0, best = 0, best_gain = 0;
    for (int i = at; i < at + shape->group; i++)
        largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
    if (!(largest > 0x1p-100f) || isinf(largest)) return 0;
    for (int i = 0; i < CANDIDATES; i++) {
        struct sums sums =
            encode_group(shape, points, x, w, at, largest / shape->top * (0.45f + 0.12f * (float)i), space);
        float gain = sums.xv * sums.xv / sums.vv;
        if (sums.vv > 0 && sums.xv > 0 && gain > best_gain) {
            best_gain = gain;
            best = sums.xv / sums.vv;
        }
    }
    return best;
}

static void encode_block(const struct shape *shape, const struct points *points, const float *x, const float *w,
                         struct block *out) {
    const int groups = 256 / shape->group;
    float fits[16], largest = 0;
    for (int g = 0; g < groups; g++) {
        fits[g] = fit_group(shape, points, x, w, g * shape->group, out);
        largest = fits[g] > largest ? fits[g] : largest;
    }
    out->d = xn_half_of_scale(largest / (shape->unit * (float)(2 * shape->scales - 1)));
    float step = xn_f16_to_f32(out->d) * shape->unit, xv = 0, vv = 0;
    for (int g = 0; g < groups; g++) {
        float wanted = step > 0 ? (fits[g] / step - 1) / 2 : 0;
        int scale = (int)xn_nearest(wanted, 0, (float)(shape->scales - 1));
        float factor = (float)(1 + 2 * scale);
        out->scales[g] = (uint8_t)scale;
        struct sums sums = encode_group(shape, points, x, w, g * shape->group, step * factor, out);
        xv += sums.xv * factor;
        vv += sums.vv * factor * factor;
    }
    // With all that chosen, the d that suits it best.
    if (vv > 0 && xv > 0) out->d = xn_half_of_scale(xv / vv / shape->unit);
}

// Defines an encoder: `write` turns the struct block `t` into the format's block `b`.
#define GRID_ENCODER(name, shape, write)                                                                               \
    XN_ENCODER(name) {                                                                                                 \
        struct xn_##name *b = blocks;                                                                                  \
        struct points points;                                                                                          \
        float ones[256];                                                                                               \
        spread_points(&shape, &points);                                                                                \
        for (size_t at = 0; at < n; at += 256, b++) {                                                                  \
            struct block t;                                                                                            \
            encode_block(&shape, &points, values + at, xn_weights(importance, at, ones, 256), &t);                     \
            memset(b, 0, sizeof *b);                                                                                   \
            write(&t, b);                                                                                              \
        }                                                                                                              \
    }

// Four times seven signs, and a scale: for 32 values from eight's signs `signs`.
static uint32_t signs_and_scale(const uint8_t signs[4], uint8_t scale) {
    return (signs[0] & 127u) | (signs[1] & 127u) << 7 | (signs[2] & 127u) << 14 | (signs[3] & 127u) << 21 |
           (uint32_t)scale << 28;
}

static const struct shape iq2_xxs = {xn_iq2_xxs_grid, 256, 8, 32, 16, 0.125f, 43, true, true, 0};
static const struct shape iq2_xs = {xn_iq2_xs_grid, 512, 8, 16, 16, 0.125f, 43, true, true, 0};
static const struct shape iq2_s = {xn_iq2_s_grid, 1024, 8, 16, 16, 0.125f, 43, true, false, 0};
static const struct shape iq3_xxs = {xn_iq3_xxs_grid, 256, 4, 32, 16, 0.25f, 62, true, true, 0};
static const struct shape iq3_s = {xn_iq3_s_grid, 512, 4, 32, 16, 1, 15, true, false, 0};
static const struct shape iq1_s = {xn_iq1_grid, 2048, 8, 32, 8, 1, 1, false, false, 32};
static const struct shape iq1_m = {xn_iq1_grid, 2048, 8, 16, 8, 1, 1, false, false, 8};

static void write_iq2_xxs(const struct block *t, struct xn_iq2_xxs *b) {
    b->d = t->d;
    for (int g = 0; g < 8; g++) {
        uint32_t word = signs_and_scale(t->signs + 4 * g, t->scales[g]);
        for (int j = 0; j < 4; j++)
            b->qs[8 * g + j] = (uint8_t)t->points[4 * g + j];
        memcpy(b->qs + 8 * g + 4, &word, sizeof word);
    }
}

static void write_iq2_xs(const struct block *t, struct xn_iq2_xs *b) {
    b->d = t->d;
    for (int j = 0; j < 32; j++)
        b->qs[j] = (uint16_t)(t->points[j] | (t->signs[j] & 127u) << 9);
    for (int g = 0; g < 16; g++)
        b->scales[g / 2] |= (uint8_t)(t->scales[g] << g % 2 * 4);
}

static void write_iq2_s(const struct block *t, struct xn_iq2_s *b) {
    b->d = t->d;
    for (int j = 0; j < 32; j++) {
        b->qs[j] = (uint8_t)t->points[j];
        b->qh[j / 4] |= (uint8_t)(t->points[j] >> 8 << j % 4 * 2);
    }
    memcpy(b->signs, t->signs, sizeof b->signs);
    for (int g = 0; g < 16; g++)
        b->scales[g / 2] |= (uint8_t)(t->scales[g] << g % 2 * 4);
}

static void write_iq3_xxs(const struct block *t, struct xn_iq3_xxs *b) {
    b->d = t->d;
    for (int j = 0; j < 64; j++)
        b->qs[j] = (uint8_t)t->points[j];
    for (int g = 0; g < 8; g++)
        b->scales[g] = signs_and_scale(t->signs + 4 * g, t->scales[g]);
}

static void write_iq3_s(const struct block *t, struct xn_iq3_s *b) {
    b->d = t->d;
    for (int j = 0; j < 64; j++) {
        b->qs[j] = (uint8_t)t->points[j];
        b->qh[j / 8] |= (uint8_t)(t->points[j] >> 8 << j % 8);
    }
    memcpy(b->signs, t->signs, sizeof b->signs);
    for (int g = 0; g < 8; g++)
        b->scales[g / 2] |= (uint8_t)(t->scales[g] << g % 2 * 4);
}

static void write_iq1_s(const struct block *t, struct xn_iq1_s *b) {
    b->d = t->d;
    for (int j = 0; j < 32; j++) {
        b->qs[j] = (uint8_t)t->points[j];
        b->qh[j / 4] |= (uint16_t)(t->points[j] >> 8 << j % 4 * 3);
    }
    for (int g = 0; g < 8; g++)
        b->qh[g] |= (uint16_t)(t->scales[g] << 12 | (t->minus[4 * g] ? 0x8000 : 0));
}

static void write_iq1_m(const struct block *t, struct xn_iq1_m *b) {
    for (int j = 0; j < 32; j++) {
        b->qs[j] = (uint8_t)t->points[j];
        b->qh[j / 2] |= (uint8_t)((t->points[j] >> 8 | (t->minus[j] ? 8 : 0)) << j % 2 * 4);
    }
    for (int g = 0; g < 16; g++)
        b->scales[g / 4] |= (uint16_t)(t->scales[g] << g % 4 * 3);
    for (int i = 0; i < 4; i++)
        b->scales[i] |= (uint16_t)((t->d >> 4 * i & 15) << 12);
}

GRID_ENCODER(iq2_xxs, iq2_xxs, write_iq2_xxs)
GRID_ENCODER(iq2_xs, iq2_xs, write_iq2_xs)
GRID_ENCODER(iq2_s, iq2_s, write_iq2_s)
GRID_ENCODER(iq3_xxs, iq3_xxs, write_iq3_xxs)
GRID_ENCODER(iq3_s, iq3_s, write_iq3_s)
GRID_ENCODER(iq1_s, iq1_s, write_iq1_s)
GRID_ENCODER(iq1_m, iq1_m, write_iq1_m)
