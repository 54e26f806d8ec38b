// What descriptors are made of, for the files that lower operations: places of vectors, weights, buffers and memory.
#pragma once

#include "opencl/lowering.h"

#include "model/rope.h"

#include <string.h>

// n floats, copied among the vectors, where four of them are aligned; NONE for NULL.
static inline uint32_t vector(struct xn_cl_lowering *l, const float *values, uint64_t n) {
    struct xn_cl_lowered *o = l->out;
    size_t at = (o->n_vec + 3) / 4 * 4;
    if (!values) return XN_CL_NONE;
    if (at > UINT32_MAX - 4 || n > UINT32_MAX - 4 - at || XN_GROW(o->vec, o->vec_capacity, at + n) != 0) {
        l->no_memory = true;
        return XN_CL_NONE;
    }
    memset(o->vec + o->n_vec, 0, (at - o->n_vec) * sizeof *o->vec);
    memcpy(o->vec + at, values, n * sizeof *values);
    o->n_vec = at + n;
    return (uint32_t)at;
}

static inline uint32_t places(struct xn_cl_lowering *l, const struct xn_cl_array *array) {
    struct xn_cl_lowered *o = l->out;
    if (XN_GROW(o->places, o->places_capacity, o->n_places + array->n_pieces) != 0) {
        l->no_memory = true;
        return 0;
    }
    for (uint32_t i = 0; i < array->n_pieces; i++)
        o->places[o->n_places + i] = array->places[i];
    o->n_places += array->n_pieces;
    return (uint32_t)(o->n_places - array->n_pieces);
}

static inline struct xn_cl_weights weights(struct xn_cl_lowering *l, const struct xn_weights *w) {
    const struct xn_cl_packed *p = (const struct xn_cl_packed *)w;
    if (!w) return (struct xn_cl_weights){0};
    l->formats |= (uint64_t)1 << p->type;
    struct xn_cl_weights out = {
        .type = p->type,
        .rows = w->matrix.rows,
        .all_rows = p->array.units,
        .units = p->row.units,
        .place = places(l, &p->array),
        .first = p->array.n_pieces ? p->array.places[0] : (struct xn_cl_place){0},
        .piece = p->array.piece,
    };
    for (uint32_t i = 0; i < p->row.n_planes; i++)
        out.plane[i] = p->row.plane[i];
    return out;
}

static inline struct xn_cl_norm norm(struct xn_cl_lowering *l, const struct xn_norm *n, uint64_t size) {
    if (n->kind == XN_NORM_NONE) return (struct xn_cl_norm){.weight = XN_CL_NONE, .bias = XN_CL_NONE};
    return (struct xn_cl_norm){
        .kind = n->kind, .epsilon = n->epsilon, .weight = vector(l, n->weight, size), .bias = vector(l, n->bias, size)};
}

static inline uint32_t buffer(const struct xn_cl_lowering *l, enum xn_buffer b) {
    return (uint32_t)l->out->map.buffer[b];
}
static inline uint32_t stride(const struct xn_cl_lowering *l, enum xn_buffer b) {
    return l->plan->width[b];
}
static inline uint32_t scratch(const struct xn_cl_lowering *l) {
    return (uint32_t)l->out->map.scratch;
}

static inline struct xn_cl_input input(struct xn_cl_lowering *l, enum xn_buffer b, uint32_t k,
                                       const struct xn_norm *n) {
    static const struct xn_norm none = {.kind = XN_NORM_NONE};
    return (struct xn_cl_input){.at = buffer(l, b), .stride = stride(l, b), .k = k, .norm = norm(l, n ? n : &none, k)};
}

static inline struct xn_cl_sum sum(struct xn_cl_lowering *l, const struct xn_sum *s, uint32_t n) {
    return (struct xn_cl_sum){.to = buffer(l, s->to),
                              .stride = stride(l, s->to),
                              .set = s->set,
                              .scale = s->scale,
                              .after = s->after,
                              .norm = norm(l, &s->norm, n)};
}

static inline struct xn_cl_glu glu(const struct xn_glu *g) {
    return (struct xn_cl_glu){g->activation, g->gate_scale, g->limit, g->up_offset};
}

// Which of the step's tables a rope takes that no constant frequencies serve.
static inline uint32_t dynamic(struct xn_cl_lowering *l, const struct xn_rope *rope) {
    struct xn_cl_lowered *o = l->out;
    for (size_t i = 0; i < o->n_dynamic; i++)
        if (xn_rope_same(o->dynamic[i], rope)) return (uint32_t)i;
    if (XN_GROW(o->dynamic, o->dynamic_capacity, o->n_dynamic + 1) != 0) {
        l->no_memory = true;
        return 0;
    }
    if (rope->dims / 2 > o->longest_dynamic) o->longest_dynamic = rope->dims / 2;
    o->dynamic[o->n_dynamic] = rope;
    return (uint32_t)o->n_dynamic++;
}

// Which of the step's rotations are a rope's.
static inline uint32_t turn(struct xn_cl_lowering *l, const struct xn_rope *rope) {
    struct xn_cl_lowered *o = l->out;
    for (size_t i = 0; i < o->n_turns; i++)
        if (xn_rope_same(o->turns[i], rope)) return (uint32_t)i;
    if (XN_GROW(o->turns, o->turns_capacity, o->n_turns + 1) != 0) {
        l->no_memory = true;
        return 0;
    }
    if (rope->dims / 2 > o->longest_turn) o->longest_turn = rope->dims / 2;
    o->turns[o->n_turns] = rope;
    return (uint32_t)o->n_turns++;
}

static inline struct xn_cl_rope rope(struct xn_cl_lowering *l, const struct xn_rope *r) {
    struct xn_cl_rope out = {.kind = r->kind,
                             .dims = r->kind == XN_ROPE_NONE ? 0 : r->dims,
                             .frequency = XN_CL_NONE,
                             .long_frequency = XN_CL_NONE,
                             .dynamic = XN_CL_NONE,
                             .original = r->original,
                             .magnitude = r->magnitude,
                             .query_beta = r->query_beta,
                             .query_period = r->query_period};
    if (r->kind == XN_ROPE_NONE) return out;
    out.turn = turn(l, r);
    out.frequency = vector(l, r->frequency, r->dims / 2);
    if (r->original && r->long_frequency)
        out.long_frequency = vector(l, r->long_frequency, r->dims / 2);
    else if (r->original)
        out.dynamic = dynamic(l, r);
    return out;
}

static inline struct xn_cl_cache cached(struct xn_cl_lowering *l, uint32_t layer, bool keys) {
    const struct xn_cache_layer *c = &l->plan->cache[layer];
    const struct xn_cl_array *array = &l->cache[2 * layer + !keys];
    return (struct xn_cl_cache){.place = places(l, array),
                                .piece = array->piece,
                                .page_bytes = (uint32_t)array->unit_bytes,
                                .first = array->n_pieces ? array->places[0] : (struct xn_cl_place){0},
                                .size = keys ? c->key_size : c->value_size};
}

static inline struct xn_cl_states states(struct xn_cl_lowering *l, uint32_t layer) {
    const struct xn_state_layer *s = &l->plan->states[layer];
    return (struct xn_cl_states){.place = places(l, &l->states[layer]),
                                 .piece = l->states[layer].piece,
                                 .slot_floats = s->conv_size + s->recurrent_size,
                                 .conv_floats = s->conv_size,
                                 .first =
                                     l->states[layer].n_pieces ? l->states[layer].places[0] : (struct xn_cl_place){0}};
}
