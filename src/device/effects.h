// What an operation reads and writes, as ops.h has it: for whoever runs a plan's operations in more than one place, or
// in another order.
#pragma once

#include "device/device.h"

enum { XN_MAX_WEIGHTS = XN_MAX_PARTS }; // of an operation

struct xn_effects {
    // Values at the beginning of a row that are read, and written, of each kind of rows (XN_ROWS_...); 0: none.
    // A row that is read and written alike (a sum) has both.
    uint32_t reads[XN_ROWS], writes[XN_ROWS];
    int cache, state; // layers of the plan's cache and states that it reads or writes; -1: none
    bool logits;      // it writes logits
    const struct xn_weights **weights[XN_MAX_WEIGHTS]; // where the operation names them, none NULL
    uint32_t n_weights;
};
// The operation is one of the plan, or would be. Of the weights only `matrix` is looked at.
void xn_op_effects(const struct xn_plan *plan, struct xn_op *op, struct xn_effects *out);
