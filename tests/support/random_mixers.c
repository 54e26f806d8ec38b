// Random mixers.
#include "random_draw.h"

#include <math.h>
#include <string.h>

static const float *draw_frequencies(struct draw *d, uint32_t dims, float theta) {
    float *f = draw_alloc(d, dims / 2, sizeof *f);
    for (uint32_t i = 0; i < dims / 2; i++)
        f[i] = powf(theta, -(float)(2 * i) / (float)dims);
    return f;
}

static struct xn_rope draw_rope(struct draw *d, uint32_t head_size) {
    struct xn_rope rope = {.kind = draw_below(d, 5) ? (draw_coin(d) ? XN_ROPE_HALVES : XN_ROPE_PAIRS) : XN_ROPE_NONE,
                           .magnitude = draw_coin(d) ? 1.0f : 1.1f};
    if (rope.kind != XN_ROPE_NONE) {
        rope.dims = draw_coin(d) ? head_size : head_size / 4 * 2;
        rope.frequency = draw_frequencies(d, rope.dims, 10000);
    }
    if (rope.kind != XN_ROPE_NONE && d->original && draw_below(d, 4)) {
        rope.original = d->original;
        rope.theta = 10000;
        rope.growth = 4;
        if (draw_coin(d)) rope.long_frequency = draw_frequencies(d, rope.dims, 500000);
    }
    if (draw_below(d, 4) == 0) {
        rope.query_beta = 0.1f;
        rope.query_period = 8;
    }
    return rope;
}

static void draw_keys_and_values(struct draw *d, struct xn_attention *a) {
    uint32_t hidden = d->recipe->hidden, k_rows = a->kv_heads * a->head_size, v_rows = a->kv_heads * a->value_size;
    a->k = draw_matrix(d, "k", k_rows, hidden);
    a->v = draw_matrix(d, "v", v_rows, hidden);
    a->k_bias = draw_maybe(d, k_rows, 0, 0.3f);
    a->v_bias = draw_maybe(d, v_rows, 0, 0.3f);
    if (draw_coin(d)) a->k_norm = draw_norm(d, a->norm_whole ? k_rows : a->head_size);
    if (draw_below(d, 4) == 0) a->v_norm = draw_norm(d, a->norm_whole ? v_rows : a->value_size);
    d->caches[d->n_caches++] = (struct draw_cache){d->layer, a};
}

static void draw_attention(struct draw *d, struct xn_attention *a, bool may_share) {
    uint32_t hidden = d->recipe->hidden, group = DRAW_OF(d, 1, 2, 3, 4, 8);
    if (may_share && d->n_caches && draw_below(d, 3) == 0) {
        const struct draw_cache *of = &d->caches[draw_below(d, d->n_caches)];
        a->shares_cache = true;
        a->cache_layer = of->layer;
        a->kv_heads = of->attention->kv_heads;
        a->head_size = of->attention->head_size;
        a->value_size = of->attention->value_size;
    } else {
        a->kv_heads = 1 + draw_below(d, 3);
        a->head_size = DRAW_OF(d, 32, 64, 80, 128, 20);
        a->value_size = draw_coin(d) ? a->head_size : DRAW_OF(d, 16, 64, 40);
    }
    a->heads = a->kv_heads * group;
    a->output_gate = draw_coin(d) && a->value_size == a->head_size;
    a->norm_whole = !a->output_gate && draw_below(d, 3) == 0;
    uint32_t q_rows = a->heads * a->head_size * (a->output_gate ? 2 : 1);
    a->q = draw_matrix(d, "q", q_rows, hidden);
    a->q_bias = draw_maybe(d, q_rows, 0, 0.3f);
    if (draw_coin(d)) a->q_norm = draw_norm(d, a->norm_whole ? q_rows : a->head_size);
    if (!a->shares_cache) draw_keys_and_values(d, a);
    a->o = draw_matrix(d, "o", hidden, a->heads * a->value_size);
    a->o_bias = draw_maybe(d, hidden, 0, 0.1f);
    a->rope = draw_rope(d, a->head_size);
    a->scale = 1.0f / sqrtf((float)a->head_size);
    if (draw_below(d, 3) == 0) a->soft_cap = 20;
    if (draw_coin(d)) a->window = 1 + draw_below(d, 70);
    if (draw_below(d, 3) == 0) a->sinks = draw_vector(d, a->heads, 0, 1);
}

static void draw_latent(struct draw *d, struct xn_latent_attention *a) {
    uint32_t hidden = d->recipe->hidden, input = hidden;
    a->heads = DRAW_OF(d, 1, 2, 3, 8);
    a->rank = DRAW_OF(d, 32, 64, 96, 256, 20);
    a->nope_size = DRAW_OF(d, 16, 32, 64, 7);
    a->rope_size = DRAW_OF(d, 8, 16, 32);
    a->value_size = DRAW_OF(d, 16, 32, 64, 9);
    if (draw_coin(d)) {
        input = a->q_rank = DRAW_OF(d, 32, 96, 256, 33);
        a->q_a = draw_matrix(d, "q_a", a->q_rank, hidden);
        a->q_a_bias = draw_maybe(d, a->q_rank, 0, 0.3f);
        a->q_a_norm = draw_maybe_norm(d, a->q_rank);
    }
    uint32_t q_rows = a->heads * (a->nope_size + a->rope_size);
    a->q = draw_matrix(d, "q", q_rows, input);
    a->q_bias = draw_maybe(d, q_rows, 0, 0.3f);
    a->latent = draw_matrix(d, "latent", a->rank, hidden);
    a->latent_bias = draw_maybe(d, a->rank, 0, 0.3f);
    a->latent_norm = draw_maybe_norm(d, a->rank);
    a->k_rope = draw_matrix(d, "k_rope", a->rope_size, hidden);
    a->k_rope_bias = draw_maybe(d, a->rope_size, 0, 0.3f);
    a->k_absorb = draw_matrices(d, "k_absorb", a->rank, a->nope_size, a->heads);
    a->v_expand = draw_matrices(d, "v_expand", a->value_size, a->rank, a->heads);
    a->o = draw_matrix(d, "o", hidden, a->heads * a->value_size);
    a->o_bias = draw_maybe(d, hidden, 0, 0.1f);
    a->rope = draw_rope(d, a->rope_size);
    a->scale = 1.0f / sqrtf((float)(a->rank + a->rope_size));
}

static void draw_delta_net(struct draw *d, struct xn_delta_net *n) {
    uint32_t hidden = d->recipe->hidden;
    n->key_heads = 1 + draw_below(d, 3);
    n->value_heads = n->key_heads * (1 + draw_below(d, 3));
    n->key_size = DRAW_OF(d, 32, 64, 128, 20);
    n->value_size = DRAW_OF(d, 32, 64, 128, 24);
    n->kernel = 1 + draw_below(d, 4);
    uint32_t values = n->value_heads * n->value_size, channels = 2 * n->key_heads * n->key_size + values;
    n->qkv = draw_matrix(d, "qkv", channels, hidden);
    n->z = draw_matrix(d, "z", values, hidden);
    n->beta = draw_matrix(d, "beta", n->value_heads, hidden);
    n->alpha = draw_matrix(d, "alpha", n->value_heads, hidden);
    n->out = draw_matrix(d, "out", hidden, values);
    n->conv = draw_vector(d, (size_t)channels * n->kernel, 0, 0.5f);
    n->conv_bias = draw_maybe(d, channels, 0, 0.2f);
    n->decay_rate = draw_vector(d, n->value_heads, -0.5f, 0.1f);
    n->dt_bias = draw_vector(d, n->value_heads, 0, 0.5f);
    n->norm = draw_norm(d, n->value_size);
    n->heads_tiled = draw_coin(d);
}

static void draw_state_space(struct draw *d, struct xn_state_space *s) {
    uint32_t hidden = d->recipe->hidden;
    s->groups = DRAW_OF(d, 1, 1, 2, 4);
    s->heads = s->groups * DRAW_OF(d, 1, 2, 3, 4);
    s->head_size = DRAW_OF(d, 16, 32, 64, 24);
    s->state_size = DRAW_OF(d, 16, 32, 128, 20);
    s->kernel = 1 + draw_below(d, 4);
    uint32_t inner = s->heads * s->head_size, channels = inner + 2 * s->groups * s->state_size;
    s->z = draw_matrix(d, "z", inner, hidden);
    s->xbc = draw_matrix(d, "xbc", channels, hidden);
    s->dt = draw_matrix(d, "dt", s->heads, hidden);
    s->out = draw_matrix(d, "out", hidden, inner);
    s->z_bias = draw_maybe(d, inner, 0, 0.2f);
    s->xbc_bias = draw_maybe(d, channels, 0, 0.2f);
    s->dt_proj_bias = draw_maybe(d, s->heads, 0, 0.2f);
    s->out_bias = draw_maybe(d, hidden, 0, 0.1f);
    s->z_scale = draw_scale(d, 0.9f);
    s->xbc_scale = draw_scale(d, 1.2f);
    s->dt_scale = draw_scale(d, 0.7f);
    s->conv = draw_vector(d, (size_t)channels * s->kernel, 0, 0.5f);
    s->conv_bias = draw_maybe(d, channels, 0, 0.2f);
    float *decay = draw_alloc(d, s->heads, sizeof *decay); // from hardly any to one that forgets at once
    for (uint32_t i = 0; i < s->heads; i++)
        decay[i] = -expf(1.5f * draw_normal(d));
    s->decay_rate = decay;
    s->dt_bias = draw_vector(d, s->heads, -1, 1);
    s->skip = draw_vector(d, s->heads, 1, 0.5f);
    s->dt_max = INFINITY;
    if (draw_coin(d)) {
        s->dt_min = 0.1f;
        s->dt_max = draw_coin(d) ? 1.0f : INFINITY;
    }
    s->norm = draw_maybe_norm(d, inner);
    s->norm_groups = draw_coin(d) ? 1 : s->groups;
    s->norm_before_gate = draw_coin(d);
}

static void draw_short_conv(struct draw *d, struct xn_short_conv *s) {
    uint32_t hidden = d->recipe->hidden;
    s->channels = draw_coin(d) ? hidden : DRAW_OF(d, 64, 100, 256);
    s->kernel = 1 + draw_below(d, 4);
    s->in = draw_matrix(d, "in", 3 * s->channels, hidden);
    s->out = draw_matrix(d, "out", hidden, s->channels);
    s->in_bias = draw_maybe(d, (size_t)3 * s->channels, 0, 0.2f);
    s->out_bias = draw_maybe(d, hidden, 0, 0.1f);
    s->conv = draw_vector(d, (size_t)s->channels * s->kernel, 0, 0.5f);
    s->conv_bias = draw_maybe(d, s->channels, 0, 0.2f);
}

static enum xn_mixer_kind draw_kind(struct draw *d) {
    bool stateless = d->options->attention_only;
    if (!d->options->recurrent_only && (stateless || draw_coin(d)))
        return draw_below(d, 3) ? XN_MIXER_ATTENTION : XN_MIXER_LATENT;
    return (enum xn_mixer_kind)DRAW_OF(d, XN_MIXER_DELTA_NET, XN_MIXER_STATE_SPACE, XN_MIXER_STATE_SPACE,
                                       XN_MIXER_SHORT_CONV);
}

// A layer's cache that others share is its last attention's: of two in a layer none is shared.
static void forget_shadowed_cache(struct draw *d) {
    uint32_t n = d->n_caches;
    if (n > 1 && d->caches[n - 1].layer == d->caches[n - 2].layer) d->caches[n - 2] = d->caches[n - 1], d->n_caches--;
}

void draw_mixer(struct draw *d, struct xn_mixer *mixer, bool beside) {
    uint32_t hidden = d->recipe->hidden, caches = d->n_caches;
    mixer->post_norm = draw_maybe_norm(d, hidden);
    if (mixer->post_norm.kind == XN_NORM_NONE || draw_below(d, 4)) mixer->norm = draw_norm(d, hidden);
    mixer->scale = draw_scale(d, 0.8f);
    mixer->kind = draw_kind(d);
    switch (mixer->kind) {
    case XN_MIXER_ATTENTION:
        draw_attention(d, &mixer->attention, !beside && caches > 0);
        break;
    case XN_MIXER_LATENT:
        draw_latent(d, &mixer->latent);
        break;
    case XN_MIXER_DELTA_NET:
        draw_delta_net(d, &mixer->delta_net);
        break;
    case XN_MIXER_STATE_SPACE:
        draw_state_space(d, &mixer->state_space);
        break;
    case XN_MIXER_SHORT_CONV:
        draw_short_conv(d, &mixer->short_conv);
        break;
    case XN_MIXER_NONE:
        break;
    }
    if (beside) forget_shadowed_cache(d);
}
