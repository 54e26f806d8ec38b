#include "format/gguf_layout.h"

#include "base/file.h"
#include "base/memory.h"
#include "format/index.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NESTING = 8 }; // of arrays in arrays

struct xn_gguf {
    char *path;
    struct xn_map *parts; // of a set; empty where the file is in memory
    size_t n_parts, parts_capacity;
    struct xn_gguf_value *values;
    size_t n_values, values_capacity;
    struct xn_tensor *tensors;
    size_t n_tensors, tensors_capacity;
    struct xn_index value_index, tensor_index;
    struct xn_arena arena; // keys, names, views of strings
};

// A place in one file. Every read checks that the bytes are there.
struct reader {
    struct xn_gguf *gguf;
    const char *file;
    const uint8_t *data;
    size_t size, at;
    struct xn_error *err;
};

#define MALFORMED(r, ...) xn_fail((r)->err, XN_ERR_FORMAT, __VA_ARGS__)

static int no_memory(struct reader *r) {
    return xn_fail(r->err, XN_ERR_NOMEM, "%s: out of memory at offset %zu", r->file, r->at);
}

static int need(struct reader *r, uint64_t bytes, const char *what) {
    if (bytes <= r->size - r->at) return XN_OK;
    return MALFORMED(r, "%s: offset %zu: %s needs %" PRIu64 " bytes, the file has %zu left", r->file, r->at, what,
                     bytes, r->size - r->at);
}

static int read_u32(struct reader *r, uint32_t *out, const char *what) {
    XN_TRY(need(r, sizeof *out, what));
    memcpy(out, r->data + r->at, sizeof *out);
    r->at += sizeof *out;
    return XN_OK;
}

static int read_u64(struct reader *r, uint64_t *out, const char *what) {
    XN_TRY(need(r, sizeof *out, what));
    memcpy(out, r->data + r->at, sizeof *out);
    r->at += sizeof *out;
    return XN_OK;
}

static int read_string(struct reader *r, struct xn_str *out, const char *what) {
    uint64_t size;
    XN_TRY(read_u64(r, &size, what));
    XN_TRY(need(r, size, what));
    *out = (struct xn_str){(const char *)r->data + r->at, size};
    r->at += size;
    return XN_OK;
}

// A string that becomes a name: not empty, at most `limit` bytes, no NUL inside.
static int read_name(struct reader *r, const char **out, size_t limit, const char *what) {
    size_t start = r->at;
    struct xn_str s;
    XN_TRY(read_string(r, &s, what));
    if (s.size == 0 || s.size > limit)
        return MALFORMED(r, "%s: offset %zu: %s of %zu bytes, 1 to %zu expected", r->file, start, what, s.size, limit);
    if (memchr(s.data, 0, s.size)) return MALFORMED(r, "%s: offset %zu: %s with a NUL byte", r->file, start, what);
    char *copy = xn_arena_alloc(&r->gguf->arena, s.size + 1, 1);
    if (!copy) return no_memory(r);
    memcpy(copy, s.data, s.size);
    *out = copy;
    return XN_OK;
}

static int read_kind(struct reader *r, const char *key, enum xn_gguf_kind *out) {
    uint32_t kind;
    size_t start = r->at;
    XN_TRY(read_u32(r, &kind, key));
    if (kind >= XN_GGUF_KINDS)
        return MALFORMED(r, "%s: offset %zu: key '%s': value type %" PRIu32 ", 0 to %d expected", r->file, start, key,
                         kind, XN_GGUF_KINDS - 1);
    *out = (enum xn_gguf_kind)kind;
    return XN_OK;
}

// Passes over `n` numbers of `kind`.
static int skip_numbers(struct reader *r, const char *key, enum xn_gguf_kind kind, uint64_t n) {
    size_t size = xn_gguf_kind_bytes(kind);
    if (n > (r->size - r->at) / size)
        return MALFORMED(r, "%s: offset %zu: key '%s': %" PRIu64 " values of %zu bytes, the file has %zu bytes left",
                         r->file, r->at, key, n, size, r->size - r->at);
    if (kind == XN_GGUF_BOOL)
        for (uint64_t i = 0; i < n; i++)
            if (r->data[r->at + i] > 1)
                return MALFORMED(r, "%s: offset %zu: key '%s': a bool of %u, 0 or 1 expected", r->file,
                                 r->at + (size_t)i, key, r->data[r->at + i]);
    r->at += n * size;
    return XN_OK;
}

// Passes over `n` strings, noting where they are in `views` (may be NULL).
static int skip_strings(struct reader *r, const char *key, struct xn_str *views, uint64_t n) {
    for (uint64_t i = 0; i < n; i++) {
        struct xn_str s;
        XN_TRY(read_string(r, &s, key));
        if (views) views[i] = s;
    }
    return XN_OK;
}

static int read_array_head(struct reader *r, const char *key, enum xn_gguf_kind *kind, uint64_t *n) {
    XN_TRY(read_kind(r, key, kind));
    size_t start = r->at;
    XN_TRY(read_u64(r, n, key));
    // What the smallest element takes: a number its size, a string its length, an array its type and count.
    size_t smallest = *kind == XN_GGUF_STRING ? 8 : *kind == XN_GGUF_ARRAY ? 12 : xn_gguf_kind_bytes(*kind);
    if (*n > (r->size - r->at) / smallest)
        return MALFORMED(r, "%s: offset %zu: key '%s': an array of %" PRIu64 ", the file has %zu bytes left", r->file,
                         start, key, *n, r->size - r->at);
    return XN_OK;
}

static int skip_arrays(struct reader *r, const char *key, uint64_t n, int depth) {
    if (depth > MAX_NESTING)
        return MALFORMED(r, "%s: offset %zu: key '%s': arrays nested deeper than %d", r->file, r->at, key, MAX_NESTING);
    for (uint64_t i = 0; i < n; i++) {
        enum xn_gguf_kind kind;
        uint64_t count;
        XN_TRY(read_array_head(r, key, &kind, &count));
        if (kind == XN_GGUF_ARRAY)
            XN_TRY(skip_arrays(r, key, count, depth + 1));
        else if (kind == XN_GGUF_STRING)
            XN_TRY(skip_strings(r, key, NULL, count));
        else
            XN_TRY(skip_numbers(r, key, kind, count));
    }
    return XN_OK;
}

static int read_value(struct reader *r, struct xn_gguf_value *value) {
    XN_TRY(read_name(r, &value->key, XN_GGUF_MAX_KEY, "a metadata key"));
    XN_TRY(read_kind(r, value->key, &value->kind));
    value->n = 1;
    if (value->kind == XN_GGUF_ARRAY) {
        value->is_array = true;
        XN_TRY(read_array_head(r, value->key, &value->kind, &value->n));
    }
    size_t start = r->at;
    value->raw = r->data + start;
    if (value->kind == XN_GGUF_ARRAY) {
        XN_TRY(skip_arrays(r, value->key, value->n, 2));
    } else if (value->kind == XN_GGUF_STRING) {
        // read_array_head has held n against the file, so this is at most twice what is left of it.
        struct xn_str *views = xn_arena_alloc(&r->gguf->arena, value->n, sizeof *views);
        if (!views) return no_memory(r);
        XN_TRY(skip_strings(r, value->key, views, value->n));
        value->strings = views;
    } else {
        XN_TRY(skip_numbers(r, value->key, value->kind, value->n));
    }
    value->raw_bytes = r->at - start;
    return XN_OK;
}

static int read_values(struct reader *r, uint64_t n) {
    struct xn_gguf *g = r->gguf;
    for (uint64_t i = 0; i < n; i++) {
        size_t start = r->at;
        if (XN_GROW(g->values, g->values_capacity, g->n_values + 1) != 0) return no_memory(r);
        struct xn_gguf_value *value = &g->values[g->n_values];
        *value = (struct xn_gguf_value){0};
        XN_TRY(read_value(r, value));
        int added = xn_index_add(&g->value_index, value->key, g->n_values);
        if (added == XN_INDEX_NOMEM) return no_memory(r);
        if (added == XN_INDEX_DUPLICATE)
            return MALFORMED(r, "%s: offset %zu: key '%s' is there twice", r->file, start, value->key);
        g->n_values++;
    }
    return XN_OK;
}

// The description of one tensor; `data` still holds nothing, `offset` what the file says (from the start of the data).
static int read_tensor(struct reader *r, struct xn_tensor *t) {
    XN_TRY(read_name(r, &t->name, XN_GGUF_MAX_NAME, "a tensor name"));
    size_t start = r->at;
    XN_TRY(read_u32(r, &t->n_dims, t->name));
    if (t->n_dims > XN_MAX_DIMS)
        return MALFORMED(r, "%s: offset %zu: tensor '%s': %" PRIu32 " dimensions, at most %d expected", r->file, start,
                         t->name, t->n_dims, XN_MAX_DIMS);
    uint64_t values = 1;
    for (uint32_t i = 0; i < XN_MAX_DIMS; i++) {
        t->dims[i] = 1;
        if (i >= t->n_dims) continue;
        start = r->at;
        XN_TRY(read_u64(r, &t->dims[i], t->name));
        if (t->dims[i] == 0)
            return MALFORMED(r, "%s: offset %zu: tensor '%s': dimension %" PRIu32 " is 0", r->file, start, t->name, i);
        if (__builtin_mul_overflow(values, t->dims[i], &values) || values > INT64_MAX)
            return MALFORMED(r,
                             "%s: offset %zu: tensor '%s': dimension %" PRIu32 " of %" PRIu64 " makes too many values",
                             r->file, start, t->name, i, t->dims[i]);
    }
    start = r->at;
    XN_TRY(read_u32(r, &t->type, t->name));
    const struct xn_format *format = xn_format_of(t->type);
    if (!format)
        return xn_fail(r->err, XN_ERR_UNSUPPORTED, "%s: offset %zu: tensor '%s': type %" PRIu32 " is unknown", r->file,
                       start, t->name, t->type);
    if (t->dims[0] % format->block_values)
        return MALFORMED(r, "%s: offset %zu: tensor '%s': rows of %" PRIu64 " values, %s needs a multiple of %u",
                         r->file, start, t->name, t->dims[0], format->name, format->block_values);
    if (!xn_format_bytes(format, values, &t->bytes))
        return MALFORMED(r, "%s: offset %zu: tensor '%s': %" PRIu64 " values of %s are too many bytes", r->file, start,
                         t->name, values, format->name);
    t->file = r->file;
    return read_u64(r, &t->offset, t->name);
}

static int by_offset(const void *a, const void *b) {
    const struct xn_tensor *x = *(const struct xn_tensor *const *)a, *y = *(const struct xn_tensor *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int check_overlap(struct reader *r, const struct xn_tensor *tensors, size_t n) {
    if (n < 2) return XN_OK;
    const struct xn_tensor **order = xn_alloc(n, sizeof *order);
    if (!order) return no_memory(r);
    for (size_t i = 0; i < n; i++)
        order[i] = &tensors[i];
    qsort(order, n, sizeof *order, by_offset);
    int status = XN_OK;
    for (size_t i = 1; i < n && status == XN_OK; i++)
        if (order[i]->offset - order[i - 1]->offset < order[i - 1]->bytes)
            status = MALFORMED(r, "%s: offset %" PRIu64 ": tensor '%s' overlaps '%s', which ends at %" PRIu64, r->file,
                               order[i]->offset, order[i]->name, order[i - 1]->name,
                               order[i - 1]->offset + order[i - 1]->bytes);
    free(order);
    return status;
}

// Places the tensors from `first` on, which this file describes, in its data section.
static int place_tensors(struct reader *r, size_t first, uint64_t alignment) {
    struct xn_gguf *g = r->gguf;
    if (first == g->n_tensors) return XN_OK;
    uint64_t start = (r->at + alignment - 1) / alignment * alignment; // no overflow: at is a place in a file
    uint64_t available = start < r->size ? r->size - start : 0;
    for (size_t i = first; i < g->n_tensors; i++) {
        struct xn_tensor *t = &g->tensors[i];
        if (t->offset % alignment)
            return MALFORMED(r, "%s: tensor '%s': data offset %" PRIu64 ", a multiple of %" PRIu64 " expected", r->file,
                             t->name, t->offset, alignment);
        if (t->offset > available || t->bytes > available - t->offset)
            return MALFORMED(r,
                             "%s: tensor '%s': %zu bytes at data offset %" PRIu64 " (file offset %" PRIu64
                             "), the file has %" PRIu64 " bytes of data",
                             r->file, t->name, t->bytes, t->offset, start, available);
        t->offset += start;
        t->data = r->data + t->offset;
    }
    return check_overlap(r, g->tensors + first, g->n_tensors - first);
}

static int read_alignment(struct reader *r, uint64_t *alignment) {
    *alignment = XN_GGUF_DEFAULT_ALIGNMENT;
    const struct xn_gguf_value *value = xn_gguf_find(r->gguf, "general.alignment");
    if (!value) return XN_OK;
    int64_t found;
    if (value->is_array || !xn_gguf_int(value, 0, &found))
        return MALFORMED(r, "%s: key 'general.alignment': not a whole number", r->file);
    if (found < 0 || !xn_gguf_alignment_ok((uint64_t)found))
        return MALFORMED(r, "%s: key 'general.alignment': %" PRId64 ", a power of two of 8 to 2^30 expected", r->file,
                         found);
    *alignment = (uint64_t)found;
    return XN_OK;
}

static int read_header(struct reader *r, uint64_t *n_tensors, uint64_t *n_values) {
    uint32_t version;
    XN_TRY(need(r, 4, "the magic"));
    if (memcmp(r->data, "GGUF", 4) != 0)
        return MALFORMED(r, "%s: offset 0: magic %02x %02x %02x %02x, 'GGUF' expected", r->file, r->data[0], r->data[1],
                         r->data[2], r->data[3]);
    r->at = 4;
    XN_TRY(read_u32(r, &version, "the version"));
    if (version != 0 && (version & 0xffff) == 0)
        return xn_fail(r->err, XN_ERR_UNSUPPORTED,
                       "%s: offset 4: big-endian GGUF (version %" PRIu32 "), little-endian expected", r->file,
                       __builtin_bswap32(version));
    if (version != 2 && version != 3)
        return xn_fail(r->err, XN_ERR_UNSUPPORTED, "%s: offset 4: GGUF version %" PRIu32 ", 2 or 3 expected", r->file,
                       version);
    XN_TRY(read_u64(r, n_tensors, "the number of tensors"));
    XN_TRY(read_u64(r, n_values, "the number of metadata entries"));
    // The smallest entries: a key of one byte and a value of one; a name of one byte and no dimensions.
    const uint64_t smallest_value = 8 + 1 + 4 + 1, smallest_tensor = 8 + 1 + 4 + 4 + 8;
    if (*n_tensors > (r->size - r->at) / smallest_tensor)
        return MALFORMED(r, "%s: offset 8: %" PRIu64 " tensors in a file of %zu bytes", r->file, *n_tensors, r->size);
    if (*n_values > (r->size - r->at) / smallest_value)
        return MALFORMED(r, "%s: offset 16: %" PRIu64 " metadata entries in a file of %zu bytes", r->file, *n_values,
                         r->size);
    return XN_OK;
}

// Reads one file into `r->gguf`, which holds no metadata yet; its tensors join those of the parts before.
static int read_file(struct reader *r) {
    struct xn_gguf *g = r->gguf;
    uint64_t n_tensors = 0, n_values = 0, alignment = 0;
    XN_TRY(read_header(r, &n_tensors, &n_values));
    XN_TRY(read_values(r, n_values));
    XN_TRY(read_alignment(r, &alignment));
    size_t first = g->n_tensors;
    for (uint64_t i = 0; i < n_tensors; i++) {
        size_t start = r->at;
        if (XN_GROW(g->tensors, g->tensors_capacity, g->n_tensors + 1) != 0) return no_memory(r);
        struct xn_tensor *t = &g->tensors[g->n_tensors];
        *t = (struct xn_tensor){0};
        XN_TRY(read_tensor(r, t));
        int added = xn_index_add(&g->tensor_index, t->name, g->n_tensors);
        if (added == XN_INDEX_NOMEM) return no_memory(r);
        if (added == XN_INDEX_DUPLICATE)
            return MALFORMED(r, "%s: offset %zu: tensor '%s' is there twice", r->file, start, t->name);
        g->n_tensors++;
    }
    return place_tensors(r, first, alignment);
}

// A whole number of a split set's part, -1 where the key is absent.
static int split_number(struct reader *r, const char *key, int64_t *out) {
    *out = -1;
    const struct xn_gguf_value *value = xn_gguf_find(r->gguf, key);
    if (!value) return XN_OK;
    if (value->is_array || !xn_gguf_int(value, 0, out) || *out < 0) {
        return MALFORMED(r, "%s: key '%s': not a whole number of at least 0", r->file, key);
    }
    return XN_OK;
}

// Checks what a part says about its set: it is number `no` (from 0) of `count` parts.
static int check_part(struct reader *r, size_t no, size_t count, int64_t *all_tensors) {
    int64_t found_no, found_count;
    XN_TRY(split_number(r, "split.no", &found_no));
    XN_TRY(split_number(r, "split.count", &found_count));
    XN_TRY(split_number(r, "split.tensors.count", all_tensors));
    if (found_count < 0 && count == 1) return XN_OK; // an ordinary file
    if (found_count < 0)
        return MALFORMED(r, "%s: no key 'split.count', %zu expected by the file's name", r->file, count);
    // A count of 0 is what merging a set leaves behind.
    if (found_count != (int64_t)count && !(count == 1 && found_count == 0))
        return MALFORMED(r, "%s: key 'split.count': %" PRId64 ", %zu expected by the file's name", r->file, found_count,
                         count);
    if (found_no != (int64_t)no && !(count == 1 && found_no < 0))
        return MALFORMED(r, "%s: key 'split.no': %" PRId64 ", %zu expected by the file's name", r->file, found_no, no);
    return XN_OK;
}

// Whether `path` is "PREFIX-00001-of-0000N.gguf"; then where PREFIX ends, and N.
static bool split_name(const char *path, size_t *prefix, size_t *count) {
    static const char pattern[] = "-00000-of-00000.gguf"; // a 0 stands for any digit
    size_t size = strlen(path), n = sizeof pattern - 1;
    if (size < n) return false;
    const char *end = path + size - n;
    for (size_t i = 0; i < n; i++)
        if (pattern[i] == '0' ? end[i] < '0' || end[i] > '9' : end[i] != pattern[i]) return false;
    unsigned no, of;
    if (sscanf(end, "-%5u-of-%5u", &no, &of) != 2 || no < 1 || no > of || of > XN_GGUF_MAX_PARTS) return false;
    *prefix = size - n;
    *count = of;
    return true;
}

// Opens and reads part `no` into `g`, whose values must be empty.
static int open_part(struct xn_gguf *g, const char *path, size_t no, size_t count, int64_t *all_tensors,
                     struct xn_error *err) {
    if (XN_GROW(g->parts, g->parts_capacity, g->n_parts + 1) != 0)
        return xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", path);
    struct xn_map *map = &g->parts[g->n_parts];
    XN_TRY(xn_map_open(path, map, err));
    g->n_parts++;
    // The path of the mapping lives as long as g; that of the caller does not.
    struct reader r = {.gguf = g, .file = map->path, .data = map->data, .size = map->size, .err = err};
    XN_TRY(read_file(&r));
    return check_part(&r, no, count, all_tensors);
}

static int open_set(struct xn_gguf *g, const char *path, struct xn_error *err) {
    size_t prefix = 0, count = 1;
    bool split = split_name(path, &prefix, &count);
    int64_t all_tensors = -1, ignored;
    g->path = split ? xn_format("%.*s-%05u-of-%05zu.gguf", (int)prefix, path, 1u, count) : xn_strdup(path);
    if (!g->path) return xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", path);
    XN_TRY(open_part(g, g->path, 0, count, &all_tensors, err));
    for (size_t no = 1; no < count; no++) {
        // Each part has metadata of its own, which is checked like any and dropped: the first part's counts.
        struct xn_gguf_value *values = g->values;
        size_t n_values = g->n_values, capacity = g->values_capacity;
        struct xn_index index = g->value_index;
        g->values = NULL;
        g->n_values = g->values_capacity = 0;
        g->value_index = (struct xn_index){0};
        char *name = xn_format("%.*s-%05zu-of-%05zu.gguf", (int)prefix, path, no + 1, count);
        int status =
            name ? open_part(g, name, no, count, &ignored, err) : xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", path);
        free(name);
        free(g->values);
        xn_index_free(&g->value_index);
        g->values = values;
        g->n_values = n_values;
        g->values_capacity = capacity;
        g->value_index = index;
        XN_TRY(status);
    }
    if (count > 1 && all_tensors >= 0 && (uint64_t)all_tensors != g->n_tensors)
        return xn_fail(err, XN_ERR_FORMAT, "%s: key 'split.tensors.count': %" PRId64 ", the %zu parts have %zu tensors",
                       g->path, all_tensors, count, g->n_tensors);
    return XN_OK;
}

int xn_gguf_open(const char *path, struct xn_gguf **out, struct xn_error *err) {
    *out = NULL;
    struct xn_gguf *g = xn_alloc_zero(1, sizeof *g);
    if (!g) return xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", path);
    int status = open_set(g, path, err);
    if (status != XN_OK) {
        xn_gguf_close(g);
        return status;
    }
    *out = g;
    return XN_OK;
}

int xn_gguf_open_memory(const void *data, size_t size, const char *name, struct xn_gguf **out, struct xn_error *err) {
    *out = NULL;
    struct xn_gguf *g = xn_alloc_zero(1, sizeof *g);
    if (!g || !(g->path = xn_strdup(name))) {
        xn_gguf_close(g);
        return xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", name);
    }
    struct reader r = {.gguf = g, .file = g->path, .data = data, .size = size, .err = err};
    int64_t all_tensors;
    int status = read_file(&r);
    if (status == XN_OK) status = check_part(&r, 0, 1, &all_tensors);
    if (status != XN_OK) {
        xn_gguf_close(g);
        return status;
    }
    *out = g;
    return XN_OK;
}

void xn_gguf_relax(const struct xn_gguf *gguf) {
    for (size_t i = 0; i < gguf->n_parts; i++)
        xn_map_relax(&gguf->parts[i]);
}

void xn_gguf_close(struct xn_gguf *gguf) {
    if (!gguf) return;
    xn_index_free(&gguf->value_index);
    xn_index_free(&gguf->tensor_index);
    xn_arena_free(&gguf->arena);
    free(gguf->values);
    free(gguf->tensors);
    for (size_t i = 0; i < gguf->n_parts; i++)
        xn_map_close(&gguf->parts[i]);
    free(gguf->parts);
    free(gguf->path);
    free(gguf);
}

const char *xn_gguf_path(const struct xn_gguf *gguf) {
    return gguf->path;
}

size_t xn_gguf_n_values(const struct xn_gguf *gguf) {
    return gguf->n_values;
}

const struct xn_gguf_value *xn_gguf_value_at(const struct xn_gguf *gguf, size_t i) {
    return &gguf->values[i];
}

const struct xn_gguf_value *xn_gguf_find(const struct xn_gguf *gguf, const char *key) {
    size_t at;
    return xn_index_find(&gguf->value_index, key, &at) ? &gguf->values[at] : NULL;
}

size_t xn_gguf_n_tensors(const struct xn_gguf *gguf) {
    return gguf->n_tensors;
}

const struct xn_tensor *xn_gguf_tensor_at(const struct xn_gguf *gguf, size_t i) {
    return &gguf->tensors[i];
}

const struct xn_tensor *xn_gguf_tensor(const struct xn_gguf *gguf, const char *name) {
    size_t at;
    return xn_index_find(&gguf->tensor_index, name, &at) ? &gguf->tensors[at] : NULL;
}

// Element i in the width that it has in the file.
#define ELEMENT(type, value, i)                                                                                        \
    __extension__({                                                                                                    \
        type element_;                                                                                                 \
        memcpy(&element_, (const uint8_t *)(value)->raw + (size_t)(i) * sizeof element_, sizeof element_);             \
        element_;                                                                                                      \
    })

bool xn_gguf_int(const struct xn_gguf_value *value, uint64_t i, int64_t *out) {
    if (i >= value->n) return false;
    uint64_t wide;
    switch (value->kind) {
    case XN_GGUF_U8:
    case XN_GGUF_BOOL:
        *out = ELEMENT(uint8_t, value, i);
        return true;
    case XN_GGUF_I8:
        *out = ELEMENT(int8_t, value, i);
        return true;
    case XN_GGUF_U16:
        *out = ELEMENT(uint16_t, value, i);
        return true;
    case XN_GGUF_I16:
        *out = ELEMENT(int16_t, value, i);
        return true;
    case XN_GGUF_U32:
        *out = ELEMENT(uint32_t, value, i);
        return true;
    case XN_GGUF_I32:
        *out = ELEMENT(int32_t, value, i);
        return true;
    case XN_GGUF_I64:
        *out = ELEMENT(int64_t, value, i);
        return true;
    case XN_GGUF_U64:
        wide = ELEMENT(uint64_t, value, i);
        if (wide > INT64_MAX) return false;
        *out = (int64_t)wide;
        return true;
    default:
        return false;
    }
}

bool xn_gguf_float(const struct xn_gguf_value *value, uint64_t i, double *out) {
    if (i >= value->n) return false;
    int64_t whole;
    switch (value->kind) {
    case XN_GGUF_F32:
        *out = (double)ELEMENT(float, value, i);
        return true;
    case XN_GGUF_F64:
        *out = ELEMENT(double, value, i);
        return true;
    case XN_GGUF_U64:
        *out = (double)ELEMENT(uint64_t, value, i);
        return true;
    default:
        if (!xn_gguf_int(value, i, &whole)) return false;
        *out = (double)whole;
        return true;
    }
}
