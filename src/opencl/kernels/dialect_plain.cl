// The dialect in plain OpenCL C 1.2: local memory and barriers.
#define XN_KERNEL __kernel __attribute__((reqd_work_group_size(XN_GROUP, 1, 1)))
#define XN_SCRATCH XN_CL_SCRATCH

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
// The flag is volatile: PoCL's compiler takes a local array of which it sees all uses for a work-item's own.
static inline bool xn_arrive(volatile global uint *counter, uint expected, volatile local uint *last) {
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

// The float16 value of these bits.
static inline float xn_half_bits(uint bits) {
    ushort h = (ushort)bits;
    return vload_half(0, (private const half *)&h);
}

// The float16 values of 32 bits.
static inline float2 xn_half_pair(uint bits) {
    ushort2 h = as_ushort2(bits);
    return vload_half2(0, (private const half *)&h);
}

// 16 bytes from global to local memory.
static inline void xn_copy_16(local void *to, global const void *from) {
    *(local uint4 *)to = *(global const uint4 *)from;
}
static inline void xn_copied(void) {
}
