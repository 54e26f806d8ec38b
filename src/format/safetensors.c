#include "format/safetensors.h"

#include "base/file.h"
#include "base/memory.h"
#include "format/index.h"
#include "format/source.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_HEADER = 100 << 20, // bytes, the limit of the reference implementation
    MAX_INDEX = 256 << 20,
};

// A tensor in a form that the engine has no type for.
struct foreign {
    const char *name, *file;
    const char *why;
};

struct xn_safetensors {
    struct xn_map *files;
    size_t n_files, files_capacity;
    char *name; // of what lies in memory
    struct xn_tensor *tensors;
    size_t n_tensors, tensors_capacity;
    struct foreign *foreign;
    size_t n_foreign, foreign_capacity;
    struct xn_index index, foreign_index;
    struct xn_arena arena;
};

static const struct dtype {
    const char *name;
    int type; // enum xn_type, -1: known by its size alone; U8: bytes, whose reader knows what they hold
    uint32_t bytes;
} dtypes[] = {
    {"F64", XN_F64, 8}, {"F32", XN_F32, 4}, {"F16", XN_F16, 2}, {"BF16", XN_BF16, 2}, {"I64", XN_I64, 8},
    {"I32", XN_I32, 4}, {"I16", XN_I16, 2}, {"I8", XN_I8, 1},   {"U64", -1, 8},       {"U32", -1, 4},
    {"U16", -1, 2},     {"U8", XN_I8, 1},   {"BOOL", -1, 1},    {"F8_E4M3", -1, 1},   {"F8_E5M2", -1, 1},
};

static const struct dtype *dtype_of(const char *name) {
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(dtypes[i].name, name) == 0) return &dtypes[i];
    return NULL;
}

// One file while it is read.
struct reader {
    struct xn_safetensors *st;
    const char *file;
    const uint8_t *data; // the data section, after the header
    uint64_t start, size;
    const json_t *wanted; // NULL, or the index's names: only those that it places in this file count
    const char *shard;
    struct xn_error *err;
};

// Where a tensor's bytes lie in the data section.
struct range {
    const char *name;
    uint64_t begin, end;
};

static int no_memory(struct reader *r) {
    return xn_fail(r->err, XN_ERR_NOMEM, "%s: out of memory", r->file);
}

static int read_range(struct reader *r, const json_t *info, struct range *out) {
    const json_t *offsets = json_object_get(info, "data_offsets");
    if (json_array_size(offsets) != 2)
        return xn_fail(r->err, XN_ERR_FORMAT, "%s: tensor '%s': data_offsets is no array of two", r->file, out->name);
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (!json_is_integer(begin) || !json_is_integer(end) || json_integer_value(begin) < 0 ||
        json_integer_value(end) < json_integer_value(begin))
        return xn_fail(r->err, XN_ERR_FORMAT,
                       "%s: tensor '%s': data_offsets are not two rising whole numbers of at least 0", r->file,
                       out->name);
    out->begin = (uint64_t)json_integer_value(begin);
    out->end = (uint64_t)json_integer_value(end);
    if (out->end > r->size)
        return xn_fail(r->err, XN_ERR_FORMAT,
                       "%s: tensor '%s': data ends at offset %" PRIu64 ", the file has %" PRIu64 " bytes of data",
                       r->file, out->name, out->end, r->size);
    return XN_OK;
}

// The values of a shape; dims (fastest first) only where there are at most XN_MAX_DIMS.
static int read_shape(struct reader *r, const char *name, const json_t *shape, struct xn_tensor *t, uint64_t *values) {
    if (!json_is_array(shape))
        return xn_fail(r->err, XN_ERR_FORMAT, "%s: tensor '%s': shape is no array", r->file, name);
    size_t n = json_array_size(shape);
    bool empty = false, overflow = false;
    *values = 1;
    for (size_t i = 0; i < XN_MAX_DIMS; i++)
        t->dims[i] = 1;
    t->n_dims = (uint32_t)n; // a header has at most 100 MB
    for (size_t i = 0; i < n; i++) {
        const json_t *dim = json_array_get(shape, i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return xn_fail(r->err, XN_ERR_FORMAT, "%s: tensor '%s': dimension %zu is no whole number of at least 0",
                           r->file, name, i);
        uint64_t d = (uint64_t)json_integer_value(dim);
        if (n <= XN_MAX_DIMS) t->dims[n - 1 - i] = d;
        if (d == 0)
            empty = true;
        else
            overflow |= __builtin_mul_overflow(*values, d, values) || *values > INT64_MAX;
    }
    if (overflow)
        return xn_fail(r->err, XN_ERR_FORMAT, "%s: tensor '%s': its shape makes too many values", r->file, name);
    if (empty) *values = 0;
    return XN_OK;
}

static int add_foreign(struct reader *r, const char *name, const char *why) {
    struct xn_safetensors *st = r->st;
    if (!why || XN_GROW(st->foreign, st->foreign_capacity, st->n_foreign + 1) != 0) return no_memory(r);
    int added = xn_index_add(&st->foreign_index, name, st->n_foreign);
    if (added == XN_INDEX_NOMEM) return no_memory(r);
    if (added == 0) st->foreign[st->n_foreign++] = (struct foreign){name, r->file, why};
    return XN_OK;
}

static int add_tensor(struct reader *r, const struct xn_tensor *t) {
    struct xn_safetensors *st = r->st;
    if (XN_GROW(st->tensors, st->tensors_capacity, st->n_tensors + 1) != 0) return no_memory(r);
    int added = xn_index_add(&st->index, t->name, st->n_tensors);
    if (added == XN_INDEX_NOMEM) return no_memory(r);
    if (added == XN_INDEX_DUPLICATE)
        return xn_fail(r->err, XN_ERR_FORMAT, "%s: tensor '%s' is there twice", r->file, t->name);
    st->tensors[st->n_tensors++] = *t;
    return XN_OK;
}

static char *arena_text(struct xn_arena *arena, char *text) { // takes over `text`, which may be NULL
    char *copy = text ? xn_arena_strdup(arena, text) : NULL;
    free(text);
    return copy;
}

// One entry of the header: checks it and, where it is wanted, adds it. Its bytes go to *range.
static int read_tensor(struct reader *r, const char *key, const json_t *info, struct range *range) {
    struct xn_safetensors *st = r->st;
    char *name = xn_arena_strdup(&st->arena, key);
    if (!name) return no_memory(r);
    range->name = name;
    if (!json_is_object(info)) return xn_fail(r->err, XN_ERR_FORMAT, "%s: tensor '%s': no object", r->file, name);
    const char *dtype_name = json_string_value(json_object_get(info, "dtype"));
    if (!dtype_name) return xn_fail(r->err, XN_ERR_FORMAT, "%s: tensor '%s': dtype is no string", r->file, name);
    struct xn_tensor t = {.name = name, .file = r->file};
    uint64_t values = 0, bytes;
    XN_TRY(read_range(r, info, range));
    XN_TRY(read_shape(r, name, json_object_get(info, "shape"), &t, &values));
    const struct dtype *dtype = dtype_of(dtype_name);
    if (dtype && (__builtin_mul_overflow(values, dtype->bytes, &bytes) || bytes != range->end - range->begin))
        return xn_fail(r->err, XN_ERR_FORMAT,
                       "%s: tensor '%s': %" PRIu64 " bytes at data offset %" PRIu64 ", %" PRIu64
                       " values of %s expected",
                       r->file, name, range->end - range->begin, range->begin, values, dtype_name);
    if (r->wanted) {
        const char *shard = json_string_value(json_object_get(r->wanted, key));
        if (!shard || strcmp(shard, r->shard) != 0) return XN_OK;
    }
    if (!dtype || dtype->type < 0)
        return add_foreign(r, name, arena_text(&st->arena, xn_format("dtype %s is not supported", dtype_name)));
    if (t.n_dims > XN_MAX_DIMS)
        return add_foreign(
            r, name,
            arena_text(&st->arena, xn_format("%u dimensions, at most %d are supported", t.n_dims, XN_MAX_DIMS)));
    t.type = (uint32_t)dtype->type;
    t.bytes = range->end - range->begin;
    t.data = r->data + range->begin;
    t.offset = r->start + range->begin;
    return add_tensor(r, &t);
}

static int by_begin(const void *a, const void *b) {
    const struct range *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end; // an empty tensor before that which starts at its place
}

// The format wants every byte of data to belong to one tensor.
static int check_ranges(struct reader *r, struct range *ranges, size_t n) {
    if (n) qsort(ranges, n, sizeof *ranges, by_begin);
    uint64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (ranges[i].begin < at)
            return xn_fail(r->err, XN_ERR_FORMAT,
                           "%s: tensor '%s' at data offset %" PRIu64 " overlaps '%s', which ends at %" PRIu64, r->file,
                           ranges[i].name, ranges[i].begin, ranges[i - 1].name, at);
        if (ranges[i].begin > at)
            return xn_fail(r->err, XN_ERR_FORMAT,
                           "%s: tensor '%s' at data offset %" PRIu64 ": the %" PRIu64
                           " bytes before it belong to no tensor",
                           r->file, ranges[i].name, ranges[i].begin, ranges[i].begin - at);
        at = ranges[i].end;
    }
    if (at != r->size)
        return xn_fail(r->err, XN_ERR_FORMAT, "%s: the tensors end at data offset %" PRIu64 ", the data at %" PRIu64,
                       r->file, at, r->size);
    return XN_OK;
}

static int read_entries(struct reader *r, json_t *header) {
    if (!json_is_object(header))
        return xn_fail(r->err, XN_ERR_FORMAT, "%s: offset 8: the header is no object", r->file);
    struct range *ranges = xn_alloc(json_object_size(header), sizeof *ranges);
    if (!ranges) return no_memory(r);
    size_t n = 0;
    int status = XN_OK;
    const char *key;
    json_t *info;
    json_object_foreach(header, key, info) {
        if (strcmp(key, "__metadata__") == 0) continue;
        status = read_tensor(r, key, info, &ranges[n]);
        if (status != XN_OK) break;
        n++;
    }
    if (status == XN_OK) status = check_ranges(r, ranges, n);
    free(ranges);
    return status;
}

// Reads one file of `size` bytes; the rest of *r is set.
static int read_file(struct reader *r, const uint8_t *data, size_t size) {
    uint64_t header_size;
    if (size < sizeof header_size)
        return xn_fail(r->err, XN_ERR_FORMAT, "%s: %zu bytes, a header of at least 8 expected", r->file, size);
    memcpy(&header_size, data, sizeof header_size);
    if (header_size > MAX_HEADER || header_size > size - sizeof header_size)
        return xn_fail(r->err, XN_ERR_FORMAT, "%s: offset 0: a header of %" PRIu64 " bytes, at most %zu expected",
                       r->file, header_size,
                       size - sizeof header_size < MAX_HEADER ? size - sizeof header_size : MAX_HEADER);
    r->start = sizeof header_size + header_size;
    r->data = data + r->start;
    r->size = size - r->start;
    json_t *header;
    int status = xn_json_parse((const char *)data + sizeof header_size, header_size, r->file, &header, r->err);
    if (status != XN_OK) return xn_error_context(r->err, status, "in the safetensors header");
    status = read_entries(r, header);
    json_decref(header);
    return status;
}

static int open_file(struct xn_safetensors *st, const char *path, const json_t *wanted, const char *shard,
                     struct xn_error *err) {
    if (XN_GROW(st->files, st->files_capacity, st->n_files + 1) != 0)
        return xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", path);
    struct xn_map *map = &st->files[st->n_files];
    XN_TRY(xn_map_open(path, map, err));
    st->n_files++;
    struct reader r = {.st = st, .file = map->path, .wanted = wanted, .shard = shard, .err = err};
    return read_file(&r, map->data, map->size);
}

// Opens the shards that an index's weight_map names, each once.
static int open_shards(struct xn_safetensors *st, const char *path, const json_t *map, struct xn_error *err) {
    const char *slash = strrchr(path, '/');
    struct xn_index seen = {0};
    int status = XN_OK;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)map, name, value) {
        const char *shard = json_string_value(value);
        // A shard lies beside its index: a name with a folder in it could lead anywhere.
        if (!shard || !*shard || strchr(shard, '/') || strlen(shard) != json_string_length(value)) {
            status = xn_fail(err, XN_ERR_FORMAT, "%s: weight_map: tensor '%s': '%s' is no name of a file beside it",
                             path, name, shard ? shard : "");
            break;
        }
        int added = xn_index_add(&seen, shard, 0);
        if (added == XN_INDEX_DUPLICATE) continue;
        char *file = added == 0 ? xn_format("%.*s%s", slash ? (int)(slash + 1 - path) : 0, path, shard) : NULL;
        status = file ? open_file(st, file, map, shard, err) : xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", path);
        free(file);
        if (status != XN_OK) break;
    }
    xn_index_free(&seen);
    if (status != XN_OK) return status;
    json_object_foreach((json_t *)map, name, value) {
        size_t at;
        if (!xn_index_find(&st->index, name, &at) && !xn_index_find(&st->foreign_index, name, &at))
            return xn_fail(err, XN_ERR_FORMAT, "%s: weight_map: tensor '%s' is not in %s", path, name,
                           json_string_value(value));
    }
    return XN_OK;
}

static int open_index(struct xn_safetensors *st, const char *path, struct xn_error *err) {
    json_t *index;
    XN_TRY(xn_json_file(path, MAX_INDEX, &index, err));
    const json_t *map = json_object_get(index, "weight_map");
    int status = json_is_object(map) ? open_shards(st, path, map, err)
                                     : xn_fail(err, XN_ERR_FORMAT, "%s: weight_map is no object", path);
    json_decref(index);
    return status;
}

int xn_safetensors_open(const char *path, struct xn_safetensors **out, struct xn_error *err) {
    *out = NULL;
    struct xn_safetensors *st = xn_alloc_zero(1, sizeof *st);
    if (!st) return xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", path);
    static const char ending[] = ".json";
    size_t size = strlen(path), n = sizeof ending - 1;
    bool index = size >= n && strcmp(path + size - n, ending) == 0;
    int status = index ? open_index(st, path, err) : open_file(st, path, NULL, NULL, err);
    if (status != XN_OK) {
        xn_safetensors_close(st);
        return status;
    }
    *out = st;
    return XN_OK;
}

int xn_safetensors_open_memory(const void *data, size_t size, const char *name, struct xn_safetensors **out,
                               struct xn_error *err) {
    *out = NULL;
    struct xn_safetensors *st = xn_alloc_zero(1, sizeof *st);
    if (!st || !(st->name = xn_strdup(name))) {
        xn_safetensors_close(st);
        return xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", name);
    }
    struct reader r = {.st = st, .file = st->name, .err = err};
    int status = read_file(&r, data, size);
    if (status != XN_OK) {
        xn_safetensors_close(st);
        return status;
    }
    *out = st;
    return XN_OK;
}

void xn_safetensors_relax(const struct xn_safetensors *st) {
    for (size_t i = 0; i < st->n_files; i++)
        xn_map_relax(&st->files[i]);
}

void xn_safetensors_close(struct xn_safetensors *st) {
    if (!st) return;
    for (size_t i = 0; i < st->n_files; i++)
        xn_map_close(&st->files[i]);
    free(st->files);
    free(st->name);
    free(st->tensors);
    free(st->foreign);
    xn_index_free(&st->index);
    xn_index_free(&st->foreign_index);
    xn_arena_free(&st->arena);
    free(st);
}

size_t xn_safetensors_n_tensors(const struct xn_safetensors *st) {
    return st->n_tensors;
}

const struct xn_tensor *xn_safetensors_tensor_at(const struct xn_safetensors *st, size_t i) {
    return &st->tensors[i];
}

const struct xn_tensor *xn_safetensors_tensor(const struct xn_safetensors *st, const char *name) {
    size_t at;
    return xn_index_find(&st->index, name, &at) ? &st->tensors[at] : NULL;
}

int xn_safetensors_require(const struct xn_safetensors *st, const char *name, const struct xn_tensor **out,
                           struct xn_error *err) {
    *out = xn_safetensors_tensor(st, name);
    if (*out) return XN_OK;
    size_t at;
    if (xn_index_find(&st->foreign_index, name, &at))
        return xn_fail(err, XN_ERR_UNSUPPORTED, "%s: tensor '%s': %s", st->foreign[at].file, name, st->foreign[at].why);
    return xn_fail(err, XN_ERR_FORMAT, "%s: no tensor '%s'", st->n_files ? st->files[0].path : st->name, name);
}
