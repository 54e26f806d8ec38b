// Llama, and Mistral's models that follow it: a sliding window (Mistral), experts instead of the feed-forward
// (Mixtral), YaRN with a temperature on queries (Ministral 3). llama.cpp stores them with the rows of q and k
// reordered, so that neighbours rotate together, and keeps Mistral and Mixtral under the name llama.
#include "model/families/families.h"

static void read_layers(struct xn_builder *b, uint32_t window) {
    struct xn_decoder d;
    xn_read_decoder(b, &d);
    uint32_t experts = xn_param_u32_or(b, XN_P_EXPERTS, 0);
    for (uint32_t i = 0; i < d.layers && !b->status; i++) {
        struct xn_layer *layer = &b->recipe->layers[i];
        xn_read_layer_norms(b, &d, (int)i, layer);
        xn_read_attention(b, &d, (int)i, false, layer);
        layer->mixer.attention.window = window;
        if (experts)
            xn_read_moe(b, &d, (int)i, xn_param_u32(b, XN_P_INNER), 0, true, layer);
        else
            xn_read_dense(b, &d, (int)i, layer);
    }
}

static void read_full(struct xn_builder *b) {
    read_layers(b, 0);
}

static void read_windowed(struct xn_builder *b) {
    read_layers(b, xn_param_u32_or(b, XN_P_WINDOW, 0));
}

const struct xn_family xn_family_llama = {
    .name = "llama",
    .hf = (const char *const[]){"llama", "LlamaForCausalLM", NULL},
    .gguf = (const char *const[]){"llama", NULL},
    .defaults =
        (const struct xn_param_default[]){{XN_P_EPSILON, 1e-6}, {XN_P_CONTEXT, 2048}, {XN_P_HEADS, 32}, XN_NO_DEFAULT},
    .qkv_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .o_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .ffn_bias = {XN_BIAS_FLAG, XN_P_MLP_BIAS},
    .hf_rope = XN_ROPE_HALVES,
    .gguf_rope = XN_ROPE_PAIRS,
    .activation = XN_ACT_SILU,
    .read = read_full,
};

const struct xn_family xn_family_mistral = {
    .name = "mistral",
    .hf = (const char *const[]){"mistral", "MistralForCausalLM", "mistral3", NULL},
    .gguf = (const char *const[]){NULL},
    .defaults = (const struct xn_param_default[]){{XN_P_EPSILON, 1e-6},
                                                  {XN_P_CONTEXT, 131072},
                                                  {XN_P_HEADS, 32},
                                                  {XN_P_KV_HEADS, 8},
                                                  {XN_P_WINDOW, 4096},
                                                  XN_NO_DEFAULT},
    .hf_rope = XN_ROPE_HALVES,
    .gguf_rope = XN_ROPE_PAIRS,
    .activation = XN_ACT_SILU,
    .read = read_windowed,
};

const struct xn_family xn_family_ministral3 = {
    .name = "ministral3",
    .hf = (const char *const[]){"ministral3", "Ministral3ForCausalLM", NULL},
    .gguf = (const char *const[]){"mistral3", NULL},
    .defaults = (const struct xn_param_default[]){{XN_P_EPSILON, 1e-5},
                                                  {XN_P_CONTEXT, 262144},
                                                  {XN_P_HEADS, 32},
                                                  {XN_P_KV_HEADS, 8},
                                                  {XN_P_HEAD_SIZE, 128},
                                                  XN_NO_DEFAULT},
    .hf_rope = XN_ROPE_HALVES,
    .gguf_rope = XN_ROPE_PAIRS,
    .activation = XN_ACT_SILU,
    .read = read_windowed,
};

const struct xn_family xn_family_mixtral = {
    .name = "mixtral",
    .hf = (const char *const[]){"mixtral", "MixtralForCausalLM", NULL},
    .gguf = (const char *const[]){NULL},
    .defaults = (const struct xn_param_default[]){{XN_P_EPSILON, 1e-5},
                                                  {XN_P_CONTEXT, 131072},
                                                  {XN_P_HEADS, 32},
                                                  {XN_P_KV_HEADS, 8},
                                                  {XN_P_EXPERTS, 8},
                                                  {XN_P_EXPERTS_USED, 2},
                                                  {XN_P_ROPE_THETA, 1e6},
                                                  XN_NO_DEFAULT},
    .tensors = (const struct xn_tensor_name[]){{XN_T_ROUTER, "block_sparse_moe.gate.weight|mlp.gate.weight", NULL},
                                               {XN_T_EXPERT_GATE, "block_sparse_moe.experts.%u.w1.weight", NULL},
                                               {XN_T_EXPERT_UP, "block_sparse_moe.experts.%u.w3.weight", NULL},
                                               {XN_T_EXPERT_DOWN, "block_sparse_moe.experts.%u.w2.weight", NULL},
                                               XN_NO_TENSOR},
    .hf_rope = XN_ROPE_HALVES,
    .gguf_rope = XN_ROPE_PAIRS,
    .activation = XN_ACT_SILU,
    .read = read_windowed,
};
