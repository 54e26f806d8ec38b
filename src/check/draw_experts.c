// Drawing route, expert_gate and expert_add.
#include "check/draw.h"
#include "quant/format.h"

#include <stdio.h>

void draw_route(struct draw *d) {
    struct xn_check_case *c = d->c;
    struct xn_op_route *r = &d->op->route;
    // Routers stay numbers in every file: a rounding there chooses others.
    uint32_t type = c->wish.type != XN_TYPE_COUNT ? c->wish.type : DRAW_OF(d, XN_F32, XN_F32, XN_BF16, XN_F16);
    uint32_t hidden = draw_columns(d, type), groups = DRAW_OF(d, 0, 0, 1, 2, 4), whole = groups ? groups : 1;
    uint32_t experts = whole * (2 + draw_below(d, 30));
    if (c->wish.outputs >= 2 * whole) experts = c->wish.outputs / whole * whole;
    uint32_t groups_used = groups > 1 ? 1 + draw_below(d, groups) : groups;
    uint32_t available = groups > 1 ? experts / groups * groups_used : experts;
    uint32_t used = available < 8 ? available : 8;
    used -= draw_choice(d, used);
    c->plan.hidden = c->plan.width[XN_BUF_X] = hidden;
    c->plan.width[XN_BUF_GATE] = 1;
    c->plan.route_width = used + draw_choice(d, 2);
    c->plan.n_experts = experts;
    draw_batch(d, DRAW_OF(d, 1, 1, 9, 40), 10);
    *r = (struct xn_op_route){.norm = draw_norm(d, hidden),
                              .bias = draw_maybe(d, experts, 0, 0.5f),
                              .selection_bias = draw_maybe(d, experts, 0, 0.2f),
                              .score = (enum xn_router_score)draw_choice(d, 2),
                              .experts = experts,
                              .used = used,
                              .groups = groups,
                              .groups_used = groups_used,
                              .group_best = 1 + draw_choice(d, 2),
                              .expert_scale = draw_maybe(d, experts, 1, 0.2f),
                              .normalize = draw_coin(d),
                              .scale = 2.5f};
    draw_weights(d, &r->router, type, experts, hidden, 1);
    if (draw_coin(d)) draw_weights(d, &r->shared_router, type, 1, hidden, 1);
    c->rounds = false;
    DRAW_WHAT(d, "route %s hidden %u experts %u used %u groups %u/%u rows %u", xn_format_of(type)->name, hidden,
              experts, used, groups_used, groups, c->batch.n_rows);
}

static void draw_numbers(struct draw *d, uint32_t *experts, uint32_t *used) {
    bool plain = d->c->wish.plain;
    *experts = plain ? 8 : 2 + draw_below(d, 14);
    *used = plain ? 4 : 1 + draw_below(d, *experts < 6 ? *experts : 6);
    d->c->plan.route_width = *used;
    d->c->plan.n_experts = *experts;
}

void draw_expert_gate(struct draw *d) {
    struct xn_check_case *c = d->c;
    struct xn_op_expert_gate *g = &d->op->expert_gate;
    draw_batch(d, DRAW_OF(d, 1, 1, 9, 60), 10);
    uint32_t type = draw_type(d), hidden = draw_columns(d, type), experts, used;
    uint32_t size = draw_outputs(d, 1 + draw_below(d, 200), c->batch.n_rows);
    draw_numbers(d, &experts, &used);
    c->plan.hidden = c->plan.width[XN_BUF_X] = hidden;
    c->plan.width[XN_BUF_LATENT] = hidden + draw_choice(d, 5);
    c->plan.width[XN_BUF_EXPERTS] = used * size + draw_choice(d, 5);
    *g = (struct xn_op_expert_gate){.in = draw_coin(d) ? XN_BUF_LATENT : XN_BUF_X,
                                    .norm = draw_norm(d, hidden),
                                    .gate_bias = draw_maybe(d, (size_t)size * experts, 0, 1),
                                    .up_bias = draw_maybe(d, (size_t)size * experts, 0, 1),
                                    .glu = draw_glu(d),
                                    .used = used,
                                    .size = size};
    if (draw_choice(d, 3) != 1) draw_weights(d, &g->gate, type, size, hidden, experts);
    draw_weights(d, &g->up, type, size, hidden, experts);
    c->magnify = g->glu.activation == XN_ACT_RELU2 ? 3 : 2; // a product of two products, or of three
    DRAW_WHAT(d, "expert_gate %s hidden %u size %u experts %u/%u rows %u activation %d%s", xn_format_of(type)->name,
              hidden, size, used, experts, c->batch.n_rows, g->glu.activation, g->gate ? "" : " plain");
}

void draw_expert_add(struct draw *d) {
    struct xn_check_case *c = d->c;
    struct xn_op_expert_add *a = &d->op->expert_add;
    draw_batch(d, DRAW_OF(d, 1, 1, 9, 60), 10);
    uint32_t type = draw_type(d), hidden = draw_outputs(d, 1 + draw_below(d, 200), c->batch.n_rows);
    uint32_t size = draw_columns(d, type), experts, used;
    draw_numbers(d, &experts, &used);
    c->plan.hidden = c->plan.width[XN_BUF_X] = hidden;
    c->plan.width[XN_BUF_EXPERTS] = used * size + draw_choice(d, 5);
    *a = (struct xn_op_expert_add){
        .bias = draw_maybe(d, (size_t)hidden * experts, 0, 1), .used = used, .size = size, .sum = draw_sum(d, hidden)};
    draw_weights(d, &a->down, type, hidden, size, experts);
    DRAW_WHAT(d, "expert_add %s hidden %u size %u experts %u/%u rows %u norm %d", xn_format_of(type)->name, hidden,
              size, used, experts, c->batch.n_rows, a->sum.norm.kind);
}
