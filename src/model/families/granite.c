// Granite: Llama with four given factors: of the embedding, of q.k, of what a layer adds, and a divisor of the logits.
// Some have experts, and a shared one among them; of Granite 4 most layers are Mamba-2, and attention may have no rope.
#include "model/families/families.h"

#include <math.h>
#include <string.h>

static void read_decoder(struct xn_builder *b, struct xn_decoder *d) {
    xn_read_decoder(b, d);
    b->recipe->embedding_scale = (float)xn_param_real(b, XN_P_EMBEDDING_SCALE, 1);
    b->recipe->logit_scale = (float)(1 / xn_param_real(b, XN_P_LOGIT_SCALE, 1));
    // llama.cpp's sign for no rope
    if (!b->config && !xn_param_flag(b, XN_P_ROPE_FINETUNED, true)) d->rope = (struct xn_rope){.magnitude = 1};
}

// All but the feed-forward.
static void read_layer(struct xn_builder *b, const struct xn_decoder *d, uint32_t i) {
    struct xn_layer *layer = &b->recipe->layers[i];
    layer->residual_scale = (float)xn_param_real(b, XN_P_RESIDUAL_SCALE, 1);
    xn_read_layer_norms(b, d, (int)i, layer);
    xn_read_attention(b, d, (int)i, false, layer);
    layer->mixer.attention.scale = (float)xn_param_real(b, XN_P_ATTENTION_SCALE, 1 / sqrt(d->head_size));
}

static void read(struct xn_builder *b) {
    struct xn_decoder d;
    read_decoder(b, &d);
    for (uint32_t i = 0; i < d.layers && !b->status; i++) {
        read_layer(b, &d, i);
        xn_read_dense(b, &d, (int)i, &b->recipe->layers[i]);
    }
}

// Experts of intermediate_size beside a shared one, or the shared one alone. A folder's shared expert has gate and up
// in one matrix, in GGUF without experts it is the dense feed-forward.
static void read_experts(struct xn_builder *b, const struct xn_decoder *d, int layer, struct xn_layer *out) {
    struct xn_ffn *ffn = &out->ffn;
    uint32_t shared = xn_param_u32_or(b, XN_P_SHARED_INNER, 0);
    if (xn_param_u32_or(b, XN_P_EXPERTS, 0) == 0) {
        ffn->kind = XN_FFN_DENSE;
        xn_read_dense_of(b, d, layer, shared ? shared : xn_param_inner(b, (uint32_t)layer), &ffn->dense);
        return;
    }
    xn_read_moe(b, d, layer, xn_param_inner(b, (uint32_t)layer), 0, true, out);
    if (shared && b->config)
        xn_read_dense_of(b, d, layer, shared, &ffn->experts.shared);
    else if (shared)
        xn_read_shared_expert(b, d, layer, shared, &ffn->experts.shared);
}

static void read_moe(struct xn_builder *b) {
    struct xn_decoder d;
    read_decoder(b, &d);
    for (uint32_t i = 0; i < d.layers && !b->status; i++) {
        read_layer(b, &d, i);
        read_experts(b, &d, (int)i, &b->recipe->layers[i]);
    }
}

static void read_hybrid(struct xn_builder *b) {
    struct xn_decoder d;
    read_decoder(b, &d);
    const char *position = xn_param_string(b, "position_embedding_type", NULL);
    if (b->config && !(position && strcmp(position, "rope") == 0)) d.rope = (struct xn_rope){.magnitude = 1};
    for (uint32_t i = 0; i < d.layers && !b->status; i++) {
        struct xn_layer *layer = &b->recipe->layers[i];
        if (xn_layer_is_recurrent(b, i, true)) {
            xn_check_silu(b, "hidden_act");
            xn_read_layer_norms(b, &d, (int)i, layer);
            xn_read_state_space(b, &d, (int)i, true, &layer->mixer);
            layer->residual_scale = (float)xn_param_real(b, XN_P_RESIDUAL_SCALE, 1);
        } else {
            read_layer(b, &d, i);
        }
        read_experts(b, &d, (int)i, layer);
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

#define EXPERT_DEFAULTS                                                                                                \
    {XN_P_EPSILON, 1e-6}, {XN_P_CONTEXT, 2048}, {XN_P_HEADS, 32}, {XN_P_ATTENTION_SCALE, 1}, {XN_P_INNER, 11008},      \
        {XN_P_EXPERTS, 8}, {                                                                                           \
        XN_P_EXPERTS_USED, 2                                                                                           \
    }

static const struct xn_tensor_name expert_tensors[] = {
    {XN_T_ROUTER, "block_sparse_moe.router.layer.weight|block_sparse_moe.router.weight", NULL},
    {XN_T_EXPERTS_GATE_UP, "block_sparse_moe.input_linear.weight|block_sparse_moe.experts.gate_up_proj", NULL},
    {XN_T_EXPERTS_DOWN, "block_sparse_moe.output_linear.weight|block_sparse_moe.experts.down_proj", NULL},
    {XN_T_EXPERT_GATE, "block_sparse_moe.input_linear.weight", NULL}, // there is no other form: for the message
    {XN_T_EXPERT_DOWN, "block_sparse_moe.output_linear.weight", NULL},
    {XN_T_GATE_UP, "shared_mlp.input_linear.weight", NULL},
    {XN_T_DOWN, "shared_mlp.output_linear.weight", NULL},
    XN_NO_TENSOR,
};

const struct xn_family xn_family_granitemoe = {
    .name = "granitemoe",
    .hf = (const char *const[]){"granitemoe", "granitemoeshared", "GraniteMoeForCausalLM",
                                "GraniteMoeSharedForCausalLM", NULL},
    .gguf = (const char *const[]){"granitemoe", NULL},
    .defaults = (const struct xn_param_default[]){EXPERT_DEFAULTS, XN_NO_DEFAULT},
    .tensors = expert_tensors,
    .params = (const struct xn_param_name[]){{XN_P_SHARED_INNER, "shared_intermediate_size", NULL}, XN_NO_PARAM},
    .qkv_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .o_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .hf_rope = XN_ROPE_HALVES,
    .gguf_rope = XN_ROPE_PAIRS,
    .activation = XN_ACT_SILU,
    .read = read_moe,
};

const struct xn_family xn_family_granitemoehybrid = {
    .name = "granitemoehybrid",
    .hf = (const char *const[]){"granitemoehybrid", "GraniteMoeHybridForCausalLM", NULL},
    .gguf = (const char *const[]){"granitehybrid", NULL},
    .defaults = (const struct xn_param_default[]){EXPERT_DEFAULTS,
                                                  {XN_P_SHARED_INNER, 1024},
                                                  {XN_P_SSM_HEADS, 128},
                                                  {XN_P_SSM_EXPAND, 2},
                                                  {XN_P_SSM_GROUPS, 1},
                                                  {XN_P_SSM_STATE, 256},
                                                  {XN_P_SSM_KERNEL, 4},
                                                  {XN_P_SSM_CONV_BIAS, 1},
                                                  XN_NO_DEFAULT},
    .tensors = expert_tensors,
    .params = (const struct xn_param_name[]){{XN_P_SHARED_INNER, "shared_intermediate_size", NULL},
                                             {XN_P_SSM_INNER, "", NULL},
                                             XN_NO_PARAM},
    .qkv_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .o_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},
    .hf_rope = XN_ROPE_HALVES,
    .gguf_rope = XN_ROPE_PAIRS,
    .activation = XN_ACT_SILU,
    .read = read_hybrid,
};
