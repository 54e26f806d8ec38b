// What the grammars of calls are built with: pieces of a form (text/grammar/form.h). As there, functions that give a
// node fail by the form's status; those that look at schemas give an error.
#pragma once

#include "text/answer/internal.h"
#include "text/grammar/schema.h"
#include "text/grammar/vocabulary.h"

enum { XN_GRAMMAR_TOOLS = 512 }; // at most

struct xn_grammar_build {
    const struct xn_answer_rules *rules;
    struct xn_form form;
    struct xn_schema schema, content; // of the tools; of the content
    struct xn_error *err;
    // The tools that may be called.
    struct xn_grammar_tool {
        const json_t *function;
        const char *name;
        uint32_t arguments; // node; 0: not made yet
    } * tools;
    size_t n_tools;
};

// grammar_text.c
// A text of the notation whose markers (<...>, [...]) may be special tokens or text.
uint32_t xn_build_marker(struct xn_grammar_build *b, const char *text);
// Any text that has none of the markers in it (NULL ends them; all begin with the same character, which they don't have
// again). A marker may follow, or nothing.
uint32_t xn_build_text_without(struct xn_grammar_build *b, const char *const *markers);
uint32_t xn_build_any_text(struct xn_grammar_build *b);
// At most `most` line ends.
uint32_t xn_build_lines(struct xn_grammar_build *b, uint32_t most);
uint32_t xn_build_text(struct xn_grammar_build *b, const char *text); // NULL: the empty text
uint32_t xn_build_maybe(struct xn_grammar_build *b, uint32_t node);
uint32_t xn_build_repeat(struct xn_grammar_build *b, uint32_t node, uint32_t least, uint32_t most);
uint32_t xn_build_rule(struct xn_grammar_build *b, const char *name, uint32_t body); // a call of a new rule

// grammar.c
// A schema within the tool's, as JSON. One that can't be honoured is an error where the tool says "strict", else
// `wider` gives what is taken in its place.
typedef uint32_t xn_build_wider(struct xn_grammar_build *b);
int xn_build_schema(struct xn_grammar_build *b, const struct xn_grammar_tool *tool, const json_t *schema,
                    xn_build_wider *wider, uint32_t *node);
// The arguments of a tool as JSON, by its schema, or any object.
int xn_build_arguments(struct xn_grammar_build *b, struct xn_grammar_tool *tool, uint32_t *node);
// Its schema is missing, or lists no properties: it is called without arguments.
bool xn_build_takes_nothing(const struct xn_grammar_tool *tool);
// For each tool a node, as alternatives.
typedef int xn_build_tool(struct xn_grammar_build *b, const void *table, struct xn_grammar_tool *tool, uint32_t *node);
int xn_build_tools(struct xn_grammar_build *b, const void *table, xn_build_tool *one, uint32_t *node);
// call, or with parallel calls: more of them, `between` in between.
uint32_t xn_build_calls(struct xn_grammar_build *b, uint32_t call, uint32_t between);
// What content has to be.
int xn_build_content(struct xn_grammar_build *b, uint32_t *node);
// Whether an object's schema wants the property.
bool xn_build_is_required(const json_t *schema, const char *key);
// Texts of an enum of texts alone, as `write` gives them. false: it is none.
bool xn_build_listed(struct xn_grammar_build *b, const json_t *schema,
                     uint32_t (*write)(struct xn_grammar_build *b, const char *text), uint32_t *node);
