// All memory of a step as one: copied, and compared with what it should be.
#pragma once

#include "check/case.h"

// Copies buffers, cache, states, routing and logits between memories of one plan and limits.
void xn_check_memory_copy(struct xn_host_memory *to, const struct xn_host_memory *from);

struct xn_check_result {
    // Of everything that the operation wrote, relative to its root mean square: the root mean square of what it is off
    // by, or an eighth of the most that one value is off by, whichever is more. Of several things written (queries,
    // keys, ...) that which is nearest to its tolerance. Infinite where a value is not finite.
    double error, tolerance;
    double seconds;    // that the device says it took
    char problem[192]; // what is wrong, for a person; "": nothing
};
// Holds a memory after the step against c->after. rounding: what the device's rounding of activations may cost a
// product, relative.
void xn_check_memory_compare(const struct xn_check_case *c, const struct xn_host_memory *got, double rounding,
                             struct xn_check_result *result);
