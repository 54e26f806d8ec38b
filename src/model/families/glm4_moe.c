// GLM-4.5 to 4.7: grouped-query attention, in the larger with norms over each head of q and k, and DeepSeek-V3's
// experts behind a few dense layers. llama.cpp reorders no rows; layers that predict further tokens lie behind the
// others.
#include "model/families/families.h"

static void read(struct xn_builder *b) {
    struct xn_decoder d;
    xn_read_decoder(b, &d);
    uint32_t dense = xn_param_u32_or(b, XN_P_DENSE_LEAD, 0);
    for (uint32_t i = 0; i < d.layers && !b->status; i++) {
        struct xn_layer *layer = &b->recipe->layers[i];
        xn_read_layer_norms(b, &d, (int)i, layer);
        xn_read_attention(b, &d, (int)i, false, layer);
        bool norms =
            b->config ? xn_param_flag(b, XN_P_HEAD_NORMS, false) : xn_tensor_find(b, XN_T_Q_NORM, (int)i) != NULL;
        if (norms) xn_read_head_norms(b, &d, (int)i, &layer->mixer.attention);
        if (i < dense)
            xn_read_dense(b, &d, (int)i, layer);
        else
            xn_read_grouped_moe(b, &d, (int)i, XN_ROUTER_SIGMOID, layer);
    }
}

const struct xn_family xn_family_glm4_moe = {
    .name = "glm4_moe",
    .hf = (const char *const[]){"glm4_moe", "Glm4MoeForCausalLM", NULL},
    .gguf = (const char *const[]){"glm4moe", NULL},
    .defaults = (const struct xn_param_default[]){{XN_P_EPSILON, 1e-5},
                                                  {XN_P_CONTEXT, 131072},
                                                  {XN_P_HEADS, 96},
                                                  {XN_P_KV_HEADS, 8},
                                                  {XN_P_INNER, 10944},
                                                  {XN_P_EXPERTS, 128},
                                                  {XN_P_EXPERTS_USED, 8},
                                                  {XN_P_EXPERT_INNER, 1408},
                                                  {XN_P_SHARED_COUNT, 1},
                                                  {XN_P_DENSE_LEAD, 1},
                                                  {XN_P_NORMALIZE, 1},
                                                  {XN_P_ROPE_PARTIAL, 0.5},
                                                  XN_NO_DEFAULT},
    .tensors = (const struct xn_tensor_name[]){{XN_T_FFN_NORM, NULL, "post_attention_norm.weight"},
                                               {XN_T_SHARED_GATE, "mlp.shared_experts.gate_proj.weight", NULL},
                                               {XN_T_SHARED_UP, "mlp.shared_experts.up_proj.weight", NULL},
                                               {XN_T_SHARED_DOWN, "mlp.shared_experts.down_proj.weight", NULL},
                                               XN_NO_TENSOR},
    .qkv_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .hf_rope = XN_ROPE_HALVES,
    .gguf_rope = XN_ROPE_HALVES,
    .activation = XN_ACT_SILU,
    .read = read,
};
