// heads: a product of each head's own, and a tail that passes by.
static inline void xn_op_heads(const struct xn_env *e, XN_D const struct xn_cl_heads *d, uint group, uint groups,
                               local float *scratch) {
    uint n = xn_rows(e), rows = d->weights.rows;
    struct xn_cut cut = xn_cut_of(n, rows * d->heads, groups);
    uint blocks = xn_blocks(&cut, rows);
    local const float *y = scratch + XN_AT_Y;
    uint units = cut.tiles * d->heads * blocks;
    if (group >= units) return;
    XN_EACH(u, group, units) {
        uint tile = u / (d->heads * blocks), h = u / blocks % d->heads, row0 = u % blocks * cut.rows;
        uint m = rows - row0 < cut.rows ? rows - row0 : cut.rows, first = tile * cut.tokens;
        struct xn_operand o = xn_operand_at(d->in + h * (d->cols + d->tail), d->in_stride, d->cols);
        o.first = first;
        o.n = n - first < cut.tokens ? n - first : cut.tokens;
        xn_product(e, &d->weights, h, row0, m, &o, scratch, scratch + XN_AT_Y);
        global float *out = e->act + d->out + h * (rows + d->tail);
        for (uint i = get_local_id(0); i < o.n * m; i += XN_GROUP)
            out[(ulong)(first + i / m) * d->out_stride + row0 + i % m] = y[i / m * XN_Y_STRIDE + i % m];
        for (uint i = get_local_id(0); row0 == 0 && i < o.n * d->tail; i += XN_GROUP) {
            uint row = first + i / d->tail, j = i % d->tail;
            out[(ulong)row * d->out_stride + rows + j] = e->act[o.at + (ulong)row * d->in_stride + d->cols + j];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    XN_NEXT(u, units, groups);
}
XN_OP_KERNEL(heads)
