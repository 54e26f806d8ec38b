// From logits to a token: a chain of samplers, in the order of llama.cpp's server unless another is set.
#pragma once

#include "device/candidates.h"
#include "engine/sampling/sampling.h"

struct xn_sampler;
// XN_ERR_ARGUMENT where a setting is out of range (xn_sampling_check); XN_ERR_NOMEM.
int xn_sampler_new(const struct xn_sampling *sampling, int32_t vocab, struct xn_sampler **out, struct xn_error *err);
void xn_sampler_free(struct xn_sampler *sampler);

// Chooses a token of logits[vocab], which are not changed. The random numbers of the n-th choice depend on the seed and
// n alone: the same seed and logits give the same choices whatever else runs. NaN and -inf are never chosen; of +inf
// the lowest id is; where biases and penalties leave nothing, the model's most likely token is, and where all logits
// are NaN or -inf, token 0.
int32_t xn_sampler_choose(struct xn_sampler *sampler, const float *logits);
// Whether a row's best tokens may be enough to choose by: what looks at tokens by their order keeps few of them, and
// what comes before makes none more likely.
bool xn_sampler_takes_candidates(const struct xn_sampler *sampler);
// Whether it takes them with the sum over all tokens.
bool xn_sampler_needs_sum(const struct xn_sampler *sampler);
// As xn_sampler_choose, by the best tokens of a row of logits: the same token. False where they are not enough, or the
// sampler takes none: nothing was chosen then.
bool xn_sampler_choose_among(struct xn_sampler *sampler, const struct xn_row_candidates *best, int32_t *id);
// Tells the sampler of a token that now stands in the text (prompt or chosen), for the penalties and DRY. Ids outside
// the vocabulary are ignored.
void xn_sampler_accept(struct xn_sampler *sampler, int32_t token);

struct xn_token_logprob {
    int32_t id;
    float logprob; // natural logarithm; -INFINITY: impossible
};
// The n most likely tokens that the last choice was drawn from, after all samplers (post_sampling_probs of llama.cpp's
// server), best first. Returns how many there are, at most n; 0 before the first choice. The logits of that choice must
// still be there; one call a choice may ask for them.
int32_t xn_sampler_top(struct xn_sampler *sampler, struct xn_token_logprob *out, int32_t n);

// logprobs and top_logprobs: of the model's own distribution, the softmax of the logits before any sampler, bias or
// temperature (as llama.cpp's server gives them, and OpenAI's API).
// *chosen: that of the token `id` (-INFINITY outside the vocabulary). top: the n >= 0 most likely, best first, of equal
// ones the lower id first; returns how many were written: fewer than n where fewer are possible, or without memory
// (-1). NaN counts as impossible; beside +inf everything else is.
int32_t xn_logprobs(const float *logits, int32_t vocab, int32_t id, float *chosen, struct xn_token_logprob *top,
                    int32_t n);
// The same by the best tokens of the row, with their sum. *written: what xn_logprobs returns. False: they do not tell.
bool xn_logprobs_among(const struct xn_row_candidates *best, int32_t id, float *chosen, struct xn_token_logprob *top,
                       int32_t n, int32_t *written);
