// attend for few rows on NVIDIA's tensor cores: a warp takes 16 positions at a time, whose keys and values it loads as
// they lie, 16 bytes a lane, for eight query heads together. Scores are (queries) x (keys)^T with the heads as rows, so
// that a lane gets them where it needs them as columns of (values)^T x (weights). Queries and weights are two halves
// each, which have 22 bits together: for scores those are rows g and g + 8 of one product.
//
// Codes of a cache in blocks are halves without rounding; a key's scales come to what a block's product gives, those of
// values to the weights.
//
// XN_FEW_SIZES(X): the sizes that are compiled, X(number, chunks of 32 values of a key, chunks of 64 of a value); the
// descriptor says which one an operation takes.

#define XN_FEW_POSITIONS 16
#ifdef XN_CACHE_BLOCKS
#define XN_FEW_LEAST_UNIT 0x1p-30f
#else
#define XN_FEW_LEAST_UNIT 1.0f
#endif
#define XN_FEW_TILES 64 // whose addresses are looked up together
#define XN_FEW_AHEAD (XN_GROUP > 512 ? 1 : 4) // chunks of keys on their way: large groups have few registers
#define XN_FEW_VALUE_CHUNKS 8 // the most
#define XN_SPLIT_POSITIONS (XN_WARPS > 4 ? 16 * XN_WARPS : 64) // the fewest of a part
#define XN_AT_FEW_STATE XN_AT_BODY // maximum and sum of eight heads of each warp
#define XN_AT_FEW_ADDRESS (XN_AT_FEW_STATE + 16 * XN_WARPS)
#define XN_AT_FEW_QUERY (XN_AT_FEW_ADDRESS + 8 * XN_FEW_TILES)

// Queries as the warp's product wants them: the words of lane l for step s (16 values of a key) at 32 s + l. Which values
// those are follows from how lanes load keys: value 32 c + 8 t + i of chunk c is in lane t's word i / 2.
XN_INLINE void xn_few_queries(const struct xn_env *e, XN_D const struct xn_cl_attend *d,
                                  const struct xn_unit_of_attention *u, const uint chunks, local uint *to) {
    global const float *in = e->act + d->in + (ulong)u->row * d->in_stride + u->first_head * d->head_stride;
    for (uint i = get_local_id(0); i < chunks * 128; i += XN_GROUP) {
        uint step = i / 64, lane = i / 2 % 32, pair = i % 2, head = lane / 4;
        uint x = step / 2 * 32 + lane % 4 * 8 + step % 2 * 4 + pair * 2;
        bool there = head < u->heads && x < d->head_size;
        float a = there ? in[head * d->head_stride + x] : 0, b = there ? in[head * d->head_stride + x + 1] : 0;
        uint both = xn_halves(a, b);
        to[step * 128 + lane * 4 + pair * 2] = both;
        to[step * 128 + lane * 4 + pair * 2 + 1] = xn_halves(a - xn_low_half(both), b - xn_high_half(both));
    }
}

// Where the first key and the first value of n tiles from a position on lie: rows 2i and 2i + 1 of tile i.
XN_INLINE void xn_few_addresses(const struct xn_env *e, XN_D const struct xn_cl_attend *d,
                                    global const struct xn_cl_span *span, uint g, uint position, uint n,
                                    local struct xn_row *to) {
    for (uint i = get_local_id(0); i < 2 * n; i += XN_GROUP)
        to[i] = xn_row_at(e, i % 2 ? &d->values : &d->keys, span, g, position + i / 2 * XN_FEW_POSITIONS);
}

// Bytes of the values, or the codes, of a position.
XN_INLINE uint xn_few_bytes(uint size) {
#ifdef XN_CACHE_BLOCKS
    return size / XN_CACHE_BLOCK * XN_BLOCK_BYTES;
#else
    return size * XN_CACHE_BYTES;
#endif
}

// Weights as two halves each: positions 2t, 2t + 1, then those plus 8.
struct xn_few_weights {
    uint high[2], low[2];
};
XN_INLINE struct xn_few_weights xn_few_weights_of(float a, float b, float c, float d) {
    struct xn_few_weights w;
    w.high[0] = xn_halves(a, b);
    w.high[1] = xn_halves(c, d);
    w.low[0] = xn_halves(a - xn_low_half(w.high[0]), b - xn_high_half(w.high[0]));
    w.low[1] = xn_halves(c - xn_low_half(w.high[1]), d - xn_high_half(w.high[1]));
    return w;
}
XN_INLINE void xn_few_add(float *sums, uint4 values, struct xn_few_weights w) {
    xn_mma_half(sums, values, w.high[0], w.high[1]);
    xn_mma_half(sums, values, w.low[0], w.low[1]);
}

// Scores of the tile for head g: positions 2t, 2t + 1, then those plus 8.
#ifdef XN_CACHE_BLOCKS
// The eight codes of a key's chunk that are lane t's, as halves.
XN_INLINE uint4 xn_few_codes(global const uchar *codes, uint t) {
#ifdef XN_CACHE_Q8_0
    uint2 x = ((global const uint2 *)codes)[t] ^ 0x80808080;
    return (uint4)(xn_low_bytes(x.x), xn_high_bytes(x.x), xn_low_bytes(x.y), xn_high_bytes(x.y));
#else
    uint x = ((global const uint *)codes)[t];
    return (uint4)(xn_nibble_halves(x), xn_nibble_halves(x >> 4), xn_nibble_halves(x >> 8), xn_nibble_halves(x >> 12));
#endif
}

XN_INLINE void xn_few_scores(XN_D const struct xn_cl_attend *d, const uint chunks, struct xn_row key,
                                 local const uint *query, float *p) {
    uint lane = xn_lane(), t = lane % 4, blocks = d->head_size / XN_CACHE_BLOCK, bytes = blocks * XN_BLOCK_BYTES;
    global const uchar *row = key.values + lane / 4 * bytes;
    p[0] = p[1] = p[2] = p[3] = 0;
#pragma unroll
    for (uint c = 0; c < chunks; c++) {
        if (c >= blocks) continue;
        uint4 x = xn_few_codes(row + c * XN_BLOCK_BYTES, t), y = xn_few_codes(row + 8 * bytes + c * XN_BLOCK_BYTES, t);
        uint4 a = ((local const uint4 *)query)[c * 64 + lane], b = ((local const uint4 *)query)[c * 64 + 32 + lane];
        float low[4] = {0, 0, 0, 0}, high[4] = {0, 0, 0, 0};
        xn_mma_half(low, a, x.x, x.y);
        xn_mma_half(high, a, y.x, y.y);
        xn_mma_half(low, b, x.z, x.w);
        xn_mma_half(high, b, y.z, y.w);
        global const half *scales = key.scales + c;
        p[0] += (low[0] + low[2]) * vload_half(2 * t * blocks, scales);
        p[1] += (low[1] + low[3]) * vload_half((2 * t + 1) * blocks, scales);
        p[2] += (high[0] + high[2]) * vload_half((2 * t + 8) * blocks, scales);
        p[3] += (high[1] + high[3]) * vload_half((2 * t + 9) * blocks, scales);
    }
}

// sums[2 c + i]: of block c, four values of each lane.
XN_INLINE void xn_few_values(XN_D const struct xn_cl_attend *d, const uint chunks, struct xn_row value, uint last,
                                 const float *p, float (*sums)[4]) {
    uint lane = xn_lane(), g = lane / 4, t = lane % 4, blocks = d->values.size / XN_CACHE_BLOCK;
#pragma unroll
    for (uint c = 0; c < 2 * chunks; c++) {
        if (c * XN_CACHE_BLOCK >= d->value_size) continue;
        uint x[4];
        float scale[4];
#pragma unroll
        for (uint i = 0; i < 4; i++) { // what lies behind the last position may be anything
            uint at = min(2 * t + i % 2 + i / 2 * 8, last) * blocks + c;
            scale[i] = vload_half(at, value.scales);
#ifdef XN_CACHE_Q8_0
            x[i] = ((global const uint *)value.values)[at * 8 + g] ^ 0x80808080;
#else
            x[i] = ((global const ushort *)value.values)[at * 8 + g];
#endif
        }
        struct xn_few_weights w = xn_few_weights_of(p[0] * scale[0], p[1] * scale[1], p[2] * scale[2], p[3] * scale[3]);
#ifdef XN_CACHE_Q8_0
        xn_few_add(sums[2 * c],
                   (uint4)(xn_byte_halves(x[0], x[1], 0), xn_byte_halves(x[0], x[1], 1),
                           xn_byte_halves(x[2], x[3], 0), xn_byte_halves(x[2], x[3], 1)),
                   w);
        xn_few_add(sums[2 * c + 1],
                   (uint4)(xn_byte_halves(x[0], x[1], 2), xn_byte_halves(x[0], x[1], 3),
                           xn_byte_halves(x[2], x[3], 2), xn_byte_halves(x[2], x[3], 3)),
                   w);
#else
        uint a = x[0] | x[1] << 16, b = x[2] | x[3] << 16;
        xn_few_add(sums[2 * c],
                   (uint4)(xn_nibble_halves(a), xn_nibble_halves(a >> 4), xn_nibble_halves(b), xn_nibble_halves(b >> 4)),
                   w);
        xn_few_add(sums[2 * c + 1],
                   (uint4)(xn_nibble_halves(a >> 8), xn_nibble_halves(a >> 12), xn_nibble_halves(b >> 8),
                           xn_nibble_halves(b >> 12)),
                   w);
#endif
    }
}

// Which value sums[tile][2 * upper ...] of lanes g is.
XN_INLINE uint xn_few_value(uint tile, uint g, uint upper) {
#ifdef XN_CACHE_Q8_0
    return tile / 2 * 32 + g * 4 + tile % 2 * 2 + upper;
#else
    return tile / 2 * 32 + g / 2 * 8 + (tile % 2 * 2 + upper) * 2 + g % 2;
#endif
}
#else
XN_INLINE void xn_few_scores(XN_D const struct xn_cl_attend *d, const uint chunks, struct xn_row key,
                                 local const uint *query, float *p) {
    uint lane = xn_lane(), bytes = 2 * d->head_size;
    global const uchar *row = key.values + lane / 4 * bytes + lane % 4 * 16;
    float low[4] = {0, 0, 0, 0}, high[4] = {0, 0, 0, 0};
#pragma unroll
    for (uint first = 0; first < chunks; first += XN_FEW_AHEAD) {
        uint4 x[2 * XN_FEW_AHEAD];
#pragma unroll
        for (uint i = 0; i < XN_FEW_AHEAD; i++) {
            uint c = first + i;
            bool there = c * 32 + lane % 4 * 8 < d->head_size;
            x[2 * i] = there ? *(global const uint4 *)(row + c * 64) : (uint4)(0, 0, 0, 0);
            x[2 * i + 1] = there ? *(global const uint4 *)(row + 8 * bytes + c * 64) : (uint4)(0, 0, 0, 0);
        }
#pragma unroll
        for (uint i = 0; i < XN_FEW_AHEAD; i++) {
            uint c = first + i;
            if (c < chunks) {
                uint4 a = ((local const uint4 *)query)[c * 64 + lane];
                uint4 b = ((local const uint4 *)query)[c * 64 + 32 + lane];
                xn_mma_half(low, a, x[2 * i].x, x[2 * i].y);
                xn_mma_half(high, a, x[2 * i + 1].x, x[2 * i + 1].y);
                xn_mma_half(low, b, x[2 * i].z, x[2 * i].w);
                xn_mma_half(high, b, x[2 * i + 1].z, x[2 * i + 1].w);
            }
        }
    }
    p[0] = low[0] + low[2];
    p[1] = low[1] + low[3];
    p[2] = high[0] + high[2];
    p[3] = high[1] + high[3];
}

// sums[4 c + i]: values 64 c + 8 g + 2 i (+ 1) of heads 2t, 2t + 1.
XN_INLINE void xn_few_values(XN_D const struct xn_cl_attend *d, const uint chunks, struct xn_row value,
                                 uint last, const float *p, float (*sums)[4]) {
    uint lane = xn_lane(), t = lane % 4, bytes = 2 * d->values.size;
    global const uchar *column = value.values + lane / 4 * 16;
    struct xn_few_weights w = xn_few_weights_of(p[0], p[1], p[2], p[3]);
#define XN_FEW_PAIR(i, word)                                                                                           \
    {                                                                                                                  \
        uint4 a = (uint4)(xn_low_of(x[0].word, x[1].word), xn_high_of(x[0].word, x[1].word),                           \
                          xn_low_of(x[2].word, x[3].word), xn_high_of(x[2].word, x[3].word));                          \
        xn_few_add(sums[4 * c + i], a, w);                                                                             \
    }
#pragma unroll
    for (uint c = 0; c < chunks; c++) {
        uint4 x[4];
#pragma unroll
        for (uint i = 0; i < 4; i++) { // what lies behind the last position may be anything
            uint position = min(2 * t + i % 2 + i / 2 * 8, last);
            bool there = c * 64 + lane / 4 * 8 < d->value_size;
            x[i] = there ? *(global const uint4 *)(column + position * bytes + c * 128) : (uint4)(0, 0, 0, 0);
        }
        XN_FEW_PAIR(0, x)
        XN_FEW_PAIR(1, y)
        XN_FEW_PAIR(2, z)
        XN_FEW_PAIR(3, w)
    }
#undef XN_FEW_PAIR
}

XN_INLINE uint xn_few_value(uint tile, uint g, uint upper) {
    return tile / 4 * 64 + g * 8 + tile % 4 * 2 + upper;
}
#endif

// What a warp knows of head g: the largest score, and of the lane's positions the sum of weights.
struct xn_few_state {
    float most, sum;
    float unit; // of the sums: a power of two, so that weights times scales are no small halves
};

// The sums' unit becomes what the tile's scales need, if that is more; positions to `last` count. Returns by what sums in
// the former unit are to be multiplied.
XN_INLINE float xn_few_unit_of(XN_D const struct xn_cl_attend *d, struct xn_row value, uint last,
                                   struct xn_few_state *state) {
#ifdef XN_CACHE_BLOCKS
    uint n = (last + 1) * (d->values.size / XN_CACHE_BLOCK);
    float most = 0;
    for (uint i = xn_lane(); i < n; i += XN_LANES)
        most = fmax(most, fabs(vload_half(i, value.scales)));
    float unit = as_float(as_uint(fmax(xn_warp_max(most), XN_FEW_LEAST_UNIT)) & 0x7f800000), was = state->unit;
    state->unit = fmax(unit, was);
    return was / state->unit;
#else
    return 1;
#endif
}

// The scores of a tile become weights; returns the factor of what came before. Positions [begin, end) of the tile count.
XN_INLINE float xn_few_soften(XN_D const struct xn_cl_attend *d, uint begin, uint end, float *p,
                                  struct xn_few_state *state) {
    uint t = xn_lane() % 4;
    float most = state->most, factor;
#pragma unroll
    for (uint i = 0; i < 4; i++) {
        uint position = 2 * t + i % 2 + i / 2 * 8;
        float x = p[i] * d->scale;
        if (d->soft_cap != 0) x = d->soft_cap * tanh(x / d->soft_cap);
        p[i] = position >= begin && position < end ? x : -INFINITY;
        most = fmax(most, p[i]);
    }
    most = fmax(most, xn_shuffle_xor(most, 1));
    most = fmax(most, xn_shuffle_xor(most, 2));
    factor = exp(state->most - most); // of nothing before: exp(-inf)
    state->sum *= factor;
#pragma unroll
    for (uint i = 0; i < 4; i++)
        state->sum += p[i] = exp(p[i] - most);
    state->most = most;
    return factor;
}

XN_INLINE void xn_few_scale(const uint chunks, float factor, float (*sums)[4]) {
    uint t = xn_lane() % 4;
    float even = xn_shuffle(factor, 8 * t), odd = xn_shuffle(factor, 8 * t + 4);
#pragma unroll
    for (uint i = 0; i < 4 * chunks; i++) {
        sums[i][0] *= even;
        sums[i][1] *= odd;
        sums[i][2] *= even;
        sums[i][3] *= odd;
    }
}

// Adds up what the warps have, some blocks of 16 values by 8 heads at a time: `result` is heads x value_size.
XN_INLINE void xn_few_join(XN_D const struct xn_cl_attend *d, const struct xn_unit_of_attention *u,
                               const uint chunks, uint workers, struct xn_few_state state, float (*sums)[4],
                               local float *scratch, local float *result, local float *room, uint floats) {
    uint lid = get_local_id(0), lane = xn_lane(), warp = xn_warp();
    local float *states = scratch + XN_AT_FEW_STATE;
    state.sum += xn_shuffle_xor(state.sum, 1);
    state.sum += xn_shuffle_xor(state.sum, 2);
    if (warp < workers && lane % 4 == 0) {
        states[16 * warp + lane / 2] = state.most;
        states[16 * warp + lane / 2 + 1] = state.sum;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    float most = -INFINITY, sum = 0;
    for (uint w = 0; w < workers; w++)
        most = fmax(most, states[16 * w + lane / 4 * 2]);
    if (warp == 0) {
        for (uint w = 0; w < workers; w++)
            sum += states[16 * w + lane / 4 * 2 + 1] * exp(states[16 * w + lane / 4 * 2] - most);
        if (lane % 4 == 0) {
            scratch[XN_AT_MOST + 3 * (lane / 4)] = most;
            scratch[XN_AT_MOST + 3 * (lane / 4) + 1] = sum;
        }
    }
    xn_few_scale(chunks, exp(state.most - most) * state.unit, sums);
    uint together = floats / (128 * workers), blocks = 4 * chunks;
    for (uint first = 0; first < blocks; first += together) {
        uint n = min(together, blocks - first);
#pragma unroll
        for (uint i = 0; i < 4 * chunks; i++)
            if (warp < workers && i >= first && i - first < n)
                ((local float4 *)room)[(warp * n + i - first) * 32 + lane] =
                    (float4)(sums[i][0], sums[i][1], sums[i][2], sums[i][3]);
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint i = lid; i < n * 128; i += XN_GROUP) {
            uint block = first + i / 128, l = i / 4 % 32, j = i % 4, head = l % 4 * 2 + j % 2;
            uint x = xn_few_value(block, l / 4, j / 2);
            float all = 0;
            for (uint w = 0; w < workers; w++)
                all += room[w * n * 128 + i];
            if (head < u->heads && x < d->value_size) result[head * d->value_size + x] = all;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}

// Of a unit: the sums of its heads x value_size values, unscaled, at what is returned; their maxima and sums of weights
// at XN_AT_MOST.
XN_INLINE local float *
xn_few_unit(const struct xn_env *e, XN_D const struct xn_cl_attend *d, const struct xn_unit_of_attention *u,
            local float *scratch, const uint key_chunks, const uint value_chunks) {
    global const struct xn_cl_span *span = xn_span_at(e, xn_span_of_row(e, u->row));
    local struct xn_row *addresses = (local struct xn_row *)(scratch + XN_AT_FEW_ADDRESS);
    local uint *query = (local uint *)(scratch + XN_AT_FEW_QUERY);
    local float *result = scratch + XN_AT_FEW_QUERY; // when queries are done with
    uint used = XN_AT_FEW_QUERY + max(256 * key_chunks, 8 * d->value_size), floats = XN_FREE_SCRATCH - used;
    uint base = u->begin / XN_FEW_POSITIONS * XN_FEW_POSITIONS, warp = xn_warp();
    uint tiles = (u->end - base + XN_FEW_POSITIONS - 1) / XN_FEW_POSITIONS;
    uint key_bytes = xn_few_bytes(d->keys.size), value_bytes = xn_few_bytes(d->values.size); // of a position
    uint workers = min(min((uint)XN_WARPS, tiles), floats / 128);
    struct xn_few_state state = {-INFINITY, 0, XN_FEW_LEAST_UNIT};
    float sums[4 * XN_FEW_VALUE_CHUNKS][4];
#pragma unroll
    for (uint i = 0; i < 4 * value_chunks; i++)
        sums[i][0] = sums[i][1] = sums[i][2] = sums[i][3] = 0;
    xn_few_queries(e, d, u, key_chunks, query);
    for (uint i0 = 0; i0 < tiles; i0 += XN_FEW_TILES) {
        uint n = min(tiles - i0, (uint)XN_FEW_TILES);
        xn_few_addresses(e, d, span, u->g, base + i0 * XN_FEW_POSITIONS, n, addresses);
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint i = warp; i < n && warp < workers; i += workers) {
            uint first = base + (i0 + i) * XN_FEW_POSITIONS, end = min(u->end - first, (uint)XN_FEW_POSITIONS);
            uint begin = u->begin > first ? u->begin - first : 0;
            float p[4];
            xn_prefetch(addresses[2 * i + 1].values, end * value_bytes);
            if (i + workers < n) xn_prefetch(addresses[2 * (i + workers)].values, XN_FEW_POSITIONS * key_bytes);
            xn_few_scores(d, key_chunks, addresses[2 * i], query, p);
            float factor = xn_few_soften(d, begin, end, p, &state);
            factor *= xn_few_unit_of(d, addresses[2 * i + 1], end - 1, &state);
            for (uint j = 0; j < 4; j++)
                p[j] /= state.unit; // exactly
            xn_few_scale(value_chunks, factor, sums);
            xn_few_values(d, value_chunks, addresses[2 * i + 1], end - 1, p, sums);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    xn_few_join(d, u, value_chunks, workers, state, sums, scratch, result, scratch + used, floats);
    return result;
}
