// Arithmetic on 16-bit values, two in a word, for the matrix units that take those. NVIDIA's compiler knows no half
// floats beyond loads and stores, so they are words here.
#define XN_HALVES
typedef ushort xn_element;

#if defined(XN_NVIDIA)
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
#else
#if defined(XN_INTEL)
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
XN_INLINE uint xn_half2_fma(uint a, uint b, uint c) {
    return as_uint(fma(as_half2(a), as_half2(b), as_half2(c)));
}
XN_INLINE uint xn_pack_half(float low, float high) {
    return as_uint((half2)(convert_half_rte(low), convert_half_rte(high)));
}
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
#endif
XN_INLINE uint xn_byte_of(uint a, uint b, uint i) {
    return (i < 4 ? a >> 8 * i : b >> 8 * (i - 4)) & 255u;
}
XN_INLINE uint xn_bytes(uint a, uint b, uint selector) {
    return xn_byte_of(a, b, selector & 7) | xn_byte_of(a, b, selector >> 4 & 7) << 8 |
           xn_byte_of(a, b, selector >> 8 & 7) << 16 | xn_byte_of(a, b, selector >> 12 & 7) << 24;
}
#endif

// To bfloat16, to the nearest, of ties the even one.
XN_INLINE uint xn_bfloat_of(float x) {
    uint bits = as_uint(x);
    return isnan(x) ? 0x7fc0u : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}
XN_INLINE uint xn_pack_bfloat(float low, float high) {
    return xn_bfloat_of(low) | xn_bfloat_of(high) << 16;
}
XN_INLINE float xn_half_value(uint bits) {
#if defined(XN_NVIDIA)
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
XN_INLINE float xn_rest_of_bfloat(float x) {
    return x - as_float(xn_bfloat_of(x) << 16);
}
XN_INLINE uint xn_pack(float low, float high, bool bfloat) {
    return bfloat ? xn_pack_bfloat(low, high) : xn_pack_half(low, high);
}
XN_INLINE uint xn_twice(uint half_bits) { // both halves of a word
    return xn_bytes(half_bits, 0, 0x1010);
}
