// Every kernel of every level that this machine has, against plain arithmetic in float64: odd sizes, unaligned weights,
// extreme fills, guard bytes around what is written. The seed stands in every message.
#include "cpu/kernels.h"

#include "base/memory.h"
#include "quant/half.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "cpu/testing.h"

// Memory with guards on both sides; `offset` moves the start off its alignment.
enum { GUARD = 192, GUARD_BYTE = 0xa5 };
struct guarded {
    uint8_t *base;
    size_t bytes;
    void *p;
};
static struct guarded guarded(size_t bytes, size_t offset) {
    struct guarded g = {malloc(bytes + 2 * GUARD + 64), bytes, NULL};
    memset(g.base, GUARD_BYTE, bytes + 2 * GUARD + 64);
    g.p = g.base + GUARD + offset;
    return g;
}
static bool intact(const struct guarded *g) {
    const uint8_t *p = g->p;
    for (int i = 1; i <= GUARD / 2; i++)
        if (p[-i] != GUARD_BYTE || p[g->bytes + (size_t)i - 1] != GUARD_BYTE) return false;
    return true;
}

static void each_level(void (*test)(const struct xn_cpu_kernels *k)) {
    for (int level = 0; level <= (int)xn_cpu_level_detect(); level++) {
        struct xn_cpu_kernels kernels;
        if (!xn_cpu_level_here((enum xn_cpu_level)level)) continue;
        xn_cpu_kernels_init(&kernels, (enum xn_cpu_level)level);
        test(&kernels);
    }
}

// --- decoding ---

static void decode_level(const struct xn_cpu_kernels *k) {
    uint64_t s = seed;
    for (uint32_t type = 0; type < XN_TYPE_COUNT; type++) {
        const struct xn_format *f = xn_format_of(type);
        if (!f || !f->decode) continue;
        assert_non_null(k->decode[type]);
        size_t counts[] = {f->block_values, 3 * (size_t)f->block_values, 1024, 1280, 1056, 33, 7};
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            size_t n = counts[c];
            if (n % f->block_values) continue;
            size_t bytes = n / f->block_values * f->block_bytes, offset = rng(&s) % 64;
            uint8_t *blocks = malloc(bytes + 64); // of just the size: reading on is found by the sanitizer
            uint8_t *p = malloc(bytes);
            fill_blocks(&s, type, p, n);
            memcpy(blocks + offset, p, bytes);
            float *want = xn_alloc(n, sizeof *want);
            f->decode(p, want, n);
            struct guarded out = guarded(n * sizeof(float), 0);
            k->decode[type](p, out.p, n);
            for (size_t i = 0; i < n; i++) {
                float got = ((float *)out.p)[i];
                CHECK(fabsf(got - want[i]) <= 1e-5f * (fabsf(want[i]) + 1) || fabsf(got - want[i]) <= 2e-6f * 1e4f,
                      "%s %s n %zu: value %zu is %g, not %g", xn_cpu_level_name(k->level), f->name, n, i, (double)got,
                      (double)want[i]);
            }
            CHECK(intact(&out), "%s %s n %zu wrote outside", xn_cpu_level_name(k->level), f->name, n);
            struct guarded again = guarded(n * sizeof(float), 0);
            k->decode[type](blocks + offset, again.p, n);
            CHECK(memcmp(out.p, again.p, n * sizeof(float)) == 0, "%s %s n %zu offset %zu differs",
                  xn_cpu_level_name(k->level), f->name, n, offset);
            free(out.base);
            free(again.base);
            free(want);
            free(p);
            free(blocks);
        }
    }
}
static void decoders_agree_with_the_formats(void **state) {
    (void)state;
    each_level(decode_level);
}

// --- products ---

// Where a level keeps the integer, and the scale and sum, of value i of a row (kernels.h).
static size_t integer_at(const struct xn_cpu_kernels *k, size_t i) {
    if (k->level < XN_CPU_AVX512) return i;
    size_t group = i / 16 % 16, dword = i / 4 % 4;
    return i / XN_CPU_SUPER * XN_CPU_SUPER + 4 * (XN_CPU_DWORDS * dword + 4 * (group % 4) + group / 4) + i % 4;
}
static size_t sum_at(const struct xn_cpu_kernels *k, size_t i) {
    if (k->level < XN_CPU_AVX512) return i / 16;
    size_t group = i / 16 % 16;
    return i / XN_CPU_SUPER * XN_CPU_DWORDS + 4 * (group % 4) + group / 4;
}
static size_t scale_at(const struct xn_cpu_kernels *k, size_t i) {
    static const size_t blocks[] = {0, 1, 4, 5, 2, 3, 6, 7};
    if (k->level < XN_CPU_AVX512) return i / XN_CPU_SUPER * 16 + blocks[i / 32 % 8];
    return sum_at(k, i);
}

struct product_case {
    uint32_t type, rows, n, k;
    enum fill fill;
    bool extreme; // every byte of the weights as large as it may be
};

static void product_case(const struct xn_cpu_kernels *kernels, const struct product_case *c, uint64_t *s) {
    const struct xn_format *f = xn_format_of(c->type);
    size_t row_bytes = c->k / f->block_values * f->block_bytes, offset = rng(s) % 63, ld = c->rows + 3;
    uint8_t *exact = malloc(row_bytes * c->rows + offset); // ends where the weights end
    fill_blocks(s, c->type, exact + offset, (size_t)c->k * c->rows);
    if (c->extreme) to_extremes(c->type, exact + offset, (size_t)c->k * c->rows);
    float *x = xn_alloc((size_t)c->n * c->k, sizeof *x), *w = xn_alloc(c->k, sizeof *w);
    fill_values(s, c->fill, x, (size_t)c->n * c->k);
    struct xn_cpu_row *rows = integer_rows(kernels, x, c->n, c->k);
    const float **floats = xn_alloc(c->n, sizeof *floats);
    bool integers = kernels->dot[c->type] != NULL;
    for (uint32_t i = 0; i < c->n; i++)
        floats[i] = x + (size_t)i * c->k;
    struct guarded out = guarded(((size_t)(c->n - 1) * ld + c->rows) * sizeof(float), 0);
    if (integers)
        kernels->dot[c->type](exact + offset, row_bytes, c->rows, rows, c->n, c->k, out.p, ld);
    else
        kernels->stream[c->type](exact + offset, row_bytes, c->rows, floats, c->n, c->k, out.p, ld);
    for (uint32_t r = 0; r < c->rows; r++) {
        f->decode(exact + offset + r * row_bytes, w, c->k);
        for (uint32_t i = 0; i < c->n; i++) {
            double want = 0, size = 0, all = 0;
            float largest = 0;
            for (uint32_t j = 0; j < c->k; j++) {
                double v = integers ? (double)rows[i].scale[scale_at(kernels, j)] * rows[i].q[integer_at(kernels, j)]
                                    : (double)floats[i][j];
                want += w[j] * v;
                size += fabs(w[j] * v);
                all += fabs(v);
                largest = fabsf(w[j]) > largest ? fabsf(w[j]) : largest;
            }
            // Integers are taken from their least value on, which cancels: what is rounded is as large as the largest
            // weight.
            double bound = integers ? 4e-6 * all * (largest + 1e-3) : 2e-6 * size;
            float got = ((float *)out.p)[i * ld + r];
            CHECK(fabs(got - want) <= bound + 1e-25, "%s %s rows %u n %u k %u fill %d: [%u][%u] is %g, not %g",
                  xn_cpu_level_name(kernels->level), f->name, c->rows, c->n, c->k, c->fill, i, r, (double)got, want);
        }
    }
    for (uint32_t i = 0; i + 1 < c->n; i++)
        for (size_t r = c->rows; r < ld; r++)
            CHECK(((uint8_t *)out.p)[(i * ld + r) * 4] == GUARD_BYTE, "%s %s wrote between rows",
                  xn_cpu_level_name(kernels->level), f->name);
    CHECK(intact(&out), "%s %s rows %u n %u k %u wrote outside", xn_cpu_level_name(kernels->level), f->name, c->rows,
          c->n, c->k);
    free_rows(rows, c->n);
    free(floats);
    free(out.base);
    free(x);
    free(w);
    free(exact);
}

static void product_level(const struct xn_cpu_kernels *k) {
    uint64_t s = seed + 1;
    for (uint32_t type = 0; type < XN_TYPE_COUNT; type++) {
        const struct xn_format *f = xn_format_of(type);
        if (!f || (!k->dot[type] && !k->stream[type])) continue;
        uint32_t ks[] = {f->block_values, 256, 1280, 1056, 1055};
        for (size_t i = 0; i < sizeof ks / sizeof *ks; i++) {
            if (ks[i] % f->block_values) continue;
            for (uint32_t n = 1; n <= 17; n += n < 9 ? 1 : 4)
                product_case(k, &(struct product_case){type, n == 1 ? 129 : 3, n, ks[i], FILL_RANDOM, false}, &s);
            for (int fill = 0; fill < FILLS; fill++)
                product_case(k, &(struct product_case){type, 2, 5, ks[i], (enum fill)fill, false}, &s);
            product_case(k, &(struct product_case){type, 1, 2, ks[i], FILL_LARGE, true}, &s);
        }
        // More rows of activations than a first cache holds at once, with more rows of weights than meet a piece of
        // them.
        uint32_t deep = 18 * 256 + (f->block_values < 256 && 256 % f->block_values == 0 ? f->block_values : 0);
        for (uint32_t n = 1; n <= 11; n += n < 3 ? 1 : 4)
            product_case(k, &(struct product_case){type, 19, n, deep, FILL_RANDOM, false}, &s);
    }
}
static void products_agree_with_the_formats(void **state) {
    (void)state;
    each_level(product_level);
}

static void quantize_level(const struct xn_cpu_kernels *k) {
    if (!k->quantize) return;
    uint64_t s = seed + 2;
    for (uint32_t n = 32; n <= 1056; n += 64)
        for (int fill = 0; fill < FILLS; fill++) {
            uint32_t padded = (n + XN_CPU_SUPER - 1) / XN_CPU_SUPER * XN_CPU_SUPER;
            float *x = xn_alloc(n, sizeof *x);
            fill_values(&s, (enum fill)fill, x, n);
            struct guarded q = guarded(padded, 0), d = guarded(padded / 4, 0), m = guarded(padded / 4, 0);
            struct xn_cpu_row row = {.q = q.p, .scale = d.p, .sum = m.p};
            k->quantize(x, n, &row);
            for (uint32_t i = 0; i < padded; i++) {
                float largest = 0, sum = 0, value = i < n ? x[i] : 0, scale = row.scale[scale_at(k, i)];
                int8_t integer = row.q[integer_at(k, i)];
                for (uint32_t j = i / 32 * 32; j < i / 32 * 32 + 32 && j < n; j++)
                    largest = fabsf(x[j]) > largest ? fabsf(x[j]) : largest;
                for (uint32_t j = i / 16 * 16; j < i / 16 * 16 + 16; j++)
                    sum += row.q[integer_at(k, j)];
                CHECK(fabsf(scale * integer - value) <= largest * (0.5001f / 127),
                      "%s n %u fill %d: value %u is %g, not %g", xn_cpu_level_name(k->level), n, fill, i,
                      (double)(scale * integer), (double)value);
                CHECK(integer >= -127, "%s: -128", xn_cpu_level_name(k->level));
                CHECK(row.sum[sum_at(k, i)] == scale * sum, "%s n %u fill %d: sum %u", xn_cpu_level_name(k->level), n,
                      fill, i / 16);
            }
            CHECK(intact(&q) && intact(&d) && intact(&m), "%s n %u wrote outside", xn_cpu_level_name(k->level), n);
            free(q.base);
            free(d.base);
            free(m.base);
            free(x);
        }
}
static void activations_become_integers(void **state) {
    (void)state;
    each_level(quantize_level);
}

// --- gemm, transpose, dots ---

static void gemm_level(const struct xn_cpu_kernels *k) {
    uint64_t s = seed + 3;
    for (int trial = 0; trial < 60; trial++) {
        uint32_t m = 1 + (uint32_t)(rng(&s) % 30), n = XN_CPU_PAD * (1 + (uint32_t)(rng(&s) % 5));
        uint32_t depth = (uint32_t)(rng(&s) % 90);
        if (trial % 4 == 0) { // larger than what tiles pack at once
            m += 100;
            n += 8 * XN_CPU_PAD;
            depth += 100;
        }
        size_t lda = depth + rng(&s) % 5, ldb = n + rng(&s) % 3, ldc = n + rng(&s) % 3;
        float *a = xn_alloc_aligned(m * lda, 4), *b = xn_alloc_aligned(depth * ldb, 4);
        fill_values(&s, FILL_RANDOM, a, m * lda);
        fill_values(&s, FILL_RANDOM, b, depth * ldb);
        struct guarded c = guarded(((m - 1) * ldc + n) * 4, 0);
        float *before = malloc(c.bytes);
        bool accumulate = rng(&s) & 1;
        if (accumulate) fill_values(&s, FILL_RANDOM, c.p, c.bytes / 4);
        memcpy(before, c.p, c.bytes);
        k->gemm(m, n, depth, a, lda, b, ldb, c.p, ldc, accumulate);
        for (uint32_t i = 0; i < m; i++)
            for (uint32_t j = 0; j < n; j++) {
                double want = accumulate ? before[i * ldc + j] : 0, size = fabs(want);
                for (uint32_t p = 0; p < depth; p++) {
                    double product = (double)a[i * lda + p] * b[p * ldb + j];
                    want += product;
                    size += fabs(product);
                }
                float got = ((float *)c.p)[i * ldc + j];
                // Tiles leave out what is below 2^-16; sums of more terms round more.
                CHECK(fabs(got - want) <= (k->split16   ? 1e-5 * size + 1e-6
                                           : depth < 90 ? 1e-5
                                                        : 3e-5),
                      "%s m %u n %u k %u: [%u][%u] is %g, not %g", xn_cpu_level_name(k->level), m, n, depth, i, j,
                      (double)got, want);
            }
        for (uint32_t i = 0; i + 1 < m; i++)
            for (size_t j = n; j < ldc; j++)
                CHECK(memcmp((float *)c.p + i * ldc + j, before + i * ldc + j, 4) == 0, "%s wrote between rows",
                      xn_cpu_level_name(k->level));
        CHECK(intact(&c), "%s m %u n %u k %u wrote outside", xn_cpu_level_name(k->level), m, n, depth);
        free(a);
        free(b);
        free(before);
        free(c.base);
    }
}
static void gemm_multiplies(void **state) {
    (void)state;
    each_level(gemm_level);
}

static void transpose_level(const struct xn_cpu_kernels *k) {
    uint64_t s = seed + 4;
    for (uint32_t n = 0; n <= XN_CPU_PAD; n++)
        for (uint32_t depth = 1; depth < 70; depth += 7) {
            float *x = xn_alloc((size_t)XN_CPU_PAD * depth, 4);
            fill_values(&s, FILL_RANDOM, x, (size_t)XN_CPU_PAD * depth);
            const float *rows[XN_CPU_PAD];
            for (uint32_t i = 0; i < n; i++)
                rows[i] = x + i * depth;
            struct guarded out = guarded(((size_t)(depth - 1) * 20 + 16) * 4, 0);
            k->transpose(rows, n, depth, out.p, 20);
            for (uint32_t j = 0; j < depth; j++)
                for (uint32_t i = 0; i < XN_CPU_PAD; i++)
                    CHECK(((float *)out.p)[j * 20 + i] == (i < n ? rows[i][j] : 0), "%s n %u k %u: [%u][%u]",
                          xn_cpu_level_name(k->level), n, depth, j, i);
            CHECK(intact(&out), "%s n %u k %u wrote outside", xn_cpu_level_name(k->level), n, depth);
            for (uint32_t i = 0; i < n; i++) {
                float got[3 * XN_CPU_PAD];
                k->dots(x, depth, n, rows[i], depth, got, 3);
                for (uint32_t j = 0; j < n; j++) {
                    double want = 0;
                    for (uint32_t p = 0; p < depth; p++)
                        want += (double)rows[i][p] * rows[j][p];
                    CHECK(fabs(got[3 * j] - want) < 1e-5, "%s dots n %u k %u", xn_cpu_level_name(k->level), n, depth);
                }
            }
            free(out.base);
            free(x);
        }
}
static void rows_are_transposed_and_multiplied(void **state) {
    (void)state;
    each_level(transpose_level);
}

// --- rows ---

static double activation(enum xn_activation act, double x) {
    switch (act) {
    case XN_ACT_SILU:
        return x / (1 + exp(-x));
    case XN_ACT_GELU:
        return 0.5 * x * (1 + erf(x * sqrt(0.5)));
    case XN_ACT_GELU_TANH:
        return 0.5 * x * (1 + tanh(0.79788456080286536 * (x + 0.044715 * x * x * x)));
    case XN_ACT_GELU_QUICK:
        return x / (1 + exp(-1.702 * x));
    case XN_ACT_RELU:
        return x > 0 ? x : 0;
    case XN_ACT_RELU2:
        return x > 0 ? x * x : 0;
    case XN_ACTIVATIONS:
        break;
    }
    return NAN;
}

static void rows_level(const struct xn_cpu_kernels *k) {
    uint64_t s = seed + 5;
    const char *level = xn_cpu_level_name(k->level);
    for (size_t n = 1; n < 200; n += n < 35 ? 1 : 31) {
        float *x = xn_alloc(n, 4), *y = xn_alloc(n, 4);
        for (size_t i = 0; i < n; i++) {
            float scale = rng(&s) % 4 == 0 ? 100 : rng(&s) % 4 == 0 ? 0.01f : 3;
            x[i] = scale * uniform(&s);
            y[i] = uniform(&s);
        }
        struct guarded out = guarded(n * 4, 0);
        float *got = out.p;
        for (int act = 0; act < XN_ACTIVATIONS; act++)
            for (int with = 0; with < 2; with++) {
                k->activate((enum xn_activation)act, x, with ? y : NULL, got, n);
                for (size_t i = 0; i < n; i++) {
                    double want = activation((enum xn_activation)act, x[i]) * (with ? y[i] : 1);
                    CHECK(fabs(got[i] - want) <= 3e-6 * fabs(want) + 1e-6 * fmin(1, fabs(x[i])),
                          "%s activation %d n %zu: f(%g) is %g, not %g", level, act, n, (double)x[i], (double)got[i],
                          want);
                }
            }
        memcpy(got, x, n * 4);
        k->sigmoid_gate(got, y, n);
        for (size_t i = 0; i < n; i++)
            CHECK(fabs(got[i] - x[i] / (1 + exp(-(double)y[i]))) <= 1e-6 * fabs(x[i]), "%s sigmoid_gate n %zu", level,
                  n);
        for (float cap = 0.5f; cap < 100; cap *= 7) {
            memcpy(got, x, n * 4);
            k->soft_cap(got, cap, n);
            for (size_t i = 0; i < n; i++) {
                double want = cap * tanh(x[i] / (double)cap);
                CHECK(fabs(got[i] - want) <= 1e-6 * fabs(want), "%s soft_cap %g of %g is %g, not %g", level,
                      (double)cap, (double)x[i], (double)got[i], want);
            }
        }
        float max = k->maximum(x, n), largest = x[0];
        for (size_t i = 0; i < n; i++)
            largest = x[i] > largest ? x[i] : largest;
        CHECK(max == largest, "%s maximum n %zu", level, n);
        memcpy(got, x, n * 4);
        double totals[200];
        for (size_t i = 0; i < n; i++)
            totals[i] = 1000 + 30 * (double)uniform(&s);
        k->decays(totals, 970, got, n);
        for (size_t i = 0; i < n; i++)
            CHECK(fabs(got[i] - exp(970 - totals[i])) <= 8e-6 * exp(970 - totals[i]) + 1e-38, "%s decays n %zu", level,
                  n);
        memcpy(got, x, n * 4);
        double total = 0, sum = k->exp_sum(got, max, n);
        for (size_t i = 0; i < n; i++) {
            double want = exp((double)(x[i] - max));
            total += want;
            CHECK(fabs(got[i] - want) <= 1e-6 * want + 2e-38, "%s exp(%g) is %g, not %g", level, (double)(x[i] - max),
                  (double)got[i], want);
        }
        CHECK(fabs(sum - total) <= 2e-6 * total, "%s exp_sum n %zu", level, n);
        memcpy(got, x, n * 4);
        k->blend(got, 0.5f, y, 2, n);
        for (size_t i = 0; i < n; i++)
            CHECK(fabsf(got[i] - (0.5f * x[i] + 2 * y[i])) <= 1e-5f, "%s blend n %zu", level, n);

        struct xn_norm norm = {.epsilon = 1e-6f, .weight = y, .bias = y};
        for (int kind = 0; kind <= XN_NORM_LAYER; kind++)
            for (int plain = 0; plain < 2; plain++) {
                norm.kind = (enum xn_norm_kind)kind;
                norm.weight = norm.bias = plain ? NULL : y;
                double mean = 0, squares = 0;
                for (size_t i = 0; i < n; i++)
                    mean += x[i] / (double)n;
                if (kind != XN_NORM_LAYER) mean = 0;
                for (size_t i = 0; i < n; i++)
                    squares += (x[i] - mean) * (x[i] - mean) / (double)n;
                k->norm(&norm, x, got, n);
                for (size_t i = 0; i < n; i++) {
                    double want = x[i];
                    if (kind != XN_NORM_NONE) {
                        want = (x[i] - mean) / sqrt(squares + norm.epsilon) * (plain ? 1 : y[i]);
                        if (kind == XN_NORM_LAYER && !plain) want += y[i];
                    }
                    CHECK(fabs(got[i] - want) <= 1e-5 * (1 + fabs(want)) + (n == 1 ? 1 : 0),
                          "%s norm %d n %zu: %g, not %g", level, kind, n, (double)got[i], want);
                }
            }
        CHECK(intact(&out), "%s n %zu wrote outside", level, n);
        free(out.base);

        struct guarded half = guarded(n * 2, 0);
        k->narrow(x, half.p, n);
        struct guarded wide = guarded(n * 4, 0);
        k->widen(half.p, wide.p, n);
        for (size_t i = 0; i < n; i++) {
            CHECK(((uint16_t *)half.p)[i] == xn_f32_to_f16(x[i]), "%s narrow n %zu", level, n);
            CHECK(((float *)wide.p)[i] == xn_f16_to_f32(xn_f32_to_f16(x[i])), "%s widen n %zu", level, n);
        }
        CHECK(intact(&half) && intact(&wide), "%s conversions of %zu wrote outside", level, n);
        free(half.base);
        free(wide.base);
        free(x);
        free(y);
    }
}
static void functions_of_rows_are_exact_enough(void **state) {
    (void)state;
    each_level(rows_level);
}

// --- recurrences ---

static void recurrence_level(const struct xn_cpu_kernels *k) {
    uint64_t s = seed + 6;
    const char *level = xn_cpu_level_name(k->level);
    for (int trial = 0; trial < 40; trial++) {
        uint32_t keys = 1 + (uint32_t)(rng(&s) % 70), taps = 1 + (uint32_t)(rng(&s) % 5);
        size_t n = 1 + rng(&s) % 150, ld = n + rng(&s) % 4;
        struct guarded state = guarded(((keys - 1) * ld + n) * 4, 0), out = guarded(n * 4, 0);
        float *before = malloc(state.bytes), *q = xn_alloc(keys, 4), *key = xn_alloc(keys, 4), *v = xn_alloc(n, 4);
        fill_values(&s, FILL_RANDOM, state.p, state.bytes / 4);
        memcpy(before, state.p, state.bytes);
        fill_values(&s, FILL_RANDOM, q, keys);
        fill_values(&s, FILL_RANDOM, key, keys);
        fill_values(&s, FILL_RANDOM, v, n);
        float g = 0.9f, b = 0.3f;
        k->delta_step(state.p, ld, keys, n, q, key, v, g, b, out.p);
        for (size_t j = 0; j < n; j++) {
            double seen = 0, sum = 0;
            for (uint32_t i = 0; i < keys; i++)
                seen += (double)g * before[i * ld + j] * key[i];
            double d = b * (v[j] - seen);
            for (uint32_t i = 0; i < keys; i++) {
                double want = (double)g * before[i * ld + j] + key[i] * d;
                sum += want * q[i];
                CHECK(fabs(((float *)state.p)[i * ld + j] - want) < 1e-5, "%s delta_step keys %u n %zu", level, keys,
                      n);
            }
            CHECK(fabs(((float *)out.p)[j] - sum) < 2e-5, "%s delta_step keys %u n %zu output", level, keys, n);
        }
        CHECK(intact(&state) && intact(&out), "%s delta_step keys %u n %zu wrote outside", level, keys, n);

        float time = 0.4f, skip = 0.7f;
        memcpy(state.p, before, state.bytes);
        k->state_step(state.p, ld, keys, n, g, time, skip, v, key, q, out.p);
        for (size_t j = 0; j < n; j++) {
            double sum = (double)skip * v[j];
            for (uint32_t i = 0; i < keys; i++) {
                double want = (double)g * before[i * ld + j] + (double)time * key[i] * v[j];
                sum += want * q[i];
                CHECK(fabs(((float *)state.p)[i * ld + j] - want) < 1e-5, "%s state_step states %u n %zu", level, keys,
                      n);
            }
            CHECK(fabs(((float *)out.p)[j] - sum) < 2e-5, "%s state_step states %u n %zu output", level, keys, n);
        }
        CHECK(intact(&state) && intact(&out), "%s state_step states %u n %zu wrote outside", level, keys, n);

        float *x = xn_alloc(taps * n, 4), *w = xn_alloc(taps * ld, 4);
        fill_values(&s, FILL_RANDOM, x, taps * n);
        fill_values(&s, FILL_RANDOM, w, taps * ld);
        const float *rows[5];
        for (uint32_t t = 0; t < taps; t++)
            rows[t] = x + t * n;
        bool bias = rng(&s) & 1, silu = rng(&s) & 1;
        k->conv(rows, taps, w, ld, bias ? v : NULL, silu, out.p, n);
        for (size_t j = 0; j < n; j++) {
            double sum = bias ? v[j] : 0;
            for (uint32_t t = 0; t < taps; t++)
                sum += (double)w[t * ld + j] * rows[t][j];
            double want = silu ? sum / (1 + exp(-sum)) : sum;
            CHECK(fabs(((float *)out.p)[j] - want) < 2e-6, "%s conv taps %u n %zu", level, taps, n);
        }
        CHECK(intact(&out), "%s conv taps %u n %zu wrote outside", level, taps, n);
        free(x);
        free(w);
        free(state.base);
        free(out.base);
        free(before);
        free(q);
        free(key);
        free(v);
    }
}
static void recurrences_step(void **state) {
    (void)state;
    each_level(recurrence_level);
}

// --- rows of a cache ---

static void cache_case(const struct xn_cpu_kernels *k, uint32_t type, uint64_t *s) {
    const char *level = xn_cpu_level_name(k->level);
    uint32_t rows = 1 + (uint32_t)(rng(s) % 20), n = 1 + (uint32_t)(rng(s) % 11), size = 1 + (uint32_t)(rng(s) % 90);
    size_t row_values = size + rng(s) % 4, ldx = size + rng(s) % 3, ldo = rows + rng(s) % 3,
           bytes = type == XN_F16 ? 2 : 4;
    size_t values = (rows - 1) * row_values + size; // the last row ends where the memory does
    uint8_t *cache = malloc(values * bytes);
    fill_blocks(s, type, cache, values);
    float *w = xn_alloc(values, 4), *x = xn_alloc(n * ldx, 4), *before = xn_alloc(n * ldx, 4);
    xn_format_of(type)->decode(cache, w, values);
    fill_values(s, FILL_RANDOM, x, n * ldx);
    const void *ahead = rng(s) & 1 ? cache : NULL;

    struct guarded scores = guarded(((n - 1) * ldo + rows) * 4, 0), sums = guarded(((n - 1) * ldx + size) * 4, 0);
    k->scores[type](cache, row_values * bytes, rows, x, ldx, n, size, ahead, scores.p, ldo);
    fill_values(s, FILL_RANDOM, sums.p, sums.bytes / 4);
    memcpy(before, sums.p, sums.bytes);
    k->mix[type](cache, row_values * bytes, rows, scores.p, ldo, n, size, ahead, sums.p, ldx);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t r = 0; r < rows; r++) {
            double want = 0;
            for (uint32_t c = 0; c < size; c++)
                want += (double)w[r * row_values + c] * x[i * ldx + c];
            float got = ((float *)scores.p)[i * ldo + r];
            CHECK(fabs(got - want) < 1e-4, "%s scores type %u rows %u n %u size %u: [%u][%u] is %g, not %g", level,
                  type, rows, n, size, i, r, (double)got, want);
        }
        for (uint32_t c = 0; c < size; c++) {
            double want = before[i * ldx + c], all = 1;
            for (uint32_t r = 0; r < rows; r++) {
                double term = (double)((float *)scores.p)[i * ldo + r] * w[r * row_values + c];
                want += term;
                all += fabs(term);
            }
            float got = ((float *)sums.p)[i * ldx + c];
            CHECK(fabs(got - want) < 1e-6 * all, "%s mix type %u rows %u n %u size %u: [%u][%u] is %g, not %g", level,
                  type, rows, n, size, i, c, (double)got, want);
        }
        for (size_t c = size; i + 1 < n && c < ldx; c++)
            CHECK(((float *)sums.p)[i * ldx + c] == before[i * ldx + c], "%s mix wrote between rows", level);
        for (size_t r = rows; i + 1 < n && r < ldo; r++)
            CHECK(((uint8_t *)scores.p)[(i * ldo + r) * 4] == GUARD_BYTE, "%s scores wrote between rows", level);
    }
    CHECK(intact(&scores) && intact(&sums), "%s scores or mix type %u rows %u n %u size %u wrote outside", level, type,
          rows, n, size);
    free(cache);
    free(w);
    free(x);
    free(before);
    free(scores.base);
    free(sums.base);
}

static void cache_level(const struct xn_cpu_kernels *k) {
    uint64_t s = seed + 7;
    for (int trial = 0; trial < 200; trial++)
        for (uint32_t type = 0; type < XN_TYPE_COUNT; type++)
            if (k->scores[type]) cache_case(k, type, &s);
}
static void rows_of_a_cache_are_scored_and_mixed(void **state) {
    (void)state;
    each_level(cache_level);
}

int main(void) {
    seed = test_seed(1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoders_agree_with_the_formats),
        cmocka_unit_test(products_agree_with_the_formats),
        cmocka_unit_test(activations_become_integers),
        cmocka_unit_test(gemm_multiplies),
        cmocka_unit_test(rows_are_transposed_and_multiplied),
        cmocka_unit_test(functions_of_rows_are_exact_enough),
        cmocka_unit_test(recurrences_step),
        cmocka_unit_test(rows_of_a_cache_are_scored_and_mixed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
