// The dialect for NVIDIA's GPUs: inline PTX, for there are no sub-groups in its OpenCL. A warp is one of the hardware's.
#define XN_KERNEL __kernel __attribute__((reqd_work_group_size(XN_GROUP, 1, 1)))

static inline float xn_shuffle_xor(float x, uint mask) {
    float y;
    asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 0x1f, 0xffffffff;" : "=f"(y) : "f"(x), "r"(mask));
    return y;
}

static inline float xn_warp_sum(float x, local float *red) {
#pragma unroll
    for (uint mask = XN_LANES / 2; mask; mask /= 2)
        x += xn_shuffle_xor(x, mask);
    return x;
}

static inline float xn_warp_max(float x) {
#pragma unroll
    for (uint mask = XN_LANES / 2; mask; mask /= 2)
        x = fmax(x, xn_shuffle_xor(x, mask));
    return x;
}

static inline float xn_group_sum(float x, local float *red) {
    x = xn_warp_sum(x, red);
    if (xn_lane() == 0) red[xn_warp()] = x;
    barrier(CLK_LOCAL_MEM_FENCE);
    float sum = 0;
    for (uint i = 0; i < XN_WARPS; i++)
        sum += red[i];
    barrier(CLK_LOCAL_MEM_FENCE);
    return sum;
}

static inline float xn_group_max(float x, local float *red) {
    x = xn_warp_max(x);
    if (xn_lane() == 0) red[xn_warp()] = x;
    barrier(CLK_LOCAL_MEM_FENCE);
    float most = red[0];
    for (uint i = 1; i < XN_WARPS; i++)
        most = fmax(most, red[i]);
    barrier(CLK_LOCAL_MEM_FENCE);
    return most;
}

static inline int xn_dot4(int acc, int a, int b) {
    int sum;
    asm("dp4a.s32.s32 %0, %1, %2, %3;" : "=r"(sum) : "r"(a), "r"(b), "r"(acc));
    return sum;
}

// As in the plain body, but one work-item counts.
static inline bool xn_arrive(volatile global uint *counter, uint expected, local uint *last) {
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    if (get_local_id(0) == 0) {
        *last = expected == 1;
        if (expected > 1) {
            asm volatile("fence.acq_rel.gpu;" ::: "memory");
            if (atomic_inc(counter) + 1 == expected) {
                *last = 1;
                atomic_xchg(counter, 0);
            }
            asm volatile("fence.acq_rel.gpu;" ::: "memory");
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    return *last;
}
