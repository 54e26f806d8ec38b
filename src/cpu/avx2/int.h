// The vocabulary of integers (template/gemm8.h) with 256 bits.
#pragma once

#include "cpu/avx2/simd.h"

#include <stdbool.h>

enum { LANES = V, VECTORS = 4, STRIP = 4 };
#define STRIP_OF(vectors) ((vectors) == 1 ? 4 : (vectors) == 2 ? 3 : 2)
#define I_REGISTER(a) "+x"(a)
typedef __m256i vi;

static inline vf i_float(vi x) {
    return _mm256_cvtepi32_ps(x);
}
static inline vi i_zero(void) {
    return _mm256_setzero_si256();
}
static inline vi i_load(const int8_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
static inline void i_store(void *p, vi x) {
    _mm256_storeu_si256((__m256i *)p, x);
}
// Four bytes of weights in every dword.
static inline vi i_weights(const uint8_t *p) {
    int dword;
    __builtin_memcpy(&dword, p, sizeof dword);
    return _mm256_set1_epi32(dword);
}
static inline vi i_pairs(vi weights, vi x) { // sums of two products, 16 bits each
    return _mm256_maddubs_epi16(weights, x);
}
static inline vi i_add16(vi a, vi b) {
    return _mm256_add_epi16(a, b);
}
static inline vi i_add32(vi a, vi b) {
    return _mm256_add_epi32(a, b);
}
static inline vi i_ones16(void) {
    return _mm256_set1_epi16(1);
}
static inline vi i_products16(vi a, vi b) { // sums of two products of 16 bits
    return _mm256_madd_epi16(a, b);
}
static inline vi i_shift(vi weights) { // by 128, or up: between signed and unsigned bytes
    return _mm256_xor_si256(weights, _mm256_set1_epi8((char)0x80));
}
// The signed bytes 0 and 2 of every dword as 16 bits each, and the bytes 1 and 3.
static inline vi i_even(vi x) {
    return _mm256_srai_epi16(_mm256_slli_epi16(x, 8), 8);
}
static inline vi i_odd(vi x) {
    return _mm256_srai_epi16(x, 8);
}
