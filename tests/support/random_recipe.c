#include "random_recipe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct draw {
    uint64_t state;
    struct xn_recipe *recipe;
    const struct random_recipe_options *options;
};

static uint32_t draw_bits(struct draw *d) {
    d->state = d->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(d->state >> 33);
}

static uint32_t draw_below(struct draw *d, uint32_t n) {
    return draw_bits(d) % n;
}

static bool coin(struct draw *d) {
    return draw_bits(d) >> 20 & 1;
}

// About normal, mean 0, deviation 1.
static float draw_normal(struct draw *d) {
    float sum = 0;
    for (int i = 0; i < 6; i++)
        sum += (float)draw_bits(d) * 0x1p-31f - 0.5f;
    return sum * 1.41421356f;
}

static void *must(void *p) {
    if (!p) abort();
    return p;
}

static const float *draw_vector(struct draw *d, uint32_t n, float mean, float deviation) {
    float *v = must(xn_arena_alloc(&d->recipe->arena, n, sizeof *v));
    for (uint32_t i = 0; i < n; i++)
        v[i] = mean + deviation * draw_normal(d);
    return v;
}

static struct xn_matrix draw_matrices(struct draw *d, const char *name, uint32_t rows, uint32_t cols, uint32_t count) {
    const struct xn_format *format = xn_format_of(d->options->type);
    if (cols % format->block_values != 0) format = xn_format_of(XN_F32);
    struct xn_matrix m = {
        .name = name, .type = (uint32_t)xn_type_from_name(format->name), .rows = rows, .cols = cols, .count = count};
    size_t bytes;
    if (!xn_format_bytes(format, (uint64_t)rows * cols, &bytes)) abort();
    const void **data = must(xn_arena_alloc(&d->recipe->arena, count, sizeof *data));
    float *values = must(malloc((size_t)rows * cols * sizeof *values));
    float deviation = 1.5f / sqrtf((float)cols);
    for (uint32_t i = 0; i < count; i++) {
        // One byte off, so that kernels meet unaligned weights.
        char *blocks = (char *)must(xn_arena_alloc(&d->recipe->arena, bytes + 1, 1)) + 1;
        for (size_t j = 0; j < (size_t)rows * cols; j++)
            values[j] = deviation * draw_normal(d);
        format->encode(values, blocks, (size_t)rows * cols, NULL);
        data[i] = blocks;
    }
    free(values);
    m.data = data;
    return m;
}

static struct xn_matrix draw_matrix(struct draw *d, const char *name, uint32_t rows, uint32_t cols) {
    return draw_matrices(d, name, rows, cols, 1);
}

static struct xn_norm draw_norm(struct draw *d, uint32_t n) {
    struct xn_norm norm = {.kind = draw_below(d, 4) ? XN_NORM_RMS : XN_NORM_LAYER, .epsilon = 1e-5f};
    norm.weight = draw_vector(d, n, 1, 0.2f);
    if (norm.kind == XN_NORM_LAYER && coin(d)) norm.bias = draw_vector(d, n, 0, 0.1f);
    return norm;
}

static struct xn_rope draw_rope(struct draw *d, uint32_t head_size) {
    struct xn_rope rope = {.kind = draw_below(d, 5) ? (coin(d) ? XN_ROPE_HALVES : XN_ROPE_PAIRS) : XN_ROPE_NONE,
                           .magnitude = coin(d) ? 1.0f : 1.1f};
    if (rope.kind != XN_ROPE_NONE) {
        rope.dims = coin(d) ? head_size : head_size / 2;
        float *f = must(xn_arena_alloc(&d->recipe->arena, rope.dims / 2, sizeof *f));
        for (uint32_t i = 0; i < rope.dims / 2; i++)
            f[i] = powf(10000, -(float)(2 * i) / (float)rope.dims);
        rope.frequency = f;
    }
    if (draw_below(d, 4) == 0) {
        rope.query_beta = 0.1f;
        rope.query_period = 8;
    }
    return rope;
}

static void draw_attention(struct draw *d, struct xn_attention *a) {
    static const uint32_t sizes[] = {32, 64, 80, 96};
    uint32_t hidden = d->recipe->hidden;
    a->kv_heads = 1 + draw_below(d, 2);
    a->heads = a->kv_heads * (1 + draw_below(d, 4));
    a->head_size = sizes[draw_below(d, 4)];
    a->value_size = coin(d) ? a->head_size : 64;
    a->output_gate = coin(d) && a->value_size == a->head_size;
    a->norm_whole = !a->output_gate && coin(d);
    uint32_t q_rows = a->heads * a->head_size * (a->output_gate ? 2 : 1), k_rows = a->kv_heads * a->head_size;
    a->q = draw_matrix(d, "q", q_rows, hidden);
    a->k = draw_matrix(d, "k", k_rows, hidden);
    a->v = draw_matrix(d, "v", a->kv_heads * a->value_size, hidden);
    a->o = draw_matrix(d, "o", hidden, a->heads * a->value_size);
    if (coin(d)) {
        a->q_bias = draw_vector(d, q_rows, 0, 0.3f);
        a->k_bias = draw_vector(d, k_rows, 0, 0.3f);
        a->v_bias = draw_vector(d, a->v.rows, 0, 0.3f);
    }
    if (coin(d)) a->o_bias = draw_vector(d, hidden, 0, 0.1f);
    if (coin(d)) {
        a->q_norm = draw_norm(d, a->norm_whole ? a->heads * a->head_size : a->head_size);
        a->k_norm = draw_norm(d, a->norm_whole ? k_rows : a->head_size);
    }
    a->rope = draw_rope(d, a->head_size);
    a->scale = 1.0f / sqrtf((float)a->head_size);
    if (coin(d)) a->soft_cap = 20;
    if (coin(d)) a->window = 1 + draw_below(d, 40);
    if (coin(d)) a->sinks = draw_vector(d, a->heads, 0, 1);
}

static void draw_delta_net(struct draw *d, struct xn_delta_net *n) {
    uint32_t hidden = d->recipe->hidden;
    n->key_heads = 1 + draw_below(d, 3);
    n->value_heads = n->key_heads * (1 + draw_below(d, 2));
    n->key_size = coin(d) ? 32 : 64;
    n->value_size = coin(d) ? 32 : 64;
    n->kernel = 2 + draw_below(d, 3);
    uint32_t values = n->value_heads * n->value_size, channels = 2 * n->key_heads * n->key_size + values;
    n->qkv = draw_matrix(d, "qkv", channels, hidden);
    n->z = draw_matrix(d, "z", values, hidden);
    n->beta = draw_matrix(d, "beta", n->value_heads, hidden);
    n->alpha = draw_matrix(d, "alpha", n->value_heads, hidden);
    n->out = draw_matrix(d, "out", hidden, values);
    n->conv = draw_vector(d, channels * n->kernel, 0, 0.5f);
    if (coin(d)) n->conv_bias = draw_vector(d, channels, 0, 0.2f);
    n->decay_rate = draw_vector(d, n->value_heads, -0.5f, 0.1f);
    n->dt_bias = draw_vector(d, n->value_heads, 0, 0.5f);
    n->norm = (struct xn_norm){XN_NORM_RMS, 1e-6f, draw_vector(d, n->value_size, 1, 0.2f), NULL};
    n->heads_tiled = coin(d);
}

static struct xn_glu draw_glu(struct draw *d, enum xn_activation activation) {
    struct xn_glu glu = {.activation = activation};
    if (draw_below(d, 3) == 0) glu.gate_scale = 0.8f;
    if (draw_below(d, 3) == 0) glu.limit = 2;
    if (draw_below(d, 3) == 0) glu.up_offset = 1;
    return glu;
}

static void draw_dense(struct draw *d, struct xn_dense *f, uint32_t size) {
    uint32_t hidden = d->recipe->hidden;
    f->glu = draw_glu(d, (enum xn_activation)draw_below(d, XN_ACTIVATIONS));
    bool gated = f->glu.activation != XN_ACT_RELU2;
    if (gated) f->gate = draw_matrix(d, "gate", size, hidden);
    f->up = draw_matrix(d, "up", size, hidden);
    f->down = draw_matrix(d, "down", hidden, size);
    if (coin(d)) {
        if (gated) f->gate_bias = draw_vector(d, size, 0, 0.2f);
        f->up_bias = draw_vector(d, size, 0, 0.2f);
        f->down_bias = draw_vector(d, hidden, 0, 0.1f);
    }
}

static void draw_experts(struct draw *d, struct xn_experts *e) {
    uint32_t hidden = d->recipe->hidden, count = 4 + 4 * draw_below(d, 2), size = 64;
    e->router = draw_matrix(d, "router", count, hidden);
    e->score = coin(d) ? XN_ROUTER_SIGMOID : XN_ROUTER_SOFTMAX;
    if (coin(d)) e->router_bias = draw_vector(d, count, 0, 0.3f);
    if (coin(d)) e->selection_bias = draw_vector(d, count, 0, 0.1f);
    e->used = 1 + draw_below(d, 2);
    if (coin(d)) {
        e->groups = 2;
        e->groups_used = 1;
    }
    e->normalize = coin(d);
    e->scale = coin(d) ? 1.0f : 1.5f;
    e->glu = draw_glu(d, XN_ACT_SILU);
    e->group_best = 1 + draw_below(d, 2);
    e->gate = draw_matrices(d, "expert gate", size, hidden, count);
    e->up = draw_matrices(d, "expert up", size, hidden, count);
    e->down = draw_matrices(d, "expert down", hidden, size, count);
    if (coin(d)) {
        draw_dense(d, &e->shared, 96);
        if (coin(d)) e->shared_router = draw_matrix(d, "shared router", 1, hidden);
    }
}

static void draw_layer(struct draw *d, struct xn_layer *layer) {
    uint32_t hidden = d->recipe->hidden;
    layer->residual_scale = coin(d) ? 1.0f : 0.5f;
    layer->mixer.norm = draw_norm(d, hidden);
    layer->ffn.norm = draw_norm(d, hidden);
    if (coin(d)) layer->mixer.post_norm = draw_norm(d, hidden);
    bool recurrent = d->options->recurrent_only || (!d->options->attention_only && coin(d));
    layer->mixer.kind = recurrent ? XN_MIXER_DELTA_NET : XN_MIXER_ATTENTION;
    if (recurrent)
        draw_delta_net(d, &layer->mixer.delta_net);
    else
        draw_attention(d, &layer->mixer.attention);
    bool dense = d->options->dense_only || coin(d);
    layer->ffn.kind = dense ? XN_FFN_DENSE : XN_FFN_EXPERTS;
    if (dense) {
        draw_dense(d, &layer->ffn.dense, 256);
        if (coin(d)) layer->ffn.post_norm = draw_norm(d, hidden);
    } else {
        draw_experts(d, &layer->ffn.experts);
    }
}

int random_recipe(const struct random_recipe_options *options, struct xn_recipe *recipe) {
    *recipe = (struct xn_recipe){.family = "random",
                                 .hidden = 256,
                                 .vocab = 97,
                                 .n_layers = options->n_layers ? options->n_layers : 3,
                                 .context = 512,
                                 .logit_scale = 1};
    struct draw d = {.state = options->seed * 2 + 1, .recipe = recipe, .options = options};
    recipe->embedding = draw_matrix(&d, "embedding", recipe->vocab, recipe->hidden);
    recipe->embedding_scale = 8;
    recipe->layers = must(xn_arena_alloc(&recipe->arena, recipe->n_layers, sizeof *recipe->layers));
    for (uint32_t i = 0; i < recipe->n_layers; i++)
        draw_layer(&d, &recipe->layers[i]);
    recipe->final_norm = draw_norm(&d, recipe->hidden);
    recipe->head = coin(&d) ? recipe->embedding : draw_matrix(&d, "head", recipe->vocab, recipe->hidden);
    if (coin(&d)) recipe->logit_soft_cap = 30;
    return XN_OK;
}
