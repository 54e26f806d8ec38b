// Weights in lanes are the same weights: decoded, to the bit; in products with rows as in those with panels, to the
// bit; and as in the file's layout, to the bit too where both round at the same places: scales for 16 values are
// multiplied as integers in lanes, and as floats there.
#include "cpu/lanes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "cpu/testing.h"

enum { MOST_N = 17 };

// The same rows in the file's layout and in lanes, each allocated to the byte: reading on is found by the sanitizer.
struct sides {
    const struct xn_format *f;
    uint32_t type, lanes, m, k;
    size_t file_bytes, lane_bytes; // of a row
    uint8_t *in_file, *in_lanes;
};

static void draw(const struct xn_cpu_kernels *kernels, uint64_t *s, uint32_t type, uint32_t k, bool extreme,
                 struct sides *d) {
    *d = (struct sides){.f = xn_format_of(type), .type = type, .lanes = kernels->type[type].lanes, .k = k};
    d->m = 1 + (uint32_t)(rng(s) % 21);
    d->file_bytes = k / d->f->block_values * d->f->block_bytes;
    d->lane_bytes = xn_cpu_lanes_row_bytes(d->f, k);
    d->in_file = malloc(1 + d->m * d->file_bytes);
    d->in_lanes = malloc(1 + d->m * d->lane_bytes);
    fill_blocks(s, type, d->in_file + 1, (size_t)d->m * k);
    if (extreme) to_extremes(type, d->in_file + 1, (size_t)d->m * k);
    memset(d->in_lanes, 0xa5, 1 + d->m * d->lane_bytes);
    for (uint32_t r = d->m; r-- > 0;) // downwards, so that a row that is too long shows
        kernels->lay[type](d->in_file + 1 + r * d->file_bytes, k, d->in_lanes + 1 + r * d->lane_bytes);
}
static void drop(struct sides *d) {
    free(d->in_file);
    free(d->in_lanes);
}

static void each_format(void (*test)(const struct xn_cpu_kernels *kernels, uint64_t *s, uint32_t type, uint32_t k)) {
    static const uint32_t widths[] = {32, 96, 128, 160, 256, 288, 384, 416, 480, 512, 896, 1056, 1280, 4864};
    struct xn_cpu_kernels kernels;
    uint64_t s = seed;
    if (!xn_cpu_level_here(XN_CPU_AVX2)) skip();
    xn_cpu_kernels_init(&kernels, XN_CPU_AVX2);
    uint32_t formats = 0;
    for (uint32_t type = 0; type < XN_TYPE_COUNT; type++) {
        if (!kernels.type[type].lanes) continue;
        formats++;
        assert_int_equal(xn_cpu_file_type(kernels.type[type].lanes), type);
        for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
            if (widths[i] % xn_format_of(type)->block_values == 0) test(&kernels, &s, type, widths[i]);
    }
    assert_true(formats >= 12);
}

static void decoded(const struct xn_cpu_kernels *kernels, uint64_t *s, uint32_t type, uint32_t k) {
    struct sides d;
    draw(kernels, s, type, k, false, &d);
    float *want = xn_alloc(k, sizeof *want), *got = malloc(k * sizeof *got);
    for (uint32_t r = 0; r < d.m; r++) {
        const uint8_t *row = d.in_lanes + 1 + r * d.lane_bytes;
        kernels->decode[type](d.in_file + 1 + r * d.file_bytes, want, k);
        kernels->decode[d.lanes](row, got, k);
        CHECK(memcmp(want, got, k * sizeof *got) == 0, "%s k %u row %u is decoded otherwise", d.f->name, k, r);
        // A part of the columns, as panels of floats have it.
        uint32_t at = k / XN_CPU_SUPER / 2 * XN_CPU_SUPER;
        kernels->decode[d.lanes](row + at / d.f->block_values * d.f->block_bytes, got, k - at);
        CHECK(memcmp(want + at, got, (k - at) * sizeof *got) == 0, "%s k %u row %u from %u", d.f->name, k, r, at);
    }
    free(want);
    free(got);
    drop(&d);
}
static void rows_decode_to_the_same(void **unused) {
    (void)unused;
    each_format(decoded);
}

// Products of weights with whole scales, within the rounding of a few sums of floats: of the very numbers that the two
// sides are made of.
static void check_near(const struct xn_cpu_kernels *kernels, const struct sides *d, const struct xn_cpu_row *x,
                       uint32_t n, const float *got) {
    struct xn_cpu_row8 w;
    for (uint32_t r = 0; r < d->m; r++)
        for (uint32_t i = 0; i < n; i++) {
            double want = 0, size = 0;
            for (uint32_t at = 0; at < d->k; at += XN_CPU_SUPER) {
                const struct xn_cpu_lanes *lanes = x[i].lanes + at / XN_CPU_SUPER;
                kernels->unpack8[d->lanes](d->in_lanes + 1 + r * d->lane_bytes +
                                               at / d->f->block_values * d->f->block_bytes,
                                           XN_CPU_SUPER, 0, &w);
                for (uint32_t j = 0; j < XN_CPU_SUPER; j++) { // dword j / 32 of block j / 4 % 8
                    uint32_t b = j / 4 % 8, h = j / 128;
                    double value = (double)lanes->q[j] * lanes->scale[b];
                    double product = (double)w.whole.d * w.whole.by[h][b][1] * w.q[j] * value;
                    double minimum = (double)w.whole.d_minimum * w.whole.minimum[b][h] * value;
                    want += product - minimum;
                    size += fabs(product) + fabs(minimum);
                }
            }
            double is = got[(size_t)i * d->m + r];
            CHECK(fabs(is - want) <= 3e-7 * size, "%s k %u: [%u][%u] is %.9g, not %.9g, of %g", d->f->name, d->k, i, r,
                  is, want, size);
        }
}

static void multiplied_with(const struct xn_cpu_kernels *kernels, uint64_t *s, const struct sides *d, enum fill fill) {
    uint32_t k = d->k, m = d->m, n = 1 + (uint32_t)(rng(s) % MOST_N), chunks = xn_cpu_chunks(k);
    float *x = xn_alloc((size_t)n * k, sizeof *x);
    fill_values(s, fill, x, (size_t)n * k);
    struct xn_cpu_row *rows = integer_rows(kernels, x, n, k);
    struct xn_cpu_chunk *panel = xn_alloc_aligned(chunks, sizeof *panel);
    for (uint32_t half = 0; half < 2; half++) {
        const float *some[16];
        uint32_t count = n <= 16 * half ? 0 : n - 16 * half < 16 ? n - 16 * half : 16;
        for (uint32_t i = 0; i < count; i++)
            some[i] = x + (size_t)(16 * half + i) * k;
        kernels->pack8(some, count, k, half, panel);
    }
    float *want = xn_alloc((size_t)n * m, sizeof *want), *got = malloc((size_t)n * m * sizeof *got);
    kernels->dot[d->type](d->in_file + 1, d->file_bytes, m, rows, n, k, want, m);
    kernels->dot[d->lanes](d->in_lanes + 1, d->lane_bytes, m, rows, n, k, got, m);
    if (kernels->type[d->type].group == 32)
        CHECK(memcmp(want, got, (size_t)n * m * sizeof *got) == 0, "%s m %u n %u k %u fill %d: rows multiply otherwise",
              d->f->name, m, n, k, fill);
    else
        check_near(kernels, d, rows, n, got);
    struct xn_cpu_row8 *weights = xn_alloc_aligned(m, sizeof *weights);
    float *c = xn_alloc_aligned((size_t)m * XN_CPU_PANEL, sizeof *c);
    size_t chunk_bytes = (size_t)XN_CPU_SUPER / d->f->block_values * d->f->block_bytes;
    for (uint32_t chunk = 0; chunk < chunks; chunk++) {
        uint32_t at = chunk * XN_CPU_SUPER, depth = k - at < XN_CPU_SUPER ? k - at : XN_CPU_SUPER;
        for (uint32_t r = 0; r < m; r++)
            kernels->unpack8[d->lanes](d->in_lanes + 1 + r * d->lane_bytes + chunk * chunk_bytes, depth, 0,
                                       weights + r);
        kernels->gemm8_lanes(m, weights, kernels->type[d->lanes].group, kernels->type[d->lanes].most, depth,
                             panel + chunk, chunks, n, c, 0, chunk != 0);
    }
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t r = 0; r < m; r++)
            CHECK(c[r * XN_CPU_PANEL + i] == got[(size_t)i * m + r],
                  "%s m %u n %u k %u fill %d: panels multiply otherwise", d->f->name, m, n, k, fill);
    free_rows(rows, n);
    free(x);
    free(panel);
    free(want);
    free(got);
    free(weights);
    free(c);
}
static void multiplied(const struct xn_cpu_kernels *kernels, uint64_t *s, uint32_t type, uint32_t k) {
    for (int trial = 0; trial < 2 * FILLS; trial++) { // sums of the largest products fit where they are kept
        struct sides d;
        draw(kernels, s, type, k, trial % 2, &d);
        multiplied_with(kernels, s, &d, (enum fill)(trial / 2));
        drop(&d);
    }
}
static void products_are_the_same(void **unused) {
    (void)unused;
    each_format(multiplied);
}

static void rows_grow_little(void **unused) {
    (void)unused;
    const struct xn_format *q8 = xn_format_of(XN_Q8_0), *q4k = xn_format_of(XN_Q4_K);
    assert_int_equal(xn_cpu_lanes_row_bytes(q8, 1024), 4 * 272);
    assert_int_equal(xn_cpu_lanes_row_bytes(q8, 896), 3 * 272 + 136);
    assert_int_equal(xn_cpu_lanes_row_bytes(q8, 32), 136);
    assert_int_equal(xn_cpu_lanes_row_bytes(q8, 160), 272);
    assert_int_equal(xn_cpu_lanes_row_bytes(q4k, 1280), 5 * 144);
}

int main(void) {
    seed = test_seed(1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_decode_to_the_same),
        cmocka_unit_test(products_are_the_same),
        cmocka_unit_test(rows_grow_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
