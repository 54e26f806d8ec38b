// Granite: Llama with four given factors: of the embedding, of q.k, of what a layer adds, and a divisor of the logits.
#include "model/families/families.h"

#include <math.h>

static void read(struct xn_builder *b) {
    struct xn_decoder d;
    xn_read_decoder(b, &d);
    struct xn_recipe *r = b->recipe;
    r->embedding_scale = (float)xn_param_real(b, XN_P_EMBEDDING_SCALE, 1);
    r->logit_scale = (float)(1 / xn_param_real(b, XN_P_LOGIT_SCALE, 1));
    float residual = (float)xn_param_real(b, XN_P_RESIDUAL_SCALE, 1);
    float scale = (float)xn_param_real(b, XN_P_ATTENTION_SCALE, 1 / sqrt(d.head_size));
    for (uint32_t i = 0; i < d.layers && !b->status; i++) {
        struct xn_layer *layer = &r->layers[i];
        xn_read_layer_norms(b, &d, (int)i, layer);
        xn_read_attention(b, &d, (int)i, false, layer);
        layer->mixer.attention.scale = scale;
        xn_read_dense(b, &d, (int)i, layer);
        layer->residual_scale = residual;
    }
}

const struct xn_family xn_family_granite = {
    .name = "granite",
    .hf = (const char *const[]){"granite", "GraniteForCausalLM", NULL},
    .gguf = (const char *const[]){"granite", NULL},
    .defaults =
        (const struct xn_param_default[]){
            {XN_P_EPSILON, 1e-6}, {XN_P_CONTEXT, 2048}, {XN_P_HEADS, 32}, {XN_P_ATTENTION_SCALE, 1}, XN_NO_DEFAULT},
    .qkv_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .o_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .ffn_bias = {XN_BIAS_FLAG, XN_P_MLP_BIAS},
    .hf_rope = XN_ROPE_HALVES,
    .gguf_rope = XN_ROPE_PAIRS, // llama.cpp reorders the rows of q and k as it does for Llama
    .activation = XN_ACT_SILU,
    .read = read,
};
