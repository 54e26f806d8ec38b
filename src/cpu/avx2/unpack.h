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

// The halves at the head of four blocks, `stride` bytes apart. Put together by the integer units, which are idle.
INLINE long long four_halves(const uint8_t *p, const int stride) {
    uint64_t low = load_u16(p) | (uint32_t)load_u16(p + stride) << 16;
    uint64_t high = load_u16(p + 2 * stride) | (uint32_t)load_u16(p + 3 * stride) << 16;
    return (long long)(low | high << 32);
}
// Of eight blocks.
INLINE __m256 load_halves(const uint8_t *p, const int stride) {
    return _mm256_cvtph_ps(_mm_set_epi64x(four_halves(p + 4 * stride, stride), four_halves(p, stride)));
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
// Eight of sixteen numbers of 16 bits: the first (h = 0) or the last.
INLINE __m256 halves_to_float(__m256i x, const int h) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(h ? _mm256_extracti128_si256(x, 1) : _mm256_castsi256_si128(x)));
}
INLINE __m256 signed_to_float(__m128i b) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(b));
}

// A format's block as its kernels need to know it: unpack_NAME, and BYTES_NAME and VALUES_NAME of a block, and
// SIGNED_NAME, whether its integers are.
#include "cpu/avx2/unpack_fp4.h"
#include "cpu/avx2/unpack_iq.h"
#include "cpu/avx2/unpack_iq1.h"
#include "cpu/avx2/unpack_iq4.h"
#include "cpu/avx2/unpack_k.h"
#include "cpu/avx2/unpack_legacy.h"
#include "cpu/avx2/unpack_ternary.h"

// The blocks of a row that do not fill 256 values (only formats of 32 values have such), before zeros: a block of zeros
// is zeros.
#define TAIL_BYTES (8 * 34)
INLINE const uint8_t *pad_tail(const uint8_t *p, size_t bytes, uint8_t padded[TAIL_BYTES]) {
    memset(padded, 0, TAIL_BYTES);
    memcpy(padded, p, bytes);
    return padded;
}

// Unpacks the last n values of a row, which do not fill 256; `readable` bytes stand at p. What follows a row is mostly
// the next one: then blocks of that are read and count for nothing, since to copy a block and to read it at once in
// other widths makes the processor wait.
INLINE void unpack_tail(void (*unpack)(const uint8_t *p, struct unpacked *u), const size_t bytes, const size_t values,
                        const bool is_signed, const uint8_t *p, size_t n, size_t readable, struct unpacked *u) {
    uint8_t padded[TAIL_BYTES];
    if (readable < bytes * (256 / values)) p = pad_tail(p, n / values * bytes, padded);
    unpack(p, u);
    __m256i groups = _mm256_set1_epi32((int)(n / 16)), group = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    for (int h = 0; h < 2; h++, groups = _mm256_sub_epi32(groups, _mm256_set1_epi32(8))) {
        __m256 counts = _mm256_castsi256_ps(_mm256_cmpgt_epi32(groups, group));
        u->scale[h] = _mm256_and_ps(u->scale[h], counts);
        if (!is_signed) u->minimum[h] = _mm256_and_ps(u->minimum[h], counts);
    }
}
