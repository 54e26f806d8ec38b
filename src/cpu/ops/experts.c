// route, expert_gate and expert_add. Rows are grouped by the expert that they chose, so that each expert's weights are
// read once a step.
#include "cpu/ops/product.h"

#include <math.h>
#include <string.h>

// --- route ---

static float sigmoid(float x) {
    return 1.0f / (1.0f + expf(-x));
}

static void score(const struct xn_op_route *o, float *t) {
    if (o->score == XN_ROUTER_SIGMOID) {
        for (uint32_t i = 0; i < o->experts; i++)
            t[i] = sigmoid(t[i]);
        return;
    }
    float max = -INFINITY;
    for (uint32_t i = 0; i < o->experts; i++)
        max = t[i] > max ? t[i] : max;
    double sum = 0;
    for (uint32_t i = 0; i < o->experts; i++)
        sum += t[i] = expf(t[i] - max);
    for (uint32_t i = 0; i < o->experts; i++)
        t[i] = (float)(t[i] / sum);
}

// The sum of a group's two best, or its best one.
static float group_rank(const float *choice, uint32_t size, uint32_t best) {
    float first = -INFINITY, second = -INFINITY;
    for (uint32_t i = 0; i < size; i++) {
        if (choice[i] > first) {
            second = first;
            first = choice[i];
        } else if (choice[i] > second) {
            second = choice[i];
        }
    }
    return size > 1 && best > 1 ? first + second : first;
}

// Keeps the groups_used best groups in the choice (of equal ones the earlier); `rank` holds a float a group.
static void limit_groups(const struct xn_op_route *o, float *choice, float *rank) {
    uint32_t size = o->experts / o->groups;
    for (uint32_t g = 0; g < o->groups; g++)
        rank[g] = group_rank(choice + (size_t)g * size, size, o->group_best);
    for (uint32_t g = 0; g < o->groups; g++) {
        uint32_t better = 0;
        for (uint32_t i = 0; i < o->groups; i++)
            better += rank[i] > rank[g] || (rank[i] == rank[g] && i < g);
        if (better < o->groups_used) continue;
        for (uint32_t i = 0; i < size; i++)
            choice[(size_t)g * size + i] = -INFINITY;
    }
}

static void choose(const struct xn_op_route *o, float *t, float *choice, int32_t *ids, float *weights) {
    score(o, t);
    for (uint32_t i = 0; i < o->experts; i++)
        choice[i] = t[i] + (o->selection_bias ? o->selection_bias[i] : 0);
    if (o->groups > 1) limit_groups(o, choice, choice + o->experts);
    float sum = 0;
    for (uint32_t j = 0; j < o->used; j++) {
        uint32_t best = 0;
        for (uint32_t i = 1; i < o->experts; i++)
            if (choice[i] > choice[best]) best = i;
        ids[j] = (int32_t)best;
        weights[j] = t[best];
        sum += t[best];
        choice[best] = -INFINITY;
    }
    sum += o->sum_epsilon;
    for (uint32_t j = 0; j < o->used; j++)
        weights[j] =
            weights[j] / (o->normalize ? sum : 1.0f) * o->scale * (o->expert_scale ? o->expert_scale[ids[j]] : 1.0f);
}

// The router always takes floats: a rounding there changes which experts run.
void xn_cpu_op_route(struct xn_executor *e, uint32_t thread, const struct xn_op *op) {
    const struct xn_op_route *o = &op->route;
    struct xn_host_memory *m = &e->memory;
    struct xn_cpu_thread *t = &e->thread[thread];
    uint32_t hidden = m->plan->hidden, n = e->batch->n_rows;
    struct xn_cpu_source source = {m->buffer[XN_BUF_X], m->plan->width[XN_BUF_X], n, hidden, NULL};
    struct xn_cpu_operand x;
    struct xn_cpu_needs needs;
    xn_cpu_op_needs(e->kernels, e->memory.plan, op, &needs);
    xn_cpu_operand_prepare(e, thread, &source, &o->norm, &needs, &x);
    x.exact = true;
    uint32_t rows = xn_cpu_block_rows(e, &x, o->router), blocks = (o->experts + rows - 1) / rows;
    for (uint32_t b; (b = xn_pool_take(e->pool, thread, blocks + (o->shared_router != NULL))) != UINT32_MAX;) {
        if (b == blocks) {
            xn_cpu_product(e, t, &x, o->shared_router, 0, 0, 1, t->out[0]);
            for (uint32_t r = 0; r < n; r++)
                *xn_host_row(m, XN_BUF_GATE, r) = sigmoid(t->out[0][(size_t)r * XN_CPU_BLOCK]);
            continue;
        }
        uint32_t first = b * rows, count = o->experts - first < rows ? o->experts - first : rows;
        xn_cpu_product(e, t, &x, o->router, 0, first, count, t->out[0]);
        for (uint32_t r = 0; r < n; r++)
            for (uint32_t i = 0; i < count; i++)
                e->scratch[(size_t)r * o->experts + first + i] =
                    t->out[0][(size_t)r * XN_CPU_BLOCK + i] + (o->bias ? o->bias[first + i] : 0);
    }
    xn_pool_end_phase(e->pool, thread);
    uint32_t begin, end;
    while (xn_cpu_next_share(e, thread, n, &begin, &end))
        for (uint32_t r = begin; r < end; r++)
            choose(o, e->scratch + (size_t)r * o->experts, t->decoded, m->expert_ids + (size_t)r * m->plan->route_width,
                   m->expert_weights + (size_t)r * m->plan->route_width);
}

// --- groups ---

// Sorts the batch's choices by expert; groups of more than `stream` rows get panels.
static void group_rows(struct xn_executor *e, uint32_t used, uint32_t experts, uint32_t stream) {
    const struct xn_host_memory *m = &e->memory;
    uint32_t n = e->batch->n_rows, *first = e->expert_first, panel = 0;
    memset(first, 0, ((size_t)experts + 1) * sizeof *first);
    for (uint32_t r = 0; r < n; r++)
        for (uint32_t j = 0; j < used; j++)
            first[m->expert_ids[(size_t)r * m->plan->route_width + j] + 1]++;
    e->n_groups = 0;
    for (uint32_t x = 0; x < experts; x++) {
        uint32_t count = first[x + 1];
        if (count) {
            e->groups[e->n_groups++] = (struct xn_cpu_group){x, first[x], count, panel};
            if (count > stream) panel += xn_cpu_round_up(count, XN_CPU_PANEL);
        }
        first[x + 1] += first[x];
    }
    for (uint32_t r = 0; r < n; r++)
        for (uint32_t j = 0; j < used; j++) {
            uint32_t at = first[m->expert_ids[(size_t)r * m->plan->route_width + j]]++;
            e->chosen[at] = r * used + j;
            e->chosen_row[at] = r;
        }
}

static void *panels_of(const struct xn_executor *e, const struct xn_cpu_group *g, enum xn_cpu_tile tile, uint32_t k) {
    return (char *)e->panel[tile] + g->panel / XN_CPU_PANEL * xn_cpu_panel_bytes(tile, k);
}

// Groups of this operation's phase; none for a thread that is late: what it would see may be those of a later one.
static uint32_t groups_of(struct xn_executor *e, uint32_t thread) {
    return xn_pool_enter(e->pool, thread) ? e->n_groups : 0;
}

// Panels of the groups too large to stream, if there may be any: rows of e->values by `list`, which has `chosen`. A
// phase of its own.
static void fill_panels(struct xn_executor *e, uint32_t thread, const struct xn_cpu_needs *needs, const uint32_t *list,
                        uint32_t chosen, uint32_t k) {
    if (chosen <= needs->stream) return;
    uint32_t total = 0, groups = groups_of(e, thread);
    for (uint32_t g = 0; g < groups; g++)
        if (e->groups[g].n > needs->stream) total += (e->groups[g].n + XN_CPU_PAD - 1) / XN_CPU_PAD;
    for (uint32_t i; (i = xn_pool_next(e->pool, thread)) < total;) {
        for (uint32_t g = 0;; g++) {
            const struct xn_cpu_group *group = &e->groups[g];
            if (group->n <= needs->stream) continue;
            uint32_t parts = (group->n + XN_CPU_PAD - 1) / XN_CPU_PAD;
            if (i < parts) {
                for (int tile = 0; tile < XN_TILE_KINDS; tile++)
                    if (needs->tile[tile])
                        xn_cpu_panel_fill(e, (enum xn_cpu_tile)tile, e->values, k, list + group->first, group->n, k, i,
                                          panels_of(e, group, (enum xn_cpu_tile)tile, k));
                break;
            }
            i -= parts;
        }
    }
    xn_pool_end_phase(e->pool, thread);
}

static struct xn_cpu_operand operand_of(const struct xn_executor *e, const struct xn_cpu_group *g,
                                        const struct xn_cpu_needs *needs, const uint32_t *list, uint32_t k) {
    struct xn_cpu_operand x = {.n = g->n,
                               .k = k,
                               .list = list + g->first,
                               .values = e->values,
                               .ld = k,
                               .integers = needs->integers,
                               .tiled = g->n > needs->stream};
    for (int tile = 0; tile < XN_TILE_KINDS && x.tiled; tile++)
        if (needs->tile[tile]) x.panel[tile] = panels_of(e, g, (enum xn_cpu_tile)tile, k);
    return x;
}

// Rows of weights in a block, for groups of any size.
static uint32_t block_rows(const struct xn_executor *e, const struct xn_weights *w) {
    struct xn_cpu_operand tiled = {.tiled = true};
    return xn_cpu_block_rows(e, &tiled, w);
}

// --- expert_gate ---

void xn_cpu_op_expert_gate(struct xn_executor *e, uint32_t thread, const struct xn_op *op) {
    const struct xn_op_expert_gate *o = &op->expert_gate;
    struct xn_host_memory *m = &e->memory;
    struct xn_cpu_thread *t = &e->thread[thread];
    uint32_t k = o->up->matrix.cols, n = e->batch->n_rows, experts = o->up->matrix.count;
    struct xn_cpu_needs needs;
    xn_cpu_op_needs(e->kernels, e->memory.plan, op, &needs);
    if (xn_pool_take(e->pool, thread, 1) == 0) group_rows(e, o->used, experts, needs.stream);
    for (uint32_t r; (r = xn_pool_next(e->pool, thread)) < n;) {
        float *row = e->values + (size_t)r * k;
        e->kernels->norm(&o->norm, xn_host_row(m, o->in, r), row, k);
        if (!needs.integers) continue;
        struct xn_cpu_row to = xn_cpu_integer_row(e, k, r);
        e->kernels->quantize(row, k, &to);
    }
    xn_pool_end_phase(e->pool, thread);
    fill_panels(e, thread, &needs, e->chosen_row, n * o->used, k);
    uint32_t rows = block_rows(e, o->up), blocks = (o->size + rows - 1) / rows, groups = groups_of(e, thread);
    for (uint32_t i; (i = xn_pool_take(e->pool, thread, blocks * groups)) != UINT32_MAX;) {
        const struct xn_cpu_group *g = &e->groups[i / blocks];
        uint32_t first = i % blocks * rows, count = o->size - first < rows ? o->size - first : rows;
        struct xn_cpu_operand x = operand_of(e, g, &needs, e->chosen_row, k);
        xn_cpu_product(e, t, &x, o->up, g->expert, first, count, t->out[1]);
        if (o->gate) xn_cpu_product(e, t, &x, o->gate, g->expert, first, count, t->out[0]);
        for (uint32_t r = 0; r < g->n; r++) {
            float *up = t->out[1] + (size_t)r * XN_CPU_BLOCK, *gate = t->out[0] + (size_t)r * XN_CPU_BLOCK;
            uint32_t row = e->chosen_row[g->first + r], slot = e->chosen[g->first + r] - row * o->used;
            size_t bias = (size_t)g->expert * o->size + first;
            if (o->up_bias) e->kernels->blend(up, 1, o->up_bias + bias, 1, count);
            if (o->gate && o->gate_bias) e->kernels->blend(gate, 1, o->gate_bias + bias, 1, count);
            xn_cpu_glu(e, &o->glu, o->gate ? gate : NULL, up,
                       xn_host_row(m, XN_BUF_EXPERTS, row) + (size_t)slot * o->size + first, count);
        }
    }
}

// --- expert_add ---

// A block of columns belongs to one thread, which adds all experts to it in the order of their numbers: to the buffer
// itself, or where a norm follows to the scratch.
void xn_cpu_op_expert_add(struct xn_executor *e, uint32_t thread, const struct xn_op *op) {
    const struct xn_op_expert_add *o = &op->expert_add;
    struct xn_host_memory *m = &e->memory;
    struct xn_cpu_thread *t = &e->thread[thread];
    uint32_t n = e->batch->n_rows, experts = o->down->matrix.count, total = o->down->matrix.rows;
    struct xn_cpu_needs needs;
    xn_cpu_op_needs(e->kernels, e->memory.plan, op, &needs);
    if (xn_pool_take(e->pool, thread, 1) == 0) group_rows(e, o->used, experts, needs.stream);
    for (uint32_t i; (i = xn_pool_next(e->pool, thread)) < n * o->used;) {
        const float *from = xn_host_row(m, XN_BUF_EXPERTS, i / o->used) + (size_t)(i % o->used) * o->size;
        memcpy(e->values + (size_t)i * o->size, from, o->size * sizeof *from);
        if (!needs.integers) continue;
        struct xn_cpu_row to = xn_cpu_integer_row(e, o->size, i);
        e->kernels->quantize(from, o->size, &to);
    }
    xn_pool_end_phase(e->pool, thread);
    fill_panels(e, thread, &needs, e->chosen, n * o->used, o->size);
    bool normed = o->sum.norm.kind != XN_NORM_NONE;
    float *to = normed ? e->scratch : m->buffer[o->sum.to];
    size_t ld = normed ? total : m->plan->width[o->sum.to];
    float keep = normed || o->sum.set ? 0 : o->sum.after, scale = normed ? 1 : o->sum.after * o->sum.scale;
    uint32_t rows = block_rows(e, o->down);
    for (uint32_t b; (b = xn_pool_take(e->pool, thread, (total + rows - 1) / rows)) != UINT32_MAX;) {
        uint32_t first = b * rows, count = total - first < rows ? total - first : rows;
        for (uint32_t r = 0; r < n && keep != 1; r++) {
            float *y = to + r * ld + first;
            if (keep == 0)
                memset(y, 0, count * sizeof *y);
            else
                xn_cpu_place(y, y, keep, count);
        }
        for (uint32_t g = 0; g < e->n_groups; g++) {
            const struct xn_cpu_group *group = &e->groups[g];
            struct xn_cpu_operand x = operand_of(e, group, &needs, e->chosen, o->size);
            xn_cpu_product(e, t, &x, o->down, group->expert, first, count, t->out[0]);
            for (uint32_t r = 0; r < group->n; r++) {
                uint32_t row = e->chosen_row[group->first + r], slot = e->chosen[group->first + r] - row * o->used;
                float weight = m->expert_weights[(size_t)row * m->plan->route_width + slot];
                float *y = t->out[0] + (size_t)r * XN_CPU_BLOCK;
                if (o->bias) e->kernels->blend(y, 1, o->bias + (size_t)group->expert * total + first, 1, count);
                e->kernels->blend(to + row * ld + first, 1, y, scale * weight, count);
            }
        }
    }
    if (!normed) return;
    xn_pool_end_phase(e->pool, thread);
    xn_cpu_add_rows(e, thread, &o->sum, e->scratch, total, total);
}
