// Four-bit floating point (E2M1) under a scale of 8 bits: MXFP4 (OCP Microscaling Formats 1.0) and NVFP4.
#include "quant/blocks.h"
#include "quant/families.h"

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
