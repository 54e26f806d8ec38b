// Every operation in plain C, as ops.h writes it: one row at a time, float32 values with float64 sums, on one thread.
#pragma once

#include "device/host.h"

// Fails only for want of scratch memory.
typedef int xn_reference_op(struct xn_host_memory *memory, const struct xn_batch *batch, const struct xn_op *op,
                            struct xn_error *err);
extern xn_reference_op *const xn_reference_ops[XN_OP_KINDS];

xn_reference_op xn_ref_embed, xn_ref_project, xn_ref_attend, xn_ref_delta_net, xn_ref_state_space, xn_ref_short_conv,
    xn_ref_heads, xn_ref_project_add, xn_ref_add, xn_ref_gate, xn_ref_route, xn_ref_expert_gate, xn_ref_expert_add,
    xn_ref_head;
