// JSON schemas: which keywords there are, references, constants, alternatives, and one node for each type.
#include "text/grammar/schema.h"

#include "base/memory.h"
#include "text/grammar/compile.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 100, MAX_VISITS = 50000 };

// The path, "#/properties/a", cut at its start where it does not fit.
static void write_path(const struct xn_where *w, char *out, size_t size) {
    char *p = out + size - 1;
    *p = 0;
    for (; w; w = w->up) {
        char number[24];
        snprintf(number, sizeof number, "%zu", w->index);
        const char *name = w->name ? w->name : number;
        const size_t n = strlen(name);
        if ((size_t)(p - out) < n + 2) break;
        p -= n;
        memcpy(p, name, n);
        *--p = '/';
    }
    *--p = '#';
    memmove(out, p, strlen(p) + 1);
}

int xn_schema_fail(const struct xn_schema *s, enum xn_status status, const struct xn_where *w, const char *format,
                   ...) {
    char path[400], what[400];
    write_path(w, path, sizeof path);
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return xn_fail(s->err, status, "schema %s: %s", path, what);
}

int xn_schema_count(const struct xn_schema *s, const struct xn_where *w, const json_t *schema, const char *key,
                    uint32_t *value) {
    const json_t *count = json_object_get(schema, key);
    if (!count) return XN_OK;
    const double n = json_number_value(count);
    if (!json_is_number(count) || n < 0 || n != (double)(int64_t)n)
        return xn_schema_fail(s, XN_ERR_FORMAT, w, "'%s' is no count", key);
    if (n > XN_FORM_REPEAT) return xn_schema_fail(s, XN_ERR_LIMIT, w, "'%s' is more than %d", key, XN_FORM_REPEAT);
    *value = (uint32_t)n;
    return XN_OK;
}

uint32_t xn_schema_rule(struct xn_schema *s, const struct xn_where *w, uint32_t body) {
    char path[400], name[480];
    write_path(w, path, sizeof path);
    const int n = snprintf(name, sizeof name, "%.40s%s (%u)", s->prefix ? s->prefix : "", path, s->n_named++);
    const uint32_t rule = xn_form_rule(s->form, name, (size_t)n);
    xn_form_define(s->form, rule, body);
    return xn_form_call(s->form, rule);
}

int xn_schema_call(struct xn_schema *s, const struct xn_where *w, const json_t *schema, uint32_t *node) {
    XN_TRY(xn_schema_node(s, w, schema, node));
    if (s->form->status == XN_OK && s->form->nodes[*node].kind != XN_FORM_RULE) *node = xn_schema_rule(s, w, *node);
    return XN_OK;
}

// ---- keywords

enum {
    T_OBJECT = 1,
    T_ARRAY = 2,
    T_STRING = 4,
    T_INTEGER = 8,
    T_NUMBER = 16,
    T_BOOLEAN = 32,
    T_NULL = 64,
    T_ALL = 127
};
static const struct {
    const char *name;
    unsigned type;
} type_names[] = {{"object", T_OBJECT}, {"array", T_ARRAY},     {"string", T_STRING}, {"integer", T_INTEGER},
                  {"number", T_NUMBER}, {"boolean", T_BOOLEAN}, {"null", T_NULL}};
static const struct {
    const char *name;
    unsigned types; // that it says something about
} keywords[] = {
    {"type", T_ALL},
    {"enum", T_ALL},
    {"const", T_ALL},
    {"properties", T_OBJECT},
    {"required", T_OBJECT},
    {"additionalProperties", T_OBJECT},
    {"items", T_ARRAY},
    {"prefixItems", T_ARRAY},
    {"minItems", T_ARRAY},
    {"maxItems", T_ARRAY},
    {"pattern", T_STRING},
    {"minLength", T_STRING},
    {"maxLength", T_STRING},
    {"format", T_STRING},
    {"minimum", T_INTEGER | T_NUMBER},
    {"maximum", T_INTEGER | T_NUMBER},
    {"exclusiveMinimum", T_INTEGER | T_NUMBER},
    {"exclusiveMaximum", T_INTEGER | T_NUMBER},
};

// All keywords are known; *types: those that the ones beside `type` speak of.
static int check_keywords(struct xn_schema *s, const struct xn_where *w, const json_t *schema, unsigned *types) {
    const char *key;
    json_t *value;
    *types = 0;
    json_object_foreach((json_t *)schema, key, value) {
        if (xn_schema_is_annotation(key)) continue;
        size_t i = 0;
        while (i < sizeof keywords / sizeof *keywords && strcmp(keywords[i].name, key) != 0)
            i++;
        if (i == sizeof keywords / sizeof *keywords)
            return xn_schema_fail(s, XN_ERR_UNSUPPORTED, w, "'%.60s' is not supported", key);
        if (keywords[i].types != T_ALL) *types |= keywords[i].types;
    }
    return XN_OK;
}

static int read_types(struct xn_schema *s, const struct xn_where *w, const json_t *type, unsigned *types) {
    *types = 0;
    const size_t n = json_is_array(type) ? json_array_size(type) : 1;
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_array(type) ? json_array_get(type, i) : type;
        const char *name = json_string_value(one);
        size_t k = 0;
        while (name && k < 7 && strcmp(type_names[k].name, name) != 0)
            k++;
        if (!name || k == 7)
            return xn_schema_fail(s, XN_ERR_FORMAT, w, "'type' names no type: '%.40s'", name ? name : "");
        *types |= type_names[k].type;
    }
    if (!*types) return xn_schema_fail(s, XN_ERR_FORMAT, w, "'type' names no type");
    return XN_OK;
}

static unsigned type_of(const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return T_OBJECT;
    case JSON_ARRAY:
        return T_ARRAY;
    case JSON_STRING:
        return T_STRING;
    case JSON_INTEGER:
        return T_INTEGER | T_NUMBER;
    case JSON_REAL:
        return json_real_value(value) == (double)(int64_t)json_real_value(value) ? T_INTEGER | T_NUMBER : T_NUMBER;
    case JSON_NULL:
        return T_NULL;
    default:
        return T_BOOLEAN;
    }
}

// const and enum: those of the values that the type allows. Other keywords beside them can't be looked at.
static int constants(struct xn_schema *s, const struct xn_where *w, const json_t *schema, unsigned types, unsigned said,
                     uint32_t *node) {
    const json_t *constant = json_object_get(schema, "const"), *list = json_object_get(schema, "enum");
    if (list && !json_is_array(list)) return xn_schema_fail(s, XN_ERR_FORMAT, w, "'enum' is no list");
    const size_t n = list ? json_array_size(list) : 1;
    uint32_t *choices = xn_alloc(n + 1, sizeof *choices);
    if (!choices) return xn_fail(s->err, XN_ERR_NOMEM, "no memory for the grammar");
    size_t n_choices = 0;
    int status = XN_OK;
    for (size_t i = 0; status == XN_OK && i < n; i++) {
        const json_t *value = list ? json_array_get(list, i) : constant;
        if (!(type_of(value) & types) || (list && constant && !json_equal((json_t *)value, (json_t *)constant)))
            continue;
        if (type_of(value) & said)
            status = xn_schema_fail(s, XN_ERR_UNSUPPORTED, w, "constants beside other conditions on them");
        else
            status = xn_json_constant(s, w, value, &choices[n_choices++]);
    }
    if (status == XN_OK && n_choices == 0) status = xn_schema_fail(s, XN_ERR_FORMAT, w, "no value is allowed here");
    if (status == XN_OK) *node = xn_form_list(s->form, XN_FORM_CHOICE, choices, n_choices);
    free(choices);
    return status;
}

static int plain_number(struct xn_schema *s, const struct xn_where *w, const json_t *schema, uint32_t *node) {
    static const char *const bounds[] = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"};
    for (int i = 0; i < 4; i++)
        if (json_object_get(schema, bounds[i]))
            return xn_schema_fail(s, XN_ERR_UNSUPPORTED, w, "'%s' of a number that need not be an integer", bounds[i]);
    *node = xn_json_common(s, XN_JSON_NUMBER);
    return XN_OK;
}

static int typed(struct xn_schema *s, const struct xn_where *w, const json_t *schema, uint32_t *node) {
    unsigned said, types = T_ALL;
    XN_TRY(check_keywords(s, w, schema, &said));
    const json_t *type = json_object_get(schema, "type");
    if (type) XN_TRY(read_types(s, w, type, &types));
    if (json_object_get(schema, "enum") || json_object_get(schema, "const"))
        return constants(s, w, schema, types, said, node);
    if (!type && !said) {
        *node = xn_json_common(s, XN_JSON_VALUE);
        return XN_OK;
    }
    // Without `type`, a schema means the types that it says something about; bounds alone mean integers.
    if (!type) types = said & T_INTEGER ? said & ~(unsigned)T_NUMBER : said;
    struct xn_form *f = s->form;
    uint32_t choices[7];
    size_t n = 0;
    if (types & T_OBJECT) XN_TRY(xn_schema_object(s, w, schema, &choices[n++]));
    if (types & T_ARRAY) XN_TRY(xn_schema_array(s, w, schema, &choices[n++]));
    if (types & T_STRING) XN_TRY(xn_schema_string(s, w, schema, &choices[n++]));
    if (types & T_NUMBER)
        XN_TRY(plain_number(s, w, schema, &choices[n++]));
    else if (types & T_INTEGER)
        XN_TRY(xn_schema_integer(s, w, schema, &choices[n++]));
    if (types & T_BOOLEAN) {
        choices[n++] = XN_FORM_LITERAL(f, "true");
        choices[n - 1] = XN_FORM_CHOICE_OF(f, choices[n - 1], XN_FORM_LITERAL(f, "false"));
    }
    if (types & T_NULL) choices[n++] = XN_FORM_LITERAL(f, "null");
    *node = xn_form_list(f, XN_FORM_CHOICE, choices, n);
    return XN_OK;
}

// ---- alternatives and references

static int keep(struct xn_schema *s, json_t *value) {
    return json_array_append_new(s->merged, value) ? xn_fail(s->err, XN_ERR_NOMEM, "no memory for a schema") : XN_OK;
}

// The schema without one keyword.
static int without(struct xn_schema *s, const json_t *schema, const char *key, const json_t **out) {
    json_t *copy = json_copy((json_t *)schema);
    if (!copy || json_object_del(copy, key)) {
        json_decref(copy);
        return xn_fail(s->err, XN_ERR_NOMEM, "no memory for a schema");
    }
    *out = copy;
    return keep(s, copy);
}

static int alternatives(struct xn_schema *s, const struct xn_where *w, const json_t *schema, const char *key,
                        bool apart, uint32_t *node) {
    const json_t *list = json_object_get(schema, key), *rest;
    const size_t n = json_array_size(list);
    const struct xn_where here = {w, key, 0};
    if (n == 0 || n > 1000) return xn_schema_fail(s, XN_ERR_FORMAT, w, "'%s' is no list of 1 to 1000 schemas", key);
    for (size_t i = 0; apart && i < n; i++)
        for (size_t k = 0; k < i; k++)
            if (!xn_schema_disjoint(s, json_array_get(list, k), json_array_get(list, i), 0))
                return xn_schema_fail(s, XN_ERR_UNSUPPORTED, &here,
                                      "alternatives %zu and %zu may both fit (use anyOf, or tell them apart by type or "
                                      "by a constant)",
                                      k, i);
    XN_TRY(without(s, schema, key, &rest));
    uint32_t *choices = xn_alloc(n, sizeof *choices);
    if (!choices) return xn_fail(s->err, XN_ERR_NOMEM, "no memory for the grammar");
    int status = XN_OK;
    for (size_t i = 0; status == XN_OK && i < n; i++) {
        const struct xn_where item = {&here, NULL, i};
        const json_t *both = NULL;
        status = xn_schema_merge(s, &item, rest, json_array_get(list, i), &both);
        if (status == XN_OK) status = xn_schema_node(s, &item, both, &choices[i]);
    }
    if (status == XN_OK) *node = xn_form_list(s->form, XN_FORM_CHOICE, choices, n);
    free(choices);
    return status;
}

static int reference(struct xn_schema *s, const struct xn_where *w, const char *ref, uint32_t *node) {
    const json_t *target;
    XN_TRY(xn_schema_resolve(s, w, ref, &target));
    size_t i = 0;
    while (i < s->n_refs && s->refs[i].target != target)
        i++;
    if (i == s->n_refs) {
        if (XN_GROW(s->refs, s->refs_capacity, s->n_refs + 1))
            return xn_fail(s->err, XN_ERR_NOMEM, "no memory for a schema");
        char *name = xn_format("%s%s", s->prefix ? s->prefix : "", ref);
        if (!name) return xn_fail(s->err, XN_ERR_NOMEM, "no memory for a schema");
        const uint32_t rule = xn_form_rule(s->form, name, strlen(name));
        free(name);
        s->refs[s->n_refs].target = target;
        s->refs[s->n_refs++].rule = rule;
        uint32_t body = 0;
        const struct xn_where there = {NULL, ref + (ref[0] == '#') + (ref[0] == '#' && ref[1] == '/'), 0};
        XN_TRY(xn_schema_node(s, ref[1] ? &there : NULL, target, &body));
        xn_form_define(s->form, rule, body);
    }
    *node = xn_form_call(s->form, s->refs[i].rule);
    return XN_OK;
}

static bool alone(const json_t *schema, const char *key) {
    const char *other;
    json_t *value;
    json_object_foreach((json_t *)schema, other, value) {
        if (strcmp(other, key) != 0 && !xn_schema_is_annotation(other)) return false;
    }
    return true;
}

static int node_of(struct xn_schema *s, const struct xn_where *w, const json_t *schema, uint32_t *node) {
    const json_t *ref = json_object_get(schema, "$ref"), *all = json_object_get(schema, "allOf"), *rest;
    if (ref) {
        if (!json_is_string(ref)) return xn_schema_fail(s, XN_ERR_FORMAT, w, "'$ref' is no text");
        if (alone(schema, "$ref")) return reference(s, w, json_string_value(ref), node);
        const json_t *target;
        XN_TRY(xn_schema_resolve(s, w, json_string_value(ref), &target));
        XN_TRY(without(s, schema, "$ref", &rest));
        XN_TRY(xn_schema_merge(s, w, rest, target, &rest));
        return xn_schema_node(s, w, rest, node);
    }
    if (all) {
        if (!json_is_array(all)) return xn_schema_fail(s, XN_ERR_FORMAT, w, "'allOf' is no list");
        XN_TRY(without(s, schema, "allOf", &rest));
        for (size_t i = 0; i < json_array_size(all); i++) {
            const struct xn_where here = {w, "allOf", 0}, item = {&here, NULL, i};
            XN_TRY(xn_schema_merge(s, &item, rest, json_array_get(all, i), &rest));
        }
        return xn_schema_node(s, w, rest, node);
    }
    if (json_object_get(schema, "anyOf")) return alternatives(s, w, schema, "anyOf", false, node);
    if (json_object_get(schema, "oneOf")) return alternatives(s, w, schema, "oneOf", true, node);
    return typed(s, w, schema, node);
}

int xn_schema_node(struct xn_schema *s, const struct xn_where *w, const json_t *schema, uint32_t *node) {
    if (json_is_true(schema)) {
        *node = xn_json_common(s, XN_JSON_VALUE);
        return XN_OK;
    }
    if (json_is_false(schema)) return xn_schema_fail(s, XN_ERR_FORMAT, w, "no value is allowed here");
    if (!json_is_object(schema)) return xn_schema_fail(s, XN_ERR_FORMAT, w, "a schema is an object, true or false");
    if (s->depth >= MAX_DEPTH) return xn_schema_fail(s, XN_ERR_LIMIT, w, "schemas nest more than %d deep", MAX_DEPTH);
    if (s->n_visits++ >= MAX_VISITS) return xn_schema_fail(s, XN_ERR_LIMIT, w, "more than %d schemas", MAX_VISITS);
    XN_TRY(xn_form_check(s->form, s->err));
    s->depth++;
    int status = node_of(s, w, schema, node);
    s->depth--;
    return status;
}

// ---- the whole

int xn_schema_init(struct xn_schema *s, struct xn_form *form, struct xn_error *err) {
    *s = (struct xn_schema){.form = form, .err = err, .merged = json_array()};
    return s->merged ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "no memory for a schema");
}

void xn_schema_free(struct xn_schema *s) {
    json_decref(s->merged);
    free(s->refs);
}

int xn_grammar_from_json_schema(const json_t *schema, struct xn_grammar **out, struct xn_error *err) {
    *out = NULL;
    struct xn_form form;
    struct xn_schema s;
    xn_form_init(&form);
    uint32_t root = 0;
    int status = xn_schema_init(&s, &form, err);
    s.root = schema;
    if (status == XN_OK) status = xn_schema_node(&s, NULL, schema, &root);
    if (status == XN_OK) {
        xn_form_define(&form, xn_form_rule(&form, "root", 4), root);
        status = xn_form_check(&form, err);
    }
    if (status == XN_OK) status = xn_grammar_compile(&form, "root", out, err);
    xn_schema_free(&s);
    xn_form_free(&form);
    return status;
}

int xn_grammar_from_json_object(struct xn_grammar **out, struct xn_error *err) {
    json_t *schema = json_pack("{s:s}", "type", "object");
    if (!schema) return xn_fail(err, XN_ERR_NOMEM, "no memory for a schema");
    int status = xn_grammar_from_json_schema(schema, out, err);
    json_decref(schema);
    return status;
}
