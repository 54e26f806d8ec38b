// The forms of calls whose arguments are JSON: in objects, and behind a name.
#include "text/answer/grammar.h"

#include <stdlib.h>
#include <string.h>

// A string of JSON as it is written without need of escapes.
static int json_text(struct xn_grammar_build *b, const char *text, uint32_t *node) {
    json_t *value = json_string(text);
    if (!value) return xn_fail(b->err, XN_ERR_ARGUMENT, "tools: a name that is no UTF-8");
    int status = xn_json_constant(&b->schema, NULL, value, node);
    json_decref(value);
    return status;
}

static int object(struct xn_grammar_build *b, const void *table, struct xn_grammar_tool *tool, uint32_t *node) {
    const struct xn_json_table *t = table;
    struct xn_form *f = &b->form;
    const uint32_t blank = xn_json_common(&b->schema, XN_JSON_SPACE), open = XN_FORM_LITERAL(f, "{"),
                   close = XN_FORM_LITERAL(f, "}"), colon = XN_FORM_LITERAL(f, ":");
    uint32_t name, arguments, name_key = 0, arguments_key = 0;
    XN_TRY(json_text(b, tool->name, &name));
    XN_TRY(xn_build_arguments(b, tool, &arguments));
    if (t->single) {
        *node = XN_FORM_SEQUENCE_OF(f, open, blank, name, colon, blank, arguments, blank, close);
        return XN_OK;
    }
    XN_TRY(json_text(b, t->name, &name_key));
    XN_TRY(json_text(b, t->arguments, &arguments_key));
    *node = XN_FORM_SEQUENCE_OF(f, open, blank, name_key, colon, blank, name, XN_FORM_LITERAL(f, ","), blank,
                                arguments_key, colon, blank, arguments, blank, close);
    return XN_OK;
}

int xn_json_grammar(struct xn_grammar_build *b, const void *table, uint32_t *node) {
    const struct xn_json_table *t = table;
    struct xn_form *f = &b->form;
    uint32_t call;
    XN_TRY(xn_build_tools(b, table, object, &call));
    call = xn_build_rule(b, "call", call);
    const char *opener = NULL; // the notation's own, or Mistral's, which has two tables
    for (int i = 0; i < XN_ANSWER_FORMATS && !opener; i++)
        if (xn_notations[i] && xn_notations[i]->table == table) opener = xn_notations[i]->openers[0];
    if (!opener) opener = "[TOOL_CALLS]";
    const uint32_t open = strcmp(opener, "{") == 0 ? 0 : xn_build_marker(b, opener);
    const uint32_t close = t->close && !t->loose ? xn_build_marker(b, t->close) : 0;
    const uint32_t blank = xn_json_common(&b->schema, XN_JSON_SPACE);
    if (t->list) {
        const uint32_t comma = XN_FORM_SEQUENCE_OF(f, XN_FORM_LITERAL(f, ","), blank);
        const uint32_t calls = xn_build_calls(b, call, comma);
        *node = XN_FORM_SEQUENCE_OF(f, open, t->opened ? 0 : blank, t->opened ? 0 : XN_FORM_LITERAL(f, "["), blank,
                                    calls, blank, XN_FORM_LITERAL(f, "]"), xn_build_lines(b, t->after ? 1 : 0), close);
        return XN_OK;
    }
    if (t->between) {
        *node = XN_FORM_SEQUENCE_OF(f, open, xn_build_calls(b, call, xn_build_text(b, t->between)));
        return XN_OK;
    }
    const uint32_t one = XN_FORM_SEQUENCE_OF(f, open, xn_build_lines(b, t->before ? 1 : 0), call,
                                             xn_build_lines(b, t->after ? 1 : 0), close);
    *node = xn_build_calls(b, one, xn_build_lines(b, 2));
    return XN_OK;
}

static int named(struct xn_grammar_build *b, const void *table, struct xn_grammar_tool *tool, uint32_t *node) {
    const struct xn_named_table *t = table;
    struct xn_form *f = &b->form;
    uint32_t arguments;
    XN_TRY(xn_build_arguments(b, tool, &arguments));
    const uint32_t name = xn_build_text(b, tool->name), separator = xn_build_marker(b, t->separator),
                   close = t->close ? xn_build_marker(b, t->close) : 0;
    if (t->functions) {
        const uint32_t index = xn_form_times(f, XN_FORM_SET_OF(f, {'0', '9'}), 1, 3);
        *node = XN_FORM_SEQUENCE_OF(f, XN_FORM_LITERAL(f, "functions."), name, XN_FORM_LITERAL(f, ":"), index,
                                    separator, arguments, close);
        return XN_OK;
    }
    *node = XN_FORM_SEQUENCE_OF(f, name, separator, arguments, close);
    if (t->typed) {
        const uint32_t other =
            XN_FORM_SEQUENCE_OF(f, XN_FORM_LITERAL(f, "function"), separator, name, XN_FORM_LITERAL(f, "\n```json\n"),
                                arguments, XN_FORM_LITERAL(f, "\n```"), close);
        *node = XN_FORM_CHOICE_OF(f, *node, other);
    }
    return XN_OK;
}

int xn_named_grammar(struct xn_grammar_build *b, const void *table, uint32_t *node) {
    const struct xn_named_table *t = table;
    struct xn_form *f = &b->form;
    uint32_t call;
    XN_TRY(xn_build_tools(b, table, named, &call));
    call = xn_build_rule(b, "call", call);
    uint32_t id = 0;
    if (t->id_close) {
        const uint32_t letter = XN_FORM_SET_OF(f, {'0', '9'}, {'a', 'z'}, {'A', 'Z'}, {'_', '_'}, {'-', '-'});
        id = XN_FORM_SEQUENCE_OF(f, xn_form_times(f, letter, 1, 64), xn_build_marker(b, t->id_close));
    }
    call = XN_FORM_SEQUENCE_OF(f, xn_build_marker(b, t->open), id, call);
    const uint32_t calls = xn_build_calls(b, call, t->section ? xn_build_lines(b, 1) : 0);
    *node = !t->section
                ? calls
                : XN_FORM_SEQUENCE_OF(f, xn_build_marker(b, t->section), calls, xn_build_marker(b, t->section_close));
    return XN_OK;
}
