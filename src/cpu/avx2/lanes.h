// Unpacking of weights in lanes (cpu/lanes.h), 256 values at a time, or the half of them that ends a row.
#pragma once

#include "cpu/avx2/products.h"

// Scales for 32 values are multiplied as floats. Those for 16 are integers times one number in every format that is
// laid in lanes: products meet them as integers, so that blocks of 32 are summed exactly and become floats once.
struct lanes {
    __m256i q[8]; // vector j: dword j of every block
    union {
        struct { // of groups of 32; two vectors each where they are spread over groups of 16
            __m256 scale[2];
            __m256 minimum[2]; // of unsigned formats
        };
        struct {             // of groups of 16
            __m256i by[2];   // of the blocks' first groups and of their second, each twice in a dword
            __m256i minimum; // of both groups, a dword a block
            float d, d_minimum;
        } whole;
    };
};

// Vector i of a plane. Of a half the blocks 0 to 3 are there.
INLINE __m256i plane(const uint8_t *p, int i, const bool half) {
    return half ? _mm256_zextsi128_si256(load_16(p + 16 * i)) : load_32(p + 32 * i);
}
INLINE __m256 lane_halves(const uint8_t *p, const bool half) {
    return _mm256_cvtph_ps(half ? _mm_loadl_epi64((const __m128i *)(const void *)p) : load_16(p));
}

// Bits `mask` of each byte of x moved up by `by`, or down.
INLINE __m256i moved_bits(__m256i x, const int by, const int mask) {
    x = by >= 0 ? _mm256_slli_epi16(x, by) : _mm256_srli_epi16(x, -by);
    return _mm256_and_si256(x, _mm256_set1_epi8((char)mask));
}
INLINE void four_bit_planes(const uint8_t *p, const bool half, __m256i q[8]) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        __m256i both = plane(p, j, half);
        q[j] = moved_bits(both, 0, 15);
        q[j + 4] = moved_bits(both, -4, 15);
    }
}
// Bits from planes, to be bits `to` (and `to` + 1) of the integers.
INLINE void add_bit_plane(const uint8_t *p, const bool half, const int to, __m256i q[8]) {
    __m256i bits = plane(p, 0, half);
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++)
        q[j] = _mm256_or_si256(q[j], moved_bits(bits, to - j, 1 << to));
}
INLINE void two_bit_planes(const uint8_t *p, const int to, __m256i bits[8]) {
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++)
        bits[j] = moved_bits(plane(p, j / 4, false), to - 2 * (j % 4), 3 << to);
}

// --- formats with blocks of 32 values ---

INLINE void lanes_q4_0(const uint8_t *p, const bool half, struct lanes *u) {
    const int n = half ? 4 : 8;
    u->scale[0] = lane_halves(p, half);
    u->minimum[0] = times(u->scale[0], 8);
    four_bit_planes(p + 2 * n, half, u->q);
}
INLINE void lanes_q4_1(const uint8_t *p, const bool half, struct lanes *u) {
    const int n = half ? 4 : 8;
    u->scale[0] = lane_halves(p, half);
    u->minimum[0] = times(lane_halves(p + 2 * n, half), -1);
    four_bit_planes(p + 4 * n, half, u->q);
}
INLINE void lanes_q5_0(const uint8_t *p, const bool half, struct lanes *u) {
    const int n = half ? 4 : 8;
    u->scale[0] = lane_halves(p, half);
    u->minimum[0] = times(u->scale[0], 16);
    four_bit_planes(p + 6 * n, half, u->q);
    add_bit_plane(p + 2 * n, half, 4, u->q);
}
INLINE void lanes_q5_1(const uint8_t *p, const bool half, struct lanes *u) {
    const int n = half ? 4 : 8;
    u->scale[0] = lane_halves(p, half);
    u->minimum[0] = times(lane_halves(p + 2 * n, half), -1);
    four_bit_planes(p + 8 * n, half, u->q);
    add_bit_plane(p + 4 * n, half, 4, u->q);
}
INLINE void lanes_q8_0(const uint8_t *p, const bool half, struct lanes *u) {
    const int n = half ? 4 : 8;
    u->scale[0] = lane_halves(p, half);
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++)
        u->q[j] = plane(p + 2 * n, j, half);
}
INLINE void look_up_iq4(__m256i q[8]) {
    __m256i table = _mm256_broadcastsi128_si256(iq4_table());
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++)
        q[j] = _mm256_shuffle_epi8(table, q[j]);
}
INLINE void lanes_iq4_nl(const uint8_t *p, const bool half, struct lanes *u) {
    lanes_q4_0(p, half, u);
    look_up_iq4(u->q);
}

// --- formats with blocks of 256 values: none is a half ---

INLINE void lanes_iq4_xs(const uint8_t *p, const bool half, struct lanes *u) {
    (void)half;
    u->scale[0] = scales_iq4_xs(p);
    four_bit_planes(p + 8, false, u->q);
    look_up_iq4(u->q);
}
INLINE void lane_scales_k(const uint8_t *p, struct lanes *u) {
    uint64_t scales, minima;
    scale_bytes_k(p, &scales, &minima);
    u->scale[0] = times(bytes_to_float(_mm_cvtsi64_si128((long long)scales)), load_half(p));
    u->minimum[0] = times(bytes_to_float(_mm_cvtsi64_si128((long long)minima)), load_half(p + 2));
}
INLINE void lanes_q4_k(const uint8_t *p, const bool half, struct lanes *u) {
    (void)half;
    lane_scales_k(p, u);
    four_bit_planes(p + 16, false, u->q);
}
INLINE void lanes_q5_k(const uint8_t *p, const bool half, struct lanes *u) {
    (void)half;
    lane_scales_k(p, u);
    four_bit_planes(p + 48, false, u->q);
    add_bit_plane(p + 16, false, 4, u->q);
}
// Sixteen integers of 16 bits, a block's two in a dword, to vectors that have one of the two twice.
INLINE void twice_each(__m256i scales, __m256i by[2]) {
    __m128i first = _mm_setr_epi8(0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13);
    by[0] = _mm256_shuffle_epi8(scales, _mm256_broadcastsi128_si256(first));
    by[1] = _mm256_shuffle_epi8(scales, _mm256_broadcastsi128_si256(_mm_add_epi8(first, _mm_set1_epi8(2))));
}
// Of signed scales, whose integers begin at -2^least.
INLINE void lane_scales_signed(__m128i bytes, const uint8_t *half, const int least, struct lanes *u) {
    __m256i scales = _mm256_cvtepi8_epi16(bytes);
    twice_each(scales, u->whole.by);
    u->whole.minimum = _mm256_slli_epi16(scales, least);
    u->whole.d = load_half(half);
    u->whole.d_minimum = u->whole.d;
}
INLINE void lanes_q2_k(const uint8_t *p, const bool half, struct lanes *u) {
    (void)half;
    __m128i both = load_16(p), fifteen = _mm_set1_epi8(15);
    twice_each(_mm256_cvtepu8_epi16(_mm_and_si128(both, fifteen)), u->whole.by);
    u->whole.minimum = _mm256_cvtepu8_epi16(_mm_and_si128(_mm_srli_epi16(both, 4), fifteen));
    u->whole.d = load_half(p + 16);
    u->whole.d_minimum = load_half(p + 18);
    two_bit_planes(p + 20, 0, u->q);
}
INLINE void lanes_q3_k(const uint8_t *p, const bool half, struct lanes *u) {
    (void)half;
    lane_scales_signed(scale_bytes_q3_k(p), p + 12, 2, u);
    two_bit_planes(p + 46, 0, u->q);
    add_bit_plane(p + 14, false, 2, u->q);
}
INLINE void lanes_q6_k(const uint8_t *p, const bool half, struct lanes *u) {
    (void)half;
    __m256i high[8];
    lane_scales_signed(load_16(p), p + 16, 5, u);
    two_bit_planes(p + 18, 4, high);
    four_bit_planes(p + 82, false, u->q);
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++)
        u->q[j] = _mm256_or_si256(u->q[j], high[j]);
}
