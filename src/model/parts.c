// The parts that families share: decoder, attention, dense feed-forward.
#include "model/builder.h"

#include <math.h>

static uint32_t head_size(struct xn_builder *b, const struct xn_decoder *d) {
    double value;
    if (xn_param_find(b, XN_P_HEAD_SIZE, &value)) return (uint32_t)value;
    if (d->hidden % d->heads)
        xn_build_fail(b, XN_ERR_FORMAT,
                      "%s: hidden size %u is not a multiple of the %u heads, and no head size is given", b->config_path,
                      d->hidden, d->heads);
    return d->hidden / d->heads ? d->hidden / d->heads : 1;
}

// Whether the head is the embedding: config.json may say so, here or in the wrapper around it; else by the head's
// absence.
static bool tied(struct xn_builder *b) {
    static const char *const keys[] = {"tie_embedding", "tie_word_embeddings"}; // the first as early LFM2 called it
    for (int k = 0; b->config && k < 2; k++) {
        const json_t *flag = json_object_get(b->config, keys[k]);
        if (!json_is_boolean(flag)) flag = json_object_get(b->source->config, keys[k]);
        if (json_is_boolean(flag)) return json_is_true(flag);
    }
    return !xn_tensor_find(b, XN_T_HEAD, XN_NO_LAYER);
}

static void read_embedding(struct xn_builder *b, const struct xn_decoder *d) {
    struct xn_recipe *r = b->recipe;
    const struct xn_tensor *t = xn_tensor_find(b, XN_T_EMBEDDING, XN_NO_LAYER);
    double value;
    if (xn_param_find(b, XN_P_VOCAB, &value))
        r->vocab = (uint32_t)value;
    else if (t && t->dims[1] <= 1 << 26)
        r->vocab = (uint32_t)t->dims[1];
    xn_read_matrix(b, XN_T_EMBEDDING, XN_NO_LAYER, r->vocab, d->hidden, &r->embedding);
    if (tied(b))
        r->head = r->embedding;
    else
        xn_read_matrix(b, XN_T_HEAD, XN_NO_LAYER, r->vocab, d->hidden, &r->head);
}

static void read_sizes(struct xn_builder *b, struct xn_decoder *d) {
    *d = (struct xn_decoder){.layers = b->layers ? b->layers : xn_param_u32(b, XN_P_LAYERS),
                             .hidden = xn_param_u32(b, XN_P_HIDDEN)};
    uint32_t extra = xn_param_u32_or(b, XN_P_EXTRA_LAYERS, 0); // layers that only guess further tokens
    if (extra >= d->layers)
        xn_build_fail(b, XN_ERR_FORMAT, "%s: %u layers, of which %u predict further tokens: none is left",
                      b->config_path, d->layers, extra);
    else
        d->layers -= extra;
    d->epsilon = (float)xn_param_real(b, XN_P_EPSILON, -1);
    if (d->epsilon < 0) xn_build_fail(b, XN_ERR_FORMAT, "%s: the epsilon of the norms is missing", b->config_path);
    d->activation = xn_param_activation(b);
    if (!xn_param_flag(b, XN_P_CAUSAL, true))
        xn_build_fail(b, XN_ERR_UNSUPPORTED,
                      "%s: %s.attention.causal is false: an embedding model, not a language model", b->config_path,
                      b->arch);
}

static void read_heads(struct xn_builder *b, struct xn_decoder *d) {
    d->heads = xn_param_most(b, XN_P_HEADS, 0);
    if (d->heads == 0) d->heads = xn_param_u32(b, XN_P_HEADS); // says that it is missing
    d->kv_heads = xn_param_most(b, XN_P_KV_HEADS, d->heads);
    d->head_size = head_size(b, d);
    d->value_size = xn_param_u32_or(b, XN_P_VALUE_SIZE, d->head_size);
    d->rope.magnitude = 1;
}

static void read_ends(struct xn_builder *b, struct xn_decoder *d) {
    struct xn_recipe *r = b->recipe;
    r->hidden = d->hidden;
    r->context = xn_param_u32(b, XN_P_CONTEXT);
    r->embedding_scale = r->logit_scale = 1;
    read_embedding(b, d);
    xn_read_norm(b, XN_T_FINAL_NORM, XN_NO_LAYER, d->hidden, d->epsilon, &r->final_norm);
    r->layers = xn_build_alloc(b, d->layers, sizeof *r->layers);
    if (!r->layers) return;
    r->n_layers = d->layers;
    for (uint32_t i = 0; i < d->layers; i++)
        r->layers[i].residual_scale = 1;
}

void xn_read_trunk(struct xn_builder *b, struct xn_decoder *d) {
    read_sizes(b, d);
    read_ends(b, d);
}

void xn_read_decoder_without_rope(struct xn_builder *b, struct xn_decoder *d) {
    read_sizes(b, d);
    read_heads(b, d);
    read_ends(b, d);
}

void xn_read_decoder(struct xn_builder *b, struct xn_decoder *d) {
    xn_read_decoder_without_rope(b, d);
    xn_read_rope(b, d->head_size, NULL, &d->rope);
}

void xn_read_norm(struct xn_builder *b, enum xn_tensor_role role, int layer, uint64_t n, float epsilon,
                  struct xn_norm *out) {
    float add = b->config ? b->family->norm_offset : 0;
    *out = (struct xn_norm){.kind = XN_NORM_RMS, .epsilon = epsilon, .weight = xn_read_vector(b, role, layer, n, add)};
}

void xn_read_layer_norms(struct xn_builder *b, const struct xn_decoder *d, int layer, struct xn_layer *out) {
    xn_read_norm(b, XN_T_MIXER_NORM, layer, d->hidden, d->epsilon, &out->mixer.norm);
    xn_read_norm(b, XN_T_FFN_NORM, layer, d->hidden, d->epsilon, &out->ffn.norm);
}

static void read_qkv(struct xn_builder *b, const struct xn_decoder *d, int layer, unsigned parts,
                     const uint64_t rows[3], struct xn_attention *a) {
    const struct xn_bias *bias = &b->family->qkv_bias;
    bool keys = !(parts & XN_SHARE_KEYS_VALUES), values = keys && !(parts & XN_READ_NO_VALUES);
    if (values && !xn_tensor_find(b, XN_T_Q, layer) && xn_tensor_find(b, XN_T_QKV, layer)) {
        xn_read_slices(b, XN_T_QKV, layer, 3, rows, d->hidden, (struct xn_matrix *const[]){&a->q, &a->k, &a->v});
        a->q_bias = xn_read_bias(b, bias, XN_T_QKV, layer, rows[0] + rows[1] + rows[2]);
        if (!a->q_bias) return;
        a->k_bias = a->q_bias + rows[0];
        a->v_bias = a->k_bias + rows[1];
        return;
    }
    xn_read_matrix(b, XN_T_Q, layer, rows[0], d->hidden, &a->q);
    a->q_bias = xn_read_bias(b, bias, XN_T_Q, layer, rows[0]);
    if (!keys) return;
    xn_read_matrix(b, XN_T_K, layer, rows[1], d->hidden, &a->k);
    a->k_bias = xn_read_bias(b, bias, XN_T_K, layer, rows[1]);
    a->v = a->k;
    a->v_bias = a->k_bias;
    if (!values) return;
    xn_read_matrix(b, XN_T_V, layer, rows[2], d->hidden, &a->v);
    a->v_bias = xn_read_bias(b, bias, XN_T_V, layer, rows[2]);
}

void xn_read_attention_of(struct xn_builder *b, const struct xn_decoder *d, int layer, unsigned parts,
                          struct xn_layer *out) {
    struct xn_attention *a = &out->mixer.attention;
    bool gated = parts & XN_READ_GATE;
    if (d->heads == 0 || d->kv_heads == 0 || d->heads % d->kv_heads) {
        xn_build_fail(b, XN_ERR_FORMAT, "%s: layer %d has %u heads, expected a multiple of its %u key and value heads",
                      b->config_path, layer, d->heads, d->kv_heads);
        return;
    }
    if (parts & XN_READ_NO_VALUES && d->value_size != d->head_size) {
        xn_build_fail(b, XN_ERR_FORMAT, "%s: layer %d: keys of %u values can't be values of %u", b->config_path, layer,
                      d->head_size, d->value_size);
        return;
    }
    out->mixer.kind = XN_MIXER_ATTENTION;
    *a = (struct xn_attention){
        .heads = d->heads,
        .kv_heads = d->kv_heads,
        .head_size = d->head_size,
        .value_size = d->value_size,
        .rope = d->rope,
        .scale = 1 / sqrtf((float)d->head_size),
        .output_gate = gated,
        .shares_cache = parts & XN_SHARE_KEYS_VALUES,
    };
    const uint64_t rows[3] = {(uint64_t)d->heads * d->head_size * (gated ? 2 : 1), (uint64_t)d->kv_heads * d->head_size,
                              (uint64_t)d->kv_heads * d->value_size};
    read_qkv(b, d, layer, parts, rows, a);
    xn_read_matrix(b, XN_T_O, layer, d->hidden, (uint64_t)d->heads * d->value_size, &a->o);
    a->o_bias = xn_read_bias(b, &b->family->o_bias, XN_T_O, layer, d->hidden);
}

void xn_read_attention(struct xn_builder *b, const struct xn_decoder *d, int layer, bool gated, struct xn_layer *out) {
    struct xn_decoder of = *d;
    of.heads = xn_param_layer(b, XN_P_HEADS, (uint32_t)layer, d->heads);
    of.kv_heads = xn_param_layer(b, XN_P_KV_HEADS, (uint32_t)layer, d->kv_heads);
    xn_read_attention_of(b, &of, layer, gated ? XN_READ_GATE : 0, out);
}

void xn_read_head_norms(struct xn_builder *b, const struct xn_decoder *d, int layer, struct xn_attention *out) {
    xn_read_norm(b, XN_T_Q_NORM, layer, d->head_size, d->epsilon, &out->q_norm);
    xn_read_norm(b, XN_T_K_NORM, layer, d->head_size, d->epsilon, &out->k_norm);
}

uint32_t xn_param_inner(struct xn_builder *b, uint32_t layer) {
    uint32_t inner = xn_param_layer(b, XN_P_INNER, layer, 0);
    return inner ? inner : xn_param_u32(b, XN_P_INNER);
}

// Whether gate and up lie in one tensor; in GGUF that is a "ffn_up" of twice the rows.
static bool gate_up_is_one(struct xn_builder *b, int layer, uint64_t inner) {
    const struct xn_tensor *both = xn_tensor_find(b, XN_T_GATE_UP, layer);
    return both && !xn_tensor_find(b, XN_T_GATE, layer) && (b->config || both->dims[1] == 2 * inner);
}

void xn_read_dense(struct xn_builder *b, const struct xn_decoder *d, int layer, struct xn_layer *out) {
    out->ffn.kind = XN_FFN_DENSE;
    xn_read_dense_of(b, d, layer, xn_param_inner(b, (uint32_t)layer), &out->ffn.dense);
}

void xn_read_dense_of(struct xn_builder *b, const struct xn_decoder *d, int layer, uint64_t inner, struct xn_dense *f) {
    const struct xn_bias *bias = &b->family->ffn_bias;
    *f = (struct xn_dense){.glu.activation = d->activation};
    if (b->family->no_gate) {
        xn_read_matrix(b, XN_T_UP, layer, inner, d->hidden, &f->up);
        f->up_bias = xn_read_bias(b, bias, XN_T_UP, layer, inner);
    } else if (gate_up_is_one(b, layer, inner)) {
        xn_read_slices(b, XN_T_GATE_UP, layer, 2, (const uint64_t[]){inner, inner}, d->hidden,
                       (struct xn_matrix *const[]){&f->gate, &f->up});
        f->gate_bias = xn_read_bias(b, bias, XN_T_GATE_UP, layer, 2 * inner);
        if (f->gate_bias) f->up_bias = f->gate_bias + inner;
    } else {
        xn_read_matrix(b, XN_T_GATE, layer, inner, d->hidden, &f->gate);
        xn_read_matrix(b, XN_T_UP, layer, inner, d->hidden, &f->up);
        f->gate_bias = xn_read_bias(b, bias, XN_T_GATE, layer, inner);
        f->up_bias = xn_read_bias(b, bias, XN_T_UP, layer, inner);
    }
    xn_read_matrix(b, XN_T_DOWN, layer, d->hidden, inner, &f->down);
    f->down_bias = xn_read_bias(b, bias, XN_T_DOWN, layer, d->hidden);
}
