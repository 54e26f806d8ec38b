#include "cpu/avx2/int.h"
#include "cpu/avx2/products.h"
#include "cpu/panels.h"

#include "cpu/template/pairs8.h"

#define GEMM8_NAME xn_cpu_gemm8_avx2
#define GEMM8_LANES_NAME xn_cpu_gemm8_lanes_avx2
#include "cpu/template/gemm8.h"
