// expert_gate and expert_add: products of the experts that rows chose. A unit of the work is a block of rows of weights
// for one choice of one row (expert_gate), or for all choices of one row (expert_add).

// One block of a matrix for each group, if that is possible, of `count` matrices.
static inline struct xn_cut xn_cut_of_experts(uint count, uint rows, uint groups) {
    struct xn_cut cut = xn_cut_of(1, count * rows, groups);
    while (count * xn_blocks(&cut, rows) > groups && cut.rows < XN_MOST_ROWS)
        cut.rows++;
    return cut;
}

#ifdef XN_OP_EXPERT_GATE
static inline void xn_op_expert_gate(const struct xn_env *e, XN_D const struct xn_cl_expert_gate *d, uint group,
                                     uint groups, local float *scratch) {
    uint n = xn_rows(e), rows = d->size, at = XN_CL_NONE;
    struct xn_cut cut = xn_cut_of_experts(n * d->used, rows, groups);
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
            xn_product(e, second ? &d->gate : &d->up, expert, row0, m, &o, scratch,
                       scratch + (second ? XN_AT_Y2 : XN_AT_Y));
        }
        XN_NEXT(second, d->gate.rows ? 2 : 1, 1);
        for (uint i = get_local_id(0); i < m; i += XN_GROUP) {
            float x = xn_glu_of(e, &d->glu, d->gate_bias, d->up_bias, bias + i, d->gate.rows != 0, gate[i], up[i]);
            e->act[d->out + (ulong)row * d->out_stride + j * d->size + row0 + i] = x;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    XN_NEXT(u, units, groups);
}
XN_OP_KERNEL(expert_gate)
#endif

#ifdef XN_OP_EXPERT_ADD
#ifndef XN_RUNS
static inline void xn_op_expert_add(const struct xn_env *e, XN_D const struct xn_cl_expert_add *d, uint group,
                                    uint groups, local float *scratch) {
    uint n = xn_rows(e), rows = d->down.rows;
    struct xn_cut cut = xn_cut_of(1, n * rows, groups);
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
            struct xn_operand o = xn_operand_at(d->in + j * d->size, d->in_stride, d->size);
            o.first = row;
            o.n = 1;
            xn_product(e, &d->down, expert, row0, m, &o, scratch, y);
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
#else
// Experts of a row are multiplied together, as many as there is room for their results.
static inline void xn_op_expert_add(const struct xn_env *e, XN_D const struct xn_cl_expert_add *d, uint group,
                                    uint groups, local float *scratch) {
    uint n = xn_rows(e), rows = d->down.rows, lid = get_local_id(0);
    struct xn_cut cut = xn_cut_of_experts(n, rows, groups);
    uint most = xn_operand_parts(&d->down);
    if (most > d->used) most = d->used;
    if (most > XN_ROWS / cut.rows) {
        // Fewer rows, rather than experts one after the other.
        cut.rows = max(1u, min(cut.rows, XN_ROWS / most));
        most = min(most, XN_ROWS / cut.rows);
    }
    uint blocks = xn_blocks(&cut, rows);
    bool waits = d->sum.norm.kind != XN_NORM_NONE;
    local float *y = scratch + XN_AT_Y, *sum = scratch + XN_AT_Y2;
    uint units = n * blocks;
    if (group >= units) return;
    XN_EACH(u, group, units) {
        uint row = u / blocks, row0 = u % blocks * cut.rows, m = rows - row0 < cut.rows ? rows - row0 : cut.rows;
        global const uint *ids = (global const uint *)e->act + d->ids + row * d->width;
        global const float *weights = e->act + d->chosen_weights + row * d->width;
        XN_EACH(j0, 0, d->used) {
            struct xn_operand o = xn_operand_at(d->in + j0 * d->size, d->in_stride, d->size);
            struct xn_block b = {row0, m, 0, ids + j0, min(most, d->used - j0)};
            o.first = row;
            o.n = 1;
            o.parts = b.parts;
            xn_product_of(e, &d->down, &b, &o, scratch, y);
            for (uint i = lid; i < m; i += XN_GROUP) {
                float x = j0 ? sum[i] : 0;
                for (uint j = 0; j < b.parts; j++) {
                    float one = y[j * m + i];
                    if (d->bias != XN_CL_NONE) one += e->vec[d->bias + ids[j0 + j] * rows + row0 + i];
                    x += weights[j0 + j] * one;
                }
                sum[i] = x;
            }
            barrier(CLK_LOCAL_MEM_FENCE);
        }
        XN_NEXT(j0, d->used, most);
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
#endif
XN_OP_KERNEL(expert_add)
#endif
