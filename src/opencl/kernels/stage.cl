// stage: rows of activations, normalised, as the matrix unit takes them. A group takes a row, and a work-item four values
// of it at a time, so that few loads wait for each other.

#ifdef XN_HALVES
#define XN_STAGE_WORDS 2 // of four values in a plane
#define XN_STAGE_SCALES true
#else
#define XN_STAGE_WORDS 4
#define XN_STAGE_SCALES false
#endif

struct xn_staging {
    global const float *x, *weight, *bias; // the row; what a norm multiplies by and adds, or 0
    uint k, width, parts, part_stride;
    bool whole; // four values lie so that one load takes them
    struct xn_moments m;
};

static inline float4 xn_stage_load(global const float *x, uint i, uint n, bool whole) {
    if (whole && i + 4 <= n) return *(global const float4 *)(x + i);
    return (float4)(i < n ? x[i] : 0, i + 1 < n ? x[i + 1] : 0, i + 2 < n ? x[i + 2] : 0, i + 3 < n ? x[i + 3] : 0);
}

// Of the four values i of all parts: their place in a part, and the part's address.
static inline global const float *xn_stage_part(const struct xn_staging *s, uint i, uint *at) {
    uint quads = s->width / 4, p = s->parts == 1 ? 0 : i / quads;
    *at = 4 * (i - p * quads);
    return s->x + (ulong)p * s->part_stride;
}

// Four values, normalised; 0 beyond the last of a part.
static inline float4 xn_stage_values(const struct xn_staging *s, uint i) {
    uint at;
    global const float *part = xn_stage_part(s, i, &at);
    float4 x = (xn_stage_load(part, at, s->k, s->whole) - s->m.mean) * s->m.scale;
    if (s->weight) x *= xn_stage_load(s->weight, at, s->k, s->whole);
    if (s->bias) x += xn_stage_load(s->bias, at, s->k, s->whole);
    return (float4)(at < s->k ? x.x : 0, at + 1 < s->k ? x.y : 0, at + 2 < s->k ? x.z : 0, at + 3 < s->k ? x.w : 0);
}

static inline float xn_most_of(float4 x) {
    return fmax(fmax(fabs(x.x), fabs(x.y)), fmax(fabs(x.z), fabs(x.w)));
}

// Mean and scale, and (where it is wanted) the largest magnitude of all normalised values. A norm that only scales takes
// one pass for both: what it multiplies by comes after.
static inline float xn_stage_moments(struct xn_staging *s, XN_D const struct xn_cl_norm *norm, bool wanted,
                                     local float *red) {
    uint lid = get_local_id(0), quads = s->parts * (s->width / 4), of_norm = norm->kind == XN_NORM_NONE ? 0 : s->k;
    bool layer = norm->kind == XN_NORM_LAYER, at_once = of_norm && !layer && !s->bias;
    float sum = 0, squares = 0, most = 0;
#pragma unroll 4
    for (uint i = 4 * lid; i < (layer ? of_norm : 0); i += 4 * XN_GROUP) {
        float4 x = xn_stage_load(s->x, i, s->k, s->whole);
        sum += x.x + x.y + (x.z + x.w);
    }
    s->m.mean = xn_group_sum(sum, red) / s->k;
    s->m.scale = 1;
#pragma unroll 4
    for (uint i = 4 * lid; i < of_norm; i += 4 * XN_GROUP) {
        float4 x = xn_stage_load(s->x, i, s->k, s->whole) - s->m.mean;
        if (i + 4 > s->k) x = (float4)(x.x, i + 1 < s->k ? x.y : 0, i + 2 < s->k ? x.z : 0, 0);
        squares += x.x * x.x + x.y * x.y + (x.z * x.z + x.w * x.w);
        if (s->weight) x *= xn_stage_load(s->weight, i, s->k, s->whole);
        most = fmax(most, xn_most_of(x));
    }
    squares = xn_group_sum(squares, red);
    if (of_norm) s->m.scale = 1.0f / sqrt(squares / s->k + norm->epsilon);
    most = at_once ? most * s->m.scale : 0;
#pragma unroll 4
    for (uint i = lid; i < (wanted && !at_once ? quads : 0); i += XN_GROUP)
        most = fmax(most, xn_most_of(xn_stage_values(s, i)));
    return xn_group_max(most, red);
}

// Four values into every plane.
static inline void xn_stage_store(uint planes, uint plane_size, float4 v, float scale, global uint *to) {
#ifdef XN_HALVES
    float4 x = v * scale;
    *(global uint2 *)to = (uint2)(xn_pack_half(x.x, x.y), xn_pack_half(x.z, x.w));
    if (planes & XN_CL_PLANE_HALF_REST)
        *(global uint2 *)(to + plane_size) = (uint2)(xn_pack_half(xn_rest_of_half(x.x), xn_rest_of_half(x.y)),
                                                     xn_pack_half(xn_rest_of_half(x.z), xn_rest_of_half(x.w)));
#else
    *(global float4 *)to = v;
#endif
}

static inline void xn_op_stage(const struct xn_env *e, XN_D const struct xn_cl_stage *d, uint group, uint groups,
                               local float *red) {
    global const struct xn_cl_step *step = xn_step_of(e);
    uint n = d->outputs ? step->n_outputs : step->n_rows, lid = get_local_id(0), planes = d->planes;
    uint quads = d->parts * (d->width / 4), plane_size = d->plane_size, weight = d->in.norm.weight, bias = d->in.norm.bias;
    global uint *to = (global uint *)e->act + d->to;
    struct xn_staging s = {0, 0, 0, d->in.k, d->width, d->parts, d->part_stride, false, {0, 1}};
    if (d->in.norm.kind != XN_NORM_NONE) {
        s.weight = weight != XN_CL_NONE ? e->vec + weight : 0;
        s.bias = bias != XN_CL_NONE ? e->vec + bias : 0;
    }
    s.whole = ((d->in.at | d->in.stride | s.part_stride | (s.weight ? weight : 0) | (s.bias ? bias : 0)) & 3) == 0;
    if (group >= n) return;
    XN_EACH(row, group, n) {
        uint from = d->outputs ? e->step[step->outputs + row] : row;
        float scale = 1;
        s.x = e->act + d->in.at + (ulong)from * d->in.stride;
        float most = xn_stage_moments(&s, &d->in.norm, XN_STAGE_SCALES, red);
#ifdef XN_HALVES
        // The largest value comes to lie between 2^14 and 2^15, so that the small ones are not lost.
        int exponent = clamp((int)(as_uint(most) >> 23 & 255u) - 127, -100, 100);
        scale = as_float((uint)(127 + 14 - exponent) << 23);
        if (lid == 0) e->act[d->scales + row] = as_float((uint)(127 - 14 + exponent) << 23);
#endif
        global uint *to_row = to + (ulong)row * quads * XN_STAGE_WORDS;
        for (uint i = lid; i < quads; i += XN_GROUP)
            xn_stage_store(planes, plane_size, xn_stage_values(&s, i), scale, to_row + i * XN_STAGE_WORDS);
        for (uint i = lid; i < d->tail * d->parts; i += XN_GROUP) {
            uint p = i / d->tail, j = i % d->tail;
            e->act[d->pass_to + (ulong)row * d->pass_row + p * d->pass_stride + j] = s.x[p * d->part_stride + s.k + j];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    XN_NEXT(row, n, groups);
}
XN_SMALL_KERNEL(stage, XN_GROUP)
