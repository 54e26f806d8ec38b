// IQ1: eights of values are loaded from a grid, too large to be looked up in registers; part of wide.h.
#pragma once

// Four vectors of eights, integers 0 to 2. Eight number 8 b + 2 g + h is half h of group 4 b + g, lanes 4 g + b.
INLINE void wide_eights(const struct places *l, __m512i q[4]) {
    __m512 part[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) { // lanes of 128 bits take groups g and 4 + g, or 8 + g and 12 + g
        int at = i / 2 * 16 + i % 2;
        __m256i low = grid_of_eights(xn_iq1_grid, place(l, at), place(l, at + 8), place(l, at + 2), place(l, at + 10));
        __m256i high =
            grid_of_eights(xn_iq1_grid, place(l, at + 4), place(l, at + 12), place(l, at + 6), place(l, at + 14));
        __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
        part[i] = _mm512_castsi512_ps(_mm512_add_epi8(both, _mm512_set1_epi8(1)));
    }
    q[0] = _mm512_castps_si512(_mm512_shuffle_ps(part[0], part[2], 0x88));
    q[1] = _mm512_castps_si512(_mm512_shuffle_ps(part[0], part[2], 0xdd));
    q[2] = _mm512_castps_si512(_mm512_shuffle_ps(part[1], part[3], 0x88));
    q[3] = _mm512_castps_si512(_mm512_shuffle_ps(part[1], part[3], 0xdd));
}

INLINE void wide_iq1_s(const uint8_t *p, struct weights *w) {
    struct places l;
    places_iq1_s(p, &l);
    wide_eights(&l, w->q);
    __m256 scale, minimum;
    scales_iq1_s(p, &scale, &minimum);
    w->scale = spread_wide(scale);
    w->minimum = spread_wide(minimum);
}

INLINE void wide_iq1_m(const uint8_t *p, struct weights *w) {
    struct places l;
    // A byte for each eight: two for a group's lane, of which each is for two vectors.
    __m512i words = _mm512_setr_epi32(0x000000, 0x040004, 0x080008, 0x0c000c, 0x010001, 0x050005, 0x090009, 0x0d000d,
                                      0x020002, 0x060006, 0x0a000a, 0x0e000e, 0x030003, 0x070007, 0x0b000b, 0x0f000f);
    __m512i both = _mm512_permutexvar_epi16(words, _mm512_castsi256_si512(places_iq1_m(p, &l)));
    __m512i more[2] = {
        _mm512_shuffle_epi8(both,
                            _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12))),
        _mm512_shuffle_epi8(both,
                            _mm512_broadcast_i32x4(_mm_setr_epi8(1, 1, 1, 1, 5, 5, 5, 5, 9, 9, 9, 9, 13, 13, 13, 13)))};
    wide_eights(&l, w->q);
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++)
        w->q[j] = _mm512_add_epi8(_mm512_slli_epi16(w->q[j], 2), more[j / 2]);
    __m512 scale = _mm512_insertf32x8(_mm512_castps256_ps512(scales_iq1_m(p, 0)), scales_iq1_m(p, 1), 1);
    w->scale = _mm512_permutexvar_ps(group_of_lane(), scale);
    w->minimum = times_wide(w->scale, 4.5f);
}
