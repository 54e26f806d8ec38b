// Integer formats as rows of tiles of bfloat16: tiles_NAME for each, 256 values at a time, 32 of them every TILE.
//
// Where a weight has at most 5 bits and 32 of them share a scale, all values that they can take are computed and
// rounded once, and the weights' bits look them up: a third of the work of converting each. The results are the same.
#pragma once

#include "cpu/avx2/unpack.h"
#include "cpu/avx512vnni/halves.h"
#include "cpu/kernels.h"

// --- by conversion ---

// 32 integers with a scale (and a minimum, where unsigned) for each 16.
INLINE void store_row(const void *q, const bool is_signed, const float *scale, const float *minimum, uint16_t *out) {
    __m512 v[2];
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
        __m128i bytes = load_16((const uint8_t *)q + 16 * h);
        __m512 x = _mm512_cvtepi32_ps(is_signed ? _mm512_cvtepi8_epi32(bytes) : _mm512_cvtepu8_epi32(bytes));
        __m512 s = _mm512_set1_ps(scale[h]);
        v[h] = is_signed ? _mm512_mul_ps(x, s) : _mm512_fmsub_ps(x, s, _mm512_set1_ps(minimum[h]));
    }
    _mm512_storeu_si512(out, round_both(v[0], v[1]));
}

// By way of memory, whose reads widen bytes and spread scales for nothing.
INLINE void store_tiles(const struct unpacked *u, const bool is_signed, uint16_t *out) {
    uint8_t q[XN_CPU_SUPER];
    float scale[XN_CPU_SUPER / 16], minimum[XN_CPU_SUPER / 16];
#pragma GCC unroll 8
    for (int g = 0; g < 8; g++)
        _mm256_storeu_si256((__m256i *)(void *)(q + 32 * g), u->q[g]);
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
        _mm256_storeu_ps(scale + 8 * h, u->scale[h]);
        if (!is_signed) _mm256_storeu_ps(minimum + 8 * h, u->minimum[h]);
    }
#pragma GCC unroll 8
    for (int g = 0; g < 8; g++)
        store_row(q + 32 * g, is_signed, scale + 2 * g, minimum + 2 * g, out + (size_t)g * TILE);
}

// --- by tables ---

INLINE __m512 first_16(void) {
    return _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
// scale * code - minimum
INLINE __m512 line(__m512 codes, float scale, float minimum) {
    return _mm512_fmsub_ps(codes, _mm512_set1_ps(scale), _mm512_set1_ps(minimum));
}
INLINE __m512 multiple(__m512 codes, float scale) {
    return _mm512_mul_ps(codes, _mm512_set1_ps(scale));
}
// The values of 32 places, of which a lookup heeds the low five bits.
INLINE void look_up(__m512i table, __m512i places, uint16_t *out) {
    _mm512_storeu_si512(out, _mm512_permutexvar_epi16(places, table));
}
INLINE __m512i low_nibbles(__m512i x) {
    return _mm512_and_si512(x, _mm512_set1_epi16(15));
}
// The low nibbles of x and the fifth bits of y.
INLINE __m512i with_fifth(__m512i x, __m512i y) {
    return _mm512_ternarylogic_epi32(_mm512_set1_epi16(15), x, y, 0xca);
}
// 16 bytes whose low nibbles are values 0 to 15 and high ones the others; what is above a nibble is anything.
INLINE __m512i places_of(const uint8_t *p) {
    __m512i words = _mm512_cvtepu8_epi16(_mm256_broadcastsi128_si256(load_16(p)));
    return _mm512_srlv_epi16(words, _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(4), 1));
}
// Two blocks of such nibbles, by one table: the values of each are 16 of it.
INLINE void look_up_two(__m512 first, __m512 second, const uint8_t *p, const uint8_t *q, uint16_t *out) {
    __m512i table = round_both(first, second);
    look_up(table, low_nibbles(places_of(p)), out);
    look_up(table, with_fifth(places_of(q), _mm512_set1_epi16(16)), out + TILE);
}
// A block of such nibbles with a fifth bit of each value in `high`.
INLINE void look_up_five(float scale, float minimum, const uint8_t *p, uint32_t high, uint16_t *out) {
    __m512i table = round_both(line(first_16(), scale, minimum), line(first_16() + 16, scale, minimum));
    __m512i places = low_nibbles(places_of(p));
    look_up(table, _mm512_mask_add_epi16(places, high, places, _mm512_set1_epi16(16)), out);
}

INLINE void tiles_q4_0(const uint8_t *p, uint16_t *out) {
    float d[8];
    _mm256_storeu_ps(d, load_halves(p, BYTES_q4_0));
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2, p += 2 * BYTES_q4_0, out += 2 * TILE)
        look_up_two(line(first_16(), d[i], 8 * d[i]), line(first_16(), d[i + 1], 8 * d[i + 1]), p + 2,
                    p + BYTES_q4_0 + 2, out);
}

INLINE void tiles_q4_1(const uint8_t *p, uint16_t *out) {
    float d[8], m[8];
    _mm256_storeu_ps(d, load_halves(p, BYTES_q4_1));
    _mm256_storeu_ps(m, load_halves(p + 2, BYTES_q4_1));
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2, p += 2 * BYTES_q4_1, out += 2 * TILE)
        look_up_two(line(first_16(), d[i], -m[i]), line(first_16(), d[i + 1], -m[i + 1]), p + 4, p + BYTES_q4_1 + 4,
                    out);
}

INLINE void tiles_q5_0(const uint8_t *p, uint16_t *out) {
    float d[8];
    _mm256_storeu_ps(d, load_halves(p, BYTES_q5_0));
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++, p += BYTES_q5_0, out += TILE)
        look_up_five(d[i], 16 * d[i], p + 6, load_u32(p + 2), out);
}

INLINE void tiles_q5_1(const uint8_t *p, uint16_t *out) {
    float d[8], m[8];
    _mm256_storeu_ps(d, load_halves(p, BYTES_q5_1));
    _mm256_storeu_ps(m, load_halves(p + 2, BYTES_q5_1));
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++, p += BYTES_q5_1, out += TILE)
        look_up_five(d[i], -m[i], p + 8, load_u32(p + 4), out);
}

INLINE void tiles_q8_0(const uint8_t *p, uint16_t *out) {
    float d[8];
    _mm256_storeu_ps(d, load_halves(p, BYTES_q8_0));
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++, p += BYTES_q8_0, out += TILE) {
        float both[2] = {d[i], d[i]};
        store_row(p + 2, true, both, both, out);
    }
}

INLINE void scales_k(const uint8_t *p, float scale[8], float minimum[8]) {
    uint64_t scales, minima;
    scale_bytes_k(p, &scales, &minima);
    _mm256_storeu_ps(scale, times(bytes_to_float(_mm_cvtsi64_si128((long long)scales)), load_half(p)));
    _mm256_storeu_ps(minimum, times(bytes_to_float(_mm_cvtsi64_si128((long long)minima)), load_half(p + 2)));
}

INLINE void tiles_q4_k(const uint8_t *p, uint16_t *out) {
    float s[8], m[8];
    scales_k(p, s, m);
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2, out += 2 * TILE) {
        __m512i x = _mm512_cvtepu8_epi16(load_32(p + 16 + 16 * i));
        __m512i table = round_both(line(first_16(), s[i], m[i]), line(first_16(), s[i + 1], m[i + 1]));
        look_up(table, low_nibbles(x), out);
        look_up(table, _mm512_or_si512(_mm512_srli_epi16(x, 4), _mm512_set1_epi16(16)), out + TILE);
    }
}

INLINE void tiles_q5_k(const uint8_t *p, uint16_t *out) {
    float s[8], m[8];
    scales_k(p, s, m);
    __m512i high = _mm512_cvtepu8_epi16(load_32(p + 16)), x = high; // bit j: of group j
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++, out += TILE) {
        if (j % 2 == 0) x = _mm512_cvtepu8_epi16(load_32(p + 48 + 16 * j));
        __m512i fifth = j < 4 ? _mm512_slli_epi16(high, 4 - j) : _mm512_srli_epi16(high, j - 4);
        __m512i table = round_both(line(first_16(), s[j], m[j]), line(first_16() + 16, s[j], m[j]));
        look_up(table, with_fifth(j % 2 ? _mm512_srli_epi16(x, 4) : x, fifth), out);
    }
}

INLINE __m512 codes_iq4(void) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(iq4_table()));
}

INLINE void tiles_iq4_nl(const uint8_t *p, uint16_t *out) {
    float d[8];
    _mm256_storeu_ps(d, load_halves(p, BYTES_iq4_nl));
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2, p += 2 * BYTES_iq4_nl, out += 2 * TILE)
        look_up_two(multiple(codes_iq4(), d[i]), multiple(codes_iq4(), d[i + 1]), p + 2, p + BYTES_iq4_nl + 2, out);
}

INLINE void tiles_iq4_xs(const uint8_t *p, uint16_t *out) {
    float d[8];
    _mm256_storeu_ps(d, scales_iq4_xs(p));
    p += 8;
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2, p += 32, out += 2 * TILE)
        look_up_two(multiple(codes_iq4(), d[i]), multiple(codes_iq4(), d[i + 1]), p, p + 16, out);
}

// --- the others ---

#define BY_CONVERSION(name)                                                                                            \
    INLINE void tiles_##name(const uint8_t *p, uint16_t *out) {                                                        \
        struct unpacked u;                                                                                             \
        unpack_##name(p, &u);                                                                                          \
        store_tiles(&u, SIGNED_##name, out);                                                                           \
    }
BY_CONVERSION(q2_k)
BY_CONVERSION(q3_k)
BY_CONVERSION(q6_k)
BY_CONVERSION(iq1_s)
BY_CONVERSION(iq1_m)
BY_CONVERSION(iq2_xxs)
BY_CONVERSION(iq2_xs)
BY_CONVERSION(iq2_s)
BY_CONVERSION(iq3_xxs)
BY_CONVERSION(iq3_s)
BY_CONVERSION(tq1_0)
BY_CONVERSION(tq2_0)
BY_CONVERSION(nvfp4)
#undef BY_CONVERSION
