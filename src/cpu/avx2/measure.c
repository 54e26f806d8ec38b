#include "cpu/avx2/simd.h"

#include "cpu/template/measure.h"
