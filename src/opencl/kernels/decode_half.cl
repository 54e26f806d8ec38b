// Decoders straight to half floats, for the formats that most models come in. Half h of a unit of 32 values is read
// early (xn_fetch), and put into a tile later (xn_put), so that what is between hides the memory's latency. Codes of 4
// bits: chunks h and 2 + h of the tile's four, as they stand together; other formats: chunks 2 h and 2 h + 1.
//
// A code between 0 and 1023 in the low bits of the half float 1024 (0x6400) makes it 1024 + code, exactly.

struct xn_raw {
    uint w[8]; // codes, and bits that go on top of them
    uint s, d; // scales of the unit, numbers of the block
};

#ifndef XN_WEIGHTS_CHUNK // where a tile of weights has a chunk
#define XN_WEIGHTS_CHUNK(row, chunk) xn_chunk(row, chunk)
#endif
#define XN_MAGIC 0x64006400u
#define XN_H2(x) ((uint)(x) | (uint)(x) << 16) // the same half float twice
#define XN_ONE XN_H2(0x3c00)
#define XN_SIXTEENTH XN_H2(0x2c00)

XN_INLINE void xn_put_chunk(local xn_element *tile, uint row, uint chunk, uint4 v) {
#ifdef XN_PLAIN // PoCL 3.1 does not survive the other one
    vstore8(as_ushort8(v), 0, tile + XN_WEIGHTS_CHUNK(row, chunk));
#else
    *(local uint4 *)(tile + XN_WEIGHTS_CHUNK(row, chunk)) = v;
#endif
}

// Chunks h and 2 + h: codes of 4 bits in two words, `offset` is added to what they are as 1024 + code and 64 + code (the
// high ones are multiplied by 16), then times scale plus bias.
XN_INLINE void xn_put_nibbles(const struct xn_raw *r, uint low_offset, uint high_offset, uint scale0, uint bias0,
                                  uint scale1, uint bias1, local xn_element *tile, uint row, uint h) {
    uint low[4], high[4];
#pragma unroll
    for (uint i = 0; i < 4; i++) {
        uint t = xn_bytes(r->w[i / 2], 0, i % 2 ? 0x4342 : 0x4140);
        low[i] = xn_half2_fma(xn_half2_fma((t & 0x000f000fu) | XN_MAGIC, XN_ONE, low_offset), scale0, bias0);
        high[i] = xn_half2_fma(xn_half2_fma((t & 0x00f000f0u) | XN_MAGIC, XN_SIXTEENTH, high_offset), scale1, bias1);
    }
    xn_put_chunk(tile, row, h, (uint4)(low[0], low[1], low[2], low[3]));
    xn_put_chunk(tile, row, 2 + h, (uint4)(high[0], high[1], high[2], high[3]));
}

XN_INLINE void xn_fetch_nibbles(global const uchar *row, uint u, uint h, struct xn_raw *r) {
    uint2 q = ((global const uint2 *)row)[2 * u + h];
    r->w[0] = q.x;
    r->w[1] = q.y;
}
#define XN_FETCH(name)                                                                                                 \
    XN_INLINE void xn_fetch_##name(global const uchar *row, uint units, uint u, uint h, struct xn_raw *r)
#define XN_PUT(name) XN_INLINE void xn_put_##name(const struct xn_raw *r, local xn_element *tile, uint row, uint h)

// --- formats ---

#ifdef XN_TYPE_Q4_0
XN_FETCH(Q4_0) {
    xn_fetch_nibbles(row, u, h, r);
    r->d = XN_USHORT(row + XN_PLANE(16 * units), u);
}
XN_PUT(Q4_0) {
    uint d = xn_twice(r->d);
    xn_put_nibbles(r, XN_H2(0xe408), XN_H2(0xd480), d, 0, d, 0, tile, row, h); // -1032, -72
}
#endif

// Scale and minimum of a unit of Q4_K or Q5_K, each twice: bytes s times halves d.
#if defined(XN_TYPE_Q4_K) || defined(XN_TYPE_Q5_K)
XN_INLINE void xn_k_scales(const struct xn_raw *r, uint *scale, uint *minimum) {
    uint both = xn_half2_fma(xn_bytes(r->s, XN_MAGIC, 0x5150), XN_ONE, XN_H2(0xe400)); // -1024
    both = xn_half2_fma(both, r->d ^ 0x80000000u, 0);
    *scale = xn_bytes(both, 0, 0x1010);
    *minimum = xn_bytes(both, 0, 0x3232); // negated
}
#endif

#ifdef XN_TYPE_Q4_K
XN_FETCH(Q4_K) {
    global const uchar *scales = row + XN_PLANE(16 * units);
    xn_fetch_nibbles(row, u, h, r);
    r->s = XN_USHORT(scales, u);
    r->d = XN_UINT(scales + XN_PLANE(2 * units), u / 8);
}
XN_PUT(Q4_K) {
    uint scale, minimum;
    xn_k_scales(r, &scale, &minimum);
    xn_put_nibbles(r, XN_H2(0xe400), XN_H2(0xd400), scale, minimum, scale, minimum, tile, row, h); // -1024, -64
}
#endif

#ifdef XN_TYPE_Q5_K
XN_FETCH(Q5_K) {
    global const uchar *high = row + XN_PLANE(16 * units), *scales = high + XN_PLANE(4 * units);
    xn_fetch_nibbles(row, u, h, r);
    r->w[2] = XN_UINT(high, u);
    r->s = XN_USHORT(scales, u);
    r->d = XN_UINT(scales + XN_PLANE(2 * units), u / 8);
}
XN_PUT(Q5_K) {
    uint scale, minimum, low[4], high[4], bits = r->w[2] >> 8 * h;
    uint x = (bits & 255u) | (bits & 255u) << 15, y = (bits >> 16 & 255u) | (bits >> 1 & 0x7f8000u);
    xn_k_scales(r, &scale, &minimum);
    // Bits 2 i and 2 i + 1 of a byte are at 2 i and 2 i + 16; they belong at 4 and 20.
#pragma unroll
    for (uint i = 0; i < 4; i++) {
        uint t = xn_bytes(r->w[i / 2], 0, i % 2 ? 0x4342 : 0x4140);
        uint p = (i < 2 ? x << (4 - 2 * i) : x >> (2 * i - 4)) & 0x00100010u;
        uint q = (i < 2 ? y << (4 - 2 * i) : y >> (2 * i - 4)) & 0x00100010u;
        low[i] = xn_half2_fma((t & 0x000f000fu) | p | XN_MAGIC, XN_ONE, XN_H2(0xe400));
        high[i] = xn_half2_fma((t >> 4 & 0x000f000fu) | q | XN_MAGIC, XN_ONE, XN_H2(0xe400));
        low[i] = xn_half2_fma(low[i], scale, minimum);
        high[i] = xn_half2_fma(high[i], scale, minimum);
    }
    xn_put_chunk(tile, row, h, (uint4)(low[0], low[1], low[2], low[3]));
    xn_put_chunk(tile, row, 2 + h, (uint4)(high[0], high[1], high[2], high[3]));
}
#endif

#ifdef XN_TYPE_Q6_K
XN_FETCH(Q6_K) {
    global const uchar *high = row + XN_PLANE(16 * units), *scales = high + XN_PLANE(8 * units);
    uint2 top = ((global const uint2 *)high)[u];
    xn_fetch_nibbles(row, u, h, r);
    r->w[2] = top.x;
    r->w[3] = top.y;
    r->s = XN_USHORT(scales, u);
    r->d = XN_USHORT(scales + XN_PLANE(2 * units), u / 8);
}
XN_PUT(Q6_K) {
    // Signed bytes: with the top bit turned they are 128 more.
    uint scale = xn_half2_fma(xn_bytes(r->s ^ 0x8080u, XN_MAGIC, 0x5150), XN_ONE, XN_H2(0xe480)); // -1152
    uint low[4], high[4];
    scale = xn_half2_fma(scale, xn_twice(r->d), 0);
    uint scale0 = xn_bytes(scale, 0, 0x1010), scale1 = xn_bytes(scale, 0, 0x3232);
#pragma unroll
    for (uint i = 0; i < 4; i++) {
        uint t = xn_bytes(r->w[i / 2], 0, i % 2 ? 0x4342 : 0x4140);
        uint top = xn_bytes(r->w[2 + i / 2], 0, i % 2 ? 0x4342 : 0x4140) >> 2 * h; // bits 0 and 1, 4 and 5
        low[i] = xn_half2_fma((t & 0x000f000fu) | (top << 4 & 0x00300030u) | XN_MAGIC, XN_ONE, XN_H2(0xe420)); // -1056
        high[i] =
            xn_half2_fma((t >> 4 & 0x000f000fu) | (top & 0x00300030u) | XN_MAGIC, XN_ONE, XN_H2(0xe420));
        low[i] = xn_half2_fma(low[i], scale0, 0);
        high[i] = xn_half2_fma(high[i], scale1, 0);
    }
    xn_put_chunk(tile, row, h, (uint4)(low[0], low[1], low[2], low[3]));
    xn_put_chunk(tile, row, 2 + h, (uint4)(high[0], high[1], high[2], high[3]));
}
#endif

#ifdef XN_TYPE_Q8_0
XN_FETCH(Q8_0) {
    uint4 q = ((global const uint4 *)(row + h * XN_PLANE(16 * units)))[u];
    r->w[0] = q.x;
    r->w[1] = q.y;
    r->w[2] = q.z;
    r->w[3] = q.w;
    r->d = XN_USHORT(row + 2 * XN_PLANE(16 * units), u);
}
XN_PUT(Q8_0) {
    uint d = xn_twice(r->d), v[8];
#pragma unroll
    for (uint i = 0; i < 8; i++) {
        uint t = xn_bytes(r->w[i / 2] ^ 0x80808080u, XN_MAGIC, i % 2 ? 0x5352 : 0x5150);
        v[i] = xn_half2_fma(xn_half2_fma(t, XN_ONE, XN_H2(0xe480)), d, 0); // -1152
    }
    xn_put_chunk(tile, row, 2 * h, (uint4)(v[0], v[1], v[2], v[3]));
    xn_put_chunk(tile, row, 2 * h + 1, (uint4)(v[4], v[5], v[6], v[7]));
}
#endif

#ifdef XN_TYPE_MXFP4
XN_FETCH(MXFP4) {
    xn_fetch_nibbles(row, u, h, r);
    r->d = (row + XN_PLANE(16 * units))[u];
}
XN_PUT(MXFP4) {
    // The three bits of a magnitude, as exponent and first bit of the fraction, are 2^-14 times the number.
    float factor = as_float(clamp((int)r->d, 1, 142) << 23);
    uint d = xn_pack_half(factor, factor), low[4], high[4];
#pragma unroll
    for (uint i = 0; i < 4; i++) {
        uint t = xn_bytes(r->w[i / 2], 0, i % 2 ? 0x4342 : 0x4140);
        low[i] = xn_half2_fma(xn_half2_fma((t << 9 & 0x0e000e00u) | (t << 12 & 0x80008000u), XN_H2(0x7400), 0), d, 0);
        high[i] = xn_half2_fma(xn_half2_fma((t << 5 & 0x0e000e00u) | (t << 8 & 0x80008000u), XN_H2(0x7400), 0), d, 0);
    }
    xn_put_chunk(tile, row, h, (uint4)(low[0], low[1], low[2], low[3]));
    xn_put_chunk(tile, row, 2 + h, (uint4)(high[0], high[1], high[2], high[3]));
}
#endif

// F16 and BF16: eight values of a unit in each of four planes.
XN_INLINE void xn_fetch_values(global const uchar *row, uint units, uint u, uint h, struct xn_raw *r) {
    global const uchar *plane = row + 2 * h * XN_PLANE(16 * units);
    uint4 a = ((global const uint4 *)plane)[u], b = ((global const uint4 *)(plane + XN_PLANE(16 * units)))[u];
    r->w[0] = a.x;
    r->w[1] = a.y;
    r->w[2] = a.z;
    r->w[3] = a.w;
    r->w[4] = b.x;
    r->w[5] = b.y;
    r->w[6] = b.z;
    r->w[7] = b.w;
}
XN_INLINE void xn_put_values(const struct xn_raw *r, local xn_element *tile, uint row, uint h) {
    xn_put_chunk(tile, row, 2 * h, (uint4)(r->w[0], r->w[1], r->w[2], r->w[3]));
    xn_put_chunk(tile, row, 2 * h + 1, (uint4)(r->w[4], r->w[5], r->w[6], r->w[7]));
}

// --- by type ---

#ifdef XN_TYPE_Q4_0
#define XN_CASE_Q4_0(X) X(Q4_0)
#else
#define XN_CASE_Q4_0(X)
#endif
#ifdef XN_TYPE_Q4_K
#define XN_CASE_Q4_K(X) X(Q4_K)
#else
#define XN_CASE_Q4_K(X)
#endif
#ifdef XN_TYPE_Q5_K
#define XN_CASE_Q5_K(X) X(Q5_K)
#else
#define XN_CASE_Q5_K(X)
#endif
#ifdef XN_TYPE_Q6_K
#define XN_CASE_Q6_K(X) X(Q6_K)
#else
#define XN_CASE_Q6_K(X)
#endif
#ifdef XN_TYPE_Q8_0
#define XN_CASE_Q8_0(X) X(Q8_0)
#else
#define XN_CASE_Q8_0(X)
#endif
#ifdef XN_TYPE_MXFP4
#define XN_CASE_MXFP4(X) X(MXFP4)
#else
#define XN_CASE_MXFP4(X)
#endif
#define XN_DIRECT(X)                                                                                                   \
    XN_CASE_Q4_0(X) XN_CASE_Q4_K(X) XN_CASE_Q5_K(X) XN_CASE_Q6_K(X) XN_CASE_Q8_0(X) XN_CASE_MXFP4(X)

// F16 and BF16, as a sum of ones; BF16 only where it is sure to be multiplied as such.
#ifdef XN_TYPE_F16
#define XN_DIRECT_VALUES +1
#elif defined(XN_TYPE_BF16)
#define XN_DIRECT_VALUES +((0 XN_FORMATS(XN_COUNT)) == 1)
#else
#define XN_DIRECT_VALUES
#endif

// Reads half h of unit u, of a type that has a decoder here; false: it has none. BF16 has one to bfloat16 alone.
XN_INLINE bool xn_fetch(uint type, bool bfloat, global const uchar *row, uint units, uint u, uint h, struct xn_raw *r) {
    switch (type) {
#define X(F)                                                                                                           \
    case XN_TYPE_##F:                                                                                                  \
        xn_fetch_##F(row, units, u, h, r);                                                                             \
        return true;
        XN_DIRECT(X)
#undef X
#ifdef XN_TYPE_F16
    case XN_TYPE_F16:
        xn_fetch_values(row, units, u, h, r);
        return true;
#endif
#ifdef XN_TYPE_BF16
    case XN_TYPE_BF16:
        if (bfloat) xn_fetch_values(row, units, u, h, r);
        return bfloat;
#endif
    default:
        return false;
    }
}
XN_INLINE void xn_put(uint type, const struct xn_raw *r, local xn_element *tile, uint row, uint h) {
    switch (type) {
#define X(F)                                                                                                           \
    case XN_TYPE_##F:                                                                                                  \
        xn_put_##F(r, tile, row, h);                                                                                   \
        return;
        XN_DIRECT(X)
#undef X
#if defined(XN_TYPE_F16) || defined(XN_TYPE_BF16)
    default: // F16 and BF16
        xn_put_values(r, tile, row, h);
#endif
    }
}
