// The tensors of a shape: names, sizes and formats, as llama.cpp's converter names and shapes them.
#include "base/memory.h"
#include "model/synth_list.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

// Products that feed the residual stream are smaller, so that it does not grow with the layers.
static float deviation_of(const struct xn_synth_list *l, uint64_t row, bool residual) {
    return 1 / sqrtf((float)row * (residual ? 2 * (float)l->layers : 1));
}

// Query heads a key head, as far as the first layer has any.
static uint32_t heads_per_key(const struct xn_shape *s) {
    return s->kv_heads && (!(s->flags & XN_SHAPE_KV_ARRAY) || xn_shape_attends(xn_shape_layer(s, 0)))
               ? s->heads / s->kv_heads
               : 0;
}

static struct xn_preset_case case_of(struct xn_synth_list *l, enum xn_role role, uint64_t row, bool stacked) {
    struct xn_preset_case c = {.role = role,
                               .layer = l->layer,
                               .layers = l->layers,
                               .heads_per_key = heads_per_key(l->shape),
                               .experts = l->shape->experts,
                               .stacked = stacked,
                               .tied = (l->shape->flags & XN_SHAPE_TIED) != 0,
                               .row = row};
    if (role == XN_ROLE_V) {
        c.layer = l->values_seen++;
        c.layers = l->values_of_all;
    } else if (role == XN_ROLE_DOWN && !l->shape->experts) {
        c.layer = l->downs_seen++;
    }
    return c;
}

struct xn_synth_tensor *xn_synth_add(struct xn_synth_list *l, const char *name, enum xn_role role,
                                     enum xn_synth_fill fill, uint64_t row, uint64_t rows, uint64_t count) {
    if (l->failed || XN_GROW(l->items, l->capacity, l->n + 1) != 0) {
        l->failed = true;
        return NULL;
    }
    struct xn_synth_tensor *t = &l->items[l->n++];
    bool residual = role == XN_ROLE_ATTENTION_OUT || role == XN_ROLE_DOWN;
    struct xn_preset_case c = case_of(l, role, row, count > 1);
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

static void add_named(struct xn_synth_list *l, const char *part, const char *end, enum xn_role role,
                      enum xn_synth_fill fill, uint64_t row, uint64_t rows, uint64_t count) {
    char name[64];
    snprintf(name, sizeof name, "blk.%u.%s%s", l->layer, part, end);
    xn_synth_add(l, name, role, fill, row, rows, count);
}

void xn_synth_matrix(struct xn_synth_list *l, const char *part, enum xn_role role, uint64_t row, uint64_t rows) {
    add_named(l, part, ".weight", role, XN_FILL_NORMAL, row, rows, 1);
}

void xn_synth_stack(struct xn_synth_list *l, const char *part, enum xn_role role, uint64_t row, uint64_t rows,
                    uint64_t count) {
    add_named(l, part, ".weight", role, XN_FILL_NORMAL, row, rows, count);
}

void xn_synth_out(struct xn_synth_list *l, const char *part, uint64_t row, uint64_t rows) {
    xn_synth_matrix(l, part, XN_ROLE_OTHER, row, rows);
    if (!l->failed) l->items[l->n - 1].deviation = deviation_of(l, row, true);
}

void xn_synth_vector(struct xn_synth_list *l, const char *part, enum xn_synth_fill fill, uint64_t size) {
    add_named(l, part, "", XN_ROLE_PLAIN, fill, size, 0, 0);
}

void xn_synth_table(struct xn_synth_list *l, const char *part, enum xn_synth_fill fill, uint64_t row, uint64_t rows) {
    add_named(l, part, "", XN_ROLE_PLAIN, fill, row, rows, 1);
}

// Gemma 4: the share of the per-layer inputs, and the layer's scale.
static void add_layer_input(struct xn_synth_list *l) {
    const struct xn_shape *s = l->shape;
    if (s->input_size) {
        xn_synth_matrix(l, "inp_gate", XN_ROLE_OTHER, s->hidden, s->input_size);
        xn_synth_out(l, "proj", s->input_size, s->hidden);
        xn_synth_vector(l, "post_norm.weight", XN_FILL_NORM, s->hidden);
    }
    xn_synth_vector(l, "layer_output_scale.weight", XN_FILL_NORM, 1);
}

static void add_layer(struct xn_synth_list *l) {
    const struct xn_shape *s = l->shape;
    char kind = xn_shape_layer(s, l->layer);
    bool alone = (s->flags & XN_SHAPE_ALONE) != 0, post = (s->flags & XN_SHAPE_POST_NORMS) != 0;
    bool mixes = kind != XN_SHAPE_FFN && kind != XN_SHAPE_EXPERTS;
    if (!(s->flags & XN_SHAPE_NO_PRE_NORM)) xn_synth_vector(l, "attn_norm.weight", XN_FILL_NORM, s->hidden);
    if (mixes) xn_synth_mixer(l);
    if (!alone) {
        const char *norm = s->flags & XN_SHAPE_FFN_BARE ? "ffn_norm" : "ffn_norm.weight";
        bool named = (s->flags & XN_SHAPE_POST_NAMED) != 0;
        if (post || named) xn_synth_vector(l, "post_attention_norm.weight", XN_FILL_NORM, s->hidden);
        if (!named && !(s->flags & XN_SHAPE_NO_PRE_NORM)) xn_synth_vector(l, norm, XN_FILL_NORM, s->hidden);
    }
    if (!alone || !mixes) xn_synth_feed_forward(l);
    if (post) xn_synth_vector(l, "post_ffw_norm.weight", XN_FILL_NORM, s->hidden);
    if (s->flags & XN_SHAPE_GEMMA4) add_layer_input(l);
}

static void add_model_inputs(struct xn_synth_list *l) {
    const struct xn_shape *s = l->shape;
    uint64_t width = (uint64_t)l->layers * s->input_size;
    xn_synth_add(l, "per_layer_token_embd.weight", XN_ROLE_EMBEDDING, XN_FILL_NORMAL, width, s->vocab, 1);
    xn_synth_add(l, "per_layer_model_proj.weight", XN_ROLE_KEPT, XN_FILL_NORMAL, s->hidden, width, 1);
    xn_synth_add(l, "per_layer_proj_norm.weight", XN_ROLE_PLAIN, XN_FILL_NORM, s->input_size, 0, 0);
}

// Matrices that llama.cpp's quantizer takes for those of values: attn_v and attn_qkv.
static uint32_t count_values(const struct xn_shape *s, uint32_t layers) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < layers; i++) {
        char kind = xn_shape_layer(s, i);
        n += (xn_shape_attends(kind) && !xn_shape_shares(s, i, layers)) || kind == XN_SHAPE_DELTA_NET;
    }
    return n;
}

int xn_synth_tensors(const struct xn_shape *shape, const struct xn_preset *preset, uint32_t layers,
                     struct xn_synth_tensor **out, size_t *n, struct xn_error *err) {
    if (layers > shape->layers)
        return xn_fail(err, XN_ERR_ARGUMENT, "%s has %u layers, %u were asked for", shape->name, shape->layers, layers);
    struct xn_synth_list l = {.shape = shape, .preset = preset, .layers = layers ? layers : shape->layers};
    l.values_of_all = count_values(shape, l.layers);
    xn_synth_add(&l, "token_embd.weight", XN_ROLE_EMBEDDING, XN_FILL_NORMAL, shape->hidden, shape->vocab, 1);
    if (shape->input_size) add_model_inputs(&l);
    for (l.layer = 0; l.layer < l.layers; l.layer++)
        add_layer(&l);
    xn_synth_add(&l, shape->flags & XN_SHAPE_EMBED_NORM ? "token_embd_norm.weight" : "output_norm.weight",
                 XN_ROLE_PLAIN, XN_FILL_NORM, shape->hidden, 0, 0);
    if (!(shape->flags & XN_SHAPE_TIED))
        xn_synth_add(&l, "output.weight", XN_ROLE_OUTPUT, XN_FILL_NORMAL, shape->hidden, shape->vocab, 1);
    if (shape->rope_factor > 0 || shape->flags & XN_SHAPE_GEMMA4)
        xn_synth_add(&l, "rope_freqs.weight", XN_ROLE_PLAIN, XN_FILL_ROPE_FACTOR, shape->rope_size / 2, 0, 0);
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
