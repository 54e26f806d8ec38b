// Embeddings: vectors of several texts, for all APIs that have them.
#pragma once

#include "server/server.h"
#include "text/tokenizer.h"

struct xn_embedding {
    float *vectors;      // n * width, in the inputs' order; free()
    uint32_t width;      // values of a vector
    uint64_t tokens;     // of all inputs
    double longest_wait; // seconds that one of them was queued
};
// What the model's file says of pooling, else the last token's.
enum xn_serving_pooling xn_embed_pooling(const struct xn_served *served);
// The ids of a text, with what the model puts around texts.
int xn_embed_ids(const struct xn_served *served, const char *text, size_t size, struct xn_ids *ids,
                 struct xn_error *err);
// Waits until all n >= 1 inputs are computed; XN_ERR_CANCELLED where the exchange's client goes (x may be NULL).
// Vectors have a length of 1 where `normalize`. dimensions: as many of the first values (then normalized anew), or 0:
// all; XN_ERR_ARGUMENT where the model has fewer.
int xn_embed(struct xn_served *served, struct xn_exchange *x, const struct xn_ids *inputs, size_t n,
             enum xn_serving_pooling pooling, bool normalize, uint32_t dimensions, struct xn_embedding *out,
             struct xn_error *err);
