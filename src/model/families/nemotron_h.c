// Nemotron-H: each layer is one thing alone, Mamba-2 or attention without a rope, a feed-forward without a gate or
// experts of that form, which may work in a latent space.
#include "model/families/families.h"

#include <math.h>
#include <string.h>

enum kind { STATE_SPACE, ATTENTION, DENSE, EXPERTS, KINDS };
static const struct {
    const char *name;
    char letter; // in hybrid_override_pattern
    enum kind kind;
} kinds[] = {
    {"linear_attention", 'M', STATE_SPACE}, {"mamba", 'M', STATE_SPACE}, {"full_attention", '*', ATTENTION},
    {"attention", '*', ATTENTION},          {"mlp", '-', DENSE},         {"moe", 'E', EXPERTS},
};

// How a folder says what its layers are: a list of names, else a letter each. One of the two is NULL.
static const json_t *layer_list(struct xn_builder *b, const char **pattern) {
    static const char *const keys[] = {"layers_block_type", "layer_types"};
    *pattern = NULL;
    for (int k = 0; k < 2; k++) {
        const json_t *list = json_object_get(b->config, keys[k]);
        if (json_is_array(list)) return list;
    }
    *pattern = xn_param_string(b, "hybrid_override_pattern", NULL);
    return NULL;
}

static void count_layers(struct xn_builder *b) {
    const char *pattern;
    const json_t *list = b->config ? layer_list(b, &pattern) : NULL;
    if (!b->config) return;
    size_t n = list ? json_array_size(list) : pattern ? strlen(pattern) : 0;
    if (n == 0 || n > 1024)
        xn_build_fail(b, XN_ERR_FORMAT,
                      "%s: layers_block_type or hybrid_override_pattern lists %zu layers, expected 1 to 1024",
                      b->config_path, n);
    b->layers = (uint32_t)n;
}

static enum kind listed_kind(struct xn_builder *b, uint32_t i) {
    const char *pattern, *name = "";
    const json_t *list = layer_list(b, &pattern);
    char letter[2] = {pattern ? pattern[i] : 0};
    if (list) name = json_string_value(json_array_get(list, i));
    for (size_t k = 0; name && k < sizeof kinds / sizeof *kinds; k++)
        if (list ? strcmp(name, kinds[k].name) == 0 : letter[0] == kinds[k].letter) return kinds[k].kind;
    xn_build_fail(b, XN_ERR_FORMAT,
                  "%s: layer %u is '%.64s', expected linear_attention, full_attention, mlp or moe in "
                  "layers_block_type, or M, *, - or E in hybrid_override_pattern",
                  b->config_path, i, list ? name ? name : "no name" : letter);
    return KINDS;
}

// GGUF: a layer without a feed-forward and without key and value heads is recurrent.
static enum kind kind_of(struct xn_builder *b, uint32_t i) {
    if (b->config) return listed_kind(b, i);
    if (xn_tensor_find(b, XN_T_ROUTER, (int)i)) return EXPERTS;
    if (xn_tensor_find(b, XN_T_UP, (int)i)) return DENSE;
    return xn_param_layer(b, XN_P_KV_HEADS, i, 0) ? ATTENTION : STATE_SPACE;
}

static void read_state_space(struct xn_builder *b, const struct xn_decoder *d, int layer, struct xn_mixer *mixer) {
    struct xn_state_space *s = &mixer->state_space;
    xn_read_state_space(b, d, layer, true, mixer);
    s->norm_groups = s->groups;
    s->dt_min = (float)xn_param_real(b, XN_P_SSM_TIME_MIN, 1e-3); // GGUF does not keep it
    s->dt_max = INFINITY;
}

// llama.cpp's converter gives a dense layer among experts no size.
static void read_dense(struct xn_builder *b, const struct xn_decoder *d, int layer, struct xn_layer *out) {
    const struct xn_tensor *up = b->config ? NULL : xn_tensor_find(b, XN_T_UP, layer);
    uint64_t inner = up && up->dims[1] <= 1 << 20 ? up->dims[1] : xn_param_inner(b, (uint32_t)layer);
    out->ffn.kind = XN_FFN_DENSE;
    xn_read_dense_of(b, d, layer, inner, &out->ffn.dense);
}

static void read_experts(struct xn_builder *b, const struct xn_decoder *d, int layer, struct xn_layer *out) {
    xn_read_grouped_moe(b, d, layer, XN_ROUTER_SIGMOID, out);
    xn_read_shared_expert(b, d, layer, xn_param_u32(b, XN_P_SHARED_INNER), &out->ffn.experts.shared);
}

// The reference ties no head, whatever the configuration says.
static void read_head(struct xn_builder *b, const struct xn_decoder *d) {
    if (xn_tensor_find(b, XN_T_HEAD, XN_NO_LAYER))
        xn_read_matrix(b, XN_T_HEAD, XN_NO_LAYER, b->recipe->vocab, d->hidden, &b->recipe->head);
}

static void read_layer(struct xn_builder *b, const struct xn_decoder *d, uint32_t i) {
    struct xn_layer *layer = &b->recipe->layers[i];
    enum kind kind = kind_of(b, i);
    struct xn_norm norm;
    xn_read_norm(b, XN_T_MIXER_NORM, (int)i, d->hidden, d->epsilon, &norm);
    *(kind == STATE_SPACE || kind == ATTENTION ? &layer->mixer.norm : &layer->ffn.norm) = norm;
    if (kind == STATE_SPACE)
        read_state_space(b, d, (int)i, &layer->mixer);
    else if (kind == ATTENTION)
        xn_read_attention(b, d, (int)i, false, layer);
    else if (kind == DENSE)
        read_dense(b, d, (int)i, layer);
    else if (kind == EXPERTS)
        read_experts(b, d, (int)i, layer);
}

static void read(struct xn_builder *b) {
    struct xn_decoder d;
    count_layers(b);
    xn_read_decoder_without_rope(b, &d);
    xn_check_silu(b, "mamba_hidden_act");
    read_head(b, &d);
    for (uint32_t i = 0; i < d.layers && !b->status; i++)
        read_layer(b, &d, i);
}

const struct xn_family xn_family_nemotron_h = {
    .name = "nemotron_h",
    .hf = (const char *const[]){"nemotron_h", "NemotronHForCausalLM", NULL},
    .gguf = (const char *const[]){"nemotron_h", "nemotron_h_moe", NULL},
    .defaults = (const struct xn_param_default[]){{XN_P_EPSILON, 1e-5},
                                                  {XN_P_CONTEXT, 4096},
                                                  {XN_P_HEADS, 32},
                                                  {XN_P_KV_HEADS, 8},
                                                  {XN_P_HEAD_SIZE, 128},
                                                  {XN_P_INNER, 21504},
                                                  {XN_P_EXPERTS, 8},
                                                  {XN_P_EXPERTS_USED, 2},
                                                  {XN_P_EXPERT_INNER, 7688},
                                                  {XN_P_SHARED_INNER, 7688},
                                                  {XN_P_NORMALIZE, 1},
                                                  {XN_P_GROUPS_USED, 1},
                                                  {XN_P_SSM_HEADS, 128},
                                                  {XN_P_SSM_HEAD_SIZE, 64},
                                                  {XN_P_SSM_GROUPS, 8},
                                                  {XN_P_SSM_STATE, 128},
                                                  {XN_P_SSM_KERNEL, 4},
                                                  {XN_P_SSM_CONV_BIAS, 1},
                                                  XN_NO_DEFAULT},
    .tensors = (const struct xn_tensor_name[]){{XN_T_EMBEDDING, "embeddings.weight|embed_tokens.weight", NULL},
                                               {XN_T_FINAL_NORM, "norm_f.weight|norm.weight", NULL},
                                               {XN_T_MIXER_NORM, "norm.weight", NULL},
                                               XN_MIXER_STATE_SPACE_TENSORS,
                                               {XN_T_Q, "mixer.q_proj.weight", NULL},
                                               {XN_T_K, "mixer.k_proj.weight", NULL},
                                               {XN_T_V, "mixer.v_proj.weight", NULL},
                                               {XN_T_O, "mixer.o_proj.weight", NULL},
                                               {XN_T_UP, "mixer.up_proj.weight", NULL},
                                               {XN_T_DOWN, "mixer.down_proj.weight", NULL},
                                               {XN_T_ROUTER, "mixer.gate.weight", NULL},
                                               {XN_T_SELECTION_BIAS, "mixer.gate.e_score_correction_bias", NULL},
                                               {XN_T_EXPERTS_UP, "mixer.experts.up_proj", NULL},
                                               {XN_T_EXPERTS_DOWN, "mixer.experts.down_proj", NULL},
                                               {XN_T_EXPERT_UP, "mixer.experts.%u.up_proj.weight", NULL},
                                               {XN_T_EXPERT_DOWN, "mixer.experts.%u.down_proj.weight", NULL},
                                               {XN_T_SHARED_UP, "mixer.shared_experts.up_proj.weight", NULL},
                                               {XN_T_SHARED_DOWN, "mixer.shared_experts.down_proj.weight", NULL},
                                               {XN_T_LATENT_IN, "mixer.fc1_latent_proj.weight", NULL},
                                               {XN_T_LATENT_OUT, "mixer.fc2_latent_proj.weight", NULL},
                                               XN_NO_TENSOR},
    .params = (const struct xn_param_name[]){{XN_P_EPSILON, "layer_norm_epsilon",
                                              "attention.layer_norm_epsilon|attention.layer_norm_rms_epsilon"},
                                             {XN_P_SHARED_INNER, "moe_shared_expert_intermediate_size", NULL},
                                             {XN_P_SHARED_COUNT, "", ""}, // it is one, of the size above
                                             {XN_P_SELECTION_BIAS, "", NULL},
                                             {XN_P_SSM_HEADS, "mamba_num_heads", NULL},
                                             {XN_P_SSM_HEAD_SIZE, "mamba_head_dim", NULL},
                                             {XN_P_SSM_INNER, "", NULL},
                                             {XN_P_SSM_EXPAND, "", NULL},
                                             {XN_P_SSM_GROUPS, "mamba_n_groups|n_groups", NULL},
                                             {XN_P_SSM_STATE, "ssm_state_size", NULL},
                                             {XN_P_SSM_KERNEL, "mamba_d_conv|conv_kernel", NULL},
                                             {XN_P_SSM_BIAS, "use_bias", NULL},
                                             {XN_P_SSM_OUT_BIAS, "use_bias", NULL},
                                             {XN_P_SSM_CONV_BIAS, "mamba_conv_bias|use_conv_bias", NULL},
                                             {XN_P_SSM_TIME_MIN, "mamba_dt_min|time_step_min", NULL},
                                             XN_NO_PARAM},
    .ffn_bias = {XN_BIAS_FLAG, XN_P_MLP_BIAS},
    .activation = XN_ACT_RELU2,
    .activation_key = "mlp_hidden_act",
    .no_gate = true,
    .read = read,
};
