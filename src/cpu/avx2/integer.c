// Integer formats with AVX2, in the file's layout: products by maddubs (unsigned by signed bytes), and decoding.
#include "cpu/avx2/dot_rows.h"
#include "cpu/avx2/products.h"

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

// The sums of products of 256 values by groups: of 32 in the order of xn_cpu_row's blocks (dots[0]), or of 16.
INLINE void dots_of(const struct unpacked *u, const bool is_signed, const int most, const int group, const int8_t *q,
                    __m256i dots[2]) {
    static const int blocks[8] = XN_CPU_BLOCK_ORDER;
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

// What each group of 256 values adds to a product, with row `at` of the activations (`s` x 256 values in).
INLINE void products(const struct unpacked *u, const bool is_signed, const int most, const int group,
                     const struct xn_cpu_row *x, size_t s, __m256 *out) {
    const float *scales = x->scale + s * (XN_CPU_SUPER / 16), *sums = x->sum + s * (XN_CPU_SUPER / 16);
    __m256i dots[2];
    dots_of(u, is_signed, most, group, x->q + s * XN_CPU_SUPER, dots);
    if (group == 16) {
        __m256 blocks = _mm256_loadu_ps(scales);
        __m256 across[2] = {_mm256_permutevar8x32_ps(blocks, _mm256_setr_epi32(0, 0, 1, 1, 4, 4, 5, 5)),
                            _mm256_permutevar8x32_ps(blocks, _mm256_setr_epi32(2, 2, 3, 3, 6, 6, 7, 7))};
        scale_16(dots, u->scale, u->minimum, is_signed, across, sums, out);
        return;
    }
    out[0] = scale_32(dots[0], _mm256_shuffle_ps(u->scale[0], u->scale[1], 0x88),
                      is_signed ? u->scale[0] : _mm256_shuffle_ps(u->minimum[0], u->minimum[1], 0x88), is_signed,
                      scales, scales + 8);
}

typedef void unpack_fn(const uint8_t *p, struct unpacked *u);

// What 256 values of weights at p, of which `left` are of the row, add to n products.
INLINE void addends_of(unpack_fn *unpack, const size_t bytes, const size_t values, const bool is_signed, const int most,
                       const int group, const uint8_t *p, size_t left, size_t readable, const struct xn_cpu_row *x,
                       const uint32_t n, size_t s, __m256 *to) {
    struct unpacked u;
    if (values < XN_CPU_SUPER && left < XN_CPU_SUPER)
        unpack_tail(unpack, bytes, values, is_signed, p, left, readable, &u);
    else
        unpack(p, &u);
#pragma GCC unroll 4
    for (uint32_t i = 0; i < n; i++)
        products(&u, is_signed, most, group, x + i, s, to + i * ADDEND_VECTORS(group));
}

#include "cpu/template/decode_blocks.h"

#define X(name, type, ...)                                                                                             \
    INLINE void addends_##name(const uint8_t *p, size_t left, size_t readable, const struct xn_cpu_row *x,             \
                               const uint32_t n, size_t s, __m256 *to) {                                               \
        addends_of(unpack_##name, BYTES_##name, VALUES_##name, SIGNED_##name, MOST_##name, GROUP_##name, p, left,      \
                   readable, x, n, s, to);                                                                             \
    }                                                                                                                  \
    DOT(name, name, GROUP_##name, false)                                                                               \
    void xn_cpu_decode_##name##_avx2(const void *blocks, float *out, size_t n) {                                       \
        decode_blocks(unpack_##name, BYTES_##name, VALUES_##name, SIGNED_##name, blocks, out, n);                      \
    }
#include "cpu/int_formats.inc"
