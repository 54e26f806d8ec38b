#include "cpu/avx512/simd.h"
#include "cpu/kernels.h"

// 256 values to the order of XN_CPU_DWORDS: four by four transposes of dwords; scales and sums to the lanes of their
// groups.
static inline void order_lanes(int8_t *q, float *scale, float *sum, const int16_t *total, struct xn_cpu_lanes *lanes,
                               struct xn_cpu_wide *wide) {
    (void)total; // AVX2's
    (void)lanes;
    (void)wide;
    __m512i n[4];
    for (int j = 0; j < 4; j++)
        n[j] = _mm512_loadu_si512(q + 64 * j);
    __m512i a = _mm512_unpacklo_epi32(n[0], n[1]), b = _mm512_unpackhi_epi32(n[0], n[1]);
    __m512i c = _mm512_unpacklo_epi32(n[2], n[3]), d = _mm512_unpackhi_epi32(n[2], n[3]);
    _mm512_storeu_si512(q, _mm512_unpacklo_epi64(a, c));
    _mm512_storeu_si512(q + 64, _mm512_unpackhi_epi64(a, c));
    _mm512_storeu_si512(q + 128, _mm512_unpacklo_epi64(b, d));
    _mm512_storeu_si512(q + 192, _mm512_unpackhi_epi64(b, d));
    __m512i group = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    _mm512_storeu_ps(scale, _mm512_permutexvar_ps(group, _mm512_loadu_ps(scale)));
    _mm512_storeu_ps(sum, _mm512_permutexvar_ps(group, _mm512_loadu_ps(sum)));
}

#include "cpu/template/quantize.h"
