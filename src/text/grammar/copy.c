// Copies of compiled grammars, and whether two are the same.
#include "base/memory.h"
#include "text/grammar/compile.h"

#include <string.h>

static void *copy_of(const void *data, size_t n, size_t size) {
    void *to = xn_alloc(n, size);
    if (to && n) memcpy(to, data, n * size);
    return to;
}

int xn_grammar_copy(const struct xn_grammar *g, struct xn_grammar **out, struct xn_error *err) {
    struct xn_grammar *c = *out = copy_of(g, 1, sizeof *g);
    if (!c) return xn_fail(err, XN_ERR_NOMEM, "no memory for a grammar");
    c->states = copy_of(g->states, g->n_states + 1, sizeof *g->states);
    c->edges = copy_of(g->edges, g->n_edges, sizeof *g->edges);
    c->rule_start = copy_of(g->rule_start, g->n_rules, sizeof *g->rule_start);
    if (c->states && (c->edges || g->n_edges == 0) && (c->rule_start || g->n_rules == 0)) return XN_OK;
    xn_grammar_free(c);
    *out = NULL;
    return xn_fail(err, XN_ERR_NOMEM, "no memory for a grammar of %zu states", g->n_states);
}

// Fields one by one: what lies between them is anything.
static bool same_states(const struct xn_grammar *a, const struct xn_grammar *b) {
    for (size_t i = 0; i <= a->n_states; i++) {
        const struct xn_state *x = &a->states[i], *y = &b->states[i];
        if (x->first_edge != y->first_edge) return false;
        if (i < a->n_states && (x->flags != y->flags || x->twin != y->twin)) return false;
    }
    return true;
}

static bool same_edges(const struct xn_grammar *a, const struct xn_grammar *b) {
    for (size_t i = 0; i < a->n_edges; i++) {
        const struct xn_edge *x = &a->edges[i], *y = &b->edges[i];
        if (x->kind != y->kind || x->target != y->target) return false;
        if (x->kind == XN_EDGE_BYTES && (x->first != y->first || x->last != y->last)) return false;
        if (x->kind == XN_EDGE_CALL && x->rule != y->rule) return false;
    }
    return true;
}

bool xn_grammar_same(const struct xn_grammar *a, const struct xn_grammar *b) {
    if (a == b) return true;
    return a->n_states == b->n_states && a->n_edges == b->n_edges && a->n_rules == b->n_rules && a->root == b->root &&
           same_states(a, b) && same_edges(a, b) &&
           memcmp(a->rule_start, b->rule_start, a->n_rules * sizeof *a->rule_start) == 0;
}
