// Where the scratch memory of an operation's products of many rows lies.
#pragma once

#include "device/ops.h"

#include <stdbool.h>
#include <stdint.h>

// 32-bit values from the start of the scratch.
struct xn_cl_many {
    uint64_t results;        // of products that something waits for
    uint64_t staged, scales; // activations as the matrix unit takes them
    uint64_t partial;        // parts of tiles
    uint64_t size;
    uint32_t width;      // values of a staged part of a row, padded
    uint32_t parts;      // of a row
    uint32_t plane_size; // 32-bit values of a plane of 16-bit values
};
// Of an operation with products, for batches of up to `rows` rows of which `outputs` want logits; for any other one,
// size is 0. `partial` values are for parts of tiles.
struct xn_cl_many xn_cl_many_of(const struct xn_op *op, uint32_t hidden, uint64_t rows, uint64_t outputs,
                                uint64_t partial);
