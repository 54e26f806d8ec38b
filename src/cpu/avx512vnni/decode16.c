// Weights as rows of tiles of bfloat16 (cpu/panels.h).
#include "cpu/avx2/unpack.h"
#include "cpu/avx512vnni/halves.h"
#include "cpu/declare.h"

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
void xn_cpu_decode16_mxfp4_avx512vnni(const void *blocks, size_t n, uint32_t terms, uint16_t *out) {
    (void)terms;
    float values[32];
    const uint8_t *p = blocks;
    for (size_t i = 0; i < n; i += 32, p += 17, out += TILE) {
        xn_cpu_decode_mxfp4_avx512(p, values, 32);
        _mm512_storeu_si512(out, round_both(_mm512_loadu_ps(values), _mm512_loadu_ps(values + 16)));
    }
}

// --- integers ---

INLINE void store_tiles(const struct unpacked *u, const bool is_signed, const int groups, uint16_t *out) {
    __m512 scales = _mm512_insertf32x8(_mm512_castps256_ps512(u->scale[0]), u->scale[1], 1), minima = scales;
    if (!is_signed) minima = _mm512_insertf32x8(_mm512_castps256_ps512(u->minimum[0]), u->minimum[1], 1);
#pragma GCC unroll 8
    for (int g = 0; g < groups; g++) {
        __m512 v[2];
#pragma GCC unroll 2
        for (int h = 0; h < 2; h++) {
            __m128i q = h ? _mm256_extracti128_si256(u->q[g], 1) : _mm256_castsi256_si128(u->q[g]);
            __m512 x = _mm512_cvtepi32_ps(is_signed ? _mm512_cvtepi8_epi32(q) : _mm512_cvtepu8_epi32(q));
            __m512i lane = _mm512_set1_epi32(2 * g + h);
            __m512 scale = _mm512_permutexvar_ps(lane, scales);
            v[h] = is_signed ? _mm512_mul_ps(x, scale) : _mm512_fmsub_ps(x, scale, _mm512_permutexvar_ps(lane, minima));
        }
        _mm512_storeu_si512(out + (size_t)g * TILE, round_both(v[0], v[1]));
    }
}

typedef void unpack_fn(const uint8_t *p, struct unpacked *u);

INLINE void decode_tiles(unpack_fn *unpack, const size_t bytes, const size_t values, const bool is_signed,
                         const uint8_t *p, size_t n, uint16_t *out) {
    struct unpacked u;
    for (; n >= XN_CPU_SUPER; n -= XN_CPU_SUPER, p += bytes * (XN_CPU_SUPER / values), out += 8 * TILE) {
        unpack(p, &u);
        store_tiles(&u, is_signed, 8, out);
    }
    if (values < XN_CPU_SUPER && n) {
        uint8_t padded[TAIL_BYTES];
        unpack(pad_tail(p, n / values * bytes, padded), &u);
        for (size_t g = 0; g < (n + COLS - 1) / COLS; g++, out += TILE) {
            struct unpacked one = {.q = {u.q[g]}};
            memcpy(&one.scale, (const char *)&u.scale + g * 2 * sizeof(float), 2 * sizeof(float));
            if (!is_signed) memcpy(&one.minimum, (const char *)&u.minimum + g * 2 * sizeof(float), 2 * sizeof(float));
            store_tiles(&one, is_signed, 1, out);
        }
    }
}

#define X(name, type, ...)                                                                                             \
    void xn_cpu_decode16_##name##_avx512vnni(const void *blocks, size_t n, uint32_t terms, uint16_t *out) {            \
        (void)terms;                                                                                                   \
        decode_tiles(unpack_##name, BYTES_##name, VALUES_##name, SIGNED_##name, blocks, n, out);                       \
    }
#include "cpu/int_formats.inc"
#undef X
