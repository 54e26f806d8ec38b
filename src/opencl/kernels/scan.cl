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
        float decay = exp(x.decay_rate * time), beta = xn_sigmoid(x.beta);
        float key = rsqrt(kk + 1e-6f), query = rsqrt((float)d->key_size * (qq + 1e-6f));
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
#ifdef XN_WALK // has no registers for the keys over the sum
    volatile local const float4 *again = k;
#else
    local const float4 *again = k;
#endif
#pragma unroll
    for (uint j = 0; j < XN_SCAN_QUADS; j++)
        s[j] = fa.x * s[j] + add * again[j * parts];
    return fa.w * dot + fb.x * u + fb.z * v;
}

// A work-item's column of a head's state, from and to memory; part: which of its keys. Keys that are not there meet
// zeros in k and q, and columns that are not there are not used, so that it does not matter what is read in their place;
// nothing is written for them. works: whether this warp has any columns.
static inline void xn_scan_load(XN_D const struct xn_cl_scan *d, global const float *state, uint part, uint column,
                                const uint parts, uint works, float4 *s) {
    int size = (int)d->value_size, last = (int)d->key_size - 1 - 4 * (int)part; // from this part's first key on
    global const float *at = state + min(column, d->value_size - 1) + 4 * part * d->value_size;
#pragma unroll
    for (int j = 0; j < XN_SCAN_QUADS; j++) {
        int key = 4 * j * (int)parts;
        s[j].x = XN_LOAD_NOW_IF(at + min(key, last) * size, works);
        s[j].y = XN_LOAD_NOW_IF(at + min(key + 1, last) * size, works);
        s[j].z = XN_LOAD_NOW_IF(at + min(key + 2, last) * size, works);
        s[j].w = XN_LOAD_NOW_IF(at + min(key + 3, last) * size, works);
    }
}
static inline void xn_scan_store(XN_D const struct xn_cl_scan *d, global float *state, uint part, uint column,
                                 const uint parts, const float4 *s) {
    int size = (int)d->value_size, n = (int)(column < d->value_size ? d->key_size : 0) - 4 * (int)part;
    global float *at = state + column + 4 * part * d->value_size;
#pragma unroll
    for (int j = 0; j < XN_SCAN_QUADS; j++) {
        int key = 4 * j * (int)parts;
        if (key < n) at[key * size] = s[j].x;
        if (key + 1 < n) at[(key + 1) * size] = s[j].y;
        if (key + 2 < n) at[(key + 2) * size] = s[j].z;
        if (key + 3 < n) at[(key + 3) * size] = s[j].w;
    }
}
static inline global float *xn_scan_state(const struct xn_env *e, XN_D const struct xn_cl_scan *d, uint slot, uint h) {
    return xn_slot(e, &d->states, slot) + d->states.conv_floats + (ulong)h * d->key_size * d->value_size;
}

// Norm and gate of a part of a row, in place. A value of it, as the norm takes it, is
static inline float xn_scan_y(XN_D const struct xn_cl_scan *d, float y, float z) {
    return d->norm_before_gate ? y : y * xn_activate(0, z);
}
// and what becomes of that; its weight is number i.
static inline float xn_scan_normed(const struct xn_env *e, XN_D const struct xn_cl_scan *d, struct xn_moments m,
                                   float x, float z, uint i) {
    if (d->norm.kind != XN_NORM_NONE) x = xn_normed(e, &d->norm, m, x, i);
    return d->norm_before_gate ? x * xn_activate(0, z) : x;
}
// By the whole group. is: there is that part.
static inline void xn_scan_norm_whole(const struct xn_env *e, XN_D const struct xn_cl_scan *d, uint row, uint part,
                                      bool is, local float *red) {
    uint all = d->norm_size, n = is ? all : 0, weights = d->norm_shared ? 0 : part * all;
    global float *y = e->act + d->out + (ulong)row * d->out_stride + part * all;
    global const float *z = e->act + d->z + (ulong)row * d->z_stride + part * all;
    struct xn_moments m = {0, 1};
    float sum = 0, squares = 0;
    for (uint i = get_local_id(0); i < (d->norm.kind == XN_NORM_LAYER ? n : 0); i += XN_GROUP)
        sum += xn_scan_y(d, y[i], z[i]);
    m.mean = xn_group_sum(sum, red) / all;
#pragma unroll 4
    for (uint i = get_local_id(0); i < (d->norm.kind == XN_NORM_NONE ? 0 : n); i += XN_GROUP) {
        float x = xn_scan_y(d, y[i], z[i]) - m.mean;
        squares += x * x;
    }
    squares = xn_group_sum(squares, red);
    if (d->norm.kind != XN_NORM_NONE) m.scale = 1 / sqrt(squares / all + d->norm.epsilon);
#pragma unroll 4
    for (uint i = get_local_id(0); i < n; i += XN_GROUP)
        y[i] = xn_scan_normed(e, d, m, xn_scan_y(d, y[i], z[i]), z[i], weights + i);
}
#ifdef XN_HAS_SHUFFLE
#define XN_SCAN_NORMED 4 // values that a work-item holds
// By a warp, where the part is short.
static inline bool xn_scan_norm_is_short(XN_D const struct xn_cl_scan *d) {
    return d->norm_size <= XN_SCAN_NORMED * XN_LANES;
}
static inline void xn_scan_norm_short(const struct xn_env *e, XN_D const struct xn_cl_scan *d, uint row, uint part) {
    uint n = d->norm_size, weights = d->norm_shared ? 0 : part * n;
    global float *y = e->act + d->out + (ulong)row * d->out_stride + part * n;
    global const float *z = e->act + d->z + (ulong)row * d->z_stride + part * n;
    struct xn_moments m = {0, 1};
    float x[XN_SCAN_NORMED], g[XN_SCAN_NORMED], sum = 0;
#pragma unroll
    for (uint j = 0; j < XN_SCAN_NORMED; j++) {
        uint i = min(xn_lane() + j * XN_LANES, n - 1);
        x[j] = XN_LOAD_NOW(y + i);
        g[j] = XN_LOAD_NOW(z + i);
    }
#pragma unroll
    for (uint j = 0; j < XN_SCAN_NORMED; j++) {
        x[j] = xn_lane() + j * XN_LANES < n ? xn_scan_y(d, x[j], g[j]) : 0;
        sum += x[j];
    }
    if (d->norm.kind == XN_NORM_LAYER) m.mean = xn_warp_sum(sum, 0) / n;
    sum = 0;
#pragma unroll
    for (uint j = 0; j < XN_SCAN_NORMED; j++)
        if (xn_lane() + j * XN_LANES < n) sum += (x[j] - m.mean) * (x[j] - m.mean);
    if (d->norm.kind != XN_NORM_NONE) m.scale = 1 / sqrt(xn_warp_sum(sum, 0) / n + d->norm.epsilon);
#pragma unroll
    for (uint j = 0; j < XN_SCAN_NORMED; j++) {
        uint i = xn_lane() + j * XN_LANES;
        if (i < n) y[i] = xn_scan_normed(e, d, m, x[j], g[j], weights + i);
    }
}
#endif

#ifdef XN_OP_SCAN_NORM
// Norm and gate of all rows.
static inline void xn_op_scan_norm(const struct xn_env *e, XN_D const struct xn_cl_scan *d, uint group, uint groups,
                                   local float *scratch) {
    uint units = xn_rows(e) * d->norm_parts;
#ifdef XN_HAS_SHUFFLE
    if (xn_scan_norm_is_short(d)) {
        for (uint u = group * XN_WARPS + xn_warp(); u < units; u += groups * XN_WARPS)
            xn_scan_norm_short(e, d, u / d->norm_parts, u % d->norm_parts);
        return;
    }
#endif
    if (group >= units) return;
    XN_EACH(u, group, units) {
        xn_scan_norm_whole(e, d, u / d->norm_parts, u % d->norm_parts, true, scratch);
    }
    XN_NEXT(u, units, groups);
}
#define xn_cl_scan_norm xn_cl_scan
#ifndef XN_WALK
XN_SMALL_KERNEL(scan_norm, XN_GROUP)
#endif
#endif
