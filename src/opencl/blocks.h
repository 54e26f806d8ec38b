// A cache in blocks as host memory has it (scale and codes of each block, device/cache.h) and as the device does (codes
// of all positions, then scales; kernels/shared.h).
#pragma once

#include <stdint.h>

// n vectors of `size` values, a multiple of 32; type: XN_Q8_0 or XN_Q4_0. Both sides have the same number of bytes.
void xn_cl_blocks_split(uint32_t type, uint32_t n, uint32_t size, const char *blocks, char *apart);
void xn_cl_blocks_join(uint32_t type, uint32_t n, uint32_t size, const char *apart, char *blocks);
