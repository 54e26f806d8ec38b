// candidates: the most likely tokens of rows of logits, so that the host need not have all of them.
//
// The highest logit of each run of XN_CL_TOP_RUN tokens is known: of a walk by the head itself, else by `tops`. Runs are
// dealt to XN_CL_TOP_PARTS parts. What XN_CL_CANDIDATES parts reach, as many tokens reach at least, and few more, since
// the best ones are spread over the vocabulary: these are gathered in local memory, and each finds its place by counting
// those before it. Where more gather than there is room for (thousands of equal logits), the host is told to look itself.

// In a walk this runs once a step, so loops are unrolled only where several reads must be on their way at once.

#define XN_AT_RUNS 0                                  // the first token of each, and the end
#define XN_AT_TOKENS (2 * XN_CL_TOP_RUNS)             // logit and id of each
#define XN_AT_PARTS (XN_AT_TOKENS + 2 * XN_CL_TOP_TOKENS)
#define XN_AT_COUNTS (XN_AT_PARTS + XN_CL_TOP_PARTS) // of runs, of tokens
#define XN_AT_COUNTED (XN_AT_COUNTS + 2)            // for reductions
#define XN_CANDIDATES_SCRATCH (XN_AT_COUNTED + XN_GROUP)
#define XN_SUMS_SCRATCH (XN_CL_SUM_CHUNK + XN_GROUP)

#ifndef XN_OWN
#define XN_OWN(x) (x)
#endif
#define XN_READS 10 // vocabularies of 160,000 tokens take one turn of as many
#define XN_TOKEN_READS 5

// How a row's runs lie.
struct xn_runs {
    uint slice, per, n; // tokens and runs of a slice, runs of all
};
static inline struct xn_runs xn_runs_of(XN_D const struct xn_cl_candidates *d) {
    struct xn_runs r;
#ifndef XN_WALK
    uint shape = 2;
#elif defined(XN_ONE)
    uint shape = 1;
#else
    uint shape = 0;
#endif
    r.slice = d->slice[shape];
    r.per = (r.slice + XN_CL_TOP_RUN - 1) / XN_CL_TOP_RUN;
    r.n = d->runs[shape];
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

// The highest of part p of a row's runs.
static inline float xn_best_of_part(global const float *tops, uint n, uint p) {
    float best = -INFINITY;
#pragma unroll 1
    for (uint r = p; r < n; r += XN_READS * XN_CL_TOP_PARTS) {
#pragma unroll
        for (uint i = 0; i < XN_READS; i++)
            best = fmax(best, r + i * XN_CL_TOP_PARTS < n ? tops[r + i * XN_CL_TOP_PARTS] : -INFINITY);
    }
    return best;
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
    uint upper = 0, bit = 0x8000u;
#pragma unroll 1
    do {
        uint n = 0;
        float bound = xn_bound_of(upper | bit);
        for (uint p = XN_OWN(get_local_id(0)); p < XN_CL_TOP_PARTS; p += XN_GROUP)
            n += part[p] >= bound;
        if (xn_count_parts(n, red) >= XN_CL_CANDIDATES) upper |= bit;
    } while (bit >>= 1);
    return upper ? xn_bound_of(upper) : -INFINITY;
}

static inline bool xn_reaches(float x, float bound) { // NaN does not
    return x >= bound && x > -INFINITY;
}

static inline void xn_find_candidates(const struct xn_env *e, XN_D const struct xn_cl_candidates *d, uint output,
                                      local float *scratch) {
    local float *part = scratch + XN_AT_PARTS;
    local uint2 *run = (local uint2 *)(scratch + XN_AT_RUNS), *token = (local uint2 *)(scratch + XN_AT_TOKENS);
    volatile local uint *count = (volatile local uint *)(scratch + XN_AT_COUNTS);
    struct xn_runs runs = xn_runs_of(d);
    global const float *tops = xn_tops_of(e, d, runs, output), *logits = e->logits + (ulong)output * d->tokens;
    uint lid = XN_OWN(get_local_id(0));
#pragma unroll 1
    for (uint p = lid; p < XN_CL_TOP_PARTS; p += XN_GROUP)
        part[p] = xn_best_of_part(tops, runs.n, p);
    count[0] = count[1] = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    float bound = xn_bound(part, scratch + XN_AT_COUNTED);
#pragma unroll 1
    for (uint p = lid; p < XN_CL_TOP_PARTS; p += XN_GROUP)
#pragma unroll 1
        for (uint r = p; r < (part[p] >= bound ? runs.n : 0); r += XN_CL_TOP_PARTS)
            if (xn_reaches(tops[r], bound)) {
                uint at = atomic_inc(count);
                if (at < XN_CL_TOP_RUNS) run[at] = xn_run_at(d, runs, r);
            }
    barrier(CLK_LOCAL_MEM_FENCE);
    uint n_runs = count[0], all = min(n_runs, (uint)XN_CL_TOP_RUNS) * XN_CL_TOP_RUN;
#pragma unroll 1
    for (uint first = lid; first < all; first += XN_TOKEN_READS * XN_GROUP) {
        float x[XN_TOKEN_READS];
        uint id[XN_TOKEN_READS];
#pragma unroll
        for (uint i = 0; i < XN_TOKEN_READS; i++) {
            uint at = first + i * XN_GROUP;
            uint2 tokens = run[min(at, all - 1) / XN_CL_TOP_RUN];
            id[i] = tokens.x + at % XN_CL_TOP_RUN;
            x[i] = at < all && id[i] < tokens.y ? logits[id[i]] : -INFINITY;
        }
        uint n = 0;
#pragma unroll
        for (uint i = 0; i < XN_TOKEN_READS; i++)
            n += xn_reaches(x[i], bound);
        uint at = n ? atomic_add(count + 1, n) : 0;
#pragma unroll
        for (uint i = 0; i < XN_TOKEN_READS; i++) {
            bool reaches = xn_reaches(x[i], bound);
            if (reaches && at < XN_CL_TOP_TOKENS) token[at] = (uint2)(as_uint(x[i]), id[i]);
            at += reaches;
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    uint n = count[1];
    bool fit = n_runs <= XN_CL_TOP_RUNS && n <= XN_CL_TOP_TOKENS;
    global uint *to = (global uint *)e->logits + d->to + (ulong)output * XN_CL_CANDIDATES_ROW;
#pragma unroll 1
    for (uint i = lid; i < (fit ? n : 0); i += XN_GROUP) {
        uint2 own = token[i];
        uint place = 0;
#pragma unroll 4
        for (uint j = 0; j < n; j++) {
            uint2 other = token[j];
            place += as_float(other.x) > as_float(own.x) || (as_float(other.x) == as_float(own.x) && other.y < own.y);
        }
        if (place < XN_CL_CANDIDATES) {
            to[4 + 2 * place] = own.y;
            to[5 + 2 * place] = own.x;
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
    uint lid = XN_OWN(get_local_id(0));
    float best = -INFINITY;
#pragma unroll 1
    for (uint p = lid; p < XN_CL_TOP_PARTS; p += XN_GROUP)
        best = fmax(best, xn_best_of_part(tops, runs.n, p));
    best = xn_group_max(best, scratch + XN_CL_SUM_CHUNK);
#pragma unroll 1
    for (uint i = lid; i < n; i += XN_GROUP)
        scratch[i] = xn_exp_below(XN_PLUS(x[i], -best));
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lid < XN_CL_SUM_LANES) {
        float sum = 0;
#pragma unroll 4
        for (uint i = lid; i < whole; i += XN_CL_SUM_LANES)
            sum = XN_PLUS(sum, scratch[i]);
#pragma unroll 1
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
