// Settings of sampling as JSON, with the names that requests to llama.cpp's server have; and what such settings hold.
#pragma once

#include "engine/sampling/breakers.h"
#include "engine/sampling/sampling.h"

#include <jansson.h>

// What a sampler is made from. Must stay where it is while `sampling` is in use; xn_sampling_held_free empties. May be
// zero-initialised.
struct xn_sampling_held {
    struct xn_sampling sampling;
    struct xn_logit_bias *bias;
    size_t n_bias, bias_capacity;
    struct xn_dry_breakers breakers;
};
void xn_sampling_held_free(struct xn_sampling_held *held);
// Adds to logit_bias.
int xn_sampling_held_bias(struct xn_sampling_held *held, int32_t id, float bias, struct xn_error *err);
// Where DRY is on, its sequence breakers in the model's tokens: these n texts, or the usual ones for NULL. tokenizer
// NULL: none.
int xn_sampling_held_breakers(struct xn_sampling_held *held, const struct xn_tokenizer *tokenizer,
                              const char *const *texts, size_t n, struct xn_error *err);

// Changes what the object names in held->sampling (which holds the defaults). Other keys are ignored, or refused where
// `strict`. tokenizer: for texts in logit_bias and the sequence breakers; may be NULL. Breakers that the caller has set
// (others than held->breakers) stay where the object names none. XN_ERR_ARGUMENT says which key holds what, and what
// was expected; ranges are xn_sampling_check's.
int xn_sampling_read_json(struct xn_sampling_held *held, const json_t *object, bool strict,
                          const struct xn_tokenizer *tokenizer, struct xn_error *err);
