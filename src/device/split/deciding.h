// A plan as place.c deals it out.
#pragma once

#include "device/split/internal.h"

// A plan in units: what comes before the layers, the layers, and the head.
struct deciding {
    const struct xn_split_device *d;
    const struct xn_plan *plan;
    uint32_t layers, expert_layers, n_units; // layers + 2
    struct xn_effects *effects;              // of each operation
    uint32_t *unit, *expert_layer;           // of each operation; expert_layer: UINT32_MAX where it has no experts
    const struct xn_weights **weights;       // the different ones
    uint32_t n_weights;
    uint32_t (*weights_of)[XN_MAX_WEIGHTS]; // of each operation: indices
    uint64_t *weight_bytes;                 // [n_weights x members]
    uint64_t *cache_bytes, *state_bytes;    // [n_cache x members], [n_states x members]
    uint64_t activations[XN_SPLIT_MEMBERS];
    uint8_t *member;  // of each operation: the way at hand
    uint8_t *of_unit; // of each unit
    uint32_t *seen;   // [n_weights]: bit m: counted on member m
    struct xn_arena arena;
};

// Looks at a plan whose weights are told of or packed. Free w->arena.
int xn_split_look(struct deciding *w, const struct xn_split_device *device, const struct xn_plan *plan,
                  const struct xn_limits *limits, struct xn_error *err);
