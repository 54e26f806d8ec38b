// NVFP4: codes of E2M1 under scales of E4M3, for 16 values each; part of unpack.h. (MXFP4 multiplies floats: template/
// mxfp4.h.)
#pragma once

// Bytes and values of a block, whether the integers are signed, and the integer that stands for 0.
enum {
    BYTES_nvfp4 = 36,
    VALUES_nvfp4 = 64,
    SIGNED_nvfp4 = 0,
    ZERO_nvfp4 = 12,
};

// Half of eight unsigned E4M3 numbers, for codes that stand for twice their value. Its NaN counts as 0, a sign as
// nothing.
INLINE __m256 half_of_e4m3(__m256i e) {
    __m256i code = _mm256_and_si256(e, _mm256_set1_epi32(127));
    __m256i bits = _mm256_add_epi32(_mm256_slli_epi32(code, 20), _mm256_set1_epi32(119 << 23));
    __m256 small = times(_mm256_cvtepi32_ps(code), 0x1p-10f); // without an exponent
    __m256 x = _mm256_blendv_ps(_mm256_castsi256_ps(bits), small,
                                _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(8), code)));
    return _mm256_andnot_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(e, _mm256_set1_epi32(127))), x);
}

INLINE __m128i scale_codes_nvfp4(const uint8_t *p) {
    return _mm_setr_epi32((int)load_u32(p), (int)load_u32(p + 36), (int)load_u32(p + 72), (int)load_u32(p + 108));
}
// Twice the values of E2M1, from -12 on.
INLINE __m128i nvfp4_table(void) {
    return _mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0);
}

INLINE void unpack_nvfp4(const uint8_t *p, struct unpacked *u) {
    __m256i fifteen = _mm256_set1_epi8(15), table = _mm256_broadcastsi128_si256(nvfp4_table());
    for (int b = 0; b < 4; b++) {
        __m256i x = _mm256_permute4x64_epi64(load_32(p + 36 * b + 4), 0xd8);
        __m256i low = _mm256_and_si256(x, fifteen), high = _mm256_and_si256(_mm256_srli_epi16(x, 4), fifteen);
        u->q[2 * b] = _mm256_shuffle_epi8(table, _mm256_unpacklo_epi64(low, high));
        u->q[2 * b + 1] = _mm256_shuffle_epi8(table, _mm256_unpackhi_epi64(low, high));
    }
    __m128i codes = scale_codes_nvfp4(p);
    u->scale[0] = half_of_e4m3(_mm256_cvtepu8_epi32(codes));
    u->scale[1] = half_of_e4m3(_mm256_cvtepu8_epi32(_mm_srli_si128(codes, 8)));
    u->minimum[0] = times(u->scale[0], ZERO_nvfp4);
    u->minimum[1] = times(u->scale[1], ZERO_nvfp4);
}
