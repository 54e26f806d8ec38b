// embed, project, project_add, gate and head in plain C.
#include "device/reference/math.h"

#include <math.h>
#include <stdlib.h>

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

int xn_ref_project(struct xn_host_memory *m, const struct xn_batch *batch, const struct xn_op *op,
                   struct xn_error *err) {
    const struct xn_op_project *p = &op->project;
    uint32_t hidden = m->plan->hidden;
    size_t widest = 0;
    for (uint32_t i = 0; i < p->n_parts; i++)
        if (p->part[i].weights->matrix.rows > widest) widest = p->part[i].weights->matrix.rows;
    float *n;
    XN_TRY(xn_ref_scratch(2 * (size_t)hidden + widest, &n, err));
    float *decoded = n + hidden, *y = decoded + hidden;
    for (uint32_t s = 0; s < batch->n_spans; s++) {
        const struct xn_span *span = &batch->spans[s];
        for (uint32_t r = span->first_row; r < span->first_row + span->n_rows; r++) {
            xn_ref_norm(&p->norm, xn_host_row(m, XN_BUF_X, r), n, hidden);
            for (uint32_t i = 0; i < p->n_parts; i++) {
                const struct xn_part *part = &p->part[i];
                float *out = part->target == XN_TO_BUFFER ? xn_host_row(m, part->buffer, r) : y;
                xn_ref_product(part->weights, 0, n, part->bias, out, decoded);
                finish_heads(part, out, batch->positions[r]);
                if (part->target != XN_TO_BUFFER) store_heads(m, p, part, span, batch->positions[r], out);
            }
        }
    }
    free(n);
    return XN_OK;
}

int xn_ref_project_add(struct xn_host_memory *m, const struct xn_batch *batch, const struct xn_op *op,
                       struct xn_error *err) {
    const struct xn_op_project_add *p = &op->project_add;
    uint32_t hidden = m->plan->hidden;
    float *y;
    XN_TRY(xn_ref_scratch((size_t)hidden + p->weights->matrix.cols, &y, err));
    for (uint32_t r = 0; r < batch->n_rows; r++) {
        xn_ref_product(p->weights, 0, xn_host_row(m, p->in, r), p->bias, y, y + hidden);
        if (p->row_scale != XN_BUF_NONE)
            for (uint32_t i = 0; i < hidden; i++)
                y[i] *= *xn_host_row(m, p->row_scale, r);
        xn_ref_norm(&p->norm, y, y, hidden);
        float *x = xn_host_row(m, XN_BUF_X, r);
        for (uint32_t i = 0; i < hidden; i++)
            x[i] += p->scale * y[i];
    }
    free(y);
    return XN_OK;
}

int xn_ref_gate(struct xn_host_memory *m, const struct xn_batch *batch, const struct xn_op *op, struct xn_error *err) {
    const struct xn_op_gate *g = &op->gate;
    uint32_t hidden = m->plan->hidden, size = g->up->matrix.rows;
    float *n;
    XN_TRY(xn_ref_scratch(2 * (size_t)hidden + size, &n, err));
    float *decoded = n + hidden, *gate = decoded + hidden;
    for (uint32_t r = 0; r < batch->n_rows; r++) {
        xn_ref_norm(&g->norm, xn_host_row(m, XN_BUF_X, r), n, hidden);
        float *up = xn_host_row(m, XN_BUF_HIDDEN, r);
        xn_ref_product(g->up, 0, n, g->up_bias, up, decoded);
        if (g->gate) xn_ref_product(g->gate, 0, n, g->gate_bias, gate, decoded);
        for (uint32_t i = 0; i < size; i++)
            up[i] = g->gate ? xn_activate(g->activation, gate[i]) * up[i] : xn_activate(g->activation, up[i]);
    }
    free(n);
    return XN_OK;
}

int xn_ref_head(struct xn_host_memory *m, const struct xn_batch *batch, const struct xn_op *op, struct xn_error *err) {
    const struct xn_op_head *h = &op->head;
    uint32_t hidden = m->plan->hidden, vocab = m->plan->vocab;
    float *n;
    XN_TRY(xn_ref_scratch(2 * (size_t)hidden, &n, err));
    for (uint32_t o = 0; o < batch->n_outputs; o++) {
        float *logits = m->logits + (size_t)o * vocab;
        xn_ref_norm(&h->norm, xn_host_row(m, XN_BUF_X, batch->outputs[o]), n, hidden);
        xn_ref_product(h->weights, 0, n, NULL, logits, n + hidden);
        for (uint32_t i = 0; i < vocab; i++) {
            logits[i] *= h->scale;
            if (h->soft_cap != 0) logits[i] = h->soft_cap * tanhf(logits[i] / h->soft_cap);
        }
    }
    free(n);
    return XN_OK;
}
