// Q2_K to Q6_K: 256 values in groups with scales of their own, which are themselves quantised against one or two
// numbers of the block.
#include "quant/blocks.h"
#include "quant/families.h"

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
