#include "cpu/avx2/simd.h"

// Twice the values of 32 codes.
static inline __attribute__((always_inline)) void codes(const uint8_t *p, vf out[4]) {
    __m128i table = _mm_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p), four = _mm_set1_epi8(15);
    __m128i low = _mm_shuffle_epi8(table, _mm_and_si128(bytes, four));
    __m128i high = _mm_shuffle_epi8(table, _mm_and_si128(_mm_srli_epi16(bytes, 4), four));
    out[0] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(low));
    out[1] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(low, 8)));
    out[2] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(high));
    out[3] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(high, 8)));
}

#include "cpu/template/mxfp4.h"
