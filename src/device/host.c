#include "device/host.h"

#include "base/memory.h"
#include "device/cache.h"
#include "model/matrix.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *xn_op_name(enum xn_op_kind kind) {
    static const char *const names[XN_OP_KINDS] = {
        [XN_OP_EMBED] = "embed",
        [XN_OP_PROJECT] = "project",
        [XN_OP_ATTEND] = "attend",
        [XN_OP_DELTA_NET] = "delta_net",
        [XN_OP_STATE_SPACE] = "state_space",
        [XN_OP_SHORT_CONV] = "short_conv",
        [XN_OP_HEADS] = "heads",
        [XN_OP_ADD] = "add",
        [XN_OP_PROJECT_ADD] = "project_add",
        [XN_OP_GATE] = "gate",
        [XN_OP_ROUTE] = "route",
        [XN_OP_EXPERT_GATE] = "expert_gate",
        [XN_OP_EXPERT_ADD] = "expert_add",
        [XN_OP_HEAD] = "head",
    };
    return (unsigned)kind < XN_OP_KINDS ? names[kind] : "?";
}

// Bytes of the vector of a head at a position, of `size` values.
static size_t vector_bytes(const struct xn_limits *limits, uint32_t size) {
    return xn_cache_bytes(limits->cache_type, size);
}

static size_t positions(const struct xn_limits *limits) {
    return (size_t)limits->pages * limits->page_size;
}

// The product of the sizes below fits a size_t: each factor is a uint32_t, and the allocators check what is multiplied
// last.
int xn_host_memory_init(struct xn_host_memory *memory, const struct xn_plan *plan, const struct xn_limits *limits,
                        struct xn_error *err) {
    *memory = (struct xn_host_memory){.plan = plan, .limits = *limits};
    uint64_t cache_bytes, activation_bytes;
    xn_host_memory_size(plan, limits, &cache_bytes, &activation_bytes);
    for (int b = 0; b < XN_BUFFERS; b++)
        if (plan->width[b] && !(memory->buffer[b] = xn_alloc_aligned((size_t)limits->rows * plan->width[b], 4)))
            goto no_memory;
    if (plan->route_width) {
        memory->expert_ids = xn_alloc_aligned((size_t)limits->rows * plan->route_width, sizeof *memory->expert_ids);
        memory->expert_weights =
            xn_alloc_aligned((size_t)limits->rows * plan->route_width, sizeof *memory->expert_weights);
        if (!memory->expert_ids || !memory->expert_weights) goto no_memory;
    }
    memory->cache = xn_alloc_zero(plan->n_cache, sizeof *memory->cache);
    memory->states = xn_alloc_zero(plan->n_states, sizeof *memory->states);
    if (!memory->cache || !memory->states) goto no_memory;
    for (uint32_t i = 0; i < plan->n_cache; i++) {
        const struct xn_cache_layer *c = &plan->cache[i];
        size_t heads = positions(limits) * c->kv_heads;
        memory->cache[i].keys = xn_alloc_aligned(heads, vector_bytes(limits, c->key_size));
        if (!memory->cache[i].keys) goto no_memory;
        if (c->value_size && !(memory->cache[i].values = xn_alloc_aligned(heads, vector_bytes(limits, c->value_size))))
            goto no_memory;
    }
    for (uint32_t i = 0; i < plan->n_states; i++) {
        size_t size = (size_t)plan->states[i].conv_size + plan->states[i].recurrent_size;
        // Slots are cleared or copied into before they are read; those of checkpoints may never be used.
        if (!(memory->states[i] = xn_alloc_aligned_raw(limits->slots, size * sizeof(float)))) goto no_memory;
    }
    if (!(memory->logits = xn_alloc_aligned((size_t)limits->outputs * plan->vocab, sizeof(float)))) goto no_memory;
    return XN_OK;

no_memory:
    xn_host_memory_free(memory);
    return xn_fail(err, XN_ERR_NOMEM,
                   "no memory for a cache of %.1f MB (%u pages of %u positions, %u slots) and activations of %.1f MB",
                   (double)cache_bytes / 1e6, limits->pages, limits->page_size, limits->slots,
                   (double)activation_bytes / 1e6);
}

void xn_host_memory_free(struct xn_host_memory *memory) {
    for (int b = 0; b < XN_BUFFERS; b++)
        free(memory->buffer[b]);
    free(memory->expert_ids);
    free(memory->expert_weights);
    for (uint32_t i = 0; memory->cache && i < memory->plan->n_cache; i++) {
        free(memory->cache[i].keys);
        free(memory->cache[i].values);
    }
    for (uint32_t i = 0; memory->states && i < memory->plan->n_states; i++)
        free(memory->states[i]);
    free(memory->cache);
    free(memory->states);
    free(memory->logits);
    *memory = (struct xn_host_memory){0};
}

void xn_host_memory_size(const struct xn_plan *plan, const struct xn_limits *limits, uint64_t *cache_bytes,
                         uint64_t *activation_bytes) {
    uint64_t cache = 0, activations = 0;
    for (uint32_t i = 0; i < plan->n_cache; i++) {
        const struct xn_cache_layer *c = &plan->cache[i];
        cache += (uint64_t)positions(limits) * c->kv_heads *
                 ((uint64_t)vector_bytes(limits, c->key_size) + vector_bytes(limits, c->value_size));
    }
    for (uint32_t i = 0; i < plan->n_states; i++)
        cache += (uint64_t)limits->slots * ((uint64_t)plan->states[i].conv_size + plan->states[i].recurrent_size) * 4;
    for (int b = 0; b < XN_BUFFERS; b++)
        activations += (uint64_t)limits->rows * plan->width[b] * 4;
    activations += (uint64_t)limits->rows * plan->route_width * 8 + (uint64_t)limits->outputs * plan->vocab * 4;
    *cache_bytes = cache;
    *activation_bytes = activations;
}

static int check_span(const struct xn_host_memory *memory, const struct xn_batch *batch, uint32_t i, uint32_t row,
                      struct xn_error *err) {
    const struct xn_span *s = &batch->spans[i];
    const struct xn_limits *limits = &memory->limits;
    if (s->first_row != row || s->n_rows == 0 || s->n_rows > batch->n_rows - row)
        return xn_fail(err, XN_ERR_ARGUMENT, "batch: span %u has rows [%u, +%u), row %u of %u expected next", i,
                       s->first_row, s->n_rows, row, batch->n_rows);
    uint64_t end = (uint64_t)s->past + s->n_rows;
    if (end > positions(limits))
        return xn_fail(err, XN_ERR_LIMIT, "batch: span %u ends at position %llu, the cache has %zu", i,
                       (unsigned long long)end, positions(limits));
    if (memory->plan->n_states && s->slot >= limits->slots)
        return xn_fail(err, XN_ERR_ARGUMENT, "batch: span %u has state slot %u of %u", i, s->slot, limits->slots);
    for (uint64_t p = 0; memory->plan->n_cache && p * limits->page_size < end; p++)
        if (s->pages[p] < 0 || (uint32_t)s->pages[p] >= limits->pages)
            return xn_fail(err, XN_ERR_ARGUMENT, "batch: span %u has cache page %d of %u", i, s->pages[p],
                           limits->pages);
    for (uint32_t r = 0; r < s->n_rows; r++)
        if (batch->positions[row + r] < 0 || (uint32_t)batch->positions[row + r] != s->past + r)
            return xn_fail(err, XN_ERR_ARGUMENT, "batch: row %u is at position %d, %u expected", row + r,
                           batch->positions[row + r], s->past + r);
    return XN_OK;
}

int xn_host_check_batch(const struct xn_host_memory *memory, const struct xn_batch *batch, struct xn_error *err) {
    const struct xn_limits *limits = &memory->limits;
    if (batch->n_rows == 0 || batch->n_rows > limits->rows || batch->n_outputs > limits->outputs)
        return xn_fail(err, XN_ERR_LIMIT, "batch: %u rows and %u outputs, at least 1 and at most %u and %u expected",
                       batch->n_rows, batch->n_outputs, limits->rows, limits->outputs);
    for (uint32_t r = 0; r < batch->n_rows; r++)
        if (batch->tokens[r] < 0 || (uint32_t)batch->tokens[r] >= memory->plan->vocab)
            return xn_fail(err, XN_ERR_ARGUMENT, "batch: row %u is token %d, the vocabulary has %u", r,
                           batch->tokens[r], memory->plan->vocab);
    uint32_t row = 0;
    for (uint32_t i = 0; i < batch->n_spans; i++) {
        XN_TRY(check_span(memory, batch, i, row, err));
        row += batch->spans[i].n_rows;
    }
    if (row != batch->n_rows)
        return xn_fail(err, XN_ERR_ARGUMENT, "batch: spans cover %u rows of %u", row, batch->n_rows);
    for (uint32_t o = 0; o < batch->n_outputs; o++)
        if (batch->outputs[o] >= batch->n_rows || (o && batch->outputs[o] <= batch->outputs[o - 1]))
            return xn_fail(err, XN_ERR_ARGUMENT, "batch: output %u is row %u, ascending rows below %u expected", o,
                           batch->outputs[o], batch->n_rows);
    return XN_OK;
}

static void copy_page(const struct xn_limits *limits, char *cache, uint32_t heads, uint32_t size, uint32_t from,
                      uint32_t to) {
    size_t bytes = limits->page_size * (size_t)heads * vector_bytes(limits, size);
    if (cache) memcpy(cache + to * bytes, cache + from * bytes, bytes);
}

void xn_host_copy_page(struct xn_host_memory *memory, uint32_t from, uint32_t to) {
    for (uint32_t i = 0; i < memory->plan->n_cache; i++) {
        const struct xn_cache_layer *c = &memory->plan->cache[i];
        copy_page(&memory->limits, memory->cache[i].keys, c->kv_heads, c->key_size, from, to);
        copy_page(&memory->limits, memory->cache[i].values, c->kv_heads, c->value_size, from, to);
    }
}

void xn_host_copy_state(struct xn_host_memory *memory, uint32_t from, uint32_t to) {
    for (uint32_t i = 0; i < memory->plan->n_states; i++) {
        size_t size = (size_t)memory->plan->states[i].conv_size + memory->plan->states[i].recurrent_size;
        memcpy(xn_host_state(memory, i, to), xn_host_state(memory, i, from), size * sizeof(float));
    }
}

void xn_host_clear_state(struct xn_host_memory *memory, uint32_t slot) {
    for (uint32_t i = 0; i < memory->plan->n_states; i++) {
        size_t size = (size_t)memory->plan->states[i].conv_size + memory->plan->states[i].recurrent_size;
        memset(xn_host_state(memory, i, slot), 0, size * sizeof(float));
    }
}

// A copy of the matrix with its rows in order.
static int put_in_order(const struct xn_matrix *matrix, struct xn_weights *w, struct xn_error *err) {
    size_t bytes, total;
    const void **data = NULL;
    if (xn_mul_overflow(w->row_bytes, matrix->rows, &bytes) || xn_mul_overflow(bytes, matrix->count, &total) ||
        xn_add_overflow(total, (size_t)matrix->count * sizeof *data, &total) ||
        !(w->owned = xn_alloc_aligned(total, 1)))
        return xn_fail(err, XN_ERR_NOMEM, "%s: no memory for %u matrices of %u x %u in order", matrix->name,
                       matrix->count, matrix->rows, matrix->cols);
    data = (const void **)w->owned;
    char *ordered = (char *)(data + matrix->count);
    for (uint32_t i = 0; i < matrix->count; i++, ordered += bytes) {
        data[i] = ordered;
        XN_TRY(xn_matrix_order(matrix, i, ordered, err));
    }
    w->matrix.type = xn_matrix_ordered_type(matrix);
    w->matrix.data = data;
    w->matrix.layout = XN_LAYOUT_ROWS;
    w->matrix.gather = NULL;
    w->matrix.stored_rows = 0;
    w->matrix.scales = NULL;
    return XN_OK;
}

// A number behind `key` in a file of lines; 0: none.
static uint64_t read_number(const char *path, const char *key) {
    FILE *file = fopen(path, "r");
    char line[256];
    unsigned long long number = 0;
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0 && sscanf(line + strlen(key), " %llu", &number) == 1) break;
    if (file) fclose(file);
    return number;
}

uint64_t xn_host_free_memory(void) {
    uint64_t available = read_number("/proc/meminfo", "MemAvailable:") * 1024;
    uint64_t group = read_number("/sys/fs/cgroup/memory.max", "");
    return group && group < available ? group : available;
}

static int check_page(const struct xn_host_memory *memory, uint32_t page, uint32_t n, struct xn_error *err) {
    const struct xn_limits *limits = &memory->limits;
    if (page < limits->pages && n <= limits->page_size) return XN_OK;
    return xn_fail(err, XN_ERR_ARGUMENT, "cache page %u, %u positions of it: there are %u of %u", page, n,
                   limits->pages, limits->page_size);
}

// Copies the first n positions of each head in a page of keys or values: out of it, or into it.
static char *move_heads(const struct xn_host_memory *memory, char *cache, uint32_t page, uint32_t n, uint32_t heads,
                        uint32_t size, char *outside, bool out) {
    size_t position = vector_bytes(&memory->limits, size), moved = n * position;
    for (uint32_t h = 0; h < heads && moved > 0; h++, outside += moved) {
        char *inside = cache + ((size_t)page * heads + h) * memory->limits.page_size * position;
        memcpy(out ? outside : inside, out ? inside : outside, moved);
    }
    return outside;
}

static void move_page(const struct xn_host_memory *memory, uint32_t page, uint32_t n, char *outside, bool out) {
    for (uint32_t i = 0; i < memory->plan->n_cache; i++) {
        const struct xn_cache_layer *c = &memory->plan->cache[i];
        outside = move_heads(memory, memory->cache[i].keys, page, n, c->kv_heads, c->key_size, outside, out);
        outside = move_heads(memory, memory->cache[i].values, page, n, c->kv_heads, c->value_size, outside, out);
    }
}

int xn_host_read_page(const struct xn_host_memory *memory, uint32_t page, uint32_t n, void *out, struct xn_error *err) {
    XN_TRY(check_page(memory, page, n, err));
    move_page(memory, page, n, out, true);
    return XN_OK;
}

int xn_host_write_page(struct xn_host_memory *memory, uint32_t page, uint32_t n, const void *in, struct xn_error *err) {
    XN_TRY(check_page(memory, page, n, err));
    move_page(memory, page, n, (char *)in, false); // which only reads there
    return XN_OK;
}

static int check_slot(const struct xn_host_memory *memory, uint32_t slot, struct xn_error *err) {
    if (slot < memory->limits.slots) return XN_OK;
    return xn_fail(err, XN_ERR_ARGUMENT, "state slot %u: there are %u", slot, memory->limits.slots);
}

int xn_host_read_state(const struct xn_host_memory *memory, uint32_t slot, float *out, struct xn_error *err) {
    XN_TRY(check_slot(memory, slot, err));
    for (uint32_t i = 0; i < memory->plan->n_states; i++) {
        size_t size = (size_t)memory->plan->states[i].conv_size + memory->plan->states[i].recurrent_size;
        memcpy(out, xn_host_state(memory, i, slot), size * sizeof *out);
        out += size;
    }
    return XN_OK;
}

int xn_host_write_state(struct xn_host_memory *memory, uint32_t slot, const float *in, struct xn_error *err) {
    XN_TRY(check_slot(memory, slot, err));
    for (uint32_t i = 0; i < memory->plan->n_states; i++) {
        size_t size = (size_t)memory->plan->states[i].conv_size + memory->plan->states[i].recurrent_size;
        memcpy(xn_host_state(memory, i, slot), in, size * sizeof *in);
        in += size;
    }
    return XN_OK;
}

uint32_t xn_rows_width(const struct xn_plan *plan, int rows) {
    if (rows >= 0 && rows < XN_BUFFERS) return plan->width[rows];
    return rows == XN_ROWS_IDS || rows == XN_ROWS_WEIGHTS ? plan->route_width : 0;
}

// Where rows of a kind begin, checked.
static int find_rows(const struct xn_host_memory *m, int rows, uint32_t n, void **at, size_t *bytes,
                     struct xn_error *err) {
    uint32_t width = xn_rows_width(m->plan, rows);
    if (width == 0 || n > m->limits.rows)
        return xn_fail(err, XN_ERR_ARGUMENT, "%u rows of kind %d: there are %u of %u values", n, rows,
                       width ? m->limits.rows : 0, width);
    *at = rows == XN_ROWS_IDS       ? (void *)m->expert_ids
          : rows == XN_ROWS_WEIGHTS ? (void *)m->expert_weights
                                    : (void *)m->buffer[rows];
    *bytes = (size_t)n * width * 4;
    return XN_OK;
}

int xn_host_read_rows(const struct xn_host_memory *memory, int rows, uint32_t n, void *out, struct xn_error *err) {
    void *at = NULL;
    size_t bytes = 0;
    XN_TRY(find_rows(memory, rows, n, &at, &bytes, err));
    if (bytes) memcpy(out, at, bytes);
    return XN_OK;
}

int xn_host_write_rows(const struct xn_host_memory *memory, int rows, uint32_t n, const void *in,
                       struct xn_error *err) {
    void *at = NULL;
    size_t bytes = 0;
    XN_TRY(find_rows(memory, rows, n, &at, &bytes, err));
    if (bytes) memcpy(at, in, bytes);
    return XN_OK;
}

int xn_host_check_part(const struct xn_plan *plan, const struct xn_batch *batch, uint32_t first, uint32_t n,
                       struct xn_error *err) {
    if (!batch) return xn_fail(err, XN_ERR_ARGUMENT, "a part of a step: it has no batch");
    if (n <= plan->n_ops && first <= plan->n_ops - n) return XN_OK;
    return xn_fail(err, XN_ERR_ARGUMENT, "a part of a step: operations %u to %u of %u", first, first + n, plan->n_ops);
}

size_t xn_cache_layer_bytes(const struct xn_cache_layer *layer, uint32_t cache_type, uint32_t n) {
    size_t each = xn_cache_bytes(cache_type, layer->key_size) + xn_cache_bytes(cache_type, layer->value_size);
    return each * n * layer->kv_heads;
}

int xn_host_describe_weights(const struct xn_matrix *matrix, struct xn_weights *weights, struct xn_error *err) {
    const struct xn_format *format = xn_format_of(xn_matrix_ordered_type(matrix));
    const char *name = matrix->name ? matrix->name : "matrix";
    if (!format || !format->decode)
        return xn_fail(err, XN_ERR_UNSUPPORTED, "%s: type %u holds no weights", name, matrix->type);
    size_t row_bytes;
    if (!xn_format_bytes(format, matrix->cols, &row_bytes))
        return xn_fail(err, XN_ERR_FORMAT, "%s: rows of %u values, a multiple of %u expected for %s", name,
                       matrix->cols, format->block_values, format->name);
    *weights = (struct xn_weights){
        .matrix = *matrix, .format = format, .row_bytes = row_bytes, .kernel_type = xn_matrix_ordered_type(matrix)};
    return XN_OK;
}

int xn_host_weights(const struct xn_matrix *matrix, struct xn_weights *weights, struct xn_error *err) {
    XN_TRY(xn_host_describe_weights(matrix, weights, err));
    if (xn_matrix_plain(matrix)) return XN_OK;
    int status = put_in_order(matrix, weights, err);
    if (status != XN_OK) xn_host_weights_free(weights);
    return status;
}

void xn_host_weights_free(struct xn_weights *weights) {
    free(weights->owned);
    weights->owned = NULL;
}
