// Products of few rows of the batch on NVIDIA's GPUs, which are bound by reading weights. A group takes a block of rows
// of weights, from one matrix or several; 16 or 32 lanes take a row at a time. The activations stand in local memory,
// rounded to 8 bits with a scale for each unit (as codes.cl wants them), or as they are for formats without codes.
//
// The code is there once for each format, whatever operations a program has: what a group runs between two waits for
// the others is run once, so that each instruction that is not in the compute unit's cache costs more than the work.

// Rows of weights, whose table in local memory says where each begins, and which activations it meets.
struct xn_block {
    struct xn_operand o;
    uint units;    // of a row
    uint rows;
    uint segments; // rows of one format each: in local memory the format, and the row behind the last
};

// Writes the table's row r.
static inline void xn_put_row(const struct xn_env *e, XN_D const struct xn_cl_weights *w, uint row, uint part, uint r,
                              local float *scratch) {
    struct xn_weights_row at = xn_weights_row(e, w, row);
    local uint *to = (local uint *)(scratch + XN_AT_TABLE) + 4 * r;
    ulong piece = (ulong)at.piece;
    to[0] = (uint)piece;
    to[1] = (uint)(piece >> 32);
    to[2] = at.units;
    to[3] = at.first;
    ((local uint *)(scratch + XN_AT_PART))[r] = part;
    xn_prefetch_row(at.piece, w->unit_bytes, at.units, at.first, w->units);
}

// Segments of a block, as they are put there: the whole group does so, each work-item the same.
struct xn_segments {
    uint n, type, end;
};
static inline void xn_put_segment(struct xn_segments *s, uint type, uint end, local float *scratch) {
    if (end == s->end) return; // no rows
    if (!s->n || s->type != type) s->n++;
    s->type = type;
    s->end = end;
    local uint *segment = (local uint *)(scratch + XN_AT_SEGMENTS) + 2 * s->n;
    segment[-2] = type;
    segment[-1] = end;
}

// --- activations ---

// A norm whose scale is left to the results, so that nothing waits for it.
static inline bool xn_is_deferred(const struct xn_operand *o) {
    return o->norm && o->norm->kind != XN_NORM_LAYER && o->norm->bias == XN_CL_NONE;
}

// Units [u0, u0 + n) of a row, of all parts, into local memory, by `workers` work-items; the sum of this one's squares.
//   codes: for each half of a unit 16 bytes, then the scales of units, then scale * sum of codes for each half
//   floats: for each eighth of a unit 4 values
// A work-item takes a quarter of a unit.
static inline float xn_stage_row(const struct xn_env *e, const struct xn_operand *o, uint row, struct xn_moments m,
                                 bool codes, uint u0, uint n, uint worker, uint workers, local float *xs) {
    uint items = 4 * n * o->parts;
    float squares = 0;
#pragma unroll 1
    for (uint i0 = 0; i0 < items; i0 += workers) {
        uint i = i0 + worker, at = i / 4, quarter = i % 4, part = o->parts > 1 ? at / n : 0;
        float x[8], most = 0;
#pragma unroll
        for (uint v = 0; v < 8; v++)
            x[v] = 0;
        if (i < items) xn_take_8(e, o, row, part, (u0 + at - part * n) * XN_CL_UNIT + 8 * quarter, m, &squares, x);
        if (codes) {
#pragma unroll
            for (uint v = 0; v < 8; v++)
                most = fmax(most, fabs(x[v]));
            most = xn_quad_max(most, 0);
            float scale = most / 127.0f, inverse = most > 0 ? 127.0f / most : 0;
            int sum = 0;
            uint2 packed;
            packed.x = xn_pack_4(x, inverse, &sum);
            packed.y = xn_pack_4(x + 4, inverse, &sum);
            sum = xn_pair_sum(sum, 0);
            if (i >= items) continue;
            ((local uint2 *)(xs + quarter / 2 * 4 * XN_CODE_UNITS + 4 * at))[quarter % 2] = packed;
            if (quarter == 0) xs[8 * XN_CODE_UNITS + at] = scale;
            if (quarter % 2 == 0) xs[XN_AT_HALF_SUM(at, quarter / 2)] = scale * (float)sum;
        } else if (i < items) {
            local float4 *to = (local float4 *)xs + at;
            to[2 * quarter * XN_FLOAT_UNITS] = (float4)(x[0], x[1], x[2], x[3]);
            to[(2 * quarter + 1) * XN_FLOAT_UNITS] = (float4)(x[4], x[5], x[6], x[7]);
        }
    }
    return squares;
}

// The same of all tokens, each by as many warps as there are for it; ends with a barrier. What norms leave to the results
// is known from the next barrier on.
static inline void xn_stage(const struct xn_env *e, const struct xn_operand *o, bool codes, uint u0, uint n,
                            local float *scratch) {
    uint share = o->n > 4 ? XN_WARPS / 8 : o->n > 2 ? XN_WARPS / 4 : o->n > 1 ? XN_WARPS / 2 : XN_WARPS;
    uint t = xn_warp() / share;
    local float *squares = scratch + XN_AT_SQUARES, *moments = scratch + XN_AT_MOMENTS;
    bool deferred = xn_is_deferred(o);
    struct xn_moments m = {0, 1};
    if (o->norm && !deferred) {
#pragma unroll 1
        for (uint i = 0; i < o->n; i++) {
            struct xn_moments of = xn_moments_of(o->norm, e->act + o->at + (ulong)xn_row(e, o, i) * o->stride, o->k,
                                                 scratch + XN_AT_XS);
            if (i == t) m = of;
        }
    }
    if (t < o->n) {
        float sum = xn_stage_row(e, o, xn_row(e, o, t), m, codes, u0, n, get_local_id(0) - t * share * XN_LANES,
                                 share * XN_LANES, scratch + XN_AT_XS + t * (XN_SIZE_XS / XN_TOKENS));
        sum = xn_warp_sum(sum, 0);
        if (xn_lane() == 0) squares[xn_warp()] = sum;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (get_local_id(0) < o->n) {
        local float *to = moments + 2 * get_local_id(0);
        float sum = u0 ? to[0] : 0;
#pragma unroll 1
        for (uint i = 0; i < share; i++)
            sum += squares[get_local_id(0) * share + i];
        to[0] = sum;
        to[1] = deferred ? 1.0f / sqrt(sum / o->k + o->norm->epsilon) : 1;
    }
}

// --- products ---

// The sums of units [u0, u0 + n) of rows [r0, end) of the table with all tokens.
struct xn_sums {
    uint u0, n, r0, end, tokens;
    bool more; // units came before
};

// How many lanes take a row: whatever needs fewer steps.
static inline uint xn_lanes_of_row(uint rows, uint units) {
    uint two = (rows + 2 * XN_WARPS - 1) / (2 * XN_WARPS) * ((units + XN_LANES / 2 - 1) / (XN_LANES / 2));
    uint one = (rows + XN_WARPS - 1) / XN_WARPS * ((units + XN_LANES - 1) / XN_LANES);
    return one <= two ? XN_LANES : XN_LANES / 2;
}

// `ahead` units of a row, `lanes` apart, are read before the first is multiplied: as many bytes must be on their way as
// bandwidth times latency.
#define XN_SUM_UNITS(F, ahead)                                                                                         \
    {                                                                                                                  \
        float one[ahead][XN_TOKENS];                                                                                   \
        _Pragma("unroll") for (uint j = 0; j < ahead; j++) {                                                           \
            uint at = min(u + j * lanes, s->n - 1);                                                                    \
            xn_unit_sums_##F(piece, row.z, first + at, e->grids, xs, part + at, s->tokens, one[j]);                    \
        }                                                                                                              \
        _Pragma("unroll") for (uint j = 0; j < ahead; j++)                                                             \
            _Pragma("unroll") for (uint t = 0; t < XN_TOKENS; t++)                                                     \
                if (t < s->tokens && u + j * lanes < s->n) sum[t] += one[j][t];                                        \
        u += ahead * lanes;                                                                                            \
    }
#ifdef XN_ONE
#define XN_MORE_UNITS(F)                                                                                               \
    _Pragma("unroll 1") for (; left > 2; left -= 4) XN_SUM_UNITS(F, 4)                                                 \
    if (left > 0) XN_SUM_UNITS(F, 2)
#else
#define XN_MORE_UNITS(F) _Pragma("unroll 1") for (; left > 0; left -= 2) XN_SUM_UNITS(F, 2)
#endif
#define XN_ROW_SUMS(F)                                                                                                 \
    static inline void xn_row_sums_##F(const struct xn_env *e, const struct xn_sums *s, local float *scratch) {        \
        local const float *xs = scratch + XN_AT_XS;                                                                    \
        uint lanes = xn_lanes_of_row(s->end - s->r0, s->n), own = get_local_id(0) & (lanes - 1);                       \
        uint slots = XN_GROUP / lanes, slot = get_local_id(0) / lanes, before = xn_warp() * (XN_LANES / lanes);        \
        _Pragma("unroll 1") for (uint base = s->r0; base + before < s->end; base += slots) {                           \
            uint r = min(base + slot, s->end - 1), part = ((local const uint *)(scratch + XN_AT_PART))[r] * s->n;      \
            uint4 row = ((local const uint4 *)(scratch + XN_AT_TABLE))[r];                                             \
            global const uchar *piece = (global const uchar *)((ulong)row.x | (ulong)row.y << 32);                     \
            uint first = row.w + s->u0, u = own;                                                                       \
            int left = (int)((s->n + lanes - 1) / lanes);                                                              \
            float sum[XN_TOKENS];                                                                                      \
            _Pragma("unroll") for (uint t = 0; t < XN_TOKENS; t++) sum[t] = 0;                                         \
            XN_MORE_UNITS(F)                                                                                           \
            xn_put_sums(s, sum, lanes, own, r, base + slot < s->end, scratch + XN_AT_Y);                               \
        }                                                                                                              \
    }

// Adds the lanes' sums of row r up.
static inline void xn_put_sums(const struct xn_sums *s, float *sum, uint lanes, uint own, uint r, bool there,
                               local float *y) {
    float mine = 0;
#pragma unroll
    for (uint t = 0; t < XN_TOKENS; t++) {
        float x = sum[t];
#pragma unroll
        for (uint mask = XN_LANES / 4; mask; mask /= 2)
            x += xn_shuffle_xor(x, mask);
        if (lanes == XN_LANES) x += xn_shuffle_xor(x, XN_LANES / 2);
        if (own == t) mine = x;
    }
    if (there && own < s->tokens) y[own * XN_ROWS + r] = s->more ? y[own * XN_ROWS + r] + mine : mine;
}
#define X(F) XN_ROW_SUMS(F)
XN_FORMATS(X)
#undef X

// y[token][row] of a block, but for the scale of a norm (XN_AT_MOMENTS). The table is behind a barrier; ends with one.
static inline void xn_product(const struct xn_env *e, struct xn_block *b, local float *scratch) {
    local const uint *segment = (local const uint *)(scratch + XN_AT_SEGMENTS);
    struct xn_operand *o = &b->o;
    bool busy = false;
    uint r0 = 0;
#pragma unroll 1
    for (uint i = 0; i < b->segments; i++) {
        uint type = segment[2 * i], end = segment[2 * i + 1];
        bool codes = xn_has_codes(type);
        uint room = (codes ? XN_CODE_UNITS : XN_FLOAT_UNITS) & ~7u; // whole blocks of 256 values
        uint n = min(b->units, room);
#pragma unroll 1
        for (uint u0 = 0; u0 < b->units; u0 += n) {
            struct xn_sums s = {u0, min(b->units - u0, n), r0, end, o->n, u0 != 0};
            // A chunk is never there: another one was.
            if (xn_must_stage(o, n < b->units ? 3 + u0 : codes ? 2 : 1)) {
                if (busy) barrier(CLK_LOCAL_MEM_FENCE);
                xn_stage(e, o, codes, u0, s.n, scratch);
                busy = true;
            }
            switch (type) {
#define X(F)                                                                                                           \
    case XN_TYPE_##F:                                                                                                  \
        xn_row_sums_##F(e, &s, scratch);                                                                               \
        break;
                XN_FORMATS(X)
#undef X
            }
        }
        r0 = end;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}

// A result.
static inline float xn_y(uint t, uint r, local const float *scratch) {
    return scratch[XN_AT_Y + t * XN_ROWS + r] * scratch[XN_AT_MOMENTS + 2 * t + 1];
}
