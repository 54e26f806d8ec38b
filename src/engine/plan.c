#include "engine/plan.h"
#include "model/rope.h"

#include <math.h>
#include <string.h>

// State of building one plan. Every matrix goes through weights(), so that the plan holds only what the device made of
// it.
struct builder {
    const struct xn_recipe *recipe;
    xn_plan_pack *pack;
    void *user;
    struct xn_plan *plan;
    struct xn_error *err;
    int layer;
    uint32_t *cache_of; // of each layer, where its attention has one
};

enum {
    MAX_OPS_PER_MIXER = 6, // latent attention: project, project, heads, attend, heads, project_add
    MAX_OPS_PER_FFN = 9,   // experts: route, project, expert_gate, gate, expert_add, project_add, project_add, add
    MAX_OPS_PER_INPUT = 2, // gate, project_add
    MAX_OPS_PER_LAYER = 2 * MAX_OPS_PER_MIXER + MAX_OPS_PER_FFN + MAX_OPS_PER_INPUT,
    MAX_OPS_OUTSIDE = 4, // embed, project and embed of the per-layer inputs, head
};

static int weights(struct builder *b, const struct xn_matrix *matrix, const struct xn_weights **out) {
    *out = NULL;
    if (matrix->rows == 0) return XN_OK;
    struct xn_weights *w;
    XN_TRY(b->pack(b->user, matrix, &w, b->err));
    *out = w;
    return XN_OK;
}

static struct xn_op *add(struct builder *b, enum xn_op_kind kind) {
    struct xn_op *op = &b->plan->ops[b->plan->n_ops++];
    op->kind = kind;
    op->layer = b->layer;
    return op;
}

static void widen(struct builder *b, enum xn_buffer buffer, uint32_t width) {
    if (width > b->plan->width[buffer]) b->plan->width[buffer] = width;
}

static float or_one(float scale) {
    return scale != 0 ? scale : 1;
}

// A part of `heads` heads of `size` values into a buffer, without norm or rotation.
// What becomes the decay or the strength of a state's update is computed exactly.
static bool drives_state(enum xn_buffer buffer) {
    return buffer == XN_BUF_BETA || buffer == XN_BUF_ALPHA;
}

static int plain_part(struct builder *b, struct xn_op_project *p, const struct xn_matrix *matrix, const float *bias,
                      float scale, enum xn_buffer buffer) {
    struct xn_part *part = &p->part[p->n_parts++];
    *part = (struct xn_part){.bias = bias,
                             .scale = or_one(scale),
                             .heads = 1,
                             .head_size = matrix->rows,
                             .head_stride = matrix->rows,
                             .rope.magnitude = 1,
                             .exact = drives_state(buffer),
                             .target = XN_TO_BUFFER,
                             .buffer = buffer};
    widen(b, buffer, matrix->rows);
    return weights(b, matrix, &part->weights);
}

static const struct xn_sum to_residual = {.to = XN_BUF_X, .scale = 1, .after = 1};

static int project_add(struct builder *b, enum xn_buffer in, const struct xn_matrix *matrix, const float *bias,
                       enum xn_buffer row_scale, const struct xn_sum *sum) {
    struct xn_op_project_add *p = &add(b, XN_OP_PROJECT_ADD)->project_add;
    *p = (struct xn_op_project_add){.in = in, .bias = bias, .row_scale = row_scale, .sum = *sum};
    widen(b, sum->to, matrix->rows);
    return weights(b, matrix, &p->weights);
}

// --- mixers: all but their output products, into `out` ---

// How far an attention's scores spread, where norms over each head say how long queries and keys are: with independent
// values of size 1 before the weights, q . k has the standard deviation sqrt(sum (q weight * k weight)^2).
static float score_spread(const struct xn_attention *a) {
    if (a->q_norm.kind == XN_NORM_NONE || a->k_norm.kind == XN_NORM_NONE) return 0;
    double sum = 0;
    for (uint32_t i = 0; i < a->head_size; i++) {
        double weight = (a->q_norm.weight ? a->q_norm.weight[i] : 1.0) * (a->k_norm.weight ? a->k_norm.weight[i] : 1.0);
        sum += weight * weight;
    }
    return (float)(a->scale * sqrt(sum));
}

// The parts of a project that give an attention its keys and values.
static int key_value_parts(struct builder *b, const struct xn_attention *a, struct xn_op_project *p) {
    p->part[1] = (struct xn_part){.bias = a->k_bias,
                                  .scale = 1,
                                  .heads = a->kv_heads,
                                  .head_size = a->head_size,
                                  .head_stride = a->head_size,
                                  .norm = a->k_norm,
                                  .norm_whole = a->norm_whole,
                                  .rope = a->rope,
                                  .target = XN_TO_KEYS,
                                  .buffer = XN_BUF_NONE};
    p->part[2] = (struct xn_part){.bias = a->v_bias,
                                  .scale = 1,
                                  .heads = a->kv_heads,
                                  .head_size = a->value_size,
                                  .head_stride = a->value_size,
                                  .norm = a->v_norm,
                                  .rope.magnitude = 1,
                                  .target = XN_TO_VALUES,
                                  .buffer = XN_BUF_NONE};
    p->n_parts = 3;
    XN_TRY(weights(b, &a->k, &p->part[1].weights));
    return weights(b, &a->v, &p->part[2].weights);
}

// The cache layer of an attention: its own, or that of an earlier layer of the same sizes.
static int cache_of(struct builder *b, const struct xn_attention *a, uint32_t *cache) {
    struct xn_cache_layer own = {a->kv_heads, a->head_size, a->value_size};
    if (!a->shares_cache) {
        *cache = b->plan->n_cache++;
        b->plan->cache[*cache] = own;
        b->cache_of[b->layer] = *cache;
        return XN_OK;
    }
    if (a->cache_layer >= (uint32_t)b->layer || b->cache_of[a->cache_layer] == UINT32_MAX)
        return xn_fail(b->err, XN_ERR_FORMAT, "layer %d: shares the cache of layer %u, which has none before it",
                       b->layer, a->cache_layer);
    *cache = b->cache_of[a->cache_layer];
    const struct xn_cache_layer *c = &b->plan->cache[*cache];
    if (c->kv_heads != own.kv_heads || c->key_size != own.key_size || c->value_size != own.value_size)
        return xn_fail(b->err, XN_ERR_FORMAT,
                       "layer %d: shares the cache of layer %u, which has %u heads of %u and %u values, expected %u of "
                       "%u and %u",
                       b->layer, a->cache_layer, c->kv_heads, c->key_size, c->value_size, own.kv_heads, own.key_size,
                       own.value_size);
    return XN_OK;
}

static int attention(struct builder *b, const struct xn_mixer *mixer, enum xn_buffer out) {
    const struct xn_attention *a = &mixer->attention;
    uint32_t cache = 0, stride = a->head_size * (a->output_gate ? 2 : 1);
    XN_TRY(cache_of(b, a, &cache));
    b->plan->score_spread = fmaxf(b->plan->score_spread, score_spread(a));
    struct xn_op_project *p = &add(b, XN_OP_PROJECT)->project;
    *p = (struct xn_op_project){.in = XN_BUF_X, .norm = mixer->norm, .n_parts = 1, .cache = cache};
    p->part[0] = (struct xn_part){.bias = a->q_bias,
                                  .scale = 1,
                                  .heads = a->heads,
                                  .head_size = a->head_size,
                                  .head_stride = stride,
                                  .norm = a->q_norm,
                                  .norm_whole = a->norm_whole,
                                  .is_query = true,
                                  .rope = a->rope,
                                  .target = XN_TO_BUFFER,
                                  .buffer = XN_BUF_Q};
    XN_TRY(weights(b, &a->q, &p->part[0].weights));
    if (!a->shares_cache) XN_TRY(key_value_parts(b, a, p));
    widen(b, XN_BUF_Q, a->heads * stride);
    widen(b, out, a->heads * a->value_size);
    add(b, XN_OP_ATTEND)->attend = (struct xn_op_attend){.in = XN_BUF_Q,
                                                         .out = out,
                                                         .cache = cache,
                                                         .heads = a->heads,
                                                         .kv_heads = a->kv_heads,
                                                         .head_size = a->head_size,
                                                         .value_size = a->value_size,
                                                         .head_stride = stride,
                                                         .scale = a->scale,
                                                         .soft_cap = a->soft_cap,
                                                         .window = a->window,
                                                         .sinks = a->sinks,
                                                         .output_gate = a->output_gate};
    return XN_OK;
}

static int heads(struct builder *b, const struct xn_matrix *matrix, enum xn_buffer in, enum xn_buffer out,
                 uint32_t tail) {
    struct xn_op_heads *h = &add(b, XN_OP_HEADS)->heads;
    *h = (struct xn_op_heads){.in = in, .out = out, .tail = tail};
    widen(b, out, matrix->count * (matrix->rows + tail));
    return weights(b, matrix, &h->weights);
}

// The cached key is the latent vector, then the rotated part; values are the latent vector.
static int latent_attention(struct builder *b, const struct xn_mixer *mixer, enum xn_buffer out) {
    const struct xn_latent_attention *a = &mixer->latent;
    uint32_t cache = b->plan->n_cache++, head_size = a->nope_size + a->rope_size, key_size = a->rank + a->rope_size;
    b->plan->cache[cache] = (struct xn_cache_layer){1, key_size, 0};
    struct xn_op_project *p = &add(b, XN_OP_PROJECT)->project, *q = p;
    *p = (struct xn_op_project){.in = XN_BUF_X, .norm = mixer->norm, .cache = cache};
    struct xn_part part = {.scale = 1, .heads = 1, .rope.magnitude = 1, .target = XN_TO_KEYS, .buffer = XN_BUF_NONE};
    struct xn_part *latent = &p->part[p->n_parts++], *k_rope = &p->part[p->n_parts++];
    *latent = *k_rope = part;
    latent->bias = a->latent_bias;
    latent->head_size = latent->head_stride = a->rank;
    latent->norm = a->latent_norm;
    k_rope->bias = a->k_rope_bias;
    k_rope->head_size = k_rope->head_stride = a->rope_size;
    k_rope->rope = a->rope;
    k_rope->cache_at = a->rank;
    XN_TRY(weights(b, &a->latent, &latent->weights));
    XN_TRY(weights(b, &a->k_rope, &k_rope->weights));
    if (a->q_a.rows) {
        XN_TRY(plain_part(b, p, &a->q_a, a->q_a_bias, 1, XN_BUF_Z));
        p->part[p->n_parts - 1].norm = a->q_a_norm;
        q = &add(b, XN_OP_PROJECT)->project;
        *q = (struct xn_op_project){.in = XN_BUF_Z};
    }
    struct xn_part *query = &q->part[q->n_parts++];
    *query = (struct xn_part){.bias = a->q_bias,
                              .scale = 1,
                              .heads = a->heads,
                              .head_size = head_size,
                              .head_stride = head_size,
                              .rope_at = a->nope_size,
                              .is_query = true,
                              .rope = a->rope,
                              .target = XN_TO_BUFFER,
                              .buffer = XN_BUF_Q};
    XN_TRY(weights(b, &a->q, &query->weights));
    widen(b, XN_BUF_Q, a->heads * head_size);
    XN_TRY(heads(b, &a->k_absorb, XN_BUF_Q, XN_BUF_ABSORBED, a->rope_size));
    add(b, XN_OP_ATTEND)->attend = (struct xn_op_attend){.in = XN_BUF_ABSORBED,
                                                         .out = XN_BUF_LATENT,
                                                         .cache = cache,
                                                         .heads = a->heads,
                                                         .kv_heads = 1,
                                                         .head_size = key_size,
                                                         .value_size = a->rank,
                                                         .values_in_keys = true,
                                                         .head_stride = key_size,
                                                         .scale = a->scale};
    widen(b, XN_BUF_LATENT, a->heads * a->rank);
    return heads(b, &a->v_expand, XN_BUF_LATENT, out, 0);
}

static int delta_net(struct builder *b, const struct xn_mixer *mixer, enum xn_buffer out) {
    const struct xn_delta_net *d = &mixer->delta_net;
    uint32_t state = b->plan->n_states++;
    uint32_t values = d->value_heads * d->value_size, channels = 2 * d->key_heads * d->key_size + values;
    b->plan->states[state] = (struct xn_state_layer){.conv_size = (d->kernel - 1) * channels,
                                                     .recurrent_size = d->value_heads * d->key_size * d->value_size};
    struct xn_op_project *p = &add(b, XN_OP_PROJECT)->project;
    *p = (struct xn_op_project){.in = XN_BUF_X, .norm = mixer->norm};
    XN_TRY(plain_part(b, p, &d->qkv, NULL, 1, XN_BUF_Q));
    XN_TRY(plain_part(b, p, &d->z, NULL, 1, XN_BUF_Z));
    XN_TRY(plain_part(b, p, &d->beta, NULL, 1, XN_BUF_BETA));
    XN_TRY(plain_part(b, p, &d->alpha, NULL, 1, XN_BUF_ALPHA));
    add(b, XN_OP_DELTA_NET)->delta_net = (struct xn_op_delta_net){.out = out,
                                                                  .state = state,
                                                                  .key_heads = d->key_heads,
                                                                  .value_heads = d->value_heads,
                                                                  .key_size = d->key_size,
                                                                  .value_size = d->value_size,
                                                                  .kernel = d->kernel,
                                                                  .conv = d->conv,
                                                                  .conv_bias = d->conv_bias,
                                                                  .decay_rate = d->decay_rate,
                                                                  .dt_bias = d->dt_bias,
                                                                  .norm = d->norm,
                                                                  .heads_tiled = d->heads_tiled};
    widen(b, out, values);
    return XN_OK;
}

static int state_space(struct builder *b, const struct xn_mixer *mixer, enum xn_buffer out) {
    const struct xn_state_space *s = &mixer->state_space;
    uint32_t state = b->plan->n_states++, inner = s->heads * s->head_size;
    uint32_t channels = inner + 2 * s->groups * s->state_size;
    b->plan->states[state] =
        (struct xn_state_layer){.conv_size = (s->kernel - 1) * channels, .recurrent_size = inner * s->state_size};
    struct xn_op_project *p = &add(b, XN_OP_PROJECT)->project;
    *p = (struct xn_op_project){.in = XN_BUF_X, .norm = mixer->norm};
    XN_TRY(plain_part(b, p, &s->z, s->z_bias, s->z_scale, XN_BUF_Z));
    XN_TRY(plain_part(b, p, &s->xbc, s->xbc_bias, s->xbc_scale, XN_BUF_Q));
    XN_TRY(plain_part(b, p, &s->dt, s->dt_proj_bias, s->dt_scale, XN_BUF_ALPHA));
    add(b, XN_OP_STATE_SPACE)->state_space = (struct xn_op_state_space){.out = out,
                                                                        .state = state,
                                                                        .heads = s->heads,
                                                                        .head_size = s->head_size,
                                                                        .groups = s->groups,
                                                                        .state_size = s->state_size,
                                                                        .kernel = s->kernel,
                                                                        .conv = s->conv,
                                                                        .conv_bias = s->conv_bias,
                                                                        .decay_rate = s->decay_rate,
                                                                        .dt_bias = s->dt_bias,
                                                                        .skip = s->skip,
                                                                        .dt_min = s->dt_min,
                                                                        .dt_max = s->dt_max,
                                                                        .norm = s->norm,
                                                                        .norm_groups = s->norm_groups,
                                                                        .norm_before_gate = s->norm_before_gate};
    widen(b, out, inner);
    return XN_OK;
}

static int short_conv(struct builder *b, const struct xn_mixer *mixer, enum xn_buffer out) {
    const struct xn_short_conv *s = &mixer->short_conv;
    uint32_t state = b->plan->n_states++;
    b->plan->states[state] = (struct xn_state_layer){.conv_size = (s->kernel - 1) * s->channels};
    struct xn_op_project *p = &add(b, XN_OP_PROJECT)->project;
    *p = (struct xn_op_project){.in = XN_BUF_X, .norm = mixer->norm};
    XN_TRY(plain_part(b, p, &s->in, s->in_bias, 1, XN_BUF_Q));
    add(b, XN_OP_SHORT_CONV)->short_conv = (struct xn_op_short_conv){.out = out,
                                                                     .state = state,
                                                                     .channels = s->channels,
                                                                     .kernel = s->kernel,
                                                                     .conv = s->conv,
                                                                     .conv_bias = s->conv_bias};
    widen(b, out, s->channels);
    return XN_OK;
}

// A mixer's result in `out`, and the output product that takes it back to the residual stream.
static int mix(struct builder *b, const struct xn_mixer *mixer, enum xn_buffer out, const struct xn_matrix **product,
               const float **bias) {
    switch (mixer->kind) {
    case XN_MIXER_ATTENTION:
        *product = &mixer->attention.o;
        *bias = mixer->attention.o_bias;
        return attention(b, mixer, out);
    case XN_MIXER_LATENT:
        *product = &mixer->latent.o;
        *bias = mixer->latent.o_bias;
        return latent_attention(b, mixer, out);
    case XN_MIXER_DELTA_NET:
        *product = &mixer->delta_net.out;
        *bias = NULL;
        return delta_net(b, mixer, out);
    case XN_MIXER_STATE_SPACE:
        *product = &mixer->state_space.out;
        *bias = mixer->state_space.out_bias;
        return state_space(b, mixer, out);
    case XN_MIXER_SHORT_CONV:
        *product = &mixer->short_conv.out;
        *bias = mixer->short_conv.out_bias;
        return short_conv(b, mixer, out);
    case XN_MIXER_NONE:
        break;
    }
    *product = NULL;
    return XN_OK;
}

// All that reads X comes before the first addition to it.
static int mixers(struct builder *b, const struct xn_layer *layer, float after) {
    const struct xn_mixer *all[2] = {&layer->mixer, layer->beside};
    static const enum xn_buffer out[2] = {XN_BUF_MIX, XN_BUF_BESIDE};
    const struct xn_matrix *product[2] = {NULL, NULL};
    const float *bias[2];
    for (int i = 0; i < 2 && all[i]; i++)
        XN_TRY(mix(b, all[i], out[i], &product[i], &bias[i]));
    for (int i = 0; i < 2; i++) {
        if (!product[i]) continue;
        struct xn_sum sum = to_residual;
        sum.norm = all[i]->post_norm;
        sum.scale = layer->residual_scale * or_one(all[i]->scale);
        if (i == 1 || !product[1]) sum.after = after; // the last of them
        XN_TRY(project_add(b, out[i], product[i], bias[i], XN_BUF_NONE, &sum));
    }
    return XN_OK;
}

// --- feed-forward ---

// HIDDEN of a dense feed-forward, or of a shared expert.
static int gate(struct builder *b, const struct xn_norm *norm, const struct xn_dense *d) {
    struct xn_op_gate *g = &add(b, XN_OP_GATE)->gate;
    *g = (struct xn_op_gate){
        .norm = *norm, .gate_bias = d->gate_bias, .up_bias = d->up_bias, .glu = d->glu, .times = XN_BUF_NONE};
    widen(b, XN_BUF_HIDDEN, d->up.rows);
    XN_TRY(weights(b, &d->gate, &g->gate));
    return weights(b, &d->up, &g->up);
}

static int dense(struct builder *b, const struct xn_layer *layer, float after) {
    const struct xn_dense *d = &layer->ffn.dense;
    XN_TRY(gate(b, &layer->ffn.norm, d));
    struct xn_sum sum = to_residual;
    sum.norm = layer->ffn.post_norm;
    sum.scale = layer->residual_scale * or_one(d->down_scale);
    sum.after = after;
    return project_add(b, XN_BUF_HIDDEN, &d->down, d->down_bias, XN_BUF_NONE, &sum);
}

static int route(struct builder *b, const struct xn_layer *layer, bool *gated) {
    const struct xn_experts *e = &layer->ffn.experts;
    if (e->used > b->plan->route_width) b->plan->route_width = e->used;
    if (e->up.count > b->plan->n_experts) b->plan->n_experts = e->up.count;
    struct xn_op_route *r = &add(b, XN_OP_ROUTE)->route;
    *r = (struct xn_op_route){.norm = e->router_norm.kind != XN_NORM_NONE ? e->router_norm : layer->ffn.norm,
                              .bias = e->router_bias,
                              .selection_bias = e->selection_bias,
                              .score = e->score,
                              .experts = e->up.count,
                              .used = e->used,
                              .groups = e->groups,
                              .groups_used = e->groups_used,
                              .group_best = e->group_best,
                              .normalize = e->normalize,
                              .sum_epsilon = e->sum_epsilon,
                              .scale = e->scale,
                              .expert_scale = e->expert_scale};
    XN_TRY(weights(b, &e->router, &r->router));
    XN_TRY(weights(b, &e->shared_router, &r->shared_router));
    if ((*gated = r->shared_router != NULL)) widen(b, XN_BUF_GATE, 1);
    return XN_OK;
}

// EXPERTS, and what they read.
static int expert_gate(struct builder *b, const struct xn_layer *layer) {
    const struct xn_experts *e = &layer->ffn.experts;
    struct xn_norm norm = e->expert_norm.kind != XN_NORM_NONE ? e->expert_norm : layer->ffn.norm;
    enum xn_buffer in = XN_BUF_X;
    if (e->latent_in.rows) {
        struct xn_op_project *p = &add(b, XN_OP_PROJECT)->project;
        *p = (struct xn_op_project){.in = in, .norm = norm};
        XN_TRY(plain_part(b, p, &e->latent_in, e->latent_in_bias, 1, XN_BUF_LATENT));
        in = XN_BUF_LATENT;
        norm.kind = XN_NORM_NONE;
    }
    struct xn_op_expert_gate *g = &add(b, XN_OP_EXPERT_GATE)->expert_gate;
    *g = (struct xn_op_expert_gate){.in = in,
                                    .norm = norm,
                                    .gate_bias = e->gate_bias,
                                    .up_bias = e->up_bias,
                                    .glu = e->glu,
                                    .used = e->used,
                                    .size = e->up.rows};
    widen(b, XN_BUF_EXPERTS, e->used * e->up.rows);
    XN_TRY(weights(b, &e->gate, &g->gate));
    return weights(b, &e->up, &g->up);
}

static int expert_add(struct builder *b, const struct xn_experts *e, const struct xn_sum *sum) {
    struct xn_op_expert_add *a = &add(b, XN_OP_EXPERT_ADD)->expert_add;
    *a = (struct xn_op_expert_add){.bias = e->down_bias, .used = e->used, .size = e->up.rows, .sum = *sum};
    widen(b, sum->to, e->down.rows);
    return weights(b, &e->down, &a->down);
}

// The experts' results go to the residual stream, each as it is ready; only where one norm follows their sum they meet
// in SUM before. All that reads X comes before the first addition to it.
static int experts(struct builder *b, const struct xn_layer *layer, float after) {
    const struct xn_experts *e = &layer->ffn.experts;
    bool shared = e->shared.up.rows != 0, latent = e->latent_in.rows != 0, gated;
    bool summed = layer->ffn.post_norm.kind != XN_NORM_NONE;
    if (summed && latent)
        return xn_fail(b->err, XN_ERR_UNSUPPORTED, "layer %d: experts in a latent space with a norm behind them",
                       b->layer);
    XN_TRY(route(b, layer, &gated));
    XN_TRY(expert_gate(b, layer));
    if (shared) XN_TRY(gate(b, &layer->ffn.norm, &e->shared));

    struct xn_sum first = to_residual, last = to_residual,
                  inside = {.to = XN_BUF_SUM, .set = true, .scale = 1, .after = 1};
    if (summed) {
        first = inside;
        last.to = XN_BUF_SUM;
    } else {
        first.scale = last.scale = layer->residual_scale;
        *(shared ? &last.after : &first.after) = after;
    }
    first.norm = e->expert_post_norm;
    if (latent) {
        XN_TRY(expert_add(b, e, &inside));
        XN_TRY(project_add(b, XN_BUF_SUM, &e->latent_out, e->latent_out_bias, XN_BUF_NONE, &first));
    } else {
        XN_TRY(expert_add(b, e, &first));
    }
    if (shared) {
        last.norm = e->shared_post_norm;
        last.scale *= or_one(e->shared.down_scale);
        XN_TRY(project_add(b, XN_BUF_HIDDEN, &e->shared.down, e->shared.down_bias, gated ? XN_BUF_GATE : XN_BUF_NONE,
                           &last));
    }
    if (!summed) return XN_OK;
    struct xn_op_add *a = &add(b, XN_OP_ADD)->add;
    *a = (struct xn_op_add){.in = XN_BUF_SUM, .sum = to_residual};
    a->sum.norm = layer->ffn.post_norm;
    a->sum.scale = layer->residual_scale;
    a->sum.after = after;
    return XN_OK;
}

static int feed_forward(struct builder *b, const struct xn_layer *layer, float after) {
    switch (layer->ffn.kind) {
    case XN_FFN_DENSE:
        return dense(b, layer, after);
    case XN_FFN_EXPERTS:
        return experts(b, layer, after);
    case XN_FFN_NONE:
        break;
    }
    return XN_OK;
}

// --- layers ---

static int layer_input(struct builder *b, const struct xn_layer *layer, float after) {
    const struct xn_layer_input *input = &layer->input;
    struct xn_op_gate *g = &add(b, XN_OP_GATE)->gate;
    *g = (struct xn_op_gate){.glu.activation = input->activation,
                             .times = XN_BUF_INPUTS,
                             .times_at = (uint32_t)b->layer * b->recipe->layer_inputs.size};
    widen(b, XN_BUF_HIDDEN, input->gate.rows);
    XN_TRY(weights(b, &input->gate, &g->up));
    struct xn_sum sum = to_residual;
    sum.norm = input->norm;
    sum.after = after;
    return project_add(b, XN_BUF_HIDDEN, &input->projection, NULL, XN_BUF_NONE, &sum);
}

// The scale of the stream behind the layer belongs to the last that adds to it.
static int layer_ops(struct builder *b, const struct xn_layer *layer) {
    float after = or_one(layer->output_scale);
    bool has_input = layer->input.gate.rows != 0, has_ffn = layer->ffn.kind != XN_FFN_NONE;
    XN_TRY(mixers(b, layer, has_ffn || has_input ? 1 : after));
    XN_TRY(feed_forward(b, layer, has_input ? 1 : after));
    return has_input ? layer_input(b, layer, after) : XN_OK;
}

static int layer_inputs(struct builder *b) {
    const struct xn_layer_inputs *in = &b->recipe->layer_inputs;
    if (in->size == 0) return XN_OK;
    struct xn_op_project *p = &add(b, XN_OP_PROJECT)->project;
    *p = (struct xn_op_project){.in = XN_BUF_X};
    XN_TRY(plain_part(b, p, &in->projection, NULL, in->projection_scale, XN_BUF_INPUTS));
    p->part[0].heads = b->recipe->n_layers;
    p->part[0].head_size = p->part[0].head_stride = in->size;
    p->part[0].norm = in->norm;
    struct xn_op_embed *e = &add(b, XN_OP_EMBED)->embed;
    *e = (struct xn_op_embed){.to = XN_BUF_INPUTS, .scale = in->sum_scale * in->table_scale, .keep = in->sum_scale};
    return weights(b, &in->table, &e->table);
}

// Lists the different ropes that follow the sequence's length.
static int find_following(struct xn_plan *plan, struct xn_arena *arena) {
    for (uint32_t i = 0; i < plan->n_ops; i++) {
        const struct xn_op_project *p = &plan->ops[i].project;
        for (uint32_t j = 0; plan->ops[i].kind == XN_OP_PROJECT && j < p->n_parts; j++) {
            const struct xn_rope *rope = &p->part[j].rope;
            uint32_t known = 0;
            if (rope->kind == XN_ROPE_NONE || rope->original == 0) continue;
            if (!plan->following_ropes)
                plan->following_ropes =
                    xn_arena_alloc(arena, (size_t)plan->n_ops * XN_MAX_PARTS, sizeof(struct xn_rope *));
            if (!plan->following_ropes) return -1;
            while (known < plan->n_following_ropes && !xn_rope_same(plan->following_ropes[known], rope))
                known++;
            plan->following_ropes[known] = rope;
            if (known == plan->n_following_ropes) plan->n_following_ropes++;
        }
    }
    return 0;
}

static bool is_sensitive(const struct xn_plan *plan) {
    static const float widest = 4; // scores that spread so far make much of a rounding
    bool sensitive = plan->score_spread > widest;
    for (uint32_t i = 0; i < plan->n_ops; i++) {
        enum xn_op_kind kind = plan->ops[i].kind;
        sensitive |=
            kind == XN_OP_ROUTE || kind == XN_OP_DELTA_NET || kind == XN_OP_STATE_SPACE || kind == XN_OP_SHORT_CONV;
    }
    return sensitive;
}

int xn_plan_build(const struct xn_recipe *recipe, xn_plan_pack *pack, void *user, struct xn_arena *arena,
                  struct xn_plan *plan, struct xn_error *err) {
    *plan = (struct xn_plan){.hidden = recipe->hidden, .vocab = recipe->vocab};
    size_t layers = recipe->n_layers;
    struct builder b = {.recipe = recipe, .pack = pack, .user = user, .plan = plan, .err = err, .layer = -1};
    plan->ops = xn_arena_alloc(arena, layers * MAX_OPS_PER_LAYER + MAX_OPS_OUTSIDE, sizeof *plan->ops);
    plan->cache = xn_arena_alloc(arena, 2 * layers, sizeof *plan->cache);
    plan->states = xn_arena_alloc(arena, 2 * layers, sizeof *plan->states);
    b.cache_of = xn_arena_alloc(arena, layers, sizeof *b.cache_of);
    if (!plan->ops || !plan->cache || !plan->states || !b.cache_of)
        return xn_fail(err, XN_ERR_NOMEM, "no memory for the plan");
    memset(b.cache_of, 0xff, layers * sizeof *b.cache_of);
    widen(&b, XN_BUF_X, recipe->hidden);

    struct xn_op_embed *e = &add(&b, XN_OP_EMBED)->embed;
    *e = (struct xn_op_embed){.to = XN_BUF_X, .scale = recipe->embedding_scale};
    XN_TRY(weights(&b, &recipe->embedding, &e->table));
    XN_TRY(layer_inputs(&b));
    for (uint32_t i = 0; i < recipe->n_layers; i++) {
        b.layer = (int)i;
        XN_TRY(layer_ops(&b, &recipe->layers[i]));
    }
    b.layer = -1;
    struct xn_op_head *h = &add(&b, XN_OP_HEAD)->head;
    *h = (struct xn_op_head){
        .norm = recipe->final_norm, .scale = recipe->logit_scale, .soft_cap = recipe->logit_soft_cap};
    plan->sensitive = is_sensitive(plan);
    if (find_following(plan, arena)) return xn_fail(err, XN_ERR_NOMEM, "no memory for the plan");
    return weights(&b, &recipe->head, &h->weights);
}
