// Random feed-forwards.
#include "random_draw.h"

static void draw_dense(struct draw *d, struct xn_dense *f, uint32_t size) {
    uint32_t hidden = d->recipe->hidden;
    bool gated = draw_below(d, 4) != 0;
    f->glu = draw_glu(d);
    if (gated) f->gate = draw_matrix(d, "gate", size, hidden);
    f->up = draw_matrix(d, "up", size, hidden);
    f->down = draw_matrix(d, "down", hidden, size);
    if (gated) f->gate_bias = draw_maybe(d, size, 0, 0.2f);
    f->up_bias = draw_maybe(d, size, 0, 0.2f);
    f->down_bias = draw_maybe(d, hidden, 0, 0.1f);
    f->down_scale = draw_scale(d, 0.7f);
}

static void draw_router(struct draw *d, struct xn_experts *e, uint32_t count) {
    uint32_t hidden = d->recipe->hidden;
    e->router = draw_float_matrix(d, "router", count, hidden);
    e->router_bias = draw_maybe(d, count, 0, 0.3f);
    e->selection_bias = draw_maybe(d, count, 0, 0.1f);
    e->score = draw_coin(d) ? XN_ROUTER_SIGMOID : XN_ROUTER_SOFTMAX;
    e->used = 1 + draw_below(d, 3);
    e->groups = DRAW_OF(d, 0, 0, 1, 2, 4);
    e->groups_used = e->groups > 1 ? 1 + draw_below(d, e->groups - 1) : e->groups;
    e->group_best = 1 + draw_below(d, 2);
    uint32_t most = e->groups > 1 ? count / e->groups * e->groups_used : count;
    if (e->used > most) e->used = most;
    e->normalize = draw_coin(d);
    e->scale = draw_coin(d) ? 1.0f : 1.5f;
    e->expert_scale = draw_maybe(d, count, 1, 0.2f);
    if (draw_below(d, 4) == 0) e->router_norm = draw_norm(d, hidden);
}

static void draw_experts(struct draw *d, struct xn_ffn *ffn) {
    struct xn_experts *e = &ffn->experts;
    uint32_t hidden = d->recipe->hidden, count = DRAW_OF(d, 4, 8, 12), size = DRAW_OF(d, 32, 64, 100, 256);
    uint32_t inside = hidden;
    draw_router(d, e, count);
    bool latent = draw_below(d, 4) == 0;
    if (latent) {
        inside = DRAW_OF(d, 32, 96, 256, 300); // wider than the residual stream too
        e->latent_in = draw_matrix(d, "latent in", inside, hidden);
        e->latent_out = draw_matrix(d, "latent out", hidden, inside);
    }
    bool gated = draw_below(d, 4) != 0;
    e->glu = draw_glu(d);
    if (gated) e->gate = draw_matrices(d, "expert gate", size, inside, count);
    e->up = draw_matrices(d, "expert up", size, inside, count);
    e->down = draw_matrices(d, "expert down", inside, size, count);
    if (gated) e->gate_bias = draw_maybe(d, (size_t)count * size, 0, 0.2f);
    e->up_bias = draw_maybe(d, (size_t)count * size, 0, 0.2f);
    e->down_bias = draw_maybe(d, (size_t)count * inside, 0, 0.1f);
    if (draw_below(d, 4) == 0) e->expert_norm = draw_norm(d, hidden);
    if (draw_below(d, 4) == 0) e->expert_post_norm = draw_norm(d, hidden);
    if (draw_coin(d)) {
        draw_dense(d, &e->shared, DRAW_OF(d, 64, 96, 256));
        if (draw_coin(d)) e->shared_router = draw_float_matrix(d, "shared router", 1, hidden);
        if (draw_below(d, 4) == 0) e->shared_post_norm = draw_norm(d, hidden);
    }
    if (!latent) ffn->post_norm = draw_maybe_norm(d, hidden);
}

void draw_feed_forward(struct draw *d, struct xn_ffn *ffn) {
    uint32_t hidden = d->recipe->hidden;
    ffn->kind = d->options->dense_only || draw_coin(d) ? XN_FFN_DENSE : XN_FFN_EXPERTS;
    if (ffn->kind == XN_FFN_EXPERTS) {
        draw_experts(d, ffn);
    } else {
        draw_dense(d, &ffn->dense, DRAW_OF(d, 64, 100, 256, 512));
        ffn->post_norm = draw_maybe_norm(d, hidden);
    }
    // Without any norm the residual stream outgrows float32's range within a few layers.
    if (ffn->post_norm.kind == XN_NORM_NONE || draw_below(d, 4)) ffn->norm = draw_norm(d, hidden);
}
