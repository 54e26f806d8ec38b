#include "format/gguf_layout.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "format/index.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 20 }; // bytes of tensor data that are pulled at a time, where a row is not longer

// Bytes that grow. Once there was no memory for an append, `failed` stays set and further appends do nothing.
struct bytes {
    uint8_t *data;
    size_t size, capacity;
    bool failed;
};

static void put(struct bytes *b, const void *data, size_t size) {
    size_t want;
    if (b->failed || xn_add_overflow(b->size, size, &want) || XN_GROW(b->data, b->capacity, want) != 0) {
        b->failed = true;
        return;
    }
    if (size) memcpy(b->data + b->size, data, size);
    b->size = want;
}

static void put_u32(struct bytes *b, uint32_t value) {
    put(b, &value, sizeof value);
}

static void put_u64(struct bytes *b, uint64_t value) {
    put(b, &value, sizeof value);
}

static void put_string(struct bytes *b, const char *s, size_t size) {
    put_u64(b, size);
    put(b, s, size);
}

struct pending {
    const char *name;
    uint32_t type, n_dims;
    uint64_t dims[XN_MAX_DIMS];
    size_t bytes, row_bytes;
    xn_gguf_produce *produce;
    void *user;
};

struct xn_gguf_writer {
    struct bytes values; // as in the file
    uint64_t n_values, alignment;
    bool has_alignment; // general.alignment is among the values
    struct pending *tensors;
    size_t n_tensors, tensors_capacity;
    struct xn_index keys, names;
    struct xn_arena arena;
};

static int no_memory(struct xn_error *err) {
    return xn_fail(err, XN_ERR_NOMEM, "GGUF: out of memory");
}

int xn_gguf_writer_new(struct xn_gguf_writer **out, struct xn_error *err) {
    *out = xn_alloc_zero(1, sizeof **out);
    if (!*out) return no_memory(err);
    (*out)->alignment = XN_GGUF_DEFAULT_ALIGNMENT;
    return XN_OK;
}

void xn_gguf_writer_free(struct xn_gguf_writer *writer) {
    if (!writer) return;
    free(writer->values.data);
    free(writer->tensors);
    xn_index_free(&writer->keys);
    xn_index_free(&writer->names);
    xn_arena_free(&writer->arena);
    free(writer);
}

// Notes a name in an index; `what` it is of, for messages.
static int add_name(struct xn_gguf_writer *w, struct xn_index *index, const char *name, size_t limit, const char *what,
                    const char **copy, struct xn_error *err) {
    size_t size = strlen(name);
    if (size == 0 || size > limit)
        return xn_fail(err, XN_ERR_ARGUMENT, "GGUF: %s '%s' of %zu bytes, 1 to %zu expected", what, name, size, limit);
    *copy = xn_arena_strdup(&w->arena, name);
    if (!*copy) return no_memory(err);
    int added = xn_index_add(index, *copy, 0);
    if (added == XN_INDEX_NOMEM) return no_memory(err);
    if (added == XN_INDEX_DUPLICATE) return xn_fail(err, XN_ERR_ARGUMENT, "GGUF: %s '%s' is added twice", what, name);
    return XN_OK;
}

// Starts an entry: its key and type. The value follows with put(), then end_value().
static int begin_value(struct xn_gguf_writer *w, const char *key, uint32_t kind, struct xn_error *err) {
    if (strncmp(key, "split.", 6) == 0)
        return xn_fail(err, XN_ERR_ARGUMENT, "GGUF: key '%s' is the writer's own: a split set gets it by itself", key);
    const char *copy;
    XN_TRY(add_name(w, &w->keys, key, XN_GGUF_MAX_KEY, "key", &copy, err));
    put_string(&w->values, key, strlen(key));
    put_u32(&w->values, kind);
    return XN_OK;
}

static int end_value(struct xn_gguf_writer *w, struct xn_error *err) {
    w->n_values++;
    return w->values.failed ? no_memory(err) : XN_OK;
}

static int add_number(struct xn_gguf_writer *w, const char *key, enum xn_gguf_kind kind, const void *value,
                      struct xn_error *err) {
    if (strcmp(key, "general.alignment") == 0) {
        uint32_t alignment = 0;
        if (kind == XN_GGUF_U32) memcpy(&alignment, value, sizeof alignment);
        if (!xn_gguf_alignment_ok(alignment))
            return xn_fail(err, XN_ERR_ARGUMENT,
                           "GGUF: key '%s': %" PRIu32 ", a u32 that is a power of two of 8 to 2^30 expected", key,
                           alignment);
        w->alignment = alignment;
        w->has_alignment = true;
    }
    XN_TRY(begin_value(w, key, kind, err));
    put(&w->values, value, xn_gguf_kind_bytes(kind));
    return end_value(w, err);
}

int xn_gguf_add_u32(struct xn_gguf_writer *w, const char *key, uint32_t value, struct xn_error *err) {
    return add_number(w, key, XN_GGUF_U32, &value, err);
}

int xn_gguf_add_u64(struct xn_gguf_writer *w, const char *key, uint64_t value, struct xn_error *err) {
    return add_number(w, key, XN_GGUF_U64, &value, err);
}

int xn_gguf_add_i32(struct xn_gguf_writer *w, const char *key, int32_t value, struct xn_error *err) {
    return add_number(w, key, XN_GGUF_I32, &value, err);
}

int xn_gguf_add_f32(struct xn_gguf_writer *w, const char *key, float value, struct xn_error *err) {
    return add_number(w, key, XN_GGUF_F32, &value, err);
}

int xn_gguf_add_bool(struct xn_gguf_writer *w, const char *key, bool value, struct xn_error *err) {
    uint8_t byte = value;
    return add_number(w, key, XN_GGUF_BOOL, &byte, err);
}

int xn_gguf_add_string(struct xn_gguf_writer *w, const char *key, const char *value, struct xn_error *err) {
    XN_TRY(begin_value(w, key, XN_GGUF_STRING, err));
    put_string(&w->values, value, strlen(value));
    return end_value(w, err);
}

int xn_gguf_add_strings(struct xn_gguf_writer *w, const char *key, const struct xn_str *values, uint64_t n,
                        struct xn_error *err) {
    XN_TRY(begin_value(w, key, XN_GGUF_ARRAY, err));
    put_u32(&w->values, XN_GGUF_STRING);
    put_u64(&w->values, n);
    for (uint64_t i = 0; i < n; i++)
        put_string(&w->values, values[i].data, values[i].size);
    return end_value(w, err);
}

int xn_gguf_add_array(struct xn_gguf_writer *w, const char *key, enum xn_gguf_kind kind, const void *values, uint64_t n,
                      struct xn_error *err) {
    size_t bytes, size = xn_gguf_kind_bytes(kind);
    if (size == 0 || xn_mul_overflow(n, size, &bytes))
        return xn_fail(err, XN_ERR_ARGUMENT, "GGUF: key '%s': %" PRIu64 " values of type %d, numbers expected", key, n,
                       (int)kind);
    for (uint64_t i = 0; kind == XN_GGUF_BOOL && i < n; i++)
        if (((const uint8_t *)values)[i] > 1)
            return xn_fail(err, XN_ERR_ARGUMENT, "GGUF: key '%s': a bool of %u, 0 or 1 expected", key,
                           ((const uint8_t *)values)[i]);
    XN_TRY(begin_value(w, key, XN_GGUF_ARRAY, err));
    put_u32(&w->values, kind);
    put_u64(&w->values, n);
    put(&w->values, values, bytes);
    return end_value(w, err);
}

int xn_gguf_add_value(struct xn_gguf_writer *w, const struct xn_gguf_value *value, struct xn_error *err) {
    if (strncmp(value->key, "split.", 6) == 0) return XN_OK;
    if (!value->is_array && xn_gguf_kind_bytes(value->kind) > 0)
        return add_number(w, value->key, value->kind, value->raw, err);
    XN_TRY(begin_value(w, value->key, value->is_array ? XN_GGUF_ARRAY : value->kind, err));
    if (value->is_array) {
        put_u32(&w->values, value->kind);
        put_u64(&w->values, value->n);
    }
    put(&w->values, value->raw, value->raw_bytes);
    return end_value(w, err);
}

int xn_gguf_add_tensor(struct xn_gguf_writer *w, const char *name, uint32_t type, uint32_t n_dims, const uint64_t *dims,
                       xn_gguf_produce *produce, void *user, struct xn_error *err) {
    const struct xn_format *format = xn_format_of(type);
    if (!format) return xn_fail(err, XN_ERR_ARGUMENT, "GGUF: tensor '%s': type %" PRIu32 " is unknown", name, type);
    if (n_dims > XN_MAX_DIMS)
        return xn_fail(err, XN_ERR_ARGUMENT, "GGUF: tensor '%s': %" PRIu32 " dimensions, at most %d expected", name,
                       n_dims, XN_MAX_DIMS);
    struct pending t = {.type = type, .n_dims = n_dims, .produce = produce, .user = user};
    uint64_t values = 1, row = n_dims ? dims[0] : 1;
    for (uint32_t i = 0; i < n_dims; i++) {
        t.dims[i] = dims[i];
        if (dims[i] == 0 || __builtin_mul_overflow(values, dims[i], &values) || values > INT64_MAX)
            return xn_fail(err, XN_ERR_ARGUMENT,
                           "GGUF: tensor '%s': dimension %" PRIu32 " of %" PRIu64 " is 0 or too large", name, i,
                           dims[i]);
    }
    if (!xn_format_bytes(format, row, &t.row_bytes) || !xn_format_bytes(format, values, &t.bytes) ||
        t.bytes > INT64_MAX)
        return xn_fail(err, XN_ERR_ARGUMENT,
                       "GGUF: tensor '%s': rows of %" PRIu64
                       " values in %s, a multiple of %u expected (and less than 2^63 bytes)",
                       name, row, format->name, format->block_values);
    if (XN_GROW(w->tensors, w->tensors_capacity, w->n_tensors + 1) != 0) return no_memory(err);
    XN_TRY(add_name(w, &w->names, name, XN_GGUF_MAX_NAME, "tensor", &t.name, err));
    w->tensors[w->n_tensors++] = t;
    return XN_OK;
}

// Which tensors a file gets: [first, end). `no` of `count` parts; count 0: the file is no part of a set.
struct part {
    size_t first, end;
    uint16_t no, count;
};

static uint64_t pad(uint64_t size, uint64_t alignment) {
    return (alignment - size % alignment) % alignment;
}

static void put_u16_value(struct bytes *b, const char *key, uint16_t value) {
    put_string(b, key, strlen(key));
    put_u32(b, XN_GGUF_U16);
    put(b, &value, sizeof value);
}

// Everything before the data.
static int make_head(const struct xn_gguf_writer *w, const struct part *part, struct bytes *head,
                     struct xn_error *err) {
    // Only the first part has the metadata; how its data is aligned each must say for itself.
    uint64_t n_values = part->no == 0 ? w->n_values : w->has_alignment;
    put(head, "GGUF", 4);
    put_u32(head, 3);
    put_u64(head, part->end - part->first);
    put_u64(head, n_values + (part->count ? 3 : 0));
    if (part->no == 0) {
        put(head, w->values.data, w->values.size);
    } else if (w->has_alignment) {
        put_string(head, "general.alignment", strlen("general.alignment"));
        put_u32(head, XN_GGUF_U32);
        put_u32(head, (uint32_t)w->alignment);
    }
    if (part->count) {
        put_u16_value(head, "split.no", part->no);
        put_u16_value(head, "split.count", part->count);
        put_string(head, "split.tensors.count", strlen("split.tensors.count"));
        put_u32(head, XN_GGUF_I32);
        put_u32(head, (uint32_t)w->n_tensors);
    }
    uint64_t offset = 0;
    for (size_t i = part->first; i < part->end; i++) {
        const struct pending *t = &w->tensors[i];
        put_string(head, t->name, strlen(t->name));
        put_u32(head, t->n_dims);
        put(head, t->dims, t->n_dims * sizeof *t->dims);
        put_u32(head, t->type);
        put_u64(head, offset);
        if (__builtin_add_overflow(offset, t->bytes + pad(t->bytes, w->alignment), &offset))
            return xn_fail(err, XN_ERR_ARGUMENT, "GGUF: tensor '%s': the file would pass 2^64 bytes", t->name);
    }
    return head->failed ? no_memory(err) : XN_OK;
}

static int write_padding(struct xn_output *out, uint64_t size, uint64_t alignment, struct xn_error *err) {
    static const uint8_t zeros[4096];
    for (uint64_t left = pad(size, alignment); left > 0;) {
        size_t now = left < sizeof zeros ? (size_t)left : sizeof zeros;
        XN_TRY(xn_output_write(out, zeros, now, err));
        left -= now;
    }
    return XN_OK;
}

struct progress {
    const struct xn_progress *report;
    uint64_t done, total;
};

static int write_tensor(struct xn_output *out, const struct pending *t, uint8_t *buffer, size_t buffer_size,
                        struct progress *progress, struct xn_error *err) {
    size_t step = buffer_size / t->row_bytes * t->row_bytes; // whole rows
    for (size_t offset = 0; offset < t->bytes;) {
        size_t now = t->bytes - offset < step ? t->bytes - offset : step;
        int status = t->produce(t->user, offset, buffer, now, err);
        if (status != XN_OK) return xn_error_context(err, status, "tensor '%s'", t->name);
        XN_TRY(xn_output_write(out, buffer, now, err));
        offset += now;
        progress->done += now;
        if (xn_progress_report(progress->report, "writing", progress->done, progress->total) != 0)
            return xn_fail(err, XN_ERR_CANCELLED, "cancelled while tensor '%s' was written", t->name);
    }
    return XN_OK;
}

static int write_content(const struct xn_gguf_writer *w, const struct part *part, struct xn_output *out,
                         struct progress *progress, struct xn_error *err) {
    struct bytes head = {0};
    int status = make_head(w, part, &head, err);
    if (status == XN_OK) status = xn_output_write(out, head.data, head.size, err);
    free(head.data);
    if (status != XN_OK || part->first == part->end) return status;
    size_t buffer_size = CHUNK;
    for (size_t i = part->first; i < part->end; i++)
        if (w->tensors[i].row_bytes > buffer_size) buffer_size = w->tensors[i].row_bytes;
    uint8_t *buffer = xn_alloc(buffer_size, 1);
    if (!buffer) return no_memory(err);
    status = write_padding(out, xn_output_offset(out), w->alignment, err);
    for (size_t i = part->first; i < part->end && status == XN_OK; i++) {
        status = write_tensor(out, &w->tensors[i], buffer, buffer_size, progress, err);
        if (status == XN_OK) status = write_padding(out, w->tensors[i].bytes, w->alignment, err);
    }
    free(buffer);
    return status;
}

static int write_part(const struct xn_gguf_writer *w, const struct part *part, const char *path,
                      struct progress *progress, struct xn_error *err) {
    struct xn_output *out;
    XN_TRY(xn_output_open(path, &out, err));
    int status = write_content(w, part, out, progress, err);
    if (status == XN_OK) return xn_output_commit(out, err);
    xn_output_abort(out);
    return xn_error_context(err, status, "%s", path);
}

static struct progress start_progress(const struct xn_gguf_writer *w, const struct xn_progress *report) {
    struct progress progress = {.report = report};
    for (size_t i = 0; i < w->n_tensors; i++)
        progress.total += w->tensors[i].bytes;
    return progress;
}

int xn_gguf_write(struct xn_gguf_writer *w, const char *path, const struct xn_progress *progress,
                  struct xn_error *err) {
    struct progress p = start_progress(w, progress);
    return write_part(w, &(struct part){.end = w->n_tensors}, path, &p, err);
}

// Where the part that starts with tensor `first` ends.
static size_t end_of_part(const struct xn_gguf_writer *w, size_t first, uint64_t part_bytes) {
    uint64_t bytes = 0;
    size_t end = first;
    while (end < w->n_tensors && !__builtin_add_overflow(bytes, w->tensors[end].bytes, &bytes) &&
           (end == first || bytes <= part_bytes))
        end++;
    return end;
}

int xn_gguf_write_split(struct xn_gguf_writer *w, const char *path, uint64_t part_bytes,
                        const struct xn_progress *progress, struct xn_error *err) {
    static const char ending[] = ".gguf";
    size_t prefix = strlen(path), count = 0;
    if (prefix < sizeof ending || strcmp(path + prefix - (sizeof ending - 1), ending) != 0)
        return xn_fail(err, XN_ERR_ARGUMENT, "%s: a name that ends in .gguf expected", path);
    prefix -= sizeof ending - 1;
    for (size_t first = 0; first < w->n_tensors; first = end_of_part(w, first, part_bytes))
        count++;
    if (count == 0) count = 1;
    if (count > XN_GGUF_MAX_PARTS || w->n_tensors > INT32_MAX)
        return xn_fail(err, XN_ERR_ARGUMENT, "%s: %zu parts and %zu tensors, at most %d and %d expected", path, count,
                       w->n_tensors, XN_GGUF_MAX_PARTS, INT32_MAX);
    struct progress p = start_progress(w, progress);
    struct part part = {.count = (uint16_t)count};
    for (size_t no = 0; no < count; no++) {
        part.no = (uint16_t)no;
        part.first = part.end;
        part.end = end_of_part(w, part.first, part_bytes);
        char *name = xn_format("%.*s-%05zu-of-%05zu.gguf", (int)prefix, path, no + 1, count);
        int status = name ? write_part(w, &part, name, &p, err) : no_memory(err);
        free(name);
        XN_TRY(status);
    }
    return XN_OK;
}
