// Rotary position embedding: the frequencies of every published scaling, as functions of its parameters.
#pragma once

#include "base/error.h"
#include "base/memory.h"

#include <stdbool.h>
#include <stdint.h>

enum xn_rope_scaling {
    XN_SCALING_DEFAULT,  // https://arxiv.org/abs/2104.09864
    XN_SCALING_LINEAR,   // https://arxiv.org/abs/2306.15595
    XN_SCALING_LLAMA3,   // Llama 3.1: low frequencies divided, high ones kept, between them a ramp over the wavelength
    XN_SCALING_YARN,     // https://arxiv.org/abs/2309.00071
    XN_SCALING_DYNAMIC,  // dynamic NTK: as default up to the trained context, beyond it theta grows (xn_rope_at)
    XN_SCALING_LONGROPE, // https://arxiv.org/abs/2402.13753
    XN_SCALING_PROPORTIONAL, // Gemma 4: of all pairs of the head the first `share` turn, the others stand still
    XN_SCALINGS,
};

struct xn_rope_params {
    enum xn_rope_scaling scaling;
    uint32_t dims;                 // values of a head that rotate; even
    double theta;                  // base of the frequencies, > 1
    double factor;                 // by which the context was stretched; of linear, llama3, yarn, longrope,
                                   // proportional
    double original;               // context before it was stretched; of llama3, yarn, longrope
    double low, high;              // llama3: its low_freq_factor and high_freq_factor
    double share;                  // proportional: of the pairs, that turn
    double beta_fast, beta_slow;   // yarn
    bool truncate;                 // yarn: the ramp's ends are rounded outwards
    double mscale, mscale_all_dim; // yarn: 0: not given
    double magnitude;              // the attention factor; 0: the scaling's own rule
    const float *divisors; // dims / 2 values that divide the frequencies (longrope's factors, rope_freqs); NULL: none
};

// Fills frequency[dims / 2] and *magnitude (of cos and sin). Fails with XN_ERR_FORMAT where the parameters give no
// finite, non-negative frequencies.
int xn_rope_frequencies(const struct xn_rope_params *params, float *frequency, float *magnitude, struct xn_error *err);

// --- ropes whose frequencies follow the sequence's length (struct xn_rope of model/recipe.h) ---

struct xn_rope;
// Whether two ropes of the same kind turn alike at every position and length.
bool xn_rope_same(const struct xn_rope *a, const struct xn_rope *b);
// The frequencies of a sequence of `length` positions; dynamic ones are computed into scratch[dims / 2].
const float *xn_rope_at(const struct xn_rope *rope, uint32_t length, float *scratch);
// A number for the set that xn_rope_at gives: sequences of two lengths turn alike if it is the same.
uint32_t xn_rope_set(const struct xn_rope *rope, uint32_t length);
// The length that a growing sequence of `length` positions is best set for: dynamic frequencies change with every
// position, and all of the sequence with them, so they are set ahead, to the original context times a power of 5/4.
uint32_t xn_rope_ahead(const struct xn_rope *rope, uint32_t length);
