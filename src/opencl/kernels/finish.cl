// finish: for many rows, what follows the products of `project`: norm and rotation of heads, and their store into the
// cache. A warp takes a head of a row, or a group a row whose heads are normed as one.

// A head of a row for each warp, from head h0 on. By the whole group.
static inline void xn_finish_warps(const struct xn_env *e, XN_D const struct xn_cl_part *p, uint row, uint h0,
                                   local float *red) {
    global const struct xn_cl_step *step = xn_step_of(e);
    global float *y = e->act + p->out + (ulong)row * p->out_stride;
    uint position = e->step[step->positions + row], span = xn_span_of_row(e, row), lane = xn_lane();
    uint half_dims = p->rope.dims / 2, size = p->head_size;
    float temperature = xn_temperature(p, position);
    bool normed = p->norm.kind != XN_NORM_NONE, cached = p->target == XN_CL_TO_CACHE;
    uint h = h0 + xn_warp();
    bool mine = h < p->heads;
    global float *x = y + (ulong)(mine ? h : 0) * p->head_stride;
    struct xn_moments m = {0, 1};
    float sum = 0, squares = 0;
    for (uint i = lane; i < (normed && p->norm.kind == XN_NORM_LAYER ? size : 0); i += XN_LANES)
        sum += x[i];
    m.mean = xn_warp_sum(sum, red) / size;
    for (uint i = lane; i < (normed ? size : 0); i += XN_LANES)
        squares += (x[i] - m.mean) * (x[i] - m.mean);
    squares = xn_warp_sum(squares, red);
    if (normed) m.scale = 1.0f / sqrt(squares / size + p->norm.epsilon);
    global uchar *to = cached ? xn_cached(e, &p->cache, xn_span_at(e, span), mine ? h : 0, position) : 0;
    for (uint i = lane; i < (mine ? size - p->rope.dims : 0); i += XN_LANES) {
        uint j = i < p->rope_at ? i : i + p->rope.dims;
        float v = (normed ? xn_normed(e, &p->norm, m, x[j], j) : x[j]) * temperature;
        if (cached)
            xn_cache_store(v, to, p->cache_at + j);
        else
            x[j] = v;
    }
    for (uint i = lane; i < (mine ? half_dims : 0); i += XN_LANES) {
        float2 turn = xn_turn_of(e, &p->rope, row, i);
        uint a = p->rope_at + (p->rope.kind == 1 ? i : 2 * i), b = a + (p->rope.kind == 1 ? half_dims : 1);
        float xa = normed ? xn_normed(e, &p->norm, m, x[a], a) : x[a];
        float xb = normed ? xn_normed(e, &p->norm, m, x[b], b) : x[b];
        float ya = (xa * turn.x - xb * turn.y) * temperature, yb = (xa * turn.y + xb * turn.x) * temperature;
        if (cached) {
            xn_cache_store(ya, to, p->cache_at + a);
            xn_cache_store(yb, to, p->cache_at + b);
        } else {
            x[a] = ya;
            x[b] = yb;
        }
    }
}

// Units of a row of a part: sets of heads, or the row.
static inline bool xn_finish_whole(XN_D const struct xn_cl_part *p) {
    return p->norm_whole && p->norm.kind != XN_NORM_NONE;
}
static inline uint xn_finish_units(XN_D const struct xn_cl_part *p) {
    if (!p->finish && p->target != XN_CL_TO_CACHE) return 0;
    return xn_finish_whole(p) ? 1 : (p->heads + XN_WARPS - 1) / XN_WARPS;
}

static inline void xn_op_finish(const struct xn_env *e, XN_D const struct xn_cl_project *d, uint group, uint groups,
                                local float *red) {
    uint n = xn_rows(e), units = 0;
    for (uint i = 0; i < d->n_parts; i++)
        units += n * xn_finish_units(&d->part[i]);
    if (group >= units) return;
    XN_EACH(u, group, units) {
        uint at = u, part = 0;
        while (at >= n * xn_finish_units(&d->part[part]))
            at -= n * xn_finish_units(&d->part[part++]);
        XN_D const struct xn_cl_part *p = &d->part[part];
        uint set = at / n, row = at % n;
        bool whole = xn_finish_whole(p);
        xn_finish_heads(e, p, row, 0, whole ? p->heads : 0, red);
        xn_finish_warps(e, p, row, whole ? p->heads : set * XN_WARPS, red);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    XN_NEXT(u, units, groups);
}
#define xn_cl_finish xn_cl_project
XN_SMALL_KERNEL(finish, XN_GROUP)
