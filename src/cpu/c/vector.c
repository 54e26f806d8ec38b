#include "cpu/c/simd.h"

#include <math.h>

#include "cpu/template/vector.h"
