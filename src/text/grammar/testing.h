// What the tests of grammars share.
#pragma once

#include "text/grammar/automaton.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static inline struct xn_grammar *gbnf(const char *text) {
    struct xn_grammar *g;
    struct xn_error err;
    if (xn_grammar_from_gbnf(text, strlen(text), "g", &g, &err) != XN_OK) fail_msg("%s\n%s", text, err.message);
    return g;
}

static inline struct xn_grammar *schema(const char *text) {
    struct xn_grammar *g;
    struct xn_error err;
    json_error_t where;
    json_t *json = json_loads(text, JSON_DECODE_ANY, &where);
    if (!json) fail_msg("%s: %s", text, where.text);
    if (xn_grammar_from_json_schema(json, &g, &err) != XN_OK) fail_msg("%s\n%s", text, err.message);
    json_decref(json);
    return g;
}

// Whether the whole text is accepted, given byte by byte.
static inline bool accepts_bytes(const struct xn_grammar *g, const char *text, size_t n) {
    struct xn_automaton *a;
    struct xn_grammar_state *s;
    struct xn_error err;
    if (xn_automaton_new(g, &a, &err) != XN_OK || xn_grammar_state_new(a, &s, &err) != XN_OK)
        fail_msg("%s", err.message);
    bool good = true;
    for (size_t i = 0; good && i < n; i++)
        if (xn_grammar_state_accept(s, text + i, 1, &good, &err) != XN_OK) fail_msg("%s", err.message);
    good = good && xn_grammar_state_may_end(s);
    xn_grammar_state_free(s);
    xn_automaton_free(a);
    return good;
}

static inline bool accepts(const struct xn_grammar *g, const char *text) {
    return accepts_bytes(g, text, strlen(text));
}

// Texts of one grammar, "+..." to be accepted, "-..." not; NULL ends the list. Says which are not so.
static inline unsigned count_wrong(const struct xn_grammar *g, const char *name, const char *const *texts) {
    unsigned wrong = 0;
    for (; *texts; texts++)
        if (accepts(g, *texts + 1) != (**texts == '+')) {
            printf("%s\n  %s %s\n", name, **texts == '+' ? "refuses" : "accepts", *texts + 1);
            wrong++;
        }
    return wrong;
}
