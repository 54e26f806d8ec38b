// Small random models made in memory, for tests that need a recipe and no file.
#pragma once

#include "model/recipe.h"

// What to draw; zero-initialise and set what matters.
struct random_recipe_options {
    uint64_t seed;
    uint32_t type; // of the matrices: XN_F32, XN_BF16, ... (any format that encodes); hidden sizes are multiples of 256
    uint32_t n_layers;   // 0: 3
    bool attention_only; // no delta nets
    bool recurrent_only; // no attention
    bool dense_only;     // no experts
};

// A legal recipe whose every field is drawn: norms, biases, gates, windows, caps, rope kinds, routers. Free with
// xn_recipe_free.
int random_recipe(const struct random_recipe_options *options, struct xn_recipe *recipe);
