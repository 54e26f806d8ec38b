// gate: norm, gate and up products, activation.
static inline void xn_op_gate(const struct xn_env *e, XN_D const struct xn_cl_gate *d, uint group, uint groups,
                              local float *scratch) {
    uint n = xn_rows(e), rows = d->up.rows, at = XN_CL_NONE;
    struct xn_cut cut = xn_cut_of(n, rows, groups);
    struct xn_operand o = xn_operand_of(&d->in, XN_CL_NONE);
    uint blocks = xn_blocks(&cut, rows);
    local const float *up = scratch + XN_AT_Y, *gate = scratch + XN_AT_Y2;
    uint units = cut.tiles * blocks;
    if (group >= units) return;
    XN_EACH(u, group, units) {
        uint tile = u / blocks, row0 = u % blocks * cut.rows, m = rows - row0 < cut.rows ? rows - row0 : cut.rows;
        o.first = tile * cut.tokens;
        o.n = n - o.first < cut.tokens ? n - o.first : cut.tokens;
        xn_operand_moments(e, &o, tile == at, scratch);
        at = tile;
        // One call for both: the products' code is there once.
        XN_EACH(second, 0, 1) {
            xn_product(e, second ? &d->gate : &d->up, 0, row0, m, &o, scratch,
                       scratch + (second ? XN_AT_Y2 : XN_AT_Y));
        }
        XN_NEXT(second, d->gate.rows ? 2 : 1, 1);
        for (uint i = get_local_id(0); i < o.n * m; i += XN_GROUP) {
            uint t = i / m, r = i % m, row = o.first + t;
            float x = xn_glu_of(e, &d->glu, d->gate_bias, d->up_bias, row0 + r, d->gate.rows != 0,
                                gate[t * XN_Y_STRIDE + r], up[t * XN_Y_STRIDE + r]);
            if (d->times != XN_CL_NONE) x *= e->act[d->times + (ulong)row * d->times_stride + row0 + r];
            e->act[d->out + (ulong)row * d->out_stride + row0 + r] = x;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    XN_NEXT(u, units, groups);
}
XN_OP_KERNEL(gate)
