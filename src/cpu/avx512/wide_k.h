// The K formats; part of wide.h.
#pragma once

// Scales and minima of Q4_K and Q5_K.
INLINE void wide_scales_k(const uint8_t *p, struct weights *w) {
    uint64_t scales, minima;
    scale_bytes_k(p, &scales, &minima);
    w->scale = spread_wide(times(bytes_to_float(_mm_cvtsi64_si128((long long)scales)), load_half(p)));
    w->minimum = spread_wide(times(bytes_to_float(_mm_cvtsi64_si128((long long)minima)), load_half(p + 2)));
}

// Of each 32 bytes the low halves are for lanes 0 to 7, the high ones for the others.
INLINE __m512i shift_of_nibbles_k(void) {
    return _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 4);
}
INLINE void wide_bytes_k(const uint8_t *p, __m512i q[4]) {
    __m512i a = _mm512_loadu_si512(p), b = _mm512_loadu_si512(p + 64);
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++)
        q[j] = _mm512_permutex2var_epi32(a, chunk_dwords(j), b);
}

INLINE void wide_q4_k(const uint8_t *p, struct weights *w) {
    wide_bytes_k(p + 16, w->q);
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++)
        w->q[j] = field(w->q[j], shift_of_nibbles_k(), 15);
    wide_scales_k(p, w);
    w->scale = rescaled(w->scale, shift_of_nibbles_k());
}

INLINE void wide_q5_k(const uint8_t *p, struct weights *w) {
    wide_bytes_k(p + 48, w->q);
    __m512i bits = _mm512_castsi256_si512(load_32(p + 16)), sixteen = _mm512_set1_epi8(16);
    // The bit of 32 values s, of lanes with s = 2 (l % 4) + l / 8, to bit 4 of its byte.
    __m512i turn = _mm512_setr_epi32(4, 2, 0, 30, 4, 2, 0, 30, 3, 1, 31, 29, 3, 1, 31, 29);
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        __m512i at =
            _mm512_add_epi32(_mm512_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4, 0, 0, 0, 0, 4, 4, 4, 4), _mm512_set1_epi32(j));
        __m512i x = _mm512_rolv_epi32(_mm512_permutexvar_epi32(at, bits), turn);
        __m512i four = _mm512_and_si512(_mm512_srlv_epi32(w->q[j], shift_of_nibbles_k()), _mm512_set1_epi8(15));
        w->q[j] = _mm512_ternarylogic_epi32(four, x, sixteen, 0xf8); // four | (x & 16)
    }
    wide_scales_k(p, w);
}

// Two bits for each of 256 values: planes of a half, 32 values each; and where a lane's plane begins.
INLINE __m512i shift_of_planes(void) {
    return _mm512_setr_epi32(0, 4, 0, 4, 0, 4, 0, 4, 2, 6, 2, 6, 2, 6, 2, 6);
}
INLINE void wide_bytes_of_planes(const uint8_t *p, __m512i q[4]) {
    __m512 a = _mm512_castsi512_ps(_mm512_broadcast_i64x4(load_32(p)));
    __m512 b = _mm512_castsi512_ps(_mm512_broadcast_i64x4(load_32(p + 32)));
    q[0] = _mm512_castps_si512(_mm512_shuffle_ps(a, b, 0x00));
    q[1] = _mm512_castps_si512(_mm512_shuffle_ps(a, b, 0x55));
    q[2] = _mm512_castps_si512(_mm512_shuffle_ps(a, b, 0xaa));
    q[3] = _mm512_castps_si512(_mm512_shuffle_ps(a, b, 0xff));
}

INLINE void wide_q2_k(const uint8_t *p, struct weights *w) {
    wide_bytes_of_planes(p + 16, w->q);
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++)
        w->q[j] = field(w->q[j], shift_of_planes(), 3);
    __m512i both = _mm512_cvtepu8_epi32(bytes_to_lanes(load_16(p)));
    __m512i scale = _mm512_and_si512(both, _mm512_set1_epi32(15)), minimum = _mm512_srli_epi32(both, 4);
    w->scale = rescaled(times_wide(_mm512_cvtepi32_ps(scale), load_half(p + 80)), shift_of_planes());
    w->minimum = times_wide(_mm512_cvtepi32_ps(minimum), load_half(p + 82));
}

INLINE void wide_q3_k(const uint8_t *p, struct weights *w) {
    wide_bytes_of_planes(p + 32, w->q);
    __m512i high = _mm512_broadcast_i64x4(load_32(p)), four = _mm512_set1_epi8(4);
    // Bit 4 (l % 4 / 2) + 2 (l % 2) + l / 8 of lane l, to bit 2 of its byte.
    __m512i turn = _mm512_setr_epi32(2, 0, 30, 28, 2, 0, 30, 28, 1, 31, 29, 27, 1, 31, 29, 27);
    const __m512i bits[4] = {_mm512_shuffle_epi32(high, 0x00), _mm512_shuffle_epi32(high, 0x55),
                             _mm512_shuffle_epi32(high, 0xaa), _mm512_shuffle_epi32(high, 0xff)};
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        __m512i two = _mm512_and_si512(_mm512_srlv_epi32(w->q[j], shift_of_planes()), _mm512_set1_epi8(3));
        w->q[j] = _mm512_ternarylogic_epi32(two, _mm512_rolv_epi32(bits[j], turn), four, 0xf8); // two | (bit & 4)
    }
    __m512i scale = _mm512_cvtepi8_epi32(bytes_to_lanes(scale_bytes_q3_k(p + 96)));
    w->scale = times_wide(_mm512_cvtepi32_ps(scale), load_half(p + 108));
    w->minimum = times_wide(w->scale, 4);
}

INLINE void wide_q6_k(const uint8_t *p, struct weights *w) {
    __m512i a = _mm512_loadu_si512(p), b = _mm512_loadu_si512(p + 64), top = _mm512_loadu_si512(p + 128);
    __m512i fifteen = _mm512_set1_epi8(15), bits = _mm512_set1_epi8(0x30);
    __m512i high = _mm512_setr_epi32(0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4);
    __m512i turn = _mm512_setr_epi32(4, 0, 4, 0, 4, 0, 4, 0, 2, 30, 2, 30, 2, 30, 2, 30);
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        __m512i step = _mm512_set1_epi32(j);
        __m512i low = _mm512_setr_epi32(0, 0, 16, 16, 4, 4, 20, 20, 8, 8, 24, 24, 12, 12, 28, 28);
        __m512i two = _mm512_setr_epi32(0, 0, 8, 8, 4, 4, 12, 12, 0, 0, 8, 8, 4, 4, 12, 12);
        __m512i x = _mm512_permutex2var_epi32(a, _mm512_add_epi32(low, step), b);
        __m512i y = _mm512_rolv_epi32(_mm512_permutexvar_epi32(_mm512_add_epi32(two, step), top), turn);
        x = _mm512_and_si512(_mm512_srlv_epi32(x, high), fifteen);
        w->q[j] = _mm512_ternarylogic_epi32(x, y, bits, 0xf8); // x | (y & bits)
    }
    w->scale =
        times_wide(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes_to_lanes(load_16(p + 192)))), load_half(p + 208));
    w->minimum = times_wide(w->scale, 32);
}
