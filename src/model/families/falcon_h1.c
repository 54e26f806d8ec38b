// Falcon-H1: attention and Mamba-2 beside each other in every layer, and a factor wherever two parts meet. A folder's
// factors go where the recipe has room for one: into the norms, the convolution, the scale of q.k. llama.cpp's
// converter multiplies the matrices instead, and reads a gated norm as one behind the gate.
#include "model/families/families.h"

static const float *times(struct xn_builder *b, const float *values, uint64_t n, float factor) {
    if (factor == 1 || !values) return values;
    float *out = xn_build_alloc(b, n, sizeof *out);
    for (uint64_t i = 0; out && i < n; i++)
        out[i] = factor * values[i];
    return out;
}

static float factor_of(struct xn_builder *b, enum xn_param param) {
    return (float)xn_param_real(b, param, 1);
}

static void read_attention(struct xn_builder *b, const struct xn_decoder *d, int layer, struct xn_layer *out) {
    xn_read_attention(b, d, layer, false, out);
    struct xn_mixer *mixer = &out->mixer;
    mixer->norm.weight = times(b, mixer->norm.weight, d->hidden, factor_of(b, XN_P_FACTOR_ATTENTION_IN));
    mixer->attention.scale *= factor_of(b, XN_P_FACTOR_KEY);
    mixer->scale = factor_of(b, XN_P_FACTOR_ATTENTION_OUT);
}

// x, B and C have a factor each: the convolution's taps take them.
static void scale_convolution(struct xn_builder *b, struct xn_state_space *s, const float factors[3]) {
    uint32_t inner = s->heads * s->head_size, keys = s->groups * s->state_size, channels = inner + 2 * keys;
    float *conv = xn_build_alloc(b, (size_t)channels * s->kernel, sizeof *conv);
    for (uint32_t c = 0; conv && c < channels; c++)
        for (uint32_t t = 0; t < s->kernel; t++)
            conv[c * s->kernel + t] = s->conv[c * s->kernel + t] * factors[c < inner ? 0 : c < inner + keys ? 1 : 2];
    s->conv = conv;
}

static void read_state_space(struct xn_builder *b, const struct xn_decoder *d, int layer, struct xn_mixer *out) {
    struct xn_state_space *s = &out->state_space;
    float factors[5]; // z, x, B, C, dt
    bool norm = b->config ? xn_param_flag(b, XN_P_SSM_NORM, false) : xn_tensor_find(b, XN_T_SSM_NORM, layer) != NULL;
    xn_read_norm(b, XN_T_MIXER_NORM, layer, d->hidden, d->epsilon, &out->norm);
    xn_read_state_space(b, d, layer, norm, out);
    xn_param_factors(b, "ssm_multipliers", 5, factors);
    if (b->status) return;
    s->norm_groups = s->groups;
    s->norm_before_gate = b->config && xn_param_flag(b, XN_P_SSM_NORM_FIRST, true);
    s->z_scale = factors[0];
    s->dt_scale = factors[4];
    scale_convolution(b, s, factors + 1);
    out->norm.weight = times(b, out->norm.weight, d->hidden, factor_of(b, XN_P_FACTOR_SSM_IN));
    out->scale = factor_of(b, XN_P_FACTOR_SSM_OUT);
}

static void read(struct xn_builder *b) {
    struct xn_decoder d;
    float ffn[2]; // of gate and down
    xn_read_decoder(b, &d);
    xn_check_silu(b, "hidden_act");
    xn_param_factors(b, "mlp_multipliers", 2, ffn);
    b->recipe->embedding_scale = factor_of(b, XN_P_EMBEDDING_SCALE);
    b->recipe->logit_scale = factor_of(b, XN_P_FACTOR_HEAD);
    for (uint32_t i = 0; i < d.layers && !b->status; i++) {
        struct xn_layer *layer = &b->recipe->layers[i];
        xn_read_layer_norms(b, &d, (int)i, layer);
        read_attention(b, &d, (int)i, layer);
        layer->beside = xn_build_alloc(b, 1, sizeof *layer->beside);
        if (layer->beside) read_state_space(b, &d, (int)i, layer->beside);
        xn_read_dense(b, &d, (int)i, layer);
        layer->ffn.dense.glu.gate_scale = ffn[0];
        layer->ffn.dense.down_scale = ffn[1];
    }
}

const struct xn_family xn_family_falcon_h1 = {
    .name = "falcon_h1",
    .hf = (const char *const[]){"falcon_h1", "FalconH1ForCausalLM", NULL},
    .gguf = (const char *const[]){"falcon-h1", NULL},
    .defaults = (const struct xn_param_default[]){{XN_P_EPSILON, 1e-5},
                                                  {XN_P_CONTEXT, 8192},
                                                  {XN_P_HEADS, 32},
                                                  {XN_P_KV_HEADS, 8},
                                                  {XN_P_INNER, 14336},
                                                  {XN_P_SSM_HEADS, 128},
                                                  {XN_P_SSM_INNER, 1024},
                                                  {XN_P_SSM_EXPAND, 2},
                                                  {XN_P_SSM_GROUPS, 1},
                                                  {XN_P_SSM_STATE, 256},
                                                  {XN_P_SSM_KERNEL, 4},
                                                  {XN_P_SSM_CONV_BIAS, 1},
                                                  XN_NO_DEFAULT},
    .tensors = (const struct xn_tensor_name[]){{XN_T_FINAL_NORM, "final_layernorm.weight", NULL},
                                               {XN_T_FFN_NORM, "pre_ff_layernorm.weight", "ffn_norm|ffn_norm.weight"},
                                               {XN_T_GATE, "feed_forward.gate_proj.weight", NULL},
                                               {XN_T_UP, "feed_forward.up_proj.weight", NULL},
                                               {XN_T_DOWN, "feed_forward.down_proj.weight", NULL},
                                               XN_NO_TENSOR},
    .params = (const struct xn_param_name[]){{XN_P_SSM_OUT_BIAS, "projectors_bias", NULL}, XN_NO_PARAM},
    .qkv_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .o_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .ffn_bias = {XN_BIAS_FLAG, XN_P_MLP_BIAS},
    .hf_rope = XN_ROPE_HALVES,
    .gguf_rope = XN_ROPE_HALVES,
    .activation = XN_ACT_SILU,
    .read = read,
};
