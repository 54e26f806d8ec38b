// The steps of a tile and its results, over the matrix layer alone; Intel's GPUs have their own (tile_intel.cl).

// --- steps ---

// Activations of a step, unless they are not `wanted`.
XN_INLINE void xn_copy_step(const struct xn_steps *s, uint step, bool wanted, local xn_element *to) {
    uint u, pass = xn_pass_of(s, step, &u);
    global const xn_element *from = s->x + (ulong)(pass == 1 ? s->rest : 0) + u * XN_DEPTH_K;
#ifdef XN_MULTIPLIES
    xn_copy_tile(to, from, s->chunk, wanted);
#else
XN_UNROLL
    for (uint i = 0; i < (wanted ? XN_MY_CHUNKS : 0); i++) {
        xn_copy(to, XN_CHUNK_ROW(i), XN_CHUNK_AT(i), from + s->chunk[i]);
    }
#endif
}

XN_INLINE void xn_tile_clear(struct xn_c acc[XN_BLOCKS_M][XN_BLOCKS_N]) {
#define XN_CLEAR(i) XN_VALUE(acc, i) = 0;
    XN_EACH_VALUE(XN_CLEAR)
}

#ifndef XN_MULTIPLIES
XN_INLINE void xn_multiply_16(local const xn_element *w, local const xn_element *x, uint m0, uint n0, uint k,
                              uint blocks, struct xn_c acc[XN_BLOCKS_M][XN_BLOCKS_N]) {
    struct xn_a a[XN_BLOCKS_M];
XN_UNROLL
    for (uint m = 0; m < XN_BLOCKS_M; m++)
        a[m] = xn_load_a(w, m0 + 16 * m, k);
XN_UNROLL
    for (uint n = 0; n < XN_BLOCKS_N; n++) {
        if (n >= blocks) continue;
        struct xn_b b = xn_load_b(x, n0 + n * (16 * XN_WARPS_N), k);
XN_UNROLL
        for (uint m = 0; m < XN_BLOCKS_M; m++)
            xn_mma(&acc[m][n], a[m], b);
    }
}
#endif

// Weights are decoded between products, and read one step before. What lies behind the last step is read and decoded
// again instead of being left out: without branches, all of a step can be on its way at once.
XN_INLINE void xn_tile_steps(const struct xn_env *e, const struct xn_steps *s, const struct xn_tile *t,
                             local xn_element *ws, struct xn_c acc[XN_BLOCKS_M][XN_BLOCKS_N]) {
    local xn_element *xs = ws + 2 * XN_W_TILE;
    uint blocks = 0, n = t->end - t->begin, last = t->end - 1, m0 = xn_first_m(), n0 = xn_block_n(0) * 16;
    struct xn_raw raw[XN_MY_HALVES];
    for (uint i = 0; i < XN_BLOCKS_N; i++)
        blocks += xn_block_n(i) * 16 < t->n;
    xn_tile_clear(acc);
XN_UNROLL
    for (uint i = 0; i < XN_STAGES - 1; i++) {
        xn_copy_step(s, min(t->begin + i, last), i < n, xs + i * XN_X_TILE);
        xn_copy_done();
    }
    xn_put_step(e, s, t->begin, xn_fetch_step(s, t->begin, raw), raw, ws);
    bool direct = xn_fetch_step(s, min(t->begin + 1, last), raw);
    uint now = 0, ahead = XN_STAGES - 1; // stages: of this step, and of one that comes
    XN_EACH(i, 0, n) {
        uint one = min(t->begin + i + 1, last), two = min(t->begin + i + 2, last);
        uint to = min(t->begin + i + XN_STAGES - 1, last);
        local const xn_element *w = ws + i % 2 * XN_W_TILE, *x = xs + now * XN_X_TILE;
        xn_copy_wait();
        barrier(CLK_LOCAL_MEM_FENCE);
        xn_copy_step(s, to, i + XN_STAGES - 1 < n, xs + ahead * XN_X_TILE);
        xn_copy_done();
#ifdef XN_MULTIPLIES
        xn_multiply_16(w, x, m0, n0, 0, blocks, acc);
        xn_put_step(e, s, one, direct, raw, ws + (i + 1) % 2 * XN_W_TILE);
        direct = xn_fetch_step(s, two, raw);
        xn_multiply_16(w, x, m0, n0, 16, blocks, acc);
#else
        if (i + 1 < n) xn_put_step(e, s, one, direct, raw, ws + (i + 1) % 2 * XN_W_TILE);
        direct = xn_fetch_step(s, two, raw);
        for (uint k = 0; k < XN_DEPTH_K; k += 16)
            xn_multiply_16(w, x, m0, n0, k, blocks, acc);
#endif
        ahead = now;
        now = now + 1 == XN_STAGES ? 0 : now + 1;
    }
    XN_NEXT(i, n, 1);
    barrier(CLK_LOCAL_MEM_FENCE);
}

// --- results ---

// What a tile's results need to know of its rows of activations, in local memory: what products are multiplied by, and
// where the results begin (of logits: which row it is).
XN_INLINE void xn_tile_prepare(const struct xn_env *e, XN_D const struct xn_cl_tile *d, const struct xn_tile *t,
                               volatile local uint *l) {
    XN_D const struct xn_cl_tile_part *p = &d->part[t->part];
    for (uint i = get_local_id(0); i < XN_TILE_N; i += XN_GROUP) {
        uint row = xn_tile_row(e, d, t, i), to = row;
        l[XN_AT_FACTOR + i] = as_uint(xn_tile_factor(e, d, t, row));
        if (d->kind == XN_CL_TILE_SUM) to = row * d->sum.stride;
        if (d->kind == XN_CL_TILE_STORE) to = row * p->out_stride + t->operand * d->out_step;
#ifdef XN_EXPERTS
        if (d->kind == XN_CL_TILE_GLU) to = row / d->used * p->out_stride + row % d->used * p->weights.rows;
#else
        if (d->kind == XN_CL_TILE_GLU) to = row * p->out_stride;
#endif
        l[XN_AT_TO + i] = to;
    }
}

// Four rows' results of one row r of weights, of which `there` are wanted: what their products x (and, of a gate, y) are
// worth comes to `out`. All is computed before anything is written, so that what is read does not wait.
XN_INLINE void xn_tile_four(const struct xn_env *e, XN_D const struct xn_cl_tile *d, const struct xn_tile *t,
                            const uint *column, const bool *there, uint r, float bias, float up_bias, float *x,
                            const float *y, global float *out, volatile local const uint *l) {
    XN_D const struct xn_cl_tile_part *p = &d->part[t->part];
    float scale = p->scale;
    bool two = d->n_parts > 1;
    uint kind = d->kind;
    switch (kind) {
    case XN_CL_TILE_GLU:
        if (two && d->glu.activation == 0 && d->glu.gate_scale == 0 && d->glu.limit == 0 && d->times == XN_CL_NONE) {
            // What most models have: without the precision of float32, which is not that of the products either.
            float offset = up_bias + d->glu.up_offset;
XN_UNROLL
            for (uint i = 0; i < 4; i++) {
                float gate = x[i] + bias;
                x[i] = native_divide(gate, 1.0f + native_exp(-gate)) * (y[i] + offset);
            }
            break;
        }
XN_UNROLL
        for (uint i = 0; i < 4; i++) {
            x[i] = two ? xn_glu_gated(&d->glu, x[i] + bias, y[i] + up_bias) : xn_glu_plain(&d->glu, x[i] + bias);
            if (d->times != XN_CL_NONE && there[i])
                x[i] *= e->act[d->times + (ulong)xn_tile_row(e, d, t, column[i]) * d->times_stride + r];
        }
        break;
    case XN_CL_TILE_LOGITS:
XN_UNROLL
        for (uint i = 0; i < 4; i++) {
            x[i] *= scale;
            if (d->soft_cap != 0) x[i] = d->soft_cap * tanh(x[i] / d->soft_cap);
        }
        break;
    default:
XN_UNROLL
        for (uint i = 0; i < 4; i++) {
            x[i] = (x[i] + bias) * scale;
            if (d->row_scale != XN_CL_NONE && there[i])
                x[i] *= e->act[d->row_scale + (ulong)xn_tile_row(e, d, t, column[i]) * d->row_scale_stride];
        }
    }
    ulong stride = kind == XN_CL_TILE_LOGITS ? p->weights.rows : 1;
XN_UNROLL
    for (uint i = 0; i < 4; i++)
        if (there[i]) out[l[XN_AT_TO + column[i]] * stride] = x[i];
}

#define XN_SUMS (XN_GROUP == XN_Y_ROWS ? 32 : 16) // on their way at once
#if XN_GROUP % XN_Y_ROWS
#error "work-items share the rows of weights evenly"
#endif

// The same for a buffer that they join, of which many values are on their way at once: `from` is where a work-item's
// products of row r of weights stand for column c0 of the pass and, so many columns further on, the others'.
XN_INLINE void xn_tile_sums(const struct xn_env *e, XN_D const struct xn_cl_tile *d, const struct xn_tile *t, uint r,
                            float bias, uint column0, uint n_rows, uint c0, uint each, local const float *from,
                            global float *out, volatile local const uint *l) {
    float scale = d->part[t->part].scale, by = d->sum.scale, after = d->sum.after;
    uint row_scale = d->row_scale, row_scale_stride = d->row_scale_stride;
    bool set = d->sum.set;
    for (uint c = c0; c < XN_Y_COLS && column0 + c < n_rows; c += XN_SUMS * each) {
        float before[XN_SUMS];
XN_UNROLL
        for (uint i = 0; i < XN_SUMS; i++) {
            uint at = c + i * each;
            before[i] = !set && at < XN_Y_COLS && column0 + at < n_rows ? out[l[XN_AT_TO + column0 + at]] : 0;
        }
XN_UNROLL
        for (uint i = 0; i < XN_SUMS; i++) {
            uint at = c + i * each, column = column0 + at;
            if (at >= XN_Y_COLS || column >= n_rows) continue;
            float x = (from[at * XN_Y_STRIDE] * as_float(l[XN_AT_FACTOR + column]) + bias) * scale;
            if (row_scale != XN_CL_NONE)
                x *= e->act[row_scale + (ulong)xn_tile_row(e, d, t, column) * row_scale_stride];
            out[l[XN_AT_TO + column]] = after * (before[i] + by * x);
        }
    }
}

// Results of the first `n_rows` rows of activations. They go through local memory, 16 XN_Y_BLOCKS rows of weights and 16
// of activations of each warp at a time, so that neighbours write neighbouring values. A work-item stays with one row
// of weights.
XN_INLINE void xn_tile_results(const struct xn_env *e, XN_D const struct xn_cl_tile *d, const struct xn_tile *t,
                               uint n_rows, struct xn_c acc[XN_BLOCKS_M][XN_BLOCKS_N], local float *y,
                               volatile local const uint *l) {
    XN_D const struct xn_cl_tile_part *p = &d->part[t->part];
    uint lane = xn_lane(), lid = get_local_id(0), pass = 0;
    bool two = d->kind == XN_CL_TILE_GLU && d->n_parts > 1;
    uint rows = two ? XN_Y_ROWS / 2 : XN_Y_ROWS, block = two ? 8 * XN_Y_BLOCKS : 16 * XN_Y_BLOCKS; // of a warp's rows
    uint each = XN_GROUP / rows, mine = lid % rows, of_warp = mine / block, in_warp = mine % block;
    if (two) in_warp = in_warp / 16 * 32 + in_warp % 16;
    local float *to = y + xn_warp() % XN_WARPS_N * 16 * XN_Y_STRIDE + xn_warp() / XN_WARPS_N * (16 * XN_Y_BLOCKS);
    local const float *from = y + of_warp * (16 * XN_Y_BLOCKS) + in_warp;
    float ratio = xn_tile_ratio(d);
    global float *out = d->kind == XN_CL_TILE_LOGITS ? e->logits
                        : d->kind == XN_CL_TILE_SUM  ? e->act + d->sum.to
                                                     : e->act + p->out;
XN_UNROLL
    do {
        uint m = pass / XN_BLOCKS_N * XN_Y_BLOCKS, n = pass % XN_BLOCKS_N, r;
XN_UNROLL
        for (uint i = 0; i < XN_Y_BLOCKS * XN_C; i++)
            to[xn_c_col(lane, i % XN_C) * XN_Y_STRIDE + i / XN_C * 16 + xn_c_row(lane, i % XN_C)] =
                acc[m + i / XN_C][n].x[i % XN_C];
        barrier(CLK_LOCAL_MEM_FENCE);
        xn_tile_weights(d, t, of_warp * (XN_BLOCKS_M * 16) + m * 16 + in_warp, &r);
        uint bias = t->index * p->weights.rows + r;
        float bias0 = 0, bias1 = 0;
        bool wanted = r < p->weights.rows;
        if (wanted && p->bias != XN_CL_NONE) bias0 = e->vec[p->bias + bias];
        if (wanted && two && (p + 1)->bias != XN_CL_NONE) bias1 = e->vec[(p + 1)->bias + bias];
        if (wanted && d->kind == XN_CL_TILE_SUM) {
            xn_tile_sums(e, d, t, r, bias0, n * XN_Y_COLS, n_rows, lid / rows, each, from, out + r, l);
            wanted = false;
        }
        for (uint c = lid / rows; c < (wanted ? XN_Y_COLS : 0); c += 4 * each) {
            float x[4], z[4];
            uint column[4];
            bool there[4];
XN_UNROLL
            for (uint i = 0; i < 4; i++) {
                uint at = c + i * each;
                column[i] = n * XN_Y_COLS + at;
                there[i] = at < XN_Y_COLS && column[i] < n_rows;
                if (!there[i]) at = column[i] = 0;
                float factor = as_float(l[XN_AT_FACTOR + column[i]]);
                x[i] = from[at * XN_Y_STRIDE] * factor;
                z[i] = from[at * XN_Y_STRIDE + (two ? 16 : 0)] * (factor * ratio);
            }
            if (there[0]) xn_tile_four(e, d, t, column, there, r, bias0, bias1, x, z, out + r, l);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    } while (++pass < XN_BLOCKS_M / XN_Y_BLOCKS * XN_BLOCKS_N);
}

// Parts of a tile in memory: value j of work-item i at j * XN_GROUP + i.
XN_INLINE void xn_tile_keep(global float *to, struct xn_c acc[XN_BLOCKS_M][XN_BLOCKS_N]) {
#define XN_KEEP(i) to[(i) * XN_GROUP + get_local_id(0)] = XN_VALUE(acc, i);
    XN_EACH_VALUE(XN_KEEP)
}
XN_INLINE void xn_tile_add(global const float *from, struct xn_c acc[XN_BLOCKS_M][XN_BLOCKS_N]) {
#define XN_ADD(i) XN_VALUE(acc, i) += from[(i) * XN_GROUP + get_local_id(0)];
    XN_EACH_VALUE(XN_ADD)
}
