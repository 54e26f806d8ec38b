// What the lanes of a warp take of a row's codes (codes.cl) for products on NVIDIA's matrix unit (stream_tiles.cl). Lane
// t of four takes codes 4 t to 4 t + 3 and 16 + 4 t to 16 + 4 t + 3 of each unit: one word of the 16 bytes of nibbles. Two words
// of one of two units are read at once, of which lanes exchange one: so a warp reads whole sectors of 32 bytes of each row. (t is
// xn_tile_lane: the order of lanes does not matter to sums, and this one needs a single exchange for two units.)
//
// Where a format takes an even number off its codes they are signed here, and stand as far up in their bytes as they go,
// which the scale makes good: then there are no minima.
//
//   xn_tile_read_F   what XN_TILE_UNITS_F units from unit u of the piece on are made of. May read beyond the row's last unit
//   xn_tile_words_F  of unit j of those: low: codes 4 t ..., high: codes 16 + 4 t ...
//   xn_tile_scale_F  scales and minima of its halves, or of the whole unit (.x)
struct xn_tile_raw {
    uint a[8], b[8], c[8]; // words of each unit
    uint e[8];             // scale of each unit, where it has one of its own
    uint4 s;               // scales of all units
    uint d;                // of the block
};
#define XN_TILE_READ(name)                                                                                             \
    static inline void xn_tile_read_##name(global const uchar *row, uint units, uint u, uint t, struct xn_tile_raw *r)
#define XN_TILE_WORDS(name)                                                                                            \
    static inline void xn_tile_words_##name(const struct xn_tile_raw *r, const uint j, uint t,                         \
                                            global const uint *grids, uint *low, uint *high)
#define XN_TILE_SCALE(name)                                                                                            \
    static inline void xn_tile_scale_##name(const struct xn_tile_raw *r, const uint j, float2 *scale, float2 *minimum)
// Units that are read at once; whether rows may end anywhere, or only with a block of 8; whether there are minima; bytes that
// a unit has in the first plane, and in how many: planes of 16 bytes are those of xn_tile_read_16.
#define XN_TILE_FORMAT(name, units, anywhere, minima, bytes, planes)                                                   \
    enum {                                                                                                             \
        XN_TILE_UNITS_##name = units,                                                                                  \
        XN_TILE_ANYWHERE_##name = anywhere,                                                                            \
        XN_TILE_MINIMA_##name = minima,                                                                                \
        XN_TILE_BYTES_##name = bytes,                                                                                  \
        XN_TILE_PLANES_##name = planes                                                                                 \
    };
// Their places are those of unit u and numbers, so that addresses are computed once.
#define XN_TILE_EACH(units) _Pragma("unroll") for (uint j = 0; j < units; j++)
static inline global const uint *xn_words_at(global const uchar *plane, uint i) {
    return (global const uint *)plane + i;
}

// Which word of a unit's four a lane has.
static inline uint xn_tile_lane(void) {
    return xn_lane() % 2 * 2 + xn_lane() / 2 % 2;
}
// Of n units' 16 bytes, two by two, what a lane reads; and what it takes of each unit, once that has come (xn_tile_turn).
static inline void xn_tile_read_16(global const uchar *plane, uint u, const uint n, uint *a) {
#pragma unroll
    for (uint i = 0; i < n / 2; i++) {
        uint2 x = XN_LOAD_8((global const uint2 *)plane + 2 * u + xn_lane() % 4, 4 * i);
        a[2 * i] = x.x;
        a[2 * i + 1] = x.y;
    }
}
static inline void xn_tile_turn(const uint n, uint *a) {
    bool upper = (xn_lane() & 2) != 0;
#pragma unroll
    for (uint i = 0; i < n / 2; i++) {
        uint x = a[2 * i], y = a[2 * i + 1], other = as_uint(xn_shuffle_xor(as_float(upper ? x : y), 2));
        a[2 * i] = upper ? other : x;
        a[2 * i + 1] = upper ? y : other;
    }
}

static inline uint xn_permute(uint a, uint b, uint selector) {
    uint bytes;
    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(bytes) : "r"(a), "r"(b), "r"(selector));
    return bytes;
}
// Two bytes of each of four units; the word with those of unit j, of four or of eight.
static inline uint4 xn_tile_pairs_of_4(global const uchar *plane, uint u) {
    uint2 s = XN_LOAD_8(plane, u / 4);
    return (uint4)(s.x, s.y, 0, 0);
}
static inline uint xn_tile_pair(uint4 s, const uint j) {
    return j < 2 ? s.x : j < 4 ? s.y : j < 6 ? s.z : s.w;
}
// A byte of each of eight or four units.
static inline uint xn_tile_byte(uint4 s, const uint j) {
    return j < 4 ? s.x : s.y;
}
static inline uint4 xn_tile_bytes(global const uchar *plane, uint u) {
    uint2 s = XN_LOAD_8(plane, u / 8);
    return (uint4)(s.x, s.y, 0, 0);
}
static inline uint xn_tile_bytes_of_4(global const uchar *plane, uint u) {
    return XN_LOAD_4(plane, u / 4);
}
// Byte i of a word times d, exactly, without a conversion, which takes several times as long: 2^15 and the byte are a
// float whose bits need no shift. What is taken off is 2^15 and `offset` times d.
static inline float xn_byte_times(uint w, const uint i, float d, const float offset) {
    float x = as_float(xn_permute(w, 0x47000000, 0x7404 | i << 4));
    return fma(x, d, -(32768.0f + offset) * d);
}
// The same of a signed byte whose sign bit was turned.
#define XN_TURN 0x80808080u
static inline float xn_turned_times(uint w, const uint i, float d) {
    return xn_byte_times(w, i, d, 128.0f);
}
static inline float2 xn_alone(float x) {
    return (float2)(x, 0);
}
// Four bits as the bits `at` of four bytes.
static inline uint xn_bits_at(uint bits, const uint at) {
    return ((bits & 15u) * (0x00204081u << at)) & (0x01010101u << at);
}
// Of pairs of bits (xn_add_pair_codes) the lane's word, its codes 4 t ... in the lowest bits, codes 16 + 4 t ... above.
#define XN_PAIRS_OF(w, t) ((w) >> ((t) & 2u))

#define XN_LOW_NIBBLES(w) ((w)&0x0f0f0f0fu)
#define XN_HIGH_NIBBLES(w) ((w) >> 4 & 0x0f0f0f0fu)

XN_TILE_FORMAT(Q4_0, 8, 1, 0, 16, 1)
XN_TILE_READ(Q4_0) {
    global const uchar *d = row + XN_PLANE(16 * units);
    xn_tile_read_16(row, u, 8, r->a);
    XN_TILE_EACH(8) r->e[j] = XN_LOAD_2((global const ushort *)d + u, j);
}
XN_TILE_WORDS(Q4_0) {
    *low = (r->a[j] << 4 & 0xf0f0f0f0u) ^ XN_TURN;
    *high = (r->a[j] & 0xf0f0f0f0u) ^ XN_TURN;
}
XN_TILE_SCALE(Q4_0) {
    *scale = xn_alone(XN_LOW_HALF(r->e[j]) * 0x1p-4f);
}

XN_TILE_FORMAT(Q4_1, 8, 1, 1, 16, 1)
XN_TILE_READ(Q4_1) {
    global const uchar *d = row + XN_PLANE(16 * units);
    xn_tile_read_16(row, u, 8, r->a);
    XN_TILE_EACH(8) r->e[j] = XN_LOAD_4(xn_words_at(d, u), j);
}
XN_TILE_WORDS(Q4_1) {
    *low = XN_LOW_NIBBLES(r->a[j]);
    *high = XN_HIGH_NIBBLES(r->a[j]);
}
XN_TILE_SCALE(Q4_1) {
    *scale = xn_alone(XN_LOW_HALF(r->e[j]));
    *minimum = xn_alone(-XN_HIGH_HALF(r->e[j]));
}

XN_TILE_FORMAT(Q5_0, 4, 1, 0, 16, 1)
XN_TILE_READ(Q5_0) {
    global const uchar *high = row + XN_PLANE(16 * units), *d = high + XN_PLANE(4 * units);
    xn_tile_read_16(row, u, 4, r->a);
    XN_TILE_EACH(4) r->b[j] = XN_LOAD_4(xn_words_at(high, u), j);
    XN_TILE_EACH(4) r->e[j] = XN_LOAD_2((global const ushort *)d + u, j);
}
XN_TILE_WORDS(Q5_0) {
    uint bits = r->b[j] >> 4 * t;
    *low = (r->a[j] << 3 & 0x78787878u) ^ XN_TURN ^ xn_bits_at(bits, 7);
    *high = (r->a[j] >> 1 & 0x78787878u) ^ XN_TURN ^ xn_bits_at(bits >> 16, 7);
}
XN_TILE_SCALE(Q5_0) {
    *scale = xn_alone(XN_LOW_HALF(r->e[j]) * 0x1p-3f);
}

XN_TILE_FORMAT(Q5_1, 4, 1, 1, 16, 1)
XN_TILE_READ(Q5_1) {
    global const uchar *high = row + XN_PLANE(16 * units), *d = high + XN_PLANE(4 * units);
    xn_tile_read_16(row, u, 4, r->a);
    XN_TILE_EACH(4) r->b[j] = XN_LOAD_4(xn_words_at(high, u), j);
    XN_TILE_EACH(4) r->e[j] = XN_LOAD_4(xn_words_at(d, u), j);
}
XN_TILE_WORDS(Q5_1) {
    uint bits = r->b[j] >> 4 * t;
    *low = XN_LOW_NIBBLES(r->a[j]) | xn_bits_at(bits, 4);
    *high = XN_HIGH_NIBBLES(r->a[j]) | xn_bits_at(bits >> 16, 4);
}
XN_TILE_SCALE(Q5_1) {
    *scale = xn_alone(XN_LOW_HALF(r->e[j]));
    *minimum = xn_alone(-XN_HIGH_HALF(r->e[j]));
}

XN_TILE_FORMAT(Q8_0, 4, 1, 0, 16, 2)
XN_TILE_READ(Q8_0) {
    global const uchar *second = row + XN_PLANE(16 * units), *d = second + XN_PLANE(16 * units);
    xn_tile_read_16(row, u, 4, r->a);
    xn_tile_read_16(second, u, 4, r->b);
    XN_TILE_EACH(4) r->e[j] = XN_LOAD_2((global const ushort *)d + u, j);
}
XN_TILE_WORDS(Q8_0) {
    *low = r->a[j];
    *high = r->b[j];
}
XN_TILE_SCALE(Q8_0) {
    *scale = xn_alone(XN_LOW_HALF(r->e[j]));
}

XN_TILE_FORMAT(Q2_K, 8, 0, 1, 8, 1)
XN_TILE_READ(Q2_K) {
    global const uchar *scales = row + XN_PLANE(8 * units), *d = scales + XN_PLANE(2 * units);
    XN_TILE_EACH(8) r->a[j] = XN_LOAD_4(xn_words_at(row, 2 * u + t % 2), 2 * j);
    r->s = XN_LOAD_KEPT_16(scales, u / 8);
    r->d = XN_LOAD_4(d, u / 8);
}
XN_TILE_WORDS(Q2_K) {
    uint w = XN_PAIRS_OF(r->a[j], t);
    *low = w & 0x03030303u;
    *high = w >> 4 & 0x03030303u;
}
XN_TILE_SCALE(Q2_K) {
    float d = XN_LOW_HALF(r->d), m = XN_HIGH_HALF(r->d);
    uint s = xn_tile_pair(r->s, j), low = s & 0x0f0f0f0fu, high = s >> 4 & 0x0f0f0f0fu;
    *scale = (float2)(xn_byte_times(low, j % 2 * 2, d, 0), xn_byte_times(low, j % 2 * 2 + 1, d, 0));
    *minimum = (float2)(xn_byte_times(high, j % 2 * 2, m, 0), xn_byte_times(high, j % 2 * 2 + 1, m, 0));
}

XN_TILE_FORMAT(Q3_K, 4, 0, 0, 8, 1)
XN_TILE_READ(Q3_K) {
    global const uchar *high = row + XN_PLANE(8 * units), *scales = high + XN_PLANE(4 * units),
                       *d = scales + XN_PLANE(2 * units);
    XN_TILE_EACH(4) r->a[j] = XN_LOAD_4(xn_words_at(row, 2 * u + t % 2), 2 * j);
    XN_TILE_EACH(4) r->b[j] = XN_LOAD_4(xn_words_at(high, u), j);
    r->s = xn_tile_pairs_of_4(scales, u);
    r->d = XN_LOAD_2(d, u / 8);
}
XN_TILE_WORDS(Q3_K) {
    uint w = XN_PAIRS_OF(r->a[j], t), bits = r->b[j] >> 4 * t;
    *low = (w << 5 & 0x60606060u) ^ XN_TURN ^ xn_bits_at(bits, 7);
    *high = (w << 1 & 0x60606060u) ^ XN_TURN ^ xn_bits_at(bits >> 16, 7);
}
XN_TILE_SCALE(Q3_K) {
    float d = XN_LOW_HALF(r->d) * 0x1p-5f;
    uint s = xn_tile_pair(r->s, j) ^ XN_TURN;
    *scale = (float2)(xn_turned_times(s, j % 2 * 2, d), xn_turned_times(s, j % 2 * 2 + 1, d));
}

XN_TILE_FORMAT(Q4_K, 8, 0, 1, 16, 1)
XN_TILE_READ(Q4_K) {
    global const uchar *scales = row + XN_PLANE(16 * units), *d = scales + XN_PLANE(2 * units);
    xn_tile_read_16(row, u, 8, r->a);
    r->s = XN_LOAD_KEPT_16(scales, u / 8);
    r->d = XN_LOAD_4(d, u / 8);
}
XN_TILE_WORDS(Q4_K) {
    *low = XN_LOW_NIBBLES(r->a[j]);
    *high = XN_HIGH_NIBBLES(r->a[j]);
}
static inline void xn_tile_k_scale(const struct xn_tile_raw *r, const uint j, float2 *scale, float2 *minimum) {
    uint s = xn_tile_pair(r->s, j);
    *scale = xn_alone(xn_byte_times(s, j % 2 * 2, XN_LOW_HALF(r->d), 0));
    *minimum = xn_alone(xn_byte_times(s, j % 2 * 2 + 1, XN_HIGH_HALF(r->d), 0));
}
XN_TILE_SCALE(Q4_K) {
    xn_tile_k_scale(r, j, scale, minimum);
}

XN_TILE_FORMAT(Q5_K, 4, 0, 1, 16, 1)
XN_TILE_READ(Q5_K) {
    global const uchar *high = row + XN_PLANE(16 * units), *scales = high + XN_PLANE(4 * units),
                       *d = scales + XN_PLANE(2 * units);
    xn_tile_read_16(row, u, 4, r->a);
    XN_TILE_EACH(4) r->b[j] = XN_LOAD_4(xn_words_at(high, u), j);
    r->s = xn_tile_pairs_of_4(scales, u);
    r->d = XN_LOAD_4(d, u / 8);
}
XN_TILE_WORDS(Q5_K) {
    uint bits = r->b[j] >> 4 * t;
    *low = XN_LOW_NIBBLES(r->a[j]) | xn_bits_at(bits, 4);
    *high = XN_HIGH_NIBBLES(r->a[j]) | xn_bits_at(bits >> 16, 4);
}
XN_TILE_SCALE(Q5_K) {
    xn_tile_k_scale(r, j, scale, minimum);
}

XN_TILE_FORMAT(Q6_K, 4, 0, 0, 16, 1)
XN_TILE_READ(Q6_K) {
    global const uchar *high = row + XN_PLANE(16 * units), *scales = high + XN_PLANE(8 * units),
                       *d = scales + XN_PLANE(2 * units);
    xn_tile_read_16(row, u, 4, r->a);
    XN_TILE_EACH(4) r->b[j] = XN_LOAD_4(xn_words_at(high, 2 * u + t % 2), 2 * j);
    r->s = xn_tile_pairs_of_4(scales, u);
    r->d = XN_LOAD_2(d, u / 8);
}
XN_TILE_WORDS(Q6_K) {
    uint w = XN_PAIRS_OF(r->b[j], t);
    *low = (r->a[j] << 2 & 0x3c3c3c3cu) ^ (w << 6 & 0xc0c0c0c0u) ^ XN_TURN;
    *high = (r->a[j] >> 2 & 0x3c3c3c3cu) ^ (w << 2 & 0xc0c0c0c0u) ^ XN_TURN;
}
XN_TILE_SCALE(Q6_K) {
    float d = XN_LOW_HALF(r->d) * 0x1p-2f;
    uint s = xn_tile_pair(r->s, j) ^ XN_TURN;
    *scale = (float2)(xn_turned_times(s, j % 2 * 2, d), xn_turned_times(s, j % 2 * 2 + 1, d));
}

// xn_iq4_values, four to a word.
#define XN_IQ4_WORD_0 0xbfad9881u
#define XN_IQ4_WORD_1 0xf6eaddcfu
#define XN_IQ4_WORD_2 0x26190d01u
#define XN_IQ4_WORD_3 0x71594535u
// Codes of 4 bits become those of a table, eight at once: first as a byte's two nibbles stand, beside each other.
static inline uint xn_table_4(uint selectors, uint eighths) {
    uint below = xn_permute(XN_IQ4_WORD_0, XN_IQ4_WORD_1, selectors),
         above = xn_permute(XN_IQ4_WORD_2, XN_IQ4_WORD_3, selectors);
    return xn_permute(below, above, eighths);
}
static inline void xn_table_words(uint w, uint *low, uint *high) {
    uint selectors = w & 0x77777777u, eighths = (w >> 1 & 0x44444444u) | 0x32103210u;
    uint first = xn_table_4(selectors, eighths), second = xn_table_4(selectors >> 16, eighths >> 16);
    *low = xn_permute(first, second, 0x6420);
    *high = xn_permute(first, second, 0x7531);
}

XN_TILE_FORMAT(IQ4_NL, 8, 1, 0, 16, 1)
XN_TILE_READ(IQ4_NL) {
    global const uchar *d = row + XN_PLANE(16 * units);
    xn_tile_read_16(row, u, 8, r->a);
    XN_TILE_EACH(8) r->e[j] = XN_LOAD_2((global const ushort *)d + u, j);
}
XN_TILE_WORDS(IQ4_NL) {
    xn_table_words(r->a[j], low, high);
}
XN_TILE_SCALE(IQ4_NL) {
    *scale = xn_alone(XN_LOW_HALF(r->e[j]));
}

XN_TILE_FORMAT(IQ4_XS, 8, 0, 0, 16, 1)
XN_TILE_READ(IQ4_XS) {
    global const uchar *scales = row + XN_PLANE(16 * units), *d = scales + XN_PLANE(units);
    xn_tile_read_16(row, u, 8, r->a);
    r->s = xn_tile_bytes(scales, u);
    r->d = XN_LOAD_2(d, u / 8);
}
XN_TILE_WORDS(IQ4_XS) {
    xn_table_words(r->a[j], low, high);
}
XN_TILE_SCALE(IQ4_XS) {
    *scale = xn_alone(xn_turned_times(xn_tile_byte(r->s, j) ^ XN_TURN, j % 4, XN_LOW_HALF(r->d)));
}

// Grids: a word of a grid's entry is what a lane wants.
XN_TILE_FORMAT(IQ2_XXS, 4, 0, 0, 8, 1)
XN_TILE_READ(IQ2_XXS) {
    XN_TILE_EACH(4) {
        uint2 h = XN_LOAD_8((global const uint2 *)row + u, j);
        r->a[j] = h.x;
        r->b[j] = h.y;
    }
    r->d = XN_LOAD_2(row + XN_PLANE(8 * units), u / 8);
}
static inline uint xn_tile_xxs(uint index, uint signs, uint i, uint t, global const uint *grids) {
    return (uint)xn_signed_codes(grids[XN_CL_GRID_IQ2_XXS + 2 * (index >> 8 * i & 255) + t % 2],
                                 xn_signs(signs >> 7 * i) >> t % 2 * 4);
}
XN_TILE_WORDS(IQ2_XXS) {
    *low = xn_tile_xxs(r->a[j], r->b[j], t / 2, t, grids);
    *high = xn_tile_xxs(r->a[j], r->b[j], 2 + t / 2, t, grids);
}
XN_TILE_SCALE(IQ2_XXS) {
    *scale = xn_alone(XN_LOW_HALF(r->d) * (0.5f + (float)(r->b[j] >> 28)) * 0.25f);
}

XN_TILE_FORMAT(IQ2_XS, 4, 0, 0, 8, 1)
XN_TILE_READ(IQ2_XS) {
    global const uchar *scales = row + XN_PLANE(8 * units), *d = scales + XN_PLANE(units);
    XN_TILE_EACH(4) {
        uint2 h = XN_LOAD_8((global const uint2 *)row + u, j);
        r->a[j] = h.x;
        r->b[j] = h.y;
    }
    r->s.x = xn_tile_bytes_of_4(scales, u);
    r->d = XN_LOAD_2(d, u / 8);
}
static inline uint xn_tile_xs(uint pair, uint t, global const uint *grids) {
    uint q = pair >> 16 * (t / 2) & 0xffff;
    return (uint)xn_signed_codes(grids[XN_CL_GRID_IQ2_XS + 2 * (q & 511) + t % 2], xn_signs(q >> 9) >> t % 2 * 4);
}
XN_TILE_WORDS(IQ2_XS) {
    *low = xn_tile_xs(r->a[j], t, grids);
    *high = xn_tile_xs(r->b[j], t, grids);
}
static inline float2 xn_tile_half_scales(const struct xn_tile_raw *r, const uint j) {
    uint s = r->s.x >> 8 * j;
    return XN_LOW_HALF(r->d) * 0.25f * (float2)(0.5f + (float)(s & 15), 0.5f + (float)(s >> 4 & 15));
}
XN_TILE_SCALE(IQ2_XS) {
    *scale = xn_tile_half_scales(r, j);
}

XN_TILE_FORMAT(IQ2_S, 4, 0, 0, 4, 2)
XN_TILE_READ(IQ2_S) {
    global const uchar *signs = row + XN_PLANE(4 * units), *high = signs + XN_PLANE(4 * units),
                       *scales = high + XN_PLANE(units), *d = scales + XN_PLANE(units);
    XN_TILE_EACH(4) r->a[j] = XN_LOAD_4(xn_words_at(row, u), j);
    XN_TILE_EACH(4) r->b[j] = XN_LOAD_4(xn_words_at(signs, u), j);
    r->s.x = xn_tile_bytes_of_4(scales, u);
    r->s.y = xn_tile_bytes_of_4(high, u);
    r->d = XN_LOAD_2(d, u / 8);
}
static inline uint xn_tile_s(uint index, uint signs, uint high, uint i, uint t, global const uint *grids) {
    uint entry = (index >> 8 * i & 255) | (high >> 2 * i & 3) << 8;
    return (uint)xn_signed_codes(grids[XN_CL_GRID_IQ2_S + 2 * entry + t % 2], signs >> (8 * i + t % 2 * 4));
}
XN_TILE_WORDS(IQ2_S) {
    uint more = r->s.y >> 8 * j & 255;
    *low = xn_tile_s(r->a[j], r->b[j], more, t / 2, t, grids);
    *high = xn_tile_s(r->a[j], r->b[j], more, 2 + t / 2, t, grids);
}
XN_TILE_SCALE(IQ2_S) {
    *scale = xn_tile_half_scales(r, j);
}

XN_TILE_FORMAT(IQ3_XXS, 4, 0, 0, 8, 1)
XN_TILE_READ(IQ3_XXS) {
    global const uchar *signs = row + XN_PLANE(8 * units), *d = signs + XN_PLANE(4 * units);
    XN_TILE_EACH(4) {
        uint2 h = XN_LOAD_8((global const uint2 *)row + u, j);
        r->a[j] = h.x;
        r->b[j] = h.y;
        r->c[j] = XN_LOAD_4(xn_words_at(signs, u), j);
    }
    r->d = XN_LOAD_2(d, u / 8);
}
static inline uint xn_tile_3xxs(uint index, uint signs, uint i, uint t, global const uint *grids) {
    return (uint)xn_signed_codes(grids[XN_CL_GRID_IQ3_XXS + (index >> 8 * t & 255)],
                                 xn_signs(signs >> 7 * i) >> t % 2 * 4);
}
XN_TILE_WORDS(IQ3_XXS) {
    *low = xn_tile_3xxs(r->a[j], r->c[j], t / 2, t, grids);
    *high = xn_tile_3xxs(r->b[j], r->c[j], 2 + t / 2, t, grids);
}
XN_TILE_SCALE(IQ3_XXS) {
    *scale = xn_alone(XN_LOW_HALF(r->d) * (0.5f + (float)(r->c[j] >> 28)) * 0.5f);
}

XN_TILE_FORMAT(IQ3_S, 4, 0, 0, 8, 1)
XN_TILE_READ(IQ3_S) {
    global const uchar *signs = row + XN_PLANE(8 * units), *high = signs + XN_PLANE(4 * units),
                       *scales = high + XN_PLANE(units), *d = scales + XN_PLANE(units);
    XN_TILE_EACH(4) {
        uint2 h = XN_LOAD_8((global const uint2 *)row + u, j);
        r->a[j] = h.x;
        r->b[j] = h.y;
        r->c[j] = XN_LOAD_4(xn_words_at(signs, u), j);
    }
    r->s.x = xn_tile_bytes_of_4(scales, u);
    r->s.y = xn_tile_bytes_of_4(high, u);
    r->d = XN_LOAD_2(d, u / 8);
}
static inline uint xn_tile_3s(uint index, uint more, uint signs, uint t, global const uint *grids) {
    return (uint)xn_signed_codes(grids[XN_CL_GRID_IQ3_S + ((index >> 8 * t & 255) | (more >> t & 1) << 8)],
                                 signs >> 4 * t);
}
XN_TILE_WORDS(IQ3_S) {
    uint more = r->s.y >> 8 * j;
    *low = xn_tile_3s(r->a[j], more, r->c[j], t, grids);
    *high = xn_tile_3s(r->b[j], more >> 4, r->c[j] >> 16, t, grids);
}
XN_TILE_SCALE(IQ3_S) {
    *scale = xn_alone(XN_LOW_HALF(r->d) * (float)(1 + 2 * (r->s.x >> 8 * j & 255)));
}
