// The index of names.
#include "format/index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void names_of_any_length_are_found_and_only_they(void **state) {
    (void)state;
    enum { N = 1000 };
    static char names[N][N + 1]; // "", "n", "nn", ...: prefixes of each other
    struct xn_index index = {0};
    size_t at;
    assert_false(xn_index_find(&index, "", &at));
    for (size_t i = 0; i < N; i++) {
        memset(names[i], 'n', i);
        assert_int_equal(xn_index_add(&index, names[i], i), 0);
        assert_int_equal(xn_index_add(&index, names[i], i + 1), XN_INDEX_DUPLICATE);
    }
    for (size_t i = 0; i < N; i++) {
        assert_true(xn_index_find(&index, names[i], &at));
        assert_int_equal(at, i);
        char other[N + 2];
        memcpy(other, names[i], i);
        memcpy(other + i, "x", 2);
        assert_false(xn_index_find(&index, other, &at));
    }
    xn_index_free(&index);
    assert_false(xn_index_find(&index, "n", &at));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_of_any_length_are_found_and_only_they)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
