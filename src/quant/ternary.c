// TQ1_0 and TQ2_0: 256 values of -1, 0 or 1 under one scale.
#include "quant/blocks.h"
#include "quant/families.h"
#include "quant/fit.h"

#include <stdlib.h>

// Where the digits of TQ1_0 lie: digit k of byte i of a part is value first + k * bytes + i.
static const struct part {
    int first, bytes, digits, byte0; // byte0: of the part, in qs and then qh
} parts[] = {{0, 32, 5, 0}, {160, 16, 5, 32}, {240, 4, 4, 48}};

static const uint8_t powers_of_3[] = {1, 3, 9, 27, 81};

XN_DECODER(tq1_0) {
    const struct xn_tq1_0 *b = blocks;
    for (size_t at = 0; at < n; at += 256, b++) {
        float d = xn_f16_to_f32(b->d);
        uint8_t bytes[52];
        memcpy(bytes, b->qs, sizeof b->qs);
        memcpy(bytes + sizeof b->qs, b->qh, sizeof b->qh);
        for (const struct part *p = parts; p < parts + 3; p++) {
            for (int k = 0; k < p->digits; k++) {
                // The byte is a fraction of 256: times 3^k modulo 256 has digit k before its point after one more
                // times 3.
                for (int i = 0; i < p->bytes; i++) {
                    uint8_t q = (uint8_t)(bytes[p->byte0 + i] * powers_of_3[k]);
                    out[at + p->first + k * p->bytes + i] = d * (float)((q * 3 >> 8) - 1);
                }
            }
        }
    }
}

XN_DECODER(tq2_0) {
    const struct xn_tq2_0 *b = blocks;
    for (size_t at = 0; at < n; at += 256, b++) {
        float d = xn_f16_to_f32(b->d);
        for (int g = 0; g < 8; g++) {
            const uint8_t *qs = b->qs + g / 4 * 32;
            for (int i = 0; i < 32; i++)
                out[at + 32 * g + i] = d * (float)((qs[i] >> g % 4 * 2 & 3) - 1);
        }
    }
}

struct magnitude {
    float size, weight;
};

static int larger_first(const void *a, const void *b) {
    const struct magnitude *x = a, *y = b;
    return x->size > y->size ? -1 : x->size < y->size;
}

// The best scale for three values: those above half of it count as one, and they are the k largest for some k. Their
// weighted mean is then the scale, and takes (sum of weight * size)^2 / (sum of weights) off the error: the best k of
// all is tried.
static uint16_t ternary_scale(const float *x, const float *w) {
    struct magnitude m[256];
    for (int i = 0; i < 256; i++)
        m[i] = (struct magnitude){x[i] < 0 ? -x[i] : x[i], w[i]};
    qsort(m, 256, sizeof *m, larger_first);
    float sum = 0, weights = 0, best = 0, best_gain = 0;
    for (int i = 0; i < 256; i++) {
        sum += m[i].weight * m[i].size;
        weights += m[i].weight;
        float gain = sum * sum / weights;
        if (weights > 0 && gain > best_gain) {
            best_gain = gain;
            best = sum / weights;
        }
    }
    return xn_half_of_scale(best);
}

// 0, 1 or 2 for -d, 0 and d.
static inline unsigned ternary_code(float x, float d) {
    return x > d / 2 ? 2 : x < -d / 2 ? 0 : 1;
}

XN_ENCODER(tq1_0) {
    struct xn_tq1_0 *b = blocks;
    float ones[256];
    for (size_t at = 0; at < n; at += 256, b++) {
        uint16_t d16 = ternary_scale(values + at, xn_weights(importance, at, ones, 256));
        float d = xn_f16_to_f32(d16);
        uint8_t bytes[52];
        for (const struct part *p = parts; p < parts + 3; p++) {
            for (int i = 0; i < p->bytes; i++) {
                unsigned number = 0; // of five digits, the first the most significant
                for (int k = 0; k < 5; k++)
                    number =
                        number * 3 + (k < p->digits ? ternary_code(values[at + p->first + k * p->bytes + i], d) : 0);
                bytes[p->byte0 + i] = (uint8_t)((number * 256 + 242) / 243); // rounded up: the digits come out exactly
            }
        }
        memcpy(b->qs, bytes, sizeof b->qs);
        memcpy(b->qh, bytes + sizeof b->qs, sizeof b->qh);
        b->d = d16;
    }
}

XN_ENCODER(tq2_0) {
    struct xn_tq2_0 *b = blocks;
    float ones[256];
    for (size_t at = 0; at < n; at += 256, b++) {
        uint16_t d16 = ternary_scale(values + at, xn_weights(importance, at, ones, 256));
        float d = xn_f16_to_f32(d16);
        memset(b->qs, 0, sizeof b->qs);
        for (int i = 0; i < 256; i++)
            b->qs[i / 128 * 32 + i % 32] |= (uint8_t)(ternary_code(values[at + i], d) << i % 128 / 32 * 2);
        b->d = d16;
    }
}
