// Products of few rows of the batch over the plain dialect, one loop for all formats: each warp reads XN_CL_WARP_ROWS rows
// of weights once, and its lanes decode and multiply along them.
//
// Adds the products of units [u0, u0 + n) of the warp's rows with the tokens that stand in xs: the lanes go along them.
static inline void xn_stream(const struct xn_env *e, uint type, const struct xn_weights_row *row, uint u0, uint n, uint tokens, local const float *xs,
                             float acc[XN_CL_WARP_ROWS][XN_CL_STREAM_TOKENS]) {
    float v[XN_CL_UNIT];
    for (uint u = xn_lane(); u < n; u += XN_LANES)
        for (uint r = 0; r < XN_CL_WARP_ROWS; r++) {
            xn_decode(type, row[r].piece, row[r].units, row[r].first + u0 + u, e->grids, v);
            for (uint t = 0; t < XN_CL_STREAM_TOKENS; t++) {
                if (t >= tokens) break;
                local const float *x = xs + t * XN_CHUNK + u * XN_CL_UNIT;
                float sum = 0;
#pragma unroll
                for (uint i = 0; i < XN_CL_UNIT; i++)
                    sum += v[i] * x[i];
                acc[r][t] += sum;
            }
        }
}

// y[token][row] of a block of rows of matrix `index` from row0 on, in local memory, XN_Y_STRIDE a token. Rows beyond
// the matrix's last hold what nothing may use.
static inline void xn_product(const struct xn_env *e, XN_D const struct xn_cl_weights *w, uint index, uint row0,
                              uint m, const struct xn_operand *o, local float *scratch, local float *y) {
    local float *xs = scratch + XN_AT_XS, *red = scratch + XN_AT_RED;
    local const float *moments = scratch + XN_AT_MOMENTS;
    uint lid = get_local_id(0), units = w->units;
    struct xn_weights_row row[XN_CL_WARP_ROWS];
    float acc[XN_CL_WARP_ROWS][XN_CL_STREAM_TOKENS];
    for (uint r = 0; r < XN_CL_WARP_ROWS; r++) {
        uint i = row0 + xn_warp() * XN_CL_WARP_ROWS + r;
        if (i >= w->rows) i = w->rows - 1;
        row[r] = xn_weights_row(e, w, index * w->rows + i);
        for (uint t = 0; t < XN_CL_STREAM_TOKENS; t++)
            acc[r][t] = 0;
    }
    XN_EACH(u0, 0, units) {
        uint n = units - u0 < XN_CHUNK / XN_CL_UNIT ? units - u0 : XN_CHUNK / XN_CL_UNIT;
        for (uint t = 0; t < o->n; t++)
            for (uint i = lid; i < n * XN_CL_UNIT; i += XN_GROUP)
                xs[t * XN_CHUNK + i] = xn_operand_value(e, o, moments, t, u0 * XN_CL_UNIT + i);
        barrier(CLK_LOCAL_MEM_FENCE);
        xn_stream(e, w->type, row, u0, n, o->n, xs, acc);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    XN_NEXT(u0, units, XN_CHUNK / XN_CL_UNIT);
    for (uint r = 0; r < XN_CL_WARP_ROWS; r++)
        for (uint t = 0; t < XN_CL_STREAM_TOKENS; t++)
            red[(r * XN_CL_STREAM_TOKENS + t) * XN_GROUP + lid] = acc[r][t];
    barrier(CLK_LOCAL_MEM_FENCE);
    // What the lanes of each warp have summed.
    for (uint i = lid; i < XN_WARPS * XN_CL_WARP_ROWS * o->n; i += XN_GROUP) {
        uint t = i / (XN_WARPS * XN_CL_WARP_ROWS), r = i % (XN_WARPS * XN_CL_WARP_ROWS);
        local const float *part =
            red + (r % XN_CL_WARP_ROWS * XN_CL_STREAM_TOKENS + t) * XN_GROUP + r / XN_CL_WARP_ROWS * XN_LANES;
        float sum = 0;
        for (uint l = 0; l < XN_LANES; l++)
            sum += part[l];
        y[t * XN_Y_STRIDE + r] = sum;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}
