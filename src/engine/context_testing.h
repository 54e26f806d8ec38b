// For the tests of the context: random models, tokens, and logits that must be the same.
#pragma once

#include "engine/context.h"

#include "random_recipe.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TEST_VOCAB = 97 }; // of random recipes

enum test_layers { ANY_LAYERS, ATTENTION_LAYERS, RECURRENT_LAYERS, HYBRID_LAYERS };

// A random model, from this seed or a later one: a hybrid one has attention and recurrent states, and where layers are
// asked for no rope follows the sequence's length, so that logits do not depend on what comes after them.
static inline struct xn_model *test_model_sized(struct xn_device *device, uint64_t seed, enum test_layers layers,
                                                uint32_t hidden) {
    struct random_recipe_options o = {.seed = seed,
                                      .hidden = hidden,
                                      .n_layers = layers == ANY_LAYERS ? 0 : 2,
                                      .type = XN_BF16,
                                      .attention_only = layers == ATTENTION_LAYERS,
                                      .recurrent_only = layers == RECURRENT_LAYERS};
    for (;; o.seed++) {
        struct xn_recipe recipe;
        struct xn_model *model;
        struct xn_error err;
        assert_int_equal(random_recipe(&o, &recipe), XN_OK);
        if (xn_model_from_recipe(&recipe, device, &model, &err) != XN_OK) fail_msg("%s", err.message);
        bool both = model->plan.n_states && model->plan.n_cache;
        if (layers == ANY_LAYERS || (!model->plan.n_following_ropes && (both || layers != HYBRID_LAYERS))) return model;
        xn_model_close(model);
    }
}

static inline struct xn_model *test_model(struct xn_device *device, uint64_t seed, enum test_layers layers) {
    return test_model_sized(device, seed, layers, 0);
}

static inline void draw_tokens(int32_t *tokens, int n, uint32_t seed) {
    for (int i = 0; i < n; i++)
        tokens[i] = (int32_t)((seed = seed * 1664525 + 1013904223) >> 16) % TEST_VOCAB;
}

static inline float *copy_logits(const struct xn_context *c, uint32_t i) {
    const float *logits = xn_eval_logits(c, i);
    assert_non_null(logits);
    float *copy = malloc(TEST_VOCAB * sizeof *copy);
    memcpy(copy, logits, TEST_VOCAB * sizeof *copy);
    return copy;
}

static inline void assert_same(const float *a, const float *b) {
    double difference = 0, norm = 0;
    for (int i = 0; i < TEST_VOCAB; i++) {
        difference += pow(a[i] - b[i], 2);
        norm += pow(a[i], 2);
    }
    assert_true(norm > 0);
    if (!(sqrt(difference / norm) < 1e-5)) fail_msg("logits differ by %g of their norm", sqrt(difference / norm));
}
