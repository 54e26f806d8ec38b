// Perplexity of a text, as llama.cpp's tool of that name defines it, so that numbers can be compared: the text's tokens
// are cut into chunks of `context`; each is evaluated alone, with BOS as its first token where the model begins texts
// with one; and the tokens of its second half are scored, each given those before it.
#pragma once

#include "engine/context.h"

// Sums of negative log-likelihoods. Zero-initialise.
struct xn_nll_sum {
    double sum, squares;
    uint64_t n;
};
// -log softmax(logits)[token] over n logits, in double precision.
double xn_nll(const float *logits, uint32_t n, int32_t token);
void xn_nll_add(struct xn_nll_sum *sum, double nll);

struct xn_perplexity {
    double nll;              // mean
    double perplexity;       // exp(nll)
    double error;            // of the perplexity: standard error of the mean, times the perplexity
    uint64_t tokens, chunks; // scored, evaluated
};
struct xn_perplexity xn_nll_perplexity(const struct xn_nll_sum *sum, uint64_t chunks);

struct xn_perplexity_options {
    uint32_t context;    // tokens a chunk, at least 8
    uint32_t chunks;     // at the most; 0: all
    uint32_t cache_type; // as of xn_context_options
};
// tokens: of the whole text; at least two chunks' worth, as fewer say little (an error names both numbers). Progress:
// "perplexity", tokens.
int xn_perplexity_of(struct xn_model *model, const int32_t *tokens, size_t n,
                     const struct xn_perplexity_options *options, const struct xn_progress *progress,
                     struct xn_perplexity *out, struct xn_error *err);
