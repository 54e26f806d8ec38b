// The activations that products of few rows of the batch multiply (few.cl, stream.cl).

// The activations of a product: some rows of the batch, normalised on their way into local memory.
struct xn_operand {
    uint at, stride, k;                   // row r's k values begin at at + r * stride of the activations
    XN_D const struct xn_cl_norm *norm; // of them; NULL: none
    uint first, n;                        // token t < n is row first + t,
    uint list;                            // or entry first + t of this list in the step, unless that is NONE
    uint parts;                           // a row has so many times k values, each of which meets its own weights
    uint staged;                          // what stands in local memory: 0: nothing; 1: floats; 2: codes; more: a part of them
};

static inline uint xn_row(const struct xn_env *e, const struct xn_operand *o, uint t) {
    return o->list == XN_CL_NONE ? o->first + t : e->step[o->list + o->first + t];
}

static inline struct xn_operand xn_operand_at(uint at, uint stride, uint k) {
    struct xn_operand o = {at, stride, k, 0, 0, 0, XN_CL_NONE, 1, 0};
    return o;
}
static inline struct xn_operand xn_operand_of(XN_D const struct xn_cl_input *in, uint list) {
    struct xn_operand o = xn_operand_at(in->at, in->stride, in->k);
    o.norm = in->norm.kind == XN_NORM_NONE ? 0 : &in->norm;
    o.list = list;
    return o;
}
// 8 of a token's values from value i of part j on, normalised by these moments; zeros beyond the last. Adds up squares.
static inline void xn_take_8(const struct xn_env *e, const struct xn_operand *o, uint row, uint j, uint i,
                             struct xn_moments m, float *squares, float *x) {
    global const float *from = e->act + o->at + (ulong)row * o->stride + j * o->k;
    if (i + 8 <= o->k && ((o->at | o->stride | o->k) & 3) == 0) {
        float4 a = *(global const float4 *)(from + i), b = *(global const float4 *)(from + i + 4);
        x[0] = a.x, x[1] = a.y, x[2] = a.z, x[3] = a.w;
        x[4] = b.x, x[5] = b.y, x[6] = b.z, x[7] = b.w;
    } else {
        for (uint v = 0; v < 8; v++)
            x[v] = i + v < o->k ? from[i + v] : 0;
    }
    if (!o->norm) return;
    bool scaled = i + 8 <= o->k && o->norm->bias == XN_CL_NONE && o->norm->weight != XN_CL_NONE;
    if (scaled && ((o->norm->weight | i) & 3) == 0) { // most of them
        global const float4 *weight = (global const float4 *)(e->vec + o->norm->weight + i);
        float4 a = weight[0], b = weight[1];
        float w[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
#pragma unroll
        for (uint v = 0; v < 8; v++) {
            *squares += x[v] * x[v];
            x[v] = (x[v] - m.mean) * m.scale * w[v];
        }
        return;
    }
#pragma unroll
    for (uint v = 0; v < 8; v++) {
        *squares += x[v] * x[v];
        if (i + v < o->k) x[v] = xn_normed(e, o->norm, m, x[v], i + v);
    }
}

#ifndef XN_HAS_PACK
static inline uint xn_pack_4(const float *x, float inverse, int *sum) {
    int a = convert_int_rte(x[0] * inverse), b = convert_int_rte(x[1] * inverse), c = convert_int_rte(x[2] * inverse),
        d = convert_int_rte(x[3] * inverse);
    *sum += a + b + c + d;
    return (uint)(a & 255) | (uint)(b & 255) << 8 | (uint)(c & 255) << 16 | (uint)d << 24;
}
#endif

// Whether other activations stand in local memory, or none; now they are there.
static inline bool xn_must_stage(struct xn_operand *o, uint wanted) {
    bool must = o->staged != wanted;
    o->staged = wanted;
    return must;
}
