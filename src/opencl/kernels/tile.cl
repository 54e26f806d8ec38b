// tile: products of many rows. The work is tiles of XN_TILE_M rows of weights by XN_TILE_N rows of activations, each so
// many steps of XN_DEPTH_K values of k. Every group takes as many whole tiles as every other can take, too; the tiles
// that are left are cut along k, so that all groups end together: who completes such a tile adds its parts up, in the
// order of k. Weights are decoded once for a tile, into local memory, while the step before is multiplied.

#define XN_BLOCKS_M (XN_TILE_M / XN_WARPS_M / 16) // blocks of 16 x 16 that a warp has
#define XN_BLOCKS_N (XN_TILE_N / XN_WARPS_N / 16)
#define XN_W_TILE (XN_TILE_M * XN_DEPTH_K) // elements
#define XN_X_TILE (XN_TILE_N * XN_DEPTH_K)
#define XN_ELEMENTS (2 * XN_W_TILE + XN_STAGES * XN_X_TILE)
#define XN_TILE_WORDS (XN_ELEMENTS * sizeof(xn_element) / 4)
#define XN_LEAST_STEPS 8u // of a part of a tile

// Float32 leaves nothing; and what has nothing left goes through k once.
#if defined(XN_EXPERTS) && (defined(XN_TYPE_F16) || defined(XN_TYPE_BF16))
#define XN_EXACT_EXPERTS
#endif
#if defined(XN_HALVES) && (defined(XN_OP_TILE_EXACT) || defined(XN_TYPE_F32) || defined(XN_EXACT_EXPERTS))
#define XN_PASSES(d) ((d)->passes)
#define XN_MANY_PASSES
#else
#define XN_PASSES(d) 1
#endif

#define XN_COUNT(F) +1

// Half units of a tile's weights that a work-item decodes for each step: one or both of a row. Neighbours take the same
// half of neighbouring rows, 8 at a time.
#define XN_MY_HALVES (2 * XN_TILE_M / XN_GROUP)
#if XN_MY_HALVES == 1
#define XN_MY_ROW ((get_local_id(0) & 7) | get_local_id(0) >> 4 << 3)
#define XN_MY_HALF (get_local_id(0) >> 3 & 1)
#elif XN_MY_HALVES == 2 || XN_MY_HALVES == 4
#define XN_MY_ROW get_local_id(0) // and, of four halves, the row XN_GROUP further on
#define XN_MY_HALF 0
#else
#error "a work-item decodes half a row of a tile's weights, or a row or two"
#endif
// Chunks of its activations that one copies.
#define XN_MY_CHUNKS (XN_TILE_N * XN_CHUNKS / XN_GROUP)
#if XN_MY_CHUNKS * XN_GROUP != XN_TILE_N * XN_CHUNKS
#error "groups copy tiles evenly"
#endif
#ifndef XN_CHUNK_ROW // of chunk i, and which of that row's; XN_MY_STARTS: after so many they are neighbours
#define XN_MY_STARTS XN_MY_CHUNKS
#define XN_CHUNK_ROW(i) ((get_local_id(0) + (i) * XN_GROUP) / XN_CHUNKS)
#define XN_CHUNK_AT(i) ((get_local_id(0) + (i) * XN_GROUP) % XN_CHUNKS)
#endif

// Local memory beside the tiles, in words.
#define XN_AT_FLAG 0
#define XN_FLAG(l) ((local uint *)((l) + XN_AT_FLAG))
#ifndef XN_COLUMNS // whose factors and places are looked up before the steps
#define XN_COLUMNS XN_TILE_N
#endif
#define XN_AT_FACTOR 8
#define XN_AT_TO (XN_AT_FACTOR + XN_COLUMNS)
#ifdef XN_EXPERTS
#define XN_AT_COUNTS (XN_AT_TO + XN_COLUMNS)
#define XN_AT_FIRST (XN_AT_COUNTS + XN_GROUP) // tile of each expert
#define XN_BESIDE (XN_AT_FIRST + XN_CL_MAX_EXPERTS + 8)
#else
#define XN_BESIDE (XN_AT_TO + XN_COLUMNS)
#endif

// A tile, or steps [begin, end) of it.
struct xn_tile {
    uint part, index; // the matrix: of which part, which of the stack
    uint operand;     // part of the rows of activations
    uint row0;        // of weights
    uint first, n;    // rows of activations: of the batch, or places in the list of pairs
    uint begin, end;
};

static inline uint xn_tile_rows(XN_D const struct xn_cl_tile *d) { // of weights, for each of the part's matrices
    return d->kind == XN_CL_TILE_GLU && d->n_parts > 1 ? XN_TILE_M / 2 : XN_TILE_M;
}
static inline uint xn_tile_blocks(XN_D const struct xn_cl_tile *d) {
    uint rows = xn_tile_rows(d), blocks = 0, parts = d->kind == XN_CL_TILE_GLU ? 1 : d->n_parts;
    for (uint i = 0; i < parts; i++)
        blocks += (d->part[i].weights.rows + rows - 1) / rows;
    return blocks;
}

// Tiles of rows of activations, for one block of weights.
static inline uint xn_tile_count(const struct xn_env *e, XN_D const struct xn_cl_tile *d, volatile local uint *l) {
#ifdef XN_EXPERTS
    // Of each expert: its first tile is the number of tiles before. A work-item adds up a run of experts.
    global const uint *offsets = (global const uint *)e->act + d->offsets;
    uint lid = get_local_id(0), each = (d->experts + XN_GROUP - 1) / XN_GROUP, count = 0;
    for (uint i = lid * each; i < min((lid + 1) * each, d->experts); i++)
        count += (offsets[i + 1] - offsets[i] + XN_TILE_N - 1) / XN_TILE_N;
    l[XN_AT_COUNTS + lid] = count;
    barrier(CLK_LOCAL_MEM_FENCE);
    uint before = 0;
    for (uint i = 0; i < lid; i++)
        before += l[XN_AT_COUNTS + i];
    for (uint i = lid * each; i < min((lid + 1) * each, d->experts); i++) {
        l[XN_AT_FIRST + i] = before;
        before += (offsets[i + 1] - offsets[i] + XN_TILE_N - 1) / XN_TILE_N;
        if (i + 1 == d->experts) l[XN_AT_FIRST + d->experts] = before;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    return l[XN_AT_FIRST + d->experts];
#else
    uint n = d->outputs ? xn_step_of(e)->n_outputs : xn_rows(e);
    return (n + XN_TILE_N - 1) / XN_TILE_N * d->matrices;
#endif
}

// Tile `i`: neighbours share a block of weights.
XN_INLINE struct xn_tile xn_tile_of(const struct xn_env *e, XN_D const struct xn_cl_tile *d,
                                        volatile local const uint *l, uint tiles, uint i) {
    struct xn_tile t = {0, 0, 0, 0, 0, 0, 0, 0};
    uint rows = xn_tile_rows(d);
#ifdef XN_EXPERTS
    uint blocks = xn_tile_blocks(d), at = i / blocks, low = 0, high = d->experts;
    uint block = i % blocks;
    while (high - low > 1) { // the last expert whose first tile is not behind
        uint middle = (low + high) / 2;
        if (l[XN_AT_FIRST + middle] <= at)
            low = middle;
        else
            high = middle;
    }
    global const uint *offsets = (global const uint *)e->act + d->offsets;
    t.index = low;
    t.first = offsets[low] + (at - l[XN_AT_FIRST + low]) * XN_TILE_N;
    t.n = min(offsets[low + 1] - t.first, (uint)XN_TILE_N);
#else
    uint n = d->outputs ? xn_step_of(e)->n_outputs : xn_rows(e);
    uint block = i / tiles, of_rows = (n + XN_TILE_N - 1) / XN_TILE_N;
    t.index = t.operand = i % tiles / of_rows;
    t.first = i % tiles % of_rows * XN_TILE_N;
    t.n = min(n - t.first, (uint)XN_TILE_N);
    if (d->kind != XN_CL_TILE_GLU)
        while (block >= (d->part[t.part].weights.rows + rows - 1) / rows)
            block -= (d->part[t.part++].weights.rows + rows - 1) / rows;
#endif
    t.row0 = block * rows;
    return t;
}

// Row i of the tile's activations: a row of the batch, or a pair. Those beyond the last are its first, and nobody looks
// at their results.
XN_INLINE uint xn_tile_row(const struct xn_env *e, XN_D const struct xn_cl_tile *d, const struct xn_tile *t,
                               uint i) {
    uint row = t->first + (i < t->n ? i : 0);
#ifdef XN_EXPERTS
    return ((global const uint *)e->act)[d->pairs + row];
#else
    return row;
#endif
}

// What products with a row are multiplied by.
static inline float xn_tile_factor(const struct xn_env *e, XN_D const struct xn_cl_tile *d, const struct xn_tile *t,
                                   uint row) {
#ifdef XN_HALVES
#ifdef XN_EXPERTS
    row /= d->used;
#endif
    return e->act[d->scales + row] / d->part[t->part].shrink;
#else
    return 1;
#endif
}

// By how much more those of the second of two matrices are.
static inline float xn_tile_ratio(XN_D const struct xn_cl_tile *d) {
    return d->kind == XN_CL_TILE_GLU && d->n_parts > 1 ? d->part[0].shrink / d->part[1].shrink : 1;
}

// The matrix that row r of a tile is of, and its row there: with two, blocks of 16 rows take turns, so that a lane has
// the same places of both.
XN_INLINE uint xn_tile_weights(XN_D const struct xn_cl_tile *d, const struct xn_tile *t, uint r, uint *row) {
    bool two = d->kind == XN_CL_TILE_GLU && d->n_parts > 1;
    *row = t->row0 + (two ? r / 32 * 16 + r % 16 : r);
    return two ? r / 16 % 2 : t->part;
}

// --- steps ---

struct xn_steps {
    struct xn_weights_row row; // the work-item's
#if XN_MY_HALVES == 4
    struct xn_weights_row next; // and its second one, of the same matrix
#endif
    uint type, units, passes;  // units: of a row
    float shrink;
    global const xn_element *x;
    uint chunk[XN_MY_STARTS]; // where the work-item's chunks of the first step are
    uint rest;                // elements from a plane to what it leaves
};

XN_INLINE struct xn_steps xn_steps_of(const struct xn_env *e, XN_D const struct xn_cl_tile *d,
                                      const struct xn_tile *t) {
    struct xn_steps s;
    uint row, part = xn_tile_weights(d, t, XN_MY_ROW, &row);
    XN_D const struct xn_cl_weights *w = &d->part[part].weights;
    s.row = xn_weights_row(e, w, t->index * w->rows + min(row, w->rows - 1));
#if XN_MY_HALVES == 4
    xn_tile_weights(d, t, XN_MY_ROW + XN_GROUP, &row);
    s.next = xn_weights_row(e, w, t->index * w->rows + min(row, w->rows - 1));
#endif
    s.type = w->type;
    s.units = w->units;
    s.passes = XN_PASSES(d);
    s.shrink = d->part[part].shrink;
    s.x = (global const xn_element *)(e->act + d->staged);
    s.rest = 0;
#ifdef XN_HALVES
    s.rest = d->plane_size * 2;
#endif
#pragma unroll
    for (uint i = 0; i < XN_MY_STARTS; i++) {
        uint at = xn_tile_row(e, d, t, XN_CHUNK_ROW(i));
#ifdef XN_EXPERTS
        if (!d->by_pair) at /= d->used;
#else
        at = at * d->matrices + t->operand;
#endif
        s.chunk[i] = at * d->width + XN_CHUNK_AT(i) * 8;
    }
    return s;
}

// Step i goes through unit *u, in a pass: 0, 1 with what 16 bits leave of activations, 2 with what they leave of weights.
XN_INLINE uint xn_pass_of(const struct xn_steps *s, uint step, uint *u) {
#ifdef XN_MANY_PASSES
    uint pass = (step >= s->units) + (step >= 2 * s->units);
    *u = step - pass * s->units;
    return pass;
#else
    *u = step;
    return 0;
#endif
}

// Any format: unit u through float32; `rest`: what 16 bits leave of it.
static inline void xn_decode_step(global const uint *grids, struct xn_weights_row row, uint at, uint type, uint u,
                                  float shrink, bool rest, local xn_element *to) {
    float v[XN_CL_UNIT];
    if (XN_MY_HALF) return;
    xn_decode(type, row.piece, row.units, row.first + u, grids, v);
#ifdef XN_HALVES
    for (uint i = 0; i < XN_CL_UNIT; i++) {
        v[i] *= shrink;
        if (rest) v[i] = xn_rest_of_half(v[i]);
    }
#pragma unroll
    for (uint c = 0; c < XN_CHUNKS; c++)
        xn_put_chunk(to, at, c,
                     (uint4)(xn_pack_half(v[8 * c], v[8 * c + 1]), xn_pack_half(v[8 * c + 2], v[8 * c + 3]),
                             xn_pack_half(v[8 * c + 4], v[8 * c + 5]), xn_pack_half(v[8 * c + 6], v[8 * c + 7])));
#else
#pragma unroll
    for (uint i = 0; i < XN_CL_UNIT; i++)
        to[xn_chunk(at, i / 8) + i % 8] = v[i];
#endif
}

#ifdef XN_HALVES
// Whether no weights go through float32.
#if !defined(XN_MANY_PASSES) && (0 XN_DIRECT(XN_COUNT)) == (0 XN_FORMATS(XN_COUNT))
#define XN_ALL_DIRECT 1
#else
#define XN_ALL_DIRECT 0
#endif
#if (0 XN_FORMATS(XN_COUNT)) == 1 // the only type that there is
#define XN_PLUS_TYPE(F) +XN_TYPE_##F
#define XN_TYPE_OF(s) (0 XN_FORMATS(XN_PLUS_TYPE))
#else
#define XN_TYPE_OF(s) (s)->type
#endif
XN_INLINE bool xn_fetch_step(const struct xn_steps *s, uint step, struct xn_raw *raw) {
    if (XN_PASSES(s) > 2) return false;
    uint u;
    bool direct = false;
    xn_pass_of(s, step, &u);
#pragma unroll
    for (uint i = 0; i < XN_MY_HALVES; i++)
        direct = xn_fetch(XN_TYPE_OF(s), s->shrink, s->row.piece, s->row.units, s->row.first + u, XN_MY_HALF + i, &raw[i]);
    return direct;
}
XN_INLINE void xn_put_step(const struct xn_env *e, const struct xn_steps *s, uint step, bool direct,
                           const struct xn_raw *raw, local xn_element *to) {
    if (XN_ALL_DIRECT || direct) {
#pragma unroll
        for (uint i = 0; i < XN_MY_HALVES; i++)
            xn_put(XN_TYPE_OF(s), &raw[i], to, XN_MY_ROW, XN_MY_HALF + i);
    } else {
        uint u, pass = xn_pass_of(s, step, &u);
        xn_decode_step(e->grids, s->row, XN_MY_ROW, s->type, u, s->shrink, pass == 2, to);
    }
}
#else
struct xn_raw {
    uint unused;
};
XN_INLINE bool xn_fetch_step(const struct xn_steps *s, uint step, struct xn_raw *raw) {
    return false;
}
XN_INLINE void xn_put_step(const struct xn_env *e, const struct xn_steps *s, uint step, bool direct,
                           const struct xn_raw *raw, local xn_element *to) {
    xn_decode_step(e->grids, s->row, XN_MY_ROW, s->type, step, 1, false, to);
}
#endif

// The block of rows of activations that is this warp's i-th: warps take turns, so that few rows are work for all.
XN_INLINE uint xn_block_n(uint i) {
    return i * XN_WARPS_N + xn_warp() % XN_WARPS_N;
}
XN_INLINE uint xn_first_m(void) {
    return xn_warp() / XN_WARPS_N * (XN_BLOCKS_M * 16);
}

// Value i of all that a work-item sums up, and a statement S(i) for each of them.
#define XN_VALUES (XN_BLOCKS_M * XN_BLOCKS_N * XN_C)
#define XN_VALUE(acc, i)                                                                                               \
    XN_C_VALUE((acc)[(i) / (XN_BLOCKS_N * XN_C)][(i) / XN_C % XN_BLOCKS_N], (i) % XN_C)
#define XN_EACH_VALUE(S)                                                                                               \
    XN_UNROLL for (uint value = 0; value < XN_VALUES; value++) {                                               \
        S(value)                                                                                                       \
    }

// --- what a body does: tile_steps.cl, tile_intel.cl ---

// Products of steps [t->begin, t->end), of which there is at least one.
XN_INLINE void xn_tile_steps(const struct xn_env *e, const struct xn_steps *s, const struct xn_tile *t,
                             local xn_element *ws, struct xn_c acc[XN_BLOCKS_M][XN_BLOCKS_N]);
// Results of the first `n_rows` rows of activations, and what is looked up for them before the steps.
XN_INLINE void xn_tile_prepare(const struct xn_env *e, XN_D const struct xn_cl_tile *d, const struct xn_tile *t,
                               volatile local uint *l);
XN_INLINE void xn_tile_results(const struct xn_env *e, XN_D const struct xn_cl_tile *d, const struct xn_tile *t,
                               uint n_rows, struct xn_c acc[XN_BLOCKS_M][XN_BLOCKS_N], local float *y,
                               volatile local const uint *l);
// Sums of nothing; parts of a tile in memory.
XN_INLINE void xn_tile_clear(struct xn_c acc[XN_BLOCKS_M][XN_BLOCKS_N]);
XN_INLINE void xn_tile_keep(global float *to, struct xn_c acc[XN_BLOCKS_M][XN_BLOCKS_N]);
XN_INLINE void xn_tile_add(global const float *from, struct xn_c acc[XN_BLOCKS_M][XN_BLOCKS_N]);

// --- the work ---

// How tiles are shared by groups: `whole` for each, then the steps of the other tiles, cut into `takers` runs.
struct xn_share {
    uint whole, left, takers, steps; // steps: of a tile
    uint each, more;                 // of a taker, and of how many takers one more
};
static inline struct xn_share xn_share_of(uint tiles, uint steps, uint groups) {
    struct xn_share s;
    s.steps = steps;
    s.whole = tiles / groups;
    s.left = tiles - s.whole * groups;
    if (s.left * 8 > groups * 7) { // nearly one for each: cutting costs more than it gains
        s.whole++;
        s.left = 0;
    }
    // Adding a part up takes who completes a tile as long as some two steps, and it does so one after the other.
    uint parts = 1;
    while (2 * parts * parts < steps)
        parts++;
    s.takers = max(min(min(groups, s.left * parts), s.left * steps / XN_LEAST_STEPS), min(s.left, groups));
    // Runs that end where tiles do have one part each, so where that leaves few groups idle it costs less.
    uint even = s.left ? s.takers / s.left * s.left : 0;
    if (even * 10 >= s.takers * 9) s.takers = even;
    s.each = s.left * steps / max(s.takers, 1u);
    s.more = s.left * steps - s.each * s.takers;
    return s;
}
// The first step that taker i takes, of those of all tiles that are left.
static inline uint xn_share_begin(const struct xn_share *s, uint i) {
    return i * s->each + i * s->more / s->takers; // as i * all / takers, in 32 bits
}

static inline global float *xn_tile_part(const struct xn_env *e, XN_D const struct xn_cl_tile *d, uint taker,
                                         uint which) {
    return e->act + d->partial + (ulong)(2 * taker + which) * (XN_TILE_M * XN_TILE_N);
}

XN_INLINE void xn_op_tile(const struct xn_env *e, XN_D const struct xn_cl_tile *d, uint group, uint groups,
                              local xn_element *ws, local float *y, volatile local uint *l) {
    uint of_rows = xn_tile_count(e, d, l), tiles = of_rows * xn_tile_blocks(d);
    uint n_steps = d->part[0].weights.units * XN_PASSES(d);
    struct xn_share share = xn_share_of(tiles, n_steps, groups);
    uint begin = 0, end = 0, cuts = 0; // of this group's run of steps
    if (share.left && group < share.takers) {
        begin = xn_share_begin(&share, group);
        end = xn_share_begin(&share, group + 1);
        cuts = (end + n_steps - 1) / n_steps - begin / n_steps;
    }
    uint whole = share.whole; // the last ones may be fewer than the groups
    if (whole && (whole - 1) * groups + group >= tiles) whole--;
    if (whole + cuts == 0) return;
    struct xn_c acc[XN_BLOCKS_M][XN_BLOCKS_N];
    XN_EACH(i, 0, whole + cuts) {
        uint at = i * groups + group, first = 0; // the tile, and the taker of its first step
        uint from = 0, to = n_steps, takers = 1, base = 0;
        if (i >= whole) {
            uint cut = begin / n_steps + i - whole;
            base = cut * n_steps;
            at = share.whole * groups + cut;
            from = max(begin, base) - base;
            to = min(end - base, n_steps);
            // Who has the first step, and who the last.
            first = (uint)((float)base / (float)(share.left * n_steps) * (float)share.takers);
            first -= min(first, 1u); // of what float32 rounds
            while (xn_share_begin(&share, first + 1) <= base)
                first++;
            uint last = first;
            while (xn_share_begin(&share, last + 1) < base + n_steps)
                last++;
            takers = last - first + 1;
        }
        struct xn_tile t = xn_tile_of(e, d, l, of_rows, at);
        t.begin = from;
        t.end = to;
        struct xn_steps s = xn_steps_of(e, d, &t);
        xn_tile_prepare(e, d, &t, l);
        xn_tile_steps(e, &s, &t, ws, acc);
        // A run begins with the first part that its taker keeps, and may end with the second one.
        if (takers > 1) xn_tile_keep(xn_tile_part(e, d, group, begin < base), acc);
        bool last = xn_arrive(e->counters + (takers > 1 ? at - share.whole * groups : 0), takers, XN_FLAG(l));
        if (takers > 1) xn_tile_clear(acc);
        uint joined = takers > 1 && last ? takers : 0;
        XN_EACH(j, 0, joined) {
            uint taker = first + j;
            if (j < joined) xn_tile_add(xn_tile_part(e, d, taker, xn_share_begin(&share, taker) < base), acc);
            barrier(CLK_LOCAL_MEM_FENCE);
        }
        XN_NEXT(j, joined, 1);
        xn_tile_results(e, d, &t, last ? t.n : 0, acc, y, l);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    XN_NEXT(i, whole + cuts, 1);
}

// Local memory for results, which blocks of 16 rows of weights of each warp go through together with 16 of activations.
#ifndef XN_Y_BLOCKS
#define XN_Y_BLOCKS 2
#endif
#define XN_Y_ROWS (XN_WARPS_M * 16 * XN_Y_BLOCKS)
#define XN_Y_COLS (XN_WARPS_N * 16)
#define XN_Y_STRIDE (XN_Y_ROWS + 4)

// The kernel has local memory of its own.
#undef XN_OP_KERNEL
#ifdef XN_PLAIN
#define XN_LOCAL_Y(ws) local float y[XN_Y_COLS * XN_Y_STRIDE]
#else // after the last step
#define XN_LOCAL_Y(ws) local float *y = (local float *)(ws)
#endif
#define XN_OP_KERNEL(name)                                                                                             \
    XN_KERNEL void xn_kernel_##name(XN_PARAMETERS) {                                                                   \
        local xn_element ws[XN_ELEMENTS] __attribute__((aligned(128)));                                                \
        local uint l[XN_BESIDE];                                                                                       \
        XN_LOCAL_Y(ws);                                                                                                \
        struct xn_env env = XN_ENV;                                                                                    \
        xn_op_tile(&env, (global const struct xn_cl_tile *)(ops + (ulong)op * XN_CL_OP_BYTES), get_group_id(0),        \
                   get_num_groups(0), ws, y, l);                                                                       \
    }
#if defined(XN_EXPERTS)
XN_OP_KERNEL(tile_experts)
#elif defined(XN_OP_TILE_EXACT)
XN_OP_KERNEL(tile_exact)
#else
XN_OP_KERNEL(tile)
#endif
