// Rounding of floats to bfloat16, 32 at a time.
#pragma once

#include "cpu/avx512/simd.h"
#include "cpu/panels.h"

enum { COLS = XN_CPU_TILE_COLS, TILE = XN_CPU_TILE_ROWS * XN_CPU_TILE_COLS };

// 32 values, rounded to the nearest.
static inline __attribute__((always_inline)) __m512i round_both(__m512 low, __m512 high) {
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

static inline __attribute__((always_inline)) __m512 low_half(__m512i both) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(both)), 16));
}
static inline __attribute__((always_inline)) __m512 high_half(__m512i both) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(both, 1)), 16));
}
// What rounding 32 values left, rounded.
static inline __attribute__((always_inline)) __m512i rest_of(__m512 low, __m512 high, __m512i both) {
    return round_both(low - low_half(both), high - high_half(both));
}
