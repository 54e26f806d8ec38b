// The sums of few.cl, whose compiler knows what the lanes of a warp have in common: each warp takes runs of units
// of a row, so that where the row and its planes begin and how far the run goes is computed once for all lanes, and
// neighbouring lanes take neighbouring pairs of units, whose scales and activations are read together. A lane's sum
// stays in a register until the run or the row ends.
//
// Lanes behind the end of a row read what follows there (XN_CL_SLACK), and what they make of it is left out.

// Two neighbouring units: the codes of both, scale and minimum of the halves of each.
struct xn_pair {
    int c[16];
    float2 scale[2], minimum[2];
};

// --- pairs of each format ---
//
// base: the unit of lane 0; lane i has units base + 2 i and the one behind it.
#define XN_PAIR(name)                                                                                                  \
    static inline void xn_pair_##name(global const uchar *row, uint units, uint base, global const uint *grids,        \
                                      struct xn_pair *p)
#define XN_PAIR_OF_UNITS(name)                                                                                         \
    XN_PAIR(name) {                                                                                                    \
        uint u = base + 2 * xn_lane();                                                                                 \
        xn_codes_##name(row, units, u, grids, p->c, &p->scale[0], &p->minimum[0]);                                     \
        xn_codes_##name(row, units, u + 1, grids, p->c + 8, &p->scale[1], &p->minimum[1]);                             \
    }
XN_PAIR_OF_UNITS(Q5_0)
XN_PAIR_OF_UNITS(Q5_1)
XN_PAIR_OF_UNITS(Q8_0)
XN_PAIR_OF_UNITS(Q2_K)
XN_PAIR_OF_UNITS(Q3_K)
XN_PAIR_OF_UNITS(IQ4_NL)
XN_PAIR_OF_UNITS(IQ4_XS)
XN_PAIR_OF_UNITS(IQ2_XXS)
XN_PAIR_OF_UNITS(IQ2_XS)
XN_PAIR_OF_UNITS(IQ2_S)
XN_PAIR_OF_UNITS(IQ3_XXS)
XN_PAIR_OF_UNITS(IQ3_S)

// Codes of nibbles whose high halves stand where they are, 16 times as large (xn_nibble_sum).
static inline void xn_high_nibble_codes(uint4 q, int *c) {
    c[0] = (int)(q.x & 0x0f0f0f0fu), c[1] = (int)(q.y & 0x0f0f0f0fu);
    c[2] = (int)(q.z & 0x0f0f0f0fu), c[3] = (int)(q.w & 0x0f0f0f0fu);
    c[4] = (int)(q.x & 0xf0f0f0f0u), c[5] = (int)(q.y & 0xf0f0f0f0u);
    c[6] = (int)(q.z & 0xf0f0f0f0u), c[7] = (int)(q.w & 0xf0f0f0f0u);
}
static inline void xn_pair_nibbles(global const uchar *row, uint base, struct xn_pair *p) {
    global const uint4 *q = (global const uint4 *)row + base + 2 * xn_lane();
    xn_high_nibble_codes(q[0], p->c);
    xn_high_nibble_codes(q[1], p->c + 8);
}
XN_PAIR(Q4_0) {
    global const uchar *d = row + XN_PLANE(16 * units);
    xn_pair_nibbles(row, base, p);
    for (uint j = 0; j < 2; j++) {
        float a = XN_HALF(d, base + 2 * xn_lane() + j);
        p->scale[j] = 0.0625f * a;
        p->minimum[j] = 8 * a;
    }
}
XN_PAIR(Q4_1) {
    global const uchar *d = row + XN_PLANE(16 * units);
    xn_pair_nibbles(row, base, p);
    for (uint j = 0; j < 2; j++) {
        uint u = base + 2 * xn_lane() + j;
        p->scale[j] = 0.0625f * XN_HALF(d, 2 * u);
        p->minimum[j] = -XN_HALF(d, 2 * u + 1);
    }
}

// Scales of Q4_K and Q5_K: two bytes a unit, and two numbers for the 8 units of a block, of which four lanes share one.
static inline void xn_pair_scales(global const uchar *scales, global const uchar *d, uint base, float times,
                                  struct xn_pair *p) {
    uint s = xn_warp_uint(scales + 2 * base);
    float2 two = xn_half_pair(xn_warp_quarter(d + base / 2));
    float a = times * two.x;
    p->scale[0] = a * (float)(s & 255u);
    p->minimum[0] = two.y * (float)(s >> 8 & 255u);
    p->scale[1] = a * (float)(s >> 16 & 255u);
    p->minimum[1] = two.y * (float)(s >> 24);
}
XN_PAIR(Q4_K) {
    global const uchar *scales = row + XN_PLANE(16 * units), *d = scales + XN_PLANE(2 * units);
    xn_pair_nibbles(row, base, p);
    xn_pair_scales(scales, d, base, 0.0625f, p);
}
XN_PAIR(Q5_K) {
    global const uchar *high = row + XN_PLANE(16 * units), *scales = high + XN_PLANE(4 * units),
                       *d = scales + XN_PLANE(2 * units);
    global const uint4 *q = (global const uint4 *)row + base + 2 * xn_lane();
    global const uint *h = (global const uint *)high + base + 2 * xn_lane();
    xn_pair_scales(scales, d, base, 1, p);
    xn_nibble_codes(q[0], p->c);
    xn_nibble_codes(q[1], p->c + 8);
    xn_add_bit_codes(h[0], 4, p->c);
    xn_add_bit_codes(h[1], 4, p->c + 8);
}
XN_PAIR(Q6_K) {
    global const uchar *high = row + XN_PLANE(16 * units), *scales = high + XN_PLANE(8 * units),
                       *d = scales + XN_PLANE(2 * units);
    global const uint4 *q = (global const uint4 *)row + base + 2 * xn_lane();
    uint4 h = vload4(0, (global const uint *)high + 2 * base + 4 * xn_lane());
    char4 s = as_char4(xn_warp_uint(scales + 2 * base));
    float a = XN_HALF(d, base / 8 + xn_lane() / 4);
    xn_nibble_codes(q[0], p->c);
    xn_nibble_codes(q[1], p->c + 8);
    xn_add_pair_codes(h.xy, 4, p->c);
    xn_add_pair_codes(h.zw, 4, p->c + 8);
    p->scale[0] = a * (float2)((float)s.x, (float)s.y);
    p->scale[1] = a * (float2)((float)s.z, (float)s.w);
    p->minimum[0] = 32 * p->scale[0];
    p->minimum[1] = 32 * p->scale[1];
}

// --- a pair with one token's activations: units x and x + 1 of them ---

// The 16 codes of half a unit with as many of the activations, onto `sum`.
static inline int xn_half_dot(const int *c, uint4 b, int sum) {
    return xn_dot4(xn_dot4(xn_dot4(xn_dot4(sum, c[0], (int)b.x), c[1], (int)b.y), c[2], (int)b.z), c[3], (int)b.w);
}
// The same of codes without a sign.
static inline int xn_half_dot_us(const int *c, uint4 b, int sum) {
    return xn_dot4_us(xn_dot4_us(xn_dot4_us(xn_dot4_us(sum, c[0], (int)b.x), c[1], (int)b.y), c[2], (int)b.z), c[3],
                      (int)b.w);
}

// WAY is one of these; unit j of the pair, f and g: the halves of its activations, d: their scale, h: their sums.
#define XN_WAY_NIBBLES(p, j, f, g, d, h)                                                                               \
    ((d)*p->scale[j].x * (float)xn_half_dot_us(p->c + 8 * j + 4, g, xn_half_dot_us(p->c + 8 * j, f, 0) << 4) -         \
     p->minimum[j].x * ((h).x + (h).y))
#define XN_WAY_WHOLE(p, j, f, g, d, h)                                                                                 \
    ((d)*p->scale[j].x * (float)xn_half_dot(p->c + 8 * j + 4, g, xn_half_dot(p->c + 8 * j, f, 0)) -                    \
     p->minimum[j].x * ((h).x + (h).y))
#define XN_WAY_HALVES(p, j, f, g, d, h)                                                                                \
    ((d) * (p->scale[j].x * (float)xn_half_dot(p->c + 8 * j, f, 0) +                                                   \
            p->scale[j].y * (float)xn_half_dot(p->c + 8 * j + 4, g, 0)) -                                              \
     p->minimum[j].x * (h).x - p->minimum[j].y * (h).y)

// Of `left` units of the row that are left, at most two count.
#define XN_PAIR_SUM(name, WAY, even)                                                                                   \
    static inline float xn_pair_sum_##name(const struct xn_pair *p, local const float *xs, uint x, int left) {         \
        local const uint4 *b = (local const uint4 *)xs + x;                                                            \
        float2 d = vload2(0, xs + 8 * XN_CODE_UNITS + x);                                                              \
        float4 h = vload4(0, xs + XN_AT_HALF_SUM(x, 0));                                                               \
        float first = WAY(p, 0, b[0], b[XN_CODE_UNITS], d.x, h.xy);                                                    \
        float second = WAY(p, 1, b[1], b[XN_CODE_UNITS + 1], d.y, h.zw);                                               \
        return even ? (left > 0 ? first + second : 0) : (left > 0 ? first : 0) + (left > 1 ? second : 0);              \
    }

// --- runs ---

// Tokens one by one, so that a sum of each has its register.
#ifdef XN_ONE
#define XN_FOR_TOKENS(statement)                                                                                       \
    {                                                                                                                  \
        const uint t = 0;                                                                                              \
        statement;                                                                                                     \
    }
#else
#define XN_TOKEN(i, statement)                                                                                         \
    if (i < tokens) {                                                                                                  \
        const uint t = i;                                                                                              \
        statement;                                                                                                     \
    }
#define XN_FOR_TOKENS(statement)                                                                                       \
    XN_TOKEN(0, statement)                                                                                             \
    XN_TOKEN(1, statement)                                                                                             \
    XN_TOKEN(2, statement)                                                                                             \
    XN_TOKEN(3, statement)                                                                                             \
    XN_TOKEN(4, statement)                                                                                             \
    XN_TOKEN(5, statement)                                                                                             \
    XN_TOKEN(6, statement)                                                                                             \
    XN_TOKEN(7, statement)
#endif

// Units from u up to end, of the row whose unit 0 is `first`; of its units n stand in local memory from x on. Adds each
// lane's share to acc.
#define XN_RUN(name)                                                                                                   \
    static inline void xn_run_##name(global const uchar *row, uint units, uint first, uint u, uint end, uint n,        \
                                     global const uint *grids, local const float *xs, uint x, uint tokens, float *acc)
#define XN_RUN_PAIRS(name, WAY, even)                                                                                  \
    XN_PAIR_SUM(name, WAY, even)                                                                                       \
    XN_RUN(name) {                                                                                                     \
        for (; u < end; u += 2 * XN_LANES) {                                                                           \
            struct xn_pair p;                                                                                          \
            uint at = u + 2 * xn_lane();                                                                               \
            xn_pair_##name(row, units, first + u, grids, &p);                                                          \
            XN_FOR_TOKENS(acc[t] += xn_pair_sum_##name(&p, xs + t * (XN_SIZE_XS / XN_TOKENS), x + at, (int)n - (int)at)) \
        }                                                                                                              \
    }
#define XN_RUN_FLOATS(name)                                                                                            \
    XN_RUN(name) {                                                                                                     \
        for (u += xn_lane(); u < end; u += XN_LANES) {                                                                 \
            float v[XN_CL_UNIT];                                                                                       \
            xn_decode_##name(row, units, first + u, grids, v);                                                         \
            XN_FOR_TOKENS(acc[t] += xn_float_sum(v, xs + t * (XN_SIZE_XS / XN_TOKENS), x + u))                         \
        }                                                                                                              \
    }
XN_RUN_PAIRS(Q4_0, XN_WAY_NIBBLES, false)
XN_RUN_PAIRS(Q4_1, XN_WAY_NIBBLES, false)
XN_RUN_PAIRS(Q5_0, XN_WAY_WHOLE, false)
XN_RUN_PAIRS(Q5_1, XN_WAY_WHOLE, false)
XN_RUN_PAIRS(Q8_0, XN_WAY_WHOLE, false)
XN_RUN_PAIRS(Q2_K, XN_WAY_HALVES, true)
XN_RUN_PAIRS(Q3_K, XN_WAY_HALVES, true)
XN_RUN_PAIRS(Q4_K, XN_WAY_NIBBLES, true)
XN_RUN_PAIRS(Q5_K, XN_WAY_WHOLE, true)
XN_RUN_PAIRS(Q6_K, XN_WAY_HALVES, true)
XN_RUN_PAIRS(IQ4_NL, XN_WAY_WHOLE, false)
XN_RUN_PAIRS(IQ4_XS, XN_WAY_WHOLE, true)
XN_RUN_PAIRS(IQ2_XXS, XN_WAY_WHOLE, true)
XN_RUN_PAIRS(IQ2_XS, XN_WAY_HALVES, true)
XN_RUN_PAIRS(IQ2_S, XN_WAY_HALVES, true)
XN_RUN_PAIRS(IQ3_XXS, XN_WAY_WHOLE, true)
XN_RUN_PAIRS(IQ3_S, XN_WAY_WHOLE, true)
XN_RUN_FLOATS(IQ1_S)
XN_RUN_FLOATS(IQ1_M)
XN_RUN_FLOATS(TQ1_0)
XN_RUN_FLOATS(TQ2_0)
XN_RUN_FLOATS(MXFP4)
XN_RUN_FLOATS(NVFP4)
XN_RUN_FLOATS(F32)
XN_RUN_FLOATS(F16)
XN_RUN_FLOATS(BF16)

static inline void xn_run(uint type, global const uchar *row, uint units, uint first, uint u, uint end, uint n,
                          global const uint *grids, local const float *xs, uint x, uint tokens, float *acc) {
    switch (type) {
#define X(F)                                                                                                           \
    case XN_TYPE_##F:                                                                                                  \
        xn_run_##F(row, units, first, u, end, n, grids, xs, x, tokens, acc);                                           \
        break;
        XN_FORMATS(X)
#undef X
    }
}

// --- a product's sums ---

// Steps of 2 * XN_LANES units, of all rows one after the other, are dealt out evenly: so many to a warp.
static inline uint xn_steps(uint n) {
    return (n + 2 * XN_LANES - 1) / (2 * XN_LANES);
}
static inline uint xn_steps_each(uint n, uint rows) {
    return (rows * xn_steps(n) + XN_WARPS - 1) / XN_WARPS;
}

// Rows whose sums there is room for: a run leaves XN_RUN_SUMS of them.
#define XN_RUN_ROWS (XN_SIZE_PART / (XN_TOKENS * XN_RUN_SUMS) - XN_WARPS)

// Sums of units [u0, u0 + n) of rows [r0, r0 + rows) of the table. Warp w leaves its run of row r as number r + w: no two
// are the same, for the next run is of the next row, or the next warp's, or both.
static inline void xn_sums(const struct xn_env *e, uint type, uint u0, uint n, uint r0, uint rows, uint tokens,
                           local float *scratch) {
    uint steps = xn_steps(n), each = xn_steps_each(n, rows), warp = xn_uniform(xn_warp());
    uint i = warp * each, end = min(i + each, rows * steps), r = i / steps, s = i - r * steps;
    for (; i < end; r++) {
        local const uint *row = (local const uint *)(scratch + XN_AT_TABLE) + 4 * (r0 + r);
        uint low = xn_uniform(row[0]), high = xn_uniform(row[1]), units = xn_uniform(row[2]), first = xn_uniform(row[3]);
        uint part_of = xn_uniform(((local const uint *)(scratch + XN_AT_OFFSET))[r0 + r]), stop = min(s + end - i, steps);
        float acc[XN_TOKENS];
        for (uint t = 0; t < XN_TOKENS; t++)
            acc[t] = 0;
        xn_run(type, (global const uchar *)((ulong)low | (ulong)high << 32), units, first + u0, s * 2 * XN_LANES,
               min(stop * 2 * XN_LANES, n), n, e->grids, scratch + XN_AT_XS, part_of * n, tokens, acc);
        XN_FOR_TOKENS(xn_leave(acc[t], scratch + XN_AT_PART + (t * (rows + XN_WARPS) + r + warp) * XN_RUN_SUMS))
        i += stop - s;
        s = 0;
    }
}

// Adds them to the results of their rows; in the end with the norm's scale.
static inline void xn_add_sums(uint n, uint r0, uint rows, uint tokens, bool first, bool last, local float *scratch,
                               local float *y) {
    uint steps = xn_steps(n), each = xn_steps_each(n, rows);
    for (uint p = get_local_id(0); p < rows * tokens; p += XN_GROUP) {
        uint t = tokens > 1 ? p / rows : 0, r = p - t * rows, from = r * steps / each,
             to = ((r + 1) * steps - 1) / each;
        local const float *part = scratch + XN_AT_PART + t * (rows + XN_WARPS) * XN_RUN_SUMS;
        float sum = 0;
        for (uint i = (r + from) * XN_RUN_SUMS; i < (r + to + 1) * XN_RUN_SUMS; i++)
            sum += part[i];
        xn_put_sum(t, r0 + r, sum, first, last, scratch, y);
    }
}
