// Random models made in memory, for tests that need a recipe and no file.
#pragma once

#include "model/recipe.h"

// What to draw; zero-initialise and set what matters.
struct random_recipe_options {
    uint64_t seed;
    uint32_t type;       // of the matrices: any format that encodes; rows that do not fill its blocks are float32
    uint32_t hidden;     // 0: 256
    uint32_t n_layers;   // 0: 3
    bool attention_only; // no mixer with a state: sequences can be cut
    bool recurrent_only; // no mixer with a cache
    bool dense_only;     // no experts
    // Every norm's weights and bias differ by so much (relative deviation) from those of the same options without
    // noise: how far that moves the logits says how well conditioned the model is.
    float noise;
    const uint8_t *choices; // taken for the first choices in place of drawn ones (a fuzzer's input); NULL: none
    size_t n_choices;
};

// A legal recipe whose every field is drawn: mixers of every kind, alone, beside another or absent; norms, biases,
// gates, windows, caps, rope kinds, shared caches, routers, latent spaces, inputs of layers, scales, and matrices in
// every layout. Free with xn_recipe_free.
int random_recipe(const struct random_recipe_options *options, struct xn_recipe *recipe);
