// Conversions between float32 and the 16-bit floats, exact to the bit (round to nearest, ties to even).
#pragma once

#include <stdint.h>
#include <string.h>

static inline float xn_float_of_bits(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t xn_bits_of_float(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static inline float xn_bf16_to_f32(uint16_t h) {
    return xn_float_of_bits((uint32_t)h << 16);
}

static inline uint16_t xn_f32_to_bf16(float f) {
    uint32_t bits = xn_bits_of_float(f);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40); // a quiet NaN
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static inline float xn_f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 0x3ff;
    if (exponent == 31) return xn_float_of_bits(sign | 0x7f800000 | mantissa << 13);
    if (exponent == 0) { // zero or subnormal: mantissa * 2^-24, exact in float32
        float f = (float)mantissa * 0x1p-24f;
        return sign ? -f : f;
    }
    return xn_float_of_bits(sign | (exponent + 112) << 23 | mantissa << 13);
}

static inline uint16_t xn_f32_to_f16(float f) {
    uint32_t bits = xn_bits_of_float(f), sign = bits >> 16 & 0x8000;
    bits &= 0x7fffffff;
    if (bits > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (bits >> 13 & 0x3ff));
    if (bits >= 0x477ff000) return (uint16_t)(sign | 0x7c00); // rounds past 65504
    if (bits < 0x38800000) {                                  // subnormal: adding 0.5 rounds at 2^-24
        float r = xn_float_of_bits(bits) + 0.5f;
        return (uint16_t)(sign | (xn_bits_of_float(r) - 0x3f000000));
    }
    return (uint16_t)(sign | ((bits - 0x38000000 + 0xfff + (bits >> 13 & 1)) >> 13));
}
