// The same as walk_dense.cl for routers and the experts that tokens chose. Which those are is known when the choice is, so
// that their slices are cut here, as slices.c does for others.

#ifdef XN_OP_ROUTE
static inline void xn_end_route(const struct xn_env *e, XN_D const struct xn_cl_route *d, struct xn_job *j,
                                local float *scratch) {
    uint t, r;
    XN_EACH_RESULT(i) {
        uint v = j->s->first + r;
        float x = xn_y(j, t, r, scratch);
        if (v >= d->router.rows)
            e->act[d->gate + (ulong)t * d->gate_stride] = xn_sigmoid(x);
        else
            e->act[d->choice.scratch + (ulong)t * d->choice.experts + v] =
                x + (d->bias != XN_CL_NONE ? e->vec[d->bias + v] : 0);
    }
    if (d->left || !xn_arrive(e->counters, j->s->blocks, (local uint *)(scratch + XN_AT_FLAG))) return;
    j->o.staged = 0;
#pragma unroll 1
    for (t = 0; t < j->n; t++) {
        xn_choose_ids(e, &d->choice, t, scratch);
        xn_weigh_and_publish(e, &d->choice, t, scratch);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}
#endif

#if defined(XN_OP_EXPERT_GATE) || defined(XN_OP_EXPERT_ADD)
// The experts that a token chose.
static inline global const uint *xn_ids(const struct xn_env *e, uint ids, uint width, uint token) {
    return (global const uint *)e->act + ids + token * width;
}

// How the host has cut the results.
static inline void xn_take_cut(const struct xn_env *e, XN_D const struct xn_cl_expert_cut *cuts, struct xn_job *j) {
#ifdef XN_ONE
    uint tokens = 1;
    struct xn_cl_expert_cut cut = cuts[0];
#else
    uint tokens = xn_rows(e);
    struct xn_cl_expert_cut cut = cuts[tokens];
#endif
    j->all = cut.all;
    j->blocks = cut.blocks;
    j->slices = cut.blocks * tokens;
    j->passes = cut.passes;
    j->experts = cut.experts;
    j->n = 1;
}
static inline uint xn_shares_of(uint rows, uint units) {
    uint pairs = (rows + 1) / 2, wanted = units / 24;
    if (pairs > XN_WARPS / 2 || wanted <= 1) return 1;
    return pairs <= XN_WARPS / 8 && wanted > 7   ? 8
           : pairs <= XN_WARPS / 4 && wanted > 3 ? 4
           : pairs <= XN_WARPS / 3 && wanted > 2 ? 3
                                                 : 2;
}

// The pieces of a stack of matrices, from the slice's piece `at` on: the host sees to it that there are not more.
#define XN_EXPERT_PIECES (XN_CL_SLICE_PIECES / 2)
static inline void xn_put_pieces(const struct xn_env *e, XN_D const struct xn_cl_weights *w, uint at,
                                 local struct xn_cl_slice *s) {
    uint i = get_local_id(0);
    ulong before = (ulong)i * w->piece;
    if (i >= XN_EXPERT_PIECES || before >= w->all_rows) return;
    struct xn_cl_place place = i ? e->places[w->place + i] : w->first;
    s->piece[at + i].offset = place.offset;
    s->piece[at + i].heap = place.heap;
    s->piece[at + i].units = min(w->piece, w->all_rows - (uint)before) * w->units;
}
static inline void xn_put_row(XN_D const struct xn_cl_weights *w, uint at, uint row, uint part, uint r,
                              local struct xn_cl_slice *s) {
    uint which = row < w->piece ? 0 : row / w->piece;
    xn_slice_rows(s)[r].first = (row - which * w->piece) * w->units;
    xn_slice_rows(s)[r].piece = at + which | part << 8;
}
// Asks for the first plane of rows of weights, a line a work-item. (Of formats without whole bytes a unit, for others nearby.)
static inline void xn_ask_for_rows(const struct xn_env *e, XN_D const struct xn_cl_weights *w, uint r0, uint end,
                                   local struct xn_cl_slice *s) {
    uint bytes = w->plane[0], each = bytes / w->units, lines = (bytes + XN_LINE - 1) / XN_LINE;
#pragma unroll 1
    for (uint i = get_local_id(0); i < (end - r0) * lines; i += XN_GROUP) {
        uint r = i / lines, at = (i - r * lines) * XN_LINE;
        struct xn_cl_slice_row row = xn_slice_rows(s)[r0 + r];
        xn_prefetch_line(xn_slice_piece(e, s, row.piece & 255) + (ulong)row.first * each + at);
    }
}
static inline void xn_put_segment(XN_D const struct xn_cl_weights *w, uint end, local struct xn_cl_slice *s) {
    uint n = s->segments;
    if (n && s->segment[n - 1].type == w->type) n--;
    s->segment[n].type = w->type;
    s->segment[n].end = end;
    s->segments = n + 1;
}
// Slice u: results [first, first + results) of `rows` of token `of`, from so many rows of weights.
static inline uint xn_take_slice(struct xn_job *j, uint u, uint rows, uint *first) {
    j->o.first = u < j->blocks ? 0 : u / j->blocks;
    *first = (u - j->o.first * j->blocks) * j->all;
    return min(j->all, rows - *first);
}
static inline void xn_put_slice(uint first, uint results, uint rows, XN_D const struct xn_cl_weights *w,
                                local struct xn_cl_slice *s) {
    s->first = first;
    s->results = results;
    s->rows = rows;
    s->units = w->units;
    s->shares = xn_shares_of(rows, w->units);
    s->segments = s->ranges = 0;
}
#endif

#ifdef XN_OP_EXPERT_GATE
static inline void xn_setup_expert_gate(const struct xn_env *e, XN_D const struct xn_cl_expert_gate *d, struct xn_job *j) {
    xn_take_cut(e, d->cut, j);
    j->o = xn_operand_of(&d->in, XN_CL_NONE);
    j->o.first = XN_CL_NONE;
    j->o.n = 1;
}
// The experts of slice u's token, for all slices that this group has of it; the group of its first slice tells the others.
static inline void xn_take_choice(const struct xn_env *e, XN_D const struct xn_cl_expert_gate *d, struct xn_job *j, uint u,
                                  local uint *ids, local float *scratch) {
    uint token = j->o.first, i = get_local_id(0);
    bool here = false;
    j->o.staged = 0;
#ifdef XN_OP_ROUTE // else others have chosen
    here = d->choice.used != 0;
    if (here) {
        xn_choose_ids(e, &d->choice, token, scratch);
        if (u == token * j->blocks) xn_weigh_and_publish(e, &d->choice, token, scratch);
        if (i < d->used) ids[i] = XN_CHOSEN(scratch)[i];
    }
#endif
    if (i < d->used && !here) ids[i] = xn_ids(e, d->ids, d->width, token)[i];
    barrier(CLK_LOCAL_MEM_FENCE);
}
static inline void xn_fill_expert_gate(const struct xn_env *e, XN_D const struct xn_cl_expert_gate *d, uint u,
                                       struct xn_job *j, local float *scratch) {
    uint before = j->o.first, first, m = xn_take_slice(j, u, d->used * d->size, &first), gates = d->gate.rows ? m : 0;
    local uint *ids = (local uint *)(scratch + XN_AT_SUM);
    if (j->o.first != before) xn_take_choice(e, d, j, u, ids, scratch);
    xn_put_pieces(e, &d->up, XN_EXPERT_PIECES, j->s);
    if (gates) xn_put_pieces(e, &d->gate, 0, j->s);
#pragma unroll 1
    for (uint r = get_local_id(0); r < gates + m; r += XN_GROUP) {
        bool gate = r < gates;
        uint v = first + (gate ? r : r - gates), choice = v / d->size;
        xn_put_row(gate ? &d->gate : &d->up, gate ? 0 : XN_EXPERT_PIECES, ids[choice] * d->size + v - choice * d->size, 0, r,
                   j->s);
    }
    if (get_local_id(0) == 0) {
        xn_put_slice(first, m, gates + m, &d->up, j->s);
        if (gates) xn_put_segment(&d->gate, gates, j->s);
        xn_put_segment(&d->up, gates + m, j->s);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (gates) xn_ask_for_rows(e, &d->gate, 0, gates, j->s);
    xn_ask_for_rows(e, &d->up, gates, gates + m, j->s);
}
static inline void xn_end_expert_gate(const struct xn_env *e, XN_D const struct xn_cl_expert_gate *d, struct xn_job *j,
                                      local float *scratch) {
    uint gates = j->s->rows - j->s->results, r = get_local_id(0), token = j->o.first;
    if (r >= j->s->results) return;
    uint v = j->s->first + r, choice = v / d->size, at = 0;
    if (d->gate_bias != XN_CL_NONE || d->up_bias != XN_CL_NONE)
        at = ((local const uint *)(scratch + XN_AT_SUM))[choice] * d->size + v - choice * d->size;
    float x = xn_glu_of(e, &d->glu, gates ? d->gate_bias : XN_CL_NONE, d->up_bias, at, gates != 0, xn_y(j, 0, r, scratch),
                        xn_y(j, 0, gates + r, scratch));
    e->act[d->out + (ulong)token * d->out_stride + v] = x;
}
#endif

#ifdef XN_OP_EXPERT_ADD
#ifndef XN_ONE
// The sum that a norm waits for: value i of a row.
static inline void xn_wait_or_sum(const struct xn_env *e, XN_D const struct xn_cl_sum *s, uint scratch_at, uint row,
                                  uint rows, uint i, float x) {
    if (s->norm.kind != XN_NORM_NONE)
        e->act[scratch_at + (ulong)row * rows + i] = x;
    else
        xn_sum_value(e, s, row, i, x);
}
#endif

static inline void xn_setup_expert_add(const struct xn_env *e, XN_D const struct xn_cl_expert_add *d, struct xn_job *j) {
    xn_take_cut(e, d->cut, j);
    j->o = xn_operand_at(d->in, d->in_stride, d->size);
    j->o.n = 1;
}
#ifdef XN_ONE
// What results [first, first + m) need of memory, to local memory: what they are added to, then the weights of `parts` experts
// from the one numbered j0 on. A slice has a row for each result and part, so there is room.
static inline void xn_early_expert_add(const struct xn_env *e, XN_D const struct xn_cl_expert_add *d, uint j0, uint parts,
                                       uint first, uint m, local float *scratch) {
    uint i = get_local_id(0);
    if (i < parts) xn_copy_4(scratch + XN_AT_EARLY + m + i, e->act + d->chosen_weights + j0 + i);
    if (i < m && !d->sum.set) xn_copy_4(scratch + XN_AT_EARLY + i, e->act + d->sum.to + first + i);
}
#endif
static inline void xn_fill_expert_add(const struct xn_env *e, XN_D const struct xn_cl_expert_add *d, uint u,
                                      struct xn_job *j, local float *scratch) {
    uint most = j->experts, j0 = j->pass * most, parts = min(most, d->used - j0), first;
    uint m = xn_take_slice(j, u, d->down.rows, &first);
    j->o.at = d->in + j0 * d->size;
    j->o.parts = parts;
    j->o.staged = 0;
    uint each = m + m % 2, rows = parts * each; // two rows that are taken together meet the same activations
    global const uint *ids = xn_ids(e, d->ids, d->width, j->o.first) + j0;
    xn_put_pieces(e, &d->down, 0, j->s);
#pragma unroll 1
    for (uint r = get_local_id(0); r < rows; r += XN_GROUP) {
        uint part = r / each;
        xn_put_row(&d->down, 0, ids[part] * d->down.rows + first + min(r - part * each, m - 1), part, r, j->s);
    }
    if (get_local_id(0) == 0) {
        xn_put_slice(first, m, rows, &d->down, j->s);
        xn_put_segment(&d->down, rows, j->s);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    xn_ask_for_rows(e, &d->down, 0, rows, j->s);
#ifdef XN_ONE
    xn_early_expert_add(e, d, j0, parts, first, m, scratch);
#endif
}
static inline void xn_end_expert_add(const struct xn_env *e, XN_D const struct xn_cl_expert_add *d, struct xn_job *j,
                                     local float *scratch) {
    uint rows = d->down.rows, parts = j->o.parts, m = j->s->results, each = m + m % 2, token = j->o.first;
    uint j0 = j->pass * j->experts, r = get_local_id(0), at = j->s->first + r;
    bool last = j->pass + 1 == j->passes;
    local float *sum = scratch + XN_AT_SUM;
    if (r < m) {
        global const uint *ids = xn_ids(e, d->ids, d->width, token) + j0;
#ifdef XN_ONE
        local const float *weights = scratch + XN_AT_EARLY + m;
#else
        global const float *weights = e->act + d->chosen_weights + token * d->width + j0;
#endif
        float x = 0;
        local const float *y = scratch + XN_AT_Y + r; // of one token, whose scale is 1
#pragma unroll 1
        for (uint i = 0; i < j->s->shares; i++, y += j->s->rows)
#pragma unroll 4
            for (uint part = 0; part < parts; part++)
                x += weights[part] * y[part * each];
        if (d->bias != XN_CL_NONE)
            for (uint part = 0; part < parts; part++)
                x += weights[part] * e->vec[d->bias + ids[part] * rows + at];
        if (j->pass) x += sum[r];
        sum[r] = x;
#ifdef XN_ONE
        if (last && d->sum.norm.kind == XN_NORM_NONE)
            e->act[d->sum.to + at] = d->sum.after * ((d->sum.set ? 0 : scratch[XN_AT_EARLY + r]) + d->sum.scale * x);
        else if (last)
            e->act[d->scratch + at] = x;
#else
        if (last) xn_wait_or_sum(e, &d->sum, d->scratch, token, rows, at, x);
#endif
    }
    if (d->sum.norm.kind == XN_NORM_NONE || !last) return;
    if (!xn_arrive(e->counters + token, j->blocks, (local uint *)(scratch + XN_AT_FLAG))) return;
    xn_sum_row(e, &d->sum, token, e->act + d->scratch + (ulong)token * rows, rows, scratch + XN_AT_RED);
}
#endif
