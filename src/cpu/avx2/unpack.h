// Unpacking of integer formats, 256 values at a time: the integers in their order, and a scale and a minimum for each
// 16 of them. Value i is scale[i / 16] * q[i] - minimum[i / 16], or without the minimum where the format's integers are
// signed. Layouts are GGUF's.
#pragma once

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct unpacked {
    __m256i q[8];      // 32 bytes each: signed, or unsigned and below 128 (so that two products fit 16 bits)
    __m256 scale[2];   // 16 floats
    __m256 minimum[2]; // of unsigned formats
};

// What a format's kernels need to know of it, by name.
enum {
    BYTES_q4_0 = 18,
    VALUES_q4_0 = 32,
    SIGNED_q4_0 = 0, // block bytes and values
    BYTES_q4_1 = 20,
    VALUES_q4_1 = 32,
    SIGNED_q4_1 = 0,
    BYTES_q5_0 = 22,
    VALUES_q5_0 = 32,
    SIGNED_q5_0 = 0,
    BYTES_q5_1 = 24,
    VALUES_q5_1 = 32,
    SIGNED_q5_1 = 0,
    BYTES_q8_0 = 34,
    VALUES_q8_0 = 32,
    SIGNED_q8_0 = 1,
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
    BYTES_iq4_nl = 18,
    VALUES_iq4_nl = 32,
    SIGNED_iq4_nl = 1,
    BYTES_iq4_xs = 136,
    VALUES_iq4_xs = 256,
    SIGNED_iq4_xs = 1,
};

#define INLINE static inline __attribute__((always_inline))

INLINE uint16_t load_u16(const uint8_t *p) {
    uint16_t x;
    memcpy(&x, p, sizeof x);
    return x;
}
INLINE uint32_t load_u32(const uint8_t *p) {
    uint32_t x;
    memcpy(&x, p, sizeof x);
    return x;
}
INLINE float load_half(const uint8_t *p) {
    return _cvtsh_ss(load_u16(p));
}
INLINE __m256i load_32(const uint8_t *p) {
    return _mm256_loadu_si256((const __m256i *)p);
}
INLINE __m128i load_16(const uint8_t *p) {
    return _mm_loadu_si128((const __m128i *)p);
}

// The halves at the head of eight blocks, `stride` bytes apart.
INLINE __m256 load_halves(const uint8_t *p, const int stride) {
    __m128i h = _mm_setr_epi16((short)load_u16(p), (short)load_u16(p + stride), (short)load_u16(p + 2 * stride),
                               (short)load_u16(p + 3 * stride), (short)load_u16(p + 4 * stride),
                               (short)load_u16(p + 5 * stride), (short)load_u16(p + 6 * stride),
                               (short)load_u16(p + 7 * stride));
    return _mm256_cvtph_ps(h);
}

// Eight values, each for 32 weights, as sixteen.
INLINE void spread(__m256 x, __m256 out[2]) {
    out[0] = _mm256_permutevar8x32_ps(x, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
    out[1] = _mm256_permutevar8x32_ps(x, _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7));
}

// 16 bytes of nibbles: the low ones, then the high ones.
INLINE __m256i nibbles(const uint8_t *p) {
    __m128i low = load_16(p);
    __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(low), _mm_srli_epi16(low, 4), 1);
    return _mm256_and_si256(both, _mm256_set1_epi8(15));
}

// 32 bits, one a byte, as `value` where set.
INLINE __m256i spread_bits(const uint8_t *p, char value) {
    __m256i word = _mm256_set1_epi32((int)load_u32(p));
    __m256i bytes = _mm256_shuffle_epi8(word, _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2,
                                                               2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3));
    __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201ull);
    __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit);
    return _mm256_and_si256(set, _mm256_set1_epi8(value));
}

INLINE __m256 times(__m256 a, float b) {
    return _mm256_mul_ps(a, _mm256_set1_ps(b));
}
INLINE __m256 bytes_to_float(__m128i b) { // the low 8, unsigned
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(b));
}
INLINE __m256 signed_to_float(__m128i b) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(b));
}

INLINE void unpack_q4_0(const uint8_t *p, struct unpacked *u) {
    for (int i = 0; i < 8; i++)
        u->q[i] = nibbles(p + 18 * i + 2);
    __m256 d = load_halves(p, 18);
    spread(d, u->scale);
    spread(times(d, 8), u->minimum);
}

INLINE void unpack_q4_1(const uint8_t *p, struct unpacked *u) {
    for (int i = 0; i < 8; i++)
        u->q[i] = nibbles(p + 20 * i + 4);
    spread(load_halves(p, 20), u->scale);
    spread(times(load_halves(p + 2, 20), -1), u->minimum);
}

INLINE void unpack_q5_0(const uint8_t *p, struct unpacked *u) {
    for (int i = 0; i < 8; i++)
        u->q[i] = _mm256_or_si256(nibbles(p + 22 * i + 6), spread_bits(p + 22 * i + 2, 16));
    __m256 d = load_halves(p, 22);
    spread(d, u->scale);
    spread(times(d, 16), u->minimum);
}

INLINE void unpack_q5_1(const uint8_t *p, struct unpacked *u) {
    for (int i = 0; i < 8; i++)
        u->q[i] = _mm256_or_si256(nibbles(p + 24 * i + 8), spread_bits(p + 24 * i + 4, 16));
    spread(load_halves(p, 24), u->scale);
    spread(times(load_halves(p + 2, 24), -1), u->minimum);
}

INLINE void unpack_q8_0(const uint8_t *p, struct unpacked *u) {
    for (int i = 0; i < 8; i++)
        u->q[i] = load_32(p + 34 * i + 2);
    spread(load_halves(p, 34), u->scale);
}

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

// Values are twice those of E2M1, and 12 above 0 to be unsigned; scales half of 2^(e - 127).
INLINE void unpack_q2_k(const uint8_t *p, struct unpacked *u) {
    __m256i three = _mm256_set1_epi8(3);
    for (int h = 0; h < 2; h++) {
        __m256i q = load_32(p + 16 + 32 * h);
        u->q[4 * h] = _mm256_and_si256(q, three);
        u->q[4 * h + 1] = _mm256_and_si256(_mm256_srli_epi16(q, 2), three);
        u->q[4 * h + 2] = _mm256_and_si256(_mm256_srli_epi16(q, 4), three);
        u->q[4 * h + 3] = _mm256_and_si256(_mm256_srli_epi16(q, 6), three);
    }
    float d = load_half(p + 80), m = load_half(p + 82);
    __m128i both = load_16(p), fifteen = _mm_set1_epi8(15);
    __m128i scales = _mm_and_si128(both, fifteen), minima = _mm_and_si128(_mm_srli_epi16(both, 4), fifteen);
    u->scale[0] = times(bytes_to_float(scales), d);
    u->scale[1] = times(bytes_to_float(_mm_srli_si128(scales, 8)), d);
    u->minimum[0] = times(bytes_to_float(minima), m);
    u->minimum[1] = times(bytes_to_float(_mm_srli_si128(minima, 8)), m);
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
    // Scales of 6 bits: the low 4 in bytes 0 .. 7 (low nibbles: 0 .. 7, high: 8 .. 15), the high 2 of scale i in byte 8
    // + i % 4.
    uint64_t low;
    memcpy(&low, p + 96, sizeof low);
    uint32_t top = load_u32(p + 104);
    __m128i four_bits = _mm_and_si128(_mm_set_epi64x((long long)(low >> 4), (long long)low), _mm_set1_epi8(15));
    __m128i two_bits = _mm_setr_epi32((int)(top << 4), (int)(top << 2), (int)top, (int)(top >> 2));
    __m128i s = _mm_or_si128(four_bits, _mm_and_si128(two_bits, _mm_set1_epi8(0x30)));
    s = _mm_sub_epi8(s, _mm_set1_epi8(32));
    float d = load_half(p + 108);
    u->scale[0] = times(signed_to_float(s), d);
    u->scale[1] = times(signed_to_float(_mm_srli_si128(s, 8)), d);
    u->minimum[0] = times(u->scale[0], 4);
    u->minimum[1] = times(u->scale[1], 4);
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
    __m128i s = load_16(p + 192);
    float d = load_half(p + 208);
    u->scale[0] = times(signed_to_float(s), d);
    u->scale[1] = times(signed_to_float(_mm_srli_si128(s, 8)), d);
    u->minimum[0] = times(u->scale[0], 32);
    u->minimum[1] = times(u->scale[1], 32);
}

INLINE void unpack_iq4_xs(const uint8_t *p, struct unpacked *u) {
    for (int i = 0; i < 8; i++)
        u->q[i] = codebook(p + 8 + 16 * i, iq4_table());
    uint32_t high = load_u16(p + 2), low = load_u32(p + 4);
    __m256i shift = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
    __m256i four_bits = _mm256_and_si256(_mm256_srlv_epi32(_mm256_set1_epi32((int)low), shift), _mm256_set1_epi32(15));
    __m256i half_shift = _mm256_srli_epi32(shift, 1);
    __m256i two_bits = _mm256_slli_epi32(
        _mm256_and_si256(_mm256_srlv_epi32(_mm256_set1_epi32((int)high), half_shift), _mm256_set1_epi32(3)), 4);
    __m256i s = _mm256_sub_epi32(_mm256_or_si256(four_bits, two_bits), _mm256_set1_epi32(32));
    spread(times(_mm256_cvtepi32_ps(s), load_half(p)), u->scale);
}

// The blocks of a row that do not fill 256 values (only formats of 32 values have such), before zeros: a block of zeros
// is zeros.
#define TAIL_BYTES (8 * 34)
INLINE const uint8_t *pad_tail(const uint8_t *p, size_t bytes, uint8_t padded[TAIL_BYTES]) {
    memset(padded, 0, TAIL_BYTES);
    memcpy(padded, p, bytes);
    return padded;
}
