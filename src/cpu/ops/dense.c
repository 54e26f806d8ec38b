// embed, project, project_add, add, gate and head.
#include "cpu/ops/product.h"

#include <math.h>
#include <string.h>

static struct xn_cpu_source source_of(const struct xn_executor *e, enum xn_buffer buffer, uint32_t k) {
    const struct xn_host_memory *m = &e->memory;
    return (struct xn_cpu_source){m->buffer[buffer], m->plan->width[buffer], e->batch->n_rows, k, NULL};
}

// y = x + bias (where not NULL)
static void copy_add(float *y, const float *x, const float *bias, uint32_t n) {
    if (bias)
        for (uint32_t i = 0; i < n; i++)
            y[i] = x[i] + bias[i];
    else if (y != x)
        memcpy(y, x, n * sizeof *y);
}

// y = scale * (x + bias)
static void scale_add(float *y, const float *x, float scale, const float *bias, uint32_t n) {
    copy_add(y, x, bias, n);
    if (scale != 1)
        for (uint32_t i = 0; i < n; i++)
            y[i] *= scale;
}

void xn_cpu_op_embed(struct xn_executor *e, uint32_t thread, const struct xn_op *op) {
    const struct xn_op_embed *embed = &op->embed;
    uint32_t width = embed->table->matrix.cols, begin, end;
    while (xn_cpu_next_share(e, thread, e->batch->n_rows, &begin, &end))
        for (uint32_t r = begin; r < end; r++) {
            float *x = xn_host_row(&e->memory, embed->to, r);
            float *value = embed->keep != 0 ? e->thread[thread].decoded : x;
            const void *row = xn_weights_row(embed->table, 0, (uint32_t)e->batch->tokens[r]);
            e->kernels->decode[embed->table->kernel_type](row, value, width);
            if (embed->keep != 0)
                e->kernels->blend(x, embed->keep, value, embed->scale, width);
            else if (embed->scale != 1)
                e->kernels->blend(x, embed->scale, x, 0, width);
        }
}

// --- project ---

// Where a part's product goes before norm and rotation: its buffer, or its share of the scratch.
struct place {
    float *rows;
    size_t ld;
};

static struct place place_of(const struct xn_executor *e, const struct xn_op_project *p, uint32_t part) {
    const struct xn_host_memory *m = &e->memory;
    if (p->part[part].target == XN_TO_BUFFER)
        return (struct place){m->buffer[p->part[part].buffer], m->plan->width[p->part[part].buffer]};
    size_t ld = 0, offset = 0;
    for (uint32_t i = 0; i < p->n_parts; i++) {
        if (p->part[i].target == XN_TO_BUFFER) continue;
        if (i == part) offset = ld;
        ld += p->part[i].weights->matrix.rows;
    }
    return (struct place){e->scratch + offset, ld};
}

static void rotate(const struct xn_rope *rope, const float *table, float *head) {
    uint32_t half = rope->dims / 2;
    const float *c = table, *s = table + half;
    if (rope->kind == XN_ROPE_HALVES) {
        for (uint32_t i = 0; i < half; i++) {
            float x = head[i], y = head[i + half];
            head[i] = x * c[i] - y * s[i];
            head[i + half] = x * s[i] + y * c[i];
        }
    } else {
        for (uint32_t i = 0; i < half; i++) {
            float x = head[2 * i], y = head[2 * i + 1];
            head[2 * i] = x * c[i] - y * s[i];
            head[2 * i + 1] = x * s[i] + y * c[i];
        }
    }
}

static void finish_head(const struct xn_executor *e, const struct xn_part *part, uint32_t rope_index, uint32_t row,
                        float *head) {
    const struct xn_rope *rope = &part->rope;
    if (part->norm.kind != XN_NORM_NONE && !part->norm_whole)
        e->kernels->norm(&part->norm, head, head, part->head_size);
    if (rope->kind != XN_ROPE_NONE)
        rotate(rope, e->ropes[rope_index].table + (size_t)row * rope->dims, head + part->rope_at);
    if (part->is_query && rope->query_beta != 0) {
        float steps = floorf((float)e->batch->positions[row] / (float)rope->query_period);
        float t = 1.0f + rope->query_beta * logf(1.0f + steps);
        for (uint32_t i = 0; i < part->head_size; i++)
            head[i] *= t;
    }
}

static void store_head(const struct xn_executor *e, const struct xn_op_project *p, const struct xn_part *part,
                       uint32_t row, uint32_t head, const float *values) {
    const struct xn_host_memory *m = &e->memory;
    const struct xn_span *span = &e->batch->spans[e->row_span[row]];
    const struct xn_cache_layer *layer = &m->plan->cache[p->cache];
    bool keys = part->target == XN_TO_KEYS;
    void *cache = keys ? m->cache[p->cache].keys : m->cache[p->cache].values;
    size_t at = xn_host_cache_index(m, part->heads, keys ? layer->key_size : layer->value_size, span->pages, head,
                                    (uint32_t)e->batch->positions[row]) +
                part->cache_at;
    if (m->limits.cache_type == XN_F16)
        e->kernels->narrow(values, (uint16_t *)cache + at, part->head_size);
    else
        memcpy((float *)cache + at, values, part->head_size * sizeof *values);
}

static bool has_finish(const struct xn_part *part) {
    return part->norm.kind != XN_NORM_NONE || part->rope.kind != XN_ROPE_NONE ||
           (part->is_query && part->rope.query_beta != 0) || part->target != XN_TO_BUFFER;
}

static bool is_normed_whole(const struct xn_part *part) {
    return part->norm_whole && part->norm.kind != XN_NORM_NONE;
}

// A part whose norm runs over all heads is finished by one thread, others head by head.
static uint32_t finish_units(const struct xn_part *part) {
    return !has_finish(part) ? 0 : is_normed_whole(part) ? 1 : part->heads;
}

static void finish_unit(const struct xn_executor *e, const struct xn_op *op, uint32_t index, uint32_t row,
                        uint32_t unit) {
    const struct xn_op_project *p = &op->project;
    const struct xn_part *part = &p->part[index];
    struct place place = place_of(e, p, index);
    float *y = place.rows + (size_t)row * place.ld;
    uint32_t rope = e->part_rope[(size_t)(op - e->memory.plan->ops) * XN_MAX_PARTS + index];
    uint32_t first = unit, last = unit + 1;
    if (is_normed_whole(part)) {
        e->kernels->norm(&part->norm, y, y, part->heads * part->head_size);
        first = 0;
        last = part->heads;
    }
    for (uint32_t h = first; h < last; h++) {
        float *head = y + (size_t)h * part->head_stride;
        finish_head(e, part, rope, row, head);
        if (part->target != XN_TO_BUFFER) store_head(e, p, part, row, h, head);
    }
}

void xn_cpu_op_project(struct xn_executor *e, uint32_t thread, const struct xn_op *op) {
    const struct xn_op_project *p = &op->project;
    struct xn_cpu_thread *t = &e->thread[thread];
    struct xn_cpu_source source = source_of(e, p->in, p->part[0].weights->matrix.cols);
    struct xn_cpu_operand x;
    struct xn_cpu_needs needs;
    xn_cpu_op_needs(e->kernels, e->memory.plan, op, &needs);
    xn_cpu_operand_prepare(e, thread, &source, &p->norm, &needs, &x);

    uint32_t rows[XN_MAX_PARTS], blocks[XN_MAX_PARTS + 1] = {0}, units = 0;
    for (uint32_t i = 0; i < p->n_parts; i++) {
        const struct xn_weights *w = p->part[i].weights;
        rows[i] = xn_cpu_block_rows(e, &x, w);
        blocks[i + 1] = blocks[i] + (w->matrix.rows + rows[i] - 1) / rows[i];
        units += finish_units(&p->part[i]);
    }
    for (uint32_t b, i; (b = xn_pool_take(e->pool, thread, blocks[p->n_parts])) != UINT32_MAX;) {
        for (i = 0; b >= blocks[i + 1];)
            i++;
        const struct xn_part *part = &p->part[i];
        uint32_t first = (b - blocks[i]) * rows[i], count = part->weights->matrix.rows - first;
        if (count > rows[i]) count = rows[i];
        x.exact = part->exact;
        xn_cpu_product(e, t, &x, part->weights, 0, first, count, t->out[0]);
        struct place place = place_of(e, p, i);
        for (uint32_t r = 0; r < x.n; r++)
            scale_add(place.rows + r * place.ld + first, t->out[0] + (size_t)r * XN_CPU_BLOCK, part->scale,
                      part->bias ? part->bias + first : NULL, count);
    }
    if (!units) return;
    xn_pool_end_phase(e->pool, thread);
    uint32_t begin, end;
    while (xn_cpu_next_share(e, thread, x.n * units, &begin, &end))
        for (uint32_t u = begin; u < end; u++) {
            uint32_t part = 0, unit = u % units;
            while (unit >= finish_units(&p->part[part]))
                unit -= finish_units(&p->part[part++]);
            finish_unit(e, op, part, u / units, unit);
        }
}

// --- project_add and add ---

void xn_cpu_add_rows(struct xn_executor *e, uint32_t thread, const struct xn_sum *sum, const float *from, size_t ld,
                     uint32_t width) {
    uint32_t begin, end;
    while (xn_cpu_next_share(e, thread, e->batch->n_rows, &begin, &end))
        for (uint32_t r = begin; r < end; r++) {
            const float *y = from + r * ld;
            float *to = xn_host_row(&e->memory, sum->to, r);
            if (sum->norm.kind != XN_NORM_NONE) {
                float *normed = e->thread[thread].decoded;
                e->kernels->norm(&sum->norm, y, normed, width);
                y = normed;
            }
            if (sum->set)
                xn_cpu_place(to, y, sum->after * sum->scale, width);
            else
                e->kernels->blend(to, sum->after, y, sum->after * sum->scale, width);
        }
}

void xn_cpu_op_add(struct xn_executor *e, uint32_t thread, const struct xn_op *op) {
    const struct xn_op_add *a = &op->add;
    xn_cpu_add_rows(e, thread, &a->sum, e->memory.buffer[a->in], e->memory.plan->width[a->in], e->memory.plan->hidden);
}

// Whether `gate` leaves its result in panels for the product behind it, so that it is neither written nor read as
// floats: nobody else may read it, and the product must take bfloat16.
bool xn_cpu_hands_over(const struct xn_cpu_kernels *kernels, const struct xn_plan *plan, uint32_t op,
                       enum xn_cpu_tile *tile) {
    if (op + 1 >= plan->n_ops || plan->ops[op].kind != XN_OP_GATE || plan->ops[op + 1].kind != XN_OP_PROJECT_ADD ||
        plan->ops[op + 1].apart)
        return false;
    const struct xn_op_project_add *next = &plan->ops[op + 1].project_add;
    if (next->in != XN_BUF_HIDDEN || plan->ops[op].gate.times != XN_BUF_NONE) return false;
    for (uint32_t i = op + 2; i < plan->n_ops && plan->ops[i].kind != XN_OP_GATE; i++) // until it is written again
        if (plan->ops[i].kind == XN_OP_PROJECT_ADD && plan->ops[i].project_add.in == XN_BUF_HIDDEN) return false;
    *tile = xn_cpu_tile_of(kernels, plan, next->weights, false);
    return *tile == XN_TILE_BF16 || *tile == XN_TILE_SPLIT;
}

// The input of a product, as the operation before left it or as `source` says.
static void take_input(struct xn_executor *e, uint32_t thread, const struct xn_op *op,
                       const struct xn_cpu_source *source, struct xn_cpu_operand *x) {
    static const struct xn_norm none = {.kind = XN_NORM_NONE};
    enum xn_cpu_tile tile;
    struct xn_cpu_needs needs;
    if (op > e->memory.plan->ops &&
        xn_cpu_hands_over(e->kernels, e->memory.plan, (uint32_t)(op - 1 - e->memory.plan->ops), &tile)) {
        xn_cpu_op_needs(e->kernels, e->memory.plan, op - 1, &needs);
        if (source->n > needs.stream) { // it was tiled, and so is this
            *x = (struct xn_cpu_operand){.n = source->n, .k = source->k, .tiled = true};
            x->panel[tile] = e->handed;
            return;
        }
    }
    xn_cpu_op_needs(e->kernels, e->memory.plan, op, &needs);
    xn_cpu_operand_prepare(e, thread, source, &none, &needs, x);
}

void xn_cpu_op_project_add(struct xn_executor *e, uint32_t thread, const struct xn_op *op) {
    const struct xn_op_project_add *p = &op->project_add;
    const struct xn_host_memory *m = &e->memory;
    struct xn_cpu_thread *t = &e->thread[thread];
    struct xn_cpu_source source = source_of(e, p->in, p->weights->matrix.cols);
    struct xn_cpu_operand x;
    take_input(e, thread, op, &source, &x);
    bool normed = p->sum.norm.kind != XN_NORM_NONE;
    uint32_t rows = xn_cpu_block_rows(e, &x, p->weights), total = p->weights->matrix.rows;
    for (uint32_t b; (b = xn_pool_take(e->pool, thread, (total + rows - 1) / rows)) != UINT32_MAX;) {
        uint32_t first = b * rows, count = total - first < rows ? total - first : rows;
        xn_cpu_product(e, t, &x, p->weights, 0, first, count, t->out[0]);
        for (uint32_t r = 0; r < x.n; r++) {
            float *y = t->out[0] + (size_t)r * XN_CPU_BLOCK;
            float s = p->row_scale == XN_BUF_NONE ? 1 : *xn_host_row(m, p->row_scale, r);
            if (p->bias)
                for (uint32_t i = 0; i < count; i++)
                    y[i] += p->bias[first + i];
            float *to = xn_host_row(m, p->sum.to, r) + first, scale = p->sum.after * p->sum.scale * s;
            if (normed)
                xn_cpu_place(e->scratch + (size_t)r * total + first, y, s, count);
            else if (p->sum.set)
                xn_cpu_place(to, y, scale, count);
            else
                e->kernels->blend(to, p->sum.after, y, scale, count);
        }
    }
    if (!normed) return;
    xn_pool_end_phase(e->pool, thread);
    xn_cpu_add_rows(e, thread, &p->sum, e->scratch, total, total);
}

// --- gate ---

// Columns [first, first + count) of n rows of `total`, from t->out[0] into the panels for the next operation.
static void hand_over(const struct xn_executor *e, const struct xn_cpu_thread *t, enum xn_cpu_tile tile, uint32_t n,
                      uint32_t total, uint32_t first, uint32_t count) {
    const float *rows[XN_CPU_PAD];
    for (uint32_t i = 0; i < xn_cpu_panels(n) * XN_CPU_PANEL; i += XN_CPU_PAD) {
        uint32_t there = i >= n ? 0 : n - i < XN_CPU_PAD ? n - i : XN_CPU_PAD;
        for (uint32_t r = 0; r < there; r++)
            rows[r] = t->out[0] + (size_t)(i + r) * XN_CPU_BLOCK;
        uint16_t *panel = (uint16_t *)((char *)e->handed + i / XN_CPU_PANEL * xn_cpu_panel_bytes(tile, total));
        e->kernels->pack16(rows, there, count, i / XN_CPU_PAD % 2, xn_cpu_terms16(tile),
                           panel + (size_t)first * XN_CPU_PANEL * xn_cpu_terms16(tile));
    }
}

// What the panels of a block of `gate` become.
struct gate_block {
    const struct xn_executor *e;
    const struct xn_op_gate *gate;
    enum xn_cpu_tile tile; // of the next product's input
    uint32_t n, first, count;
};

static void add_bias(float *y, const float *bias, uint32_t rows) {
    for (uint32_t r = 0; bias && r < rows; r++)
        for (uint32_t i = 0; i < XN_CPU_PANEL; i++)
            y[r * XN_CPU_PANEL + i] += bias[r];
}

// A panel's results become a panel of the next product's input as they lie: their rows are its columns.
static void gate_panel(void *context, uint32_t panel, float *up) {
    const struct gate_block *b = context;
    const struct xn_op_gate *g = b->gate;
    uint32_t span = xn_cpu_round_up(b->count, XN_CPU_TILE_ROWS), terms = xn_cpu_terms16(b->tile);
    float *gate = g->gate ? up + (size_t)span * XN_CPU_PANEL : NULL;
    add_bias(up, g->up_bias ? g->up_bias + b->first : NULL, b->count);
    if (gate) add_bias(gate, g->gate_bias ? g->gate_bias + b->first : NULL, b->count);
    xn_cpu_glu(b->e, &g->glu, gate, up, up, b->count * XN_CPU_PANEL);

    size_t bytes = xn_cpu_panel_bytes(b->tile, g->up->matrix.rows);
    uint16_t *to = (uint16_t *)((char *)b->e->handed + panel * bytes) + (size_t)b->first * XN_CPU_PANEL * terms;
    const float *rows[XN_CPU_PANEL];
    uint32_t there = b->n - panel * XN_CPU_PANEL;
    if (there > XN_CPU_PANEL) there = XN_CPU_PANEL;
    for (uint32_t r = 0; r < b->count; r += XN_CPU_PANEL, to += (size_t)XN_CPU_PANEL * XN_CPU_PANEL * terms) {
        uint32_t n = b->count - r < XN_CPU_PANEL ? b->count - r : XN_CPU_PANEL;
        for (uint32_t i = 0; i < n; i++)
            rows[i] = up + (size_t)(r + i) * XN_CPU_PANEL;
        b->e->kernels->pack16_down(rows, n, there, terms, to, 0);
    }
}

static void gate_in_panels(struct xn_executor *e, uint32_t thread, const struct xn_op_gate *g,
                           const struct xn_cpu_operand *x, enum xn_cpu_tile tile) {
    const struct xn_weights *w[2] = {g->up, g->gate};
    uint32_t rows = xn_cpu_block_rows(e, x, g->up), total = g->up->matrix.rows;
    if (rows > XN_CPU_BLOCK / 2) rows = XN_CPU_BLOCK / 2;
    struct gate_block b = {.e = e, .gate = g, .tile = tile, .n = x->n};
    for (uint32_t i; (i = xn_pool_take(e->pool, thread, (total + rows - 1) / rows)) != UINT32_MAX;) {
        b.first = i * rows;
        b.count = total - b.first < rows ? total - b.first : rows;
        xn_cpu_product_pair(e, &e->thread[thread], x, w, 0, b.first, b.count, gate_panel, &b);
    }
}

void xn_cpu_op_gate(struct xn_executor *e, uint32_t thread, const struct xn_op *op) {
    const struct xn_op_gate *g = &op->gate;
    struct xn_cpu_thread *t = &e->thread[thread];
    struct xn_cpu_source source = source_of(e, XN_BUF_X, e->memory.plan->hidden);
    struct xn_cpu_operand x;
    struct xn_cpu_needs needs;
    xn_cpu_op_needs(e->kernels, e->memory.plan, op, &needs);
    xn_cpu_operand_prepare(e, thread, &source, &g->norm, &needs, &x);
    uint32_t rows = xn_cpu_block_rows(e, &x, g->up), total = g->up->matrix.rows;
    enum xn_cpu_tile tile = XN_TILE_FLOAT;
    bool hands_over =
        x.tiled && xn_cpu_hands_over(e->kernels, e->memory.plan, (uint32_t)(op - e->memory.plan->ops), &tile);
    if (hands_over && xn_cpu_is_paired(e, &x, g->up, g->gate)) {
        gate_in_panels(e, thread, g, &x, tile);
        return;
    }
    for (uint32_t b; (b = xn_pool_take(e->pool, thread, (total + rows - 1) / rows)) != UINT32_MAX;) {
        uint32_t first = b * rows, count = total - first < rows ? total - first : rows;
        xn_cpu_product(e, t, &x, g->up, 0, first, count, t->out[1]);
        if (g->gate) xn_cpu_product(e, t, &x, g->gate, 0, first, count, t->out[0]);
        for (uint32_t r = 0; r < x.n; r++) {
            float *up = t->out[1] + (size_t)r * XN_CPU_BLOCK, *gate = t->out[0] + (size_t)r * XN_CPU_BLOCK;
            float *out = hands_over ? gate : xn_host_row(&e->memory, XN_BUF_HIDDEN, r) + first;
            copy_add(up, up, g->up_bias ? g->up_bias + first : NULL, count);
            if (g->gate) copy_add(gate, gate, g->gate_bias ? g->gate_bias + first : NULL, count);
            xn_cpu_glu(e, &g->glu, g->gate ? gate : NULL, up, out, count);
            if (g->times == XN_BUF_NONE) continue;
            const float *times = xn_host_row(&e->memory, g->times, r) + g->times_at + first;
            for (uint32_t i = 0; i < count; i++)
                out[i] *= times[i];
        }
        if (hands_over) hand_over(e, t, tile, x.n, total, first, count);
    }
}

// --- head ---

void xn_cpu_op_head(struct xn_executor *e, uint32_t thread, const struct xn_op *op) {
    const struct xn_op_head *h = &op->head;
    struct xn_cpu_thread *t = &e->thread[thread];
    if (e->batch->n_outputs == 0) return;
    struct xn_cpu_source source = source_of(e, XN_BUF_X, e->memory.plan->hidden);
    source.n = e->batch->n_outputs;
    source.list = e->batch->outputs;
    struct xn_cpu_operand x;
    struct xn_cpu_needs needs;
    xn_cpu_op_needs(e->kernels, e->memory.plan, op, &needs);
    xn_cpu_operand_prepare(e, thread, &source, &h->norm, &needs, &x);
    uint32_t rows = xn_cpu_block_rows(e, &x, h->weights), total = h->weights->matrix.rows;
    for (uint32_t b; (b = xn_pool_take(e->pool, thread, (total + rows - 1) / rows)) != UINT32_MAX;) {
        uint32_t first = b * rows, count = total - first < rows ? total - first : rows;
        xn_cpu_product(e, t, &x, h->weights, 0, first, count, t->out[0]);
        for (uint32_t o = 0; o < x.n; o++) {
            const float *y = t->out[0] + (size_t)o * XN_CPU_BLOCK;
            float *logits = e->memory.logits + (size_t)o * e->memory.plan->vocab + first;
            for (uint32_t i = 0; i < count; i++)
                logits[i] = h->scale * y[i];
            if (h->soft_cap != 0) e->kernels->soft_cap(logits, h->soft_cap, count);
        }
    }
}
