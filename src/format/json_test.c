// JSON as it is found in models' folders: errors with places, and the numbers that only Python writes.
#include "format/source.h"

#include "base/file.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static json_t *parse(const char *text) {
    json_t *value;
    struct xn_error err;
    if (xn_json_parse(text, strlen(text), "FILE", &value, &err) != XN_OK) fail_msg("%s: %s", text, err.message);
    return value;
}

static void numbers_that_only_python_writes_are_read(void **state) {
    (void)state;
    json_t *v = parse("{\"a\": NaN, \"b\":[Infinity,-Infinity ,1e999, -1e999], \"c\": 1000000000000000019884624838656,"
                      " \"d\": {\"__float__\": \"Infinity\"}, \"e\": \"NaN, Infinity and \\\" -1e999\", \"f\": 1.5,"
                      " \"g\": 9223372036854775807, \"h\": -9223372036854775809, \"NaN\": 3}");
    double x;
    assert_true(xn_json_float(json_object_get(v, "a"), &x) && isnan(x));
    const json_t *b = json_object_get(v, "b");
    assert_true(xn_json_float(json_array_get(b, 0), &x) && x == (double)INFINITY);
    assert_true(xn_json_float(json_array_get(b, 1), &x) && x == -(double)INFINITY);
    assert_true(xn_json_float(json_array_get(b, 2), &x) && x == (double)INFINITY);
    assert_true(xn_json_float(json_array_get(b, 3), &x) && x == -(double)INFINITY);
    assert_true(xn_json_float(json_object_get(v, "c"), &x) && x == 1e30);
    assert_true(xn_json_float(json_object_get(v, "d"), &x) && x == (double)INFINITY);
    assert_string_equal(json_string_value(json_object_get(v, "e")), "NaN, Infinity and \" -1e999");
    assert_false(xn_json_float(json_object_get(v, "e"), &x));
    assert_true(xn_json_float(json_object_get(v, "f"), &x) && x == 1.5);
    assert_true(json_integer_value(json_object_get(v, "g")) == INT64_MAX);
    assert_true(json_is_real(json_object_get(v, "h")));
    assert_int_equal(json_integer_value(json_object_get(v, "NaN")), 3);
    assert_false(xn_json_float(NULL, &x));
    assert_false(xn_json_float(b, &x));
    json_decref(v);
    v = parse("{\"__float__\": \"much\"}");
    assert_false(xn_json_float(v, &x));
    json_decref(v);
    v = parse("-Infinity");
    assert_true(xn_json_float(v, &x) && x == -(double)INFINITY);
    json_decref(v);
    v = parse("\"a\\u0000b\"");
    assert_int_equal(json_string_length(v), 3);
    json_decref(v);
}

static void errors_name_line_and_column(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "FILE: line 1, column 0"},
        {"{\"a\": 1,\n \"b\" 2}", "FILE: line 2, column 6"},
        {"{\"a\": 1,\n \"a\": 2}", "FILE: line 2, column 4: duplicate object key"},
        {"[NaN, Infinity,\n 1e999, x]", "FILE: line 2, column 9"}, // not where it would be in a rewritten text
        {"[NaN, Infinity, x]", "FILE: line 1, column 17"},
        {"[1, 2", "FILE: line 1, column 5"},
        {"{} {}", "FILE: line 1, column 4"},
        {"[1.]", "FILE: line 1"},
        {"[01]", "FILE: line 1"},
        {"[NaNs]", "FILE: line 1"},
        {"[+Infinity]", "FILE: line 1"},
        {"[123456789012345678901234567890x]", "FILE: line 1"},
        {"\"\xff\"", "FILE: line 1"},
        {"\"no end", "FILE: line 1"},
        {"\"\\", "FILE: line 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *value;
        struct xn_error err;
        // A copy of exactly that size: the sanitizers see any read past it.
        size_t size = strlen(cases[i].text);
        char *copy = malloc(size + !size);
        memcpy(copy, cases[i].text, size);
        assert_int_equal(xn_json_parse(copy, size, "FILE", &value, &err), XN_ERR_FORMAT);
        assert_null(value);
        if (!strstr(err.message, cases[i].message))
            fail_msg("%s: '%s', '%s' expected", cases[i].text, err.message, cases[i].message);
        free(copy);
    }
}

static void depth_ends(void **state) {
    (void)state;
    enum { N = 1000000 };
    char *text = malloc(N);
    memset(text, '[', N);
    json_t *value;
    struct xn_error err;
    assert_int_equal(xn_json_parse(text, N, "FILE", &value, &err), XN_ERR_FORMAT);
    assert_non_null(strstr(err.message, "FILE: line 1"));
    free(text);
}

static void files_are_read_up_to_a_limit(void **state) {
    (void)state;
    char path[] = "/tmp/xenon-json-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "{\"a\": 1}", 8), 8);
    close(fd);
    json_t *value;
    struct xn_error err;
    assert_int_equal(xn_json_file(path, 8, &value, &err), XN_OK);
    assert_int_equal(json_integer_value(json_object_get(value, "a")), 1);
    json_decref(value);
    assert_int_equal(xn_json_file(path, 7, &value, &err), XN_ERR_LIMIT);
    assert_null(value);
    unlink(path);
    assert_int_equal(xn_json_file(path, 7, &value, &err), XN_ERR_IO);
    assert_non_null(strstr(err.message, path));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_that_only_python_writes_are_read),
        cmocka_unit_test(errors_name_line_and_column),
        cmocka_unit_test(depth_ends),
        cmocka_unit_test(files_are_read_up_to_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
