// GLM-4 (0414): norms around mixer and feed-forward, biases on q, k, v, gate and up in one matrix, and a rope of
// neighbouring pairs on half of a head. llama.cpp reorders q and k only for the models that also see.
#include "model/families/families.h"

static void read(struct xn_builder *b) {
    struct xn_decoder d;
    xn_read_decoder(b, &d);
    int64_t section;
    if (xn_param_element(b, NULL, "rope.dimension_sections", 0, &section) && section > 0) d.rope.kind = XN_ROPE_HALVES;
    for (uint32_t i = 0; i < d.layers && !b->status; i++) {
        struct xn_layer *layer = &b->recipe->layers[i];
        xn_read_layer_norms(b, &d, (int)i, layer);
        xn_read_norm(b, XN_T_MIXER_POST_NORM, (int)i, d.hidden, d.epsilon, &layer->mixer.post_norm);
        xn_read_norm(b, XN_T_FFN_POST_NORM, (int)i, d.hidden, d.epsilon, &layer->ffn.post_norm);
        xn_read_attention(b, &d, (int)i, false, layer);
        xn_read_dense(b, &d, (int)i, layer);
    }
}

const struct xn_family xn_family_glm4 = {
    .name = "glm4",
    .hf = (const char *const[]){"glm4", "Glm4ForCausalLM", NULL},
    .gguf = (const char *const[]){"glm4", NULL},
    .defaults = (const struct xn_param_default[]){{XN_P_EPSILON, 1.5625e-7},
                                                  {XN_P_CONTEXT, 131072},
                                                  {XN_P_HEADS, 32},
                                                  {XN_P_KV_HEADS, 2},
                                                  {XN_P_HEAD_SIZE, 128},
                                                  {XN_P_ATTENTION_BIAS, 1},
                                                  {XN_P_ROPE_PARTIAL, 0.5},
                                                  XN_NO_DEFAULT},
    .tensors = (const struct xn_tensor_name[]){{XN_T_MIXER_POST_NORM, "post_self_attn_layernorm.weight", NULL},
                                               {XN_T_FFN_POST_NORM, "post_mlp_layernorm.weight", NULL},
                                               XN_NO_TENSOR},
    .qkv_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .hf_rope = XN_ROPE_PAIRS,
    .gguf_rope = XN_ROPE_PAIRS,
    .activation = XN_ACT_SILU,
    .read = read,
};
