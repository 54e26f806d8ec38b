// Gemma 2 and 3: norms around mixer and feed-forward, sliding windows in most layers, tied head, scaled embedding.
// Gemma 2 has soft caps; Gemma 3 norms over each head of q and k, and another rope in the layers with a window. A
// folder stores norm weights less 1.
#include "model/families/families.h"

#include <math.h>

// Which model sizes take the width of a head from hidden / heads for the scale of q.k: the one number that GGUF does
// not keep.
static float attention_scale(struct xn_builder *b, const struct xn_decoder *d, uint32_t layers_of_27b) {
    double scalar = d->head_size;
    if (b->config)
        scalar = xn_param_real(b, XN_P_QUERY_SCALAR, scalar);
    else if (d->layers == layers_of_27b)
        scalar = d->hidden / d->heads;
    return (float)(1 / sqrt(scalar));
}

// Layer i of a pattern whose every period-th layer sees everything.
static bool is_sliding(struct xn_builder *b, uint32_t i, uint32_t period) {
    int64_t listed;
    if (xn_param_element(b, NULL, "attention.sliding_window_pattern", i, &listed)) return listed != 0;
    bool sliding = period == 0 || (i + 1) % period != 0;
    return xn_layer_type(b, i, sliding ? XN_LAYER_SLIDING : XN_LAYER_FULL) == XN_LAYER_SLIDING;
}

static void read_layer(struct xn_builder *b, const struct xn_decoder *d, uint32_t i) {
    struct xn_layer *layer = &b->recipe->layers[i];
    xn_read_layer_norms(b, d, (int)i, layer);
    xn_read_norm(b, XN_T_MIXER_POST_NORM, (int)i, d->hidden, d->epsilon, &layer->mixer.post_norm);
    xn_read_norm(b, XN_T_FFN_POST_NORM, (int)i, d->hidden, d->epsilon, &layer->ffn.post_norm);
    xn_read_attention(b, d, (int)i, false, layer);
    xn_read_dense(b, d, (int)i, layer);
}

static void read_common(struct xn_builder *b, struct xn_decoder *d) {
    xn_read_decoder(b, d);
    if (xn_param_flag(b, XN_P_BIDIRECTIONAL, false))
        xn_build_fail(b, XN_ERR_UNSUPPORTED,
                      "%s: use_bidirectional_attention is set: an embedding model, not a language model",
                      b->config_path);
    b->recipe->embedding_scale = sqrtf((float)d->hidden);
    b->recipe->logit_soft_cap = (float)xn_param_real(b, XN_P_FINAL_SOFT_CAP, 0);
}

static void read_gemma2(struct xn_builder *b) {
    struct xn_decoder d;
    read_common(b, &d);
    float scale = attention_scale(b, &d, 46), soft_cap = (float)xn_param_real(b, XN_P_SOFT_CAP, 0);
    uint32_t window = xn_param_u32_or(b, XN_P_WINDOW, b->config ? 0 : 4096);
    for (uint32_t i = 0; i < d.layers && !b->status; i++) {
        struct xn_attention *a = &b->recipe->layers[i].mixer.attention;
        read_layer(b, &d, i);
        a->scale = scale;
        a->soft_cap = soft_cap;
        a->window = is_sliding(b, i, 2) ? window : 0;
    }
}

static void read_gemma3(struct xn_builder *b) {
    struct xn_decoder d;
    struct xn_rope local = {0};
    read_common(b, &d);
    xn_read_rope(b, d.head_size, "sliding_attention", &local);
    float scale = attention_scale(b, &d, 62);
    uint32_t window = xn_param_u32_or(b, XN_P_WINDOW, 0);
    int64_t listed; // a list has no one period
    bool is_list = xn_param_element(b, NULL, "attention.sliding_window_pattern", 0, &listed);
    uint32_t period = is_list ? 6 : xn_param_u32_or(b, XN_P_WINDOW_PATTERN, 6);
    for (uint32_t i = 0; i < d.layers && !b->status; i++) {
        struct xn_attention *a = &b->recipe->layers[i].mixer.attention;
        read_layer(b, &d, i);
        xn_read_head_norms(b, &d, (int)i, a);
        a->scale = scale;
        if (!is_sliding(b, i, period) || (!b->config && window == 0)) continue;
        a->window = window;
        a->rope = local;
    }
}

static const struct xn_tensor_name tensors[] = {
    {XN_T_MIXER_POST_NORM, "post_attention_layernorm.weight", NULL},
    {XN_T_FFN_NORM, "pre_feedforward_layernorm.weight", NULL},
    {XN_T_FFN_POST_NORM, "post_feedforward_layernorm.weight", NULL},
    XN_NO_TENSOR,
};

#define GEMMA_DEFAULTS                                                                                                 \
    {XN_P_EPSILON, 1e-6}, {XN_P_HEADS, 8}, {XN_P_KV_HEADS, 4}, {XN_P_HEAD_SIZE, 256}, {XN_P_QUERY_SCALAR, 256}, {      \
        XN_P_WINDOW, 4096                                                                                              \
    }

const struct xn_family xn_family_gemma2 = {
    .name = "gemma2",
    .hf = (const char *const[]){"gemma2", "Gemma2ForCausalLM", NULL},
    .gguf = (const char *const[]){"gemma2", NULL},
    .defaults = (const struct xn_param_default[]){GEMMA_DEFAULTS,
                                                  {XN_P_CONTEXT, 8192},
                                                  {XN_P_VOCAB, 256000},
                                                  {XN_P_SOFT_CAP, 50},
                                                  {XN_P_FINAL_SOFT_CAP, 30},
                                                  XN_NO_DEFAULT},
    .tensors = tensors,
    .qkv_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .o_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .hf_rope = XN_ROPE_HALVES,
    .gguf_rope = XN_ROPE_HALVES,
    .activation = XN_ACT_GELU_TANH,
    .activation_key = "hidden_activation",
    .norm_offset = 1,
    .read = read_gemma2,
};

const struct xn_family xn_family_gemma3 = {
    .name = "gemma3",
    .hf = (const char *const[]){"gemma3_text", "gemma3", "Gemma3ForCausalLM", "Gemma3ForConditionalGeneration", NULL},
    .gguf = (const char *const[]){"gemma3", NULL},
    .defaults = (const struct xn_param_default[]){GEMMA_DEFAULTS,
                                                  {XN_P_CONTEXT, 131072},
                                                  {XN_P_VOCAB, 262208},
                                                  {XN_P_ROPE_THETA, 1e6},
                                                  {XN_P_ROPE_LOCAL_THETA, 10000},
                                                  XN_NO_DEFAULT},
    .tensors = tensors,
    .qkv_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .o_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .hf_rope = XN_ROPE_HALVES,
    .gguf_rope = XN_ROPE_HALVES,
    .activation = XN_ACT_GELU_TANH,
    .activation_key = "hidden_activation",
    .norm_offset = 1,
    .read = read_gemma3,
};
