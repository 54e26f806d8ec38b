// What the files that list a synthetic model's tensors share.
#pragma once

#include "model/synth.h"

struct xn_synth_list {
    const struct xn_shape *shape;
    const struct xn_preset *preset;
    uint32_t layers;
    uint32_t layer;                      // of those being added
    uint32_t values_seen, values_of_all; // llama.cpp counts matrices of values rather than layers,
    uint32_t downs_seen;                 // and matrices down where there are no experts
    struct xn_synth_tensor *items;
    size_t n, capacity;
    bool failed;
};

// A tensor of the layer, or of the model (`name` is whole): dims row, rows (0: a vector of `row` values) and count.
// NULL: no memory, and the list has failed.
struct xn_synth_tensor *xn_synth_add(struct xn_synth_list *l, const char *name, enum xn_role role,
                                     enum xn_synth_fill fill, uint64_t row, uint64_t rows, uint64_t count);
// blk.LAYER.PART.weight
void xn_synth_matrix(struct xn_synth_list *l, const char *part, enum xn_role role, uint64_t row, uint64_t rows);
void xn_synth_stack(struct xn_synth_list *l, const char *part, enum xn_role role, uint64_t row, uint64_t rows,
                    uint64_t count);
// The same, of a product that feeds the residual stream and has no role of its own.
void xn_synth_out(struct xn_synth_list *l, const char *part, uint64_t row, uint64_t rows);
// blk.LAYER.PART: `size` values in float32
void xn_synth_vector(struct xn_synth_list *l, const char *part, enum xn_synth_fill fill, uint64_t size);
// blk.LAYER.PART: float32 in rows
void xn_synth_table(struct xn_synth_list *l, const char *part, enum xn_synth_fill fill, uint64_t row, uint64_t rows);

void xn_synth_mixer(struct xn_synth_list *l);        // of the layer, synth_mixers.c
void xn_synth_feed_forward(struct xn_synth_list *l); // of the layer, synth_feed_forward.c
