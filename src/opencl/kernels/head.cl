// head: logits of the rows that want them.
static inline void xn_op_head(const struct xn_env *e, XN_D const struct xn_cl_head *d, uint group, uint groups,
                              local float *scratch) {
    uint n = xn_step_of(e)->n_outputs, rows = d->weights.rows, at = XN_CL_NONE;
    struct xn_cut cut = xn_cut_of(n, rows, groups);
    struct xn_operand o = xn_operand_of(&d->in, xn_step_of(e)->outputs);
    uint blocks = xn_blocks(&cut, rows);
    local const float *y = scratch + XN_AT_Y;
    uint units = cut.tiles * blocks;
    if (group >= units) return;
    XN_EACH(u, group, units) {
        uint tile = u / blocks, row0 = u % blocks * cut.rows, m = rows - row0 < cut.rows ? rows - row0 : cut.rows;
        o.first = tile * cut.tokens;
        o.n = n - o.first < cut.tokens ? n - o.first : cut.tokens;
        xn_operand_moments(e, &o, tile == at, scratch);
        at = tile;
        xn_product(e, &d->weights, 0, row0, m, &o, scratch, scratch + XN_AT_Y);
        for (uint i = get_local_id(0); i < o.n * m; i += XN_GROUP) {
            uint t = i / m;
            float x = y[t * XN_Y_STRIDE + i % m] * d->scale;
            if (d->soft_cap != 0) x = d->soft_cap * tanh(x / d->soft_cap);
            e->logits[(ulong)(o.first + t) * rows + row0 + i % m] = x;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    XN_NEXT(u, units, groups);
}
XN_OP_KERNEL(head)
