// The processor's kernels: what an operation's driver calls. A table is filled with the C versions, then overwritten
// level by level up to the one in use; an entry may stay NULL where a comment says so. kernels.inc is the one list of
// all of them.
#pragma once

#include "cpu/cpu.h"
#include "cpu/panels.h"
#include "model/recipe.h"
#include "quant/format.h"

#include <stddef.h>

enum {
    XN_CPU_PAD = 16,            // widths of panels and scratch rows are multiples of it
    XN_CPU_DWORDS = 16,         // dwords of a vector of integers
    XN_CPU_STREAM_ROWS = 32,    // the most rows of activations by which weights stream
    XN_CPU_STREAM_DEFAULT = 16, // where it was not measured
};

// In which order the levels below AVX512 have scales and sums of the blocks of 256 values (struct xn_cpu_row).
#define XN_CPU_BLOCK_ORDER                                                                                             \
    { 0, 1, 4, 5, 2, 3, 6, 7 }

// Types by which kernels are found: those of files, and weights of them that are laid out in lanes (cpu/lanes.h).
enum {
    XN_CPU_BEFORE_LANES = XN_TYPE_COUNT - 1,
#define X(name, type) XN_CPU_LANES_##name,
#include "cpu/lane_formats.inc"
#undef X
    XN_CPU_TYPES
};

// A row of activations as integers: value i is the scale of its group of 16 times its integer; a group's sum is its
// scale times the sum of its integers (two neighbouring groups have one scale: a block is 32 values). |q| <= 127. All
// three are padded with zeros to a multiple of XN_CPU_SUPER values.
//
// Within 256 values the levels below AVX512 keep the order of the integers and of the sums. Of their 16 scales eight
// are those of the blocks in XN_CPU_BLOCK_ORDER, and eight the sums of the same blocks. From AVX512 on the integers
// stand in the lanes of XN_CPU_DWORDS dwords: dword j of group 4 b + g is dword 16 j + 4 g + b, and scale and sum of
// that group are number 4 g + b.
//
// `lanes` and `wide`: where they are not NULL, all of it once more for weights in lanes, an entry each for each 256
// values (AVX2 alone writes them). Products of a single row do not read `wide`.
struct xn_cpu_row {
    int8_t *q;
    float *scale, *sum;
    struct xn_cpu_lanes *lanes;
    struct xn_cpu_wide *wide;
};
// 256 values in lanes (cpu/lanes.h), of their eight blocks the scales and the sums, and of groups of 16 the sums of the
// integers.
struct xn_cpu_lanes {
    int8_t q[XN_CPU_SUPER];
    float scale[XN_CPU_SUPER / 32], sum[XN_CPU_SUPER / 32];
    int16_t total[XN_CPU_SUPER / 16];
};
// Their integers as 16 bits: of vector j the dwords' bytes 0 and 2, and the bytes 1 and 3.
struct xn_cpu_wide {
    int16_t even[8][16], odd[8][16];
};

// Whether kernels that read one ascending stream at the memory's pace ask for it in advance. A property of the
// processor, which opening a device sets: on AMD's (measured on Zen 4) a bfloat16 stream of two threads reaches 25 GB/s
// with and 52 without.
extern _Atomic bool xn_cpu_asks_ahead;

// Every signature, once: X(slot, result, arguments). The slots of the second list have an entry for each type of
// weights.
#define XN_CPU_SLOTS(X)                                                                                                \
    /* out = norm(x), n values; kind NONE copies. out may be x. */                                                     \
    X(norm, void, (const struct xn_norm *norm, const float *x, float *out, size_t n))                                  \
    /* n values (a multiple of 32) as integers. NULL where no integer kernel is. */                                    \
    X(quantize, void, (const float *x, size_t n, struct xn_cpu_row *out))                                              \
    /* 16 rows (n of them there) of k values into one half (rows 16 half .. 16 half + 15) of a panel, whose rows that  \
       are not there become zeros; NULL where no kernel wants them */                                                  \
    X(pack16, void,                                                                                                    \
      (const float *const *rows, uint32_t n, uint32_t k, uint32_t half, uint32_t terms, uint16_t *panel))              \
    X(pack8, void, (const float *const *rows, uint32_t n, uint32_t k, uint32_t half, struct xn_cpu_chunk *panel))      \
    /* 32 rows (n of them there) of k values, in pairs of rows: for panels of columns `stride` values apart, one block \
       of each */                                                                                                      \
    X(pack16_down, void,                                                                                               \
      (const float *const *rows, uint32_t n, uint32_t k, uint32_t terms, uint16_t *panels, size_t stride))             \
    /* A query's scores of `panels` panels of positions, `stride` floats apart, of which [low, high) count (none: the  \
       maximum stays), into the running softmax: weights e^(score - max) as a row of tiles, those that do not count    \
       zero. Returns what earlier results and the earlier sum are multiplied by (which the sum has been). */           \
    X(soften16, float,                                                                                                 \
      (const float *s, size_t stride, uint32_t panels, uint32_t low, uint32_t high, float *max, float *sum,            \
       uint32_t terms, uint16_t *out))                                                                                 \
    /* c = (accumulate: c +) w x for m rows of weights (a multiple of 16), `blocks` blocks of columns, and n rows of   \
       activations of `terms` terms in panels `stride` values apart; their results c_stride. NULL: the level has none  \
     */                                                                                                                \
    X(gemm16, void,                                                                                                    \
      (uint32_t m, uint32_t blocks, uint32_t w_terms, uint32_t terms, const uint16_t *w, const uint16_t *x,            \
       size_t stride, uint32_t n, float *c, size_t c_stride, bool accumulate))                                         \
    /* The same for m rows and a chunk's first `depth` columns, panels `stride` chunks apart, results c_stride;        \
       `group` (16 or 32) values of weights have one scale, none of the integers is above `most`. NULL: the level has  \
       none. */                                                                                                        \
    X(gemm8, void,                                                                                                     \
      (uint32_t m, const struct xn_cpu_row8 *w, uint32_t group, uint32_t most, uint32_t depth,                         \
       const struct xn_cpu_chunk *x, size_t stride, uint32_t n, float *c, size_t c_stride, bool accumulate))           \
    /* The same of weights whose integers stand in lanes (`group` 16: of `whole` scales); AVX2 alone has it. */        \
    X(gemm8_lanes, void,                                                                                               \
      (uint32_t m, const struct xn_cpu_row8 *w, uint32_t group, uint32_t most, uint32_t depth,                         \
       const struct xn_cpu_chunk *x, size_t stride, uint32_t n, float *c, size_t c_stride, bool accumulate))           \
    /* out = act(gate) * up, or act(gate) where up is NULL. out may be either. */                                      \
    X(activate, void, (enum xn_activation act, const float *gate, const float *up, float *out, size_t n))              \
    /* x = x * sigmoid(gate) */                                                                                        \
    X(sigmoid_gate, void, (float *x, const float *gate, size_t n))                                                     \
    /* x = cap * tanh(x / cap) */                                                                                      \
    X(soft_cap, void, (float *x, float cap, size_t n))                                                                 \
    /* x = exp(x - max); the sum of them */                                                                            \
    X(exp_sum, float, (float *x, float max, size_t n))                                                                 \
    /* out[i] = exp(t - total[i]), for differences up to 0 */                                                          \
    X(decays, void, (const double *total, double t, float *out, size_t n))                                             \
    X(maximum, float, (const float *x, size_t n))                                                                      \
    X(widen, void, (const uint16_t *f16, float *out, size_t n))                                                        \
    X(narrow, void, (const float *x, uint16_t *f16, size_t n))                                                         \
    /* y = s * y + a * x */                                                                                            \
    X(blend, void, (float *y, float s, const float *x, float a, size_t n))                                             \
    /* c[m x n] = (accumulate: c +) a[m x k] b[k x n], rows lda, ldb, ldc apart; n a multiple of XN_CPU_PAD */         \
    X(gemm, void,                                                                                                      \
      (uint32_t m, uint32_t n, uint32_t k, const float *a, size_t lda, const float *b, size_t ldb, float *c,           \
       size_t ldc, bool accumulate))                                                                                   \
    /* out[j * ld + i] = rows[i][j], i < XN_CPU_PAD (zero for i >= n), j < k */                                        \
    X(transpose, void, (const float *const *rows, uint32_t n, uint32_t k, float *out, size_t ld))                      \
    /* out[i * ld] = a_i . x, n values each, i < rows, rows of a lda apart */                                          \
    X(dots, void, (const float *a, size_t lda, uint32_t rows, const float *x, size_t n, float *out, size_t ld))        \
    /* One step of the gated delta rule for columns [0, n) of a state with rows ld apart (ops.h):                      \
       s = g s; d = b (v - s^T k); s = s + k d^T; o = s^T q */                                                         \
    X(delta_step, void,                                                                                                \
      (float *s, size_t ld, uint32_t keys, size_t n, const float *q, const float *k, const float *v, float g, float b, \
       float *o))                                                                                                      \
    /* One step of Mamba-2 for columns [0, n) of a state with rows ld apart (ops.h): s = decay s + time b x^T;         \
       y = s^T c + skip x */                                                                                           \
    X(state_step, void,                                                                                                \
      (float *s, size_t ld, uint32_t states, size_t n, float decay, float time, float skip, const float *x,            \
       const float *b, const float *c, float *y))                                                                      \
    /* Measurement: the sum of n floats (n a multiple of 128), read as fast as memory gives them; what is `ahead`      \
       floats further on is asked for in advance (0: nothing). */                                                      \
    X(read, float, (const float *x, size_t n, size_t ahead))                                                           \
    /* Measurement: independent multiply-adds in registers; how many floating-point operations they were. */           \
    X(multiply, uint64_t, (uint64_t rounds, float *result))                                                            \
    /* The same of products of bfloat16 and of bytes, as gemm16 and gemm8 compute them; NULL where the level has none  \
     */                                                                                                                \
    X(multiply16, uint64_t, (uint64_t rounds, float *result))                                                          \
    X(multiply8, uint64_t, (uint64_t rounds, float *result))                                                           \
    /* out[c] = bias[c] + sum_t w[t * ldw + c] * x[t][c], or the silu of that, c < n; x: `taps` rows; bias may be NULL \
     */                                                                                                                \
    X(conv, void,                                                                                                      \
      (const float *const *x, uint32_t taps, const float *w, size_t ldw, const float *bias, bool silu, float *out,     \
       size_t n))

#define XN_CPU_TYPE_SLOTS(X)                                                                                           \
    /* n values (a multiple of the format's block) to float32; never NULL for a format that decodes */                 \
    X(decode, void, (const void *blocks, float *out, size_t n))                                                        \
    /* n values as a row of tiles: 32 of them every 512, zeros behind the last; with two terms (of types that need     \
       them) every 1024, and what rounding left 512 behind. NULL: the type does not go to BF16 */                      \
    X(decode16, void, (const void *blocks, size_t n, uint32_t terms, uint16_t *out))                                   \
    /* n values (up to XN_CPU_SUPER; behind them, whatever counts for nothing) as a row of panels' weights; `readable` \
       bytes may be read. Of types in lanes, the integers stay there. NULL where no gemm8 takes the type. */           \
    X(unpack8, void, (const void *blocks, size_t n, size_t readable, struct xn_cpu_row8 *row))                         \
    /* A row of k values from the file's layout into lanes (cpu/lanes.h); for types that go there */                   \
    X(lay, void, (const void *blocks, uint32_t k, void *out))                                                          \
    /* Products with integer activations: out[i * ld + r] = w_r . x_i for `rows` rows of weights, n rows of x, k       \
       values each. NULL where the level has none for the type. */                                                     \
    X(dot, void,                                                                                                       \
      (const void *w, size_t row_bytes, uint32_t rows, const struct xn_cpu_row *x, uint32_t n, uint32_t k, float *out, \
       size_t ld))                                                                                                     \
    /* The same with float32 activations, for F32, F16, BF16 and MXFP4 weights; NULL for others. */                    \
    X(stream, void,                                                                                                    \
      (const void *w, size_t row_bytes, uint32_t rows, const float *const *x, uint32_t n, uint32_t k, float *out,      \
       size_t ld))                                                                                                     \
    /* Of rows of a cache, for F32, and F16 where it has instructions (NULL for others): out[i * ldo + r] = w_r . x_i, \
       i < n, r < rows, of k values each, rows of x ldx apart. Meanwhile as many bytes from `ahead` on are called into \
       the caches (NULL: none). */                                                                                     \
    X(scores, void,                                                                                                    \
      (const void *w, size_t row_bytes, uint32_t rows, const float *x, size_t ldx, uint32_t n, uint32_t k,             \
       const void *ahead, float *out, size_t ldo))                                                                     \
    /* likewise: out[i * ldo + c] += sum_r s[i * lds + r] * w_r[c], c < k */                                           \
    X(mix, void,                                                                                                       \
      (const void *w, size_t row_bytes, uint32_t rows, const float *s, size_t lds, uint32_t n, uint32_t k,             \
       const void *ahead, float *out, size_t ldo))

#define X(slot, result, arguments) typedef result xn_cpu_##slot##_fn arguments;
XN_CPU_SLOTS(X)
XN_CPU_TYPE_SLOTS(X)
#undef X

struct xn_cpu_kernels {
    enum xn_cpu_level level;
#define X(slot, result, arguments) xn_cpu_##slot##_fn *slot;
    XN_CPU_SLOTS(X)
#undef X
#define X(slot, result, arguments) xn_cpu_##slot##_fn *slot[XN_CPU_TYPES];
    XN_CPU_TYPE_SLOTS(X)
#undef X
    bool split16; // products of BF16 are so fast that several of them are the way to exact ones
    bool rounds;  // activations may be rounded to BF16 where weights are unquantized: the user said so
    struct {
        uint8_t group, most; // of weights, for gemm8
        uint8_t terms;       // bfloat16 numbers that a value of weights takes
        uint8_t stream;      // rows of activations up to which weights stream (crossover.h)
        uint8_t tile;        // enum xn_cpu_tile: how products of many rows are computed
        uint8_t lanes;       // the type of such weights in lanes; 0: they stay as they are
    } type[XN_CPU_TYPES];
};

// Whether weights with kernels of this type are in lanes.
static inline bool xn_cpu_in_lanes(uint32_t kernel_type) {
    return kernel_type >= XN_TYPE_COUNT;
}
// The type in a file whose weights have kernels of this type.
uint32_t xn_cpu_file_type(uint32_t kernel_type);
// Fills a table for a level (which the machine must have).
void xn_cpu_kernels_init(struct xn_cpu_kernels *kernels, enum xn_cpu_level level);
