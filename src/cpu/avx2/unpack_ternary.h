// TQ1_0 and TQ2_0: 256 values of -1, 0 or 1 under one scale; part of unpack.h. Their integers are 0, 1 and 2.
#pragma once

// Bytes and values of a block, and whether the integers are signed.
enum {
    BYTES_tq1_0 = 54,
    VALUES_tq1_0 = 256,
    SIGNED_tq1_0 = 0,
    BYTES_tq2_0 = 66,
    VALUES_tq2_0 = 256,
    SIGNED_tq2_0 = 0,
};

INLINE void one_scale(const uint8_t *d, struct unpacked *u) {
    u->scale[0] = u->scale[1] = u->minimum[0] = u->minimum[1] = _mm256_set1_ps(load_half(d));
}

INLINE void unpack_tq2_0(const uint8_t *p, struct unpacked *u) {
    __m256i three = _mm256_set1_epi8(3);
    for (int h = 0; h < 2; h++) {
        __m256i q = load_32(p + 32 * h);
        u->q[4 * h] = _mm256_and_si256(q, three);
        u->q[4 * h + 1] = _mm256_and_si256(_mm256_srli_epi16(q, 2), three);
        u->q[4 * h + 2] = _mm256_and_si256(_mm256_srli_epi16(q, 4), three);
        u->q[4 * h + 3] = _mm256_and_si256(_mm256_srli_epi16(q, 6), three);
    }
    one_scale(p + 64, u);
}

// A byte is a fraction of 256; its first digit to base 3 is what reaches 256 times it by thrice the byte: one from 86
// on, two from 171 on.
INLINE __m256i first_digit(__m256i x) {
    __m256i one = _mm256_cmpeq_epi8(_mm256_max_epu8(x, _mm256_set1_epi8(86)), x);
    __m256i two = _mm256_cmpeq_epi8(_mm256_max_epu8(x, _mm256_set1_epi8((char)171)), x);
    return _mm256_abs_epi8(_mm256_add_epi8(one, two));
}
INLINE __m256i times_3(__m256i x) {
    return _mm256_add_epi8(x, _mm256_add_epi8(x, x));
}

INLINE void unpack_tq1_0(const uint8_t *p, struct unpacked *u) {
    __m256i a = load_32(p);
    for (int i = 0; i < 5; i++, a = times_3(a))
        u->q[i] = first_digit(a);
    // Five digits of 16 bytes, then four of 4 bytes.
    __m128i b = load_16(p + 32);
    __m256i x = _mm256_broadcastsi128_si256(b), x3 = times_3(x);
    __m256i even = _mm256_blend_epi32(x, x3, 0xf0), nine = times_3(times_3(even));
    u->q[5] = first_digit(even);
    u->q[6] = first_digit(nine);
    __m256i y = _mm256_set1_epi32((int)load_u32(p + 48)), y3 = times_3(y), y9 = times_3(y3), y27 = times_3(y9);
    __m256i four = _mm256_blend_epi32(_mm256_blend_epi32(y, y3, 0x20), _mm256_blend_epi32(y9, y27, 0x80), 0xc0);
    __m256i eighty_one = times_3(times_3(nine));
    u->q[7] = first_digit(_mm256_blend_epi32(eighty_one, four, 0xf0));
    one_scale(p + 52, u);
}
