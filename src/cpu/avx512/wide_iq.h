// IQ2 and IQ3; part of wide.h. Their grids are looked up within registers, sixteen bits an entry (cpu/codes.h), for
// 32 places at once: loading entry by entry takes two loads each, of which a core does three at a time.
#pragma once

#include "cpu/codes.h"

// Entries of a table of 64, 128, ... by the low bits of 32 places.
INLINE __m512i look_up_64(const uint16_t *table, __m512i at) {
    return _mm512_permutex2var_epi16(_mm512_loadu_si512(table), at, _mm512_loadu_si512(table + 32));
}
INLINE __m512i look_up_128(const uint16_t *table, __m512i at, __mmask32 bit6) {
    return _mm512_mask_mov_epi16(look_up_64(table, at), bit6, look_up_64(table + 64, at));
}
INLINE __m512i look_up_256(const uint16_t *table, __m512i at, __mmask32 bit6, __mmask32 bit7) {
    return _mm512_mask_mov_epi16(look_up_128(table, at, bit6), bit7, look_up_128(table + 128, at, bit6));
}
INLINE __m512i look_up_512(const uint16_t *table, __m512i at, __mmask32 bit6, __mmask32 bit7, __mmask32 bit8) {
    return _mm512_mask_mov_epi16(look_up_256(table, at, bit6, bit7), bit8, look_up_256(table + 256, at, bit6, bit7));
}
INLINE __mmask32 bit_of_words(__m512i x, int bit) {
    return _mm512_test_epi16_mask(x, _mm512_set1_epi16((short)(1 << bit)));
}

// For two vectors of places, each part of the table loaded once.
INLINE void look_up_two(const uint16_t *table, const int n, __m512i *x, __m512i *y, __mmask32 x8, __mmask32 y8) {
    __mmask32 x6 = bit_of_words(*x, 6), y6 = bit_of_words(*y, 6), x7 = bit_of_words(*x, 7), y7 = bit_of_words(*y, 7);
    __m512i a[8], b[8];
#pragma GCC unroll 8
    for (int i = 0; i < n / 64; i++) {
        __m512i low = _mm512_load_si512(table + 64 * i), high = _mm512_load_si512(table + 64 * i + 32);
        a[i] = _mm512_permutex2var_epi16(low, *x, high);
        b[i] = _mm512_permutex2var_epi16(low, *y, high);
        if (i & 1) {
            a[i] = _mm512_mask_mov_epi16(a[i - 1], x6, a[i]);
            b[i] = _mm512_mask_mov_epi16(b[i - 1], y6, b[i]);
        }
        if (i % 4 == 3) {
            a[i] = _mm512_mask_mov_epi16(a[i - 2], x7, a[i]);
            b[i] = _mm512_mask_mov_epi16(b[i - 2], y7, b[i]);
        }
    }
    *x = n == 256 ? a[3] : _mm512_mask_mov_epi16(a[3], x8, a[7]);
    *y = n == 256 ? b[3] : _mm512_mask_mov_epi16(b[3], y8, b[7]);
}

// The four codes of a lane's low or high word, in the low halves of its bytes.
INLINE __m512i codes_of_low_words(__m512i x) {
    return _mm512_mask_blend_epi16(0xaaaaaaaa, x, _mm512_slli_epi32(x, 12));
}
INLINE __m512i codes_of_high_words(__m512i x) {
    return _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32(x, 16), _mm512_srli_epi32(x, 4));
}
// A shuffle goes by the low half and the top bit of a byte.
INLINE __m512i values_of_codes(__m512i codes, const __m128i table) {
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), codes);
}

// Signs for 256 magnitudes that are `zero` too large.
INLINE void sign_wide(__m256i signs, char zero, __m512i q[4]) {
    // Both bytes of a group to its lane; then each of them four times.
    __m512i words = _mm512_setr_epi32(0x000000, 0x040004, 0x080008, 0x0c000c, 0x010001, 0x050005, 0x090009, 0x0d000d,
                                      0x020002, 0x060006, 0x0a000a, 0x0e000e, 0x030003, 0x070007, 0x0b000b, 0x0f000f);
    __m512i both = _mm512_permutexvar_epi16(words, _mm512_castsi256_si512(signs));
    __m512i first = _mm512_shuffle_epi8(
        both, _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12)));
    __m512i second = _mm512_shuffle_epi8(
        both, _mm512_broadcast_i32x4(_mm_setr_epi8(1, 1, 1, 1, 5, 5, 5, 5, 9, 9, 9, 9, 13, 13, 13, 13)));
    __m512i low = _mm512_set1_epi32(0x08040201), high = _mm512_set1_epi32((int)0x80402010);
    __m512i twice = _mm512_set1_epi8((char)(2 * zero));
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        __mmask64 negative = _mm512_test_epi8_mask(j < 2 ? first : second, j & 1 ? high : low);
        q[j] = _mm512_mask_sub_epi8(q[j], negative, twice, q[j]);
    }
}

// Codes of IQ2: the low word of a lane is for its first eight values.
INLINE void values_iq2(__m512i codes, __m512i q[4]) {
    enum { A = ZERO_iq2 + 8, B = ZERO_iq2 + 25, C = ZERO_iq2 + 43 };
    __m128i first = _mm_setr_epi8(A, B, C, 0, A, B, C, 0, A, B, C, 0, 0, 0, 0, 0);
    __m128i second = _mm_setr_epi8(A, A, A, 0, B, B, B, 0, C, C, C, 0, 0, 0, 0, 0);
    __m512i half = _mm512_set1_epi8(15); // four bits are in use
    __m512i low = _mm512_and_si512(codes_of_low_words(codes), half);
    __m512i high = _mm512_and_si512(codes_of_high_words(codes), half);
    q[0] = values_of_codes(low, first);
    q[1] = values_of_codes(low, second);
    q[2] = values_of_codes(high, first);
    q[3] = values_of_codes(high, second);
}

INLINE void wide_iq2_xxs(const uint8_t *p, struct weights *w) {
    // Two places a group: bytes 2 (G % 2) and the next of eight bytes G / 2.
    __m512i words = _mm512_setr_epi32(0x000000, 0x080008, 0x100010, 0x180018, 0x010001, 0x090009, 0x110011, 0x190019,
                                      0x040004, 0x0c000c, 0x140014, 0x1c001c, 0x050005, 0x0d000d, 0x150015, 0x1d001d);
    __m512i at = _mm512_permutexvar_epi16(words, _mm512_loadu_si512(p + 2));
    at = _mm512_mask_mov_epi16(_mm512_and_si512(at, _mm512_set1_epi32(0xff)), 0xaaaaaaaa, _mm512_srli_epi16(at, 8));
    values_iq2(look_up_256(xn_cpu_iq2_xxs_codes, at, bit_of_words(at, 6), bit_of_words(at, 7)), w->q);
    __m256i signs = second_words(p + 2);
    sign_wide(signs_of_28(signs), ZERO_iq2, w->q);
    w->scale = spread_wide(scales_of_words(signs, load_half(p) * 0.125f));
    w->minimum = times_wide(w->scale, ZERO_iq2);
}

// step * (1 + 2 s), of halves of bytes.
INLINE __m512 halves_to_lanes(const uint8_t *p, float step) {
    __m128i both = _mm_loadl_epi64((const __m128i *)p), fifteen = _mm_set1_epi8(15);
    __m128i s = _mm_and_si128(_mm_unpacklo_epi8(both, _mm_srli_epi16(both, 4)), fifteen);
    __m512 x = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes_to_lanes(s)));
    return _mm512_fmadd_ps(x, _mm512_set1_ps(2 * step), _mm512_set1_ps(step));
}

INLINE void wide_iq2_xs(const uint8_t *p, struct weights *w) {
    __m512i words = _mm512_loadu_si512(p + 2), at = _mm512_permutexvar_epi32(group_of_lane(), words);
    values_iq2(look_up_512(xn_cpu_iq2_xs_codes, at, bit_of_words(at, 6), bit_of_words(at, 7), bit_of_words(at, 8)),
               w->q);
    sign_wide(even_signs(_mm512_cvtepi16_epi8(_mm512_srli_epi16(words, 9))), ZERO_iq2, w->q);
    w->scale = halves_to_lanes(p + 66, load_half(p) * 0.125f);
    w->minimum = times_wide(w->scale, ZERO_iq2);
}

INLINE void wide_iq2_s(const uint8_t *p, struct weights *w) {
    __m512i order = _mm512_castsi256_si512(_mm256_setr_epi16(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    __m256i bytes = _mm512_castsi512_si256(_mm512_permutexvar_epi16(order, _mm512_castsi256_si512(load_32(p + 2))));
    __m512i at = _mm512_cvtepu8_epi16(bytes);
    // Two bits more of each: of group G's half h, bits 4 (G % 2) + 2 h and the next of byte G / 2.
    long long bits;
    memcpy(&bits, p + 66, sizeof bits);
    __m512i high = _mm512_shuffle_epi8(_mm512_set1_epi64(bits),
                                       _mm512_setr_epi32(0, 0x02020202, 0x04040404, 0x06060606, 0, 0x02020202,
                                                         0x04040404, 0x06060606, 0x01010101, 0x03030303, 0x05050505,
                                                         0x07070707, 0x01010101, 0x03030303, 0x05050505, 0x07070707));
    __m512i eighth = _mm512_setr_epi32(0x00040001, 0x00040001, 0x00040001, 0x00040001, 0x00400010, 0x00400010,
                                       0x00400010, 0x00400010, 0x00040001, 0x00040001, 0x00040001, 0x00040001,
                                       0x00400010, 0x00400010, 0x00400010, 0x00400010);
    __mmask32 bit6 = bit_of_words(at, 6), bit7 = bit_of_words(at, 7), bit8 = _mm512_test_epi16_mask(high, eighth),
              bit9 = _mm512_test_epi16_mask(high, _mm512_slli_epi32(eighth, 1));
    __m512i codes = _mm512_mask_mov_epi16(look_up_512(xn_cpu_iq2_s_codes, at, bit6, bit7, bit8), bit9,
                                          look_up_512(xn_cpu_iq2_s_codes + 512, at, bit6, bit7, bit8));
    values_iq2(codes, w->q);
    sign_wide(load_32(p + 34), ZERO_iq2, w->q);
    w->scale = halves_to_lanes(p + 74, load_half(p) * 0.125f);
    w->minimum = times_wide(w->scale, ZERO_iq2);
}

// Codes of IQ3: of a lane's dwords 0 and 2, and of 1 and 3.
INLINE void values_iq3(__m512i even, __m512i odd, const __m128i table, __m512i q[4]) {
    q[0] = values_of_codes(codes_of_low_words(even), table);
    q[1] = values_of_codes(codes_of_low_words(odd), table);
    q[2] = values_of_codes(codes_of_high_words(even), table);
    q[3] = values_of_codes(codes_of_high_words(odd), table);
}

INLINE void wide_iq3_xxs(const uint8_t *p, struct weights *w) {
    __m512i at = _mm512_permutexvar_epi32(group_of_lane(), _mm512_loadu_si512(p + 2));
    __m512i even = _mm512_and_si512(at, _mm512_set1_epi16(255)), odd = _mm512_srli_epi16(at, 8);
    look_up_two(xn_cpu_iq3_xxs_codes, 256, &even, &odd, 0, 0);
    values_iq3(even, odd, _mm_setr_epi8(67, 75, 83, 91, 99, 107, 115, 125, 0, 0, 0, 0, 0, 0, 0, 0), w->q);
    __m256i words = load_32(p + 66);
    sign_wide(signs_of_28(words), ZERO_iq3_xxs, w->q);
    w->scale = spread_wide(scales_of_words(words, load_half(p) * 0.25f));
    w->minimum = times_wide(w->scale, ZERO_iq3_xxs);
}

INLINE void wide_iq3_s(const uint8_t *p, struct weights *w) {
    __m512i at = _mm512_permutexvar_epi32(group_of_lane(), _mm512_loadu_si512(p + 2));
    // One bit more of each: of group G's place j, bit 4 (G % 2) + j of byte G / 2.
    long long bits;
    memcpy(&bits, p + 66, sizeof bits);
    __m512i high = _mm512_shuffle_epi8(_mm512_set1_epi64(bits),
                                       _mm512_setr_epi32(0, 0x02020202, 0x04040404, 0x06060606, 0, 0x02020202,
                                                         0x04040404, 0x06060606, 0x01010101, 0x03030303, 0x05050505,
                                                         0x07070707, 0x01010101, 0x03030303, 0x05050505, 0x07070707));
    __m512i eighth = _mm512_setr_epi32(0x00040001, 0x00040001, 0x00040001, 0x00040001, 0x00400010, 0x00400010,
                                       0x00400010, 0x00400010, 0x00040001, 0x00040001, 0x00040001, 0x00040001,
                                       0x00400010, 0x00400010, 0x00400010, 0x00400010);
    __m512i even = at, odd = _mm512_srli_epi16(at, 8); // what looks up sees six bits
    look_up_two(xn_cpu_iq3_s_codes, 512, &even, &odd, _mm512_test_epi16_mask(high, eighth),
                _mm512_test_epi16_mask(high, _mm512_slli_epi32(eighth, 1)));
    values_iq3(even, odd, _mm_setr_epi8(17, 19, 21, 23, 25, 27, 29, 31, 0, 0, 0, 0, 0, 0, 0, 0), w->q);
    sign_wide(load_32(p + 74), ZERO_iq3_s, w->q);
    w->scale = spread_wide(scales_iq3_s(p));
    w->minimum = times_wide(w->scale, ZERO_iq3_s);
}
