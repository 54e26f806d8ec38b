// Products of rows of weights with a few rows of activations, after an instruction set's `struct weights` (256 values),
// `unpack_fn` that fills one, `vs` (a vector of sums) with VS_ZERO and `store_sums`, `accumulate`, and `drop_groups`;
// and after FAST_BYTES, the bytes of 256 weights from which on memory sets the pace, not unpacking.
#pragma once

#include "cpu/declare.h"

// Sanitized, what is unrolled takes compilers minutes.
#if defined(__SANITIZE_ADDRESS__)
#define ROWS_UNROLL
#else
#define ROWS_UNROLL _Pragma("GCC unroll 8")
#endif

enum {
    AHEAD = 3072,           // bytes of weights asked for in advance, to the first cache
    FAR_AHEAD = 8192,       // or to the second: better for a fast reader
    PLAIN_BYTES = 256,      // of 256 weights from which on reading is all that counts, and the processor may know best
    TOGETHER = 16,          // rows of weights whose sums are kept
    MOST = 8,               // rows of activations at once
    FIRST_CACHE = 12 << 10, // bytes of activations that stay in the first cache, where not all do
    WHOLE = 24 << 10,       // bytes of all of them that nearly do
};

// 256 values of a row of activations.
struct activations {
    int8_t q[XN_CPU_SUPER];
    float scale[XN_CPU_SUPER / 16], sum[XN_CPU_SUPER / 16];
} __attribute__((aligned(64)));
enum { PIECE = WHOLE / sizeof(struct activations) }; // the most that is side by side

// Supers `first` to `last` of n rows of activations, side by side; the last row stands in for those beyond `count`.
INLINE void side_by_side(const struct xn_cpu_row *x, uint32_t count, const uint32_t n, size_t first, size_t last,
                         struct activations *out) {
    for (size_t s = first; s < last; s++)
        for (uint32_t i = 0; i < n; i++, out++) {
            const struct xn_cpu_row *row = x + (i < count ? i : count - 1);
            memcpy(out->q, row->q + s * sizeof out->q, sizeof out->q);
            memcpy(out->scale, row->scale + s * (XN_CPU_SUPER / 16), sizeof out->scale);
            memcpy(out->sum, row->sum + s * (XN_CPU_SUPER / 16), sizeof out->sum);
        }
}

// `count` of n rows of activations (to unpack once for more rows than there are is faster than to unpack twice). As
// many of their values as fit the first cache stay there, in the order of their use, while some rows of weights pass
// by.
INLINE void dot_rows(unpack_fn *unpack, const size_t bytes, const size_t values, const bool is_signed, const int most,
                     const uint32_t n, const uint8_t *w, size_t row_bytes, uint32_t rows, const struct xn_cpu_row *x,
                     uint32_t count, uint32_t k, float *out, size_t ld) {
    const size_t super_bytes = bytes * (XN_CPU_SUPER / values), supers = ((size_t)k + XN_CPU_SUPER - 1) / XN_CPU_SUPER;
    const bool whole = n == 1 || supers * n * sizeof(struct activations) <= WHOLE;
    const size_t piece = whole ? supers : FIRST_CACHE / sizeof(struct activations) / n;
    const bool pieces = supers > piece, far = pieces || super_bytes >= FAST_BYTES;
    const size_t ahead = pieces ? TOGETHER * row_bytes : far ? FAR_AHEAD : AHEAD; // of what comes next
    const bool asks = n > 1 || super_bytes < PLAIN_BYTES || xn_cpu_asks_ahead;
    const uint8_t *all = w + (size_t)(rows - 1) * row_bytes + (size_t)k / values * bytes; // where the weights end
    struct activations near[PIECE];
    for (uint32_t first = 0; first < rows; first += TOGETHER) {
        uint32_t some = rows - first < TOGETHER ? rows - first : TOGETHER;
        vs sums[TOGETHER + 3][MOST];
        for (size_t begin = 0; begin < supers; begin += piece) {
            size_t end = supers - begin < piece ? supers : begin + piece;
            if (n > 1 && (first == 0 || pieces)) side_by_side(x, count, n, begin, end, near);
            for (uint32_t r = 0; r < some; r++) {
                const uint8_t *p = w + (first + r) * row_bytes + begin * super_bytes;
                const struct activations *a = near;
                struct weights u;
                vs sum[MOST];
                ROWS_UNROLL
                for (uint32_t i = 0; i < n; i++)
                    sum[i] = begin ? sums[r][i] : VS_ZERO;
                for (size_t s = begin; s < end; s++, p += super_bytes) {
                    for (size_t line = 0; asks && line < super_bytes; line += 64)
                        if (far)
                            _mm_prefetch((const char *)p + ahead + line, _MM_HINT_T1);
                        else
                            _mm_prefetch((const char *)p + ahead + line, _MM_HINT_T0);
                    uint8_t padded[TAIL_BYTES];
                    const uint8_t *blocks = p;
                    const bool tail = values < XN_CPU_SUPER && (s + 1) * XN_CPU_SUPER > k;
                    // The next row's blocks may be read, if there is one: copies make the processor wait.
                    if (tail && (size_t)(all - p) < super_bytes)
                        blocks = pad_tail(p, (k - s * XN_CPU_SUPER) / values * bytes, padded);
                    unpack(blocks, &u);
                    if (tail) drop_groups(&u, (uint32_t)(k - s * XN_CPU_SUPER) / 16, is_signed);
                    prepare_weights(&u, is_signed);
                    if (n == 1) {
                        sum[0] = accumulate(&u, is_signed, most, x->q + s * XN_CPU_SUPER,
                                            x->scale + s * XN_CPU_SUPER / 16, x->sum + s * XN_CPU_SUPER / 16, sum[0]);
                        continue;
                    }
                    ROWS_UNROLL
                    for (uint32_t i = 0; i < n; i++, a++)
                        sum[i] = accumulate(&u, is_signed, most, a->q, a->scale, a->sum, sum[i]);
                }
                ROWS_UNROLL
                for (uint32_t i = 0; i < n; i++)
                    sums[r][i] = sum[i];
            }
        }
        for (uint32_t r = some; r < some + 3; r++)
            for (uint32_t i = 0; i < n; i++)
                sums[r][i] = VS_ZERO;
        for (uint32_t i = 0; i < count; i++)
            for (uint32_t r = 0; r < some; r += 4)
                store_sums(sums[r][i], sums[r + 1][i], sums[r + 2][i], sums[r + 3][i], out + i * ld + first + r,
                           some - r);
    }
}

// What no integer of a format is above, as unsigned bytes.
enum {
#define X(name, type, group, most) MOST_##name = most,
#include "cpu/int_formats.inc"
#undef X
};

// A function for each number of rows: compilers take long over large ones.
#define DOT_ROWS(unpack, name, n)                                                                                      \
    static __attribute__((noinline)) void dot_##name##_##n(const void *w, size_t row_bytes, uint32_t rows,             \
                                                           const struct xn_cpu_row *x, uint32_t count, uint32_t k,     \
                                                           float *out, size_t ld) {                                    \
        dot_rows(unpack, BYTES_##name, VALUES_##name, SIGNED_##name, MOST_##name, n, w, row_bytes, rows, x, count, k,  \
                 out, ld);                                                                                             \
    }
#define DOT(unpack, name)                                                                                              \
    DOT_ROWS(unpack, name, 1)                                                                                          \
    DOT_ROWS(unpack, name, 2)                                                                                          \
    DOT_ROWS(unpack, name, 4)                                                                                          \
    DOT_ROWS(unpack, name, 8)                                                                                          \
    void DOT_NAME(name)(const void *w, size_t row_bytes, uint32_t rows, const struct xn_cpu_row *x, uint32_t n,        \
                        uint32_t k, float *out, size_t ld) {                                                           \
        for (uint32_t count; n && rows; x += count, out += count * ld, n -= count) {                                   \
            count = n < MOST ? n : MOST;                                                                               \
            (count > 4   ? dot_##name##_8                                                                              \
             : count > 2 ? dot_##name##_4                                                                              \
             : count > 1 ? dot_##name##_2                                                                              \
                         : dot_##name##_1)(w, row_bytes, rows, x, count, k, out, ld);                                  \
        }                                                                                                              \
    }
