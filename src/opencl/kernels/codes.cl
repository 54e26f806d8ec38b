// What a unit of weights (32 values) adds to products with activations in local memory (few.cl).
//
// Formats of few bits are whole numbers (codes) times a scale, less a minimum: value i of half h = i / 16 is
//     scale[h] * code[i] - minimum[h]
// so that with activations a * b[i] (b of 8 bits) the sum over a half is
//     a * scale[h] * (sum of code[i] * b[i]) - minimum[h] * a * (sum of b[i])
// Bytes 4 w .. 4 w + 3 of word w are codes 4 w .. 4 w + 3 of the unit, signed. Offsets of formats are minima here.
// The other formats' values are multiplied as they are.

// 16 bytes of nibbles: low halves are codes 0 to 15, high ones 16 to 31.
static inline void xn_nibble_codes(uint4 q, int *c) {
    c[0] = (int)(q.x & 0x0f0f0f0fu), c[1] = (int)(q.y & 0x0f0f0f0fu);
    c[2] = (int)(q.z & 0x0f0f0f0fu), c[3] = (int)(q.w & 0x0f0f0f0fu);
    c[4] = (int)(q.x >> 4 & 0x0f0f0f0fu), c[5] = (int)(q.y >> 4 & 0x0f0f0f0fu);
    c[6] = (int)(q.z >> 4 & 0x0f0f0f0fu), c[7] = (int)(q.w >> 4 & 0x0f0f0f0fu);
}
// Bits 2 s and 2 s + 1 of byte i of 8 belong to code 8 s + i: the words of two bits a byte, moved up by `up`.
static inline void xn_add_pair_codes(uint2 q, uint up, int *c) {
#pragma unroll
    for (uint s = 0; s < 4; s++) {
        c[2 * s] |= (int)((q.x >> 2 * s & 0x03030303u) << up);
        c[2 * s + 1] |= (int)((q.y >> 2 * s & 0x03030303u) << up);
    }
}
// Bit i belongs to code i: four bits become the lowest of four bytes by a product, which no carry spoils.
static inline void xn_add_bit_codes(uint bits, uint up, int *c) {
#pragma unroll
    for (uint w = 0; w < 8; w++)
        c[w] |= (int)(((bits >> 4 * w & 15u) * 0x00204081u & 0x01010101u) << up);
}
// Codes of 4 bits become those of a table.
static inline void xn_table_codes(constant char *table, int *c) {
#pragma unroll
    for (uint w = 0; w < 8; w++) {
        uint q = (uint)c[w];
        c[w] = (int)((uint)(uchar)table[q & 15] | (uint)(uchar)table[q >> 8 & 15] << 8 |
                     (uint)(uchar)table[q >> 16 & 15] << 16 | (uint)(uchar)table[q >> 24 & 15] << 24);
    }
}
// Of four magnitudes (none is 0) those negated whose sign bit is set.
static inline int xn_signed_codes(uint magnitudes, uint signs) {
    uint ones = (signs & 15u) * 0x00204081u & 0x01010101u, all = ones * 255u;
    return (int)((magnitudes ^ all) + ones);
}

#define XN_CODES(name)                                                                                                 \
    static inline void xn_codes_##name(global const uchar *row, uint units, uint u, global const uint *grids, int *c,    \
                                       float2 *scale, float2 *minimum)

XN_CODES(Q4_0) {
    float d = XN_HALF(row + XN_PLANE(16 * units), u);
    xn_nibble_codes(((global const uint4 *)row)[u], c);
    *scale = d;
    *minimum = 8 * d;
}
XN_CODES(Q4_1) {
    global const uchar *scales = row + XN_PLANE(16 * units);
    xn_nibble_codes(((global const uint4 *)row)[u], c);
    *scale = XN_HALF(scales, 2 * u);
    *minimum = -XN_HALF(scales, 2 * u + 1);
}
XN_CODES(Q5_0) {
    global const uchar *high = row + XN_PLANE(16 * units), *scales = high + XN_PLANE(4 * units);
    float d = XN_HALF(scales, u);
    xn_nibble_codes(((global const uint4 *)row)[u], c);
    xn_add_bit_codes(XN_UINT(high, u), 4, c);
    *scale = d;
    *minimum = 16 * d;
}
XN_CODES(Q5_1) {
    global const uchar *high = row + XN_PLANE(16 * units), *scales = high + XN_PLANE(4 * units);
    xn_nibble_codes(((global const uint4 *)row)[u], c);
    xn_add_bit_codes(XN_UINT(high, u), 4, c);
    *scale = XN_HALF(scales, 2 * u);
    *minimum = -XN_HALF(scales, 2 * u + 1);
}
XN_CODES(Q8_0) {
    global const uchar *second = row + XN_PLANE(16 * units);
    int4 a = ((global const int4 *)row)[u], b = ((global const int4 *)second)[u];
    c[0] = a.x, c[1] = a.y, c[2] = a.z, c[3] = a.w, c[4] = b.x, c[5] = b.y, c[6] = b.z, c[7] = b.w;
    *scale = XN_HALF(second + XN_PLANE(16 * units), u);
    *minimum = 0;
}
XN_CODES(IQ4_NL) {
    xn_nibble_codes(((global const uint4 *)row)[u], c);
    xn_table_codes(xn_iq4_values, c);
    *scale = XN_HALF(row + XN_PLANE(16 * units), u);
    *minimum = 0;
}
XN_CODES(IQ4_XS) {
    global const uchar *scales = row + XN_PLANE(16 * units), *d = scales + XN_PLANE(units);
    xn_nibble_codes(((global const uint4 *)row)[u], c);
    xn_table_codes(xn_iq4_values, c);
    *scale = XN_HALF(d, u / 8) * (float)((global const char *)scales)[u];
    *minimum = 0;
}
XN_CODES(Q2_K) {
    global const uchar *scales = row + XN_PLANE(8 * units), *d = scales + XN_PLANE(2 * units);
    uint s = XN_USHORT(scales, u);
    float a = XN_HALF(d, u / 8 * 2), m = XN_HALF(d, u / 8 * 2 + 1);
#pragma unroll
    for (uint w = 0; w < 8; w++)
        c[w] = 0;
    xn_add_pair_codes(((global const uint2 *)row)[u], 0, c);
    *scale = (float2)(a * (float)(s & 15), a * (float)(s >> 8 & 15));
    *minimum = (float2)(m * (float)(s >> 4 & 15), m * (float)(s >> 12));
}
XN_CODES(Q3_K) {
    global const uchar *high = row + XN_PLANE(8 * units), *scales = high + XN_PLANE(4 * units),
                       *d = scales + XN_PLANE(2 * units);
    char2 s = ((global const char2 *)scales)[u];
#pragma unroll
    for (uint w = 0; w < 8; w++)
        c[w] = 0;
    xn_add_pair_codes(((global const uint2 *)row)[u], 0, c);
    xn_add_bit_codes(XN_UINT(high, u), 2, c);
    *scale = XN_HALF(d, u / 8) * (float2)((float)s.x, (float)s.y);
    *minimum = 4 * *scale;
}
XN_CODES(Q4_K) {
    global const uchar *scales = row + XN_PLANE(16 * units), *d = scales + XN_PLANE(2 * units);
    uchar2 s = ((global const uchar2 *)scales)[u];
    xn_nibble_codes(((global const uint4 *)row)[u], c);
    *scale = XN_HALF(d, u / 8 * 2) * (float)s.x;
    *minimum = XN_HALF(d, u / 8 * 2 + 1) * (float)s.y;
}
XN_CODES(Q5_K) {
    global const uchar *high = row + XN_PLANE(16 * units), *scales = high + XN_PLANE(4 * units),
                       *d = scales + XN_PLANE(2 * units);
    uchar2 s = ((global const uchar2 *)scales)[u];
    xn_nibble_codes(((global const uint4 *)row)[u], c);
    xn_add_bit_codes(XN_UINT(high, u), 4, c);
    *scale = XN_HALF(d, u / 8 * 2) * (float)s.x;
    *minimum = XN_HALF(d, u / 8 * 2 + 1) * (float)s.y;
}
XN_CODES(Q6_K) {
    global const uchar *high = row + XN_PLANE(16 * units), *scales = high + XN_PLANE(8 * units),
                       *d = scales + XN_PLANE(2 * units);
    char2 s = ((global const char2 *)scales)[u];
    xn_nibble_codes(((global const uint4 *)row)[u], c);
    xn_add_pair_codes(((global const uint2 *)high)[u], 4, c);
    *scale = XN_HALF(d, u / 8) * (float2)((float)s.x, (float)s.y);
    *minimum = 32 * *scale;
}

XN_CODES(IQ2_XXS) {
    global const uchar *d = row + XN_PLANE(8 * units);
    uint2 q = ((global const uint2 *)row)[u];
#pragma unroll
    for (uint j = 0; j < 4; j++) {
        global const uint *grid = grids + XN_CL_GRID_IQ2_XXS + 2 * (q.x >> 8 * j & 255);
        uint signs = xn_signs(q.y >> 7 * j);
        c[2 * j] = xn_signed_codes(grid[0], signs);
        c[2 * j + 1] = xn_signed_codes(grid[1], signs >> 4);
    }
    *scale = XN_HALF(d, u / 8) * (0.5f + (float)(q.y >> 28)) * 0.25f;
    *minimum = 0;
}
XN_CODES(IQ2_XS) {
    global const uchar *scales = row + XN_PLANE(8 * units), *d = scales + XN_PLANE(units);
    uint s = scales[u];
#pragma unroll
    for (uint j = 0; j < 4; j++) {
        uint q = XN_USHORT(row, 4 * u + j), signs = xn_signs(q >> 9);
        global const uint *grid = grids + XN_CL_GRID_IQ2_XS + 2 * (q & 511);
        c[2 * j] = xn_signed_codes(grid[0], signs);
        c[2 * j + 1] = xn_signed_codes(grid[1], signs >> 4);
    }
    *scale = XN_HALF(d, u / 8) * 0.25f * (float2)(0.5f + (float)(s & 15), 0.5f + (float)(s >> 4));
    *minimum = 0;
}
XN_CODES(IQ2_S) {
    global const uchar *signs = row + XN_PLANE(4 * units), *high = signs + XN_PLANE(4 * units),
                       *scales = high + XN_PLANE(units), *d = scales + XN_PLANE(units);
    uint q = XN_UINT(row, u), sign = XN_UINT(signs, u), h = high[u], s = scales[u];
#pragma unroll
    for (uint j = 0; j < 4; j++) {
        global const uint *grid = grids + XN_CL_GRID_IQ2_S + 2 * ((q >> 8 * j & 255) | (h >> 2 * j & 3) << 8);
        c[2 * j] = xn_signed_codes(grid[0], sign >> 8 * j);
        c[2 * j + 1] = xn_signed_codes(grid[1], sign >> (8 * j + 4));
    }
    *scale = XN_HALF(d, u / 8) * 0.25f * (float2)(0.5f + (float)(s & 15), 0.5f + (float)(s >> 4));
    *minimum = 0;
}
XN_CODES(IQ3_XXS) {
    global const uchar *signs = row + XN_PLANE(8 * units), *d = signs + XN_PLANE(4 * units);
    uint2 q = ((global const uint2 *)row)[u];
    uint sign = XN_UINT(signs, u);
#pragma unroll
    for (uint j = 0; j < 8; j++)
        c[j] = xn_signed_codes(grids[XN_CL_GRID_IQ3_XXS + ((j < 4 ? q.x : q.y) >> 8 * (j % 4) & 255)],
                               xn_signs(sign >> 7 * (j / 2)) >> j % 2 * 4);
    *scale = XN_HALF(d, u / 8) * (0.5f + (float)(sign >> 28)) * 0.5f;
    *minimum = 0;
}
XN_CODES(IQ3_S) {
    global const uchar *signs = row + XN_PLANE(8 * units), *high = signs + XN_PLANE(4 * units),
                       *scales = high + XN_PLANE(units), *d = scales + XN_PLANE(units);
    uint2 q = ((global const uint2 *)row)[u];
    uint sign = XN_UINT(signs, u), h = high[u];
#pragma unroll
    for (uint j = 0; j < 8; j++)
        c[j] = xn_signed_codes(
            grids[XN_CL_GRID_IQ3_S + (((j < 4 ? q.x : q.y) >> 8 * (j % 4) & 255) | (h >> j & 1) << 8)], sign >> 4 * j);
    *scale = XN_HALF(d, u / 8) * (float)(1 + 2 * scales[u]);
    *minimum = 0;
}

// With unit x of a token's activations. whole: the halves have one scale and minimum.
static inline float xn_code_sum(bool whole, const int *c, float scale0, float scale1, float minimum0, float minimum1,
                                local const float *xs, uint x) {
    uint4 a = ((local const uint4 *)xs)[x], b = ((local const uint4 *)xs)[XN_CODE_UNITS + x];
    float d = xs[8 * XN_CODE_UNITS + x], first = xs[9 * XN_CODE_UNITS + x], second = xs[10 * XN_CODE_UNITS + x];
    int p = xn_dot4(xn_dot4(xn_dot4(xn_dot4(0, c[0], (int)a.x), c[1], (int)a.y), c[2], (int)a.z), c[3], (int)a.w);
    int q = xn_dot4(xn_dot4(xn_dot4(xn_dot4(whole ? p : 0, c[4], (int)b.x), c[5], (int)b.y), c[6], (int)b.z), c[7],
                    (int)b.w);
    if (whole) return d * scale0 * (float)q - minimum0 * (first + second);
    return d * (scale0 * (float)p + scale1 * (float)q) - minimum0 * first - minimum1 * second;
}
static inline float xn_float_sum(const float *v, local const float *xs, uint x) {
    local const float4 *of = (local const float4 *)xs + x;
    float s = 0;
#pragma unroll
    for (uint i = 0; i < 8; i++) {
        float4 four = of[i * XN_FLOAT_UNITS];
        s += v[4 * i] * four.x + v[4 * i + 1] * four.y + v[4 * i + 2] * four.z + v[4 * i + 3] * four.w;
    }
    return s;
}
#define XN_EACH_TOKEN(sum_of_one)                                                                                      \
    _Pragma("unroll") for (uint t = 0; t < XN_TOKENS; t++) {                                                           \
        local const float *one = xs + t * (XN_SIZE_XS / XN_TOKENS);                                                    \
        if (t < tokens) sum[t] = sum_of_one;                                                                           \
    }

#define XN_UNIT_SUMS(name)                                                                                             \
    static inline void xn_unit_sums_##name(global const uchar *row, uint units, uint u, global const uint *grids,      \
                                           local const float *xs, uint x, uint tokens, float *sum)
#define XN_BY_CODES(name, whole)                                                                                       \
    enum { XN_CODED_##name = 1 };                                                                                      \
    XN_UNIT_SUMS(name) {                                                                                               \
        int c[8];                                                                                                      \
        float2 scale, minimum;                                                                                         \
        xn_codes_##name(row, units, u, grids, c, &scale, &minimum);                                             \
        XN_EACH_TOKEN(xn_code_sum(whole, c, scale.x, scale.y, minimum.x, minimum.y, one, x))                                                   \
    }
#define XN_BY_FLOATS(name)                                                                                             \
    enum { XN_CODED_##name = 0 };                                                                                      \
    XN_UNIT_SUMS(name) {                                                                                               \
        float v[XN_CL_UNIT];                                                                                           \
        xn_decode_##name(row, units, u, grids, v);                                                                     \
        XN_EACH_TOKEN(xn_float_sum(v, one, x))                                                                         \
    }
XN_BY_CODES(Q4_0, true)
XN_BY_CODES(Q4_1, true)
XN_BY_CODES(Q5_0, true)
XN_BY_CODES(Q5_1, true)
XN_BY_CODES(Q8_0, true)
XN_BY_CODES(Q2_K, false)
XN_BY_CODES(Q3_K, false)
XN_BY_CODES(Q4_K, true)
XN_BY_CODES(Q5_K, true)
XN_BY_CODES(Q6_K, false)
XN_BY_CODES(IQ4_NL, true)
XN_BY_CODES(IQ4_XS, true)
XN_BY_CODES(IQ2_XXS, true)
XN_BY_CODES(IQ2_XS, false)
XN_BY_CODES(IQ2_S, false)
XN_BY_CODES(IQ3_XXS, true)
XN_BY_CODES(IQ3_S, true)
// Ternary formats have few weights a bit and unequal parts; what MXFP4 and NVFP4 feed are routers, which choose other
// experts where activations are rounded.
XN_BY_FLOATS(IQ1_S)
XN_BY_FLOATS(IQ1_M)
XN_BY_FLOATS(TQ1_0)
XN_BY_FLOATS(TQ2_0)
XN_BY_FLOATS(MXFP4)
XN_BY_FLOATS(NVFP4)
XN_BY_FLOATS(F32)
XN_BY_FLOATS(F16)
XN_BY_FLOATS(BF16)

// Of the formats that a program is built for.
static inline bool xn_has_codes(uint type) {
    switch (type) {
#define X(F)                                                                                                           \
    case XN_TYPE_##F:                                                                                                  \
        return XN_CODED_##F != 0;
        XN_FORMATS(X)
#undef X
    }
    return false;
}
static inline void xn_unit_sums(uint type, global const uchar *row, uint units, uint u, global const uint *grids,
                                local const float *xs, uint x, uint tokens, float *sum) {
    switch (type) {
#define X(F)                                                                                                           \
    case XN_TYPE_##F:                                                                                                  \
        xn_unit_sums_##F(row, units, u, grids, xs, x, tokens, sum);                                                    \
        break;
        XN_FORMATS(X)
#undef X
    }
}
