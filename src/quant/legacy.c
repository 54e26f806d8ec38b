// Q4_0, Q4_1, Q5_0, Q5_1, Q8_0: 32 values, one scale (and one minimum).
#include "quant/blocks.h"
#include "quant/families.h"
#include "quant/fit.h"

XN_DECODER(q4_0) {
    const struct xn_q4_0 *b = blocks;
    for (size_t at = 0; at < n; at += 32, b++) {
        float d = xn_f16_to_f32(b->d);
        for (int i = 0; i < 16; i++) {
            out[at + i] = d * (float)((b->qs[i] & 15) - 8);
            out[at + 16 + i] = d * (float)((b->qs[i] >> 4) - 8);
        }
    }
}

XN_DECODER(q4_1) {
    const struct xn_q4_1 *b = blocks;
    for (size_t at = 0; at < n; at += 32, b++) {
        float d = xn_f16_to_f32(b->d), m = xn_f16_to_f32(b->m);
        for (int i = 0; i < 16; i++) {
            out[at + i] = d * (float)(b->qs[i] & 15) + m;
            out[at + 16 + i] = d * (float)(b->qs[i] >> 4) + m;
        }
    }
}

XN_DECODER(q5_0) {
    const struct xn_q5_0 *b = blocks;
    for (size_t at = 0; at < n; at += 32, b++) {
        float d = xn_f16_to_f32(b->d);
        for (int i = 0; i < 16; i++) {
            int low = (b->qs[i] & 15) | (int)(b->qh >> i & 1) << 4;
            int high = b->qs[i] >> 4 | (int)(b->qh >> (i + 16) & 1) << 4;
            out[at + i] = d * (float)(low - 16);
            out[at + 16 + i] = d * (float)(high - 16);
        }
    }
}

XN_DECODER(q5_1) {
    const struct xn_q5_1 *b = blocks;
    for (size_t at = 0; at < n; at += 32, b++) {
        float d = xn_f16_to_f32(b->d), m = xn_f16_to_f32(b->m);
        for (int i = 0; i < 16; i++) {
            int low = (b->qs[i] & 15) | (int)(b->qh >> i & 1) << 4;
            int high = b->qs[i] >> 4 | (int)(b->qh >> (i + 16) & 1) << 4;
            out[at + i] = d * (float)low + m;
            out[at + 16 + i] = d * (float)high + m;
        }
    }
}

XN_DECODER(q8_0) {
    const struct xn_q8_0 *b = blocks;
    for (size_t at = 0; at < n; at += 32, b++) {
        float d = xn_f16_to_f32(b->d);
        for (int i = 0; i < 32; i++)
            out[at + i] = d * (float)b->qs[i];
    }
}

// Codes of five bits or less into the two halves of bytes, the fifth bits into a word (the return value).
static uint32_t pack_32(const int8_t q[32], int offset, uint8_t qs[16]) {
    uint32_t high = 0;
    for (int i = 0; i < 16; i++) {
        unsigned low = (unsigned)(q[i] + offset), top = (unsigned)(q[i + 16] + offset);
        qs[i] = (uint8_t)((low & 15) | (top & 15) << 4);
        high |= (low >> 4 & 1) << i | (top >> 4 & 1) << (i + 16);
    }
    return high;
}

// The codes of 32 values under one scale: *d, and q.
static void encode_symmetric(const float *x, const float *w, const struct xn_codes *codes, uint16_t *d, int8_t q[32]) {
    *d = xn_half_of_scale(xn_codes_fit(codes, x, w, 32));
    xn_codes_quantize(codes, x, w, 32, xn_f16_to_f32(*d), q);
}

static void encode_affine(const float *x, const float *w, float levels, uint16_t *d, uint16_t *m, int8_t q[32]) {
    float scale, minimum;
    xn_affine_fit(x, w, 32, levels, false, &scale, &minimum);
    *d = xn_half_of_scale(scale);
    *m = xn_half_of_scale(minimum);
    xn_affine_quantize(x, w, 32, xn_f16_to_f32(*d), xn_f16_to_f32(*m), levels, q);
}

XN_ENCODER(q4_0) {
    struct xn_q4_0 *b = blocks;
    struct xn_codes codes = xn_codes_whole(-8, 7);
    float ones[32];
    for (size_t at = 0; at < n; at += 32, b++) {
        uint16_t d;
        int8_t q[32];
        encode_symmetric(values + at, xn_weights(importance, at, ones, 32), &codes, &d, q);
        b->d = d;
        pack_32(q, 8, b->qs);
    }
}

XN_ENCODER(q4_1) {
    struct xn_q4_1 *b = blocks;
    float ones[32];
    for (size_t at = 0; at < n; at += 32, b++) {
        uint16_t d, m;
        int8_t q[32];
        encode_affine(values + at, xn_weights(importance, at, ones, 32), 15, &d, &m, q);
        b->d = d;
        b->m = m;
        pack_32(q, 0, b->qs);
    }
}

XN_ENCODER(q5_0) {
    struct xn_q5_0 *b = blocks;
    struct xn_codes codes = xn_codes_whole(-16, 15);
    float ones[32];
    for (size_t at = 0; at < n; at += 32, b++) {
        uint16_t d;
        int8_t q[32];
        encode_symmetric(values + at, xn_weights(importance, at, ones, 32), &codes, &d, q);
        b->d = d;
        b->qh = pack_32(q, 16, b->qs);
    }
}

XN_ENCODER(q5_1) {
    struct xn_q5_1 *b = blocks;
    float ones[32];
    for (size_t at = 0; at < n; at += 32, b++) {
        uint16_t d, m;
        int8_t q[32];
        encode_affine(values + at, xn_weights(importance, at, ones, 32), 31, &d, &m, q);
        b->d = d;
        b->m = m;
        b->qh = pack_32(q, 0, b->qs);
    }
}

// Eight bits need no search: the error of the largest value's scale is within half a step everywhere.
XN_ENCODER(q8_0) {
    (void)importance;
    struct xn_q8_0 *b = blocks;
    for (size_t at = 0; at < n; at += 32, b++) {
        float largest = 0;
        for (int i = 0; i < 32; i++) {
            float magnitude = values[at + i] < 0 ? -values[at + i] : values[at + i];
            largest = magnitude > largest ? magnitude : largest;
        }
        uint16_t d = xn_half_of_scale(largest / 127);
        float scale = xn_f16_to_f32(d), inverse = scale > 0 ? 1 / scale : 0;
        b->d = d;
        for (int i = 0; i < 32; i++)
            b->qs[i] = (int8_t)xn_nearest(values[at + i] * inverse, -127, 127);
    }
}
