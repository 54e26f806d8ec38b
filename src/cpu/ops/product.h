// Products of weights with rows of activations: the inputs in the shapes that the kernels want, and blocks of results.
//
// With few rows (how few, crossover.h measures) the weights stream by: each is read once and decoded in registers,
// against integers or floats. More rows lie side by side in panels (cpu/panels.h); a block of weights is decoded to the
// panels' form, and multiplied with all of them.
#pragma once

#include "cpu/executor.h"

struct xn_cpu_operand {
    uint32_t n, k;        // rows, and values of each
    const uint32_t *list; // row i is row list[i] of values and integers; NULL: row i
    const float *values;  // row i begins at i * ld
    size_t ld;
    bool integers;                    // e->integers holds them as well
    const float *rounded;             // where asked for: the values rounded to bfloat16, k apart
    bool exact;                       // neither integers nor halves will do
    bool tiled;                       // else weights stream by
    const void *panel[XN_TILE_KINDS]; // where tiled, of the forms that were asked for
};

// The forms of its input that an operation's matrices want.
struct xn_cpu_needs {
    uint32_t stream; // the most rows that stream by: what the most impatient of the matrices wants
    bool integers, rounded;
    bool tile[XN_TILE_KINDS];
};

// Rows that an operation reads: n of `source` (ld apart), of them list[i] where list is not NULL.
struct xn_cpu_source {
    const float *rows;
    size_t ld;
    uint32_t n, k;
    const uint32_t *list;
};

// Whether products of these weights leave activations unrounded: where the operation asks for it, and where weights are
// unquantized, unless the user allowed it and the model is not sensitive.
static inline bool xn_cpu_is_exact(const struct xn_cpu_kernels *kernels, const struct xn_plan *plan,
                                   const struct xn_weights *w, bool exact) {
    return exact || (!kernels->dot[w->kernel_type] && (plan->sensitive || !kernels->rounds));
}
// How products of these weights with many rows are computed.
static inline enum xn_cpu_tile xn_cpu_tile_of(const struct xn_cpu_kernels *kernels, const struct xn_plan *plan,
                                              const struct xn_weights *w, bool exact) {
    enum xn_cpu_tile tile = (enum xn_cpu_tile)kernels->type[w->kernel_type].tile;
    if (!xn_cpu_is_exact(kernels, plan, w, exact)) return tile;
    return tile == XN_TILE_BF16 && kernels->split16 && !kernels->dot[w->kernel_type] ? XN_TILE_SPLIT : XN_TILE_FLOAT;
}
// Whether products of these weights with a few rows take activations rounded as those with many do.
static inline bool xn_cpu_rounds(const struct xn_cpu_kernels *kernels, const struct xn_plan *plan,
                                 const struct xn_weights *w, bool exact) {
    return !kernels->dot[w->kernel_type] && xn_cpu_tile_of(kernels, plan, w, exact) == XN_TILE_BF16;
}

// All that an operation's products want; of the experts', too.
void xn_cpu_op_needs(const struct xn_cpu_kernels *kernels, const struct xn_plan *plan, const struct xn_op *op,
                     struct xn_cpu_needs *needs);

// Whether an operation (`gate`) leaves its result in panels of *tile for the product behind it when rows are many.
bool xn_cpu_hands_over(const struct xn_cpu_kernels *kernels, const struct xn_plan *plan, uint32_t op,
                       enum xn_cpu_tile *tile);

// Norms the rows (into e->values; without a norm they stay where they are) and brings them into shape. Called by all
// threads; ends with a barrier where anything was written.
void xn_cpu_operand_prepare(struct xn_executor *e, uint32_t thread, const struct xn_cpu_source *source,
                            const struct xn_norm *norm, const struct xn_cpu_needs *needs, struct xn_cpu_operand *out);

// out = glu(gate, up), or glu(up) where gate is NULL; n values; gate and up are scratch afterwards, out may be either.
void xn_cpu_glu(const struct xn_executor *e, const struct xn_glu *glu, float *gate, float *up, float *out, uint32_t n);

// Adds `width` values of each row of the batch, rows of `from` ld apart, as the sum says. A thread's share of the rows.
void xn_cpu_add_rows(struct xn_executor *e, uint32_t thread, const struct xn_sum *sum, const float *from, size_t ld,
                     uint32_t width);

// y = a * x, whatever y was.
static inline void xn_cpu_place(float *y, const float *x, float a, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        y[i] = a * x[i];
}

// Rows [16 group, 16 group + 16) of n rows of k values (list as above) into the panels that begin at `panels`.
void xn_cpu_panel_fill(const struct xn_executor *e, enum xn_cpu_tile tile, const float *values, size_t ld,
                       const uint32_t *list, uint32_t n, uint32_t k, uint32_t group, void *panels);

// Rows of weights in a block of work.
uint32_t xn_cpu_block_rows(const struct xn_executor *e, const struct xn_cpu_operand *x, const struct xn_weights *w);

// out[i * XN_CPU_BLOCK + r] = row (first + r) of matrix `index` times row i of x, r < count <= XN_CPU_BLOCK.
void xn_cpu_product(const struct xn_executor *e, struct xn_cpu_thread *t, const struct xn_cpu_operand *x,
                    const struct xn_weights *w, uint32_t index, uint32_t first, uint32_t count, float *out);

// A panel's results of one product or two, from tiles: [rows of both][XN_CPU_PANEL]; those of the second matrix begin
// behind `count` rounded up to whole tiles. They may be written over. Columns of rows of x that are not there hold
// anything.
typedef void xn_cpu_panel_fn(void *context, uint32_t panel, float *results);

// Whether xn_cpu_product_pair takes these weights (second may be NULL) with x.
bool xn_cpu_is_paired(const struct xn_executor *e, const struct xn_cpu_operand *x, const struct xn_weights *first,
                      const struct xn_weights *second);

// Rows [first, first + count) of matrix `index` of both weights (the second may be NULL) times all rows of x; count <=
// XN_CPU_BLOCK / 2. Calls `done` for each panel of x, as soon as its results are complete.
void xn_cpu_product_pair(const struct xn_executor *e, struct xn_cpu_thread *t, const struct xn_cpu_operand *x,
                         const struct xn_weights *const w[2], uint32_t index, uint32_t first, uint32_t count,
                         xn_cpu_panel_fn *done, void *context);
