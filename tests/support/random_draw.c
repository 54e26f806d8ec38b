#include "random_draw.h"

#include "quant/format.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// SplitMix64: https://doi.org/10.1145/2660193.2660195
static uint64_t next(uint64_t *state) {
    uint64_t x = *state += 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

uint32_t draw_below(struct draw *d, uint32_t n) {
    uint32_t drawn = (uint32_t)(next(&d->choice) >> 32);
    const struct random_recipe_options *o = d->options;
    return (d->n_taken < o->n_choices ? o->choices[d->n_taken++] : drawn) % n;
}

bool draw_coin(struct draw *d) {
    return draw_below(d, 2) != 0;
}

uint32_t draw_of(struct draw *d, const uint32_t *of, uint32_t n) {
    return of[draw_below(d, n)];
}

void *draw_alloc(struct draw *d, size_t n, size_t size) {
    void *p = xn_arena_alloc(&d->recipe->arena, n, size);
    if (!p) abort();
    return p;
}

// The sum of four uniform numbers of 16 bits.
static float normal(uint64_t *state) {
    uint64_t x = next(state);
    float sum = (float)(x & 0xffff) + (float)(x >> 16 & 0xffff) + (float)(x >> 32 & 0xffff) + (float)(x >> 48);
    return (sum * 0x1p-16f - 2) * 1.7320508f;
}

float draw_normal(struct draw *d) {
    return normal(&d->value);
}

float *draw_vector(struct draw *d, size_t n, float mean, float deviation) {
    float *v = draw_alloc(d, n, sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = mean + deviation * draw_normal(d);
    return v;
}

float *draw_maybe(struct draw *d, size_t n, float mean, float deviation) {
    return draw_coin(d) ? draw_vector(d, n, mean, deviation) : NULL;
}

float draw_scale(struct draw *d, float scale) {
    return draw_coin(d) ? 0 : scale;
}

// --- matrices ---

// Values of the stored matrix, whose products with inputs of deviation 1 have deviation 1.5.
static void fill_plain(struct draw *d, const struct xn_format *format, const struct xn_matrix *m, size_t values,
                       size_t bytes, const void **data) {
    float deviation = 1.5f / sqrtf((float)m->cols);
    float *decoded = malloc(values * sizeof *decoded);
    if (!decoded) abort();
    for (uint32_t i = 0; i < m->count; i++) {
        // One byte off, so that kernels meet unaligned weights.
        char *blocks = (char *)draw_alloc(d, bytes + 1, 1) + 1;
        for (size_t j = 0; j < values; j++)
            decoded[j] = deviation * draw_normal(d);
        format->encode(decoded, blocks, values, NULL);
        data[i] = blocks;
    }
    free(decoded);
}

// Blocks of any bits, and scales of which nearly all give the deviation of fill_plain.
static void fill_mxfp4(struct draw *d, struct xn_matrix *m, const void **data) {
    size_t blocks = (size_t)m->stored_rows * m->cols / 32;
    const void **scales = draw_alloc(d, m->count, sizeof *scales);
    int exponent = (int)lroundf(log2f(1.5f / sqrtf((float)m->cols) / 2.9f));
    for (uint32_t i = 0; i < m->count; i++) {
        unsigned char *nibbles = draw_alloc(d, blocks * 16, 1), *scale = draw_alloc(d, blocks, 1);
        for (size_t j = 0; j < blocks * 16; j++)
            nibbles[j] = (unsigned char)(next(&d->value) >> 32);
        for (size_t j = 0; j < blocks; j++)
            scale[j] = (unsigned char)(127 + exponent - (next(&d->value) % 16 == 0));
        data[i] = nibbles;
        scales[i] = scale;
    }
    m->scales = scales;
}

// Rows among others, in another order.
static void draw_gather(struct draw *d, struct xn_matrix *m) {
    m->stored_rows = m->rows + draw_below(d, 3);
    uint32_t *gather = draw_alloc(d, m->stored_rows, sizeof *gather);
    for (uint32_t i = 0; i < m->stored_rows; i++) {
        uint32_t j = (uint32_t)(next(&d->value) % (i + 1));
        gather[i] = gather[j];
        gather[j] = i;
    }
    m->gather = gather;
}

static struct xn_matrix draw_typed(struct draw *d, const char *name, const struct xn_format *format, uint32_t rows,
                                   uint32_t cols, uint32_t count) {
    struct xn_matrix m = {.name = name, .rows = rows, .cols = cols, .count = count, .stored_rows = rows};
    if (draw_below(d, 8) == 0) draw_gather(d, &m);
    bool columns = draw_below(d, 8) == 0;
    if ((columns ? m.stored_rows : cols) % format->block_values != 0) format = xn_format_of(XN_F32);
    m.type = (uint32_t)xn_type_from_name(format->name);
    const void **data = draw_alloc(d, count, sizeof *data);
    m.data = data;
    if (columns)
        m.layout = XN_LAYOUT_COLUMNS;
    else if (m.type == XN_MXFP4 && draw_coin(d))
        m.layout = XN_LAYOUT_MXFP4;
    if (m.layout == XN_LAYOUT_MXFP4) {
        fill_mxfp4(d, &m, data);
    } else {
        size_t values = (size_t)m.stored_rows * cols, bytes;
        if (!xn_format_bytes(format, values, &bytes)) abort();
        fill_plain(d, format, &m, values, bytes, data);
    }
    if (!m.gather) m.stored_rows = draw_coin(d) ? 0 : rows; // 0 says the same
    return m;
}

struct xn_matrix draw_matrices(struct draw *d, const char *name, uint32_t rows, uint32_t cols, uint32_t count) {
    uint32_t type = draw_below(d, 8) == 0 ? (uint32_t)XN_BF16 : d->options->type;
    return draw_typed(d, name, xn_format_of(type), rows, cols, count);
}

struct xn_matrix draw_matrix(struct draw *d, const char *name, uint32_t rows, uint32_t cols) {
    return draw_matrices(d, name, rows, cols, 1);
}

struct xn_matrix draw_float_matrix(struct draw *d, const char *name, uint32_t rows, uint32_t cols) {
    return draw_typed(d, name, xn_format_of(DRAW_OF(d, XN_F32, XN_F16, XN_BF16)), rows, cols, 1);
}

// --- norms and gates ---

static float *noisy(struct draw *d, float *v, uint32_t n) {
    for (uint32_t i = 0; d->options->noise > 0 && i < n; i++)
        v[i] *= 1 + d->options->noise * normal(&d->noise);
    return v;
}

struct xn_norm draw_norm(struct draw *d, uint32_t n) {
    struct xn_norm norm = {.kind = draw_below(d, 4) ? XN_NORM_RMS : XN_NORM_LAYER,
                           .epsilon = draw_coin(d) ? 1e-5f : 1e-6f};
    if (draw_below(d, 8)) norm.weight = noisy(d, draw_vector(d, n, 1, 0.2f), n);
    if (norm.kind == XN_NORM_LAYER && draw_coin(d)) norm.bias = noisy(d, draw_vector(d, n, 0, 0.1f), n);
    return norm;
}

struct xn_norm draw_maybe_norm(struct draw *d, uint32_t n) {
    return draw_coin(d) ? draw_norm(d, n) : (struct xn_norm){.kind = XN_NORM_NONE};
}

struct xn_glu draw_glu(struct draw *d) {
    struct xn_glu glu = {.activation = (enum xn_activation)draw_below(d, XN_ACTIVATIONS)};
    if (draw_below(d, 3) == 0) glu.gate_scale = 0.8f;
    if (draw_below(d, 3) == 0) glu.limit = 2;
    if (draw_below(d, 3) == 0) glu.up_offset = 1;
    return glu;
}
