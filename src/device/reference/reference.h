// Every operation in plain C, as ops.h writes it: one row at a time, float32 values with float64 sums, on one thread.
#pragma once

#include "device/host.h"

typedef void xn_reference_op(struct xn_host_memory *memory, const struct xn_batch *batch, const struct xn_op *op);
extern xn_reference_op *const xn_reference_ops[XN_OP_KINDS];
