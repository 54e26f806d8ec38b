// The activations of a product: some rows of the batch, normalised on their way into local memory.

// Local memory of a product, in floats.
#define XN_CHUNK 512 // values of a row of activations that stand in local memory at once
#define XN_Y_STRIDE (XN_WARPS * XN_CL_WARP_ROWS)
#define XN_MOST_ROWS 0 // that a block may be made to have: it has as many as the cut says
#define XN_AT_XS 0
#define XN_SIZE_XS (XN_CL_STREAM_TOKENS * XN_CHUNK)
#define XN_AT_RED (XN_AT_XS + XN_SIZE_XS) // partial sums of streaming; for reductions between products as well
#define XN_SIZE_RED (XN_CL_WARP_ROWS * XN_CL_STREAM_TOKENS * XN_GROUP)
#define XN_AT_Y (XN_AT_RED + XN_SIZE_RED) // results, [token][XN_Y_STRIDE]
#define XN_SIZE_Y (XN_CL_STREAM_TOKENS * XN_Y_STRIDE)
#define XN_AT_Y2 (XN_AT_Y + XN_SIZE_Y) // of a second product
#define XN_AT_MOMENTS (XN_AT_Y2 + XN_SIZE_Y)
#define XN_AT_FLAG (XN_AT_MOMENTS + 2 * XN_CL_STREAM_TOKENS)
#if XN_AT_FLAG >= XN_CL_SCRATCH
#error "products need more local memory than operations get"
#endif

struct xn_operand {
    uint at, stride, k;                    // row r's k values begin at at + r * stride of the activations
    XN_D const struct xn_cl_norm *norm;  // of them; NULL: none
    uint first, n;                         // token t < n is row first + t,
    uint list;                             // or entry first + t of this list in the step, unless that is NONE
};

static inline uint xn_row(const struct xn_env *e, const struct xn_operand *o, uint t) {
    return o->list == XN_CL_NONE ? o->first + t : e->step[o->list + o->first + t];
}

static inline struct xn_operand xn_operand_at(uint at, uint stride, uint k) {
    struct xn_operand o = {at, stride, k, 0, 0, 0, XN_CL_NONE};
    return o;
}
static inline struct xn_operand xn_operand_of(XN_D const struct xn_cl_input *in, uint list) {
    struct xn_operand o = {in->at, in->stride, in->k, in->norm.kind == XN_NORM_NONE ? 0 : &in->norm, 0, 0, list};
    return o;
}

// How matrices of so many rows, of all matrices together, are cut into blocks for groups that share them. There is one
// tile of tokens, or none.
struct xn_cut {
    uint tokens, rows, tiles;
};
static inline struct xn_cut xn_cut_of(uint n, uint rows, uint groups) {
    struct xn_cut c = {XN_CL_STREAM_TOKENS, XN_Y_STRIDE, n ? 1 : 0};
    return c;
}
static inline uint xn_blocks(const struct xn_cut *c, uint rows) {
    return (rows + c->rows - 1) / c->rows;
}

// Mean and scale of each token: a warp takes a token. They stay until the operand goes to others; `known`: it has not.
static inline void xn_operand_moments(const struct xn_env *e, const struct xn_operand *o, bool known,
                                      local float *scratch) {
    local float *moments = scratch + XN_AT_MOMENTS, *red = scratch + XN_AT_RED;
    uint n = known || !o->norm ? 0 : o->n;
    XN_EACH(t0, 0, n) {
        uint t = t0 + xn_warp(), clamped = t < o->n ? t : o->n - 1, k = n ? o->k : 0;
        global const float *x = e->act + o->at + (ulong)xn_row(e, o, clamped) * o->stride;
        float sum = 0, squares = 0;
        for (uint i = xn_lane(); i < (n && o->norm->kind == XN_NORM_LAYER ? k : 0); i += XN_LANES)
            sum += x[i];
        float mean = xn_warp_sum(sum, red) / o->k;
        for (uint i = xn_lane(); i < k; i += XN_LANES)
            squares += (x[i] - mean) * (x[i] - mean);
        squares = xn_warp_sum(squares, red);
        if (t < n && xn_lane() == 0) {
            moments[2 * t] = mean;
            moments[2 * t + 1] = 1.0f / sqrt(squares / o->k + o->norm->epsilon);
        }
    }
    XN_NEXT(t0, n, XN_WARPS);
    barrier(CLK_LOCAL_MEM_FENCE);
}

// Value i of token t; 0 beyond the last.
static inline float xn_operand_value(const struct xn_env *e, const struct xn_operand *o, local const float *moments,
                                     uint t, uint i) {
    if (i >= o->k) return 0;
    float x = e->act[o->at + (ulong)xn_row(e, o, t) * o->stride + i];
    if (!o->norm) return x;
    struct xn_moments m = {moments[2 * t], moments[2 * t + 1]};
    return xn_normed(e, o->norm, m, x, i);
}
