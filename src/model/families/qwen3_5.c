// Qwen 3.5, dense and with experts: three gated delta nets for each attention, whose queries carry a gate; rope on a
// quarter of a head. A folder keeps the value heads of a delta net grouped by key head and its norms (but the gated
// one) as w - 1; llama.cpp stores the heads tiled, the norms whole and -exp(A_log).
#include "model/families/families.h"

#include <math.h>

static const float *decay_rate(struct xn_builder *b, int layer, uint32_t heads) {
    const float *stored = xn_read_vector(b, XN_T_DELTA_DECAY, layer, heads, 0);
    if (!b->config || !stored) return stored;
    float *rate = xn_build_alloc(b, heads, sizeof *rate);
    for (uint32_t i = 0; rate && i < heads; i++)
        rate[i] = -expf(stored[i]);
    return rate;
}

static uint32_t value_size(struct xn_builder *b, uint32_t heads) {
    if (b->config) return xn_param_u32(b, XN_P_DELTA_VALUE_SIZE);
    uint32_t inner = xn_param_u32(b, XN_P_DELTA_INNER);
    if (inner % heads)
        xn_build_fail(b, XN_ERR_FORMAT, "%s: %s.ssm.inner_size %u is not a multiple of the %u value heads",
                      b->config_path, b->arch, inner, heads);
    return inner / heads;
}

static void read_delta_net(struct xn_builder *b, const struct xn_decoder *d, int layer, struct xn_layer *out) {
    struct xn_delta_net *n = &out->mixer.delta_net;
    out->mixer.kind = XN_MIXER_DELTA_NET;
    *n = (struct xn_delta_net){
        .key_heads = xn_param_u32(b, XN_P_DELTA_KEY_HEADS),
        .value_heads = xn_param_u32(b, XN_P_DELTA_VALUE_HEADS),
        .key_size = xn_param_u32(b, XN_P_DELTA_KEY_SIZE),
        .kernel = xn_param_u32(b, XN_P_DELTA_KERNEL),
        .heads_tiled = !b->config,
    };
    n->value_size = value_size(b, n->value_heads);
    if (n->value_heads % n->key_heads)
        xn_build_fail(b, XN_ERR_FORMAT, "%s: %u value heads of a delta net are not a multiple of its %u key heads",
                      b->config_path, n->value_heads, n->key_heads);
    uint32_t keys = n->key_heads * n->key_size, values = n->value_heads * n->value_size; // each at most 2^22
    xn_read_matrix(b, XN_T_DELTA_QKV, layer, 2 * keys + values, d->hidden, &n->qkv);
    xn_read_matrix(b, XN_T_DELTA_Z, layer, values, d->hidden, &n->z);
    xn_read_matrix(b, XN_T_DELTA_BETA, layer, n->value_heads, d->hidden, &n->beta);
    xn_read_matrix(b, XN_T_DELTA_ALPHA, layer, n->value_heads, d->hidden, &n->alpha);
    xn_read_matrix(b, XN_T_DELTA_OUT, layer, d->hidden, values, &n->out);
    n->conv = xn_read_conv(b, XN_T_DELTA_CONV, layer, 2 * keys + values, n->kernel);
    n->decay_rate = decay_rate(b, layer, n->value_heads);
    n->dt_bias = xn_read_vector(b, XN_T_DELTA_DT_BIAS, layer, n->value_heads, 0);
    n->norm =
        (struct xn_norm){XN_NORM_RMS, d->epsilon, xn_read_vector(b, XN_T_DELTA_NORM, layer, n->value_size, 0), NULL};
}

static bool is_linear(struct xn_builder *b, uint32_t i) {
    int64_t recurrent;
    if (xn_param_element(b, NULL, "attention.recurrent_layers", i, &recurrent)) return recurrent != 0;
    bool linear = (i + 1) % xn_param_u32_or(b, XN_P_FULL_INTERVAL, 4) != 0;
    return xn_layer_type(b, i, linear ? XN_LAYER_LINEAR : XN_LAYER_FULL) == XN_LAYER_LINEAR;
}

static void read(struct xn_builder *b, bool experts) {
    struct xn_decoder d;
    xn_read_decoder(b, &d);
    for (uint32_t i = 0; i < d.layers && !b->status; i++) {
        struct xn_layer *layer = &b->recipe->layers[i];
        xn_read_layer_norms(b, &d, (int)i, layer);
        if (is_linear(b, i)) {
            read_delta_net(b, &d, (int)i, layer);
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
