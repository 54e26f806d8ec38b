// The dialect for NVIDIA's GPUs: inline PTX, for there are no sub-groups in its OpenCL. A warp is one of the hardware's.
// A function that is called, not inlined, gets as many registers as it likes, and the kernel then fits no large group.
#define inline inline __attribute__((always_inline))
#define XN_KERNEL __kernel __attribute__((reqd_work_group_size(XN_GROUP, 1, 1)))
#if !defined(XN_WALK)
#define XN_SCRATCH 11520
#elif defined(XN_ONE) || defined(XN_TILES) // 48 KB, less what a walk has beside
#define XN_SCRATCH 9920
#else
#define XN_SCRATCH 10656
#endif

// The float16 value of these bits.
static inline float xn_half_bits(uint bits) {
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"((ushort)bits));
    return x;
}

static inline float xn_shuffle_xor(float x, uint mask) {
    float y;
    asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 0x1f, 0xffffffff;" : "=f"(y) : "f"(x), "r"(mask));
    return y;
}

#define XN_HAS_SHUFFLE

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
    float sum = xn_warp_sum(xn_lane() < XN_WARPS ? red[xn_lane()] : 0, red);
    barrier(CLK_LOCAL_MEM_FENCE);
    return sum;
}

static inline float xn_group_max(float x, local float *red) {
    x = xn_warp_max(x);
    if (xn_lane() == 0) red[xn_warp()] = x;
    barrier(CLK_LOCAL_MEM_FENCE);
    float most = xn_warp_max(red[xn_lane() < XN_WARPS ? xn_lane() : 0]);
    barrier(CLK_LOCAL_MEM_FENCE);
    return most;
}

// How many work-items of the group bring one.
#define XN_COUNTS_GROUP
static inline uint xn_group_count(uint one) {
    uint all;
    asm volatile("{ .reg .pred p; setp.ne.u32 p, %1, 0; bar.red.popc.u32 %0, 0, p; }" : "=r"(all) : "r"(one) : "memory");
    return all;
}

// The same value, of which the compiler knows nothing: so what is made of it in one operation of a walk is not made before all
// of them, where it would take registers from the others.
static inline uint xn_own(uint x) {
    asm volatile("" : "+r"(x));
    return x;
}
#define XN_OWN(x) xn_own(x)

// A product and a sum, rounded each by itself.
#define XN_EXACT_STEPS
static inline float xn_mul_rn(float x, float y) {
    float z;
    asm("mul.rn.f32 %0, %1, %2;" : "=f"(z) : "f"(x), "f"(y));
    return z;
}
static inline float xn_add_rn(float x, float y) {
    float z;
    asm("add.rn.f32 %0, %1, %2;" : "=f"(z) : "f"(x), "f"(y));
    return z;
}

static inline float xn_quad_max(float x, local float *red) {
    x = fmax(x, xn_shuffle_xor(x, 1));
    return fmax(x, xn_shuffle_xor(x, 2));
}
static inline int xn_pair_sum(int x, local float *red) {
    return x + as_int(xn_shuffle_xor(as_float(x), 1));
}

static inline int xn_dot4(int acc, int a, int b) {
    int sum;
    asm("dp4a.s32.s32 %0, %1, %2, %3;" : "=r"(sum) : "r"(a), "r"(b), "r"(acc));
    return sum;
}

static inline float2 xn_half_pair(uint bits) {
    return (float2)(xn_half_bits(bits), xn_half_bits(bits >> 16));
}

// As in the plain body, but one work-item counts.
static inline bool xn_arrive(volatile global uint *counter, uint expected, local uint *last) {
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    if (get_local_id(0) == 0) {
        *last = expected == 1;
        if (expected > 1) {
            uint before;
            asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], 1;" : "=r"(before) : "l"(counter) : "memory");
            if (before + 1 == expected) {
                *last = 1;
                *counter = 0;
            }
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    return *last;
}

// Reading of weights, which are read once. They stay in this order, so that what is written first is on its way first; and
// with the reads of what never changes (.nc) the compiler would put them off over a barrier.
static inline uint4 xn_load_16(global const uint4 *p) {
    uint4 x;
    asm volatile("ld.global.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
                 : "l"(p));
    return x;
}
static inline uint4 xn_load_kept_16(global const uint4 *p) { // what stands beside it will be read as well
    uint4 x;
    asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w) : "l"(p));
    return x;
}
static inline uint2 xn_load_8(global const uint2 *p) {
    uint2 x;
    asm volatile("ld.global.v2.u32 {%0, %1}, [%2];" : "=r"(x.x), "=r"(x.y) : "l"(p));
    return x;
}
static inline uint xn_load_4(global const uint *p) {
    uint x;
    asm volatile("ld.global.u32 %0, [%1];" : "=r"(x) : "l"(p));
    return x;
}
static inline float xn_load_float(global const float *p) {
    float x;
    asm volatile("ld.global.f32 %0, [%1];" : "=f"(x) : "l"(p));
    return x;
}
// 0 unless `is`. A branch around many reads would cost their registers.
static inline float xn_load_float_if(global const float *p, uint is) {
    float x;
    asm volatile("{ .reg .pred p; setp.ne.u32 p, %2, 0; mov.f32 %0, 0f00000000; @p ld.global.f32 %0, [%1]; }"
                 : "=f"(x)
                 : "l"(p), "r"(is));
    return x;
}
static inline uint xn_load_2(global const ushort *p) {
    ushort x;
    asm volatile("ld.global.u16 %0, [%1];" : "=h"(x) : "l"(p));
    return x;
}
static inline uint xn_load_1(global const uchar *p) {
    uint x;
    asm volatile("ld.global.u8 %0, [%1];" : "=r"(x) : "l"(p));
    return x;
}
#define XN_LOAD_16(p, i) xn_load_16((global const uint4 *)(p) + (i))
#define XN_LOAD_KEPT_16(p, i) xn_load_kept_16((global const uint4 *)(p) + (i))
#define XN_LOAD_8(p, i) xn_load_8((global const uint2 *)(p) + (i))
#define XN_LOAD_4(p, i) xn_load_4((global const uint *)(p) + (i))
#define XN_LOAD_2(p, i) xn_load_2((global const ushort *)(p) + (i))
#define XN_LOAD_1(p, i) xn_load_1((global const uchar *)(p) + (i))

// The lanes of a warp wait for each other; the compiler moves no reads over it, which it otherwise puts off until they are used.
static inline void xn_warp_together(void) {
    asm volatile("bar.warp.sync 0xffffffff;" : : : "memory");
}

// Bytes that will soon be read, into the second cache; by the whole warp.
static inline void xn_prefetch(global const uchar *from, uint bytes) {
#pragma unroll 1
    for (uint i = xn_lane() * 128; i < bytes; i += XN_LANES * 128)
        asm volatile("prefetch.global.L2 [%0];" : : "l"(from + i));
}
#define XN_LINE 128
static inline void xn_prefetch_line(global const uchar *from) {
    asm volatile("prefetch.global.L2 [%0];" : : "l"(from));
}

// Four values times `inverse`, at most 127, as bytes; adds to their sum.
static inline uint xn_pack_4(const float *x, float inverse, int *sum) {
    int a = convert_int_rte(x[0] * inverse), b = convert_int_rte(x[1] * inverse), c = convert_int_rte(x[2] * inverse),
        d = convert_int_rte(x[3] * inverse);
    uint high, packed;
    asm("cvt.pack.sat.s8.s32.b32 %0, %1, %2, 0;" : "=r"(high) : "r"(d), "r"(c));
    asm("cvt.pack.sat.s8.s32.b32 %0, %1, %2, %3;" : "=r"(packed) : "r"(b), "r"(a), "r"(high));
    *sum = xn_dot4(*sum, (int)packed, 0x01010101);
    return packed;
}
#define XN_HAS_PACK

// A device-wide barrier in two halves: a group tells that it has come, and waits until `target` have; *flag, which is not 0,
// is 0 and the result false where that was given up. All that groups wrote before it is seen by all after it. (Eight counters
// in lines of their own, which eight lanes look at, took 300 cycles longer.)
static inline void xn_all_arrive(volatile global uint *barrier_at) {
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    if (get_local_id(0) == 0) asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(barrier_at) : "memory");
}
static inline bool xn_all_wait(volatile global uint *barrier_at, uint target, local uint *flag) {
    if (get_local_id(0) == 0) {
        uint arrived, left = 1u << 23;
        do {
            asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(arrived) : "l"(barrier_at) : "memory");
        } while ((int)(arrived - target) < 0 && --left);
        if (!left) {
            barrier_at[XN_CL_BARRIER_FAILED] = 1;
            *flag = 0;
        }
    }
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    return *flag;
}

// 16, 8 or 4 bytes from global to local memory, which are there when xn_copied has returned.
static inline void xn_copy_16(local void *to, global const void *from) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" : : "r"((uint)(size_t)to), "l"(from) : "memory");
}
static inline void xn_copy_8(local void *to, global const void *from) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" : : "r"((uint)(size_t)to), "l"(from) : "memory");
}
static inline void xn_copy_4(local void *to, global const void *from) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" : : "r"((uint)(size_t)to), "l"(from) : "memory");
}
static inline void xn_copied(void) {
    asm volatile("cp.async.wait_all;" : : : "memory");
}
