#include "cpu/c/simd.h"

#include "cpu/template/stream.h"
