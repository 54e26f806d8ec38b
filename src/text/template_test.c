// The template interpreter: small templates against what Jinja2 makes of them, messages, and hostile templates.
#include "text/template.h"

#include "text/template_cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { NOW = 1768469400 }; // 2026-01-15 09:30:00 UTC

static int render(const char *source, const char *variables, const struct xn_template_limits *limits, char **out,
                  size_t *size, struct xn_error *err) {
    *out = NULL;
    struct xn_template *t;
    int status = xn_template_parse(source, strlen(source), "t", &t, err);
    if (status != XN_OK) return status;
    json_t *v = json_loads(variables, JSON_ALLOW_NUL, NULL);
    assert_non_null(v);
    status = xn_template_render(t, v, NOW, limits, out, size, err);
    json_decref(v);
    xn_template_free(t);
    return status;
}

static void small_templates_come_out_as_with_jinja2(void **state) {
    (void)state;
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof template_cases / sizeof *template_cases; i++) {
        const struct template_case *c = &template_cases[i];
        char *out;
        size_t size;
        struct xn_error err = {0};
        int status = render(c->source, case_variables, NULL, &out, &size, &err);
        bool good = c->output ? status == XN_OK && size == c->size && memcmp(out, c->output, size) == 0
                              : status == XN_ERR_TEMPLATE;
        if (!good)
            printf("%s\n  found    %s\n  expected %s\n", c->source, out ? out : err.message,
                   c->output ? c->output : "a failure");
        wrong += !good;
        free(out);
    }
    assert_int_equal(wrong, 0);
}

static void failures_say_where_and_what(void **state) {
    (void)state;
    static const struct {
        const char *source, *message;
    } cases[] = {
        {"a\n{{ nope.x }}", "t:2: 'nope' is undefined"},
        {"{{ d.x.y }}", "t:1: 'dict object' has no attribute 'x'"},
        {"{{ 'a' + l }}", "t:1: can only concatenate str (not \"list\") to str"},
        {"{{ l.append(1) }}", "t:1: access to attribute 'append' of 'list' object is unsafe."},
        {"\n\n{{ x | nofilter }}", "t:3: No filter named 'nofilter'."},
        {"{% for x in none %}{% endfor %}", "t:1: 'NoneType' object is not iterable"},
        {"{% if x %}\n", "t:1: unexpected end of template, expected a tag with elif else endif"},
        {"{{ 1 1 }}", "t:1: expected end of print statement, found '1'"},
        {"{{ (1 ] }}", "t:1: unexpected ']', expected ')'"},
        {"{% nothing %}", "t:1: unknown statement 'nothing'"},
        {"{{ 'abc", "t:1: a string is not closed"},
        {"{# abc", "t:1: missing end of comment tag"},
        {"{{ raise_exception('Bad: ' ~ 5) }}", "Bad: 5"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *out;
        size_t size;
        struct xn_error err;
        assert_int_equal(render(cases[i].source, "{\"d\":{},\"l\":[]}", NULL, &out, &size, &err), XN_ERR_TEMPLATE);
        assert_string_equal(err.message, cases[i].message);
        assert_int_equal(err.status, XN_ERR_TEMPLATE);
        assert_null(out);
    }
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

// `head`, `middle` n times, `tail`.
static char *repeated(const char *head, const char *middle, size_t n, const char *tail) {
    char *text = malloc(strlen(head) + n * strlen(middle) + strlen(tail) + 1), *p = text;
    assert_non_null(text);
    p = stpcpy(p, head);
    for (size_t i = 0; i < n; i++)
        p = stpcpy(p, middle);
    strcpy(p, tail);
    return text;
}

static void must_fail_soon(const char *source, const char *what) {
    char *out;
    size_t size;
    struct xn_error err;
    double start = seconds();
    const struct xn_template_limits limits = {.steps = 2000000, .memory = 32 << 20, .output = 8 << 20};
    int status = render(source, "{\"l\":[1,2,3]}", &limits, &out, &size, &err);
    if (status != XN_ERR_TEMPLATE || !strstr(err.message, what))
        fail_msg("%.60s: status %d, %s", source, status, err.message);
    assert_null(out);
    assert_true(seconds() - start < 20);
}

static void hostile_templates_end(void **state) {
    (void)state;
    static const struct {
        const char *source, *what;
    } cases[] = {
        {"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "more than"},
        {"{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
         "more than"},
        {"{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
         "more than"},
        {"{% set s = 'x' * 9999 %}{% for i in range(99999) %}{{ s }}{% endfor %}", "output is longer"},
        {"{{ 'x' * 999999999999 }}", "more than"},
        {"{{ 'x'.center(999999999999) }}", "more than"},
        {"{{ [1] * 999999999999 }}", "more than"},
        {"{{ '%999999999d' % 1 }}", "more than"},
        {"{{ l|tojson(indent=999999999) }}", "more than"},
        {"{{ l|batch(9999999999, 0)|list }}", "more than"},
        {"{{ 'a'|indent(9999999999, true) }}", "more than"},
        {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nest deeper"},
        {"{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}", "nest deeper"},
        {"{% for x in l recursive %}{{ loop(l) }}{% endfor %}", "nest deeper"},
        {"{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}", "nest deeper"},
        {"{% set ns = namespace(a=[]) %}{% for i in range(9999) %}{% set ns.a = [ns.a] %}{% endfor %}{{ ns.a }}",
         "nest deeper"},
        {"{{ 2 ** 64 }}", "does not fit 64 bits"},
        {"{{ -9223372036854775807 - 2 }}", "does not fit 64 bits"},
        {"{{ (-9223372036854775807 - 1) // -1 }}", "does not fit 64 bits"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        must_fail_soon(cases[i].source, cases[i].what);
    static const struct {
        const char *head, *middle, *tail;
    } deep[] = {
        {"{{ ", "(", ""},
        {"{{ ", "[", ""},
        {"{{ ", "-", "1 }}"},
        {"{{ ", "not ", "1 }}"},
        {"{{ 1", "[1", ""},
        {"{{ l", ".a", " }}"},
        {"", "{% if 1 %}", ""},
        {"", "{% for x in l %}", ""},
        {"{{ l", "|list", " }}"},
        {"{{ 1", "+1", " }}"},
        {"{{ 1", " if 1 else 1", " }}"},
        {"{{ 1", " and 1", " }}"},
    };
    for (size_t i = 0; i < sizeof deep / sizeof *deep; i++) {
        char *source = repeated(deep[i].head, deep[i].middle, 100000, deep[i].tail);
        must_fail_soon(source, "nest deeper");
        free(source);
    }
}

static void garbage_does_not_count(void **state) {
    (void)state;
    // 20000 strings of up to 20 kB are 200 MB together, but only two are alive at a time.
    const char *source = "{% set ns = namespace(s='') %}{% for i in range(20000) %}{% set ns.s = ns.s ~ 'x' %}{% "
                         "endfor %}{{ ns.s|length }}";
    const struct xn_template_limits limits = {.memory = 16 << 20};
    char *out;
    size_t size;
    struct xn_error err;
    if (render(source, "{}", &limits, &out, &size, &err) != XN_OK) fail_msg("%s", err.message);
    assert_string_equal(out, "20000");
    free(out);
}

static void what_is_no_template_or_no_object_is_refused(void **state) {
    (void)state;
    struct xn_template *t;
    struct xn_error err;
    assert_int_equal(xn_template_parse("\xff", 1, "t", &t, &err), XN_ERR_TEMPLATE);
    assert_null(t);
    assert_int_equal(xn_template_parse("", 0, NULL, &t, &err), XN_OK);
    json_t *array = json_array();
    char *out;
    size_t size = 1;
    assert_int_equal(xn_template_render(t, array, NOW, NULL, &out, &size, &err), XN_ERR_ARGUMENT);
    assert_int_equal(xn_template_render(t, NULL, NOW, NULL, &out, &size, NULL), XN_OK);
    assert_int_equal(size, 0);
    assert_string_equal(out, "");
    free(out);
    json_decref(array);
    xn_template_free(t);
    xn_template_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_templates_come_out_as_with_jinja2),
        cmocka_unit_test(failures_say_where_and_what),
        cmocka_unit_test(hostile_templates_end),
        cmocka_unit_test(garbage_does_not_count),
        cmocka_unit_test(what_is_no_template_or_no_object_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
