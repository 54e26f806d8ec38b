// The samplers, one function each. All take the candidates left by those before, at least one of them possible and no
// logit +inf, and leave at least one. What their names mean, and the formulas, are in docs/sampling.md.
#pragma once

#include "engine/sampling/breakers.h"
#include "engine/sampling/candidates.h"
#include "engine/sampling/history.h"
#include "engine/sampling/sampling.h"

void xn_sample_logit_bias(struct xn_candidates *c, const struct xn_logit_bias *bias, size_t n);
void xn_sample_penalties(struct xn_candidates *c, const struct xn_sampling *o, const struct xn_history *history);
// length: scratch, [history->capacity]; longest: scratch, [vocab], zero before and after.
void xn_sample_dry(struct xn_candidates *c, const struct xn_sampling *o, const struct xn_history *history,
                   int32_t *length, int32_t *longest);

void xn_sample_top_k(struct xn_candidates *c, int32_t k);
void xn_sample_top_p(struct xn_candidates *c, float p, int32_t min_keep);
// Of a list in its order, the fewest of the first that weigh `mass` together, where they and min_keep are among the
// XN_ROW_CANDIDATES first. False: they are not, and all are kept, in their order.
bool xn_sample_nucleus(struct xn_candidates *c, double mass, int32_t min_keep);
// What counts as candidates behind it, for samplers that ask how many there are.
void xn_sample_keep_size(struct xn_candidates *c, int32_t min_keep);
// The least logit that min_p keeps.
float xn_min_p_bound(struct xn_candidates *c, float p);
void xn_sample_min_p(struct xn_candidates *c, float p, int32_t min_keep);
void xn_sample_typ_p(struct xn_candidates *c, float p, int32_t min_keep);
void xn_sample_top_n_sigma(struct xn_candidates *c, float n);
// chance: a random number of [0, 1)
void xn_sample_xtc(struct xn_candidates *c, const struct xn_sampling *o, double chance);

void xn_sample_temperature(struct xn_candidates *c, float temperature);
void xn_sample_dynamic_temperature(struct xn_candidates *c, const struct xn_sampling *o);

// Cut the candidates by *mu (version 1 or 2). xn_mirostat_learn then moves mu by the chosen one's probability.
void xn_sample_mirostat(struct xn_candidates *c, int version, double mu);
double xn_mirostat_learn(const struct xn_sampling *o, double mu, double probability);

// Adds `delta` to the logit of a candidate, which stays finite or becomes -inf.
float xn_logit_add(float logit, double delta);
