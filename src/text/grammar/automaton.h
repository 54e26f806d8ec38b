// The automaton of a grammar while texts run through it.
//
// Where a text stands in a grammar is a set of (state, stack of calls) pairs: a place. Stacks and places are kept once
// each and have numbers, and a place remembers where each class of bytes leads, so that a byte costs one look-up once
// its step has been taken before. An automaton is one thread's at a time; several sequences of it may be.
#pragma once

#include "base/error.h"
#include "text/grammar/grammar.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xn_automaton;
// The grammar must outlive the automaton.
int xn_automaton_new(const struct xn_grammar *grammar, struct xn_automaton **out, struct xn_error *err);
void xn_automaton_free(struct xn_automaton *automaton); // its sequences are freed first

// Where one text stands.
struct xn_grammar_state;
int xn_grammar_state_new(struct xn_automaton *automaton, struct xn_grammar_state **out,
                         struct xn_error *err); // at the start
int xn_grammar_state_copy(const struct xn_grammar_state *from, struct xn_grammar_state **out, struct xn_error *err);
void xn_grammar_state_free(struct xn_grammar_state *sequence); // also NULL
// Same automaton, and whatever follows is accepted by both or by neither (equal places; unequal ones may be, too).
bool xn_grammar_state_equal(const struct xn_grammar_state *a, const struct xn_grammar_state *b);

// Takes bytes. *accepted false: they can't follow, and the sequence stays where it was. Fails only for want of memory
// or where the grammar is too ambiguous to follow (XN_ERR_LIMIT); the sequence stays as well.
int xn_grammar_state_accept(struct xn_grammar_state *sequence, const void *bytes, size_t n, bool *accepted,
                            struct xn_error *err);
bool xn_grammar_state_may_end(const struct xn_grammar_state *sequence);  // the text so far is complete
bool xn_grammar_state_must_end(const struct xn_grammar_state *sequence); // ... and nothing may follow
