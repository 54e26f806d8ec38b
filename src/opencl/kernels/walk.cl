// walk: all operations of a step in one launch. Every group of the device takes its share of each operation; between two of
// them all wait for all. So all groups must be resident at once, which the host sees to, and no more than that: a group
// that waits in vain for long gives up, and the host is told (XN_CL_BARRIER_FAILED).

// An operation that is not in the plan is not in the program.
#define XN_WALK_OP(NAME, name)                                                                                         \
    case XN_CL_NUMBER_##NAME:                                                                                          \
        xn_op_##name(&env, (global const struct xn_cl_##name *)d, group, groups, scratch);                            \
        break;

XN_KERNEL void xn_kernel_walk(XN_PARAMETERS) {
    local float scratch[XN_SCRATCH] __attribute__((aligned(16)));
    local uint flag;
    struct xn_env env = XN_ENV;
    uint group = get_group_id(0), groups = get_num_groups(0), n = op;
    global const struct xn_cl_step *head = (global const struct xn_cl_step *)step;
    global uint *barriers = counters + head->barrier;
    uint target = head->barrier_base;
    for (uint i = 0; i < n; i++) {
        global const uchar *d = ops + (ulong)i * XN_CL_OP_BYTES;
        switch (((global const struct xn_cl_op_tail *)(d + XN_CL_OP_TAIL))->number) {
#ifdef XN_OP_EMBED
            XN_WALK_OP(EMBED, embed)
#endif
#ifdef XN_OP_PROJECT
            XN_WALK_OP(PROJECT, project)
#endif
#ifdef XN_OP_PROJECT_ADD
            XN_WALK_OP(PROJECT_ADD, project_add)
#endif
#ifdef XN_OP_ADD
            XN_WALK_OP(ADD, add)
#endif
#ifdef XN_OP_GATE
            XN_WALK_OP(GATE, gate)
#endif
#ifdef XN_OP_HEAD
            XN_WALK_OP(HEAD, head)
#endif
#ifdef XN_OP_HEADS
            XN_WALK_OP(HEADS, heads)
#endif
#ifdef XN_OP_ROUTE
            XN_WALK_OP(ROUTE, route)
#endif
#ifdef XN_OP_EXPERT_GATE
            XN_WALK_OP(EXPERT_GATE, expert_gate)
#endif
#ifdef XN_OP_EXPERT_ADD
            XN_WALK_OP(EXPERT_ADD, expert_add)
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
        if (i + 1 == n) break;
        target += groups;
        if (!xn_all_wait(barriers, target, &flag)) return;
    }
}
