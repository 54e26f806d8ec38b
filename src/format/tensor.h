// What every container holds: named tensors in a mapped file.
#pragma once

#include "quant/format.h"

#include <stddef.h>
#include <stdint.h>

#define XN_MAX_DIMS 4

// A tensor as it lies in a file. dims[0] is the fastest-moving (the row length); unused dims are 1. (A safetensors
// shape [out, in] reads as dims {in, out}.) The data is checked to lie within the file and to be exactly `bytes` long.
struct xn_tensor {
    const char *name;
    uint32_t type; // enum xn_type
    uint32_t n_dims;
    uint64_t dims[XN_MAX_DIMS];
    const void *data; // in the mapping; at any alignment: safetensors promises none
    size_t bytes;
    const char *file; // path of the file that holds it
    uint64_t offset;  // of the data in that file
};
