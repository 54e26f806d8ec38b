// The K formats: 256 values in groups of 16 or 32, whose scales are integers; part of unpack.h.
#pragma once

// Bytes and values of a block, and whether the integers are signed.
enum {
    BYTES_q2_k = 84,
    VALUES_q2_k = 256,
    SIGNED_q2_k = 0,
    BYTES_q3_k = 110,
    VALUES_q3_k = 256,
    SIGNED_q3_k = 0,
    BYTES_q4_k = 144,
    VALUES_q4_k = 256,
    SIGNED_q4_k = 0,
    BYTES_q5_k = 176,
    VALUES_q5_k = 256,
    SIGNED_q5_k = 0,
    BYTES_q6_k = 210,
    VALUES_q6_k = 256,
    SIGNED_q6_k = 0,
};

// Sixteen scales and minima of 4 bits, and the two halves that they multiply.
INLINE void scales_q2_k(const uint8_t *bytes, const uint8_t *halves, __m256 scale[2], __m256 minimum[2]) {
    float d = load_half(halves), m = load_half(halves + 2);
    __m128i both = load_16(bytes), fifteen = _mm_set1_epi8(15);
    __m128i scales = _mm_and_si128(both, fifteen), minima = _mm_and_si128(_mm_srli_epi16(both, 4), fifteen);
    scale[0] = times(bytes_to_float(scales), d);
    scale[1] = times(bytes_to_float(_mm_srli_si128(scales, 8)), d);
    minimum[0] = times(bytes_to_float(minima), m);
    minimum[1] = times(bytes_to_float(_mm_srli_si128(minima, 8)), m);
}
INLINE void unpack_q2_k(const uint8_t *p, struct unpacked *u) {
    __m256i three = _mm256_set1_epi8(3);
    for (int h = 0; h < 2; h++) {
        __m256i q = load_32(p + 16 + 32 * h);
        u->q[4 * h] = _mm256_and_si256(q, three);
        u->q[4 * h + 1] = _mm256_and_si256(_mm256_srli_epi16(q, 2), three);
        u->q[4 * h + 2] = _mm256_and_si256(_mm256_srli_epi16(q, 4), three);
        u->q[4 * h + 3] = _mm256_and_si256(_mm256_srli_epi16(q, 6), three);
    }
    scales_q2_k(p, p + 80, u->scale, u->minimum);
}

// Scales of 6 bits: the low 4 in bytes 0 .. 7 (low nibbles: 0 .. 7, high: 8 .. 15), the high 2 of scale i in byte 8 + i
// % 4.
INLINE __m128i scale_bytes_q3_k(const uint8_t *p) {
    uint64_t low;
    memcpy(&low, p, sizeof low);
    uint32_t top = load_u32(p + 8);
    __m128i four_bits = _mm_and_si128(_mm_set_epi64x((long long)(low >> 4), (long long)low), _mm_set1_epi8(15));
    __m128i two_bits = _mm_setr_epi32((int)(top << 4), (int)(top << 2), (int)top, (int)(top >> 2));
    __m128i s = _mm_or_si128(four_bits, _mm_and_si128(two_bits, _mm_set1_epi8(0x30)));
    return _mm_sub_epi8(s, _mm_set1_epi8(32));
}
// Sixteen scales, signed bytes times d, of integers that begin at -least.
INLINE void signed_scales(__m128i s, float d, float least, __m256 scale[2], __m256 minimum[2]) {
    scale[0] = times(signed_to_float(s), d);
    scale[1] = times(signed_to_float(_mm_srli_si128(s, 8)), d);
    minimum[0] = times(scale[0], least);
    minimum[1] = times(scale[1], least);
}
INLINE void scales_q3_k(const uint8_t *bytes, const uint8_t *half, __m256 scale[2], __m256 minimum[2]) {
    signed_scales(scale_bytes_q3_k(bytes), load_half(half), 4, scale, minimum);
}
INLINE void unpack_q3_k(const uint8_t *p, struct unpacked *u) {
    __m256i three = _mm256_set1_epi8(3), four = _mm256_set1_epi8(4), high = load_32(p);
    for (int h = 0; h < 2; h++) {
        __m256i q = load_32(p + 32 + 32 * h);
        __m256i bits = h ? _mm256_srli_epi16(high, 4) : high; // bit j of a byte: of the sub-block j
        u->q[4 * h] = _mm256_or_si256(_mm256_and_si256(q, three), _mm256_and_si256(_mm256_slli_epi16(bits, 2), four));
        u->q[4 * h + 1] = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(q, 2), three),
                                          _mm256_and_si256(_mm256_slli_epi16(bits, 1), four));
        u->q[4 * h + 2] =
            _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(q, 4), three), _mm256_and_si256(bits, four));
        u->q[4 * h + 3] = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(q, 6), three),
                                          _mm256_and_si256(_mm256_srli_epi16(bits, 1), four));
    }
    scales_q3_k(p + 96, p + 108, u->scale, u->minimum);
}

// The twelve bytes of Q4_K and Q5_K: eight scales and eight minima of 6 bits.
INLINE void scale_bytes_k(const uint8_t *p, uint64_t *scales, uint64_t *minima) {
    uint32_t a = load_u32(p + 4), b = load_u32(p + 8), c = load_u32(p + 12);
    *scales = (a & 0x3f3f3f3fu) | (uint64_t)((c & 0x0f0f0f0fu) | (a >> 2 & 0x30303030u)) << 32;
    *minima = (b & 0x3f3f3f3fu) | (uint64_t)((c >> 4 & 0x0f0f0f0fu) | (b >> 2 & 0x30303030u)) << 32;
}
INLINE void unpack_scales_k(const uint8_t *p, struct unpacked *u) {
    uint64_t scales, minima;
    scale_bytes_k(p, &scales, &minima);
    spread(times(bytes_to_float(_mm_cvtsi64_si128((long long)scales)), load_half(p)), u->scale);
    spread(times(bytes_to_float(_mm_cvtsi64_si128((long long)minima)), load_half(p + 2)), u->minimum);
}

INLINE void unpack_q4_k(const uint8_t *p, struct unpacked *u) {
    __m256i fifteen = _mm256_set1_epi8(15);
    for (int i = 0; i < 4; i++) {
        __m256i q = load_32(p + 16 + 32 * i);
        u->q[2 * i] = _mm256_and_si256(q, fifteen);
        u->q[2 * i + 1] = _mm256_and_si256(_mm256_srli_epi16(q, 4), fifteen);
    }
    unpack_scales_k(p, u);
}

INLINE void unpack_q5_k(const uint8_t *p, struct unpacked *u) {
    __m256i fifteen = _mm256_set1_epi8(15), sixteen = _mm256_set1_epi8(16), high = load_32(p + 16);
    for (int i = 0; i < 4; i++) { // bits 2 i and 2 i + 1 of `high`, moved to bit 4
        __m256i q = load_32(p + 48 + 32 * i);
        __m256i even = i < 2 ? _mm256_slli_epi16(high, 4 - 2 * i) : _mm256_srli_epi16(high, 2 * i - 4);
        __m256i odd = i < 2 ? _mm256_slli_epi16(high, 3 - 2 * i) : _mm256_srli_epi16(high, 2 * i - 3);
        u->q[2 * i] = _mm256_or_si256(_mm256_and_si256(q, fifteen), _mm256_and_si256(even, sixteen));
        u->q[2 * i + 1] =
            _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(q, 4), fifteen), _mm256_and_si256(odd, sixteen));
    }
    unpack_scales_k(p, u);
}

INLINE void scales_q6_k(const uint8_t *bytes, const uint8_t *half, __m256 scale[2], __m256 minimum[2]) {
    signed_scales(load_16(bytes), load_half(half), 32, scale, minimum);
}
INLINE void unpack_q6_k(const uint8_t *p, struct unpacked *u) {
    __m256i fifteen = _mm256_set1_epi8(15), bits = _mm256_set1_epi8(0x30);
    for (int h = 0; h < 2; h++) {
        __m256i a = load_32(p + 64 * h), b = load_32(p + 64 * h + 32), high = load_32(p + 128 + 32 * h);
        u->q[4 * h] = _mm256_or_si256(_mm256_and_si256(a, fifteen), _mm256_and_si256(_mm256_slli_epi16(high, 4), bits));
        u->q[4 * h + 1] =
            _mm256_or_si256(_mm256_and_si256(b, fifteen), _mm256_and_si256(_mm256_slli_epi16(high, 2), bits));
        u->q[4 * h + 2] =
            _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(a, 4), fifteen), _mm256_and_si256(high, bits));
        u->q[4 * h + 3] = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(b, 4), fifteen),
                                          _mm256_and_si256(_mm256_srli_epi16(high, 2), bits));
    }
    scales_q6_k(p + 192, p + 208, u->scale, u->minimum);
}
