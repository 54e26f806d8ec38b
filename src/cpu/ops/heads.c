// heads: a matrix for each head, which reads and writes its own part of the rows.
#include "cpu/ops/product.h"

#include <string.h>

enum { PIECES = 4 }; // of work for each thread, so that none waits long for the last one

// Panels of a thread, where rows are many.
size_t xn_cpu_heads_work(const struct xn_op_heads *h, uint32_t rows) {
    return xn_cpu_streams(rows) ? 0 : (size_t)xn_cpu_round_up(rows, XN_CPU_PANEL) * h->weights->matrix.cols;
}

// The head's part of all rows, in the shapes that the kernels want; integers and panels are the thread's own. `list`
// has room for XN_CPU_STREAM_ROWS.
static struct xn_cpu_operand operand_of(struct xn_executor *e, uint32_t thread, const struct xn_op_heads *h,
                                        uint32_t head, uint32_t *list) {
    const struct xn_host_memory *m = &e->memory;
    uint32_t n = e->batch->n_rows, k = h->weights->matrix.cols;
    struct xn_cpu_operand x = {
        .n = n, .k = k, .values = m->buffer[h->in] + (size_t)head * (k + h->tail), .ld = m->plan->width[h->in]};
    if (!xn_cpu_streams(n)) {
        float *panel = e->thread[thread].work;
        for (uint32_t g = 0; g < (n + XN_CPU_PAD - 1) / XN_CPU_PAD; g++)
            xn_cpu_panel_fill(e, x.values, x.ld, NULL, n, k, g, panel);
        x.panel = panel;
    } else if (xn_cpu_takes_integers(e, h->weights)) {
        for (uint32_t i = 0; i < n; i++) {
            list[i] = thread * XN_CPU_STREAM_ROWS + i;
            struct xn_cpu_row row = xn_cpu_integer_row(e, k, list[i]);
            e->kernels->quantize(x.values + i * x.ld, k, &row);
        }
        x.integers = true;
        x.list = list;
    }
    return x;
}

void xn_cpu_op_heads(struct xn_executor *e, uint32_t thread, const struct xn_op *op) {
    const struct xn_op_heads *h = &op->heads;
    const struct xn_host_memory *m = &e->memory;
    struct xn_cpu_thread *t = &e->thread[thread];
    uint32_t rows = h->weights->matrix.rows, cols = h->weights->matrix.cols, heads = h->weights->matrix.count;
    uint32_t parts = (PIECES * e->threads + heads - 1) / heads, list[XN_CPU_STREAM_ROWS];
    uint32_t step = xn_cpu_round_up((rows + parts - 1) / parts, 12); // a multiple of every gemm's rows
    parts = (rows + step - 1) / step;
    for (uint32_t u; (u = xn_pool_next(e->pool)) < heads * parts;) {
        uint32_t head = u / parts, part = u % parts, end = (part + 1) * step < rows ? (part + 1) * step : rows;
        struct xn_cpu_operand x = operand_of(e, thread, h, head, list);
        for (uint32_t first = part * step; first < end; first += XN_CPU_BLOCK) {
            uint32_t count = end - first < XN_CPU_BLOCK ? end - first : XN_CPU_BLOCK;
            xn_cpu_product(e, t, &x, h->weights, head, first, count, t->out[0]);
            for (uint32_t r = 0; r < x.n; r++)
                memcpy(xn_host_row(m, h->out, r) + (size_t)head * (rows + h->tail) + first,
                       t->out[0] + (size_t)r * XN_CPU_BLOCK, count * sizeof(float));
        }
        for (uint32_t r = 0; part == 0 && r < x.n; r++)
            memcpy(xn_host_row(m, h->out, r) + (size_t)head * (rows + h->tail) + rows,
                   xn_host_row(m, h->in, r) + (size_t)head * (cols + h->tail) + cols, h->tail * sizeof(float));
    }
}
