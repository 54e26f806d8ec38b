#include "cpu/avx2/simd.h"

#include "cpu/template/cache.h"

CACHE(f32, 4)
CACHE(f16, 2)
