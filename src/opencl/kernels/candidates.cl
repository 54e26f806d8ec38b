// candidates: the most likely tokens of rows of logits, so that the host need not have all of them.
//
// The highest logit of each run of XN_CL_TOP_RUN tokens is known: of a walk by the head itself, else by `tops`. Runs are
// dealt to XN_CL_TOP_PARTS parts. What XN_CL_CANDIDATES parts reach, as many tokens reach at least, and few more, since
// the best ones are spread over the vocabulary: these are gathered in local memory, and each finds its place by counting
// those before it. Where more gather than there is room for (thousands of equal logits), the host is told to look itself.

#define XN_AT_PARTS 0
#define XN_AT_RUNS XN_CL_TOP_PARTS
#define XN_AT_LOGITS (XN_AT_RUNS + XN_CL_TOP_RUNS)
#define XN_AT_IDS (XN_AT_LOGITS + XN_CL_TOP_TOKENS)
#define XN_AT_COUNTS (XN_AT_IDS + XN_CL_TOP_TOKENS) // of runs, of tokens
#define XN_AT_COUNTED (XN_AT_COUNTS + 2)            // for reductions
#define XN_CANDIDATES_SCRATCH (XN_AT_COUNTED + XN_GROUP)
#define XN_SUMS_SCRATCH (XN_CL_SUM_CHUNK + XN_GROUP)

// How a row's runs lie.
struct xn_runs {
    uint slice, per, n; // tokens and runs of a slice, runs of all
};
static inline struct xn_runs xn_runs_of(XN_D const struct xn_cl_candidates *d) {
    struct xn_runs r;
#ifndef XN_WALK
    r.slice = d->tokens;
#elif defined(XN_ONE)
    r.slice = d->slice[1];
#else
    r.slice = d->slice[0];
#endif
    r.per = (r.slice + XN_CL_TOP_RUN - 1) / XN_CL_TOP_RUN;
    r.n = (d->tokens + r.slice - 1) / r.slice * r.per;
    return r;
}
static inline global float *xn_tops_of(const struct xn_env *e, XN_D const struct xn_cl_candidates *d, struct xn_runs r,
                                       uint output) {
    return e->act + d->tops + (ulong)output * r.n;
}
// The first token of a run, and the end of its tokens (which may lie before).
static inline uint2 xn_run_at(XN_D const struct xn_cl_candidates *d, struct xn_runs r, uint run) {
    uint slice = run / r.per, first = slice * r.slice + (run - slice * r.per) * XN_CL_TOP_RUN;
    return (uint2)(first, min(first + XN_CL_TOP_RUN, min((slice + 1) * r.slice, d->tokens)));
}

#ifdef XN_OP_TOPS
static inline void xn_op_tops(const struct xn_env *e, XN_D const struct xn_cl_candidates *d, uint group, uint groups,
                              local float *scratch) {
    struct xn_runs runs = xn_runs_of(d);
    uint all = xn_step_of(e)->n_outputs * runs.n;
    for (uint i = group * XN_GROUP + get_local_id(0); i < all; i += groups * XN_GROUP) {
        uint output = i / runs.n;
        global const float *logits = e->logits + (ulong)output * d->tokens;
        uint2 at = xn_run_at(d, runs, i - output * runs.n);
        float best = -INFINITY;
        for (uint t = at.x; t < at.y; t++)
            best = fmax(best, logits[t]);
        e->act[d->tops + i] = best;
    }
}
#define xn_cl_tops xn_cl_candidates
XN_SMALL_KERNEL(tops, 1)
#endif

#ifdef XN_OP_CANDIDATES
// Floats in their order, as numbers: the number with these upper 16 bits, and nothing below. Numbers of NaNs lie beyond
// both infinities.
static inline float xn_bound_of(uint upper) {
    uint bits = upper << 16;
    return as_float(bits & 0x80000000u ? bits ^ 0x80000000u : ~bits);
}
// How many of the group's counts there are in all, up to one a work-item where a group has XN_CL_TOP_PARTS.
static inline uint xn_count_parts(uint n, local float *red) {
#if defined(XN_COUNTS_GROUP) && XN_GROUP >= XN_CL_TOP_PARTS
    return xn_group_count(n);
#else
    return (uint)xn_group_sum((float)n, red);
#endif
}

// A bound that XN_CL_CANDIDATES parts reach, and that lies less than a hundredth below the best such; -INFINITY: there are
// not so many.
static inline float xn_bound(local const float *part, local float *red) {
    uint upper = 0;
    XN_EACH(bit, 0, 16) {
        uint wanted = upper | 0x8000u >> bit, n = 0;
        float bound = xn_bound_of(wanted);
        for (uint p = get_local_id(0); p < XN_CL_TOP_PARTS; p += XN_GROUP)
            n += part[p] >= bound;
        if (xn_count_parts(n, red) >= XN_CL_CANDIDATES) upper = wanted;
    }
    XN_NEXT(bit, 16, 1);
    return upper ? xn_bound_of(upper) : -INFINITY;
}

static inline bool xn_reaches(float x, float bound) { // NaN does not
    return x >= bound && x > -INFINITY;
}

static inline void xn_find_candidates(const struct xn_env *e, XN_D const struct xn_cl_candidates *d, uint output,
                                      local float *scratch) {
    local float *part = scratch + XN_AT_PARTS, *x = scratch + XN_AT_LOGITS;
    local uint *run = (local uint *)(scratch + XN_AT_RUNS), *id = (local uint *)(scratch + XN_AT_IDS);
    volatile local uint *count = (volatile local uint *)(scratch + XN_AT_COUNTS);
    struct xn_runs runs = xn_runs_of(d);
    global const float *tops = xn_tops_of(e, d, runs, output), *logits = e->logits + (ulong)output * d->tokens;
    uint lid = get_local_id(0);
    for (uint p = lid; p < XN_CL_TOP_PARTS; p += XN_GROUP) {
        float best = -INFINITY;
        for (uint r = p; r < runs.n; r += XN_CL_TOP_PARTS)
            best = fmax(best, tops[r]);
        part[p] = best;
    }
    count[0] = count[1] = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    float bound = xn_bound(part, scratch + XN_AT_COUNTED);
    for (uint p = lid; p < XN_CL_TOP_PARTS; p += XN_GROUP)
        for (uint r = p; r < (part[p] >= bound ? runs.n : 0); r += XN_CL_TOP_PARTS)
            if (xn_reaches(tops[r], bound)) {
                uint at = atomic_inc(count);
                if (at < XN_CL_TOP_RUNS) run[at] = r;
            }
    barrier(CLK_LOCAL_MEM_FENCE);
    uint n_runs = count[0];
    for (uint i = lid; i < min(n_runs, (uint)XN_CL_TOP_RUNS) * XN_CL_TOP_RUN; i += XN_GROUP) {
        uint2 tokens = xn_run_at(d, runs, run[i / XN_CL_TOP_RUN]);
        uint token = tokens.x + i % XN_CL_TOP_RUN;
        float own = token < tokens.y ? logits[token] : -INFINITY;
        if (xn_reaches(own, bound)) {
            uint at = atomic_inc(count + 1);
            if (at < XN_CL_TOP_TOKENS) {
                x[at] = own;
                id[at] = token;
            }
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    uint n = count[1];
    bool fit = n_runs <= XN_CL_TOP_RUNS && n <= XN_CL_TOP_TOKENS;
    global uint *to = (global uint *)e->logits + d->to + (ulong)output * XN_CL_CANDIDATES_ROW;
    for (uint i = lid; i < (fit ? n : 0); i += XN_GROUP) {
        float own = x[i];
        uint token = id[i], place = 0;
        for (uint j = 0; j < n; j++)
            place += x[j] > own || (x[j] == own && id[j] < token);
        if (place < XN_CL_CANDIDATES) {
            to[4 + 2 * place] = token;
            to[5 + 2 * place] = as_uint(own);
        }
    }
    to[0] = fit ? min(n, (uint)XN_CL_CANDIDATES) : XN_CL_NONE; // all write the same
    barrier(CLK_LOCAL_MEM_FENCE);
}
#endif

#if defined(XN_OP_SUMS) || defined(XN_OP_CANDIDATES) && defined(XN_WALK)
// The host has the same function (engine/sampling/exponentials.h), whose results these are to the bit: so no product may be
// joined with a sum.
#ifdef XN_EXACT_STEPS
#define XN_TIMES(x, y) xn_mul_rn(x, y)
#define XN_PLUS(x, y) xn_add_rn(x, y)
#else
#pragma OPENCL FP_CONTRACT OFF
#define XN_TIMES(x, y) ((x) * (y))
#define XN_PLUS(x, y) ((x) + (y))
#endif
static inline float xn_exp_below(float x) {
    const float shift = 0x1.8p23f;
    float inside = x > -87.0f ? x : -87.0f;
    float k = XN_PLUS(XN_PLUS(XN_TIMES(inside, 0x1.715476p0f), shift), -shift);
    float r = XN_PLUS(XN_PLUS(inside, -XN_TIMES(k, 0x1.62e4p-1f)), -XN_TIMES(k, 0x1.7f7d1cp-20f));
    float y = XN_PLUS(0x1.6c16c2p-10f, XN_TIMES(r, 0x1.a01a02p-13f));
    y = XN_PLUS(0x1.111112p-7f, XN_TIMES(r, y));
    y = XN_PLUS(0x1.555556p-5f, XN_TIMES(r, y));
    y = XN_PLUS(0x1.555556p-3f, XN_TIMES(r, y));
    y = XN_PLUS(0.5f, XN_TIMES(r, y));
    y = XN_PLUS(1.0f, XN_TIMES(r, y));
    y = XN_PLUS(1.0f, XN_TIMES(r, y));
    y = XN_TIMES(y, as_float(((int)k + 127) << 23));
    return x > -87.0f ? y : 0;
}

static inline uint xn_sum_chunks(XN_D const struct xn_cl_candidates *d) {
    return (d->tokens + XN_CL_SUM_CHUNK - 1) / XN_CL_SUM_CHUNK;
}
// The sums of the lanes of unit u, which is a chunk of an output.
static inline void xn_sum_lanes(const struct xn_env *e, XN_D const struct xn_cl_candidates *d, uint u,
                                local float *scratch) {
    struct xn_runs runs = xn_runs_of(d);
    uint chunks = xn_sum_chunks(d), output = u / chunks, first = u % chunks * XN_CL_SUM_CHUNK;
    uint n = min(d->tokens - first, (uint)XN_CL_SUM_CHUNK), whole = n / XN_CL_SUM_LANES * XN_CL_SUM_LANES;
    global const float *tops = xn_tops_of(e, d, runs, output), *x = e->logits + (ulong)output * d->tokens + first;
    uint lid = get_local_id(0);
    float best = -INFINITY;
    for (uint r = lid; r < runs.n; r += XN_GROUP)
        best = fmax(best, tops[r]);
    best = xn_group_max(best, scratch + XN_CL_SUM_CHUNK);
    for (uint i = lid; i < n; i += XN_GROUP)
        scratch[i] = xn_exp_below(XN_PLUS(x[i], -best));
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lid < XN_CL_SUM_LANES) {
        float sum = 0;
        for (uint i = lid; i < whole; i += XN_CL_SUM_LANES)
            sum = XN_PLUS(sum, scratch[i]);
        for (uint i = whole; i < (lid == 0 ? n : whole); i++)
            sum = XN_PLUS(sum, scratch[i]);
        e->logits[d->sums + (ulong)u * XN_CL_SUM_LANES + lid] = sum;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}
#endif

#ifdef XN_OP_SUMS
static inline void xn_op_sums(const struct xn_env *e, XN_D const struct xn_cl_candidates *d, uint group, uint groups,
                              local float *scratch) {
    uint units = xn_step_of(e)->n_outputs * xn_sum_chunks(d);
    if (group >= units) return;
    XN_EACH(u, group, units) {
        xn_sum_lanes(e, d, u, scratch);
    }
    XN_NEXT(u, units, groups);
}
#define xn_cl_sums xn_cl_candidates
XN_SMALL_KERNEL(sums, XN_SUMS_SCRATCH)
#endif

#ifdef XN_OP_CANDIDATES
static inline void xn_op_candidates(const struct xn_env *e, XN_D const struct xn_cl_candidates *d, uint group,
                                    uint groups, local float *scratch) {
    uint n = xn_step_of(e)->n_outputs, units = n;
#ifdef XN_WALK // where sums have no kernel of their own: other groups have them meanwhile
    if (xn_step_of(e)->sums) units += n * xn_sum_chunks(d);
#endif
    if (group >= units) return;
    XN_EACH(u, group, units) {
#ifdef XN_WALK
        if (u >= n)
            xn_sum_lanes(e, d, u - n, scratch);
        else
#endif
            xn_find_candidates(e, d, u, scratch);
    }
    XN_NEXT(u, units, groups);
}
#ifndef XN_WALK
XN_SMALL_KERNEL(candidates, XN_CANDIDATES_SCRATCH)
#endif
#endif
