#include "cpu/avx512/simd.h"

#include "cpu/template/measure.h"
