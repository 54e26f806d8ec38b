// DeepSeek V2 and V3 (and R1, Kimi K2, which are V3): latent attention, and behind a few dense layers experts chosen
// within groups, V2 by a softmax and V3 by sigmoids with a bias. GGUF has one architecture for both; layers that
// predict further tokens lie behind the others.
#include "model/families/families.h"

#include <string.h>

static void read_layers(struct xn_builder *b, const struct xn_decoder *d, enum xn_router_score score) {
    uint32_t dense = xn_param_u32_or(b, XN_P_DENSE_LEAD, 0);
    if (xn_param_u32_or(b, XN_P_EXPERT_INTERVAL, 1) != 1)
        xn_build_fail(b, XN_ERR_UNSUPPORTED, "%s: moe_layer_freq is %u, expected 1", b->config_path,
                      xn_param_u32_or(b, XN_P_EXPERT_INTERVAL, 1));
    for (uint32_t i = 0; i < d->layers && !b->status; i++) {
        struct xn_layer *layer = &b->recipe->layers[i];
        xn_read_layer_norms(b, d, (int)i, layer);
        xn_read_latent_attention(b, d, (int)i, layer);
        if (i < dense)
            xn_read_dense(b, d, (int)i, layer);
        else
            xn_read_grouped_moe(b, d, (int)i, score, layer);
    }
}

// GGUF holds one of yarn's two factors for cos and sin: they are the same in all that were published.
static void read_v3(struct xn_builder *b) {
    struct xn_decoder d;
    double factor;
    xn_read_decoder(b, &d);
    if (b->config && !xn_param_flag(b, XN_P_ROPE_INTERLEAVE, false)) d.rope.kind = XN_ROPE_HALVES;
    if (!b->config && xn_param_real(b, XN_P_ROPE_MSCALE_ALL, 0) > 0 && !xn_param_find(b, XN_P_ROPE_ATTENTION, &factor))
        d.rope.magnitude = 1;
    if (d.rope.query_beta != 0)
        xn_build_fail(b, XN_ERR_UNSUPPORTED, "%s: %s.attention.temperature_scale is set, which is not supported",
                      b->config_path, b->arch);
    read_layers(b, &d, b->config ? XN_ROUTER_SIGMOID : XN_ROUTER_SOFTMAX);
}

// The published weights are never normalised; groups count only where the method names them.
static void read_v2(struct xn_builder *b) {
    struct xn_decoder d;
    const char *method = xn_param_string(b, "topk_method", NULL);
    bool grouped = method && strcmp(method, "group_limited_greedy") == 0;
    if (method && !grouped && strcmp(method, "greedy") != 0)
        xn_build_fail(b, XN_ERR_UNSUPPORTED, "%s: topk_method is '%.64s', expected greedy or group_limited_greedy",
                      b->config_path, method);
    xn_read_decoder(b, &d);
    read_layers(b, &d, XN_ROUTER_SOFTMAX);
    for (uint32_t i = 0; i < b->recipe->n_layers; i++) {
        struct xn_ffn *ffn = &b->recipe->layers[i].ffn;
        if (ffn->kind != XN_FFN_EXPERTS) continue;
        ffn->experts.normalize = false;
        if (!grouped) ffn->experts.groups = 1;
    }
}

// The head size of a folder is what rotates: keys of two parts are the latent attention's own matter.
static const struct xn_param_name names[] = {{XN_P_HEAD_SIZE, "qk_rope_head_dim", NULL}, XN_NO_PARAM};

static const struct xn_tensor_name tensors[] = {{XN_T_SHARED_GATE, "mlp.shared_experts.gate_proj.weight", NULL},
                                                {XN_T_SHARED_UP, "mlp.shared_experts.up_proj.weight", NULL},
                                                {XN_T_SHARED_DOWN, "mlp.shared_experts.down_proj.weight", NULL},
                                                XN_NO_TENSOR};

const struct xn_family xn_family_deepseek_v2 = {
    .name = "deepseek_v2",
    .hf = (const char *const[]){"deepseek_v2", "DeepseekV2ForCausalLM", NULL},
    .gguf = (const char *const[]){NULL},
    .defaults = (const struct xn_param_default[]){{XN_P_EPSILON, 1e-6},
                                                  {XN_P_CONTEXT, 2048},
                                                  {XN_P_HEADS, 32},
                                                  {XN_P_HEAD_SIZE, 64},
                                                  {XN_P_INNER, 11008},
                                                  {XN_P_Q_RANK, 1536},
                                                  {XN_P_LATENT_RANK, 512},
                                                  {XN_P_NOPE_SIZE, 128},
                                                  {XN_P_LATENT_VALUE_SIZE, 128},
                                                  {XN_P_EXPERTS, 64},
                                                  {XN_P_EXPERT_INNER, 1407},
                                                  {XN_P_SHARED_COUNT, 2},
                                                  XN_NO_DEFAULT},
    .tensors = tensors,
    .params = names,
    .qkv_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .o_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .ffn_bias = {XN_BIAS_FLAG, XN_P_MLP_BIAS},
    .hf_rope = XN_ROPE_PAIRS,
    .activation = XN_ACT_SILU,
    .read = read_v2,
};

const struct xn_family xn_family_deepseek_v3 = {
    .name = "deepseek_v3",
    .hf = (const char *const[]){"deepseek_v3", "DeepseekV3ForCausalLM", NULL},
    .gguf = (const char *const[]){"deepseek2", NULL},
    .defaults = (const struct xn_param_default[]){{XN_P_EPSILON, 1e-6},
                                                  {XN_P_CONTEXT, 4096},
                                                  {XN_P_HEADS, 128},
                                                  {XN_P_HEAD_SIZE, 64},
                                                  {XN_P_INNER, 18432},
                                                  {XN_P_Q_RANK, 1536},
                                                  {XN_P_LATENT_RANK, 512},
                                                  {XN_P_NOPE_SIZE, 128},
                                                  {XN_P_LATENT_VALUE_SIZE, 128},
                                                  {XN_P_EXPERTS, 256},
                                                  {XN_P_EXPERTS_USED, 8},
                                                  {XN_P_EXPERT_INNER, 2048},
                                                  {XN_P_SHARED_COUNT, 1},
                                                  {XN_P_DENSE_LEAD, 3},
                                                  {XN_P_GROUPS, 8},
                                                  {XN_P_GROUPS_USED, 4},
                                                  {XN_P_NORMALIZE, 1},
                                                  {XN_P_ROPE_INTERLEAVE, 1},
                                                  XN_NO_DEFAULT},
    .tensors = tensors,
    .params = names,
    .qkv_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .o_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .hf_rope = XN_ROPE_PAIRS,
    .gguf_rope = XN_ROPE_PAIRS,
    .activation = XN_ACT_SILU,
    .read = read_v3,
};
