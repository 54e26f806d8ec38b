#include "cpu/executor.h"

#include "cpu/ops/convolution.h"
#include "cpu/ops/product.h"
#include "device/reference/reference.h"
#include "model/rope.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// What the plan's operations want of the scratch, in elements.
struct sizes {
    size_t values, integers, rounded, scratch, decoded, tile, out, work, partial, chosen;
    size_t panel[XN_TILE_KINDS]; // bytes
    size_t handed;               // bytes
    bool halves;                 // weights are decoded to bfloat16
};

static void most(size_t *size, size_t want) {
    if (want > *size) *size = want;
}

// Inputs of n rows, of which `streamed` at the most go as integers and `side_by_side` (whole panels) into panels.
static void want_input(struct sizes *s, size_t n, size_t streamed, size_t side_by_side, uint32_t k,
                       const struct xn_cpu_needs *needs) {
    most(&s->values, n * k);
    most(&s->integers, streamed * xn_cpu_integer_bytes(k));
    if (needs->rounded) most(&s->rounded, streamed * k);
    s->halves |= needs->tile[XN_TILE_BF16] || needs->tile[XN_TILE_SPLIT];
    for (int tile = 0; tile < XN_TILE_KINDS; tile++)
        if (needs->tile[tile])
            most(&s->panel[tile], side_by_side / XN_CPU_PANEL * xn_cpu_panel_bytes((enum xn_cpu_tile)tile, k));
    most(&s->decoded, k);
}

static void want_dense(struct sizes *s, size_t n, uint32_t k, const struct xn_cpu_needs *needs) {
    size_t panel = (n + XN_CPU_PANEL - 1) / XN_CPU_PANEL * XN_CPU_PANEL;
    want_input(s, n, n < XN_CPU_STREAM_ROWS ? n : XN_CPU_STREAM_ROWS, n < 2 ? 0 : panel, k, needs);
}

static void want_experts(struct sizes *s, size_t input_rows, size_t chosen, size_t experts, uint32_t k,
                         const struct xn_cpu_needs *needs) {
    // Only groups of two rows and more may have panels, each padded to whole ones.
    size_t groups = chosen / 2 < experts ? chosen / 2 : experts, padded = chosen + groups * (XN_CPU_PANEL - 1);
    want_input(s, input_rows, input_rows, groups ? (padded + XN_CPU_PANEL - 1) / XN_CPU_PANEL * XN_CPU_PANEL : 0, k,
               needs);
    most(&s->chosen, chosen);
}

static void want(struct sizes *s, const struct xn_cpu_kernels *kernels, const struct xn_plan *plan,
                 const struct xn_limits *limits, uint32_t threads, const struct xn_op *op) {
    size_t rows = limits->rows;
    struct xn_cpu_needs needs = {0};
    xn_cpu_op_needs(kernels, plan, op, &needs);
    switch (op->kind) {
    case XN_OP_PROJECT: {
        want_dense(s, rows, op->project.part[0].weights->matrix.cols, &needs);
        size_t cached = 0;
        for (uint32_t i = 0; i < op->project.n_parts; i++) {
            if (op->project.part[i].target != XN_TO_BUFFER) cached += op->project.part[i].weights->matrix.rows;
            most(&s->decoded, op->project.part[i].rope.dims / 2); // frequencies of a step
        }
        most(&s->scratch, rows * cached);
        break;
    }
    case XN_OP_PROJECT_ADD:
        want_dense(s, rows, op->project_add.weights->matrix.cols, &needs);
        most(&s->decoded, plan->hidden);
        if (op->project_add.sum.norm.kind != XN_NORM_NONE)
            most(&s->scratch, rows * op->project_add.weights->matrix.rows);
        break;
    case XN_OP_GATE:
        want_dense(s, rows, plan->hidden, &needs);
        break;
    case XN_OP_HEAD:
        want_dense(s, limits->outputs, plan->hidden, &needs);
        break;
    case XN_OP_ROUTE:
        want_dense(s, rows, plan->hidden, &needs);
        most(&s->scratch, rows * op->route.experts);
        most(&s->decoded, (size_t)op->route.experts + op->route.groups);
        break;
    case XN_OP_EXPERT_GATE:
        want_experts(s, rows, rows * op->expert_gate.used, plan->n_experts, op->expert_gate.up->matrix.cols, &needs);
        break;
    case XN_OP_EXPERT_ADD:
        want_experts(s, rows * op->expert_add.used, rows * op->expert_add.used, plan->n_experts, op->expert_add.size,
                     &needs);
        most(&s->decoded, plan->hidden);
        if (op->expert_add.sum.norm.kind != XN_NORM_NONE) most(&s->scratch, rows * op->expert_add.down->matrix.rows);
        break;
    case XN_OP_ATTEND:
        most(&s->work, xn_cpu_attend_work(kernels, &op->attend));
        most(&s->partial, xn_cpu_attend_partial(&op->attend, limits->rows, threads));
        break;
    case XN_OP_DELTA_NET:
        most(&s->work, xn_cpu_delta_net_work(&op->delta_net));
        most(&s->scratch, rows * xn_cpu_delta_net_channels(&op->delta_net));
        break;
    case XN_OP_ADD:
        most(&s->decoded, plan->hidden);
        break;
    case XN_OP_EMBED:
        most(&s->decoded, op->embed.table->matrix.cols);
        break;
    case XN_OP_STATE_SPACE:
        most(&s->work, xn_cpu_state_space_work(&op->state_space));
        most(&s->scratch, rows * xn_cpu_state_space_channels(&op->state_space));
        break;
    case XN_OP_SHORT_CONV:
        most(&s->scratch, rows * op->short_conv.channels);
        break;
    case XN_OP_HEADS: {
        uint32_t k = op->heads.weights->matrix.cols;
        most(&s->work, xn_cpu_heads_work(kernels, plan, &op->heads, limits->rows));
        s->halves |= needs.tile[XN_TILE_BF16] || needs.tile[XN_TILE_SPLIT];
        most(&s->decoded, k);
        break;
    }
    case XN_OP_KINDS:
        break;
    }
}

static struct sizes sizes_of(const struct xn_cpu_kernels *kernels, const struct xn_plan *plan,
                             const struct xn_limits *limits, uint32_t threads) {
    struct sizes s = {0};
    for (uint32_t i = 0; i < plan->n_ops; i++)
        want(&s, kernels, plan, limits, threads, &plan->ops[i]);
    for (uint32_t i = 0; i < plan->n_ops; i++) {
        enum xn_cpu_tile tile;
        if (limits->rows > 1 && xn_cpu_hands_over(kernels, plan, i, &tile))
            most(&s.handed, xn_cpu_panels(limits->rows) *
                                xn_cpu_panel_bytes(tile, plan->ops[i + 1].project_add.weights->matrix.cols));
    }
    size_t rows = limits->rows > limits->outputs ? limits->rows : limits->outputs;
    size_t padded = (rows + XN_CPU_PANEL - 1) / XN_CPU_PANEL * XN_CPU_PANEL;
    s.tile = rows > 1 ? padded * XN_CPU_BLOCK : 0;
    s.out = padded * XN_CPU_BLOCK;
    most(&s.decoded, XN_CPU_BLOCK * XN_CPU_DEPTH);
    if (s.halves) most(&s.decoded, XN_CPU_BLOCK * (XN_CPU_DEPTH16 + 2 * XN_CPU_DEPTH) / 2);
    return s;
}

uint64_t xn_cpu_scratch_bytes(const struct xn_cpu_device *device, const struct xn_plan *plan,
                              const struct xn_limits *limits) {
    uint32_t threads = xn_pool_threads(device->pool);
    struct sizes s = sizes_of(&device->kernels, plan, limits, threads);
    uint64_t each = (s.decoded + s.tile + 2 * s.out + s.work) * sizeof(float), panels = 0;
    for (int tile = 0; tile < XN_TILE_KINDS; tile++)
        panels += s.panel[tile];
    return (s.values + s.rounded + s.scratch + s.partial) * sizeof(float) + panels + s.handed + s.integers +
           s.chosen * 2 * sizeof(uint32_t) + each * threads;
}

// --- ropes ---

// Lists the different ropes of the plan: few, though every layer names one.
static int find_ropes(struct xn_executor *e) {
    const struct xn_plan *plan = e->memory.plan;
    e->part_rope = xn_arena_alloc(&e->arena, (size_t)plan->n_ops * XN_MAX_PARTS, sizeof *e->part_rope);
    size_t capacity = 0;
    for (uint32_t i = 0; i < plan->n_ops; i++)
        if (plan->ops[i].kind == XN_OP_PROJECT) capacity += XN_MAX_PARTS;
    e->ropes = xn_arena_alloc(&e->arena, capacity, sizeof *e->ropes);
    if (!e->part_rope || !e->ropes) return -1;
    for (uint32_t i = 0; i < plan->n_ops; i++) {
        const struct xn_op_project *p = &plan->ops[i].project;
        for (uint32_t j = 0; plan->ops[i].kind == XN_OP_PROJECT && j < p->n_parts; j++) {
            const struct xn_rope *rope = &p->part[j].rope;
            if (rope->kind == XN_ROPE_NONE) continue;
            uint32_t known = 0;
            while (known < e->n_ropes && !xn_rope_same(e->ropes[known].rope, rope))
                known++;
            e->part_rope[(size_t)i * XN_MAX_PARTS + j] = known;
            if (known < e->n_ropes) continue;
            e->ropes[known].rope = rope;
            e->ropes[known].table = xn_arena_alloc(&e->arena, e->memory.limits.rows, rope->dims * sizeof(float));
            if (!e->ropes[known].table) return -1;
            e->n_ropes++;
        }
    }
    return 0;
}

// The convolution of an operation; false where it has none.
struct taps {
    const float *conv;
    uint32_t channels, kernel;
};
static bool taps_of(const struct xn_op *op, struct taps *taps) {
    switch (op->kind) {
    case XN_OP_DELTA_NET:
        *taps = (struct taps){op->delta_net.conv, xn_cpu_delta_net_channels(&op->delta_net), op->delta_net.kernel};
        return true;
    case XN_OP_STATE_SPACE:
        *taps =
            (struct taps){op->state_space.conv, xn_cpu_state_space_channels(&op->state_space), op->state_space.kernel};
        return true;
    case XN_OP_SHORT_CONV:
        *taps = (struct taps){op->short_conv.conv, op->short_conv.channels, op->short_conv.kernel};
        return true;
    default:
        return false;
    }
}

// Taps of every convolution, in the order that the kernel reads them.
static int turn_taps(struct xn_executor *e) {
    const struct xn_plan *plan = e->memory.plan;
    e->conv = xn_arena_alloc(&e->arena, plan->n_ops, sizeof *e->conv);
    if (!e->conv) return -1;
    for (uint32_t i = 0; i < plan->n_ops; i++) {
        struct taps t;
        if (!taps_of(&plan->ops[i], &t)) continue;
        if (!(e->conv[i] = xn_arena_alloc(&e->arena, (size_t)t.channels * t.kernel, sizeof(float)))) return -1;
        xn_cpu_turn_taps(t.conv, t.channels, t.kernel, e->conv[i]);
    }
    return 0;
}

// For a share of the rows; false: there is none any more.
static bool fill_rope_tables(struct xn_executor *e, uint32_t thread) {
    uint32_t begin = 0, end = 0;
    if (!xn_cpu_next_share(e, thread, e->batch->n_rows, &begin, &end)) return false;
    for (uint32_t i = 0; i < e->n_ropes; i++) {
        const struct xn_rope *rope = e->ropes[i].rope;
        const struct xn_span *span = NULL;
        const float *frequency = NULL;
        uint32_t half = rope->dims / 2;
        for (uint32_t r = begin; r < end; r++) {
            if (span != &e->batch->spans[e->row_span[r]]) {
                span = &e->batch->spans[e->row_span[r]];
                frequency = xn_rope_at(rope, span->rope_length, e->thread[thread].decoded);
            }
            float *c = e->ropes[i].table + (size_t)r * rope->dims, *s = c + half;
            for (uint32_t d = 0; d < half; d++) {
                float angle = (float)e->batch->positions[r] * frequency[d];
                c[d] = cosf(angle) * rope->magnitude;
                s[d] = sinf(angle) * rope->magnitude;
            }
        }
    }
    return true;
}

// --- life ---

static int allocate(struct xn_executor *e) {
    const struct xn_plan *plan = e->memory.plan;
    const struct xn_limits *limits = &e->memory.limits;
    struct sizes s = sizes_of(e->kernels, plan, limits, e->threads);
    struct xn_arena *a = &e->arena;
    bool ok = (e->row_span = xn_arena_alloc(a, limits->rows, sizeof *e->row_span)) != NULL;
    ok = ok && (e->values = xn_arena_alloc(a, s.values, sizeof(float)));
    ok = ok && (e->integers = xn_arena_alloc(a, s.integers, 1));
    for (int tile = 0; tile < XN_TILE_KINDS; tile++)
        ok = ok && (e->panel[tile] = xn_arena_alloc(a, s.panel[tile], 1));
    ok = ok && (e->handed = xn_arena_alloc(a, s.handed, 1));
    ok = ok && (e->rounded = xn_arena_alloc(a, s.rounded, sizeof(float)));
    ok = ok && (e->scratch = xn_arena_alloc(a, s.scratch, sizeof(float)));
    ok = ok && (e->partial = xn_arena_alloc(a, s.partial, sizeof(float)));
    ok = ok && (e->groups = xn_arena_alloc(a, plan->n_experts, sizeof *e->groups));
    ok = ok && (e->expert_first = xn_arena_alloc(a, (size_t)plan->n_experts + 1, sizeof *e->expert_first));
    ok = ok && (e->chosen = xn_arena_alloc(a, s.chosen, sizeof *e->chosen));
    ok = ok && (e->chosen_row = xn_arena_alloc(a, s.chosen, sizeof *e->chosen_row));
    ok = ok && (e->thread = xn_arena_alloc(a, e->threads, sizeof *e->thread));
    for (uint32_t i = 0; ok && i < e->threads; i++) {
        struct xn_cpu_thread *t = &e->thread[i];
        ok = (t->decoded = xn_arena_alloc(a, s.decoded, sizeof(float))) &&
             (t->tile = xn_arena_alloc(a, s.tile, sizeof(float))) &&
             (t->out[0] = xn_arena_alloc(a, s.out, sizeof(float))) &&
             (t->out[1] = xn_arena_alloc(a, s.out, sizeof(float))) &&
             (t->work = xn_arena_alloc(a, s.work, sizeof(float)));
    }
    return ok && find_ropes(e) == 0 && turn_taps(e) == 0 ? 0 : -1;
}

int xn_cpu_executor_create(struct xn_cpu_device *device, const struct xn_plan *plan, const struct xn_limits *limits,
                           struct xn_executor **out, struct xn_error *err) {
    *out = NULL;
    for (uint32_t i = 0; i < plan->n_ops; i++) {
        struct taps t;
        if (taps_of(&plan->ops[i], &t) && (t.kernel < 1 || t.kernel > XN_CPU_MAX_TAPS))
            return xn_fail(err, XN_ERR_UNSUPPORTED, "layer %d: a convolution of %u taps, 1 to %d expected",
                           plan->ops[i].layer, t.kernel, XN_CPU_MAX_TAPS);
    }
    struct xn_executor *e = xn_alloc_zero(1, sizeof *e);
    if (!e) return xn_fail(err, XN_ERR_NOMEM, "no memory for an executor");
    e->device = device;
    e->kernels = &device->kernels;
    e->pool = device->pool;
    e->threads = xn_pool_threads(device->pool);
    e->rough = xn_cpu_is_rough(e->kernels, plan);
    int status = xn_host_memory_init(&e->memory, plan, limits, err);
    if (status != XN_OK) {
        free(e);
        return status;
    }
    if (allocate(e) != 0) {
        xn_cpu_executor_free(e);
        return xn_fail(err, XN_ERR_NOMEM, "no memory for %.1f MB of scratch",
                       (double)xn_cpu_scratch_bytes(device, plan, limits) / 1e6);
    }
    *out = e;
    return XN_OK;
}

void xn_cpu_executor_free(struct xn_executor *e) {
    if (!e) return;
    xn_host_memory_free(&e->memory);
    xn_arena_free(&e->arena);
    free(e);
}

// --- a step ---

xn_cpu_op *const xn_cpu_ops[XN_OP_KINDS] = {
    [XN_OP_EMBED] = xn_cpu_op_embed,
    [XN_OP_PROJECT] = xn_cpu_op_project,
    [XN_OP_ATTEND] = xn_cpu_op_attend,
    [XN_OP_DELTA_NET] = xn_cpu_op_delta_net,
    [XN_OP_STATE_SPACE] = xn_cpu_op_state_space,
    [XN_OP_SHORT_CONV] = xn_cpu_op_short_conv,
    [XN_OP_HEADS] = xn_cpu_op_heads,
    [XN_OP_PROJECT_ADD] = xn_cpu_op_project_add,
    [XN_OP_ADD] = xn_cpu_op_add,
    [XN_OP_GATE] = xn_cpu_op_gate,
    [XN_OP_ROUTE] = xn_cpu_op_route,
    [XN_OP_EXPERT_GATE] = xn_cpu_op_expert_gate,
    [XN_OP_EXPERT_ADD] = xn_cpu_op_expert_add,
    [XN_OP_HEAD] = xn_cpu_op_head,
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void step(void *user, uint32_t thread, uint32_t threads) {
    (void)threads;
    struct xn_executor *e = user;
    const struct xn_plan *plan = e->memory.plan;
    if (e->begins) {
        while (fill_rope_tables(e, thread))
            continue;
        xn_pool_end_phase(e->pool, thread);
    }
    double start = thread == 0 ? now() : 0;
    for (uint32_t i = e->first; i < e->end; i++) {
        const struct xn_op *op = &plan->ops[i];
        if (xn_cpu_ops[op->kind])
            xn_cpu_ops[op->kind](e, thread, op);
        else if (xn_pool_take(e->pool, thread, 1) == 0)
            e->status = xn_reference_ops[op->kind](&e->memory, e->batch, op, e->error);
        xn_pool_end_phase(e->pool, thread);
        if (e->status != XN_OK) return;
        if (thread == 0) {
            double end = now();
            e->seconds[op->kind] += end - start;
            start = end;
        }
    }
}

int xn_cpu_executor_run_part(struct xn_executor *e, const struct xn_batch *batch, uint32_t first, uint32_t n,
                             struct xn_error *err) {
    if (batch) {
        XN_TRY(xn_host_check_batch(&e->memory, batch, err));
        for (uint32_t s = 0; s < batch->n_spans; s++)
            for (uint32_t r = 0; r < batch->spans[s].n_rows; r++)
                e->row_span[batch->spans[s].first_row + r] = s;
        e->batch = batch;
    }
    XN_TRY(xn_host_check_part(e->memory.plan, e->batch, first, n, err));
    e->begins = batch != NULL;
    e->first = first;
    e->end = first + n;
    e->status = XN_OK;
    e->error = err;
    xn_pool_run_items(e->pool, step, e);
    return e->status;
}

int xn_cpu_executor_run(struct xn_executor *e, const struct xn_batch *batch, struct xn_error *err) {
    return xn_cpu_executor_run_part(e, batch, 0, e->memory.plan->n_ops, err);
}
