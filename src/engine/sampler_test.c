// The sampler: each cut against its definition, reproducibility, and broken logits.
#include "engine/sampler.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { VOCAB = 50, DRAWS = 20000 };

static struct xn_sampling everything_off(float temperature) {
    struct xn_sampling o = xn_sampling_default();
    o.temperature = temperature;
    o.top_k = 0;
    o.top_p = 1;
    o.min_p = 0;
    o.seed = 7;
    return o;
}

static void count(const struct xn_sampling *o, const float *logits, int *counts) {
    struct xn_sampler *s;
    assert_int_equal(xn_sampler_new(o, VOCAB, &s, NULL), XN_OK);
    memset(counts, 0, VOCAB * sizeof *counts);
    for (int i = 0; i < DRAWS; i++)
        counts[xn_sampler_choose(s, logits)]++;
    xn_sampler_free(s);
}

// Logits whose softmax is 1/2, 1/4, 1/8, ... in a scattered order: rank r stands at id r * 7 % VOCAB.
static void halving(float *logits) {
    for (int r = 0; r < VOCAB; r++)
        logits[r * 7 % VOCAB] = -(float)r * logf(2);
}

static void zero_temperature_takes_the_best(void **state) {
    (void)state;
    float logits[VOCAB];
    int counts[VOCAB];
    halving(logits);
    struct xn_sampling o = everything_off(0);
    count(&o, logits, counts);
    assert_int_equal(counts[0], DRAWS);
    logits[3] = logits[9] = 5; // equal: the lower id
    count(&o, logits, counts);
    assert_int_equal(counts[3], DRAWS);
}

static void frequencies_follow_the_softmax(void **state) {
    (void)state;
    float logits[VOCAB];
    int counts[VOCAB];
    halving(logits);
    struct xn_sampling o = everything_off(1);
    count(&o, logits, counts);
    for (int r = 0; r < 5; r++)
        assert_true(fabs(counts[r * 7 % VOCAB] - DRAWS * pow(0.5, r + 1)) < 4 * sqrt(DRAWS * 0.25));
    o.temperature = 0.5f; // probabilities squared: 3/4, 3/16, ...
    count(&o, logits, counts);
    assert_true(fabs(counts[0] - DRAWS * 0.75) < 4 * sqrt(DRAWS * 0.25));
}

static int n_chosen(const int *counts) {
    int n = 0;
    for (int i = 0; i < VOCAB; i++)
        n += counts[i] > 0;
    return n;
}

static void the_cuts_keep_what_they_say(void **state) {
    (void)state;
    float logits[VOCAB];
    int counts[VOCAB];
    halving(logits);
    struct xn_sampling o = everything_off(3);
    o.top_k = 3;
    count(&o, logits, counts);
    assert_int_equal(n_chosen(counts), 3);
    assert_true(counts[0] && counts[7] && counts[14]);
    o = everything_off(3);
    o.top_p = 0.8f; // 1/2 + 1/4 + 1/8 is the first sum to reach it
    count(&o, logits, counts);
    assert_int_equal(n_chosen(counts), 3);
    o = everything_off(3);
    o.min_p = 0.2f; // 1/8 of the best is less
    count(&o, logits, counts);
    assert_int_equal(n_chosen(counts), 3);
    o.min_p = 0.3f;
    count(&o, logits, counts);
    assert_int_equal(n_chosen(counts), 2);
}

static void a_seed_gives_the_same_choices(void **state) {
    (void)state;
    float logits[VOCAB];
    halving(logits);
    struct xn_sampling o = everything_off(2);
    struct xn_sampler *a, *b;
    assert_int_equal(xn_sampler_new(&o, VOCAB, &a, NULL), XN_OK);
    assert_int_equal(xn_sampler_new(&o, VOCAB, &b, NULL), XN_OK);
    o.seed = 8;
    struct xn_sampler *c;
    assert_int_equal(xn_sampler_new(&o, VOCAB, &c, NULL), XN_OK);
    int differ = 0;
    for (int i = 0; i < 200; i++) {
        int32_t x = xn_sampler_choose(a, logits);
        assert_int_equal(x, xn_sampler_choose(b, logits));
        differ += x != xn_sampler_choose(c, logits);
    }
    assert_true(differ > 50);
    xn_sampler_free(a);
    xn_sampler_free(b);
    xn_sampler_free(c);
}

static void a_repeated_token_is_penalized_while_it_is_recent(void **state) {
    (void)state;
    float logits[VOCAB] = {0};
    logits[4] = 2;
    logits[5] = 1.5f;
    struct xn_sampling o = everything_off(0);
    o.repeat_penalty = 2;
    o.repeat_last = 2;
    struct xn_sampler *s;
    assert_int_equal(xn_sampler_new(&o, VOCAB, &s, NULL), XN_OK);
    assert_int_equal(xn_sampler_choose(s, logits), 4);
    xn_sampler_accept(s, 4);
    assert_int_equal(xn_sampler_choose(s, logits), 5);
    xn_sampler_accept(s, 1);
    xn_sampler_accept(s, 2); // 4 leaves the window
    assert_int_equal(xn_sampler_choose(s, logits), 4);
    xn_sampler_accept(s, -1); // no token: ignored
    xn_sampler_accept(s, VOCAB);
    xn_sampler_free(s);
}

static void broken_logits_still_give_a_token(void **state) {
    (void)state;
    float logits[VOCAB];
    int counts[VOCAB];
    for (int i = 0; i < VOCAB; i++)
        logits[i] = NAN;
    struct xn_sampling o = everything_off(1);
    count(&o, logits, counts);
    assert_int_equal(counts[0], DRAWS);
    logits[9] = 1;
    count(&o, logits, counts);
    assert_int_equal(counts[9], DRAWS);
    o.repeat_penalty = 0;
    struct xn_sampler *s;
    assert_int_equal(xn_sampler_new(&o, VOCAB, &s, NULL), XN_ERR_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_temperature_takes_the_best),
        cmocka_unit_test(frequencies_follow_the_softmax),
        cmocka_unit_test(the_cuts_keep_what_they_say),
        cmocka_unit_test(a_seed_gives_the_same_choices),
        cmocka_unit_test(a_repeated_token_is_penalized_while_it_is_recent),
        cmocka_unit_test(broken_logits_still_give_a_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
