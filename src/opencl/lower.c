#include "opencl/lower_parts.h"

#include "device/cache.h"

#include <stdlib.h>
#include <string.h>

// The kernels write these numbers out.
_Static_assert(XN_NORM_NONE == 0 && XN_NORM_RMS == 1 && XN_NORM_LAYER == 2, "kernels/common.cl");
_Static_assert(XN_ACT_SILU == 0 && XN_ACT_GELU == 1 && XN_ACT_GELU_TANH == 2 && XN_ACT_GELU_QUICK == 3 &&
                   XN_ACT_RELU == 4 && XN_ACT_RELU2 == 5,
               "kernels/common.cl");
_Static_assert(XN_ROPE_NONE == 0 && XN_ROPE_HALVES == 1 && XN_ROPE_PAIRS == 2, "kernels/project.cl");
_Static_assert(XN_CL_MAX_PARTS == XN_MAX_PARTS, "kernels/shared.h");
#define FITS(name) _Static_assert(sizeof(struct xn_cl_##name) <= XN_CL_OP_TAIL, "kernels/shared.h")
FITS(project);
FITS(project_add);
FITS(gate);
FITS(route);
FITS(expert_gate);
FITS(expert_add);
FITS(attend);
FITS(store);
FITS(delta_net);
FITS(state_space);
FITS(scan);
FITS(stage);
FITS(tile);
FITS(candidates);
_Static_assert(XN_CL_CANDIDATES == XN_ROW_CANDIDATES && XN_CL_CANDIDATES_ROW == 4 + 2 * XN_CL_CANDIDATES &&
                   XN_CL_SUM_CHUNK == XN_SUM_CHUNK && XN_CL_SUM_LANES == XN_SUM_LANES,
               "kernels/shared.h");

// --- operations ---

// The type of cache that a kernel is compiled for: what a store puts into blocks, project does not touch.
static uint32_t key_cache_type(const struct xn_cl_lowering *l, enum xn_cl_kernel kernel) {
    uint32_t type = l->limits->cache_type;
    bool projects = kernel == XN_CL_KERNEL_PROJECT || kernel == XN_CL_KERNEL_FINISH;
    return projects && xn_cache_type_blocks(type) ? XN_F16 : type;
}

static void add_launch(struct xn_cl_lowering *l, enum xn_op_kind kind, enum xn_cl_kernel kernel, uint32_t shapes,
                       uint32_t op) {
    struct xn_cl_lowered *o = l->out;
    if (XN_GROW(o->launches, o->launches_capacity, o->n + 1) != 0) {
        l->no_memory = true;
        return;
    }
    o->launches[o->n++] = (struct xn_cl_launch){.key = {.kernel = kernel,
                                                        .formats = l->formats,
                                                        .cache_type = key_cache_type(l, kernel),
                                                        .few_sizes = l->few_sizes},
                                                .kind = kind,
                                                .op = op,
                                                .shapes = shapes};
}

uint32_t xn_cl_add_op(struct xn_cl_lowering *l, enum xn_op_kind kind, enum xn_cl_kernel kernel, uint32_t shapes,
                      const void *descriptor, size_t size) {
    struct xn_cl_lowered *o = l->out;
    bool many = shapes == 1u << XN_CL_MANY;
    uint8_t **ops = many ? &o->many_ops : &o->ops;
    size_t *n = many ? &o->n_many_ops : &o->n_ops, *capacity = many ? &o->many_ops_capacity : &o->ops_capacity;
    if (xn_grow((void **)ops, capacity, *n + 1, XN_CL_OP_BYTES) != 0) {
        l->no_memory = true;
        return 0;
    }
    uint8_t *at = *ops + *n * XN_CL_OP_BYTES;
    memset(at, 0, XN_CL_OP_BYTES);
    memcpy(at, descriptor, size);
    struct xn_cl_op_tail tail = {.number = kernel};
    memcpy(at + XN_CL_OP_TAIL, &tail, sizeof tail);
    uint32_t number = (uint32_t)(*n)++ + (many ? XN_CL_MANY_OPS : 0);
    add_launch(l, kind, kernel, shapes, number);
    return number;
}

void xn_cl_add_many(struct xn_cl_lowering *l, enum xn_op_kind kind, enum xn_cl_kernel kernel, uint32_t op) {
    add_launch(l, kind, kernel, 1u << XN_CL_MANY, op);
}

// For batches of any shape.
static void add(struct xn_cl_lowering *l, enum xn_op_kind kind, enum xn_cl_kernel kernel, const void *descriptor,
                size_t size) {
    xn_cl_add_op(l, kind, kernel, XN_CL_BOTH, descriptor, size);
}
// For few rows alone.
static uint32_t add_few(struct xn_cl_lowering *l, enum xn_op_kind kind, enum xn_cl_kernel kernel,
                        const void *descriptor, size_t size) {
    return xn_cl_add_op(l, kind, kernel, XN_CL_FEW_OR_ONE, descriptor, size);
}

// Descriptors for many rows alone go behind the others.
static void join_ops(struct xn_cl_lowering *l) {
    struct xn_cl_lowered *o = l->out;
    if (xn_grow((void **)&o->ops, &o->ops_capacity, o->n_ops + o->n_many_ops + 1, XN_CL_OP_BYTES) != 0) {
        l->no_memory = true;
        return;
    }
    if (o->n_many_ops) memcpy(o->ops + o->n_ops * XN_CL_OP_BYTES, o->many_ops, o->n_many_ops * XN_CL_OP_BYTES);
    for (size_t i = 0; i < o->n; i++)
        if (o->launches[i].op >= XN_CL_MANY_OPS) o->launches[i].op += (uint32_t)o->n_ops - XN_CL_MANY_OPS;
    o->ops_bytes = (o->n_ops + o->n_many_ops) * XN_CL_OP_BYTES;
}

// Where a rope's rotations lie among those of a row is known when all ropes are.
static void place_turns(struct xn_cl_lowering *l) {
    struct xn_cl_lowered *o = l->out;
    o->turn_frequencies = xn_alloc((size_t)o->longest_turn + 1, sizeof *o->turn_frequencies);
    if (!o->turn_frequencies) l->no_memory = true;
    for (size_t i = 0; i < o->n_ops; i++) {
        uint8_t *op = o->ops + i * XN_CL_OP_BYTES;
        struct xn_cl_project *d = (struct xn_cl_project *)op;
        if (((const struct xn_cl_op_tail *)(op + XN_CL_OP_TAIL))->number != XN_CL_KERNEL_PROJECT) continue;
        for (uint32_t p = 0; p < d->n_parts; p++)
            d->part[p].rope.turn *= 2 * o->longest_turn;
    }
}

static void lower_embed(struct xn_cl_lowering *l, const struct xn_op *op) {
    const struct xn_op_embed *e = &op->embed;
    struct xn_cl_embed d = {.table = weights(l, e->table),
                            .to = buffer(l, e->to),
                            .stride = stride(l, e->to),
                            .width = e->table->matrix.cols,
                            .scale = e->scale,
                            .keep = e->keep};
    add(l, op->kind, XN_CL_KERNEL_EMBED, &d, sizeof d);
}

static struct xn_cl_part part(struct xn_cl_lowering *l, const struct xn_op_project *p, uint32_t i, uint32_t *at,
                              uint32_t *before) {
    const struct xn_part *a = &p->part[i];
    uint32_t rows = a->heads * a->head_stride, norm_size = a->norm_whole ? a->heads * a->head_size : a->head_size;
    struct xn_cl_part d = {.weights = weights(l, a->weights),
                           .bias = vector(l, a->bias, rows),
                           .scale = a->scale,
                           .heads = a->heads,
                           .head_size = a->head_size,
                           .head_stride = a->head_stride,
                           .rope_at = a->rope_at,
                           .target = XN_CL_TO_BUFFER,
                           .norm_whole = a->norm_whole,
                           .is_query = a->is_query,
                           .cache_at = a->cache_at,
                           .norm = norm(l, &a->norm, norm_size),
                           .rope = rope(l, &a->rope)};
    bool rotates = a->rope.kind != XN_ROPE_NONE || (a->is_query && a->rope.query_beta != 0);
    bool pairs = (*before | a->head_stride | a->rope_at | d.rope.dims) % 2 == 0;
    d.finish = a->norm.kind != XN_NORM_NONE ? XN_CL_FINISH_HEADS
               : !rotates                   ? XN_CL_FINISH_NONE
               : pairs                      ? XN_CL_FINISH_PAIRS
                                            : XN_CL_FINISH_HEADS;
    *before += rows;
    if (a->target == XN_TO_BUFFER) {
        d.out = buffer(l, a->buffer);
        d.out_stride = stride(l, a->buffer);
        return d;
    }
    if (!xn_cache_type_blocks(l->limits->cache_type)) { // else a store follows
        d.target = XN_CL_TO_CACHE;
        d.cache = cached(l, p->cache, a->target == XN_TO_KEYS);
    }
    d.out = *at;
    d.out_stride = rows;
    *at += l->limits->rows * rows;
    return d;
}

// The parts that go to a cache in blocks, whole heads of which stand in scratch.
static void add_store(struct xn_cl_lowering *l, const struct xn_op *op, const struct xn_cl_project *project) {
    const struct xn_op_project *p = &op->project;
    struct xn_cl_store d = {0};
    for (uint32_t i = 0; i < p->n_parts; i++) {
        const struct xn_cl_part *part = &project->part[i];
        if (p->part[i].target == XN_TO_BUFFER) continue;
        d.part[d.n_parts++] = (struct xn_cl_store_part){.in = part->out,
                                                        .in_stride = part->out_stride,
                                                        .heads = part->heads,
                                                        .head_size = part->head_size,
                                                        .head_stride = part->head_stride,
                                                        .cache_at = part->cache_at,
                                                        .cache = cached(l, p->cache, p->part[i].target == XN_TO_KEYS)};
    }
    l->formats = 0;
    if (d.n_parts) add(l, op->kind, XN_CL_KERNEL_STORE, &d, sizeof d);
}

static void lower_project(struct xn_cl_lowering *l, const struct xn_op *op) {
    const struct xn_op_project *p = &op->project;
    struct xn_cl_project d = {.in = input(l, p->in, p->part[0].weights->matrix.cols, &p->norm), .n_parts = p->n_parts};
    uint32_t at = scratch(l), before = 0; // rows of the parts before
    for (uint32_t i = 0; i < p->n_parts; i++)
        d.part[i] = part(l, p, i, &at, &before);
    uint32_t number = add_few(l, op->kind, XN_CL_KERNEL_PROJECT, &d, sizeof d);
    xn_cl_many_project(l, op, &d, number);
    if (xn_cache_type_blocks(l->limits->cache_type)) add_store(l, op, &d);
}

static void lower_project_add(struct xn_cl_lowering *l, const struct xn_op *op) {
    const struct xn_op_project_add *p = &op->project_add;
    struct xn_cl_project_add d = {.in = input(l, p->in, p->weights->matrix.cols, NULL),
                                  .weights = weights(l, p->weights),
                                  .bias = vector(l, p->bias, p->weights->matrix.rows),
                                  .row_scale = XN_CL_NONE,
                                  .scratch = scratch(l),
                                  .sum = sum(l, &p->sum, p->weights->matrix.rows)};
    if (p->row_scale != XN_BUF_NONE) {
        d.row_scale = buffer(l, p->row_scale);
        d.row_scale_stride = stride(l, p->row_scale);
    }
    add_few(l, op->kind, XN_CL_KERNEL_PROJECT_ADD, &d, sizeof d);
    xn_cl_many_project_add(l, op, &d);
}

static void lower_add(struct xn_cl_lowering *l, const struct xn_op *op) {
    const struct xn_op_add *a = &op->add;
    struct xn_cl_add d = {.in = buffer(l, a->in),
                          .stride = stride(l, a->in),
                          .width = l->plan->hidden,
                          .sum = sum(l, &a->sum, l->plan->hidden)};
    add(l, op->kind, XN_CL_KERNEL_ADD, &d, sizeof d);
}

static void lower_gate(struct xn_cl_lowering *l, const struct xn_op *op) {
    const struct xn_op_gate *g = &op->gate;
    uint32_t rows = g->up->matrix.rows;
    struct xn_cl_gate d = {.in = input(l, XN_BUF_X, l->plan->hidden, &g->norm),
                           .gate = weights(l, g->gate),
                           .up = weights(l, g->up),
                           .gate_bias = vector(l, g->gate_bias, rows),
                           .up_bias = vector(l, g->up_bias, rows),
                           .glu = glu(&g->glu),
                           .out = buffer(l, XN_BUF_HIDDEN),
                           .out_stride = stride(l, XN_BUF_HIDDEN),
                           .times = XN_CL_NONE};
    if (g->times != XN_BUF_NONE) {
        d.times = buffer(l, g->times) + g->times_at;
        d.times_stride = stride(l, g->times);
    }
    add_few(l, op->kind, XN_CL_KERNEL_GATE, &d, sizeof d);
    xn_cl_many_gate(l, op, &d);
}

// The best tokens of the logits, of which a step takes what its batch wants (xn_cl_kernel_of). In a walk the head
// leaves the highest logit of each run itself, and sums are a part of the search.
static void lower_candidates(struct xn_cl_lowering *l, enum xn_op_kind kind) {
    const struct xn_cl_map *map = &l->out->map;
    uint32_t vocab = l->plan->vocab, runs = vocab / XN_CL_TOP_RUN + (vocab % XN_CL_TOP_RUN != 0);
    struct xn_cl_candidates d = {.to = map->candidates,
                                 .sums = map->sums,
                                 .tokens = vocab,
                                 .tops = scratch(l),
                                 .slice = {vocab, vocab, vocab},
                                 .runs = {runs, runs, runs}};
    size_t first = l->out->n;
    l->formats = 0;
    add(l, kind, XN_CL_KERNEL_CANDIDATES, &d, sizeof d);
    if (l->no_memory) return;
    uint32_t number = l->out->launches[first].op;
    add_launch(l, kind, XN_CL_KERNEL_SUMS, XN_CL_BOTH, number);
    add_launch(l, kind, XN_CL_KERNEL_TOPS, XN_CL_BOTH, number);
    if (l->no_memory) return;
    struct xn_cl_launch search = l->out->launches[first];
    l->out->launches[first] = l->out->launches[first + 2];
    l->out->launches[first + 2] = search;
}

static void lower_head(struct xn_cl_lowering *l, const struct xn_op *op) {
    const struct xn_op_head *h = &op->head;
    struct xn_cl_head d = {.in = input(l, XN_BUF_X, l->plan->hidden, &h->norm),
                           .weights = weights(l, h->weights),
                           .scale = h->scale,
                           .soft_cap = h->soft_cap,
                           .tops = XN_CL_NONE};
    bool last = op == &l->plan->ops[l->plan->n_ops - 1] && l->out->map.candidates;
    if (last) d.tops = scratch(l);
    add_few(l, op->kind, XN_CL_KERNEL_HEAD, &d, sizeof d);
    xn_cl_many_head(l, op, &d);
    if (last) lower_candidates(l, op->kind);
}

static void lower_heads(struct xn_cl_lowering *l, const struct xn_op *op) {
    const struct xn_op_heads *h = &op->heads;
    struct xn_cl_heads d = {.in = buffer(l, h->in),
                            .in_stride = stride(l, h->in),
                            .out = buffer(l, h->out),
                            .out_stride = stride(l, h->out),
                            .heads = h->weights->matrix.count,
                            .cols = h->weights->matrix.cols,
                            .tail = h->tail,
                            .weights = weights(l, h->weights)};
    add_few(l, op->kind, XN_CL_KERNEL_HEADS, &d, sizeof d);
    xn_cl_many_heads(l, op, &d);
}

static struct xn_cl_choice choice(struct xn_cl_lowering *l, const struct xn_op_route *r) {
    return l->choice = (struct xn_cl_choice){.selection_bias = vector(l, r->selection_bias, r->experts),
                                             .expert_scale = vector(l, r->expert_scale, r->experts),
                                             .sigmoid = r->score == XN_ROUTER_SIGMOID,
                                             .experts = r->experts,
                                             .used = r->used,
                                             .groups = r->groups,
                                             .groups_used = r->groups_used,
                                             .group_best = r->group_best,
                                             .normalize = r->normalize,
                                             .sum_epsilon = r->sum_epsilon,
                                             .scale = r->scale,
                                             .scratch = scratch(l),
                                             .ids = (uint32_t)l->out->map.ids,
                                             .chosen_weights = (uint32_t)l->out->map.weights,
                                             .width = l->plan->route_width};
}
// In a walk every group of the experts' first product makes the choice for itself, if the scores are all that it waits
// for: else all wait for the one group that has the last scores.
static bool leaves_choice(const struct xn_cl_lowering *l, const struct xn_op *op) {
    return op->kind == XN_OP_ROUTE && op + 1 < l->plan->ops + l->plan->n_ops && op[1].kind == XN_OP_EXPERT_GATE;
}

static void lower_route(struct xn_cl_lowering *l, const struct xn_op *op) {
    const struct xn_op_route *r = &op->route;
    struct xn_cl_route d = {.in = input(l, XN_BUF_X, l->plan->hidden, &r->norm),
                            .router = weights(l, r->router),
                            .shared = weights(l, r->shared_router),
                            .bias = vector(l, r->bias, r->experts),
                            .choice = choice(l, r),
                            .left = leaves_choice(l, op),
                            .gate = buffer(l, XN_BUF_GATE),
                            .gate_stride = stride(l, XN_BUF_GATE)};
    uint32_t number = add_few(l, op->kind, XN_CL_KERNEL_ROUTE, &d, sizeof d);
    xn_cl_many_route(l, op, &d, number);
}

static void lower_expert_gate(struct xn_cl_lowering *l, const struct xn_op *op) {
    const struct xn_op_expert_gate *g = &op->expert_gate;
    uint64_t all = (uint64_t)g->size * g->up->matrix.count;
    struct xn_cl_expert_gate d = {.in = input(l, g->in, g->up->matrix.cols, &g->norm),
                                  .gate = weights(l, g->gate),
                                  .up = weights(l, g->up),
                                  .gate_bias = vector(l, g->gate_bias, all),
                                  .up_bias = vector(l, g->up_bias, all),
                                  .glu = glu(&g->glu),
                                  .used = g->used,
                                  .size = g->size,
                                  .out = buffer(l, XN_BUF_EXPERTS),
                                  .out_stride = stride(l, XN_BUF_EXPERTS),
                                  .ids = (uint32_t)l->out->map.ids,
                                  .width = l->plan->route_width};
    if (op > l->plan->ops && leaves_choice(l, op - 1)) d.choice = l->choice;
    add_few(l, op->kind, XN_CL_KERNEL_EXPERT_GATE, &d, sizeof d);
    xn_cl_many_expert_gate(l, op, &d);
}

static void lower_expert_add(struct xn_cl_lowering *l, const struct xn_op *op) {
    const struct xn_op_expert_add *a = &op->expert_add;
    uint32_t rows = a->down->matrix.rows;
    struct xn_cl_expert_add d = {.in = buffer(l, XN_BUF_EXPERTS),
                                 .in_stride = stride(l, XN_BUF_EXPERTS),
                                 .down = weights(l, a->down),
                                 .bias = vector(l, a->bias, (uint64_t)rows * a->down->matrix.count),
                                 .used = a->used,
                                 .size = a->size,
                                 .ids = (uint32_t)l->out->map.ids,
                                 .chosen_weights = (uint32_t)l->out->map.weights,
                                 .width = l->plan->route_width,
                                 .scratch = scratch(l),
                                 .sum = sum(l, &a->sum, rows)};
    add_few(l, op->kind, XN_CL_KERNEL_EXPERT_ADD, &d, sizeof d);
    xn_cl_many_expert_add(l, op, &d);
}

static void lower_attend(struct xn_cl_lowering *l, const struct xn_op *op) {
    const struct xn_op_attend *a = &op->attend;
    uint32_t together = xn_cl_attend_together(a), queries = a->heads / a->kv_heads;
    struct xn_cl_attend d = {.in = buffer(l, a->in),
                             .in_stride = stride(l, a->in),
                             .out = buffer(l, a->out),
                             .out_stride = stride(l, a->out),
                             .heads = a->heads,
                             .kv_heads = a->kv_heads,
                             .queries = queries,
                             .head_size = a->head_size,
                             .value_size = a->value_size,
                             .head_stride = a->head_stride,
                             .window = a->window,
                             .sinks = vector(l, a->sinks, a->heads),
                             .output_gate = a->output_gate,
                             .scale = a->scale,
                             .soft_cap = a->soft_cap,
                             .together = together,
                             .chunks = (queries + together - 1) / together,
                             .few = xn_cl_attend_few(a, l->limits),
                             .splits = xn_cl_attend_splits(a),
                             .exact = l->plan->sensitive,
                             .keys = cached(l, a->cache, true),
                             .partial = scratch(l)};
    d.values = a->values_in_keys ? d.keys : cached(l, a->cache, false);
    l->few_sizes = d.few ? 1u << d.few : 0;
    add(l, op->kind, XN_CL_KERNEL_ATTEND, &d, sizeof d);
}

static void (*const lower_op[XN_OP_KINDS])(struct xn_cl_lowering *, const struct xn_op *) = {
    [XN_OP_EMBED] = lower_embed,
    [XN_OP_PROJECT] = lower_project,
    [XN_OP_ATTEND] = lower_attend,
    [XN_OP_DELTA_NET] = xn_cl_lower_delta_net,
    [XN_OP_STATE_SPACE] = xn_cl_lower_state_space,
    [XN_OP_SHORT_CONV] = xn_cl_lower_short_conv,
    [XN_OP_HEADS] = lower_heads,
    [XN_OP_PROJECT_ADD] = lower_project_add,
    [XN_OP_GATE] = lower_gate,
    [XN_OP_ROUTE] = lower_route,
    [XN_OP_EXPERT_GATE] = lower_expert_gate,
    [XN_OP_EXPERT_ADD] = lower_expert_add,
    [XN_OP_ADD] = lower_add,
    [XN_OP_HEAD] = lower_head,
};

// --- what kernels can't do ---

static int check_kernel(const struct xn_op *op, uint32_t taps, struct xn_error *err) {
    if (taps >= 1 && taps <= XN_CL_MAX_TAPS) return XN_OK;
    return xn_fail(err, XN_ERR_UNSUPPORTED, "layer %d: a convolution of %u taps, 1 to %d expected", op->layer, taps,
                   XN_CL_MAX_TAPS);
}

static int check_op(const struct xn_op *op, struct xn_error *err) {
    switch (op->kind) {
    case XN_OP_ATTEND:
        if (xn_cl_attend_together(&op->attend)) return XN_OK;
        return xn_fail(err, XN_ERR_UNSUPPORTED, "layer %d: attention heads of %u and %u values, at most %d together",
                       op->layer, op->attend.head_size, op->attend.value_size, XN_CL_HEAD_FLOATS);
    case XN_OP_ROUTE:
        if (op->route.experts <= XN_CL_MAX_EXPERTS) return XN_OK;
        return xn_fail(err, XN_ERR_UNSUPPORTED, "layer %d: %u experts, at most %d expected", op->layer,
                       op->route.experts, XN_CL_MAX_EXPERTS);
    case XN_OP_DELTA_NET:
        if (op->delta_net.key_size > XN_CL_MAX_KEY)
            return xn_fail(err, XN_ERR_UNSUPPORTED, "layer %d: keys of %u values, at most %d expected", op->layer,
                           op->delta_net.key_size, XN_CL_MAX_KEY);
        return check_kernel(op, op->delta_net.kernel, err);
    case XN_OP_STATE_SPACE:
        return check_kernel(op, op->state_space.kernel, err);
    case XN_OP_SHORT_CONV:
        return check_kernel(op, op->short_conv.kernel, err);
    default:
        return XN_OK;
    }
}

int xn_cl_lower(const struct xn_plan *plan, const struct xn_limits *limits, const struct xn_cl_array *cache,
                const struct xn_cl_array *state_arrays, const struct xn_cl_tiles *tiles, struct xn_cl_lowered *out,
                struct xn_error *err) {
    struct xn_cl_lowering l = {.plan = plan, .limits = limits, .cache = cache, .states = state_arrays, .out = out};
    *out = (struct xn_cl_lowered){0};
    xn_cl_map_of(plan, limits, tiles, &out->map);
    l.tiles = tiles;
    if (out->map.size > UINT32_MAX)
        return xn_fail(err, XN_ERR_LIMIT,
                       "batches of %u rows: their activations are %.1f GB, less than 16 are possible", limits->rows,
                       (double)out->map.size * 4e-9);
    out->first_launch = xn_alloc((size_t)plan->n_ops + 1, sizeof *out->first_launch);
    if (!out->first_launch) return xn_fail(err, XN_ERR_NOMEM, "no memory for a plan of %u operations", plan->n_ops);
    out->first_launch[0] = 0;
    for (uint32_t i = 0; i < plan->n_ops && !l.no_memory; i++) {
        XN_TRY(check_op(&plan->ops[i], err));
        l.formats = 0;
        l.few_sizes = 0;
        lower_op[plan->ops[i].kind](&l, &plan->ops[i]);
        out->first_launch[i + 1] = out->n;
    }
    join_ops(&l);
    if (!l.no_memory) place_turns(&l);
    return l.no_memory ? xn_fail(err, XN_ERR_NOMEM, "no memory for a plan of %u operations", plan->n_ops) : XN_OK;
}

void xn_cl_lowered_free(struct xn_cl_lowered *l) {
    free(l->ops);
    free(l->many_ops);
    free(l->launches);
    free(l->first_launch);
    free(l->vec);
    free(l->places);
    free(l->dynamic);
    free(l->turns);
    free(l->turn_frequencies);
    *l = (struct xn_cl_lowered){0};
}
