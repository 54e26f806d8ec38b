// stage: rows of activations, normalised, as the matrix unit takes them. A group takes a row.

// Value i of part p, normalised; 0 beyond the last.
static inline float xn_stage_value(const struct xn_env *e, XN_D const struct xn_cl_stage *d, struct xn_moments m,
                                   global const float *x, uint i) {
    if (i >= d->in.k) return 0;
    return d->in.norm.kind == XN_NORM_NONE ? x[i] : xn_normed(e, &d->in.norm, m, x[i], i);
}

// Values 2 i and 2 i + 1 into every plane.
static inline void xn_stage_pair(const struct xn_env *e, XN_D const struct xn_cl_stage *d, float a, float b,
                                 float scale, ulong i) {
#ifdef XN_HALVES
    global uint *to = (global uint *)e->act + d->to + i;
    if (d->planes & (XN_CL_PLANE_HALF | XN_CL_PLANE_HALF_REST)) {
        float x = a * scale, y = b * scale;
        *to = xn_pack_half(x, y);
        to += d->plane_size;
        if (d->planes & XN_CL_PLANE_HALF_REST) {
            *to = xn_pack_half(xn_rest_of_half(x), xn_rest_of_half(y));
            to += d->plane_size;
        }
    }
    if (d->planes & (XN_CL_PLANE_BFLOAT | XN_CL_PLANE_BFLOAT_REST)) {
        *to = xn_pack_bfloat(a, b);
        if (d->planes & XN_CL_PLANE_BFLOAT_REST)
            to[d->plane_size] = xn_pack_bfloat(xn_rest_of_bfloat(a), xn_rest_of_bfloat(b));
    }
#else
    global float *to = e->act + d->to + 2 * i;
    to[0] = a;
    to[1] = b;
#endif
}

static inline void xn_op_stage(const struct xn_env *e, XN_D const struct xn_cl_stage *d, uint group, uint groups,
                               local float *red) {
    global const struct xn_cl_step *step = xn_step_of(e);
    uint n = d->outputs ? step->n_outputs : step->n_rows, lid = get_local_id(0), all = d->parts * d->width;
    if (group >= n) return;
    XN_EACH(row, group, n) {
        uint from = d->outputs ? e->step[step->outputs + row] : row;
        global const float *x = e->act + d->in.at + (ulong)from * d->in.stride;
        struct xn_moments m = xn_moments_of(&d->in.norm, x, d->in.k, red);
        float scale = 1;
#ifdef XN_HALVES
        float most = 0;
        for (uint i = lid; i < (d->planes & XN_CL_PLANE_HALF ? all : 0); i += XN_GROUP)
            most = fmax(most, fabs(xn_stage_value(e, d, m, x + i / d->width * d->part_stride, i % d->width)));
        most = xn_group_max(most, red);
        // The largest value comes to lie between 2^14 and 2^15, so that the small ones are not lost.
        int exponent = clamp((int)(as_uint(most) >> 23 & 255u) - 127, -100, 100);
        scale = as_float((uint)(127 + 14 - exponent) << 23);
        if (lid == 0) e->act[d->scales + row] = as_float((uint)(127 - 14 + exponent) << 23);
#endif
        for (uint i = lid; i < all / 2; i += XN_GROUP) {
            uint p = 2 * i / d->width, j = 2 * i % d->width;
            global const float *part = x + p * d->part_stride;
            xn_stage_pair(e, d, xn_stage_value(e, d, m, part, j), xn_stage_value(e, d, m, part, j + 1), scale,
                          (ulong)row * (all / 2) + i);
        }
        for (uint i = lid; i < d->tail * d->parts; i += XN_GROUP) {
            uint p = i / d->tail, j = i % d->tail;
            e->act[d->pass_to + (ulong)row * d->pass_row + p * d->pass_stride + j] =
                x[p * d->part_stride + d->in.k + j];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    XN_NEXT(row, n, groups);
}
XN_OP_KERNEL(stage)
