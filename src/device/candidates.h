// The most likely tokens of a row of logits, which a device may tell instead of all logits: a sampler mostly looks at
// no others.
#pragma once

#include <stdint.h>

enum { XN_ROW_CANDIDATES = 128 }; // of a row, at the most

struct xn_row_candidate {
    int32_t id;
    float logit;
};
// In the order in which samplers have them: the highest logit first, of equal ones the lower id. NaN and -inf are none.
struct xn_row_candidates {
    const struct xn_row_candidate *items; // valid until the next step
    uint32_t n;                           // fewer than XN_ROW_CANDIDATES: there are no others
    double sum; // of e^(logit - the highest) over all tokens, to the bit of the processor's; where it was asked for
};

// Terms of that sum are added in single precision in chunks of so many, and in each chunk every XN_SUM_LANES-th to the
// same sum; those are added in double precision, chunk by chunk. What a chunk has beyond whole lanes goes to its first
// sum. So any hardware can come to the same bits.
enum { XN_SUM_CHUNK = 4096, XN_SUM_LANES = 16 };
