// Integer formats with AVX2: products by maddubs (unsigned by signed bytes), and decoding.
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

#define weights unpacked
#define prepare_weights(u, is_signed) ((void)(u))
typedef void unpack_fn(const uint8_t *p, struct unpacked *u);
typedef struct {
    __m256 part[2]; // sums that do not wait for each other
} vs;
#define VS_ZERO ((vs){{_mm256_setzero_ps(), _mm256_setzero_ps()}})

INLINE vs accumulate(const struct unpacked *u, const bool is_signed, const int most, const int8_t *q,
                     const float *scales, const float *group_sums, vs sum) {
    for (int h = 0; h < 2; h++) {
        __m256i pairs[4];
        for (int j = 0; j < 4; j++) {
            __m256i x = _mm256_loadu_si256((const __m256i *)(q + 128 * h + 32 * j));
            pairs[j] = pairs_of_bytes(u->q[4 * h + j], x, is_signed);
        }
        __m256 scale = _mm256_mul_ps(u->scale[h], _mm256_loadu_ps(scales + 8 * h));
        scale = _mm256_permutevar8x32_ps(scale, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
        sum.part[0] = _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(sum_halves(pairs, most)), sum.part[0]);
        if (!is_signed) sum.part[1] = _mm256_fnmadd_ps(u->minimum[h], _mm256_loadu_ps(group_sums + 8 * h), sum.part[1]);
    }
    return sum;
}

// The sums of four vectors each, the first n of them.
INLINE void store_sums(vs a, vs b, vs c, vs d, float *out, uint32_t n) {
    __m256 e = _mm256_hadd_ps(_mm256_add_ps(a.part[0], a.part[1]), _mm256_add_ps(b.part[0], b.part[1]));
    __m256 f = _mm256_hadd_ps(_mm256_add_ps(c.part[0], c.part[1]), _mm256_add_ps(d.part[0], d.part[1]));
    __m256 g = _mm256_hadd_ps(e, f);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(g), _mm256_extractf128_ps(g, 1));
    if (n >= 4) {
        _mm_storeu_ps(out, four);
        return;
    }
    __m128i some = _mm_cmpgt_epi32(_mm_set1_epi32((int)n), _mm_setr_epi32(0, 1, 2, 3));
    _mm_maskstore_ps(out, some, four);
}

#define DOT_NAME(name) xn_cpu_dot_##name##_avx2
#define FAST_BYTES SIZE_MAX
#include "cpu/template/dot_rows.h"

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
    DOT(unpack_##name, name)                                                                                           \
    void xn_cpu_decode_##name##_avx2(const void *blocks, float *out, size_t n) {                                       \
        decode_blocks(unpack_##name, BYTES_##name, VALUES_##name, SIGNED_##name, blocks, out, n);                      \
    }
#include "cpu/int_formats.inc"
