// Random recipes: every processor level gives the plain-C device's logits, whatever the model is made of and however
// its input is cut.
//
// XENON_TEST_SEED repeats the recipe of a failure ("random": others than usual); XENON_TEST_RECIPES asks for more than
// the default number.
#include "recipe_check.h"

#include "base/testing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { DEFAULT_RECIPES = 40, SKIPPED = 77 };

static void every_level_agrees_with_plain_c(void **state) {
    (void)state;
    const char *one = getenv("XENON_TEST_SEED"), *many = getenv("XENON_TEST_RECIPES");
    uint64_t first = test_seed(1);
    unsigned long n = many ? strtoul(many, NULL, 10) : one && strcmp(one, "random") != 0 ? 1 : DEFAULT_RECIPES;
    struct recipe_check check;
    char message[512];
    unsigned long failures = 0;
    recipe_check_open(&check);
    if (check.n_devices == 0) exit(SKIPPED);
    for (unsigned long i = 0; i < n; i++) {
        if (i && i % 500 == 0) fprintf(stderr, "%lu of %lu recipes: %lu fail\n", i, n, failures);
        if (recipe_check_run(&check, first + i, NULL, 0, message, sizeof message)) continue;
        fprintf(stderr, "seed %llu: %s\n", (unsigned long long)(first + i), message);
        failures++;
    }
    recipe_check_close(&check);
    fprintf(stderr, "%lu recipes from seed %llu: %lu fail; %llu ill conditioned; closest %.2f of what is allowed\n", n,
            (unsigned long long)first, failures, (unsigned long long)check.ill, check.worst);
    assert_int_equal(failures, 0);
    assert_true(n < 20 || check.ill < n / 2); // about one in seven is; the rest says something
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_level_agrees_with_plain_c)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
