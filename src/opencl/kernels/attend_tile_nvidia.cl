// What attend for few rows does on NVIDIA's tensor cores: a warp takes 16 positions at a time, whose keys and values it
// loads as they lie, for eight query heads together. Scores are (queries) x (keys)^T with the heads as rows, so that a lane gets
// them where it needs them as columns of (values)^T x (weights). Queries and weights are two halves each, which have 22
// bits together: for scores those are rows g and g + 8 of one product.
//
// Codes of a cache in blocks are halves without rounding; a key's scales come to what a block's product gives, those of
// values to the weights.

// --- tiles ---

// Where the keys and values of 16 positions lie.
struct xn_few_tile {
    struct xn_row key, value;
};

// The numbers of the pages of a row's sequence.
static inline global const uint *xn_few_pages(const struct xn_env *e, uint row) {
#ifdef XN_WALK
    return e->step + e->pages[row];
#else
    return e->step + xn_span_at(e, xn_span_of_row(e, row))->pages;
#endif
}
static inline uint xn_few_page_size(const struct xn_env *e) {
#ifdef XN_WALK
    return e->page_size;
#else
    return xn_step_of(e)->page_size;
#endif
}
static inline struct xn_few_tile xn_few_tile_of(const struct xn_env *e, XN_D const struct xn_cl_attend *d, uint g,
                                                uint page, uint in_page) {
    uint page_size = xn_few_page_size(e);
    struct xn_few_tile t;
#pragma unroll 1
    for (uint i = 0; i < 2; i++) { // keys, then values
        XN_D const struct xn_cl_cache *c = i ? &d->values : &d->keys;
        global uchar *at = xn_page(e, c, page);
        t.key = t.value;
#ifdef XN_CACHE_BLOCKS
        uint blocks = c->size / XN_CACHE_BLOCK;
        at += (ulong)(g * page_size) * blocks * (XN_BLOCK_BYTES + 2);
        t.value.values = at + in_page * blocks * XN_BLOCK_BYTES;
        t.value.scales = (global half *)(at + page_size * blocks * XN_BLOCK_BYTES) + in_page * blocks;
#else
        t.value.values = at + (ulong)(g * page_size + in_page) * c->size * XN_CACHE_BYTES;
#endif
    }
    return t;
}

// Bytes of the values, or the codes, of a position.
XN_INLINE uint xn_few_bytes(uint size) {
#ifdef XN_CACHE_BLOCKS
    return size / XN_CACHE_BLOCK * XN_BLOCK_BYTES;
#else
    return size * XN_CACHE_BYTES;
#endif
}
// Asks for a tile.
static inline void xn_few_ask(XN_D const struct xn_cl_attend *d, const struct xn_few_tile *t) {
    xn_prefetch(t->key.values, XN_FEW_POSITIONS * xn_few_bytes(d->keys.size));
    xn_prefetch(t->value.values, XN_FEW_POSITIONS * xn_few_bytes(d->values.size));
}

// --- queries ---

// Queries as the warp's product wants them: the words of lane l for step s (16 values of a key) at 32 s + l. Which values
// those are follows from how lanes load keys: value 32 c + 8 t + i of chunk c is in lane t's word i / 2. They are scaled, so
// that scores are those of powers of two.
XN_INLINE void xn_few_queries(const struct xn_env *e, XN_D const struct xn_cl_attend *d,
                              local const struct xn_unit_of_attention *u, const uint chunks, local uint *to) {
    global const float *in = e->act + d->in + (ulong)u->row * d->in_stride + u->first_head * d->head_stride;
    float scale = d->scale * XN_LOG2_E;
#pragma unroll 1
    for (uint i = get_local_id(0); i < chunks * 128; i += XN_GROUP) {
        uint step = i / 64, lane = i / 2 % 32, pair = i % 2, head = lane / 4;
        uint x = step / 2 * 32 + lane % 4 * 8 + step % 2 * 4 + pair * 2;
        bool there = head < u->heads && x < d->head_size;
        float a = there ? in[head * d->head_stride + x] * scale : 0;
        float b = there ? in[head * d->head_stride + x + 1] * scale : 0;
        uint both = xn_halves(a, b);
        ((local uint2 *)to)[step * 64 + lane * 2 + pair] =
            (uint2)(both, xn_halves(a - xn_low_half(both), b - xn_high_half(both)));
    }
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

// What a warp knows of head g: the largest score, in powers of two, and of the lane's positions the sum of weights.
struct xn_few_state {
    float most, sum;
    float unit; // of the sums: a power of two, so that weights times scales are no small halves
    float largest; // scale of the tile's values
};

// --- keys and values ---
//
//   xn_few_read_keys    of chunks [first, first + XN_FEW_KEYS_AHEAD), positions g and g + 8
//   xn_few_add_scores   adds what those chunks give to head g's scores of positions 2t, 2t + 1, and those plus 8: sums of
//                       rows g and g + 8, which are the halves of a query
//   xn_few_read_values  of `used` chunks of 64 from `first` on, XN_FEW_VALUES_AHEAD at the most; positions to `last` count
//   xn_few_add_values   adds their products with the weights
//   xn_few_value        which value sums[tile][2 * upper ...] of lanes g is

#ifdef XN_CACHE_BLOCKS
struct xn_few_keys {
    uint2 x[2 * XN_FEW_KEYS_AHEAD];
};
struct xn_few_values {
    uint x[2 * XN_FEW_VALUES_AHEAD][4];
};

// Eight codes of lane t's, as halves.
XN_INLINE uint4 xn_few_codes(uint2 x) {
#ifdef XN_CACHE_Q8_0
    x ^= 0x80808080;
    return (uint4)(xn_low_bytes(x.x), xn_high_bytes(x.x), xn_low_bytes(x.y), xn_high_bytes(x.y));
#else
    return (uint4)(xn_nibble_halves(x.x), xn_nibble_halves(x.x >> 4), xn_nibble_halves(x.x >> 8),
                   xn_nibble_halves(x.x >> 12));
#endif
}
XN_INLINE uint2 xn_few_key(global const uchar *row, uint c) {
#ifdef XN_CACHE_Q8_0
    return *(global const uint2 *)(row + c * XN_BLOCK_BYTES);
#else
    return (uint2)(*(global const uint *)(row + c * XN_BLOCK_BYTES), 0);
#endif
}
XN_INLINE struct xn_few_keys xn_few_read_keys(XN_D const struct xn_cl_attend *d, struct xn_row key, uint first) {
    struct xn_few_keys k;
    uint blocks = d->head_size / XN_CACHE_BLOCK, bytes = blocks * XN_BLOCK_BYTES;
    global const uchar *row = key.values + xn_lane() / 4 * bytes + xn_lane() % 4 * (XN_BLOCK_BYTES / 4);
#pragma unroll
    for (uint i = 0; i < XN_FEW_KEYS_AHEAD; i++) {
        uint c = min(first + i, blocks - 1); // queries are zero behind the last
        k.x[2 * i] = xn_few_key(row, c);
        k.x[2 * i + 1] = xn_few_key(row + 8 * bytes, c);
    }
    return k;
}

// The scales of the warp's tile, into local memory: those of keys, then of values, of at most `chunks` blocks a position.
// What lies behind position `last` may be anything, and is zero there.
XN_INLINE void xn_few_read_scales(XN_D const struct xn_cl_attend *d, struct xn_few_tile tile, uint last,
                                  const uint chunks, local uint *to, struct xn_few_state *state) {
    uint keys = d->keys.size / XN_CACHE_BLOCK, values = d->values.size / XN_CACHE_BLOCK, largest = 0;
#pragma unroll
    for (uint j = 0; j < (chunks * 8 + XN_LANES - 1) / XN_LANES; j++) {
        uint i = j * XN_LANES + xn_lane(), n = (last + 1) * values;
        if (i < keys * 8) to[i] = ((global const uint *)tile.key.scales)[i];
        if (i < values * 8) {
            uint x = ((global const uint *)tile.value.scales)[i];
            x &= (2 * i < n ? 0xffffu : 0) | (2 * i + 1 < n ? 0xffff0000u : 0);
            to[XN_FEW_SCALES(chunks) + i] = x;
            largest = max(largest, max(x & 0x7fff, x >> 16 & 0x7fff));
        }
    }
    state->largest = xn_half_bits(xn_warp_most(largest));
}
XN_INLINE float xn_few_scale_at(local const uint *scales, uint i) {
    return xn_half_bits(((local const ushort *)scales)[i]);
}

XN_INLINE void xn_few_add_scores(XN_D const struct xn_cl_attend *d, const struct xn_few_keys *k, uint first,
                                 const uint chunks, local const uint *query, local const uint *scales, float *p) {
    uint lane = xn_lane(), t = lane % 4, blocks = d->head_size / XN_CACHE_BLOCK;
#pragma unroll
    for (uint i = 0; i < XN_FEW_KEYS_AHEAD; i++) {
        uint c = first + i;
        if (c >= chunks || c >= blocks) continue;
        uint4 x = xn_few_codes(k->x[2 * i]), y = xn_few_codes(k->x[2 * i + 1]);
        uint4 a = ((local const uint4 *)query)[c * 64 + lane], b = ((local const uint4 *)query)[c * 64 + 32 + lane];
        float low[4] = {0, 0, 0, 0}, high[4] = {0, 0, 0, 0};
        xn_mma_half(low, a, x.x, x.y);
        xn_mma_half(high, a, y.x, y.y);
        xn_mma_half(low, b, x.z, x.w);
        xn_mma_half(high, b, y.z, y.w);
        p[0] += (low[0] + low[2]) * xn_few_scale_at(scales, 2 * t * blocks + c);
        p[1] += (low[1] + low[3]) * xn_few_scale_at(scales, (2 * t + 1) * blocks + c);
        p[2] += (high[0] + high[2]) * xn_few_scale_at(scales, (2 * t + 8) * blocks + c);
        p[3] += (high[1] + high[3]) * xn_few_scale_at(scales, (2 * t + 9) * blocks + c);
    }
}

XN_INLINE struct xn_few_values xn_few_read_values(XN_D const struct xn_cl_attend *d, struct xn_row value, uint last,
                                                  uint first, uint used, const uint n) {
    struct xn_few_values v;
    uint lane = xn_lane(), g = lane / 4, t = lane % 4, blocks = d->values.size / XN_CACHE_BLOCK;
#pragma unroll
    for (uint j = 0; j < 2 * n; j++)
#pragma unroll
        for (uint i = 0; i < 4; i++) {
            uint at = (2 * t + i % 2 + i / 2 * 8) * blocks + min(2 * first + j, blocks - 1);
#ifdef XN_CACHE_Q8_0
            v.x[j][i] = ((global const uint *)value.values)[at * 8 + g];
#else
            v.x[j][i] = ((global const ushort *)value.values)[at * 8 + g];
#endif
        }
    return v;
}

// sums[2 c + i]: of block c, four values of each lane.
XN_INLINE void xn_few_add_values(XN_D const struct xn_cl_attend *d, const struct xn_few_values *v, uint first,
                                 uint used, const uint n, local const uint *scales, const float *p, float (*sums)[4]) {
    uint t = xn_lane() % 4, blocks = d->values.size / XN_CACHE_BLOCK;
#pragma unroll
    for (uint j = 0; j < 2 * n; j++) {
        if (j >= 2 * used) continue;
        uint c = min(2 * first + j, blocks - 1); // what is behind the last is not looked at
        struct xn_few_weights w = xn_few_weights_of(p[0] * xn_few_scale_at(scales, 2 * t * blocks + c),
                                                    p[1] * xn_few_scale_at(scales, (2 * t + 1) * blocks + c),
                                                    p[2] * xn_few_scale_at(scales, (2 * t + 8) * blocks + c),
                                                    p[3] * xn_few_scale_at(scales, (2 * t + 9) * blocks + c));
#ifdef XN_CACHE_Q8_0
        uint x0 = v->x[j][0] ^ 0x80808080, x1 = v->x[j][1] ^ 0x80808080, x2 = v->x[j][2] ^ 0x80808080,
             x3 = v->x[j][3] ^ 0x80808080;
        xn_few_add(sums[2 * j],
                   (uint4)(xn_byte_halves(x0, x1, 0), xn_byte_halves(x0, x1, 1), xn_byte_halves(x2, x3, 0),
                           xn_byte_halves(x2, x3, 1)),
                   w);
        xn_few_add(sums[2 * j + 1],
                   (uint4)(xn_byte_halves(x0, x1, 2), xn_byte_halves(x0, x1, 3), xn_byte_halves(x2, x3, 2),
                           xn_byte_halves(x2, x3, 3)),
                   w);
#else
        uint a = v->x[j][0] | v->x[j][1] << 16, b = v->x[j][2] | v->x[j][3] << 16;
        xn_few_add(sums[2 * j],
                   (uint4)(xn_nibble_halves(a), xn_nibble_halves(a >> 4), xn_nibble_halves(b), xn_nibble_halves(b >> 4)),
                   w);
        xn_few_add(sums[2 * j + 1],
                   (uint4)(xn_nibble_halves(a >> 8), xn_nibble_halves(a >> 12), xn_nibble_halves(b >> 8),
                           xn_nibble_halves(b >> 12)),
                   w);
#endif
    }
}

XN_INLINE uint xn_few_value(uint tile, uint g, uint upper) {
#ifdef XN_CACHE_Q8_0
    return tile / 2 * 32 + g * 4 + tile % 2 * 2 + upper;
#else
    return tile / 2 * 32 + g / 2 * 8 + (tile % 2 * 2 + upper) * 2 + g % 2;
#endif
}
#else
XN_INLINE void xn_few_read_scales(XN_D const struct xn_cl_attend *d, struct xn_few_tile tile, uint last,
                                  const uint chunks, local uint *to, struct xn_few_state *state) {
}
struct xn_few_keys {
    uint4 x[2 * XN_FEW_KEYS_AHEAD];
};
struct xn_few_values {
    uint4 x[XN_FEW_VALUES_AHEAD][4];
};

XN_INLINE struct xn_few_keys xn_few_read_keys(XN_D const struct xn_cl_attend *d, struct xn_row key, uint first) {
    struct xn_few_keys k;
    uint lane = xn_lane(), bytes = 2 * d->head_size;
    global const uchar *row = key.values + lane / 4 * bytes + lane % 4 * 16 + first * 64;
#pragma unroll
    for (uint i = 0; i < XN_FEW_KEYS_AHEAD; i++) {
        bool there = (first + i) * 32 + lane % 4 * 8 < d->head_size;
        k.x[2 * i] = there ? *(global const uint4 *)(row + i * 64) : (uint4)(0, 0, 0, 0);
        k.x[2 * i + 1] = there ? *(global const uint4 *)(row + 8 * bytes + i * 64) : (uint4)(0, 0, 0, 0);
    }
    return k;
}
XN_INLINE void xn_few_add_scores(XN_D const struct xn_cl_attend *d, const struct xn_few_keys *k, uint first,
                                 const uint chunks, local const uint *query, local const uint *scales, float *p) {
    uint lane = xn_lane();
    float low[4] = {0, 0, 0, 0}, high[4] = {0, 0, 0, 0};
#pragma unroll
    for (uint i = 0; i < XN_FEW_KEYS_AHEAD; i++) {
        uint c = first + i;
        if (c < chunks) {
            uint4 a = ((local const uint4 *)query)[c * 64 + lane], b = ((local const uint4 *)query)[c * 64 + 32 + lane];
            xn_mma_half(low, a, k->x[2 * i].x, k->x[2 * i].y);
            xn_mma_half(high, a, k->x[2 * i + 1].x, k->x[2 * i + 1].y);
            xn_mma_half(low, b, k->x[2 * i].z, k->x[2 * i].w);
            xn_mma_half(high, b, k->x[2 * i + 1].z, k->x[2 * i + 1].w);
        }
    }
    p[0] += low[0] + low[2];
    p[1] += low[1] + low[3];
    p[2] += high[0] + high[2];
    p[3] += high[1] + high[3];
}

XN_INLINE struct xn_few_values xn_few_read_values(XN_D const struct xn_cl_attend *d, struct xn_row value, uint last,
                                                  uint first, uint used, const uint n) {
    struct xn_few_values v;
    uint lane = xn_lane(), t = lane % 4, bytes = 2 * d->values.size;
    global const uchar *column = value.values + lane / 4 * 16 + first * 128;
#pragma unroll
    for (uint c = 0; c < n; c++)
#pragma unroll
        for (uint i = 0; i < 4; i++) { // what lies behind the last position may be anything
            uint position = min(2 * t + i % 2 + i / 2 * 8, last);
            bool there = c < used && (first + c) * 64 + lane / 4 * 8 < d->value_size;
            v.x[c][i] = there ? *(global const uint4 *)(column + position * bytes + c * 128) : (uint4)(0, 0, 0, 0);
        }
    return v;
}

// sums[4 c + i]: values 64 c + 8 g + 2 i (+ 1) of heads 2t, 2t + 1.
XN_INLINE void xn_few_add_values(XN_D const struct xn_cl_attend *d, const struct xn_few_values *v, uint first,
                                 uint used, const uint n, local const uint *scales, const float *p, float (*sums)[4]) {
    struct xn_few_weights w = xn_few_weights_of(p[0], p[1], p[2], p[3]);
#define XN_FEW_PAIR(i, word)                                                                                           \
    {                                                                                                                  \
        uint4 a = (uint4)(xn_low_of(v->x[c][0].word, v->x[c][1].word), xn_high_of(v->x[c][0].word, v->x[c][1].word),   \
                          xn_low_of(v->x[c][2].word, v->x[c][3].word), xn_high_of(v->x[c][2].word, v->x[c][3].word));  \
        xn_few_add(sums[4 * c + i], a, w);                                                                             \
    }
#pragma unroll
    for (uint c = 0; c < n; c++) {
        if (c >= used) continue;
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

// --- softmax ---

// The scores of a tile become weights; returns the factor of what came before. Positions [begin, end) of the tile count.
XN_INLINE float xn_few_soften(XN_D const struct xn_cl_attend *d, uint begin, uint end, float *p,
                              struct xn_few_state *state) {
    uint t = xn_lane() % 4;
    float most = state->most, factor;
    if (d->soft_cap != 0) {
        float cap = d->soft_cap * XN_LOG2_E;
#pragma unroll 1
        for (uint i = 0; i < 4; i++) {
            float x = cap * tanh(p[0] / cap);
            p[0] = p[1];
            p[1] = p[2];
            p[2] = p[3];
            p[3] = x;
        }
    }
#pragma unroll
    for (uint i = 0; i < 4; i++) {
        uint position = 2 * t + i % 2 + i / 2 * 8;
        p[i] = position >= begin && position < end ? p[i] : -INFINITY;
    }
    most = fmax(most, fmax(fmax(p[0], p[1]), fmax(p[2], p[3])));
    most = fmax(most, xn_shuffle_xor(most, 1));
    most = fmax(most, xn_shuffle_xor(most, 2));
    factor = xn_exp2(state->most - most); // of nothing before: of -inf
#pragma unroll
    for (uint i = 0; i < 4; i++)
        p[i] = xn_exp2(p[i] - most);
    state->sum = state->sum * factor + ((p[0] + p[1]) + (p[2] + p[3]));
    state->most = most;
#ifdef XN_CACHE_BLOCKS
    float unit = as_float(as_uint(fmax(state->largest, XN_FEW_LEAST_UNIT)) & 0x7f800000), was = state->unit;
    state->unit = fmax(unit, was);
    factor *= was / state->unit; // exactly
#pragma unroll
    for (uint i = 0; i < 4; i++)
        p[i] /= state->unit;
#endif
    return factor;
}

// Sums of heads 2t, 2t + 1 are multiplied by those heads' factors.
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
