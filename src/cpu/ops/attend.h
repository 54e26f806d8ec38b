// What the ways of computing attention share: which queries make a piece of work, rows of the cache as floats, and the
// last step of a query.
#pragma once

#include "cpu/executor.h"

// Queries of rows [row, row + rows) of a span, all heads of a kv head: query i * group + j is head j of row i.
struct xn_cpu_queries {
    const struct xn_span *span;
    uint32_t head, row, rows;
    uint32_t begin, end; // positions
};

static inline uint32_t xn_cpu_group_of(const struct xn_op_attend *a) {
    return a->heads / a->kv_heads;
}
static inline uint32_t xn_cpu_position_of(const struct xn_cpu_queries *t, uint32_t row) {
    return t->span->past + (t->row - t->span->first_row) + row;
}
// The first position that a query at `position` sees.
static inline uint32_t xn_cpu_first_of(const struct xn_op_attend *a, uint32_t position) {
    return a->window && position + 1 > a->window ? position + 1 - a->window : 0;
}

// The next memory of a scratch.
static inline float *xn_cpu_take(float **p, size_t n) {
    float *taken = *p;
    *p += (n + XN_CPU_PAD - 1) / XN_CPU_PAD * XN_CPU_PAD;
    return taken;
}

// Positions [from, from + n) of a kv head's keys or values as float32 rows, ld apart.
void xn_cpu_gather(const struct xn_executor *e, const struct xn_op_attend *a, const struct xn_span *span,
                   const void *cache, uint32_t size, uint32_t head, uint32_t from, uint32_t n, float *out, size_t ld);

// The last step of a query: sink, division, gate, store.
void xn_cpu_finish_query(const struct xn_executor *e, const struct xn_op_attend *a, uint32_t row, uint32_t head,
                         const float *o, float max, float sum);

// Many queries at once, on tiles of bfloat16 (attend_tiles.c).
//
// How many rows of a batch a piece of a span takes; 0: the span is none of theirs.
uint32_t xn_cpu_attend_tiles_rows(const struct xn_cpu_kernels *kernels, const struct xn_op_attend *a,
                                  uint32_t span_rows);
// Floats of scratch.
size_t xn_cpu_attend_tiles_work(const struct xn_cpu_kernels *kernels, const struct xn_op_attend *a);
// Attends all positions of the piece and finishes its queries.
void xn_cpu_attend_tiles(const struct xn_executor *e, const struct xn_op_attend *a, const struct xn_cpu_queries *t,
                         float *work);
