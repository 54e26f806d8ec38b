// TQ1_0 and TQ2_0; part of wide.h.
#pragma once

#include "cpu/codes.h"

INLINE void wide_tq2_0(const uint8_t *p, struct weights *w) {
    wide_bytes_of_planes(p, w->q);
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++)
        w->q[j] = field(w->q[j], shift_of_planes(), 3);
    w->minimum = _mm512_set1_ps(load_half(p + 64));
    w->scale = rescaled(w->minimum, shift_of_planes());
}

// Bytes become words of five digits: four in a byte, the last in another.
INLINE void wide_tq1_0(const uint8_t *p, struct weights *w) {
    __m512i x = _mm512_cvtepu8_epi16(load_32(p)), y = _mm512_cvtepu8_epi16(load_32(p + 20)),
            low = _mm512_set1_epi16(255);
    look_up_two(xn_cpu_tq1_0_codes, 256, &x, &y, 0, 0);
    __m512i digits = _mm512_packus_epi16(_mm512_and_si512(x, low), _mm512_and_si512(y, low));
    __m512i last = _mm512_packus_epi16(_mm512_srli_epi16(x, 8), _mm512_srli_epi16(y, 8));
    // Lane 4 g + b is for dwords 16 b + 4 g to + 3: of five digits of 32 bytes, five of 16, four of 4
    // (quant/ternary.c).
    __m512i shift = _mm512_setr_epi32(0, 4, 0, 4, 0, 4, 0, 6, 2, 6, 0, 0, 2, 6, 2, 0);
#define FIRST(d) ((d) / 2 * 4 + (d) % 2) // where a pack puts dword d of either
#define SECOND(d) (FIRST(d) + 2)
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        int a = FIRST(j), b = FIRST(4 + j), c = SECOND(3 + j);
        __m512i at = _mm512_setr_epi32(a, a, 16 + a, c, b, b, 16 + b, c, a, a, c, 16 + c, b, b, c, SECOND(7));
        // The last lane takes digits of one dword: digit j of it.
        __m512i turn = _mm512_mask_set1_epi32(shift, 1 << 15, 2 * j);
        __m512i q = _mm512_permutex2var_epi32(digits, at, last);
        w->q[j] = _mm512_and_si512(_mm512_srlv_epi32(q, turn), _mm512_set1_epi8(3));
    }
#undef FIRST
#undef SECOND
    w->scale = w->minimum = _mm512_set1_ps(load_half(p + 52));
}
