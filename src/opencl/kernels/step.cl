// scan_step: a whole mixer for few rows: convolution, recurrence, norm and gate. A group takes columns of a head of a
// sequence, and convolves what they need; who completes what shares a norm and a key head does what needs all of it.

// A sequence's rows of the batch.
struct xn_rows_of {
    uint first, n, slot;
};
static inline uint xn_spans(const struct xn_env *e) {
#ifdef XN_WALK
    uint n = 0;
    for (uint i = 0; i < XN_TOKENS; i++)
        n += (e->spans[i].y & 255) != 0;
    return n;
#else
    return xn_step_of(e)->n_spans;
#endif
}
static inline struct xn_rows_of xn_rows_of(const struct xn_env *e, uint span) {
#ifdef XN_WALK
    uint2 s = e->spans[span];
    struct xn_rows_of r = {s.y >> 8, s.y & 255, s.x};
#else
    global const struct xn_cl_span *s = xn_span_at(e, span);
    struct xn_rows_of r = {s->first_row, s->n_rows, s->slot};
#endif
    return r;
}

// How columns of heads are dealt out: `blocks` of so many columns each, so that there are as many units as groups where
// columns suffice.
struct xn_scan_cut {
    uint columns, blocks, units;
};
static inline struct xn_scan_cut xn_scan_cut_of(const struct xn_env *e, XN_D const struct xn_cl_scan *d, uint groups,
                                                const uint parts) {
    uint heads = xn_spans(e) * d->heads, of_warp = XN_LANES / parts, most = XN_GROUP / parts;
    uint wanted = max(groups / heads, 1u), columns = (d->value_size + wanted - 1) / wanted;
    struct xn_scan_cut cut;
    cut.columns = min((columns + of_warp - 1) / of_warp * of_warp, most);
    cut.blocks = (d->value_size + cut.columns - 1) / cut.columns;
    cut.units = heads * cut.blocks;
    return cut;
}

// Keys of a sequence and head, and the parts of norms that their heads have, are completed together: a set. Which of
// the parts is number i of it.
static inline uint xn_scan_part_of(XN_D const struct xn_cl_scan *d, uint set, uint i) {
    return d->heads_tiled ? set + i * d->sets : set * (d->norm_parts / d->sets) + i;
}

// Channel c of a span.
static inline struct xn_conv xn_scan_conv(const struct xn_env *e, XN_D const struct xn_cl_scan *d, uint first_row,
                                          global float *window, uint c) {
    struct xn_conv x = {e->act + d->in + (ulong)first_row * d->in_stride + c,
                        e->vec + d->conv + (ulong)c * d->taps,
                        window + c,
                        d->in_stride,
                        d->channels,
                        d->taps - 1,
                        0};
    return x;
}

#ifdef XN_WALK
// Asks for what this group's first unit reads of memory that the operation before does not write.
static inline void xn_ask_for_scan(const struct xn_env *e, XN_D const struct xn_cl_scan *d, uint group, uint groups) {
    struct xn_scan_cut cut = xn_scan_cut_of(e, d, groups, d->parts);
    if (group >= cut.units) return;
    struct xn_rows_of rows = xn_rows_of(e, group / (d->heads * cut.blocks));
    uint h = group / cut.blocks % d->heads, first = group % cut.blocks * cut.columns;
    uint bytes = min(cut.columns, d->value_size - first) * 4, lines = (bytes + XN_LINE - 1) / XN_LINE;
    global const uchar *state = (global const uchar *)(xn_scan_state(e, d, rows.slot, h) + first);
    for (uint i = get_local_id(0); i < d->key_size * lines; i += XN_GROUP)
        xn_prefetch_line(state + (ulong)(i / lines) * d->value_size * 4 + i % lines * XN_LINE);
    // The taps of its values, keys and queries.
    uint kh = xn_scan_key_head(d, h) * d->key_size, side = get_local_id(0) / 64;
    uint at = side == 0 ? d->keys + kh : side == 1 ? d->queries + kh : d->values + h * d->value_size + first;
    uint n = (side < 2 ? d->key_size : bytes / 4) * d->taps * 4;
    for (uint i = get_local_id(0) % 64 * XN_LINE; side < 3 && i < n; i += 64 * XN_LINE)
        xn_prefetch_line((global const uchar *)(e->vec + d->conv + (ulong)at * d->taps) + i);
}
#endif

#define XN_SCAN_STEP_FLOATS (2 * XN_CL_SCAN_VALUES * 8 + XN_GROUP / 4) // keys, queries and values of a row
#define XN_SCAN_STEP_SCRATCH (2 * XN_GROUP + 4 + 2 * XN_SCAN_STEP_FLOATS)
#if XN_SCAN_STEP_SCRATCH > XN_CL_SCRATCH
#error "a step of a recurrence needs more local memory than operations get"
#endif

// The convolution of a row: what a unit needs of it, to x: [2][padded] keys and queries, zero behind their end, then
// values.
static inline void xn_scan_convolve(const struct xn_env *e, XN_D const struct xn_cl_scan *d, struct xn_rows_of rows,
                                    uint r, uint h, uint first, uint columns, global float *window, const uint padded,
                                    local float *x) {
    uint kh = xn_scan_key_head(d, h) * d->key_size;
    for (uint i = get_local_id(0); i < 2 * padded + columns; i += XN_GROUP) {
        uint at = i < padded ? i : i < 2 * padded ? i - padded : i - 2 * padded;
        uint c = i < padded ? d->keys + kh : i < 2 * padded ? d->queries + kh : d->values + h * d->value_size + first;
        bool is = at < (i < 2 * padded ? d->key_size : d->value_size - first);
        float sum = 0;
        if (is) {
            struct xn_conv conv = xn_scan_conv(e, d, rows.first, window, c + at);
            float bias = d->bias != XN_CL_NONE ? e->vec[d->bias + c + at] : 0;
            sum = bias + xn_conv_sum(&conv, (int)r);
        }
        x[i] = sum * xn_sigmoid(sum);
    }
}

// Factors of a row and head, whose keys and queries stand at k and q. Every warp computes them.
static inline struct xn_scan_factors xn_scan_step_factors(XN_D const struct xn_cl_scan *d, struct xn_scan_drive drive,
                                                          local const float4 *k, local const float4 *q,
                                                          const uint padded, local float *red) {
    float kk = 0, qq = 0, kq = 0;
    for (uint i = xn_lane(); i < padded / 4; i += XN_LANES) {
        if (d->delta) {
            kk = xn_dot_4(k[i], k[i], kk);
            qq = xn_dot_4(q[i], q[i], qq);
        }
        kq = xn_dot_4(k[i], q[i], kq);
    }
    kk = xn_warp_sum(kk, red);
    qq = xn_warp_sum(qq, red);
    kq = xn_warp_sum(kq, red);
    return xn_scan_factors_of(d, drive, kk, qq, kq);
}

// What a set needs when all of its units have come: the window of its keys moves on, norm and gate. last: it is so.
static inline void xn_scan_complete(const struct xn_env *e, XN_D const struct xn_cl_scan *d, struct xn_rows_of rows,
                                    uint set, global float *window, bool last, local float *red) {
    uint n = d->key_heads / d->sets * d->key_size; // keys of a set
    for (uint i = get_local_id(0); last && i < 2 * n && d->taps > 1; i += XN_GROUP) {
        uint c = (i < n ? d->keys + i : d->queries + i - n) + set * n;
        struct xn_conv conv = xn_scan_conv(e, d, rows.first, window, c);
        xn_conv_move(&conv, rows.n);
    }
    uint parts = d->norm_parts / d->sets, all = last ? rows.n * parts : 0;
#ifdef XN_HAS_SHUFFLE
    if (!xn_scan_norm_whole(d)) {
        for (uint i = xn_warp(); i < all; i += XN_WARPS)
            xn_scan_norm_part(e, d, rows.first + i / parts, xn_scan_part_of(d, set, i % parts), true, false, red);
        return;
    }
#endif
    XN_EACH(i, 0, all) {
        xn_scan_norm_part(e, d, rows.first + i / parts, xn_scan_part_of(d, set, i % parts), i < all, true, red);
    }
    XN_NEXT(i, all, 1);
}

static inline void xn_scan_step_all(const struct xn_env *e, XN_D const struct xn_cl_scan *d, uint group, uint groups,
                                    local float *scratch, const uint parts, const uint delta) {
    const uint padded = parts * XN_SCAN_VALUES, of_warp = XN_LANES / parts;
    local float *red = scratch, *x = scratch + 2 * XN_GROUP + 4;
    uint lane = xn_lane(), part = lane / of_warp, mine = xn_warp() * of_warp + lane % of_warp, turn = 0;
    struct xn_scan_cut cut = xn_scan_cut_of(e, d, groups, parts);
    if (group >= cut.units) return;
    XN_EACH(u, group, cut.units) {
        uint sequence = u / (d->heads * cut.blocks), h = u / cut.blocks % d->heads, first = u % cut.blocks * cut.columns;
        struct xn_rows_of rows = xn_rows_of(e, sequence);
        global float *window = xn_slot(e, &d->states, rows.slot);
        global float *state = window + d->states.conv_floats + (ulong)h * d->key_size * d->value_size;
        // Columns beyond this block's count as if there were none.
        uint column = mine < cut.columns ? first + mine : d->value_size;
        float4 s[XN_SCAN_QUADS];
        xn_scan_load(d, state, part, column, parts, s);
        XN_EACH(r, 0, rows.n) {
            local float *now = x + turn * XN_SCAN_STEP_FLOATS;
            local const float4 *k = (local const float4 *)now, *q = k + padded / 4;
            struct xn_scan_drive drive = xn_scan_drive_of(e, d, rows.first + r, h);
            xn_scan_convolve(e, d, rows, r, h, first, cut.columns, window, padded, now);
            barrier(CLK_LOCAL_MEM_FENCE);
#ifdef XN_HAS_SHUFFLE
            if (xn_warp() * of_warp < cut.columns)
#endif
            {
                struct xn_scan_factors f = xn_scan_step_factors(d, drive, k, q, padded, red);
                float v = now[2 * padded + min(mine, cut.columns - 1)];
                float y = xn_scan_row(s, k + part, q + part, f.a, f.b, v, parts, delta, red);
                if (part == 0 && column < d->value_size)
                    e->act[d->out + (ulong)(rows.first + r) * d->out_stride + h * d->value_size + column] = y;
            }
            turn ^= 1;
        }
        XN_NEXT(r, rows.n, 1);
        xn_scan_store(d, state, part, column, parts, s);
        // No other group reads the window of these values, and no work-item of this one any more.
        for (uint i = get_local_id(0); i < min(cut.columns, d->value_size - first) && d->taps > 1; i += XN_GROUP) {
            struct xn_conv conv = xn_scan_conv(e, d, rows.first, window, d->values + h * d->value_size + first + i);
            xn_conv_move(&conv, rows.n);
        }
        uint set = xn_scan_key_head(d, h) / (d->key_heads / d->sets);
        bool last = xn_arrive(e->counters + sequence * d->sets + set, d->heads / d->sets * cut.blocks,
                              (local uint *)(scratch + 2 * XN_GROUP));
        xn_scan_complete(e, d, rows, set, window, last, red);
    }
    XN_NEXT(u, cut.units, groups);
}

static inline void xn_op_scan_step(const struct xn_env *e, XN_D const struct xn_cl_scan *d, uint group, uint groups,
                                   local float *scratch) {
#ifdef XN_HAS_SHUFFLE // each with loops of known lengths
    if (d->delta && d->parts <= 4)
        xn_scan_step_all(e, d, group, groups, scratch, 4, 1);
    else if (d->delta)
        xn_scan_step_all(e, d, group, groups, scratch, 8, 1);
    else if (d->parts <= 4)
        xn_scan_step_all(e, d, group, groups, scratch, 4, 0);
    else
        xn_scan_step_all(e, d, group, groups, scratch, 8, 0);
#else
    xn_scan_step_all(e, d, group, groups, scratch, d->parts, d->delta);
#endif
}
#define xn_cl_scan_step xn_cl_scan
#ifndef XN_WALK
XN_SMALL_KERNEL(scan_step, XN_SCAN_STEP_SCRATCH)
#endif
