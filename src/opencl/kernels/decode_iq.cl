// Decoders of the IQ formats: places in a grid of small vectors (IQ1, IQ2, IQ3), or in a curved scale (IQ4).

// Value of IQ4_NL and IQ4_XS: -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113.
constant char xn_iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

static inline void xn_curved(float *v, float scale) {
#pragma unroll
    for (int i = 0; i < 32; i++)
        v[i] = scale * (float)xn_iq4_values[(uint)v[i]];
}

XN_DECODER(IQ4_NL) {
    float d = XN_HALF(row + XN_PLANE(16 * units), u);
    xn_nibbles(((global const uint4 *)row)[u], v);
    xn_curved(v, d);
}

XN_DECODER(IQ4_XS) {
    global const uchar *scales = row + XN_PLANE(16 * units), *d = scales + XN_PLANE(units);
    float scale = XN_HALF(d, u / 8) * (float)((global const char *)scales)[u];
    xn_nibbles(((global const uint4 *)row)[u], v);
    xn_curved(v, scale);
}

// Seven sign bits stand for eight: their number is even.
static inline uint xn_signs(uint seven) {
    seven &= 127;
    return seven | (popcount(seven) & 1u) << 7;
}
// Four magnitudes from the bytes of a word, negated where their sign bit is set.
static inline void xn_spread(uint grid, uint signs, float scale, float *v) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
        float x = scale * (float)(grid >> 8 * i & 255u);
        v[i] = signs >> i & 1 ? -x : x;
    }
}
static inline void xn_spread8(global const uint *grid, uint place, uint signs, float scale, float *v) {
    xn_spread(grid[2 * place], signs, scale, v);
    xn_spread(grid[2 * place + 1], signs >> 4, scale, v + 4);
}

XN_DECODER(IQ2_XXS) {
    global const uchar *d = row + XN_PLANE(8 * units);
    uint2 q = ((global const uint2 *)row)[u];
    float scale = XN_HALF(d, u / 8) * (0.5f + (float)(q.y >> 28)) * 0.25f;
#pragma unroll
    for (int j = 0; j < 4; j++)
        xn_spread8(grids + XN_CL_GRID_IQ2_XXS, q.x >> 8 * j & 255, xn_signs(q.y >> 7 * j), scale, v + 8 * j);
}

XN_DECODER(IQ2_XS) {
    global const uchar *scales = row + XN_PLANE(8 * units), *d = scales + XN_PLANE(units);
    uint s = scales[u];
    float block = XN_HALF(d, u / 8);
#pragma unroll
    for (int j = 0; j < 4; j++) {
        uint q = XN_USHORT(row, 4 * u + j);
        float scale = block * (0.5f + (float)(s >> j / 2 * 4 & 15)) * 0.25f;
        xn_spread8(grids + XN_CL_GRID_IQ2_XS, q & 511, xn_signs(q >> 9), scale, v + 8 * j);
    }
}

XN_DECODER(IQ2_S) {
    global const uchar *signs = row + XN_PLANE(4 * units), *high = signs + XN_PLANE(4 * units),
                       *scales = high + XN_PLANE(units), *d = scales + XN_PLANE(units);
    uint q = XN_UINT(row, u), sign = XN_UINT(signs, u), h = high[u], s = scales[u];
    float block = XN_HALF(d, u / 8);
#pragma unroll
    for (int j = 0; j < 4; j++) {
        float scale = block * (0.5f + (float)(s >> j / 2 * 4 & 15)) * 0.25f;
        xn_spread8(grids + XN_CL_GRID_IQ2_S, (q >> 8 * j & 255) | (h >> 2 * j & 3) << 8, sign >> 8 * j & 255, scale,
                   v + 8 * j);
    }
}

XN_DECODER(IQ3_XXS) {
    global const uchar *signs = row + XN_PLANE(8 * units), *d = signs + XN_PLANE(4 * units);
    uint2 q = ((global const uint2 *)row)[u];
    uint sign = XN_UINT(signs, u);
    float scale = XN_HALF(d, u / 8) * (0.5f + (float)(sign >> 28)) * 0.5f;
#pragma unroll
    for (int j = 0; j < 8; j++)
        xn_spread(grids[XN_CL_GRID_IQ3_XXS + ((j < 4 ? q.x : q.y) >> 8 * (j % 4) & 255)],
                  xn_signs(sign >> 7 * (j / 2)) >> j % 2 * 4, scale, v + 4 * j);
}

XN_DECODER(IQ3_S) {
    global const uchar *signs = row + XN_PLANE(8 * units), *high = signs + XN_PLANE(4 * units),
                       *scales = high + XN_PLANE(units), *d = scales + XN_PLANE(units);
    uint2 q = ((global const uint2 *)row)[u];
    uint sign = XN_UINT(signs, u), h = high[u];
    float scale = XN_HALF(d, u / 8) * (float)(1 + 2 * scales[u]);
#pragma unroll
    for (int j = 0; j < 8; j++)
        xn_spread(grids[XN_CL_GRID_IQ3_S + (((j < 4 ? q.x : q.y) >> 8 * (j % 4) & 255) | (h >> j & 1) << 8)],
                  sign >> 4 * j, scale, v + 4 * j);
}

// Eight values of -1, 0 or 1, moved by delta.
static inline void xn_spread_ternary(global const uint *grid, uint place, float delta, float scale, float *v) {
#pragma unroll
    for (int i = 0; i < 8; i++)
        v[i] = scale * ((float)(char)(grid[2 * place + i / 4] >> 8 * (i % 4) & 255u) + delta);
}

XN_DECODER(IQ1_S) {
    global const uchar *high = row + XN_PLANE(4 * units), *d = high + XN_PLANE(2 * units);
    uint q = XN_UINT(row, u), h = XN_USHORT(high, u);
    float scale = XN_HALF(d, u / 8) * (float)(2 * (h >> 12 & 7) + 1), delta = h & 0x8000 ? -0.125f : 0.125f;
#pragma unroll
    for (int j = 0; j < 4; j++)
        xn_spread_ternary(grids + XN_CL_GRID_IQ1, (q >> 8 * j & 255) | (h >> 3 * j & 7) << 8, delta, scale, v + 8 * j);
}

XN_DECODER(IQ1_M) {
    global const uchar *high = row + XN_PLANE(4 * units), *scales = high + XN_PLANE(2 * units),
                       *d = scales + XN_PLANE(units);
    uint q = XN_UINT(row, u), h = XN_USHORT(high, u), s = scales[u];
    float block = XN_HALF(d, u / 8);
#pragma unroll
    for (int j = 0; j < 4; j++) {
        uint four = h >> 4 * j & 15;
        float scale = block * (float)(2 * (s >> j / 2 * 4 & 7) + 1), delta = four & 8 ? -0.125f : 0.125f;
        xn_spread_ternary(grids + XN_CL_GRID_IQ1, (q >> 8 * j & 255) | (four & 7) << 8, delta, scale, v + 8 * j);
    }
}
