// LFM2: gated short convolutions, and among them attention with norms over each head of q and k.
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

static void read(struct xn_builder *b) {
    struct xn_decoder d;
    xn_read_decoder(b, &d);
    uint32_t inner = inner_size(b), window = b->config ? 0 : xn_param_u32_or(b, XN_P_WINDOW, 0);
    for (uint32_t i = 0; i < d.layers && !b->status; i++) {
        struct xn_layer *layer = &b->recipe->layers[i];
        xn_read_layer_norms(b, &d, (int)i, layer);
        if (is_conv(b, i)) {
            xn_read_short_conv(b, &d, (int)i, &layer->mixer);
        } else {
            xn_read_attention(b, &d, (int)i, false, layer);
            xn_read_head_norms(b, &d, (int)i, &layer->mixer.attention);
            layer->mixer.attention.window = window;
        }
        layer->ffn.kind = XN_FFN_DENSE;
        xn_read_dense_of(b, &d, (int)i, inner, &layer->ffn.dense);
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
    .read = read,
};
