// IQ1_S and IQ1_M: eight values of -1, 0 or 1 from a grid, moved by an eighth up or down; part of unpack.h.
#pragma once

#include "quant/blocks.h"

// Bytes and values of a block, and whether the integers are signed.
enum {
    BYTES_iq1_s = 50,
    VALUES_iq1_s = 256,
    SIGNED_iq1_s = 0,
    BYTES_iq1_m = 56,
    VALUES_iq1_m = 256,
    SIGNED_iq1_m = 0,
};

// The scale of 32 values is d (1 + 2 s); they are -1, 0 or 1 and an eighth, so their integers 0, 1 or 2 less 7 or 9
// eighths.
INLINE void scales_iq1_s(const uint8_t *p, __m256 *scale, __m256 *minimum) {
    __m256i high = _mm256_cvtepu16_epi32(load_16(p + 34));
    __m256i s = _mm256_and_si256(_mm256_srli_epi32(high, 12), _mm256_set1_epi32(7));
    __m256 d = _mm256_set1_ps(load_half(p));
    *scale = _mm256_fmadd_ps(_mm256_cvtepi32_ps(s), _mm256_add_ps(d, d), d);
    __m256 less = _mm256_blendv_ps(_mm256_set1_ps(0.875f), _mm256_set1_ps(1.125f),
                                   _mm256_castsi256_ps(_mm256_slli_epi32(high, 16)));
    *minimum = _mm256_mul_ps(*scale, less);
}

// Three more bits for each of 32 places, bits 8 to 10: four times three bits in each of eight words.
INLINE void places_iq1_s(const uint8_t *p, struct places *l) {
    __m256i turn = _mm256_set1_epi64x(0x0000000400200100), bits = _mm256_set1_epi64x(0x0000070007000700);
    __m256i last = _mm256_set1_epi64x(0x0700000000000000);
    __m256i lanes = _mm256_setr_epi8(0, 1, 0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 2, 3, 4, 5, 4, 5, 4, 5, 4, 5, 6, 7, 6, 7,
                                     6, 7, 6, 7);
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
        long long words;
        memcpy(&words, p + 34 + 8 * h, sizeof words);
        __m256i high = _mm256_shuffle_epi8(_mm256_set1_epi64x(words), lanes);
        __m256i up = _mm256_and_si256(_mm256_mullo_epi16(high, turn), bits);
        __m256i down = _mm256_and_si256(_mm256_srli_epi16(high, 1), last);
        high = _mm256_or_si256(_mm256_or_si256(up, down), bytes_to_words(p + 2 + 16 * h));
        keep_places(l, 4 * h, high);
    }
}
INLINE void unpack_iq1_s(const uint8_t *p, struct unpacked *u) {
    struct places l;
    places_iq1_s(p, &l);
    __m256i one = _mm256_set1_epi8(1);
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        u->q[i] = _mm256_add_epi8(EIGHTS(xn_iq1_grid, &l, 4 * i), one);
    __m256 scale, minimum;
    scales_iq1_s(p, &scale, &minimum);
    spread(scale, u->scale);
    spread(minimum, u->minimum);
}

// Half a byte for each of 32 places: three bits more, and whether the eighth is added (1 in the byte that is returned)
// or taken off.
INLINE __m256i places_iq1_m(const uint8_t *p, struct places *l) {
    __m256i turn = _mm256_set1_epi32(0x00100100), bits = _mm256_set1_epi16(0x700);
    __m128i high = load_16(p + 32);
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
        __m128i eight = h ? _mm_srli_si128(high, 8) : high;
        __m256i words = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(eight, eight));
        words = _mm256_and_si256(_mm256_mullo_epi16(words, turn), bits);
        keep_places(l, 4 * h, _mm256_or_si256(words, bytes_to_words(p + 16 * h)));
    }
    __m128i low = _mm_srli_epi16(_mm_andnot_si128(high, _mm_set1_epi8(0x08)), 3);
    __m128i top = _mm_srli_epi16(_mm_andnot_si128(high, _mm_set1_epi8((char)0x80)), 7);
    return _mm256_set_m128i(_mm_unpackhi_epi8(low, top), _mm_unpacklo_epi8(low, top));
}
// The scales of sixteen groups, of three bits, and their common one in the top halves of the four words.
INLINE __m256 scales_iq1_m(const uint8_t *p, int half) {
    uint16_t a = load_u16(p + 48), b = load_u16(p + 50), c = load_u16(p + 52), e = load_u16(p + 54);
    float d = _cvtsh_ss((unsigned short)(a >> 12 | (b >> 12) << 4 | (c >> 12) << 8 | (e >> 12) << 12)) * 0.25f;
    __m256i words = half ? _mm256_setr_epi32(c, c, c, c, e, e, e, e) : _mm256_setr_epi32(a, a, a, a, b, b, b, b);
    __m256i s = _mm256_srlv_epi32(words, _mm256_setr_epi32(0, 3, 6, 9, 0, 3, 6, 9));
    __m256 three = _mm256_cvtepi32_ps(_mm256_and_si256(s, _mm256_set1_epi32(7)));
    return _mm256_fmadd_ps(three, _mm256_set1_ps(2 * d), _mm256_set1_ps(d));
}
// Integers are four times those of IQ1_S, and one more where the eighth is added: 9 / 2 above the value.
INLINE void unpack_iq1_m(const uint8_t *p, struct unpacked *u) {
    struct places l;
    __m256i more = places_iq1_m(p, &l);
    __m256i half[2] = {_mm256_permute4x64_epi64(more, 0x44), _mm256_permute4x64_epi64(more, 0xee)};
    __m256i one = _mm256_set1_epi8(1);
    __m256i lanes = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3,
                                     3, 3, 3, 3);
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        __m256i q = _mm256_add_epi8(EIGHTS(xn_iq1_grid, &l, 4 * i), one);
        __m256i eighth = _mm256_shuffle_epi8(half[i / 4], _mm256_add_epi8(lanes, _mm256_set1_epi8((char)(i % 4 * 4))));
        u->q[i] = _mm256_add_epi8(_mm256_slli_epi16(q, 2), eighth);
    }
    u->scale[0] = scales_iq1_m(p, 0);
    u->scale[1] = scales_iq1_m(p, 1);
    minimum_of(u, 4.5f);
}
