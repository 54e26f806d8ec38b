// What a walk does for operations with products of the same matrices for all tokens: how the work is cut, which rows of
// weights a unit of it is (before the wait for other groups), and what becomes of the results.

// An operation with a product, as a group sees it.
struct xn_job {
    uint n;      // tokens
    uint c;      // rows of weights (of each of a gate's two matrices) of a unit,
    uint blocks; // and how many such units all rows are, or those of a token, of a head
    uint units;  // of the work of all groups,
    uint passes; // each of which takes so many products
    struct xn_block b;
    // The unit: rows [v0, v0 + m), of this token or head.
    uint pass, of, block, v0, m;
    uint worker, workers; // who fills the table
};

// The token of item i, of so many items a token.
#ifdef XN_ONE
#define XN_TOKEN_OF(i, items) 0
#else
#define XN_TOKEN_OF(i, items) ((i) / (items))
#endif

// Rows of a unit, of `most` at the most, so that all groups have one if possible, or several of one size; even, so that
// pairs stay together.
static inline uint xn_cut_rows(uint rows, uint groups, uint most) {
    uint each = (rows + groups - 1) / groups;
    if (each > most) each = (each + (each + most - 1) / most - 1) / ((each + most - 1) / most);
    return min(max(each + each % 2, 2u), most);
}
static inline void xn_cut(struct xn_job *j, uint rows, uint times, uint groups, uint most) {
    j->c = xn_cut_rows(rows * times, groups, most);
    j->blocks = (rows + j->c - 1) / j->c;
    j->units = j->blocks * times;
    j->passes = 1;
}
// Unit u: of `rows` rows for each token or head.
static inline void xn_take_unit(struct xn_job *j, uint u, uint rows) {
    j->of = u < j->blocks ? 0 : u / j->blocks;
    j->block = u - j->of * j->blocks;
    j->v0 = j->block * j->c;
    j->m = min(j->c, rows - j->v0);
}

// The first n rows are of one format, the others of another.
static inline void xn_put_segments(struct xn_job *j, XN_D const struct xn_cl_weights *w, uint n,
                                   XN_D const struct xn_cl_weights *other, local float *table) {
    struct xn_segments segments = {0, 0, 0};
    xn_put_segment(&segments, w, n, table);
    xn_put_segment(&segments, other, j->b.rows, table);
    j->b.segments = segments.n;
}

// The sum that a norm waits for: value i of a row.
static inline void xn_wait_or_sum(const struct xn_env *e, XN_D const struct xn_cl_sum *s, uint scratch_at, uint row,
                                  uint rows, uint i, float x) {
    if (s->norm.kind != XN_NORM_NONE)
        e->act[scratch_at + (ulong)row * rows + i] = x;
    else
        xn_sum_value(e, s, row, i, x);
}

#ifdef XN_OP_PROJECT
static inline uint xn_rows_of_parts(XN_D const struct xn_cl_project *d) {
    uint rows = 0;
    for (uint i = 0; i < d->n_parts; i++)
        rows += d->part[i].weights.rows;
    return rows;
}
static inline void xn_setup_project(const struct xn_env *e, XN_D const struct xn_cl_project *d, uint groups,
                                    struct xn_job *j) {
    j->n = xn_rows(e);
    xn_cut(j, xn_rows_of_parts(d), 1, groups, XN_ROWS);
    j->b.o = xn_operand_of(&d->in, XN_CL_NONE);
    j->b.o.n = j->n;
}

// Row v of all parts' rows, one after the other. Where heads are rotated without being normed first, rows that are
// rotated together are neighbours, so that whoever has one has both.
struct xn_part_row {
    XN_D const struct xn_cl_part *p;
    uint base;    // row 0 of the part
    uint row;     // in its matrix
    uint h, i;    // head, and value of it
    bool rotated; // with the neighbour; the first of the two where even
};
static inline struct xn_part_row xn_part_row(XN_D const struct xn_cl_project *d, uint v) {
    struct xn_part_row r = {&d->part[0], 0, 0, 0, 0, false};
#pragma unroll 1
    while (v - r.base >= r.p->weights.rows) {
        r.base += r.p->weights.rows;
        r.p++;
    }
    r.h = (v - r.base) / r.p->head_stride;
    r.i = v - r.base - r.h * r.p->head_stride;
    uint pair = r.i - r.p->rope_at;
    r.rotated = r.p->finish == XN_CL_FINISH_PAIRS && pair < r.p->rope.dims;
    if (r.rotated && r.p->rope.kind == 1) r.i = r.p->rope_at + pair / 2 + pair % 2 * (r.p->rope.dims / 2);
    r.row = r.h * r.p->head_stride + r.i;
    return r;
}

static inline void xn_fill_project(const struct xn_env *e, XN_D const struct xn_cl_project *d, uint u,
                                   struct xn_job *j, local float *table) {
    xn_take_unit(j, u, xn_rows_of_parts(d));
    j->b.units = d->part[0].weights.units;
    j->b.rows = j->m;
#pragma unroll 1
    for (uint r = j->worker; r < j->m; r += j->workers) {
        struct xn_part_row at = xn_part_row(d, j->v0 + r);
        xn_put_row(e, &at.p->weights, at.row, 0, r, table);
    }
    uint pairs = j->m / 2;
#pragma unroll 1
    for (uint i = j->worker; i < j->n * pairs; i += j->workers) {
        uint t = XN_TOKEN_OF(i, pairs), r = 2 * (i - t * pairs);
        struct xn_part_row at = xn_part_row(d, j->v0 + r);
        if (!at.rotated) continue;
        XN_D const struct xn_cl_rope *rope = &at.p->rope;
        uint pair = rope->kind == 1 ? at.i - at.p->rope_at : (at.i - at.p->rope_at) / 2;
        float angle = (float)e->tokens[t].x * xn_frequency(e, rope, e->tokens[t].y, pair);
        local float *to = table + XN_AT_ROPE + t * XN_ROWS + r;
        to[0] = cos(angle) * rope->magnitude;
        to[1] = sin(angle) * rope->magnitude;
    }
    for (uint i = j->worker; i < j->n * d->n_parts; i += j->workers) {
        uint t = XN_TOKEN_OF(i, d->n_parts), part = i - t * d->n_parts;
        XN_D const struct xn_cl_part *p = &d->part[part];
        if (p->target == XN_CL_TO_CACHE)
            ((local ulong *)(table + XN_AT_CACHED))[XN_CL_MAX_PARTS * t + part] =
                (ulong)xn_page(e, &p->cache, e->tokens[t].z) + (ulong)e->tokens[t].w * p->cache.size * XN_CACHE_BYTES;
    }
    struct xn_segments segments = {0, 0, 0};
    for (uint i = 0, end = 0; i < d->n_parts; i++) {
        end += d->part[i].weights.rows;
        xn_put_segment(&segments, &d->part[i].weights, end > j->v0 ? min(end - j->v0, j->m) : 0, table);
    }
    j->b.segments = segments.n;
}

// Norms, rotates and stores the heads of a part that this unit completes. Nothing that was staged is there afterwards.
static inline void xn_complete_heads(const struct xn_env *e, XN_D const struct xn_cl_part *p, struct xn_job *j, uint base,
                                     uint counter, local float *scratch) {
    uint begin = max(base, j->v0), end = min(base + p->weights.rows, j->v0 + j->m);
    if (begin >= end) return;
    uint size = p->norm_whole ? p->weights.rows : p->head_stride;
    j->b.o.staged = 0;
#pragma unroll 1
    for (uint h = (begin - base) / size; h <= (end - 1 - base) / size; h++) {
        uint first = base + h * size, expected = (first + size - 1) / j->c - first / j->c + 1;
        if (!xn_arrive(e->counters + counter + h, expected, (local uint *)(scratch + XN_AT_FLAG))) continue;
#pragma unroll 1
        for (uint t = 0; t < j->n; t++)
            xn_finish_heads(e, p, t, h, p->norm_whole ? p->heads : 1, scratch + XN_AT_RED);
    }
}

static inline void xn_end_project(const struct xn_env *e, XN_D const struct xn_cl_project *d, struct xn_job *j,
                                  local float *scratch) {
#pragma unroll 1
    for (uint i = get_local_id(0); i < j->n * j->m; i += XN_GROUP) {
        uint t = XN_TOKEN_OF(i, j->m), r = i - t * j->m;
        struct xn_part_row at = xn_part_row(d, j->v0 + r);
        XN_D const struct xn_cl_part *p = at.p;
        float x = xn_y(&j->b, t, r, scratch);
        if (p->bias != XN_CL_NONE) x += e->vec[p->bias + at.row];
        x *= p->scale;
        if (at.rotated) {
            local const float *rope = j->b.table + XN_AT_ROPE + t * XN_ROWS + (r & ~1u);
            float other = xn_y(&j->b, t, r ^ 1, scratch);
            uint apart = p->rope.kind == 1 ? p->rope.dims / 2 : 1;
            if (p->bias != XN_CL_NONE) other += e->vec[p->bias + (r % 2 ? at.row - apart : at.row + apart)];
            other *= p->scale;
            x = r % 2 ? other * rope[1] + x * rope[0] : x * rope[0] - other * rope[1];
        }
        if (p->finish == XN_CL_FINISH_PAIRS && at.i < p->head_size && p->rope.query_beta != 0)
            x *= xn_temperature(p, e->tokens[t].x);
        if (p->target == XN_CL_TO_CACHE && p->finish != XN_CL_FINISH_HEADS) {
            ulong place = ((local const ulong *)(j->b.table + XN_AT_CACHED))[XN_CL_MAX_PARTS * t + (uint)(p - d->part)];
            global uchar *to = (global uchar *)place + (ulong)at.h * e->page_size * p->cache.size * XN_CACHE_BYTES;
            if (at.i < p->head_size) xn_cache_store(x, to, p->cache_at + at.i);
        } else {
            e->act[p->out + (ulong)t * p->out_stride + at.row] = x;
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

// Rows [v0, v0 + m) of one matrix.
static inline void xn_fill_one(const struct xn_env *e, XN_D const struct xn_cl_weights *w, uint first, struct xn_job *j,
                               local float *table) {
    j->b.units = w->units;
    j->b.rows = j->m;
#pragma unroll 1
    for (uint r = j->worker; r < j->m; r += j->workers)
        xn_put_row(e, w, first + j->v0 + r, 0, r, table);
    xn_put_segments(j, w, 0, w, table);
}

#ifdef XN_OP_PROJECT_ADD
static inline void xn_setup_project_add(const struct xn_env *e, XN_D const struct xn_cl_project_add *d, uint groups,
                                        struct xn_job *j) {
    j->n = xn_rows(e);
    xn_cut(j, d->weights.rows, 1, groups, XN_ROWS);
    j->b.o = xn_operand_of(&d->in, XN_CL_NONE);
    j->b.o.n = j->n;
}
static inline void xn_fill_project_add(const struct xn_env *e, XN_D const struct xn_cl_project_add *d, uint u,
                                       struct xn_job *j, local float *table) {
    xn_take_unit(j, u, d->weights.rows);
    xn_fill_one(e, &d->weights, 0, j, table);
}
static inline void xn_end_project_add(const struct xn_env *e, XN_D const struct xn_cl_project_add *d, struct xn_job *j,
                                      local float *scratch) {
    uint rows = d->weights.rows;
#pragma unroll 1
    for (uint i = get_local_id(0); i < j->n * j->m; i += XN_GROUP) {
        uint t = XN_TOKEN_OF(i, j->m), r = i - t * j->m;
        float x = xn_y(&j->b, t, r, scratch);
        if (d->bias != XN_CL_NONE) x += e->vec[d->bias + j->v0 + r];
        if (d->row_scale != XN_CL_NONE) x *= e->act[d->row_scale + (ulong)t * d->row_scale_stride];
        xn_wait_or_sum(e, &d->sum, d->scratch, t, rows, j->v0 + r, x);
    }
    if (d->sum.norm.kind == XN_NORM_NONE) return;
    if (!xn_arrive(e->counters, j->blocks, (local uint *)(scratch + XN_AT_FLAG))) return;
    j->b.o.staged = 0;
#pragma unroll 1
    for (uint t = 0; t < j->n; t++)
        xn_sum_row(e, &d->sum, t, e->act + d->scratch + (ulong)t * rows, rows, scratch + XN_AT_RED);
}
#endif

#ifdef XN_OP_GATE
static inline void xn_setup_gate(const struct xn_env *e, XN_D const struct xn_cl_gate *d, uint groups, struct xn_job *j) {
    j->n = xn_rows(e);
    xn_cut(j, d->up.rows, 1, groups, XN_ROWS / 2);
    j->b.o = xn_operand_of(&d->in, XN_CL_NONE);
    j->b.o.n = j->n;
}
static inline void xn_fill_gate(const struct xn_env *e, XN_D const struct xn_cl_gate *d, uint u, struct xn_job *j,
                                local float *table) {
    uint gates;
    xn_take_unit(j, u, d->up.rows);
    gates = d->gate.rows ? j->m : 0;
    j->b.units = d->up.units;
    j->b.rows = gates + j->m;
#pragma unroll 1
    for (uint r = j->worker; r < j->b.rows; r += j->workers)
        xn_put_row(e, r < gates ? &d->gate : &d->up, j->v0 + (r < gates ? r : r - gates), 0, r, table);
    xn_put_segments(j, &d->gate, gates, &d->up, table);
}
static inline void xn_end_gate(const struct xn_env *e, XN_D const struct xn_cl_gate *d, struct xn_job *j,
                               local float *scratch) {
    uint gates = j->b.rows - j->m;
#pragma unroll 1
    for (uint i = get_local_id(0); i < j->n * j->m; i += XN_GROUP) {
        uint t = XN_TOKEN_OF(i, j->m), r = i - t * j->m;
        float x = xn_glu_of(e, &d->glu, gates ? d->gate_bias : XN_CL_NONE, d->up_bias, j->v0 + r, gates != 0,
                            xn_y(&j->b, t, r, scratch), xn_y(&j->b, t, gates + r, scratch));
        if (d->times != XN_CL_NONE) x *= e->act[d->times + (ulong)t * d->times_stride + j->v0 + r];
        e->act[d->out + (ulong)t * d->out_stride + j->v0 + r] = x;
    }
}
#endif

#ifdef XN_OP_HEAD
static inline void xn_setup_head(const struct xn_env *e, XN_D const struct xn_cl_head *d, uint groups, struct xn_job *j) {
    j->n = xn_step_of(e)->n_outputs;
    xn_cut(j, d->weights.rows, j->n ? 1 : 0, groups, XN_ROWS);
    j->b.o = xn_operand_of(&d->in, xn_step_of(e)->outputs);
    j->b.o.n = j->n;
}
static inline void xn_fill_head(const struct xn_env *e, XN_D const struct xn_cl_head *d, uint u, struct xn_job *j,
                                local float *table) {
    xn_take_unit(j, u, d->weights.rows);
    xn_fill_one(e, &d->weights, 0, j, table);
}
static inline void xn_end_head(const struct xn_env *e, XN_D const struct xn_cl_head *d, struct xn_job *j,
                               local float *scratch) {
#pragma unroll 1
    for (uint i = get_local_id(0); i < j->n * j->m; i += XN_GROUP) {
        uint t = XN_TOKEN_OF(i, j->m), r = i - t * j->m;
        float x = xn_y(&j->b, t, r, scratch) * d->scale;
        if (d->soft_cap != 0) x = d->soft_cap * tanh(x / d->soft_cap);
        e->logits[(ulong)t * d->weights.rows + j->v0 + r] = x;
    }
}
#endif

#ifdef XN_OP_HEADS
static inline void xn_setup_heads(const struct xn_env *e, XN_D const struct xn_cl_heads *d, uint groups,
                                  struct xn_job *j) {
    j->n = xn_rows(e);
    xn_cut(j, d->weights.rows, d->heads, groups, XN_ROWS);
    j->of = XN_CL_NONE;
    j->b.o = xn_operand_at(0, d->in_stride, d->cols);
    j->b.o.n = j->n;
}
static inline void xn_fill_heads(const struct xn_env *e, XN_D const struct xn_cl_heads *d, uint u, struct xn_job *j,
                                 local float *table) {
    uint before = j->of;
    xn_take_unit(j, u, d->weights.rows);
    if (j->of != before) j->b.o.staged = 0;
    j->b.o.at = d->in + j->of * (d->cols + d->tail);
    xn_fill_one(e, &d->weights, j->of * d->weights.rows, j, table);
}
static inline void xn_end_heads(const struct xn_env *e, XN_D const struct xn_cl_heads *d, struct xn_job *j,
                                local float *scratch) {
    global float *out = e->act + d->out + j->of * (d->weights.rows + d->tail);
#pragma unroll 1
    for (uint i = get_local_id(0); i < j->n * j->m; i += XN_GROUP) {
        uint t = XN_TOKEN_OF(i, j->m), r = i - t * j->m;
        out[(ulong)t * d->out_stride + j->v0 + r] = xn_y(&j->b, t, r, scratch);
    }
    for (uint i = get_local_id(0); j->v0 == 0 && i < j->n * d->tail; i += XN_GROUP) {
        uint t = i / d->tail, at = i - t * d->tail;
        out[(ulong)t * d->out_stride + d->weights.rows + at] = e->act[j->b.o.at + (ulong)t * d->in_stride + d->cols + at];
    }
}
#endif
