// attend for many rows on Intel's matrix unit: a lane takes a pair, a row and a query head of one key-value head, and has all
// that is computed of it: DPAS multiplies 8 positions' keys, or 8 of their values, by the lanes' queries or weights, and
// gives each lane the 8 results of its own. So nothing passes between lanes. A group copies some positions' keys and values
// into local memory, as halves, while it computes with those before.
//
// In local memory there are fragments: of keys 8 positions by 16 values, of values 8 values by 16 positions, two of which
// are a word. Sizes are up to 128 values a head, of which a lane's sums take half of its registers.

#define XN_MANY_PAIRS(d) XN_GROUP
#define XN_MANY_POSITIONS (4 * XN_LANES) // copied together
#define XN_MANY_ITEMS (XN_GROUP / XN_MANY_POSITIONS) // work-items that share a position
#define XN_MANY_BUFFERS (XN_LANES == 8 ? 2 : 1)
#define XN_MANY_BYTES(chunks) (XN_MANY_POSITIONS * 64 * (chunks)) // of keys, or values, of 32 values each
#if XN_MANY_ITEMS != 4 || 2 * XN_MANY_BUFFERS * XN_MANY_BYTES(4) > 4 * XN_SCRATCH
#error "four work-items share a position; keys and values fit local memory"
#endif

// --- copies ---

// Values 8 i ... of a position's vector of `size` values, as halves; zeros where there are none.
XN_INLINE uint4 xn_many_chunk(struct xn_row from, uint size, uint i, bool there) {
    if (!there || 8 * i >= size) return (uint4)(0, 0, 0, 0);
#ifdef XN_CACHE_BLOCKS
    float v[8];
#pragma unroll
    for (uint j = 0; j < 8; j++)
        v[j] = xn_row_load(from, 8 * i + j);
    return (uint4)(xn_halves(v[0], v[1]), xn_halves(v[2], v[3]), xn_halves(v[4], v[5]), xn_halves(v[6], v[7]));
#else
    return ((global const uint4 *)from.values)[i];
#endif
}

// `n` positions from `first` on. Work-items that share a position copy a quarter of its key each; those that share two
// positions an eighth of their values.
XN_INLINE void xn_many_copy(const struct xn_env *e, XN_D const struct xn_cl_attend *d,
                            global const struct xn_cl_span *span, uint g, uint first, uint n, const uint chunks,
                            local uint *keys, local uint *values) {
    uint lid = get_local_id(0), position = lid % XN_MANY_POSITIONS, part = lid / XN_MANY_POSITIONS;
    struct xn_row from = xn_row_at(e, &d->keys, span, g, first + min(position, n - 1));
    uint size = d->head_size, x = part * chunks; // in chunks of 8 values
#define XN_COPY_KEY(i)                                                                                                 \
    if (i < chunks)                                                                                                    \
        vstore4(xn_many_chunk(from, size, x + i, position < n), 0,                                                     \
                keys + (((x + i) / 2 * (XN_MANY_POSITIONS / 8) + position / 8) * 8 + position % 8) * 8 + (x + i) % 2 * 4);
    XN_COPY_KEY(0)
    XN_COPY_KEY(1)
    XN_COPY_KEY(2)
    XN_COPY_KEY(3)
    position = lid % (XN_MANY_POSITIONS / 2) * 2;
    part = lid / (XN_MANY_POSITIONS / 2);
    // Both positions are on one page.
    from = xn_row_at(e, &d->values, span, g, first + min(position, (n - 1) / 2 * 2));
    struct xn_row next = from;
#ifdef XN_CACHE_BLOCKS
    next.values += d->values.size / XN_CACHE_BLOCK * XN_BLOCK_BYTES;
    next.scales += d->values.size / XN_CACHE_BLOCK;
#else
    next.values += d->values.size * XN_CACHE_BYTES;
#endif
    size = d->values.size;
    x = part * (chunks / 2);
#define XN_PUT_VALUE(i, word)                                                                                          \
    to[2 * (i)*8] = (a.word & 0xffffu) | b.word << 16;                                                                 \
    to[(2 * (i) + 1) * 8] = a.word >> 16 | (b.word & 0xffff0000u);
#define XN_COPY_VALUE(i)                                                                                               \
    if (i < chunks / 2) {                                                                                              \
        uint4 a = xn_many_chunk(from, size, x + i, position < n), b = xn_many_chunk(next, size, x + i, position + 1 < n); \
        local uint *to = values + ((x + i) * (XN_MANY_POSITIONS / 16) + position / 16) * 64 + position / 2 % 8;       \
        XN_PUT_VALUE(0, x)                                                                                             \
        XN_PUT_VALUE(1, y)                                                                                             \
        XN_PUT_VALUE(2, z)                                                                                             \
        XN_PUT_VALUE(3, w)                                                                                             \
    }
    XN_COPY_VALUE(0)
    XN_COPY_VALUE(1)
}

// --- a block of pairs ---

// What of `chunks` (2 or 4, of 32 values) there are: steps of 16 values, vectors of 8 values.
#define XN_EACH_STEP(S)                                                                                                \
    S(0) S(1) S(2) S(3) if (chunks == 4) {                                                                             \
        S(4) S(5) S(6) S(7)                                                                                            \
    }
#define XN_EACH_VECTOR(S)                                                                                              \
    S(0) S(1) S(2) S(3) S(4) S(5) S(6) S(7) if (chunks == 4) {                                                         \
        S(8) S(9) S(10) S(11) S(12) S(13) S(14) S(15)                                                                  \
    }

XN_INLINE float xn_largest(float8 a) {
    float4 b = fmax(a.lo, a.hi);
    float2 c = fmax(b.lo, b.hi);
    return fmax(c.x, c.y);
}
XN_INLINE float xn_total(float8 a) {
    float4 b = a.lo + a.hi;
    float2 c = b.lo + b.hi;
    return c.x + c.y;
}

// What products of queries and keys are worth, as powers of two, of 8 positions from `first` on.
XN_INLINE float8 xn_many_scores(XN_D const struct xn_cl_attend *d, float8 x, uint first, bool whole,
                                const struct xn_many_pair *pair) {
    float scale = d->scale, cap = d->soft_cap;
    if (cap != 0) {
        x = cap - 2 * cap * native_recip(native_exp2(x * (2 * XN_LOG2_E * scale / cap)) + 1); // cap tanh(x scale / cap)
        scale = 1;
    }
    x *= scale * XN_LOG2_E;
    if (!whole) {
#define XN_HIDE(i) x.s##i = first + i >= pair->begin && first + i < pair->end ? x.s##i : -INFINITY;
        XN_HIDE(0)
        XN_HIDE(1)
        XN_HIDE(2)
        XN_HIDE(3)
        XN_HIDE(4)
        XN_HIDE(5)
        XN_HIDE(6)
        XN_HIDE(7)
    }
    return x;
}

// 16 positions of those in local memory, `at` the first of them.
#define XN_MANY_TILE(at, i)                                                                                            \
    {                                                                                                                  \
        bool whole = (at) >= largest.begin && (at) + 16 <= least.end;                                                  \
        float8 x0 = 0, x1 = 0;                                                                                         \
        xn_address k = XN_LOCAL_ADDRESS(keys) + (i)*2 * XN_FRAGMENT, v = XN_LOCAL_ADDRESS(values) + (i)*XN_FRAGMENT;   \
        XN_EACH_STEP(XN_MANY_STEP)                                                                                     \
        x0 = xn_many_scores(d, x0, at, whole, &pair);                                                                  \
        x1 = xn_many_scores(d, x1, (at) + 8, whole, &pair);                                                            \
        float most = fmax(pair.most, fmax(xn_largest(x0), xn_largest(x1)));                                            \
        float from = most == -INFINITY ? 0 : most, factor = native_exp2(pair.most - from); /* of nothing: 0 */         \
        x0 = native_exp2(x0 - from);                                                                                   \
        x1 = native_exp2(x1 - from);                                                                                   \
        pair.sum = pair.sum * factor + (xn_total(x0) + xn_total(x1));                                                  \
        pair.most = most;                                                                                              \
        int8 p = as_int8((uint8)(xn_halves(x0.s0, x0.s1), xn_halves(x0.s2, x0.s3), xn_halves(x0.s4, x0.s5),            \
                                 xn_halves(x0.s6, x0.s7), xn_halves(x1.s0, x1.s1), xn_halves(x1.s2, x1.s3),            \
                                 xn_halves(x1.s4, x1.s5), xn_halves(x1.s6, x1.s7)));                                   \
        if (sub_group_any(factor != 1)) {                                                                              \
            XN_EACH_VECTOR(XN_MANY_SHRINK)                                                                             \
        }                                                                                                              \
        XN_EACH_VECTOR(XN_MANY_VALUES)                                                                                 \
    }
#define XN_MANY_STEP(s)                                                                                                \
    {                                                                                                                  \
        xn_weights_fragment a, b;                                                                                      \
        XN_LOAD_ROWS(a, k, (s)*XN_MANY_POSITIONS / 8 * XN_FRAGMENT);                                                   \
        XN_LOAD_ROWS(b, k, (s)*XN_MANY_POSITIONS / 8 * XN_FRAGMENT + XN_FRAGMENT);                                     \
        x0 = xn_dpas(x0, a, q##s);                                                                              \
        x1 = xn_dpas(x1, b, q##s);                                                                              \
    }
#define XN_MANY_SHRINK(s) y##s *= factor;
#define XN_MANY_VALUES(s)                                                                                              \
    {                                                                                                                  \
        xn_weights_fragment a;                                                                                         \
        XN_LOAD_ROWS(a, v, (s)*XN_MANY_POSITIONS / 16 * XN_FRAGMENT);                                                  \
        y##s = xn_dpas(y##s, a, p);                                                                             \
    }

// Values 16 s ... of a query; of heads that are smaller zeros.
XN_INLINE int8 xn_many_query(global const float *q, uint s, uint size) {
    float8 low = 0, high = 0;
    if (16 * s < size) low = vload8(0, q + 16 * s);
    if (16 * s + 8 < size) high = vload8(0, q + 16 * s + 8);
    return as_int8((uint8)(xn_halves(low.s0, low.s1), xn_halves(low.s2, low.s3), xn_halves(low.s4, low.s5),
                           xn_halves(low.s6, low.s7), xn_halves(high.s0, high.s1), xn_halves(high.s2, high.s3),
                           xn_halves(high.s4, high.s5), xn_halves(high.s6, high.s7)));
}

XN_INLINE void xn_many_finish(const struct xn_env *e, XN_D const struct xn_cl_attend *d,
                              const struct xn_many_pair *pair, float8 y, float factor, uint s) {
    uint size = d->value_size;
    if (8 * s >= size) return;
    y *= factor;
    if (d->output_gate) {
        float8 gate = vload8(0, e->act + d->in + (ulong)pair->row * d->in_stride + pair->head * d->head_stride +
                                    d->head_size + 8 * s);
        y *= native_recip(1 + native_exp(-gate));
    }
    vstore8(y, 0, e->act + d->out + (ulong)pair->row * d->out_stride + pair->head * size + 8 * s);
}

// Block `block` of XN_MANY_PAIRS pairs of a span and a key-value head; sizes are of 32 keys and of 64 values.
XN_INLINE void xn_many_unit(const struct xn_env *e, XN_D const struct xn_cl_attend *d,
                            global const struct xn_cl_span *span, uint g, uint block, local float *scratch,
                            const uint chunks, const uint value_chunks) {
    uint pairs = span->n_rows * (d->heads / d->kv_heads);
    uint first = block * XN_MANY_PAIRS(d) + xn_warp() * XN_LANES, i = first + xn_lane();
    struct xn_many_pair pair = xn_many_pair_of(d, span, g, min(i, pairs - 1));
    global const float *in = e->act + d->in + (ulong)pair.row * d->in_stride + pair.head * d->head_stride;
    uint size = d->head_size;
    int8 q0 = xn_many_query(in, 0, size), q1 = xn_many_query(in, 1, size), q2 = xn_many_query(in, 2, size);
    int8 q3 = xn_many_query(in, 3, size), q4 = 0, q5 = 0, q6 = 0, q7 = 0;
    if (chunks == 4) {
        q4 = xn_many_query(in, 4, size);
        q5 = xn_many_query(in, 5, size);
        q6 = xn_many_query(in, 6, size);
        q7 = xn_many_query(in, 7, size);
    }
    float8 y0 = 0, y1 = 0, y2 = 0, y3 = 0, y4 = 0, y5 = 0, y6 = 0, y7 = 0;
    float8 y8 = 0, y9 = 0, y10 = 0, y11 = 0, y12 = 0, y13 = 0, y14 = 0, y15 = 0;
    // What the group sees, and of it this sub-group: some of its pairs, and all of them.
    uint end = xn_many_pair_of(d, span, g, min((block + 1) * XN_MANY_PAIRS(d), pairs) - 1).end;
    uint base = xn_many_pair_of(d, span, g, block * XN_MANY_PAIRS(d)).begin / 16 * 16;
    struct xn_many_pair least = xn_many_pair_of(d, span, g, min(first, pairs - 1));
    struct xn_many_pair largest = xn_many_pair_of(d, span, g, min(first + XN_LANES - 1, pairs - 1));
    uint mine_end = first < pairs ? largest.end : 0, turn = 0;
    local uint *copies = (local uint *)scratch;
    const uint words = XN_MANY_BYTES(chunks) / 4;
    if (XN_MANY_BUFFERS == 2)
        xn_many_copy(e, d, span, g, base, min(end - base, (uint)XN_MANY_POSITIONS), chunks, copies, copies + words);
    for (uint from = base; from < end; from += XN_MANY_POSITIONS) {
        local uint *keys = copies + turn * 2 * words, *values = keys + words;
        uint next = from;
        if (XN_MANY_BUFFERS == 2) {
            barrier(CLK_LOCAL_MEM_FENCE);
            turn ^= 1;
            next += XN_MANY_POSITIONS;
        }
        if (next < end)
            xn_many_copy(e, d, span, g, next, min(end - next, (uint)XN_MANY_POSITIONS), chunks,
                         copies + turn * 2 * words, copies + turn * 2 * words + words);
        if (XN_MANY_BUFFERS == 1) barrier(CLK_LOCAL_MEM_FENCE);
        for (uint j = 0; j < XN_MANY_POSITIONS / 16; j++) {
            uint at = from + 16 * j;
            if (at + 16 > least.begin && at < mine_end) XN_MANY_TILE(at, j)
        }
        if (XN_MANY_BUFFERS == 1) barrier(CLK_LOCAL_MEM_FENCE);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (i >= pairs) return;
    float sum = pair.sum, factor = 1;
    if (d->sinks != XN_CL_NONE) {
        float sink = e->vec[d->sinks + pair.head] * XN_LOG2_E, larger = fmax(pair.most, sink);
        factor = native_exp2(pair.most - larger);
        sum = sum * factor + native_exp2(sink - larger);
    }
    factor /= sum;
#define XN_MANY_FINISH(s) xn_many_finish(e, d, &pair, y##s, factor, s);
    XN_EACH_VECTOR(XN_MANY_FINISH)
}
