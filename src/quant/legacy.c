// Q4_0, Q4_1, Q5_0, Q5_1, Q8_0: 32 values, one scale (and one minimum).
#include "quant/blocks.h"
#include "quant/families.h"

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
