// expert_gate and expert_add: products of the experts that rows chose. A unit of the work is a block of rows of weights
// for one choice of one row (expert_gate), or for all choices of one row (expert_add).
#ifdef XN_OP_EXPERT_GATE
static inline void xn_op_expert_gate(const struct xn_env *e, global const struct xn_cl_expert_gate *d, uint group,
                                     uint groups, local float *scratch) {
    uint n = xn_step_of(e)->n_rows, rows = d->size, at = XN_CL_NONE;
    struct xn_cut cut = xn_cut_of(1);
    struct xn_operand o = xn_operand_of(&d->in, XN_CL_NONE);
    uint blocks = xn_blocks(&cut, rows);
    local const float *up = scratch + XN_AT_Y, *gate = scratch + XN_AT_Y2;
    o.n = 1;
    uint units = n * d->used * blocks;
    if (group >= units) return;
    XN_EACH(u, group, units) {
        uint row = u / (d->used * blocks), j = u / blocks % d->used, row0 = u % blocks * cut.rows;
        uint m = rows - row0 < cut.rows ? rows - row0 : cut.rows;
        uint expert = ((global const uint *)e->act)[d->ids + row * d->width + j], bias = expert * d->size + row0;
        o.first = row;
        xn_operand_moments(e, &o, row == at, scratch);
        at = row;
        XN_EACH(second, 0, 1) {
            xn_product(e, second ? &d->gate : &d->up, expert, row0, &o, false, scratch,
                       scratch + (second ? XN_AT_Y2 : XN_AT_Y));
        }
        XN_NEXT(second, d->gate.rows ? 2 : 1, 1);
        for (uint i = get_local_id(0); i < m; i += XN_GROUP) {
            float x = up[i];
            if (d->up_bias != XN_CL_NONE) x += e->vec[d->up_bias + bias + i];
            if (d->gate.rows) {
                float g = gate[i];
                if (d->gate_bias != XN_CL_NONE) g += e->vec[d->gate_bias + bias + i];
                x = xn_glu_gated(&d->glu, g, x);
            } else {
                x = xn_glu_plain(&d->glu, x);
            }
            e->act[d->out + (ulong)row * d->out_stride + j * d->size + row0 + i] = x;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    XN_NEXT(u, units, groups);
}
XN_OP_KERNEL(expert_gate)
#endif

#ifdef XN_OP_EXPERT_ADD
static inline void xn_op_expert_add(const struct xn_env *e, global const struct xn_cl_expert_add *d, uint group,
                                    uint groups, local float *scratch) {
    uint n = xn_step_of(e)->n_rows, rows = d->down.rows;
    struct xn_cut cut = xn_cut_of(1);
    uint blocks = xn_blocks(&cut, rows);
    bool waits = d->sum.norm.kind != XN_NORM_NONE;
    local float *y = scratch + XN_AT_Y, *sum = scratch + XN_AT_Y2;
    uint units = n * blocks;
    if (group >= units) return;
    XN_EACH(u, group, units) {
        uint row = u / blocks, row0 = u % blocks * cut.rows, m = rows - row0 < cut.rows ? rows - row0 : cut.rows;
        uint lid = get_local_id(0);
        XN_EACH(j, 0, d->used) {
            uint expert = ((global const uint *)e->act)[d->ids + row * d->width + j];
            float weight = e->act[d->chosen_weights + row * d->width + j];
            struct xn_operand o = {d->in + j * d->size, d->in_stride, d->size, 0, row, 1, XN_CL_NONE};
            xn_product(e, &d->down, expert, row0, &o, false, scratch, y);
            for (uint i = lid; i < m; i += XN_GROUP) {
                float x = y[i];
                if (d->bias != XN_CL_NONE) x += e->vec[d->bias + expert * rows + row0 + i];
                sum[i] = (j ? sum[i] : 0) + weight * x;
            }
        }
        XN_NEXT(j, d->used, 1);
        for (uint i = lid; i < m; i += XN_GROUP) {
            if (waits)
                e->act[d->scratch + (ulong)row * rows + row0 + i] = sum[i];
            else
                xn_sum_value(e, &d->sum, row, row0 + i, sum[i]);
        }
        bool last = xn_arrive(e->counters + row, waits ? blocks : 1, (local uint *)(scratch + XN_AT_FLAG));
        xn_sum_row(e, &d->sum, row, e->act + d->scratch + (ulong)row * rows, waits && last ? rows : 0,
                   scratch + XN_AT_RED);
    }
    XN_NEXT(u, units, groups);
}
XN_OP_KERNEL(expert_add)
#endif
