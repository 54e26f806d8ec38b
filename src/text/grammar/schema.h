// What the files of the JSON schema compiler share.
#pragma once

#include "text/grammar/form.h"

#include <jansson.h>

// Where in the schema one is, for messages: a path from the innermost name outwards.
struct xn_where {
    const struct xn_where *up;
    const char *name; // NULL: `index`
    size_t index;
};
// A compiler of schemas into a form, which may hold more than them: xn_schema_init, then for each schema `root` and
// `prefix` set and xn_schema_node, then xn_schema_free. Its rules have names that GBNF can't write.
struct xn_schema {
    const json_t *root;
    const char *prefix; // of its rules' names: one for each root; NULL: ""
    char without;       // a character (of 0x20 to 0x7e) that strings only have as an escape; 0: none
    struct xn_form *form;
    struct xn_error *err;
    json_t *merged; // array: what merging made, kept until the end
    struct {
        const json_t *target;
        uint32_t rule;
    } * refs;
    size_t n_refs, refs_capacity;
    unsigned depth, n_named, n_visits;
    uint32_t common[8]; // rules: see xn_json_common; index + 1
};

int xn_schema_init(struct xn_schema *s, struct xn_form *form, struct xn_error *err);
void xn_schema_free(struct xn_schema *s); // not the form
__attribute__((format(printf, 4, 5))) int xn_schema_fail(const struct xn_schema *s, enum xn_status status,
                                                         const struct xn_where *w, const char *format, ...);

// schema.c: the node of a schema; as a rule's call, which may be used twice at no cost.
int xn_schema_node(struct xn_schema *s, const struct xn_where *w, const json_t *schema, uint32_t *node);
int xn_schema_call(struct xn_schema *s, const struct xn_where *w, const json_t *schema, uint32_t *node);
// A call of a new rule of this body, named after the place.
uint32_t xn_schema_rule(struct xn_schema *s, const struct xn_where *w, uint32_t body);
// A keyword that counts something: *value is as before where it is absent.
int xn_schema_count(const struct xn_schema *s, const struct xn_where *w, const json_t *schema, const char *key,
                    uint32_t *value);

// merge.c: a schema that allows what both allow (kept by s->merged), or an error that names what can't be joined.
int xn_schema_merge(struct xn_schema *s, const struct xn_where *w, const json_t *a, const json_t *b,
                    const json_t **out);
int xn_schema_resolve(struct xn_schema *s, const struct xn_where *w, const char *ref, const json_t **out);
bool xn_schema_is_annotation(const char *key);
// Whether no value fits both, as far as can be seen from types, constants, and constants of required properties.
bool xn_schema_disjoint(struct xn_schema *s, const json_t *a, const json_t *b, unsigned depth);

// json.c: JSON itself.
enum xn_json_common {
    XN_JSON_VALUE,
    XN_JSON_STRING,
    XN_JSON_ESCAPE, // what follows a backslash
    XN_JSON_NUMBER,
    XN_JSON_INTEGER,
    XN_JSON_SPACE,
    XN_JSON_OBJECT,
    XN_JSON_ARRAY,
};
uint32_t xn_json_common(struct xn_schema *s, enum xn_json_common which); // a call of the rule
// Any character of a string's contents; not a rule, so that masks of what repeats it don't depend on callers.
uint32_t xn_json_character(struct xn_schema *s);
// A character of a string's contents out of these, escaped where JSON wants that.
uint32_t xn_json_characters(struct xn_schema *s, const struct xn_range *ranges, size_t n, bool negated);
int xn_json_constant(struct xn_schema *s, const struct xn_where *w, const json_t *value, uint32_t *node);
// A key and its colon.
int xn_json_key(struct xn_schema *s, const struct xn_where *w, const char *key, uint32_t *node);

int xn_schema_object(struct xn_schema *s, const struct xn_where *w, const json_t *schema, uint32_t *node);  // object.c
int xn_schema_array(struct xn_schema *s, const struct xn_where *w, const json_t *schema, uint32_t *node);   // array.c
int xn_schema_string(struct xn_schema *s, const struct xn_where *w, const json_t *schema, uint32_t *node);  // string.c
int xn_schema_integer(struct xn_schema *s, const struct xn_where *w, const json_t *schema, uint32_t *node); // integer.c
// pattern.c: what a string whose contents match a regular expression holds (without its quotes).
int xn_schema_pattern(struct xn_schema *s, const struct xn_where *w, const char *pattern, uint32_t *node);
