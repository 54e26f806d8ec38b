// Products of one row of the batch on NVIDIA's GPUs (stream.cl). Half of a warp takes a row of weights, so that what both
// halves read of activations is the same. (Reading the next units while these are multiplied was slower: 880 tokens a
// second instead of 920 of the 1.5B shape, since registers spill.)

#define XN_AHEAD 4 // units of a lane that are read before the first is multiplied
#define XN_HALF_WARP (XN_LANES / 2)

static inline void xn_put_one(const struct xn_sums *s, float sum, uint share, uint r, local float *y) {
#pragma unroll
    for (uint mask = 1; mask < XN_HALF_WARP; mask *= 2)
        sum += xn_shuffle_xor(sum, mask);
    local float *to = y + share * s->slice->rows + r;
    if (xn_lane() % XN_HALF_WARP == 0 && r < s->end) *to = s->more ? *to + sum : sum;
}

#define XN_READ_UNIT(F, j)                                                                                             \
    raw[j] = xn_raw_##F(row.piece, row.units, row.first + min(u + (j)*XN_HALF_WARP + in, of.end - 1));
#define XN_ADD_UNIT(F, j)                                                                                              \
    {                                                                                                                  \
        int c[8];                                                                                                      \
        float2 scale, minimum;                                                                                         \
        uint i = u + (j)*XN_HALF_WARP + in;                                                                            \
        xn_codes_of_##F(raw[j], e->grids, c, &scale, &minimum);                                                        \
        float x = xn_code_sum(XN_WHOLE_##F, c, scale, minimum, xs, row.part + min(i, of.end - 1));                     \
        sum += i < of.end ? x : 0;                                                                                     \
    }
#define XN_CODE_SUMS(F)                                                                                                \
    static inline void xn_row_sums_##F(const struct xn_env *e, const struct xn_sums *s, local float *scratch) {        \
        local const float *xs = scratch + XN_AT_XS;                                                                    \
        struct xn_share of;                                                                                            \
        if (!xn_share_of(s, &of)) return;                                                                              \
        uint half_of = xn_lane() / XN_HALF_WARP, in = xn_lane() % XN_HALF_WARP;                                        \
        _Pragma("unroll 1") for (uint r = s->r0 + 2 * of.pair; r < s->end; r += 2 * XN_WARPS)                          \
        {                                                                                                              \
            struct xn_row_at row = xn_row_at_of(e, s, min(r + half_of, s->end - 1));                                   \
            float sum = 0;                                                                                             \
            _Pragma("unroll 1") for (uint u = of.begin; u < of.end; u += XN_AHEAD * XN_HALF_WARP)                      \
            {                                                                                                          \
                struct xn_raw raw[XN_AHEAD];                                                                           \
                bool third = u + 2 * XN_HALF_WARP < of.end, fourth = u + 3 * XN_HALF_WARP < of.end;                    \
                XN_READ_UNIT(F, 0)                                                                                     \
                XN_READ_UNIT(F, 1)                                                                                     \
                XN_READ_UNIT(F, 2)                                                                                     \
                XN_READ_UNIT(F, 3)                                                                                     \
                xn_warp_together();                                                                                    \
                XN_ADD_UNIT(F, 0)                                                                                      \
                XN_ADD_UNIT(F, 1)                                                                                      \
                if (third) XN_ADD_UNIT(F, 2)                                                                           \
                if (fourth) XN_ADD_UNIT(F, 3)                                                                          \
            }                                                                                                          \
            xn_put_one(s, sum, of.share, r + half_of, scratch + XN_AT_Y);                                              \
        }                                                                                                              \
    }
#define XN_FLOAT_SUMS(F)                                                                                               \
    static inline void xn_row_sums_##F(const struct xn_env *e, const struct xn_sums *s, local float *scratch) {        \
        local const float *xs = scratch + XN_AT_XS;                                                                    \
        struct xn_share of;                                                                                            \
        if (!xn_share_of(s, &of)) return;                                                                              \
        uint half_of = xn_lane() / XN_HALF_WARP, in = xn_lane() % XN_HALF_WARP;                                        \
        _Pragma("unroll 1") for (uint r = s->r0 + 2 * of.pair; r < s->end; r += 2 * XN_WARPS)                          \
        {                                                                                                              \
            struct xn_row_at row = xn_row_at_of(e, s, min(r + half_of, s->end - 1));                                   \
            float sum = 0;                                                                                             \
            _Pragma("unroll 2") for (uint i = of.begin + in; i < of.end; i += XN_HALF_WARP)                            \
            {                                                                                                          \
                float v[XN_CL_UNIT];                                                                                   \
                xn_decode_##F(row.piece, row.units, row.first + i, e->grids, v);                                       \
                sum += xn_float_sum(v, xs, row.part + i);                                                              \
            }                                                                                                          \
            xn_put_one(s, sum, of.share, r + half_of, scratch + XN_AT_Y);                                              \
        }                                                                                                              \
    }
#define X(F) XN_BY_##F(XN_CODE_SUMS, XN_FLOAT_SUMS)(F)
XN_FORMATS(X)
#undef X
