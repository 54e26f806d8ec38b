// The arithmetic of perplexity, against values worked out by hand.
#include "engine/perplexity.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void close_to(double found, double expected, double tolerance) {
    if (!(fabs(found - expected) <= tolerance)) fail_msg("found %.17g, expected %.17g", found, expected);
}

static void nll_of_logits(void **state) {
    (void)state;
    const float equal[4] = {7, 7, 7, 7};
    close_to(xn_nll(equal, 4, 2), log(4), 1e-6);
    const float two[2] = {0, logf(3)}; // probabilities 1/4 and 3/4
    close_to(xn_nll(two, 2, 0), log(4), 1e-6);
    close_to(xn_nll(two, 2, 1), log(4.0 / 3), 1e-6);
    const float far[3] = {3e4f, 0, -3e4f}; // neither overflows nor is lost
    close_to(xn_nll(far, 3, 0), 0, 1e-6);
    close_to(xn_nll(far, 3, 2), 6e4, 1e-6);
}

static void mean_and_error(void **state) {
    (void)state;
    struct xn_nll_sum sum = {0};
    const double nlls[4] = {1, 2, 3, 4};
    for (int i = 0; i < 4; i++)
        xn_nll_add(&sum, nlls[i]);
    struct xn_perplexity p = xn_nll_perplexity(&sum, 2);
    close_to(p.nll, 2.5, 1e-12);
    close_to(p.perplexity, exp(2.5), 1e-9);
    // variance 7.5 - 6.25 = 1.25; over n - 1 = 3
    close_to(p.error, exp(2.5) * sqrt(1.25 / 3), 1e-9);
    assert_int_equal(p.tokens, 4);
    assert_int_equal(p.chunks, 2);
}

static void nothing_and_one(void **state) {
    (void)state;
    struct xn_nll_sum sum = {0};
    struct xn_perplexity p = xn_nll_perplexity(&sum, 0);
    assert_int_equal(p.tokens, 0);
    close_to(p.perplexity, 0, 0);
    xn_nll_add(&sum, 3);
    p = xn_nll_perplexity(&sum, 1);
    close_to(p.perplexity, exp(3), 1e-9);
    close_to(p.error, 0, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nll_of_logits),
        cmocka_unit_test(mean_and_error),
        cmocka_unit_test(nothing_and_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
