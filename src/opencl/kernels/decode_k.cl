// Decoders of Q2_K to Q6_K: 8 units a block of 256, two bytes of scales a unit, and the block's own numbers.

XN_DECODER(Q2_K) {
    global const uchar *scales = row + XN_PLANE(8 * units), *d = scales + XN_PLANE(2 * units);
    uint s = XN_USHORT(scales, u);
    float scale = XN_HALF(d, u / 8 * 2), minimum = XN_HALF(d, u / 8 * 2 + 1);
    xn_zero(v);
    xn_add_pairs(((global const uint2 *)row)[u], 1, v);
    xn_scale_halves(v, 0, scale * (float)(s & 15), scale * (float)(s >> 8 & 15), minimum * (float)(s >> 4 & 15),
                    minimum * (float)(s >> 12));
}

XN_DECODER(Q3_K) {
    global const uchar *high = row + XN_PLANE(8 * units), *scales = high + XN_PLANE(4 * units),
                       *d = scales + XN_PLANE(2 * units);
    char2 s = ((global const char2 *)scales)[u];
    float scale = XN_HALF(d, u / 8);
    xn_zero(v);
    xn_add_pairs(((global const uint2 *)row)[u], 1, v);
    xn_add_bits(XN_UINT(high, u), 4, v);
    xn_scale_halves(v, -4, scale * (float)s.x, scale * (float)s.y, 0, 0);
}

XN_DECODER(Q4_K) {
    global const uchar *scales = row + XN_PLANE(16 * units), *d = scales + XN_PLANE(2 * units);
    uchar2 s = ((global const uchar2 *)scales)[u];
    float scale = XN_HALF(d, u / 8 * 2) * (float)s.x, minimum = XN_HALF(d, u / 8 * 2 + 1) * (float)s.y;
    xn_nibbles(((global const uint4 *)row)[u], v);
    xn_scale_halves(v, 0, scale, scale, minimum, minimum);
}

XN_DECODER(Q5_K) {
    global const uchar *high = row + XN_PLANE(16 * units), *scales = high + XN_PLANE(4 * units),
                       *d = scales + XN_PLANE(2 * units);
    uchar2 s = ((global const uchar2 *)scales)[u];
    float scale = XN_HALF(d, u / 8 * 2) * (float)s.x, minimum = XN_HALF(d, u / 8 * 2 + 1) * (float)s.y;
    xn_nibbles(((global const uint4 *)row)[u], v);
    xn_add_bits(XN_UINT(high, u), 16, v);
    xn_scale_halves(v, 0, scale, scale, minimum, minimum);
}

XN_DECODER(Q6_K) {
    global const uchar *high = row + XN_PLANE(16 * units), *scales = high + XN_PLANE(8 * units),
                       *d = scales + XN_PLANE(2 * units);
    char2 s = ((global const char2 *)scales)[u];
    float scale = XN_HALF(d, u / 8);
    xn_nibbles(((global const uint4 *)row)[u], v);
    xn_add_pairs(((global const uint2 *)high)[u], 16, v);
    xn_scale_halves(v, -32, scale * (float)s.x, scale * (float)s.y, 0, 0);
}
