// The steps of a tile on Intel's matrix unit. A sub-group multiplies 32 rows of weights by 32 of activations: of each 16 values of k it loads 4 fragments of weights and 4 of activations for 16 DPAS. What the next step takes
// from memory is on its way into registers meanwhile, and comes into the other half of local memory then.
#if XN_BLOCKS_M != 2 || XN_BLOCKS_N > 2 || XN_DEPTH_K != 32
#error "sub-groups multiply 32 rows of weights by 16 or 32 of activations"
#endif

#if XN_MY_CHUNKS == 4
#define XN_EACH_CHUNK(S) S(0) S(1) S(2) S(3)
#elif XN_MY_CHUNKS == 2
#define XN_EACH_CHUNK(S) S(0) S(1)
#else
#define XN_EACH_CHUNK(S) S(0)
#endif

// Activations of a step, from memory to registers, and from there to local memory.
struct xn_held {
    uint4 chunk[XN_MY_CHUNKS];
};
XN_INLINE void xn_hold(const struct xn_steps *s, uint step, struct xn_held *held) {
    uint u, pass = xn_pass_of(s, step, &u);
    global const xn_element *from = s->x + (ulong)(pass == 1 ? s->rest : 0) + u * XN_DEPTH_K;
#define XN_HOLD(i) held->chunk[i] = *(global const uint4 *)(from + s->chunk[0] + 8 * (i));
    XN_EACH_CHUNK(XN_HOLD)
}
XN_INLINE void xn_drop(const struct xn_held *held, local xn_element *to) {
#define XN_DROP(i)                                                                                                     \
    intel_sub_group_block_write4(                                                                                      \
        (local uint *)to + XN_PAIR(XN_MY_CHUNK(i) / XN_CHUNKS * XN_LANES, 4 * XN_CHUNK_AT(i)), held->chunk[i]);
    XN_EACH_CHUNK(XN_DROP)
}

// Weights of a step, likewise: of a work-item half a row, a row, or two. All lanes of a sub-group have rows of one
// matrix. True: the type has a decoder straight to half floats.
#if (0 XN_FORMATS(XN_COUNT)) == 1 // the only type that there is
#define XN_NUMBER(F) +XN_TYPE_##F
#define XN_STEP_TYPE(s) (0 XN_FORMATS(XN_NUMBER))
#else
#define XN_STEP_TYPE(s) xn_uniform((s)->type)
#endif
// Where the planes of all formats begin is computed in each step: kept from one to the next it takes registers that are
// not there. So the compiler does not get to know that x stays what it is.
#ifdef XN_NO_VISA
#define XN_OPAQUE(x)
#else
#define XN_OPAQUE(x) __asm__ volatile("" : "+rw"(x))
#endif
#define XN_MY_ROWS ((XN_MY_HALVES + 1) / 2)
struct xn_row_halves {
    struct xn_raw first;
#if XN_MY_HALVES > 1
    struct xn_raw second;
#endif
};
struct xn_rows {
    struct xn_row_halves row;
#if XN_MY_ROWS == 2
    struct xn_row_halves next;
#endif
};
XN_INLINE bool xn_fetch_row(uint type, float shrink, const struct xn_weights_row *row, uint u,
                            struct xn_row_halves *raw) {
    uint units = row->units;
    XN_OPAQUE(units);
    u += row->first;
    bool direct = xn_fetch(type, shrink, row->piece, units, u, XN_MY_HALF, &raw->first);
#if XN_MY_HALVES > 1
    xn_fetch(type, shrink, row->piece, units, u, 1, &raw->second);
#endif
    return direct;
}
XN_INLINE void xn_put_row(uint type, const struct xn_row_halves *raw, local xn_element *to, uint at) {
    xn_put(type, &raw->first, to, at, XN_MY_HALF);
#if XN_MY_HALVES > 1
    xn_put(type, &raw->second, to, at, 1);
#endif
}
XN_INLINE bool xn_fetch_rows(const struct xn_steps *s, uint step, struct xn_rows *raw) {
    if (XN_PASSES(s) > 2) return false;
    uint u, type = XN_STEP_TYPE(s);
    xn_pass_of(s, step, &u);
    bool direct = xn_fetch_row(type, s->shrink, &s->row, u, &raw->row);
#if XN_MY_ROWS == 2
    xn_fetch_row(type, s->shrink, &s->next, u, &raw->next);
#endif
    return direct;
}
XN_INLINE void xn_put_rows(const struct xn_env *e, const struct xn_steps *s, uint step, bool direct,
                           const struct xn_rows *raw, local xn_element *to) {
    uint u, type = XN_STEP_TYPE(s);
    if (XN_ALL_DIRECT || direct) {
        xn_put_row(type, &raw->row, to, XN_MY_ROW);
#if XN_MY_ROWS == 2
        xn_put_row(type, &raw->next, to, XN_MY_ROW + XN_GROUP);
#endif
    } else {
        bool rest = xn_pass_of(s, step, &u) == 2;
        xn_decode_step(e->grids, s->row, XN_MY_ROW, type, u, s->shrink, rest, to);
#if XN_MY_ROWS == 2
        xn_decode_step(e->grids, s->next, XN_MY_ROW + XN_GROUP, type, u, s->shrink, rest, to);
#endif
    }
}

// Sums are vectors of 8: of a lane's row of activations by 8 rows of weights that follow each other. S(m, n, v) for each.
#define XN_VECTORS (XN_C / 8)
#if XN_LANES == 8
#define XN_EACH_OF_BLOCK(S, m, n) S(m, n, 0) S(m, n, 1) S(m, n, 2) S(m, n, 3)
#else
#define XN_EACH_OF_BLOCK(S, m, n) S(m, n, 0) S(m, n, 1)
#endif
#if XN_BLOCKS_N == 2
#define XN_EACH_EIGHT(S)                                                                                               \
    XN_EACH_OF_BLOCK(S, 0, 0) XN_EACH_OF_BLOCK(S, 1, 0) XN_EACH_OF_BLOCK(S, 0, 1) XN_EACH_OF_BLOCK(S, 1, 1)
#else
#define XN_EACH_EIGHT(S) XN_EACH_OF_BLOCK(S, 0, 0) XN_EACH_OF_BLOCK(S, 1, 0)
#endif
XN_INLINE void xn_tile_clear(struct xn_c acc[XN_BLOCKS_M][XN_BLOCKS_N]) {
#define XN_CLEAR(m, n, i) acc[m][n].v[i] = 0;
    XN_EACH_EIGHT(XN_CLEAR)
}
// Parts of a tile in memory: vector j of work-item i at j * XN_GROUP + i.
#define XN_PART(m, n, i) ((((m) + 2 * (n)) * XN_VECTORS + (i)) * XN_GROUP + get_local_id(0))
XN_INLINE void xn_tile_keep(global float *to, struct xn_c acc[XN_BLOCKS_M][XN_BLOCKS_N]) {
#define XN_KEEP(m, n, i) ((global float8 *)to)[XN_PART(m, n, i)] = acc[m][n].v[i];
    XN_EACH_EIGHT(XN_KEEP)
}
XN_INLINE void xn_tile_add(global const float *from, struct xn_c acc[XN_BLOCKS_M][XN_BLOCKS_N]) {
#define XN_ADD(m, n, i) acc[m][n].v[i] += ((global const float8 *)from)[XN_PART(m, n, i)];
    XN_EACH_EIGHT(XN_ADD)
}

// All values of k of a step, 16 at a time.
XN_INLINE void xn_multiply_step(local const xn_element *w, local const xn_element *x,
                                struct xn_c acc[XN_BLOCKS_M][XN_BLOCKS_N]) {
    xn_address a = XN_LOCAL_ADDRESS(w) + xn_first_m() / 8 * XN_FRAGMENT;
    xn_address b = XN_LOCAL_ADDRESS(x) + xn_block_n(0) * (XN_SIDES * XN_SIDE);
    xn_address end = a + XN_DEPTH_K / 16 * (XN_TILE_M / 8 * XN_FRAGMENT);
#pragma unroll 1
    do {
        xn_weights_fragment a0, a1, a2, a3;
        int8 b0, b1, b2, b3;
        XN_LOAD_ROWS(a0, a, 0);
        XN_LOAD_ROWS(a1, a, XN_FRAGMENT);
        XN_LOAD_ROWS(a2, a, 2 * XN_FRAGMENT);
        XN_LOAD_ROWS(a3, a, 3 * XN_FRAGMENT);
#define XN_FOUR(n, side, b)                                                                                            \
    acc[0][n].v[side] = xn_dpas(acc[0][n].v[side], a0, b);                                                     \
    acc[0][n].v[XN_SIDES + side] = xn_dpas(acc[0][n].v[XN_SIDES + side], a1, b);                               \
    acc[1][n].v[side] = xn_dpas(acc[1][n].v[side], a2, b);                                                     \
    acc[1][n].v[XN_SIDES + side] = xn_dpas(acc[1][n].v[XN_SIDES + side], a3, b);
        XN_LOAD_WORDS(b0, b, 0);
#if XN_SIDES == 2
        XN_LOAD_WORDS(b1, b, XN_SIDE);
#endif
        XN_FOUR(0, 0, b0)
#if XN_BLOCKS_N == 2
        XN_LOAD_WORDS(b2, b, XN_WARPS_N * XN_SIDES * XN_SIDE);
#endif
#if XN_SIDES == 2
        XN_FOUR(0, 1, b1)
#if XN_BLOCKS_N == 2
        XN_LOAD_WORDS(b3, b, XN_WARPS_N * XN_SIDES * XN_SIDE + XN_SIDE);
#endif
#endif
#if XN_BLOCKS_N == 2
        XN_FOUR(1, 0, b2)
#if XN_SIDES == 2
        XN_FOUR(1, 1, b3)
#endif
#endif
        a += XN_TILE_M / 8 * XN_FRAGMENT;
        b += XN_TILE_N / XN_LANES * XN_SIDE;
    } while (a != end);
}

// Products of steps [t->begin, t->end), of which there is at least one. What follows the last step is loaded and put
// down once more rather than left out: a branch costs more than that.
XN_INLINE void xn_tile_steps(const struct xn_env *e, const struct xn_steps *s, const struct xn_tile *t,
                             local xn_element *ws, struct xn_c acc[XN_BLOCKS_M][XN_BLOCKS_N]) {
    local xn_element *xs = ws + 2 * XN_W_TILE;
    struct xn_rows raw;
    struct xn_held held;
    xn_tile_clear(acc);
    xn_hold(s, t->begin, &held);
    bool direct = xn_fetch_rows(s, t->begin, &raw);
    xn_drop(&held, xs);
    xn_put_rows(e, s, t->begin, direct, &raw, ws);
    uint last = t->end - 1, at = 0;
    XN_EACH(i, t->begin, t->end) {
        barrier(CLK_LOCAL_MEM_FENCE);
        uint next = min(i + 1, last);
        xn_hold(s, next, &held);
        direct = xn_fetch_rows(s, next, &raw);
        xn_multiply_step(ws + at * XN_W_TILE, xs + at * XN_X_TILE, acc);
        at ^= 1;
        xn_drop(&held, xs + at * XN_X_TILE);
        xn_put_rows(e, s, next, direct, &raw, ws + at * XN_W_TILE);
    }
    XN_NEXT(i, t->end, 1);
    barrier(CLK_LOCAL_MEM_FENCE);
}

// --- results ---

// A lane's vectors pass through three places of its own in local memory, where a loop can reach what registers keep from
// it: two for sums, one for what is not whole.
#define XN_PLACE(y, i) ((y) + ((i) * XN_GROUP + get_local_id(0)) * 8)

// The first `n` of 8 values, of which there is at least one.
XN_INLINE float8 xn_load_eight(global const float *from, uint n, local float *place) {
    if (n == 8) return vload8(0, from);
#pragma unroll 1
    for (uint i = 0; i < 8; i++)
        place[i] = i < n ? from[i] : 0;
    return vload8(0, place);
}
XN_INLINE void xn_store_eight(float8 x, global float *to, uint n, local float *place) {
    if (n == 8) {
        vstore8(x, 0, to);
        return;
    }
    vstore8(x, 0, place);
#pragma unroll 1
    for (uint i = 0; i < n; i++)
        to[i] = place[i];
}
XN_INLINE float8 xn_bias_eight(const struct xn_env *e, XN_D const struct xn_cl_tile_part *p, uint row, uint n,
                               local float *place) {
    return p->bias != XN_CL_NONE ? xn_load_eight(e->vec + p->bias + row, n, place) : (float8)(0);
}

// n of 8 results of a row of activations, with weights from row r on: of products x, and of a gate's partner y.
XN_INLINE void xn_tile_eight(const struct xn_env *e, XN_D const struct xn_cl_tile *d, const struct xn_tile *t,
                             uint row, uint r, uint n, float8 x, float8 y, local float *places) {
    XN_D const struct xn_cl_tile_part *p = &d->part[t->part];
    local float *gate = XN_PLACE(places, 0), *up = XN_PLACE(places, 1), *place = XN_PLACE(places, 2);
    uint rows = p->weights.rows, bias = t->index * rows + r;
    global float *out = e->act + p->out + (ulong)row * p->out_stride + r;
    switch (d->kind) {
    case XN_CL_TILE_GLU: {
        bool two = d->n_parts > 1;
        vstore8(x + xn_bias_eight(e, p, bias, n, place), 0, gate);
        if (two) vstore8(y + xn_bias_eight(e, p + 1, bias, n, place), 0, up);
        for (uint i = 0; i < n; i++) // so often that nobody knows: each time is long
            gate[i] = two ? xn_glu_gated(&d->glu, gate[i], up[i]) : xn_glu_plain(&d->glu, gate[i]);
        x = vload8(0, gate);
        if (d->times != XN_CL_NONE)
            x *= xn_load_eight(e->act + d->times + (ulong)row * d->times_stride + r, n, place);
#ifdef XN_EXPERTS
        out = e->act + p->out + (ulong)(row / d->used) * p->out_stride + row % d->used * rows + r;
#endif
        break;
    }
    case XN_CL_TILE_LOGITS:
        x *= p->scale;
        if (d->soft_cap != 0) {
            vstore8(x, 0, gate);
            for (uint i = 0; i < n; i++)
                gate[i] = d->soft_cap * tanh(gate[i] / d->soft_cap);
            x = vload8(0, gate);
        }
        out = e->logits + (ulong)row * rows + r;
        break;
    default:
        x = (x + xn_bias_eight(e, p, bias, n, place)) * p->scale;
        if (d->row_scale != XN_CL_NONE) x *= e->act[d->row_scale + (ulong)row * d->row_scale_stride];
        if (d->kind == XN_CL_TILE_SUM) { // as xn_sum_value
            out = e->act + d->sum.to + (ulong)row * d->sum.stride + r;
            x *= d->sum.scale;
            if (!d->sum.set) x += xn_load_eight(out, n, place);
            x *= d->sum.after;
        } else {
            out += t->operand * d->out_step;
        }
    }
    xn_store_eight(x, out, n, place);
}

// A lane knows its row of activations.
XN_INLINE void xn_tile_prepare(const struct xn_env *e, XN_D const struct xn_cl_tile *d, const struct xn_tile *t,
                               volatile local uint *l) {
}

// Results of the first `n_rows` rows of activations: a lane has one of those, and 8 rows of weights in a vector.
XN_INLINE void xn_tile_results(const struct xn_env *e, XN_D const struct xn_cl_tile *d, const struct xn_tile *t,
                               uint n_rows, struct xn_c acc[XN_BLOCKS_M][XN_BLOCKS_N], local float *y,
                               volatile local const uint *l) {
    bool two = d->kind == XN_CL_TILE_GLU && d->n_parts > 1;
    uint rows = d->part[t->part].weights.rows, vectors = two ? 1 : 2;
#pragma unroll 1
    for (uint i = 0; i < XN_VECTORS * XN_BLOCKS_N; i++) { // of both blocks of 16 rows of weights
        uint n = i / XN_VECTORS, v = i % XN_VECTORS, col = xn_block_n(n) * 16 + xn_c_col(xn_lane(), 8 * v);
#define XN_SHOW(n, at)                                                                                                 \
    if (i == (n)*XN_VECTORS + (at)) {                                                                                  \
        vstore8(acc[0][n].v[at], 0, XN_PLACE(y, 0));                                                                    \
        vstore8(acc[1][n].v[at], 0, XN_PLACE(y, 1));                                                                    \
    }
#if XN_LANES == 8
#define XN_SHOW_BLOCK(n) XN_SHOW(n, 0) XN_SHOW(n, 1) XN_SHOW(n, 2) XN_SHOW(n, 3)
#else
#define XN_SHOW_BLOCK(n) XN_SHOW(n, 0) XN_SHOW(n, 1)
#endif
        XN_SHOW_BLOCK(0)
#if XN_BLOCKS_N == 2
        XN_SHOW_BLOCK(1)
#endif
        if (col >= n_rows) continue;
        uint row = xn_tile_row(e, d, t, col);
        float factor = xn_tile_factor(e, d, t, row);
        float8 other = vload8(0, XN_PLACE(y, 1)) * (factor * xn_tile_ratio(d));
#pragma unroll 1
        for (uint m = 0; m < vectors; m++) {
            uint r;
            xn_tile_weights(d, t, xn_first_m() + m * 16 + xn_c_row(xn_lane(), 8 * v), &r);
            if (r < rows)
                xn_tile_eight(e, d, t, row, r, min(rows - r, 8u), m ? other : vload8(0, XN_PLACE(y, 0)) * factor,
                              other, y);
        }
    }
}
