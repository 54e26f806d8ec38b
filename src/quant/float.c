// Plain numbers: blocks of one value.
#include "quant/families.h"
#include "quant/half.h"

#define UNUSED(x) ((void)(x))

XN_DECODER(f32) {
    if (n) memcpy(out, blocks, n * sizeof *out);
}

XN_ENCODER(f32) {
    UNUSED(importance); // nothing is lost
    if (n) memcpy(blocks, values, n * sizeof *values);
}

// The conversions of two bytes, which may lie at any address.
#define HALF(name, to_float, of_float)                                                                                 \
    XN_DECODER(name) {                                                                                                 \
        const uint8_t *in = blocks;                                                                                    \
        for (size_t i = 0; i < n; i++) {                                                                               \
            uint16_t half;                                                                                             \
            memcpy(&half, in + i * sizeof half, sizeof half);                                                          \
            out[i] = to_float(half);                                                                                   \
        }                                                                                                              \
    }                                                                                                                  \
    XN_ENCODER(name) {                                                                                                 \
        UNUSED(importance); /* each value is rounded for itself */                                                     \
        uint8_t *out = blocks;                                                                                         \
        for (size_t i = 0; i < n; i++) {                                                                               \
            uint16_t half = of_float(values[i]);                                                                       \
            memcpy(out + i * sizeof half, &half, sizeof half);                                                         \
        }                                                                                                              \
    }

HALF(f16, xn_f16_to_f32, xn_f32_to_f16)
HALF(bf16, xn_bf16_to_f32, xn_f32_to_bf16)

XN_DECODER(f64) {
    const uint8_t *in = blocks;
    for (size_t i = 0; i < n; i++) {
        double value;
        memcpy(&value, in + i * sizeof value, sizeof value);
        out[i] = (float)value;
    }
}

XN_ENCODER(f64) {
    UNUSED(importance);
    uint8_t *out = blocks;
    for (size_t i = 0; i < n; i++) {
        double value = (double)values[i];
        memcpy(out + i * sizeof value, &value, sizeof value);
    }
}
