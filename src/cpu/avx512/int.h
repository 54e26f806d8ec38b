// The vocabulary of integers (template/gemm8.h) with 512 bits.
#pragma once

#include "cpu/avx512/simd.h"

#include <stdbool.h>

enum { LANES = V, VECTORS = 2, STRIP = 6 };
#define STRIP_OF(vectors) STRIP
#define I_REGISTER(a) "+v"(a)
typedef __m512i vi;

static inline vf i_float(vi x) {
    return _mm512_cvtepi32_ps(x);
}
static inline vi i_zero(void) {
    return _mm512_setzero_si512();
}
static inline vi i_load(const int8_t *p) {
    return _mm512_loadu_si512(p);
}
static inline void i_store(void *p, vi x) {
    _mm512_storeu_si512(p, x);
}
// Four bytes of weights in every dword.
static inline vi i_weights(const uint8_t *p) {
    int dword;
    __builtin_memcpy(&dword, p, sizeof dword);
    return _mm512_set1_epi32(dword);
}
static inline vi i_pairs(vi weights, vi x) { // sums of two products, 16 bits each
    return _mm512_maddubs_epi16(weights, x);
}
static inline vi i_add16(vi a, vi b) {
    return _mm512_add_epi16(a, b);
}
static inline vi i_add32(vi a, vi b) {
    return _mm512_add_epi32(a, b);
}
static inline vi i_ones16(void) {
    return _mm512_set1_epi16(1);
}
static inline vi i_products16(vi a, vi b) { // sums of two products of 16 bits
    return _mm512_madd_epi16(a, b);
}
static inline vi i_shift(vi weights) { // by 128, or up: between signed and unsigned bytes
    return _mm512_xor_si512(weights, _mm512_set1_epi8((char)0x80));
}
// The signed bytes 0 and 2 of every dword as 16 bits each, and the bytes 1 and 3.
static inline vi i_even(vi x) {
    return _mm512_srai_epi16(_mm512_slli_epi16(x, 8), 8);
}
static inline vi i_odd(vi x) {
    return _mm512_srai_epi16(x, 8);
}
