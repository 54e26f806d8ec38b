// Multi-head latent attention of DeepSeek's models. The second product of keys and values is kept in the shape that a
// folder (and older GGUF files) has, a head's key rows and then its value rows, and read in the absorbed form; newer
// GGUF files hold that form.
#include "model/builder.h"

#include <math.h>

// The inner norms have this epsilon, whatever the model's is.
static const float inner_epsilon = 1e-6f;

static void read_sizes(struct xn_builder *b, const struct xn_decoder *d, struct xn_latent_attention *a) {
    double rank;
    a->heads = d->heads;
    a->rope_size = d->rope.dims;
    a->rank = xn_param_u32(b, XN_P_LATENT_RANK);
    a->q_rank = xn_param_find(b, XN_P_Q_RANK, &rank) ? (uint32_t)rank : 0;
    if (b->config) {
        a->nope_size = xn_param_u32(b, XN_P_NOPE_SIZE);
        a->value_size = xn_param_u32(b, XN_P_LATENT_VALUE_SIZE);
        if (d->rope.dims != d->head_size)
            xn_build_fail(b, XN_ERR_UNSUPPORTED, "%s: the rope rotates %u of %u values, expected all", b->config_path,
                          d->rope.dims, d->head_size);
        return;
    }
    uint32_t key_size = xn_param_u32_or(b, XN_P_LATENT_KEY_SIZE, d->head_size);
    a->value_size = xn_param_u32_or(b, XN_P_LATENT_VALUE_SIZE, d->value_size);
    if (key_size <= a->rope_size)
        xn_build_fail(b, XN_ERR_FORMAT, "%s: keys of %u values, expected more than the %u that rotate", b->config_path,
                      key_size, a->rope_size);
    a->nope_size = key_size - a->rope_size;
}

static void read_query(struct xn_builder *b, const struct xn_decoder *d, int layer, struct xn_latent_attention *a) {
    uint64_t rows = (uint64_t)a->heads * (a->nope_size + a->rope_size);
    if (a->q_rank == 0) {
        xn_read_matrix(b, XN_T_Q, layer, rows, d->hidden, &a->q);
        return;
    }
    xn_read_matrix(b, XN_T_Q_A, layer, a->q_rank, d->hidden, &a->q_a);
    a->q_a_bias = xn_read_bias(b, &b->family->qkv_bias, XN_T_Q_A, layer, a->q_rank);
    xn_read_norm(b, XN_T_Q_A_NORM, layer, a->q_rank, inner_epsilon, &a->q_a_norm);
    xn_read_matrix(b, XN_T_Q_B, layer, rows, a->q_rank, &a->q);
}

static void read_latent(struct xn_builder *b, const struct xn_decoder *d, int layer, struct xn_latent_attention *a) {
    const uint64_t rows[2] = {a->rank, a->rope_size};
    xn_read_slices(b, XN_T_KV_A, layer, 2, rows, d->hidden, (struct xn_matrix *const[]){&a->latent, &a->k_rope});
    a->latent_bias = xn_read_bias(b, &b->family->qkv_bias, XN_T_KV_A, layer, rows[0] + rows[1]);
    if (a->latent_bias) a->k_rope_bias = a->latent_bias + a->rank;
    xn_read_norm(b, XN_T_KV_A_NORM, layer, a->rank, inner_epsilon, &a->latent_norm);
    if (xn_tensor_find(b, XN_T_K_B, layer)) {
        xn_read_experts(b, XN_T_K_B, XN_T_K_B, layer, a->heads, a->rank, a->nope_size, &a->k_absorb);
        xn_read_experts(b, XN_T_V_B, XN_T_V_B, layer, a->heads, a->value_size, a->rank, &a->v_expand);
    } else {
        xn_read_head_pairs(b, XN_T_KV_B, layer, a->heads, a->nope_size, a->value_size, a->rank, &a->k_absorb,
                           &a->v_expand);
    }
}

void xn_read_latent_attention(struct xn_builder *b, const struct xn_decoder *d, int layer, struct xn_layer *out) {
    struct xn_latent_attention *a = &out->mixer.latent;
    out->mixer.kind = XN_MIXER_LATENT;
    *a = (struct xn_latent_attention){.rope = d->rope};
    read_sizes(b, d, a);
    a->scale = xn_read_rope_score_scale(b) / sqrtf((float)(a->nope_size + a->rope_size));
    if (b->status) return;
    read_query(b, d, layer, a);
    read_latent(b, d, layer, a);
    xn_read_matrix(b, XN_T_O, layer, d->hidden, (uint64_t)a->heads * a->value_size, &a->o);
    a->o_bias = xn_read_bias(b, &b->family->o_bias, XN_T_O, layer, d->hidden);
}
