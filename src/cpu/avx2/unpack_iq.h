// IQ2 and IQ3: magnitudes of eight or four values from a grid, and a bit of sign for each; part of unpack.h. The
// integers are taken from the least possible one on, unsigned: products of bytes want it so, and a minimum costs less
// than a sign.
#pragma once

#include "quant/blocks.h"

// Bytes and values of a block, whether the integers are signed, and the integer that stands for 0.
enum {
    BYTES_iq2_xxs = 66,
    VALUES_iq2_xxs = 256,
    SIGNED_iq2_xxs = 0,
    BYTES_iq2_xs = 74,
    VALUES_iq2_xs = 256,
    SIGNED_iq2_xs = 0,
    BYTES_iq2_s = 82,
    VALUES_iq2_s = 256,
    SIGNED_iq2_s = 0,
    ZERO_iq2 = 44, // magnitudes to 43
    BYTES_iq3_xxs = 98,
    VALUES_iq3_xxs = 256,
    SIGNED_iq3_xxs = 0,
    ZERO_iq3_xxs = 63, // to 62
    BYTES_iq3_s = 110,
    VALUES_iq3_s = 256,
    SIGNED_iq3_s = 0,
    ZERO_iq3_s = 16, // to 15
};

// What a block says before grids are read: places in the grid of eights (IQ3: of fours), and signs, a bit a value.
struct places {
    uint16_t at[64] __attribute__((aligned(32)));
    __m256i signs;
};

// What is stored here comes back number by number from memory: compilers would else take it out of the vector, in two
// steps each.
INLINE void to_memory(void *p, __m256i x) {
    _mm256_storeu_si256((__m256i *)p, x);
    __asm__("" : "+m"(*(char(*)[sizeof x])p));
}
INLINE __m256i bytes_to_words(const uint8_t *p) {
    return _mm256_cvtepu8_epi16(load_16(p));
}

// The eighth sign of seven: their number is even.
INLINE __m256i even_signs(__m256i seven) {
    __m256i odd = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, -128, -128, 0, -128, 0, 0, -128, -128, 0, 0, -128, 0, -128, -128, 0)); // of four bits
    __m256i four = _mm256_and_si256(_mm256_xor_si256(seven, _mm256_srli_epi16(seven, 4)), _mm256_set1_epi8(15));
    return _mm256_or_si256(seven, _mm256_shuffle_epi8(odd, four));
}
// Of words with four times seven bits, from the lowest on.
INLINE __m256i signs_of_28(__m256i x) {
    __m256i a = _mm256_and_si256(x, _mm256_set1_epi32(0x7f));
    __m256i b = _mm256_and_si256(_mm256_slli_epi32(x, 1), _mm256_set1_epi32(0x7f00));
    __m256i c = _mm256_and_si256(_mm256_slli_epi32(x, 2), _mm256_set1_epi32(0x7f0000));
    __m256i d = _mm256_and_si256(_mm256_slli_epi32(x, 3), _mm256_set1_epi32(0x7f000000));
    return even_signs(_mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d)));
}

// step * (1 + 2 s): of eight words' top four bits, and of sixteen halves of bytes.
INLINE __m256 scales_of_words(__m256i x, float step) {
    __m256 s = _mm256_cvtepi32_ps(_mm256_srli_epi32(x, 28));
    return _mm256_fmadd_ps(s, _mm256_set1_ps(2 * step), _mm256_set1_ps(step));
}
INLINE void scales_of_halves(const uint8_t *p, float step, __m256 scale[2]) {
    __m128i both = _mm_loadl_epi64((const __m128i *)p), fifteen = _mm_set1_epi8(15);
    __m128i s = _mm_and_si128(_mm_unpacklo_epi8(both, _mm_srli_epi16(both, 4)), fifteen);
    scale[0] = _mm256_fmadd_ps(bytes_to_float(s), _mm256_set1_ps(2 * step), _mm256_set1_ps(step));
    scale[1] = _mm256_fmadd_ps(bytes_to_float(_mm_srli_si128(s, 8)), _mm256_set1_ps(2 * step), _mm256_set1_ps(step));
}

// 32 magnitudes with their signs, from `zero` on.
INLINE __m256i with_signs(__m256i magnitude, const uint8_t *signs, char zero) {
    __m256i set = spread_bits(signs, -1);
    return _mm256_sub_epi8(_mm256_xor_si256(magnitude, set), _mm256_sub_epi8(set, _mm256_set1_epi8(zero)));
}
INLINE __m256i grid_of_eights(const uint64_t *grid, const uint16_t *at) {
    return _mm256_set_epi64x((long long)grid[at[3]], (long long)grid[at[2]], (long long)grid[at[1]],
                             (long long)grid[at[0]]);
}
INLINE __m256i grid_of_fours(const uint32_t *grid, const uint16_t *at) {
    return _mm256_set_epi32((int)grid[at[7]], (int)grid[at[6]], (int)grid[at[5]], (int)grid[at[4]], (int)grid[at[3]],
                            (int)grid[at[2]], (int)grid[at[1]], (int)grid[at[0]]);
}
INLINE void minimum_of(struct unpacked *u, float zero) {
    u->minimum[0] = times(u->scale[0], zero);
    u->minimum[1] = times(u->scale[1], zero);
}

// The second words of eight pairs.
INLINE __m256i second_words(const uint8_t *p) {
    __m256 a = _mm256_castsi256_ps(load_32(p)), b = _mm256_castsi256_ps(load_32(p + 32));
    return _mm256_permute4x64_epi64(_mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xdd)), 0xd8);
}

INLINE void unpack_iq2_xxs(const uint8_t *p, struct unpacked *u) {
    __m256i words = second_words(p + 2);
    uint8_t signs[32];
    to_memory(signs, signs_of_28(words));
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        const uint8_t *at = p + 2 + 8 * i;
        __m256i eights = _mm256_set_epi64x((long long)xn_iq2_xxs_grid[at[3]], (long long)xn_iq2_xxs_grid[at[2]],
                                           (long long)xn_iq2_xxs_grid[at[1]], (long long)xn_iq2_xxs_grid[at[0]]);
        u->q[i] = with_signs(eights, signs + 4 * i, ZERO_iq2);
    }
    spread(scales_of_words(words, load_half(p) * 0.125f), u->scale);
    minimum_of(u, ZERO_iq2);
}

INLINE void places_iq2_xs(const uint8_t *p, struct places *l) {
    __m256i a = load_32(p + 2), b = load_32(p + 34), nine = _mm256_set1_epi16(511);
    to_memory(l->at, _mm256_and_si256(a, nine));
    to_memory(l->at + 16, _mm256_and_si256(b, nine));
    __m256i seven = _mm256_packus_epi16(_mm256_srli_epi16(a, 9), _mm256_srli_epi16(b, 9));
    l->signs = even_signs(_mm256_permute4x64_epi64(seven, 0xd8));
}
INLINE void unpack_iq2_xs(const uint8_t *p, struct unpacked *u) {
    struct places l;
    places_iq2_xs(p, &l);
    uint8_t signs[32];
    to_memory(signs, l.signs);
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        u->q[i] = with_signs(grid_of_eights(xn_iq2_xs_grid, l.at + 4 * i), signs + 4 * i, ZERO_iq2);
    scales_of_halves(p + 66, load_half(p) * 0.125f, u->scale);
    minimum_of(u, ZERO_iq2);
}

// Two more bits for each of 32 places, bits 8 and 9.
INLINE void places_iq2_s(const uint8_t *p, struct places *l) {
    __m256i turn = _mm256_set1_epi64x(0x0004001000400100), bits = _mm256_set1_epi16(0x300);
    for (int h = 0; h < 2; h++) {
        __m256i high = _mm256_shuffle_epi8(_mm256_set1_epi32((int)load_u32(p + 66 + 4 * h)),
                                           _mm256_setr_epi8(0, -1, 0, -1, 0, -1, 0, -1, 1, -1, 1, -1, 1, -1, 1, -1, 2,
                                                            -1, 2, -1, 2, -1, 2, -1, 3, -1, 3, -1, 3, -1, 3, -1));
        high = _mm256_and_si256(_mm256_mullo_epi16(high, turn), bits);
        to_memory(l->at + 16 * h, _mm256_or_si256(bytes_to_words(p + 2 + 16 * h), high));
    }
}
INLINE void unpack_iq2_s(const uint8_t *p, struct unpacked *u) {
    struct places l;
    places_iq2_s(p, &l);
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        u->q[i] = with_signs(grid_of_eights(xn_iq2_s_grid, l.at + 4 * i), p + 34 + 4 * i, ZERO_iq2);
    scales_of_halves(p + 74, load_half(p) * 0.125f, u->scale);
    minimum_of(u, ZERO_iq2);
}

INLINE void unpack_iq3_xxs(const uint8_t *p, struct unpacked *u) {
    __m256i words = load_32(p + 66);
    uint8_t signs[32];
    to_memory(signs, signs_of_28(words));
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        const uint8_t *at = p + 2 + 8 * i;
        const uint32_t *grid = xn_iq3_xxs_grid;
        __m256i fours = _mm256_set_epi32((int)grid[at[7]], (int)grid[at[6]], (int)grid[at[5]], (int)grid[at[4]],
                                         (int)grid[at[3]], (int)grid[at[2]], (int)grid[at[1]], (int)grid[at[0]]);
        u->q[i] = with_signs(fours, signs + 4 * i, ZERO_iq3_xxs);
    }
    spread(scales_of_words(words, load_half(p) * 0.25f), u->scale);
    minimum_of(u, ZERO_iq3_xxs);
}

// A ninth bit for each of 64 places.
INLINE void places_iq3_s(const uint8_t *p, struct places *l) {
    for (int h = 0; h < 2; h++) {
        __m256i low = load_32(p + 2 + 32 * h), high = spread_bits(p + 66 + 4 * h, 1);
        low = _mm256_permute4x64_epi64(low, 0xd8);
        high = _mm256_permute4x64_epi64(high, 0xd8);
        to_memory(l->at + 32 * h, _mm256_unpacklo_epi8(low, high));
        to_memory(l->at + 32 * h + 16, _mm256_unpackhi_epi8(low, high));
    }
}
// Four halves of bytes, two groups of 32 a byte.
INLINE __m256 scales_iq3_s(const uint8_t *p) {
    __m256i s =
        _mm256_srlv_epi32(_mm256_set1_epi32((int)load_u32(p + 106)), _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
    __m256 step = _mm256_set1_ps(load_half(p));
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_and_si256(s, _mm256_set1_epi32(15))), _mm256_add_ps(step, step),
                           step);
}
INLINE void unpack_iq3_s(const uint8_t *p, struct unpacked *u) {
    struct places l;
    places_iq3_s(p, &l);
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        u->q[i] = with_signs(grid_of_fours(xn_iq3_s_grid, l.at + 8 * i), p + 74 + 4 * i, ZERO_iq3_s);
    spread(scales_iq3_s(p), u->scale);
    minimum_of(u, ZERO_iq3_s);
}
