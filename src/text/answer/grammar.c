// The grammar of a whole turn: reasoning, then content or calls, or both.
#include "text/answer/grammar.h"

#include "base/memory.h"
#include "text/grammar/compile.h"

#include <stdlib.h>
#include <string.h>

// ---- tools

static int find_tools(struct xn_grammar_build *b) {
    const struct xn_answer_rules *r = b->rules;
    const size_t n = json_array_size(r->tools);
    if (n > XN_GRAMMAR_TOOLS) return xn_fail(b->err, XN_ERR_LIMIT, "tools: %zu, at most %d", n, XN_GRAMMAR_TOOLS);
    b->tools = xn_alloc_zero(n + 1, sizeof *b->tools);
    if (!b->tools) return xn_fail(b->err, XN_ERR_NOMEM, "no memory for the tools' grammar");
    for (size_t i = 0; i < n; i++) {
        const json_t *function = json_object_get(json_array_get(r->tools, i), "function");
        const char *name = json_string_value(json_object_get(function, "name"));
        if (!name || !*name) return xn_fail(b->err, XN_ERR_ARGUMENT, "tools[%zu]: a function without a name", i);
        if (r->only && strcmp(name, r->only) != 0) continue;
        b->tools[b->n_tools++] = (struct xn_grammar_tool){.function = function, .name = name};
    }
    if (r->only && b->n_tools == 0)
        return xn_fail(b->err, XN_ERR_ARGUMENT, "tool_choice: there is no tool '%.60s'", r->only);
    if (r->required && b->n_tools == 0)
        return xn_fail(b->err, XN_ERR_ARGUMENT, "tool_choice: a call is required, but there are no tools");
    return XN_OK;
}

int xn_build_schema(struct xn_grammar_build *b, const struct xn_grammar_tool *tool, const json_t *schema,
                    xn_build_wider *wider, uint32_t *node) {
    const json_t *root = json_object_get(tool->function, "parameters");
    char prefix[32];
    snprintf(prefix, sizeof prefix, "tool %zu ", (size_t)(tool - b->tools));
    b->schema.root = root ? root : schema;
    b->schema.prefix = prefix;
    struct xn_error *err = b->schema.err, own;
    const size_t n_refs = b->schema.n_refs;
    b->schema.err = &own;
    int status = xn_schema_node(&b->schema, NULL, schema, node);
    b->schema.err = err;
    b->schema.prefix = NULL;
    if (status != XN_OK) b->schema.n_refs = n_refs; // their rules may have no bodies
    if (status == XN_ERR_UNSUPPORTED && !json_is_true(json_object_get(tool->function, "strict"))) {
        *node = wider(b);
        return XN_OK;
    }
    return status == XN_OK ? XN_OK : xn_fail(b->err, status, "tool '%.60s': %s", tool->name, own.message);
}

static uint32_t any_object(struct xn_grammar_build *b) {
    return xn_json_common(&b->schema, XN_JSON_OBJECT);
}

bool xn_build_takes_nothing(const struct xn_grammar_tool *tool) {
    const json_t *schema = json_object_get(tool->function, "parameters"), *more;
    if (!schema || json_is_null(schema)) return true;
    more = json_object_get(schema, "additionalProperties");
    return json_is_object(json_object_get(schema, "properties")) &&
           json_object_size(json_object_get(schema, "properties")) == 0 && (!more || json_is_false(more)) &&
           !json_object_get(schema, "$ref") && !json_object_get(schema, "anyOf") && !json_object_get(schema, "allOf");
}

int xn_build_arguments(struct xn_grammar_build *b, struct xn_grammar_tool *tool, uint32_t *node) {
    if (!tool->arguments) {
        const json_t *schema = json_object_get(tool->function, "parameters");
        *node = xn_build_takes_nothing(tool) ? XN_FORM_LITERAL(&b->form, "{}") : any_object(b);
        if (json_object_size(schema) && !xn_build_takes_nothing(tool))
            XN_TRY(xn_build_schema(b, tool, schema, any_object, node));
        tool->arguments = xn_build_rule(b, "arguments", *node);
    }
    *node = tool->arguments;
    return XN_OK;
}

int xn_build_tools(struct xn_grammar_build *b, const void *table, xn_build_tool *one, uint32_t *node) {
    uint32_t choices[XN_GRAMMAR_TOOLS];
    for (size_t i = 0; i < b->n_tools; i++)
        XN_TRY(one(b, table, &b->tools[i], &choices[i]));
    *node = xn_form_list(&b->form, XN_FORM_CHOICE, choices, b->n_tools);
    return XN_OK;
}

uint32_t xn_build_calls(struct xn_grammar_build *b, uint32_t call, uint32_t between) {
    if (!b->rules->parallel) return call;
    const uint32_t more = XN_FORM_SEQUENCE_OF(&b->form, between, call);
    return XN_FORM_SEQUENCE_OF(&b->form, call, xn_form_times(&b->form, more, 0, XN_FORM_UNBOUNDED));
}

int xn_grammar_either(struct xn_grammar_build *b, xn_calls_grammar *first, const void *first_table,
                      xn_calls_grammar *second, const void *second_table, uint32_t *node) {
    uint32_t one, other;
    XN_TRY(first(b, first_table, &one));
    XN_TRY(second(b, second_table, &other));
    *node = XN_FORM_CHOICE_OF(&b->form, one, other);
    return XN_OK;
}

// ---- the turn

int xn_build_content(struct xn_grammar_build *b, uint32_t *node) {
    const struct xn_answer_rules *r = b->rules;
    switch (r->content) {
    case XN_ANSWER_ANY:
        *node = xn_build_any_text(b);
        return XN_OK;
    case XN_ANSWER_JSON:
        *node = xn_json_common(&b->content, XN_JSON_OBJECT);
        return XN_OK;
    case XN_ANSWER_SCHEMA:
        return xn_schema_node(&b->content, NULL, r->schema, node);
    default:
        *node = xn_form_call(&b->form, xn_form_rule(&b->form, "root", 4)); // read before everything else
        return XN_OK;
    }
}

// What stands before: the rest of the reasoning, or all of it.
static uint32_t reasoning(struct xn_grammar_build *b) {
    const struct xn_answer_style *style = &b->rules->style;
    struct xn_form *f = &b->form;
    if (!style->think_open || !style->think_close) return 0;
    const uint32_t rest = XN_FORM_SEQUENCE_OF(f, xn_build_text_without(b, (const char *[]){style->think_close, NULL}),
                                              xn_build_marker(b, style->think_close), xn_build_lines(b, 2));
    if (b->rules->thinking) return rest;
    const uint32_t all = XN_FORM_SEQUENCE_OF(f, xn_build_lines(b, 2), xn_build_marker(b, style->think_open), rest);
    return xn_build_maybe(b, all);
}

static int turn(struct xn_grammar_build *b, const struct xn_notation *notation, uint32_t *node) {
    const struct xn_answer_rules *r = b->rules;
    struct xn_form *f = &b->form;
    uint32_t calls = 0, content = 0, rest;
    if (b->n_tools || notation->own) XN_TRY(notation->grammar(b, notation->table, &calls));
    if (notation->own) { // which has placed everything itself
        *node = calls;
        return XN_OK;
    }
    if (calls) calls = XN_FORM_SEQUENCE_OF(f, xn_build_lines(b, 2), calls, xn_build_lines(b, 2));
    if (r->required) {
        rest = calls;
    } else if (r->content == XN_ANSWER_ANY && b->n_tools) {
        // Free until a call begins. Where an answer that is an object is a call, other answers begin otherwise.
        if (notation->at_start) {
            const uint32_t start = xn_form_set(f, (struct xn_range[]){{'{', '{'}, {' ', ' '}, {'\n', '\n'}}, 3, true);
            content = xn_build_maybe(b, XN_FORM_SEQUENCE_OF(f, start, xn_build_any_text(b)));
            rest = XN_FORM_CHOICE_OF(f, content, calls);
        } else {
            content = xn_build_text_without(b, notation->openers);
            rest = XN_FORM_SEQUENCE_OF(f, content, xn_build_maybe(b, calls));
        }
    } else {
        XN_TRY(xn_build_content(b, &content));
        rest = b->n_tools ? XN_FORM_CHOICE_OF(f, content, calls) : content;
    }
    *node = XN_FORM_SEQUENCE_OF(f, reasoning(b), rest);
    return XN_OK;
}

static int build(struct xn_grammar_build *b, struct xn_grammar **out) {
    const struct xn_answer_rules *r = b->rules;
    if (r->content == XN_ANSWER_GBNF) XN_TRY(xn_form_read_gbnf(&b->form, r->gbnf, r->gbnf_size, "grammar", b->err));
    XN_TRY(xn_schema_init(&b->schema, &b->form, b->err));
    XN_TRY(xn_schema_init(&b->content, &b->form, b->err));
    b->content.root = r->schema;
    b->content.prefix = "content ";
    XN_TRY(find_tools(b));
    const struct xn_notation *notation =
        xn_notations[r->style.format == XN_ANSWER_PLAIN ? XN_ANSWER_HERMES : r->style.format];
    if (notation->grammar == xn_tags_grammar) b->schema.without = '<'; // so that no value has the tag that ends it
    uint32_t root = 0;
    XN_TRY(turn(b, notation, &root));
    static const char name[] = "(answer)";
    xn_form_define(&b->form, xn_form_rule(&b->form, name, sizeof name - 1), root);
    XN_TRY(xn_form_check(&b->form, b->err));
    return xn_grammar_compile(&b->form, name, out, b->err);
}

int xn_answer_grammar(const struct xn_answer_rules *rules, struct xn_grammar **out, struct xn_error *err) {
    *out = NULL;
    if (json_array_size(rules->tools) == 0 && !rules->required && !rules->only && rules->content == XN_ANSWER_ANY)
        return XN_OK;
    struct xn_error own; // so that there always is one
    struct xn_grammar_build b = {.rules = rules, .err = err ? err : &own};
    xn_form_init(&b.form);
    int status = build(&b, out);
    xn_schema_free(&b.schema);
    xn_schema_free(&b.content);
    xn_form_free(&b.form);
    free(b.tools);
    return status;
}
