// Weights as rows of tiles of bfloat16 (cpu/panels.h).
#include "cpu/avx512vnni/tiles.h"
#include "cpu/declare.h"
#include "cpu/template/mxfp4_scale.h"

// --- floats ---

INLINE __mmask32 mask_of(size_t n) { // the first n of 32
    return n < COLS ? (1u << n) - 1 : ~0u;
}

void xn_cpu_decode16_bf16_avx512vnni(const void *blocks, size_t n, uint32_t terms, uint16_t *out) {
    const char *p = blocks;
    (void)terms;
    for (size_t i = 0; i < n; i += COLS, out += TILE)
        _mm512_storeu_si512(out, _mm512_maskz_loadu_epi16(mask_of(n - i), p + 2 * i));
}

INLINE void store_terms(__m512 low, __m512 high, uint32_t terms, uint16_t *out) {
    __m512i both = round_both(low, high);
    _mm512_storeu_si512(out, both);
    if (terms > 1) _mm512_storeu_si512(out + TILE, rest_of(low, high, both));
}

void xn_cpu_decode16_f16_avx512vnni(const void *blocks, size_t n, uint32_t terms, uint16_t *out) {
    const char *p = blocks;
    for (size_t i = 0; i < n; i += COLS, out += terms * TILE) {
        __m512i h = _mm512_maskz_loadu_epi16(mask_of(n - i), p + 2 * i);
        store_terms(_mm512_cvtph_ps(_mm512_castsi512_si256(h)), _mm512_cvtph_ps(_mm512_extracti64x4_epi64(h, 1)), terms,
                    out);
    }
}

void xn_cpu_decode16_f32_avx512vnni(const void *blocks, size_t n, uint32_t terms, uint16_t *out) {
    const char *p = blocks;
    for (size_t i = 0; i < n; i += COLS, out += terms * TILE) {
        __mmask32 there = mask_of(n - i);
        store_terms(_mm512_maskz_loadu_ps((__mmask16)there, p + 4 * i),
                    _mm512_maskz_loadu_ps((__mmask16)(there >> 16), p + 4 * i + 64), terms, out);
    }
}

// All values of MXFP4 are bfloat16 ones (its scale being a power of two), but for scales below the normal numbers.
INLINE __m512 codes_mxfp4(void) { // twice the values
    return _mm512_setr_ps(0, 1, 2, 3, 4, 6, 8, 12, -0.0f, -1, -2, -3, -4, -6, -8, -12);
}
void xn_cpu_decode16_mxfp4_avx512vnni(const void *blocks, size_t n, uint32_t terms, uint16_t *out) {
    (void)terms;
    const uint8_t *p = blocks;
    for (size_t i = 0; i < n; i += 32, p += 17, out += TILE) {
        __m512 values = multiple(codes_mxfp4(), mx_scale(p[0]));
        look_up(round_both(values, values), places_of(p + 1), out);
    }
}

// --- integers ---

typedef void tiles_fn(const uint8_t *p, uint16_t *out);

INLINE void decode_tiles(tiles_fn *tiles, const size_t bytes, const size_t values, const uint8_t *p, size_t n,
                         uint16_t *out) {
    for (; n >= XN_CPU_SUPER; n -= XN_CPU_SUPER, p += bytes * (XN_CPU_SUPER / values), out += 8 * TILE)
        tiles(p, out);
    if (values < XN_CPU_SUPER && n) {
        uint8_t padded[TAIL_BYTES];
        uint16_t whole[8 * TILE];
        tiles(pad_tail(p, n / values * bytes, padded), whole);
        for (size_t g = 0; g < (n + COLS - 1) / COLS; g++)
            memcpy(out + g * TILE, whole + g * TILE, COLS * sizeof *out);
    }
}

#define X(name, type, ...)                                                                                             \
    void xn_cpu_decode16_##name##_avx512vnni(const void *blocks, size_t n, uint32_t terms, uint16_t *out) {            \
        (void)terms;                                                                                                   \
        decode_tiles(tiles_##name, BYTES_##name, VALUES_##name, blocks, n, out);                                       \
    }
#include "cpu/int_formats.inc"
#undef X
