#include "device/effects.h"

#include "device/host.h"

static void reads(struct xn_effects *e, int rows, uint32_t values) {
    if (rows != XN_BUF_NONE && values > e->reads[rows]) e->reads[rows] = values;
}

static void writes(struct xn_effects *e, int rows, uint32_t values) {
    if (values > e->writes[rows]) e->writes[rows] = values;
}

static const struct xn_matrix *weights(struct xn_effects *e, const struct xn_weights **weights) {
    static const struct xn_matrix none;
    if (!*weights) return &none;
    e->weights[e->n_weights++] = weights;
    return &(*weights)->matrix;
}

static void sum(struct xn_effects *e, const struct xn_sum *s, uint32_t values) {
    if (!s->set) reads(e, s->to, values);
    writes(e, s->to, values);
}

static void embed(struct xn_effects *e, struct xn_op_embed *o) {
    uint32_t values = weights(e, &o->table)->cols;
    if (o->keep != 0) reads(e, o->to, values);
    writes(e, o->to, values);
}

static void project(struct xn_effects *e, struct xn_op_project *o) {
    for (uint32_t i = 0; i < o->n_parts; i++) {
        struct xn_part *part = &o->part[i];
        const struct xn_matrix *m = weights(e, &part->weights);
        reads(e, o->in, m->cols);
        if (part->target == XN_TO_BUFFER)
            writes(e, part->buffer, m->rows);
        else
            e->cache = (int)o->cache;
    }
}

static void attend(struct xn_effects *e, const struct xn_op_attend *o) {
    reads(e, o->in, o->heads * o->head_stride);
    writes(e, o->out, o->heads * o->value_size);
    e->cache = (int)o->cache;
}

static void delta_net(struct xn_effects *e, const struct xn_op_delta_net *o) {
    uint32_t values = o->value_heads * o->value_size;
    reads(e, XN_BUF_Q, 2 * o->key_heads * o->key_size + values);
    reads(e, XN_BUF_Z, values);
    reads(e, XN_BUF_BETA, o->value_heads);
    reads(e, XN_BUF_ALPHA, o->value_heads);
    writes(e, o->out, values);
    e->state = (int)o->state;
}

static void state_space(struct xn_effects *e, const struct xn_op_state_space *o) {
    uint32_t inner = o->heads * o->head_size;
    reads(e, XN_BUF_Q, inner + 2 * o->groups * o->state_size);
    reads(e, XN_BUF_Z, inner);
    reads(e, XN_BUF_ALPHA, o->heads);
    writes(e, o->out, inner);
    e->state = (int)o->state;
}

static void short_conv(struct xn_effects *e, const struct xn_op_short_conv *o) {
    reads(e, XN_BUF_Q, 3 * o->channels);
    writes(e, o->out, o->channels);
    e->state = (int)o->state;
}

static void heads(struct xn_effects *e, struct xn_op_heads *o) {
    const struct xn_matrix *m = weights(e, &o->weights);
    reads(e, o->in, m->count * (m->cols + o->tail));
    writes(e, o->out, m->count * (m->rows + o->tail));
}

static void project_add(struct xn_effects *e, struct xn_op_project_add *o) {
    const struct xn_matrix *m = weights(e, &o->weights);
    reads(e, o->in, m->cols);
    reads(e, o->row_scale, 1);
    sum(e, &o->sum, m->rows);
}

static void gate(struct xn_effects *e, struct xn_op_gate *o) {
    weights(e, &o->gate);
    const struct xn_matrix *up = weights(e, &o->up);
    reads(e, XN_BUF_X, up->cols);
    reads(e, o->times, o->times_at + up->rows);
    writes(e, XN_BUF_HIDDEN, up->rows);
}

static void route(struct xn_effects *e, struct xn_op_route *o) {
    reads(e, XN_BUF_X, weights(e, &o->router)->cols);
    writes(e, XN_ROWS_IDS, o->used);
    writes(e, XN_ROWS_WEIGHTS, o->used);
    if (!o->shared_router) return;
    weights(e, &o->shared_router);
    writes(e, XN_BUF_GATE, 1);
}

static void expert_gate(struct xn_effects *e, struct xn_op_expert_gate *o) {
    weights(e, &o->gate);
    reads(e, o->in, weights(e, &o->up)->cols);
    reads(e, XN_ROWS_IDS, o->used);
    writes(e, XN_BUF_EXPERTS, o->used * o->size);
}

static void expert_add(struct xn_effects *e, struct xn_op_expert_add *o) {
    reads(e, XN_BUF_EXPERTS, o->used * o->size);
    reads(e, XN_ROWS_IDS, o->used);
    reads(e, XN_ROWS_WEIGHTS, o->used);
    sum(e, &o->sum, weights(e, &o->down)->rows);
}

void xn_op_effects(const struct xn_plan *plan, struct xn_op *op, struct xn_effects *e) {
    *e = (struct xn_effects){.cache = -1, .state = -1};
    switch (op->kind) {
    case XN_OP_EMBED:
        embed(e, &op->embed);
        break;
    case XN_OP_PROJECT:
        project(e, &op->project);
        break;
    case XN_OP_ATTEND:
        attend(e, &op->attend);
        break;
    case XN_OP_DELTA_NET:
        delta_net(e, &op->delta_net);
        break;
    case XN_OP_STATE_SPACE:
        state_space(e, &op->state_space);
        break;
    case XN_OP_SHORT_CONV:
        short_conv(e, &op->short_conv);
        break;
    case XN_OP_HEADS:
        heads(e, &op->heads);
        break;
    case XN_OP_PROJECT_ADD:
        project_add(e, &op->project_add);
        break;
    case XN_OP_ADD:
        reads(e, op->add.in, plan->hidden);
        sum(e, &op->add.sum, plan->hidden);
        break;
    case XN_OP_GATE:
        gate(e, &op->gate);
        break;
    case XN_OP_ROUTE:
        route(e, &op->route);
        break;
    case XN_OP_EXPERT_GATE:
        expert_gate(e, &op->expert_gate);
        break;
    case XN_OP_EXPERT_ADD:
        expert_add(e, &op->expert_add);
        break;
    case XN_OP_HEAD:
        reads(e, XN_BUF_X, weights(e, &op->head.weights)->cols);
        e->logits = true;
        break;
    case XN_OP_KINDS:
        break;
    }
}
