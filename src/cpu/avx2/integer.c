// Integer formats with AVX2: products by maddubs (unsigned by signed bytes), and decoding.
#include "cpu/avx2/unpack.h"
#include "cpu/declare.h"

enum { AHEAD = 8192 }; // bytes of weights asked for in advance

// Sums of four products of bytes, eight of them. A signed weight lends its sign to the activation; |both| fit 16 bits
// twice.
INLINE __m256i dot_bytes(__m256i w, __m256i x, const bool is_signed) {
    if (is_signed) {
        x = _mm256_sign_epi8(x, w);
        w = _mm256_abs_epi8(w);
    }
    return _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1));
}

INLINE float sum8(__m256 a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}

typedef void unpack_fn(const uint8_t *p, struct unpacked *u);

INLINE void accumulate(const struct unpacked *u, const bool is_signed, const struct xn_cpu_row *x, size_t at,
                       __m256 sum[2]) {
    for (int h = 0; h < 2; h++) {
        __m256 scale = _mm256_mul_ps(u->scale[h], _mm256_loadu_ps(x->scale + at / 16 + 8 * h));
        for (int j = 0; j < 4; j++) {
            __m256i q = _mm256_loadu_si256((const __m256i *)(x->q + at + 128 * h + 32 * j));
            __m256 d = _mm256_cvtepi32_ps(dot_bytes(u->q[4 * h + j], q, is_signed));
            __m256i lanes = _mm256_add_epi32(_mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1), _mm256_set1_epi32(2 * j));
            sum[j & 1] = _mm256_fmadd_ps(_mm256_permutevar8x32_ps(scale, lanes), d, sum[j & 1]);
        }
        if (!is_signed) sum[h] = _mm256_fnmadd_ps(u->minimum[h], _mm256_loadu_ps(x->sum + at / 16 + 8 * h), sum[h]);
    }
}

INLINE void dot_row(unpack_fn *unpack, const size_t bytes, const size_t values, const bool is_signed, const int n,
                    const uint8_t *w, const struct xn_cpu_row *x, uint32_t k, float *out, size_t ld) {
    const size_t super_bytes = bytes * (XN_CPU_SUPER / values);
    __m256 sum[4][2];
    struct unpacked u;
    for (int i = 0; i < n; i++)
        sum[i][0] = sum[i][1] = _mm256_setzero_ps();
    size_t at = 0;
    for (; at + XN_CPU_SUPER <= k; at += XN_CPU_SUPER, w += super_bytes) {
        for (size_t line = 0; line < super_bytes; line += 64)
            _mm_prefetch((const char *)w + AHEAD + line, _MM_HINT_T0);
        unpack(w, &u);
        for (int i = 0; i < n; i++)
            accumulate(&u, is_signed, &x[i], at, sum[i]);
    }
    if (values < XN_CPU_SUPER && at < k) {
        uint8_t padded[TAIL_BYTES];
        unpack(pad_tail(w, (k - at) / values * bytes, padded), &u);
        for (int i = 0; i < n; i++)
            accumulate(&u, is_signed, &x[i], at, sum[i]);
    }
    for (int i = 0; i < n; i++)
        out[(size_t)i * ld] = sum8(_mm256_add_ps(sum[i][0], sum[i][1]));
}

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

#define ROWS(name, n)                                                                                                  \
    for (uint32_t r = 0; r < rows; r++)                                                                                \
        dot_row(unpack_##name, BYTES_##name, VALUES_##name, SIGNED_##name, n, (const uint8_t *)w + r * row_bytes, x,   \
                k, out + r, ld);
#define X(name, type, ...)                                                                                             \
    void xn_cpu_dot_##name##_avx2(const void *w, size_t row_bytes, uint32_t rows, const struct xn_cpu_row *x,          \
                                  uint32_t n, uint32_t k, float *out, size_t ld) {                                     \
        for (; n >= 4; n -= 4, x += 4, out += 4 * ld)                                                                  \
            ROWS(name, 4)                                                                                              \
        for (; n >= 2; n -= 2, x += 2, out += 2 * ld)                                                                  \
            ROWS(name, 2)                                                                                              \
        for (; n >= 1; n -= 1, x += 1, out += ld)                                                                      \
            ROWS(name, 1)                                                                                              \
    }                                                                                                                  \
    void xn_cpu_decode_##name##_avx2(const void *blocks, float *out, size_t n) {                                       \
        decode_blocks(unpack_##name, BYTES_##name, VALUES_##name, SIGNED_##name, blocks, out, n);                      \
    }
#include "cpu/int_formats.inc"
