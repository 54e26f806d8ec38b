// Weights in large pages. A mapped file comes in pages of 4 KiB, and streaming through them spends a third of the time
// in looking pages up; so matrices are copied once, by all threads, into memory that the system backs with large pages.
// The values and their layout stay the file's. What does not fit the memory there is stays mapped.
#pragma once

#include "base/thread_pool.h"
#include "model/recipe.h"

struct xn_cpu_store;
struct xn_cpu_store *xn_cpu_store_new(void);        // NULL without memory: then everything stays mapped
void xn_cpu_store_free(struct xn_cpu_store *store); // accepts NULL

// Copies the matrices of a stack (`matrix->count` of `bytes` each): an array of as many pointers, until
// xn_cpu_store_leave. NULL: there is no room, and they stay where they are.
const void *const *xn_cpu_store_take(struct xn_cpu_store *store, struct xn_pool *pool, const struct xn_matrix *matrix,
                                     size_t bytes);
void xn_cpu_store_leave(struct xn_cpu_store *store, const void *const *copies); // accepts NULL
