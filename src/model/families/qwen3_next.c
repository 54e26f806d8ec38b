// Qwen3-Next: three gated delta nets for each attention, whose queries carry a gate, and experts with a shared one. A
// folder keeps its norms (but the gated one) as w - 1, and each delta net's q, k, v, z in one tensor; llama.cpp stores
// q, k, v apart from z (in older files as the folder), the norms whole and -exp(A_log). Value heads are grouped in
// both.
#include "model/families/families.h"

static void read(struct xn_builder *b) {
    struct xn_decoder d;
    xn_read_decoder(b, &d);
    uint32_t shared = xn_param_u32(b, XN_P_SHARED_INNER);
    bool normalize = xn_param_flag(b, XN_P_NORMALIZE, !b->config); // GGUF does not keep it
    for (uint32_t i = 0; i < d.layers && !b->status; i++) {
        struct xn_layer *layer = &b->recipe->layers[i];
        xn_read_layer_norms(b, &d, (int)i, layer);
        if (xn_layer_is_linear(b, i)) {
            xn_read_delta_net(b, &d, (int)i, false, layer);
        } else {
            xn_read_attention(b, &d, (int)i, true, layer);
            xn_read_head_norms(b, &d, (int)i, &layer->mixer.attention);
        }
        xn_read_sparse_ffn(b, &d, (int)i, shared, normalize, layer);
    }
}

const struct xn_family xn_family_qwen3_next = {
    .name = "qwen3_next",
    .hf = (const char *const[]){"qwen3_next", "Qwen3NextForCausalLM", NULL},
    .gguf = (const char *const[]){"qwen3next", NULL},
    .defaults = (const struct xn_param_default[]){{XN_P_EPSILON, 1e-6},
                                                  {XN_P_CONTEXT, 32768},
                                                  {XN_P_HEADS, 16},
                                                  {XN_P_KV_HEADS, 2},
                                                  {XN_P_HEAD_SIZE, 256},
                                                  {XN_P_INNER, 5632},
                                                  {XN_P_DELTA_KERNEL, 4},
                                                  {XN_P_DELTA_KEY_SIZE, 128},
                                                  {XN_P_DELTA_VALUE_SIZE, 128},
                                                  {XN_P_DELTA_KEY_HEADS, 16},
                                                  {XN_P_DELTA_VALUE_HEADS, 32},
                                                  {XN_P_EXPERTS, 512},
                                                  {XN_P_EXPERTS_USED, 10},
                                                  {XN_P_EXPERT_INNER, 512},
                                                  {XN_P_SHARED_INNER, 512},
                                                  {XN_P_NORMALIZE, 1},
                                                  {XN_P_ROPE_PARTIAL, 0.25},
                                                  XN_NO_DEFAULT},
    .tensors = (const struct xn_tensor_name[]){{XN_T_FFN_NORM, NULL, "post_attention_norm.weight"}, XN_NO_TENSOR},
    .qkv_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .o_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .hf_rope = XN_ROPE_HALVES,
    .gguf_rope = XN_ROPE_HALVES,
    .activation = XN_ACT_SILU,
    .norm_offset = 1,
    .read = read,
};
