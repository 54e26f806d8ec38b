// Weights in large pages. A mapped file comes in pages of 4 KiB, and streaming through them spends a third of the time
// in looking pages up; so matrices are copied once, by all threads, into memory that the system backs with large pages.
// Their layout stays the file's, or becomes another of about the same size on the way. What does not fit the memory
// there is stays mapped.
#pragma once

#include "base/thread_pool.h"
#include "cpu/kernels.h"
#include "model/recipe.h"

struct xn_cpu_store;
// Rows that are laid out otherwise as they are copied.
struct xn_cpu_relay {
    xn_cpu_lay_fn *lay;
    uint32_t rows, k;        // of each matrix, and values of a row
    size_t from_row, to_row; // bytes of a row
};
struct xn_cpu_store *xn_cpu_store_new(void);        // NULL without memory: then everything stays mapped
void xn_cpu_store_free(struct xn_cpu_store *store); // accepts NULL

// Copies the matrices of a stack (`matrix->count`, whose copies have `bytes` each): an array of as many pointers, until
// xn_cpu_store_leave. Row by row where `relay` is not NULL: then `bytes` are of its rows. NULL: there is no room, and
// they stay where they are.
const void *const *xn_cpu_store_take(struct xn_cpu_store *store, struct xn_pool *pool, const struct xn_matrix *matrix,
                                     size_t bytes, const struct xn_cpu_relay *relay);
void xn_cpu_store_leave(struct xn_cpu_store *store, const void *const *copies); // accepts NULL
