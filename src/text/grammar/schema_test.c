// JSON schemas: the cases of tests/grammar/cases.json (checked there against python's jsonschema), what is refused, and
// hostile schemas.
#include "text/grammar/testing.h"

#include "base/file.h"

#include <time.h>

static unsigned wrong_texts(const struct xn_grammar *g, const char *name, const json_t *texts, bool good) {
    unsigned wrong = 0;
    for (size_t i = 0; i < json_array_size(texts); i++) {
        const char *text = json_string_value(json_array_get(texts, i));
        if (accepts(g, text) == good) continue;
        printf("%s\n  %s %s\n", name, good ? "refuses" : "accepts", text);
        wrong++;
    }
    return wrong;
}

static void each_keyword_holds(void **state) {
    (void)state;
    const char *source = getenv("XENON_SOURCE");
    assert_non_null(source);
    char path[512];
    snprintf(path, sizeof path, "%s/tests/grammar/cases.json", source);
    json_error_t where;
    json_t *cases = json_load_file(path, 0, &where);
    if (!cases) fail_msg("%s: %s", path, where.text);
    assert_true(json_array_size(cases) > 50);
    unsigned wrong = 0;
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *one = json_array_get(cases, i);
        char *name = json_dumps(json_object_get(one, "schema"), JSON_ENCODE_ANY | JSON_COMPACT);
        struct xn_grammar *g = schema(name);
        wrong += wrong_texts(g, name, json_object_get(one, "good"), true);
        wrong += wrong_texts(g, name, json_object_get(one, "bad"), false);
        wrong += wrong_texts(g, name, json_object_get(one, "narrow"), false);
        xn_grammar_free(g);
        free(name);
    }
    json_decref(cases);
    assert_int_equal(wrong, 0);
}

static void integers_between_all_small_bounds(void **state) {
    (void)state;
    char text[128];
    for (int low = -12; low <= 112; low += 4)
        for (int high = low; high <= 125; high += 9) {
            snprintf(text, sizeof text, "{\"type\":\"integer\",\"minimum\":%d,\"maximum\":%d}", low, high);
            struct xn_grammar *g = schema(text);
            for (int i = -130; i <= 1300; i += i < 130 ? 1 : 37) {
                snprintf(text, sizeof text, "%d", i);
                if (accepts(g, text) != (i >= low && i <= high)) fail_msg("%d in [%d, %d]", i, low, high);
            }
            xn_grammar_free(g);
        }
}

static int compile(const char *text, struct xn_error *err) {
    struct xn_grammar *g;
    json_error_t where;
    json_t *json = json_loads(text, JSON_DECODE_ANY, &where);
    if (!json) fail_msg("%s: %s", text, where.text);
    int status = xn_grammar_from_json_schema(json, &g, err);
    if ((status == XN_OK) != !!g) fail_msg("status and grammar of %s", text);
    xn_grammar_free(g);
    json_decref(json);
    return status;
}

static void what_cannot_be_honoured_is_named(void **state) {
    (void)state;
    static const struct {
        const char *schema, *message;
    } cases[] = {
        {"1", "schema #: a schema is an object, true or false"},
        {"false", "schema #: no value is allowed here"},
        {"{\"properties\":{\"a\":{\"not\":{}}}}", "schema #/properties/a: 'not' is not supported"},
        {"{\"type\":\"array\",\"uniqueItems\":true}", "schema #: 'uniqueItems' is not supported"},
        {"{\"type\":\"array\",\"items\":{\"anyOf\":[{},{\"type\":\"text\"}]}}",
         "schema #/items/anyOf/1: 'type' names no type: 'text'"},
        {"{\"type\":\"number\",\"minimum\":1}", "schema #: 'minimum' of a number that need not be an integer"},
        {"{\"type\":\"integer\",\"minimum\":3,\"maximum\":1}", "schema #: no integer is between the bounds 3 and 1"},
        {"{\"type\":\"string\",\"format\":\"email\"}", "schema #: format 'email' is not supported"},
        {"{\"type\":\"string\",\"pattern\":\"a(?=b)\"}", "schema #/pattern: at byte 3: look-arounds are not supported"},
        {"{\"type\":\"string\",\"pattern\":\"(a)\\\\1\"}", "schema #/pattern: at byte 4: this escape is not supported"},
        {"{\"type\":\"string\",\"pattern\":\"a\",\"maxLength\":3}",
         "schema #: only one of 'pattern', 'format' and lengths"},
        {"{\"enum\":[]}", "schema #: no value is allowed here"},
        {"{\"enum\":[\"abc\"],\"maxLength\":1}", "schema #: constants beside other conditions on them"},
        {"{\"type\":\"object\",\"required\":[\"a\"]}", "schema #: 'a' is required but not among the properties"},
        {"{\"$ref\":\"#/$defs/a\"}", "schema #: '$ref' to '#/$defs/a', which is not there"},
        {"{\"$ref\":\"http://x\"}", "schema #: '$ref' to 'http://x': only places in this schema (#/...)"},
        {"{\"$ref\":\"#\"}", "rule 'root' accepts no text: what it asks for never ends"},
        {"{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"number\"}]}",
         "schema #/oneOf: alternatives 0 and 1 may both fit (use anyOf, or tell them apart by type or by a constant)"},
        {"{\"oneOf\":[{\"const\":1},{\"enum\":[2,1.0]}]}",
         "schema #/oneOf: alternatives 0 and 1 may both fit (use anyOf, or tell them apart by type or by a constant)"},
        {"{\"allOf\":[{\"pattern\":\"a\"},{\"pattern\":\"b\"}]}",
         "schema #/allOf/1: two different 'pattern' can't be joined"},
        {"{\"allOf\":[{\"properties\":{\"a\":{}},\"additionalProperties\":false},{\"properties\":{\"b\":{}}}]}",
         "schema #/allOf/1: property 'b' of one schema meets additionalProperties of another"},
        {"{\"type\":\"string\",\"maxLength\":1000000}", "schema #: 'maxLength' is more than 100000"},
        {"{\"type\":\"array\",\"minItems\":3,\"maxItems\":2}", "schema #: at least 3 items, but at most 2"},
        {"{\"allOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", "schema #: 'type' names no type"},
    };
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct xn_error err = {0};
        if (compile(cases[i].schema, &err) == XN_OK || strcmp(err.message, cases[i].message) != 0) {
            printf("%s\n  says %s\n  not  %s\n", cases[i].schema, err.message, cases[i].message);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

static void hostile_schemas_end_quickly(void **state) {
    (void)state;
    char *deep = malloc(1 << 20), *p = deep;
    for (int i = 0; i < 1500; i++)
        p += sprintf(p, "{\"type\":\"array\",\"items\":");
    p += sprintf(p, "{}");
    for (int i = 0; i < 1500; i++)
        *p++ = '}';
    *p = 0;
    char *wide = malloc(1 << 20); // each level asks for the next twice
    p = wide + sprintf(wide, "{\"$ref\":\"#/$defs/d0\",\"$defs\":{");
    for (int i = 0; i < 60; i++)
        p +=
            sprintf(p, "\"d%d\":{\"allOf\":[{\"$ref\":\"#/$defs/d%d\"},{\"$ref\":\"#/$defs/d%d\"}]},", i, i + 1, i + 1);
    sprintf(p, "\"d60\":{}}}");
    const char *const schemas[] = {
        deep,
        wide,
        "{\"allOf\":[{\"$ref\":\"#\"},{\"$ref\":\"#\"}]}",
        "{\"anyOf\":[{\"$ref\":\"#\",\"minimum\":1},{\"$ref\":\"#\",\"minimum\":2}]}",
        "{\"$ref\":\"#\",\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#\"}}}",
        "{\"type\":\"array\",\"maxItems\":100000,\"items\":{\"type\":\"array\",\"maxItems\":100000,\"items\":"
        "{\"type\":\"string\",\"minLength\":100000}}}",
        "{\"type\":\"string\",\"pattern\":\"((a{1000}){1000}){1000}\"}",
        "{\"type\":\"string\",\"pattern\":\"((a*)*)*b\"}",
    };
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++) {
        struct xn_error err = {0};
        if (compile(schemas[i], &err) != XN_OK && !err.message[0]) fail_msg("no message: %.80s", schemas[i]);
    }
    clock_gettime(CLOCK_MONOTONIC, &b);
    if (b.tv_sec - a.tv_sec > 30) fail_msg("%ld seconds", (long)(b.tv_sec - a.tv_sec));
    struct xn_error err;
    assert_int_equal(compile(deep, &err), XN_ERR_LIMIT);
    free(deep);
    free(wide);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_keyword_holds),
        cmocka_unit_test(integers_between_all_small_bounds),
        cmocka_unit_test(what_cannot_be_honoured_is_named),
        cmocka_unit_test(hostile_schemas_end_quickly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
