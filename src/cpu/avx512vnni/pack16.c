// Activations as panels of bfloat16 (cpu/panels.h), and weights of a softmax as tiles of it.
#include "cpu/avx512vnni/halves.h"
#include "cpu/declare.h"
#include "cpu/template/math.h"

#include <math.h>

static inline __mmask16 first_of(uint32_t n) { // the first n lanes
    return (__mmask16)(n < 16 ? (1u << n) - 1 : 0xffff);
}

void xn_cpu_pack16_avx512vnni(const float *const *rows, uint32_t n, uint32_t k, uint32_t half, uint32_t terms,
                              uint16_t *panel) {
    panel += half * TILE;
    for (uint32_t at = 0; at < k; at += COLS, panel += 2 * terms * TILE) {
        uint32_t depth = k - at < COLS ? k - at : COLS;
        __mmask16 low = first_of(depth), high = depth > V ? first_of(depth - V) : 0;
        vf first[V], rest[V];
        for (uint32_t i = 0; i < V; i++) {
            first[i] = rest[i] = v_set1(0);
            if (i >= n) continue;
            __m512 a = _mm512_maskz_loadu_ps(low, rows[i] + at), b = _mm512_maskz_loadu_ps(high, rows[i] + at + 16);
            __m512i both = round_both(a, b);
            first[i] = _mm512_castsi512_ps(both);
            if (terms > 1) rest[i] = _mm512_castsi512_ps(rest_of(a, b, both));
        }
        v_transpose(first); // of pairs
        for (uint32_t i = 0; i < V; i++)
            _mm512_storeu_ps(panel + (size_t)i * 2 * V, first[i]);
        if (terms == 1) continue;
        v_transpose(rest);
        for (uint32_t i = 0; i < V; i++)
            _mm512_storeu_ps(panel + 2 * TILE + (size_t)i * 2 * V, rest[i]);
    }
}

void xn_cpu_pack16_down_avx512vnni(const float *const *rows, uint32_t n, uint32_t k, uint32_t terms, uint16_t *panels,
                                   size_t stride) {
    // Value j of the first 16 beside value j of the second.
    __m512i beside = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5,
                                      20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    for (uint32_t at = 0; at < xn_cpu_panels(k) * XN_CPU_PANEL; at += V) {
        uint16_t *out = panels + at / XN_CPU_PANEL * stride + at / V % 2 * TILE;
        __mmask16 there = at < k ? first_of(k - at) : 0;
        for (uint32_t i = 0; i < XN_CPU_PANEL; i += 2, out += 2 * V) {
            __m512 a = i < n ? _mm512_maskz_loadu_ps(there, rows[i] + at) : _mm512_setzero_ps();
            __m512 b = i + 1 < n ? _mm512_maskz_loadu_ps(there, rows[i + 1] + at) : _mm512_setzero_ps();
            __m512i both = round_both(a, b);
            _mm512_storeu_si512(out, _mm512_permutexvar_epi16(beside, both));
            if (terms > 1) _mm512_storeu_si512(out + 2 * TILE, _mm512_permutexvar_epi16(beside, rest_of(a, b, both)));
        }
    }
}

float xn_cpu_soften16_avx512vnni(const float *s, size_t stride, uint32_t panels, uint32_t low, uint32_t high,
                                 float *max, float *sum, uint32_t terms, uint16_t *out) {
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m512i first = _mm512_set1_epi32((int)low), end = _mm512_set1_epi32((int)high);
    __m512 most = _mm512_set1_ps(-INFINITY), total = _mm512_setzero_ps();
    bool any = low < high;
    for (uint32_t p = 0; any && p < 2 * panels; p++) {
        __m512i at = _mm512_add_epi32(lanes, _mm512_set1_epi32((int)(p * V)));
        __mmask16 counts = _mm512_cmpge_epi32_mask(at, first) & _mm512_cmplt_epi32_mask(at, end);
        most = _mm512_mask_max_ps(most, counts, most, _mm512_loadu_ps(s + p / 2 * stride + p % 2 * V));
    }
    float before = *max, highest = any ? v_highest(most) : before, factor = 1;
    if (highest > before) {
        factor = expf(before - highest);
        *max = highest;
    }
    __m512 top = _mm512_set1_ps(*max);
    for (uint32_t p = 0; p < panels; p++, out += terms * TILE) {
        __m512 e[2];
        for (int h = 0; h < 2; h++) {
            __m512i at = _mm512_add_epi32(lanes, _mm512_set1_epi32((int)(p * XN_CPU_PANEL) + h * V));
            __mmask16 counts = _mm512_cmpge_epi32_mask(at, first) & _mm512_cmplt_epi32_mask(at, end);
            e[h] = _mm512_maskz_mov_ps(counts, v_exp(_mm512_loadu_ps(s + p * stride + h * V) - top));
            total = total + e[h];
        }
        __m512i both = round_both(e[0], e[1]);
        _mm512_storeu_si512(out, both);
        if (terms > 1) _mm512_storeu_si512(out + TILE, rest_of(e[0], e[1], both));
    }
    *sum = *sum * factor + v_sum(total);
    return factor;
}
