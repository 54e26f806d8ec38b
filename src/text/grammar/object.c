// Objects: the listed properties in their order, the required ones always, then others where the schema says so.
#include "text/grammar/schema.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_PROPERTIES = 2000, MAX_NAME = 200 };

static bool is_required(const json_t *list, const char *name) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *one = json_string_value(json_array_get(list, i));
        if (one && strcmp(one, name) == 0) return true;
    }
    return false;
}

static int list_names(const struct xn_schema *s, const json_t *properties, const char ***out) {
    const char **names = *out = xn_alloc(json_object_size(properties) + 1, sizeof *names);
    if (!names) return xn_fail(s->err, XN_ERR_NOMEM, "no memory for the grammar");
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)properties, name, value) {
        *names++ = name;
    }
    return XN_OK;
}

// ---- names that are not listed

static int by_name(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// What may follow the first `at` bytes that names[0..n) share (sorted), so that the whole is none of them. Other names
// have no escapes, so that they differ where their characters do.
static int other_than(struct xn_schema *s, const struct xn_where *w, const char **names, size_t n, size_t at,
                      uint32_t *node) {
    struct xn_form *f = s->form;
    const struct xn_range never[] = {{0, 0x1f}, {'"', '"'}, {'\\', '\\'}};
    if (at > MAX_NAME) return xn_schema_fail(s, XN_ERR_LIMIT, w, "a property's name is longer than %d bytes", MAX_NAME);
    struct xn_range *first = xn_alloc(n + 3, sizeof *first);
    uint32_t *choices = xn_alloc(n + 2, sizeof *choices);
    int status = first && choices ? XN_OK : xn_fail(s->err, XN_ERR_NOMEM, "no memory for the grammar");
    size_t n_choices = 0, n_first = 0, i = 0;
    const bool ends = n && names[0][at] == 0;
    i += ends;
    while (status == XN_OK && i < n) {
        uint32_t c = 0, below = 0;
        const size_t length = xn_form_character(names[i] + at, strlen(names[i] + at), &c);
        size_t end = i + 1;
        while (end < n && strncmp(names[i] + at, names[end] + at, length) == 0)
            end++;
        status = length ? other_than(s, w, names + i, end - i, at + length, &below)
                        : xn_schema_fail(s, XN_ERR_FORMAT, w, "a property's name is not UTF-8");
        first[n_first++] = (struct xn_range){c, c};
        if (c >= 0x20 && c != '"' && c != '\\')
            choices[n_choices++] = XN_FORM_SEQUENCE_OF(f, xn_form_text(f, names[i] + at, length), below);
        i = end;
    }
    if (status == XN_OK) {
        memcpy(first + n_first, never, sizeof never);
        const uint32_t any = xn_form_times(f, xn_form_set(f, never, 3, true), 0, XN_FORM_UNBOUNDED);
        choices[n_choices++] = XN_FORM_SEQUENCE_OF(f, xn_form_set(f, first, n_first + 3, true), any);
        if (!ends) choices[n_choices++] = 0;
        *node = xn_form_list(f, XN_FORM_CHOICE, choices, n_choices);
    }
    free(first);
    free(choices);
    return status;
}

static int other_pair(struct xn_schema *s, const struct xn_where *w, const json_t *properties, const json_t *extra,
                      uint32_t *node) {
    struct xn_form *f = s->form;
    const struct xn_where here = {w, "additionalProperties", 0};
    const size_t n = json_object_size(properties);
    const char **names;
    XN_TRY(list_names(s, properties, &names));
    qsort(names, n, sizeof *names, by_name);
    uint32_t key = 0, content = 0;
    int status = n ? other_than(s, &here, names, n, 0, &key) : XN_OK;
    free(names);
    XN_TRY(status);
    const uint32_t quote = XN_FORM_LITERAL(f, "\"");
    key = n ? XN_FORM_SEQUENCE_OF(f, quote, key, quote) : xn_json_common(s, XN_JSON_STRING);
    XN_TRY(xn_schema_call(s, &here, extra, &content));
    *node = XN_FORM_SEQUENCE_OF(f, key, XN_FORM_LITERAL(f, ":"), xn_json_common(s, XN_JSON_SPACE), content);
    *node = xn_schema_rule(s, &here, *node);
    return XN_OK;
}

// ---- the whole

struct rest {
    uint32_t first, later; // what follows where nothing was written yet, and where something was
};

// The end of an object whose `other` pairs (0: none) are free, or at least one where `must`.
static struct rest end_of(struct xn_schema *s, const struct xn_where *w, uint32_t comma, uint32_t other) {
    struct xn_form *f = s->form;
    if (!other) return (struct rest){0, 0};
    const uint32_t later = xn_form_times(f, XN_FORM_SEQUENCE_OF(f, comma, other), 0, XN_FORM_UNBOUNDED);
    const uint32_t called = xn_schema_rule(s, w, later);
    return (struct rest){xn_form_times(f, XN_FORM_SEQUENCE_OF(f, other, called), 0, 1), called};
}

// The properties from the last to the first, each with all that may follow it as a rule, so that the grammar's size is
// that of the list.
static int add_property(struct xn_schema *s, const struct xn_where *w, const char *name, const json_t *schema,
                        bool required, uint32_t comma, struct rest *rest) {
    struct xn_form *f = s->form;
    uint32_t key, value;
    if (!required && json_is_false(schema)) return XN_OK;
    XN_TRY(xn_json_key(s, w, name, &key));
    XN_TRY(xn_schema_node(s, w, schema, &value));
    const uint32_t pair = xn_schema_rule(s, w, XN_FORM_SEQUENCE_OF(f, key, value));
    uint32_t first = XN_FORM_SEQUENCE_OF(f, pair, rest->later);
    uint32_t later = XN_FORM_SEQUENCE_OF(f, comma, pair, rest->later);
    if (!required) {
        first = XN_FORM_CHOICE_OF(f, first, rest->first);
        later = XN_FORM_CHOICE_OF(f, later, rest->later);
    }
    *rest = (struct rest){xn_schema_rule(s, w, first), xn_schema_rule(s, w, later)};
    return XN_OK;
}

static int check_required(struct xn_schema *s, const struct xn_where *w, const json_t *required,
                          const json_t *properties) {
    if (required && !json_is_array(required)) return xn_schema_fail(s, XN_ERR_FORMAT, w, "'required' is no list");
    for (size_t i = 0; i < json_array_size(required); i++) {
        const char *name = json_string_value(json_array_get(required, i));
        if (!name) return xn_schema_fail(s, XN_ERR_FORMAT, w, "'required' holds something that is no name");
        if (!json_object_get(properties, name))
            return xn_schema_fail(s, XN_ERR_UNSUPPORTED, w, "'%.60s' is required but not among the properties", name);
    }
    return XN_OK;
}

int xn_schema_object(struct xn_schema *s, const struct xn_where *w, const json_t *schema, uint32_t *node) {
    struct xn_form *f = s->form;
    const json_t *properties = json_object_get(schema, "properties"),
                 *extra = json_object_get(schema, "additionalProperties");
    const json_t *required = json_object_get(schema, "required");
    if (properties && !json_is_object(properties))
        return xn_schema_fail(s, XN_ERR_FORMAT, w, "'properties' is no object");
    const size_t n = json_object_size(properties);
    if (n > MAX_PROPERTIES) return xn_schema_fail(s, XN_ERR_LIMIT, w, "more than %d properties", MAX_PROPERTIES);
    XN_TRY(check_required(s, w, required, properties));
    if (n == 0 && (!extra || json_is_true(extra))) {
        *node = xn_json_common(s, XN_JSON_OBJECT);
        return XN_OK;
    }
    const uint32_t blank = xn_json_common(s, XN_JSON_SPACE);
    const uint32_t comma = XN_FORM_SEQUENCE_OF(f, XN_FORM_LITERAL(f, ","), blank);
    uint32_t other = 0;
    if (extra && !json_is_false(extra)) XN_TRY(other_pair(s, w, properties, extra, &other));
    struct rest rest = end_of(s, w, comma, other);
    const char **names;
    XN_TRY(list_names(s, properties, &names));
    const struct xn_where list = {w, "properties", 0};
    int status = XN_OK;
    for (size_t i = n; status == XN_OK && i > 0;) {
        const struct xn_where here = {&list, names[--i], 0};
        status = add_property(s, &here, names[i], json_object_get(properties, names[i]),
                              is_required(required, names[i]), comma, &rest);
    }
    free(names);
    XN_TRY(status);
    *node = XN_FORM_SEQUENCE_OF(f, XN_FORM_LITERAL(f, "{"), blank, rest.first, blank, XN_FORM_LITERAL(f, "}"));
    return XN_OK;
}
