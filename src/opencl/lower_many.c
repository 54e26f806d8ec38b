// Products of many rows: activations are staged, then multiplied tile by tile; what needs whole rows or heads of the
// result follows as a kernel of its own.
#include "opencl/internal.h"
#include "opencl/lowering.h"
#include "opencl/many.h"

#include <string.h>

static struct xn_cl_many many_of(const struct xn_cl_lowering *l, const struct xn_op *op) {
    struct xn_cl_many m = xn_cl_many_of(op, l->plan->hidden, l->limits->rows, l->limits->outputs, l->tiles->partial);
    uint64_t scratch = l->out->map.scratch;
    m.results += scratch;
    m.staged += scratch;
    m.scales += scratch;
    m.partial += scratch;
    return m;
}

// How often the values of k are gone through: what 16 bits leave of float32 weights counts, and that of activations
// where weights are exact (a model that nobody quantized is to give what its authors' gives) or what follows takes no
// rounding.
static uint32_t passes_of(const struct xn_cl_lowering *l, const struct xn_cl_weights *w, bool exact) {
    if (w->type == XN_F32) return 3;
    if (w->type == XN_F16 || w->type == XN_BF16) return exact || !l->tiles->rounds ? 2 : 1;
    return exact ? 3 : 1;
}

static uint32_t planes_of(const struct xn_cl_tile *t) {
    return t->passes > 1 ? XN_CL_PLANE_HALF | XN_CL_PLANE_HALF_REST : XN_CL_PLANE_HALF;
}

// Of a matrix, as the plan names it and as the kernel for few rows has it.
static struct xn_cl_tile_part part_of(const struct xn_weights *matrix, const struct xn_cl_weights *w, uint32_t bias) {
    return (struct xn_cl_tile_part){
        .weights = *w, .bias = bias, .scale = 1, .shrink = matrix ? ((const struct xn_cl_packed *)matrix)->shrink : 1};
}

// What all tiles of an operation have in common. Without a sum, results are stored.
static struct xn_cl_tile tile_of(const struct xn_cl_many *m, uint32_t kind, uint32_t passes) {
    return (struct xn_cl_tile){.kind = kind,
                               .passes = passes,
                               .width = m->width,
                               .staged = (uint32_t)m->staged,
                               .plane_size = m->plane_size,
                               .scales = (uint32_t)m->scales,
                               .matrices = 1,
                               .times = XN_CL_NONE,
                               .row_scale = XN_CL_NONE,
                               .partial = (uint32_t)m->partial};
}

static void add_stage(struct xn_cl_lowering *l, const struct xn_op *op, const struct xn_cl_many *m,
                      struct xn_cl_stage d) {
    d.width = m->width;
    d.to = (uint32_t)m->staged;
    d.plane_size = m->plane_size;
    d.scales = (uint32_t)m->scales;
    if (d.parts == 0) d.parts = 1;
    xn_cl_add_op(l, op->kind, XN_CL_KERNEL_STAGE, 1u << XN_CL_MANY, &d, sizeof d);
}

static void add_tile(struct xn_cl_lowering *l, const struct xn_op *op, const struct xn_cl_tile *t) {
    uint64_t all = l->formats;
    l->formats = 0;
    for (uint32_t i = 0; i < t->n_parts; i++)
        l->formats |= (uint64_t)1 << t->part[i].weights.type;
    enum xn_cl_kernel kernel = t->experts                          ? XN_CL_KERNEL_TILE_EXPERTS
                               : t->passes > 1 && l->tiles->halves ? XN_CL_KERNEL_TILE_EXACT
                                                                   : XN_CL_KERNEL_TILE;
    xn_cl_add_op(l, op->kind, kernel, 1u << XN_CL_MANY, t, sizeof *t);
    l->formats = all;
}

static bool has_many(const struct xn_cl_lowering *l) {
    return l->limits->rows > XN_CL_STREAM_TOKENS;
}

// Stages for one product of all parts, and multiplies.
static void add_product(struct xn_cl_lowering *l, const struct xn_op *op, const struct xn_cl_many *m,
                        struct xn_cl_stage stage, struct xn_cl_tile *t) {
    stage.planes = t->planes = planes_of(t);
    add_stage(l, op, m, stage);
    add_tile(l, op, t);
}

// --- operations ---

void xn_cl_many_project(struct xn_cl_lowering *l, const struct xn_op *op, const struct xn_cl_project *d,
                        uint32_t number) {
    if (!has_many(l)) return;
    struct xn_cl_many m = many_of(l, op);
    // Parts that are gone through equally often make one launch.
    struct xn_cl_tile tiles[4];
    uint32_t planes = 0;
    bool finish = false;
    for (uint32_t passes = 1; passes <= 3; passes++) {
        struct xn_cl_tile *t = &tiles[passes];
        *t = tile_of(&m, XN_CL_TILE_STORE, passes);
        for (uint32_t i = 0; i < d->n_parts; i++) {
            const struct xn_cl_part *p = &d->part[i];
            if (passes_of(l, &p->weights, op->project.part[i].exact) != passes) continue;
            struct xn_cl_tile_part *part = &t->part[t->n_parts++];
            *part = part_of(op->project.part[i].weights, &p->weights, p->bias);
            part->scale = p->scale;
            part->out = p->out;
            part->out_stride = p->out_stride;
            finish |= p->finish || p->target == XN_CL_TO_CACHE;
        }
        if (t->n_parts) planes |= planes_of(t);
    }
    add_stage(l, op, &m, (struct xn_cl_stage){.in = d->in, .planes = planes});
    for (uint32_t passes = 1; passes <= 3; passes++) {
        tiles[passes].planes = planes;
        if (tiles[passes].n_parts) add_tile(l, op, &tiles[passes]);
    }
    if (finish) xn_cl_add_many(l, op->kind, XN_CL_KERNEL_FINISH, number);
}

void xn_cl_many_project_add(struct xn_cl_lowering *l, const struct xn_op *op, const struct xn_cl_project_add *d) {
    if (!has_many(l)) return;
    struct xn_cl_many m = many_of(l, op);
    bool waits = d->sum.norm.kind != XN_NORM_NONE;
    struct xn_cl_tile t = tile_of(&m, waits ? XN_CL_TILE_STORE : XN_CL_TILE_SUM, passes_of(l, &d->weights, false));
    t.n_parts = 1;
    t.part[0] = part_of(op->project_add.weights, &d->weights, d->bias);
    t.part[0].out = (uint32_t)m.results;
    t.part[0].out_stride = d->weights.rows;
    t.row_scale = d->row_scale;
    t.row_scale_stride = d->row_scale_stride;
    t.sum = d->sum;
    add_product(l, op, &m, (struct xn_cl_stage){.in = d->in}, &t);
    if (!waits) return;
    struct xn_cl_add a = {
        .in = (uint32_t)m.results, .stride = d->weights.rows, .width = d->weights.rows, .sum = d->sum};
    xn_cl_add_op(l, op->kind, XN_CL_KERNEL_ADD, 1u << XN_CL_MANY, &a, sizeof a);
}

// Gate and up, or up alone.
static void set_glu(struct xn_cl_tile *t, struct xn_cl_tile_part gate, struct xn_cl_tile_part up,
                    const struct xn_cl_glu *glu) {
    if (gate.weights.rows) t->part[t->n_parts++] = gate;
    t->part[t->n_parts++] = up;
    t->glu = *glu;
}
static uint32_t glu_passes(const struct xn_cl_lowering *l, const struct xn_cl_weights *gate,
                           const struct xn_cl_weights *up) {
    uint32_t of_up = passes_of(l, up, false), of_gate = gate->rows ? passes_of(l, gate, false) : 1;
    return of_gate > of_up ? of_gate : of_up;
}

void xn_cl_many_gate(struct xn_cl_lowering *l, const struct xn_op *op, const struct xn_cl_gate *d) {
    if (!has_many(l)) return;
    struct xn_cl_many m = many_of(l, op);
    struct xn_cl_tile t = tile_of(&m, XN_CL_TILE_GLU, glu_passes(l, &d->gate, &d->up));
    set_glu(&t, part_of(op->gate.gate, &d->gate, d->gate_bias), part_of(op->gate.up, &d->up, d->up_bias), &d->glu);
    t.part[0].out = d->out;
    t.part[0].out_stride = d->out_stride;
    t.times = d->times;
    t.times_stride = d->times_stride;
    add_product(l, op, &m, (struct xn_cl_stage){.in = d->in}, &t);
}

void xn_cl_many_head(struct xn_cl_lowering *l, const struct xn_op *op, const struct xn_cl_head *d) {
    if (l->limits->outputs <= XN_CL_STREAM_TOKENS) return;
    struct xn_cl_many m = many_of(l, op);
    struct xn_cl_tile t = tile_of(&m, XN_CL_TILE_LOGITS, passes_of(l, &d->weights, false));
    t.n_parts = 1;
    t.part[0] = part_of(op->head.weights, &d->weights, XN_CL_NONE);
    t.part[0].scale = d->scale;
    t.soft_cap = d->soft_cap;
    t.outputs = 1;
    add_product(l, op, &m, (struct xn_cl_stage){.in = d->in, .outputs = 1}, &t);
}

void xn_cl_many_heads(struct xn_cl_lowering *l, const struct xn_op *op, const struct xn_cl_heads *d) {
    if (!has_many(l)) return;
    struct xn_cl_many m = many_of(l, op);
    struct xn_cl_tile t = tile_of(&m, XN_CL_TILE_STORE, passes_of(l, &d->weights, false));
    t.n_parts = 1;
    t.part[0] = part_of(op->heads.weights, &d->weights, XN_CL_NONE);
    t.part[0].out = d->out;
    t.part[0].out_stride = d->out_stride;
    t.matrices = d->heads;
    t.out_step = d->weights.rows + d->tail;
    struct xn_cl_stage stage = {
        .in = {.at = d->in, .stride = d->in_stride, .k = d->cols, .norm = {.weight = XN_CL_NONE, .bias = XN_CL_NONE}},
        .parts = d->heads,
        .part_stride = d->cols + d->tail,
        .tail = d->tail,
        .pass_to = d->out + d->weights.rows,
        .pass_stride = t.out_step,
        .pass_row = d->out_stride,
    };
    add_product(l, op, &m, stage, &t);
}

void xn_cl_many_route(struct xn_cl_lowering *l, const struct xn_op *op, const struct xn_cl_route *d, uint32_t number) {
    if (!has_many(l)) return;
    struct xn_cl_many m = many_of(l, op);
    uint32_t passes = passes_of(l, &d->router, true), of_shared = d->shared.rows ? passes_of(l, &d->shared, false) : 1;
    struct xn_cl_tile t = tile_of(&m, XN_CL_TILE_STORE, passes > of_shared ? passes : of_shared);
    t.n_parts = d->shared.rows ? 2 : 1;
    t.part[0] = part_of(op->route.router, &d->router, d->bias);
    t.part[0].out = d->choice.scratch;
    t.part[0].out_stride = d->choice.experts;
    if (d->shared.rows) {
        t.part[1] = part_of(op->route.shared_router, &d->shared, XN_CL_NONE);
        t.part[1].out = d->gate;
        t.part[1].out_stride = d->gate_stride;
    }
    add_product(l, op, &m, (struct xn_cl_stage){.in = d->in}, &t);
    xn_cl_add_many(l, op->kind, XN_CL_KERNEL_CHOOSE, number);
    l->sorted = false;
}

// Tiles of experts find their rows in the sorted list of choices, which is made once for a choice.
static void set_experts(struct xn_cl_lowering *l, const struct xn_op *op, struct xn_cl_tile *t, struct xn_cl_sort d) {
    d.pairs = (uint32_t)l->out->map.pairs;
    d.offsets = (uint32_t)l->out->map.offsets;
    if (!l->sorted) xn_cl_add_op(l, op->kind, XN_CL_KERNEL_SORT, 1u << XN_CL_MANY, &d, sizeof d);
    l->sorted = true;
    t->experts = d.experts;
    t->used = d.used;
    t->pairs = d.pairs;
    t->offsets = d.offsets;
}

void xn_cl_many_expert_gate(struct xn_cl_lowering *l, const struct xn_op *op, const struct xn_cl_expert_gate *d) {
    if (!has_many(l)) return;
    struct xn_cl_many m = many_of(l, op);
    struct xn_cl_tile t = tile_of(&m, XN_CL_TILE_GLU, glu_passes(l, &d->gate, &d->up));
    set_glu(&t, part_of(op->expert_gate.gate, &d->gate, d->gate_bias), part_of(op->expert_gate.up, &d->up, d->up_bias),
            &d->glu);
    set_experts(l, op, &t,
                (struct xn_cl_sort){
                    .experts = op->expert_gate.up->matrix.count, .used = d->used, .ids = d->ids, .width = d->width});
    t.part[0].out = d->out;
    t.part[0].out_stride = d->out_stride;
    add_product(l, op, &m, (struct xn_cl_stage){.in = d->in}, &t);
}

void xn_cl_many_expert_add(struct xn_cl_lowering *l, const struct xn_op *op, const struct xn_cl_expert_add *d) {
    if (!has_many(l)) return;
    struct xn_cl_many m = many_of(l, op);
    uint32_t rows = d->down.rows;
    struct xn_cl_tile t = tile_of(&m, XN_CL_TILE_STORE, passes_of(l, &d->down, false));
    t.n_parts = 1;
    t.part[0] = part_of(op->expert_add.down, &d->down, d->bias);
    t.part[0].out = (uint32_t)m.results;
    t.part[0].out_stride = rows;
    t.by_pair = 1;
    set_experts(l, op, &t,
                (struct xn_cl_sort){
                    .experts = op->expert_add.down->matrix.count, .used = d->used, .ids = d->ids, .width = d->width});
    struct xn_cl_stage stage = {
        .in = {.at = d->in, .stride = d->in_stride, .k = d->size, .norm = {.weight = XN_CL_NONE, .bias = XN_CL_NONE}},
        .parts = d->used,
        .part_stride = d->size};
    add_product(l, op, &m, stage, &t);
    struct xn_cl_join join = {.in = (uint32_t)m.results,
                              .rows = rows,
                              .used = d->used,
                              .chosen_weights = d->chosen_weights,
                              .width = d->width,
                              .scratch = (uint32_t)m.results + l->limits->rows * d->used * rows,
                              .sum = d->sum};
    xn_cl_add_op(l, op->kind, XN_CL_KERNEL_JOIN, 1u << XN_CL_MANY, &join, sizeof join);
}
