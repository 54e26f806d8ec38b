// Options that hold a generated text to a grammar, by the names that llama.cpp's commands give them.
#pragma once

#include "cli/options.h"
#include "text/grammar/grammar.h"

struct xn_constraint_options {
    const char *grammar, *grammar_file, *schema;
};
// *out: NULL where none is given.
int xn_constraint_options_read(const struct xn_constraint_options *options, struct xn_grammar **out,
                               struct xn_error *err);

// clang-format off
#define XN_CONSTRAINT_OPTIONS(c)                                                                                       \
    {0, "grammar", XN_OPTION_STRING, &(c).grammar, "GBNF", "the answer is a text of this grammar", 0, 0, NULL},        \
    {0, "grammar-file", XN_OPTION_STRING, &(c).grammar_file, "FILE", "the same from a file", 0, 0, NULL},              \
    {'j', "json-schema", XN_OPTION_STRING, &(c).schema, "JSON",                                                        \
     "the answer is JSON that fits the schema, given as text or as a file; {}: any JSON", 0, 0, NULL}
// clang-format on
