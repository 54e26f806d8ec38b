// Q2_K to Q6_K: 256 values in groups with scales of their own, which are themselves quantised against one or two
// numbers of the block.
#include "quant/blocks.h"
#include "quant/families.h"
#include "quant/fit.h"

XN_DECODER(q2_k) {
    const struct xn_q2_k *b = blocks;
    for (size_t at = 0; at < n; at += 256, b++) {
        float d = xn_f16_to_f32(b->d), dmin = xn_f16_to_f32(b->dmin);
        for (int g = 0; g < 16; g++) {
            float scale = d * (float)(b->scales[g] & 15), minimum = dmin * (float)(b->scales[g] >> 4);
            const uint8_t *qs = b->qs + g / 8 * 32 + g % 2 * 16;
            int shift = g % 8 / 2 * 2;
            for (int i = 0; i < 16; i++)
                out[at + 16 * g + i] = scale * (float)(qs[i] >> shift & 3) - minimum;
        }
    }
}

XN_DECODER(q3_k) {
    const struct xn_q3_k *b = blocks;
    for (size_t at = 0; at < n; at += 256, b++) {
        float d = xn_f16_to_f32(b->d);
        for (int g = 0; g < 16; g++) {
            float scale = d * (float)xn_q3_k_scale(b->scales, g);
            const uint8_t *qs = b->qs + g / 8 * 32 + g % 2 * 16, *high = b->hmask + g % 2 * 16;
            int shift = g % 8 / 2 * 2;
            for (int i = 0; i < 16; i++)
                out[at + 16 * g + i] = scale * (float)((qs[i] >> shift & 3) + (high[i] >> g / 2 & 1) * 4 - 4);
        }
    }
}

XN_DECODER(q4_k) {
    const struct xn_q4_k *b = blocks;
    for (size_t at = 0; at < n; at += 256, b++) {
        float d = xn_f16_to_f32(b->d), dmin = xn_f16_to_f32(b->dmin);
        for (int g = 0; g < 8; g++) {
            uint8_t scale, minimum;
            xn_q4_k_scale(b->scales, g, &scale, &minimum);
            float s = d * (float)scale, m = dmin * (float)minimum;
            const uint8_t *qs = b->qs + g / 2 * 32;
            int shift = g % 2 * 4;
            for (int i = 0; i < 32; i++)
                out[at + 32 * g + i] = s * (float)(qs[i] >> shift & 15) - m;
        }
    }
}

XN_DECODER(q5_k) {
    const struct xn_q5_k *b = blocks;
    for (size_t at = 0; at < n; at += 256, b++) {
        float d = xn_f16_to_f32(b->d), dmin = xn_f16_to_f32(b->dmin);
        for (int g = 0; g < 8; g++) {
            uint8_t scale, minimum;
            xn_q4_k_scale(b->scales, g, &scale, &minimum);
            float s = d * (float)scale, m = dmin * (float)minimum;
            const uint8_t *qs = b->qs + g / 2 * 32;
            int shift = g % 2 * 4;
            for (int i = 0; i < 32; i++)
                out[at + 32 * g + i] = s * (float)((qs[i] >> shift & 15) | (b->qh[i] >> g & 1) << 4) - m;
        }
    }
}

XN_DECODER(q6_k) {
    const struct xn_q6_k *b = blocks;
    for (size_t at = 0; at < n; at += 256, b++) {
        float d = xn_f16_to_f32(b->d);
        for (int g = 0; g < 16; g++) {
            float scale = d * (float)b->scales[g];
            int half = g / 8, within = g % 8 * 16; // of the value in the half
            const uint8_t *ql = b->ql + half * 64 + within % 64, *qh = b->qh + half * 32 + within % 32;
            int low_shift = within / 64 * 4, high_shift = within / 32 * 2;
            for (int i = 0; i < 16; i++)
                out[at + 16 * g + i] =
                    scale * (float)(((ql[i] >> low_shift & 15) | (qh[i] >> high_shift & 3) << 4) - 32);
        }
    }
}

// ---- encoding of Q3_K and Q6_K: x = d * scale * q

XN_ENCODER(q3_k) {
    struct xn_q3_k *b = blocks;
    struct xn_codes codes = xn_codes_whole(-4, 3);
    float ones[256];
    for (size_t at = 0; at < n; at += 256, b++) {
        struct xn_two_level t;
        xn_two_level_encode(&codes, values + at, xn_weights(importance, at, ones, 256), 16, 32, &t);
        memset(b, 0, sizeof *b);
        b->d = t.d;
        for (int g = 0; g < 16; g++) {
            unsigned s = (unsigned)(t.scales[g] + 32);
            b->scales[g % 8] |= (uint8_t)((s & 15) << g / 8 * 4);
            b->scales[8 + g % 4] |= (uint8_t)(s >> 4 << g / 4 * 2);
        }
        for (int i = 0; i < 256; i++) {
            unsigned q = (unsigned)(t.q[i] + 4);
            b->qs[i / 128 * 32 + i % 32] |= (uint8_t)((q & 3) << i % 128 / 32 * 2);
            b->hmask[i % 32] |= (uint8_t)(q >> 2 << i / 32);
        }
    }
}

XN_ENCODER(q6_k) {
    struct xn_q6_k *b = blocks;
    struct xn_codes codes = xn_codes_whole(-32, 31);
    float ones[256];
    for (size_t at = 0; at < n; at += 256, b++) {
        struct xn_two_level t;
        xn_two_level_encode(&codes, values + at, xn_weights(importance, at, ones, 256), 16, 128, &t);
        memset(b, 0, sizeof *b);
        b->d = t.d;
        memcpy(b->scales, t.scales, 16);
        for (int i = 0; i < 256; i++) {
            unsigned q = (unsigned)(t.q[i] + 32);
            int half = i / 128, within = i % 128;
            b->ql[half * 64 + within % 64] |= (uint8_t)((q & 15) << within / 64 * 4);
            b->qh[half * 32 + within % 32] |= (uint8_t)(q >> 4 << within / 32 * 2);
        }
    }
}

// ---- encoding of Q2_K, Q4_K and Q5_K: x = d * scale * q - dmin * minimum

struct affine {
    uint16_t d, dmin;
    uint8_t scales[16], minima[16];
    int8_t q[256];
};

struct affine_shape {
    int groups;
    float levels, limit; // largest q; largest scale and minimum
};

// The error of a group with scale s and minimum m of a block with d and dmin; q as in xn_affine_quantize.
static float affine_error(const struct affine_shape *shape, const float *x, const float *w, float d, float dmin, int s,
                          int m, int8_t *q) {
    return xn_affine_quantize(x, w, 256 / shape->groups, d * (float)s, -(dmin * (float)m), shape->levels, q);
}

// Chooses a group's scale and minimum near *s and *m, first the one and then the other.
static void affine_choose(const struct affine_shape *shape, const float *x, const float *w, float d, float dmin, int *s,
                          int *m) {
    const int limit = (int)shape->limit, s0 = *s, m0 = *m;
    float best = affine_error(shape, x, w, d, dmin, s0, m0, NULL);
    for (int i = -1; i <= 1; i += 2) {
        if (s0 + i < 0 || s0 + i > limit) continue;
        float error = affine_error(shape, x, w, d, dmin, s0 + i, m0, NULL);
        if (error < best) best = error, *s = s0 + i;
    }
    for (int i = -1; i <= 1; i += 2) {
        if (m0 + i < 0 || m0 + i > limit) continue;
        float error = affine_error(shape, x, w, d, dmin, *s, m0 + i, NULL);
        if (error < best) best = error, *m = m0 + i;
    }
}

// The d and dmin that suit the chosen scales, minima and codes best: false where they are not determined.
static bool affine_refine(const struct affine_shape *shape, const float *x, const float *w, const struct affine *t,
                          float *d, float *dmin) {
    const int size = 256 / shape->groups;
    float aa = 0, bb = 0, ab = 0, xa = 0, xb = 0; // of a = scale * q and b = minimum
    for (int g = 0; g < shape->groups; g++) {
        float s = t->scales[g], m = t->minima[g], sw = 0, sq = 0, sqq = 0, sx = 0, sxq = 0;
        for (int i = g * size; i < (g + 1) * size; i++) {
            float q = t->q[i];
            sw += w[i];
            sq += w[i] * q;
            sqq += w[i] * q * q;
            sx += w[i] * x[i];
            sxq += w[i] * x[i] * q;
        }
        aa += s * s * sqq;
        bb += m * m * sw;
        ab += s * m * sq;
        xa += s * sxq;
        xb += m * sx;
    }
    float determinant = aa * bb - ab * ab;
    if (!(determinant > 0)) return false;
    *d = (xa * bb - xb * ab) / determinant;
    *dmin = (xa * ab - xb * aa) / determinant;
    return *d > 0 && *dmin >= 0;
}

static void affine_encode(const struct affine_shape *shape, const float *x, const float *w, struct affine *out) {
    const int size = 256 / shape->groups;
    float scales[16], minima[16], d = 0, dmin = 0, total = 0;
    for (int g = 0; g < shape->groups; g++) {
        xn_affine_fit(x + g * size, w + g * size, size, shape->levels, true, &scales[g], &minima[g]);
        minima[g] = -minima[g];
        d = scales[g] > d ? scales[g] : d;
        dmin = minima[g] > dmin ? minima[g] : dmin;
    }
    out->d = xn_half_of_scale(d / shape->limit);
    out->dmin = xn_half_of_scale(dmin / shape->limit);
    d = xn_f16_to_f32(out->d);
    dmin = xn_f16_to_f32(out->dmin);
    for (int g = 0; g < shape->groups; g++) {
        const float *xg = x + g * size, *wg = w + g * size;
        int s = d > 0 ? (int)xn_nearest(scales[g] / d, 0, shape->limit) : 0;
        int m = dmin > 0 ? (int)xn_nearest(minima[g] / dmin, 0, shape->limit) : 0;
        affine_choose(shape, xg, wg, d, dmin, &s, &m);
        out->scales[g] = (uint8_t)s;
        out->minima[g] = (uint8_t)m;
        total += affine_error(shape, xg, wg, d, dmin, s, m, out->q + g * size);
    }
    if (!affine_refine(shape, x, w, out, &d, &dmin)) return;
    uint16_t d16 = xn_half_of_scale(d), dmin16 = xn_half_of_scale(dmin);
    float error = 0;
    int8_t q[256];
    for (int g = 0; g < shape->groups; g++)
        error += affine_error(shape, x + g * size, w + g * size, xn_f16_to_f32(d16), xn_f16_to_f32(dmin16),
                              out->scales[g], out->minima[g], q + g * size);
    if (error < total) {
        out->d = d16;
        out->dmin = dmin16;
        memcpy(out->q, q, sizeof q);
    }
}

XN_ENCODER(q2_k) {
    static const struct affine_shape shape = {16, 3, 15};
    struct xn_q2_k *b = blocks;
    float ones[256];
    for (size_t at = 0; at < n; at += 256, b++) {
        struct affine t;
        affine_encode(&shape, values + at, xn_weights(importance, at, ones, 256), &t);
        memset(b, 0, sizeof *b);
        b->d = t.d;
        b->dmin = t.dmin;
        for (int g = 0; g < 16; g++)
            b->scales[g] = (uint8_t)(t.scales[g] | t.minima[g] << 4);
        for (int i = 0; i < 256; i++)
            b->qs[i / 128 * 32 + i % 32] |= (uint8_t)(t.q[i] << i % 128 / 32 * 2);
    }
}

// The inverse of xn_q4_k_scale.
static void pack_scales(const struct affine *t, uint8_t scales[12]) {
    memset(scales, 0, 12);
    for (int g = 0; g < 4; g++) {
        scales[g] = (uint8_t)(t->scales[g] | t->scales[g + 4] >> 4 << 6);
        scales[g + 4] = (uint8_t)(t->minima[g] | t->minima[g + 4] >> 4 << 6);
        scales[g + 8] = (uint8_t)((t->scales[g + 4] & 15) | (t->minima[g + 4] & 15) << 4);
    }
}

XN_ENCODER(q4_k) {
    static const struct affine_shape shape = {8, 15, 63};
    struct xn_q4_k *b = blocks;
    float ones[256];
    for (size_t at = 0; at < n; at += 256, b++) {
        struct affine t;
        affine_encode(&shape, values + at, xn_weights(importance, at, ones, 256), &t);
        b->d = t.d;
        b->dmin = t.dmin;
        pack_scales(&t, b->scales);
        for (int i = 0; i < 128; i++) {
            const int8_t *q = t.q + i / 32 * 64 + i % 32;
            b->qs[i] = (uint8_t)(q[0] | q[32] << 4);
        }
    }
}

XN_ENCODER(q5_k) {
    static const struct affine_shape shape = {8, 31, 63};
    struct xn_q5_k *b = blocks;
    float ones[256];
    for (size_t at = 0; at < n; at += 256, b++) {
        struct affine t;
        affine_encode(&shape, values + at, xn_weights(importance, at, ones, 256), &t);
        b->d = t.d;
        b->dmin = t.dmin;
        pack_scales(&t, b->scales);
        memset(b->qh, 0, sizeof b->qh);
        for (int i = 0; i < 128; i++) {
            const int8_t *q = t.q + i / 32 * 64 + i % 32;
            b->qs[i] = (uint8_t)((q[0] & 15) | (q[32] & 15) << 4);
            b->qh[i % 32] |= (uint8_t)(q[0] >> 4 << i / 32 * 2 | q[32] >> 4 << (i / 32 * 2 + 1));
        }
    }
}
