// The same as walk_dense.cl for routers and the experts that tokens chose.

#ifdef XN_OP_ROUTE
static inline void xn_setup_route(const struct xn_env *e, XN_D const struct xn_cl_route *d, uint groups,
                                  struct xn_job *j) {
    j->n = xn_rows(e);
    xn_cut(j, d->router.rows + d->shared.rows, 1, groups, XN_ROWS);
    j->b.o = xn_operand_of(&d->in, XN_CL_NONE);
    j->b.o.n = j->n;
}
static inline void xn_fill_route(const struct xn_env *e, XN_D const struct xn_cl_route *d, uint u, struct xn_job *j,
                                 local float *table) {
    uint routers = d->router.rows;
    xn_take_unit(j, u, routers + d->shared.rows);
    j->b.units = d->router.units;
    j->b.rows = j->m;
#pragma unroll 1
    for (uint r = j->worker; r < j->m; r += j->workers) {
        uint v = j->v0 + r;
        xn_put_row(e, v < routers ? &d->router : &d->shared, v < routers ? v : v - routers, 0, r, table);
    }
    uint end = routers > j->v0 ? min(routers - j->v0, j->m) : 0;
    xn_put_segments(j, &d->router, end, &d->shared, table);
}
static inline void xn_end_route(const struct xn_env *e, XN_D const struct xn_cl_route *d, struct xn_job *j,
                                local float *scratch) {
#pragma unroll 1
    for (uint i = get_local_id(0); i < j->n * j->m; i += XN_GROUP) {
        uint t = XN_TOKEN_OF(i, j->m), r = i - t * j->m, v = j->v0 + r;
        float x = xn_y(&j->b, t, r, scratch);
        if (v >= d->router.rows)
            e->act[d->gate + (ulong)t * d->gate_stride] = xn_sigmoid(x);
        else
            e->act[d->scratch + (ulong)t * d->experts + v] = x + (d->bias != XN_CL_NONE ? e->vec[d->bias + v] : 0);
    }
    if (!xn_arrive(e->counters, j->blocks, (local uint *)(scratch + XN_AT_FLAG))) return;
    j->b.o.staged = 0;
#pragma unroll 1
    for (uint t = 0; t < j->n; t++)
        xn_choose(e, d, t, true, scratch);
}
#endif

// The experts that a token chose, from the j0-th on.
static inline global const uint *xn_ids(const struct xn_env *e, uint ids, uint width, uint token) {
    return (global const uint *)e->act + ids + token * width;
}

#ifdef XN_OP_EXPERT_GATE
static inline void xn_setup_expert_gate(const struct xn_env *e, XN_D const struct xn_cl_expert_gate *d, uint groups,
                                        struct xn_job *j) {
    j->n = 1;
    xn_cut(j, d->used * d->size, xn_rows(e), groups, XN_ROWS / 2);
    j->of = XN_CL_NONE;
    j->b.o = xn_operand_of(&d->in, XN_CL_NONE);
    j->b.o.n = 1;
}
static inline void xn_fill_expert_gate(const struct xn_env *e, XN_D const struct xn_cl_expert_gate *d, uint u,
                                       struct xn_job *j, local float *table) {
    uint before = j->of, gates;
    xn_take_unit(j, u, d->used * d->size);
    if (j->of != before) j->b.o.staged = 0;
    j->b.o.first = j->of;
    gates = d->gate.rows ? j->m : 0;
    j->b.units = d->up.units;
    j->b.rows = gates + j->m;
    global const uint *ids = xn_ids(e, d->ids, d->width, j->of);
#pragma unroll 1
    for (uint r = j->worker; r < j->b.rows; r += j->workers) {
        uint v = j->v0 + (r < gates ? r : r - gates), choice = v / d->size;
        xn_put_row(e, r < gates ? &d->gate : &d->up, ids[choice] * d->size + v - choice * d->size, 0, r, table);
    }
    xn_put_segments(j, &d->gate, gates, &d->up, table);
}
static inline void xn_end_expert_gate(const struct xn_env *e, XN_D const struct xn_cl_expert_gate *d, struct xn_job *j,
                                      local float *scratch) {
    uint gates = j->b.rows - j->m;
    global const uint *ids = xn_ids(e, d->ids, d->width, j->of);
#pragma unroll 1
    for (uint r = get_local_id(0); r < j->m; r += XN_GROUP) {
        uint v = j->v0 + r, choice = v / d->size;
        float x = xn_glu_of(e, &d->glu, gates ? d->gate_bias : XN_CL_NONE, d->up_bias,
                            ids[choice] * d->size + v - choice * d->size, gates != 0, xn_y(&j->b, 0, r, scratch),
                            xn_y(&j->b, 0, gates + r, scratch));
        e->act[d->out + (ulong)j->of * d->out_stride + v] = x;
    }
}
#endif

#ifdef XN_OP_EXPERT_ADD
// A unit takes the rows of as many experts at once as there is room for, in passes.
static inline uint xn_experts_of_pass(XN_D const struct xn_cl_expert_add *d, uint c) {
    uint room = (xn_has_codes(d->down.type) ? XN_CODE_UNITS : XN_FLOAT_UNITS) / d->down.units;
    return max(1u, min(d->used, min(room, XN_ROWS / c)));
}
static inline void xn_setup_expert_add(const struct xn_env *e, XN_D const struct xn_cl_expert_add *d, uint groups,
                                       struct xn_job *j) {
    uint n = xn_rows(e);
    j->n = 1;
    xn_cut(j, d->down.rows, n, groups, XN_ROWS / min(d->used, XN_ROWS / 2u) & ~1u);
    j->passes = (d->used + xn_experts_of_pass(d, j->c) - 1) / xn_experts_of_pass(d, j->c);
    j->b.o = xn_operand_at(d->in, d->in_stride, d->size);
    j->b.o.n = 1;
}
static inline void xn_fill_expert_add(const struct xn_env *e, XN_D const struct xn_cl_expert_add *d, uint u,
                                      struct xn_job *j, local float *table) {
    uint most = xn_experts_of_pass(d, j->c), j0 = j->pass * most, parts = min(most, d->used - j0);
    xn_take_unit(j, u, d->down.rows);
    j->b.o.at = d->in + j0 * d->size;
    j->b.o.first = j->of;
    j->b.o.parts = parts;
    j->b.o.staged = 0;
    j->b.units = d->down.units;
    uint each = j->m + j->m % 2; // two rows that are taken together meet the same activations
    j->b.rows = parts * each;
    global const uint *ids = xn_ids(e, d->ids, d->width, j->of) + j0;
#pragma unroll 1
    for (uint r = j->worker; r < j->b.rows; r += j->workers) {
        uint part = r / each;
        xn_put_row(e, &d->down, ids[part] * d->down.rows + j->v0 + min(r - part * each, j->m - 1), part, r, table);
    }
    xn_put_segments(j, &d->down, 0, &d->down, table);
}
static inline void xn_end_expert_add(const struct xn_env *e, XN_D const struct xn_cl_expert_add *d, struct xn_job *j,
                                     local float *scratch) {
    uint rows = d->down.rows, parts = j->b.o.parts, each = j->m + j->m % 2, j0 = j->pass * xn_experts_of_pass(d, j->c);
    global const uint *ids = xn_ids(e, d->ids, d->width, j->of) + j0;
    global const float *weights = e->act + d->chosen_weights + j->of * d->width + j0;
    local float *sum = scratch + XN_AT_SUM;
#pragma unroll 1
    for (uint r = get_local_id(0); r < j->m; r += XN_GROUP) {
        float x = j->pass ? sum[r] : 0;
#pragma unroll 1
        for (uint part = 0; part < parts; part++) {
            float one = xn_y(&j->b, 0, part * each + r, scratch);
            if (d->bias != XN_CL_NONE) one += e->vec[d->bias + ids[part] * rows + j->v0 + r];
            x += weights[part] * one;
        }
        sum[r] = x;
        if (j->pass + 1 == j->passes) xn_wait_or_sum(e, &d->sum, d->scratch, j->of, rows, j->v0 + r, x);
    }
    if (d->sum.norm.kind == XN_NORM_NONE || j->pass + 1 < j->passes) return;
    if (!xn_arrive(e->counters + j->of, j->blocks, (local uint *)(scratch + XN_AT_FLAG))) return;
    xn_sum_row(e, &d->sum, j->of, e->act + d->scratch + (ulong)j->of * rows, rows, scratch + XN_AT_RED);
}
#endif
