// Types of cached keys and values. The vector of a head at a position is a row of its own: numbers, or the blocks of 32
// values of a format of weights, whose scale is quick to choose: there is a row for each new token.
#pragma once

#include "device/ops.h"
#include "quant/format.h"

enum { XN_CACHE_BLOCK = 32 };

// Whether keys and values may be of this type at all: F32, F16, BF16, Q8_0, Q4_0.
bool xn_cache_type_known(uint32_t type);
static inline bool xn_cache_type_blocks(uint32_t type) { // in blocks
    return type == XN_Q8_0 || type == XN_Q4_0;
}
// Bytes of n values; of types in blocks n is a multiple of XN_CACHE_BLOCK.
size_t xn_cache_bytes(uint32_t type, size_t n);
// Whether all that a plan caches can be of the type: in blocks, every vector and every part of one that is written must
// be whole blocks. Else *size is the number of values that is not.
bool xn_cache_type_serves(const struct xn_plan *plan, uint32_t type, uint32_t *size);

// Value i of what begins at `cache`.
float xn_cache_load(uint32_t type, const void *cache, size_t i);
// Stores n values from value i on. In blocks i and n are multiples of XN_CACHE_BLOCK; a block's scale is
//   Q8_0: the largest magnitude / 127, codes the nearest of -127 ... 127
//   Q4_0: the value of the largest magnitude / -8, codes the nearest of -8 ... 7
// of which the codes are those at the scale before it is rounded to float16.
void xn_cache_store(uint32_t type, void *cache, size_t i, const float *values, size_t n);
