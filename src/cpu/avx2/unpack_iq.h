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

// Places in a grid, four a word: loads that depend on numbers stored as a vector wait for long, and compilers take
// numbers out of a vector in two steps each.
struct places {
    uint64_t at[16];
};
INLINE void keep_places(struct places *l, int i, __m256i x) {
    l->at[i] = (uint64_t)_mm256_extract_epi64(x, 0);
    l->at[i + 1] = (uint64_t)_mm256_extract_epi64(x, 1);
    l->at[i + 2] = (uint64_t)_mm256_extract_epi64(x, 2);
    l->at[i + 3] = (uint64_t)_mm256_extract_epi64(x, 3);
    for (int j = i; j < i + 4; j++)
        __asm__("" : "+r"(l->at[j])); // a register of its own
}
INLINE unsigned place(const struct places *l, int i) {
    return (uint16_t)(l->at[i / 4] >> 16 * (i % 4));
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

// 32 bytes of -1 where a bit of signs 32 i to 32 i + 31 is set; `half` is that of the signs with 16 bytes of them,
// twice.
INLINE __m256i negative(__m256i half, int i) {
    __m256i first = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3,
                                     3, 3, 3, 3);
    __m256i bytes = _mm256_shuffle_epi8(half, _mm256_add_epi8(first, _mm256_set1_epi8((char)(i % 4 * 4))));
    __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201ull);
    return _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit);
}
// 256 magnitudes with their signs, from `zero` on.
INLINE void apply_signs(__m256i signs, char zero, __m256i q[8]) {
    __m256i half[2] = {_mm256_permute4x64_epi64(signs, 0x44), _mm256_permute4x64_epi64(signs, 0xee)};
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        __m256i set = negative(half[i / 4], i);
        q[i] = _mm256_sub_epi8(_mm256_xor_si256(q[i], set), _mm256_sub_epi8(set, _mm256_set1_epi8(zero)));
    }
}
INLINE __m256i grid_of_eights(const uint64_t *grid, unsigned a, unsigned b, unsigned c, unsigned d) {
    return _mm256_set_epi64x((long long)grid[d], (long long)grid[c], (long long)grid[b], (long long)grid[a]);
}
#define EIGHTS(grid, l, i) grid_of_eights(grid, place(l, i), place(l, (i) + 1), place(l, (i) + 2), place(l, (i) + 3))
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
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        const uint8_t *at = p + 2 + 8 * i;
        u->q[i] = grid_of_eights(xn_iq2_xxs_grid, at[0], at[1], at[2], at[3]);
    }
    apply_signs(signs_of_28(words), ZERO_iq2, u->q);
    spread(scales_of_words(words, load_half(p) * 0.125f), u->scale);
    minimum_of(u, ZERO_iq2);
}

INLINE void unpack_iq2_xs(const uint8_t *p, struct unpacked *u) {
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        const uint8_t *at = p + 2 + 8 * i;
        u->q[i] = grid_of_eights(xn_iq2_xs_grid, load_u16(at) & 511, load_u16(at + 2) & 511, load_u16(at + 4) & 511,
                                 load_u16(at + 6) & 511);
    }
    __m256i seven = _mm256_packus_epi16(_mm256_srli_epi16(load_32(p + 2), 9), _mm256_srli_epi16(load_32(p + 34), 9));
    apply_signs(even_signs(_mm256_permute4x64_epi64(seven, 0xd8)), ZERO_iq2, u->q);
    scales_of_halves(p + 66, load_half(p) * 0.125f, u->scale);
    minimum_of(u, ZERO_iq2);
}

// Two more bits for each of 32 places, bits 8 and 9.
INLINE void unpack_iq2_s(const uint8_t *p, struct unpacked *u) {
    struct places l;
    __m256i turn = _mm256_set1_epi64x(0x0004001000400100), bits = _mm256_set1_epi16(0x300);
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
        __m256i high = _mm256_shuffle_epi8(_mm256_set1_epi32((int)load_u32(p + 66 + 4 * h)),
                                           _mm256_setr_epi8(0, -1, 0, -1, 0, -1, 0, -1, 1, -1, 1, -1, 1, -1, 1, -1, 2,
                                                            -1, 2, -1, 2, -1, 2, -1, 3, -1, 3, -1, 3, -1, 3, -1));
        high = _mm256_and_si256(_mm256_mullo_epi16(high, turn), bits);
        keep_places(&l, 4 * h, _mm256_or_si256(bytes_to_words(p + 2 + 16 * h), high));
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        u->q[i] = EIGHTS(xn_iq2_s_grid, &l, 4 * i);
    apply_signs(load_32(p + 34), ZERO_iq2, u->q);
    scales_of_halves(p + 74, load_half(p) * 0.125f, u->scale);
    minimum_of(u, ZERO_iq2);
}

#define FOURS(grid, at)                                                                                                \
    _mm256_set_epi32((int)grid[at(7)], (int)grid[at(6)], (int)grid[at(5)], (int)grid[at(4)], (int)grid[at(3)],         \
                     (int)grid[at(2)], (int)grid[at(1)], (int)grid[at(0)])

INLINE void unpack_iq3_xxs(const uint8_t *p, struct unpacked *u) {
#define AT(j) p[2 + 8 * i + (j)]
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        u->q[i] = FOURS(xn_iq3_xxs_grid, AT);
#undef AT
    __m256i words = load_32(p + 66);
    apply_signs(signs_of_28(words), ZERO_iq3_xxs, u->q);
    spread(scales_of_words(words, load_half(p) * 0.25f), u->scale);
    minimum_of(u, ZERO_iq3_xxs);
}

// Four halves of bytes, two groups of 32 a byte.
INLINE __m256 scales_iq3_s(const uint8_t *p) {
    __m256i s =
        _mm256_srlv_epi32(_mm256_set1_epi32((int)load_u32(p + 106)), _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
    __m256 step = _mm256_set1_ps(load_half(p));
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_and_si256(s, _mm256_set1_epi32(15))), _mm256_add_ps(step, step),
                           step);
}
// A ninth bit for each of 64 places.
INLINE void unpack_iq3_s(const uint8_t *p, struct unpacked *u) {
#define AT(j) p[2 + 8 * i + (j)] + (high << (8 - (j)) & 256)
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        unsigned high = p[66 + i];
        u->q[i] = FOURS(xn_iq3_s_grid, AT);
    }
#undef AT
    apply_signs(load_32(p + 74), ZERO_iq3_s, u->q);
    spread(scales_iq3_s(p), u->scale);
    minimum_of(u, ZERO_iq3_s);
}
