// gpt-oss: attention with a sink a head and biases, every other layer with a window, and experts with biases and a
// clamped gate. A folder has experts as they were released (MXFP4) or transposed, gate and up rows in turn; llama.cpp
// stores them apart. Its yarn does not round, which GGUF does not say.
#include "model/families/families.h"

static const struct xn_glu glu = {.activation = XN_ACT_GELU_QUICK, .limit = 7, .up_offset = 1};

static bool has_window(struct xn_builder *b, uint32_t i) {
    int64_t sliding;
    if (xn_param_element(b, NULL, "attention.sliding_window_pattern", i, &sliding)) return sliding != 0;
    return xn_layer_type(b, i, i % 2 == 0 ? XN_LAYER_SLIDING : XN_LAYER_FULL) == XN_LAYER_SLIDING;
}

// What a folder must not say otherwise: the class has it built in.
static void check(struct xn_builder *b) {
    if (xn_param_real(b, XN_P_GLU_LIMIT, glu.limit) != glu.limit)
        xn_build_fail(b, XN_ERR_UNSUPPORTED, "%s: swiglu_limit is %g, expected %g", b->config_path,
                      xn_param_real(b, XN_P_GLU_LIMIT, 0), glu.limit);
    if (b->config && !json_object_get(b->config, "rope_parameters") && !json_object_get(b->config, "rope_scaling"))
        xn_build_fail(b, XN_ERR_FORMAT, "%s: rope_parameters (or rope_scaling) is missing", b->config_path);
}

static void read(struct xn_builder *b) {
    struct xn_decoder d;
    check(b);
    xn_read_decoder(b, &d);
    uint32_t inner = xn_param_u32(b, b->config ? XN_P_INNER : XN_P_EXPERT_INNER);
    for (uint32_t i = 0; i < d.layers && !b->status; i++) {
        struct xn_layer *layer = &b->recipe->layers[i];
        xn_read_layer_norms(b, &d, (int)i, layer);
        xn_read_attention(b, &d, (int)i, false, layer);
        struct xn_attention *a = &layer->mixer.attention;
        a->sinks = xn_read_vector(b, XN_T_SINKS, (int)i, d.heads, 0);
        if (has_window(b, i)) a->window = xn_param_u32(b, XN_P_WINDOW);
        xn_read_paired_moe(b, &d, (int)i, inner, layer);
        layer->ffn.experts.glu = glu;
    }
}

const struct xn_family xn_family_gpt_oss = {
    .name = "gpt_oss",
    .hf = (const char *const[]){"gpt_oss", "GptOssForCausalLM", NULL},
    .gguf = (const char *const[]){"gpt-oss", NULL},
    .defaults = (const struct xn_param_default[]){{XN_P_EPSILON, 1e-5},
                                                  {XN_P_CONTEXT, 131072},
                                                  {XN_P_HEADS, 64},
                                                  {XN_P_KV_HEADS, 8},
                                                  {XN_P_HEAD_SIZE, 64},
                                                  {XN_P_INNER, 2880},
                                                  {XN_P_WINDOW, 128},
                                                  {XN_P_EXPERTS, 128},
                                                  {XN_P_EXPERTS_USED, 4},
                                                  {XN_P_ATTENTION_BIAS, 1},
                                                  {XN_P_ROPE_THETA, 150000},
                                                  XN_NO_DEFAULT},
    .tensors = (const struct xn_tensor_name[]){{XN_T_FFN_NORM, NULL, "post_attention_norm.weight"},
                                               {XN_T_ROUTER, "mlp.router.weight", NULL},
                                               XN_NO_TENSOR},
    .qkv_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .o_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .hf_rope = XN_ROPE_HALVES,
    .gguf_rope = XN_ROPE_HALVES,
    .activation = XN_ACT_SILU,
    .mxfp4 = true,
    .yarn_unrounded = true,
    .read = read,
};
