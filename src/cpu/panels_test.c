// Products of panels, of every level that this machine has: activations packed, weights decoded, both multiplied, and
// held against float64 sums of the very values that the two sides stand for after rounding.
#include "cpu/panels.h"

#include "cpu/kernels.h"
#include "quant/half.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "cpu/testing.h"

// Rows of activations side by side at odd addresses, of sizes that differ by groups of 16.
struct sides {
    uint32_t type, m, n, k;
    uint8_t *weights;
    size_t row_bytes;
    float *x, *decoded; // n x k, m x k
};

static bool draw(uint64_t *s, uint32_t type, uint32_t widest, struct sides *d) {
    const struct xn_format *f = xn_format_of(type);
    static const uint32_t widths[] = {32, 96, 256, 288, 512, 1056, 1280, 7, 33, 500};
    uint32_t k = widths[rng(s) % (sizeof widths / sizeof *widths)];
    if (k % f->block_values) k = f->block_values * (1 + (uint32_t)(rng(s) % 3));
    if (k > widest) return false;
    *d = (struct sides){.type = type, .m = 1 + (uint32_t)(rng(s) % 40), .n = 1 + (uint32_t)(rng(s) % 80), .k = k};
    assert_true(xn_format_bytes(f, k, &d->row_bytes));
    size_t bytes = d->row_bytes * d->m;
    uint8_t *blocks = malloc(bytes);
    fill_blocks(s, type, blocks, (size_t)d->m * k);
    d->decoded = xn_alloc((size_t)d->m * k, sizeof(float));
    f->decode(blocks, d->decoded, (size_t)d->m * k);
    d->weights = malloc(bytes + 1); // exactly: reading on is found by the sanitizer
    memcpy(d->weights + 1, blocks, bytes);
    free(blocks);
    d->x = xn_alloc((size_t)d->n * k, sizeof(float));
    for (size_t i = 0; i < (size_t)d->n * k; i++)
        d->x[i] = rng(s) % 50 == 0 ? 20 * uniform(s) : uniform(s);
    return true;
}
static void drop(struct sides *d) {
    free(d->weights);
    free(d->x);
    free(d->decoded);
}

static void *pack(const struct xn_cpu_kernels *k, enum xn_cpu_tile tile, const struct sides *d) {
    size_t bytes = xn_cpu_panel_bytes(tile, d->k);
    char *panels = xn_alloc_aligned(xn_cpu_panels(d->n), bytes);
    memset(panels, 0x7f, xn_cpu_panels(d->n) * bytes); // NaNs, where a kernel forgets to write
    for (uint32_t g = 0; g < (d->n + 15) / 16; g++) {
        const float *rows[16];
        uint32_t count = d->n - 16 * g < 16 ? d->n - 16 * g : 16;
        for (uint32_t i = 0; i < count; i++)
            rows[i] = d->x + (size_t)(16 * g + i) * d->k;
        void *panel = panels + g / 2 * bytes;
        if (tile == XN_TILE_INT8)
            k->pack8(rows, count, d->k, g % 2, panel);
        else
            k->pack16(rows, count, d->k, g % 2, xn_cpu_terms16(tile), panel);
    }
    return panels;
}

static float half(float x) {
    return xn_bf16_to_f32(xn_f32_to_bf16(x));
}

// Activations after their rounding.
static void round_x(enum xn_cpu_tile tile, struct sides *d) {
    for (size_t i = 0; i < (size_t)d->n * d->k; i++)
        if (tile == XN_TILE_BF16) d->x[i] = half(d->x[i]);
    if (tile != XN_TILE_INT8) return;
    for (size_t b = 0; b < (size_t)d->n * d->k; b += 32) {
        float most = 0;
        for (int i = 0; i < 32; i++)
            most = fmaxf(most, fabsf(d->x[b + i]));
        for (int i = 0; i < 32; i++)
            d->x[b + i] = most > 0 ? nearbyintf(d->x[b + i] * (127 / most)) * (most / 127) : 0;
    }
}

// c is [panel][span][32].
static void compare(const struct xn_cpu_kernels *k, const struct sides *d, enum xn_cpu_tile tile, const float *c,
                    uint32_t span, double scale) {
    for (uint32_t i = 0; i < d->n; i++)
        for (uint32_t r = 0; r < d->m; r++) {
            double want = 0, size = 0;
            for (uint32_t j = 0; j < d->k; j++) {
                float w = d->decoded[(size_t)r * d->k + j];
                double term =
                    (double)(tile == XN_TILE_INT8 || (tile == XN_TILE_SPLIT && k->type[d->type].terms > 1) ? w
                                                                                                           : half(w)) *
                    d->x[(size_t)i * d->k + j];
                want += term;
                size += fabs(term);
            }
            float got = c[((size_t)(i / 32) * span + r) * 32 + i % 32];
            CHECK(fabs(got - want * scale) <= (tile == XN_TILE_SPLIT ? 2e-5 : 3e-6) * size * scale + 1e-6,
                  "%s %s m %u n %u k %u: [%u][%u] is %g, not %g", xn_cpu_level_name(k->level),
                  xn_format_of(d->type)->name, d->m, d->n, d->k, i, r, (double)got, want * scale);
        }
}

static void halves(const struct xn_cpu_kernels *k, uint64_t *s, uint32_t type) {
    struct sides d;
    enum xn_cpu_tile tile = rng(s) & 1 ? XN_TILE_SPLIT : XN_TILE_BF16;
    uint32_t terms = xn_cpu_terms16(tile), w_terms = terms > 1 ? k->type[type].terms : 1;
    if (!draw(s, type, 4096, &d)) return;
    uint32_t blocks = xn_cpu_blocks16(d.k), span = (d.m + 15) / 16 * 16;
    uint16_t *panels = pack(k, tile, &d), *w = xn_alloc_aligned((size_t)span * blocks * w_terms * 32, 2);
    for (uint32_t r = 0; r < d.m; r++)
        k->decode16[type](d.weights + 1 + r * d.row_bytes, d.k, w_terms,
                          w + (size_t)(r / 16) * blocks * w_terms * 512 + r % 16 * 32);
    size_t floats = (size_t)xn_cpu_panels(d.n) * span * 32;
    float *c = xn_alloc_aligned(floats, sizeof *c);
    size_t stride = xn_cpu_panel_bytes(tile, d.k) / 2;
    k->gemm16(span, blocks, w_terms, terms, w, panels, stride, d.n, c, (size_t)span * 32, false);
    round_x(tile, &d);
    compare(k, &d, tile, c, span, 1);
    k->gemm16(span, blocks, w_terms, terms, w, panels, stride, d.n, c, (size_t)span * 32, true); // once more on top
    compare(k, &d, tile, c, span, 2);
    free(panels);
    free(w);
    free(c);
    drop(&d);
}

static void integers(const struct xn_cpu_kernels *k, uint64_t *s, uint32_t type) {
    struct sides d;
    if (!draw(s, type, 4096, &d)) return;
    struct xn_cpu_chunk *panels = pack(k, XN_TILE_INT8, &d);
    struct xn_cpu_row8 *rows = xn_alloc_aligned(d.m, sizeof *rows);
    float *c = xn_alloc_aligned((size_t)xn_cpu_panels(d.n) * d.m * 32, sizeof *c);
    for (uint32_t at = 0; at < d.k; at += XN_CPU_SUPER) {
        const struct xn_format *f = xn_format_of(type);
        uint32_t depth = d.k - at < XN_CPU_SUPER ? d.k - at : XN_CPU_SUPER;
        for (uint32_t r = 0; r < d.m; r++)
            k->unpack8[type](d.weights + 1 + r * d.row_bytes + at / f->block_values * f->block_bytes, depth,
                             (d.m - r) * d.row_bytes - at / f->block_values * f->block_bytes, rows + r);
        for (uint32_t r = 0; r < d.m; r++)
            for (uint32_t j = 0; j < XN_CPU_SUPER; j++)
                CHECK(rows[r].q[j] <= k->type[type].most, "%s: an integer of %u", f->name, rows[r].q[j]);
        k->gemm8(d.m, rows, k->type[type].group, k->type[type].most, depth, panels + at / XN_CPU_SUPER,
                 xn_cpu_chunks(d.k), d.n, c, (size_t)d.m * 32, at != 0);
    }
    round_x(XN_TILE_INT8, &d);
    compare(k, &d, XN_TILE_INT8, c, d.m, 1);
    free(panels);
    free(rows);
    free(c);
    drop(&d);
}

// Rows of activations get the same bits one by one, a few at once, and in panels of any number of rows.
static void alike(const struct xn_cpu_kernels *k, uint64_t *s, uint32_t type) {
    struct sides d;
    if (k->level != XN_CPU_AVX2 || !k->dot[type] || !draw(s, type, 4096, &d)) return;
    uint32_t chunks = xn_cpu_chunks(d.k);
    struct xn_cpu_chunk *panels = pack(k, XN_TILE_INT8, &d);
    struct xn_cpu_row8 *weights = xn_alloc_aligned(d.m, sizeof *weights);
    float *c = xn_alloc_aligned((size_t)xn_cpu_panels(d.n) * d.m * 32, sizeof *c);
    struct xn_cpu_row *rows = integer_rows(k, d.x, d.n, d.k);
    const struct xn_format *f = xn_format_of(type);
    for (uint32_t at = 0; at < d.k; at += XN_CPU_SUPER) {
        size_t skip = at / f->block_values * f->block_bytes;
        uint32_t depth = d.k - at < XN_CPU_SUPER ? d.k - at : XN_CPU_SUPER;
        for (uint32_t r = 0; r < d.m; r++)
            k->unpack8[type](d.weights + 1 + r * d.row_bytes + skip, depth, (d.m - r) * d.row_bytes - skip,
                             weights + r);
        k->gemm8(d.m, weights, k->type[type].group, k->type[type].most, depth, panels + at / XN_CPU_SUPER, chunks, d.n,
                 c, (size_t)d.m * 32, at != 0);
    }
    float *out = xn_alloc((size_t)d.n * d.m, sizeof *out);
    for (uint32_t first = 0, some; first < d.n; first += some) {
        some = 1 + (uint32_t)(rng(s) % 9);
        if (some > d.n - first) some = d.n - first;
        k->dot[type](d.weights + 1, d.row_bytes, d.m, rows + first, some, d.k, out + (size_t)first * d.m, d.m);
    }
    for (uint32_t i = 0; i < d.n; i++)
        for (uint32_t r = 0; r < d.m; r++) {
            float one = out[(size_t)i * d.m + r], other = c[((size_t)(i / 32) * d.m + r) * 32 + i % 32];
            CHECK(one == other, "%s m %u n %u k %u: [%u][%u] is %.9g in rows and %.9g in panels", f->name, d.m, d.n,
                  d.k, i, r, (double)one, (double)other);
        }
    free_rows(rows, d.n);
    free(out);
    free(panels);
    free(weights);
    free(c);
    drop(&d);
}

static void each_type(void (*test)(const struct xn_cpu_kernels *k, uint64_t *s, uint32_t type), bool is_half) {
    uint64_t s = seed;
    for (int level = 0; level < XN_CPU_LEVELS; level++) {
        struct xn_cpu_kernels k;
        if (!xn_cpu_level_here((enum xn_cpu_level)level)) continue;
        xn_cpu_kernels_init(&k, (enum xn_cpu_level)level);
        for (uint32_t type = 0; type < XN_TYPE_COUNT; type++)
            for (int trial = 0; trial < 12; trial++)
                if (is_half ? k.gemm16 && k.decode16[type] : k.gemm8 && k.unpack8[type]) test(&k, &s, type);
    }
}

static void panels_of_halves_multiply(void **unused) {
    (void)unused;
    each_type(halves, true);
}
static void panels_of_integers_multiply(void **unused) {
    (void)unused;
    each_type(integers, false);
}

static void rows_and_panels_round_alike(void **unused) {
    (void)unused;
    each_type(alike, false);
}

// Levels above AVX2VNNI do not have its instructions: none of its kernels may be left in their tables.
static void no_kernel_of_a_level_beside_is_used(void **unused) {
    (void)unused;
    struct xn_cpu_kernels beside, above;
    xn_cpu_kernels_init(&beside, XN_CPU_AVX2VNNI);
    for (int level = XN_CPU_AVX512; level < XN_CPU_LEVELS; level++) {
        xn_cpu_kernels_init(&above, (enum xn_cpu_level)level);
        assert_ptr_not_equal(above.gemm8, beside.gemm8);
    }
}

int main(void) {
    seed = test_seed(1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(panels_of_halves_multiply),
        cmocka_unit_test(panels_of_integers_multiply),
        cmocka_unit_test(rows_and_panels_round_alike),
        cmocka_unit_test(no_kernel_of_a_level_beside_is_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
