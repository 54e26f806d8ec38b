// attend: attention over the paged cache with an online softmax. A unit of the work is one row, some query heads of one
// key-value head, and for few rows a part of the context: who completes the parts joins them.

#define XN_POSITIONS 64  // of a tile of the context
// Local memory, in floats: addresses of values, scores, then what depends on the heads.
#define XN_AT_ADDRESS 0
#define XN_AT_P (XN_AT_ADDRESS + 2 * XN_POSITIONS)
#define XN_AT_MOST (XN_AT_P + XN_CL_TOGETHER * XN_POSITIONS) // of each head: maximum, sum, factor of what came before
#define XN_AT_ATTEND_FLAG (XN_AT_MOST + 3 * XN_CL_TOGETHER)
#define XN_AT_QUERY (XN_AT_ATTEND_FLAG + 8)
#if XN_AT_QUERY + XN_CL_HEAD_FLOATS > XN_CL_SCRATCH
#error "attention needs more local memory than operations get"
#endif

// No heads: nothing to do.
struct xn_unit_of_attention {
    uint row, g, first_head, heads, split, splits;
    uint begin, end; // positions
};

// Scores of a tile of the context for all heads of the unit: a work-item takes a position.
static inline void xn_score_tile(const struct xn_env *e, global const struct xn_cl_attend *d,
                                 const struct xn_unit_of_attention *u, global const struct xn_cl_span *span, uint j0,
                                 uint n, local float *scratch) {
    local const float *q = scratch + XN_AT_QUERY;
    for (uint i = get_local_id(0); i < n; i += XN_GROUP) {
        float s[XN_CL_TOGETHER];
        global const uchar *k = xn_cached(e, &d->keys, span, u->g, j0 + i);
        for (uint h = 0; h < XN_CL_TOGETHER; h++)
            s[h] = 0;
        for (uint x = 0; x < d->head_size; x++) {
            float key = xn_cache_load(k, x);
            for (uint h = 0; h < XN_CL_TOGETHER; h++)
                if (h < u->heads) s[h] += q[h * d->head_size + x] * key;
        }
        for (uint h = 0; h < u->heads; h++) {
            float x = s[h] * d->scale;
            scratch[XN_AT_P + h * XN_POSITIONS + i] = d->soft_cap != 0 ? d->soft_cap * tanh(x / d->soft_cap) : x;
        }
        ((local uintptr_t *)(scratch + XN_AT_ADDRESS))[i] = (uintptr_t)xn_cached(e, &d->values, span, u->g, j0 + i);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}

// Maxima and sums with the tile; scores become weights.
static inline void xn_soften_tile(const struct xn_unit_of_attention *u, uint n, local float *scratch) {
    for (uint h = get_local_id(0); h < u->heads; h += XN_GROUP) {
        local float *p = scratch + XN_AT_P + h * XN_POSITIONS, *state = scratch + XN_AT_MOST + 3 * h;
        float most = state[0], sum = 0;
        for (uint i = 0; i < n; i++)
            most = fmax(most, p[i]);
        for (uint i = 0; i < n; i++)
            sum += p[i] = exp(p[i] - most);
        state[2] = exp(state[0] - most); // of nothing before: exp(-inf)
        state[1] = state[1] * state[2] + sum;
        state[0] = most;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}

static inline void xn_add_values(global const struct xn_cl_attend *d, const struct xn_unit_of_attention *u, uint n,
                                 local float *scratch) {
    local float *acc = scratch + XN_AT_QUERY + u->heads * d->head_size;
    for (uint i = get_local_id(0); i < u->heads * d->value_size; i += XN_GROUP) {
        uint h = i / d->value_size, x = i % d->value_size;
        local const float *p = scratch + XN_AT_P + h * XN_POSITIONS;
        float sum = acc[i] * scratch[XN_AT_MOST + 3 * h + 2];
        for (uint j = 0; j < n; j++)
            sum += p[j] *
                   xn_cache_load((global const uchar *)((local const uintptr_t *)(scratch + XN_AT_ADDRESS))[j], x);
        acc[i] = sum;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}

// The result of value x of head h, from its sum over weights whose maximum and sum are these.
static inline void xn_attended(const struct xn_env *e, global const struct xn_cl_attend *d, uint row, uint h, uint x,
                               float most, float sum, float value) {
    if (d->sinks != XN_CL_NONE) {
        float sink = e->vec[d->sinks + h], larger = fmax(most, sink);
        sum = sum * exp(most - larger) + exp(sink - larger);
        value *= exp(most - larger);
    }
    value /= sum;
    if (d->output_gate)
        value *= xn_sigmoid(e->act[d->in + (ulong)row * d->in_stride + h * d->head_stride + d->head_size + x]);
    e->act[d->out + (ulong)row * d->out_stride + h * d->value_size + x] = value;
}

static inline global float *xn_partial(const struct xn_env *e, global const struct xn_cl_attend *d, uint row, uint h,
                                       uint split) {
    return e->act + d->partial + ((ulong)(row * d->heads + h) * XN_CL_SPLITS + split) * (d->value_size + 2);
}

static inline void xn_join_parts(const struct xn_env *e, global const struct xn_cl_attend *d,
                                 const struct xn_unit_of_attention *u, uint heads) {
    for (uint i = get_local_id(0); i < heads * d->value_size; i += XN_GROUP) {
        uint h = u->first_head + i / d->value_size, x = i % d->value_size;
        float most = -INFINITY, sum = 0, value = 0;
        for (uint s = 0; s < u->splits; s++)
            most = fmax(most, xn_partial(e, d, u->row, h, s)[0]);
        for (uint s = 0; s < u->splits; s++) {
            global const float *part = xn_partial(e, d, u->row, h, s);
            float factor = exp(part[0] - most);
            sum += part[1] * factor;
            value += part[2 + x] * factor;
        }
        xn_attended(e, d, u->row, h, x, most, sum, value);
    }
}

static inline void xn_attend_unit(const struct xn_env *e, global const struct xn_cl_attend *d,
                                  const struct xn_unit_of_attention *u, global uint *counter, local float *scratch) {
    global const struct xn_cl_span *span = xn_span_at(e, xn_span_of_row(e, u->row));
    local float *q = scratch + XN_AT_QUERY, *acc = q + u->heads * d->head_size;
    global const float *in = e->act + d->in + (ulong)u->row * d->in_stride + u->first_head * d->head_stride;
    uint lid = get_local_id(0);
    for (uint i = lid; i < u->heads * d->head_size; i += XN_GROUP)
        q[i] = in[i / d->head_size * d->head_stride + i % d->head_size];
    for (uint i = lid; i < u->heads * d->value_size; i += XN_GROUP)
        acc[i] = 0;
    for (uint h = lid; h < u->heads; h += XN_GROUP) {
        scratch[XN_AT_MOST + 3 * h] = -INFINITY;
        scratch[XN_AT_MOST + 3 * h + 1] = 0;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    XN_EACH(j, u->begin, u->end) {
        uint n = u->end - j < XN_POSITIONS ? u->end - j : XN_POSITIONS;
        xn_score_tile(e, d, u, span, j, n, scratch);
        xn_soften_tile(u, n, scratch);
        xn_add_values(d, u, n, scratch);
    }
    XN_NEXT(j, u->end, XN_POSITIONS);
    for (uint i = lid; i < u->heads * d->value_size; i += XN_GROUP) {
        uint h = i / d->value_size, x = i % d->value_size;
        float most = scratch[XN_AT_MOST + 3 * h], sum = scratch[XN_AT_MOST + 3 * h + 1];
        if (u->splits == 1) {
            xn_attended(e, d, u->row, u->first_head + h, x, most, sum, acc[i]);
        } else {
            global float *part = xn_partial(e, d, u->row, u->first_head + h, u->split);
            part[2 + x] = acc[i];
            if (x == 0) {
                part[0] = most;
                part[1] = sum;
            }
        }
    }
    bool last = xn_arrive(counter, u->splits, (local uint *)(scratch + XN_AT_ATTEND_FLAG));
    xn_join_parts(e, d, u, last && u->splits > 1 ? u->heads : 0);
    barrier(CLK_LOCAL_MEM_FENCE);
}

// Positions that a row sees, and into how many parts of how many positions they are cut.
struct xn_seen {
    uint begin, end, each, splits;
};
static inline struct xn_seen xn_seen_of(const struct xn_env *e, global const struct xn_cl_attend *d, uint row,
                                        uint most) {
    struct xn_seen s;
    s.end = e->step[xn_step_of(e)->positions + row] + 1;
    s.begin = d->window && s.end > d->window ? s.end - d->window : 0;
    uint n = s.end - s.begin, parts = (n + XN_CL_SPLIT_POSITIONS - 1) / XN_CL_SPLIT_POSITIONS;
    if (parts > most) parts = most;
    s.each = (n + parts - 1) / parts;
    s.splits = (n + s.each - 1) / s.each;
    return s;
}

static inline void xn_op_attend(const struct xn_env *e, global const struct xn_cl_attend *d, uint group, uint groups,
                                local float *scratch) {
    uint n = xn_step_of(e)->n_rows, most = n <= XN_CL_SPLIT_ROWS ? XN_CL_SPLITS : 1, splits = 1;
    uint queries = d->heads / d->kv_heads; // of a key-value head
    for (uint row = 0; row < (most > 1 ? n : 0); row++)
        splits = max(splits, xn_seen_of(e, d, row, most).splits);
    uint units = n * d->kv_heads * d->chunks * splits;
    if (group >= units) return;
    XN_EACH(i, group, units) {
        struct xn_unit_of_attention u;
        uint chunk = i / splits % d->chunks, left = queries - chunk * d->together;
        u.split = i % splits;
        u.g = i / splits / d->chunks % d->kv_heads;
        u.row = i / splits / d->chunks / d->kv_heads;
        u.first_head = u.g * queries + chunk * d->together;
        u.heads = left < d->together ? left : d->together;
        struct xn_seen seen = xn_seen_of(e, d, u.row, most);
        u.splits = seen.splits;
        if (u.split < seen.splits) {
            u.begin = seen.begin + u.split * seen.each;
            u.end = min(u.begin + seen.each, seen.end);
        } else { // of a longer row
            u.begin = u.end = seen.begin;
            u.heads = 0;
            u.splits = 1;
        }
        xn_attend_unit(e, d, &u, e->counters + (u.row * d->kv_heads + u.g) * d->chunks + chunk, scratch);
    }
    XN_NEXT(i, units, groups);
}
XN_OP_KERNEL(attend)
