// Arithmetic on 16-bit values, two in a word, for the matrix units that take those. NVIDIA's compiler knows no half
// floats beyond loads and stores, so they are words here.
#define XN_HALVES
typedef ushort xn_element;

#if defined(XN_NVIDIA) && !defined(XN_NO_PTX)
XN_INLINE uint xn_half2_fma(uint a, uint b, uint c) {
    uint r;
    asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(c));
    return r;
}
XN_INLINE uint xn_pack_half(float low, float high) {
    uint r;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
}
// Bytes of the pair b:a by their numbers, 0 to 7, in the selector's nibbles.
#define XN_BYTES(a, b, selector) xn_bytes(a, b, selector)
XN_INLINE uint xn_bytes(uint a, uint b, uint selector) {
    uint r;
    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(selector));
    return r;
}
#elif defined(XN_INTEL) && !defined(XN_NO_VISA)
// Intel's compiler takes halves of words apart, and puts them together again: some 13 instructions a word. Here they are
// written as its virtual instructions, for all lanes of a sub-group (which is never apart where these stand): a word of
// each lane is a register of twice as many halves.
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#if XN_LANES == 8
#define XN_WIDE "(M1_NM, 16)"
#define XN_AS_HALVES(name, of) ".decl " name " v_type=G type=HF num_elts=16 alias=<" of ",0>\n"
#define XN_AS_FOUR(name, of) ".decl " name " v_type=G type=HF num_elts=64 alias=<" of ",0>\n"
#define XN_AS_WORDS(name, of) ".decl " name " v_type=G type=UW num_elts=16 alias=<" of ",0>\n"
#define XN_AS_BYTES(name, of) ".decl " name " v_type=G type=UB num_elts=32 alias=<" of ",0>\n"
#else
#define XN_WIDE "(M1_NM, 32)"
#define XN_AS_HALVES(name, of) ".decl " name " v_type=G type=HF num_elts=32 alias=<" of ",0>\n"
#define XN_AS_FOUR(name, of) ".decl " name " v_type=G type=HF num_elts=128 alias=<" of ",0>\n"
#define XN_AS_WORDS(name, of) ".decl " name " v_type=G type=UW num_elts=32 alias=<" of ",0>\n"
#define XN_AS_BYTES(name, of) ".decl " name " v_type=G type=UB num_elts=64 alias=<" of ",0>\n"
#endif
XN_INLINE uint xn_half2_mul(uint a, uint b) {
    uint d;
    __asm__("{\n" XN_AS_HALVES("D", "%0") XN_AS_HALVES("A", "%1") XN_AS_HALVES("B", "%2")
            "mul " XN_WIDE " D(0,0)<1> A(0,0)<1;1,0> B(0,0)<1;1,0>\n}" : "=rw"(d) : "rw"(a), "rw"(b));
    return d;
}
// Four words times b, and plus c, in registers that follow each other.
#define XN_FOUR_HALVES()                                                                                           \
    XN_AS_FOUR("D", "%0") XN_AS_HALVES("A0", "%1") XN_AS_HALVES("A1", "%2") XN_AS_HALVES("A2", "%3")                 \
    XN_AS_HALVES("A3", "%4") XN_AS_HALVES("B", "%5")
#define XN_ONE_OF_FOUR(what, i, c) what " " XN_WIDE " D(" i ",0)<1> A" i "(0,0)<1;1,0> B(0,0)<1;1,0>" c "\n"
#define XN_ALL_OF_FOUR(what, c)                                                                                        \
    XN_ONE_OF_FOUR(what, "0", c) XN_ONE_OF_FOUR(what, "1", c) XN_ONE_OF_FOUR(what, "2", c)                             \
    XN_ONE_OF_FOUR(what, "3", c)
XN_INLINE uint4 xn_half2_mul4(const uint a[4], uint b) {
    uint4 d;
    __asm__("{\n" XN_FOUR_HALVES() XN_ALL_OF_FOUR("mul", "") "}"
            : "=rw"(d) : "rw"(a[0]), "rw"(a[1]), "rw"(a[2]), "rw"(a[3]), "rw"(b));
    return d;
}
XN_INLINE uint4 xn_half2_fma4(const uint a[4], uint b, uint c) {
    uint4 d;
    __asm__("{\n" XN_FOUR_HALVES() XN_AS_HALVES("C", "%6") XN_ALL_OF_FOUR("mad", " C(0,0)<1;1,0>") "}"
            : "=rw"(d) : "rw"(a[0]), "rw"(a[1]), "rw"(a[2]), "rw"(a[3]), "rw"(b), "rw"(c));
    return d;
}
#define XN_WITH_HALF(what, a)                                                                                          \
    ({                                                                                                                 \
        uint xn_a = (a), xn_d;                                                                                         \
        __asm__("{\n" XN_AS_HALVES("D", "%0") XN_AS_HALVES("A", "%1") what "\n}" : "=rw"(xn_d) : "rw"(xn_a));          \
        xn_d;                                                                                                          \
    })
#define XN_HALF2_ADD(a, half) XN_WITH_HALF("add " XN_WIDE " D(0,0)<1> A(0,0)<1;1,0> " #half ":hf", a)
#define XN_HALF2_TIMES(a, half) XN_WITH_HALF("mul " XN_WIDE " D(0,0)<1> A(0,0)<1;1,0> " #half ":hf", a)
#define XN_HALF2_MAD(a, half, more)                                                                                    \
    XN_WITH_HALF("mad " XN_WIDE " D(0,0)<1> A(0,0)<1;1,0> " #half ":hf " #more ":hf", a)
#define XN_MOVE(name, from)                                                                                            \
    XN_INLINE uint name(uint a) {                                                                                      \
        uint d;                                                                                                        \
        __asm__("{\n" XN_AS_WORDS("D", "%0") XN_AS_BYTES("B", "%1") XN_AS_WORDS("A", "%1")                              \
                "mov " XN_WIDE " D(0,0)<1> " from "\n}" : "=rw"(d) : "rw"(a));                                          \
        return d;                                                                                                      \
    }
XN_MOVE(xn_low_bytes, "B(0,0)<4;2,1>")
XN_MOVE(xn_high_bytes, "B(0,2)<4;2,1>")
XN_MOVE(xn_twice, "A(0,0)<2;2,0>")
XN_MOVE(xn_twice_high, "A(0,1)<2;2,0>")
XN_INLINE uint xn_pack_half(float low, float high) {
    return as_uint((half2)(convert_half_rte(low), convert_half_rte(high)));
}
#define XN_HAS_HALVES
#else
XN_INLINE float2 xn_unpack_half(uint x) {
    ushort v[2] = {(ushort)x, (ushort)(x >> 16)};
    return (float2)(vload_half(0, (const half *)v), vload_half(1, (const half *)v));
}
XN_INLINE uint xn_pack_half(float low, float high) {
    ushort v[2];
    vstore_half_rte(low, 0, (half *)v);
    vstore_half_rte(high, 1, (half *)v);
    return v[0] | (uint)v[1] << 16;
}
XN_INLINE uint xn_half2_fma(uint a, uint b, uint c) {
    float2 x = xn_unpack_half(a), y = xn_unpack_half(b), z = xn_unpack_half(c);
    return xn_pack_half(fma(x.x, y.x, z.x), fma(x.y, y.y, z.y));
}
XN_INLINE uint xn_byte_of(uint a, uint b, uint i) {
    return (i < 4 ? a >> 8 * i : b >> 8 * (i - 4)) & 255u;
}
XN_INLINE uint xn_bytes(uint a, uint b, uint selector) {
    return xn_byte_of(a, b, selector & 7) | xn_byte_of(a, b, selector >> 4 & 7) << 8 |
           xn_byte_of(a, b, selector >> 8 & 7) << 16 | xn_byte_of(a, b, selector >> 12 & 7) << 24;
}
#endif

// The same half float twice, of its bits; and arithmetic on two with a constant of which the bits are literals.
#define XN_H2(x) ((uint)(x) | (uint)(x) << 16)
#ifndef XN_HAS_HALVES
#define XN_HALF2_ADD(a, half) xn_half2_fma(a, XN_H2(0x3c00), XN_H2(half))
#define XN_HALF2_TIMES(a, half) xn_half2_fma(a, XN_H2(half), 0)
#define XN_HALF2_MAD(a, half, more) xn_half2_fma(a, XN_H2(half), XN_H2(more))
#define xn_half2_mul(a, b) xn_half2_fma(a, b, 0)
XN_INLINE uint4 xn_half2_fma4(const uint a[4], uint b, uint c) {
    return (uint4)(xn_half2_fma(a[0], b, c), xn_half2_fma(a[1], b, c), xn_half2_fma(a[2], b, c),
                   xn_half2_fma(a[3], b, c));
}
#define xn_half2_mul4(a, b) xn_half2_fma4(a, b, 0)
XN_INLINE uint xn_low_bytes(uint a) { // each in 16 bits
    return xn_bytes(a, 0, 0x4140);
}
XN_INLINE uint xn_high_bytes(uint a) {
    return xn_bytes(a, 0, 0x4342);
}
XN_INLINE uint xn_twice(uint a) { // the low half of a word in both
    return xn_bytes(a, 0, 0x1010);
}
XN_INLINE uint xn_twice_high(uint a) {
    return xn_bytes(a, 0, 0x3232);
}
#endif

XN_INLINE float xn_half_value(uint bits) {
#if defined(XN_NVIDIA) && !defined(XN_NO_PTX)
    float x;
    asm("{ .reg .b16 h; cvt.u16.u32 h, %1; cvt.f32.f16 %0, h; }" : "=f"(x) : "r"(bits));
    return x;
#else
    ushort v = (ushort)bits;
    return vload_half(0, (const half *)&v);
#endif
}
// What a 16-bit value leaves of x.
XN_INLINE float xn_rest_of_half(float x) {
    return x - xn_half_value(xn_pack_half(x, 0) & 0xffffu);
}
