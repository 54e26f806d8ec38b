// What becomes of the results of operations whose products are of the same matrices for all tokens, in a walk. Their
// rows of weights are cut into slices by the host (slices.c).

// The token of item i, of so many items a token.
#ifdef XN_ONE
#define XN_TOKEN_OF(i, items) 0
#else
#define XN_TOKEN_OF(i, items) ((i) / (items))
#endif
// Result i of a slice: r of token t. False: there are not so many.
static inline bool xn_takes_result(const struct xn_job *j, uint i, uint *t, uint *r) {
    uint results = j->s->results;
    *t = XN_TOKEN_OF(i, results);
    *r = i - *t * results;
#ifdef XN_ONE
    return i < results;
#else
    return *t < j->n;
#endif
}
// For this work-item's results of a slice, which are i, ...: one at the most, where a group has enough work-items.
#define XN_EACH_RESULT(i)                                                                                              \
    _Pragma("unroll 1") for (uint i = get_local_id(0), again = 1; again && xn_takes_result(j, i, &t, &r);              \
                             i += XN_GROUP, again = XN_TOKENS * XN_ROWS > XN_GROUP)

#ifdef XN_OP_PROJECT
// Before others are waited for: where each token's values lie in the cache, by the helpers.
static inline void xn_begin_project(const struct xn_env *e, XN_D const struct xn_cl_project *d, uint n,
                                    local float *scratch) {
    for (uint i = xn_helper(); i < n * d->n_parts; i += XN_HELPERS) {
        uint t = XN_TOKEN_OF(i, d->n_parts), part = i - t * d->n_parts;
        XN_D const struct xn_cl_part *p = &d->part[part];
        if (p->target == XN_CL_TO_CACHE)
            ((local ulong *)(scratch + XN_AT_CACHED))[XN_CL_MAX_PARTS * t + part] =
                (ulong)xn_page(e, &p->cache, e->tokens[t].z) + (ulong)e->tokens[t].w * p->cache.size * XN_CACHE_BYTES;
    }
}

// Norms, rotates and stores the heads of a part that this slice completes. Nothing that was staged is there afterwards.
static inline void xn_complete_heads(const struct xn_env *e, XN_D const struct xn_cl_part *p, struct xn_job *j, uint base,
                                     uint counter, local float *scratch) {
    uint begin = max(base, j->s->first), end = min(base + p->weights.rows, j->s->first + j->s->results);
    if (begin >= end) return;
    uint size = p->norm_whole ? p->weights.rows : p->head_stride, all = j->s->all;
    j->o.staged = 0;
#pragma unroll 1
    for (uint h = (begin - base) / size; h <= (end - 1 - base) / size; h++) {
        uint first = base + h * size, expected = (first + size - 1) / all - first / all + 1;
        if (!xn_arrive(e->counters + counter + h, expected, (local uint *)(scratch + XN_AT_FLAG))) continue;
#pragma unroll 1
        for (uint t = 0; t < j->n; t++)
            xn_finish_heads(e, p, t, h, p->norm_whole ? p->heads : 1, scratch + XN_AT_RED);
    }
}

static inline global const float2 *xn_rotation(const struct xn_env *e, uint t, uint rotation) {
    return (global const float2 *)(e->step + xn_rotations(e, t) + rotation);
}
#ifdef XN_ONE
// The rotations of a slice's results, by `workers` work-items, to local memory.
static inline void xn_early_project(const struct xn_env *e, struct xn_job *j, uint worker, uint workers,
                                    local float *scratch) {
    for (uint r = worker; r < j->s->results; r += workers) {
        uint rotation = xn_slice_results(j->s)[r].rotation;
        if (rotation != XN_CL_NONE) xn_copy_8(scratch + XN_AT_EARLY + 2 * r, xn_rotation(e, 0, rotation));
    }
}
static inline float2 xn_early_turn(const struct xn_env *e, const struct xn_job *j, uint i, uint t, uint r, uint rotation,
                                local const float *scratch) {
    return ((local const float2 *)(scratch + XN_AT_EARLY))[r];
}
#else
// The rotation of this work-item's first result.
static inline void xn_early_project(const struct xn_env *e, struct xn_job *j, uint worker, uint workers,
                                    local float *scratch) {
    uint t, r;
    if (!xn_takes_result(j, get_local_id(0), &t, &r)) return;
    uint rotation = xn_slice_results(j->s)[r].rotation;
    if (rotation != XN_CL_NONE) j->early = *xn_rotation(e, t, rotation);
}
static inline float2 xn_early_turn(const struct xn_env *e, const struct xn_job *j, uint i, uint t, uint r, uint rotation,
                                local const float *scratch) {
    return i < XN_GROUP ? j->early : *xn_rotation(e, t, rotation);
}
#endif
static inline void xn_end_project(const struct xn_env *e, XN_D const struct xn_cl_project *d, struct xn_job *j,
                                  local float *scratch) {
    local const struct xn_cl_slice_result *results = xn_slice_results(j->s);
    uint t, r;
    XN_EACH_RESULT(i) {
        struct xn_cl_slice_result result = results[r];
        XN_D const struct xn_cl_part *p = &d->part[result.part & XN_CL_RESULT_PART];
        float x = (xn_y(j, t, r, scratch) + result.bias) * p->scale;
        if (result.rotation != XN_CL_NONE) {
            float2 turn = xn_early_turn(e, j, i, t, r, result.rotation, scratch);
            float other = (xn_y(j, t, r ^ 1, scratch) + results[r ^ 1].bias) * p->scale;
            x = r % 2 ? other * turn.y + x * turn.x : x * turn.x - other * turn.y;
        }
        if (result.part & XN_CL_RESULT_TEMPERED) x *= xn_temperature(p, e->tokens[t].x);
        if (result.part & XN_CL_RESULT_CACHE) {
            ulong place = ((local const ulong *)(scratch + XN_AT_CACHED))[XN_CL_MAX_PARTS * t + (result.part & XN_CL_RESULT_PART)];
            xn_cache_store(x, (global uchar *)place, result.to);
        } else if (!(result.part & XN_CL_RESULT_NOWHERE)) {
            e->act[result.to + (ulong)t * p->out_stride] = x;
        }
    }
    uint base = 0, counter = 0;
#pragma unroll 1
    for (uint i = 0; i < d->n_parts; i++) {
        XN_D const struct xn_cl_part *p = &d->part[i];
        if (p->finish == XN_CL_FINISH_HEADS) {
            xn_complete_heads(e, p, j, base, counter, scratch);
            counter += p->norm_whole ? 1 : p->heads;
        }
        base += p->weights.rows;
    }
}
#endif

#ifdef XN_OP_PROJECT_ADD
// What this work-item's first result is added to.
static inline void xn_early_project_add(const struct xn_env *e, XN_D const struct xn_cl_project_add *d, struct xn_job *j,
                                        local float *scratch) {
    uint t, r;
    if (d->sum.norm.kind != XN_NORM_NONE || d->sum.set || j->s->cuts || !xn_takes_result(j, get_local_id(0), &t, &r)) return;
    global const float *at = e->act + d->sum.to + (ulong)t * d->sum.stride + j->s->first + r;
#ifdef XN_ONE
    xn_copy_4(scratch + XN_AT_EARLY + r, at);
#else
    j->early.x = *at;
#endif
}
#ifdef XN_ONE
#define XN_EARLY(j, r) scratch[XN_AT_EARLY + (r)]
#else
#define XN_EARLY(j, r) (j)->early.x
#endif
// What joins the buffer of result `at` with token t, whose sum of products is x.
static inline float xn_add_value(const struct xn_env *e, XN_D const struct xn_cl_project_add *d, uint t, uint at, float x) {
    if (d->bias != XN_CL_NONE) x += e->vec[d->bias + at];
    if (d->row_scale != XN_CL_NONE) x *= e->act[d->row_scale + (ulong)t * d->row_scale_stride];
    return x;
}
#ifdef XN_TILES
// Of a slice that has a part of its rows' units: leaves its sums in memory, [part][token][row]; the last of those that share
// the rows adds all parts up, always in the same order.
static inline void xn_end_cut(const struct xn_env *e, XN_D const struct xn_cl_project_add *d, struct xn_job *j,
                              local float *scratch) {
    uint cuts = j->s->cuts, all = j->s->all, size = j->n * all, block = j->s->first / all;
    global float *parts = e->act + d->scratch + (ulong)block * cuts * size;
    uint t, r;
    XN_EACH_RESULT(i) {
        parts[j->s->cut * size + t * all + r] = xn_y(j, t, r, scratch);
    }
    if (!xn_arrive(e->counters + block, cuts, (local uint *)(scratch + XN_AT_FLAG))) return;
#pragma unroll 1
    for (uint i = 2 * get_local_id(0); i < size; i += 2 * XN_GROUP) {
        float2 sum = (float2)(0, 0), part[XN_CL_SLICE_CUTS];
#pragma unroll
        for (uint c = 0; c < XN_CL_SLICE_CUTS; c++)
            if (c < cuts) part[c] = *(global const float2 *)(parts + c * size + i);
#pragma unroll
        for (uint c = 0; c < XN_CL_SLICE_CUTS; c++)
            if (c < cuts) sum += part[c];
        t = i / all;
        r = i - t * all;
        uint at = j->s->first + r;
        if (r < j->s->results) xn_sum_value(e, &d->sum, t, at, xn_add_value(e, d, t, at, sum.x));
        if (r + 1 < j->s->results) xn_sum_value(e, &d->sum, t, at + 1, xn_add_value(e, d, t, at + 1, sum.y));
    }
}
#endif
static inline void xn_end_project_add(const struct xn_env *e, XN_D const struct xn_cl_project_add *d, struct xn_job *j,
                                      local float *scratch) {
    uint rows = d->weights.rows;
    uint t, r;
#ifdef XN_TILES
    if (j->s->cuts) {
        xn_end_cut(e, d, j, scratch);
        return;
    }
#endif
    XN_EACH_RESULT(i) {
        uint at = j->s->first + r;
        float x = xn_add_value(e, d, t, at, xn_y(j, t, r, scratch));
        if (d->sum.norm.kind != XN_NORM_NONE)
            e->act[d->scratch + (ulong)t * rows + at] = x;
        else if (i < XN_GROUP)
            e->act[d->sum.to + (ulong)t * d->sum.stride + at] =
                d->sum.after * ((d->sum.set ? 0 : XN_EARLY(j, r)) + d->sum.scale * x);
        else
            xn_sum_value(e, &d->sum, t, at, x);
    }
    if (d->sum.norm.kind == XN_NORM_NONE) return;
    if (!xn_arrive(e->counters, j->s->blocks, (local uint *)(scratch + XN_AT_FLAG))) return;
    j->o.staged = 0;
#pragma unroll 1
    for (t = 0; t < j->n; t++)
        xn_sum_row(e, &d->sum, t, e->act + d->scratch + (ulong)t * rows, rows, scratch + XN_AT_RED);
}
#endif

#ifdef XN_OP_GATE
static inline void xn_end_gate(const struct xn_env *e, XN_D const struct xn_cl_gate *d, struct xn_job *j,
                               local float *scratch) {
    uint gates = j->s->rows - j->s->results;
    uint t, r;
    XN_EACH_RESULT(i) {
        uint at = j->s->first + r;
        float x = xn_glu_of(e, &d->glu, gates ? d->gate_bias : XN_CL_NONE, d->up_bias, at, gates != 0,
                            xn_y(j, t, r, scratch), xn_y(j, t, gates + r, scratch));
        if (d->times != XN_CL_NONE) x *= e->act[d->times + (ulong)t * d->times_stride + at];
        e->act[d->out + (ulong)t * d->out_stride + at] = x;
    }
}
#endif

#ifdef XN_OP_HEAD
static inline void xn_end_head(const struct xn_env *e, XN_D const struct xn_cl_head *d, struct xn_job *j,
                               local float *scratch) {
    // A warp takes a run of results, whose highest is left for who looks for the best tokens.
    uint of_slice = (j->s->all + XN_CL_TOP_RUN - 1) / XN_CL_TOP_RUN;
    global float *tops = e->act + d->tops + j->s->first / j->s->all * of_slice;
#pragma unroll 1
    for (uint i = xn_warp(); i < j->n * of_slice; i += XN_WARPS) {
        uint t = XN_TOKEN_OF(i, of_slice), run = i - t * of_slice, r = run * XN_CL_TOP_RUN + xn_lane();
        float x = -INFINITY;
        if (r < j->s->results) {
            x = xn_y(j, t, r, scratch) * d->scale;
            if (d->soft_cap != 0) x = d->soft_cap * tanh(x / d->soft_cap);
            e->logits[(ulong)t * d->weights.rows + j->s->first + r] = x;
        }
        x = xn_warp_max(x);
        if (d->tops != XN_CL_NONE && xn_lane() == 0) tops[t * j->s->blocks * of_slice + run] = x;
    }
}
#endif

#ifdef XN_OP_HEADS
static inline void xn_end_heads(const struct xn_env *e, XN_D const struct xn_cl_heads *d, struct xn_job *j,
                                local float *scratch) {
    uint h = j->s->of;
    global float *out = e->act + d->out + h * (d->weights.rows + d->tail);
    uint t, r;
    XN_EACH_RESULT(i) {
        out[(ulong)t * d->out_stride + j->s->first + r] = xn_y(j, t, r, scratch);
    }
    for (uint i = get_local_id(0); j->s->first == 0 && i < j->n * d->tail; i += XN_GROUP) {
        uint t = i / d->tail, at = i - t * d->tail;
        out[(ulong)t * d->out_stride + d->weights.rows + at] = e->act[j->o.at + (ulong)t * d->in_stride + d->cols + at];
    }
}
#endif
