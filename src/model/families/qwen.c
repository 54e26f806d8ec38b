// Qwen 2 and 3, dense and with experts, and Seed-OSS: Llama with biases on q, k, v (Qwen 2, Seed-OSS) or norms over
// each head of q and k (Qwen 3). They differ in which layers have a sliding window.
#include "model/families/families.h"

// The window of a folder's models that ask for one; GGUF does not keep it.
static uint32_t window_of(struct xn_builder *b) {
    return xn_param_flag(b, XN_P_USE_WINDOW, false) ? xn_param_u32_or(b, XN_P_WINDOW, 0) : 0;
}

static void read_mixer(struct xn_builder *b, const struct xn_decoder *d, uint32_t i, bool head_norms) {
    struct xn_layer *layer = &b->recipe->layers[i];
    xn_read_layer_norms(b, d, (int)i, layer);
    xn_read_attention(b, d, (int)i, false, layer);
    if (head_norms) xn_read_head_norms(b, d, (int)i, &layer->mixer.attention);
}

// The upper layers have the window.
static void read_dense(struct xn_builder *b, bool head_norms) {
    struct xn_decoder d;
    xn_read_decoder(b, &d);
    uint32_t window = window_of(b), first = xn_param_u32_or(b, XN_P_WINDOW_LAYERS, 0);
    for (uint32_t i = 0; i < d.layers && !b->status; i++) {
        read_mixer(b, &d, i, head_norms);
        enum xn_layer_type type = xn_layer_type(b, i, window && i >= first ? XN_LAYER_SLIDING : XN_LAYER_FULL);
        b->recipe->layers[i].mixer.attention.window = type == XN_LAYER_SLIDING ? window : 0;
        xn_read_dense(b, &d, (int)i, &b->recipe->layers[i]);
    }
}

static void read_qwen2(struct xn_builder *b) {
    read_dense(b, false);
}

static void read_qwen3(struct xn_builder *b) {
    read_dense(b, true);
}

// Every other of the lower layers has the window.
static void read_qwen2_moe(struct xn_builder *b) {
    struct xn_decoder d;
    xn_read_decoder(b, &d);
    uint32_t window = window_of(b), end = xn_param_u32_or(b, XN_P_WINDOW_LAYERS, 0);
    for (uint32_t i = 0; i < d.layers && !b->status; i++) {
        read_mixer(b, &d, i, false);
        enum xn_layer_type type =
            xn_layer_type(b, i, window && i % 2 == 0 && i < end ? XN_LAYER_SLIDING : XN_LAYER_FULL);
        b->recipe->layers[i].mixer.attention.window = type == XN_LAYER_SLIDING ? window : 0;
        xn_read_sparse_ffn(b, &d, (int)i, xn_param_u32(b, XN_P_SHARED_INNER), xn_param_flag(b, XN_P_NORMALIZE, false),
                           &b->recipe->layers[i]);
    }
}

// All layers have the window. GGUF models normalise, as every published one does.
static void read_qwen3_moe(struct xn_builder *b) {
    struct xn_decoder d;
    xn_read_decoder(b, &d);
    uint32_t window = window_of(b);
    for (uint32_t i = 0; i < d.layers && !b->status; i++) {
        read_mixer(b, &d, i, true);
        b->recipe->layers[i].mixer.attention.window = window;
        xn_read_sparse_ffn(b, &d, (int)i, 0, xn_param_flag(b, XN_P_NORMALIZE, !b->config), &b->recipe->layers[i]);
    }
}

const struct xn_family xn_family_qwen2 = {
    .name = "qwen2",
    .hf = (const char *const[]){"qwen2", "Qwen2ForCausalLM", NULL},
    .gguf = (const char *const[]){"qwen2", NULL},
    .defaults = (const struct xn_param_default[]){{XN_P_EPSILON, 1e-6},
                                                  {XN_P_CONTEXT, 32768},
                                                  {XN_P_HEADS, 32},
                                                  {XN_P_KV_HEADS, 32},
                                                  {XN_P_WINDOW, 4096},
                                                  {XN_P_WINDOW_LAYERS, 28},
                                                  XN_NO_DEFAULT},
    .qkv_bias = {.rule = XN_BIAS_ALWAYS},
    .hf_rope = XN_ROPE_HALVES,
    .gguf_rope = XN_ROPE_HALVES,
    .activation = XN_ACT_SILU,
    .read = read_qwen2,
};

const struct xn_family xn_family_qwen2_moe = {
    .name = "qwen2_moe",
    .hf = (const char *const[]){"qwen2_moe", "Qwen2MoeForCausalLM", NULL},
    .gguf = (const char *const[]){"qwen2moe", NULL},
    .defaults = (const struct xn_param_default[]){{XN_P_EPSILON, 1e-6},
                                                  {XN_P_CONTEXT, 32768},
                                                  {XN_P_HEADS, 16},
                                                  {XN_P_KV_HEADS, 16},
                                                  {XN_P_WINDOW, 4096},
                                                  {XN_P_WINDOW_LAYERS, 28},
                                                  {XN_P_EXPERTS, 60},
                                                  {XN_P_EXPERTS_USED, 4},
                                                  {XN_P_EXPERT_INNER, 1408},
                                                  {XN_P_SHARED_INNER, 5632},
                                                  {XN_P_QKV_BIAS, 1},
                                                  XN_NO_DEFAULT},
    .qkv_bias = {XN_BIAS_FLAG, XN_P_QKV_BIAS},
    .hf_rope = XN_ROPE_HALVES,
    .gguf_rope = XN_ROPE_HALVES,
    .activation = XN_ACT_SILU,
    .read = read_qwen2_moe,
};

const struct xn_family xn_family_qwen3 = {
    .name = "qwen3",
    .hf = (const char *const[]){"qwen3", "Qwen3ForCausalLM", NULL},
    .gguf = (const char *const[]){"qwen3", NULL},
    .defaults = (const struct xn_param_default[]){{XN_P_EPSILON, 1e-6},
                                                  {XN_P_CONTEXT, 32768},
                                                  {XN_P_HEADS, 32},
                                                  {XN_P_KV_HEADS, 32},
                                                  {XN_P_HEAD_SIZE, 128},
                                                  {XN_P_WINDOW, 4096},
                                                  {XN_P_WINDOW_LAYERS, 28},
                                                  XN_NO_DEFAULT},
    .qkv_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .o_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .hf_rope = XN_ROPE_HALVES,
    .gguf_rope = XN_ROPE_HALVES,
    .activation = XN_ACT_SILU,
    .read = read_qwen3,
};

const struct xn_family xn_family_qwen3_moe = {
    .name = "qwen3_moe",
    .hf = (const char *const[]){"qwen3_moe", "Qwen3MoeForCausalLM", NULL},
    .gguf = (const char *const[]){"qwen3moe", NULL},
    .defaults = (const struct xn_param_default[]){{XN_P_EPSILON, 1e-6},
                                                  {XN_P_CONTEXT, 32768},
                                                  {XN_P_HEADS, 32},
                                                  {XN_P_KV_HEADS, 4},
                                                  {XN_P_WINDOW, 4096},
                                                  {XN_P_EXPERTS, 128},
                                                  {XN_P_EXPERTS_USED, 8},
                                                  {XN_P_EXPERT_INNER, 768},
                                                  XN_NO_DEFAULT},
    .qkv_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .o_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .hf_rope = XN_ROPE_HALVES,
    .gguf_rope = XN_ROPE_HALVES,
    .activation = XN_ACT_SILU,
    .read = read_qwen3_moe,
};

const struct xn_family xn_family_seed_oss = {
    .name = "seed_oss",
    .hf = (const char *const[]){"seed_oss", "SeedOssForCausalLM", NULL},
    .gguf = (const char *const[]){"seed_oss", NULL},
    .defaults = (const struct xn_param_default[]){{XN_P_EPSILON, 1e-6},
                                                  {XN_P_CONTEXT, 524288},
                                                  {XN_P_HEADS, 80},
                                                  {XN_P_KV_HEADS, 8},
                                                  {XN_P_HEAD_SIZE, 128},
                                                  {XN_P_ATTENTION_BIAS, 1},
                                                  XN_NO_DEFAULT},
    .tensors = (const struct xn_tensor_name[]){{XN_T_FFN_NORM, NULL, "post_attention_norm.weight"}, XN_NO_TENSOR},
    .qkv_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .o_bias = {XN_BIAS_FLAG, XN_P_OUT_BIAS},
    .ffn_bias = {XN_BIAS_FLAG, XN_P_MLP_BIAS},
    .hf_rope = XN_ROPE_HALVES,
    .gguf_rope = XN_ROPE_HALVES,
    .activation = XN_ACT_SILU,
    .read = read_qwen2,
};
