// Drawing choices, vectors, weights and what operations have in common.
#include "check/draw.h"

#include "check/blocks.h"
#include "quant/format.h"

#include <math.h>

uint32_t draw_below(struct draw *d, uint32_t n) {
    return (uint32_t)((xn_check_random(&d->state) >> 32) % n);
}

float draw_uniform(struct draw *d) {
    return xn_check_uniform(&d->state);
}

uint32_t draw_choice(struct draw *d, uint32_t n) {
    return d->c->wish.plain ? 0 : draw_below(d, n);
}

bool draw_coin(struct draw *d) {
    return draw_choice(d, 2) != 0;
}

uint32_t draw_of(struct draw *d, uint32_t typical, const uint32_t *of, size_t n) {
    return d->c->wish.plain ? typical : of[draw_below(d, (uint32_t)n)];
}

void *draw_alloc(struct draw *d, size_t n, size_t size) {
    void *p = d->no_memory ? NULL : xn_arena_alloc(&d->c->arena, n, size);
    if (!p) d->no_memory = true;
    return p;
}

float *draw_vector(struct draw *d, size_t n, float center, float spread) {
    float *x = draw_alloc(d, n, sizeof *x);
    for (size_t i = 0; x && i < n; i++)
        x[i] = center + spread * draw_uniform(d);
    return x;
}

float *draw_maybe(struct draw *d, size_t n, float center, float spread) {
    return draw_coin(d) ? draw_vector(d, n, center, spread) : NULL;
}

uint32_t draw_type(struct draw *d) {
    if (d->c->wish.type != XN_TYPE_COUNT) return d->c->wish.type;
    return DRAW_OF(d, XN_Q4_K, XN_F32, XN_BF16, XN_F16, XN_BF16, XN_Q4_0, XN_Q8_0, XN_Q4_K, XN_Q6_K, XN_Q2_K, XN_IQ4_XS,
                   XN_MXFP4, XN_IQ2_XS, XN_TQ2_0, XN_F32);
}

uint32_t draw_columns(struct draw *d, uint32_t type) {
    if (d->c->wish.columns) return d->c->wish.columns;
    uint32_t block = xn_format_of(type)->block_values;
    return block == 1 ? 1 + draw_below(d, 400) : block * (1 + draw_below(d, block > 64 ? 3 : 12));
}

uint32_t draw_outputs_of(const struct draw *d, uint32_t drawn, uint32_t rows) {
    enum { FEW = 8 };
    return !d->c->wish.outputs && rows && drawn * rows < FEW ? (FEW + rows - 1) / rows : drawn;
}

uint32_t draw_outputs(struct draw *d, uint32_t drawn, uint32_t rows) {
    return d->c->wish.outputs ? d->c->wish.outputs : draw_outputs_of(d, drawn, rows);
}

// The same matrices once for each copy of the operation; xn_check_case_make has made room.
void draw_weights(struct draw *d, const struct xn_weights **slot, uint32_t type, uint32_t rows, uint32_t cols,
                  uint32_t count) {
    struct xn_check_case *c = d->c;
    const struct xn_format *f = xn_format_of(type);
    size_t row_bytes;
    if (!xn_format_bytes(f, cols, &row_bytes)) return; // the device says so
    const void **data = draw_alloc(d, count, sizeof *data);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *p = draw_alloc(d, row_bytes * rows + 64, 1);
        if (!p) return;
        p += 1 + draw_below(d, 60);
        data[i] = p;
        xn_check_blocks_fill(d->blocks, type, &d->state, p, row_bytes * rows / f->block_bytes);
    }
    c->matrices[c->n_matrices++] = (struct xn_check_matrix){
        .matrix = {.name = "check", .type = type, .rows = rows, .cols = cols, .count = count, .data = data},
        .slot = (size_t)((char *)slot - (char *)d->op)};
    c->rounds = true;
}

struct xn_norm draw_norm(struct draw *d, uint32_t n) {
    struct xn_norm norm = {.kind = (enum xn_norm_kind)DRAW_OF(d, XN_NORM_RMS, XN_NORM_NONE, XN_NORM_RMS, XN_NORM_LAYER),
                           .epsilon = 1e-5f};
    if (norm.kind != XN_NORM_NONE && !draw_coin(d)) norm.weight = draw_vector(d, n, 1, 0.5f);
    if (norm.kind == XN_NORM_LAYER) norm.bias = draw_maybe(d, n, 0, 0.5f);
    return norm;
}

struct xn_rope draw_rope(struct draw *d, uint32_t head_size, bool is_query) {
    struct xn_rope rope = {
        .kind = (enum xn_rope_kind)DRAW_OF(d, XN_ROPE_HALVES, XN_ROPE_NONE, XN_ROPE_HALVES, XN_ROPE_PAIRS),
        .magnitude = 1};
    if (is_query && draw_coin(d)) {
        rope.query_beta = 0.1f;
        rope.query_period = 16;
    }
    if (head_size < 2) rope.kind = XN_ROPE_NONE;
    if (rope.kind == XN_ROPE_NONE) return rope;
    rope.dims = 2 * (head_size / 2 - draw_choice(d, head_size / 2));
    rope.magnitude = 1 + 0.1f * (float)draw_choice(d, 3);
    float *frequency = draw_alloc(d, rope.dims / 2, sizeof *frequency);
    for (uint32_t i = 0; frequency && i < rope.dims / 2; i++)
        frequency[i] = powf(10000, -2.0f * (float)i / (float)rope.dims);
    rope.frequency = frequency;
    if (draw_choice(d, 3) != 1) return rope;
    rope.original = 8; // and spans are up to 100 positions long
    if (rope.dims < 4 || draw_coin(d)) {
        float *longer = draw_alloc(d, rope.dims / 2, sizeof *longer);
        for (uint32_t i = 0; longer && i < rope.dims / 2; i++)
            longer[i] = frequency[i] / (float)(1 + i);
        rope.long_frequency = longer;
    } else {
        rope.theta = 10000;
        rope.growth = 4;
    }
    return rope;
}

struct xn_sum draw_sum(struct draw *d, uint32_t hidden) {
    struct xn_sum sum = {.to = draw_coin(d) ? XN_BUF_SUM : XN_BUF_X,
                         .set = draw_coin(d),
                         .scale = 0.7f,
                         .after = draw_coin(d) ? 0.9f : 1};
    if (!d->c->wish.plain && hidden > 2) sum.norm = draw_norm(d, hidden); // of two values it is a sign, which turns
    d->c->plan.width[XN_BUF_SUM] = hidden;
    return sum;
}

struct xn_glu draw_glu(struct draw *d) {
    return (struct xn_glu){.activation = (enum xn_activation)draw_choice(d, XN_ACTIVATIONS),
                           .gate_scale = draw_choice(d, 3) == 1 ? 0.8f : 0,
                           .limit = draw_choice(d, 3) == 1 ? 1.5f : 0,
                           .up_offset = draw_choice(d, 3) == 1 ? 1 : 0};
}
