// The blocks of the formats, field by field as they lie in a file (little-endian, at any alignment), and what their
// packed fields say. Layouts are those of ggml.
#pragma once

#include "quant/half.h"

#include <stdint.h>

#define XN_PACKED __attribute__((packed))

// Blocks of 32 values. Value i < 16 is the low half of qs[i], value 16 + i the high half. Halves d and m: binary16.
struct xn_q4_0 {
    uint16_t d;
    uint8_t qs[16];
} XN_PACKED;
struct xn_q4_1 {
    uint16_t d, m;
    uint8_t qs[16];
} XN_PACKED;
struct xn_q5_0 {
    uint16_t d;
    uint32_t qh; // bit i: bit 4 of value i
    uint8_t qs[16];
} XN_PACKED;
struct xn_q5_1 {
    uint16_t d, m;
    uint32_t qh;
    uint8_t qs[16];
} XN_PACKED;
struct xn_q8_0 {
    uint16_t d;
    int8_t qs[32];
} XN_PACKED;
struct xn_iq4_nl { // qs are places in xn_iq4_values
    uint16_t d;
    uint8_t qs[16];
} XN_PACKED;
struct xn_mxfp4 { // qs are E2M1
    uint8_t e;    // E8M0: a power of two
    uint8_t qs[16];
} XN_PACKED;

// 64 values in 4 groups of 16; within a group as above with 8 bytes.
struct xn_nvfp4 {
    uint8_t d[4]; // unsigned E4M3
    uint8_t qs[32];
} XN_PACKED;

// Blocks of 256 values.
struct xn_q2_k {        // 16 groups of 16
    uint8_t scales[16]; // low half: scale, high half: minimum
    uint8_t qs[64];     // two bits: of each 32 bytes, plane j (bits 2j) holds values 32 j to 32 j + 31 of a half of 128
    uint16_t d, dmin;
} XN_PACKED;
struct xn_q3_k {       // 16 groups of 16
    uint8_t hmask[32]; // bit j of byte i: value 32 j + i has its bit 2
    uint8_t qs[64];    // as Q2_K
    uint8_t scales[12];
    uint16_t d;
} XN_PACKED;
struct xn_q4_k { // 8 groups of 32
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t qs[128]; // of each 32 bytes, the low halves are a group and the high halves the next
} XN_PACKED;
struct xn_q5_k { // 8 groups of 32
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t qh[32]; // bit j of byte i: bit 4 of value 32 j + i
    uint8_t qs[128];
} XN_PACKED;
struct xn_q6_k {     // 16 groups of 16, in two halves of 128 values
    uint8_t ql[128]; // of a half's 64 bytes: low halves of the bytes are values 0 to 63, high halves 64 to 127
    uint8_t qh[64];  // of a half's 32 bytes: plane j (bits 2j) holds bits 4 and 5 of values 32 j to 32 j + 31
    int8_t scales[16];
    uint16_t d;
} XN_PACKED;
struct xn_iq2_xxs { // 8 groups of 32: qs[8 g ..]: four places in the grid; then 4 x 7 bits of signs, 4 bits of scale
    uint16_t d;
    uint8_t qs[64];
} XN_PACKED;
struct xn_iq2_xs {
    uint16_t d;
    uint16_t qs[32]; // 9 bits of place in the grid, 7 of signs: for 8 values
    uint8_t scales[8];
} XN_PACKED;
struct xn_iq2_s {
    uint16_t d;
    uint8_t qs[32], signs[32]; // for 8 values each
    uint8_t qh[8];             // two bits more for each of qs
    uint8_t scales[8];
} XN_PACKED;
struct xn_iq3_xxs {
    uint16_t d;
    uint8_t qs[64];     // places in the grid, for 4 values each
    uint32_t scales[8]; // 4 x 7 bits of signs, 4 bits of scale: for 32 values
} XN_PACKED;
struct xn_iq3_s {
    uint16_t d;
    uint8_t qs[64]; // for 4 values each
    uint8_t qh[8];  // a bit more for each of qs
    uint8_t signs[32];
    uint8_t scales[4]; // a half for 32 values
} XN_PACKED;
struct xn_iq1_s {
    uint16_t d;
    uint8_t qs[32]; // for 8 values each
    uint16_t qh[8]; // for 32 values: 4 x 3 bits more of qs, 3 bits of scale, the sign of delta
} XN_PACKED;
struct xn_iq1_m {
    uint8_t qs[32];     // for 8 values each
    uint8_t qh[16];     // for 8 values a half: 3 bits more of qs, the sign of delta
    uint16_t scales[4]; // for 64 values: 4 x 3 bits of scale; the top halves of all four are d
} XN_PACKED;
struct xn_iq4_xs { // 8 groups of 32, each as IQ4_NL
    uint16_t d;
    uint16_t scales_h;
    uint8_t scales_l[4];
    uint8_t qs[128];
} XN_PACKED;
struct xn_tq1_0 {
    uint8_t qs[48]; // five base-3 digits a byte, as a fixed-point fraction
    uint8_t qh[4];  // four
    uint16_t d;
} XN_PACKED;
struct xn_tq2_0 {
    uint8_t qs[64]; // two bits, as Q2_K
    uint16_t d;
} XN_PACKED;

// 6-bit scale and minimum of group j (of 8) in the 12 bytes of Q4_K and Q5_K: those of the first four groups are the
// low six bits of bytes 0-3 and 4-7; of the last four the low four bits are in bytes 8-11 (scale low, minimum high),
// the top two above the former.
static inline void xn_q4_k_scale(const uint8_t scales[12], int j, uint8_t *scale, uint8_t *minimum) {
    if (j < 4) {
        *scale = scales[j] & 63;
        *minimum = scales[j + 4] & 63;
    } else {
        *scale = (uint8_t)((scales[j + 4] & 15) | (scales[j - 4] >> 6) << 4);
        *minimum = (uint8_t)(scales[j + 4] >> 4 | (scales[j] >> 6) << 4);
    }
}

// 6-bit scale of group j (of 16) in the 12 bytes of Q3_K, -32 to 31: the low four bits are in bytes 0-7 (low halves:
// 0-7, high halves: 8-15), the top two in bytes 8-11, plane j / 4.
static inline int xn_q3_k_scale(const uint8_t scales[12], int j) {
    int low = j < 8 ? scales[j] & 15 : scales[j - 8] >> 4;
    return (low | (scales[8 + j % 4] >> (j / 4 * 2) & 3) << 4) - 32;
}

// 6-bit scale of group j (of 8) of IQ4_XS, -32 to 31.
static inline int xn_iq4_xs_scale(const struct xn_iq4_xs *b, int j) {
    return ((b->scales_l[j / 2] >> (j % 2 * 4) & 15) | (b->scales_h >> 2 * j & 3) << 4) - 32;
}

// Seven sign bits stand for eight: their number is even.
static inline uint8_t xn_iq_signs(uint32_t seven) {
    seven &= 127;
    return (uint8_t)(seven | (uint32_t)__builtin_parity(seven) << 7);
}

// Half of the E8M0 number (E2M1 values are kept doubled).
static inline float xn_e8m0_half(uint8_t e) {
    return xn_float_of_bits(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23);
}

// Half of the unsigned E4M3 number; its NaN counts as 0, and a sign bit as nothing.
static inline float xn_ue4m3_half(uint8_t e) {
    uint32_t exponent = e >> 3 & 15, mantissa = e & 7;
    if (e == 0x7f) return 0;
    if (exponent == 0) return (float)mantissa * 0x1p-10f;
    return xn_float_of_bits((exponent + 119) << 23 | mantissa << 20);
}

extern const int8_t xn_iq4_values[16];  // of IQ4_NL and IQ4_XS
extern const int8_t xn_e2m1_values[16]; // twice the E2M1 numbers

// Grids of 8 (uint64_t) or 4 (uint32_t) values, the first in the lowest byte. Those of IQ1 are signed.
extern const uint64_t xn_iq2_xxs_grid[256], xn_iq2_xs_grid[512], xn_iq2_s_grid[1024], xn_iq1_grid[2048];
extern const uint32_t xn_iq3_xxs_grid[256], xn_iq3_s_grid[512];
