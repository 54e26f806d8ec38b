// Phi-3 and Phi-4-mini: Llama with q, k, v in one matrix and gate, up in another, LongRoPE, and at times a window in
// every layer.
#include "model/families/families.h"

static void read(struct xn_builder *b) {
    struct xn_decoder d;
    xn_read_decoder(b, &d);
    uint32_t window = xn_param_u32_or(b, XN_P_WINDOW, 0);
    for (uint32_t i = 0; i < d.layers && !b->status; i++) {
        struct xn_layer *layer = &b->recipe->layers[i];
        xn_read_layer_norms(b, &d, (int)i, layer);
        xn_read_attention(b, &d, (int)i, false, layer);
        layer->mixer.attention.window = window;
        xn_read_dense(b, &d, (int)i, layer);
    }
}

const struct xn_family xn_family_phi3 = {
    .name = "phi3",
    .hf = (const char *const[]){"phi3", "Phi3ForCausalLM", NULL},
    .gguf = (const char *const[]){"phi3", NULL},
    .defaults =
        (const struct xn_param_default[]){
            {XN_P_EPSILON, 1e-5}, {XN_P_CONTEXT, 4096}, {XN_P_ROPE_ORIGINAL, 4096}, {XN_P_HEADS, 32}, XN_NO_DEFAULT},
    .hf_rope = XN_ROPE_HALVES,
    .gguf_rope = XN_ROPE_HALVES,
    .activation = XN_ACT_SILU,
    .read = read,
};
