#include "cpu/avx2/simd.h"

#include <math.h>

#include "cpu/template/vector.h"
