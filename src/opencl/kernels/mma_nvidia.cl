// Matrix products for NVIDIA's GPUs, of what lanes hold in registers.
//
//   xn_mma_half     c += a b: 16 x 16 by 16 x 8 halves, float32 sums (mma.m16n8k16). With g = lane / 4 and t = lane % 4 a
//                   lane holds of a, two halves in each: (g, 2t), (g + 8, 2t), (g, 2t + 8), (g + 8, 2t + 8); of b: rows 2t
//                   and 2t + 1, then 2t + 8 and 2t + 9, of column g; of c: (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1)
//   xn_halves       two float32, rounded to the halves of a word;  xn_low_half, xn_high_half: back
//   xn_low_of, xn_high_of      the low (high) halves of two words as one
//   xn_byte_halves  bytes i of two words (i + 128 each), as halves;  xn_low_bytes, xn_high_bytes: bytes 0, 1 (2, 3) of one
//   xn_nibble_halves           bits 0 to 3 and 16 to 19 of a word, - 8, as halves
//   xn_times        products of the halves of two words
//   xn_shuffle      the value of a lane;  xn_warp_most: the largest of all lanes
//   xn_exp2         2^x

// Of what takes arrays, which are registers only in one piece of code.
#define XN_INLINE static inline __attribute__((always_inline))

static inline void xn_mma_half(float *c, uint4 a, uint b0, uint b1) {
    float x = c[0], y = c[1], z = c[2], w = c[3];
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%10, %11, %12, %13};"
                 : "=f"(c[0]), "=f"(c[1]), "=f"(c[2]), "=f"(c[3])
                 : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1), "f"(x), "f"(y), "f"(z), "f"(w));
}

static inline uint xn_halves(float low, float high) {
    uint both;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
}
static inline float xn_low_half(uint both) {
    float x;
    asm("{ .reg .b16 l, h; mov.b32 {l, h}, %1; cvt.f32.f16 %0, l; }" : "=f"(x) : "r"(both));
    return x;
}
static inline float xn_high_half(uint both) {
    float x;
    asm("{ .reg .b16 l, h; mov.b32 {l, h}, %1; cvt.f32.f16 %0, h; }" : "=f"(x) : "r"(both));
    return x;
}
static inline uint xn_low_of(uint a, uint b) {
    uint both;
    asm("prmt.b32 %0, %1, %2, 0x5410;" : "=r"(both) : "r"(a), "r"(b));
    return both;
}
static inline uint xn_high_of(uint a, uint b) {
    uint both;
    asm("prmt.b32 %0, %1, %2, 0x7632;" : "=r"(both) : "r"(a), "r"(b));
    return both;
}

// A half of 1024 and more has its number in its last bits.
static inline uint xn_minus(uint halves, uint number) {
    uint both;
    asm("sub.f16x2 %0, %1, %2;" : "=r"(both) : "r"(halves), "r"(number));
    return both;
}
static inline uint xn_byte_halves(uint a, uint b, const uint i) {
    uint both;
    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(both) : "r"(a), "r"(b), "r"((4 + i) << 8 | i));
    return xn_minus((both & 0x00ff00ff) | 0x64006400, 0x64806480);
}
static inline uint xn_low_bytes(uint a) {
    uint both;
    asm("prmt.b32 %0, %1, %2, 0x4140;" : "=r"(both) : "r"(a), "r"(0x64646464));
    return xn_minus(both, 0x64806480);
}
static inline uint xn_high_bytes(uint a) {
    uint both;
    asm("prmt.b32 %0, %1, %2, 0x4342;" : "=r"(both) : "r"(a), "r"(0x64646464));
    return xn_minus(both, 0x64806480);
}
static inline uint xn_nibble_halves(uint a) {
    return xn_minus((a & 0x000f000f) | 0x64006400, 0x64086408);
}

static inline uint xn_times(uint a, uint b) {
    uint both;
    asm("mul.f16x2 %0, %1, %2;" : "=r"(both) : "r"(a), "r"(b));
    return both;
}

static inline float xn_shuffle(float x, uint lane) {
    float y;
    asm volatile("shfl.sync.idx.b32 %0, %1, %2, 0x1f, 0xffffffff;" : "=f"(y) : "f"(x), "r"(lane));
    return y;
}
static inline uint xn_warp_most(uint x) {
    uint y;
    asm volatile("redux.sync.max.u32 %0, %1, 0xffffffff;" : "=r"(y) : "r"(x));
    return y;
}
// Without a way around numbers below 2^-126, which are nothing here.
static inline float xn_exp2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
