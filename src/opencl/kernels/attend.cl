// attend: the parts of the work, their joining, and the operation. attend_unit.cl says what a unit is.
#ifndef XN_SPLIT_POSITIONS
#define XN_SPLIT_POSITIONS XN_CL_SPLIT_POSITIONS
#endif

// The result of value x of head h, from its sum over weights whose maximum and sum are these.
static inline void xn_attended(const struct xn_env *e, XN_D const struct xn_cl_attend *d, uint row, uint h, uint x,
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

static inline global float *xn_partial(const struct xn_env *e, XN_D const struct xn_cl_attend *d, uint row, uint h,
                                       uint split) {
    return e->act + d->partial + ((ulong)(row * d->heads + h) * d->splits + split) * (d->value_size + 2);
}

// Joins the parts of a unit. Their factors come first, so that what reads the sums does nothing else.
static inline void xn_join_parts(const struct xn_env *e, XN_D const struct xn_cl_attend *d,
                                 const struct xn_unit_of_attention *u, uint heads, local float *scratch) {
    local float *factors = scratch + XN_AT_FACTORS, *sums = factors + XN_CL_TOGETHER * XN_CL_SPLITS;
    for (uint i = get_local_id(0); i < heads * u->splits; i += XN_GROUP)
        factors[i] = xn_partial(e, d, u->row, u->first_head + i / u->splits, i % u->splits)[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint h = get_local_id(0); h < heads; h += XN_GROUP) {
        float most = -INFINITY;
        for (uint s = 0; s < u->splits; s++)
            most = fmax(most, factors[h * u->splits + s]);
        sums[2 * h] = most;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = get_local_id(0); i < heads * u->splits; i += XN_GROUP)
        factors[i] = exp(factors[i] - sums[2 * (i / u->splits)]);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint h = get_local_id(0); h < heads; h += XN_GROUP) {
        float sum = 0;
        for (uint s = 0; s < u->splits; s++)
            sum += xn_partial(e, d, u->row, u->first_head + h, s)[1] * factors[h * u->splits + s];
        sums[2 * h + 1] = sum;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = get_local_id(0); i < heads * d->value_size; i += XN_GROUP) {
        uint h = i / d->value_size, x = i % d->value_size;
        global const float *part = xn_partial(e, d, u->row, u->first_head + h, 0) + 2 + x;
        float value = 0;
        for (uint s = 0; s < u->splits; s++)
            value += part[s * (d->value_size + 2)] * factors[h * u->splits + s];
        xn_attended(e, d, u->row, u->first_head + h, x, sums[2 * h], sums[2 * h + 1], value);
    }
}

static inline local float *xn_attend_body(const struct xn_env *e, XN_D const struct xn_cl_attend *d,
                                          const struct xn_unit_of_attention *u, local float *scratch) {
#ifndef XN_FEW_OPERATION
#define XN_SIZE(number, keys, values)                                                                                  \
    if (d->few == number) return xn_few_unit(e, d, u, scratch, keys, values);
    XN_FEW_SIZES(XN_SIZE)
#undef XN_SIZE
#endif
    return xn_plain_unit(e, d, u, scratch);
}

static inline void xn_attend_unit(const struct xn_env *e, XN_D const struct xn_cl_attend *d,
                                  const struct xn_unit_of_attention *u, global uint *counter, local float *scratch) {
    local const float *acc = xn_attend_body(e, d, u, scratch);
    for (uint i = get_local_id(0); i < u->heads * d->value_size; i += XN_GROUP) {
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
    xn_join_parts(e, d, u, last && u->splits > 1 ? u->heads : 0, scratch);
    barrier(CLK_LOCAL_MEM_FENCE);
}

// Positions [begin, end) that a row sees, in parts of `each`.
struct xn_seen {
    uint begin, end, each, splits;
};
static inline struct xn_seen xn_seen_of(const struct xn_env *e, XN_D const struct xn_cl_attend *d, uint row,
                                        uint each) {
    struct xn_seen s = {.each = each};
    s.end = xn_position_of_row(e, row) + 1;
    s.begin = d->window && s.end > d->window ? s.end - d->window : 0;
    uint n = s.end - s.begin;
    s.splits = n <= each ? 1 : (n + each - 1) / each;
    return s;
}

// Positions of a part, so that all groups have some.
static inline uint xn_positions_of_part(const struct xn_env *e, XN_D const struct xn_cl_attend *d, uint groups) {
    uint n = xn_rows(e), sharing = max(groups / (d->kv_heads * d->chunks), 1u);
    uint longest = 0, all = 0;
    if (n > XN_CL_SPLIT_ROWS) return XN_WHOLE;
    for (uint row = 0; row < n; row++) {
        struct xn_seen s = xn_seen_of(e, d, row, 1);
        longest = max(longest, s.splits);
        all += s.splits; // below 2^31 of each row; what overflows is cut at the longest
    }
    uint each = max(all / sharing, (longest + d->splits - 1) / d->splits);
    return max((each + 15) / 16 * 16, (uint)XN_SPLIT_POSITIONS);
}

// Query heads of a key-value head: a walk has no time to divide, and Intel's compiler spills registers where they are read.
#ifdef XN_WALK
#define XN_QUERIES(d) ((d)->queries)
#else
#define XN_QUERIES(d) ((d)->heads / (d)->kv_heads)
#endif

// Unit `at` of a row's kv_heads * chunks * splits.
static inline struct xn_unit_of_attention xn_unit_of(XN_D const struct xn_cl_attend *d, uint row, uint at,
                                                     struct xn_seen seen) {
    uint queries = XN_QUERIES(d), chunk = at / seen.splits % d->chunks, left = queries - chunk * d->together;
    struct xn_unit_of_attention u;
    u.row = row;
    u.split = at % seen.splits;
    u.splits = seen.splits;
    u.g = at / seen.splits / d->chunks;
    u.first_head = u.g * queries + chunk * d->together;
    u.heads = left < d->together ? left : d->together;
    u.begin = seen.begin + u.split * seen.each;
    u.end = seen.splits == 1 ? seen.end : min(u.begin + seen.each, seen.end);
    return u;
}

#ifdef XN_MANY_SIZES
// All spans of a batch of many rows: blocks of pairs, or, of the shortest spans, rows as attend.cl has them.
static inline bool xn_many_takes(global const struct xn_cl_span *span) {
    return span->n_rows > 2;
}
static inline uint xn_many_units(XN_D const struct xn_cl_attend *d, global const struct xn_cl_span *span) {
    if (!xn_many_takes(span)) return span->n_rows * d->kv_heads * d->chunks;
    return (span->n_rows * XN_QUERIES(d) + XN_MANY_PAIRS(d) - 1) / XN_MANY_PAIRS(d) * d->kv_heads;
}
static inline void xn_attend_many(const struct xn_env *e, XN_D const struct xn_cl_attend *d, uint group, uint groups,
                                  local float *scratch) {
    uint units = 0, n_spans = xn_step_of(e)->n_spans;
    for (uint s = 0; s < n_spans; s++)
        units += xn_many_units(d, xn_span_at(e, s));
    for (uint i = group; i < units; i += groups) {
        uint at = i, s = 0, n = xn_many_units(d, xn_span_at(e, 0));
        for (; at >= n; n = xn_many_units(d, xn_span_at(e, s))) {
            at -= n;
            s++;
        }
        global const struct xn_cl_span *span = xn_span_at(e, s);
        if (!xn_many_takes(span)) {
            uint a_row = d->kv_heads * d->chunks, row = span->first_row + at / a_row;
#ifdef XN_FEW_OPERATION
            xn_few_whole(e, d, row, at % a_row, scratch);
#else
            struct xn_unit_of_attention u = xn_unit_of(d, row, at % a_row, xn_seen_of(e, d, row, XN_WHOLE));
            xn_attend_unit(e, d, &u, e->counters, scratch);
#endif
            continue;
        }
        uint g = at % d->kv_heads, block = n / d->kv_heads - 1 - at / d->kv_heads; // those that see the most come first
#define XN_SIZE(number, keys, values)                                                                                  \
    if (d->few == number) xn_many_unit(e, d, span, g, block, scratch, keys, values);
        XN_MANY_SIZES(XN_SIZE)
#undef XN_SIZE
    }
}
#endif

static inline void xn_op_attend(const struct xn_env *e, XN_D const struct xn_cl_attend *d, uint group, uint groups,
                                local float *scratch) {
    uint n = xn_rows(e), a_row = d->kv_heads * d->chunks, units = n * a_row;
#ifdef XN_MANY_SIZES
    if (n > XN_CL_SPLIT_ROWS && d->few && d->few <= XN_MANY_MOST) {
        xn_attend_many(e, d, group, groups, scratch);
        return;
    }
#endif
#if defined(XN_FEW_OPERATION) && !defined(XN_WALK) // a walk has it called otherwise
    if (d->few) {
        struct xn_few_wait nobody = {0, 0, 0};
        xn_few_attend(e, d, group, groups, nobody, scratch);
        return;
    }
#endif
    uint each = xn_positions_of_part(e, d, groups);
    for (uint row = 0; row < (n <= XN_CL_SPLIT_ROWS ? n : 0); row++)
        units += (xn_seen_of(e, d, row, each).splits - 1) * a_row;
    if (group >= units) return;
    XN_EACH(i, group, units) {
        uint row = n <= XN_CL_SPLIT_ROWS ? 0 : i / a_row, at = i - row * a_row;
        struct xn_seen seen = xn_seen_of(e, d, row, each);
        while (at >= a_row * seen.splits) {
            at -= a_row * seen.splits;
            seen = xn_seen_of(e, d, ++row, each);
        }
        struct xn_unit_of_attention u = xn_unit_of(d, row, at, seen);
        uint counter = (row * d->kv_heads + u.g) * d->chunks + at / seen.splits % d->chunks;
        xn_attend_unit(e, d, &u, e->counters + counter, scratch);
    }
    XN_NEXT(i, units, groups);
}
XN_OP_KERNEL(attend)
