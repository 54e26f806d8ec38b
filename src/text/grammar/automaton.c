#include "text/grammar/place.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum {
    MAX_CLOSURE = 20000,    // pairs that one byte may lead to
    MAX_DEPTH = 2000,       // of calls; deeper paths are dropped, so that nesting ends
    TIDY_MEMORY = 48 << 20, // bytes: tidy_at
    MAX_MEMORY = 256 << 20, // of places within one operation
};

static int no_memory(struct xn_error *err) {
    return xn_fail(err, XN_ERR_NOMEM, "no memory for a grammar's states");
}

static size_t memory_of(const struct xn_automaton *a) {
    return a->n_places * (a->grammar->n_classes * sizeof **a->next + sizeof *a->places) +
           a->n_items * sizeof *a->items + a->n_stacks * sizeof *a->stacks;
}

static uint64_t mix(uint64_t h) {
    h *= 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

// ---- stacks

static size_t stack_slot(const struct xn_automaton *a, uint32_t state, uint32_t parent) {
    size_t at = mix((uint64_t)state << 32 | parent) & (a->n_stack_slots - 1);
    for (; a->stack_slots[at]; at = (at + 1) & (a->n_stack_slots - 1)) {
        const struct xn_stack *s = &a->stacks[a->stack_slots[at] - 1];
        if (s->state == state && s->parent == parent) break;
    }
    return at;
}

static int grow_stack_slots(struct xn_automaton *a) {
    if (2 * (a->n_stacks + 1) <= a->n_stack_slots) return 0;
    const size_t n = a->n_stack_slots ? 2 * a->n_stack_slots : 1024;
    uint32_t *slots = xn_alloc_zero(n, sizeof *slots);
    if (!slots) return -1;
    free(a->stack_slots);
    a->stack_slots = slots;
    a->n_stack_slots = n;
    for (size_t i = XN_STACK_FIRST; i < a->n_stacks; i++)
        a->stack_slots[stack_slot(a, a->stacks[i].state, a->stacks[i].parent)] = (uint32_t)i + 1;
    return 0;
}

static int push(struct xn_automaton *a, uint32_t state, uint32_t parent, uint32_t *stack, struct xn_error *err) {
    if (grow_stack_slots(a)) return no_memory(err);
    const size_t at = stack_slot(a, state, parent);
    if (!a->stack_slots[at]) {
        if (XN_GROW(a->stacks, a->stacks_capacity, a->n_stacks + 1)) return no_memory(err);
        a->stacks[a->n_stacks] = (struct xn_stack){state, parent, XN_PLACE_NONE, a->stacks[parent].depth + 1};
        a->stack_slots[at] = (uint32_t)++a->n_stacks;
    }
    *stack = a->stack_slots[at] - 1;
    return XN_OK;
}

// ---- places

static size_t place_slot(const struct xn_automaton *a, const struct xn_item *items, size_t n, uint32_t flags) {
    uint64_t hash = mix(flags + 1);
    for (size_t i = 0; i < n; i++)
        hash = mix(hash ^ ((uint64_t)items[i].state << 32 | items[i].stack));
    size_t at = hash & (a->n_place_slots - 1);
    for (; a->place_slots[at]; at = (at + 1) & (a->n_place_slots - 1)) {
        const struct xn_place *p = &a->places[a->place_slots[at] - 1];
        if (p->n_items == n && p->flags == flags &&
            (n == 0 || memcmp(a->items + p->first_item, items, n * sizeof *items) == 0))
            break;
    }
    return at;
}

static int grow_place_slots(struct xn_automaton *a) {
    if (2 * (a->n_places + 1) <= a->n_place_slots) return 0;
    const size_t n = a->n_place_slots ? 2 * a->n_place_slots : 1024;
    uint32_t *slots = xn_alloc_zero(n, sizeof *slots);
    if (!slots) return -1;
    free(a->place_slots);
    a->place_slots = slots;
    a->n_place_slots = n;
    for (size_t i = 0; i < a->n_places; i++) {
        const struct xn_place *p = &a->places[i];
        a->place_slots[place_slot(a, a->items + p->first_item, p->n_items, p->flags)] = (uint32_t)i + 1;
    }
    return 0;
}

static int add_block(struct xn_automaton *a) {
    if (XN_GROW(a->next, a->blocks_capacity, a->n_blocks + 1)) return -1;
    a->next[a->n_blocks] = xn_alloc(XN_PLACE_BLOCK * a->grammar->n_classes, sizeof **a->next);
    if (!a->next[a->n_blocks]) return -1;
    a->n_blocks++;
    return 0;
}

// The place of these items, sorted, which are not in a->items.
static int intern(struct xn_automaton *a, const struct xn_item *items, size_t n, uint32_t flags, int32_t *out,
                  struct xn_error *err) {
    if (grow_place_slots(a)) return no_memory(err);
    const size_t at = place_slot(a, items, n, flags);
    if (!a->place_slots[at]) {
        if (memory_of(a) > MAX_MEMORY)
            return xn_fail(err, XN_ERR_LIMIT, "the grammar is too ambiguous: more than %d MiB of states",
                           MAX_MEMORY >> 20);
        if (XN_GROW(a->places, a->places_capacity, a->n_places + 1) ||
            XN_GROW(a->items, a->items_capacity, a->n_items + n + 1))
            return no_memory(err);
        if (a->n_places == a->n_blocks * XN_PLACE_BLOCK && add_block(a)) return no_memory(err);
        a->places[a->n_places] = (struct xn_place){(uint32_t)a->n_items, (uint32_t)n, flags};
        if (n) memcpy(a->items + a->n_items, items, n * sizeof *items);
        a->n_items += n;
        memset(xn_place_next(a, (int32_t)a->n_places), 0xff, a->grammar->n_classes * sizeof **a->next);
        a->place_slots[at] = (uint32_t)++a->n_places;
    }
    *out = (int32_t)(a->place_slots[at] - 1);
    return XN_OK;
}

// ---- closures: all that is reached without taking a byte

static int grow_seen(struct xn_automaton *a) {
    if (2 * (a->n_work + 1) <= a->n_seen_slots) return 0;
    const size_t n = a->n_seen_slots ? 2 * a->n_seen_slots : 256;
    uint32_t *slots = xn_alloc_zero(n, sizeof *slots), *turns = xn_alloc_zero(n, sizeof *turns);
    if (!slots || !turns) {
        free(slots);
        free(turns);
        return -1;
    }
    free(a->seen_slots);
    free(a->seen_turn);
    a->seen_slots = slots;
    a->seen_turn = turns;
    a->n_seen_slots = n;
    a->turn = 1;
    for (size_t i = 0; i < a->n_work; i++) {
        size_t at = mix((uint64_t)a->work[i].state << 32 | a->work[i].stack) & (n - 1);
        while (turns[at] == a->turn)
            at = (at + 1) & (n - 1);
        turns[at] = a->turn;
        slots[at] = (uint32_t)i + 1;
    }
    return 0;
}

static void closure_begin(struct xn_automaton *a) {
    a->n_work = a->n_found = 0;
    if (++a->turn == 0) {
        if (a->n_seen_slots) memset(a->seen_turn, 0, a->n_seen_slots * sizeof *a->seen_turn);
        a->turn = 1;
    }
}

static int closure_add(struct xn_automaton *a, uint32_t state, uint32_t stack, struct xn_error *err) {
    if (grow_seen(a)) return no_memory(err);
    size_t at = mix((uint64_t)state << 32 | stack) & (a->n_seen_slots - 1);
    for (; a->seen_turn[at] == a->turn; at = (at + 1) & (a->n_seen_slots - 1)) {
        const struct xn_item *w = &a->work[a->seen_slots[at] - 1];
        if (w->state == state && w->stack == stack) return XN_OK;
    }
    if (a->n_work >= MAX_CLOSURE)
        return xn_fail(err, XN_ERR_LIMIT, "the grammar is too ambiguous: more than %d ways to go on", MAX_CLOSURE);
    if (XN_GROW(a->work, a->work_capacity, a->n_work + 1)) return no_memory(err);
    a->work[a->n_work++] = (struct xn_item){state, stack};
    a->seen_turn[at] = a->turn;
    a->seen_slots[at] = (uint32_t)a->n_work;
    return XN_OK;
}

static int follow_edges(struct xn_automaton *a, struct xn_item item, struct xn_error *err) {
    const struct xn_grammar *g = a->grammar;
    const struct xn_edge *end = &g->edges[g->states[item.state + 1].first_edge];
    for (const struct xn_edge *e = &g->edges[g->states[item.state].first_edge]; e < end; e++) {
        if (e->kind == XN_EDGE_NOTHING) {
            XN_TRY(closure_add(a, e->target, item.stack, err));
        } else if (e->kind == XN_EDGE_CALL) {
            uint32_t stack = item.stack;
            // A call that nothing follows does not come back, so that rules which end with themselves need no stack.
            if (!(g->states[e->target].flags & XN_STATE_ONLY_FINAL)) {
                if (a->stacks[stack].depth >= MAX_DEPTH) continue;
                XN_TRY(push(a, e->target, stack, &stack, err));
            }
            XN_TRY(closure_add(a, g->rule_start[e->rule], stack, err));
        }
    }
    return XN_OK;
}

static int by_item(const void *a, const void *b) {
    const struct xn_item *x = a, *y = b;
    if (x->state != y->state) return x->state < y->state ? -1 : 1;
    return (x->stack > y->stack) - (x->stack < y->stack);
}

static int closure_end(struct xn_automaton *a, int32_t *out, struct xn_error *err) {
    uint32_t flags = 0;
    for (size_t i = 0; i < a->n_work; i++) {
        const struct xn_item item = a->work[i];
        const uint8_t state = a->grammar->states[item.state].flags;
        if (state & XN_STATE_BYTES) {
            if (XN_GROW(a->found, a->found_capacity, a->n_found + 1)) return no_memory(err);
            a->found[a->n_found++] = item;
        }
        if (state & XN_STATE_FINAL) {
            if (item.stack == XN_STACK_EMPTY)
                flags |= XN_PLACE_MAY_END;
            else if (item.stack == XN_STACK_UNKNOWN)
                flags |= XN_PLACE_LEAVES;
            else
                XN_TRY(closure_add(a, a->stacks[item.stack].state, a->stacks[item.stack].parent, err));
        }
        XN_TRY(follow_edges(a, item, err));
    }
    if (a->n_found > 1) qsort(a->found, a->n_found, sizeof *a->found, by_item);
    return intern(a, a->found, a->n_found, flags, out, err);
}

int xn_place_of(struct xn_automaton *a, uint32_t state, uint32_t stack, int32_t *out, struct xn_error *err) {
    closure_begin(a);
    XN_TRY(closure_add(a, state, stack, err));
    return closure_end(a, out, err);
}

int xn_place_after(struct xn_automaton *a, uint32_t stack, int32_t *out, struct xn_error *err) {
    if (a->stacks[stack].after == XN_PLACE_NONE) {
        XN_TRY(xn_place_of(a, a->stacks[stack].state, a->stacks[stack].parent, out, err));
        a->stacks[stack].after = *out;
    }
    *out = a->stacks[stack].after;
    return XN_OK;
}

int xn_place_compute(struct xn_automaton *a, int32_t place, uint32_t class_of_byte, int32_t *out,
                     struct xn_error *err) {
    const struct xn_grammar *g = a->grammar;
    const uint8_t byte = g->byte_of[class_of_byte];
    closure_begin(a);
    for (uint32_t i = 0; i < a->places[place].n_items; i++) {
        const struct xn_item item = a->items[a->places[place].first_item + i];
        const struct xn_edge *end = &g->edges[g->states[item.state + 1].first_edge];
        const struct xn_edge *e = &g->edges[g->states[item.state].first_edge];
        for (; e < end && e->kind == XN_EDGE_BYTES && e->first <= byte; e++)
            if (byte <= e->last) XN_TRY(closure_add(a, e->target, item.stack, err));
    }
    XN_TRY(closure_end(a, out, err));
    xn_place_next(a, place)[class_of_byte] = *out;
    return XN_OK;
}

// ---- automata and sequences

// Empty but for the numbers that are fixed.
static int reset(struct xn_automaton *a, struct xn_error *err) {
    a->n_stacks = a->n_places = a->n_items = 0;
    if (a->n_stack_slots) memset(a->stack_slots, 0, a->n_stack_slots * sizeof *a->stack_slots);
    if (a->n_place_slots) memset(a->place_slots, 0, a->n_place_slots * sizeof *a->place_slots);
    if (XN_GROW(a->stacks, a->stacks_capacity, XN_STACK_FIRST)) return no_memory(err);
    for (; a->n_stacks < XN_STACK_FIRST; a->n_stacks++)
        a->stacks[a->n_stacks] = (struct xn_stack){.after = XN_PLACE_NONE};
    int32_t dead;
    XN_TRY(intern(a, NULL, 0, 0, &dead, err));
    return xn_place_of(a, a->grammar->rule_start[a->grammar->root], XN_STACK_EMPTY, &a->start, err);
}

int xn_automaton_new(const struct xn_grammar *grammar, struct xn_automaton **out, struct xn_error *err) {
    *out = xn_alloc_zero(1, sizeof **out);
    if (!*out) return no_memory(err);
    (*out)->grammar = grammar;
    (*out)->tidy_at = TIDY_MEMORY;
    int status = reset(*out, err);
    if (status != XN_OK) {
        xn_automaton_free(*out);
        *out = NULL;
    }
    return status;
}

static void free_tables(struct xn_automaton *a) {
    free(a->stacks);
    free(a->places);
    free(a->items);
    for (size_t i = 0; i < a->n_blocks; i++)
        free(a->next[i]);
    free(a->next);
    free(a->stack_slots);
    free(a->place_slots);
    free(a->work);
    free(a->found);
    free(a->seen_slots);
    free(a->seen_turn);
}

void xn_automaton_free(struct xn_automaton *a) {
    if (!a) return;
    free_tables(a);
    free(a);
}

// The stack of another automaton in this one. `numbers` remembers them; callers have lower numbers than what they call.
static int carry_stack(struct xn_automaton *a, const struct xn_automaton *from, uint32_t *numbers, uint32_t stack,
                       struct xn_error *err) {
    uint32_t chain[MAX_DEPTH + 2];
    size_t n = 0;
    for (; stack >= XN_STACK_FIRST && numbers[stack] == 0; stack = from->stacks[stack].parent)
        chain[n++] = stack;
    uint32_t parent = stack < XN_STACK_FIRST ? stack : numbers[stack];
    while (n) {
        stack = chain[--n];
        XN_TRY(push(a, from->stacks[stack].state, parent, &parent, err));
        numbers[stack] = parent;
    }
    return XN_OK;
}

static int carry_place(struct xn_automaton *a, const struct xn_automaton *from, uint32_t *numbers, int32_t place,
                       int32_t *out, struct xn_error *err) {
    const struct xn_place *p = &from->places[place];
    if (XN_GROW(a->found, a->found_capacity, p->n_items + 1)) return no_memory(err);
    for (uint32_t i = 0; i < p->n_items; i++) {
        struct xn_item item = from->items[p->first_item + i];
        XN_TRY(carry_stack(a, from, numbers, item.stack, err));
        if (item.stack >= XN_STACK_FIRST) item.stack = numbers[item.stack];
        a->found[i] = item;
    }
    if (p->n_items > 1) qsort(a->found, p->n_items, sizeof *a->found, by_item);
    return intern(a, a->found, p->n_items, p->flags, out, err);
}

int xn_automaton_tidy(struct xn_automaton *a, struct xn_error *err) {
    if (memory_of(a) <= a->tidy_at) return XN_OK;
    struct xn_automaton fresh = {.grammar = a->grammar, .epoch = a->epoch + 1, .tidy_at = a->tidy_at};
    uint32_t *numbers = xn_alloc_zero(a->n_stacks, sizeof *numbers);
    size_t n = 0;
    for (struct xn_grammar_state *s = a->sequences; s; s = s->following)
        n++;
    int32_t *places = xn_alloc(n + 1, sizeof *places);
    int status = numbers && places ? reset(&fresh, err) : no_memory(err);
    struct xn_grammar_state *s = a->sequences;
    for (size_t i = 0; status == XN_OK && i < n; i++, s = s->following)
        status = carry_place(&fresh, a, numbers, s->place, &places[i], err);
    if (status == XN_OK) {
        s = a->sequences;
        for (size_t i = 0; i < n; i++, s = s->following)
            s->place = places[i];
        fresh.sequences = a->sequences;
        free_tables(a);
        *a = fresh;
    } else {
        free_tables(&fresh);
    }
    free(numbers);
    free(places);
    return status;
}

static int add_sequence(struct xn_automaton *a, int32_t place, struct xn_grammar_state **out, struct xn_error *err) {
    struct xn_grammar_state *s = *out = xn_alloc_zero(1, sizeof *s);
    if (!s) return no_memory(err);
    *s = (struct xn_grammar_state){.automaton = a, .place = place, .following = a->sequences};
    if (a->sequences) a->sequences->previous = s;
    a->sequences = s;
    return XN_OK;
}

int xn_grammar_state_new(struct xn_automaton *a, struct xn_grammar_state **out, struct xn_error *err) {
    return add_sequence(a, a->start, out, err);
}

int xn_grammar_state_copy(const struct xn_grammar_state *from, struct xn_grammar_state **out, struct xn_error *err) {
    return add_sequence(from->automaton, from->place, out, err);
}

void xn_grammar_state_free(struct xn_grammar_state *s) {
    if (!s) return;
    if (s->previous)
        s->previous->following = s->following;
    else
        s->automaton->sequences = s->following;
    if (s->following) s->following->previous = s->previous;
    free(s);
}

bool xn_grammar_state_equal(const struct xn_grammar_state *a, const struct xn_grammar_state *b) {
    return a->automaton == b->automaton && a->place == b->place;
}

int xn_grammar_state_accept(struct xn_grammar_state *s, const void *bytes, size_t n, bool *accepted,
                            struct xn_error *err) {
    *accepted = false;
    XN_TRY(xn_automaton_tidy(s->automaton, err));
    int32_t place = s->place;
    for (size_t i = 0; i < n && place != XN_PLACE_DEAD; i++)
        XN_TRY(xn_place_step(s->automaton, place, ((const uint8_t *)bytes)[i], &place, err));
    if (place == XN_PLACE_DEAD) return XN_OK;
    s->place = place;
    *accepted = true;
    return XN_OK;
}

bool xn_grammar_state_may_end(const struct xn_grammar_state *s) {
    return s->automaton->places[s->place].flags & XN_PLACE_MAY_END;
}

bool xn_grammar_state_must_end(const struct xn_grammar_state *s) {
    const struct xn_place *p = &s->automaton->places[s->place];
    return p->n_items == 0 && (p->flags & XN_PLACE_MAY_END);
}
