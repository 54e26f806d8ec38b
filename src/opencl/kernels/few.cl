// Products of few rows of the batch on Intel's GPUs (the memory they use: few_memory.cl; sums: few_runs.cl). Not over the plain dialect, whose compilers may
// take loops with barriers in the form of dialect.cl alone: product.cl serves there.

// The tokens are others than before, unless they are `known`.
static inline void xn_operand_moments(const struct xn_env *e, struct xn_operand *o, bool known, local float *scratch) {
    if (!known) o->staged = 0;
}

// How a batch of n rows and matrices of so many rows in all are cut: each group gets one block of rows of weights, unless
// those are too many.
struct xn_cut {
    uint tokens, rows, tiles;
};
static inline struct xn_cut xn_cut_of(uint n, uint rows, uint groups) {
    struct xn_cut c = {XN_CL_STREAM_TOKENS, (rows + groups - 1) / groups, n ? 1 : 0};
    c.rows = c.rows < 1 ? 1 : c.rows > XN_ROWS ? XN_ROWS : c.rows;
    return c;
}
static inline uint xn_blocks(const struct xn_cut *c, uint rows) {
    return (rows + c->rows - 1) / c->rows;
}

// Mean and scale of a row, by the whole group.
static inline struct xn_moments xn_stage_moments(const struct xn_env *e, const struct xn_operand *o, uint row,
                                                 local float *red) {
    return xn_moments_of(o->norm, e->act + o->at + (ulong)row * o->stride, o->k, red);
}

// Units [u0, u0 + n) of a row, of all parts, into local memory; the sum of this work-item's squares.
//   codes: for each half of a unit 16 bytes, then the scales of units, then scale * sum of codes for each half
//   floats: for each eighth of a unit 4 values
// A work-item takes a quarter of a unit.
static inline float xn_stage_units(const struct xn_env *e, const struct xn_operand *o, uint row, struct xn_moments m,
                                   bool codes, uint u0, uint n, local float *xs, local float *red) {
    uint items = 4 * n * o->parts;
    float squares = 0;
    for (uint i0 = 0; i0 < items; i0 += XN_GROUP) {
        uint i = i0 + get_local_id(0), at = i / 4, quarter = i % 4, part = o->parts > 1 ? at / n : 0;
        float x[8], most = 0;
        for (uint v = 0; v < 8; v++)
            x[v] = 0;
        if (i < items) xn_take_8(e, o, row, part, (u0 + at - part * n) * XN_CL_UNIT + 8 * quarter, m, &squares, x);
#pragma unroll
        for (uint v = 0; v < 8; v++)
            most = fmax(most, fabs(x[v]));
        most = xn_quad_max(most, red);
        float scale = most / 127.0f, inverse = most > 0 ? 127.0f / most : 0;
        int sum = 0;
        uint2 packed;
        packed.x = xn_pack_4(x, inverse, &sum);
        packed.y = xn_pack_4(x + 4, inverse, &sum);
        sum = xn_pair_sum(sum, red);
        if (i < items && codes) {
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

// The same of token t, normalised. The scale of a root mean square is left to the results, so that nothing waits for it.
static inline void xn_stage(const struct xn_env *e, const struct xn_operand *o, uint t, bool codes, uint u0, uint n,
                            local float *scratch) {
    local float *xs = scratch + XN_AT_XS + t * (XN_SIZE_XS / XN_TOKENS), *red = scratch + XN_AT_RED;
    uint row = xn_row(e, o, t);
    bool deferred = o->norm && o->norm->kind != XN_NORM_LAYER && o->norm->bias == XN_CL_NONE;
    float squares;
    struct xn_moments m = {0, 1};
    if (o->norm && !deferred) m = xn_stage_moments(e, o, row, red);
    squares = xn_stage_units(e, o, row, m, codes, u0, n, xs, red);
    // What chunks before had, read before the sum's barriers; then all write the same.
    local float *to = scratch + XN_AT_MOMENTS + 2 * t;
    float before = u0 ? to[0] : 0;
    squares = before + xn_group_sum(squares, red);
    if (n) {
        to[0] = squares;
        to[1] = deferred ? 1.0f / sqrt(squares / o->k + o->norm->epsilon) : 1;
    }
}

// Rows of weights that a product is of: m from row0 on, of one matrix of a stack, or of each of several (experts).
struct xn_block {
    uint row0, m;
    uint matrix;
    global const uint *matrices; // NULL: the one
    uint parts;                  // how many: results of row r of the j-th are y[j * m + r]
};

static inline void xn_fill_table(const struct xn_env *e, XN_D const struct xn_cl_weights *w,
                                 const struct xn_block *b, local float *scratch) {
    for (uint r = get_local_id(0); r < b->m * b->parts; r += XN_GROUP) {
        uint part = b->parts > 1 ? r / b->m : 0, matrix = b->matrices ? b->matrices[part] : b->matrix;
        struct xn_weights_row row = xn_weights_row(e, w, matrix * w->rows + b->row0 + r - part * b->m);
        local uint *to = (local uint *)(scratch + XN_AT_TABLE) + 4 * r;
        ulong piece = (ulong)row.piece;
        to[0] = (uint)piece;
        to[1] = (uint)(piece >> 32);
        to[2] = row.units;
        to[3] = row.first;
        ((local uint *)(scratch + XN_AT_OFFSET))[r] = part;
    }
}

// y[token][row] of a block, in local memory, XN_ROWS a token; b->m * b->parts <= XN_ROWS, and units of all the operand's
// parts must fit local memory where there are several.
static inline void xn_product_of(const struct xn_env *e, XN_D const struct xn_cl_weights *w, const struct xn_block *b,
                                 struct xn_operand *o, local float *scratch, local float *y) {
    bool codes = xn_has_codes(w->type);
    uint room = codes ? XN_CODE_UNITS : XN_FLOAT_UNITS, units = w->units, rows = b->m * b->parts;
    uint sums = XN_SIZE_PART / XN_TOKENS;
    if (room > sums) room = sums;
    room &= ~7u; // a chunk is of whole blocks of 256 values
    uint n = units < room ? units : room, kind = codes ? 2 : 1;
    xn_fill_table(e, w, b, scratch);
    for (uint u0 = 0; u0 < units; u0 += n) {
        uint m = min(units - u0, n);
        // A chunk is never there: another one was.
        if (xn_must_stage(o, n < units ? 3 + u0 : kind))
            for (uint t = 0; t < o->n; t++)
                xn_stage(e, o, t, codes, u0, m, scratch);
        barrier(CLK_LOCAL_MEM_FENCE);
        uint strip = XN_RUN_ROWS;
        for (uint r0 = 0; r0 < rows; r0 += strip) {
            uint some = min(rows - r0, strip);
            xn_sums(e, w->type, u0, m, r0, some, o->n, scratch);
            barrier(CLK_LOCAL_MEM_FENCE);
            xn_add_sums(m, r0, some, o->n, u0 == 0, u0 + m == units, scratch, y);
            barrier(CLK_LOCAL_MEM_FENCE);
        }
    }
}

// How many parts of rows that meet this matrix stand in local memory together; 1 where not even one does as a whole.
static inline uint xn_operand_parts(XN_D const struct xn_cl_weights *w) {
    uint room = xn_has_codes(w->type) ? XN_CODE_UNITS : XN_FLOAT_UNITS;
    room = min(room, (uint)XN_SIZE_PART / XN_TOKENS);
    return max(1u, room / w->units);
}

// Of m rows of one matrix from row0 on.
static inline void xn_product(const struct xn_env *e, XN_D const struct xn_cl_weights *w, uint index, uint row0,
                              uint m, struct xn_operand *o, local float *scratch, local float *y) {
    struct xn_block b = {row0, m, index, 0, 1};
    xn_product_of(e, w, &b, o, scratch, y);
}
