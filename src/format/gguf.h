// GGUF v2 and v3 (the container of llama.cpp): metadata and tensors of one file or a split set, read by mapping;
// written too. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include "base/error.h"
#include "format/tensor.h"

#include <stdbool.h>

enum xn_gguf_kind {
    XN_GGUF_U8,
    XN_GGUF_I8,
    XN_GGUF_U16,
    XN_GGUF_I16,
    XN_GGUF_U32,
    XN_GGUF_I32,
    XN_GGUF_F32,
    XN_GGUF_BOOL,
    XN_GGUF_STRING,
    XN_GGUF_ARRAY,
    XN_GGUF_U64,
    XN_GGUF_I64,
    XN_GGUF_F64,
    XN_GGUF_KINDS,
};

// A view of a string in the mapping: not NUL-terminated.
struct xn_str {
    const char *data;
    size_t size;
};

// One metadata entry. Scalars: n = 1. Arrays: `kind` is that of the elements, `is_array` is set. An array of arrays has
// kind ARRAY and n inner arrays, which are checked and lie at `raw` as in the file (u32 kind, u64 count, elements; each
// after the other).
struct xn_gguf_value {
    const char *key; // NUL-terminated copy
    enum xn_gguf_kind kind;
    bool is_array;
    uint64_t n;
    const void *raw;              // numbers: n packed little-endian elements in the mapping, any alignment
    const struct xn_str *strings; // kind STRING: n views
    size_t raw_bytes;             // of the value in the file (of an array: of its elements, in any kind), from raw
};

struct xn_gguf; // opaque: mappings, values, tensors

// Opens a file; of a split set ("NAME-00001-of-0000N.gguf") any part may be named and all are opened. Every count,
// size, offset and dimension is checked against the file before it is used.
int xn_gguf_open(const char *path, struct xn_gguf **out, struct xn_error *err);
// The same from `size` bytes in memory, which must outlive *out; `name` stands for the file in messages. A part of a
// split set is refused, since its other parts can't be found.
int xn_gguf_open_memory(const void *data, size_t size, const char *name, struct xn_gguf **out, struct xn_error *err);
void xn_gguf_relax(const struct xn_gguf *gguf);       // the files' pages may leave memory
void xn_gguf_close(struct xn_gguf *gguf);             // accepts NULL
const char *xn_gguf_path(const struct xn_gguf *gguf); // of a split set: of its first part

size_t xn_gguf_n_values(const struct xn_gguf *gguf);
const struct xn_gguf_value *xn_gguf_value_at(const struct xn_gguf *gguf, size_t i);
const struct xn_gguf_value *xn_gguf_find(const struct xn_gguf *gguf, const char *key); // NULL if absent
size_t xn_gguf_n_tensors(const struct xn_gguf *gguf);
const struct xn_tensor *xn_gguf_tensor_at(const struct xn_gguf *gguf, size_t i);
const struct xn_tensor *xn_gguf_tensor(const struct xn_gguf *gguf, const char *name); // NULL if absent; hashed

// Element i of a value as a number; integers of any width convert, and so does bool. False where the value is no
// number, i is out of range, or it does not fit.
bool xn_gguf_int(const struct xn_gguf_value *value, uint64_t i, int64_t *out);
bool xn_gguf_float(const struct xn_gguf_value *value, uint64_t i, double *out);

// Writing: add metadata and tensors, then write everything. Tensor data is pulled row by row from the callback, so that
// a file larger than memory can be written. All names, strings and arrays are copied when added.
struct xn_gguf_writer;
int xn_gguf_writer_new(struct xn_gguf_writer **out, struct xn_error *err);
void xn_gguf_writer_free(struct xn_gguf_writer *writer);
int xn_gguf_add_u32(struct xn_gguf_writer *w, const char *key, uint32_t value, struct xn_error *err);
int xn_gguf_add_u64(struct xn_gguf_writer *w, const char *key, uint64_t value, struct xn_error *err);
int xn_gguf_add_i32(struct xn_gguf_writer *w, const char *key, int32_t value, struct xn_error *err);
int xn_gguf_add_f32(struct xn_gguf_writer *w, const char *key, float value, struct xn_error *err);
int xn_gguf_add_bool(struct xn_gguf_writer *w, const char *key, bool value, struct xn_error *err);
int xn_gguf_add_string(struct xn_gguf_writer *w, const char *key, const char *value, struct xn_error *err);
int xn_gguf_add_strings(struct xn_gguf_writer *w, const char *key, const struct xn_str *values, uint64_t n,
                        struct xn_error *err);
// An array of numbers of `kind` (packed, n elements).
int xn_gguf_add_array(struct xn_gguf_writer *w, const char *key, enum xn_gguf_kind kind, const void *values, uint64_t n,
                      struct xn_error *err);
// Copies an entry of an open file as it is; "split." entries are left out, as the writer makes its own.
int xn_gguf_add_value(struct xn_gguf_writer *w, const struct xn_gguf_value *value, struct xn_error *err);
// Produces bytes [offset, offset + size) of a tensor's data into `out`.
typedef int xn_gguf_produce(void *user, uint64_t offset, void *out, size_t size, struct xn_error *err);
int xn_gguf_add_tensor(struct xn_gguf_writer *w, const char *name, uint32_t type, uint32_t n_dims, const uint64_t *dims,
                       xn_gguf_produce *produce, void *user, struct xn_error *err);
struct xn_progress;
int xn_gguf_write(struct xn_gguf_writer *w, const char *path, const struct xn_progress *progress, struct xn_error *err);
// The same as a split set: `path` is "NAME.gguf", the parts become NAME-00001-of-0000N.gguf and so on, each with at
// most `part_bytes` of tensor data (a larger tensor has a part of its own). The metadata is in the first.
// The parts appear one by one: after a failure those that were complete remain.
int xn_gguf_write_split(struct xn_gguf_writer *w, const char *path, uint64_t part_bytes,
                        const struct xn_progress *progress, struct xn_error *err);
