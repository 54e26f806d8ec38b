// TQ1_0 and TQ2_0: 256 values of -1, 0 or 1 under one scale.
#include "quant/blocks.h"
#include "quant/families.h"

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
