// embed, project, project_add, add, heads, gate and head in plain C.
#include "device/cache.h"
#include "device/reference/math.h"
#include "model/rope.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int xn_ref_embed(struct xn_host_memory *m, const struct xn_batch *batch, const struct xn_op *op, struct xn_error *err) {
    const struct xn_op_embed *e = &op->embed;
    uint32_t width = e->table->matrix.cols;
    float *value;
    XN_TRY(xn_ref_scratch(width, &value, err));
    for (uint32_t r = 0; r < batch->n_rows; r++) {
        float *x = xn_host_row(m, e->to, r);
        e->table->format->decode(xn_weights_row(e->table, 0, (uint32_t)batch->tokens[r]), value, width);
        for (uint32_t i = 0; i < width; i++)
            x[i] = (e->keep != 0 ? e->keep * x[i] : 0) + e->scale * value[i];
    }
    free(value);
    return XN_OK;
}

// Norm and rotation of the heads of one part's result. `scratch` holds the rope's dims / 2 values.
static void finish_heads(const struct xn_part *part, const struct xn_span *span, float *y, int32_t position,
                         float *scratch) {
    const float *frequency = xn_rope_at(&part->rope, span->rope_length, scratch);
    for (uint32_t i = 0; i < part->heads * part->head_stride; i++)
        y[i] *= part->scale;
    // Heads lie without gaps where the norm runs over them as one vector.
    if (part->norm_whole) xn_ref_norm(&part->norm, y, y, part->heads * part->head_size);
    for (uint32_t h = 0; h < part->heads; h++) {
        float *head = y + (size_t)h * part->head_stride;
        if (!part->norm_whole) xn_ref_norm(&part->norm, head, head, part->head_size);
        xn_ref_rope(&part->rope, frequency, head, part->rope_at, part->head_size, position, part->is_query);
    }
}

static void store_heads(struct xn_host_memory *m, const struct xn_op_project *p, const struct xn_part *part,
                        const struct xn_span *span, int32_t position, const float *y) {
    const struct xn_cache_layer *layer = &m->plan->cache[p->cache];
    bool keys = part->target == XN_TO_KEYS;
    void *cache = keys ? m->cache[p->cache].keys : m->cache[p->cache].values;
    for (uint32_t h = 0; h < part->heads; h++) {
        size_t at = xn_host_cache_index(m, part->heads, keys ? layer->key_size : layer->value_size, span->pages, h,
                                        (uint32_t)position) +
                    part->cache_at;
        xn_cache_store(m->limits.cache_type, cache, at, y + (size_t)h * part->head_stride, part->head_size);
    }
}

// The first k values of rows of a buffer, normalised, as a new array of n_rows x k with `extra` values behind it.
static int normalized_rows(const struct xn_host_memory *m, enum xn_buffer buffer, uint32_t k,
                           const struct xn_norm *norm, uint32_t n_rows, const uint32_t *rows, size_t extra, float **out,
                           struct xn_error *err) {
    XN_TRY(xn_ref_scratch((size_t)n_rows * k + extra, out, err));
    for (uint32_t r = 0; r < n_rows; r++)
        xn_ref_norm(norm, xn_host_row(m, buffer, rows ? rows[r] : r), *out + (size_t)r * k, k);
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
    uint32_t k = p->part[0].weights->matrix.cols, n = batch->n_rows;
    float *x;
    XN_TRY(normalized_rows(m, p->in, k, &p->norm, n, NULL, k, &x, err));
    for (uint32_t i = 0; i < p->n_parts; i++) {
        const struct xn_part *part = &p->part[i];
        uint32_t width = part->weights->matrix.rows;
        float *y;
        int status = xn_ref_scratch((size_t)n * width + part->rope.dims / 2, &y, err);
        if (status != XN_OK) {
            free(x);
            return status;
        }
        xn_ref_products(part->weights, 0, x, k, n, part->bias, y, width, x + (size_t)n * k);
        for (uint32_t r = 0; r < n; r++) {
            float *row = y + (size_t)r * width;
            const struct xn_span *span = span_of(batch, r);
            finish_heads(part, span, row, batch->positions[r], y + (size_t)n * width);
            if (part->target == XN_TO_BUFFER)
                memcpy(xn_host_row(m, part->buffer, r), row, width * sizeof *row);
            else
                store_heads(m, p, part, span, batch->positions[r], row);
        }
        free(y);
    }
    free(x);
    return XN_OK;
}

int xn_ref_project_add(struct xn_host_memory *m, const struct xn_batch *batch, const struct xn_op *op,
                       struct xn_error *err) {
    const struct xn_op_project_add *p = &op->project_add;
    uint32_t width = p->weights->matrix.rows, n = batch->n_rows;
    float *y;
    XN_TRY(xn_ref_scratch((size_t)n * width + p->weights->matrix.cols, &y, err));
    xn_ref_products(p->weights, 0, m->buffer[p->in], m->plan->width[p->in], n, p->bias, y, width,
                    y + (size_t)n * width);
    for (uint32_t r = 0; r < n; r++) {
        float *row = y + (size_t)r * width;
        if (p->row_scale != XN_BUF_NONE)
            for (uint32_t i = 0; i < width; i++)
                row[i] *= *xn_host_row(m, p->row_scale, r);
        xn_ref_sum(&p->sum, row, xn_host_row(m, p->sum.to, r), width);
    }
    free(y);
    return XN_OK;
}

int xn_ref_add(struct xn_host_memory *m, const struct xn_batch *batch, const struct xn_op *op, struct xn_error *err) {
    const struct xn_op_add *a = &op->add;
    uint32_t hidden = m->plan->hidden;
    float *y;
    XN_TRY(xn_ref_scratch(hidden, &y, err));
    for (uint32_t r = 0; r < batch->n_rows; r++) {
        memcpy(y, xn_host_row(m, a->in, r), hidden * sizeof *y);
        xn_ref_sum(&a->sum, y, xn_host_row(m, a->sum.to, r), hidden);
    }
    free(y);
    return XN_OK;
}

int xn_ref_heads(struct xn_host_memory *m, const struct xn_batch *batch, const struct xn_op *op, struct xn_error *err) {
    const struct xn_op_heads *h = &op->heads;
    uint32_t rows = h->weights->matrix.rows, cols = h->weights->matrix.cols, heads = h->weights->matrix.count;
    float *decoded;
    XN_TRY(xn_ref_scratch(cols, &decoded, err));
    for (uint32_t i = 0; i < heads; i++) {
        const float *in = m->buffer[h->in] + (size_t)i * (cols + h->tail);
        float *out = m->buffer[h->out] + (size_t)i * (rows + h->tail);
        xn_ref_products(h->weights, i, in, m->plan->width[h->in], batch->n_rows, NULL, out, m->plan->width[h->out],
                        decoded);
        for (uint32_t r = 0; r < batch->n_rows; r++)
            memcpy(out + (size_t)r * m->plan->width[h->out] + rows, in + (size_t)r * m->plan->width[h->in] + cols,
                   h->tail * sizeof *out);
    }
    free(decoded);
    return XN_OK;
}

int xn_ref_gate(struct xn_host_memory *m, const struct xn_batch *batch, const struct xn_op *op, struct xn_error *err) {
    const struct xn_op_gate *g = &op->gate;
    uint32_t hidden = m->plan->hidden, size = g->up->matrix.rows, n = batch->n_rows;
    size_t width = m->plan->width[XN_BUF_HIDDEN];
    float *x, *up = m->buffer[XN_BUF_HIDDEN];
    XN_TRY(normalized_rows(m, XN_BUF_X, hidden, &g->norm, n, NULL, hidden + (size_t)n * size, &x, err));
    float *decoded = x + (size_t)n * hidden, *gate = decoded + hidden;
    xn_ref_products(g->up, 0, x, hidden, n, g->up_bias, up, width, decoded);
    if (g->gate) xn_ref_products(g->gate, 0, x, hidden, n, g->gate_bias, gate, size, decoded);
    for (uint32_t r = 0; r < n; r++) {
        xn_ref_glu(&g->glu, g->gate ? gate + (size_t)r * size : NULL, up + r * width, size);
        if (g->times == XN_BUF_NONE) continue;
        const float *times = xn_host_row(m, g->times, r) + g->times_at;
        for (uint32_t i = 0; i < size; i++)
            up[r * width + i] *= times[i];
    }
    free(x);
    return XN_OK;
}

int xn_ref_head(struct xn_host_memory *m, const struct xn_batch *batch, const struct xn_op *op, struct xn_error *err) {
    const struct xn_op_head *h = &op->head;
    uint32_t hidden = m->plan->hidden, vocab = m->plan->vocab, n = batch->n_outputs;
    float *x;
    XN_TRY(normalized_rows(m, XN_BUF_X, hidden, &h->norm, n, batch->outputs, hidden, &x, err));
    xn_ref_products(h->weights, 0, x, hidden, n, NULL, m->logits, vocab, x + (size_t)n * hidden);
    for (size_t i = 0; i < (size_t)n * vocab; i++) {
        m->logits[i] *= h->scale;
        if (h->soft_cap != 0) m->logits[i] = h->soft_cap * tanhf(m->logits[i] / h->soft_cap);
    }
    free(x);
    return XN_OK;
}
