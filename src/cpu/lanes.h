// Weights in lanes: the layout in which the AVX2 level keeps rows of integer formats.
//
// In GGUF's layouts a vector of 32 bytes holds the integers of one block of 32 values, so that the products of a vector
// belong to one scale, and eight vectors' sums must be transposed before scales can be applied. Here the eight blocks
// of 256 values stand side by side: vector j holds the dword j (values 4 j to 4 j + 3) of each. Products are then
// summed where they stand, and scales meet them as one vector. Scales for 16 values, which are integers in the formats
// kept so, are multiplied as integers.
//
// 256 values take as many bytes as in the file: first what is not integers (of the formats with blocks of 32 the
// scales, then the minima, as halves; else the head as the file has it), then the integers' bits in planes, each a
// number of vectors:
//   8 bits: vector j
//   1 bit: bit j of a byte is of vector j
//   2 bits: bits 2 i and 2 i + 1 of a byte are of vector 4 h + i, h < 2
//   4 bits: vector j in the low half of each byte, vector j + 4 in the high one, j < 4
// What a row has beyond whole 256 values is laid out alike: up to four blocks with vectors of four dwords, so in half
// the bytes; more with eight. Blocks that are not there are zeros.
#pragma once

#include "cpu/kernels.h"

// Bytes of a row of k values, k a multiple of the format's block.
static inline size_t xn_cpu_lanes_row_bytes(const struct xn_format *format, uint32_t k) {
    size_t super = (size_t)XN_CPU_SUPER / format->block_values * format->block_bytes;
    uint32_t rest = k % XN_CPU_SUPER;
    return k / XN_CPU_SUPER * super + (rest == 0 ? 0 : rest <= XN_CPU_SUPER / 2 ? super / 2 : super);
}
