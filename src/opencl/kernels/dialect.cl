// The dialect layer: what kernels are written over. A body for one kind of device stands beside this one and defines the
// same names; this is plain OpenCL C 1.2, with local memory and barriers for what devices have instructions for.
//
//   XN_GROUP    work-items of a group;  XN_LANES: of them, those of a warp, which stream a row of weights together
//   xn_warp_sum, xn_group_sum, xn_group_max    reductions whose result every work-item gets. The whole group calls them
//                                              together; `red` is XN_GROUP floats of local memory
//   xn_arrive   tells others of what this group wrote: true in the last of `expected` groups, which sees all of it. The
//                                              counter is not touched where one is expected
//   xn_load_half, xn_store_half                one float16 value of a byte array
//
// Barriers stand in no branch, and in loops only as
//     XN_EACH(i, from, to) { ... } XN_NEXT(i, to, step);
// whose body runs once even where from >= to, and must do no harm then: compilers that turn a group into loops over its
// work-items copy all that follows a branch with a barrier (and a loop that may run zero times is one) for each way
// through it, so that a kernel of ten such loops takes a minute to compile. Where the whole group has nothing to do, it
// returns.
#define XN_EACH(i, from, to)                                                                                           \
    uint i = (from);                                                                                                   \
    do
#define XN_NEXT(i, to, step) while ((i += (step)) < (to))

#ifndef XN_GROUP
#define XN_GROUP XN_CL_GROUP
#endif
#ifndef XN_LANES
#define XN_LANES 16
#endif
#define XN_WARPS (XN_GROUP / XN_LANES)

#define XN_KERNEL __kernel __attribute__((reqd_work_group_size(XN_GROUP, 1, 1)))

static inline uint xn_lane(void) {
    return get_local_id(0) % XN_LANES;
}
static inline uint xn_warp(void) {
    return get_local_id(0) / XN_LANES;
}

static inline float xn_warp_sum(float x, local float *red) {
    uint lid = get_local_id(0), first = lid / XN_LANES * XN_LANES;
    red[lid] = x;
    barrier(CLK_LOCAL_MEM_FENCE);
    float sum = 0;
    for (uint i = 0; i < XN_LANES; i++)
        sum += red[first + i];
    barrier(CLK_LOCAL_MEM_FENCE);
    return sum;
}

static inline float xn_group_sum(float x, local float *red) {
    red[get_local_id(0)] = x;
    barrier(CLK_LOCAL_MEM_FENCE);
    float sum = 0;
    for (uint i = 0; i < XN_GROUP; i++)
        sum += red[i];
    barrier(CLK_LOCAL_MEM_FENCE);
    return sum;
}

static inline float xn_group_max(float x, local float *red) {
    red[get_local_id(0)] = x;
    barrier(CLK_LOCAL_MEM_FENCE);
    float most = red[0];
    for (uint i = 1; i < XN_GROUP; i++)
        most = fmax(most, red[i]);
    barrier(CLK_LOCAL_MEM_FENCE);
    return most;
}

// Nothing waits for another group here, so it works whatever number of groups is resident. The counter is zero before
// the first arrival, and again after the last. Every work-item counts: PoCL 3.1 drops a branch for the first one alone
// behind some loops, and the last to count belongs to the last group, when all of the others have counted.
static inline bool xn_arrive(volatile global uint *counter, uint expected, local uint *last) {
    uint all = expected * XN_GROUP, before = 0;
    *last = expected == 1;
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    mem_fence(CLK_GLOBAL_MEM_FENCE);
    if (expected > 1) before = atomic_inc(counter);
    if (before + 1 == all) {
        *last = 1;
        atomic_xchg(counter, 0);
    }
    mem_fence(CLK_GLOBAL_MEM_FENCE);
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    return *last;
}

static inline float xn_load_half(global const uchar *p) {
    return vload_half(0, (global const half *)p);
}
static inline void xn_store_half(float x, global uchar *p) {
    vstore_half_rte(x, 0, (global half *)p);
}
