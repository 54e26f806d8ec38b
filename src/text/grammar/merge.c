// Joining schemas that must hold together, following references, and telling alternatives apart.
#include "text/grammar/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 64, MAX_KEPT = 100000 };

bool xn_schema_is_annotation(const char *key) {
    static const char *const names[] = {"title",     "description", "default",    "examples",   "example",
                                        "$schema",   "$id",         "$comment",   "deprecated", "readOnly",
                                        "writeOnly", "$defs",       "definitions"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], key) == 0) return true;
    return false;
}

// One step of a JSON pointer, "~0" and "~1" undone.
static bool next_name(const char **p, char *name, size_t size) {
    size_t n = 0;
    for (; **p && **p != '/'; ++*p) {
        char c = **p;
        if (c == '~' && ((*p)[1] == '0' || (*p)[1] == '1')) c = *++*p == '0' ? '~' : '/';
        if (n + 1 >= size) return false;
        name[n++] = c;
    }
    name[n] = 0;
    if (**p) ++*p;
    return true;
}

int xn_schema_resolve(struct xn_schema *s, const struct xn_where *w, const char *ref, const json_t **out) {
    if (ref[0] != '#' || (ref[1] && ref[1] != '/'))
        return xn_schema_fail(s, XN_ERR_UNSUPPORTED, w, "'$ref' to '%.80s': only places in this schema (#/...)", ref);
    const json_t *at = s->root;
    const char *p = ref + (ref[1] ? 2 : 1);
    for (char name[256]; *p && at;) {
        if (!next_name(&p, name, sizeof name)) at = NULL;
        char *end;
        const size_t index = json_is_array(at) ? strtoul(name, &end, 10) : 0;
        if (at)
            at = json_is_array(at) ? (*name && !*end ? json_array_get(at, index) : NULL) : json_object_get(at, name);
    }
    if (!at) return xn_schema_fail(s, XN_ERR_FORMAT, w, "'$ref' to '%.80s', which is not there", ref);
    *out = at;
    return XN_OK;
}

static json_t *kept(struct xn_schema *s, json_t *value) {
    if (json_array_size(s->merged) >= MAX_KEPT) {
        json_decref(value);
        return NULL;
    }
    return value && json_array_append_new(s->merged, value) == 0 ? value : NULL;
}

// As JSON schemas compare: 1 is 1.0.
static bool same_value(const json_t *a, const json_t *b) {
    if (json_is_number(a) && json_is_number(b) && json_number_value(a) == json_number_value(b)) return true;
    return json_equal((json_t *)a, (json_t *)b);
}

static bool is_name_of(const json_t *list, const json_t *value) {
    for (size_t i = 0; i < json_array_size(list); i++)
        if (same_value(json_array_get(list, i), value)) return true;
    return json_is_string(list) && same_value(list, value);
}

static json_t *as_list(const json_t *value) {
    return json_is_array(value) ? json_copy((json_t *)value) : json_pack("[O]", value);
}

// Values in both lists; a type that stands for itself; "number" takes "integer".
static json_t *both_of(const json_t *a, const json_t *b, bool types) {
    json_t *out = json_array(), *list = as_list(a);
    json_t *number = json_string("number"), *integer = json_string("integer");
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *one = json_array_get(list, i);
        const bool narrower = types && json_equal(one, integer) && is_name_of(b, number);
        const bool wider = types && json_equal(one, number) && is_name_of(b, integer) && !is_name_of(b, number);
        if (is_name_of(b, one) || narrower)
            json_array_append(out, one);
        else if (wider)
            json_array_append(out, integer);
    }
    json_decref(list);
    json_decref(number);
    json_decref(integer);
    return out;
}

static json_t *all_of(const json_t *a, const json_t *b) {
    json_t *out = json_copy((json_t *)a);
    for (size_t i = 0; i < json_array_size(b); i++)
        if (!is_name_of(a, json_array_get(b, i))) json_array_append(out, json_array_get(b, i));
    return out;
}

static bool one_of(const char *key, const char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], key) == 0) return true;
    return false;
}

// Both hold: the schema {"allOf": [a, b]}, which is taken apart when its turn comes.
static json_t *later(const json_t *a, const json_t *b) {
    if (json_is_false(a) || json_is_false(b)) return json_false();
    return json_pack("{s:[O,O]}", "allOf", a, b);
}

// `additionalProperties` of one schema speaks of names that only the other lists. Where either leaves others out, what
// is listed in one alone would have to meet the other's: joined only where that is plain.
static int closed_names(struct xn_schema *s, const struct xn_where *w, const json_t *a, const json_t *b) {
    const json_t *extra = json_object_get(a, "additionalProperties");
    if (!extra || json_is_true(extra)) return XN_OK;
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(b, "properties"), name, value) {
        if (!json_object_get(json_object_get(a, "properties"), name))
            return xn_schema_fail(s, XN_ERR_UNSUPPORTED, w,
                                  "property '%.60s' of one schema meets additionalProperties of another", name);
    }
    return XN_OK;
}

static int join(struct xn_schema *s, const struct xn_where *w, const char *key, const json_t *a, const json_t *b,
                json_t **out) {
    static const char *const lows[] = {"minimum", "exclusiveMinimum", "minLength", "minItems"};
    static const char *const highs[] = {"maximum", "exclusiveMaximum", "maxLength", "maxItems"};
    *out = NULL;
    if (json_equal((json_t *)a, (json_t *)b))
        *out = json_incref((json_t *)a);
    else if (strcmp(key, "type") == 0 || strcmp(key, "enum") == 0)
        *out = both_of(a, b, key[0] == 't');
    else if (strcmp(key, "required") == 0 && json_is_array(a) && json_is_array(b))
        *out = all_of(a, b);
    else if (one_of(key, lows, 4) || one_of(key, highs, 4))
        *out = json_incref((json_t *)((json_number_value(a) > json_number_value(b)) == one_of(key, lows, 4) ? a : b));
    else if (strcmp(key, "items") == 0 || strcmp(key, "additionalProperties") == 0)
        *out = later(a, b);
    else if (strcmp(key, "properties") == 0 && json_is_object(a) && json_is_object(b)) {
        *out = json_copy((json_t *)a);
        const char *name;
        json_t *value;
        json_object_foreach((json_t *)b, name, value) {
            const json_t *other = json_object_get(a, name);
            json_object_set_new(*out, name, other ? later(other, value) : json_incref(value));
        }
    } else {
        return xn_schema_fail(s, XN_ERR_UNSUPPORTED, w, "two different '%.60s' can't be joined", key);
    }
    return *out ? XN_OK : xn_fail(s->err, XN_ERR_NOMEM, "no memory for a schema");
}

int xn_schema_merge(struct xn_schema *s, const struct xn_where *w, const json_t *a, const json_t *b,
                    const json_t **out) {
    if (json_is_true(a) || json_is_true(b)) {
        *out = json_is_true(a) ? b : a;
        return XN_OK;
    }
    if (json_is_false(a) || json_is_false(b)) {
        *out = json_is_false(a) ? a : b;
        return XN_OK;
    }
    if (!json_is_object(a) || !json_is_object(b))
        return xn_schema_fail(s, XN_ERR_FORMAT, w, "a schema is an object, true or false");
    XN_TRY(closed_names(s, w, a, b));
    XN_TRY(closed_names(s, w, b, a));
    json_t *sum = kept(s, json_copy((json_t *)a));
    if (!sum) return xn_schema_fail(s, XN_ERR_LIMIT, w, "too many schemas to join");
    // `items` of one schema speaks of other places where only one has prefixItems.
    if ((json_object_get(a, "items") || json_object_get(b, "items")) &&
        !json_object_get(a, "prefixItems") != !json_object_get(b, "prefixItems"))
        return xn_schema_fail(s, XN_ERR_UNSUPPORTED, w, "'items' and another's 'prefixItems' can't be joined");
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)b, key, value) {
        const json_t *other = json_object_get(a, key);
        json_t *both;
        if (!other || xn_schema_is_annotation(key)) {
            json_object_set(sum, key, value);
        } else if (!strcmp(key, "anyOf") || !strcmp(key, "oneOf") || !strcmp(key, "$ref")) {
            // A second one of these goes where it is looked at on its own.
            json_t *more = json_object_get(sum, "allOf");
            more = more ? json_copy(more) : json_array();
            if (json_array_append_new(more, json_pack("{s:O}", key, value)) || json_object_set_new(sum, "allOf", more))
                return xn_fail(s->err, XN_ERR_NOMEM, "no memory for a schema");
        } else if (!strcmp(key, "allOf")) {
            json_t *more = json_copy(json_object_get(sum, "allOf"));
            if (json_array_extend(more, value) || json_object_set_new(sum, "allOf", more))
                return xn_schema_fail(s, XN_ERR_FORMAT, w, "'allOf' is no list");
        } else {
            XN_TRY(join(s, w, key, other, value, &both));
            json_object_set_new(sum, key, both);
        }
    }
    *out = sum;
    return XN_OK;
}

// ---- alternatives that exclude each other

static const json_t *through(struct xn_schema *s, const json_t *schema) {
    struct xn_schema quiet = *s;
    quiet.err = NULL;
    for (int i = 0; i < MAX_DEPTH && json_is_object(schema); i++) {
        const char *ref = json_string_value(json_object_get(schema, "$ref"));
        if (!ref || xn_schema_resolve(&quiet, NULL, ref, &schema) != XN_OK) break;
    }
    return schema;
}

// The values that a schema names, as a list (free it), or NULL.
static json_t *named_values(const json_t *schema) {
    const json_t *constant = json_object_get(schema, "const"), *list = json_object_get(schema, "enum");
    return constant ? json_pack("[O]", constant) : json_is_array(list) ? json_copy((json_t *)list) : NULL;
}

static bool types_apart(const json_t *a, const json_t *b) {
    const json_t *x = json_object_get(a, "type"), *y = json_object_get(b, "type");
    if (!x || !y) return false;
    json_t *both = both_of(x, y, true);
    const bool apart = json_array_size(both) == 0;
    json_decref(both);
    return apart;
}

bool xn_schema_disjoint(struct xn_schema *s, const json_t *a, const json_t *b, unsigned depth) {
    a = through(s, a);
    b = through(s, b);
    if (json_is_false(a) || json_is_false(b)) return true;
    if (types_apart(a, b)) return true;
    json_t *x = named_values(a), *y = named_values(b);
    bool apart = x && y;
    for (size_t i = 0; apart && i < json_array_size(x); i++)
        apart = !is_name_of(y, json_array_get(x, i));
    json_decref(x);
    json_decref(y);
    if (apart || depth >= 4) return apart;
    // Objects that both must have a property, and in each it is another. (Both must be objects: else neither is asked.)
    const json_t *objects = json_object_get(a, "type");
    if (!objects || !json_is_string(objects) || strcmp(json_string_value(objects), "object") != 0) return false;
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(a, "properties"), name, value) {
        const json_t *other = json_object_get(json_object_get(b, "properties"), name);
        json_t *key = json_string(name);
        const bool must =
            other && is_name_of(json_object_get(a, "required"), key) && is_name_of(json_object_get(b, "required"), key);
        json_decref(key);
        if (must && xn_schema_disjoint(s, value, other, depth + 1)) return true;
    }
    return false;
}
