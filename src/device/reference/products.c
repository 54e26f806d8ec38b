// embed, project, project_add, gate and head in plain C.
#include "device/reference/math.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int xn_ref_embed(struct xn_host_memory *m, const struct xn_batch *batch, const struct xn_op *op, struct xn_error *err) {
    (void)err;
    const struct xn_op_embed *e = &op->embed;
    uint32_t hidden = m->plan->hidden;
    for (uint32_t r = 0; r < batch->n_rows; r++) {
        float *x = xn_host_row(m, XN_BUF_X, r);
        e->table->format->decode(xn_weights_row(e->table, 0, (uint32_t)batch->tokens[r]), x, hidden);
        for (uint32_t i = 0; i < hidden; i++)
            x[i] *= e->scale;
    }
    return XN_OK;
}

// Norm and rotation of the heads of one part's result.
static void finish_heads(const struct xn_part *part, float *y, int32_t position) {
    // Heads lie without gaps where the norm runs over them as one vector.
    if (part->norm_whole) xn_ref_norm(&part->norm, y, y, part->heads * part->head_size);
    for (uint32_t h = 0; h < part->heads; h++) {
        float *head = y + (size_t)h * part->head_stride;
        if (!part->norm_whole) xn_ref_norm(&part->norm, head, head, part->head_size);
        xn_ref_rope(&part->rope, head, part->head_size, position, part->is_query);
    }
}

static void store_heads(struct xn_host_memory *m, const struct xn_op_project *p, const struct xn_part *part,
                        const struct xn_span *span, int32_t position, const float *y) {
    void *cache = part->target == XN_TO_KEYS ? m->cache[p->cache].keys : m->cache[p->cache].values;
    for (uint32_t h = 0; h < part->heads; h++) {
        size_t at = xn_host_cache_index(m, part->heads, part->head_size, span->pages, h, (uint32_t)position);
        for (uint32_t i = 0; i < part->head_size; i++)
            xn_ref_cache_store(m->limits.cache_type, cache, at + i, y[(size_t)h * part->head_stride + i]);
    }
}

// Rows of X, normalised, as a new array of n_rows x hidden with `extra` values behind it.
static int normalized_rows(const struct xn_host_memory *m, const struct xn_norm *norm, uint32_t n_rows,
                           const uint32_t *rows, size_t extra, float **out, struct xn_error *err) {
    uint32_t hidden = m->plan->hidden;
    XN_TRY(xn_ref_scratch((size_t)n_rows * hidden + extra, out, err));
    for (uint32_t r = 0; r < n_rows; r++)
        xn_ref_norm(norm, xn_host_row(m, XN_BUF_X, rows ? rows[r] : r), *out + (size_t)r * hidden, hidden);
    return XN_OK;
}

static const struct xn_span *span_of(const struct xn_batch *batch, uint32_t row) {
    const struct xn_span *span = batch->spans;
    while (row >= span->first_row + span->n_rows)
        span++;
    return span;
}

int xn_ref_project(struct xn_host_memory *m, const struct xn_batch *batch, const struct xn_op *op,
                   struct xn_error *err) {
    const struct xn_op_project *p = &op->project;
    uint32_t hidden = m->plan->hidden, n = batch->n_rows;
    float *x;
    XN_TRY(normalized_rows(m, &p->norm, n, NULL, hidden, &x, err));
    for (uint32_t i = 0; i < p->n_parts; i++) {
        const struct xn_part *part = &p->part[i];
        uint32_t width = part->weights->matrix.rows;
        float *y;
        int status = xn_ref_scratch((size_t)n * width, &y, err);
        if (status != XN_OK) {
            free(x);
            return status;
        }
        xn_ref_products(part->weights, 0, x, hidden, n, part->bias, y, width, x + (size_t)n * hidden);
        for (uint32_t r = 0; r < n; r++) {
            float *row = y + (size_t)r * width;
            finish_heads(part, row, batch->positions[r]);
            if (part->target == XN_TO_BUFFER)
                memcpy(xn_host_row(m, part->buffer, r), row, width * sizeof *row);
            else
                store_heads(m, p, part, span_of(batch, r), batch->positions[r], row);
        }
        free(y);
    }
    free(x);
    return XN_OK;
}

int xn_ref_project_add(struct xn_host_memory *m, const struct xn_batch *batch, const struct xn_op *op,
                       struct xn_error *err) {
    const struct xn_op_project_add *p = &op->project_add;
    uint32_t hidden = m->plan->hidden, n = batch->n_rows;
    float *y;
    XN_TRY(xn_ref_scratch((size_t)n * hidden + p->weights->matrix.cols, &y, err));
    xn_ref_products(p->weights, 0, m->buffer[p->in], m->plan->width[p->in], n, p->bias, y, hidden,
                    y + (size_t)n * hidden);
    for (uint32_t r = 0; r < n; r++) {
        float *row = y + (size_t)r * hidden, *x = xn_host_row(m, XN_BUF_X, r);
        if (p->row_scale != XN_BUF_NONE)
            for (uint32_t i = 0; i < hidden; i++)
                row[i] *= *xn_host_row(m, p->row_scale, r);
        xn_ref_norm(&p->norm, row, row, hidden);
        for (uint32_t i = 0; i < hidden; i++)
            x[i] += p->scale * row[i];
    }
    free(y);
    return XN_OK;
}

int xn_ref_gate(struct xn_host_memory *m, const struct xn_batch *batch, const struct xn_op *op, struct xn_error *err) {
    const struct xn_op_gate *g = &op->gate;
    uint32_t hidden = m->plan->hidden, size = g->up->matrix.rows, n = batch->n_rows;
    size_t width = m->plan->width[XN_BUF_HIDDEN];
    float *x, *up = m->buffer[XN_BUF_HIDDEN];
    XN_TRY(normalized_rows(m, &g->norm, n, NULL, hidden + (size_t)n * size, &x, err));
    float *decoded = x + (size_t)n * hidden, *gate = decoded + hidden;
    xn_ref_products(g->up, 0, x, hidden, n, g->up_bias, up, width, decoded);
    if (g->gate) xn_ref_products(g->gate, 0, x, hidden, n, g->gate_bias, gate, size, decoded);
    for (uint32_t r = 0; r < n; r++)
        for (uint32_t i = 0; i < size; i++) {
            float *u = &up[r * width + i];
            *u = g->gate ? xn_activate(g->activation, gate[(size_t)r * size + i]) * *u : xn_activate(g->activation, *u);
        }
    free(x);
    return XN_OK;
}

int xn_ref_head(struct xn_host_memory *m, const struct xn_batch *batch, const struct xn_op *op, struct xn_error *err) {
    const struct xn_op_head *h = &op->head;
    uint32_t hidden = m->plan->hidden, vocab = m->plan->vocab, n = batch->n_outputs;
    float *x;
    XN_TRY(normalized_rows(m, &h->norm, n, batch->outputs, hidden, &x, err));
    xn_ref_products(h->weights, 0, x, hidden, n, NULL, m->logits, vocab, x + (size_t)n * hidden);
    for (size_t i = 0; i < (size_t)n * vocab; i++) {
        m->logits[i] *= h->scale;
        if (h->soft_cap != 0) m->logits[i] = h->soft_cap * tanhf(m->logits[i] / h->soft_cap);
    }
    free(x);
    return XN_OK;
}
