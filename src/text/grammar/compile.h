// From the form of a grammar to a pushdown automaton over bytes.
//
// Each rule becomes states with three kinds of edges: a byte in a range, nothing, or the call of a rule (which goes to
// the rule's first state and comes back to the edge's target). Sets of characters become paths of UTF-8 bytes.
#pragma once

#include "text/grammar/form.h"
#include "text/grammar/grammar.h"

enum {
    XN_GRAMMAR_STATES = 1 << 20, // limit
    // Within so many bytes a repetition that is farther from its bounds looks like one without: see twin.
    XN_GRAMMAR_HORIZON = 32,
};

enum xn_edge_kind { XN_EDGE_BYTES, XN_EDGE_NOTHING, XN_EDGE_CALL };
struct xn_edge {
    uint8_t kind, first, last; // BYTES: both included
    uint32_t target;
    uint32_t rule; // CALL
};

enum { XN_STATE_FINAL = 1, XN_STATE_BYTES = 2, XN_STATE_ONLY_FINAL = 4 };
struct xn_state {
    uint32_t first_edge; // up to the next state's; bytes come first
    uint8_t flags;       // FINAL: the rule may end here; BYTES: has such edges; ONLY_FINAL: has no edges
    // A state that takes the same texts of up to XN_GRAMMAR_HORIZON bytes within this rule; itself, mostly. Of a long
    // repetition's copies but the last few are alike.
    uint32_t twin;
};

struct xn_grammar {
    struct xn_state *states; // n_states + 1
    struct xn_edge *edges;
    uint32_t *rule_start; // the first state of each rule
    size_t n_states, n_edges, n_rules;
    uint32_t root;
    // Bytes that no edge tells apart have one class.
    uint8_t class_of[256], byte_of[256]; // byte_of: a byte of each class
    uint32_t n_classes;
};

// The grammar of the rule named `root`. Refuses rules that are used and not defined, left recursion, and rules that can
// never end, with the name of the rule.
int xn_grammar_compile(const struct xn_form *form, const char *root, struct xn_grammar **out, struct xn_error *err);

// check.c: what compile needs to know about nodes.
struct xn_form_facts {
    bool *ends;     // node: some text is accepted
    bool *nullable; // node: the empty text is
    bool *used;     // rule: reachable from root
};
int xn_form_facts(const struct xn_form *form, uint32_t root, struct xn_form_facts *facts, struct xn_error *err);
void xn_form_facts_free(struct xn_form_facts *facts);
