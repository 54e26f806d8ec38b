#include "cpu/ops/product.h"

#include <math.h>
#include <string.h>

static uint32_t min_u32(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

void xn_cpu_glu(const struct xn_executor *e, const struct xn_glu *glu, float *gate, float *up, float *out, uint32_t n) {
    if (gate && glu->gate_scale != 0 && glu->gate_scale != 1)
        for (uint32_t i = 0; i < n; i++)
            gate[i] *= glu->gate_scale;
    if (gate && glu->limit != 0)
        for (uint32_t i = 0; i < n; i++) {
            gate[i] = fminf(gate[i], glu->limit);
            up[i] = fmaxf(-glu->limit, fminf(up[i], glu->limit));
        }
    if (gate && glu->up_offset != 0)
        for (uint32_t i = 0; i < n; i++)
            up[i] += glu->up_offset;
    e->kernels->activate(glu->activation, gate ? gate : up, gate ? up : NULL, out, n);
}

void xn_cpu_panel_fill(struct xn_executor *e, const float *values, size_t ld, const uint32_t *list, uint32_t n,
                       uint32_t k, uint32_t group, float *panel) {
    const float *rows[XN_CPU_PAD];
    uint32_t first = group * XN_CPU_PAD, count = min_u32(n - first, XN_CPU_PAD);
    for (uint32_t i = 0; i < count; i++)
        rows[i] = values + (list ? list[first + i] : first + i) * ld;
    float *to = panel + (size_t)(first / XN_CPU_PANEL) * XN_CPU_PANEL * k + first % XN_CPU_PANEL;
    e->kernels->transpose(rows, count, k, to, XN_CPU_PANEL);
}

void xn_cpu_operand_prepare(struct xn_executor *e, const struct xn_cpu_source *s, const struct xn_norm *norm,
                            bool integers, struct xn_cpu_operand *out) {
    // Rows of a list are copied, so that row i is row i in every shape.
    bool streams = xn_cpu_streams(s->n), copies = norm->kind != XN_NORM_NONE || s->list;
    integers = integers && streams;
    *out = (struct xn_cpu_operand){.n = s->n,
                                   .k = s->k,
                                   .values = copies ? e->values : s->rows,
                                   .ld = copies ? s->k : s->ld,
                                   .integers = integers,
                                   .panel = streams ? NULL : e->panel};
    if (!copies && !integers && streams) return;
    uint32_t per_group = streams ? 1 : XN_CPU_PAD, groups = (s->n + per_group - 1) / per_group;
    for (uint32_t g; (g = xn_pool_next(e->pool)) < groups;) {
        for (uint32_t i = g * per_group; i < min_u32(s->n, (g + 1) * per_group); i++) {
            const float *from = s->rows + (s->list ? s->list[i] : i) * s->ld;
            float *to = e->values + (size_t)i * s->k;
            if (copies) e->kernels->norm(norm, from, to, s->k);
            if (integers) {
                struct xn_cpu_row row = xn_cpu_integer_row(e, s->k, i);
                e->kernels->quantize(copies ? to : from, s->k, &row);
            }
        }
        if (!streams) xn_cpu_panel_fill(e, out->values, out->ld, NULL, s->n, s->k, g, e->panel);
    }
    xn_pool_barrier(e->pool);
}

uint32_t xn_cpu_block_rows(const struct xn_executor *e, const struct xn_cpu_operand *x, const struct xn_weights *w) {
    enum { STREAM_BYTES = 48 * 1024, ONE_PASS = 8, STEP = 12 };
    uint32_t rows = XN_CPU_BLOCK;
    if (!x->panel && x->n > ONE_PASS) { // a block that stays in the caches while further rows of x come by
        size_t fit = STREAM_BYTES / (w->row_bytes ? w->row_bytes : 1);
        if (fit < rows) rows = fit < 4 ? 4 : (uint32_t)fit;
    }
    // Enough blocks that no thread waits long for the last one.
    uint32_t share = w->matrix.rows / (6 * e->threads);
    if (share < rows) rows = share;
    if (x->panel) rows = rows / STEP * STEP;
    uint32_t least = x->panel ? STEP : 4;
    return rows < least ? least : rows;
}

static void stream(const struct xn_executor *e, struct xn_cpu_thread *t, const struct xn_cpu_operand *x,
                   const struct xn_weights *w, uint32_t index, uint32_t first, uint32_t count, float *out) {
    const struct xn_cpu_kernels *k = e->kernels;
    uint32_t type = w->matrix.type;
    const void *weights = xn_weights_row(w, index, first);
    if (x->integers && k->dot[type]) {
        struct xn_cpu_row rows[XN_CPU_STREAM_ROWS];
        for (uint32_t i = 0; i < x->n; i++)
            rows[i] = xn_cpu_integer_row(e, x->k, x->list ? x->list[i] : i);
        k->dot[type](weights, w->row_bytes, count, rows, x->n, x->k, out, XN_CPU_BLOCK);
        return;
    }
    const float *rows[XN_CPU_STREAM_ROWS];
    for (uint32_t i = 0; i < x->n; i++)
        rows[i] = x->values + (x->list ? x->list[i] : i) * x->ld;
    if (k->stream[type]) {
        k->stream[type](weights, w->row_bytes, count, rows, x->n, x->k, out, XN_CPU_BLOCK);
        return;
    }
    for (uint32_t r = 0; r < count; r++) {
        k->decode[type](xn_weights_row(w, index, first + r), t->decoded, x->k);
        k->stream[XN_F32](t->decoded, 0, 1, rows, x->n, x->k, out + r, XN_CPU_BLOCK);
    }
}

static void tiled(const struct xn_executor *e, struct xn_cpu_thread *t, const struct xn_cpu_operand *x,
                  const struct xn_weights *w, uint32_t index, uint32_t first, uint32_t count, float *out) {
    const struct xn_cpu_kernels *kernels = e->kernels;
    uint32_t width = xn_cpu_round_up(x->n, XN_CPU_PAD);
    size_t block_bytes = w->format->block_bytes, block_values = w->format->block_values;
    for (uint32_t at = 0; at < x->k; at += XN_CPU_DEPTH) {
        uint32_t depth = min_u32(XN_CPU_DEPTH, x->k - at);
        for (uint32_t r = 0; r < count; r++) {
            const char *row = xn_weights_row(w, index, first + r);
            kernels->decode[w->matrix.type](row + at / block_values * block_bytes, t->decoded + r * XN_CPU_DEPTH,
                                            depth);
        }
        for (uint32_t p = 0; p < width; p += XN_CPU_PANEL)
            kernels->gemm(count, min_u32(XN_CPU_PANEL, width - p), depth, t->decoded, XN_CPU_DEPTH,
                          x->panel + (size_t)p * x->k + (size_t)at * XN_CPU_PANEL, XN_CPU_PANEL, t->tile + p, width,
                          at != 0);
    }
    // Columns of the tile are rows of the result.
    const float *rows[XN_CPU_PAD];
    for (uint32_t r = 0; r < count; r += XN_CPU_PAD) {
        uint32_t n = min_u32(XN_CPU_PAD, count - r);
        for (uint32_t i = 0; i < n; i++)
            rows[i] = t->tile + (size_t)(r + i) * width;
        kernels->transpose(rows, n, x->n, out + r, XN_CPU_BLOCK);
    }
}

void xn_cpu_product(const struct xn_executor *e, struct xn_cpu_thread *t, const struct xn_cpu_operand *x,
                    const struct xn_weights *w, uint32_t index, uint32_t first, uint32_t count, float *out) {
    if (x->panel)
        tiled(e, t, x, w, index, first, count, out);
    else
        stream(e, t, x, w, index, first, count, out);
}
