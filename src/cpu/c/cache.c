#include "cpu/c/simd.h"

#include "cpu/template/cache.h"

CACHE(f32, 4)
