// walk: all operations of a step in one launch. Every group of the device takes its share of each operation; between two of
// them all wait for all. So all groups must be resident at once, which the host sees to, and no more than that: a group
// that waits in vain for long gives up, and the host is told (XN_CL_BARRIER_FAILED).
//
// What an operation can do before those before it are done (finding its rows of weights, and asking for them) it does
// between telling that this group is there and waiting for the others. (A warp of its own for this, which worked while the
// others were at the operation before, was too slow: 707 tokens a second instead of 773.)

// An operation that is not in the plan is not in the program. Those with products:
#ifdef XN_OP_PROJECT
#define XN_IF_PROJECT(x) x(PROJECT, project)
#else
#define XN_IF_PROJECT(x)
#endif
#ifdef XN_OP_PROJECT_ADD
#define XN_IF_PROJECT_ADD(x) x(PROJECT_ADD, project_add)
#else
#define XN_IF_PROJECT_ADD(x)
#endif
#ifdef XN_OP_GATE
#define XN_IF_GATE(x) x(GATE, gate)
#else
#define XN_IF_GATE(x)
#endif
#ifdef XN_OP_HEAD
#define XN_IF_HEAD(x) x(HEAD, head)
#else
#define XN_IF_HEAD(x)
#endif
#ifdef XN_OP_HEADS
#define XN_IF_HEADS(x) x(HEADS, heads)
#else
#define XN_IF_HEADS(x)
#endif
#ifdef XN_OP_ROUTE
#define XN_IF_ROUTE(x) x(ROUTE, route)
#else
#define XN_IF_ROUTE(x)
#endif
#ifdef XN_OP_EXPERT_GATE
#define XN_IF_EXPERT_GATE(x) x(EXPERT_GATE, expert_gate)
#else
#define XN_IF_EXPERT_GATE(x)
#endif
#ifdef XN_OP_EXPERT_ADD
#define XN_IF_EXPERT_ADD(x) x(EXPERT_ADD, expert_add)
#else
#define XN_IF_EXPERT_ADD(x)
#endif
#define XN_PRODUCT_OPS(x)                                                                                              \
    XN_IF_PROJECT(x) XN_IF_PROJECT_ADD(x) XN_IF_GATE(x) XN_IF_HEAD(x) XN_IF_HEADS(x) XN_IF_ROUTE(x)                    \
        XN_IF_EXPERT_GATE(x) XN_IF_EXPERT_ADD(x)
// The others:
#define XN_WALK_OP(NAME, name)                                                                                         \
    case XN_CL_NUMBER_##NAME:                                                                                          \
        xn_op_##name(e, (local const struct xn_cl_##name *)d, group, groups, scratch);                                 \
        break;

// Whether an operation has a product; then its work is known.
static inline bool xn_setup(const struct xn_env *e, uint number, local const uint4 *d, uint groups, struct xn_job *j) {
    switch (number) {
#define X(NAME, name)                                                                                                  \
    case XN_CL_NUMBER_##NAME:                                                                                          \
        xn_setup_##name(e, (local const struct xn_cl_##name *)d, groups, j);                                           \
        j->pass = 0;                                                                                                   \
        return true;
        XN_PRODUCT_OPS(X)
#undef X
    }
    return false;
}
static inline void xn_fill(const struct xn_env *e, uint number, local const uint4 *d, uint u, struct xn_job *j,
                           local float *scratch) {
    switch (number) {
#define X(NAME, name)                                                                                                  \
    case XN_CL_NUMBER_##NAME:                                                                                          \
        xn_fill_##name(e, (local const struct xn_cl_##name *)d, u, j, scratch);                                       \
        break;
        XN_PRODUCT_OPS(X)
#undef X
    }
    xn_share(&j->b);
}
static inline void xn_end(const struct xn_env *e, uint number, local const uint4 *d, struct xn_job *j,
                          local float *scratch) {
    switch (number) {
#define X(NAME, name)                                                                                                  \
    case XN_CL_NUMBER_##NAME:                                                                                          \
        xn_end_##name(e, (local const struct xn_cl_##name *)d, j, scratch);                                            \
        break;
        XN_PRODUCT_OPS(X)
#undef X
    }
}
// Experts are known when their choice is.
static inline bool xn_is_early(uint number) {
#ifdef XN_OP_EXPERT_GATE
    if (number == XN_CL_NUMBER_EXPERT_GATE) return false;
#endif
#ifdef XN_OP_EXPERT_ADD
    if (number == XN_CL_NUMBER_EXPERT_ADD) return false;
#endif
    return true;
}

static inline void xn_other(const struct xn_env *e, uint number, local const uint4 *d, uint group, uint groups,
                            local float *scratch) {
    switch (number) {
#ifdef XN_OP_EMBED
        XN_WALK_OP(EMBED, embed)
#endif
#ifdef XN_OP_ADD
        XN_WALK_OP(ADD, add)
#endif
#ifdef XN_OP_ATTEND
        XN_WALK_OP(ATTEND, attend)
#endif
#ifdef XN_OP_STORE
        XN_WALK_OP(STORE, store)
#endif
#ifdef XN_OP_CONVOLVE
        XN_WALK_OP(CONVOLVE, convolve)
#endif
#ifdef XN_OP_DELTA_NET
        XN_WALK_OP(DELTA_NET, delta_net)
#endif
#ifdef XN_OP_STATE_SPACE
        XN_WALK_OP(STATE_SPACE, state_space)
#endif
#ifdef XN_OP_STATE_SPACE_NORM
        XN_WALK_OP(STATE_SPACE_NORM, state_space_norm)
#endif
    }
}

// Attention has work of its own to do before the wait.
#if defined(XN_OP_ATTEND) && defined(XN_FEW_OPERATION)
#define XN_WAITS_ITSELF
static inline bool xn_waits_itself(uint number, local const uint4 *d) {
    return number == XN_CL_NUMBER_ATTEND && ((local const struct xn_cl_attend *)d)->few;
}
#endif

#define XN_OP_VALUES (XN_CL_OP_BYTES / 16)

// Finds the rows of a unit of the work, and asks for the first of them.
static inline void xn_prepare(const struct xn_env *e, uint number, local const uint4 *d, uint u, struct xn_job *job,
                              local float *scratch) {
    if (u < job->units) xn_fill(e, number, d, u, job, scratch);
    barrier(CLK_LOCAL_MEM_FENCE);
    if (u < job->units) xn_prefetch_block(&job->b, scratch);
}

// n operations from `op` on.
XN_KERNEL void xn_kernel_walk(XN_PARAMETERS, uint n, uint barrier_base) {
    local float scratch[XN_SCRATCH] __attribute__((aligned(16)));
    local uint4 both[2 * XN_OP_VALUES]; // this operation's descriptor, and the next one's
    local ulong heap[XN_CL_HEAPS];
    local uint4 tokens[XN_TOKENS];
    local uint2 spans[XN_TOKENS];
    local uint flag;
    struct xn_env env = {ops, step, places, act, vec, grids, logits, counters, heap, tokens, spans};
    const struct xn_env *e = &env;
    uint group = get_group_id(0), groups = get_num_groups(0), lid = get_local_id(0);
    global const struct xn_cl_step *head = (global const struct xn_cl_step *)step;
    global uint *barriers = counters + head->barrier;
    uint target = barrier_base;
    global const uint4 *from = (global const uint4 *)(ops + (ulong)op * XN_CL_OP_BYTES);
    env.page_size = head->page_size;
    // The head alone may be a walk's for a step of many rows, of which it looks at none here.
    if (lid < (head->n_rows <= XN_TOKENS ? head->n_rows : 0)) {
        uint position = step[head->positions + lid], span = step[head->row_span + lid];
        spans[lid] = (uint2)(xn_span_at(e, span)->pages, xn_span_at(e, span)->past);
        uint page = step[spans[lid].x + position / head->page_size];
        tokens[lid] = (uint4)(position, span, page, position % head->page_size);
    }
    if (lid < XN_OP_VALUES) both[lid] = from[lid];
    if (lid == 0) {
        global uchar *all[XN_CL_HEAPS] = {heap0, heap1, heap2,  heap3,  heap4,  heap5,  heap6,  heap7,
                                          heap8, heap9, heap10, heap11, heap12, heap13, heap14, heap15};
#pragma unroll
        for (uint i = 0; i < XN_CL_HEAPS; i++)
            heap[i] = (ulong)all[i];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll 1
    for (uint i = 0; i < n; i++) {
        local uint4 *d = both + i % 2 * XN_OP_VALUES;
        uint number = ((local const struct xn_cl_op_tail *)(d + XN_CL_OP_TAIL / 16))->number, u = group;
        from += XN_OP_VALUES;
        if (i + 1 < n && lid < XN_OP_VALUES) xn_copy_16(both + (i + 1) % 2 * XN_OP_VALUES + lid, from + lid);
#ifdef XN_WAITS_ITSELF
        if (xn_waits_itself(number, d)) {
            struct xn_few_wait before = {i > 0 ? barriers : 0, target, &flag};
            if (!xn_few_attend(e, (local const struct xn_cl_attend *)d, group, groups, before, scratch)) return;
        } else
#endif
        {
            struct xn_job job;
            bool product = xn_setup(e, number, d, groups, &job), ready = product && xn_is_early(number);
            if (ready) xn_prepare(e, number, d, u, &job, scratch);
            if (i > 0 && !xn_all_wait(barriers, target, &flag)) return;
            if (!product) xn_other(e, number, d, group, groups, scratch);
#pragma unroll 1
            while (product && u < job.units) {
                if (!ready) xn_prepare(e, number, d, u, &job, scratch);
                ready = false;
                xn_product(e, &job.b, scratch);
                xn_end(e, number, d, &job, scratch);
                if (++job.pass >= job.passes) {
                    job.pass = 0;
                    u += groups;
                }
                if (u < job.units) barrier(CLK_LOCAL_MEM_FENCE);
            }
        }
        xn_copied();
        if (i + 1 == n) break;
        xn_all_arrive(barriers);
        target += groups;
    }
}
