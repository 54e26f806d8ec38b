// Products of 2 to 8 rows of the batch with formats that have codes, on NVIDIA's matrix unit (stream.cl): 16 rows of weights
// by 8 tokens. A unit of the rows gives 32-bit sums, exactly, which are scaled by what belongs to each row and token.
//
// Tiles of a segment of the slice, with all units that stand in local memory, are one list of blocks of 8 units, and warps
// take equal shares of it. Who begins in the midst of a tile puts his first sums elsewhere, and they are added in the end
// (xn_tile_join): always the same ones, in the same order.

// c = 2^23 + 2^22 + a b, as bits of a float: 16 x 32 by 32 x 8 bytes (mma.m16n8k32), or 16 x 16 by 16 x 8 (mma.m16n8k16).
// With g = lane / 4 and t = lane % 4 a lane holds of a, four bytes in each: of row g values 4 t ..., of row g + 8 the same,
// then of both values 16 + 4 t ...; of b: values 4 t ... of column g, then 16 + 4 t ...; of c: (g, 2t), (g, 2t + 1), (g + 8,
// 2t), (g + 8, 2t + 1). Sums are below 2^22, so that subtracting gives them as floats, without a conversion.
#define XN_TILE_ZERO 0x1.8p23f
static inline float4 xn_mma_bytes(uint a0, uint a1, uint a2, uint a3, uint2 b) {
    int x, y, z, w, zero = as_int(XN_TILE_ZERO);
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%10, %11, %12, %13};"
                 : "=r"(x), "=r"(y), "=r"(z), "=r"(w)
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b.x), "r"(b.y), "r"(zero), "r"(zero), "r"(zero), "r"(zero));
    return as_float4((int4)(x, y, z, w));
}
static inline float4 xn_mma_half_bytes(uint a0, uint a1, uint b) {
    int x, y, z, w, zero = as_int(XN_TILE_ZERO);
    asm volatile("mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%7, %8, %9, %10};"
                 : "=r"(x), "=r"(y), "=r"(z), "=r"(w)
                 : "r"(a0), "r"(a1), "r"(b), "r"(zero), "r"(zero), "r"(zero), "r"(zero));
    return as_float4((int4)(x, y, z, w));
}
// Such sums times scales, exactly before they are rounded: scales have 22 bits, so that `offset` (of them, xn_tile_offset)
// is exact as well.
static inline float2 xn_tile_offset(float2 scale) {
    return -XN_TILE_ZERO * scale;
}
static inline float4 xn_tile_scaled(float4 c, float2 scale, float2 offset) {
    return (float4)(fma(c.x, scale.x, offset.x), fma(c.y, scale.y, offset.y), fma(c.z, scale.x, offset.x),
                    fma(c.w, scale.y, offset.y));
}
// sum += x * row's factor, of rows g and g + 8.
static inline float4 xn_tile_add(float4 x, float row0, float row1, float4 sum) {
    return (float4)(fma(x.x, row0, sum.x), fma(x.y, row0, sum.y), fma(x.z, row1, sum.z), fma(x.w, row1, sum.w));
}

// How the tiles of a segment are dealt out.
struct xn_tiles {
    uint first, n;      // of the slice's tiles
    uint blocks, share; // of a tile; of the list, for each warp
};
// Of rows [r0, end) with so many units: those of the longest chunk.
static inline struct xn_tiles xn_tiles_of(uint r0, uint end, uint units) {
    struct xn_tiles t;
    t.first = r0 / XN_TILE_ROWS;
    t.n = (end - 1) / XN_TILE_ROWS - t.first + 1;
    t.blocks = (units + XN_TILE_BLOCK - 1) / XN_TILE_BLOCK;
    t.share = (t.n * t.blocks + XN_WARPS - 1) / XN_WARPS;
    return t;
}
// Units of activations for which there is room beside the sums of so many rows.
#define XN_TILE_BEGUN ((XN_WARPS - 1) * XN_TILE_SUMS) // sums of those that begin in the midst: warp i's are number i - 1
static inline uint xn_tile_units(uint rows) {
    return (xn_y_begin(rows) - XN_TILE_BEGUN - XN_AT_XS) / XN_TILE_UNIT;
}

// Puts a lane's sums in their place, or adds them to what is there, of the rows that are the segment's.
static inline void xn_tile_put(float4 sum, bool row0, bool row1, bool more, local float *to) {
    local float2 *at = (local float2 *)(to + 4 * xn_lane());
    if (row0) at[0] = more ? at[0] + sum.xy : sum.xy;
    if (row1) at[1] = more ? at[1] + sum.zw : sum.zw;
}
// Adds to tiles what those have who began in the midst of them.
static inline void xn_tile_join(uint r0, uint end, struct xn_tiles tiles, local float *y) {
#pragma unroll 1
    for (uint i = get_local_id(0); i < tiles.n * XN_TILE_SUMS; i += XN_GROUP) {
        uint tile = i / XN_TILE_SUMS, at = i % XN_TILE_SUMS, r = (tiles.first + tile) * XN_TILE_ROWS + at / 16 + at / 2 % 2 * 8;
        uint begin = tile * tiles.blocks, first = begin / tiles.share + 1, last = (begin + tiles.blocks - 1) / tiles.share;
        if (first > last || r < r0 || r >= end) continue;
        local float *to = y + tiles.first * XN_TILE_SUMS + i;
        float sum = *to;
#pragma unroll 1
        for (uint warp = first; warp <= last; warp++)
            sum += (y - XN_TILE_BEGUN)[(warp - 1) * XN_TILE_SUMS + at];
        *to = sum;
    }
}

// What XN_TILE_UNITS_F units from unit `u` of the chunk on add to a tile's sums.
#define XN_TILE_STEP(F)                                                                                                \
    static inline float4 xn_tile_step_##F(const struct xn_env *e, const struct xn_row_at *row0,                        \
                                          const struct xn_row_at *row1, uint u, uint units, local const float *xs,     \
                                          float4 sum) {                                                                \
        uint t = xn_tile_lane();                                                                                       \
        local const float *x0 = xs + u * XN_TILE_UNIT;                                                                 \
        local const uint2 *words = (local const uint2 *)x0 + (xn_lane() & ~3u) + t;                                    \
        local const float4 *scales = (local const float4 *)(x0 + XN_TILE_SCALES) + xn_lane() % 4;                      \
        struct xn_tile_raw raw0, raw1;                                                                                 \
        xn_tile_read_##F(row0->piece, row0->units, row0->first + u, t, &raw0);                                         \
        xn_tile_read_##F(row1->piece, row1->units, row1->first + u, t, &raw1);                                         \
        xn_warp_together();                                                                                            \
        if (XN_TILE_BYTES_##F == 16) {                                                                                 \
            xn_tile_turn(XN_TILE_UNITS_##F, raw0.a);                                                                   \
            xn_tile_turn(XN_TILE_UNITS_##F, raw1.a);                                                                   \
            if (XN_TILE_PLANES_##F == 2) {                                                                             \
                xn_tile_turn(XN_TILE_UNITS_##F, raw0.b);                                                               \
                xn_tile_turn(XN_TILE_UNITS_##F, raw1.b);                                                               \
            }                                                                                                          \
        }                                                                                                              \
        _Pragma("unroll") for (uint j = 0; j < XN_TILE_UNITS_##F; j++)                                                 \
        {                                                                                                              \
            uint2 b = words[j * (XN_TILE_UNIT / 2)];                                                                   \
            float4 d = scales[j * (XN_TILE_UNIT / 4)];                                                                 \
            float2 offset = xn_tile_offset(d.xy), scale0, scale1, minimum0, minimum1;                                  \
            uint low0, low1, high0, high1;                                                                             \
            xn_tile_words_##F(&raw0, j, t, e->grids, &low0, &high0);                                                   \
            xn_tile_words_##F(&raw1, j, t, e->grids, &low1, &high1);                                                   \
            xn_tile_scale_##F(&raw0, j, &scale0, &minimum0);                                                           \
            xn_tile_scale_##F(&raw1, j, &scale1, &minimum1);                                                           \
            if (XN_TILE_ANYWHERE_##F && u + j >= units) scale0 = minimum0 = scale1 = minimum1 = (float2)(0, 0);        \
            if (XN_WHOLE_##F) {                                                                                        \
                float4 c = xn_tile_scaled(xn_mma_bytes(low0, low1, high0, high1, b), d.xy, offset);                    \
                sum = xn_tile_add(c, scale0.x, scale1.x, sum);                                                         \
                if (XN_TILE_MINIMA_##F)                                                                                \
                    sum = xn_tile_add((float4)(d.zw, d.zw), -minimum0.x, -minimum1.x, sum);                            \
            } else {                                                                                                   \
                float4 c0 = xn_tile_scaled(xn_mma_half_bytes(low0, low1, b.x), d.xy, offset);                          \
                float4 c1 = xn_tile_scaled(xn_mma_half_bytes(high0, high1, b.y), d.xy, offset);                        \
                sum = xn_tile_add(c0, scale0.x, scale1.x, sum);                                                        \
                sum = xn_tile_add(c1, scale0.y, scale1.y, sum);                                                        \
                if (XN_TILE_MINIMA_##F) { /* sums of halves are products with ones */                                  \
                    float4 n0 = xn_tile_scaled(xn_mma_half_bytes(XN_ONES, XN_ONES, b.x), d.xy, offset);                \
                    float4 n1 = xn_tile_scaled(xn_mma_half_bytes(XN_ONES, XN_ONES, b.y), d.xy, offset);                \
                    sum = xn_tile_add(n0, -minimum0.x, -minimum1.x, sum);                                              \
                    sum = xn_tile_add(n1, -minimum0.y, -minimum1.y, sum);                                              \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        return sum;                                                                                                    \
    }
#define XN_ONES 0x01010101u

// A warp's share of a segment.
#define XN_TILE_PRODUCT(F)                                                                                             \
    XN_TILE_STEP(F)                                                                                                    \
    static inline void xn_tile_sums_##F(const struct xn_env *e, const struct xn_sums *s, struct xn_tiles tiles,        \
                                        local float *y, local const float *xs) {                                       \
        uint i = xn_warp() * tiles.share, end = min(i + tiles.share, tiles.n * tiles.blocks);                          \
        uint tile = i / tiles.blocks, at = i - tile * tiles.blocks;                                                    \
        _Pragma("unroll 1") while (i < end) {                                                                          \
            uint stop = min(tiles.blocks, at + end - i), r = (tiles.first + tile) * XN_TILE_ROWS + xn_lane() / 4;      \
            struct xn_row_at row0 = xn_row_at_of(e, s, min(max(r, s->r0), s->end - 1));                                \
            struct xn_row_at row1 = xn_row_at_of(e, s, min(max(r + 8, s->r0), s->end - 1));                            \
            float4 sum = (float4)(0, 0, 0, 0);                                                                         \
            _Pragma("unroll 1") for (uint u = at * XN_TILE_BLOCK; u < min(stop * XN_TILE_BLOCK, s->n);                 \
                                     u += XN_TILE_UNITS_##F)                                                           \
                sum = xn_tile_step_##F(e, &row0, &row1, u, s->n, xs, sum);                                             \
            bool mine = at != 0; /* begun in the midst */                                                              \
            local float *to = mine ? y - XN_TILE_BEGUN + (xn_warp() - 1) * XN_TILE_SUMS                                \
                                   : y + (tiles.first + tile) * XN_TILE_SUMS;                                          \
            xn_tile_put(sum, mine || (r >= s->r0 && r < s->end), mine || (r + 8 >= s->r0 && r + 8 < s->end), s->more,  \
                        to);                                                                                           \
            i += stop - at;                                                                                            \
            at = 0;                                                                                                    \
            tile++;                                                                                                    \
        }                                                                                                              \
    }
#define XN_NO_TILE(F)
#define X(F) XN_BY_##F(XN_TILE_PRODUCT, XN_NO_TILE)(F)
XN_FORMATS(X)
#undef X
