// Gemma 4: Gemma 3's norms and windows; heads of another size (and number) in the layers without a window, whose rope
// turns a share of them; values are normalised, and in some models they are the keys; the last layers may read the
// caches of earlier ones; an input of its own for each layer; experts beside the dense feed-forward.
#include "model/families/families.h"

#include <math.h>
#include <string.h>

struct model {
    struct xn_decoder common;
    uint32_t window, owners; // layers before `owners` have caches of their own
    uint32_t input;          // values of a layer's own input; 0: none
    bool experts;
};

static bool is_sliding(struct xn_builder *b, const struct model *m, uint32_t i) {
    int64_t listed;
    if (xn_param_element(b, NULL, "attention.sliding_window_pattern", i, &listed)) return listed != 0;
    if (b->config && i + 1 == m->common.layers) return false; // whatever the list says
    enum xn_layer_type type = xn_layer_type(b, i, (i + 1) % 6 ? XN_LAYER_SLIDING : XN_LAYER_FULL);
    if (type == XN_LAYER_LINEAR)
        xn_build_fail(b, XN_ERR_UNSUPPORTED, "%s: layer_types[%u] is linear_attention, which this family has not",
                      b->config_path, i);
    return type == XN_LAYER_SLIDING;
}

// A folder names each layer's exceptions; where it has no such list (as first released), two keys hold for all layers
// without a window.
static void read_exceptions(struct xn_builder *b, uint32_t i, bool sliding, struct xn_decoder *d) {
    static const char list[] = "per_layer_config";
    const json_t *all = json_object_get(b->config, list);
    double value;
    if (!all) {
        if (sliding) return;
        d->head_size = xn_param_u32_or(b, XN_P_FULL_HEAD_SIZE, 512);
        if (xn_param_flag(b, XN_P_VALUES_ARE_KEYS, false))
            d->kv_heads = xn_param_u32_or(b, XN_P_FULL_KV_HEADS, d->kv_heads);
        return;
    }
    char index[16];
    snprintf(index, sizeof index, "%u", i);
    const json_t *layer = json_object_get(all, index);
    const char *key;
    json_t *element;
    json_object_foreach((json_t *)layer, key, element) {
        if (strcmp(key, "head_dim") != 0 && strcmp(key, "num_key_value_heads") != 0)
            xn_build_fail(b, XN_ERR_UNSUPPORTED,
                          "%s: %s of layer %u sets %.64s; only head_dim and num_key_value_heads are supported",
                          b->config_path, list, i, key);
    }
    if (xn_param_find_in(b, layer, XN_P_HEAD_SIZE, &value)) d->head_size = (uint32_t)value;
    if (xn_param_find_in(b, layer, XN_P_KV_HEADS, &value)) d->kv_heads = (uint32_t)value;
}

static void layer_decoder(struct xn_builder *b, const struct model *m, uint32_t i, bool sliding, struct xn_decoder *d) {
    *d = m->common;
    d->heads = xn_param_layer(b, XN_P_HEADS, i, d->heads);
    d->kv_heads = xn_param_layer(b, XN_P_KV_HEADS, i, d->kv_heads);
    if (b->config) {
        read_exceptions(b, i, sliding, d);
        d->value_size = d->head_size;
    } else if (sliding) {
        d->head_size = xn_param_u32_or(b, XN_P_WINDOW_HEAD_SIZE, d->head_size);
        d->value_size = xn_param_u32_or(b, XN_P_WINDOW_VALUE_SIZE, d->head_size);
    }
    xn_read_rope(b, d->head_size, sliding ? "sliding_attention" : "full_attention", &d->rope);
}

// The last layer with a cache of its own that has a window like this one, or none like it.
static uint32_t cache_owner(struct xn_builder *b, const struct model *m, uint32_t i, bool sliding) {
    for (uint32_t owner = m->owners; owner-- > 0;)
        if ((b->recipe->layers[owner].mixer.attention.window != 0) == sliding) return owner;
    xn_build_fail(b, XN_ERR_FORMAT, "%s: layer %u shares a cache, but of the %u layers before none is of its kind",
                  b->config_path, i, m->owners);
    return 0;
}

static void read_attention(struct xn_builder *b, const struct model *m, uint32_t i) {
    struct xn_layer *layer = &b->recipe->layers[i];
    struct xn_attention *a = &layer->mixer.attention;
    bool sliding = is_sliding(b, m, i), shares = i >= m->owners;
    bool values = b->config ? sliding || !xn_param_flag(b, XN_P_VALUES_ARE_KEYS, false)
                            : xn_tensor_find(b, XN_T_V, (int)i) || xn_tensor_find(b, XN_T_QKV, (int)i);
    struct xn_decoder d;
    layer_decoder(b, m, i, sliding, &d);
    if (b->status) return;
    xn_read_attention_of(b, &d, (int)i, shares ? XN_SHARE_KEYS_VALUES : values ? 0 : XN_READ_NO_VALUES, layer);
    a->scale = 1;
    a->window = sliding ? m->window : 0;
    xn_read_norm(b, XN_T_Q_NORM, (int)i, d.head_size, d.epsilon, &a->q_norm);
    if (shares) {
        a->cache_layer = cache_owner(b, m, i, sliding);
        return;
    }
    xn_read_norm(b, XN_T_K_NORM, (int)i, d.head_size, d.epsilon, &a->k_norm);
    a->v_norm = (struct xn_norm){.kind = XN_NORM_RMS, .epsilon = d.epsilon};
}

// The dense feed-forward stands beside the experts as one for every token, each behind a norm of its own; the router
// reads the stream itself, by a scale a value.
static void read_experts(struct xn_builder *b, const struct xn_decoder *d, uint32_t inner, int i,
                         struct xn_layer *layer) {
    struct xn_experts *e = &layer->ffn.experts;
    xn_read_moe(b, d, i, xn_param_u32(b, XN_P_EXPERT_INNER), 0, true, layer);
    xn_read_dense_of(b, d, i, inner, &e->shared);
    float *scale = (float *)xn_read_vector(b, XN_T_ROUTER_SCALE, i, d->hidden, 0);
    for (uint32_t n = 0; scale && n < d->hidden; n++)
        scale[n] /= sqrtf((float)d->hidden);
    e->router_norm = (struct xn_norm){.kind = XN_NORM_RMS, .epsilon = d->epsilon, .weight = scale};
    e->expert_scale = xn_read_vector(b, XN_T_EXPERT_SCALE, i, e->up.count, 0);
    xn_read_norm(b, XN_T_EXPERT_NORM, i, d->hidden, d->epsilon, &e->expert_norm);
    xn_read_norm(b, XN_T_EXPERT_POST_NORM, i, d->hidden, d->epsilon, &e->expert_post_norm);
    xn_read_norm(b, XN_T_SHARED_POST_NORM, i, d->hidden, d->epsilon, &e->shared_post_norm);
}

static void read_layer(struct xn_builder *b, const struct model *m, uint32_t i) {
    const struct xn_decoder *d = &m->common;
    struct xn_layer *layer = &b->recipe->layers[i];
    xn_read_layer_norms(b, d, (int)i, layer);
    xn_read_norm(b, XN_T_MIXER_POST_NORM, (int)i, d->hidden, d->epsilon, &layer->mixer.post_norm);
    xn_read_norm(b, XN_T_FFN_POST_NORM, (int)i, d->hidden, d->epsilon, &layer->ffn.post_norm);
    read_attention(b, m, i);
    uint32_t inner = xn_param_inner(b, i); // GGUF lists the doubled ones
    if (i >= m->owners && xn_param_flag(b, XN_P_DOUBLE_INNER, false)) inner *= 2;
    if (m->experts) {
        read_experts(b, d, inner, (int)i, layer);
    } else {
        layer->ffn.kind = XN_FFN_DENSE;
        xn_read_dense_of(b, d, (int)i, inner, &layer->ffn.dense);
    }
    if (m->input) {
        layer->input.activation = d->activation;
        xn_read_matrix(b, XN_T_INPUT_GATE, (int)i, m->input, d->hidden, &layer->input.gate);
        xn_read_matrix(b, XN_T_INPUT_PROJECTION, (int)i, d->hidden, m->input, &layer->input.projection);
        xn_read_norm(b, XN_T_INPUT_NORM, (int)i, d->hidden, d->epsilon, &layer->input.norm);
    }
    if (!xn_tensor_find(b, XN_T_LAYER_SCALE, (int)i)) return;
    const float *scale = xn_read_vector(b, XN_T_LAYER_SCALE, (int)i, 1, 0);
    if (scale) layer->output_scale = *scale;
}

static void read_layer_inputs(struct xn_builder *b, const struct model *m) {
    const struct xn_decoder *d = &m->common;
    struct xn_layer_inputs *in = &b->recipe->layer_inputs;
    uint64_t all = (uint64_t)d->layers * m->input;
    if (m->input == 0) return;
    if (xn_param_u32_or(b, XN_P_LAYER_INPUT_VOCAB, b->recipe->vocab) < b->recipe->vocab)
        xn_build_fail(b, XN_ERR_UNSUPPORTED, "%s: vocab_size_per_layer_input is less than the vocabulary's %u",
                      b->config_path, b->recipe->vocab);
    xn_read_matrix(b, XN_T_INPUTS_TABLE, XN_NO_LAYER, xn_param_u32_or(b, XN_P_LAYER_INPUT_VOCAB, b->recipe->vocab), all,
                   &in->table);
    xn_read_matrix(b, XN_T_INPUTS_PROJECTION, XN_NO_LAYER, all, d->hidden, &in->projection);
    xn_read_norm(b, XN_T_INPUTS_NORM, XN_NO_LAYER, m->input, d->epsilon, &in->norm);
    in->size = m->input;
    in->projection_scale = 1 / sqrtf((float)d->hidden);
    in->table_scale = sqrtf((float)m->input);
    in->sum_scale = (float)M_SQRT1_2;
}

static void refuse(struct xn_builder *b) {
    static const char direction[] = "use_bidirectional_attention";
    const json_t *both = json_object_get(b->config, direction);
    const char *which = json_string_value(both);
    // "vision" is of images alone.
    if (both && !json_is_null(both) && (!which || strcmp(which, "vision") != 0))
        xn_build_fail(b, XN_ERR_UNSUPPORTED, "%s: %s is set: an embedding model, not a language model", b->config_path,
                      direction);
    if (b->config && !json_is_object(json_object_get(b->config, "rope_parameters")))
        xn_build_fail(b, XN_ERR_FORMAT, "%s: rope_parameters is missing", b->config_path);
}

static void read(struct xn_builder *b) {
    struct model m = {0};
    refuse(b);
    xn_read_decoder(b, &m.common);
    m.window = xn_param_u32(b, XN_P_WINDOW);
    m.input = xn_param_u32_or(b, XN_P_LAYER_INPUT, 0);
    m.experts = b->config ? xn_param_flag(b, XN_P_EXPERT_BLOCK, false) : xn_param_u32_or(b, XN_P_EXPERTS, 0) > 0;
    uint32_t shared = xn_param_u32_or(b, XN_P_SHARED_CACHES, 0);
    if (m.window == 0) xn_build_fail(b, XN_ERR_FORMAT, "%s: the window has 0 positions", b->config_path);
    if (shared >= m.common.layers)
        xn_build_fail(b, XN_ERR_FORMAT, "%s: %u of %u layers share caches: none is left to own one", b->config_path,
                      shared, m.common.layers);
    if (b->status) return;
    m.owners = m.common.layers - shared;
    b->recipe->embedding_scale = sqrtf((float)m.common.hidden);
    b->recipe->logit_soft_cap = (float)xn_param_real(b, XN_P_FINAL_SOFT_CAP, 0);
    read_layer_inputs(b, &m);
    for (uint32_t i = 0; i < m.common.layers && !b->status; i++)
        read_layer(b, &m, i);
}

static const struct xn_tensor_name tensors[] = {
    {XN_T_MIXER_POST_NORM, "post_attention_layernorm.weight", NULL},
    {XN_T_FFN_NORM, "pre_feedforward_layernorm.weight", NULL},
    {XN_T_FFN_POST_NORM, "post_feedforward_layernorm.weight", NULL},
    {XN_T_ROUTER, "router.proj.weight", NULL},
    {XN_T_ROUTER_SCALE, "router.scale", "ffn_gate_inp.scale"},
    {XN_T_EXPERT_SCALE, "router.per_expert_scale", "ffn_down_exps.scale"},
    {XN_T_EXPERT_NORM, "pre_feedforward_layernorm_2.weight", "pre_ffw_norm_2.weight"},
    {XN_T_EXPERT_POST_NORM, "post_feedforward_layernorm_2.weight", "post_ffw_norm_2.weight"},
    {XN_T_SHARED_POST_NORM, "post_feedforward_layernorm_1.weight", "post_ffw_norm_1.weight"},
    {XN_T_EXPERTS_GATE_UP, "experts.gate_up_proj", NULL},
    {XN_T_EXPERTS_DOWN, "experts.down_proj", NULL},
    {XN_T_EXPERT_GATE, "experts.gate_up_proj",
     NULL}, // a folder never has them one by one: what is missing is the whole
    {XN_T_EXPERT_DOWN, "experts.down_proj", NULL},
    XN_NO_TENSOR,
};

#define SIZES                                                                                                          \
    {XN_P_EPSILON, 1e-6}, {XN_P_HEADS, 8}, {XN_P_KV_HEADS, 4}, {XN_P_HEAD_SIZE, 256}, {                                \
        XN_P_VOCAB, 262144                                                                                             \
    }
#define FORM                                                                                                           \
    .tensors = tensors, .qkv_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS},                                               \
    .o_bias = {XN_BIAS_FLAG, XN_P_ATTENTION_BIAS}, .hf_rope = XN_ROPE_HALVES, .gguf_rope = XN_ROPE_HALVES,             \
    .activation = XN_ACT_GELU_TANH, .activation_key = "hidden_activation", .read = read

const struct xn_family xn_family_gemma4 = {
    .name = "gemma4",
    .hf = (const char *const[]){"gemma4_text", "gemma4", "Gemma4ForCausalLM", "Gemma4ForConditionalGeneration", NULL},
    .gguf = (const char *const[]){"gemma4", NULL},
    .defaults = (const struct xn_param_default[]){SIZES,
                                                  {XN_P_CONTEXT, 131072},
                                                  {XN_P_WINDOW, 512},
                                                  {XN_P_LAYER_INPUT, 256},
                                                  {XN_P_LAYER_INPUT_VOCAB, 262144},
                                                  XN_NO_DEFAULT},
    FORM,
};

// The same without layer inputs and experts, and with other defaults; GGUF calls it gemma4.
const struct xn_family xn_family_gemma4_unified = {
    .name = "gemma4_unified",
    .hf = (const char *const[]){"gemma4_unified_text", "gemma4_unified", "Gemma4UnifiedForCausalLM",
                                "Gemma4UnifiedForConditionalGeneration", NULL},
    .gguf = (const char *const[]){NULL},
    .defaults = (const struct xn_param_default[]){SIZES, {XN_P_CONTEXT, 262144}, {XN_P_WINDOW, 1024}, XN_NO_DEFAULT},
    FORM,
};
