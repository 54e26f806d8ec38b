// The product: one loop for all formats. Few tokens stream the weights: each warp reads XN_CL_WARP_ROWS rows once, and
// its lanes decode and multiply along them. Many tokens tile: a block of weights is decoded once into local memory and
// multiplied by all tokens of the tile.
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

enum {
    XN_TILE_STRIDE = 33, // of [k][row] and [k][token], so that neither writes nor reads meet in a bank
    XN_MY_ROWS = 4,      // of a tile, that one work-item computes, by XN_MY_TOKENS
    XN_MY_TOKENS = XN_CL_TILE_TOKENS * XN_CL_TILE_ROWS / XN_GROUP / 4
};

// Decodes XN_DEPTH values of each row of the tile from unit u0 on, and stages as many of each token.
static inline void xn_fill_tile(const struct xn_env *e, global const struct xn_cl_weights *w, uint first, uint row0,
                                const struct xn_operand *o, uint u0, local float *ws, local float *xs,
                                local const float *moments) {
    float v[XN_CL_UNIT];
    for (uint i = get_local_id(0); i < XN_CL_TILE_ROWS * (XN_DEPTH / XN_CL_UNIT); i += XN_GROUP) {
        uint r = i % XN_CL_TILE_ROWS, u = i / XN_CL_TILE_ROWS, at = row0 + r < w->rows ? row0 + r : w->rows - 1;
        if (u0 + u < w->units) {
            struct xn_weights_row row = xn_weights_row(e, w, first + at);
            xn_decode(w->type, row.piece, row.units, row.first + u0 + u, e->grids, v);
        } else {
            xn_zero(v);
        }
        for (uint j = 0; j < XN_CL_UNIT; j++)
            ws[(u * XN_CL_UNIT + j) * XN_TILE_STRIDE + r] = v[j];
    }
    for (uint i = get_local_id(0); i < XN_CL_TILE_TOKENS * XN_DEPTH; i += XN_GROUP) {
        uint t = i / XN_DEPTH, k = i % XN_DEPTH;
        xs[k * XN_TILE_STRIDE + t] = t < o->n ? xn_operand_value(e, o, moments, t, u0 * XN_CL_UNIT + k) : 0;
    }
}

// y[token][row] of a block of rows of matrix `index` from row0 on, in local memory, XN_CL_TILE_ROWS a token. Rows beyond
// the matrix's last hold what nothing may use.
static inline void xn_product(const struct xn_env *e, global const struct xn_cl_weights *w, uint index, uint row0,
                              uint m, const struct xn_operand *o, bool tile, local float *scratch, local float *y) {
    local float *xs = scratch + XN_AT_XS, *red = scratch + XN_AT_RED;
    local float *ws = scratch, *xt = scratch + XN_DEPTH * XN_TILE_STRIDE; // of a tile, in the same memory
    local const float *moments = scratch + XN_AT_MOMENTS;
    uint lid = get_local_id(0), units = w->units, streamed = tile ? 0 : units, tiled = tile ? units : 0;
    uint r0 = lid % (XN_CL_TILE_ROWS / XN_MY_ROWS) * XN_MY_ROWS, t0 = lid / (XN_CL_TILE_ROWS / XN_MY_ROWS) * XN_MY_TOKENS;
    struct xn_weights_row row[XN_CL_WARP_ROWS];
    float acc[XN_CL_WARP_ROWS][XN_CL_STREAM_TOKENS], tacc[XN_MY_TOKENS][XN_MY_ROWS];
    for (uint r = 0; r < XN_CL_WARP_ROWS; r++) {
        uint i = row0 + xn_warp() * XN_CL_WARP_ROWS + r;
        if (i >= w->rows) i = w->rows - 1;
        row[r] = xn_weights_row(e, w, index * w->rows + i);
        for (uint t = 0; t < XN_CL_STREAM_TOKENS; t++)
            acc[r][t] = 0;
    }
    for (uint t = 0; t < XN_MY_TOKENS; t++)
        for (uint r = 0; r < XN_MY_ROWS; r++)
            tacc[t][r] = 0;
    XN_EACH(u0, 0, streamed) {
        uint n = streamed - u0 < XN_CHUNK / XN_CL_UNIT ? streamed - u0 : XN_CHUNK / XN_CL_UNIT;
        for (uint t = 0; t < o->n; t++)
            for (uint i = lid; i < n * XN_CL_UNIT; i += XN_GROUP)
                xs[t * XN_CHUNK + i] = xn_operand_value(e, o, moments, t, u0 * XN_CL_UNIT + i);
        barrier(CLK_LOCAL_MEM_FENCE);
        xn_stream(e, w->type, row, u0, n, o->n, xs, acc);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    XN_NEXT(u0, streamed, XN_CHUNK / XN_CL_UNIT);
    XN_EACH(v0, 0, tiled) {
        if (tile) xn_fill_tile(e, w, index * w->rows, row0, o, v0, ws, xt, moments);
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint k = 0; k < (tile ? XN_DEPTH : 0); k++)
            for (uint t = 0; t < XN_MY_TOKENS; t++)
                for (uint r = 0; r < XN_MY_ROWS; r++)
                    tacc[t][r] += ws[k * XN_TILE_STRIDE + r0 + r] * xt[k * XN_TILE_STRIDE + t0 + t];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    XN_NEXT(v0, tiled, XN_DEPTH / XN_CL_UNIT);
    if (tile) {
        for (uint t = 0; t < XN_MY_TOKENS; t++)
            for (uint r = 0; r < XN_MY_ROWS; r++)
                y[(t0 + t) * XN_CL_TILE_ROWS + r0 + r] = tacc[t][r];
    } else {
        for (uint r = 0; r < XN_CL_WARP_ROWS; r++)
            for (uint t = 0; t < XN_CL_STREAM_TOKENS; t++)
                red[(r * XN_CL_STREAM_TOKENS + t) * XN_GROUP + lid] = acc[r][t];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    // What the lanes of each warp have summed.
    for (uint i = lid; i < (tile ? 0 : XN_WARPS * XN_CL_WARP_ROWS * o->n); i += XN_GROUP) {
        uint t = i / (XN_WARPS * XN_CL_WARP_ROWS), r = i % (XN_WARPS * XN_CL_WARP_ROWS);
        local const float *part =
            red + (r % XN_CL_WARP_ROWS * XN_CL_STREAM_TOKENS + t) * XN_GROUP + r / XN_CL_WARP_ROWS * XN_LANES;
        float sum = 0;
        for (uint l = 0; l < XN_LANES; l++)
            sum += part[l];
        y[t * XN_CL_TILE_ROWS + r] = sum;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}
