// attend for many rows on NVIDIA's tensor cores: a warp takes 16 pairs of a row and a query head of one key-value head,
// and 16 positions at a time, whose keys and values it loads as they lie: those of a group go through the same positions
// together, so that all but the first find them in the first cache. Queries, weights and values in blocks are rounded to
// halves, sums are float32. Scores stay in the registers in which the product with the values wants its weights.

#define XN_MANY_TILES 16 // of which all warps have done one set before any begins the next
#define XN_MANY_KEY_CHUNKS 8
#define XN_MANY_VALUE_CHUNKS 4 // the most
#define XN_MANY_PAIRS (16 * XN_WARPS)
#define XN_LOG2_E 1.44269504088896f

// A pair: its row's place in the batch, its head, what it sees, and the softmax so far (in powers of two).
struct xn_many_pair {
    uint row, head, begin, end;
    float most, sum;
};

XN_INLINE struct xn_many_pair xn_many_pair_of(XN_D const struct xn_cl_attend *d,
                                                  global const struct xn_cl_span *span, uint g, uint i) {
    uint queries = d->heads / d->kv_heads, row = i / queries;
    struct xn_many_pair p = {span->first_row + row, g * queries + i % queries, 0, span->past + row + 1, -INFINITY, 0};
    p.begin = d->window && p.end > d->window ? p.end - d->window : 0;
    return p;
}

// Two words of two values each of pair a's and pair b's queries.
XN_INLINE uint4 xn_many_query(global const float *a, global const float *b, uint x, bool there) {
    uint4 q = {0, 0, 0, 0};
    if (there) {
        q.x = xn_halves(a[x], a[x + 1]);
        q.y = xn_halves(b[x], b[x + 1]);
        q.z = xn_halves(a[x + 2], a[x + 3]);
        q.w = xn_halves(b[x + 2], b[x + 3]);
    }
    return q;
}

// Scores of a tile: positions 2t, 2t + 1, then those plus 8, of pair g in a and of pair g + 8 in b.
XN_INLINE void xn_many_scores(XN_D const struct xn_cl_attend *d, const uint chunks, struct xn_row key,
                                  const uint4 *q, float *a, float *b) {
    uint lane = xn_lane(), t = lane % 4;
    float low[4] = {0, 0, 0, 0}, high[4] = {0, 0, 0, 0};
#ifdef XN_CACHE_BLOCKS
    uint blocks = d->head_size / XN_CACHE_BLOCK, bytes = blocks * XN_BLOCK_BYTES;
    global const uchar *row = key.values + lane / 4 * bytes;
#pragma unroll
    for (uint c = 0; c < chunks; c++) {
        if (c >= blocks) continue;
        uint4 x = xn_few_codes(row + c * XN_BLOCK_BYTES, t), y = xn_few_codes(row + 8 * bytes + c * XN_BLOCK_BYTES, t);
        float m[4] = {0, 0, 0, 0}, n[4] = {0, 0, 0, 0};
        xn_mma_half(m, q[2 * c], x.x, x.y);
        xn_mma_half(n, q[2 * c], y.x, y.y);
        xn_mma_half(m, q[2 * c + 1], x.z, x.w);
        xn_mma_half(n, q[2 * c + 1], y.z, y.w);
#pragma unroll
        for (uint i = 0; i < 2; i++) {
            float near = vload_half((2 * t + i) * blocks + c, key.scales);
            float far = vload_half((2 * t + 8 + i) * blocks + c, key.scales);
            low[i] += m[i] * near;
            low[2 + i] += m[2 + i] * near;
            high[i] += n[i] * far;
            high[2 + i] += n[2 + i] * far;
        }
    }
#else
    uint bytes = 2 * d->head_size;
    global const uchar *row = key.values + lane / 4 * bytes + t * 16;
#pragma unroll
    for (uint c = 0; c < chunks; c++) {
        bool there = c * 32 + t * 8 < d->head_size;
        uint4 x = there ? *(global const uint4 *)(row + c * 64) : (uint4)(0, 0, 0, 0);
        uint4 y = there ? *(global const uint4 *)(row + 8 * bytes + c * 64) : (uint4)(0, 0, 0, 0);
        xn_mma_half(low, q[2 * c], x.x, x.y);
        xn_mma_half(high, q[2 * c], y.x, y.y);
        xn_mma_half(low, q[2 * c + 1], x.z, x.w);
        xn_mma_half(high, q[2 * c + 1], y.z, y.w);
    }
#endif
#pragma unroll
    for (uint i = 0; i < 2; i++) {
        a[i] = low[i];
        a[2 + i] = high[i];
        b[i] = low[2 + i];
        b[2 + i] = high[2 + i];
    }
}

// Scores of a tile that begins at `first` become weights; returns the factor of what came before.
XN_INLINE float xn_many_soften(XN_D const struct xn_cl_attend *d, uint first, float *x,
                                   struct xn_many_pair *pair) {
    uint position = first + xn_lane() % 4 * 2;
    float most = pair->most;
#pragma unroll
    for (uint i = 0; i < 4; i++) {
        uint at = position + i % 2 + i / 2 * 8;
        float s = x[i] * d->scale;
        if (d->soft_cap != 0) s = d->soft_cap * tanh(s / d->soft_cap);
        x[i] = at >= pair->begin && at < pair->end ? s * XN_LOG2_E : -INFINITY;
        most = fmax(most, x[i]);
    }
    most = fmax(most, xn_shuffle_xor(most, 1));
    most = fmax(most, xn_shuffle_xor(most, 2));
    float from = most == -INFINITY ? 0 : most, factor = native_exp2(pair->most - from); // of nothing: 0
    pair->most = most;
    pair->sum *= factor;
#pragma unroll
    for (uint i = 0; i < 4; i++)
        pair->sum += x[i] = native_exp2(x[i] - from);
    return factor;
}

// sums[i]: values xn_many_value(i, 2t) and (i, 2t + 1) of pair g, then of pair g + 8.
XN_INLINE void xn_many_values(XN_D const struct xn_cl_attend *d, const uint chunks, struct xn_row value,
                                  uint last, uint4 weights, float (*sums)[4]) {
    uint lane = xn_lane(), g = lane / 4, t = lane % 4;
#ifdef XN_CACHE_BLOCKS
    uint blocks = d->values.size / XN_CACHE_BLOCK;
#pragma unroll
    for (uint c = 0; c < 2 * chunks; c++) {
        if (c * XN_CACHE_BLOCK >= d->value_size) continue;
        uint x[4], scale[4];
#pragma unroll
        for (uint i = 0; i < 4; i++) { // what lies behind the last position may be anything
            uint at = min(2 * t + i % 2 + i / 2 * 8, last) * blocks + c;
            scale[i] = ((global const ushort *)value.scales)[at];
#ifdef XN_CACHE_Q8_0
            x[i] = ((global const uint *)value.values)[at * 8 + g] ^ 0x80808080;
#else
            x[i] = ((global const ushort *)value.values)[at * 8 + g];
#endif
        }
        uint near = scale[0] | scale[1] << 16, far = scale[2] | scale[3] << 16;
#ifdef XN_CACHE_Q8_0
#define XN_MANY_BLOCK(i) xn_byte_halves(x[0], x[1], i), xn_byte_halves(x[2], x[3], i)
#else
        uint a = x[0] | x[1] << 16, b = x[2] | x[3] << 16;
#define XN_MANY_BLOCK(i) xn_nibble_halves(a >> 4 * i), xn_nibble_halves(b >> 4 * i)
#endif
#define XN_MANY_ADD(i)                                                                                                 \
    {                                                                                                                  \
        uint2 codes = (uint2)(XN_MANY_BLOCK(i));                                                                       \
        xn_mma_half(sums[4 * c + i], weights, xn_times(codes.x, near), xn_times(codes.y, far));                        \
    }
        XN_MANY_ADD(0)
        XN_MANY_ADD(1)
        XN_MANY_ADD(2)
        XN_MANY_ADD(3)
#undef XN_MANY_ADD
#undef XN_MANY_BLOCK
    }
#else
    uint bytes = 2 * d->values.size;
    global const uchar *column = value.values + g * 16;
#pragma unroll
    for (uint c = 0; c < chunks; c++) {
        uint4 x[4];
#pragma unroll
        for (uint i = 0; i < 4; i++) {
            uint position = min(2 * t + i % 2 + i / 2 * 8, last);
            bool there = c * 64 + g * 8 < d->value_size;
            x[i] = there ? *(global const uint4 *)(column + position * bytes + c * 128) : (uint4)(0, 0, 0, 0);
        }
#define XN_MANY_ADD(i, word)                                                                                           \
    xn_mma_half(sums[8 * c + i], weights, xn_low_of(x[0].word, x[1].word), xn_low_of(x[2].word, x[3].word));           \
    xn_mma_half(sums[8 * c + i + 1], weights, xn_high_of(x[0].word, x[1].word), xn_high_of(x[2].word, x[3].word));
        XN_MANY_ADD(0, x)
        XN_MANY_ADD(2, y)
        XN_MANY_ADD(4, z)
        XN_MANY_ADD(6, w)
#undef XN_MANY_ADD
    }
#endif
}

XN_INLINE uint xn_many_value(uint tile, uint column) {
#if defined(XN_CACHE_Q8_0)
    return tile / 4 * 32 + column * 4 + tile % 4;
#elif defined(XN_CACHE_Q4_0)
    return tile / 4 * 32 + column / 2 * 8 + tile % 4 * 2 + column % 2;
#else
    return tile / 8 * 64 + column * 8 + tile % 8;
#endif
}

// A pair's results, of which sums[.][at] and [at + 1] are this lane's.
XN_INLINE void xn_many_finish(const struct xn_env *e, XN_D const struct xn_cl_attend *d, const uint chunks,
                                  struct xn_many_pair pair, float (*sums)[4], const uint at) {
    float sum = pair.sum, factor = 1;
    if (d->sinks != XN_CL_NONE) {
        float sink = e->vec[d->sinks + pair.head] * XN_LOG2_E, larger = fmax(pair.most, sink);
        factor = native_exp2(pair.most - larger);
        sum = sum * factor + native_exp2(sink - larger);
    }
    factor /= sum;
    global float *out = e->act + d->out + (ulong)pair.row * d->out_stride + pair.head * d->value_size;
    global const float *gate = e->act + d->in + (ulong)pair.row * d->in_stride + pair.head * d->head_stride + d->head_size;
#pragma unroll
    for (uint i = 0; i < 16 * chunks; i++) {
        uint x = xn_many_value(i / 2, xn_lane() % 4 * 2 + i % 2);
        if (x >= d->value_size) continue;
        float value = sums[i / 2][at + i % 2] * factor;
        out[x] = d->output_gate ? value * xn_sigmoid(gate[x]) : value;
    }
}

// Block `block` of XN_MANY_PAIRS pairs of a span and a key-value head.
XN_INLINE void
xn_many_unit(const struct xn_env *e, XN_D const struct xn_cl_attend *d, global const struct xn_cl_span *span, uint g,
             uint block, local float *scratch, const uint key_chunks, const uint value_chunks) {
    local struct xn_row *rows = (local struct xn_row *)scratch;
    uint pairs = span->n_rows * (d->heads / d->kv_heads), lane = xn_lane();
    uint first = block * XN_MANY_PAIRS + xn_warp() * 16, i = first + lane / 4;
    struct xn_many_pair a = xn_many_pair_of(d, span, g, min(i, pairs - 1));
    struct xn_many_pair b = xn_many_pair_of(d, span, g, min(i + 8, pairs - 1));
    uint4 q[2 * XN_MANY_KEY_CHUNKS];
    global const float *in_a = e->act + d->in + (ulong)a.row * d->in_stride + a.head * d->head_stride;
    global const float *in_b = e->act + d->in + (ulong)b.row * d->in_stride + b.head * d->head_stride;
#pragma unroll
    for (uint s = 0; s < 2 * key_chunks; s++) {
        uint x = s / 2 * 32 + lane % 4 * 8;
        q[s] = xn_many_query(in_a, in_b, x + s % 2 * 4, x < d->head_size);
    }
    float sums[8 * XN_MANY_VALUE_CHUNKS][4];
#pragma unroll
    for (uint s = 0; s < 8 * value_chunks; s++)
        sums[s][0] = sums[s][1] = sums[s][2] = sums[s][3] = 0;
    // What the group sees, and this warp of it.
    uint end = xn_many_pair_of(d, span, g, min((block + 1) * XN_MANY_PAIRS, pairs) - 1).end;
    uint base = xn_many_pair_of(d, span, g, block * XN_MANY_PAIRS).begin / 16 * 16, tiles = (end - base + 15) / 16;
    uint mine_begin = xn_many_pair_of(d, span, g, min(first, pairs - 1)).begin;
    uint mine_end = first < pairs ? xn_many_pair_of(d, span, g, min(first + 15, pairs - 1)).end : 0;
    for (uint t0 = 0; t0 < tiles; t0 += XN_MANY_TILES) {
        uint n = min(tiles - t0, (uint)XN_MANY_TILES);
        barrier(CLK_LOCAL_MEM_FENCE);
        xn_few_addresses(e, d, span, g, base + t0 * 16, n, rows);
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint t = 0; t < n; t++) {
            uint at = base + (t0 + t) * 16;
            if (at + 16 <= mine_begin || at >= mine_end) continue;
            float x[4], y[4];
            xn_many_scores(d, key_chunks, rows[2 * t], q, x, y);
            float factor_a = xn_many_soften(d, at, x, &a), factor_b = xn_many_soften(d, at, y, &b);
#pragma unroll
            for (uint s = 0; s < 8 * value_chunks; s++) {
                sums[s][0] *= factor_a;
                sums[s][1] *= factor_a;
                sums[s][2] *= factor_b;
                sums[s][3] *= factor_b;
            }
            uint4 weights = (uint4)(xn_halves(x[0], x[1]), xn_halves(y[0], y[1]), xn_halves(x[2], x[3]),
                                    xn_halves(y[2], y[3]));
            xn_many_values(d, value_chunks, rows[2 * t + 1], min(end - at, 16u) - 1, weights, sums);
        }
    }
    a.sum += xn_shuffle_xor(a.sum, 1);
    b.sum += xn_shuffle_xor(b.sum, 1);
    a.sum += xn_shuffle_xor(a.sum, 2);
    b.sum += xn_shuffle_xor(b.sum, 2);
    if (i < pairs) xn_many_finish(e, d, value_chunks, a, sums, 0);
    if (i + 8 < pairs) xn_many_finish(e, d, value_chunks, b, sums, 2);
    barrier(CLK_LOCAL_MEM_FENCE);
}
