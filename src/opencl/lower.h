// From a plan to what kernels are given: the list of descriptors, the vectors they name, the table of places, and where
// each buffer of a step begins in the activations.
#pragma once

#include "base/memory.h"
#include "opencl/internal.h"

// What products of many rows need of the memory of a step beside activations (xn_cl_tiles_of).
struct xn_cl_tiles {
    uint64_t partial;  // 32-bit values for parts of tiles
    uint64_t counters; // for those who complete them
    bool cuts;         // a walk of few rows may cut long rows of weights (slices.h)
    bool halves;       // values have 16 bits, so that what takes no rounding has kernels of its own
    bool rounds;       // what is multiplied with F16 and BF16 weights takes it
};

// Places (32-bit values) in the activations, and what else a step needs.
struct xn_cl_map {
    uint64_t buffer[XN_BUFFERS];
    uint64_t ids, weights; // of the routing: rows x route_width each
    uint64_t pairs;        // of many rows, by expert: as many
    uint64_t offsets;      // and where each expert's begin: XN_CL_MAX_EXPERTS + 1
    uint64_t scratch;      // of one operation at a time
    uint64_t size;         // of all
    uint64_t counters;     // 32-bit values
    uint64_t barrier;      // place in them of the device-wide barrier
    uint64_t logits;       // values of the logits' buffer: of outputs x vocab logits,
    uint64_t candidates;   // from this place on the best tokens of each output (XN_CL_CANDIDATES_ROW); 0: they are not
                           // looked for
    uint64_t sums, row_sums; // and from this on what their sums are made of, so many values each
};
void xn_cl_map_of(const struct xn_plan *plan, const struct xn_limits *limits, const struct xn_cl_tiles *tiles,
                  struct xn_cl_map *map);

// One launch: descriptor `op` of the list, by a kernel, for batches of some shapes.
struct xn_cl_launch {
    struct xn_cl_program_key key;
    enum xn_op_kind kind;
    uint32_t op;
    uint32_t shapes; // bits: 1 << enum xn_cl_shape
};

struct xn_cl_lowered {
    struct xn_cl_map map;
    // XN_CL_OP_BYTES each: one for each operation of the plan or a few, then those that many rows take alone.
    uint8_t *ops, *many_ops;
    size_t n_ops, n_many_ops, ops_capacity, many_ops_capacity;
    uint64_t ops_bytes;            // of ops: all descriptors, and what a walk has behind them (slices.h)
    struct xn_cl_launch *launches; // in the plan's order
    size_t n, launches_capacity;
    size_t *first_launch; // of each of the plan's operations, and the end
    float *vec;
    size_t n_vec, vec_capacity;
    struct xn_cl_place *places;
    size_t n_places, places_capacity;
    const struct xn_rope **dynamic; // ropes whose frequencies each step brings
    size_t n_dynamic, dynamic_capacity;
    const struct xn_rope **turns; // ropes whose rotations each step of few rows brings, each of which has a place of as
                                  // many pairs as the longest
    size_t n_turns, turns_capacity;
    uint32_t longest_turn;    // the most pairs of one
    float *turn_frequencies;  // [longest_turn], for who fills a step
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
                const struct xn_cl_array *states, const struct xn_cl_tiles *tiles, struct xn_cl_lowered *out,
                struct xn_error *err);
void xn_cl_lowered_free(struct xn_cl_lowered *lowered);
