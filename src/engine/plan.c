#include "engine/plan.h"

// State of building one plan. Every matrix goes through weights(), so that the plan holds only what the device made of
// it.
struct builder {
    const struct xn_recipe *recipe;
    xn_plan_pack *pack;
    void *user;
    struct xn_plan *plan;
    struct xn_error *err;
    int layer;
};

enum {
    MAX_OPS_PER_LAYER =
        8,               // the longest: project, attend, project_add, route, expert_gate, gate, expert_add, project_add
    MAX_OPS_OUTSIDE = 2, // embed and head
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

// A part without heads, norm or rotation: a plain product into a buffer.
static int plain_part(struct builder *b, struct xn_op_project *p, const struct xn_matrix *matrix, const float *bias,
                      enum xn_buffer buffer) {
    struct xn_part *part = &p->part[p->n_parts++];
    *part = (struct xn_part){.bias = bias,
                             .heads = 1,
                             .head_size = matrix->rows,
                             .head_stride = matrix->rows,
                             .rope.magnitude = 1,
                             .target = XN_TO_BUFFER,
                             .buffer = buffer};
    widen(b, buffer, matrix->rows);
    return weights(b, matrix, &part->weights);
}

static int project_add(struct builder *b, enum xn_buffer in, const struct xn_matrix *matrix, const float *bias,
                       enum xn_buffer row_scale, const struct xn_norm *norm, float scale) {
    struct xn_op_project_add *p = &add(b, XN_OP_PROJECT_ADD)->project_add;
    *p = (struct xn_op_project_add){.in = in, .bias = bias, .row_scale = row_scale, .norm = *norm, .scale = scale};
    return weights(b, matrix, &p->weights);
}

static int attention(struct builder *b, const struct xn_layer *layer) {
    const struct xn_attention *a = &layer->attention;
    uint32_t cache = b->plan->n_cache++, stride = a->head_size * (a->output_gate ? 2 : 1);
    b->plan->cache[cache] = (struct xn_cache_layer){a->kv_heads, a->head_size, a->value_size};

    struct xn_op_project *p = &add(b, XN_OP_PROJECT)->project;
    *p = (struct xn_op_project){.norm = layer->mixer_norm, .n_parts = 3, .cache = cache};
    p->part[0] = (struct xn_part){.bias = a->q_bias,
                                  .heads = a->heads,
                                  .head_size = a->head_size,
                                  .head_stride = stride,
                                  .norm = a->q_norm,
                                  .norm_whole = a->norm_whole,
                                  .is_query = true,
                                  .rope = a->rope,
                                  .target = XN_TO_BUFFER,
                                  .buffer = XN_BUF_Q};
    p->part[1] = (struct xn_part){.bias = a->k_bias,
                                  .heads = a->kv_heads,
                                  .head_size = a->head_size,
                                  .head_stride = a->head_size,
                                  .norm = a->k_norm,
                                  .norm_whole = a->norm_whole,
                                  .rope = a->rope,
                                  .target = XN_TO_KEYS,
                                  .buffer = XN_BUF_NONE};
    p->part[2] = (struct xn_part){.bias = a->v_bias,
                                  .heads = a->kv_heads,
                                  .head_size = a->value_size,
                                  .head_stride = a->value_size,
                                  .rope.magnitude = 1,
                                  .target = XN_TO_VALUES,
                                  .buffer = XN_BUF_NONE};
    XN_TRY(weights(b, &a->q, &p->part[0].weights));
    XN_TRY(weights(b, &a->k, &p->part[1].weights));
    XN_TRY(weights(b, &a->v, &p->part[2].weights));
    widen(b, XN_BUF_Q, a->heads * stride);
    widen(b, XN_BUF_MIX, a->heads * a->value_size);

    add(b, XN_OP_ATTEND)->attend = (struct xn_op_attend){.cache = cache,
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
    return project_add(b, XN_BUF_MIX, &a->o, a->o_bias, XN_BUF_NONE, &layer->mixer_post_norm, layer->residual_scale);
}

static int delta_net(struct builder *b, const struct xn_layer *layer) {
    const struct xn_delta_net *d = &layer->delta_net;
    uint32_t state = b->plan->n_states++;
    uint32_t values = d->value_heads * d->value_size, channels = 2 * d->key_heads * d->key_size + values;
    b->plan->states[state] = (struct xn_state_layer){.conv_size = (d->kernel - 1) * channels,
                                                     .recurrent_size = d->value_heads * d->key_size * d->value_size};

    struct xn_op_project *p = &add(b, XN_OP_PROJECT)->project;
    *p = (struct xn_op_project){.norm = layer->mixer_norm};
    XN_TRY(plain_part(b, p, &d->qkv, NULL, XN_BUF_Q));
    XN_TRY(plain_part(b, p, &d->z, NULL, XN_BUF_Z));
    XN_TRY(plain_part(b, p, &d->beta, NULL, XN_BUF_BETA));
    XN_TRY(plain_part(b, p, &d->alpha, NULL, XN_BUF_ALPHA));

    add(b, XN_OP_DELTA_NET)->delta_net = (struct xn_op_delta_net){.state = state,
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
    widen(b, XN_BUF_MIX, values);
    return project_add(b, XN_BUF_MIX, &d->out, NULL, XN_BUF_NONE, &layer->mixer_post_norm, layer->residual_scale);
}

// HIDDEN of a dense feed-forward, or of a shared expert.
static int gate(struct builder *b, const struct xn_norm *norm, const struct xn_dense *d) {
    struct xn_op_gate *g = &add(b, XN_OP_GATE)->gate;
    *g = (struct xn_op_gate){
        .norm = *norm, .gate_bias = d->gate_bias, .up_bias = d->up_bias, .activation = d->activation};
    widen(b, XN_BUF_HIDDEN, d->up.rows);
    XN_TRY(weights(b, &d->gate, &g->gate));
    return weights(b, &d->up, &g->up);
}

static int dense(struct builder *b, const struct xn_layer *layer) {
    const struct xn_dense *d = &layer->dense;
    XN_TRY(gate(b, &layer->ffn_norm, d));
    return project_add(b, XN_BUF_HIDDEN, &d->down, d->down_bias, XN_BUF_NONE, &layer->ffn_post_norm,
                       layer->residual_scale);
}

// All that reads X comes before the first addition to it.
static int experts(struct builder *b, const struct xn_layer *layer) {
    const struct xn_experts *e = &layer->experts;
    if (layer->ffn_post_norm.kind != XN_NORM_NONE)
        return xn_fail(b->err, XN_ERR_UNSUPPORTED, "layer %d: experts with a norm behind them", b->layer);
    uint32_t count = e->up.count, size = e->up.rows;
    if (e->used > b->plan->route_width) b->plan->route_width = e->used;
    if (count > b->plan->n_experts) b->plan->n_experts = count;

    struct xn_op_route *r = &add(b, XN_OP_ROUTE)->route;
    *r = (struct xn_op_route){.norm = layer->ffn_norm,
                              .bias = e->router_bias,
                              .selection_bias = e->selection_bias,
                              .score = e->score,
                              .experts = count,
                              .used = e->used,
                              .groups = e->groups,
                              .groups_used = e->groups_used,
                              .normalize = e->normalize,
                              .scale = e->scale};
    XN_TRY(weights(b, &e->router, &r->router));
    XN_TRY(weights(b, &e->shared_router, &r->shared_router));
    if (r->shared_router) widen(b, XN_BUF_GATE, 1);

    struct xn_op_expert_gate *g = &add(b, XN_OP_EXPERT_GATE)->expert_gate;
    *g =
        (struct xn_op_expert_gate){.norm = layer->ffn_norm, .activation = e->activation, .used = e->used, .size = size};
    XN_TRY(weights(b, &e->gate, &g->gate));
    XN_TRY(weights(b, &e->up, &g->up));
    widen(b, XN_BUF_EXPERTS, e->used * size);

    bool shared = e->shared.up.rows != 0;
    if (shared) XN_TRY(gate(b, &layer->ffn_norm, &e->shared));
    struct xn_op_expert_add *a = &add(b, XN_OP_EXPERT_ADD)->expert_add;
    *a = (struct xn_op_expert_add){.used = e->used, .size = size, .scale = layer->residual_scale};
    XN_TRY(weights(b, &e->down, &a->down));
    if (!shared) return XN_OK;
    return project_add(b, XN_BUF_HIDDEN, &e->shared.down, e->shared.down_bias,
                       r->shared_router ? XN_BUF_GATE : XN_BUF_NONE, &layer->ffn_post_norm, layer->residual_scale);
}

static int mixer(struct builder *b, const struct xn_layer *layer) {
    switch (layer->mixer_kind) {
    case XN_MIXER_ATTENTION:
        return attention(b, layer);
    case XN_MIXER_DELTA_NET:
        return delta_net(b, layer);
    case XN_MIXER_NONE:
        break;
    }
    return XN_OK;
}

static int feed_forward(struct builder *b, const struct xn_layer *layer) {
    switch (layer->ffn_kind) {
    case XN_FFN_DENSE:
        return dense(b, layer);
    case XN_FFN_EXPERTS:
        return experts(b, layer);
    case XN_FFN_NONE:
        break;
    }
    return XN_OK;
}

int xn_plan_build(const struct xn_recipe *recipe, xn_plan_pack *pack, void *user, struct xn_arena *arena,
                  struct xn_plan *plan, struct xn_error *err) {
    *plan = (struct xn_plan){.hidden = recipe->hidden, .vocab = recipe->vocab};
    size_t layers = recipe->n_layers;
    plan->ops = xn_arena_alloc(arena, layers * MAX_OPS_PER_LAYER + MAX_OPS_OUTSIDE, sizeof *plan->ops);
    plan->cache = xn_arena_alloc(arena, layers, sizeof *plan->cache);
    plan->states = xn_arena_alloc(arena, layers, sizeof *plan->states);
    if (!plan->ops || !plan->cache || !plan->states) return xn_fail(err, XN_ERR_NOMEM, "no memory for the plan");
    struct builder b = {.recipe = recipe, .pack = pack, .user = user, .plan = plan, .err = err, .layer = -1};
    widen(&b, XN_BUF_X, recipe->hidden);

    struct xn_op_embed *e = &add(&b, XN_OP_EMBED)->embed;
    e->scale = recipe->embedding_scale;
    XN_TRY(weights(&b, &recipe->embedding, &e->table));
    for (uint32_t i = 0; i < recipe->n_layers; i++) {
        b.layer = (int)i;
        XN_TRY(mixer(&b, &recipe->layers[i]));
        XN_TRY(feed_forward(&b, &recipe->layers[i]));
    }
    b.layer = -1;
    struct xn_op_head *h = &add(&b, XN_OP_HEAD)->head;
    *h = (struct xn_op_head){
        .norm = recipe->final_norm, .scale = recipe->logit_scale, .soft_cap = recipe->logit_soft_cap};
    return weights(&b, &recipe->head, &h->weights);
}
