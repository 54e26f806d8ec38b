// Grammars: what a generated text may be, written as GBNF (llama.cpp's notation) or as a JSON schema.
//
//     struct xn_grammar *g;              xn_grammar_from_gbnf(text, size, "chess.gbnf", &g, err)
//     automaton.h                        accepts bytes as they come
//     mask.h                             which tokens of a vocabulary may come next
//
// Texts are UTF-8; a grammar's characters are code points. Grammars from outside are bounded: size, depth, repetition,
// left recursion and ambiguity beyond the limits are errors that name the place.
#pragma once

#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct xn_grammar; // immutable once made; may be used by several threads at once

// GBNF. `name` (a file's) stands in messages before line and column.
int xn_grammar_from_gbnf(const char *text, size_t size, const char *name, struct xn_grammar **out,
                         struct xn_error *err);
// JSON texts that a schema allows. Strict: a keyword that can't be honoured is an error that names its place
// ("#/properties/a: ..."); docs/grammars.md says which are honoured. Not every allowed text is accepted (properties
// come in the schema's order, white space is limited), but every accepted text is allowed.
int xn_grammar_from_json_schema(const json_t *schema, struct xn_grammar **out, struct xn_error *err);
// Any JSON object.
int xn_grammar_from_json_object(struct xn_grammar **out, struct xn_error *err);
void xn_grammar_free(struct xn_grammar *grammar); // also NULL
// A copy of its own; and whether two were made of the same, so that what was found out of one holds for the other.
int xn_grammar_copy(const struct xn_grammar *grammar, struct xn_grammar **out, struct xn_error *err);
bool xn_grammar_same(const struct xn_grammar *a, const struct xn_grammar *b);
