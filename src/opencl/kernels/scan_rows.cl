// The recurrence over many rows, from what the convolution of all of them gave: factors of each row and head first
// (scan_prepare), then a group takes columns of a head through all rows of a sequence, the state in registers (scan).

#ifdef XN_OP_SCAN_PREPARE
// A warp takes a row and head.
static inline void xn_op_scan_prepare(const struct xn_env *e, XN_D const struct xn_cl_scan *d, uint group, uint groups,
                                      local float *scratch) {
    uint units = xn_rows(e) * d->heads;
    if (group * XN_WARPS >= units) return;
    XN_EACH(first, group * XN_WARPS, units) {
        uint u = min(first + xn_warp(), units - 1), row = u / d->heads, h = u % d->heads;
        global const float *in = e->act + d->in + (ulong)row * d->in_stride + xn_scan_key_head(d, h) * d->key_size;
        struct xn_scan_drive drive = xn_scan_drive_of(e, d, row, h);
        float kk = 0, qq = 0, kq = 0;
#pragma unroll 4
        for (uint i = xn_lane(); i < d->key_size; i += XN_LANES) {
            float k = in[d->keys + i], q = in[d->queries + i];
            kk += k * k;
            qq += q * q;
            kq += k * q;
        }
        kk = xn_warp_sum(kk, scratch);
        qq = xn_warp_sum(qq, scratch);
        kq = xn_warp_sum(kq, scratch);
        struct xn_scan_factors f = xn_scan_factors_of(d, drive, kk, qq, kq);
        global float4 *to = (global float4 *)(e->act + d->factors + ((ulong)row * d->heads + h) * XN_CL_SCAN_FACTORS);
        if (xn_lane() == 0 && first + xn_warp() < units) {
            to[0] = f.a;
            to[1] = f.b;
        }
    }
    XN_NEXT(first, units, groups * XN_WARPS);
}
#define xn_cl_scan_prepare xn_cl_scan
XN_SMALL_KERNEL(scan_prepare, XN_GROUP)
#endif

#ifdef XN_OP_SCAN
// A block of rows, of which there are two: one that is worked on, and the next one on its way.
#define XN_SCAN_KEYS 2048 // floats of keys and queries of a block
#define XN_SCAN_ROWS 8    // the most rows of one
#define XN_SCAN_HELD 2    // of its values, those that a work-item fetches
#define XN_SCAN_SCRATCH (2 * XN_SCAN_KEYS + 2 * XN_SCAN_HELD * XN_GROUP + 2 * XN_SCAN_ROWS * XN_CL_SCAN_FACTORS + 2 * XN_GROUP)
#if XN_SCAN_SCRATCH > XN_CL_SCRATCH || XN_SCAN_ROWS * XN_CL_SCAN_FACTORS > 4 * XN_GROUP
#error "a scan needs more local memory, or work-items, than it has"
#endif

// What a group reads of rows [row, row + n) for a head: keys and queries, as [n][2][padded], and factors. What is read
// of the descriptor is so before the loops, behind whose writes the compiler would read it again.
static inline void xn_scan_stage(const struct xn_env *e, XN_D const struct xn_cl_scan *d, uint row, uint n, uint h,
                                 const uint padded, bool aligned, local float *keys, local float *factors) {
    uint size = d->key_size, stride = d->in_stride, at = xn_scan_key_head(d, h) * size;
    global const float *k = e->act + d->in + d->keys + at, *q = e->act + d->in + d->queries + at;
    for (uint i = xn_warp(); i < 2 * n; i += XN_WARPS) { // keys or queries of a row each
        global const float *from = (i % 2 ? q : k) + (ulong)(row + i / 2) * stride;
        local float *to = keys + i * padded;
        for (uint c = 4 * xn_lane(); aligned && c < size; c += 4 * XN_LANES)
            xn_copy_16(to + c, from + c);
        for (uint c = xn_lane(); !aligned && c < size; c += XN_LANES)
            to[c] = from[c];
    }
    uint i = get_local_id(0) / (XN_CL_SCAN_FACTORS / 4), quad = get_local_id(0) % (XN_CL_SCAN_FACTORS / 4);
    if (i < n)
        xn_copy_16(factors + XN_CL_SCAN_FACTORS * i + 4 * quad,
                   e->act + d->factors + ((ulong)(row + i) * d->heads + h) * XN_CL_SCAN_FACTORS + 4 * quad);
}

// This work-item's share of the values of rows [row, row + n): those of `size` columns of which there are some.
static inline void xn_scan_hold(global const float *v, uint stride, uint row, uint n, uint size, const uint columns,
                                float *held) {
#pragma unroll
    for (uint x = 0; x < XN_SCAN_HELD; x++) {
        uint i = get_local_id(0) + x * XN_GROUP, r = i / columns, c = i % columns;
        held[x] = r < n && c < size ? v[(ulong)(row + r) * stride + c] : 0;
    }
}

static inline void xn_scan_all(const struct xn_env *e, XN_D const struct xn_cl_scan *d, uint group, uint groups,
                               local float *scratch, const uint parts, const uint delta) {
    const uint padded = parts * XN_SCAN_VALUES, block = XN_SCAN_KEYS / 2 / padded, columns = XN_GROUP / parts,
               of_warp = XN_LANES / parts;
    local float *keys = scratch, *values = keys + 2 * XN_SCAN_KEYS, *factors = values + 2 * XN_SCAN_HELD * XN_GROUP,
                *red = factors + 2 * XN_SCAN_ROWS * XN_CL_SCAN_FACTORS;
    uint lid = get_local_id(0), lane = xn_lane(), part = lane / of_warp, mine = xn_warp() * of_warp + lane % of_warp;
    uint heads = d->heads, size = d->value_size, in_stride = d->in_stride, out_stride = d->out_stride;
    uint key_size = d->key_size, blocks = (size + columns - 1) / columns;
    uint units = xn_step_of(e)->n_spans * heads * blocks;
    bool aligned = (d->in | in_stride | d->keys | d->queries | key_size) % 4 == 0;
    if (group >= units) return;
    for (uint i = lid; i < 2 * XN_SCAN_KEYS; i += XN_GROUP)
        if (i % padded >= key_size) keys[i] = 0;
    XN_EACH(u, group, units) {
        global const struct xn_cl_span *span = xn_span_at(e, u / (heads * blocks));
        uint h = u / blocks % heads, first = u % blocks * columns, column = first + mine;
        uint row0 = span->first_row, n_rows = span->n_rows, turn = 0;
        global float *state = xn_scan_state(e, d, span->slot, h);
        global const float *v = e->act + d->in + d->values + h * size + first;
        global float *out = e->act + d->out + h * size + column;
        bool gives = part == 0 && column < size;
        float4 s[XN_SCAN_QUADS];
        float held[XN_SCAN_HELD];
        barrier(CLK_LOCAL_MEM_FENCE); // the unit before is done with local memory
        xn_scan_stage(e, d, row0, min(block, n_rows), h, padded, aligned, keys, factors);
        xn_scan_load(d, state, part, column, parts, 1, s);
        xn_scan_hold(v, in_stride, row0, min(block, n_rows), size - first, columns, held);
        XN_EACH(at, 0, n_rows) {
            uint n = min(block, n_rows - at), next = at + n, more = min(block, n_rows - next), other = turn ^ 1;
            local float *now = values + turn * XN_SCAN_HELD * XN_GROUP;
#pragma unroll
            for (uint x = 0; x < XN_SCAN_HELD; x++)
                now[lid + x * XN_GROUP] = held[x];
            xn_copied();
            barrier(CLK_LOCAL_MEM_FENCE);
            xn_scan_stage(e, d, row0 + next, more, h, padded, aligned, keys + other * XN_SCAN_KEYS,
                          factors + other * XN_SCAN_ROWS * XN_CL_SCAN_FACTORS);
            xn_scan_hold(v, in_stride, row0 + next, more, size - first, columns, held);
            local const float4 *k = (local const float4 *)(keys + turn * XN_SCAN_KEYS) + part;
            local const float4 *f = (local const float4 *)(factors + turn * XN_SCAN_ROWS * XN_CL_SCAN_FACTORS);
            global float *to = out + (ulong)(row0 + at) * out_stride;
            XN_EACH(r, 0, n) {
                float y = xn_scan_row(s, k, k + padded / 4, f[0], f[1], now[mine], parts, delta, red);
                if (gives) *to = y;
                to += out_stride;
                now += columns;
                k += padded / 2;
                f += XN_CL_SCAN_FACTORS / 4;
            }
            XN_NEXT(r, n, 1);
            turn = other;
        }
        XN_NEXT(at, n_rows, block);
        xn_scan_store(d, state, part, column, parts, s);
    }
    XN_NEXT(u, units, groups);
}

static inline void xn_op_scan(const struct xn_env *e, XN_D const struct xn_cl_scan *d, uint group, uint groups,
                              local float *scratch) {
#ifdef XN_HAS_SHUFFLE // each with loops of known lengths
    if (d->delta && d->parts <= 4)
        xn_scan_all(e, d, group, groups, scratch, 4, 1);
    else if (d->delta)
        xn_scan_all(e, d, group, groups, scratch, 8, 1);
    else if (d->parts <= 4)
        xn_scan_all(e, d, group, groups, scratch, 4, 0);
    else
        xn_scan_all(e, d, group, groups, scratch, 8, 0);
#else
    xn_scan_all(e, d, group, groups, scratch, d->parts, d->delta);
#endif
}
XN_SMALL_KERNEL(scan, XN_SCAN_SCRATCH)
#endif
