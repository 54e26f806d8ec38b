// The IQ formats: values come in small vectors from a grid (IQ1, IQ2, IQ3), or singly from a curved scale (IQ4).
#include "quant/blocks.h"
#include "quant/families.h"
#include "quant/fit.h"

// `count` magnitudes from the bytes of a grid's entry, negated where their sign bit is set.
static inline void spread(float *out, uint64_t grid, unsigned signs, float scale, int count) {
    for (int i = 0; i < count; i++) {
        float magnitude = scale * (float)(grid >> 8 * i & 255);
        out[i] = signs >> i & 1 ? -magnitude : magnitude;
    }
}

XN_DECODER(iq2_xxs) {
    const struct xn_iq2_xxs *b = blocks;
    for (size_t at = 0; at < n; at += 256, b++) {
        float d = xn_f16_to_f32(b->d);
        for (int g = 0; g < 8; g++) {
            const uint8_t *qs = b->qs + 8 * g;
            uint32_t signs;
            memcpy(&signs, qs + 4, sizeof signs);
            float scale = d * (0.5f + (float)(signs >> 28)) * 0.25f;
            for (int j = 0; j < 4; j++)
                spread(out + at + 32 * g + 8 * j, xn_iq2_xxs_grid[qs[j]], xn_iq_signs(signs >> 7 * j), scale, 8);
        }
    }
}

XN_DECODER(iq2_xs) {
    const struct xn_iq2_xs *b = blocks;
    for (size_t at = 0; at < n; at += 256, b++) {
        float d = xn_f16_to_f32(b->d);
        for (int j = 0; j < 32; j++) {
            float scale = d * (0.5f + (float)(b->scales[j / 4] >> j / 2 % 2 * 4 & 15)) * 0.25f;
            spread(out + at + 8 * j, xn_iq2_xs_grid[b->qs[j] & 511], xn_iq_signs(b->qs[j] >> 9), scale, 8);
        }
    }
}

XN_DECODER(iq2_s) {
    const struct xn_iq2_s *b = blocks;
    for (size_t at = 0; at < n; at += 256, b++) {
        float d = xn_f16_to_f32(b->d);
        for (int j = 0; j < 32; j++) {
            float scale = d * (0.5f + (float)(b->scales[j / 4] >> j / 2 % 2 * 4 & 15)) * 0.25f;
            unsigned place = b->qs[j] | (b->qh[j / 4] >> j % 4 * 2 & 3u) << 8;
            spread(out + at + 8 * j, xn_iq2_s_grid[place], b->signs[j], scale, 8);
        }
    }
}

XN_DECODER(iq3_xxs) {
    const struct xn_iq3_xxs *b = blocks;
    for (size_t at = 0; at < n; at += 256, b++) {
        float d = xn_f16_to_f32(b->d);
        for (int j = 0; j < 64; j++) {
            uint32_t signs = b->scales[j / 8];
            float scale = d * (0.5f + (float)(signs >> 28)) * 0.5f;
            unsigned eight = xn_iq_signs(signs >> j / 2 % 4 * 7);
            spread(out + at + 4 * j, xn_iq3_xxs_grid[b->qs[j]], eight >> j % 2 * 4, scale, 4);
        }
    }
}

XN_DECODER(iq3_s) {
    const struct xn_iq3_s *b = blocks;
    for (size_t at = 0; at < n; at += 256, b++) {
        float d = xn_f16_to_f32(b->d);
        for (int j = 0; j < 64; j++) {
            float scale = d * (float)(1 + 2 * (b->scales[j / 16] >> j / 8 % 2 * 4 & 15));
            unsigned place = b->qs[j] | (b->qh[j / 8] >> j % 8 & 1u) << 8;
            spread(out + at + 4 * j, xn_iq3_s_grid[place], b->signs[j / 2] >> j % 2 * 4, scale, 4);
        }
    }
}

// Eight values of -1, 0 or 1, moved by delta.
static inline void spread_ternary(float *out, uint64_t grid, float delta, float scale) {
    for (int i = 0; i < 8; i++)
        out[i] = scale * ((float)(int8_t)(grid >> 8 * i & 255) + delta);
}

XN_DECODER(iq1_s) {
    const struct xn_iq1_s *b = blocks;
    for (size_t at = 0; at < n; at += 256, b++) {
        float d = xn_f16_to_f32(b->d);
        for (int j = 0; j < 32; j++) {
            unsigned high = b->qh[j / 4];
            float scale = d * (float)(2 * (high >> 12 & 7) + 1), delta = high & 0x8000 ? -0.125f : 0.125f;
            unsigned place = b->qs[j] | (high >> j % 4 * 3 & 7) << 8;
            spread_ternary(out + at + 8 * j, xn_iq1_grid[place], delta, scale);
        }
    }
}

XN_DECODER(iq1_m) {
    const struct xn_iq1_m *b = blocks;
    for (size_t at = 0; at < n; at += 256, b++) {
        const uint16_t s[4] = {b->scales[0], b->scales[1], b->scales[2], b->scales[3]};
        float d = xn_f16_to_f32((uint16_t)(s[0] >> 12 | (s[1] >> 12) << 4 | (s[2] >> 12) << 8 | (s[3] >> 12) << 12));
        for (int j = 0; j < 32; j++) {
            unsigned high = b->qh[j / 2] >> j % 2 * 4 & 15u;
            float scale = d * (float)(2 * (s[j / 8] >> j / 2 % 4 * 3 & 7) + 1), delta = high & 8 ? -0.125f : 0.125f;
            spread_ternary(out + at + 8 * j, xn_iq1_grid[b->qs[j] | (high & 7) << 8], delta, scale);
        }
    }
}

XN_DECODER(iq4_nl) {
    const struct xn_iq4_nl *b = blocks;
    for (size_t at = 0; at < n; at += 32, b++) {
        float d = xn_f16_to_f32(b->d);
        for (int i = 0; i < 16; i++) {
            out[at + i] = d * (float)xn_iq4_values[b->qs[i] & 15];
            out[at + 16 + i] = d * (float)xn_iq4_values[b->qs[i] >> 4];
        }
    }
}

XN_DECODER(iq4_xs) {
    const struct xn_iq4_xs *b = blocks;
    for (size_t at = 0; at < n; at += 256, b++) {
        float d = xn_f16_to_f32(b->d);
        for (int g = 0; g < 8; g++) {
            float scale = d * (float)xn_iq4_xs_scale(b, g);
            const uint8_t *qs = b->qs + 16 * g;
            for (int i = 0; i < 16; i++) {
                out[at + 32 * g + i] = scale * (float)xn_iq4_values[qs[i] & 15];
                out[at + 32 * g + 16 + i] = scale * (float)xn_iq4_values[qs[i] >> 4];
            }
        }
    }
}

XN_ENCODER(iq4_nl) {
    struct xn_iq4_nl *b = blocks;
    struct xn_codes codes = xn_codes_of(xn_iq4_values);
    float ones[32];
    for (size_t at = 0; at < n; at += 32, b++) {
        const float *w = xn_weights(importance, at, ones, 32);
        int8_t q[32];
        uint16_t d = xn_half_of_scale(xn_codes_fit(&codes, values + at, w, 32));
        xn_codes_quantize(&codes, values + at, w, 32, xn_f16_to_f32(d), q);
        b->d = d;
        for (int i = 0; i < 16; i++)
            b->qs[i] = (uint8_t)(q[i] | q[i + 16] << 4);
    }
}

XN_ENCODER(iq4_xs) {
    struct xn_iq4_xs *b = blocks;
    struct xn_codes codes = xn_codes_of(xn_iq4_values);
    float ones[256];
    for (size_t at = 0; at < n; at += 256, b++) {
        struct xn_two_level t;
        xn_two_level_encode(&codes, values + at, xn_weights(importance, at, ones, 256), 8, 32, &t);
        memset(b, 0, sizeof *b);
        b->d = t.d;
        for (int g = 0; g < 8; g++) {
            unsigned s = (unsigned)(t.scales[g] + 32);
            b->scales_l[g / 2] |= (uint8_t)((s & 15) << g % 2 * 4);
            b->scales_h |= (uint16_t)(s >> 4 << 2 * g);
            for (int i = 0; i < 16; i++)
                b->qs[16 * g + i] = (uint8_t)(t.q[32 * g + i] | t.q[32 * g + 16 + i] << 4);
        }
    }
}
