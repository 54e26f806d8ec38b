// Qwen 3.5, dense and with experts: three gated delta nets for each attention, whose queries carry a gate; rope on a
// quarter of a head. A folder keeps the value heads of a delta net grouped by key head and its norms (but the gated
// one) as w - 1; llama.cpp stores the heads tiled, the norms whole and -exp(A_log).
#include "model/families/families.h"

static void read(struct xn_builder *b, bool experts) {
    struct xn_decoder d;
    xn_read_decoder(b, &d);
    for (uint32_t i = 0; i < d.layers && !b->status; i++) {
        struct xn_layer *layer = &b->recipe->layers[i];
        xn_read_layer_norms(b, &d, (int)i, layer);
        if (xn_layer_is_linear(b, i)) {
            xn_read_delta_net(b, &d, (int)i, !b->config, layer);
        } else {
            xn_read_attention(b, &d, (int)i, true, layer);
            xn_read_head_norms(b, &d, (int)i, &layer->mixer.attention);
        }
        if (experts)
            xn_read_moe(b, &d, (int)i, xn_param_u32(b, XN_P_EXPERT_INNER), xn_param_u32(b, XN_P_SHARED_INNER), true,
                        layer);
        else
            xn_read_dense(b, &d, (int)i, layer);
    }
}

static void read_plain(struct xn_builder *b) {
    read(b, false);
}

static void read_moe(struct xn_builder *b) {
    read(b, true);
}

static const struct xn_tensor_name tensors[] = {{XN_T_FFN_NORM, NULL, "post_attention_norm.weight"}, XN_NO_TENSOR};

#define DELTA_NET_DEFAULTS                                                                                             \
    {XN_P_EPSILON, 1e-6}, {XN_P_CONTEXT, 32768}, {XN_P_HEADS, 16}, {XN_P_HEAD_SIZE, 256}, {XN_P_DELTA_KERNEL, 4},      \
        {XN_P_DELTA_KEY_SIZE, 128}, {XN_P_DELTA_VALUE_SIZE, 128}, {XN_P_DELTA_KEY_HEADS, 16},                          \
        {XN_P_DELTA_VALUE_HEADS, 32}, {                                                                                \
        XN_P_ROPE_PARTIAL, 0.25                                                                                        \
    }

const struct xn_family xn_family_qwen3_5 = {
    .name = "qwen3_5",
    .hf =
        (const char *const[]){"qwen3_5_text", "qwen3_5", "Qwen3_5ForCausalLM", "Qwen3_5ForConditionalGeneration", NULL},
    .gguf = (const char *const[]){"qwen35", NULL},
    .defaults = (const struct xn_param_default[]){DELTA_NET_DEFAULTS, {XN_P_KV_HEADS, 4}, XN_NO_DEFAULT},
    .tensors = tensors,
    .qkv_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .o_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .hf_rope = XN_ROPE_HALVES,
    .gguf_rope = XN_ROPE_HALVES,
    .activation = XN_ACT_SILU,
    .norm_offset = 1,
    .read = read_plain,
};

const struct xn_family xn_family_qwen3_5_moe = {
    .name = "qwen3_5_moe",
    .hf = (const char *const[]){"qwen3_5_moe_text", "qwen3_5_moe", "Qwen3_5MoeForCausalLM",
                                "Qwen3_5MoeForConditionalGeneration", NULL},
    .gguf = (const char *const[]){"qwen35moe", NULL},
    .defaults = (const struct xn_param_default[]){DELTA_NET_DEFAULTS,
                                                  {XN_P_KV_HEADS, 2},
                                                  {XN_P_EXPERTS, 256},
                                                  {XN_P_EXPERTS_USED, 8},
                                                  {XN_P_EXPERT_INNER, 512},
                                                  {XN_P_SHARED_INNER, 512},
                                                  XN_NO_DEFAULT},
    .tensors = tensors,
    .qkv_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .o_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .hf_rope = XN_ROPE_HALVES,
    .gguf_rope = XN_ROPE_HALVES,
    .activation = XN_ACT_SILU,
    .norm_offset = 1,
    .read = read_moe,
};
