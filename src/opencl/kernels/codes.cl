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

// What a unit's codes are made of, as it is read: reading comes apart from the rest, so that many units can be on their way.
#ifndef XN_LOAD_16 // value i of an array
#define XN_LOAD_16(p, i) (((global const uint4 *)(p))[i])
#define XN_LOAD_8(p, i) (((global const uint2 *)(p))[i])
#define XN_LOAD_4(p, i) (((global const uint *)(p))[i])
#define XN_LOAD_2(p, i) ((uint)((global const ushort *)(p))[i])
#define XN_LOAD_1(p, i) ((uint)((global const uchar *)(p))[i])
#endif
struct xn_raw {
    uint4 q, p;
    uint2 h;
    uint s, d; // scales of the unit, and what they are scaled by
};
#define XN_RAW(name)                                                                                                   \
    static inline struct xn_raw xn_raw_##name(global const uchar *row, uint units, uint u) {                           \
        struct xn_raw r = {(uint4)(0, 0, 0, 0), (uint4)(0, 0, 0, 0), (uint2)(0, 0), 0, 0};
#define XN_CODES(name)                                                                                                 \
    static inline void xn_codes_of_##name(struct xn_raw r, global const uint *grids, int *c, float2 *scale,            \
                                          float2 *minimum)
#define XN_LOW_HALF(x) xn_half_bits((x) & 0xffff)
#define XN_HIGH_HALF(x) xn_half_bits((x) >> 16)
#define XN_BYTE(x, i) ((x) >> 8 * (i) & 255)
#define XN_SIGNED_BYTE(x, i) ((float)(char)((x) >> 8 * (i)))

XN_RAW(Q4_0)
        r.q = XN_LOAD_16(row, u);
        r.d = XN_LOAD_2(row + XN_PLANE(16 * units), u);
        return r;
    }
XN_CODES(Q4_0) {
    xn_nibble_codes(r.q, c);
    *scale = XN_LOW_HALF(r.d);
    *minimum = 8 * *scale;
}
XN_RAW(Q4_1)
        r.q = XN_LOAD_16(row, u);
        r.d = XN_LOAD_4(row + XN_PLANE(16 * units), u);
        return r;
    }
XN_CODES(Q4_1) {
    xn_nibble_codes(r.q, c);
    *scale = XN_LOW_HALF(r.d);
    *minimum = -XN_HIGH_HALF(r.d);
}
XN_RAW(Q5_0)
        global const uchar *high = row + XN_PLANE(16 * units), *scales = high + XN_PLANE(4 * units);
        r.q = XN_LOAD_16(row, u);
        r.h.x = XN_LOAD_4(high, u);
        r.d = XN_LOAD_2(scales, u);
        return r;
    }
XN_CODES(Q5_0) {
    xn_nibble_codes(r.q, c);
    xn_add_bit_codes(r.h.x, 4, c);
    *scale = XN_LOW_HALF(r.d);
    *minimum = 16 * *scale;
}
XN_RAW(Q5_1)
        global const uchar *high = row + XN_PLANE(16 * units), *scales = high + XN_PLANE(4 * units);
        r.q = XN_LOAD_16(row, u);
        r.h.x = XN_LOAD_4(high, u);
        r.d = XN_LOAD_4(scales, u);
        return r;
    }
XN_CODES(Q5_1) {
    xn_nibble_codes(r.q, c);
    xn_add_bit_codes(r.h.x, 4, c);
    *scale = XN_LOW_HALF(r.d);
    *minimum = -XN_HIGH_HALF(r.d);
}
XN_RAW(IQ4_NL)
        r.q = XN_LOAD_16(row, u);
        r.d = XN_LOAD_2(row + XN_PLANE(16 * units), u);
        return r;
    }
XN_CODES(IQ4_NL) {
    xn_nibble_codes(r.q, c);
    xn_table_codes(xn_iq4_values, c);
    *scale = XN_LOW_HALF(r.d);
    *minimum = 0;
}
XN_RAW(IQ4_XS)
        global const uchar *scales = row + XN_PLANE(16 * units), *d = scales + XN_PLANE(units);
        r.q = XN_LOAD_16(row, u);
        r.s = XN_LOAD_1(scales, u);
        r.d = XN_LOAD_2(d, u / 8);
        return r;
    }
XN_CODES(IQ4_XS) {
    xn_nibble_codes(r.q, c);
    xn_table_codes(xn_iq4_values, c);
    *scale = XN_LOW_HALF(r.d) * XN_SIGNED_BYTE(r.s, 0);
    *minimum = 0;
}
XN_RAW(Q2_K)
        global const uchar *scales = row + XN_PLANE(8 * units), *d = scales + XN_PLANE(2 * units);
        r.h = XN_LOAD_8(row, u);
        r.s = XN_LOAD_2(scales, u);
        r.d = XN_LOAD_4(d, u / 8);
        return r;
    }
XN_CODES(Q2_K) {
    float a = XN_LOW_HALF(r.d), m = XN_HIGH_HALF(r.d);
    #pragma unroll
    for (uint w = 0; w < 8; w++)
        c[w] = 0;
    xn_add_pair_codes(r.h, 0, c);
    *scale = (float2)(a * (float)(r.s & 15), a * (float)(r.s >> 8 & 15));
    *minimum = (float2)(m * (float)(r.s >> 4 & 15), m * (float)(r.s >> 12));
}
XN_RAW(Q3_K)
        global const uchar *high = row + XN_PLANE(8 * units), *scales = high + XN_PLANE(4 * units),
                           *d = scales + XN_PLANE(2 * units);
        r.h = XN_LOAD_8(row, u);
        r.q.x = XN_LOAD_4(high, u);
        r.s = XN_LOAD_2(scales, u);
        r.d = XN_LOAD_2(d, u / 8);
        return r;
    }
XN_CODES(Q3_K) {
    #pragma unroll
    for (uint w = 0; w < 8; w++)
        c[w] = 0;
    xn_add_pair_codes(r.h, 0, c);
    xn_add_bit_codes(r.q.x, 2, c);
    *scale = XN_LOW_HALF(r.d) * (float2)(XN_SIGNED_BYTE(r.s, 0), XN_SIGNED_BYTE(r.s, 1));
    *minimum = 4 * *scale;
}
XN_RAW(Q4_K)
        global const uchar *scales = row + XN_PLANE(16 * units), *d = scales + XN_PLANE(2 * units);
        r.q = XN_LOAD_16(row, u);
        r.s = XN_LOAD_2(scales, u);
        r.d = XN_LOAD_4(d, u / 8);
        return r;
    }
XN_CODES(Q4_K) {
    xn_nibble_codes(r.q, c);
    *scale = XN_LOW_HALF(r.d) * (float)XN_BYTE(r.s, 0);
    *minimum = XN_HIGH_HALF(r.d) * (float)XN_BYTE(r.s, 1);
}
XN_RAW(Q5_K)
        global const uchar *high = row + XN_PLANE(16 * units), *scales = high + XN_PLANE(4 * units),
                           *d = scales + XN_PLANE(2 * units);
        r.q = XN_LOAD_16(row, u);
        r.h.x = XN_LOAD_4(high, u);
        r.s = XN_LOAD_2(scales, u);
        r.d = XN_LOAD_4(d, u / 8);
        return r;
    }
XN_CODES(Q5_K) {
    xn_nibble_codes(r.q, c);
    xn_add_bit_codes(r.h.x, 4, c);
    *scale = XN_LOW_HALF(r.d) * (float)XN_BYTE(r.s, 0);
    *minimum = XN_HIGH_HALF(r.d) * (float)XN_BYTE(r.s, 1);
}
XN_RAW(Q6_K)
        global const uchar *high = row + XN_PLANE(16 * units), *scales = high + XN_PLANE(8 * units),
                           *d = scales + XN_PLANE(2 * units);
        r.q = XN_LOAD_16(row, u);
        r.h = XN_LOAD_8(high, u);
        r.s = XN_LOAD_2(scales, u);
        r.d = XN_LOAD_2(d, u / 8);
        return r;
    }
XN_CODES(Q6_K) {
    xn_nibble_codes(r.q, c);
    xn_add_pair_codes(r.h, 4, c);
    *scale = XN_LOW_HALF(r.d) * (float2)(XN_SIGNED_BYTE(r.s, 0), XN_SIGNED_BYTE(r.s, 1));
    *minimum = 32 * *scale;
}
XN_RAW(IQ2_XXS)
        r.h = XN_LOAD_8(row, u);
        r.d = XN_LOAD_2(row + XN_PLANE(8 * units), u / 8);
        return r;
    }
XN_CODES(IQ2_XXS) {
    #pragma unroll
    for (uint j = 0; j < 4; j++) {
        global const uint *grid = grids + XN_CL_GRID_IQ2_XXS + 2 * (r.h.x >> 8 * j & 255);
        uint signs = xn_signs(r.h.y >> 7 * j);
        c[2 * j] = xn_signed_codes(grid[0], signs);
        c[2 * j + 1] = xn_signed_codes(grid[1], signs >> 4);
    }
    *scale = XN_LOW_HALF(r.d) * (0.5f + (float)(r.h.y >> 28)) * 0.25f;
    *minimum = 0;
}
XN_RAW(IQ2_XS)
        global const uchar *scales = row + XN_PLANE(8 * units), *d = scales + XN_PLANE(units);
        r.h = XN_LOAD_8(row, u);
        r.s = XN_LOAD_1(scales, u);
        r.d = XN_LOAD_2(d, u / 8);
        return r;
    }
XN_CODES(IQ2_XS) {
    #pragma unroll
    for (uint j = 0; j < 4; j++) {
        uint q = (j < 2 ? r.h.x : r.h.y) >> 16 * (j % 2) & 0xffff, signs = xn_signs(q >> 9);
        global const uint *grid = grids + XN_CL_GRID_IQ2_XS + 2 * (q & 511);
        c[2 * j] = xn_signed_codes(grid[0], signs);
        c[2 * j + 1] = xn_signed_codes(grid[1], signs >> 4);
    }
    *scale = XN_LOW_HALF(r.d) * 0.25f * (float2)(0.5f + (float)(r.s & 15), 0.5f + (float)(r.s >> 4));
    *minimum = 0;
}
XN_RAW(IQ2_S)
        global const uchar *signs = row + XN_PLANE(4 * units), *high = signs + XN_PLANE(4 * units),
                           *scales = high + XN_PLANE(units), *d = scales + XN_PLANE(units);
        r.q = (uint4)(XN_LOAD_4(row, u), XN_LOAD_4(signs, u), XN_LOAD_1(high, u), 0);
        r.s = XN_LOAD_1(scales, u);
        r.d = XN_LOAD_2(d, u / 8);
        return r;
    }
XN_CODES(IQ2_S) {
    #pragma unroll
    for (uint j = 0; j < 4; j++) {
        global const uint *grid = grids + XN_CL_GRID_IQ2_S + 2 * ((r.q.x >> 8 * j & 255) | (r.q.z >> 2 * j & 3) << 8);
        c[2 * j] = xn_signed_codes(grid[0], r.q.y >> 8 * j);
        c[2 * j + 1] = xn_signed_codes(grid[1], r.q.y >> (8 * j + 4));
    }
    *scale = XN_LOW_HALF(r.d) * 0.25f * (float2)(0.5f + (float)(r.s & 15), 0.5f + (float)(r.s >> 4));
    *minimum = 0;
}
XN_RAW(IQ3_XXS)
        global const uchar *signs = row + XN_PLANE(8 * units), *d = signs + XN_PLANE(4 * units);
        r.h = XN_LOAD_8(row, u);
        r.s = XN_LOAD_4(signs, u);
        r.d = XN_LOAD_2(d, u / 8);
        return r;
    }
XN_CODES(IQ3_XXS) {
    #pragma unroll
    for (uint j = 0; j < 8; j++)
        c[j] = xn_signed_codes(grids[XN_CL_GRID_IQ3_XXS + ((j < 4 ? r.h.x : r.h.y) >> 8 * (j % 4) & 255)],
                               xn_signs(r.s >> 7 * (j / 2)) >> j % 2 * 4);
    *scale = XN_LOW_HALF(r.d) * (0.5f + (float)(r.s >> 28)) * 0.5f;
    *minimum = 0;
}
XN_RAW(IQ3_S)
        global const uchar *signs = row + XN_PLANE(8 * units), *high = signs + XN_PLANE(4 * units),
                           *scales = high + XN_PLANE(units), *d = scales + XN_PLANE(units);
        r.h = XN_LOAD_8(row, u);
        r.q = (uint4)(XN_LOAD_4(signs, u), XN_LOAD_1(high, u), 0, 0);
        r.s = XN_LOAD_1(scales, u);
        r.d = XN_LOAD_2(d, u / 8);
        return r;
    }
XN_CODES(IQ3_S) {
    #pragma unroll
    for (uint j = 0; j < 8; j++)
        c[j] = xn_signed_codes(
            grids[XN_CL_GRID_IQ3_S + (((j < 4 ? r.h.x : r.h.y) >> 8 * (j % 4) & 255) | (r.q.y >> j & 1) << 8)],
            r.q.x >> 4 * j);
    *scale = XN_LOW_HALF(r.d) * (float)(1 + 2 * r.s);
    *minimum = 0;
}
XN_RAW(Q8_0)
        global const uchar *second = row + XN_PLANE(16 * units);
        r.q = XN_LOAD_16(row, u);
        r.p = XN_LOAD_16(second, u);
        r.d = XN_LOAD_2(second + XN_PLANE(16 * units), u);
        return r;
    }
XN_CODES(Q8_0) {
    c[0] = (int)r.q.x, c[1] = (int)r.q.y, c[2] = (int)r.q.z, c[3] = (int)r.q.w;
    c[4] = (int)r.p.x, c[5] = (int)r.p.y, c[6] = (int)r.p.z, c[7] = (int)r.p.w;
    *scale = XN_LOW_HALF(r.d);
    *minimum = 0;
}

// Which formats have codes, and whether both halves of a unit have one scale and minimum.
#define XN_CODED(name, whole)                                                                                          \
    enum { XN_CODED_##name = 1, XN_WHOLE_##name = whole };                                                             \
    static inline void xn_codes_##name(global const uchar *row, uint units, uint u, global const uint *grids, int *c,    \
                                       float2 *scale, float2 *minimum) {                                               \
        xn_codes_of_##name(xn_raw_##name(row, units, u), grids, c, scale, minimum);                                    \
    }
XN_CODED(Q4_0, 1)
XN_CODED(Q4_1, 1)
XN_CODED(Q5_0, 1)
XN_CODED(Q5_1, 1)
XN_CODED(Q8_0, 1)
XN_CODED(Q2_K, 0)
XN_CODED(Q3_K, 0)
XN_CODED(Q4_K, 1)
XN_CODED(Q5_K, 1)
XN_CODED(Q6_K, 0)
XN_CODED(IQ4_NL, 1)
XN_CODED(IQ4_XS, 1)
XN_CODED(IQ2_XXS, 1)
XN_CODED(IQ2_XS, 0)
XN_CODED(IQ2_S, 0)
XN_CODED(IQ3_XXS, 1)
XN_CODED(IQ3_S, 1)
// Ternary formats have few weights a bit and unequal parts; what MXFP4 and NVFP4 feed are routers, which choose other
// experts where activations are rounded.
enum {
    XN_CODED_IQ1_S = 0, XN_CODED_IQ1_M = 0, XN_CODED_TQ1_0 = 0, XN_CODED_TQ2_0 = 0, XN_CODED_MXFP4 = 0,
    XN_CODED_NVFP4 = 0, XN_CODED_F32 = 0, XN_CODED_F16 = 0, XN_CODED_BF16 = 0
};

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

// A unit's values with unit x of a token's activations.
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
