// Drawing attend, delta_net, state_space and short_conv.
#include "check/draw.h"
#include "device/cache.h"

#include <math.h>
#include <stdio.h>

// The width of a buffer: `n`, and sometimes a few values that nothing uses.
static void set_width(struct draw *d, enum xn_buffer buffer, uint32_t n) {
    d->c->plan.width[buffer] = n + draw_choice(d, 5);
}

// Mixers do not touch X.
static void set_hidden(struct draw *d) {
    d->c->plan.hidden = d->c->plan.width[XN_BUF_X] = 8;
}

void draw_attend(struct draw *d) {
    struct xn_check_case *c = d->c;
    struct xn_op_attend *a = &d->op->attend;
    a->in = draw_coin(d) ? XN_BUF_ABSORBED : XN_BUF_Q;
    a->out = draw_coin(d) ? XN_BUF_LATENT : XN_BUF_MIX;
    a->kv_heads = DRAW_OF(d, 8, 1, 2, 3);
    a->heads = a->kv_heads * DRAW_OF(d, 4, 1, 2, 3, 4, 8);
    a->head_size = DRAW_OF(d, 128, 32, 64, 80, 96, 128, 256, 7);
    a->output_gate = draw_coin(d);
    a->value_size = a->output_gate || !draw_coin(d) ? a->head_size : DRAW_OF(d, 0, 16, 40, 64);
    if (xn_cache_type_blocks(c->wish.type)) {
        a->head_size = (a->head_size + XN_CACHE_BLOCK - 1) / XN_CACHE_BLOCK * XN_CACHE_BLOCK;
        a->value_size = (a->value_size + XN_CACHE_BLOCK - 1) / XN_CACHE_BLOCK * XN_CACHE_BLOCK;
    }
    a->head_stride = a->head_size * (a->output_gate ? 2 : 1);
    a->scale = 1 / sqrtf((float)a->head_size);
    a->soft_cap = draw_coin(d) ? 2 : 0;
    a->window = draw_coin(d) ? DRAW_OF(d, 0, 1, 5, 40, 100) : 0;
    a->sinks = draw_maybe(d, a->heads, 0, 2);
    set_hidden(d);
    set_width(d, a->in, a->heads * a->head_stride);
    set_width(d, a->out, a->heads * a->value_size);
    a->values_in_keys = a->value_size <= a->head_size && draw_choice(d, 3) == 1;
    c->cache = (struct xn_cache_layer){a->kv_heads, a->head_size, a->values_in_keys ? 0 : a->value_size};
    c->plan.n_cache = 1;
    uint32_t rows = DRAW_OF(d, 1, 1, 1, 9, 100), past = DRAW_OF(d, 0, 0, 30, 300, 900);
    if (!c->wish.plain && rows <= 9 && c->wish.rows <= 9 && draw_below(d, 4) == 0) past = 6000; // of many parts
    draw_batch(d, rows, past);
    c->rounds = true;
    DRAW_WHAT(d, "attend %s heads %u/%u size %u/%u window %u cap %g%s%s%s rows %u spans %u",
              xn_format_of(c->limits.cache_type)->name, a->heads, a->kv_heads, a->head_size, a->value_size, a->window,
              (double)a->soft_cap, a->sinks ? " sinks" : "", a->output_gate ? " gated" : "",
              a->values_in_keys ? " values in keys" : "", c->batch.n_rows, c->batch.n_spans);
}

void draw_delta_net(struct draw *d) {
    struct xn_check_case *c = d->c;
    struct xn_op_delta_net *n = &d->op->delta_net;
    n->out = draw_coin(d) ? XN_BUF_BESIDE : XN_BUF_MIX;
    n->key_heads = DRAW_OF(d, 16, 1, 1, 2, 3);
    n->value_heads = n->key_heads * DRAW_OF(d, 2, 1, 1, 2, 3);
    n->key_size = DRAW_OF(d, 128, 8, 16, 30, 64, 128, 200, 264);
    n->value_size = DRAW_OF(d, 128, 8, 16, 33, 64, 128);
    n->kernel = DRAW_OF(d, 4, 1, 2, 3, 4, 5);
    uint32_t values = n->value_heads * n->value_size, channels = 2 * n->key_heads * n->key_size + values;
    n->conv = draw_vector(d, (size_t)channels * n->kernel, 0, 1);
    n->conv_bias = draw_maybe(d, channels, 0, 0.5f);
    n->decay_rate = draw_vector(d, n->value_heads, -1, 0.9f);
    n->dt_bias = draw_vector(d, n->value_heads, 0, 1);
    n->norm = (struct xn_norm){XN_NORM_RMS, 1e-6f, draw_vector(d, n->value_size, 1, 0.5f), NULL};
    n->heads_tiled = draw_coin(d);
    set_hidden(d);
    set_width(d, XN_BUF_Q, channels);
    set_width(d, XN_BUF_Z, values);
    set_width(d, n->out, values);
    c->plan.width[XN_BUF_BETA] = c->plan.width[XN_BUF_ALPHA] = n->value_heads;
    c->plan.n_states = 1;
    c->states = (struct xn_state_layer){(n->kernel - 1) * channels, n->value_heads * n->key_size * n->value_size};
    draw_batch(d, DRAW_OF(d, 1, 1, 1, 20, 200), 10);
    c->exact = 1e-4; // norms of small vectors magnify
    c->recurrent = true;
    DRAW_WHAT(d, "delta_net heads %u/%u size %u/%u kernel %u%s rows %u spans %u", n->key_heads, n->value_heads,
              n->key_size, n->value_size, n->kernel, n->heads_tiled ? " tiled" : "", c->batch.n_rows, c->batch.n_spans);
}

void draw_state_space(struct draw *d) {
    struct xn_check_case *c = d->c;
    struct xn_op_state_space *s = &d->op->state_space;
    s->out = draw_coin(d) ? XN_BUF_BESIDE : XN_BUF_MIX;
    s->groups = DRAW_OF(d, 1, 1, 1, 2, 3);
    s->heads = s->groups * DRAW_OF(d, 64, 1, 1, 2, 3, 4);
    s->head_size = DRAW_OF(d, 64, 5, 8, 16, 24, 32, 64, 80);
    s->state_size = DRAW_OF(d, 128, 3, 16, 30, 64, 128, 200, 264);
    s->kernel = DRAW_OF(d, 4, 1, 2, 3, 4, 5);
    uint32_t inner = s->heads * s->head_size, channels = inner + 2 * s->groups * s->state_size;
    s->conv = draw_vector(d, (size_t)channels * s->kernel, 0, 1);
    s->conv_bias = draw_maybe(d, channels, 0, 0.5f);
    s->decay_rate = draw_vector(d, s->heads, -1, 0.9f);
    s->dt_bias = draw_vector(d, s->heads, 0, 1);
    s->skip = draw_vector(d, s->heads, 1, 0.5f);
    bool limited = draw_coin(d);
    s->dt_min = limited ? 0.3f : 0;
    s->dt_max = limited ? 0.8f : INFINITY;
    s->norm_groups = DRAW_OF(d, 1, 1, s->groups, s->heads);
    s->norm = draw_norm(d, inner);
    s->norm.epsilon = 1e-3f; // a small vector's norm would magnify what was rounded
    s->norm_before_gate = draw_coin(d);
    set_hidden(d);
    set_width(d, XN_BUF_Q, channels);
    set_width(d, XN_BUF_Z, inner);
    set_width(d, s->out, inner);
    set_width(d, XN_BUF_ALPHA, s->heads);
    c->plan.n_states = 1;
    c->states = (struct xn_state_layer){(s->kernel - 1) * channels, inner * s->state_size};
    draw_batch(d, DRAW_OF(d, 1, 1, 1, 20, 200), 10);
    c->exact = 1e-4;
    c->recurrent = true;
    DRAW_WHAT(d, "state_space heads %u groups %u size %u states %u kernel %u norm %d of %u before %d rows %u spans %u",
              s->heads, s->groups, s->head_size, s->state_size, s->kernel, s->norm.kind, s->norm_groups,
              s->norm_before_gate, c->batch.n_rows, c->batch.n_spans);
}

void draw_short_conv(struct draw *d) {
    struct xn_check_case *c = d->c;
    struct xn_op_short_conv *s = &d->op->short_conv;
    s->out = draw_coin(d) ? XN_BUF_BESIDE : XN_BUF_MIX;
    s->channels = DRAW_OF(d, 2048, 1, 7, 64, 1 + draw_below(d, 600));
    s->kernel = DRAW_OF(d, 3, 1, 2, 3, 4, 5);
    s->conv = draw_vector(d, (size_t)s->channels * s->kernel, 0, 1);
    s->conv_bias = draw_maybe(d, s->channels, 0, 0.5f);
    set_hidden(d);
    set_width(d, XN_BUF_Q, 3 * s->channels);
    set_width(d, s->out, s->channels);
    c->plan.n_states = 1;
    c->states = (struct xn_state_layer){.conv_size = (s->kernel - 1) * s->channels};
    draw_batch(d, DRAW_OF(d, 1, 1, 1, 20, 200), 10);
    DRAW_WHAT(d, "short_conv channels %u kernel %u%s rows %u spans %u", s->channels, s->kernel,
              s->conv_bias ? " bias" : "", c->batch.n_rows, c->batch.n_spans);
}
