// What operations share: the memory of a step, norms, activations, rotation, sums.

// Where descriptors stand: a kernel that walks all operations copies each to local memory, while it waits for the others.
#ifdef XN_WALK
#define XN_D local
#else
#define XN_D global
#endif

// All that a kernel is given. Operations are functions
//     xn_op_NAME(env, descriptor, group, groups, scratch)
// of which `groups` groups share the work, in units that each takes in turn: a kernel of its own calls one of them, and
// a kernel that walks a list may call them all.
struct xn_env {
    global const uchar *ops;
    global const uint *step;
    global const struct xn_cl_place *places;
    global float *act;
    global const float *vec;
    global const uint *grids;
    global float *logits;
    global uint *counters;
#ifdef XN_WALK
    local const ulong *heap; // addresses: a walk looks into heaps at many places, each of which would choose among all
    local const uint4 *tokens; // of each row of the batch: position, span, page of the cache, position in the page,
    local const uint *pages;   // and where the numbers of its sequence's pages are in the step
    local const uint2 *spans;  // of each sequence: its slot; its first row in bits 8 and up, and how many (0: none)
    local const uint *turns;   // where rotations are in the step
    uint page_size;
#else
    global uchar *heap0, *heap1, *heap2, *heap3, *heap4, *heap5, *heap6, *heap7, *heap8, *heap9, *heap10, *heap11,
        *heap12, *heap13, *heap14, *heap15;
#endif
};

#define XN_PARAMETERS                                                                                                  \
    global const uchar *ops, global const uint *step, global const struct xn_cl_place *places, global float *act,     \
        global const float *vec, global const uint *grids, global float *logits, global uint *counters,               \
        global uchar *heap0, global uchar *heap1, global uchar *heap2, global uchar *heap3, global uchar *heap4,       \
        global uchar *heap5, global uchar *heap6, global uchar *heap7, global uchar *heap8, global uchar *heap9,       \
        global uchar *heap10, global uchar *heap11, global uchar *heap12, global uchar *heap13, global uchar *heap14,  \
        global uchar *heap15, uint op
#define XN_ENV                                                                                                         \
    {                                                                                                                  \
        ops, step, places, act, vec, grids, logits, counters, heap0, heap1, heap2, heap3, heap4, heap5, heap6, heap7,  \
            heap8, heap9, heap10, heap11, heap12, heap13, heap14, heap15                                               \
    }
// The kernel of one operation; a kernel that walks all of them (walk.cl) has none of its own for each.
#ifdef XN_WALK
#define XN_OP_KERNEL(name)
#else
#define XN_OP_KERNEL(name) XN_SMALL_KERNEL(name, XN_SCRATCH)
// One with so many floats of local memory: the fewer, the more groups share a compute unit.
#define XN_SMALL_KERNEL(name, floats)                                                                                  \
    XN_KERNEL void xn_kernel_##name(XN_PARAMETERS) {                                                                   \
        local float scratch[floats] __attribute__((aligned(16)));                                                      \
        struct xn_env env = XN_ENV;                                                                                    \
        xn_op_##name(&env, (XN_D const struct xn_cl_##name *)(ops + (ulong)op * XN_CL_OP_BYTES), get_group_id(0),    \
                     get_num_groups(0), scratch);                                                                      \
    }
#endif

#ifdef XN_WALK
static inline global uchar *xn_heap(const struct xn_env *e, uint i) {
    return (global uchar *)e->heap[i];
}
#else
static inline global uchar *xn_heap(const struct xn_env *e, uint i) {
    switch (i) {
    case 1:
        return e->heap1;
    case 2:
        return e->heap2;
    case 3:
        return e->heap3;
    case 4:
        return e->heap4;
    case 5:
        return e->heap5;
    case 6:
        return e->heap6;
    case 7:
        return e->heap7;
    case 8:
        return e->heap8;
    case 9:
        return e->heap9;
    case 10:
        return e->heap10;
    case 11:
        return e->heap11;
    case 12:
        return e->heap12;
    case 13:
        return e->heap13;
    case 14:
        return e->heap14;
    case 15:
        return e->heap15;
    default:
        return e->heap0;
    }
}
#endif

// Unit `i` of an array of units of `bytes` each, whose pieces stand at places[first ...].
static inline global uchar *xn_unit(const struct xn_env *e, uint first, uint piece, ulong bytes, uint i) {
    uint which = i < piece ? 0 : i / piece;
    struct xn_cl_place place = e->places[first + which];
    return xn_heap(e, place.heap) + place.offset + (i - which * piece) * bytes;
}

// A page of a cache layer.
static inline global uchar *xn_page(const struct xn_env *e, XN_D const struct xn_cl_cache *c, uint page) {
    if (page >= c->piece) return xn_unit(e, c->place, c->piece, c->page_bytes, page);
    struct xn_cl_place place = c->first;
    return xn_heap(e, place.heap) + place.offset + (ulong)page * c->page_bytes;
}

// A row of weights: unit u of it is unit `first` + u of a piece of `units`, as decoders take them.
struct xn_weights_row {
    global const uchar *piece;
    uint units, first;
};
// Row i of all.
static inline struct xn_weights_row xn_weights_row(const struct xn_env *e, XN_D const struct xn_cl_weights *w, uint i) {
    uint which = i < w->piece ? 0 : i / w->piece, before = which * w->piece;
    struct xn_cl_place place = w->first;
    if (which) place = e->places[w->place + which];
    struct xn_weights_row r = {xn_heap(e, place.heap) + place.offset, min(w->piece, w->all_rows - before) * w->units,
                               (i - before) * w->units};
    return r;
}

static inline global const struct xn_cl_step *xn_step_of(const struct xn_env *e) {
    return (global const struct xn_cl_step *)e->step;
}
// Rows of the batch.
static inline uint xn_rows(const struct xn_env *e) {
#ifdef XN_ONE
    return 1;
#else
    return xn_step_of(e)->n_rows;
#endif
}
// Where the rotations of a row begin in the step.
static inline uint xn_rotations(const struct xn_env *e, uint row) {
#ifdef XN_WALK
    return e->turns[0] + row * e->turns[1];
#endif
    return row ? xn_step_of(e)->rotations + row * xn_step_of(e)->rotations_stride : xn_step_of(e)->rotations;
}
static inline global const struct xn_cl_span *xn_span_at(const struct xn_env *e, uint i) {
    return (global const struct xn_cl_span *)(e->step + xn_step_of(e)->spans) + i;
}
// The sequences of the batch, and which rows are one's. In a walk both are in local memory.
static inline uint xn_spans(const struct xn_env *e) {
#if defined(XN_WALK) && defined(XN_ONE)
    return 1;
#elif defined(XN_WALK)
    uint n = 0;
    for (uint i = 0; i < XN_CL_STREAM_TOKENS; i++)
        n += (e->spans[i].y & 255) != 0;
    return n;
#else
    return xn_step_of(e)->n_spans;
#endif
}
struct xn_rows_of {
    uint first, n, slot;
};
static inline struct xn_rows_of xn_rows_of_span(const struct xn_env *e, uint span) {
#ifdef XN_WALK
    uint2 s = e->spans[span];
    struct xn_rows_of r = {s.y >> 8, s.y & 255, s.x};
#else
    global const struct xn_cl_span *s = xn_span_at(e, span);
    struct xn_rows_of r = {s->first_row, s->n_rows, s->slot};
#endif
    return r;
}
static inline uint xn_span_of_row(const struct xn_env *e, uint row) {
#ifdef XN_WALK
    return e->tokens[row].y;
#else
    return e->step[xn_step_of(e)->row_span + row];
#endif
}
static inline uint xn_position_of_row(const struct xn_env *e, uint row) {
#ifdef XN_WALK
    return e->tokens[row].x;
#else
    return e->step[xn_step_of(e)->positions + row];
#endif
}
static inline global float *xn_slot(const struct xn_env *e, XN_D const struct xn_cl_states *s, uint slot) {
    if (slot < s->piece) {
        struct xn_cl_place place = s->first;
        return (global float *)(xn_heap(e, place.heap) + place.offset) + (ulong)slot * s->slot_floats;
    }
    return (global float *)xn_unit(e, s->place, s->piece, (ulong)s->slot_floats * 4, slot);
}
// Byte address of the first value of head g at a position of a span.
static inline global uchar *xn_cached(const struct xn_env *e, XN_D const struct xn_cl_cache *c,
                               global const struct xn_cl_span *span, uint g, uint position) {
    uint page_size = xn_step_of(e)->page_size, page = e->step[span->pages + position / page_size];
    return xn_page(e, c, page) + ((ulong)g * page_size + position % page_size) * c->size * XN_CACHE_BYTES;
}
static inline float xn_cache_load(global const uchar *p, uint i) {
#if defined(XN_CACHE_BF16)
    return as_float((uint)((global const ushort *)p)[i] << 16);
#elif XN_CACHE_BYTES == 2
    return xn_load_half(p + 2 * i);
#else
    return ((global const float *)p)[i];
#endif
}
static inline void xn_cache_store(float x, global uchar *p, uint i) {
#if defined(XN_CACHE_BF16) // the nearest, ties to even
    uint bits = as_uint(x), rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    ((global ushort *)p)[i] = (bits & 0x7fffffff) > 0x7f800000 ? bits >> 16 | 64 : rounded;
#elif XN_CACHE_BYTES == 2
    xn_store_half(x, p + 2 * i);
#else
    ((global float *)p)[i] = x;
#endif
}

static inline float xn_sigmoid(float x) {
    return 1.0f / (1.0f + exp(-x));
}
static inline float xn_softplus(float x) {
    return x > 20 ? x : log1p(exp(x));
}
// enum xn_activation
static inline float xn_activate(uint activation, float x) {
    switch (activation) {
    case 0:
        return x * xn_sigmoid(x);
    case 1:
        return 0.5f * x * (1.0f + erf(x * 0.70710678118654752f));
    case 2:
        return 0.5f * x * (1.0f + tanh(0.79788456080286536f * (x + 0.044715f * x * x * x)));
    case 3:
        return x * xn_sigmoid(1.702f * x);
    case 4:
        return x > 0 ? x : 0;
    default:
        return x > 0 ? x * x : 0;
    }
}
static inline float xn_glu_plain(XN_D const struct xn_cl_glu *glu, float up) {
    return xn_activate(glu->activation, up);
}
static inline float xn_glu_gated(XN_D const struct xn_cl_glu *glu, float gate, float up) {
    if (glu->gate_scale != 0) gate *= glu->gate_scale;
    if (glu->limit != 0) {
        gate = fmin(gate, glu->limit);
        up = fmax(-glu->limit, fmin(up, glu->limit));
    }
    return xn_activate(glu->activation, gate) * (up + glu->up_offset);
}

// The results of value `at` of gate (where there is one) and up; biases are vectors.
static inline float xn_glu_of(const struct xn_env *e, XN_D const struct xn_cl_glu *glu, uint gate_bias, uint up_bias,
                              uint at, bool gated, float gate, float up) {
    if (up_bias != XN_CL_NONE) up += e->vec[up_bias + at];
    if (!gated) return xn_glu_plain(glu, up);
    if (gate_bias != XN_CL_NONE) gate += e->vec[gate_bias + at];
    return xn_glu_gated(glu, gate, up);
}

// enum xn_norm_kind
#define XN_NORM_NONE 0u
#define XN_NORM_LAYER 2u
struct xn_moments {
    float mean, scale; // y = (x - mean) * scale
};
// Of the n values at x, by the whole group.
static inline struct xn_moments xn_moments_of(XN_D const struct xn_cl_norm *norm, global const float *x, uint n,
                                       local float *red) {
    struct xn_moments m;
    float sum = 0, squares = 0;
    for (uint i = get_local_id(0); i < (norm->kind == XN_NORM_LAYER ? n : 0); i += XN_GROUP)
        sum += x[i];
    m.mean = xn_group_sum(sum, red) / n;
    for (uint i = get_local_id(0); i < (norm->kind == XN_NORM_NONE ? 0 : n); i += XN_GROUP)
        squares += (x[i] - m.mean) * (x[i] - m.mean);
    squares = xn_group_sum(squares, red);
    m.scale = norm->kind == XN_NORM_NONE ? 1 : 1.0f / sqrt(squares / n + norm->epsilon);
    return m;
}
// Value i, normalised.
static inline float xn_normed(const struct xn_env *e, XN_D const struct xn_cl_norm *norm, struct xn_moments m, float x,
                       uint i) {
    float y = (x - m.mean) * m.scale;
    if (norm->weight != XN_CL_NONE) y *= e->vec[norm->weight + i];
    if (norm->bias != XN_CL_NONE) y += e->vec[norm->bias + i];
    return y;
}

// A row's result y joins a buffer (struct xn_sum), value by value; y is normalised already.
static inline void xn_sum_value(const struct xn_env *e, XN_D const struct xn_cl_sum *s, uint row, uint i, float y) {
    global float *to = e->act + s->to + (ulong)row * s->stride + i;
    *to = s->after * ((s->set ? 0 : *to) + s->scale * y);
}
// The same for a whole row of n values, which stands at y, by the whole group.
static inline void xn_sum_row(const struct xn_env *e, XN_D const struct xn_cl_sum *s, uint row, global const float *y, uint n,
                       local float *red) {
    struct xn_moments m = xn_moments_of(&s->norm, y, n, red);
    for (uint i = get_local_id(0); i < n; i += XN_GROUP)
        xn_sum_value(e, s, row, i, s->norm.kind == XN_NORM_NONE ? y[i] : xn_normed(e, &s->norm, m, y[i], i));
}
