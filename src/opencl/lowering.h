// Lowering a plan, as the files that do it share it.
#pragma once

#include "opencl/lower.h"

struct xn_cl_lowering {
    const struct xn_plan *plan;
    const struct xn_limits *limits;
    const struct xn_cl_array *cache, *states;
    const struct xn_cl_tiles *tiles;
    struct xn_cl_lowered *out;
    bool no_memory;
    bool sorted;                // the list of choices by expert is that of the last `route`
    struct xn_cl_choice choice; // of the last `route`
    uint64_t formats;           // of the operation
    uint32_t few_sizes;         // likewise
};

// Adds a descriptor that launches for batches of this shape take, or of both (bits: 1 << enum xn_cl_shape), and a
// launch of a kernel with it. The descriptor's number is below XN_CL_MANY_OPS, or, for many rows alone, from there on
// until all are there.
#define XN_CL_FEW_OR_ONE (1u << XN_CL_FEW | 1u << XN_CL_ONE)
#define XN_CL_BOTH (XN_CL_FEW_OR_ONE | 1u << XN_CL_MANY)
#define XN_CL_MANY_OPS 0x80000000u
uint32_t xn_cl_add_op(struct xn_cl_lowering *l, enum xn_op_kind kind, enum xn_cl_kernel kernel, uint32_t shapes,
                      const void *descriptor, size_t size);
// Adds a launch of a kernel with descriptor `op`, for many rows.
void xn_cl_add_many(struct xn_cl_lowering *l, enum xn_op_kind kind, enum xn_cl_kernel kernel, uint32_t op);

// Recurrent mixers (lower_mixers.c).
void xn_cl_lower_delta_net(struct xn_cl_lowering *l, const struct xn_op *op);
void xn_cl_lower_state_space(struct xn_cl_lowering *l, const struct xn_op *op);
void xn_cl_lower_short_conv(struct xn_cl_lowering *l, const struct xn_op *op);

// What operations with products do for many rows (kernels/stage.cl, tile.cl, ...), from their descriptors for few.
// `op` is the number of that descriptor.
void xn_cl_many_project(struct xn_cl_lowering *l, const struct xn_op *op, const struct xn_cl_project *d,
                        uint32_t number);
void xn_cl_many_project_add(struct xn_cl_lowering *l, const struct xn_op *op, const struct xn_cl_project_add *d);
void xn_cl_many_gate(struct xn_cl_lowering *l, const struct xn_op *op, const struct xn_cl_gate *d);
void xn_cl_many_head(struct xn_cl_lowering *l, const struct xn_op *op, const struct xn_cl_head *d);
void xn_cl_many_heads(struct xn_cl_lowering *l, const struct xn_op *op, const struct xn_cl_heads *d);
void xn_cl_many_route(struct xn_cl_lowering *l, const struct xn_op *op, const struct xn_cl_route *d, uint32_t number);
void xn_cl_many_expert_gate(struct xn_cl_lowering *l, const struct xn_op *op, const struct xn_cl_expert_gate *d);
void xn_cl_many_expert_add(struct xn_cl_lowering *l, const struct xn_op *op, const struct xn_cl_expert_add *d);
