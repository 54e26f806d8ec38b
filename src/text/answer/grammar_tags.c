// The forms of calls whose parameters are tags. Parameters come in the schema's order, required ones always; values are
// plain text where the schema wants a string (one of them where it lists some), else JSON by the schema.
#include "text/answer/grammar.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static uint32_t text_value(struct xn_grammar_build *b, const struct xn_tags_table *t) {
    return xn_build_text_without(b, (const char *[]){t->value_close, NULL});
}

static bool is_text(unsigned types) {
    return types == 0 || (types & XN_PARAM_STRING);
}

static uint32_t any_value(struct xn_grammar_build *b) {
    return xn_json_common(&b->schema, XN_JSON_VALUE);
}

static int value(struct xn_grammar_build *b, const struct xn_tags_table *t, struct xn_grammar_tool *tool,
                 unsigned types, const json_t *schema, uint32_t *node) {
    if (!is_text(types)) return xn_build_schema(b, tool, schema, any_value, node);
    if (types != XN_PARAM_STRING || !xn_build_listed(b, schema, xn_build_text, node)) *node = text_value(b, t);
    return XN_OK;
}

static uint32_t parameter(struct xn_grammar_build *b, const struct xn_tags_table *t, uint32_t key, uint32_t end,
                          uint32_t content) {
    struct xn_form *f = &b->form;
    const uint32_t line = t->lines ? XN_FORM_LITERAL(f, "\n") : 0, blank = xn_build_lines(b, t->between ? 1 : 0);
    const uint32_t open = t->value_open ? XN_FORM_SEQUENCE_OF(f, blank, xn_build_marker(b, t->value_open)) : 0;
    return XN_FORM_SEQUENCE_OF(f, xn_build_marker(b, t->key_open), key, end, open, line, content, line,
                               xn_build_marker(b, t->value_close), blank);
}

static int call(struct xn_grammar_build *b, const void *table, struct xn_grammar_tool *tool, uint32_t *node) {
    const struct xn_tags_table *t = table;
    struct xn_form *f = &b->form;
    const json_t *schema = json_object_get(tool->function, "parameters"),
                 *properties = json_object_get(schema, "properties");
    const size_t n = json_object_size(properties);
    uint32_t *parts = xn_alloc(n + 1, sizeof *parts);
    if (!parts) return xn_fail(b->err, XN_ERR_NOMEM, "no memory for the tools' grammar");
    size_t k = 0;
    const char *key;
    json_t *one;
    int status = XN_OK;
    json_object_foreach((json_t *)properties, key, one) {
        const unsigned types = xn_param_types(b->rules->tools, tool->name, key);
        uint32_t content = 0, end = xn_build_marker(b, t->key_end);
        status = value(b, t, tool, types, one, &content);
        if (status != XN_OK) break;
        if (t->typed_end)
            end = XN_FORM_SEQUENCE_OF(f, xn_build_text(b, t->typed_end),
                                      xn_build_text(b, is_text(types) ? "true" : "false"), end);
        parts[k] = parameter(b, t, xn_build_text(b, key), end, content);
        if (!xn_build_is_required(schema, key)) parts[k] = xn_build_maybe(b, parts[k]);
        k++;
    }
    if (status == XN_OK) {
        const uint32_t blank = xn_build_lines(b, t->between ? 1 : 0);
        const uint32_t end = t->name_end ? xn_build_text(b, t->name_end) : 0;
        *node = XN_FORM_SEQUENCE_OF(f, xn_build_text(b, tool->name), end, blank,
                                    xn_form_list(f, XN_FORM_SEQUENCE, parts, k), xn_build_marker(b, t->close));
    }
    free(parts);
    return status;
}

int xn_tags_grammar(struct xn_grammar_build *b, const void *table, uint32_t *node) {
    const struct xn_tags_table *t = table;
    struct xn_form *f = &b->form;
    uint32_t one;
    XN_TRY(xn_build_tools(b, table, call, &one));
    const uint32_t blank = xn_build_lines(b, t->between ? 1 : 0);
    one = xn_build_rule(b, "call", XN_FORM_SEQUENCE_OF(f, xn_build_marker(b, t->open), one));
    if (!t->section) {
        *node = xn_build_calls(b, one, blank);
        return XN_OK;
    }
    const uint32_t open = XN_FORM_SEQUENCE_OF(f, xn_build_marker(b, t->section), blank),
                   close = xn_build_marker(b, t->section_close);
    *node = t->each ? xn_build_calls(b, XN_FORM_SEQUENCE_OF(f, open, one, blank, close), blank)
                    : XN_FORM_SEQUENCE_OF(f, open, xn_build_calls(b, one, blank), blank, close);
    return XN_OK;
}
