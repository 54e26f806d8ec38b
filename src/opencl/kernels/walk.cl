// walk: all operations of a step in one launch. Every group of the device takes its share of each operation; between two of
// them all wait for all. So all groups must be resident at once, which the host sees to, and no more than that: a group
// that waits in vain for long gives up, and the host is told (XN_CL_BARRIER_FAILED).
//
// Descriptors and slices are copied to local memory during the operation before, and the first rows of weights are asked
// for while the others are waited for: the first warp tells that this group is there and waits, the rest, its helpers,
// prepare the operation. (A warp of its own for this, which worked while the others were at the operation before, was too
// slow: 707 tokens a second instead of 773.)

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

// What an operation does before others are waited for, beside asking for weights.
static inline void xn_begin(const struct xn_env *e, uint number, local const uint4 *d, struct xn_job *j,
                            local float *scratch) {
#ifdef XN_OP_PROJECT
    if (number == XN_CL_NUMBER_PROJECT) {
        xn_begin_project(e, (local const struct xn_cl_project *)d, j->n, scratch);
#ifdef XN_ONE
        xn_early_project(e, j, xn_helper(), XN_HELPERS, scratch);
#endif
    }
#endif
}
// The same of one without slices.
static inline void xn_begin_other(const struct xn_env *e, uint number, local const uint4 *d, uint group, uint groups,
                                  local float *scratch) {
#ifdef XN_OP_CONVOLVE
    if (number == XN_CL_NUMBER_CONVOLVE) xn_begin_convolve(e, (local const struct xn_cl_convolve *)d, group, groups);
#endif
#ifdef XN_OP_SCAN_STEP
    if (number == XN_CL_NUMBER_SCAN_STEP)
        xn_begin_scan_step(e, (local const struct xn_cl_scan *)d, group, groups, scratch);
#endif
}
// The slice that was copied.
static inline void xn_take(const struct xn_env *e, struct xn_job *j) {
    local struct xn_cl_slice *s = j->s;
    j->o.at = s->at;
    j->o.stride = s->stride;
    j->o.k = s->k;
    j->o.norm = s->norm.kind == XN_NORM_NONE ? 0 : &s->norm;
    if (s->apart) j->o.staged = 0;
}
// How many tokens meet the matrices of operations whose slices are copied.
static inline uint xn_tokens_of(const struct xn_env *e, local const struct xn_cl_slice *s, uint *list) {
    *list = XN_CL_NONE;
    if (!s->outputs) return xn_rows(e);
#ifndef XN_ONE
    *list = xn_step_of(e)->outputs;
#endif
    return xn_step_of(e)->n_outputs;
}

// What results need of memory is asked for before the product; begun: this is the slice of xn_begin.
static inline void xn_early(const struct xn_env *e, uint number, local const uint4 *d, struct xn_job *j, bool begun,
                            local float *scratch) {
#ifdef XN_OP_PROJECT
#ifndef XN_ONE
    begun = false;
#endif
    if (number == XN_CL_NUMBER_PROJECT && !begun) xn_early_project(e, j, get_local_id(0), XN_GROUP, scratch);
#endif
#ifdef XN_OP_PROJECT_ADD
    if (number == XN_CL_NUMBER_PROJECT_ADD) xn_early_project_add(e, (local const struct xn_cl_project_add *)d, j, scratch);
#endif
}

// Experts are known when their choice is: their slices are cut then.
static inline bool xn_setup_experts(const struct xn_env *e, uint number, local const uint4 *d, struct xn_job *j) {
#ifdef XN_OP_EXPERT_GATE
    if (number == XN_CL_NUMBER_EXPERT_GATE)
        return xn_setup_expert_gate(e, (local const struct xn_cl_expert_gate *)d, j), true;
#endif
#ifdef XN_OP_EXPERT_ADD
    if (number == XN_CL_NUMBER_EXPERT_ADD)
        return xn_setup_expert_add(e, (local const struct xn_cl_expert_add *)d, j), true;
#endif
    return false;
}
static inline void xn_fill_experts(const struct xn_env *e, uint number, local const uint4 *d, uint u, struct xn_job *j,
                                   local float *scratch) {
#ifdef XN_OP_EXPERT_GATE
    if (number == XN_CL_NUMBER_EXPERT_GATE)
        xn_fill_expert_gate(e, (local const struct xn_cl_expert_gate *)d, u, j, scratch);
#endif
#ifdef XN_OP_EXPERT_ADD
    if (number == XN_CL_NUMBER_EXPERT_ADD)
        xn_fill_expert_add(e, (local const struct xn_cl_expert_add *)d, u, j, scratch);
#endif
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
#ifdef XN_OP_CANDIDATES
        XN_WALK_OP(CANDIDATES, candidates)
#endif
#ifdef XN_OP_CONVOLVE
        XN_WALK_OP(CONVOLVE, convolve)
#endif
#ifdef XN_OP_SCAN_STEP
        XN_WALK_OP(SCAN_STEP, scan_step)
#endif
#ifdef XN_OP_DELTA_NET
        XN_WALK_OP(DELTA_NET, delta_net)
#endif
#ifdef XN_OP_STATE_SPACE
        XN_WALK_OP(STATE_SPACE, state_space)
#endif
#ifdef XN_OP_SCAN_NORM
        XN_WALK_OP(SCAN_NORM, scan_norm)
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
#if defined(XN_ONE) || defined(XN_TILES)
#define XN_SLICE_VALUES (XN_CL_SLICE_MOST / 16)
#else
#define XN_SLICE_VALUES (XN_CL_SLICE_MOST_FEW / 16)
#endif
#ifdef XN_ONE
#define XN_SHAPE 1
#else
#define XN_SHAPE 0
#endif

// Copies slice u of those of an operation, while other work is done.
static inline void xn_fetch_slice(global const uchar *ops, const struct xn_cl_slices *of, uint u, local uint4 *to) {
    uint i = xn_helper();
    if (u < of->n && i < of->stride)
        xn_copy_16(to + i, (global const uint4 *)ops + of->place + (ulong)u * of->stride + i);
}
#if XN_SLICE_VALUES > XN_HELPERS || XN_OP_VALUES > XN_HELPERS
#error "a slice or a descriptor has more values than a group has helpers"
#endif
// The slice behind slice u of `n` of this operation: its own, or the first of the operation that follows.
static inline void xn_fetch_next(global const uchar *ops, const struct xn_cl_slices *own,
                                 const struct xn_cl_slices *following, uint n, uint u, uint group, uint groups,
                                 local uint4 *to) {
    if (u + groups < n)
        xn_fetch_slice(ops, own, u + groups, to);
    else
        xn_fetch_slice(ops, following, group, to);
}

// n operations from `op` on.
XN_KERNEL void xn_kernel_walk(XN_PARAMETERS, uint n, uint barrier_base) {
    local float scratch[XN_SCRATCH] __attribute__((aligned(16)));
    local uint4 both[2 * XN_OP_VALUES];      // this operation's descriptor, and the next one's
    local uint4 slices[2 * XN_SLICE_VALUES]; // likewise
    local ulong heap[XN_CL_HEAPS];
    local uint4 tokens[XN_TOKENS];
    local uint pages[XN_TOKENS];
    local uint2 spans[XN_TOKENS];
    local uint turns[2]; // where rotations of the first row begin in the step, and how far those of the next one lie behind
    local uint flag[1];
    struct xn_env env = {ops, step, places, act, vec, grids, logits, counters, heap, tokens, pages, spans, turns};
    const struct xn_env *e = &env;
    uint group = get_group_id(0), groups = get_num_groups(0), lid = get_local_id(0);
    global const struct xn_cl_step *head = (global const struct xn_cl_step *)step;
    global uint *barriers = counters + head->barrier;
    uint target = barrier_base, turn = 0; // of the two slices
    global const uint4 *from = (global const uint4 *)(ops + (ulong)op * XN_CL_OP_BYTES);
    env.page_size = head->page_size;
    // The head alone may be a walk's for a step of many rows, of which it looks at none here.
    if (lid < (head->n_rows <= XN_TOKENS ? head->n_rows : 0)) {
        uint position = step[head->positions + lid], span = step[head->row_span + lid];
        pages[lid] = xn_span_at(e, span)->pages;
        uint page = step[pages[lid] + position / head->page_size];
        tokens[lid] = (uint4)(position, span, page, position % head->page_size);
    }
    if (lid < XN_TOKENS) {
        uint2 span = (uint2)(0, 0);
        if (head->n_rows <= XN_TOKENS && lid < head->n_spans) {
            global const struct xn_cl_span *s = xn_span_at(e, lid);
            span = (uint2)(s->slot, s->first_row << 8 | s->n_rows);
        }
        spans[lid] = span;
    }
    if (lid < XN_OP_VALUES) both[lid] = from[lid];
    struct xn_cl_slices own = ((global const struct xn_cl_op_tail *)(from + XN_CL_OP_TAIL / 16))->own[XN_SHAPE];
    xn_fetch_slice(ops, &own, group, slices);
    if (lid == 0) {
        flag[0] = 1;
        turns[0] = head->rotations;
        turns[1] = head->rotations_stride;
        global uchar *all[XN_CL_HEAPS] = {heap0, heap1, heap2,  heap3,  heap4,  heap5,  heap6,  heap7,
                                          heap8, heap9, heap10, heap11, heap12, heap13, heap14, heap15};
#pragma unroll
        for (uint i = 0; i < XN_CL_HEAPS; i++)
            heap[i] = (ulong)all[i];
    }
    xn_copied();
    barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll 1
    for (uint i = 0; i < n; i++) {
        local uint4 *d = both + i % 2 * XN_OP_VALUES;
        local const struct xn_cl_op_tail *tail = (local const struct xn_cl_op_tail *)(d + XN_CL_OP_TAIL / 16);
        uint number = tail->number;
        own = tail->own[XN_SHAPE];
        struct xn_cl_slices following = tail->following[XN_SHAPE];
        if (i + 1 == n) following.n = 0;
        from += XN_OP_VALUES;
        if (i + 1 < n && xn_helper() < XN_OP_VALUES)
            xn_copy_16(both + (i + 1) % 2 * XN_OP_VALUES + xn_helper(), from + xn_helper());
        bool cut = group < own.n; // the slices of this group
        // The next slice, of this operation or of the one behind it, comes while this one is worked on.
        if (!cut) xn_fetch_slice(ops, &following, group, slices + (turn ^ 1) * XN_SLICE_VALUES);
#ifdef XN_WAITS_ITSELF
        if (xn_waits_itself(number, d)) {
            struct xn_few_wait before = {i > 0 ? barriers : 0, target, flag};
            if (!xn_few_attend(e, (local const struct xn_cl_attend *)d, group, groups, before, scratch)) return;
        } else
#endif
        {
            struct xn_job job;
            uint u = group;
            job.s = (local struct xn_cl_slice *)(slices + turn * XN_SLICE_VALUES);
            job.slices = own.n;
            job.pass = 0;
            job.passes = 1;
            if (cut) {
                if (xn_warp()) xn_ask_for_slice(e, job.s);
                job.o.first = 0;
                job.o.parts = 1;
                job.o.staged = 0;
                job.o.n = job.n = xn_tokens_of(e, job.s, &job.o.list);
                if (xn_warp()) xn_begin(e, number, d, &job, scratch);
                xn_take(e, &job);
                if (job.n == 0) job.slices = 0;
                xn_fetch_next(ops, &own, &following, job.slices, u, group, groups, slices + (turn ^ 1) * XN_SLICE_VALUES);
            }
            if (own.n == 0) xn_begin_other(e, number, d, group, groups, scratch);
            if (i > 0 && !xn_all_wait(barriers, target, flag)) return;
            bool experts = !cut && xn_setup_experts(e, number, d, &job);
            if (own.n == 0 && !experts) xn_other(e, number, d, group, groups, scratch);
#pragma unroll 1
            while (u < job.slices) {
                if (experts)
                    xn_fill_experts(e, number, d, u, &job, scratch);
                else
                    xn_early(e, number, d, &job, u == group, scratch);
                xn_product(e, &job, scratch);
                xn_end(e, number, d, &job, scratch);
                if (++job.pass >= job.passes) {
                    job.pass = 0;
                    u += groups;
                }
                if (u >= job.slices) break;
                xn_copied();
                barrier(CLK_LOCAL_MEM_FENCE);
                if (experts) continue;
                turn ^= 1;
                job.s = (local struct xn_cl_slice *)(slices + turn * XN_SLICE_VALUES);
                xn_take(e, &job);
                xn_fetch_next(ops, &own, &following, job.slices, u, group, groups, slices + (turn ^ 1) * XN_SLICE_VALUES);
            }
        }
        turn ^= 1;
        xn_copied();
        if (i + 1 == n) break;
        xn_all_arrive(barriers);
        target += groups;
    }
}
