// Facts of a form's nodes, and what makes a grammar unusable: rules without definition, end, or with left recursion.
#include "base/memory.h"
#include "text/grammar/compile.h"

#include <stdlib.h>
#include <string.h>

void xn_form_facts_free(struct xn_form_facts *facts) {
    free(facts->ends);
    free(facts->nullable);
    free(facts->used);
    *facts = (struct xn_form_facts){0};
}

// Whether a node has a fact whatever its children are.
static bool holds(const struct xn_form_node *node, bool nullable) {
    switch (node->kind) {
    case XN_FORM_EMPTY:
        return true;
    case XN_FORM_SET:
        return !nullable && node->n > 0;
    case XN_FORM_TEXT:
        return !nullable;
    case XN_FORM_SEQUENCE:
        return node->n == 0;
    case XN_FORM_TIMES:
        return node->least == 0;
    default:
        return false;
    }
}

// For each node, the nodes that it is a child of, in lists through `next`.
struct users {
    uint32_t *first, *next, *parents;
    size_t n;
};

static int users_build(const struct xn_form *f, struct users *u) {
    *u = (struct users){0};
    size_t n = f->n_nodes + f->n_children;
    u->first = xn_alloc(f->n_nodes, sizeof *u->first);
    u->next = xn_alloc(n + 1, sizeof *u->next);
    u->parents = xn_alloc(n + 1, sizeof *u->parents);
    if (!u->first || !u->next || !u->parents) return -1;
    memset(u->first, 0xff, f->n_nodes * sizeof *u->first);
    for (size_t i = 0; i < f->n_nodes; i++) {
        const struct xn_form_node *node = &f->nodes[i];
        const bool list = node->kind == XN_FORM_SEQUENCE || node->kind == XN_FORM_CHOICE;
        const bool one = node->kind == XN_FORM_TIMES || (node->kind == XN_FORM_RULE && f->rules[node->first].defined);
        for (uint32_t k = 0; k < (list ? node->n : one); k++) {
            uint32_t child = list                          ? f->children[node->first + k]
                             : node->kind == XN_FORM_TIMES ? node->first
                                                           : f->rules[node->first].body;
            u->parents[u->n] = (uint32_t)i;
            u->next[u->n] = u->first[child];
            u->first[child] = (uint32_t)u->n++;
        }
    }
    return 0;
}

static void users_free(struct users *u) {
    free(u->first);
    free(u->next);
    free(u->parents);
}

// The least fixed point of a fact; `work` has room for every node. A sequence counts how many of its children still
// lack it.
static void spread(const struct xn_form *f, const struct users *u, bool nullable, bool *fact, uint32_t *missing,
                   uint32_t *work) {
    size_t n = 0;
    for (size_t i = 0; i < f->n_nodes; i++) {
        const struct xn_form_node *node = &f->nodes[i];
        missing[i] = node->kind == XN_FORM_SEQUENCE ? node->n : 1;
        fact[i] = holds(node, nullable);
        if (fact[i]) work[n++] = (uint32_t)i;
    }
    while (n) {
        const uint32_t node = work[--n];
        for (uint32_t e = u->first[node]; e != UINT32_MAX; e = u->next[e]) {
            const uint32_t parent = u->parents[e];
            if (fact[parent] || --missing[parent] > 0) continue;
            fact[parent] = true;
            work[n++] = parent;
        }
    }
}

// ---- reachability and left recursion: walks with a stack of their own, since rules nest as deep as there are rules

enum { NEW, OPEN, DONE };

struct step {
    uint32_t node, child;
};

// Visits the node's children; with `left`, only those that may stand at the start of a text.
static bool next_child(const struct xn_form *f, const bool *nullable, bool left, struct step *s, uint32_t *child) {
    const struct xn_form_node *node = &f->nodes[s->node];
    switch (node->kind) {
    case XN_FORM_SEQUENCE:
        if (left && s->child > 0 && s->child < node->n && !nullable[f->children[node->first + s->child - 1]])
            return false;
        // fall through
    case XN_FORM_CHOICE:
        if (s->child == node->n) return false;
        *child = f->children[node->first + s->child++];
        return true;
    case XN_FORM_TIMES:
        if (s->child++) return false;
        *child = node->first;
        return true;
    case XN_FORM_RULE:
        if (s->child++) return false;
        *child = f->rules[node->first].body;
        return true;
    default:
        return false;
    }
}

static int enter(const struct xn_form *f, const bool *ends, struct xn_form_facts *facts, uint32_t rule, bool left,
                 struct xn_error *err) {
    const struct xn_form_rule *r = &f->rules[rule];
    if (left) return XN_OK;
    facts->used[rule] = true;
    if (!r->defined) return xn_fail(err, XN_ERR_FORMAT, "rule '%s' is not defined", r->name);
    if (!ends[r->body])
        return xn_fail(err, XN_ERR_FORMAT, "rule '%s' accepts no text: what it asks for never ends", r->name);
    return XN_OK;
}

static int walk(const struct xn_form *f, uint32_t root, bool left, struct xn_form_facts *facts, uint8_t *mark,
                struct step *stack, struct xn_error *err) {
    size_t n = 0;
    const uint32_t body = f->rules[root].body;
    if (mark[body] != NEW) return XN_OK;
    mark[body] = OPEN;
    stack[n++] = (struct step){body, 0};
    while (n) {
        uint32_t child;
        if (!next_child(f, facts->nullable, left, &stack[n - 1], &child)) {
            mark[stack[--n].node] = DONE;
            continue;
        }
        const struct xn_form_node *from = &f->nodes[stack[n - 1].node];
        if (from->kind == XN_FORM_RULE) XN_TRY(enter(f, facts->ends, facts, from->first, left, err));
        if (left && mark[child] == OPEN) {
            // The cycle passes through a rule: nodes alone are a tree.
            while (n && f->nodes[stack[n - 1].node].kind != XN_FORM_RULE)
                n--;
            const char *name = n ? f->rules[f->nodes[stack[n - 1].node].first].name : f->rules[root].name;
            return xn_fail(err, XN_ERR_FORMAT, "rule '%s' is left-recursive: it may start with itself", name);
        }
        // Alternatives that never end are left out of the automaton, so that what they use does not matter.
        if (mark[child] != NEW || (from->kind == XN_FORM_CHOICE && !facts->ends[child])) continue;
        mark[child] = OPEN;
        stack[n++] = (struct step){child, 0};
    }
    return XN_OK;
}

int xn_form_facts(const struct xn_form *f, uint32_t root, struct xn_form_facts *facts, struct xn_error *err) {
    *facts = (struct xn_form_facts){0};
    struct users users;
    int status = users_build(f, &users);
    facts->ends = xn_alloc_zero(f->n_nodes, sizeof *facts->ends);
    facts->nullable = xn_alloc_zero(f->n_nodes, sizeof *facts->nullable);
    facts->used = xn_alloc_zero(f->n_rules, sizeof *facts->used);
    uint32_t *missing = xn_alloc(f->n_nodes, sizeof *missing);
    struct step *stack = xn_alloc(f->n_nodes, sizeof *stack);
    uint8_t *mark = xn_alloc_zero(f->n_nodes, 1);
    if (status || !facts->ends || !facts->nullable || !facts->used || !missing || !stack || !mark) {
        status = xn_fail(err, XN_ERR_NOMEM, "no memory for the grammar");
    } else {
        spread(f, &users, false, facts->ends, missing, (uint32_t *)stack);
        spread(f, &users, true, facts->nullable, missing, (uint32_t *)stack);
        status = enter(f, facts->ends, facts, root, false, err);
        if (status == XN_OK) status = walk(f, root, false, facts, mark, stack, err);
        memset(mark, 0, f->n_nodes);
        for (uint32_t r = 0; status == XN_OK && r < f->n_rules; r++)
            if (facts->used[r]) status = walk(f, r, true, facts, mark, stack, err);
    }
    users_free(&users);
    free(missing);
    free(stack);
    free(mark);
    if (status != XN_OK) xn_form_facts_free(facts);
    return status;
}
