// Weights in lanes (cpu/lanes.h): laying them so, products, decoding.
#include "cpu/avx2/lanes.h"

#include "cpu/avx2/dot_rows.h"
#include "cpu/avx2/int.h"
#include "cpu/lanes.h"

// --- laying ---

// What a format's 256 values are besides planes of bits: `halves` scales and minima of 16 bits at the head of each
// block of 32 values, or a head in two pieces, which are put behind each other.
struct head {
    size_t halves;
    struct {
        size_t at, bytes;
    } piece[2];
};
struct planes {
    bool eight, four;
    int two, one; // the lowest bit that they hold; -1: there are none
};

// The lanes' dwords that are there, behind each other.
INLINE uint8_t *put_plane(uint8_t *to, __m256i x, bool half) {
    if (!half) {
        _mm256_storeu_si256((__m256i *)(void *)to, x);
        return to + 32;
    }
    _mm_storeu_si128((__m128i *)(void *)to, _mm256_castsi256_si128(x));
    return to + 16;
}

// Blocks of 32 integers, one a vector, to vectors of dwords; or back.
INLINE void transpose_lanes(const __m256i from[8], __m256i to[8]) {
    vf dwords[8];
    for (int i = 0; i < 8; i++)
        dwords[i] = _mm256_castsi256_ps(from[i]);
    v_transpose(dwords);
    for (int i = 0; i < 8; i++)
        to[i] = _mm256_castps_si256(dwords[i]);
}

INLINE uint8_t *put_planes(const struct planes planes, const __m256i integers[8], bool half, uint8_t *to) {
    __m256i q[8];
    transpose_lanes(integers, q);
    for (int j = 0; planes.eight && j < 8; j++)
        to = put_plane(to, q[j], half);
    if (planes.one >= 0) {
        __m256i bits = _mm256_setzero_si256();
        for (int j = 0; j < 8; j++)
            bits = _mm256_or_si256(bits, moved_bits(moved_bits(q[j], -planes.one, 1), j, 1 << j));
        to = put_plane(to, bits, half);
    }
    for (int h = 0; planes.two >= 0 && h < 2; h++) {
        __m256i bits = _mm256_setzero_si256();
        for (int i = 0; i < 4; i++)
            bits = _mm256_or_si256(bits, moved_bits(moved_bits(q[4 * h + i], -planes.two, 3), 2 * i, 3 << 2 * i));
        to = put_plane(to, bits, half);
    }
    for (int j = 0; planes.four && j < 4; j++)
        to = put_plane(to, _mm256_or_si256(moved_bits(q[j], 0, 15), moved_bits(q[j + 4], 4, 0xf0)), half);
    return to;
}

typedef void unpack_fn(const uint8_t *p, struct unpacked *u);

INLINE void lay_row(unpack_fn *unpack, const size_t bytes, const size_t values, const struct head head,
                    const struct planes planes, const uint8_t *p, uint32_t k, uint8_t *to) {
    for (uint32_t at = 0; at < k; at += XN_CPU_SUPER, p += bytes * (XN_CPU_SUPER / values)) {
        uint8_t padded[TAIL_BYTES];
        const uint8_t *from = p;
        uint32_t left = k - at;
        bool half = left <= XN_CPU_SUPER / 2;
        if (left < XN_CPU_SUPER) from = pad_tail(p, left / values * bytes, padded);
        for (size_t h = 0; h < head.halves; h++)
            for (int lane = 0; lane < (half ? 4 : 8); lane++, to += 2)
                memcpy(to, from + bytes * (size_t)lane + 2 * h, 2);
        for (int i = 0; i < 2 && head.piece[i].bytes; i++, to += head.piece[i - 1].bytes)
            memcpy(to, from + head.piece[i].at, head.piece[i].bytes);
        struct unpacked u;
        unpack(from, &u);
        to = put_planes(planes, u.q, half, to);
    }
}

// Of formats that look their integers up, the places in the table.
INLINE void unpack_places_iq4_nl(const uint8_t *p, struct unpacked *u) {
    for (int i = 0; i < 8; i++)
        u->q[i] = nibbles(p + 18 * i + 2);
}
INLINE void unpack_places_iq4_xs(const uint8_t *p, struct unpacked *u) {
    for (int i = 0; i < 8; i++)
        u->q[i] = nibbles(p + 8 + 16 * i);
}

#define LAY(name, unpack, begin, ...)                                                                                  \
    void xn_cpu_lay_##name##_avx2(const void *blocks, uint32_t k, void *out) {                                         \
        lay_row(unpack, BYTES_##name, VALUES_##name, (struct head)begin, (struct planes)__VA_ARGS__, blocks, k, out);  \
    }
#define HALVES(n)                                                                                                      \
    { .halves = n }
#define PIECES(...)                                                                                                    \
    {                                                                                                                  \
        .piece = { __VA_ARGS__ }                                                                                       \
    }
LAY(q4_0, unpack_q4_0, HALVES(1), {.four = true, .two = -1, .one = -1})
LAY(q4_1, unpack_q4_1, HALVES(2), {.four = true, .two = -1, .one = -1})
LAY(q5_0, unpack_q5_0, HALVES(1), {.four = true, .two = -1, .one = 4})
LAY(q5_1, unpack_q5_1, HALVES(2), {.four = true, .two = -1, .one = 4})
LAY(q8_0, unpack_q8_0, HALVES(1), {.eight = true, .two = -1, .one = -1})
LAY(iq4_nl, unpack_places_iq4_nl, HALVES(1), {.four = true, .two = -1, .one = -1})
LAY(iq4_xs, unpack_places_iq4_xs, PIECES({0, 8}), {.four = true, .two = -1, .one = -1})
LAY(q2_k, unpack_q2_k, PIECES({0, 16}, {80, 4}), {.two = 0, .one = -1})
LAY(q3_k, unpack_q3_k, PIECES({96, 14}), {.two = 0, .one = 2})
LAY(q4_k, unpack_q4_k, PIECES({0, 16}), {.four = true, .two = -1, .one = -1})
LAY(q5_k, unpack_q5_k, PIECES({0, 16}), {.four = true, .two = -1, .one = 4})
LAY(q6_k, unpack_q6_k, PIECES({192, 18}), {.four = true, .two = 4, .one = -1})

// --- products ---

// The sums of vectors [first, first + count) of products, each times its dword of `by`, of 32 bits. As long as sums of
// more products of weights up to `most` fit 16 bits, they stay there, which is cheaper.
INLINE __m256i sum_products(const __m256i q[8], const int first, const int count, const bool is_signed, const int most,
                            const int8_t *x, __m256i by) {
    enum { FIT = 32767 / (2 * 127) }; // times a weight: sums of two products
    const int fit = most * 8 <= FIT ? 8 : most * 4 <= FIT ? 4 : most * 2 <= FIT ? 2 : 1;
    const int together = fit < count ? fit : count;
    __m256i sum = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (int j = first; j < first + count; j += together) {
        __m256i pairs = _mm256_setzero_si256();
        for (int i = j; i < j + together; i++) {
            __m256i more = pairs_of_bytes(q[i], load_32((const uint8_t *)x + 32 * i), is_signed);
            pairs = i == j ? more : _mm256_add_epi16(pairs, more);
        }
        __m256i wide = _mm256_madd_epi16(pairs, by);
        sum = j == first ? wide : _mm256_add_epi32(sum, wide);
    }
    return sum;
}

// The blocks' products with signed weights for n rows of activations from 256 s on, as numbers of 16 bits
// (template/pairs8.h says why).
INLINE void wide_products(const __m256i q[8], const struct xn_cpu_row *x, const uint32_t n, size_t s, __m256i *dots) {
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++) {
        __m256i even = i_even(q[j]), odd = i_odd(q[j]);
#pragma GCC unroll 8
        for (uint32_t i = 0; i < n; i++) {
            const struct xn_cpu_wide *wide = x[i].wide + s;
            __m256i product = _mm256_madd_epi16(even, load_32((const uint8_t *)(wide->even[j])));
            dots[i] = j == 0 ? product : _mm256_add_epi32(dots[i], product);
            product = _mm256_madd_epi16(odd, load_32((const uint8_t *)(wide->odd[j])));
            dots[i] = _mm256_add_epi32(dots[i], product);
            __asm__("" : I_REGISTER(dots[i])); // compilers would rather keep all products
        }
    }
}

// What the eight blocks add to a product.
INLINE __m256 lane_products(const struct lanes *u, const bool is_signed, const int most, const int group,
                            const struct xn_cpu_lanes *x) {
    if (group == 32) {
        __m256i dots = sum_products(u->q, 0, 8, is_signed, most, x->q, _mm256_set1_epi16(1));
        return scale_32(dots, u->scale[0], is_signed ? u->scale[0] : u->minimum[0], is_signed, x->scale, x->sum);
    }
    __m256i dots = _mm256_add_epi32(sum_products(u->q, 0, 4, false, most, x->q, u->whole.by[0]),
                                    sum_products(u->q, 4, 4, false, most, x->q, u->whole.by[1]));
    __m256i minima = _mm256_madd_epi16(u->whole.minimum, load_32((const uint8_t *)x->total));
    return scale_whole(dots, minima, u->whole.d, u->whole.d_minimum, HAS_OWN_MINIMUM(most), _mm256_loadu_ps(x->scale));
}

typedef void lanes_fn(const uint8_t *p, const bool half, struct lanes *u);

INLINE void addends_at(lanes_fn *unpack, const bool half, const bool is_signed, const int most, const int group,
                       const uint8_t *p, const struct xn_cpu_row *x, const uint32_t n, size_t s, __m256 *to) {
    struct lanes u;
    unpack(p, half, &u);
    if (is_signed && n > 1) { // for one row, taking the weights apart would cost more than it saves
        __m256i dots[MOST_TOGETHER];
        wide_products(u.q, x, n, s, dots);
#pragma GCC unroll 8
        for (uint32_t i = 0; i < n; i++)
            to[i] = scale_32(dots[i], u.scale[0], u.scale[0], true, x[i].lanes[s].scale, x[i].lanes[s].sum);
        return;
    }
#pragma GCC unroll 8
    for (uint32_t i = 0; i < n; i++)
        to[i] = lane_products(&u, is_signed, most, group, x[i].lanes + s);
}
INLINE void lane_addends(lanes_fn *unpack, const size_t values, const bool is_signed, const int most, const int group,
                         const uint8_t *p, size_t left, const struct xn_cpu_row *x, const uint32_t n, size_t s,
                         __m256 *to) {
    if (values < XN_CPU_SUPER && left <= XN_CPU_SUPER / 2)
        addends_at(unpack, true, is_signed, most, group, p, x, n, s, to);
    else
        addends_at(unpack, false, is_signed, most, group, p, x, n, s, to);
}

// --- for panels, and in the order of values again ---

// Straight into the row: by way of the stack it takes twice as long. Of groups of 32 scales are spread over 16 values.
_Static_assert(sizeof(struct lanes) == sizeof(struct xn_cpu_row8) &&
                   offsetof(struct lanes, scale) == offsetof(struct xn_cpu_row8, scale) &&
                   offsetof(struct lanes, minimum) == offsetof(struct xn_cpu_row8, minimum) &&
                   offsetof(struct lanes, whole.by) == offsetof(struct xn_cpu_row8, whole.by) &&
                   offsetof(struct lanes, whole.minimum) == offsetof(struct xn_cpu_row8, whole.minimum) &&
                   offsetof(struct lanes, whole.d) == offsetof(struct xn_cpu_row8, whole.d) &&
                   offsetof(struct lanes, whole.d_minimum) == offsetof(struct xn_cpu_row8, whole.d_minimum),
               "a row of weights is what is unpacked");
INLINE void unpack8_lanes(lanes_fn *unpack, const size_t values, const int group, const bool is_signed,
                          const uint8_t *p, size_t n, struct xn_cpu_row8 *row) {
    struct lanes *u = (struct lanes *)(void *)row; // vectors may alias
    if (values < XN_CPU_SUPER && n <= XN_CPU_SUPER / 2)
        unpack(p, true, u);
    else
        unpack(p, false, u);
    if (group == 32) {
        spread(u->scale[0], u->scale);
        if (!is_signed) spread(u->minimum[0], u->minimum);
    }
}

// Scales of groups of 16 as floats, ascending.
INLINE void float_scales(const struct lanes *l, const int group, const bool is_signed, struct unpacked *u) {
    if (group == 32) {
        spread(l->scale[0], u->scale);
        if (!is_signed) spread(l->minimum[0], u->minimum);
        return;
    }
    __m256i scales = _mm256_blend_epi16(l->whole.by[0], l->whole.by[1], 0xaa);
    for (int h = 0; h < 2; h++) {
        u->scale[h] = times(halves_to_float(scales, h), l->whole.d);
        u->minimum[h] = times(halves_to_float(l->whole.minimum, h), l->whole.d_minimum);
    }
}
INLINE void decode_lanes(lanes_fn *unpack, const size_t bytes, const size_t values, const int group,
                         const bool is_signed, const uint8_t *p, float *out, size_t n) {
    for (size_t at = 0; at < n; at += XN_CPU_SUPER, p += bytes * (XN_CPU_SUPER / values)) {
        float decoded[XN_CPU_SUPER];
        struct lanes l;
        struct unpacked u;
        if (values < XN_CPU_SUPER && n - at <= XN_CPU_SUPER / 2)
            unpack(p, true, &l);
        else
            unpack(p, false, &l);
        float_scales(&l, group, is_signed, &u);
        transpose_lanes(l.q, u.q);
        store_decoded(&u, is_signed, n - at < XN_CPU_SUPER ? decoded : out + at);
        if (n - at < XN_CPU_SUPER) memcpy(out + at, decoded, (n - at) * sizeof *out);
    }
}

#define X(name, type)                                                                                                  \
    INLINE void addends_##name##_lanes(const uint8_t *p, size_t left, size_t readable, const struct xn_cpu_row *x,     \
                                       const uint32_t n, size_t s, __m256 *to) {                                       \
        (void)readable; /* rows are whole */                                                                           \
        lane_addends(lanes_##name, VALUES_##name, SIGNED_##name, MOST_##name, GROUP_##name, p, left, x, n, s, to);     \
    }                                                                                                                  \
    DOT_OF_8(name##_lanes, name, 32, true)                                                                             \
    void xn_cpu_decode_##name##_lanes_avx2(const void *blocks, float *out, size_t n) {                                 \
        decode_lanes(lanes_##name, BYTES_##name, VALUES_##name, GROUP_##name, SIGNED_##name, blocks, out, n);          \
    }                                                                                                                  \
    void xn_cpu_unpack8_##name##_lanes_avx2(const void *blocks, size_t n, size_t readable, struct xn_cpu_row8 *row) {  \
        (void)readable;                                                                                                \
        unpack8_lanes(lanes_##name, VALUES_##name, GROUP_##name, SIGNED_##name, blocks, n, row);                       \
    }
#include "cpu/lane_formats.inc"
