// The memory of an executor that lives in host memory: shared by the reference and the processor, so that a processor
// without a fast kernel for an operation can run the plain-C one on the same data.
#pragma once

#include "device/device.h"

// Keys and values of one cache layer: element of page p, kv head g, slot i, value d at ((p * kv_heads + g) * page_size
// + i) * size + d, in the executor's cache type.
struct xn_host_cache {
    void *keys, *values; // values NULL where the layer has none
};

struct xn_host_memory {
    const struct xn_plan *plan;
    struct xn_limits limits;     // cache_type resolved
    float *buffer[XN_BUFFERS];   // limits.rows x plan->width[b]; XN_ALIGN-aligned; NULL where the width is 0
    int32_t *expert_ids;         // limits.rows x route_width
    float *expert_weights;       // likewise
    struct xn_host_cache *cache; // [plan->n_cache]
    float **states;              // [plan->n_states]: slots x (conv_size + recurrent_size)
    float *logits;               // limits.outputs x vocab
};

int xn_host_memory_init(struct xn_host_memory *memory, const struct xn_plan *plan, const struct xn_limits *limits,
                        struct xn_error *err); // on failure *memory is empty
void xn_host_memory_free(struct xn_host_memory *memory);
void xn_host_memory_size(const struct xn_plan *plan, const struct xn_limits *limits, uint64_t *cache_bytes,
                         uint64_t *activation_bytes);
// Checks a batch against the limits and the vocabulary: an error names the first row or span that does not fit.
int xn_host_check_batch(const struct xn_host_memory *memory, const struct xn_batch *batch, struct xn_error *err);
void xn_host_copy_page(struct xn_host_memory *memory, uint32_t from, uint32_t to);
void xn_host_copy_state(struct xn_host_memory *memory, uint32_t from, uint32_t to);
void xn_host_clear_state(struct xn_host_memory *memory, uint32_t slot);
// As the functions of device.h; numbers that do not exist are an error.
int xn_host_read_page(const struct xn_host_memory *memory, uint32_t page, uint32_t n, void *out, struct xn_error *err);
int xn_host_write_page(struct xn_host_memory *memory, uint32_t page, uint32_t n, const void *in, struct xn_error *err);
int xn_host_read_state(const struct xn_host_memory *memory, uint32_t slot, float *out, struct xn_error *err);
int xn_host_write_state(struct xn_host_memory *memory, uint32_t slot, const float *in, struct xn_error *err);

int xn_host_read_rows(const struct xn_host_memory *memory, int rows, uint32_t n, void *out, struct xn_error *err);
int xn_host_write_rows(const struct xn_host_memory *memory, int rows, uint32_t n, const void *in, struct xn_error *err);
// Checks operations [first, first + n) of a part, and that there is a batch.
int xn_host_check_part(const struct xn_plan *plan, const struct xn_batch *batch, uint32_t first, uint32_t n,
                       struct xn_error *err);
// Values of a row of a kind (XN_ROWS_...); 0: the plan has no such rows.
uint32_t xn_rows_width(const struct xn_plan *plan, int rows);
// Bytes of n positions of a layer's cache, in the type of the cache.
size_t xn_cache_layer_bytes(const struct xn_cache_layer *layer, uint32_t cache_type, uint32_t n);
// Bytes of RAM that this process may still take, as far as the system says; 0: it does not.
uint64_t xn_host_free_memory(void);

static inline float *xn_host_row(const struct xn_host_memory *m, enum xn_buffer b, uint32_t row) {
    return m->buffer[b] + (size_t)row * m->plan->width[b];
}
// Index of the first value (of keys: size = key_size; of values: value_size) of a position.
static inline size_t xn_host_cache_index(const struct xn_host_memory *m, uint32_t kv_heads, uint32_t size,
                                         const int32_t *pages, uint32_t head, uint32_t position) {
    uint32_t page_size = m->limits.page_size;
    size_t page = (size_t)pages[position / page_size];
    return ((page * kv_heads + head) * page_size + position % page_size) * size;
}
// A state layer's slot: conv_size floats, then recurrent_size.
static inline float *xn_host_state(const struct xn_host_memory *m, uint32_t state, uint32_t slot) {
    const struct xn_state_layer *s = &m->plan->states[state];
    return m->states[state] + (size_t)slot * ((size_t)s->conv_size + s->recurrent_size);
}

// Weights in host memory as the file has them, unless a device has laid them out otherwise (kernel_type).
struct xn_weights {
    struct xn_matrix matrix;
    const struct xn_format *format;
    size_t row_bytes;
    void *owned;          // the matrix put in order, where the file has another one; NULL: its data are the file's
    uint32_t kernel_type; // by which a device finds its kernels: matrix.type, or a device's own name for another layout
};
// Checks a matrix (known format that decodes, whole blocks) and fills *weights, in order.
int xn_host_weights(const struct xn_matrix *matrix, struct xn_weights *weights, struct xn_error *err);
// Fills *weights with what is known before the matrix is put in order: enough to tell sizes by. The data may not be
// read. Errors as above.
int xn_host_describe_weights(const struct xn_matrix *matrix, struct xn_weights *weights, struct xn_error *err);
void xn_host_weights_free(struct xn_weights *weights); // what *weights owns, not itself
// Pointer to a row of one of the matrices.
static inline const void *xn_weights_row(const struct xn_weights *w, uint32_t index, uint32_t row) {
    return (const char *)w->matrix.data[index] + (size_t)row * w->row_bytes;
}
