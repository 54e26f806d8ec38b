// Memory for what may be larger than one allocation: weights, caches and states lie in a few large buffers (heaps),
// which every kernel is given, and are cut into pieces that fit them.
#pragma once

#include "base/error.h"
#include "opencl/kernels/shared.h"
#include "opencl/loader.h"

#include <stddef.h>

struct xn_cl_device;

struct xn_cl_range {
    uint64_t at, size;
};
struct xn_cl_heap {
    cl_mem buffer; // NULL: not there
    uint64_t size;
    struct xn_cl_range *free; // ascending, none touching another
    size_t n_free, capacity;
};

// An array of equal units, in pieces of `piece` units (the last may be shorter).
struct xn_cl_array {
    uint32_t units, piece, n_pieces;
    uint64_t unit_bytes;
    struct xn_cl_place *places; // [n_pieces]
};

// Takes memory for an array; it is not initialised. `what` is what errors call it. On failure *array is empty.
int xn_cl_array_take(struct xn_cl_device *device, uint64_t units, uint64_t unit_bytes, const char *what,
                     struct xn_cl_array *array, struct xn_error *err);
void xn_cl_array_give(struct xn_cl_device *device, struct xn_cl_array *array); // also an empty one
// Where byte `at` of a unit lies, for commands of the queue.
cl_mem xn_cl_array_at(const struct xn_cl_device *device, const struct xn_cl_array *array, uint32_t unit, uint64_t at,
                      size_t *offset);
