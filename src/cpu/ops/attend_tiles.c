// attend for many queries, on tiles of bfloat16: as attend.c in one pass over the positions, a chunk of them at a time.
// Queries are the left side of the first product and, as weights of the softmax, of the second; keys and values become
// panels. Where the model's activations are not rounded elsewhere, each number is the sum of two bfloat16 ones.
#include "cpu/ops/attend.h"
#include "cpu/ops/product.h"

#include <math.h>
#include <string.h>

enum {
    QUERIES = 128,   // of a piece, at the most (more where a row has more heads)
    POSITIONS = 128, // of a chunk: whole panels
    LEAST_ROWS = 9,  // of a span: fewer are split over positions instead
    LEAST = 33,      // queries of a span
    TILE = XN_CPU_TILE_ROWS * XN_CPU_TILE_COLS,
};

bool xn_cpu_is_rough(const struct xn_cpu_kernels *kernels, const struct xn_plan *plan) {
    bool rough = false;
    for (uint32_t i = 0; i < plan->n_ops; i++) {
        struct xn_cpu_needs needs;
        if (plan->ops[i].kind != XN_OP_PROJECT) continue;
        xn_cpu_op_needs(kernels, plan, &plan->ops[i], &needs);
        rough = needs.integers || needs.rounded;
        if (!rough) break;
    }
    return rough;
}

static uint32_t rows_of(const struct xn_op_attend *a) {
    uint32_t rows = QUERIES / xn_cpu_group_of(a);
    return rows ? rows : 1;
}

uint32_t xn_cpu_attend_tiles_rows(const struct xn_cpu_kernels *kernels, const struct xn_op_attend *a,
                                  uint32_t span_rows) {
    bool many = span_rows >= LEAST_ROWS && span_rows * xn_cpu_group_of(a) >= LEAST;
    return many && kernels->split16 && kernels->soften16 ? rows_of(a) : 0;
}

// Sizes of a piece.
struct sizes {
    uint32_t m;            // queries, whole tiles
    uint32_t key_blocks;   // of 32 columns
    uint32_t value_panels; // of 32 columns
    uint32_t terms;
};

static struct sizes sizes_of(const struct xn_op_attend *a, uint32_t queries, uint32_t terms) {
    return (struct sizes){xn_cpu_round_up(queries, XN_CPU_TILE_ROWS), xn_cpu_blocks16(a->head_size),
                          xn_cpu_panels(a->value_size), terms};
}

struct work {
    uint16_t *q; // tiles: m x key columns
    float *rows; // POSITIONS x the wider of keys and values
    uint16_t *k; // panels of positions
    uint16_t *v; // panels of value columns
    float *s;    // [panel of positions][m][XN_CPU_PANEL]
    uint16_t *p; // tiles: m x POSITIONS
    float *o;    // [panel of columns][m][XN_CPU_PANEL]
    float *max;  // m
    float *sum;  // m
    float *line; // a query, or its result
};

static uint16_t *take_halves(float **p, size_t n) {
    return (uint16_t *)(void *)xn_cpu_take(p, (n + 1) / 2);
}

static struct work lay_out(const struct xn_op_attend *a, const struct sizes *s, float *base, size_t *floats) {
    uint32_t widest = a->head_size > a->value_size ? a->head_size : a->value_size;
    size_t m = s->m, terms = s->terms;
    float *p = base;
    struct work w;
    w.q = take_halves(&p, m * s->key_blocks * XN_CPU_TILE_COLS * terms);
    w.rows = xn_cpu_take(&p, (size_t)POSITIONS * widest);
    w.k = take_halves(&p, (size_t)POSITIONS * s->key_blocks * XN_CPU_TILE_COLS * terms);
    w.v = take_halves(&p, (size_t)s->value_panels * XN_CPU_PANEL * POSITIONS * terms);
    w.s = xn_cpu_take(&p, m * POSITIONS);
    w.p = take_halves(&p, m * POSITIONS * terms);
    w.o = xn_cpu_take(&p, m * s->value_panels * XN_CPU_PANEL);
    w.max = xn_cpu_take(&p, m);
    w.sum = xn_cpu_take(&p, m);
    w.line = xn_cpu_take(&p, (size_t)widest + XN_CPU_PANEL);
    if (floats) *floats = (size_t)(p - base);
    return w;
}

size_t xn_cpu_attend_tiles_work(const struct xn_cpu_kernels *kernels, const struct xn_op_attend *a) {
    size_t floats = 0;
    if (!xn_cpu_attend_tiles_rows(kernels, a, UINT32_MAX / xn_cpu_group_of(a))) return 0;
    struct sizes s = sizes_of(a, rows_of(a) * xn_cpu_group_of(a), 2);
    static float nowhere[1];
    lay_out(a, &s, nowhere, &floats);
    return floats;
}

static void load_queries(const struct xn_executor *e, const struct xn_op_attend *a, const struct xn_cpu_queries *t,
                         const struct sizes *s, struct work *w) {
    uint32_t group = xn_cpu_group_of(a), queries = t->rows * group;
    memset(w->q, 0, (size_t)s->m * s->key_blocks * XN_CPU_TILE_COLS * s->terms * sizeof *w->q);
    for (uint32_t q = 0; q < queries; q++) {
        const float *from =
            xn_host_row(&e->memory, a->in, t->row + q / group) + (size_t)(t->head * group + q % group) * a->head_stride;
        xn_cpu_place(w->line, from, a->scale, a->head_size);
        e->kernels->decode16[XN_F32](w->line, a->head_size, s->terms,
                                     w->q + (size_t)(q / XN_CPU_TILE_ROWS) * s->key_blocks * s->terms * TILE +
                                         q % XN_CPU_TILE_ROWS * XN_CPU_TILE_COLS);
        w->max[q] = -INFINITY;
        w->sum[q] = 0;
    }
}

// Scores of a chunk's n positions to weights, in tiles; results so far are brought to the new maxima.
static void soften(const struct xn_executor *e, const struct xn_op_attend *a, const struct xn_cpu_queries *t,
                   const struct sizes *s, struct work *w, uint32_t from, uint32_t n) {
    uint32_t group = xn_cpu_group_of(a), panels = xn_cpu_panels(n);
    size_t span = (size_t)s->m * XN_CPU_PANEL;
    for (uint32_t q = 0; q < t->rows * group; q++) {
        uint32_t position = xn_cpu_position_of(t, q / group), first = xn_cpu_first_of(a, position);
        uint32_t low = first > from ? first - from : 0, high = position + 1 > from ? position + 1 - from : 0;
        if (high > n) high = n;
        float *row = w->s + (size_t)q * XN_CPU_PANEL;
        for (uint32_t p = 0; p < panels && a->soft_cap != 0; p++)
            e->kernels->soft_cap(row + p * span, a->soft_cap, XN_CPU_PANEL);
        float factor = e->kernels->soften16(row, span, panels, low, high, &w->max[q], &w->sum[q], s->terms,
                                            w->p + (size_t)(q / XN_CPU_TILE_ROWS) * panels * s->terms * TILE +
                                                q % XN_CPU_TILE_ROWS * XN_CPU_TILE_COLS);
        for (uint32_t p = 0; p < s->value_panels && factor != 1 && from != t->begin; p++) {
            float *o = w->o + p * span + (size_t)q * XN_CPU_PANEL;
            e->kernels->blend(o, factor, o, 0, XN_CPU_PANEL);
        }
    }
}

static void chunk(const struct xn_executor *e, const struct xn_op_attend *a, const struct xn_cpu_queries *t,
                  const struct sizes *s, struct work *w, uint32_t from, uint32_t n) {
    const struct xn_cpu_kernels *kernels = e->kernels;
    const struct xn_host_cache *cache = &e->memory.cache[a->cache];
    uint32_t panels = xn_cpu_panels(n), size = a->head_size, terms = s->terms;
    size_t k_stride = (size_t)s->key_blocks * 2 * terms * TILE, v_stride = (size_t)panels * 2 * terms * TILE;
    const float *rows[POSITIONS];
    xn_cpu_gather(e, a, t->span, cache->keys, size, t->head, from, n, w->rows, size);
    for (uint32_t i = 0; i < n; i++)
        rows[i] = w->rows + (size_t)i * size;
    for (uint32_t i = 0; i < panels * XN_CPU_PANEL; i += XN_CPU_PAD) {
        uint32_t there = i < n ? n - i : 0;
        kernels->pack16(rows + i, there < XN_CPU_PAD ? there : XN_CPU_PAD, size, i / XN_CPU_PAD % 2, terms,
                        w->k + i / XN_CPU_PANEL * k_stride);
    }
    size_t span = (size_t)s->m * XN_CPU_PANEL;
    kernels->gemm16(s->m, s->key_blocks, terms, terms, w->q, w->k, k_stride, panels * XN_CPU_PANEL, w->s, span, false);
    soften(e, a, t, s, w, from, n);
    if (!a->values_in_keys) {
        xn_cpu_gather(e, a, t->span, cache->values, a->value_size, t->head, from, n, w->rows, a->value_size);
        for (uint32_t i = 0; i < n; i++)
            rows[i] = w->rows + (size_t)i * a->value_size;
    }
    for (uint32_t p = 0; p < panels; p++) {
        uint32_t first = p * XN_CPU_PANEL, there = n - first < XN_CPU_PANEL ? n - first : XN_CPU_PANEL;
        kernels->pack16_down(rows + first, there, a->value_size, terms, w->v + (size_t)p * 2 * terms * TILE, v_stride);
    }
    kernels->gemm16(s->m, panels, terms, terms, w->p, w->v, v_stride, s->value_panels * XN_CPU_PANEL, w->o, span,
                    from != t->begin);
}

void xn_cpu_attend_tiles(const struct xn_executor *e, const struct xn_op_attend *a, const struct xn_cpu_queries *t,
                         float *work) {
    uint32_t group = xn_cpu_group_of(a), queries = t->rows * group;
    struct sizes s = sizes_of(a, queries, e->rough ? 1 : 2);
    struct work w = lay_out(a, &s, work, NULL);
    load_queries(e, a, t, &s, &w);
    // Rows of tiles beyond the last query have weights of zero.
    memset(w.p, 0, (size_t)s.m * POSITIONS * s.terms * sizeof *w.p);
    for (uint32_t from = t->begin; from < t->end; from += POSITIONS)
        chunk(e, a, t, &s, &w, from, t->end - from < POSITIONS ? t->end - from : POSITIONS);
    for (uint32_t q = 0; q < queries; q++) {
        for (uint32_t p = 0; p < s.value_panels; p++)
            memcpy(w.line + p * XN_CPU_PANEL, w.o + ((size_t)p * s.m + q) * XN_CPU_PANEL, XN_CPU_PANEL * sizeof(float));
        xn_cpu_finish_query(e, a, t->row + q / group, t->head * group + q % group, w.line, w.max[q], w.sum[q]);
    }
}
