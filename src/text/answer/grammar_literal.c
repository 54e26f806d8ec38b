// The forms of calls whose values are written as Python (LFM2) or Gemma 4 do: by the parts of the schema that have a
// form there (types, enums of texts, properties, items); the rest is any value.
#include "text/answer/grammar.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 12 };

struct literals {
    struct xn_grammar_build *b;
    bool gemma;
    struct xn_grammar_tool *tool;
    int status;           // of schemas
    uint32_t any, string; // calls of rules; 0: not made yet
};

static uint32_t gemma_text(struct xn_grammar_build *b, const char *text) {
    const uint32_t quote = xn_build_marker(b, "<|\"|>");
    return XN_FORM_SEQUENCE_OF(&b->form, quote, xn_build_text(b, text), quote);
}

static uint32_t python_text(struct xn_grammar_build *b, const char *text) {
    uint32_t node = 0;
    json_t *value = json_string(text);
    if (value && xn_json_constant(&b->schema, NULL, value, &node) != XN_OK) node = 0;
    json_decref(value);
    return node;
}

static uint32_t string(struct literals *l) {
    struct xn_grammar_build *b = l->b;
    if (!l->gemma) return xn_json_common(&b->schema, XN_JSON_STRING);
    if (!l->string) {
        const uint32_t quote = xn_build_marker(b, "<|\"|>");
        const uint32_t body = xn_build_text_without(b, (const char *[]){"<|\"|>", NULL});
        l->string = xn_build_rule(b, "text", XN_FORM_SEQUENCE_OF(&b->form, quote, body, quote));
    }
    return l->string;
}

static uint32_t word(struct literals *l, const char *python, const char *gemma) {
    return xn_build_text(l->b, l->gemma ? gemma : python);
}

static uint32_t blank(struct literals *l) {
    return l->gemma ? 0 : xn_build_maybe(l->b, XN_FORM_LITERAL(&l->b->form, " "));
}

static uint32_t listed(struct literals *l, char open, uint32_t item, char close) {
    struct xn_form *f = &l->b->form;
    item = xn_build_rule(l->b, "item", item); // it is used twice
    const uint32_t more = XN_FORM_SEQUENCE_OF(f, XN_FORM_LITERAL(f, ","), blank(l), item);
    const uint32_t items = XN_FORM_SEQUENCE_OF(f, item, xn_form_times(f, more, 0, XN_FORM_UNBOUNDED));
    return XN_FORM_SEQUENCE_OF(f, xn_form_text(f, &open, 1), xn_build_maybe(l->b, items), xn_form_text(f, &close, 1));
}

static uint32_t key_of_any(struct literals *l) {
    struct xn_form *f = &l->b->form;
    if (!l->gemma) return string(l);
    return xn_form_times(f, XN_FORM_SET_OF(f, {'0', '9'}, {'a', 'z'}, {'A', 'Z'}, {'_', '_'}, {'-', '-'}), 1,
                         XN_ANSWER_MARKER - 4);
}

static uint32_t any(struct literals *l) {
    struct xn_grammar_build *b = l->b;
    struct xn_form *f = &b->form;
    if (!l->any) {
        static const char name[] = "(any literal)";
        const uint32_t rule = xn_form_rule(f, name, sizeof name - 1);
        l->any = xn_form_call(f, rule);
        const uint32_t pair =
            XN_FORM_SEQUENCE_OF(f, key_of_any(l), XN_FORM_LITERAL(f, ":"), blank(l), xn_form_call(f, rule));
        xn_form_define(f, rule,
                       XN_FORM_CHOICE_OF(f, string(l), xn_json_common(&b->schema, XN_JSON_NUMBER),
                                         word(l, "True", "true"), word(l, "False", "false"), word(l, "None", "null"),
                                         listed(l, '[', l->any, ']'), listed(l, '{', pair, '}')));
    }
    return l->any;
}

static uint32_t value(struct literals *l, const json_t *schema, unsigned depth);

// Pairs in the schema's order, with commas between those that are there: for each property, what may follow it, from
// the last to the first.
static uint32_t pairs(struct literals *l, const json_t *schema, bool keywords, unsigned depth) {
    struct xn_grammar_build *b = l->b;
    struct xn_form *f = &b->form;
    const json_t *properties = json_object_get(schema, "properties");
    const size_t n = json_object_size(properties);
    const char **keys = xn_alloc(n + 1, sizeof *keys);
    if (!keys) {
        f->status = XN_ERR_NOMEM;
        return 0;
    }
    size_t k = 0;
    const char *key;
    json_t *one;
    json_object_foreach((json_t *)properties, key, one) keys[k++] = key;
    // first: nothing stands before; behind: something does.
    uint32_t first = 0, behind = 0;
    while (k--) {
        const uint32_t name = l->gemma || keywords ? xn_build_text(b, keys[k]) : python_text(b, keys[k]);
        const uint32_t between =
            keywords ? XN_FORM_LITERAL(f, "=") : XN_FORM_SEQUENCE_OF(f, XN_FORM_LITERAL(f, ":"), blank(l));
        const uint32_t pair =
            XN_FORM_SEQUENCE_OF(f, name, between, value(l, json_object_get(properties, keys[k]), depth + 1));
        const uint32_t with = xn_build_rule(b, "pair", XN_FORM_SEQUENCE_OF(f, pair, behind)); // it is used twice
        const uint32_t more = XN_FORM_SEQUENCE_OF(f, XN_FORM_LITERAL(f, ","), blank(l), with);
        const bool required = xn_build_is_required(schema, keys[k]);
        first = required ? with : XN_FORM_CHOICE_OF(f, with, first);
        behind = xn_build_rule(b, "pairs", required ? more : XN_FORM_CHOICE_OF(f, more, behind));
    }
    free(keys);
    return first;
}

static uint32_t object(struct literals *l, const json_t *schema, unsigned depth) {
    struct xn_form *f = &l->b->form;
    if (!json_object_size(json_object_get(schema, "properties"))) {
        const uint32_t pair = XN_FORM_SEQUENCE_OF(f, key_of_any(l), XN_FORM_LITERAL(f, ":"), blank(l), any(l));
        return listed(l, '{', pair, '}');
    }
    return XN_FORM_SEQUENCE_OF(f, XN_FORM_LITERAL(f, "{"), pairs(l, schema, false, depth), XN_FORM_LITERAL(f, "}"));
}

static uint32_t any_number(struct xn_grammar_build *b) {
    return xn_json_common(&b->schema, XN_JSON_NUMBER);
}

// As in JSON, with its bounds.
static uint32_t number(struct literals *l, const char *type, const json_t *schema) {
    static const char *const bounds[] = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"};
    uint32_t node = 0;
    json_t *plain = json_pack("{s:s}", "type", type);
    for (int i = 0; i < 4; i++)
        if (json_object_get(schema, bounds[i])) json_object_set(plain, bounds[i], json_object_get(schema, bounds[i]));
    const int status = plain ? xn_build_schema(l->b, l->tool, plain, any_number, &node) : XN_ERR_NOMEM;
    if (status != XN_OK && l->status == XN_OK) l->status = status;
    json_decref(plain);
    return node;
}

static uint32_t of_type(struct literals *l, const char *type, const json_t *schema, unsigned depth) {
    struct xn_grammar_build *b = l->b;
    struct xn_form *f = &b->form;
    if (!type) return any(l);
    if (strcmp(type, "string") == 0) return string(l);
    if (strcmp(type, "integer") == 0 || strcmp(type, "number") == 0) return number(l, type, schema);
    if (strcmp(type, "boolean") == 0) return XN_FORM_CHOICE_OF(f, word(l, "True", "true"), word(l, "False", "false"));
    if (strcmp(type, "null") == 0) return word(l, "None", "null");
    if (strcmp(type, "array") == 0) {
        const json_t *items = json_object_get(schema, "items");
        return listed(l, '[', json_is_object(items) ? value(l, items, depth + 1) : any(l), ']');
    }
    return strcmp(type, "object") == 0 ? object(l, schema, depth) : any(l);
}

static uint32_t value(struct literals *l, const json_t *schema, unsigned depth) {
    struct xn_grammar_build *b = l->b;
    const json_t *type = json_object_get(schema, "type");
    uint32_t node;
    if (depth > MAX_DEPTH || b->form.status != XN_OK) return any(l);
    if (xn_build_listed(b, schema, l->gemma ? gemma_text : python_text, &node)) return node;
    if (json_object_get(schema, "enum") || json_object_get(schema, "const")) return any(l);
    if (!json_is_array(type)) return of_type(l, json_string_value(type), schema, depth);
    uint32_t choices[8];
    size_t n = 0;
    for (; n < 8 && n < json_array_size(type); n++)
        choices[n] = of_type(l, json_string_value(json_array_get(type, n)), schema, depth);
    return n ? xn_form_list(&b->form, XN_FORM_CHOICE, choices, n) : any(l);
}

// ---- the two notations

static int gemma_call(struct xn_grammar_build *b, const void *table, struct xn_grammar_tool *tool, uint32_t *node) {
    struct literals l = *(const struct literals *)table;
    l.tool = tool;
    const uint32_t arguments = xn_build_takes_nothing(tool)
                                   ? XN_FORM_LITERAL(&b->form, "{}")
                                   : object(&l, json_object_get(tool->function, "parameters"), 0);
    *node = XN_FORM_SEQUENCE_OF(&b->form, xn_build_text(b, tool->name), arguments);
    return l.status;
}

int xn_gemma_grammar(struct xn_grammar_build *b, const void *table, uint32_t *node) {
    (void)table;
    struct xn_form *f = &b->form;
    struct literals l = {.b = b, .gemma = true};
    any(&l); // its rules are shared by all tools
    uint32_t call;
    XN_TRY(xn_build_tools(b, &l, gemma_call, &call));
    const uint32_t one = XN_FORM_SEQUENCE_OF(f, xn_build_marker(b, "<|tool_call>"), XN_FORM_LITERAL(f, "call:"), call,
                                             xn_build_marker(b, "<tool_call|>"));
    *node = xn_build_calls(b, xn_build_rule(b, "call", one), 0);
    return XN_OK;
}

static int lfm2_call(struct xn_grammar_build *b, const void *table, struct xn_grammar_tool *tool, uint32_t *node) {
    struct literals l = *(const struct literals *)table;
    struct xn_form *f = &b->form;
    l.tool = tool;
    *node =
        XN_FORM_SEQUENCE_OF(f, xn_build_text(b, tool->name), XN_FORM_LITERAL(f, "("),
                            pairs(&l, json_object_get(tool->function, "parameters"), true, 0), XN_FORM_LITERAL(f, ")"));
    return l.status;
}

int xn_lfm2_grammar(struct xn_grammar_build *b, const void *table, uint32_t *node) {
    (void)table;
    struct xn_form *f = &b->form;
    struct literals l = {.b = b};
    any(&l);
    uint32_t call;
    XN_TRY(xn_build_tools(b, &l, lfm2_call, &call));
    const uint32_t comma = XN_FORM_SEQUENCE_OF(f, XN_FORM_LITERAL(f, ","), blank(&l));
    *node = XN_FORM_SEQUENCE_OF(f, xn_build_marker(b, "<|tool_call_start|>"), XN_FORM_LITERAL(f, "["),
                                xn_build_calls(b, xn_build_rule(b, "call", call), comma), XN_FORM_LITERAL(f, "]"),
                                xn_build_marker(b, "<|tool_call_end|>"));
    return XN_OK;
}
