// What automaton.c shares with mask.c: places by number.
#pragma once

#include "text/grammar/automaton.h"
#include "text/grammar/compile.h"

enum { XN_STACK_EMPTY, XN_STACK_UNKNOWN, XN_STACK_FIRST }; // numbers of stacks: no caller; a caller that isn't known
enum { XN_PLACE_DEAD = 0, XN_PLACE_NONE = -1 };            // numbers of places; NONE: not looked at yet

struct xn_item {
    uint32_t state, stack;
};
struct xn_stack {
    uint32_t state, parent; // where its top call returns to, and the rest
    int32_t after;          // the place where that call has just returned, or NONE
    uint32_t depth;
};
enum {
    XN_PLACE_MAY_END = 1,
    XN_PLACE_LEAVES = 2, // a stack that isn't known was left: what follows depends on it
};
struct xn_place {
    uint32_t first_item, n_items; // sorted; states with bytes to take
    uint32_t flags;
};

struct xn_automaton {
    const struct xn_grammar *grammar;
    struct xn_stack *stacks;
    struct xn_place *places;
    struct xn_item *items; // of all places
    int32_t **next; // by place and class of bytes: a place or NONE; in blocks of places, which stay where they are
    size_t n_stacks, n_places, n_items;
    size_t stacks_capacity, places_capacity, items_capacity, blocks_capacity, n_blocks;
    uint32_t *stack_slots, *place_slots; // by content: number + 1
    size_t n_stack_slots, n_place_slots;
    int32_t start;
    uint64_t epoch; // changes when numbers do
    size_t tidy_at; // bytes of places from which the next operation tidies up
    struct xn_grammar_state *sequences;
    // Scratch of closures.
    struct xn_item *work, *found;
    size_t n_work, n_found, work_capacity, found_capacity;
    uint32_t *seen_slots; // index in `work` + 1, of this closure where seen_turn says so
    uint32_t *seen_turn;
    size_t n_seen_slots;
    uint32_t turn;
};
struct xn_grammar_state {
    struct xn_automaton *automaton;
    int32_t place;
    struct xn_grammar_state *previous, *following;
};

// The place after one more byte; an error like xn_grammar_state_accept's.
int xn_place_compute(struct xn_automaton *a, int32_t place, uint32_t class_of_byte, int32_t *out, struct xn_error *err);
enum { XN_PLACE_BLOCK = 256 };
static inline int32_t *xn_place_next(const struct xn_automaton *a, int32_t place) {
    return a->next[place / XN_PLACE_BLOCK] + (size_t)(place % XN_PLACE_BLOCK) * a->grammar->n_classes;
}
static inline int xn_place_step(struct xn_automaton *a, int32_t place, uint8_t byte, int32_t *out,
                                struct xn_error *err) {
    const uint32_t class_of_byte = a->grammar->class_of[byte];
    const int32_t next = xn_place_next(a, place)[class_of_byte];
    if (__builtin_expect(next == XN_PLACE_NONE, 0)) return xn_place_compute(a, place, class_of_byte, out, err);
    *out = next;
    return XN_OK;
}
// The place of a state on a stack, and the one where a stack's top call has returned.
int xn_place_of(struct xn_automaton *a, uint32_t state, uint32_t stack, int32_t *out, struct xn_error *err);
int xn_place_after(struct xn_automaton *a, uint32_t stack, int32_t *out, struct xn_error *err);
// Forgets what no sequence needs, once there is much; numbers change then.
int xn_automaton_tidy(struct xn_automaton *a, struct xn_error *err);
