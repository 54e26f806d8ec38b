// From logits to a token: penalties, then temperature, top-k, top-p, min-p, in the order of llama.cpp's chain.
#pragma once

#include "base/error.h"

#include <stdint.h>

struct xn_sampling {
    float temperature;    // <= 0: the most likely token
    int32_t top_k;        // <= 0: all
    float top_p;          // >= 1: all
    float min_p;          // <= 0: all
    float repeat_penalty; // 1: none; of tokens among the last repeat_last
    int32_t repeat_last;  // 0: none; -1: all
    uint64_t seed;
};
// temperature 0.7, top_k 40, top_p 0.95, min_p 0.05, no penalty, repeat_last 64, seed 0
struct xn_sampling xn_sampling_default(void);

struct xn_sampler;
int xn_sampler_new(const struct xn_sampling *sampling, int32_t vocab, struct xn_sampler **out, struct xn_error *err);
void xn_sampler_free(struct xn_sampler *sampler);
// Chooses a token; logits are not changed. The same seed and logits give the same choices on every machine.
int32_t xn_sampler_choose(struct xn_sampler *sampler, const float *logits);
// Tells the sampler of a token that now stands in the text (prompt or chosen), for the penalty.
void xn_sampler_accept(struct xn_sampler *sampler, int32_t token);
