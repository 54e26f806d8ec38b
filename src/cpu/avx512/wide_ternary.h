// TQ1_0 and TQ2_0; part of wide.h.
#pragma once

INLINE void wide_tq2_0(const uint8_t *p, struct weights *w) {
    wide_bytes_of_planes(p, w->q);
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++)
        w->q[j] = field(w->q[j], shift_of_planes(), 3);
    w->minimum = _mm512_set1_ps(load_half(p + 64));
    w->scale = rescaled(w->minimum, shift_of_planes());
}

// Digits of all bytes at once: those before the last as fields of two bits, for the order of values and lanes.
INLINE void wide_tq1_0(const uint8_t *p, struct weights *w) {
    __m512i x = _mm512_maskz_loadu_epi8((1ull << 52) - 1, p), digits = _mm512_setzero_si512(), last = digits;
    __m512i one = _mm512_set1_epi8(86), two = _mm512_set1_epi8((char)171); // first_digit
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++) {
        __mmask64 from_one = _mm512_cmpge_epu8_mask(x, one), from_two = _mm512_cmpge_epu8_mask(x, two);
        __m512i unit = _mm512_set1_epi8(i < 4 ? (char)(1 << 2 * i) : 1);
        __m512i *to = i < 4 ? &digits : &last;
        *to = _mm512_mask_add_epi8(*to, from_one, *to, unit);
        *to = _mm512_mask_add_epi8(*to, from_two, *to, unit);
        x = _mm512_add_epi8(x, _mm512_add_epi8(x, x));
    }
    // Lane 4 g + b is for dwords 16 b + 4 g to + 3: of five digits of 32 bytes, five of 16, four of 4
    // (quant/ternary.c).
    __m512i at = _mm512_setr_epi32(0, 0, 16, 8, 4, 4, 20, 8, 0, 0, 8, 24, 4, 4, 8, 12);
    __m512i shift = _mm512_setr_epi32(0, 4, 0, 4, 0, 4, 0, 6, 2, 6, 0, 0, 2, 6, 2, 0);
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        // The last lane takes digits of one dword: digit j of it.
        __m512i step = _mm512_mask_set1_epi32(_mm512_set1_epi32(j), 1 << 15, 0);
        __m512i turn = _mm512_mask_set1_epi32(shift, 1 << 15, 2 * j);
        __m512i q = _mm512_permutex2var_epi32(digits, _mm512_add_epi32(at, step), last);
        w->q[j] = _mm512_and_si512(_mm512_srlv_epi32(q, turn), _mm512_set1_epi8(3));
    }
    w->scale = w->minimum = _mm512_set1_ps(load_half(p + 52));
}
