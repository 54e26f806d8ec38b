// What an operation must read and compute at the least.
#include "check/case.h"

#include "device/cache.h"
#include "quant/format.h"

// Weights that the batch needs, of them all but those of experts that no row chose, and their products.
static struct xn_check_cost products(const struct xn_check_case *c, uint32_t rows) {
    struct xn_check_cost cost = {0};
    uint32_t n = c->n_matrices / c->plan.n_ops;
    for (uint32_t i = 0; i < n; i++) {
        const struct xn_matrix *m = &c->matrices[i].matrix;
        size_t bytes = 0;
        xn_format_bytes(xn_format_of(m->type), (uint64_t)m->rows * m->cols, &bytes);
        bool experts = c->plan.route_width && c->wish.kind != XN_OP_ROUTE;
        double products = experts ? (double)rows * c->plan.route_width : (double)rows * m->count;
        double read = m->count;
        if (experts && products < read) read = products;
        cost.bytes += (double)bytes * read;
        cost.flops += 2.0 * m->rows * m->cols * products;
    }
    return cost;
}

static struct xn_check_cost attention(const struct xn_check_case *c) {
    const struct xn_op_attend *a = &c->plan.ops[0].attend;
    double vectors = (double)xn_cache_bytes(c->limits.cache_type, a->head_size), seen = 0, cached = 0;
    if (!a->values_in_keys) vectors += (double)xn_cache_bytes(c->limits.cache_type, a->value_size);
    for (uint32_t s = 0; s < c->batch.n_spans; s++) {
        const struct xn_span *span = &c->batch.spans[s];
        for (uint32_t r = 0; r < span->n_rows; r++) {
            uint32_t before = span->past + r + 1;
            seen += a->window && a->window < before ? a->window : before;
        }
        cached += span->past + span->n_rows;
    }
    return (struct xn_check_cost){cached * a->kv_heads * vectors, 2 * seen * a->heads * (a->head_size + a->value_size)};
}

struct xn_check_cost xn_check_case_cost(const struct xn_check_case *c) {
    double rows = c->batch.n_rows, state = c->states.recurrent_size;
    switch (c->wish.kind) {
    case XN_OP_PROJECT:
    case XN_OP_PROJECT_ADD:
    case XN_OP_GATE:
    case XN_OP_HEADS:
    case XN_OP_ROUTE:
    case XN_OP_EXPERT_GATE:
    case XN_OP_EXPERT_ADD:
        return products(c, c->batch.n_rows);
    case XN_OP_HEAD:
        return products(c, c->batch.n_outputs);
    case XN_OP_ATTEND:
        return attention(c);
    case XN_OP_DELTA_NET: // a state stays in the caches; decay, two products with vectors, an outer product
        return (struct xn_check_cost){.flops = 6 * state * rows};
    case XN_OP_STATE_SPACE: // decay, an outer product, one product with a vector
        return (struct xn_check_cost){.flops = 5 * state * rows};
    default:
        return (struct xn_check_cost){0};
    }
}
