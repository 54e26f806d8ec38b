// Integer formats with AVX2: products by maddubs (unsigned by signed bytes), and decoding.
#include "cpu/avx2/simd.h"
#include "cpu/avx2/unpack.h"
#include "cpu/declare.h"

// Sums of two products of bytes, sixteen of them. A signed weight lends its sign to the activation; |both| fit 16 bits
// twice.
INLINE __m256i pairs_of_bytes(__m256i w, __m256i x, const bool is_signed) {
    if (is_signed) {
        x = _mm256_sign_epi8(x, w);
        w = _mm256_abs_epi8(w);
    }
    return _mm256_maddubs_epi16(w, x);
}
INLINE __m256i widen(__m256i pairs) { // sums of two
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

// Of four vectors of 16-bit sums, eight 32-bit ones: the halves of 128 bits, that of vector j in lane j and in 4 + j.
// As long as sums of more products of weights up to `most` fit 16 bits, they stay there, which is cheaper.
INLINE __m256i sum_halves(const __m256i p[4], const int most) {
    enum { FIT = 32767 / 127 }; // times a weight
    __m256i a = _mm256_unpacklo_epi32(p[0], p[1]), b = _mm256_unpackhi_epi32(p[0], p[1]);
    __m256i c = _mm256_unpacklo_epi32(p[2], p[3]), d = _mm256_unpackhi_epi32(p[2], p[3]);
    if (4 * most > FIT) { // two products are all
        a = _mm256_add_epi32(widen(a), widen(b));
        c = _mm256_add_epi32(widen(c), widen(d));
        return _mm256_add_epi32(_mm256_unpacklo_epi64(a, c), _mm256_unpackhi_epi64(a, c));
    }
    a = _mm256_add_epi16(a, b);
    c = _mm256_add_epi16(c, d);
    b = _mm256_unpacklo_epi64(a, c);
    d = _mm256_unpackhi_epi64(a, c);
    return 8 * most > FIT ? _mm256_add_epi32(widen(b), widen(d)) : widen(_mm256_add_epi16(b, d));
}

typedef void unpack_fn(const uint8_t *p, struct unpacked *u);

// The sums of products of 256 values by groups: of 32 in the order of xn_cpu_row's blocks (dots[0]), or of 16.
INLINE void dots_of(const struct unpacked *u, const bool is_signed, const int most, const int group, const int8_t *q,
                    __m256i dots[2]) {
    static const int blocks[8] = {0, 1, 4, 5, 2, 3, 6, 7};
    for (int h = 0; h < 2; h++) {
        __m256i pairs[4];
        for (int j = 0; j < 4; j++) {
            int b = group == 32 ? blocks[4 * h + j] : 4 * h + j;
            __m256i x = _mm256_loadu_si256((const __m256i *)(q + 32 * b));
            pairs[j] = pairs_of_bytes(u->q[b], x, is_signed);
        }
        dots[h] = sum_halves(pairs, most);
    }
    if (group == 32) {
        dots[0] = _mm256_add_epi32(_mm256_permute2x128_si256(dots[0], dots[1], 0x20),
                                   _mm256_permute2x128_si256(dots[0], dots[1], 0x31));
        return;
    }
    __m256i ascending = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (int h = 0; h < 2; h++)
        dots[h] = _mm256_permutevar8x32_epi32(dots[h], ascending);
}

// What each group of 256 values adds to a product: the sum of its integers' products by both scales, less the minimum
// of the weights by the sum of the activations. Panels compute the same (template/gemm8.h), rounding for rounding.
INLINE void products(const struct unpacked *u, const bool is_signed, const int most, const int group, const int8_t *q,
                     const float *scales, const float *group_sums, __m256 *out) {
    __m256i dots[2];
    dots_of(u, is_signed, most, group, q, dots);
    __m256 across = _mm256_loadu_ps(scales);
    if (group == 32) {
        __m256 scale = _mm256_mul_ps(_mm256_shuffle_ps(u->scale[0], u->scale[1], 0x88), across);
        __m256 sum = _mm256_mul_ps(scale, _mm256_cvtepi32_ps(dots[0]));
        if (!is_signed)
            sum = _mm256_fnmadd_ps(_mm256_shuffle_ps(u->minimum[0], u->minimum[1], 0x88), _mm256_loadu_ps(scales + 8),
                                   sum);
        out[0] = sum;
        return;
    }
    for (int h = 0; h < 2; h++) { // blocks 0 to 3, then 4 to 7, two groups each
        __m256i of = h ? _mm256_setr_epi32(2, 2, 3, 3, 6, 6, 7, 7) : _mm256_setr_epi32(0, 0, 1, 1, 4, 4, 5, 5);
        __m256 scale = _mm256_mul_ps(u->scale[h], _mm256_permutevar8x32_ps(across, of));
        __m256 sum = _mm256_mul_ps(scale, _mm256_cvtepi32_ps(dots[h]));
        if (!is_signed) sum = _mm256_fnmadd_ps(u->minimum[h], _mm256_loadu_ps(group_sums + 8 * h), sum);
        out[h] = sum;
    }
}

#include "cpu/avx2/dot_rows.h"

// 16 values a step, by the scale and the minimum of their group.
INLINE void store_decoded(const struct unpacked *u, const bool is_signed, float out[XN_CPU_SUPER]) {
    for (int g = 0; g < 16; g++) {
        __m256i lane = _mm256_set1_epi32(g & 7);
        __m256 scale = _mm256_permutevar8x32_ps(u->scale[g / 8], lane);
        __m128i q = g & 1 ? _mm256_extracti128_si256(u->q[g / 2], 1) : _mm256_castsi256_si128(u->q[g / 2]);
        for (int half = 0; half < 2; half++, q = _mm_srli_si128(q, 8)) {
            __m256 v = is_signed ? signed_to_float(q) : bytes_to_float(q);
            v = is_signed ? _mm256_mul_ps(v, scale)
                          : _mm256_fmsub_ps(v, scale, _mm256_permutevar8x32_ps(u->minimum[g / 8], lane));
            _mm256_storeu_ps(out + 16 * g + 8 * half, v);
        }
    }
}

#include "cpu/template/decode_blocks.h"

#define X(name, type, ...)                                                                                             \
    DOT(name)                                                                                                          \
    void xn_cpu_decode_##name##_avx2(const void *blocks, float *out, size_t n) {                                       \
        decode_blocks(unpack_##name, BYTES_##name, VALUES_##name, SIGNED_##name, blocks, out, n);                      \
    }
#include "cpu/int_formats.inc"
