#include "text/grammar/compile.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_EDGES = 4 * XN_GRAMMAR_STATES };

struct draft_edge {
    uint32_t from;
    struct xn_edge edge;
};
struct compiler {
    const struct xn_form *form;
    struct xn_form_facts facts;
    struct draft_edge *edges;
    size_t n_edges, edges_capacity;
    uint32_t *twin;
    uint8_t *final;
    size_t n_states, states_capacity, final_capacity;
    struct xn_error *err;
};

static int new_state(struct compiler *c, uint32_t *state) {
    if (c->n_states >= XN_GRAMMAR_STATES)
        return xn_fail(c->err, XN_ERR_LIMIT, "the grammar needs more than %d states: fewer or shorter repetitions",
                       XN_GRAMMAR_STATES);
    if (XN_GROW(c->twin, c->states_capacity, c->n_states + 1) || XN_GROW(c->final, c->final_capacity, c->n_states + 1))
        return xn_fail(c->err, XN_ERR_NOMEM, "no memory for the grammar");
    c->twin[c->n_states] = (uint32_t)c->n_states;
    c->final[c->n_states] = false;
    *state = (uint32_t)c->n_states++;
    return XN_OK;
}

static int add_edge(struct compiler *c, uint32_t from, struct xn_edge edge) {
    if (c->n_edges >= MAX_EDGES)
        return xn_fail(c->err, XN_ERR_LIMIT, "the grammar needs more than %d edges", MAX_EDGES);
    if (XN_GROW(c->edges, c->edges_capacity, c->n_edges + 1))
        return xn_fail(c->err, XN_ERR_NOMEM, "no memory for the grammar");
    c->edges[c->n_edges++] = (struct draft_edge){from, edge};
    return XN_OK;
}

static int add_bytes(struct compiler *c, uint32_t from, uint8_t first, uint8_t last, uint32_t to) {
    return add_edge(c, from, (struct xn_edge){.kind = XN_EDGE_BYTES, .first = first, .last = last, .target = to});
}

// ---- sets of characters

// The states that a set already has for "a byte of this range, then on to `to`": UTF-8 paths share their ends.
struct tails {
    struct {
        uint8_t first, last;
        uint32_t to, state;
    } known[64];
    int n;
};

static int tail(struct compiler *c, struct tails *t, uint8_t first, uint8_t last, uint32_t to, uint32_t *state) {
    for (int i = 0; i < t->n; i++)
        if (t->known[i].first == first && t->known[i].last == last && t->known[i].to == to) {
            *state = t->known[i].state;
            return XN_OK;
        }
    XN_TRY(new_state(c, state));
    if (t->n < 64) {
        t->known[t->n].first = first;
        t->known[t->n].last = last;
        t->known[t->n].to = to;
        t->known[t->n++].state = *state;
    }
    return add_bytes(c, *state, first, last, to);
}

// Characters first..last of one length in UTF-8, split where the bytes after the first are not all free.
static int add_characters(struct compiler *c, struct tails *t, uint32_t first, uint32_t last, uint32_t from,
                          uint32_t to) {
    char low[4], high[4];
    const size_t n = xn_form_utf8(first, low);
    for (size_t k = 1; k < n; k++) { // k continuation bytes below this place
        const uint32_t below = (1u << (6 * k)) - 1;
        if ((first & ~below) == (last & ~below)) continue;
        if (first & below) {
            XN_TRY(add_characters(c, t, first, first | below, from, to));
            return add_characters(c, t, (first | below) + 1, last, from, to);
        }
        if ((last & below) != below) {
            XN_TRY(add_characters(c, t, first, (last & ~below) - 1, from, to));
            return add_characters(c, t, last & ~below, last, from, to);
        }
    }
    xn_form_utf8(last, high);
    for (size_t k = n - 1; k > 0; k--)
        XN_TRY(tail(c, t, (uint8_t)low[k], (uint8_t)high[k], to, &to));
    return add_bytes(c, from, (uint8_t)low[0], (uint8_t)high[0], to);
}

static int emit_set(struct compiler *c, const struct xn_form_node *node, uint32_t from, uint32_t to) {
    static const uint32_t lengths[] = {0x7f, 0x7ff, 0xffff, XN_LAST_CHARACTER};
    struct tails tails = {.n = 0};
    for (uint32_t i = 0; i < node->n; i++) {
        struct xn_range range = c->form->ranges[node->first + i];
        for (int k = 0; k < 4 && range.first <= range.last; k++) {
            if (range.first > lengths[k]) continue;
            const uint32_t last = range.last < lengths[k] ? range.last : lengths[k];
            XN_TRY(add_characters(c, &tails, range.first, last, from, to));
            range.first = last + 1;
        }
    }
    return XN_OK;
}

// ---- nodes

static int emit(struct compiler *c, uint32_t index, uint32_t from, uint32_t to);

static int emit_nothing(struct compiler *c, uint32_t from, uint32_t to) {
    return add_edge(c, from, (struct xn_edge){.kind = XN_EDGE_NOTHING, .target = to});
}

// Copies of the child in a row. Where copy i is as far from the bounds as copy j, for all that a token can see, their
// states are twins: they were made in the same order, so that the k-th of one is the k-th of the other.
static int emit_times(struct compiler *c, const struct xn_form_node *node, uint32_t from, uint32_t to) {
    const bool nullable = c->facts.nullable[node->first];
    if (!c->facts.ends[node->first]) return emit_nothing(c, from, to); // least is 0, or nothing would come here
    const uint32_t least = nullable ? 0 : node->least;
    const uint32_t copies = node->most == XN_FORM_UNBOUNDED ? least : node->most;
    uint32_t start[2] = {0}, size[2] = {0}; // the copies that others are twins of: of those that must be, and may be
    uint32_t at = from;
    for (uint32_t i = 0; i < copies; i++) {
        const uint32_t mark = (uint32_t)c->n_states;
        uint32_t next;
        XN_TRY(new_state(c, &next));
        if (i >= least) XN_TRY(emit_nothing(c, at, to));
        XN_TRY(emit(c, node->first, at, next));
        // The copy's own states stand after i + 1 copies have begun.
        const bool must = i + 1 + XN_GRAMMAR_HORIZON < least;
        const bool may = i + 1 > least && i + 1 + XN_GRAMMAR_HORIZON < copies;
        if ((must || may) && !nullable) {
            if (size[may] == 0) {
                start[may] = mark;
                size[may] = (uint32_t)c->n_states - mark;
            } else {
                for (uint32_t k = 0; k < size[may]; k++)
                    c->twin[mark + k] = c->twin[start[may] + k];
            }
        }
        at = next;
    }
    if (node->most != XN_FORM_UNBOUNDED) return emit_nothing(c, at, to);
    uint32_t loop;
    XN_TRY(new_state(c, &loop));
    XN_TRY(emit_nothing(c, at, loop));
    XN_TRY(emit(c, node->first, loop, loop));
    return emit_nothing(c, loop, to);
}

static int emit_sequence(struct compiler *c, const struct xn_form_node *node, uint32_t from, uint32_t to) {
    if (node->n == 0) return emit_nothing(c, from, to);
    for (uint32_t i = 0; i < node->n; i++) {
        uint32_t next = to;
        if (i + 1 < node->n) XN_TRY(new_state(c, &next));
        XN_TRY(emit(c, c->form->children[node->first + i], from, next));
        from = next;
    }
    return XN_OK;
}

// Adds the paths of a node from one state to another. Recursion is as deep as groups nest, which their makers bound.
static int emit(struct compiler *c, uint32_t index, uint32_t from, uint32_t to) {
    const struct xn_form_node *node = &c->form->nodes[index];
    switch (node->kind) {
    case XN_FORM_EMPTY:
        return emit_nothing(c, from, to);
    case XN_FORM_SET:
        return emit_set(c, node, from, to);
    case XN_FORM_TEXT:
        for (uint32_t i = 0; i < node->n; i++) {
            const uint8_t byte = (uint8_t)c->form->bytes[node->first + i];
            uint32_t next = to;
            if (i + 1 < node->n) XN_TRY(new_state(c, &next));
            XN_TRY(add_bytes(c, from, byte, byte, next));
            from = next;
        }
        return XN_OK;
    case XN_FORM_SEQUENCE:
        return emit_sequence(c, node, from, to);
    case XN_FORM_CHOICE:
        for (uint32_t i = 0; i < node->n; i++) {
            const uint32_t child = c->form->children[node->first + i];
            if (c->facts.ends[child]) XN_TRY(emit(c, child, from, to));
        }
        return XN_OK;
    case XN_FORM_TIMES:
        return emit_times(c, node, from, to);
    case XN_FORM_RULE:
        return add_edge(c, from, (struct xn_edge){.kind = XN_EDGE_CALL, .target = to, .rule = node->first});
    }
    return XN_OK;
}

// ---- the finished grammar

static int by_kind(const void *a, const void *b) {
    const struct xn_edge *x = a, *y = b;
    if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
    return (x->first > y->first) - (x->first < y->first);
}

static int order_edges(const struct compiler *c, struct xn_grammar *g) {
    g->states = xn_alloc_zero(c->n_states + 1, sizeof *g->states);
    g->edges = xn_alloc(c->n_edges + 1, sizeof *g->edges);
    uint32_t *at = xn_alloc_zero(c->n_states + 1, sizeof *at);
    if (!g->states || !g->edges || !at) {
        free(at);
        return -1;
    }
    for (size_t i = 0; i < c->n_edges; i++)
        g->states[c->edges[i].from + 1].first_edge++;
    for (size_t i = 0; i < c->n_states; i++) {
        g->states[i + 1].first_edge += g->states[i].first_edge;
        at[i] = g->states[i].first_edge;
    }
    for (size_t i = 0; i < c->n_edges; i++)
        g->edges[at[c->edges[i].from]++] = c->edges[i].edge;
    free(at);
    for (size_t i = 0; i < c->n_states; i++) {
        struct xn_state *s = &g->states[i];
        const size_t n = s[1].first_edge - s->first_edge;
        qsort(&g->edges[s->first_edge], n, sizeof *g->edges, by_kind);
        s->twin = c->twin[i];
        s->flags = (c->final[i] ? XN_STATE_FINAL : 0) |
                   (n && g->edges[s->first_edge].kind == XN_EDGE_BYTES ? XN_STATE_BYTES : 0) |
                   (c->final[i] && n == 0 ? XN_STATE_ONLY_FINAL : 0);
    }
    g->n_states = c->n_states;
    g->n_edges = c->n_edges;
    return 0;
}

static void classify_bytes(struct xn_grammar *g) {
    bool starts[257] = {true};
    for (size_t i = 0; i < g->n_edges; i++)
        if (g->edges[i].kind == XN_EDGE_BYTES) starts[g->edges[i].first] = starts[g->edges[i].last + 1] = true;
    for (int b = 0; b < 256; b++) {
        if (starts[b]) g->byte_of[g->n_classes++] = (uint8_t)b;
        g->class_of[b] = (uint8_t)(g->n_classes - 1);
    }
}

void xn_grammar_free(struct xn_grammar *g) {
    if (!g) return;
    free(g->states);
    free(g->edges);
    free(g->rule_start);
    free(g);
}

int xn_grammar_compile(const struct xn_form *form, const char *root, struct xn_grammar **out, struct xn_error *err) {
    *out = NULL;
    uint32_t r = 0;
    while (r < form->n_rules && strcmp(form->rules[r].name, root) != 0)
        r++;
    if (r == form->n_rules) return xn_fail(err, XN_ERR_FORMAT, "there is no rule named '%s'", root);
    struct compiler c = {.form = form, .err = err};
    XN_TRY(xn_form_facts(form, r, &c.facts, err));
    struct xn_grammar *g = xn_alloc_zero(1, sizeof *g);
    int status = XN_OK;
    if (!g || !(g->rule_start = xn_alloc_zero(form->n_rules, sizeof *g->rule_start)))
        status = xn_fail(err, XN_ERR_NOMEM, "no memory for the grammar");
    for (uint32_t i = 0; status == XN_OK && i < form->n_rules; i++) {
        if (!c.facts.used[i]) continue;
        uint32_t final = 0;
        status = new_state(&c, &g->rule_start[i]);
        if (status == XN_OK) status = new_state(&c, &final);
        if (status == XN_OK) {
            c.final[final] = true;
            status = emit(&c, form->rules[i].body, g->rule_start[i], final);
        }
        if (status != XN_OK) status = xn_error_context(err, status, "rule '%s'", form->rules[i].name);
    }
    if (status == XN_OK && order_edges(&c, g)) status = xn_fail(err, XN_ERR_NOMEM, "no memory for the grammar");
    if (status == XN_OK) {
        g->n_rules = form->n_rules;
        g->root = r;
        classify_bytes(g);
    }
    xn_form_facts_free(&c.facts);
    free(c.edges);
    free(c.twin);
    free(c.final);
    if (status == XN_OK)
        *out = g;
    else
        xn_grammar_free(g);
    return status;
}
