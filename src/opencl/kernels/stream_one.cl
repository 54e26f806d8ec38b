// Products of one row of the batch on NVIDIA's GPUs (stream.cl). The units of two rows of weights that lie in one piece are
// taken as one row by the lanes of a warp, and the sums of both kept apart.

#define XN_AHEAD 4 // units of a lane that are read before the first is multiplied: bandwidth times latency is on its way

static inline void xn_put_one(const struct xn_sums *s, float sum0, float sum1, uint share, uint r, uint rows,
                              local float *y) {
    bool odd = xn_lane() % 2; // even lanes take the first row's sum, odd ones the second's
    float x = (odd ? sum1 : sum0) + xn_shuffle_xor(odd ? sum0 : sum1, 1);
#pragma unroll
    for (uint mask = 2; mask < XN_LANES; mask *= 2)
        x += xn_shuffle_xor(x, mask);
    local float *to = y + share * s->slice->rows + r + xn_lane();
    if (xn_lane() < rows) *to = s->more ? *to + x : x;
}

#define XN_CODE_STEP(F)                                                                                                \
    _Pragma("unroll 1") for (uint u = 0; u < total; u += XN_AHEAD * XN_LANES)                                          \
    {                                                                                                                  \
        struct xn_raw raw[XN_AHEAD];                                                                                   \
        _Pragma("unroll") for (uint j = 0; j < XN_AHEAD; j++)                                                          \
        {                                                                                                              \
            uint i = min(u + j * XN_LANES + xn_lane(), total - 1);                                                     \
            raw[j] = xn_raw_##F(row.piece, row.units, (i < n ? first : second) + i);                                   \
        }                                                                                                              \
        xn_warp_together();                                                                                            \
        _Pragma("unroll") for (uint j = 0; j < XN_AHEAD; j++) if (u + j * XN_LANES < total)                            \
        {                                                                                                              \
            int c[8];                                                                                                  \
            float2 scale, minimum;                                                                                     \
            uint i = min(u + j * XN_LANES + xn_lane(), total - 1);                                                     \
            xn_codes_of_##F(raw[j], e->grids, c, &scale, &minimum);                                                    \
            float x = xn_code_sum(XN_WHOLE_##F, c, scale, minimum, xs, part + (i < n ? i : i - n));                             \
            if (u + j * XN_LANES + xn_lane() >= total) x = 0;                                                          \
            sum0 += i < n ? x : 0;                                                                                     \
            sum1 += i < n ? 0 : x;                                                                                     \
        }                                                                                                              \
    }
#define XN_FLOAT_STEP(F)                                                                                               \
    _Pragma("unroll 1") for (uint i = xn_lane(); i < n; i += XN_LANES)                                                 \
    {                                                                                                                  \
        float v[2][XN_CL_UNIT];                                                                                        \
        xn_decode_##F(row.piece, row.units, first + i, e->grids, v[0]);                                                \
        xn_decode_##F(row.piece, row.units, (total > n ? second + n : first) + i, e->grids, v[1]);                     \
        sum0 += xn_float_sum(v[0], xs, part + i);                                                                             \
        sum1 += xn_float_sum(v[1], xs, part + i);                                                                             \
    }
// Rows that lie in two pieces are taken one after the other.
#define XN_ROW_SUMS(F, XN_STEP)                                                                                        \
    static inline void xn_row_sums_##F(const struct xn_env *e, const struct xn_sums *s, local float *scratch) {        \
        local const struct xn_cl_slice_row *table = xn_slice_rows(s->slice);                                           \
        struct xn_share of;                                                                                            \
        if (!xn_share_of(s, &of)) return;                                                                              \
        uint n = of.end > of.begin ? of.end - of.begin : 0;                                                            \
        _Pragma("unroll 1") for (uint pair = s->r0 + 2 * of.pair; pair < s->end; pair += 2 * XN_WARPS)                 \
        {                                                                                                              \
            uint rows;                                                                                                 \
            _Pragma("unroll 1") for (uint r = pair; r < min(pair + 2, s->end); r += rows)                              \
            {                                                                                                          \
                struct xn_row_at row = xn_row_at_of(e, s, r);                                                          \
                rows = r == pair && r + 1 < s->end && table[r + 1].piece == table[r].piece ? 2 : 1;                    \
                uint total = rows * n, first = row.first + of.begin;                                                   \
                uint second = rows == 2 ? table[r + 1].first + s->u0 + of.begin - n : 0;                               \
                local const float *xs = scratch + XN_AT_XS;                                                            \
                uint part = row.part + of.begin;                                                                       \
                float sum0 = 0, sum1 = 0;                                                                              \
                XN_STEP(F)                                                                                             \
                xn_put_one(s, sum0, sum1, of.share, r, rows, scratch + XN_AT_Y);                                       \
            }                                                                                                          \
        }                                                                                                              \
    }
#define X(F) XN_ROW_SUMS(F, XN_STEP_##F)
XN_FORMATS(X)
#undef X
