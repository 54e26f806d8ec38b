// From a plan to what kernels are given: the list of descriptors, the vectors they name, the table of places, and where
// each buffer of a step begins in the activations.
#pragma once

#include "base/memory.h"
#include "opencl/internal.h"

// Places (32-bit values) in the activations, and what else a step needs.
struct xn_cl_map {
    uint64_t buffer[XN_BUFFERS];
    uint64_t ids, weights; // of the routing: rows x route_width each
    uint64_t scratch;      // of one operation at a time
    uint64_t size;         // of all
    uint64_t counters;     // 32-bit values
    uint64_t barrier;      // place in them of the device-wide barrier
};
void xn_cl_map_of(const struct xn_plan *plan, const struct xn_limits *limits, struct xn_cl_map *map);

// One launch: descriptor `op` of the list, by a kernel.
struct xn_cl_launch {
    struct xn_cl_program_key key;
    enum xn_op_kind kind;
    uint32_t op;
};

struct xn_cl_lowered {
    struct xn_cl_map map;
    uint8_t *ops; // XN_CL_OP_BYTES each
    struct xn_cl_launch *launches;
    size_t n, ops_capacity, launches_capacity;
    float *vec;
    size_t n_vec, vec_capacity;
    struct xn_cl_place *places;
    size_t n_places, places_capacity;
    const struct xn_rope **dynamic; // ropes whose frequencies each step brings
    size_t n_dynamic, dynamic_capacity;
    uint32_t longest_dynamic; // the most frequencies of one
};

// Query heads that fit a group's local memory together, 0 where not one does; the most parts of a row's context; and
// the number of the sizes (XN_CL_FEW_SIZES) that attention on matrix units is compiled for, 0: none serves.
uint32_t xn_cl_attend_together(const struct xn_op_attend *a);
uint32_t xn_cl_attend_splits(const struct xn_op_attend *a);
uint32_t xn_cl_attend_few(const struct xn_op_attend *a, const struct xn_limits *limits);

// cache: keys and values of each cache layer, [2 * n_cache]; states: [n_states]. Errors: what kernels can't do
// (XN_ERR_UNSUPPORTED, XN_ERR_LIMIT), no memory. Free *out either way.
int xn_cl_lower(const struct xn_plan *plan, const struct xn_limits *limits, const struct xn_cl_array *cache,
                const struct xn_cl_array *states, struct xn_cl_lowered *out, struct xn_error *err);
void xn_cl_lowered_free(struct xn_cl_lowered *lowered);
