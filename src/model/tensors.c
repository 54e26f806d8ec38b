// Tensors by role: names, shapes, slices, and vectors as float32.
#include "model/builder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct xn_tensor_name common[XN_TENSOR_ROLES] = {
#define X(name, hf, gguf) [XN_T_##name] = {XN_T_##name, hf, gguf},
    XN_TENSOR_LIST(X)
#undef X
};

enum { MAX_NAME = 256 };

// The pattern(s) of a role in the source's container.
static const char *patterns(const struct xn_builder *b, enum xn_tensor_role role) {
    for (const struct xn_tensor_name *t = b->family->tensors; t && t->role != XN_TENSOR_ROLES; t++) {
        const char *name = b->config ? t->hf : t->gguf;
        if (t->role == role && name) return name;
    }
    return b->config ? common[role].hf : common[role].gguf;
}

// Writes a pattern's name for a layer (XN_NO_LAYER: none) and an expert; a pattern holds at most one "%u", the expert.
static void expand(const struct xn_builder *b, const char *pattern, size_t length, int layer, uint32_t expert,
                   char *out) {
    char base[MAX_NAME];
    const char *hole = memmem(pattern, length, "%u", 2);
    if (hole)
        snprintf(base, sizeof base, "%.*s%u%.*s", (int)(hole - pattern), pattern, expert,
                 (int)(length - (size_t)(hole + 2 - pattern)), hole + 2);
    else
        snprintf(base, sizeof base, "%.*s", (int)length, pattern);
    const char *prefix = b->config ? b->prefix : "";
    int n = 0;
    if (base[0] == '/')
        n = snprintf(out, MAX_NAME, "%s", base + 1);
    else if (layer < 0)
        n = snprintf(out, MAX_NAME, "%s%s", prefix, base);
    else
        n = snprintf(out, MAX_NAME, "%s%s.%d.%s", prefix, b->config ? "layers" : "blk", layer, base);
    if (n >= MAX_NAME) out[0] = 0; // longer than any real name: absent
}

// The tensor of a role, or NULL with the name that was looked for last in `name`.
static const struct xn_tensor *lookup(const struct xn_builder *b, enum xn_tensor_role role, int layer, uint32_t expert,
                                      char *name) {
    const char *pattern = patterns(b, role);
    name[0] = 0;
    while (*pattern) {
        size_t n = strcspn(pattern, "|");
        char candidate[MAX_NAME];
        expand(b, pattern, n, layer, expert, candidate);
        if (!name[0]) memcpy(name, candidate, sizeof candidate); // the first is the usual name: say that one
        const struct xn_tensor *t = xn_source_tensor(b->source, candidate);
        if (t) return t;
        pattern += n + (pattern[n] == '|');
    }
    return NULL;
}

const struct xn_tensor *xn_tensor_find(struct xn_builder *b, enum xn_tensor_role role, int layer) {
    char name[MAX_NAME];
    return b->status ? NULL : lookup(b, role, layer, 0, name);
}

// The same, where absence is a failure.
static const struct xn_tensor *require(struct xn_builder *b, enum xn_tensor_role role, int layer, uint32_t expert) {
    if (b->status) return NULL;
    char name[MAX_NAME];
    const struct xn_tensor *t = lookup(b, role, layer, expert, name);
    if (!t) xn_build_fail(b, XN_ERR_FORMAT, "%s: tensor '%s' is missing (%s)", b->source->path, name, b->family->name);
    return t;
}

// A row of a matrix in bytes; 0 (and a failure) where the type can't be computed with or its blocks do not divide the
// row.
static size_t row_bytes(struct xn_builder *b, const struct xn_tensor *t) {
    const struct xn_format *format = xn_format_of(t->type);
    size_t bytes = 0;
    if (!format || !format->decode)
        xn_build_fail(b, XN_ERR_UNSUPPORTED, "%s: tensor '%s' at offset %llu has type %s (%u), expected weights",
                      t->file, t->name, (unsigned long long)t->offset, format ? format->name : "unknown", t->type);
    else if (!xn_format_bytes(format, t->dims[0], &bytes) || bytes == 0)
        xn_build_fail(b, XN_ERR_FORMAT, "%s: tensor '%s' has rows of %llu values, expected a multiple of %s's %u",
                      t->file, t->name, (unsigned long long)t->dims[0], format->name, format->block_values);
    return b->status ? 0 : bytes;
}

static bool shaped(const struct xn_tensor *t, uint64_t d0, uint64_t d1, uint64_t d2) {
    return t->dims[0] == d0 && t->dims[1] == d1 && t->dims[2] == d2 && t->dims[3] == 1;
}

// Fails with the shape that was found, outermost dimension first.
static void wrong_shape(struct xn_builder *b, const struct xn_tensor *t, const char *expected) {
    char found[128] = "";
    size_t at = 0;
    for (uint32_t i = t->n_dims; i-- > 0 && at < sizeof found;)
        at += (size_t)snprintf(found + at, sizeof found - at, "%llu%s", (unsigned long long)t->dims[i], i ? ", " : "");
    xn_build_fail(b, XN_ERR_FORMAT, "%s: tensor '%s' at offset %llu has shape [%s], expected %s", t->file, t->name,
                  (unsigned long long)t->offset, found, expected);
}

static bool check_shape(struct xn_builder *b, const struct xn_tensor *t, uint64_t d2, uint64_t d1, uint64_t d0) {
    if (d0 <= UINT32_MAX && d1 <= UINT32_MAX && shaped(t, d0, d1, d2)) return true;
    char expected[128];
    if (d2 > 1)
        snprintf(expected, sizeof expected, "[%llu, %llu, %llu]", (unsigned long long)d2, (unsigned long long)d1,
                 (unsigned long long)d0);
    else
        snprintf(expected, sizeof expected, "[%llu, %llu]", (unsigned long long)d1, (unsigned long long)d0);
    wrong_shape(b, t, expected);
    return false;
}

// Whether the family reads a tensor "blk.N.ENDING" itself.
static bool family_reads(const struct xn_builder *b, const char *name) {
    for (const struct xn_tensor_name *t = b->family->tensors; t && t->role != XN_TENSOR_ROLES; t++) {
        size_t n = t->gguf ? strlen(t->gguf) : 0, m = strlen(name);
        if (n && n < m && name[m - n - 1] == '.' && strcmp(name + m - n, t->gguf) == 0) return true;
    }
    return false;
}

// llama.cpp may put one factor beside a matrix (NVFP4); without it the values would be wrong.
static void refuse_scale(struct xn_builder *b, const struct xn_tensor *t) {
    static const char ending[] = ".weight";
    size_t n = strlen(t->name);
    char name[MAX_NAME];
    if (b->config || n < sizeof ending || n >= sizeof name || strcmp(t->name + n - (sizeof ending - 1), ending) != 0)
        return;
    snprintf(name, sizeof name, "%.*s.scale", (int)(n - (sizeof ending - 1)), t->name);
    if (xn_source_tensor(b->source, name) && !family_reads(b, name))
        xn_build_fail(b, XN_ERR_UNSUPPORTED, "%s: tensor '%s' scales '%s', which is not supported", t->file, name,
                      t->name);
}

// A matrix view of `count` matrices that lie in `t`, each starting `stride` bytes after the one before it, from
// `offset`.
static void view(struct xn_builder *b, const struct xn_tensor *t, uint64_t rows, uint32_t count, size_t offset,
                 size_t stride, struct xn_matrix *out) {
    refuse_scale(b, t);
    const void **data = xn_build_alloc(b, count, sizeof *data);
    if (!data || b->status) return;
    for (uint32_t i = 0; i < count; i++)
        data[i] = (const uint8_t *)t->data + offset + i * stride;
    *out = (struct xn_matrix){.name = t->name,
                              .type = t->type,
                              .rows = (uint32_t)rows,
                              .cols = (uint32_t)t->dims[0],
                              .count = count,
                              .data = data};
}

void xn_read_matrix(struct xn_builder *b, enum xn_tensor_role role, int layer, uint64_t rows, uint64_t cols,
                    struct xn_matrix *out) {
    const struct xn_tensor *t = require(b, role, layer, 0);
    if (t && check_shape(b, t, 1, rows, cols) && row_bytes(b, t)) view(b, t, rows, 1, 0, 0, out);
}

void xn_read_slices(struct xn_builder *b, enum xn_tensor_role role, int layer, uint32_t n, const uint64_t *rows,
                    uint64_t cols, struct xn_matrix *const *out) {
    const struct xn_tensor *t = require(b, role, layer, 0);
    uint64_t total = 0;
    for (uint32_t i = 0; i < n; i++)
        total += rows[i]; // each is at most 2^40, by the bounds of heads and sizes
    if (!t || !check_shape(b, t, 1, total, cols)) return;
    size_t bytes = row_bytes(b, t), offset = 0;
    if (!bytes) return;
    for (uint32_t i = 0; i < n; i++) {
        view(b, t, rows[i], 1, offset, 0, out[i]);
        offset += (size_t)rows[i] * bytes;
    }
}

void xn_read_gather(struct xn_builder *b, enum xn_tensor_role role, int layer, uint64_t stored_rows, uint32_t rows,
                    uint64_t cols, const uint32_t *gather, struct xn_matrix *out) {
    const struct xn_tensor *t = require(b, role, layer, 0);
    if (!t || !check_shape(b, t, 1, stored_rows, cols) || !row_bytes(b, t)) return;
    view(b, t, rows, 1, 0, 0, out);
    out->stored_rows = (uint32_t)stored_rows;
    out->gather = gather;
}

// n values of a tensor of any type as float32 in the arena.
static float *decode(struct xn_builder *b, const struct xn_tensor *t, uint64_t n) {
    size_t bytes;
    const struct xn_format *format = xn_format_of(t->type);
    if (!row_bytes(b, t)) return NULL;
    if (!xn_format_bytes(format, n, &bytes) || bytes != t->bytes) {
        xn_build_fail(b, XN_ERR_FORMAT, "%s: tensor '%s' has %zu bytes, expected %llu values of %s", t->file, t->name,
                      t->bytes, (unsigned long long)n, format->name);
        return NULL;
    }
    float *values = xn_build_alloc(b, (size_t)n, sizeof *values);
    if (values) format->decode(t->data, values, (size_t)n);
    return values;
}

static float *vector_of(struct xn_builder *b, const struct xn_tensor *t, uint64_t n) {
    if (shaped(t, n, 1, 1)) return decode(b, t, n);
    char expected[48];
    snprintf(expected, sizeof expected, "[%llu]", (unsigned long long)n);
    wrong_shape(b, t, expected);
    return NULL;
}

const float *xn_read_vector(struct xn_builder *b, enum xn_tensor_role role, int layer, uint64_t n, float add) {
    const struct xn_tensor *t = require(b, role, layer, 0);
    float *values = t ? vector_of(b, t, n) : NULL;
    for (uint64_t i = 0; values && add != 0 && i < n; i++)
        values[i] += add;
    return values;
}

const float *xn_read_values(struct xn_builder *b, enum xn_tensor_role role, int layer, uint64_t n) {
    const struct xn_tensor *t = require(b, role, layer, 0);
    if (!t) return NULL;
    uint64_t count = 1;
    for (uint32_t i = 0; i < t->n_dims; i++)
        count = t->dims[i] && count > UINT64_MAX / t->dims[i] ? UINT64_MAX : count * t->dims[i];
    if (count == n) return decode(b, t, n);
    char expected[48];
    snprintf(expected, sizeof expected, "%llu values", (unsigned long long)n);
    wrong_shape(b, t, expected);
    return NULL;
}

const float *xn_read_bias(struct xn_builder *b, const struct xn_bias *bias, enum xn_tensor_role role, int layer,
                          uint64_t n) {
    if (b->status) return NULL;
    if (b->config && bias->rule == XN_BIAS_NEVER) return NULL;
    if (b->config && bias->rule == XN_BIAS_FLAG && !xn_param_flag(b, bias->flag, false)) return NULL;
    static const char ending[] = "weight";
    const struct xn_tensor *weight = require(b, role, layer, 0);
    size_t length = weight ? strlen(weight->name) : 0;
    char name[MAX_NAME];
    if (length < sizeof ending || length >= sizeof name) return NULL;
    snprintf(name, sizeof name, "%.*sbias", (int)(length - (sizeof ending - 1)), weight->name);
    const struct xn_tensor *t = xn_source_tensor(b->source, name);
    if (t) return vector_of(b, t, n);
    if (b->config)
        xn_build_fail(b, XN_ERR_FORMAT, "%s: tensor '%s' is missing (%s)", b->source->path, name, b->family->name);
    return NULL;
}

const float *xn_read_conv(struct xn_builder *b, enum xn_tensor_role role, int layer, uint32_t channels, uint32_t taps) {
    const struct xn_tensor *t = require(b, role, layer, 0);
    if (!t) return NULL;
    if (shaped(t, taps, channels, 1) || shaped(t, taps, 1, channels)) return decode(b, t, (uint64_t)taps * channels);
    char expected[64];
    snprintf(expected, sizeof expected, "[%u, %u] or [%u, 1, %u]", channels, taps, channels, taps);
    wrong_shape(b, t, expected);
    return NULL;
}

void xn_read_experts(struct xn_builder *b, enum xn_tensor_role fused, enum xn_tensor_role single, int layer,
                     uint32_t count, uint64_t rows, uint64_t cols, struct xn_matrix *out) {
    const struct xn_tensor *t = xn_tensor_find(b, fused, layer);
    if (t) {
        if (!check_shape(b, t, count, rows, cols)) return;
        size_t bytes = row_bytes(b, t);
        if (bytes) view(b, t, rows, count, 0, bytes * (size_t)rows, out);
        return;
    }
    const void **data = xn_build_alloc(b, count, sizeof *data);
    const struct xn_tensor *first = NULL;
    for (uint32_t i = 0; data && i < count; i++) {
        t = require(b, single, layer, i);
        if (!t || !check_shape(b, t, 1, rows, cols) || !row_bytes(b, t)) return;
        refuse_scale(b, t);
        if (!first) first = t;
        if (t->type != first->type) {
            xn_build_fail(b, XN_ERR_UNSUPPORTED, "%s: tensor '%s' has type %s, expected %s as '%s'", t->file, t->name,
                          xn_format_of(t->type)->name, xn_format_of(first->type)->name, first->name);
            return;
        }
        data[i] = t->data;
    }
    if (first)
        *out = (struct xn_matrix){.name = first->name,
                                  .type = first->type,
                                  .rows = (uint32_t)rows,
                                  .cols = (uint32_t)cols,
                                  .count = count,
                                  .data = data};
}

void xn_read_experts_pair(struct xn_builder *b, enum xn_tensor_role fused, int layer, uint32_t count, uint64_t rows,
                          uint64_t cols, struct xn_matrix *first, struct xn_matrix *second) {
    const struct xn_tensor *t = require(b, fused, layer, 0);
    if (!t || !check_shape(b, t, count, 2 * rows, cols)) return;
    size_t half = row_bytes(b, t) * (size_t)rows;
    if (b->status) return;
    view(b, t, rows, count, 0, 2 * half, first);
    view(b, t, rows, count, half, 2 * half, second);
}

// [count, cols, stored rows]: a stored row is one input's weights.
static void columns(struct xn_builder *b, const struct xn_tensor *t, uint32_t count, uint32_t rows, uint32_t cols,
                    struct xn_matrix *out) {
    struct xn_matrix order = *out;
    uint32_t stored = order.stored_rows ? order.stored_rows : rows;
    if (!check_shape(b, t, count, cols, stored)) return;
    size_t bytes = row_bytes(b, t);
    if (!bytes) return;
    view(b, t, rows, count, 0, bytes * cols, out);
    out->cols = cols;
    out->layout = XN_LAYOUT_COLUMNS;
    out->stored_rows = stored;
    out->gather = order.gather;
}

// Bytes of a shape [count, rows, blocks, bytes of a block], which must be `block` (1: the dimension is not there).
static bool check_bytes(struct xn_builder *b, const struct xn_tensor *t, uint64_t count, uint64_t rows, uint64_t blocks,
                        uint64_t block) {
    bool flat = block == 1;
    if (t->type == XN_I8 && t->dims[flat ? 0 : 1] == blocks && t->dims[flat ? 1 : 2] == rows &&
        t->dims[flat ? 2 : 3] == count && t->dims[flat ? 3 : 0] == block)
        return true;
    char expected[128];
    snprintf(expected, sizeof expected, "bytes [%llu, %llu, %llu%s]", (unsigned long long)count,
             (unsigned long long)rows, (unsigned long long)blocks, flat ? "" : ", 16");
    wrong_shape(b, t, expected);
    return false;
}

// Blocks [count, stored rows, blocks, 16] and scales [count, stored rows, blocks], bytes each.
static void mxfp4(struct xn_builder *b, const struct xn_tensor *t, const struct xn_tensor *scales, uint32_t count,
                  uint32_t rows, uint32_t cols, struct xn_matrix *out) {
    enum { VALUES = 32, BYTES = 16 };
    struct xn_matrix order = *out;
    size_t stored = order.stored_rows ? order.stored_rows : rows, blocks = cols / VALUES;
    if (cols % VALUES)
        xn_build_fail(b, XN_ERR_FORMAT, "%s: tensor '%s' is for rows of %u values, expected a multiple of MXFP4's %d",
                      t->file, t->name, cols, VALUES);
    if (b->status || !check_bytes(b, t, count, stored, blocks, BYTES) ||
        !check_bytes(b, scales, count, stored, blocks, 1))
        return;
    view(b, t, rows, count, 0, stored * blocks * BYTES, out);
    struct xn_matrix of_scales = {0};
    view(b, scales, rows, count, 0, stored * blocks, &of_scales);
    out->type = XN_MXFP4;
    out->cols = cols;
    out->layout = XN_LAYOUT_MXFP4;
    out->stored_rows = (uint32_t)stored;
    out->gather = order.gather;
    out->scales = of_scales.data;
}

void xn_read_experts_ordered(struct xn_builder *b, enum xn_tensor_role role, enum xn_tensor_role scales, int layer,
                             uint32_t count, uint32_t rows, uint32_t cols, struct xn_matrix *out) {
    const struct xn_tensor *t = require(b, role, layer, 0), *s = NULL;
    if (out->layout == XN_LAYOUT_MXFP4 && !(s = require(b, scales, layer, 0))) return;
    if (!t) return;
    if (s)
        mxfp4(b, t, s, count, rows, cols, out);
    else
        columns(b, t, count, rows, cols, out);
}

void xn_read_head_pairs(struct xn_builder *b, enum xn_tensor_role role, int layer, uint32_t heads, uint32_t first,
                        uint32_t second, uint32_t cols, struct xn_matrix *transposed, struct xn_matrix *plain) {
    const struct xn_tensor *t = require(b, role, layer, 0);
    uint64_t rows = (uint64_t)first + second;
    if (!t || !check_shape(b, t, 1, heads * rows, cols)) return;
    size_t bytes = row_bytes(b, t);
    if (!bytes) return;
    view(b, t, cols, heads, 0, (size_t)rows * bytes, transposed);
    transposed->cols = first;
    transposed->layout = XN_LAYOUT_COLUMNS;
    view(b, t, second, heads, first * bytes, (size_t)rows * bytes, plain);
}

const float *xn_read_expert_vectors(struct xn_builder *b, enum xn_tensor_role role, int layer, uint32_t count,
                                    uint32_t n) {
    const struct xn_tensor *t = require(b, role, layer, 0);
    return t && check_shape(b, t, 1, count, n) ? decode(b, t, (uint64_t)count * n) : NULL;
}
