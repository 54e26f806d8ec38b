#include "cpu/avx512/simd.h"

// Twice the values of 32 codes: a lookup takes the low four bits of each index.
static inline __attribute__((always_inline)) void codes(const uint8_t *p, vf out[2]) {
    __m512 table = _mm512_setr_ps(0, 1, 2, 3, 4, 6, 8, 12, -0.0f, -1, -2, -3, -4, -6, -8, -12);
    __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
    out[0] = _mm512_permutexvar_ps(bytes, table);
    out[1] = _mm512_permutexvar_ps(_mm512_srli_epi32(bytes, 4), table);
}

#include "cpu/template/mxfp4.h"
