// Products of 2 to 8 rows of the batch on NVIDIA's GPUs (stream.cl), but for those on the matrix unit (stream_tiles.cl). A
// warp takes two rows of weights at once, a unit of each for each lane, which meet one reading of a token's activations.

// Adds to the sums of both rows what units u, u + XN_LANES, ... give.
#define XN_CODE_STEP(F)                                                                                                \
    _Pragma("unroll 1") for (uint u = of.begin; u < of.end; u += XN_LANES)                                             \
    {                                                                                                                  \
        uint at = min(u + xn_lane(), of.end - 1);                                                                      \
        struct xn_raw raw0 = xn_raw_##F(row0.piece, row0.units, row0.first + at);                                      \
        struct xn_raw raw1 = xn_raw_##F(row1.piece, row1.units, row1.first + at);                                      \
        int c0[8], c1[8];                                                                                              \
        float2 scale0, minimum0, scale1, minimum1;                                                                     \
        xn_warp_together();                                                                                            \
        xn_codes_of_##F(raw0, e->grids, c0, &scale0, &minimum0);                                                       \
        xn_codes_of_##F(raw1, e->grids, c1, &scale1, &minimum1);                                                       \
        if (u + xn_lane() >= of.end) scale0 = minimum0 = scale1 = minimum1 = (float2)(0, 0);                           \
        _Pragma("unroll") for (uint t = 0; t < XN_TOKENS; t++) if (t < s->tokens)                                      \
        {                                                                                                              \
            local const float *x = xs + t * (XN_SIZE_XS / XN_TOKENS);                                                  \
            sum[0][t] += xn_code_sum(XN_WHOLE_##F, c0, scale0, minimum0, x, row0.part + at);                           \
            sum[1][t] += xn_code_sum(XN_WHOLE_##F, c1, scale1, minimum1, x, row0.part + at);                           \
        }                                                                                                              \
    }
#define XN_FLOAT_STEP(F)                                                                                               \
    _Pragma("unroll 1") for (uint at = of.begin + xn_lane(); at < of.end; at += XN_LANES)                              \
    {                                                                                                                  \
        float v[2][XN_CL_UNIT];                                                                                        \
        xn_decode_##F(row0.piece, row0.units, row0.first + at, e->grids, v[0]);                                        \
        xn_decode_##F(row1.piece, row1.units, row1.first + at, e->grids, v[1]);                                        \
        _Pragma("unroll") for (uint i = 0; i < 2; i++) _Pragma("unroll") for (uint t = 0; t < XN_TOKENS; t++) if (     \
            t < s->tokens) sum[i][t] += xn_float_sum(v[i], xs + t * (XN_SIZE_XS / XN_TOKENS), row0.part + at);         \
    }
#define XN_ROW_SUMS(F, XN_STEP)                                                                                        \
    static inline void xn_row_sums_##F(const struct xn_env *e, const struct xn_sums *s, local float *scratch) {        \
        local const float *xs = scratch + XN_AT_XS;                                                                    \
        struct xn_share of;                                                                                            \
        if (!xn_share_of(s, &of)) return;                                                                              \
        _Pragma("unroll 1") for (uint r = s->r0 + 2 * of.pair; r < s->end; r += 2 * XN_WARPS)                          \
        {                                                                                                              \
            struct xn_row_at row0 = xn_row_at_of(e, s, r), row1 = xn_row_at_of(e, s, min(r + 1, s->end - 1));          \
            float sum[2][XN_TOKENS];                                                                                   \
            _Pragma("unroll") for (uint t = 0; t < XN_TOKENS; t++) sum[0][t] = sum[1][t] = 0;                          \
            XN_STEP(F)                                                                                                 \
            xn_put_sums(s, sum, of.share, r, scratch + xn_y_begin(s->slice->rows * s->slice->shares));                                                       \
        }                                                                                                              \
    }

// Adds the lanes' sums of rows r and r + 1 up.
static inline void xn_put_sums(const struct xn_sums *s, float (*sum)[XN_TOKENS], uint share, uint r, local float *y) {
    uint own = xn_lane() / 2, odd = xn_lane() % 2;
    float mine = 0;
#pragma unroll
    for (uint t = 0; t < XN_TOKENS; t++) {
        // Even lanes take the first row's sum, odd ones the second's.
        float a = sum[0][t], b = sum[1][t], x = (odd ? b : a) + xn_shuffle_xor(odd ? a : b, 1);
#pragma unroll
        for (uint mask = 2; mask < XN_LANES; mask *= 2)
            x += xn_shuffle_xor(x, mask);
        if (own == t) mine = x;
    }
    local float *to = y + xn_y_place(own, share * s->slice->rows + r + odd);
    if (own < s->tokens && r + odd < s->end) *to = s->more ? *to + mine : mine;
}
#ifdef XN_TILES
#define XN_ROW_CODE_SUMS(F)
#else
#define XN_ROW_CODE_SUMS(F) XN_ROW_SUMS(F, XN_CODE_STEP)
#endif
#define XN_ROW_FLOAT_SUMS(F) XN_ROW_SUMS(F, XN_FLOAT_STEP)
#define X(F) XN_BY_##F(XN_ROW_CODE_SUMS, XN_ROW_FLOAT_SUMS)(F)
XN_FORMATS(X)
#undef X
