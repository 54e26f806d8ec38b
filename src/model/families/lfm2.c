// LFM2: gated short convolutions, and among them attention with norms over each head of q and k. The larger ones have
// experts behind a few dense layers.
#include "model/families/families.h"

// A folder may give the size of a feed-forward as it was before a rule made it smaller and round.
static uint32_t inner_size(struct xn_builder *b) {
    uint32_t inner = xn_param_u32(b, XN_P_INNER);
    if (!b->config || !xn_param_flag(b, XN_P_FFN_ADJUST, true)) return inner;
    inner = 2 * inner / 3;
    double factor;
    if (!xn_param_find(b, XN_P_FFN_FACTOR, &factor)) return inner;
    uint32_t multiple = xn_param_u32(b, XN_P_FFN_MULTIPLE);
    return ((uint32_t)(factor * inner) + multiple - 1) / multiple * multiple;
}

// A folder may list the layers with attention instead of all layers' types; by neither all have it.
static bool is_conv(struct xn_builder *b, uint32_t i) {
    bool listed = b->config && json_is_array(json_object_get(b->config, "full_attn_idxs"));
    return xn_layer_is_recurrent(b, i, listed && !xn_param_lists(b, "full_attn_idxs", i));
}

static void read_mixer(struct xn_builder *b, const struct xn_decoder *d, uint32_t i) {
    struct xn_layer *layer = &b->recipe->layers[i];
    xn_read_layer_norms(b, d, (int)i, layer);
    if (is_conv(b, i)) {
        xn_read_short_conv(b, d, (int)i, &layer->mixer);
        return;
    }
    xn_read_attention(b, d, (int)i, false, layer);
    xn_read_head_norms(b, d, (int)i, &layer->mixer.attention);
    layer->mixer.attention.window = b->config ? 0 : xn_param_u32_or(b, XN_P_WINDOW, 0);
}

static void read_dense(struct xn_builder *b) {
    struct xn_decoder d;
    xn_read_decoder(b, &d);
    uint32_t inner = inner_size(b);
    for (uint32_t i = 0; i < d.layers && !b->status; i++) {
        read_mixer(b, &d, i);
        b->recipe->layers[i].ffn.kind = XN_FFN_DENSE;
        xn_read_dense_of(b, &d, (int)i, inner, &b->recipe->layers[i].ffn.dense);
    }
}

// llama.cpp's converter takes rms_norm_eps of a folder that has both, although the model computes with norm_eps. Where
// that is what configurations have by default (10^-6), norm_eps was what all published models have.
static void correct_epsilon(struct xn_builder *b, struct xn_decoder *d) {
    if (b->config || d->epsilon != 1e-6f) return;
    d->epsilon = b->recipe->final_norm.epsilon = 1e-5f;
}

static void read_moe(struct xn_builder *b) {
    struct xn_decoder d;
    xn_read_decoder(b, &d);
    correct_epsilon(b, &d);
    uint32_t dense = xn_param_u32_or(b, XN_P_DENSE_LEAD, 0);
    for (uint32_t i = 0; i < d.layers && !b->status; i++) {
        struct xn_layer *layer = &b->recipe->layers[i];
        read_mixer(b, &d, i);
        if (i < dense) {
            xn_read_dense(b, &d, (int)i, layer);
            continue;
        }
        xn_read_grouped_moe(b, &d, (int)i, XN_ROUTER_SIGMOID, layer);
        layer->ffn.experts.normalize = xn_param_flag(b, XN_P_NORMALIZE, true); // GGUF does not keep it
        layer->ffn.experts.sum_epsilon = 1e-6f;
    }
}

const struct xn_family xn_family_lfm2 = {
    .name = "lfm2",
    .hf = (const char *const[]){"lfm2", "Lfm2ForCausalLM", "LFM2ForCausalLM", NULL},
    .gguf = (const char *const[]){"lfm2", NULL},
    .defaults = (const struct xn_param_default[]){{XN_P_EPSILON, 1e-5},
                                                  {XN_P_CONTEXT, 128000},
                                                  {XN_P_HEADS, 32},
                                                  {XN_P_KV_HEADS, 8},
                                                  {XN_P_INNER, 12288},
                                                  {XN_P_FFN_FACTOR, 1},
                                                  {XN_P_FFN_MULTIPLE, 256},
                                                  {XN_P_SHORT_KERNEL, 3},
                                                  {XN_P_ROPE_THETA, 1e6},
                                                  XN_NO_DEFAULT},
    .tensors = (const struct xn_tensor_name[]){XN_SHORT_CONV_TENSORS, XN_NO_TENSOR},
    .params = (const struct xn_param_name[]){{XN_P_EPSILON, "norm_eps", NULL},
                                             {XN_P_INNER, "block_ff_dim|intermediate_size", NULL},
                                             XN_NO_PARAM},
    .hf_rope = XN_ROPE_HALVES,
    .gguf_rope = XN_ROPE_HALVES,
    .activation = XN_ACT_SILU,
    .activation_key = "", // config.json may not choose
    .read = read_dense,
};

const struct xn_family xn_family_lfm2_moe = {
    .name = "lfm2_moe",
    .hf = (const char *const[]){"lfm2_moe", "Lfm2MoeForCausalLM", NULL},
    .gguf = (const char *const[]){"lfm2moe", NULL},
    .defaults = (const struct xn_param_default[]){{XN_P_EPSILON, 1e-5},
                                                  {XN_P_CONTEXT, 128000},
                                                  {XN_P_HEADS, 32},
                                                  {XN_P_KV_HEADS, 8},
                                                  {XN_P_INNER, 7168},
                                                  {XN_P_EXPERTS, 32},
                                                  {XN_P_EXPERTS_USED, 4},
                                                  {XN_P_EXPERT_INNER, 1792},
                                                  {XN_P_DENSE_LEAD, 2},
                                                  {XN_P_SHORT_KERNEL, 3},
                                                  {XN_P_ROPE_THETA, 1e6},
                                                  XN_NO_DEFAULT},
    .tensors = (const struct xn_tensor_name[]){XN_SHORT_CONV_TENSORS,
                                               {XN_T_ROUTER, "feed_forward.gate.weight", NULL},
                                               {XN_T_SELECTION_BIAS, "feed_forward.expert_bias", NULL},
                                               {XN_T_EXPERTS_GATE_UP, "feed_forward.experts.gate_up_proj", NULL},
                                               {XN_T_EXPERTS_DOWN, "feed_forward.experts.down_proj", NULL},
                                               {XN_T_EXPERT_GATE, "feed_forward.experts.%u.w1.weight", NULL},
                                               {XN_T_EXPERT_UP, "feed_forward.experts.%u.w3.weight", NULL},
                                               {XN_T_EXPERT_DOWN, "feed_forward.experts.%u.w2.weight", NULL},
                                               XN_NO_TENSOR},
    .params = (const struct xn_param_name[]){{XN_P_EPSILON, "norm_eps", NULL},
                                             {XN_P_DENSE_LEAD, "num_dense_layers", NULL},
                                             {XN_P_GROUPS, "", NULL},
                                             {XN_P_SHARED_COUNT, "", NULL},
                                             XN_NO_PARAM},
    .hf_rope = XN_ROPE_HALVES,
    .gguf_rope = XN_ROPE_HALVES,
    .activation = XN_ACT_SILU,
    .activation_key = "",
    .read = read_moe,
};
