// The tensors of a synthetic model's feed-forwards.
#include "model/synth_list.h"

static void add_dense(struct xn_synth_list *l) {
    const struct xn_shape *s = l->shape;
    bool fused = (s->flags & XN_SHAPE_FUSED_UP) != 0;
    if (!fused && !(s->flags & XN_SHAPE_UNGATED)) xn_synth_matrix(l, "ffn_gate", XN_ROLE_GATE, s->hidden, s->ffn);
    xn_synth_matrix(l, "ffn_up", XN_ROLE_UP, s->hidden, fused ? 2 * (uint64_t)s->ffn : s->ffn);
    xn_synth_matrix(l, "ffn_down", XN_ROLE_DOWN, s->ffn, s->hidden);
}

static void add_shared(struct xn_synth_list *l) {
    const struct xn_shape *s = l->shape;
    if (s->flags & XN_SHAPE_SHARED_GATE) xn_synth_matrix(l, "ffn_gate_inp_shexp", XN_ROLE_PLAIN, s->hidden, 1);
    if (!(s->flags & XN_SHAPE_UNGATED)) xn_synth_matrix(l, "ffn_gate_shexp", XN_ROLE_GATE, s->hidden, s->shared_ffn);
    xn_synth_matrix(l, "ffn_up_shexp", XN_ROLE_UP, s->hidden, s->shared_ffn);
    xn_synth_matrix(l, "ffn_down_shexp", XN_ROLE_DOWN, s->shared_ffn, s->hidden);
}

static void add_router(struct xn_synth_list *l) {
    const struct xn_shape *s = l->shape;
    xn_synth_matrix(l, "ffn_gate_inp", XN_ROLE_PLAIN, s->hidden, s->experts);
    if (s->flags & XN_SHAPE_MOE_BIAS) xn_synth_vector(l, "ffn_gate_inp.bias", XN_FILL_BIAS, s->experts);
    if (s->flags & XN_SHAPE_PROBS_BIAS) xn_synth_vector(l, "exp_probs_b.bias", XN_FILL_BIAS, s->experts);
    if (s->flags & XN_SHAPE_GEMMA4) xn_synth_vector(l, "ffn_gate_inp.scale", XN_FILL_NORM, s->hidden);
}

static void add_expert_biases(struct xn_synth_list *l) {
    const struct xn_shape *s = l->shape;
    xn_synth_table(l, "ffn_gate_exps.bias", XN_FILL_BIAS, s->expert_ffn, s->experts);
    xn_synth_table(l, "ffn_up_exps.bias", XN_FILL_BIAS, s->expert_ffn, s->experts);
    xn_synth_table(l, "ffn_down_exps.bias", XN_FILL_BIAS, s->hidden, s->experts);
}

static void add_experts(struct xn_synth_list *l) {
    const struct xn_shape *s = l->shape;
    uint64_t width = s->expert_hidden ? s->expert_hidden : s->hidden;
    add_router(l);
    if (s->expert_hidden) {
        xn_synth_matrix(l, "ffn_latent_down", XN_ROLE_OTHER, s->hidden, width);
        xn_synth_out(l, "ffn_latent_up", width, s->hidden);
    }
    if (s->flags & XN_SHAPE_GEMMA4) {
        xn_synth_stack(l, "ffn_gate_up_exps", XN_ROLE_GATE, width, 2 * (uint64_t)s->expert_ffn, s->experts);
    } else {
        if (!(s->flags & XN_SHAPE_UNGATED))
            xn_synth_stack(l, "ffn_gate_exps", XN_ROLE_GATE, width, s->expert_ffn, s->experts);
        xn_synth_stack(l, "ffn_up_exps", XN_ROLE_UP, width, s->expert_ffn, s->experts);
    }
    xn_synth_stack(l, "ffn_down_exps", XN_ROLE_DOWN, s->expert_ffn, width, s->experts);
    if (s->flags & XN_SHAPE_MOE_BIAS) add_expert_biases(l);
    if (s->shared_ffn) add_shared(l);
}

// Gemma 4 has its experts beside a dense feed-forward, each with norms of its own.
static void add_gemma4_experts(struct xn_synth_list *l) {
    const struct xn_shape *s = l->shape;
    add_dense(l);
    add_experts(l);
    xn_synth_vector(l, "ffn_down_exps.scale", XN_FILL_NORM, s->experts);
    xn_synth_vector(l, "pre_ffw_norm_2.weight", XN_FILL_NORM, s->hidden);
    xn_synth_vector(l, "post_ffw_norm_1.weight", XN_FILL_NORM, s->hidden);
    xn_synth_vector(l, "post_ffw_norm_2.weight", XN_FILL_NORM, s->hidden);
}

void xn_synth_feed_forward(struct xn_synth_list *l) {
    if (!xn_shape_has_experts(l->shape, l->layer))
        add_dense(l);
    else if (l->shape->flags & XN_SHAPE_GEMMA4)
        add_gemma4_experts(l);
    else
        add_experts(l);
}
