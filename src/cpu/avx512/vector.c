#include "cpu/avx512/simd.h"

#include <math.h>

#include "cpu/template/vector.h"
