// IQ4_NL and IQ4_XS: four bits are places on a curved scale; part of unpack.h.
#pragma once

// Bytes and values of a block, and whether the integers are signed.
enum {
    BYTES_iq4_nl = 18,
    VALUES_iq4_nl = 32,
    SIGNED_iq4_nl = 1,
    BYTES_iq4_xs = 136,
    VALUES_iq4_xs = 256,
    SIGNED_iq4_xs = 1,
};

INLINE __m256i codebook(const uint8_t *p, __m128i table) {
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), nibbles(p));
}
INLINE __m128i iq4_table(void) {
    return _mm_setr_epi8(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
}

INLINE void unpack_iq4_nl(const uint8_t *p, struct unpacked *u) {
    for (int i = 0; i < 8; i++)
        u->q[i] = codebook(p + 18 * i + 2, iq4_table());
    spread(load_halves(p, 18), u->scale);
}

// The scales of eight groups of 32.
INLINE __m256 scales_iq4_xs(const uint8_t *p) {
    uint32_t high = load_u16(p + 2), low = load_u32(p + 4);
    __m256i shift = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
    __m256i four_bits = _mm256_and_si256(_mm256_srlv_epi32(_mm256_set1_epi32((int)low), shift), _mm256_set1_epi32(15));
    __m256i half_shift = _mm256_srli_epi32(shift, 1);
    __m256i two_bits = _mm256_slli_epi32(
        _mm256_and_si256(_mm256_srlv_epi32(_mm256_set1_epi32((int)high), half_shift), _mm256_set1_epi32(3)), 4);
    __m256i s = _mm256_sub_epi32(_mm256_or_si256(four_bits, two_bits), _mm256_set1_epi32(32));
    return times(_mm256_cvtepi32_ps(s), load_half(p));
}
INLINE void unpack_iq4_xs(const uint8_t *p, struct unpacked *u) {
    for (int i = 0; i < 8; i++)
        u->q[i] = codebook(p + 8 + 16 * i, iq4_table());
    spread(scales_iq4_xs(p), u->scale);
}
