// Weights as unsigned integers with their scales and minima, for products of many rows.
#include "cpu/avx2/unpack.h"
#include "cpu/declare.h"

typedef void unpack_fn(const uint8_t *p, struct unpacked *u);

INLINE void unpack8(unpack_fn *unpack, const size_t bytes, const size_t values, const bool is_signed, const uint8_t *p,
                    size_t n, uint32_t row, const struct xn_cpu_rows8 *w) {
    uint8_t padded[TAIL_BYTES];
    struct unpacked u;
    if (values < XN_CPU_SUPER && n < XN_CPU_SUPER) p = pad_tail(p, n / values * bytes, padded);
    unpack(p, &u);
    uint8_t *q = w->q + (size_t)row * XN_CPU_SUPER;
    float *scale = w->scale + (size_t)row * (XN_CPU_SUPER / 16),
          *minimum = w->minimum + (size_t)row * (XN_CPU_SUPER / 16);
    __m256i up = is_signed ? _mm256_set1_epi8((char)0x80) : _mm256_setzero_si256(); // signed ones move up by 128
    for (int i = 0; i < 8; i++)
        _mm256_storeu_si256((__m256i *)(q + 32 * i), _mm256_xor_si256(u.q[i], up));
    for (int h = 0; h < 2; h++) {
        _mm256_storeu_ps(scale + 8 * h, u.scale[h]);
        _mm256_storeu_ps(minimum + 8 * h, is_signed ? times(u.scale[h], 128) : u.minimum[h]);
    }
}

#define X(name, type, ...)                                                                                             \
    void xn_cpu_unpack8_##name##_avx2(const void *blocks, size_t n, uint32_t row, const struct xn_cpu_rows8 *w) {      \
        unpack8(unpack_##name, BYTES_##name, VALUES_##name, SIGNED_##name, blocks, n, row, w);                         \
    }
#include "cpu/int_formats.inc"
