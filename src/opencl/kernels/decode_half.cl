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
// Codes of two words, a pair of bytes in 16 bits each at a time: S(number, word, xn_low_bytes or xn_high_bytes).
#define XN_EACH_PAIR(S) S(0, 0, xn_low_bytes) S(1, 0, xn_high_bytes) S(2, 1, xn_low_bytes) S(3, 1, xn_high_bytes)

XN_INLINE void xn_put_chunk(local xn_element *tile, uint row, uint chunk, uint4 v) {
#ifdef XN_PLAIN // PoCL 3.1 does not survive the other one
    vstore8(as_ushort8(v), 0, tile + XN_WEIGHTS_CHUNK(row, chunk));
#else
    *(local uint4 *)(tile + XN_WEIGHTS_CHUNK(row, chunk)) = v;
#endif
}

// Chunks h and 2 + h: codes of 4 bits in two words, of which LOW(t) and HIGH(t) make values; t has a byte in 16 bits.
#define XN_NIBBLE_PAIR(i, word, bytes)                                                                                 \
    t = bytes(r->w[word]);                                                                                             \
    low[i] = XN_LOW(t);                                                                                                \
    high[i] = XN_HIGH(t);
// 1024 + code, and 64 + code of the high ones, which are multiplied by 16.
#define XN_LOW_CODE(t, offset) XN_HALF2_ADD(((t)&0x000f000fu) | XN_MAGIC, offset)
#define XN_HIGH_CODE(t, offset) XN_HALF2_MAD(((t)&0x00f000f0u) | XN_MAGIC, 0x2c00, offset)

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
    uint d = xn_twice(r->d), low[4], high[4], t;
#define XN_LOW(t) XN_LOW_CODE(t, 0xe408)   // -1032
#define XN_HIGH(t) XN_HIGH_CODE(t, 0xd480) // -72
    XN_EACH_PAIR(XN_NIBBLE_PAIR)
#undef XN_LOW
#undef XN_HIGH
    xn_put_chunk(tile, row, h, xn_half2_mul4(low, d));
    xn_put_chunk(tile, row, 2 + h, xn_half2_mul4(high, d));
}
#endif

// Scale and minimum of a unit of Q4_K or Q5_K, each twice: bytes s times halves d.
#if defined(XN_TYPE_Q4_K) || defined(XN_TYPE_Q5_K)
XN_INLINE void xn_k_scales(const struct xn_raw *r, uint *scale, uint *minimum) {
    uint both = XN_HALF2_ADD(xn_low_bytes(r->s) | XN_MAGIC, 0xe400); // -1024
    both = xn_half2_mul(both, r->d ^ 0x80000000u);
    *scale = xn_twice(both);
    *minimum = xn_twice_high(both); // negated
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
    uint scale, minimum, low[4], high[4], t;
    xn_k_scales(r, &scale, &minimum);
#define XN_LOW(t) XN_LOW_CODE(t, 0xe400)   // -1024
#define XN_HIGH(t) XN_HIGH_CODE(t, 0xd400) // -64
    XN_EACH_PAIR(XN_NIBBLE_PAIR)
#undef XN_LOW
#undef XN_HIGH
    xn_put_chunk(tile, row, h, xn_half2_fma4(low, scale, minimum));
    xn_put_chunk(tile, row, 2 + h, xn_half2_fma4(high, scale, minimum));
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
    uint scale, minimum, low[4], high[4], t, bits = r->w[2] >> 8 * h;
    uint x = (bits & 255u) | (bits & 255u) << 15, y = (bits >> 16 & 255u) | (bits >> 1 & 0x7f8000u);
    xn_k_scales(r, &scale, &minimum);
    // Bits 2 i and 2 i + 1 of a byte are at 2 i and 2 i + 16; they belong at 4 and 20.
#define XN_TOP(x, i) ((i < 2 ? x << (4 - 2 * i & 31) : x >> (2 * i - 4 & 31)) & 0x00100010u)
#define XN_CODE(t, x, i) XN_HALF2_ADD(((t)&0x000f000fu) | XN_TOP(x, i) | XN_MAGIC, 0xe400)
#define XN_FIVE(i, word, bytes)                                                                                        \
    t = bytes(r->w[word]);                                                                                             \
    low[i] = XN_CODE(t, x, i);                                                                                         \
    high[i] = XN_CODE(t >> 4, y, i);
    XN_EACH_PAIR(XN_FIVE)
    xn_put_chunk(tile, row, h, xn_half2_fma4(low, scale, minimum));
    xn_put_chunk(tile, row, 2 + h, xn_half2_fma4(high, scale, minimum));
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
    uint scale = XN_HALF2_ADD(xn_low_bytes(r->s ^ 0x8080u) | XN_MAGIC, 0xe480); // -1152
    uint low[4], high[4], t, top;
    scale = xn_half2_mul(scale, xn_twice(r->d));
    uint scale0 = xn_twice(scale), scale1 = xn_twice_high(scale);
#define XN_SIX(i, word, bytes)                                                                                         \
    t = bytes(r->w[word]);                                                                                             \
    top = bytes(r->w[2 + word]) >> 2 * h; /* bits 0 and 1, 4 and 5 */                                                  \
    low[i] = XN_HALF2_ADD((t & 0x000f000fu) | (top << 4 & 0x00300030u) | XN_MAGIC, 0xe420); /* -1056 */                \
    high[i] = XN_HALF2_ADD((t >> 4 & 0x000f000fu) | (top & 0x00300030u) | XN_MAGIC, 0xe420);
    XN_EACH_PAIR(XN_SIX)
    xn_put_chunk(tile, row, h, xn_half2_mul4(low, scale0));
    xn_put_chunk(tile, row, 2 + h, xn_half2_mul4(high, scale1));
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
    uint d = xn_twice(r->d), first[4], second[4];
    // Signed bytes as above.
#define XN_EIGHT(word, bytes) XN_HALF2_ADD(bytes(r->w[word] ^ 0x80808080u) | XN_MAGIC, 0xe480)
#define XN_EIGHTS(i, word, bytes)                                                                                      \
    first[i] = XN_EIGHT(word, bytes);                                                                                  \
    second[i] = XN_EIGHT(2 + word, bytes);
    XN_EACH_PAIR(XN_EIGHTS)
    xn_put_chunk(tile, row, 2 * h, xn_half2_mul4(first, d));
    xn_put_chunk(tile, row, 2 * h + 1, xn_half2_mul4(second, d));
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
    uint d = xn_pack_half(factor, factor), low[4], high[4], t;
#define XN_LOW(t) XN_HALF2_TIMES((t << 9 & 0x0e000e00u) | (t << 12 & 0x80008000u), 0x7400)
#define XN_HIGH(t) XN_HALF2_TIMES((t << 5 & 0x0e000e00u) | (t << 8 & 0x80008000u), 0x7400)
    XN_EACH_PAIR(XN_NIBBLE_PAIR)
#undef XN_LOW
#undef XN_HIGH
    xn_put_chunk(tile, row, h, xn_half2_mul4(low, d));
    xn_put_chunk(tile, row, 2 + h, xn_half2_mul4(high, d));
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

#ifdef XN_TYPE_F16
#define xn_fetch_F16 xn_fetch_values
XN_PUT(F16) {
    xn_put_chunk(tile, row, 2 * h, (uint4)(r->w[0], r->w[1], r->w[2], r->w[3]));
    xn_put_chunk(tile, row, 2 * h + 1, (uint4)(r->w[4], r->w[5], r->w[6], r->w[7]));
}
#endif

// A half float has all 8 bits of a bfloat16, but for values below 2^-17, whose last ones may be lost. d: what values are
// multiplied by.
#ifdef XN_TYPE_BF16
#define xn_fetch_BF16 xn_fetch_values
XN_PUT(BF16) {
    float shrink = as_float(r->d);
#define XN_OF_BFLOATS(i) xn_pack_half(as_float(r->w[i] << 16) * shrink, as_float(r->w[i] & 0xffff0000u) * shrink)
    xn_put_chunk(tile, row, 2 * h, (uint4)(XN_OF_BFLOATS(0), XN_OF_BFLOATS(1), XN_OF_BFLOATS(2), XN_OF_BFLOATS(3)));
    xn_put_chunk(tile, row, 2 * h + 1, (uint4)(XN_OF_BFLOATS(4), XN_OF_BFLOATS(5), XN_OF_BFLOATS(6), XN_OF_BFLOATS(7)));
}
#endif

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
#ifdef XN_TYPE_F16
#define XN_CASE_F16(X) X(F16)
#else
#define XN_CASE_F16(X)
#endif
#ifdef XN_TYPE_BF16
#define XN_CASE_BF16(X) X(BF16)
#else
#define XN_CASE_BF16(X)
#endif
#define XN_DIRECT(X)                                                                                                   \
    XN_CASE_Q4_0(X) XN_CASE_Q4_K(X) XN_CASE_Q5_K(X) XN_CASE_Q6_K(X) XN_CASE_Q8_0(X) XN_CASE_MXFP4(X)                   \
    XN_CASE_F16(X) XN_CASE_BF16(X)

// Reads half h of unit u, of a type that has a decoder here; false: it has none.
XN_INLINE bool xn_fetch(uint type, float shrink, global const uchar *row, uint units, uint u, uint h, struct xn_raw *r) {
    r->d = as_uint(shrink); // of BF16; others have their own
    switch (type) {
#define X(F)                                                                                                           \
    case XN_TYPE_##F:                                                                                                  \
        xn_fetch_##F(row, units, u, h, r);                                                                             \
        return true;
        XN_DIRECT(X)
#undef X
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
    }
}
