// Sequences as bytes. All numbers are little-endian, as the processors of this library have them in memory:
//
//     "XENONSEQ"                                                   8 bytes
//     the fields of `struct header` (below), uint32 each
//     uint64: fingerprint of the model; bytes of everything
//     int32 tokens[length]
//     uint32 positions of the checkpoints, ascending               [checkpoints]
//     for each page of 64 positions, the last with those it has    as device.h says (read_page)
//     for each checkpoint, and then of the sequence, the states    as device.h says (read_state)
//     uint64: checksum of all before
//
// Each of these begins at a multiple of 8 bytes, with zeros before it where that is needed.
#include "base/file.h"
#include "device/cache.h"
#include "engine/context_internal.h"

#include <stdlib.h>
#include <string.h>

enum { FORMAT_VERSION = 1 };
static const char magic[8] = "XENONSEQ";

// Those before `length` must be the context's own.
#define HEADER_FIELDS(X)                                                                                               \
    X(version)                                                                                                         \
    X(vocab)                                                                                                           \
    X(hidden)                                                                                                          \
    X(operations)                                                                                                      \
    X(cache_layers)                                                                                                    \
    X(state_layers)                                                                                                    \
    X(cache_type)                                                                                                      \
    X(length)                                                                                                          \
    X(checkpoints)                                                                                                     \
    X(rope_length)
struct header {
#define X(name) uint32_t name;
    HEADER_FIELDS(X)
#undef X
    uint64_t fingerprint, total;
};
static const char *const field_names[] = {
#define X(name) #name,
    HEADER_FIELDS(X)
#undef X
};
enum { OWN_FIELDS = offsetof(struct header, length) / sizeof(uint32_t) };
_Static_assert(sizeof(struct header) == sizeof field_names / sizeof *field_names * 4 + 16, "fields without gaps");

static uint64_t padded(uint64_t bytes) {
    return (bytes + 7) & ~(uint64_t)7;
}

// --- what fits what ---

static uint64_t mix(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u; // 2^64 over the golden ratio
    return hash ^ hash >> 29;
}

// Bytes, a multiple of 8 or the end.
static uint64_t mix_bytes(uint64_t hash, const void *data, size_t size) {
    const char *p = data;
    uint64_t word = 0;
    for (; size >= 8; p += 8, size -= 8) {
        memcpy(&word, p, 8);
        hash = mix(hash, word);
    }
    if (size == 0) return hash;
    word = 0;
    memcpy(&word, p, size);
    return mix(hash, word);
}

// The beginning of a matrix: enough to tell one model's from another's.
static uint64_t mix_matrix(uint64_t hash, const struct xn_matrix *m) {
    const struct xn_format *format = xn_format_of(m->type);
    size_t bytes = 0;
    if (m->rows == 0 || !format || !xn_format_bytes(format, m->cols, &bytes)) return hash;
    return mix_bytes(mix(hash, m->type), m->data[0], bytes);
}

// Sizes of caches and states, the kinds of operations, and some weights: another model's sequences do not pass for this
// one's, be it another training of the same sizes.
static uint64_t fingerprint(const struct xn_model *model) {
    const struct xn_plan *plan = &model->plan;
    uint64_t hash = 0;
    for (uint32_t i = 0; i < plan->n_cache; i++) {
        const struct xn_cache_layer *c = &plan->cache[i];
        hash = mix(mix(mix(hash, c->kv_heads), c->key_size), c->value_size);
    }
    for (uint32_t i = 0; i < plan->n_states; i++)
        hash = mix(mix(hash, plan->states[i].conv_size), plan->states[i].recurrent_size);
    for (uint32_t i = 0; i < plan->n_ops; i++)
        hash = mix(hash, (uint64_t)plan->ops[i].kind);
    hash = mix_matrix(hash, &model->recipe.embedding);
    hash = mix_matrix(hash, &model->recipe.head);
    const float *norm = model->recipe.final_norm.weight;
    return norm ? mix_bytes(hash, norm, plan->hidden * sizeof *norm) : hash;
}

// The header of a sequence of this context, but for its lengths.
static struct header own_header(const struct xn_context *c) {
    const struct xn_plan *plan = &c->model->plan;
    return (struct header){.version = FORMAT_VERSION,
                           .vocab = plan->vocab,
                           .hidden = plan->hidden,
                           .operations = plan->n_ops,
                           .cache_layers = plan->n_cache,
                           .state_layers = plan->n_states,
                           .cache_type = xn_context_device(c)->cache_type(c->executor),
                           .fingerprint = fingerprint(c->model)};
}

// Bytes of one position in the cache, and of the states: those of an allocation that succeeded, so they fit.
static size_t position_bytes(const struct xn_context *c) {
    size_t bytes = 0;
    uint32_t type = xn_context_device(c)->cache_type(c->executor);
    for (uint32_t i = 0; i < c->model->plan.n_cache; i++) {
        const struct xn_cache_layer *l = &c->model->plan.cache[i];
        bytes += l->kv_heads * (xn_cache_bytes(type, l->key_size) + xn_cache_bytes(type, l->value_size));
    }
    return bytes;
}

static size_t state_bytes(const struct xn_context *c) {
    size_t values = 0;
    for (uint32_t i = 0; i < c->model->plan.n_states; i++)
        values += (size_t)c->model->plan.states[i].conv_size + c->model->plan.states[i].recurrent_size;
    return values * sizeof(float);
}

// Bytes of a page's positions from `first` on, of a sequence of `length`; the positions in *n.
static size_t page_bytes(const struct xn_context *c, uint32_t first, uint32_t length, uint32_t *n) {
    *n = length - first < XN_PAGE_SIZE ? length - first : XN_PAGE_SIZE;
    return padded(*n * position_bytes(c));
}

// Bytes of everything. `length` is at most what the context holds, `checkpoints` at most `length`.
static int total_bytes(const struct xn_context *c, uint32_t length, uint32_t checkpoints, uint64_t *total) {
    uint64_t position = position_bytes(c), pages = length / XN_PAGE_SIZE, states;
    *total = sizeof magic + sizeof(struct header) + padded(4 * (uint64_t)length) + padded(4 * (uint64_t)checkpoints) +
             pages * padded(XN_PAGE_SIZE * position) + padded(length % XN_PAGE_SIZE * position) + 8;
    return __builtin_mul_overflow(padded(state_bytes(c)), (uint64_t)checkpoints + 1, &states) ||
           __builtin_add_overflow(*total, states, total) || *total > SIZE_MAX;
}

// --- saving ---

// Where bytes go, with their checksum.
struct sink {
    char *data; // memory for everything, or NULL:
    struct xn_output *output;
    size_t size;
    uint64_t checksum;
};

static int put_padded(struct sink *s, const void *data, size_t size, struct xn_error *err) {
    static const char zeros[8];
    size_t pad = padded(size) - size;
    s->checksum = mix_bytes(s->checksum, data, size);
    if (s->data) {
        if (size) memcpy(s->data + s->size, data, size);
        memset(s->data + s->size + size, 0, pad);
    } else {
        XN_TRY(xn_output_write(s->output, data, size, err));
        XN_TRY(xn_output_write(s->output, zeros, pad, err));
    }
    s->size += size + pad;
    return XN_OK;
}

static int put_state(struct xn_context *c, uint32_t slot, void *buffer, struct sink *sink, struct xn_error *err) {
    if (state_bytes(c) == 0) return XN_OK;
    XN_TRY(xn_context_device(c)->read_state(c->executor, slot, buffer, err));
    return put_padded(sink, buffer, state_bytes(c), err);
}

static int put_all(struct xn_context *c, uint32_t id, const struct header *header, void *buffer, struct sink *sink,
                   struct xn_error *err) {
    const struct xn_sequence *s = &c->sequences[id];
    XN_TRY(put_padded(sink, magic, sizeof magic, err));
    XN_TRY(put_padded(sink, header, sizeof *header, err));
    XN_TRY(put_padded(sink, s->tokens, s->length * sizeof *s->tokens, err));
    uint32_t *positions = buffer;
    for (uint32_t i = 0; i < header->checkpoints; i++)
        positions[i] = c->checkpoints[s->checkpoints[i]].position;
    XN_TRY(put_padded(sink, positions, header->checkpoints * sizeof *positions, err));
    for (uint32_t first = 0, n; first < s->length; first += n) {
        size_t bytes = page_bytes(c, first, s->length, &n);
        uint32_t page = (uint32_t)s->pages[first / XN_PAGE_SIZE];
        XN_TRY(xn_context_device(c)->read_page(c->executor, page, n, buffer, err));
        memset((char *)buffer + n * position_bytes(c), 0, bytes - n * position_bytes(c));
        XN_TRY(put_padded(sink, buffer, bytes, err));
    }
    for (uint32_t i = 0; i < header->checkpoints; i++)
        XN_TRY(put_state(c, c->options.sequences + s->checkpoints[i], buffer, sink, err));
    XN_TRY(put_state(c, id, buffer, sink, err));
    uint64_t checksum = sink->checksum;
    return put_padded(sink, &checksum, sizeof checksum, err);
}

// Room for any one piece.
static void *piece_buffer(const struct xn_context *c, uint32_t checkpoints) {
    size_t bytes = padded(XN_PAGE_SIZE * position_bytes(c)), states = state_bytes(c);
    if (states > bytes) bytes = states;
    if (checkpoints * sizeof(uint32_t) > bytes) bytes = checkpoints * sizeof(uint32_t);
    return xn_alloc_aligned_raw(bytes, 1);
}

// Makes the sequence and its header ready.
static int begin_save(struct xn_context *c, uint32_t id, bool checkpoints, struct header *header,
                      struct xn_error *err) {
    const struct xn_sequence *s = xn_sequence_find(c, id);
    if (!s) return xn_no_sequence(c, id, err);
    XN_TRY(xn_sequence_settle(c, id, err));
    *header = own_header(c);
    header->length = s->length;
    header->checkpoints = checkpoints ? s->n_checkpoints : 0;
    header->rope_length = s->length ? s->rope_length : 0;
    if (total_bytes(c, header->length, header->checkpoints, &header->total))
        return xn_fail(err, XN_ERR_LIMIT, "a sequence of %u positions is too long to be saved", s->length);
    return XN_OK;
}

int xn_sequence_save(struct xn_context *c, uint32_t id, bool checkpoints, void **data, size_t *size,
                     struct xn_error *err) {
    struct header header;
    *data = NULL;
    *size = 0;
    XN_TRY(begin_save(c, id, checkpoints, &header, err));
    struct sink sink = {.data = xn_alloc(header.total, 1)};
    void *buffer = piece_buffer(c, header.checkpoints);
    int status = sink.data && buffer ? put_all(c, id, &header, buffer, &sink, err)
                                     : xn_fail(err, XN_ERR_NOMEM, "no memory for the %llu bytes of a saved sequence",
                                               (unsigned long long)header.total);
    free(buffer);
    if (status != XN_OK) {
        free(sink.data);
        return status;
    }
    *data = sink.data;
    *size = sink.size;
    return XN_OK;
}

int xn_sequence_save_file(struct xn_context *c, uint32_t id, bool checkpoints, const char *path, struct xn_error *err) {
    struct header header;
    struct sink sink = {0};
    XN_TRY(begin_save(c, id, checkpoints, &header, err));
    XN_TRY(xn_output_open(path, &sink.output, err));
    void *buffer = piece_buffer(c, header.checkpoints);
    int status = buffer ? put_all(c, id, &header, buffer, &sink, err)
                        : xn_fail(err, XN_ERR_NOMEM, "%s: no memory to save a sequence", path);
    free(buffer);
    if (status == XN_OK) return xn_output_commit(sink.output, err);
    xn_output_abort(sink.output);
    return status;
}

// --- restoring ---

// What was saved, from where it is read.
struct saved {
    const char *name;
    const char *data;
    size_t size, at;
    struct header header;
};

// Both header fields and sizes of pieces were checked by then: the pieces are there.
static const void *next_piece(struct saved *s, size_t bytes) {
    const void *piece = s->data + s->at;
    s->at += padded(bytes);
    return piece;
}

static int check_header(const struct xn_context *c, struct saved *s, struct xn_error *err) {
    struct header own = own_header(c);
    uint32_t found[sizeof field_names / sizeof *field_names], expected[sizeof field_names / sizeof *field_names];
    if (s->size < sizeof magic + sizeof s->header + 8 || memcmp(s->data, magic, sizeof magic) != 0)
        return xn_fail(err, XN_ERR_FORMAT,
                       "%s: offset 0: found no saved sequence, expected \"%.8s\" and at least %zu "
                       "bytes (it has %zu)",
                       s->name, magic, sizeof magic + sizeof s->header + 8, s->size);
    memcpy(&s->header, s->data + sizeof magic, sizeof s->header);
    memcpy(found, &s->header, sizeof found);
    memcpy(expected, &own, sizeof expected);
    const struct xn_format *was = xn_format_of(s->header.cache_type), *is = xn_format_of(own.cache_type);
    if (s->header.version == own.version && s->header.cache_type != own.cache_type && was && is)
        return xn_fail(err, XN_ERR_UNSUPPORTED,
                       "%s: offset %zu: cache_type: found %u (%s), expected %u (%s), as this context has it", s->name,
                       sizeof magic + offsetof(struct header, cache_type), s->header.cache_type, was->name,
                       own.cache_type, is->name);
    for (size_t i = 0; i < OWN_FIELDS; i++)
        if (found[i] != expected[i])
            return xn_fail(err, XN_ERR_UNSUPPORTED,
                           "%s: offset %zu: %s: found %u, expected %u, as this model and context have it", s->name,
                           sizeof magic + 4 * i, field_names[i], found[i], expected[i]);
    if (s->header.fingerprint != own.fingerprint)
        return xn_fail(err, XN_ERR_UNSUPPORTED,
                       "%s: offset %zu: fingerprint: found %016llx, expected %016llx: saved with another model",
                       s->name, sizeof magic + offsetof(struct header, fingerprint),
                       (unsigned long long)s->header.fingerprint, (unsigned long long)own.fingerprint);
    return XN_OK;
}

static int check_sizes(const struct xn_context *c, const struct saved *s, struct xn_error *err) {
    const struct header *h = &s->header;
    uint64_t total;
    if (h->length > c->max_pages * (uint64_t)XN_PAGE_SIZE || xn_pages_for(h->length) > c->n_free)
        return xn_fail(err, XN_ERR_LIMIT,
                       "%s: offset %zu: length: found %u positions, the context has room for %u more", s->name,
                       sizeof magic + offsetof(struct header, length), h->length, c->n_free * XN_PAGE_SIZE);
    if (h->checkpoints > h->length || (h->checkpoints && c->model->plan.n_states == 0))
        return xn_fail(err, XN_ERR_FORMAT, "%s: offset %zu: checkpoints: found %u in %u positions", s->name,
                       sizeof magic + offsetof(struct header, checkpoints), h->checkpoints, h->length);
    bool follows = c->model->plan.n_following_ropes && h->length;
    if (follows ? h->rope_length < h->length : h->rope_length != 0)
        return xn_fail(err, XN_ERR_FORMAT, "%s: offset %zu: rope_length: found %u for %u positions", s->name,
                       sizeof magic + offsetof(struct header, rope_length), h->rope_length, h->length);
    if (total_bytes(c, h->length, h->checkpoints, &total) || h->total != total || s->size != total)
        return xn_fail(err, XN_ERR_FORMAT,
                       "%s: offset %zu: bytes: found %llu in a file of %zu, expected %llu of %u positions", s->name,
                       sizeof magic + offsetof(struct header, total), (unsigned long long)h->total, s->size,
                       (unsigned long long)total, h->length);
    uint64_t checksum, computed = mix_bytes(0, s->data, s->size - 8);
    memcpy(&checksum, s->data + s->size - 8, 8);
    if (checksum != computed)
        return xn_fail(err, XN_ERR_FORMAT,
                       "%s: offset %zu: checksum: found %016llx, expected %016llx: the file is damaged", s->name,
                       s->size - 8, (unsigned long long)checksum, (unsigned long long)computed);
    return XN_OK;
}

// A checksum can be computed by anyone: what it covers is checked as well.
static int check_contents(const struct xn_context *c, struct saved *s, struct xn_error *err) {
    const struct header *h = &s->header;
    uint32_t last = 0;
    s->at = sizeof magic + sizeof *h;
    for (uint32_t i = 0; i < h->length; i++) {
        uint32_t token;
        memcpy(&token, s->data + s->at + 4 * (size_t)i, 4);
        if (token >= c->model->plan.vocab)
            return xn_fail(err, XN_ERR_FORMAT, "%s: offset %zu: token %u: found %u, expected less than %u", s->name,
                           s->at + 4 * (size_t)i, i, token, c->model->plan.vocab);
    }
    size_t at = s->at + padded(4 * (size_t)h->length);
    for (uint32_t i = 0; i < h->checkpoints; i++) {
        uint32_t position;
        memcpy(&position, s->data + at + 4 * (size_t)i, 4);
        if (position <= last || position > h->length)
            return xn_fail(err, XN_ERR_FORMAT, "%s: offset %zu: checkpoint %u: found position %u, expected %u to %u",
                           s->name, at + 4 * (size_t)i, i, position, last + 1, h->length);
        last = position;
    }
    return XN_OK;
}

// The checkpoints that the context has room for: the last ones. The states of each pass through the sequence's slot.
static int take_states(struct xn_context *c, uint32_t id, struct saved *saved, const uint32_t *positions,
                       struct xn_error *err) {
    uint32_t n = saved->header.checkpoints, room = (uint32_t)c->options.checkpoints;
    for (uint32_t i = 0; i <= n && c->model->plan.n_states; i++) {
        const float *states = next_piece(saved, state_bytes(c));
        if (i < n && i + room < n) continue;
        XN_TRY(xn_context_device(c)->write_state(c->executor, id, states, err));
        if (i < n) XN_TRY(xn_checkpoint_add(c, id, positions[i], err));
    }
    return XN_OK;
}

static int take_all(struct xn_context *c, uint32_t id, struct saved *saved, struct xn_error *err) {
    struct xn_sequence *s = &c->sequences[id];
    uint32_t length = saved->header.length;
    XN_TRY(xn_sequence_reserve(s, length, err));
    const int32_t *tokens = next_piece(saved, length * sizeof *tokens);
    const uint32_t *positions = next_piece(saved, saved->header.checkpoints * sizeof *positions);
    if (length) memcpy(s->tokens, tokens, length * sizeof *tokens);
    s->rope_length = saved->header.rope_length;
    s->length = s->last_rows = length; // so that the next step makes a checkpoint of it
    for (uint32_t first = 0, n; first < length; first += n) {
        const void *page = next_piece(saved, page_bytes(c, first, length, &n));
        s->pages[s->n_pages++] = xn_take_page(c);
        XN_TRY(xn_context_device(c)->write_page(c->executor, (uint32_t)s->pages[s->n_pages - 1], n, page, err));
    }
    return take_states(c, id, saved, positions, err);
}

int xn_sequence_restore(struct xn_context *c, const void *data, size_t size, const char *name, uint32_t *sequence,
                        struct xn_error *err) {
    struct saved saved = {.name = name, .data = data, .size = size};
    uint32_t id;
    if ((uintptr_t)data % 8)
        return xn_fail(err, XN_ERR_ARGUMENT, "%s: its bytes do not begin at a multiple of 8", name);
    XN_TRY(check_header(c, &saved, err));
    XN_TRY(check_sizes(c, &saved, err));
    XN_TRY(check_contents(c, &saved, err));
    XN_TRY(xn_sequence_new(c, &id, err));
    int status = take_all(c, id, &saved, err);
    if (status == XN_OK)
        *sequence = id;
    else
        xn_sequence_free(c, id);
    return status;
}

int xn_sequence_restore_file(struct xn_context *c, const char *path, uint32_t *sequence, struct xn_error *err) {
    struct xn_map map;
    XN_TRY(xn_map_open(path, &map, err));
    int status = xn_sequence_restore(c, map.data, map.size, path, sequence, err);
    xn_map_close(&map);
    return status;
}
