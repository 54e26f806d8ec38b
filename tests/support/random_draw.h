// What the files of random_recipe share: drawing choices, vectors, matrices and norms into a recipe's arena. Memory
// that is not there ends the process.
#pragma once

#include "random_recipe.h"

struct draw {
    uint64_t choice, value, noise; // states of three generators: the same choices whatever was drawn between
    struct xn_recipe *recipe;
    const struct random_recipe_options *options;
    size_t n_taken;    // of options->choices
    uint32_t layer;    // being drawn
    uint32_t original; // context beyond which ropes follow the sequence's length; 0: none does
    // Attentions with a cache of their own that later layers may share.
    struct draw_cache {
        uint32_t layer;
        const struct xn_attention *attention;
    } * caches;
    uint32_t n_caches;
};

uint32_t draw_below(struct draw *d, uint32_t n);
bool draw_coin(struct draw *d);
uint32_t draw_of(struct draw *d, const uint32_t *of, uint32_t n);
#define DRAW_OF(d, ...)                                                                                                \
    draw_of((d), (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

void *draw_alloc(struct draw *d, size_t n, size_t size);
float draw_normal(struct draw *d); // about normal, mean 0, deviation 1
float *draw_vector(struct draw *d, size_t n, float mean, float deviation);
float *draw_maybe(struct draw *d, size_t n, float mean, float deviation); // or NULL
float draw_scale(struct draw *d, float scale);                            // 0 (which means 1) or the scale

// `count` matrices in a drawn layout, at odd addresses. The float ones are never quantized (routers).
struct xn_matrix draw_matrices(struct draw *d, const char *name, uint32_t rows, uint32_t cols, uint32_t count);
struct xn_matrix draw_matrix(struct draw *d, const char *name, uint32_t rows, uint32_t cols);
struct xn_matrix draw_float_matrix(struct draw *d, const char *name, uint32_t rows, uint32_t cols);
struct xn_norm draw_norm(struct draw *d, uint32_t n);
struct xn_norm draw_maybe_norm(struct draw *d, uint32_t n); // or of kind NONE
struct xn_glu draw_glu(struct draw *d);

void draw_mixer(struct draw *d, struct xn_mixer *mixer, bool beside); // random_mixers.c
void draw_feed_forward(struct draw *d, struct xn_ffn *ffn);           // random_experts.c
