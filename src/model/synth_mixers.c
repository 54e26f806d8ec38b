// The tensors of a synthetic model's mixers.
#include "model/synth_list.h"

static void add_keys_and_values(struct xn_synth_list *l, uint64_t kv, uint32_t head_size) {
    const struct xn_shape *s = l->shape;
    xn_synth_matrix(l, "attn_k", XN_ROLE_K, s->hidden, kv);
    xn_synth_matrix(l, "attn_v", XN_ROLE_V, s->hidden, kv);
    if (s->flags & XN_SHAPE_QKV_BIAS) {
        xn_synth_vector(l, "attn_k.bias", XN_FILL_BIAS, kv);
        xn_synth_vector(l, "attn_v.bias", XN_FILL_BIAS, kv);
    }
    if (s->flags & XN_SHAPE_QK_NORM)
        xn_synth_vector(l, "attn_k_norm.weight", XN_FILL_NORM, s->flags & XN_SHAPE_NORM_WHOLE ? kv : head_size);
}

static void add_attention(struct xn_synth_list *l, uint32_t head_size) {
    const struct xn_shape *s = l->shape;
    uint64_t q = (uint64_t)s->heads * head_size, kv = (uint64_t)s->kv_heads * head_size;
    if (s->flags & XN_SHAPE_FUSED_QKV) {
        xn_synth_matrix(l, "attn_qkv", XN_ROLE_V, s->hidden, q + 2 * kv);
    } else {
        bool shares = xn_shape_shares(s, l->layer, l->layers);
        xn_synth_matrix(l, "attn_q", XN_ROLE_Q, s->hidden, s->flags & XN_SHAPE_GATED ? 2 * q : q);
        if (s->flags & XN_SHAPE_QKV_BIAS) xn_synth_vector(l, "attn_q.bias", XN_FILL_BIAS, q);
        if (s->flags & XN_SHAPE_QK_NORM)
            xn_synth_vector(l, "attn_q_norm.weight", XN_FILL_NORM, s->flags & XN_SHAPE_NORM_WHOLE ? q : head_size);
        if (!shares) add_keys_and_values(l, kv, head_size);
    }
    if (s->flags & XN_SHAPE_SINKS) xn_synth_vector(l, "attn_sinks.weight", XN_FILL_BIAS, s->heads);
    xn_synth_matrix(l, "attn_output", XN_ROLE_ATTENTION_OUT, q, s->hidden);
    if (s->flags & XN_SHAPE_OUT_BIAS) xn_synth_vector(l, "attn_output.bias", XN_FILL_BIAS, s->hidden);
}

// The product of the latent vector is split into that of keys, turned for queries to go through it, and that of values.
static void add_latent(struct xn_synth_list *l) {
    const struct xn_shape *s = l->shape;
    uint64_t q = (uint64_t)s->heads * (s->nope_size + s->rope_size);
    if (s->q_rank) {
        xn_synth_matrix(l, "attn_q_a", XN_ROLE_OTHER, s->hidden, s->q_rank);
        xn_synth_vector(l, "attn_q_a_norm.weight", XN_FILL_NORM, s->q_rank);
        xn_synth_matrix(l, "attn_q_b", XN_ROLE_OTHER, s->q_rank, q);
    } else {
        xn_synth_matrix(l, "attn_q", XN_ROLE_Q, s->hidden, q);
    }
    xn_synth_matrix(l, "attn_kv_a_mqa", XN_ROLE_OTHER, s->hidden, s->rank + s->rope_size);
    xn_synth_vector(l, "attn_kv_a_norm.weight", XN_FILL_NORM, s->rank);
    xn_synth_stack(l, "attn_k_b", XN_ROLE_OTHER, s->nope_size, s->rank, s->heads);
    xn_synth_stack(l, "attn_v_b", XN_ROLE_OTHER, s->rank, s->value_size, s->heads);
    xn_synth_matrix(l, "attn_output", XN_ROLE_ATTENTION_OUT, (uint64_t)s->heads * s->value_size, s->hidden);
}

static void add_delta_net(struct xn_synth_list *l) {
    const struct xn_shape *s = l->shape;
    uint64_t keys = (uint64_t)s->key_heads * s->state, values = (uint64_t)s->value_heads * s->state;
    xn_synth_matrix(l, "attn_qkv", XN_ROLE_V, s->hidden, 2 * keys + values);
    xn_synth_matrix(l, "attn_gate", XN_ROLE_OTHER, s->hidden, values);
    xn_synth_table(l, "ssm_conv1d.weight", XN_FILL_NORMAL, s->taps, 2 * keys + values);
    xn_synth_vector(l, "ssm_dt.bias", XN_FILL_TIME_STEP, s->value_heads);
    xn_synth_vector(l, "ssm_a", XN_FILL_DECAY, s->value_heads);
    if (s->flags & XN_SHAPE_FUSED_BA) {
        xn_synth_matrix(l, "ssm_ba", XN_ROLE_OTHER, s->hidden, 2 * (uint64_t)s->value_heads);
    } else {
        xn_synth_matrix(l, "ssm_beta", XN_ROLE_OTHER, s->hidden, s->value_heads);
        xn_synth_matrix(l, "ssm_alpha", XN_ROLE_OTHER, s->hidden, s->value_heads);
    }
    xn_synth_vector(l, "ssm_norm.weight", XN_FILL_NORM, s->state);
    xn_synth_out(l, "ssm_out", values, s->hidden);
}

static void add_mamba(struct xn_synth_list *l) {
    const struct xn_shape *s = l->shape;
    uint64_t inner = (uint64_t)s->ssm_heads * s->ssm_size;
    uint64_t channels = inner + 2 * (uint64_t)s->ssm_groups * s->ssm_state;
    xn_synth_matrix(l, "ssm_in", XN_ROLE_OTHER, s->hidden, inner + channels + s->ssm_heads);
    xn_synth_table(l, "ssm_conv1d.weight", XN_FILL_NORMAL, s->taps, channels);
    xn_synth_vector(l, "ssm_conv1d.bias", XN_FILL_BIAS, channels);
    xn_synth_vector(l, "ssm_dt.bias", XN_FILL_TIME_STEP, s->ssm_heads);
    xn_synth_table(l, "ssm_a", XN_FILL_DECAY, 1, s->ssm_heads);
    xn_synth_table(l, "ssm_d", XN_FILL_NORM, 1, s->ssm_heads);
    if (s->flags & XN_SHAPE_SSM_NORM)
        xn_synth_table(l, "ssm_norm.weight", XN_FILL_NORM, inner / s->ssm_groups, s->ssm_groups);
    xn_synth_out(l, "ssm_out", inner, s->hidden);
}

static void add_conv(struct xn_synth_list *l) {
    const struct xn_shape *s = l->shape;
    xn_synth_matrix(l, "shortconv.in_proj", XN_ROLE_OTHER, s->hidden, 3 * (uint64_t)s->hidden);
    xn_synth_table(l, "shortconv.conv.weight", XN_FILL_NORMAL, s->conv_taps, s->hidden);
    xn_synth_out(l, "shortconv.out_proj", s->hidden, s->hidden);
}

void xn_synth_mixer(struct xn_synth_list *l) {
    const struct xn_shape *s = l->shape;
    switch (xn_shape_layer(s, l->layer)) {
    case XN_SHAPE_LOCAL:
        add_attention(l, s->local_head_size);
        break;
    case XN_SHAPE_LATENT:
        add_latent(l);
        break;
    case XN_SHAPE_DELTA_NET:
        add_delta_net(l);
        break;
    case XN_SHAPE_MAMBA:
        add_mamba(l);
        break;
    case XN_SHAPE_BOTH:
        add_attention(l, s->head_size);
        add_mamba(l);
        break;
    case XN_SHAPE_CONV:
        add_conv(l);
        break;
    default:
        add_attention(l, s->head_size);
    }
}
