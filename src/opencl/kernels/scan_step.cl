// scan_step: a whole mixer for few rows: convolution, recurrence, norm and gate. A group takes columns of a head of a
// sequence, and convolves what they need; who completes what shares a norm and a key head does what needs all of it.

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
// Columns from `first` on of head h, which listens to key head kh, of a sequence.
struct xn_scan_unit {
    uint sequence, h, kh, first;
};
static inline struct xn_scan_unit xn_scan_unit_of(XN_D const struct xn_cl_scan *d, const struct xn_scan_cut *cut,
                                                  uint u) {
    struct xn_scan_unit unit;
    uint head = u / cut->blocks;
    unit.first = (u - head * cut->blocks) * cut->columns;
    unit.sequence = head / d->heads;
    unit.h = head - unit.sequence * d->heads;
    unit.kh = xn_scan_key_head(d, unit.h);
    return unit;
}

// Keys of a sequence and head, and the parts of norms that their heads have, are completed together: a set. Which of
// the parts is number i of it.
static inline uint xn_scan_part_of(XN_D const struct xn_cl_scan *d, uint set, uint i) {
    return d->heads_tiled ? set + i * d->sets : set * d->set_parts + i;
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

// Local memory: sums, a flag, where a walk leaves what it found out before the wait, then keys, queries and values of a
// row, twice.
#define XN_SCAN_AT_FLAG (2 * XN_GROUP)
#define XN_SCAN_AT_FIRST (XN_SCAN_AT_FLAG + 4)
#define XN_SCAN_AT_ROWS (XN_SCAN_AT_FIRST + 8)
#define XN_SCAN_STEP_FLOATS (2 * XN_CL_SCAN_KEYS + XN_GROUP / 4 + XN_LANES)
#define XN_SCAN_STEP_SCRATCH (XN_SCAN_AT_ROWS + 2 * XN_SCAN_STEP_FLOATS)
#if XN_SCAN_STEP_SCRATCH > XN_CL_SCRATCH
#error "a step of a recurrence needs more local memory than operations get"
#endif

#ifdef XN_WALK
// Lines of memory, by 64 work-items.
static inline void xn_scan_ask(global const float *from, uint n) {
    for (uint i = get_local_id(0) % 64 * XN_LINE; i < 4 * n; i += 64 * XN_LINE)
        xn_prefetch_line((global const uchar *)from + i);
}
// Before others are waited for: which unit this group begins with, and asking for what it reads of memory that the
// operation before does not write.
static inline void xn_begin_scan_step(const struct xn_env *e, XN_D const struct xn_cl_scan *d, uint group, uint groups,
                                      local float *scratch) {
    struct xn_scan_cut cut = xn_scan_cut_of(e, d, groups, d->parts);
    struct xn_scan_unit unit = xn_scan_unit_of(d, &cut, group);
    local uint *first = (local uint *)(scratch + XN_SCAN_AT_FIRST);
    if (get_local_id(0) == 0) {
        *(local uint4 *)first = (uint4)(cut.columns, cut.blocks, cut.units, unit.first);
        *(local uint4 *)(first + 4) = (uint4)(unit.sequence, unit.h, unit.kh, 0);
    }
    if (group >= cut.units) return;
    for (uint u = group; u < cut.units; u += groups) { // states of all, the rest of the first
        struct xn_scan_unit of = xn_scan_unit_of(d, &cut, u);
        global const float *state = xn_scan_state(e, d, xn_rows_of_span(e, of.sequence).slot, of.h) + of.first;
        uint lines = (min(cut.columns, d->value_size - of.first) * 4 + XN_LINE - 1) / XN_LINE;
        for (uint i = get_local_id(0); i < d->key_size * lines; i += XN_GROUP)
            xn_prefetch_line((global const uchar *)(state + (ulong)(i / lines) * d->value_size) + i % lines * XN_LINE);
    }
    global float *window = xn_slot(e, &d->states, xn_rows_of_span(e, unit.sequence).slot);
    uint n = min(cut.columns, d->value_size - unit.first);
    // Taps and windows of its keys, queries and values.
    uint side = get_local_id(0) / 64;
    if (side < 3) {
        uint c = side == 2 ? d->values + unit.h * d->value_size + unit.first
                           : (side ? d->queries : d->keys) + unit.kh * d->key_size;
        if (side < 2) n = d->key_size;
        xn_scan_ask(e->vec + d->conv + (ulong)c * d->taps, n * d->taps);
        for (uint t = 0; t + 1 < d->taps; t++)
            xn_scan_ask(window + (ulong)t * d->channels + c, n);
        if (d->bias != XN_CL_NONE) xn_scan_ask(e->vec + d->bias + c, n);
    } else if (side == 3) {
        xn_scan_ask(e->vec + d->dt_bias + unit.h, 1);
        xn_scan_ask(e->vec + d->decay_rate + unit.h, 1);
        if (d->norm_shared && d->norm.weight != XN_CL_NONE) xn_scan_ask(e->vec + d->norm.weight, d->norm_size);
    }
}
#endif

// The convolution of a row: what a unit needs of it, to x: [2][padded] keys and queries, zero behind their end, then
// values.
static inline void xn_scan_convolve(const struct xn_env *e, XN_D const struct xn_cl_scan *d, struct xn_rows_of rows,
                                    uint r, const struct xn_scan_unit *unit, uint columns, global float *window,
                                    const uint padded, local float *x) {
    uint all = (2 * padded + columns + XN_LANES - 1) / XN_LANES * XN_LANES; // whole warps
    for (uint i = get_local_id(0); i < all; i += XN_GROUP) {
        bool key = i < padded, query = !key && i < 2 * padded;
        uint at = key ? i : query ? i - padded : i - 2 * padded;
        uint n = key || query ? d->key_size : min(columns, d->value_size - unit->first);
        uint c = key || query ? (key ? d->keys : d->queries) + unit->kh * d->key_size
                              : d->values + unit->h * d->value_size + unit->first;
        struct xn_conv conv = xn_scan_conv(e, d, rows.first, window, c + min(at, n - 1));
        float sum = d->bias != XN_CL_NONE ? e->vec[d->bias + c + min(at, n - 1)] : 0;
        if (d->taps <= XN_CONV_TAPS) {
            struct xn_conv_few few = xn_conv_ask(&conv, (int)r);
            XN_ALL_ASKED();
            sum += xn_conv_sum_few(&few, conv.before);
        } else {
            sum += xn_conv_sum_many(&conv, (int)r);
        }
        x[i] = at < n ? sum * xn_sigmoid(sum) : 0;
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
    uint n = d->set_keys;
    for (uint i = get_local_id(0); last && i < 2 * n && d->taps > 1; i += XN_GROUP) {
        uint c = (i < n ? d->keys + i : d->queries + i - n) + set * n;
        struct xn_conv conv = xn_scan_conv(e, d, rows.first, window, c);
        xn_conv_move(&conv, rows.n);
    }
    uint parts = d->set_parts, all = last ? rows.n * parts : 0;
#ifdef XN_HAS_SHUFFLE
    if (xn_scan_norm_is_short(d)) {
        for (uint i = XN_WARPS - 1 - xn_warp(); i < all; i += XN_WARPS) // those that have no keys' windows
            xn_scan_norm_short(e, d, rows.first + i / parts, xn_scan_part_of(d, set, i % parts));
        return;
    }
#endif
    XN_EACH(i, 0, all) {
        xn_scan_norm_whole(e, d, rows.first + i / parts, xn_scan_part_of(d, set, i % parts), i < all, red);
    }
    XN_NEXT(i, all, 1);
}

static inline void xn_scan_step_all(const struct xn_env *e, XN_D const struct xn_cl_scan *d, uint group, uint groups,
                                    local float *scratch, const uint parts) {
    const uint padded = parts * XN_SCAN_VALUES, of_warp = XN_LANES / parts;
    local float *red = scratch, *x = scratch + XN_SCAN_AT_ROWS;
    uint lane = xn_lane(), part = lane / of_warp, mine = xn_warp() * of_warp + lane % of_warp, turn = 0;
#ifdef XN_WALK // xn_begin_scan_step found it out
    local const uint *known = (local const uint *)(scratch + XN_SCAN_AT_FIRST);
    barrier(CLK_LOCAL_MEM_FENCE);
    struct xn_scan_cut cut = {known[0], known[1], known[2]};
    struct xn_scan_unit unit = {known[4], known[5], known[6], known[3]};
#else
    struct xn_scan_cut cut = xn_scan_cut_of(e, d, groups, parts);
    struct xn_scan_unit unit = xn_scan_unit_of(d, &cut, group);
#endif
    if (group >= cut.units) return;
    XN_EACH(u, group, cut.units) {
        if (u != group) unit = xn_scan_unit_of(d, &cut, u);
        uint h = unit.h, first = unit.first;
        struct xn_rows_of rows = xn_rows_of_span(e, unit.sequence);
        global float *window = xn_slot(e, &d->states, rows.slot);
        global float *state = window + d->states.conv_floats + (ulong)h * d->key_size * d->value_size;
        // Columns beyond this block's count as if there were none.
        uint column = mine < cut.columns ? first + mine : d->value_size;
#ifdef XN_HAS_SHUFFLE
        bool works = xn_warp() * of_warp < cut.columns; // a warp of no columns has nothing to do with the state
#else
        bool works = true;
#endif
        float4 s[XN_SCAN_QUADS];
        xn_scan_load(d, state, part, column, parts, works, s);
        XN_EACH(r, 0, rows.n) {
            local float *now = x + turn * XN_SCAN_STEP_FLOATS;
            local const float4 *k = (local const float4 *)now, *q = k + padded / 4;
            struct xn_scan_drive drive = xn_scan_drive_of(e, d, rows.first + r, h);
            xn_scan_convolve(e, d, rows, r, &unit, cut.columns, window, padded, now);
            barrier(CLK_LOCAL_MEM_FENCE);
#ifdef XN_HAS_SHUFFLE
            if (works)
#endif
            {
                struct xn_scan_factors f = xn_scan_step_factors(d, drive, k, q, padded, red);
                float v = now[2 * padded + min(mine, cut.columns - 1)];
                float y = xn_scan_row(s, k + part, q + part, f.a, f.b, v, parts, 1, red); // state spaces: seen is 0
                if (part == 0 && column < d->value_size)
                    e->act[d->out + (ulong)(rows.first + r) * d->out_stride + h * d->value_size + column] = y;
            }
            turn ^= 1;
        }
        XN_NEXT(r, rows.n, 1);
        // No other group reads the window of these values, and no work-item of this one any more.
        for (uint i = get_local_id(0); i < min(cut.columns, d->value_size - first) && d->taps > 1; i += XN_GROUP) {
            struct xn_conv conv = xn_scan_conv(e, d, rows.first, window, d->values + h * d->value_size + first + i);
            xn_conv_move(&conv, rows.n);
        }
        uint set = d->sets == 1 ? 0 : unit.kh; // each key head, or all, are one
        bool last = xn_arrive(e->counters + unit.sequence * d->sets + set, d->set_heads * cut.blocks,
                              (local uint *)(scratch + XN_SCAN_AT_FLAG));
        // Nobody waits for the state, so it is on its way behind what somebody does.
        if (works) xn_scan_store(d, state, part, column, parts, s);
        xn_scan_complete(e, d, rows, set, window, last, red);
    }
    XN_NEXT(u, cut.units, groups);
}

static inline void xn_op_scan_step(const struct xn_env *e, XN_D const struct xn_cl_scan *d, uint group, uint groups,
                                   local float *scratch) {
#ifdef XN_HAS_SHUFFLE // each with loops of known lengths
    if (d->parts <= 4)
        xn_scan_step_all(e, d, group, groups, scratch, 4);
    else
        xn_scan_step_all(e, d, group, groups, scratch, 8);
#else
    xn_scan_step_all(e, d, group, groups, scratch, d->parts);
#endif
}
#define xn_cl_scan_step xn_cl_scan
#ifndef XN_WALK
XN_SMALL_KERNEL(scan_step, XN_SCAN_STEP_SCRATCH)
#endif
