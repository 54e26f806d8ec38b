// embed: rows of a table. A unit of the work is one unit of 32 values of one row.
static inline void xn_op_embed(const struct xn_env *e, global const struct xn_cl_embed *d, uint group, uint groups,
                               local float *scratch) {
    global const struct xn_cl_step *step = xn_step_of(e);
    float v[XN_CL_UNIT];
    for (uint i = group * XN_GROUP + get_local_id(0); i < step->n_rows * d->table.units; i += groups * XN_GROUP) {
        uint row = i / d->table.units, u = i % d->table.units, token = e->step[step->tokens + row];
        struct xn_weights_row from = xn_weights_row(e, &d->table, token);
        xn_decode(d->table.type, from.piece, from.units, from.first + u, e->grids, v);
        global float *to = e->act + d->to + (ulong)row * d->stride + u * XN_CL_UNIT;
        for (uint j = 0; j < XN_CL_UNIT && u * XN_CL_UNIT + j < d->width; j++)
            to[j] = (d->keep != 0 ? d->keep * to[j] : 0) + d->scale * v[j];
    }
}
XN_OP_KERNEL(embed)
