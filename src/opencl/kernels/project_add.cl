// project_add: a product whose result joins a buffer; where a norm stands between, who completes the rows of a tile adds
// them.
static inline void xn_op_project_add(const struct xn_env *e, XN_D const struct xn_cl_project_add *d, uint group,
                                     uint groups, local float *scratch) {
    uint n = xn_rows(e), rows = d->weights.rows;
    struct xn_cut cut = xn_cut_of(n, rows, groups);
    struct xn_operand o = xn_operand_of(&d->in, XN_CL_NONE);
    uint blocks = xn_blocks(&cut, rows);
    bool waits = d->sum.norm.kind != XN_NORM_NONE;
    local const float *y = scratch + XN_AT_Y;
    uint units = cut.tiles * blocks;
    if (group >= units) return;
    XN_EACH(u, group, units) {
        uint tile = u / blocks, row0 = u % blocks * cut.rows, m = rows - row0 < cut.rows ? rows - row0 : cut.rows;
        o.first = tile * cut.tokens;
        o.n = n - o.first < cut.tokens ? n - o.first : cut.tokens;
        xn_product(e, &d->weights, 0, row0, m, &o, scratch, scratch + XN_AT_Y);
        for (uint i = get_local_id(0); i < o.n * m; i += XN_GROUP) {
            uint t = i / m, r = row0 + i % m, row = o.first + t;
            float x = y[t * XN_Y_STRIDE + i % m];
            if (d->bias != XN_CL_NONE) x += e->vec[d->bias + r];
            if (d->row_scale != XN_CL_NONE) x *= e->act[d->row_scale + (ulong)row * d->row_scale_stride];
            if (waits)
                e->act[d->scratch + (ulong)row * rows + r] = x;
            else
                xn_sum_value(e, &d->sum, row, r, x);
        }
        bool last = xn_arrive(e->counters + tile, waits ? blocks : 1, (local uint *)(scratch + XN_AT_FLAG));
        uint complete = waits && last ? o.n : 0;
        XN_EACH(t, 0, complete) {
            xn_sum_row(e, &d->sum, o.first + t, e->act + d->scratch + (ulong)(o.first + t) * rows, complete ? rows : 0,
                       scratch + XN_AT_RED);
        }
        XN_NEXT(t, complete, 1);
    }
    XN_NEXT(u, units, groups);
}
XN_OP_KERNEL(project_add)
