// Decoders, one a format: unit u (32 values) of a packed row of `units` into v; a row is a piece of the weights, as it
// lies in memory (struct xn_weights_row), packed by opencl/layout.c: planes one after the other, each beginning at a
// multiple of 16 bytes, bits apart from scales, so that neighbouring lanes read neighbouring words.
//
// Codes of 4 bits: byte i of a unit's 16 holds value i in its low half and value 16 + i in its high half. Codes of 2 bits:
// bits 2s of byte i of 8 hold value 8 s + i. A word of single bits: bit i belongs to value i.
#define XN_DECODER(name)                                                                                               \
    static inline void xn_decode_##name(global const uchar *row, uint units, uint u, global const uint *grids, float *v)
#define XN_PLANE(bytes) (((bytes) + 15u) & ~15u)

#define XN_HALF(plane, i) xn_load_half((plane) + 2 * (i))
#define XN_USHORT(plane, i) (((global const ushort *)(plane))[i])
#define XN_UINT(plane, i) (((global const uint *)(plane))[i])

static inline void xn_nibbles(uint4 q, float *v) {
    uint w[4] = {q.x, q.y, q.z, q.w};
#pragma unroll
    for (int j = 0; j < 4; j++)
#pragma unroll
        for (int b = 0; b < 4; b++) {
            v[4 * j + b] = (float)(w[j] >> 8 * b & 15u);
            v[16 + 4 * j + b] = (float)(w[j] >> (8 * b + 4) & 15u);
        }
}
// Adds bit i of `bits`, worth `worth`, to value i.
static inline void xn_add_bits(uint bits, float worth, float *v) {
#pragma unroll
    for (int i = 0; i < 32; i++)
        v[i] += worth * (float)(bits >> i & 1u);
}
// Adds codes of 2 bits, each worth `worth`, to what is there.
static inline void xn_add_pairs(uint2 q, float worth, float *v) {
    uint w[2] = {q.x, q.y};
#pragma unroll
    for (int s = 0; s < 4; s++)
#pragma unroll
        for (int i = 0; i < 8; i++)
            v[8 * s + i] += worth * (float)(w[i / 4] >> (8 * (i % 4) + 2 * s) & 3u);
}
static inline void xn_zero(float *v) {
#pragma unroll
    for (int i = 0; i < 32; i++)
        v[i] = 0;
}
// v = scale[i / 16] * (v + offset) - minimum[i / 16]
static inline void xn_scale_halves(float *v, float offset, float scale0, float scale1, float minimum0, float minimum1) {
#pragma unroll
    for (int i = 0; i < 16; i++) {
        v[i] = scale0 * (v[i] + offset) - minimum0;
        v[16 + i] = scale1 * (v[16 + i] + offset) - minimum1;
    }
}

XN_DECODER(F32) {
    global const float4 *x = (global const float4 *)row + 8 * u;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        float4 y = x[i];
        v[4 * i] = y.x, v[4 * i + 1] = y.y, v[4 * i + 2] = y.z, v[4 * i + 3] = y.w;
    }
}

// 16-bit values: 8 of a unit in each of four planes.
XN_DECODER(F16) {
#pragma unroll
    for (uint p = 0; p < 4; p++) {
        uint4 q = ((global const uint4 *)(row + p * XN_PLANE(16 * units)))[u];
        uint w[4] = {q.x, q.y, q.z, q.w};
#pragma unroll
        for (uint i = 0; i < 4; i++) {
            v[8 * p + 2 * i] = xn_half_bits(w[i] & 0xffffu);
            v[8 * p + 2 * i + 1] = xn_half_bits(w[i] >> 16);
        }
    }
}

XN_DECODER(BF16) {
#pragma unroll
    for (uint p = 0; p < 4; p++) {
        uint4 q = ((global const uint4 *)(row + p * XN_PLANE(16 * units)))[u];
        uint w[4] = {q.x, q.y, q.z, q.w};
#pragma unroll
        for (uint i = 0; i < 4; i++) {
            v[8 * p + 2 * i] = as_float(w[i] << 16);
            v[8 * p + 2 * i + 1] = as_float(w[i] & 0xffff0000u);
        }
    }
}

XN_DECODER(Q8_0) {
    global const uchar *second = row + XN_PLANE(16 * units);
    float d = XN_HALF(second + XN_PLANE(16 * units), u);
#pragma unroll
    for (uint p = 0; p < 2; p++) {
        global const char4 *q = (global const char4 *)(p ? second : row) + 4 * u;
#pragma unroll
        for (uint i = 0; i < 4; i++) {
            char4 four = q[i];
            v[16 * p + 4 * i] = d * (float)four.x;
            v[16 * p + 4 * i + 1] = d * (float)four.y;
            v[16 * p + 4 * i + 2] = d * (float)four.z;
            v[16 * p + 4 * i + 3] = d * (float)four.w;
        }
    }
}

XN_DECODER(Q4_0) {
    float d = XN_HALF(row + XN_PLANE(16 * units), u);
    xn_nibbles(((global const uint4 *)row)[u], v);
    xn_scale_halves(v, -8, d, d, 0, 0);
}

XN_DECODER(Q4_1) {
    global const uchar *scales = row + XN_PLANE(16 * units);
    float d = XN_HALF(scales, 2 * u), m = XN_HALF(scales, 2 * u + 1);
    xn_nibbles(((global const uint4 *)row)[u], v);
    xn_scale_halves(v, 0, d, d, -m, -m);
}

XN_DECODER(Q5_0) {
    global const uchar *high = row + XN_PLANE(16 * units), *scales = high + XN_PLANE(4 * units);
    float d = XN_HALF(scales, u);
    xn_nibbles(((global const uint4 *)row)[u], v);
    xn_add_bits(XN_UINT(high, u), 16, v);
    xn_scale_halves(v, -16, d, d, 0, 0);
}

XN_DECODER(Q5_1) {
    global const uchar *high = row + XN_PLANE(16 * units), *scales = high + XN_PLANE(4 * units);
    float d = XN_HALF(scales, 2 * u), m = XN_HALF(scales, 2 * u + 1);
    xn_nibbles(((global const uint4 *)row)[u], v);
    xn_add_bits(XN_UINT(high, u), 16, v);
    xn_scale_halves(v, 0, d, d, -m, -m);
}

// Twice the E2M1 numbers in the low nibbles of bytes 0 and 2: a float16 of the same sign, exponent and mantissa is 2^-14 of
// each.
static inline float2 xn_e2m1_pair(uint q) {
    return 0x1p15f * xn_half_pair((q & 0x00070007u) << 9 | (q & 0x00080008u) << 12);
}
static inline void xn_e2m1_nibbles(uint4 q, float *v) {
    uint w[4] = {q.x, q.y, q.z, q.w};
#pragma unroll
    for (int j = 0; j < 4; j++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            float2 two = xn_e2m1_pair(w[j] >> 4 * i);
            v[16 * (i % 2) + 4 * j + i / 2] = two.x;
            v[16 * (i % 2) + 4 * j + i / 2 + 2] = two.y;
        }
}

XN_DECODER(MXFP4) {
    uint e = (row + XN_PLANE(16 * units))[u];
    float d = as_float(e < 2 ? 0x00200000u << e : (e - 1) << 23);
    xn_e2m1_nibbles(((global const uint4 *)row)[u], v);
#pragma unroll
    for (int i = 0; i < 32; i++)
        v[i] *= d;
}

// Half of the unsigned E4M3 number; its NaN counts as 0.
static inline float xn_ue4m3_half(uint e) {
    uint exponent = e >> 3 & 15, mantissa = e & 7;
    if (e == 0x7f) return 0;
    if (exponent == 0) return (float)mantissa * 0x1p-10f;
    return as_float((exponent + 119) << 23 | mantissa << 20);
}

XN_DECODER(NVFP4) {
    uint scales = XN_USHORT(row + XN_PLANE(16 * units), u);
    float d0 = xn_ue4m3_half(scales & 255), d1 = xn_ue4m3_half(scales >> 8);
    xn_e2m1_nibbles(((global const uint4 *)row)[u], v);
#pragma unroll
    for (int i = 0; i < 16; i++) {
        v[i] *= d0;
        v[16 + i] *= d1;
    }
}

XN_DECODER(TQ2_0) {
    float d = XN_HALF(row + XN_PLANE(8 * units), u / 8);
    xn_zero(v);
    xn_add_pairs(((global const uint2 *)row)[u], 1, v);
    xn_scale_halves(v, -1, d, d, 0, 0);
}

// As the file has it, 52 bytes for 256 values: a byte is a fraction of 256 in base 3, whose digit k is the whole part of
// three times it, after k multiplications by 3 modulo 256.
XN_DECODER(TQ1_0) {
    global const uchar *bytes = row + 52 * (u / 8);
    float d = XN_HALF(row + XN_PLANE(52 * (units / 8)), u / 8);
    uint g = u % 8;
    for (uint i = 0; i < 32; i++) {
        uint byte, digit;
        if (g < 5) {
            byte = i;
            digit = g;
        } else if (g < 7 || i < 16) {
            byte = 32 + i % 16;
            digit = 2 * (g - 5) + i / 16;
        } else {
            byte = 48 + i % 4;
            digit = (i - 16) / 4;
        }
        uint q = bytes[byte];
        for (uint k = 0; k < digit; k++)
            q = q * 3 & 255;
        v[i] = d * (float)((int)(q * 3 >> 8) - 1);
    }
}
