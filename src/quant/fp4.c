// Four-bit floating point (E2M1) under a scale of 8 bits: MXFP4 (OCP Microscaling Formats 1.0) and NVFP4.
#include "quant/blocks.h"
#include "quant/families.h"
#include "quant/fit.h"

#include <math.h>

const int8_t xn_e2m1_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

XN_DECODER(mxfp4) {
    const struct xn_mxfp4 *b = blocks;
    for (size_t at = 0; at < n; at += 32, b++) {
        float d = xn_e8m0_half(b->e);
        for (int i = 0; i < 16; i++) {
            out[at + i] = d * (float)xn_e2m1_values[b->qs[i] & 15];
            out[at + 16 + i] = d * (float)xn_e2m1_values[b->qs[i] >> 4];
        }
    }
}

XN_DECODER(nvfp4) {
    const struct xn_nvfp4 *b = blocks;
    for (size_t at = 0; at < n; at += 64, b++) {
        for (int g = 0; g < 4; g++) {
            float d = xn_ue4m3_half(b->d[g]);
            for (int i = 0; i < 8; i++) {
                out[at + 16 * g + i] = d * (float)xn_e2m1_values[b->qs[8 * g + i] & 15];
                out[at + 16 * g + 8 + i] = d * (float)xn_e2m1_values[b->qs[8 * g + i] >> 4];
            }
        }
    }
}

static float largest_of(const float *x, int n) {
    float largest = 0;
    for (int i = 0; i < n; i++) {
        float magnitude = fabsf(x[i]);
        largest = magnitude > largest ? magnitude : largest;
    }
    return largest;
}

// The scale code of `low` to `high` (as `scale` decodes it) that n values fit best.
static int best_scale(const struct xn_codes *codes, float (*scale)(uint8_t), const float *x, const float *w, int n,
                      int low, int high) {
    int best = low;
    float best_error = INFINITY;
    for (int e = low; e <= high; e++) {
        float error = xn_codes_quantize(codes, x, w, n, scale((uint8_t)e), NULL);
        if (error < best_error) best_error = error, best = e;
    }
    return best;
}

static int clamp(int v, int low, int high) {
    return v < low ? low : v > high ? high : v;
}

XN_ENCODER(mxfp4) {
    struct xn_mxfp4 *b = blocks;
    struct xn_codes codes = xn_codes_of(xn_e2m1_values);
    float ones[32];
    for (size_t at = 0; at < n; at += 32, b++) {
        const float *x = values + at, *w = xn_weights(importance, at, ones, 32);
        int8_t q[32];
        // At exponent e the largest code, 6, stands for 6 * 2^(e - 127): the power of two below the largest value, less
        // 2, covers it or nearly so; one more or less may do better.
        int exponent = (int)(xn_bits_of_float(largest_of(x, 32)) >> 23) - 2;
        int e = best_scale(&codes, xn_e8m0_half, x, w, 32, clamp(exponent - 1, 0, 254), clamp(exponent + 1, 0, 254));
        xn_codes_quantize(&codes, x, w, 32, xn_e8m0_half((uint8_t)e), q);
        b->e = (uint8_t)e;
        for (int i = 0; i < 16; i++)
            b->qs[i] = (uint8_t)(q[i] | q[i + 16] << 4);
    }
}

// The largest code of unsigned E4M3 whose number is at most v, of 0 ... 126.
static int ue4m3_below(float v) {
    int low = 0, high = 126;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (2 * xn_ue4m3_half((uint8_t)middle) <= v)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

XN_ENCODER(nvfp4) {
    struct xn_nvfp4 *b = blocks;
    struct xn_codes codes = xn_codes_of(xn_e2m1_values);
    float ones[16];
    for (size_t at = 0; at < n; at += 64, b++) {
        for (int g = 0; g < 4; g++) {
            const float *x = values + at + 16 * g, *w = xn_weights(importance, at + 16 * (size_t)g, ones, 16);
            int8_t q[16];
            // The scale that lays the largest value at 6, finer ones that clip it, and coarser ones down to where it
            // is 3.
            int around = ue4m3_below(largest_of(x, 16) / 6);
            int e = best_scale(&codes, xn_ue4m3_half, x, w, 16, clamp(around - 3, 0, 126), clamp(around + 8, 0, 126));
            xn_codes_quantize(&codes, x, w, 16, xn_ue4m3_half((uint8_t)e), q);
            b->d[g] = (uint8_t)e;
            for (int i = 0; i < 8; i++)
                b->qs[8 * g + i] = (uint8_t)(q[i] | q[i + 8] << 4);
        }
    }
}
