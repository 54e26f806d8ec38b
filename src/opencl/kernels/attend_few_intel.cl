// attend for few rows on Intel's GPUs: the group takes a tile of the context at a time. For scores a work-item takes a
// position and half of the heads; for the softmax a sub-group takes a head; for values it takes two heads and a part of
// the tile's positions, whose vectors its lanes read side by side.

#define XN_FEW_TILE (XN_GROUP / 2) // positions
#define XN_FEW_PARTS (2 * XN_WARPS / XN_CL_TOGETHER) // of a tile
#define XN_FEW_PART (XN_FEW_TILE / XN_FEW_PARTS)
#define XN_FEW_HALF (XN_CL_TOGETHER / 2) // heads of a work-item
// Local memory behind what all bodies have there, in floats: addresses of values, weights, queries and then sums.
#define XN_AT_FEW_ROWS ((XN_AT_BODY + 3) / 4 * 4)
#define XN_AT_FEW_P (XN_AT_FEW_ROWS + 4 * XN_FEW_TILE)
#define XN_AT_FEW_QUERY (XN_AT_FEW_P + XN_CL_TOGETHER * XN_FEW_TILE)
#if XN_AT_FEW_QUERY + XN_CL_HEAD_FLOATS > XN_SCRATCH || XN_FEW_PARTS * XN_CL_TOGETHER != 2 * XN_WARPS || XN_CL_TOGETHER != 8
#error "attention needs more local memory than operations get, or sub-groups of which heads have as many"
#endif

// Values 8 i ... of a position's vector.
static inline float8 xn_few_chunk(struct xn_row row, uint i) {
#if defined(XN_CACHE_Q8_0)
    char8 codes = as_char8(((global const uint2 *)row.values)[i]);
    return convert_float8(codes) * vload_half(i / 4, row.scales);
#elif defined(XN_CACHE_Q4_0)
    uint w = ((global const uint *)row.values)[i];
    float8 codes = (float8)((float)(w & 15), (float)(w >> 16 & 15), (float)(w >> 4 & 15), (float)(w >> 20 & 15),
                            (float)(w >> 8 & 15), (float)(w >> 24 & 15), (float)(w >> 12 & 15), (float)(w >> 28));
    return (codes - 8.0f) * vload_half(i / 4, row.scales);
#else
    uint4 v = ((global const uint4 *)row.values)[i];
    return (float8)(xn_half_pair(v.x), xn_half_pair(v.y), xn_half_pair(v.z), xn_half_pair(v.w));
#endif
}
#define XN_FEW_PRODUCT(s, a, b)                                                                                        \
    {                                                                                                                  \
        float8 x = b;                                                                                                  \
        s += a.s0 * x.s0;                                                                                              \
        s += a.s1 * x.s1;                                                                                              \
        s += a.s2 * x.s2;                                                                                              \
        s += a.s3 * x.s3;                                                                                              \
        s += a.s4 * x.s4;                                                                                              \
        s += a.s5 * x.s5;                                                                                              \
        s += a.s6 * x.s6;                                                                                              \
        s += a.s7 * x.s7;                                                                                              \
    }

// Scores of n positions from `first` on.
static inline void xn_few_scores(const struct xn_env *e, XN_D const struct xn_cl_attend *d,
                                 const struct xn_unit_of_attention *u, global const struct xn_cl_span *span, uint first,
                                 uint n, local float *scratch) {
    uint part = xn_warp() / (XN_WARPS / 2), i = get_local_id(0) % XN_FEW_TILE, h = part * XN_FEW_HALF;
    local const float *q = scratch + XN_AT_FEW_QUERY + h * d->head_size;
    uint size = d->head_size, heads = u->heads > h ? u->heads - h : 0;
    if (i >= n) return;
    if (part == 0)
        ((local struct xn_row *)(scratch + XN_AT_FEW_ROWS))[i] = xn_row_at(e, &d->values, span, u->g, first + i);
    if (heads == 0) return;
    struct xn_row k = xn_row_at(e, &d->keys, span, u->g, first + i);
    float s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    uint q1 = heads > 1 ? size : 0, q2 = heads > 2 ? 2 * size : 0, q3 = heads > 3 ? 3 * size : 0;
    for (uint c = 0; c < size / 8; c++) {
        float8 key = xn_few_chunk(k, c);
        XN_FEW_PRODUCT(s0, key, vload8(0, q + 8 * c))
        XN_FEW_PRODUCT(s1, key, vload8(0, q + q1 + 8 * c))
        XN_FEW_PRODUCT(s2, key, vload8(0, q + q2 + 8 * c))
        XN_FEW_PRODUCT(s3, key, vload8(0, q + q3 + 8 * c))
    }
    local float *p = scratch + XN_AT_FEW_P + h * XN_FEW_TILE + i;
    float s[XN_FEW_HALF] = {s0, s1, s2, s3}, cap = d->soft_cap;
#pragma unroll
    for (uint j = 0; j < XN_FEW_HALF; j++) {
        float x = s[j] * d->scale;
        if (j < heads) p[j * XN_FEW_TILE] = cap != 0 ? cap * tanh(x / cap) : x;
    }
}

// Maxima and sums with the tile; scores become weights.
static inline void xn_few_soften(const struct xn_unit_of_attention *u, uint n, local float *scratch) {
    uint h = xn_warp();
    if (h >= u->heads) return;
    local float *p = scratch + XN_AT_FEW_P + h * XN_FEW_TILE, *state = scratch + XN_AT_MOST + 3 * h;
    float before = state[0], most = before, sum = 0;
    for (uint i = xn_lane(); i < n; i += XN_LANES)
        most = fmax(most, p[i]);
    most = sub_group_reduce_max(most);
    for (uint i = xn_lane(); i < n; i += XN_LANES)
        sum += p[i] = native_exp(p[i] - most);
    sum = sub_group_reduce_add(sum);
    float factor = native_exp(before - most); // of nothing before: exp(-inf)
    if (xn_lane() == 0) {
        state[0] = most;
        state[1] = state[1] * factor + sum;
        state[2] = factor;
    }
}

// Of a unit: the sums of its heads x value_size values, unscaled, at what is returned; their maxima and sums of weights
// at XN_AT_MOST. A lane has values 8 (16 j + lane) ... of its sub-group's head.
static inline __attribute__((always_inline)) local float *xn_few_unit(const struct xn_env *e,
                                                                      XN_D const struct xn_cl_attend *d,
                                                                      const struct xn_unit_of_attention *u,
                                                                      local float *scratch, const uint key_chunks,
                                                                      const uint value_chunks) {
    const uint of_lane = (8 * value_chunks + XN_LANES - 1) / XN_LANES; // vectors of 8 values
    global const struct xn_cl_span *span = xn_span_at(e, xn_span_of_row(e, u->row));
    local float *q = scratch + XN_AT_FEW_QUERY, *sums = q + u->heads * d->head_size;
    global const float *in = e->act + d->in + (ulong)u->row * d->in_stride + u->first_head * d->head_stride;
    uint lid = get_local_id(0), size = d->value_size, h = xn_warp() % (XN_CL_TOGETHER / 2) * 2, part = xn_warp() / (XN_CL_TOGETHER / 2);
    for (uint i = lid; i < u->heads * d->head_size; i += XN_GROUP)
        q[i] = in[i / d->head_size * d->head_stride + i % d->head_size];
    for (uint i = lid; i < u->heads; i += XN_GROUP) {
        scratch[XN_AT_MOST + 3 * i] = -INFINITY;
        scratch[XN_AT_MOST + 3 * i + 1] = 0;
    }
    uint next = h + 1 < u->heads; // whether there is a second head; else it is the first once more
    float8 y0 = 0, y1 = 0, y2 = 0, y3 = 0, y4 = 0, y5 = 0, y6 = 0, y7 = 0;
    float8 z0 = 0, z1 = 0, z2 = 0, z3 = 0, z4 = 0, z5 = 0, z6 = 0, z7 = 0;
    // A vector that is not there is the first once more, and nobody looks at its sums.
#define XN_FEW_AT(j) (8 * ((j)*XN_LANES + xn_lane()) < size ? (j)*XN_LANES + xn_lane() : 0)
#define XN_EACH_OF_LANE(S)                                                                                             \
    S(0)                                                                                                               \
    if (of_lane > 1) S(1)                                                                                              \
    if (of_lane > 2) S(2)                                                                                              \
    if (of_lane > 3) S(3)                                                                                              \
    if (of_lane > 4) S(4)                                                                                              \
    if (of_lane > 5) S(5)                                                                                              \
    if (of_lane > 6) S(6)                                                                                              \
    if (of_lane > 7) S(7)
    for (uint first = u->begin; first < u->end; first += XN_FEW_TILE) {
        uint n = min(u->end - first, (uint)XN_FEW_TILE);
        barrier(CLK_LOCAL_MEM_FENCE);
        xn_few_scores(e, d, u, span, first, n, scratch);
        barrier(CLK_LOCAL_MEM_FENCE);
        xn_few_soften(u, n, scratch);
        barrier(CLK_LOCAL_MEM_FENCE);
        if (h >= u->heads) continue;
        float factor = scratch[XN_AT_MOST + 3 * h + 2], other = scratch[XN_AT_MOST + 3 * (h + next) + 2];
#define XN_FEW_SHRINK(j)                                                                                               \
    {                                                                                                                  \
        y##j *= factor;                                                                                                \
        z##j *= other;                                                                                                 \
    }
        XN_EACH_OF_LANE(XN_FEW_SHRINK)
        local const float *p = scratch + XN_AT_FEW_P + h * XN_FEW_TILE, *r = p + next * XN_FEW_TILE;
        local const struct xn_row *rows = (local const struct xn_row *)(scratch + XN_AT_FEW_ROWS);
        uint i = part * XN_FEW_PART, end = min(n, (part + 1) * XN_FEW_PART);
        // Two positions at a time, whose vectors are on their way together.
        for (; i + 2 <= end; i += 2) {
            struct xn_row a = rows[i], b = rows[i + 1];
            float pa = p[i], pb = p[i + 1], ra = r[i], rb = r[i + 1];
#define XN_FEW_TWO(j)                                                                                                  \
    {                                                                                                                  \
        float8 va = xn_few_chunk(a, XN_FEW_AT(j)), vb = xn_few_chunk(b, XN_FEW_AT(j));                                 \
        y##j += pa * va;                                                                                               \
        z##j += ra * va;                                                                                               \
        y##j += pb * vb;                                                                                               \
        z##j += rb * vb;                                                                                               \
    }
            XN_EACH_OF_LANE(XN_FEW_TWO)
        }
        for (; i < end; i++) {
            struct xn_row a = rows[i];
            float pa = p[i], ra = r[i];
#define XN_FEW_ONE(j)                                                                                                  \
    {                                                                                                                  \
        float8 va = xn_few_chunk(a, XN_FEW_AT(j));                                                                     \
        y##j += pa * va;                                                                                               \
        z##j += ra * va;                                                                                               \
    }
            XN_EACH_OF_LANE(XN_FEW_ONE)
        }
    }
    // The parts' sums, one after the other.
    for (uint k = 0; k < XN_FEW_PARTS; k++) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (part != k || h >= u->heads) continue;
#define XN_FEW_LEAVE(j)                                                                                                \
    if (8 * ((j)*XN_LANES + xn_lane()) < size) {                                                                       \
        local float *to = sums + h * size + 8 * ((j)*XN_LANES + xn_lane());                                            \
        if (k) y##j += vload8(0, to);                                                                                  \
        vstore8(y##j, 0, to);                                                                                          \
        if (next) {                                                                                                    \
            if (k) z##j += vload8(0, to + size);                                                                       \
            vstore8(z##j, 0, to + size);                                                                               \
        }                                                                                                              \
    }
        XN_EACH_OF_LANE(XN_FEW_LEAVE)
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    return sums;
}
