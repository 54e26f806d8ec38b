#include "engine/sampling/exponentials.h"

#include "engine/sampling/candidates.h"

static double sum_chunk_plain(const float *x, int32_t n, float max) {
    return xn_sum_terms(x, n, max);
}

// The same sums in half the time: with AVX2, and without FMA, which would round otherwise.
__attribute__((target("avx2"))) static double sum_chunk_avx2(const float *x, int32_t n, float max) {
    return xn_sum_terms(x, n, max);
}

static double sum_chunk(const float *x, int32_t n, float max) {
    return __builtin_cpu_supports("avx2") ? sum_chunk_avx2(x, n, max) : sum_chunk_plain(x, n, max);
}

double xn_sum_exp(const float *x, int32_t n, float max) {
    double sum = 0;
    for (int32_t at = 0; at < n; at += XN_EXP_CHUNK)
        sum += sum_chunk(x + at, n - at < XN_EXP_CHUNK ? n - at : XN_EXP_CHUNK, max);
    return sum;
}

int32_t xn_find_exp(const float *x, int32_t n, float max, double share, double total) {
    double rest = share * total;
    int32_t last = 0;
    for (int32_t at = 0; at < n; at += XN_EXP_CHUNK) {
        int32_t size = n - at < XN_EXP_CHUNK ? n - at : XN_EXP_CHUNK;
        double sum = sum_chunk(x + at, size, max);
        if (rest >= sum && at + size < n) {
            if (sum > 0) last = at;
            rest -= sum;
            continue;
        }
        for (int32_t i = at; i < at + size; i++) {
            double term = (double)xn_exp_below(x[i] - max);
            if (term > 0) last = i;
            rest -= term;
            if (rest < 0) return i;
        }
    }
    while (!(xn_exp_below(x[last] - max) > 0) && last + 1 < n)
        last++;
    return last;
}
