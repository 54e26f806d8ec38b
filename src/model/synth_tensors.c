// The tensors of a shape: names, sizes and formats, as llama.cpp's converter names and shapes them.
#include "base/memory.h"
#include "model/synth.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct list {
    const struct xn_shape *shape;
    const struct xn_preset *preset;
    uint32_t layers;
    uint32_t layer; // of those being added
    struct xn_synth_tensor *items;
    size_t n, capacity;
    bool failed;
};

// Products that feed the residual stream are smaller, so that it does not grow with the layers.
static float deviation_of(const struct list *l, uint64_t row, bool residual) {
    return 1 / sqrtf((float)row * (residual ? 2 * (float)l->layers : 1));
}

// dims: rows, then how many matrices (0: a vector of `row` values).
static struct xn_synth_tensor *add(struct list *l, const char *name, enum xn_role role, enum xn_synth_fill fill,
                                   uint64_t row, uint64_t rows, uint64_t count) {
    if (l->failed || XN_GROW(l->items, l->capacity, l->n + 1) != 0) {
        l->failed = true;
        return NULL;
    }
    struct xn_synth_tensor *t = &l->items[l->n++];
    bool residual = role == XN_ROLE_ATTENTION_OUT || role == XN_ROLE_DOWN;
    struct xn_preset_case c = {.role = role,
                               .layer = l->layer,
                               .layers = l->layers,
                               .heads_per_key = l->shape->heads / l->shape->kv_heads,
                               .experts = l->shape->experts,
                               .stacked = count > 1,
                               .tied = (l->shape->flags & XN_SHAPE_TIED) != 0,
                               .row = row};
    *t = (struct xn_synth_tensor){.role = role,
                                  .fill = fill,
                                  .deviation = deviation_of(l, row, residual),
                                  .type = xn_preset_type(l->preset, &c),
                                  .n_dims = count > 1 ? 3
                                            : rows    ? 2
                                                      : 1,
                                  .dims = {row, rows ? rows : 1, count ? count : 1}};
    snprintf(t->name, sizeof t->name, "%s", name);
    size_t bytes = 0;
    if (!xn_format_bytes(xn_format_of(t->type), t->dims[0] * t->dims[1] * t->dims[2], &bytes)) l->failed = true;
    t->bytes = bytes;
    return t;
}

static void add_matrix(struct list *l, const char *part, enum xn_role role, uint64_t row, uint64_t rows) {
    char name[64];
    snprintf(name, sizeof name, "blk.%u.%s.weight", l->layer, part);
    add(l, name, role, XN_FILL_NORMAL, row, rows, 1);
}

static void add_experts(struct list *l, const char *part, enum xn_role role, uint64_t row, uint64_t rows) {
    char name[64];
    snprintf(name, sizeof name, "blk.%u.%s.weight", l->layer, part);
    add(l, name, role, XN_FILL_NORMAL, row, rows, l->shape->experts);
}

static void add_vector(struct list *l, const char *part, enum xn_synth_fill fill, uint64_t size) {
    char name[64];
    snprintf(name, sizeof name, "blk.%u.%s", l->layer, part);
    add(l, name, XN_ROLE_PLAIN, fill, size, 0, 0);
}

static void add_attention(struct list *l) {
    const struct xn_shape *s = l->shape;
    uint64_t q = (uint64_t)s->heads * s->head_size, kv = (uint64_t)s->kv_heads * s->head_size;
    if (s->flags & XN_SHAPE_FUSED) {
        add_matrix(l, "attn_qkv", XN_ROLE_V, s->hidden, q + 2 * kv);
    } else {
        bool gated = (s->flags & XN_SHAPE_HYBRID) != 0; // a gate behind each head's query
        add_matrix(l, "attn_q", XN_ROLE_Q, s->hidden, gated ? 2 * q : q);
        add_matrix(l, "attn_k", XN_ROLE_K, s->hidden, kv);
        add_matrix(l, "attn_v", XN_ROLE_V, s->hidden, kv);
    }
    if (s->flags & XN_SHAPE_QKV_BIAS) {
        add_vector(l, "attn_q.bias", XN_FILL_BIAS, q);
        add_vector(l, "attn_k.bias", XN_FILL_BIAS, kv);
        add_vector(l, "attn_v.bias", XN_FILL_BIAS, kv);
    }
    if (s->flags & XN_SHAPE_QK_NORM) {
        add_vector(l, "attn_q_norm.weight", XN_FILL_NORM, s->head_size);
        add_vector(l, "attn_k_norm.weight", XN_FILL_NORM, s->head_size);
    }
    add_matrix(l, "attn_output", XN_ROLE_ATTENTION_OUT, q, s->hidden);
}

static void add_delta_net(struct list *l) {
    const struct xn_shape *s = l->shape;
    uint64_t keys = (uint64_t)s->key_heads * s->state, values = (uint64_t)s->value_heads * s->state;
    char name[64];
    add_matrix(l, "attn_qkv", XN_ROLE_V, s->hidden, 2 * keys + values);
    add_matrix(l, "attn_gate", XN_ROLE_OTHER, s->hidden, values);
    snprintf(name, sizeof name, "blk.%u.ssm_conv1d.weight", l->layer);
    add(l, name, XN_ROLE_PLAIN, XN_FILL_NORMAL, s->taps, 2 * keys + values, 1);
    add_vector(l, "ssm_dt.bias", XN_FILL_TIME_STEP, s->value_heads);
    add_vector(l, "ssm_a", XN_FILL_DECAY, s->value_heads);
    add_matrix(l, "ssm_beta", XN_ROLE_OTHER, s->hidden, s->value_heads);
    add_matrix(l, "ssm_alpha", XN_ROLE_OTHER, s->hidden, s->value_heads);
    add_vector(l, "ssm_norm.weight", XN_FILL_NORM, s->state);
    add_matrix(l, "ssm_out", XN_ROLE_OTHER, values, s->hidden);
    if (!l->failed) l->items[l->n - 1].deviation = deviation_of(l, values, true);
}

static void add_feed_forward(struct list *l) {
    const struct xn_shape *s = l->shape;
    if (s->experts == 0) {
        bool fused = (s->flags & XN_SHAPE_FUSED) != 0;
        if (!fused) add_matrix(l, "ffn_gate", XN_ROLE_GATE, s->hidden, s->ffn);
        add_matrix(l, "ffn_up", XN_ROLE_UP, s->hidden, fused ? 2 * (uint64_t)s->ffn : s->ffn);
        add_matrix(l, "ffn_down", XN_ROLE_DOWN, s->ffn, s->hidden);
        return;
    }
    add_matrix(l, "ffn_gate_inp", XN_ROLE_PLAIN, s->hidden, s->experts);
    add_experts(l, "ffn_gate_exps", XN_ROLE_GATE, s->hidden, s->expert_ffn);
    add_experts(l, "ffn_up_exps", XN_ROLE_UP, s->hidden, s->expert_ffn);
    add_experts(l, "ffn_down_exps", XN_ROLE_DOWN, s->expert_ffn, s->hidden);
    if (s->shared_ffn == 0) return;
    add_matrix(l, "ffn_gate_inp_shexp", XN_ROLE_PLAIN, s->hidden, 1);
    add_matrix(l, "ffn_gate_shexp", XN_ROLE_GATE, s->hidden, s->shared_ffn);
    add_matrix(l, "ffn_up_shexp", XN_ROLE_UP, s->hidden, s->shared_ffn);
    add_matrix(l, "ffn_down_shexp", XN_ROLE_DOWN, s->shared_ffn, s->hidden);
}

static void add_layer(struct list *l) {
    const struct xn_shape *s = l->shape;
    bool hybrid = (s->flags & XN_SHAPE_HYBRID) != 0, post = (s->flags & XN_SHAPE_POST_NORMS) != 0;
    add_vector(l, "attn_norm.weight", XN_FILL_NORM, s->hidden);
    if (hybrid && (l->layer + 1) % s->interval != 0)
        add_delta_net(l);
    else
        add_attention(l);
    // Hybrids call the norm before the feed-forward "post attention"; with post norms that is one more.
    if (hybrid || post) add_vector(l, "post_attention_norm.weight", XN_FILL_NORM, s->hidden);
    if (!hybrid) add_vector(l, "ffn_norm.weight", XN_FILL_NORM, s->hidden);
    add_feed_forward(l);
    if (post) add_vector(l, "post_ffw_norm.weight", XN_FILL_NORM, s->hidden);
}

int xn_synth_tensors(const struct xn_shape *shape, const struct xn_preset *preset, uint32_t layers,
                     struct xn_synth_tensor **out, size_t *n, struct xn_error *err) {
    if (layers > shape->layers)
        return xn_fail(err, XN_ERR_ARGUMENT, "%s has %u layers, %u were asked for", shape->name, shape->layers, layers);
    struct list l = {.shape = shape, .preset = preset, .layers = layers ? layers : shape->layers};
    add(&l, "token_embd.weight", XN_ROLE_EMBEDDING, XN_FILL_NORMAL, shape->hidden, shape->vocab, 1);
    for (l.layer = 0; l.layer < l.layers; l.layer++)
        add_layer(&l);
    add(&l, "output_norm.weight", XN_ROLE_PLAIN, XN_FILL_NORM, shape->hidden, 0, 0);
    if (!(shape->flags & XN_SHAPE_TIED))
        add(&l, "output.weight", XN_ROLE_OUTPUT, XN_FILL_NORMAL, shape->hidden, shape->vocab, 1);
    if (shape->rope_factor > 0)
        add(&l, "rope_freqs.weight", XN_ROLE_PLAIN, XN_FILL_ROPE_FACTOR, shape->rope_size / 2, 0, 0);
    if (l.failed) {
        free(l.items);
        return xn_fail(err, XN_ERR_NOMEM, "no memory for the tensors of %s", shape->name);
    }
    *out = l.items;
    *n = l.n;
    return XN_OK;
}

void xn_synth_sizes(const struct xn_synth_tensor *tensors, size_t n, uint64_t *bytes, uint64_t *parameters) {
    *bytes = *parameters = 0;
    for (size_t i = 0; i < n; i++) {
        *bytes += tensors[i].bytes;
        *parameters += tensors[i].dims[0] * tensors[i].dims[1] * tensors[i].dims[2];
    }
}
