// What the files that draw cases share. Nothing here returns an error: memory that is not there sets no_memory, and
// what is drawn then is never used.
#pragma once

#include "check/case.h"

struct draw {
    struct xn_check_case *c;
    const struct xn_check_blocks *blocks;
    struct xn_op *op; // the one that is drawn
    uint64_t state;   // of the generator
    bool no_memory;
};

uint32_t draw_below(struct draw *d, uint32_t n); // [0, n)
float draw_uniform(struct draw *d);              // [-1, 1)

// Choices of features and sizes. A plain case takes none: 0, false, the typical one.
uint32_t draw_choice(struct draw *d, uint32_t n);
bool draw_coin(struct draw *d);
uint32_t draw_of(struct draw *d, uint32_t typical, const uint32_t *of, size_t n);
#define DRAW_OF(d, typical, ...)                                                                                       \
    draw_of((d), (typical), (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

void *draw_alloc(struct draw *d, size_t n, size_t size); // zeroed; NULL without memory
float *draw_vector(struct draw *d, size_t n, float center, float spread);
float *draw_maybe(struct draw *d, size_t n, float center, float spread); // or NULL; plain: NULL

uint32_t draw_type(struct draw *d);                   // of weights, as wished
uint32_t draw_columns(struct draw *d, uint32_t type); // as wished, else what rows of the type can have
// As wished, else `drawn`, or more where the results of so many rows of the batch would be so few that all may cancel:
// errors are told relative to their size.
uint32_t draw_outputs(struct draw *d, uint32_t drawn, uint32_t rows);
// The same of a number that no wish names.
uint32_t draw_outputs_of(const struct draw *d, uint32_t drawn, uint32_t rows);
// `count` matrices at odd addresses, for the operation's weights at *slot.
void draw_weights(struct draw *d, const struct xn_weights **slot, uint32_t type, uint32_t rows, uint32_t cols,
                  uint32_t count);

struct xn_norm draw_norm(struct draw *d, uint32_t n);
struct xn_rope draw_rope(struct draw *d, uint32_t head_size, bool is_query);
struct xn_sum draw_sum(struct draw *d, uint32_t hidden);
struct xn_glu draw_glu(struct draw *d);
// Rows of one to four sequences, at most max_rows each, or as many as wished in all; pasts of up to max_past positions.
void draw_batch(struct draw *d, uint32_t max_rows, uint32_t max_past);
// The memory before the step.
void draw_memory(struct draw *d);

// One function a kind of operation fills d->op, the plan, the batch and `what`.
typedef void draw_op(struct draw *d);
draw_op draw_embed, draw_project, draw_project_add, draw_add, draw_gate, draw_head, draw_heads; // draw_dense.c
draw_op draw_route, draw_expert_gate, draw_expert_add;                                          // draw_experts.c
draw_op draw_attend, draw_delta_net, draw_state_space, draw_short_conv;                         // draw_mixers.c

#define DRAW_WHAT(d, ...) snprintf((d)->c->what, sizeof(d)->c->what, __VA_ARGS__)
