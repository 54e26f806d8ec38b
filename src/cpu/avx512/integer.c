// Integer formats with AVX-512: products by maddubs, and decoding.
#include "cpu/avx2/unpack.h"

#define DOT_NAME(name) xn_cpu_dot_##name##_avx512
#define IN_PLACE 0 // sums of two products must fit 16 bits
#define HAS_MINIMUM(is_signed) (!(is_signed))
#define prepare_weights(w, is_signed) ((void)(w))

// Adds sums of four products of bytes, sixteen of them. A signed weight lends its sign to the activation.
INLINE __m512i dot_bytes(__m512i sum, __m512i w, __m512i x, const bool is_signed) {
    if (is_signed) {
        x = _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(w), _mm512_setzero_si512(), x);
        w = _mm512_abs_epi8(w);
    }
    return _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(w, x), _mm512_set1_epi16(1)));
}

#include "cpu/avx512/dot.h"

INLINE void store_decoded(const struct unpacked *u, const bool is_signed, float out[XN_CPU_SUPER]) {
    __m512 scales = _mm512_insertf32x8(_mm512_castps256_ps512(u->scale[0]), u->scale[1], 1), minima = scales;
    if (!is_signed) minima = _mm512_insertf32x8(_mm512_castps256_ps512(u->minimum[0]), u->minimum[1], 1);
#pragma GCC unroll 16
    for (int g = 0; g < 16; g++) {
        __m512 scale = _mm512_permutexvar_ps(_mm512_set1_epi32(g), scales);
        __m128i q = g & 1 ? _mm256_extracti128_si256(u->q[g / 2], 1) : _mm256_castsi256_si128(u->q[g / 2]);
        __m512 v = _mm512_cvtepi32_ps(is_signed ? _mm512_cvtepi8_epi32(q) : _mm512_cvtepu8_epi32(q));
        v = is_signed ? _mm512_mul_ps(v, scale)
                      : _mm512_fmsub_ps(v, scale, _mm512_permutexvar_ps(_mm512_set1_epi32(g), minima));
        _mm512_storeu_ps(out + 16 * g, v);
    }
}

#include "cpu/template/decode_blocks.h"

#define X(name, type, ...)                                                                                             \
    void xn_cpu_decode_##name##_avx512(const void *blocks, float *out, size_t n) {                                     \
        decode_blocks(unpack_##name, BYTES_##name, VALUES_##name, SIGNED_##name, blocks, out, n);                      \
    }
#include "cpu/int_formats.inc"
