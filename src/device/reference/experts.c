// route, expert_gate and expert_add in plain C.
#include "device/reference/math.h"

#include <math.h>
#include <stdlib.h>

static void scores_of(const struct xn_op_route *o, float *t) {
    if (o->score == XN_ROUTER_SIGMOID) {
        for (uint32_t e = 0; e < o->experts; e++)
            t[e] = xn_sigmoid(t[e]);
        return;
    }
    float max = t[0];
    for (uint32_t e = 1; e < o->experts; e++)
        if (t[e] > max) max = t[e];
    double sum = 0;
    for (uint32_t e = 0; e < o->experts; e++)
        sum += t[e] = expf(t[e] - max);
    for (uint32_t e = 0; e < o->experts; e++)
        t[e] = (float)(t[e] / sum);
}

// Takes the groups that are not among the best out of the choice.
static void limit_groups(const struct xn_op_route *o, float *choice) {
    uint32_t size = o->experts / o->groups;
    for (uint32_t left = o->groups; left > o->groups_used; left--) {
        uint32_t worst = 0;
        float worst_rank = INFINITY;
        for (uint32_t g = 0; g < o->groups; g++) {
            float first = -INFINITY, second = -INFINITY;
            for (uint32_t e = g * size; e < (g + 1) * size; e++) {
                if (choice[e] > first) {
                    second = first;
                    first = choice[e];
                } else if (choice[e] > second) {
                    second = choice[e];
                }
            }
            float rank = size > 1 && o->group_best > 1 ? first + second : first;
            if (first == -INFINITY) continue; // already out
            if (rank <= worst_rank) {         // of equal groups the later one goes
                worst_rank = rank;
                worst = g;
            }
        }
        for (uint32_t e = worst * size; e < (worst + 1) * size; e++)
            choice[e] = -INFINITY;
    }
}

int xn_ref_route(struct xn_host_memory *m, const struct xn_batch *batch, const struct xn_op *op, struct xn_error *err) {
    const struct xn_op_route *o = &op->route;
    uint32_t hidden = m->plan->hidden;
    float *n;
    XN_TRY(xn_ref_scratch(2 * (size_t)hidden + 2 * (size_t)o->experts, &n, err));
    float *decoded = n + hidden, *score = decoded + hidden, *choice = score + o->experts;
    for (uint32_t r = 0; r < batch->n_rows; r++) {
        xn_ref_norm(&o->norm, xn_host_row(m, XN_BUF_X, r), n, hidden);
        xn_ref_product(o->router, 0, n, o->bias, score, decoded);
        scores_of(o, score);
        for (uint32_t e = 0; e < o->experts; e++)
            choice[e] = score[e] + (o->selection_bias ? o->selection_bias[e] : 0);
        if (o->groups > 1) limit_groups(o, choice);
        int32_t *ids = m->expert_ids + (size_t)r * m->plan->route_width;
        float *weights = m->expert_weights + (size_t)r * m->plan->route_width, sum = 0;
        for (uint32_t j = 0; j < o->used; j++) {
            uint32_t best = 0;
            for (uint32_t e = 1; e < o->experts; e++)
                if (choice[e] > choice[best]) best = e;
            ids[j] = (int32_t)best;
            weights[j] = score[best];
            sum += score[best];
            choice[best] = -INFINITY;
        }
        sum += o->sum_epsilon;
        for (uint32_t j = 0; j < o->used; j++)
            weights[j] = weights[j] / (o->normalize ? sum : 1.0f) * o->scale *
                         (o->expert_scale ? o->expert_scale[ids[j]] : 1.0f);
        if (o->shared_router) {
            float *gate = xn_host_row(m, XN_BUF_GATE, r);
            xn_ref_product(o->shared_router, 0, n, NULL, gate, decoded);
            *gate = xn_sigmoid(*gate);
        }
    }
    free(n);
    return XN_OK;
}

int xn_ref_expert_gate(struct xn_host_memory *m, const struct xn_batch *batch, const struct xn_op *op,
                       struct xn_error *err) {
    const struct xn_op_expert_gate *g = &op->expert_gate;
    uint32_t k = g->up->matrix.cols;
    float *n;
    XN_TRY(xn_ref_scratch(2 * (size_t)k + g->size, &n, err));
    float *decoded = n + k, *gate = decoded + k;
    for (uint32_t r = 0; r < batch->n_rows; r++) {
        const int32_t *ids = m->expert_ids + (size_t)r * m->plan->route_width;
        xn_ref_norm(&g->norm, xn_host_row(m, g->in, r), n, k);
        for (uint32_t j = 0; j < g->used; j++) {
            float *up = xn_host_row(m, XN_BUF_EXPERTS, r) + (size_t)j * g->size;
            size_t bias = (size_t)ids[j] * g->size;
            xn_ref_product(g->up, (uint32_t)ids[j], n, g->up_bias ? g->up_bias + bias : NULL, up, decoded);
            if (g->gate)
                xn_ref_product(g->gate, (uint32_t)ids[j], n, g->gate_bias ? g->gate_bias + bias : NULL, gate, decoded);
            xn_ref_glu(&g->glu, g->gate ? gate : NULL, up, g->size);
        }
    }
    free(n);
    return XN_OK;
}

int xn_ref_expert_add(struct xn_host_memory *m, const struct xn_batch *batch, const struct xn_op *op,
                      struct xn_error *err) {
    const struct xn_op_expert_add *a = &op->expert_add;
    uint32_t width = a->down->matrix.rows;
    float *y;
    XN_TRY(xn_ref_scratch(2 * (size_t)width + a->size, &y, err));
    float *sum = y + width, *decoded = sum + width;
    for (uint32_t r = 0; r < batch->n_rows; r++) {
        const int32_t *ids = m->expert_ids + (size_t)r * m->plan->route_width;
        const float *weights = m->expert_weights + (size_t)r * m->plan->route_width;
        for (uint32_t i = 0; i < width; i++)
            sum[i] = 0;
        for (uint32_t j = 0; j < a->used; j++) {
            const float *h = xn_host_row(m, XN_BUF_EXPERTS, r) + (size_t)j * a->size;
            xn_ref_product(a->down, (uint32_t)ids[j], h, a->bias ? a->bias + (size_t)ids[j] * width : NULL, y, decoded);
            for (uint32_t i = 0; i < width; i++)
                sum[i] += weights[j] * y[i];
        }
        xn_ref_sum(&a->sum, sum, xn_host_row(m, a->sum.to, r), width);
    }
    free(y);
    return XN_OK;
}
