// attend for many rows on NVIDIA's tensor cores: a warp takes 16 pairs of a row and a query head of one key-value head. A
// group copies 32 positions' keys and values (16 of the largest heads) into local memory while it computes with those
// before, as halves; codes of a cache in blocks are decoded on the way. Queries, weights and values in blocks are
// rounded to halves, sums are float32. Scores stay in the registers in which the product with the values wants its
// weights.
//
// Where a rounding may decide what else is computed (struct xn_cl_attend's exact) a warp takes 8 pairs, whose queries and
// weights are two halves each, as rows g and g + 8 of its products.
//
// In local memory a row is one position's values, in chunks of 16 bytes; chunk c of row r is at c ^ r % 8, so that
// neither whole rows nor the same chunk of 8 rows meet in a bank.

#define XN_MANY_KEY_CHUNKS 8
#define XN_MANY_VALUE_CHUNKS 4 // the most
#define XN_MANY_PAIRS(d) ((d)->exact ? 8 * XN_WARPS : 16 * XN_WARPS)
#define XN_MANY_TILES(key_chunks) ((key_chunks) > 4 ? 1 : 2) // of 16 positions, copied together
#define XN_MANY_HALVES 4096 // of the keys or the values of these
#define XN_MANY_ADDRESSES 64 // tiles whose addresses are looked up together
#if XN_WARPS > 1 && 4 * XN_MANY_HALVES * 2 + 32 * XN_MANY_ADDRESSES > 4 * XN_SCRATCH
#error "two blocks of keys and values fit local memory"
#endif

// --- copies ---

XN_INLINE uint xn_many_shared(local const void *p) {
    return (uint)(size_t)p;
}

// Chunk `chunk` of position `row` of a tile that begins at `from`, of vectors of `size` values, to 16 bytes of local
// memory; zeros where it is not there.
XN_INLINE void xn_many_copy_chunk(struct xn_row from, uint size, uint row, uint chunk, bool there, uint to) {
#ifdef XN_CACHE_BLOCKS
    uint4 v = (uint4)(0, 0, 0, 0);
    if (there) {
        uint blocks = size / XN_CACHE_BLOCK;
        uint scale = ((global const ushort *)from.scales)[row * blocks + chunk / 4];
        global const uchar *codes = from.values + row * blocks * XN_BLOCK_BYTES;
        scale |= scale << 16;
#ifdef XN_CACHE_Q8_0
        uint2 x = ((global const uint2 *)codes)[chunk] ^ 0x80808080;
        v = (uint4)(xn_low_bytes(x.x), xn_high_bytes(x.x), xn_low_bytes(x.y), xn_high_bytes(x.y));
#else
        uint x = ((global const uint *)codes)[chunk];
        v = (uint4)(xn_nibble_halves(x), xn_nibble_halves(x >> 4), xn_nibble_halves(x >> 8), xn_nibble_halves(x >> 12));
#endif
        v = (uint4)(xn_times(v.x, scale), xn_times(v.y, scale), xn_times(v.z, scale), xn_times(v.w, scale));
    }
    asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};"
                 :
                 : "r"(to), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w)
                 : "memory");
#else
    global const uchar *at = from.values + (there ? row * 2 * size + chunk * 16 : 0);
    uint bytes = there ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" : : "r"(to), "l"(at), "r"(bytes) : "memory");
#endif
}

// Where the first key and the first value of n tiles from a position on lie: rows 2i and 2i + 1 of tile i.
XN_INLINE void xn_many_addresses(const struct xn_env *e, XN_D const struct xn_cl_attend *d,
                                 global const struct xn_cl_span *span, uint g, uint position, uint n,
                                 local struct xn_row *to) {
    for (uint i = get_local_id(0); i < 2 * n; i += XN_GROUP)
        to[i] = xn_row_at(e, i % 2 ? &d->values : &d->keys, span, g, position + i / 2 * 16);
}

// Of `n` positions from a tile on, whose addresses stand at rows[0], rows[2], ...; `of_row` chunks have room for each.
XN_INLINE void xn_many_copy(local const struct xn_row *rows, uint size, uint n, const uint tiles, const uint of_row,
                            uint to) {
#pragma unroll
    for (uint j = 0; j < (tiles * 16 * of_row + XN_GROUP - 1) / XN_GROUP; j++) {
        uint i = j * XN_GROUP + get_local_id(0), row = i / of_row, chunk = i % of_row;
        bool there = row < n && chunk * 8 < size;
        if (row >= tiles * 16) continue;
        xn_many_copy_chunk(rows[there ? row / 16 * 2 : 0], size, row % 16, chunk, there,
                           to + (row * of_row + (chunk ^ row % 8)) * 16);
    }
}
XN_INLINE void xn_many_copied(void) { // ends a set of copies
    asm volatile("cp.async.commit_group;" ::: "memory");
}
XN_INLINE void xn_many_wait(void) {
    asm volatile("cp.async.wait_group 0;" ::: "memory");
}

// --- products ---

// Four 8 x 8 matrices, of which lanes 8 i to 8 i + 7 give the addresses of matrix i's rows; turned: as columns.
XN_INLINE uint4 xn_many_matrices(uint address) {
    uint4 m;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(m.x), "=r"(m.y), "=r"(m.z), "=r"(m.w)
                 : "r"(address)
                 : "memory");
    return m;
}
XN_INLINE uint4 xn_many_turned(uint address) {
    uint4 m;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(m.x), "=r"(m.y), "=r"(m.z), "=r"(m.w)
                 : "r"(address)
                 : "memory");
    return m;
}

// What halves leave of two values, as halves.
XN_INLINE uint xn_many_rest(float low, float high, uint halves) {
    return xn_halves(low - xn_low_half(halves), high - xn_high_half(halves));
}

// Values 16 s ... of pair a's and pair b's queries; exact: of pair a's, and what that leaves.
XN_INLINE uint4 xn_many_query(global const float *a, global const float *b, uint s, uint size, bool exact) {
    uint x = 16 * s + xn_lane() % 4 * 2;
    uint4 q = {0, 0, 0, 0};
    if (x < size) {
        q.x = xn_halves(a[x], a[x + 1]);
        q.y = exact ? xn_many_rest(a[x], a[x + 1], q.x) : xn_halves(b[x], b[x + 1]);
    }
    if (x + 8 < size) {
        q.z = xn_halves(a[x + 8], a[x + 9]);
        q.w = exact ? xn_many_rest(a[x + 8], a[x + 9], q.z) : xn_halves(b[x + 8], b[x + 9]);
    }
    return q;
}

// Scores of 8 positions each: of 2t and 2t + 1 for pair g, then for pair g + 8.
XN_INLINE void xn_many_scores(const uint key_chunks, const uint tiles, uint keys, const uint4 *q, float (*x)[4]) {
    const uint of_row = key_chunks * 4;
    uint lane = xn_lane(), row = lane % 8 + lane / 16 * 8;
    uint place = row * of_row * 16 + (lane / 8 % 2 ^ lane % 8) * 16;
#pragma unroll
    for (uint j = 0; j < 2 * tiles; j++)
        x[j][0] = x[j][1] = x[j][2] = x[j][3] = 0;
#pragma unroll
    for (uint s = 0; s < 2 * key_chunks; s++) {
#pragma unroll
        for (uint j = 0; j < tiles; j++) {
            uint4 k = xn_many_matrices(keys + j * 256 * of_row + (place ^ 32 * s));
            xn_mma_half(x[2 * j], q[s], k.x, k.y);
            xn_mma_half(x[2 * j + 1], q[s], k.z, k.w);
        }
    }
}

// sums[i]: values 8 i + 2t and 8 i + 2t + 1 of pair g, then of pair g + 8.
XN_INLINE void xn_many_values(const uint value_chunks, const uint tiles, uint values, bool exact, float (*x)[4],
                              float (*sums)[4]) {
    const uint of_row = value_chunks * 8;
    uint lane = xn_lane(), place = lane % 16 * of_row * 16 + (lane / 16 ^ lane % 8) * 16;
#pragma unroll
    for (uint j = 0; j < tiles; j++) {
        uint4 weights;
        weights.x = xn_halves(x[2 * j][0], x[2 * j][1]);
        weights.z = xn_halves(x[2 * j + 1][0], x[2 * j + 1][1]);
        weights.y = exact ? xn_many_rest(x[2 * j][0], x[2 * j][1], weights.x) : xn_halves(x[2 * j][2], x[2 * j][3]);
        weights.w = exact ? xn_many_rest(x[2 * j + 1][0], x[2 * j + 1][1], weights.z)
                          : xn_halves(x[2 * j + 1][2], x[2 * j + 1][3]);
#pragma unroll
        for (uint c = 0; c < of_row / 2; c++) {
            uint4 v = xn_many_turned(values + j * 256 * of_row + (place ^ 32 * c));
            xn_mma_half(sums[2 * c], weights, v.x, v.y);
            xn_mma_half(sums[2 * c + 1], weights, v.z, v.w);
        }
    }
}

// Scores of a pair, which are x[.][at] and [at + 1], become weights; returns the factor of what came before. `first`: the
// position of the first one; whole: the pair sees all of them.
XN_INLINE float xn_many_soften(XN_D const struct xn_cl_attend *d, const uint tiles, uint first, bool whole,
                               float (*x)[4], const uint at, struct xn_many_pair *pair) {
    float most = pair->most, sum = 0;
    first += xn_lane() % 4 * 2;
    if (!whole) {
        asm volatile(""); // a branch, which few take, and not a choice for each value
#pragma unroll
        for (uint i = 0; i < 4 * tiles; i++) {
            uint position = first + i / 2 * 8 + i % 2;
            if (position < pair->begin || position >= pair->end) x[i / 2][at + i % 2] = -INFINITY;
        }
    }
#pragma unroll
    for (uint i = 0; i < 4 * tiles; i++)
        most = fmax(most, x[i / 2][at + i % 2]);
    most = fmax(most, xn_shuffle_xor(most, 1));
    most = fmax(most, xn_shuffle_xor(most, 2));
    float from = most == -INFINITY ? 0 : most, factor = xn_exp2(pair->most - from); // of nothing: 0
#pragma unroll
    for (uint i = 0; i < 4 * tiles; i++)
        sum += x[i / 2][at + i % 2] = xn_exp2(x[i / 2][at + i % 2] - from);
    pair->most = most;
    pair->sum = pair->sum * factor + sum;
    return factor;
}

// What products of queries and keys are worth, as powers of two.
XN_INLINE void xn_many_scale(XN_D const struct xn_cl_attend *d, const uint tiles, float (*x)[4]) {
    float scale = d->scale, cap = d->soft_cap;
    if (cap != 0) {
#pragma unroll
        for (uint i = 0; i < 8 * tiles; i++)
            x[i / 4][i % 4] = cap * tanh(x[i / 4][i % 4] * scale / cap);
        scale = 1;
    }
    scale *= XN_LOG2_E;
#pragma unroll
    for (uint i = 0; i < 8 * tiles; i++)
        x[i / 4][i % 4] *= scale;
}

// A pair's results, of which sums[.][at] and [at + 1] are this lane's.
XN_INLINE void xn_many_finish(const struct xn_env *e, XN_D const struct xn_cl_attend *d, const uint chunks,
                              struct xn_many_pair pair, float (*sums)[4], const uint at) {
    float sum = pair.sum, factor = 1;
    bool gated = d->output_gate;
    uint size = d->value_size;
    if (d->sinks != XN_CL_NONE) {
        float sink = e->vec[d->sinks + pair.head] * XN_LOG2_E, larger = fmax(pair.most, sink);
        factor = native_exp2(pair.most - larger);
        sum = sum * factor + native_exp2(sink - larger);
    }
    factor /= sum;
    global float *out = e->act + d->out + (ulong)pair.row * d->out_stride + pair.head * size;
    global const float *gate = e->act + d->in + (ulong)pair.row * d->in_stride + pair.head * d->head_stride + d->head_size;
#pragma unroll
    for (uint i = 0; i < 16 * chunks; i++) {
        uint x = i / 2 * 8 + xn_lane() % 4 * 2 + i % 2;
        if (x >= size) continue;
        float value = sums[i / 2][at + i % 2] * factor;
        out[x] = gated ? value * xn_sigmoid(gate[x]) : value;
    }
}

// Block `block` of XN_MANY_PAIRS pairs of a span and a key-value head.
XN_INLINE void xn_many_unit(const struct xn_env *e, XN_D const struct xn_cl_attend *d,
                            global const struct xn_cl_span *span, uint g, uint block, local float *scratch,
                            const uint key_chunks, const uint value_chunks) {
    const uint together = XN_MANY_TILES(key_chunks);
    local struct xn_row *rows = (local struct xn_row *)scratch;
    uint copies = xn_many_shared(scratch) + 2 * XN_MANY_ADDRESSES * (uint)sizeof *rows;
    bool exact = d->exact;
    uint of_group = XN_MANY_PAIRS(d), of_warp = of_group / XN_WARPS;
    uint pairs = span->n_rows * d->queries, lane = xn_lane();
    uint first = block * of_group + xn_warp() * of_warp, i = first + lane / 4;
    uint key_size = d->head_size, value_size = d->values.size;
    struct xn_many_pair a = xn_many_pair_of(d, span, g, min(i, pairs - 1));
    struct xn_many_pair b = xn_many_pair_of(d, span, g, min(i + 8, pairs - 1));
    uint4 q[2 * XN_MANY_KEY_CHUNKS];
    global const float *in_a = e->act + d->in + (ulong)a.row * d->in_stride + a.head * d->head_stride;
    global const float *in_b = e->act + d->in + (ulong)b.row * d->in_stride + b.head * d->head_stride;
#pragma unroll
    for (uint s = 0; s < 2 * key_chunks; s++)
        q[s] = xn_many_query(in_a, in_b, s, key_size, exact);
    float sums[8 * XN_MANY_VALUE_CHUNKS][4];
#pragma unroll
    for (uint s = 0; s < 8 * value_chunks; s++)
        sums[s][0] = sums[s][1] = sums[s][2] = sums[s][3] = 0;
    // What the group sees, and of it this warp: some of its pairs, and all of them.
    uint end = xn_many_pair_of(d, span, g, min((block + 1) * of_group, pairs) - 1).end;
    uint base = xn_many_pair_of(d, span, g, block * of_group).begin / 16 * 16, tiles = (end - base + 15) / 16;
    struct xn_many_pair least = xn_many_pair_of(d, span, g, min(first, pairs - 1));
    struct xn_many_pair largest = xn_many_pair_of(d, span, g, min(first + of_warp - 1, pairs - 1));
    uint mine_end = first < pairs ? largest.end : 0;
    for (uint t0 = 0; t0 < tiles; t0 += XN_MANY_ADDRESSES) {
        uint n = min(tiles - t0, (uint)XN_MANY_ADDRESSES);
        barrier(CLK_LOCAL_MEM_FENCE);
        xn_many_addresses(e, d, span, g, base + t0 * 16, n, rows);
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint t = 0, next = 0; t < n; next += together) {
            // `next` is copied while tile `t` is computed with; at first there is none.
            uint left = end - base - (t0 + next) * 16, to = copies + next / together % 2 * (4 * XN_MANY_HALVES);
            xn_many_wait();
            barrier(CLK_LOCAL_MEM_FENCE);
            if (next < n) {
                xn_many_copy(rows + 2 * next, key_size, left, together, key_chunks * 4, to);
                xn_many_copy(rows + 2 * next + 1, value_size, left, together, value_chunks * 8, to + 2 * XN_MANY_HALVES);
            }
            xn_many_copied();
            if (next == 0) continue;
            uint at = base + (t0 + t) * 16, from = copies + t / together % 2 * (4 * XN_MANY_HALVES);
            t += together;
            if (at + 16 * together <= least.begin || at >= mine_end) continue;
            bool whole = at >= largest.begin && at + 16 * together <= least.end;
            float x[4][4];
            xn_many_scores(key_chunks, together, from, q, x);
            if (exact) {
#pragma unroll
                for (uint k = 0; k < 4 * together; k++)
                    x[k / 2][k % 2] += x[k / 2][k % 2 + 2];
            }
            xn_many_scale(d, together, x);
            float factor_a = xn_many_soften(d, together, at, whole, x, 0, &a);
            float factor_b = exact ? factor_a : xn_many_soften(d, together, at, whole, x, 2, &b);
            if (factor_a != 1 || factor_b != 1) {
#pragma unroll
                for (uint s = 0; s < 8 * value_chunks; s++) {
                    sums[s][0] *= factor_a;
                    sums[s][1] *= factor_a;
                    sums[s][2] *= factor_b;
                    sums[s][3] *= factor_b;
                }
            }
            xn_many_values(value_chunks, together, from + 2 * XN_MANY_HALVES, exact, x, sums);
        }
    }
    a.sum += xn_shuffle_xor(a.sum, 1);
    b.sum += xn_shuffle_xor(b.sum, 1);
    a.sum += xn_shuffle_xor(a.sum, 2);
    b.sum += xn_shuffle_xor(b.sum, 2);
    if (exact) {
#pragma unroll
        for (uint k = 0; k < 16 * value_chunks; k++)
            sums[k / 2][k % 2] += sums[k / 2][k % 2 + 2];
    }
    if (i < pairs) xn_many_finish(e, d, value_chunks, a, sums, 0);
    if (!exact && i + 8 < pairs) xn_many_finish(e, d, value_chunks, b, sums, 2);
    barrier(CLK_LOCAL_MEM_FENCE);
}
