// attend for few rows on NVIDIA's tensor cores: a warp takes 16 positions at a time, whose keys and values it loads as
// they lie, for eight query heads together. Scores are (queries) x (keys)^T with the heads as rows, so that a lane gets
// them where it needs them as columns of (values)^T x (weights). Queries and weights are two halves each, which have 22
// bits together: for scores those are rows g and g + 8 of one product.
//
// Codes of a cache in blocks are halves without rounding; a key's scales come to what a block's product gives, those of
// values to the weights.
//
// A step of few rows is bound by what waits for each other here, not by bytes: so a warp finds its own tiles and goes
// through them without a barrier, what does not depend on this step is asked for before, and the group
// works at most one part of a short context, or of its values, alone.
//
// XN_FEW_SIZES(X): the sizes that are compiled, X(number, chunks of 32 values of a key, chunks of 64 of a value); the
// descriptor says which one an operation takes.

#define XN_FEW_OPERATION // this is all of attend, but for the sizes of no number
#define XN_FEW_POSITIONS 16
#define XN_FEW_WHOLE 512     // positions that are one part: to join parts costs more than to go on
#define XN_FEW_PART 256      // the fewest positions of a part
#define XN_FEW_KEYS_AHEAD 4  // chunks of keys that are read together,
#define XN_FEW_VALUES_AHEAD 2 // and of values
#define XN_FEW_VALUE_CHUNKS 8 // the most
#define XN_FEW_PLACES (XN_WARPS < 4 ? 4 : XN_WARPS) // of warps' maxima and sums
#ifdef XN_CACHE_BLOCKS
#define XN_FEW_LEAST_UNIT 0x1p-30f
#else
#define XN_FEW_LEAST_UNIT 1.0f
#endif
// Local memory, in floats: what the group works at; maxima, then sums, of eight heads of each warp; queries; scales of each warp's tile. The sums of
// warps come over queries and scales.
#define XN_AT_FEW_JOB XN_AT_BODY // struct xn_few_job
#define XN_AT_FEW_MOST (XN_AT_FEW_JOB + 16)
#define XN_AT_FEW_SUM (XN_AT_FEW_MOST + 8 * XN_FEW_PLACES)
#define XN_AT_FEW_QUERY (XN_AT_FEW_SUM + 8 * XN_FEW_PLACES)
#define XN_FEW_SCALES(chunks) (XN_FEW_POSITIONS * (chunks) / 2) // room of a tile's, of so many blocks a position
#if XN_AT_FEW_QUERY + 512 * XN_WARPS > XN_SCRATCH || XN_AT_FEW_QUERY % 4
#error "attention needs more local memory than operations get"
#endif

// What a group works at: a unit, of which only some values, from value0 on, so many chunks of 64.
struct xn_few_job {
    struct xn_unit_of_attention u;
    uint value0, chunks;
};

// --- the cut ---

// How all rows' contexts are cut: parts of `each` positions; or, where every context is one part, of values, `shares` parts.
struct xn_few_cut {
    uint each, shares, units;
};

// Positions that a row sees.
static inline uint xn_few_begin(XN_D const struct xn_cl_attend *d, uint end) {
    return d->window && end > d->window ? end - d->window : 0;
}
static inline uint xn_few_splits(const struct xn_few_cut *c, uint n) {
    return n <= c->each ? 1 : (n + c->each - 1) / c->each;
}

static inline struct xn_few_cut xn_few_cut_of(const struct xn_env *e, XN_D const struct xn_cl_attend *d, uint groups) {
    struct xn_few_cut c = {XN_WHOLE, 1, 0};
    uint n = xn_rows(e), a_row = d->kv_heads * d->chunks, longest = 0, all = 0;
    c.units = n * a_row;
    if (n > XN_CL_SPLIT_ROWS) return c;
#pragma unroll 1
    for (uint row = 0; row < n; row++) {
        uint end = xn_position_of_row(e, row) + 1, seen = end - xn_few_begin(d, end);
        longest = max(longest, seen);
        all += seen; // below 2^31 of each row; what overflows is cut at the longest
    }
    if (longest <= XN_FEW_WHOLE || d->splits == 1) {
        uint shares = (d->value_size + 63) / 64;
        if (c.units * shares <= groups) {
            c.shares = shares;
            c.units *= shares;
        }
        return c;
    }
    // No more parts than there are groups, as far as that can be; of each row the last part is a short one.
    uint sharing = groups / a_row, parts = sharing > n ? sharing - n + 1 : 1;
    uint each = max((all + parts - 1) / parts, (longest + d->splits - 1) / d->splits);
    c.each = max((each + XN_FEW_POSITIONS - 1) / XN_FEW_POSITIONS * XN_FEW_POSITIONS, (uint)XN_FEW_PART);
    c.units = 0;
#pragma unroll 1
    for (uint row = 0; row < n; row++) {
        uint end = xn_position_of_row(e, row) + 1;
        c.units += xn_few_splits(&c, end - xn_few_begin(d, end)) * a_row;
    }
    return c;
}

// Part `split` of `splits` of what a row sees, key-value head and chunk of its heads by number; of the values those from
// value0 on, in so many chunks. Every work-item of a group writes the same, so none needs to wait.
static inline void xn_few_job_of(const struct xn_env *e, XN_D const struct xn_cl_attend *d, uint row, uint pair, uint split,
                                 uint splits, uint each, uint value0, uint chunks, bool there,
                                 local struct xn_few_job *j) {
    uint g = d->chunks == 1 ? pair : pair / d->chunks, chunk = pair - g * d->chunks, before = chunk * d->together;
    uint end = xn_position_of_row(e, row) + 1, begin = xn_few_begin(d, end) + split * each;
    j->u.row = row;
    j->u.g = g;
    j->u.first_head = g * d->queries + before;
    j->u.heads = min(d->queries - before, d->together);
    j->u.split = split;
    j->u.splits = splits;
    j->u.begin = begin;
    j->u.end = !there ? 0 : split + 1 == splits ? end : begin + each;
    j->value0 = value0;
    j->chunks = chunks;
}

// Unit u of all; one of no positions where that is none.
static inline void xn_few_take(const struct xn_env *e, XN_D const struct xn_cl_attend *d, const struct xn_few_cut *c, uint u,
                               local struct xn_few_job *j) {
    uint a_row = d->kv_heads * d->chunks, row = 0, splits = 1, split = 0, share = 0;
    bool there = u < c->units;
    u = there ? u : 0;
    if (c->each == XN_WHOLE) {
        if (u >= a_row) { // shares of all, rows of those
            row = u / a_row;
            u -= row * a_row;
            if (c->shares > 1) {
                uint n = xn_rows(e);
                share = row / n;
                row -= share * n;
            }
        }
    } else {
#pragma unroll 1
        for (;; row++) {
            uint end = xn_position_of_row(e, row) + 1;
            splits = xn_few_splits(c, end - xn_few_begin(d, end));
            if (u < splits * a_row) break;
            u -= splits * a_row;
        }
        if (u >= a_row) {
            split = u / a_row;
            u -= split * a_row;
        }
    }
    xn_few_job_of(e, d, row, u, split, splits, c->each, 64 * share, c->shares > 1 ? 1 : (d->value_size + 63) / 64, there,
                  j);
}

// --- tiles ---

// Where the keys and values of 16 positions lie.
struct xn_few_tile {
    struct xn_row key, value;
};

// The numbers of the pages of a row's sequence.
static inline global const uint *xn_few_pages(const struct xn_env *e, uint row) {
#ifdef XN_WALK
    return e->step + e->spans[row].x;
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
                                                global const uint *pages, uint position) {
    uint page_size = xn_few_page_size(e), which = position / page_size, page = pages[which];
    uint in_page = position - which * page_size;
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

// --- a unit ---

// All heads' values of one position of the result, finished: x is value `value` of head `head` of the unit's.
static inline void xn_few_put(const struct xn_env *e, XN_D const struct xn_cl_attend *d,
                              local const struct xn_unit_of_attention *u, uint head, uint value, float x) {
    uint h = u->first_head + head;
    if (d->output_gate)
        x *= xn_sigmoid(e->act[d->in + (ulong)u->row * d->in_stride + h * d->head_stride + d->head_size + value]);
    e->act[d->out + (ulong)u->row * d->out_stride + h * d->value_size + value] = x;
}

// What sums of head h are multiplied by to become results, if the largest score and the sum of weights are these.
static inline float xn_few_inverse(const struct xn_env *e, XN_D const struct xn_cl_attend *d, uint h, float most,
                                   float sum) {
    if (d->sinks == XN_CL_NONE) return 1.0f / sum;
    float sink = e->vec[d->sinks + h] * XN_LOG2_E, larger = fmax(most, sink), factor = xn_exp2(most - larger);
    return factor / (sum * factor + xn_exp2(sink - larger));
}

// Of parts of contexts: largest scores and sums of weights, then sums of values.
static inline global float *xn_few_part_state(const struct xn_env *e, XN_D const struct xn_cl_attend *d, uint row,
                                              uint h) {
    return e->act + d->partial + (ulong)(row * d->heads + h) * d->splits * 2;
}
static inline global float *xn_few_part(const struct xn_env *e, XN_D const struct xn_cl_attend *d, uint row, uint h) {
    ulong states = ((ulong)xn_rows(e) * d->heads * d->splits * 2 + 3) & ~3ul;
    return e->act + d->partial + states + (ulong)(row * d->heads + h) * d->splits * d->value_size;
}

// What the warps have, made one: results, or a part's sums.
XN_INLINE void xn_few_join(const struct xn_env *e, XN_D const struct xn_cl_attend *d, local const struct xn_few_job *j,
                           const uint chunks, struct xn_few_state state, float (*sums)[4], local float *scratch) {
    local const struct xn_unit_of_attention *u = &j->u;
    uint lid = get_local_id(0), lane = xn_lane(), warp = xn_warp(), g = lane / 4, t = lane % 4;
    local float *mosts = scratch + XN_AT_FEW_MOST, *all = scratch + XN_AT_FEW_SUM;
    local float *room = scratch + XN_AT_FEW_QUERY; // when queries and scales are done with
    state.sum += xn_shuffle_xor(state.sum, 1);
    state.sum += xn_shuffle_xor(state.sum, 2);
    if (t == 0) {
        mosts[g * XN_FEW_PLACES + warp] = state.most;
        all[g * XN_FEW_PLACES + warp] = state.sum;
    }
#if XN_WARPS < 4
    if (lid < 32 && lid % 4 >= XN_WARPS) mosts[lid / 4 * 4 + lid % 4] = -INFINITY, all[lid / 4 * 4 + lid % 4] = 0;
#endif
    barrier(CLK_LOCAL_MEM_FENCE);
    float m[XN_FEW_PLACES / 4], most = -INFINITY, sum = 0;
#pragma unroll
    for (uint i = 0; i < XN_FEW_PLACES / 4; i++)
        most = fmax(most, m[i] = mosts[g * XN_FEW_PLACES + t + 4 * i]);
    most = fmax(most, xn_shuffle_xor(most, 1));
    most = fmax(most, xn_shuffle_xor(most, 2));
#pragma unroll
    for (uint i = 0; i < XN_FEW_PLACES / 4; i++)
        sum += all[g * XN_FEW_PLACES + t + 4 * i] * xn_exp2(m[i] - most);
    sum += xn_shuffle_xor(sum, 1);
    sum += xn_shuffle_xor(sum, 2);
    float factor = xn_exp2(state.most - most) * state.unit;
    if (u->splits == 1) {
        factor *= xn_few_inverse(e, d, u->first_head + min(g, u->heads - 1), most, sum);
    } else if (warp == 0 && t == 0 && g < u->heads) {
        global float *to = xn_few_part_state(e, d, u->row, u->first_head + g) + 2 * u->split;
        to[0] = most;
        to[1] = sum;
    }
    xn_few_scale(chunks, factor, sums);
#pragma unroll
    for (uint c = 0; c < chunks; c++) {
        if (c >= j->chunks) continue;
        if (c) barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
        for (uint i = 0; i < 4; i++)
            ((local float4 *)room)[(warp * 4 + i) * 32 + lane] =
                (float4)(sums[4 * c + i][0], sums[4 * c + i][1], sums[4 * c + i][2], sums[4 * c + i][3]);
        barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll 1
        for (uint i = lid; i < 512; i += XN_GROUP) {
            uint l = i / 4 % 32, head = l % 4 * 2 + i % 2, value = j->value0 + 64 * c + xn_few_value(i / 128, l / 4, i / 2 % 2);
            float x = 0;
#pragma unroll
            for (uint w = 0; w < XN_WARPS; w++)
                x += room[w * 512 + i];
            if (head >= u->heads || value >= d->value_size) continue;
            if (u->splits == 1)
                xn_few_put(e, d, u, head, value, x);
            else
                xn_few_part(e, d, u->row, u->first_head + head)[u->split * d->value_size + value] = x;
        }
    }
}

// Joins the parts of a unit, by the whole group. A work-item takes four values of a head, of every second part.
#define XN_FEW_PARTS_AHEAD 8
static inline void xn_few_join_parts(const struct xn_env *e, XN_D const struct xn_cl_attend *d,
                                     local const struct xn_unit_of_attention *u, local float *scratch) {
    local float *factors = scratch + XN_AT_FEW_QUERY; // of heads and parts; zero behind the last part
    local float4 *halves = (local float4 *)(factors + XN_CL_TOGETHER * XN_CL_SPLITS);
    uint lid = get_local_id(0), half_of = lid / (XN_GROUP / 2), own = lid % (XN_GROUP / 2), a_head = d->value_size / 4;
#pragma unroll 1
    for (uint h = xn_warp(); h < u->heads; h += XN_WARPS) {
        global const float2 *states =
            (global const float2 *)xn_few_part_state(e, d, u->row, u->first_head + h);
        float2 state[XN_CL_SPLITS / XN_LANES];
        float most = -INFINITY, sum = 0;
#pragma unroll
        for (uint i = 0; i < XN_CL_SPLITS / XN_LANES; i++) {
            uint s = i * XN_LANES + xn_lane();
            state[i] = s < u->splits ? states[s] : (float2)(-INFINITY, 0);
            most = fmax(most, state[i].x);
        }
        most = xn_warp_max(most);
#pragma unroll
        for (uint i = 0; i < XN_CL_SPLITS / XN_LANES; i++)
            sum += state[i].y * xn_exp2(state[i].x - most);
        float inverse = xn_few_inverse(e, d, u->first_head + h, most, xn_warp_sum(sum, 0));
#pragma unroll
        for (uint i = 0; i < XN_CL_SPLITS / XN_LANES; i++)
            factors[h * XN_CL_SPLITS + i * XN_LANES + xn_lane()] = xn_exp2(state[i].x - most) * inverse;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll 1
    for (uint i0 = 0; i0 < u->heads * a_head; i0 += XN_GROUP / 2) {
        uint i = min(i0 + own, u->heads * a_head - 1), h = i / a_head, x = 4 * (i - h * a_head);
        global const float *part = xn_few_part(e, d, u->row, u->first_head + h) + x;
        float4 sum = 0;
#pragma unroll 1
        for (uint s0 = half_of; s0 < u->splits; s0 += 2 * XN_FEW_PARTS_AHEAD) {
            float4 y[XN_FEW_PARTS_AHEAD];
#pragma unroll
            for (uint k = 0; k < XN_FEW_PARTS_AHEAD; k++)
                y[k] = *(global const float4 *)(part + min(s0 + 2 * k, u->splits - 1) * d->value_size);
            xn_warp_together();
#pragma unroll
            for (uint k = 0; k < XN_FEW_PARTS_AHEAD; k++)
                sum += y[k] * factors[h * XN_CL_SPLITS + s0 + 2 * k];
        }
        halves[lid] = sum;
        barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll 1
        for (uint k = lid; k < min(2u * XN_GROUP, 4 * (u->heads * a_head - i0)); k += XN_GROUP) {
            local const float *x0 = (local const float *)halves + k;
            uint at = 4 * i0 + k, head = at / d->value_size;
            xn_few_put(e, d, u, head, at - head * d->value_size, x0[0] + x0[2 * XN_GROUP]);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}

// Who a unit waits for, once: the operation before (barriers 0: for nobody but this group). False: that was given up.
struct xn_few_wait {
    volatile global uint *barriers;
    uint target;
    local uint *flag;
};
static inline bool xn_few_await(const struct xn_few_wait *w) {
#ifdef XN_WALK
    if (w->barriers) return xn_all_wait(w->barriers, w->target, w->flag);
#endif
    barrier(CLK_LOCAL_MEM_FENCE); // for what it had in local memory
    return true;
}

// A unit, of which there may be no positions: then the group only waits.
XN_INLINE bool xn_few_unit(const struct xn_env *e, XN_D const struct xn_cl_attend *d, local const struct xn_few_job *j,
                           const struct xn_few_wait *w, local float *scratch, const uint key_chunks,
                           const uint value_chunks) {
    local const struct xn_unit_of_attention *u = &j->u;
    const uint n = value_chunks < XN_FEW_VALUES_AHEAD ? value_chunks : XN_FEW_VALUES_AHEAD;
    local uint *query = (local uint *)(scratch + XN_AT_FEW_QUERY), *scales = query;
#ifdef XN_CACHE_BLOCKS
    scales += 256 * key_chunks + xn_warp() * 2 * XN_FEW_SCALES(key_chunks);
#endif
    local const uint *value_scales = scales + XN_FEW_SCALES(key_chunks);
    struct xn_few_state state = {-INFINITY, 0, XN_FEW_LEAST_UNIT};
    float sums[4 * XN_FEW_VALUE_CHUNKS][4];
#pragma unroll
    for (uint i = 0; i < 4 * value_chunks; i++)
        sums[i][0] = sums[i][1] = sums[i][2] = sums[i][3] = 0;
    // The tile at hand, and the next one, whose first there is before the wait.
    struct xn_few_tile tile;
    uint next = u->begin / XN_FEW_POSITIONS * XN_FEW_POSITIONS + xn_warp() * XN_FEW_POSITIONS, first = 0;
    bool begun = false;
#pragma unroll 1
    for (;;) {
        struct xn_few_tile at = tile;
        struct xn_few_keys keys;
        uint end = min(u->end - first, (uint)XN_FEW_POSITIONS);
        if (begun) {
            keys = xn_few_read_keys(d, at.key, 0);
            xn_few_read_scales(d, at, end - 1, key_chunks, scales, &state);
            xn_warp_together(); // all reads are on their way
        }
        if (next < u->end) {
            tile = xn_few_tile_of(e, d, u->g, xn_few_pages(e, u->row), next);
            xn_few_ask(d, &tile);
        }
        if (begun) {
            float p[4] = {0, 0, 0, 0};
            xn_few_add_scores(d, &keys, 0, key_chunks, query, scales, p);
#pragma unroll
            for (uint c = XN_FEW_KEYS_AHEAD; c < key_chunks; c += XN_FEW_KEYS_AHEAD) {
                keys = xn_few_read_keys(d, at.key, c);
                xn_warp_together();
                xn_few_add_scores(d, &keys, c, key_chunks, query, scales, p);
            }
            struct xn_few_values values = xn_few_read_values(d, at.value, end - 1, j->value0 / 64, j->chunks, n);
            xn_warp_together();
            float factor = xn_few_soften(d, u->begin > first ? u->begin - first : 0, end, p, &state);
            xn_few_scale(value_chunks, factor, sums);
            xn_few_add_values(d, &values, j->value0 / 64, j->chunks, n, value_scales, p, sums);
#pragma unroll
            for (uint c = n; c < value_chunks; c += n) {
                if (c >= j->chunks) continue;
                values = xn_few_read_values(d, at.value, end - 1, j->value0 / 64 + c, j->chunks - c, n);
                xn_warp_together();
                xn_few_add_values(d, &values, j->value0 / 64 + c, j->chunks - c, n, value_scales, p, sums + 4 * c);
            }
        } else {
            if (!xn_few_await(w)) return false;
            if (u->end == 0) return true;
            xn_few_queries(e, d, u, key_chunks, query);
            barrier(CLK_LOCAL_MEM_FENCE);
            begun = true;
        }
        if (next >= u->end) break;
        first = next;
        next += XN_WARPS * XN_FEW_POSITIONS;
    }
    xn_few_join(e, d, j, value_chunks, state, sums, scratch);
    if (u->splits > 1 && xn_arrive(e->counters + u->row * d->heads + u->first_head, u->splits,
                                   (local uint *)(scratch + XN_AT_ATTEND_FLAG)))
        xn_few_join_parts(e, d, u, scratch);
    return true;
}

static inline bool xn_few_run(const struct xn_env *e, XN_D const struct xn_cl_attend *d, local const struct xn_few_job *j,
                              const struct xn_few_wait *w, local float *scratch) {
#define XN_SIZE(number, keys, values)                                                                                  \
    if (d->few == number) return xn_few_unit(e, d, j, w, scratch, keys, values);
    XN_FEW_SIZES(XN_SIZE)
#undef XN_SIZE
    return true;
}

// The whole operation, after a wait; false: that was given up.
static inline bool xn_few_attend(const struct xn_env *e, XN_D const struct xn_cl_attend *d, uint group, uint groups,
                                 struct xn_few_wait w, local float *scratch) {
    local struct xn_few_job *j = (local struct xn_few_job *)(scratch + XN_AT_FEW_JOB);
    struct xn_few_cut cut = xn_few_cut_of(e, d, groups);
    uint u = group;
#pragma unroll 1
    do {
        xn_few_take(e, d, &cut, u, j);
        if (!xn_few_run(e, d, j, &w, scratch)) return false;
        w.barriers = 0;
        u += groups;
        if (u < cut.units) barrier(CLK_LOCAL_MEM_FENCE); // this job is done with
    } while (u < cut.units);
    return true;
}

#ifndef XN_WALK
// A row and a set of heads, whose context is one part.
static inline void xn_few_whole(const struct xn_env *e, XN_D const struct xn_cl_attend *d, uint row, uint pair,
                                local float *scratch) {
    struct xn_few_wait nobody = {0, 0, 0};
    local struct xn_few_job *j = (local struct xn_few_job *)(scratch + XN_AT_FEW_JOB);
    barrier(CLK_LOCAL_MEM_FENCE);
    xn_few_job_of(e, d, row, pair, 0, 1, 0, 0, (d->value_size + 63) / 64, true, j);
    xn_few_run(e, d, j, &nobody, scratch);
}
#endif
