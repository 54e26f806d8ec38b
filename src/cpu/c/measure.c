#include "cpu/c/simd.h"

#include "cpu/template/measure.h"
