// OLMo 2: norms behind mixer and feed-forward and none before them, and one norm over all of q and one over all of k.
#include "model/families/families.h"

static void read(struct xn_builder *b) {
    struct xn_decoder d;
    xn_read_decoder(b, &d);
    double window;
    if (!b->config && xn_param_find(b, XN_P_WINDOW, &window) && window > 0)
        xn_build_fail(b, XN_ERR_UNSUPPORTED,
                      "%s: %s.attention.sliding_window is set: this is OLMo 3, which is not supported", b->config_path,
                      b->arch);
    for (uint32_t i = 0; i < d.layers && !b->status; i++) {
        struct xn_layer *layer = &b->recipe->layers[i];
        struct xn_attention *a = &layer->mixer.attention;
        xn_read_attention(b, &d, (int)i, false, layer);
        xn_read_norm(b, XN_T_Q_NORM, (int)i, (uint64_t)d.heads * d.head_size, d.epsilon, &a->q_norm);
        xn_read_norm(b, XN_T_K_NORM, (int)i, (uint64_t)d.kv_heads * d.head_size, d.epsilon, &a->k_norm);
        a->norm_whole = true;
        xn_read_norm(b, XN_T_MIXER_POST_NORM, (int)i, d.hidden, d.epsilon, &layer->mixer.post_norm);
        xn_read_dense(b, &d, (int)i, layer);
        xn_read_norm(b, XN_T_FFN_POST_NORM, (int)i, d.hidden, d.epsilon, &layer->ffn.post_norm);
    }
}

const struct xn_family xn_family_olmo2 = {
    .name = "olmo2",
    .hf = (const char *const[]){"olmo2", "Olmo2ForCausalLM", NULL},
    .gguf = (const char *const[]){"olmo2", NULL},
    .defaults =
        (const struct xn_param_default[]){{XN_P_EPSILON, 1e-5}, {XN_P_CONTEXT, 2048}, {XN_P_HEADS, 32}, XN_NO_DEFAULT},
    .tensors = (const struct xn_tensor_name[]){{XN_T_MIXER_POST_NORM, "post_attention_layernorm.weight", NULL},
                                               {XN_T_FFN_POST_NORM, "post_feedforward_layernorm.weight", NULL},
                                               XN_NO_TENSOR},
    .qkv_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .o_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .hf_rope = XN_ROPE_HALVES,
    .gguf_rope = XN_ROPE_HALVES,
    .activation = XN_ACT_SILU,
    .read = read,
};
