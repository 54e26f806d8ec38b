// add: a buffer joins another, row by row.
static inline void xn_op_add(const struct xn_env *e, XN_D const struct xn_cl_add *d, uint group, uint groups,
                             local float *scratch) {
    uint n = xn_rows(e);
    if (group >= n) return;
    XN_EACH(row, group, n) {
        xn_sum_row(e, &d->sum, row, e->act + d->in + (ulong)row * d->stride, d->width, scratch);
    }
    XN_NEXT(row, n, groups);
}
XN_OP_KERNEL(add)
