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
XN_OP_KERNEL(scan_prepare)
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

// What a group reads of rows [row, row + n): keys and queries as [n][2][padded], and factors.
static inline void xn_scan_stage(const struct xn_env *e, XN_D const struct xn_cl_scan *d, uint row, uint n, uint h,
                                 const uint padded, bool aligned, local float *keys, local float *factors) {
    uint lid = get_local_id(0), kh = xn_scan_key_head(d, h);
    for (uint i = lid / XN_LANES; i < 2 * n; i += XN_WARPS) { // keys or queries of a row each
        global const float *from = e->act + d->in + (ulong)(row + i / 2) * d->in_stride +
                                   (i % 2 ? d->queries : d->keys) + kh * d->key_size;
        local float *to = keys + i * padded;
        for (uint c = 4 * (lid % XN_LANES); aligned && c < d->key_size; c += 4 * XN_LANES)
            xn_copy_16(to + c, from + c);
        for (uint c = lid % XN_LANES; !aligned && c < d->key_size; c += XN_LANES)
            to[c] = from[c];
    }
    if (lid < n * (XN_CL_SCAN_FACTORS / 4)) {
        uint i = lid / (XN_CL_SCAN_FACTORS / 4), at = lid % (XN_CL_SCAN_FACTORS / 4) * 4;
        xn_copy_16(factors + 4 * lid,
                   e->act + d->factors + ((ulong)(row + i) * d->heads + h) * XN_CL_SCAN_FACTORS + at);
    }
}

static inline void xn_scan_all(const struct xn_env *e, XN_D const struct xn_cl_scan *d, uint group, uint groups,
                               local float *scratch, const uint parts, const uint delta) {
    const uint padded = parts * XN_SCAN_VALUES, block = XN_SCAN_KEYS / 2 / padded, columns = XN_GROUP / parts,
               of_warp = XN_LANES / parts;
    local float *keys = scratch, *values = keys + 2 * XN_SCAN_KEYS, *factors = values + 2 * XN_SCAN_HELD * XN_GROUP,
                *red = factors + 2 * XN_SCAN_ROWS * XN_CL_SCAN_FACTORS;
    uint lid = get_local_id(0), lane = xn_lane(), part = lane / of_warp;
    uint mine = xn_warp() * of_warp + lane % of_warp, blocks = (d->value_size + columns - 1) / columns;
    uint units = xn_step_of(e)->n_spans * d->heads * blocks;
    bool aligned = (d->in | d->in_stride | d->keys | d->queries | d->key_size) % 4 == 0;
    if (group >= units) return;
    for (uint i = lid; i < 2 * XN_SCAN_KEYS; i += XN_GROUP)
        if (i % padded >= d->key_size) keys[i] = 0;
    XN_EACH(u, group, units) {
        global const struct xn_cl_span *span = xn_span_at(e, u / (d->heads * blocks));
        uint h = u / blocks % d->heads, first = u % blocks * columns, column = first + mine;
        uint row0 = span->first_row, n_rows = span->n_rows, turn = 0;
        global float *state = xn_scan_state(e, d, span->slot, h);
        global const float *v = e->act + d->in + d->values + h * d->value_size + first;
        global float *out = e->act + d->out + h * d->value_size + column;
        float4 s[XN_SCAN_QUADS];
        float held[XN_SCAN_HELD];
        barrier(CLK_LOCAL_MEM_FENCE); // the unit before is done with local memory
        xn_scan_stage(e, d, row0, min(block, n_rows), h, padded, aligned, keys, factors);
        xn_scan_load(d, state, part, column, parts, s);
#pragma unroll
        for (uint x = 0; x < XN_SCAN_HELD; x++) {
            uint r = (lid + x * XN_GROUP) / columns, c = (lid + x * XN_GROUP) % columns;
            held[x] = r < min(block, n_rows) && first + c < d->value_size ? v[(ulong)(row0 + r) * d->in_stride + c] : 0;
        }
        XN_EACH(at, 0, n_rows) {
            uint n = min(block, n_rows - at), next = at + n, more = min(block, n_rows - next);
            local float *now = values + turn * XN_SCAN_HELD * XN_GROUP;
#pragma unroll
            for (uint x = 0; x < XN_SCAN_HELD; x++)
                now[lid + x * XN_GROUP] = held[x];
            xn_copied();
            barrier(CLK_LOCAL_MEM_FENCE);
            uint other = turn ^ 1;
            xn_scan_stage(e, d, row0 + next, more, h, padded, aligned, keys + other * XN_SCAN_KEYS,
                          factors + other * XN_SCAN_ROWS * XN_CL_SCAN_FACTORS);
#pragma unroll
            for (uint x = 0; x < XN_SCAN_HELD; x++) {
                uint r = (lid + x * XN_GROUP) / columns, c = (lid + x * XN_GROUP) % columns;
                held[x] =
                    r < more && first + c < d->value_size ? v[(ulong)(row0 + next + r) * d->in_stride + c] : 0;
            }
            local const float4 *k = (local const float4 *)(keys + turn * XN_SCAN_KEYS) + part;
            local const float4 *f = (local const float4 *)(factors + turn * XN_SCAN_ROWS * XN_CL_SCAN_FACTORS);
            XN_EACH(r, 0, n) {
                float y = xn_scan_row(s, k + r * 2 * (padded / 4), k + (r * 2 + 1) * (padded / 4), f[2 * r],
                                      f[2 * r + 1], now[r * columns + mine], parts, delta, red);
                if (part == 0 && column < d->value_size) out[(ulong)(row0 + at + r) * d->out_stride] = y;
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
