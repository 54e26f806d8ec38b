// Products of few rows of the batch on NVIDIA's GPUs, which are bound by reading weights. A group takes a block of rows
// of weights, from one matrix or several; a warp takes two rows at a time, or a part of them where rows are few. The
// activations stand in local memory, rounded to 8 bits with a scale for each unit (as codes.cl wants them), or as they
// are for formats without codes; or, for the matrix unit, rounded likewise but in tiles (stream_tiles.cl).
//
// The code is there once for each format, whatever operations a program has: what a group runs between two waits for
// the others is run once, so that each instruction that is not in the compute unit's cache costs more than the work.

// An operation with a product, as a group sees it.
struct xn_job {
    uint n;      // tokens
    uint slices; // of all groups,
    uint passes; // each of which takes so many products
    uint pass;
    uint all, blocks, experts; // of experts: results of a full slice, slices of a token, experts of a pass
    struct xn_operand o;
    local struct xn_cl_slice *s; // the slice
#ifndef XN_ONE
    float2 early; // what its results need of memory: of one row that lies in local memory (XN_AT_EARLY)
#endif
};

static inline local struct xn_cl_slice_row *xn_slice_rows(local struct xn_cl_slice *s) {
    return (local struct xn_cl_slice_row *)(s + 1);
}
static inline local const struct xn_cl_slice_result *xn_slice_results(local struct xn_cl_slice *s) {
    return (local const struct xn_cl_slice_result *)(xn_slice_rows(s) + (s->rows + s->rows % 2));
}
static inline global const uchar *xn_slice_piece(const struct xn_env *e, local const struct xn_cl_slice *s, uint piece) {
    return xn_heap(e, s->piece[piece].heap) + s->piece[piece].offset;
}

// Those of a group's work-items that prepare an operation while its first warp waits for other groups (walk.cl): all but
// that warp's, whose numbers are above all others.
#define XN_HELPERS (XN_GROUP - XN_LANES)
static inline uint xn_helper(void) {
    return (uint)get_local_id(0) - XN_LANES;
}

// Asks for what stands in the slice's list: some warps for each range, as if all were there; by the helpers.
static inline void xn_prefetch_slice(const struct xn_env *e, local const struct xn_cl_slice *s) {
    uint bits = s->range_bits;
#pragma unroll 1
    for (uint warp = xn_helper() / XN_LANES; warp < XN_WARPS; warp += XN_WARPS - 1) {
        uint i = warp & ((1u << bits) - 1);
        if (i >= s->ranges) continue;
        global const uchar *from = xn_heap(e, s->range[i].heap) + s->range[i].offset;
#pragma unroll 1
        for (uint at = ((warp >> bits) * XN_LANES + xn_lane()) * XN_LINE; at < s->range[i].bytes;
             at += (XN_WARPS >> bits) * XN_LANES * XN_LINE)
            xn_prefetch_line(from + at);
    }
}

// --- activations ---

// A norm whose scale is left to the results, so that nothing waits for it.
static inline bool xn_is_deferred(const struct xn_operand *o) {
    return o->norm && o->norm->kind != XN_NORM_LAYER && o->norm->bias == XN_CL_NONE;
}

// How activations stand in local memory.
//   floats: for each eighth of a unit 4 values
//   codes: for each half of a unit 16 bytes, then scale and scale * sum of codes of each unit, then those of first halves
//   tiles: stream_tiles.cl
#define XN_STAGE_FLOATS 1
#define XN_STAGE_CODES 2
#define XN_STAGE_TILES 3
#define XN_STAGE_CHUNK 4 // and more: a part of the units

// Which way a format is multiplied.
#ifdef XN_TILES
#define XN_STAGE_CODED XN_STAGE_TILES
#define X(F) || !XN_CODED_##F
enum { XN_HAS_FLOATS = 0 XN_FORMATS(X) }; // most models have none
#undef X
#else
#define XN_STAGE_CODED XN_STAGE_CODES
enum { XN_HAS_FLOATS = 1 };
#endif
static inline uint xn_stage_of(uint type) {
    return XN_HAS_FLOATS && !xn_has_codes(type) ? XN_STAGE_FLOATS : XN_STAGE_CODED;
}

// 8 values into local memory, a quarter of unit `at`: of all quarters together.
static inline void xn_stage_8(const float *x, bool there, uint way, uint at, uint quarter, local float *xs) {
#ifdef XN_TILES
    if (way == XN_STAGE_TILES) {
        xn_stage_tile(x, there, at, quarter, xs);
        return;
    }
#else
    if (way == XN_STAGE_CODES) {
        float most = fmax(fmax(fmax(fabs(x[0]), fabs(x[1])), fmax(fabs(x[2]), fabs(x[3]))),
                          fmax(fmax(fabs(x[4]), fabs(x[5])), fmax(fabs(x[6]), fabs(x[7]))));
        most = xn_quad_max(most, 0);
        float scale = most * (1.0f / 127.0f), inverse = most > 0x1p-100f ? native_divide(127.0f, most) : 0;
        int sum = 0;
        uint2 packed;
        packed.x = xn_pack_4(x, inverse, &sum);
        packed.y = xn_pack_4(x + 4, inverse, &sum);
        sum = xn_pair_sum(sum, 0);
        int whole = sum + as_int(xn_shuffle_xor(as_float(sum), 2));
        if (!there) return;
        ((local uint2 *)(xs + quarter / 2 * 4 * XN_CODE_UNITS + 4 * at))[quarter % 2] = packed;
        if (quarter == 0) {
            ((local float2 *)(xs + 8 * XN_CODE_UNITS))[at] = (float2)(scale, scale * (float)whole);
            xs[10 * XN_CODE_UNITS + at] = scale * (float)sum;
        }
        return;
    }
#endif
    if (there) {
        local float4 *to = (local float4 *)xs + at;
        to[2 * quarter * XN_FLOAT_UNITS] = (float4)(x[0], x[1], x[2], x[3]);
        to[(2 * quarter + 1) * XN_FLOAT_UNITS] = (float4)(x[4], x[5], x[6], x[7]);
    }
}

// 8 values as they are read, and the norm's weights for them.
struct xn_eight {
    float4 a, b, v, w;
};
static inline struct xn_eight xn_read_8(global const float *from, global const float *weight, uint i) {
    struct xn_eight x;
    x.a = ((global const float4 *)from)[2 * i];
    x.b = ((global const float4 *)from)[2 * i + 1];
    if (weight) {
        x.v = ((global const float4 *)weight)[2 * i];
        x.w = ((global const float4 *)weight)[2 * i + 1];
    }
    return x;
}
static inline float xn_stage_read(struct xn_eight x, bool weighted, bool there, uint way, uint i, local float *xs) {
    float squares = 0;
    if (weighted) {
        float4 square = x.a * x.a + x.b * x.b;
        squares = there ? square.x + square.y + square.z + square.w : 0;
        x.a *= x.v;
        x.b *= x.w;
    }
    float y[8] = {x.a.x, x.a.y, x.a.z, x.a.w, x.b.x, x.b.y, x.b.z, x.b.w};
    xn_stage_8(y, there, way, i / 4, i % 4, xs);
    return squares;
}

// Items of 8 values, `wide` of a work-item's (4 at the most) on their way at once.
#define XN_STAGE_NORMED 2
#ifdef XN_ONE
#define XN_STAGE_PLAIN 3
#else
#define XN_STAGE_PLAIN 4
#endif
static inline float xn_stage_items(global const float *from, global const float *weight, uint way, uint items,
                                   uint worker, uint workers, bool there, const uint wide, local float *xs) {
    float squares = 0;
#pragma unroll 1
    for (uint i0 = 0; i0 < items; i0 += wide * workers) {
        struct xn_eight x[4];
#pragma unroll
        for (uint j = 0; j < 4; j++)
            if (j < wide) x[j] = xn_read_8(from, weight, min(i0 + j * workers + worker, items - 1));
#pragma unroll
        for (uint j = 0; j < 4; j++) {
            uint i = i0 + j * workers + worker;
            if (j < wide && (j == 0 || i0 + j * workers < items))
                squares += xn_stage_read(x[j], weight != 0, there && i < items, way, min(i, items - 1), xs);
        }
    }
    return squares;
}

// Units [u0, u0 + n) of a row, of all parts, into local memory, by `workers` work-items, of which each takes a quarter of a
// unit; the sum of this one's squares. there: this one's row is; where it is not it does the same for nothing.
static inline float xn_stage_row(const struct xn_env *e, const struct xn_operand *o, uint row, struct xn_moments m,
                                 uint way, uint u0, uint n, uint worker, uint workers, bool there, local float *xs) {
    uint items = 4 * n * o->parts, at0 = o->at + u0 * XN_CL_UNIT;
    float squares = 0;
    bool weighted = xn_is_deferred(o) && o->norm->weight % 4 == 0;
    if (o->parts == 1 && ((at0 | o->stride) & 3) == 0 && (u0 + n) * XN_CL_UNIT <= o->k && (weighted || !o->norm)) {
        global const float *from = e->act + at0 + (ulong)row * o->stride;
        global const float *weight = weighted ? e->vec + o->norm->weight + u0 * XN_CL_UNIT : 0;
        if (weighted)
            squares = xn_stage_items(from, weight, way, items, worker, workers, there, XN_STAGE_NORMED, xs);
        else
            xn_stage_items(from, 0, way, items, worker, workers, there, XN_STAGE_PLAIN, xs);
    } else {
#pragma unroll 1
        for (uint i0 = 0; i0 < items; i0 += workers) {
            uint i = i0 + worker, at = i / 4, quarter = i % 4, part = o->parts > 1 ? at / n : 0;
            float x[8] = {0, 0, 0, 0, 0, 0, 0, 0};
            if (i < items) xn_take_8(e, o, row, part, (u0 + at - part * n) * XN_CL_UNIT + 8 * quarter, m, &squares, x);
            xn_stage_8(x, there && i < items, way, at, quarter, xs);
        }
    }
    return squares;
}

// Which token's row a work-item stages, and which of how many it is at that. For tiles a warp takes a unit of all tokens, so
// that what it writes lies side by side; else warps share the tokens.
struct xn_stager {
    uint t, worker, workers;
};
static inline struct xn_stager xn_stager_of(uint n, uint way) {
#ifdef XN_TILES
    if (way == XN_STAGE_TILES) return (struct xn_stager){xn_lane() / 4, 4 * xn_warp() + xn_lane() % 4, 4 * XN_WARPS};
#endif
#ifdef XN_ONE
    uint share = XN_WARPS, t = 0;
#else
    uint share = n > 4 ? XN_WARPS / 8 : n > 2 ? XN_WARPS / 4 : n > 1 ? XN_WARPS / 2 : XN_WARPS;
    uint t = xn_warp() / share;
#endif
    return (struct xn_stager){t, get_local_id(0) - t * share * XN_LANES, share * XN_LANES};
}

// The same of all tokens; ends with a barrier. What norms leave to the results is known from the next barrier on.
static inline void xn_stage(const struct xn_env *e, const struct xn_operand *o, uint way, uint u0, uint n,
                            local float *scratch) {
    struct xn_stager by = xn_stager_of(o->n, way);
    local float *squares = scratch + XN_AT_SQUARES, *moments = scratch + XN_AT_MOMENTS;
    bool deferred = xn_is_deferred(o), tiles = way == XN_STAGE_TILES;
    struct xn_moments m = {0, 1};
    if (o->norm && !deferred) {
#pragma unroll 1
        for (uint i = 0; i < o->n; i++) {
            struct xn_moments of = xn_moments_of(o->norm, e->act + o->at + (ulong)xn_row(e, o, i) * o->stride, o->k,
                                                 scratch + XN_AT_XS);
            if (i == by.t) m = of;
        }
    }
    if (tiles || by.t < o->n) {
        uint t = min(by.t, o->n - 1); // all lanes of a warp of tiles are there, whether they have a token or not
        float sum = xn_stage_row(e, o, xn_row(e, o, t), m, way, u0, n, by.worker, by.workers, by.t < o->n,
                                 scratch + XN_AT_XS + (tiles ? 0 : t * (XN_SIZE_XS / XN_TOKENS)));
#ifdef XN_TILES
        if (tiles) {
            xn_stage_tile_end(n, scratch + XN_AT_XS);
            sum += xn_shuffle_xor(sum, 1);
            sum += xn_shuffle_xor(sum, 2);
            if (xn_lane() % 4 == 0) squares[xn_lane() / 4 * XN_WARPS + xn_warp()] = sum;
        }
#endif
        if (!tiles) {
            sum = xn_warp_sum(sum, 0);
            if (xn_lane() == 0) squares[xn_warp()] = sum;
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (xn_warp() == XN_WARPS - 1) { // which often has nothing to multiply
        uint share = tiles ? XN_WARPS : by.workers / XN_LANES;
#pragma unroll 1
        for (uint i = 0; i < o->n; i++) {
            float before = u0 ? moments[2 * i] : 0; // all lanes have it before one writes
            float sum = xn_warp_sum(xn_lane() < share ? squares[i * share + xn_lane()] : 0, 0) + before;
            moments[2 * i] = sum;
            moments[2 * i + 1] = deferred ? rsqrt(sum / o->k + o->norm->epsilon) : 1;
        }
    }
}

// --- products ---

// The sums of units [u0, u0 + n) of rows [r0, end) of the slice with all tokens.
struct xn_sums {
    uint u0, n, r0, end, tokens;
    bool more; // units came before
    local struct xn_cl_slice *slice;
};
// What of a row a warp takes: units [begin, end) of those, of which there are `shares` parts. False: nothing.
struct xn_share {
    uint pair, share, begin, end;
};
static inline bool xn_share_of(const struct xn_sums *s, struct xn_share *of) {
    uint shares = s->slice->shares;
    *of = (struct xn_share){xn_warp(), 0, 0, s->n};
    if (shares > 1) {
        uint pairs = (s->end - s->r0 + 1) / 2, each = (s->n + shares - 1) / shares + 7 & ~7u;
        of->share = of->pair / pairs;
        of->pair -= of->share * pairs;
        of->begin = min(of->share * each, s->n);
        of->end = min(of->begin + each, s->n);
        if (of->share >= shares) return false;
    }
    return true;
}
// Where the units of a row begin.
struct xn_row_at {
    global const uchar *piece;
    uint units, first, part;
};
static inline struct xn_row_at xn_row_at_of(const struct xn_env *e, const struct xn_sums *s, uint r) {
    struct xn_cl_slice_row row = xn_slice_rows(s->slice)[r];
    uint which = row.piece & 255;
    struct xn_row_at at = {xn_slice_piece(e, s->slice, which), s->slice->piece[which].units, row.first + s->u0,
                           (row.piece >> 8) * s->n};
    return at;
}

// What a unit gives with unit x of a token's activations.
#ifndef XN_TILES
static inline float xn_code_sum(bool whole, const int *c, float2 scale, float2 minimum, local const float *xs, uint x) {
    uint4 a = ((local const uint4 *)xs)[x], b = ((local const uint4 *)xs)[XN_CODE_UNITS + x];
    float2 d = ((local const float2 *)(xs + 8 * XN_CODE_UNITS))[x];
    int p = xn_dot4(xn_dot4(xn_dot4(xn_dot4(0, c[0], (int)a.x), c[1], (int)a.y), c[2], (int)a.z), c[3], (int)a.w);
    int q = xn_dot4(xn_dot4(xn_dot4(xn_dot4(whole ? p : 0, c[4], (int)b.x), c[5], (int)b.y), c[6], (int)b.z), c[7],
                    (int)b.w);
    if (whole) return d.x * scale.x * (float)q - minimum.x * d.y;
    float first = xs[10 * XN_CODE_UNITS + x];
    return d.x * (scale.x * (float)p + scale.y * (float)q) - minimum.x * first - minimum.y * (d.y - first);
}
#endif

// Of two ways that of each format.
#define XN_BY_Q4_0(codes, floats) codes
#define XN_BY_Q4_1(codes, floats) codes
#define XN_BY_Q5_0(codes, floats) codes
#define XN_BY_Q5_1(codes, floats) codes
#define XN_BY_Q8_0(codes, floats) codes
#define XN_BY_Q2_K(codes, floats) codes
#define XN_BY_Q3_K(codes, floats) codes
#define XN_BY_Q4_K(codes, floats) codes
#define XN_BY_Q5_K(codes, floats) codes
#define XN_BY_Q6_K(codes, floats) codes
#define XN_BY_IQ4_NL(codes, floats) codes
#define XN_BY_IQ4_XS(codes, floats) codes
#define XN_BY_IQ2_XXS(codes, floats) codes
#define XN_BY_IQ2_XS(codes, floats) codes
#define XN_BY_IQ2_S(codes, floats) codes
#define XN_BY_IQ3_XXS(codes, floats) codes
#define XN_BY_IQ3_S(codes, floats) codes
#define XN_BY_IQ1_S(codes, floats) floats
#define XN_BY_IQ1_M(codes, floats) floats
#define XN_BY_TQ1_0(codes, floats) floats
#define XN_BY_TQ2_0(codes, floats) floats
#define XN_BY_MXFP4(codes, floats) floats
#define XN_BY_NVFP4(codes, floats) floats
#define XN_BY_F32(codes, floats) floats
#define XN_BY_F16(codes, floats) floats
#define XN_BY_BF16(codes, floats) floats

