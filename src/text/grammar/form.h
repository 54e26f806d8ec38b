// A grammar while it is written down: nodes of sets of characters, texts, sequences, alternatives, repetitions and
// rules. GBNF and JSON schemas both become this; compile.c makes an automaton of it.
//
// A builder's functions return the index of a node. The first failure (memory, a limit) stays in `status`; what is
// built after it means nothing, so callers look once at the end.
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    XN_FORM_NODES = 1 << 20, // limits of a grammar
    XN_FORM_DEPTH = 256,     // of nested groups or schemas
    XN_FORM_REPEAT = 100000, // times
    XN_FORM_UNBOUNDED = 0xffffffff,
    XN_LAST_CHARACTER = 0x10ffff,
};

enum xn_form_kind {
    XN_FORM_EMPTY,
    XN_FORM_SET,
    XN_FORM_TEXT,
    XN_FORM_SEQUENCE,
    XN_FORM_CHOICE,
    XN_FORM_TIMES,
    XN_FORM_RULE
};

struct xn_range {
    uint32_t first, last; // both included
};
struct xn_form_node {
    enum xn_form_kind kind;
    uint32_t first,
        n; // SET: ranges; TEXT: bytes; SEQUENCE, CHOICE: children; TIMES: the child in `first`; RULE: its index
    uint32_t least, most;
};
struct xn_form_rule {
    char *name;
    uint32_t body;
    uint32_t line; // where it was written or first used; 0: nowhere
    bool defined;
};
struct xn_form {
    struct xn_form_node *nodes;
    struct xn_range *ranges;
    uint32_t *children;
    char *bytes;
    struct xn_form_rule *rules;
    size_t n_nodes, n_ranges, n_children, n_bytes, n_rules;
    size_t nodes_capacity, ranges_capacity, children_capacity, bytes_capacity, rules_capacity;
    uint32_t *slots; // of the rules by name: index + 1
    size_t n_slots;
    enum xn_status status;
};

void xn_form_init(struct xn_form *f); // node 0 is the empty text
void xn_form_free(struct xn_form *f);
// Reports `status`, if it is a failure.
int xn_form_check(const struct xn_form *f, struct xn_error *err);

uint32_t xn_form_text(struct xn_form *f, const char *bytes, size_t n);
// Characters in any of the ranges, which need be neither sorted nor apart; `negated`: in none. Surrogates are never in.
uint32_t xn_form_set(struct xn_form *f, const struct xn_range *ranges, size_t n, bool negated);
uint32_t xn_form_list(struct xn_form *f, enum xn_form_kind kind, const uint32_t *children, size_t n);
uint32_t xn_form_times(struct xn_form *f, uint32_t child, uint32_t least, uint32_t most);
// The rule of that name, made (undefined) where there is none yet. *name is copied.
uint32_t xn_form_rule(struct xn_form *f, const char *name, size_t n);
uint32_t xn_form_call(struct xn_form *f, uint32_t rule);
void xn_form_define(struct xn_form *f, uint32_t rule, uint32_t body);

// gbnf.c: the rules of a GBNF text, as with xn_grammar_from_gbnf; one text a form.
int xn_form_read_gbnf(struct xn_form *f, const char *text, size_t size, const char *name, struct xn_error *err);

#define XN_FORM_SEQUENCE_OF(f, ...)                                                                                    \
    xn_form_list((f), XN_FORM_SEQUENCE, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / 4)
#define XN_FORM_CHOICE_OF(f, ...)                                                                                      \
    xn_form_list((f), XN_FORM_CHOICE, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / 4)
#define XN_FORM_SET_OF(f, ...)                                                                                         \
    xn_form_set((f), (const struct xn_range[]){__VA_ARGS__},                                                           \
                sizeof((const struct xn_range[]){__VA_ARGS__}) / sizeof(struct xn_range), false)
#define XN_FORM_LITERAL(f, text) xn_form_text((f), (text), sizeof(text) - 1)

// The length in bytes of c as UTF-8, written to out.
size_t xn_form_utf8(uint32_t c, char out[4]);
// Reads the character at s (n > 0 bytes left): its length, or 0 where that is no UTF-8.
size_t xn_form_character(const char *s, size_t n, uint32_t *c);
// Reads exactly `digits` hexadecimal digits at *p, and moves *p past them. false: there are none, *p at what is none.
bool xn_form_hex(const char **p, const char *end, int digits, uint32_t *c);
