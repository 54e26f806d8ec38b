// What several of the plain-C operations share: norms, rotation, activations and products of one row.
#pragma once

#include "device/reference/reference.h"

// n floats in *out, freed with free().
int xn_ref_scratch(size_t n, float **out, struct xn_error *err);

float xn_activate(enum xn_activation activation, float x);
float xn_sigmoid(float x);

// out = norm(x), n values; x and out may be the same.
void xn_ref_norm(const struct xn_norm *norm, const float *x, float *out, uint32_t n);
// Rotates the first rope->dims values of a head at a position; `is_query` applies the query temperature to all
// head_size values.
void xn_ref_rope(const struct xn_rope *rope, float *head, uint32_t head_size, int32_t position, bool is_query);
// out[i] = row i of matrix `index` . x + bias[i]. `scratch` holds cols floats.
void xn_ref_product(const struct xn_weights *w, uint32_t index, const float *x, const float *bias, float *out,
                    float *scratch);
float xn_ref_cache_load(uint32_t cache_type, const void *cache, size_t i);
void xn_ref_cache_store(uint32_t cache_type, void *cache, size_t i, float value);
