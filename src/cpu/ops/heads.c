// heads: a matrix for each head, which reads and writes its own part of the rows.
#include "cpu/ops/product.h"

#include <string.h>

enum { PIECES = 4 }; // of work for each thread, so that none waits long for the last one

// Panels of a thread, where rows are many.
size_t xn_cpu_heads_work(const struct xn_cpu_kernels *kernels, const struct xn_plan *plan, const struct xn_op_heads *h,
                         uint32_t rows) {
    enum xn_cpu_tile tile = xn_cpu_tile_of(kernels, plan, h->weights, true);
    if (rows < 2) return 0;
    return xn_cpu_panels(rows) * xn_cpu_panel_bytes(tile, h->weights->matrix.cols) / sizeof(float);
}

// The head's part of all rows, in the shapes that the kernels want: exact, since queries and results in the latent
// space would be rounded once more. Panels are the thread's own.
static struct xn_cpu_operand operand_of(struct xn_executor *e, uint32_t thread, const struct xn_op_heads *h,
                                        uint32_t head) {
    const struct xn_host_memory *m = &e->memory;
    uint32_t n = e->batch->n_rows, k = h->weights->matrix.cols;
    struct xn_cpu_operand x = {.n = n,
                               .k = k,
                               .values = m->buffer[h->in] + (size_t)head * (k + h->tail),
                               .ld = m->plan->width[h->in],
                               .exact = true};
    if (n > e->kernels->type[h->weights->kernel_type].stream) {
        enum xn_cpu_tile tile = xn_cpu_tile_of(e->kernels, m->plan, h->weights, true);
        float *panel = e->thread[thread].work;
        for (uint32_t g = 0; g < (n + XN_CPU_PAD - 1) / XN_CPU_PAD; g++)
            xn_cpu_panel_fill(e, tile, x.values, x.ld, NULL, n, k, g, panel);
        x.panel[tile] = panel;
        x.tiled = true;
    }
    return x;
}

void xn_cpu_op_heads(struct xn_executor *e, uint32_t thread, const struct xn_op *op) {
    const struct xn_op_heads *h = &op->heads;
    const struct xn_host_memory *m = &e->memory;
    struct xn_cpu_thread *t = &e->thread[thread];
    uint32_t rows = h->weights->matrix.rows, cols = h->weights->matrix.cols, heads = h->weights->matrix.count;
    uint32_t parts = (PIECES * e->threads + heads - 1) / heads;
    uint32_t step = xn_cpu_round_up((rows + parts - 1) / parts, 48); // whole strips and tiles of every kernel
    parts = (rows + step - 1) / step;
    for (uint32_t u; (u = xn_pool_next(e->pool, thread)) < heads * parts;) {
        uint32_t head = u / parts, part = u % parts, end = (part + 1) * step < rows ? (part + 1) * step : rows;
        struct xn_cpu_operand x = operand_of(e, thread, h, head);
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
