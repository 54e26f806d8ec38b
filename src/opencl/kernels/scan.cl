// The recurrence of delta nets and of state spaces, which is the same for a column of a head's state [keys][values]:
// with decay a, key k, query q and value v of a row
//     u = rate v - seen (S . k)        S' = a S + key (k u)        y = S' . q + skip v
// where delta nets have rate = beta, seen = beta a, and state spaces rate = the time step and seen = 0. Keys and queries
// stand in local memory as the convolution left them; what makes them unit vectors is in the factors (XN_SCAN_*).
// S' . q is computed as dot (S . q) + product u, so that both sums over keys are of the state before the row.
//
// A work-item holds XN_SCAN_VALUES keys of one column in registers; `parts` neighbouring work-items of a warp hold a
// column. Work-item p of them has keys 4 (j parts + p) ... + 3, so that what they read of k and q together is in a row.

#define XN_SCAN_VALUES XN_CL_SCAN_VALUES
#define XN_SCAN_QUADS (XN_SCAN_VALUES / 4)

// Factors of a row and head.
#define XN_SCAN_DECAY 0
#define XN_SCAN_RATE 1
#define XN_SCAN_SEEN 2
#define XN_SCAN_DOT 3
#define XN_SCAN_PRODUCT 4
#define XN_SCAN_KEY 5
#define XN_SCAN_SKIP 6

// What drives the state, by a row and head alone: from the model, and the step's alpha (or time step) and beta.
struct xn_scan_drive {
    float alpha, beta, decay_rate, skip;
};
static inline struct xn_scan_drive xn_scan_drive_of(const struct xn_env *e, XN_D const struct xn_cl_scan *d, uint row,
                                                    uint h) {
    struct xn_scan_drive x;
    x.alpha = e->act[d->alpha + (ulong)row * d->alpha_stride + h] + e->vec[d->dt_bias + h];
    x.beta = d->delta ? e->act[d->beta + (ulong)row * d->beta_stride + h] : 0;
    x.decay_rate = e->vec[d->decay_rate + h];
    x.skip = d->skip != XN_CL_NONE ? e->vec[d->skip + h] : 0;
    return x;
}
// The factors: first those up to XN_SCAN_DOT, then the others. kk, qq, kq: k . k, q . q, k . q of what the convolution
// gave.
struct xn_scan_factors {
    float4 a, b;
};
static inline struct xn_scan_factors xn_scan_factors_of(XN_D const struct xn_cl_scan *d, struct xn_scan_drive x,
                                                        float kk, float qq, float kq) {
    float time = xn_softplus(x.alpha);
    struct xn_scan_factors f;
    if (d->delta) {
        float decay = exp(x.decay_rate * time), beta = xn_sigmoid(x.beta), key = 1 / sqrt(kk + 1e-6f);
        float query = 1 / sqrt((float)d->key_size) / sqrt(qq + 1e-6f);
        f.a = (float4)(decay, beta, beta * decay * key, decay * query);
        f.b = (float4)(kq * key * query, key, 0, 0);
    } else {
        time = fmin(fmax(time, d->dt_min), d->dt_max);
        float decay = exp(x.decay_rate * time);
        f.a = (float4)(decay, time, 0, decay);
        f.b = (float4)(kq, 1, x.skip, 0);
    }
    return f;
}

// The key head that a head listens to.
static inline uint xn_scan_key_head(XN_D const struct xn_cl_scan *d, uint h) {
    return d->heads_tiled ? h % d->key_heads : h / (d->heads / d->key_heads);
}

static inline float xn_dot_4(float4 a, float4 b, float sum) {
    return fma(a.x, b.x, fma(a.y, b.y, fma(a.z, b.z, fma(a.w, b.w, sum))));
}

// Sums over the parts of a column, which each of them gets. red: 2 * XN_GROUP floats.
static inline void xn_scan_sum(float *a, float *b, const uint parts, local float *red) {
#ifdef XN_HAS_SHUFFLE
#pragma unroll
    for (uint mask = XN_LANES / 2; mask >= XN_LANES / parts; mask /= 2) {
        *a += xn_shuffle_xor(*a, mask);
        *b += xn_shuffle_xor(*b, mask);
    }
#else
    uint lid = get_local_id(0), columns = XN_LANES / parts, first = lid - lid % XN_LANES + lid % columns;
    red[lid] = *a;
    red[XN_GROUP + lid] = *b;
    barrier(CLK_LOCAL_MEM_FENCE);
    *a = *b = 0;
    for (uint p = 0; p < parts; p++) {
        *a += red[first + p * columns];
        *b += red[XN_GROUP + first + p * columns];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
#endif
}

// A row: the state s moves on; returns y, which all parts get. k and q: this part's first values, the next ones of which
// are `parts` quads on.
static inline float xn_scan_row(float4 *s, local const float4 *k, local const float4 *q, float4 fa, float4 fb, float v,
                                const uint parts, const uint delta, local float *red) {
    float seen = 0, dot = 0, seen1 = 0, dot1 = 0; // two sums each, which do not wait for each other
#pragma unroll
    for (uint j = 0; j < XN_SCAN_QUADS; j += 2) {
        if (delta) {
            seen = xn_dot_4(s[j], k[j * parts], seen);
            seen1 = xn_dot_4(s[j + 1], k[(j + 1) * parts], seen1);
        }
        dot = xn_dot_4(s[j], q[j * parts], dot);
        dot1 = xn_dot_4(s[j + 1], q[(j + 1) * parts], dot1);
    }
    seen += seen1;
    dot += dot1;
    xn_scan_sum(&dot, &seen, parts, red);
    float u = fa.y * v - fa.z * seen, add = fb.y * u;
#pragma unroll
    for (uint j = 0; j < XN_SCAN_QUADS; j++)
        s[j] = fa.x * s[j] + add * k[j * parts];
    return fa.w * dot + fb.x * u + fb.z * v;
}

// A work-item's column of a head's state, from and to memory. state: that of the head; key: the first of its keys.
static inline float xn_scan_load_1(XN_D const struct xn_cl_scan *d, global const float *state, uint key, uint column) {
    return key < d->key_size && column < d->value_size ? state[key * d->value_size + column] : 0;
}
static inline void xn_scan_load(XN_D const struct xn_cl_scan *d, global const float *state, uint part, uint column,
                                const uint parts, float4 *s) {
#pragma unroll
    for (uint j = 0; j < XN_SCAN_QUADS; j++) {
        uint key = 4 * (j * parts + part);
        s[j].x = xn_scan_load_1(d, state, key, column);
        s[j].y = xn_scan_load_1(d, state, key + 1, column);
        s[j].z = xn_scan_load_1(d, state, key + 2, column);
        s[j].w = xn_scan_load_1(d, state, key + 3, column);
    }
}
static inline void xn_scan_store_1(XN_D const struct xn_cl_scan *d, global float *state, uint key, uint column,
                                   float x) {
    if (key < d->key_size && column < d->value_size) state[key * d->value_size + column] = x;
}
static inline void xn_scan_store(XN_D const struct xn_cl_scan *d, global float *state, uint part, uint column,
                                 const uint parts, const float4 *s) {
#pragma unroll
    for (uint j = 0; j < XN_SCAN_QUADS; j++) {
        uint key = 4 * (j * parts + part);
        xn_scan_store_1(d, state, key, column, s[j].x);
        xn_scan_store_1(d, state, key + 1, column, s[j].y);
        xn_scan_store_1(d, state, key + 2, column, s[j].z);
        xn_scan_store_1(d, state, key + 3, column, s[j].w);
    }
}
static inline global float *xn_scan_state(const struct xn_env *e, XN_D const struct xn_cl_scan *d, uint slot, uint h) {
    return xn_slot(e, &d->states, slot) + d->states.conv_floats + (ulong)h * d->key_size * d->value_size;
}

// Value i of a part of a row, as the norm takes it.
static inline float xn_scan_y(XN_D const struct xn_cl_scan *d, global const float *y, global const float *z, uint i) {
    return d->norm_before_gate ? y[i] : y[i] * xn_activate(0, z[i]);
}
// Norm and gate of a part of a row, in place, by the whole group or by a warp of it. is: there is that part.
static inline void xn_scan_norm_part(const struct xn_env *e, XN_D const struct xn_cl_scan *d, uint row, uint part,
                                     bool is, const bool whole, local float *red) {
    uint all = d->norm_size, first = whole ? get_local_id(0) : xn_lane(), by = whole ? XN_GROUP : XN_LANES;
    uint n = is ? all : 0;
    global float *y = e->act + d->out + (ulong)row * d->out_stride + part * all;
    global const float *z = e->act + d->z + (ulong)row * d->z_stride + part * all;
    struct xn_moments m = {0, 1};
    float sum = 0, squares = 0;
    for (uint i = first; i < (d->norm.kind == XN_NORM_LAYER ? n : 0); i += by)
        sum += xn_scan_y(d, y, z, i);
    m.mean = (whole ? xn_group_sum(sum, red) : xn_warp_sum(sum, red)) / all;
#pragma unroll 4
    for (uint i = first; i < (d->norm.kind == XN_NORM_NONE ? 0 : n); i += by) {
        float x = xn_scan_y(d, y, z, i) - m.mean;
        squares += x * x;
    }
    squares = whole ? xn_group_sum(squares, red) : xn_warp_sum(squares, red);
    if (d->norm.kind != XN_NORM_NONE) m.scale = 1 / sqrt(squares / all + d->norm.epsilon);
    uint weights = d->norm_shared ? 0 : part * all;
#pragma unroll 4
    for (uint i = first; i < n; i += by) {
        float x = xn_scan_y(d, y, z, i);
        if (d->norm.kind != XN_NORM_NONE) x = xn_normed(e, &d->norm, m, x, weights + i);
        y[i] = d->norm_before_gate ? x * xn_activate(0, z[i]) : x;
    }
}
// Whether a part is long enough for a whole group. (Of the plain dialect warps wait for each other either way.)
static inline bool xn_scan_norm_whole(XN_D const struct xn_cl_scan *d) {
#ifdef XN_HAS_SHUFFLE
    return d->norm_size > 16 * XN_LANES;
#else
    return true;
#endif
}

#ifdef XN_OP_SCAN_NORM
// Norm and gate of all rows.
static inline void xn_op_scan_norm(const struct xn_env *e, XN_D const struct xn_cl_scan *d, uint group, uint groups,
                                   local float *scratch) {
    uint units = xn_rows(e) * d->norm_parts;
#ifdef XN_HAS_SHUFFLE
    if (!xn_scan_norm_whole(d)) {
        for (uint u = group * XN_WARPS + xn_warp(); u < units; u += groups * XN_WARPS)
            xn_scan_norm_part(e, d, u / d->norm_parts, u % d->norm_parts, true, false, scratch);
        return;
    }
#endif
    if (group >= units) return;
    XN_EACH(u, group, units) {
        xn_scan_norm_part(e, d, u / d->norm_parts, u % d->norm_parts, true, true, scratch);
    }
    XN_NEXT(u, units, groups);
}
#define xn_cl_scan_norm xn_cl_scan
XN_OP_KERNEL(scan_norm)
#endif
