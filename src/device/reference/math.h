// What several of the plain-C operations share: norms, rotation, activations and products of one row.
#pragma once

#include "device/reference/reference.h"
#include "quant/half.h"

// n floats in *out, freed with free().
int xn_ref_scratch(size_t n, float **out, struct xn_error *err);

float xn_activate(enum xn_activation activation, float x);
float xn_sigmoid(float x);
float xn_softplus(float x);

// Causal depthwise convolution of one row (conv: [channel][tap], oldest first; bias may be NULL); then the row joins
// the window of the last taps - 1 rows.
void xn_ref_convolve(const float *conv, const float *bias, uint32_t taps, uint32_t channels, float *window,
                     const float *in, float *out);

// out = norm(x), n values; x and out may be the same.
void xn_ref_norm(const struct xn_norm *norm, const float *x, float *out, uint32_t n);
// up = glu(gate, up), or glu(up) where gate is NULL; n values.
void xn_ref_glu(const struct xn_glu *glu, const float *gate, float *up, uint32_t n);
// Norms y in place and adds it to `to` as the sum says; n values.
void xn_ref_sum(const struct xn_sum *sum, float *y, float *to, uint32_t n);
// Rotates the rope->dims values of a head from value `at` on at a position, with these of the rope's frequencies;
// `is_query` applies the query temperature to all head_size values.
void xn_ref_rope(const struct xn_rope *rope, const float *frequency, float *head, uint32_t at, uint32_t head_size,
                 int32_t position, bool is_query);
// a . b of n values, summed in float64.
double xn_ref_dot(const float *a, const float *b, uint32_t n);
// For each of `n` rows of x (x_stride values apart): out[i] = row i of matrix `index` . x + bias[i], out_stride apart.
// Each row of weights is decoded once, into `scratch` (cols values).
void xn_ref_products(const struct xn_weights *w, uint32_t index, const float *x, size_t x_stride, uint32_t n,
                     const float *bias, float *out, size_t out_stride, float *scratch);
static inline void xn_ref_product(const struct xn_weights *w, uint32_t index, const float *x, const float *bias,
                                  float *out, float *scratch) {
    xn_ref_products(w, index, x, 0, 1, bias, out, 0, scratch);
}
