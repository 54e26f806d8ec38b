// The dialect for Intel GPUs: warps are sub-groups, and four bytes are multiplied by dp4a, which only the compiler's own
// built-in reaches (OpenCL's dot_4x8packed_* become some 500 instructions on Alchemist).
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#pragma OPENCL EXTENSION cl_intel_subgroups : enable
#pragma OPENCL EXTENSION cl_intel_required_subgroup_size : enable
#define XN_KERNEL                                                                                                      \
    __attribute__((intel_reqd_sub_group_size(XN_LANES))) __kernel                                                     \
        __attribute__((reqd_work_group_size(XN_GROUP, 1, 1)))
#define XN_SCRATCH 11520

#define XN_HAS_SHUFFLE
static inline float xn_shuffle_xor(float x, uint mask) {
    return intel_sub_group_shuffle_xor(x, mask);
}

static inline float xn_warp_sum(float x, local float *red) {
    return sub_group_reduce_add(x);
}

static inline float xn_group_sum(float x, local float *red) {
    x = sub_group_reduce_add(x);
    if (xn_lane() == 0) red[xn_warp()] = x;
    barrier(CLK_LOCAL_MEM_FENCE);
    float sum = 0;
    for (uint i = 0; i < XN_WARPS; i++)
        sum += red[i];
    barrier(CLK_LOCAL_MEM_FENCE);
    return sum;
}

static inline float xn_group_max(float x, local float *red) {
    x = sub_group_reduce_max(x);
    if (xn_lane() == 0) red[xn_warp()] = x;
    barrier(CLK_LOCAL_MEM_FENCE);
    float most = red[0];
    for (uint i = 1; i < XN_WARPS; i++)
        most = fmax(most, red[i]);
    barrier(CLK_LOCAL_MEM_FENCE);
    return most;
}

static inline float xn_quad_max(float x, local float *red) {
    x = fmax(x, intel_sub_group_shuffle_xor(x, 1u));
    return fmax(x, intel_sub_group_shuffle_xor(x, 2u));
}
static inline int xn_pair_sum(int x, local float *red) {
    return x + intel_sub_group_shuffle_xor(x, 1u);
}

int __builtin_IB_dp4a_ss(int acc, int a, int b);
static inline int xn_dot4(int acc, int a, int b) {
    return __builtin_IB_dp4a_ss(acc, a, b);
}

// With the bytes of a unsigned.
int __builtin_IB_dp4a_us(int acc, int a, int b);
static inline int xn_dot4_us(int acc, int a, int b) {
    return __builtin_IB_dp4a_us(acc, a, b);
}

// For few_runs.cl, which this compiler needs: what is the same in all lanes it computes once.
#define XN_RUN_SUMS 1
static inline uint xn_uniform(uint x) {
    return sub_group_broadcast(x, 0);
}
static inline uint xn_warp_uint(global const uchar *p) {
    return intel_sub_group_block_read((global const uint *)p);
}
static inline uint xn_warp_quarter(global const uchar *p) {
    return intel_sub_group_shuffle(intel_sub_group_block_read((global const uint *)p), get_sub_group_local_id() / 4);
}
static inline void xn_leave(float x, local float *to) {
    x = sub_group_reduce_add(x);
    if (get_sub_group_local_id() == 0) *to = x;
}
static inline float2 xn_half_pair(uint bits) {
    half2 h = as_half2(bits);
    return (float2)(h.x, h.y);
}

// As in the plain body, but one work-item counts.
static inline bool xn_arrive(volatile global uint *counter, uint expected, local uint *last) {
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    if (get_local_id(0) == 0) {
        *last = expected == 1;
        if (expected > 1) {
            mem_fence(CLK_GLOBAL_MEM_FENCE);
            if (atomic_inc(counter) + 1 == expected) {
                *last = 1;
                atomic_xchg(counter, 0);
            }
            mem_fence(CLK_GLOBAL_MEM_FENCE);
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    return *last;
}

// The float16 value of these bits.
static inline float xn_half_bits(uint bits) {
    ushort h = (ushort)bits;
    return vload_half(0, (private const half *)&h);
}

// As in the plain body: nothing is copied while others work.
static inline void xn_copy_16(local void *to, global const void *from) {
    *(local uint4 *)to = *(global const uint4 *)from;
}
static inline void xn_copied(void) {
}
