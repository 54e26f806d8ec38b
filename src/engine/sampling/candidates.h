// The tokens that are still candidates, and the few things that all samplers do with them.
//
// They begin dense: an array of logits by id, the caller's own until one is changed. The first sampler that drops
// tokens makes a list of what is left, so that a vocabulary of 150,000 is looked at once or twice and never sorted.
#pragma once

#include "device/candidates.h"

#include <stdbool.h>
#include <stdint.h>

struct xn_candidate {
    int32_t id;
    float logit;
    float weight; // of the last xn_candidates_weigh: e^(logit - best)
    float key;    // what selections go by: lower first, of equal ones the lower id
};

struct xn_candidates {
    const float *logits; // [vocab], while dense
    float max;           // of them; NaN: not known
    float *tops;         // [xn_candidate_blocks(vocab)]: the highest of each block, while max is known; NULL: nowhere
    float *own;          // [vocab]: where logits are changed
    int32_t vocab;
    struct xn_candidate *list; // [vocab]; n of them, in no order unless a function says so
    int32_t n;                 // possible ones (logit above -inf), once there is a list
    int32_t size;              // with those that a sampler masked and did not drop
    bool dense;
};

// Vocabularies are looked at in blocks, most of which have nothing of interest.
enum { XN_CANDIDATE_BLOCK = 64 };
static inline int32_t xn_candidate_blocks(int32_t vocab) {
    return (vocab + XN_CANDIDATE_BLOCK - 1) / XN_CANDIDATE_BLOCK;
}

void xn_candidates_begin(struct xn_candidates *c, const float *logits);
// With the best tokens alone, as a list.
void xn_candidates_begin_best(struct xn_candidates *c, const struct xn_row_candidates *best);
// The logits by id, to be changed; dense only.
float *xn_candidates_own(struct xn_candidates *c);
// A list of what is possible.
void xn_candidates_list(struct xn_candidates *c);
// Keeps those with a logit of at least `least`, as a list; the others count on in `size`.
void xn_candidates_above(struct xn_candidates *c, float least);
// Keeps the k >= 1 most likely, as a list; of equal logits the lower id. Where a device may have found them
// (device/candidates.h), in their order, whoever found them: what follows goes by it.
void xn_candidates_best(struct xn_candidates *c, int32_t k);
// The highest logit; -INFINITY where nothing is possible.
float xn_candidates_max(struct xn_candidates *c);
// The id with the highest logit of x[n], the lowest of equal ones; -1 where all are NaN or -inf.
int32_t xn_best_id(const float *x, int32_t n);

// Of a list: sets the weights and returns their sum (0 for none). Beside a logit of +inf all others weigh nothing.
double xn_candidates_weigh(struct xn_candidates *c);
// Of a list: keys by which the most likely come first.
void xn_candidates_rank(struct xn_candidates *c);
// Moves the k first by key to the front, in no order.
void xn_candidates_select(struct xn_candidate *list, int32_t n, int32_t k);
// Sorts the k first by key to the front.
void xn_candidates_sort(struct xn_candidate *list, int32_t n, int32_t k);
void xn_candidates_sort_by_id(struct xn_candidate *list, int32_t n);
// The least k >= 1 such that the k first by key weigh at least `mass` together (`above`: more than it), or n; they are
// moved to the front. By selection, not by sorting.
int32_t xn_candidates_mass(struct xn_candidate *list, int32_t n, double mass, bool above);
// Drops all but the k first of the list.
void xn_candidates_cut(struct xn_candidates *c, int32_t k);

// The sum of e^(x - max) over x[n], which is at most max; NaN counts as nothing. The same bits on every processor.
double xn_sum_exp(const float *x, int32_t n, float max);
// The first index at which the sum of these terms from the beginning exceeds share * total; total: what xn_sum_exp
// gives; 0 <= share < 1. Where rounding leaves none, the last one that is possible.
int32_t xn_find_exp(const float *x, int32_t n, float max, double share, double total);
