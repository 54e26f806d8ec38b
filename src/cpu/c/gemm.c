#include "cpu/c/simd.h"

#include "cpu/template/gemm.h"
