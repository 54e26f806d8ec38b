#include "cpu/avx2/int.h"
#include "cpu/panels.h"

static inline vi i_dot(vi sum, vi weights, vi x) {
    return _mm256_dpbusd_avx_epi32(sum, weights, x);
}

#include "cpu/template/vnni8.h"

#define GEMM8_NAME xn_cpu_gemm8_avx2vnni
#include "cpu/template/gemm8.h"

#define MULTIPLY8_NAME xn_cpu_multiply8_avx2vnni
#include "cpu/template/measure8.h"
