// Formats of four bits whose blocks are 16 bytes of halves for 32 values; part of wide.h.
#pragma once

// The low halves of block 2 b + g / 2 are for lanes 4 g + b with an even g, the high ones for the others.
INLINE __m512i shift_of_nibbles(void) {
    return _mm512_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4, 0, 0, 0, 0, 4, 4, 4, 4);
}
INLINE void wide_bytes_of_blocks(const uint8_t *p, const int stride, __m512i q[4]) {
    __m512i n[4];
#pragma GCC unroll 4
    for (int b = 0; b < 4; b++) {
        __m512i even = _mm512_broadcast_i32x4(load_16(p + 2 * b * stride));
        n[b] = _mm512_mask_broadcast_i32x4(even, 0xff00, load_16(p + (2 * b + 1) * stride));
    }
    interleave(n, q);
}
INLINE void wide_nibbles(const uint8_t *p, const int stride, __m512i q[4]) {
    wide_bytes_of_blocks(p, stride, q);
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++)
        q[j] = field(q[j], shift_of_nibbles(), 15);
}
INLINE void wide_codes(__m512i q[4]) {
    __m512i fifteen = _mm512_set1_epi8(15), table = _mm512_broadcast_i32x4(iq4_table());
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++)
        q[j] = _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srlv_epi32(q[j], shift_of_nibbles()), fifteen));
}

INLINE void wide_q4_0(const uint8_t *p, struct weights *w) {
    wide_nibbles(p + 2, 18, w->q);
    __m512 d = spread_wide(load_halves(p, 18));
    w->scale = rescaled(d, shift_of_nibbles());
    w->minimum = times_wide(d, 8);
}

INLINE void wide_q4_1(const uint8_t *p, struct weights *w) {
    wide_nibbles(p + 4, 20, w->q);
    w->scale = rescaled(spread_wide(load_halves(p, 20)), shift_of_nibbles());
    w->minimum = times_wide(spread_wide(load_halves(p + 2, 20)), -1);
}

INLINE void wide_iq4_nl(const uint8_t *p, struct weights *w) {
    wide_bytes_of_blocks(p + 2, 18, w->q);
    wide_codes(w->q);
    w->scale = spread_wide(load_halves(p, 18));
}

INLINE void wide_iq4_xs(const uint8_t *p, struct weights *w) {
    __m512i a = _mm512_loadu_si512(p + 8), b = _mm512_loadu_si512(p + 72);
    __m512i at = _mm512_setr_epi32(0, 8, 16, 24, 0, 8, 16, 24, 4, 12, 20, 28, 4, 12, 20, 28);
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++)
        w->q[j] = _mm512_permutex2var_epi32(a, _mm512_add_epi32(at, _mm512_set1_epi32(j)), b);
    wide_codes(w->q);
    w->scale = spread_wide(scales_iq4_xs(p));
}

// Groups of 16 values are 8 bytes, and four of them a block: the low halves of its dwords, then the high ones.
INLINE void wide_nvfp4(const uint8_t *p, struct weights *w) {
    __m512i a = _mm512_inserti64x4(_mm512_castsi256_si512(load_32(p + 4)), load_32(p + 40), 1);
    __m512i b = _mm512_inserti64x4(_mm512_castsi256_si512(load_32(p + 76)), load_32(p + 112), 1);
    __m512i even = _mm512_setr_epi32(0, 8, 16, 24, 2, 10, 18, 26, 4, 12, 20, 28, 6, 14, 22, 30);
    __m512i fifteen = _mm512_set1_epi8(15), table = _mm512_broadcast_i32x4(nvfp4_table());
#pragma GCC unroll 2
    for (int j = 0; j < 2; j++) {
        __m512i x = _mm512_permutex2var_epi32(a, _mm512_add_epi32(even, _mm512_set1_epi32(j)), b);
        w->q[j] = _mm512_shuffle_epi8(table, _mm512_and_si512(x, fifteen));
        w->q[j + 2] = _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(x, 4), fifteen));
    }
    __m512i e = _mm512_cvtepu8_epi32(bytes_to_lanes(scale_codes_nvfp4(p)));
    __m512i code = _mm512_and_si512(e, _mm512_set1_epi32(127)); // as half_of_e4m3
    __m512i bits = _mm512_add_epi32(_mm512_slli_epi32(code, 20), _mm512_set1_epi32(119 << 23));
    __m512 small = times_wide(_mm512_cvtepi32_ps(code), 0x1p-10f);
    w->scale =
        _mm512_mask_mov_ps(_mm512_castsi512_ps(bits), _mm512_cmplt_epi32_mask(code, _mm512_set1_epi32(8)), small);
    w->scale = _mm512_maskz_mov_ps(_mm512_cmpneq_epi32_mask(e, _mm512_set1_epi32(127)), w->scale);
    w->minimum = times_wide(w->scale, ZERO_nvfp4);
}
