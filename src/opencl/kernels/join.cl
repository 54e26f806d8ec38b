// join: the results of a row's chosen experts, weighted and added in the order of choice, join a buffer. A group takes a
// row.
static inline void xn_op_join(const struct xn_env *e, XN_D const struct xn_cl_join *d, uint group, uint groups,
                              local float *red) {
    uint n = xn_rows(e);
    bool waits = d->sum.norm.kind != XN_NORM_NONE;
    if (group >= n) return;
    XN_EACH(row, group, n) {
        global const float *x = e->act + d->in + (ulong)row * d->used * d->rows;
        global const float *weights = e->act + d->chosen_weights + row * d->width;
        global float *sums = e->act + d->scratch + (ulong)row * d->rows;
        for (uint i = get_local_id(0); i < d->rows; i += XN_GROUP) {
            float sum = 0;
#pragma unroll 8
            for (uint j = 0; j < d->used; j++)
                sum += weights[j] * x[(ulong)j * d->rows + i];
            if (waits)
                sums[i] = sum;
            else
                xn_sum_value(e, &d->sum, row, i, sum);
        }
        barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
        xn_sum_row(e, &d->sum, row, sums, waits ? d->rows : 0, red);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    XN_NEXT(row, n, groups);
}
XN_SMALL_KERNEL(join, XN_GROUP)
