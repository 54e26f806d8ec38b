// SmolLM3: Llama with every fourth layer without rope, which may have a window.
#include "model/families/families.h"

static void read(struct xn_builder *b) {
    struct xn_decoder d;
    xn_read_decoder(b, &d);
    uint32_t interval = xn_param_u32_or(b, XN_P_NO_ROPE_INTERVAL, 4);
    uint32_t window = xn_param_flag(b, XN_P_USE_WINDOW, false) ? xn_param_u32_or(b, XN_P_WINDOW, 0) : 0;
    for (uint32_t i = 0; i < d.layers && !b->status; i++) {
        struct xn_layer *layer = &b->recipe->layers[i];
        int64_t rotates;
        if (!xn_param_element(b, "no_rope_layers", NULL, i, &rotates)) rotates = (i + 1) % interval != 0;
        xn_read_layer_norms(b, &d, (int)i, layer);
        xn_read_attention(b, &d, (int)i, false, layer);
        if (!rotates) layer->mixer.attention.rope.kind = XN_ROPE_NONE;
        if (xn_layer_type(b, i, rotates ? XN_LAYER_FULL : XN_LAYER_SLIDING) == XN_LAYER_SLIDING)
            layer->mixer.attention.window = window;
        xn_read_dense(b, &d, (int)i, layer);
    }
}

const struct xn_family xn_family_smollm3 = {
    .name = "smollm3",
    .hf = (const char *const[]){"smollm3", "SmolLM3ForCausalLM", NULL},
    .gguf = (const char *const[]){"smollm3", NULL},
    .defaults = (const struct xn_param_default[]){{XN_P_EPSILON, 1e-6},
                                                  {XN_P_CONTEXT, 32768},
                                                  {XN_P_HEADS, 16},
                                                  {XN_P_KV_HEADS, 4},
                                                  {XN_P_ROPE_THETA, 2e6},
                                                  XN_NO_DEFAULT},
    .qkv_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .o_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .ffn_bias = {XN_BIAS_FLAG, XN_P_MLP_BIAS},
    .hf_rope = XN_ROPE_HALVES,
    .gguf_rope = XN_ROPE_PAIRS, // llama.cpp reorders the rows of q and k as it does for Llama
    .activation = XN_ACT_SILU,
    .read = read,
};
