// Speed of a model on its device: tokens a second of prompts and of generation, and what a token costs, so that a speed
// can be held against what the hardware can do.
#pragma once

#include "engine/context.h"

// One measurement: either a prompt of `prompt` tokens, or `generate` tokens one by one; behind `depth` tokens already
// in the cache. Generation: of as many sequences at once (0: one), each of which gets so many tokens.
struct xn_speed_test {
    uint32_t prompt, generate, depth, sequences;
    bool ops; // also by kind of operation
};

enum { XN_SPEED_SEQUENCES = 256 }; // at once, at the most

struct xn_speed {
    double mean, deviation; // tokens a second (of all sequences), over the repetitions
    uint32_t launches;      // kernels of its last step, on a device that launches them; 0: another kind
    const char *how;        // "walk", "command buffer", "launches" (device.h); NULL likewise
    // By kind of operation, of one repetition on average, as the device counts them. One that tells kinds apart only
    // where it runs steps in another way counts all of them only if they were asked for, in a repetition of its own.
    double seconds[XN_OP_KINDS];
};
// Runs a test `repetitions` times after one that warms up. Tokens are random; the same seed gives the same. cache_type:
// as of xn_context_options. Progress: the test's name, tokens.
int xn_speed_measure(struct xn_model *model, const struct xn_speed_test *test, uint32_t repetitions,
                     uint32_t cache_type, const struct xn_progress *progress, struct xn_speed *out,
                     struct xn_error *err);
// The context that a test makes. Errors: a test that can't be.
int xn_speed_context(const struct xn_speed_test *test, uint32_t cache_type, struct xn_context_options *out,
                     struct xn_error *err);
// "pp512", "tg128", "tg128 @ d4096", "tg128 x8" into `name`.
void xn_speed_name(const struct xn_speed_test *test, char name[48]);
// Mean and standard deviation (of a sample: n - 1) of n values.
void xn_speed_statistics(const double *values, size_t n, double *mean, double *deviation);

// What a token of the test must cost at the least, on average over its positions; sequences share the weights' bytes
// (experts, too, as if all chose the same).
struct xn_speed_cost {
    double bytes; // read from memory: weights of one token, keys and values before it, states (read and written)
    double flops; // of products and attention; of a prompt without the head, which only its last token needs
};
struct xn_speed_cost xn_speed_cost(const struct xn_model *model, const struct xn_speed_test *test, uint32_t cache_type);
