// Choices by the best tokens of a row are those by all of its logits: the same tokens, probabilities and
// log-probabilities, for settings of every kind, over texts that repeat themselves.
//
// XENON_TEST_SEED (base/testing.h) gives other cases.
#include "base/testing.h"
#include "engine/sampler.h"
#include "engine/sampling/breakers.h"
#include "engine/sampling/candidates.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 3000, TOP = 20 };

static uint64_t state;
static uint32_t below(uint32_t n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % n;
}
static float uniform(void) {
    return (float)below(1 << 24) / (1 << 24);
}

// Logits with ties, impossible tokens, and sometimes little else.
static void draw_logits(float *x, int32_t vocab) {
    uint32_t kind = below(8);
    float spread = 1 + 8 * uniform();
    for (int32_t i = 0; i < vocab; i++) {
        x[i] = spread * (uniform() + uniform() + uniform() - 1.5f) - 4;
        if (kind == 1) x[i] = roundf(x[i]);
        if (kind == 2 && below(60)) x[i] = -INFINITY;
        if (kind == 3 && below(3) == 0) x[i] = NAN;
        if (kind == 4) x[i] = 0;
        if (kind == 5 && below(50) == 0) x[i] += 30;
    }
    if (below(40) == 0) x[below((uint32_t)vocab)] = INFINITY;
    if (below(200) == 0)
        for (int32_t i = 0; i < vocab; i++)
            x[i] = i % 2 ? NAN : -INFINITY;
}

static int by_logit(const void *a, const void *b) {
    const struct xn_row_candidate *x = a, *y = b;
    if (x->logit != y->logit) return x->logit > y->logit ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}
// As a device tells them.
static struct xn_row_candidates best_of(const float *x, int32_t vocab) {
    static struct xn_row_candidate all[MOST];
    struct xn_row_candidates best = {.items = all};
    for (int32_t i = 0; i < vocab; i++)
        if (x[i] > -INFINITY) all[best.n++] = (struct xn_row_candidate){i, x[i]};
    qsort(all, best.n, sizeof *all, by_logit);
    if (best.n) best.sum = xn_sum_exp(x, vocab, all[0].logit);
    if (best.n > XN_ROW_CANDIDATES) best.n = XN_ROW_CANDIDATES;
    return best;
}

static struct xn_logit_bias biases[4];
static struct xn_dry_breakers breakers;

static float one_of(float a, float b, float c) {
    uint32_t i = below(3);
    return i == 0 ? a : i == 1 ? b : c;
}
static struct xn_sampling draw_settings(int32_t vocab) {
    static const char *const orders[] = {"top_k;top_p;temperature",
                                         "penalties;top_k;xtc;temperature",
                                         "temperature;top_k",
                                         "min_p;top_k",
                                         "top_k;penalties;dry;temperature",
                                         "top_k",
                                         "typ_p;top_k;temperature",
                                         "dry;penalties;temperature;top_k"};
    struct xn_sampling o = xn_sampling_default();
    o.seed = below(1000);
    o.temperature = one_of(0, 0.8f, 1.5f);
    o.top_k = (int32_t[]){0, 1, 5, 40, 64, 100, 128, 129, 500}[below(9)];
    if (below(2)) o.top_p = one_of(1, 0.5f, 0.9f);
    if (below(2)) o.min_p = one_of(0, 0.02f, 0.3f);
    if (below(3) == 0) {
        o.repeat_penalty = one_of(1, 1.1f, 2);
        o.frequency_penalty = one_of(0, 0.2f, 0);
        o.presence_penalty = one_of(0, 0.4f, 3);
    }
    if (below(12) == 0) o.presence_penalty = -0.5f; // makes others more likely
    if (below(12) == 0) o.repeat_penalty = 0.9f;
    if (below(8) == 0) {
        o.dry_multiplier = 0.8f;
        o.dry_allowed_length = (int32_t)below(3);
        o.dry_breakers = below(2) ? &breakers : NULL;
    }
    if (below(10) == 0) o.typ_p = 0.8f;
    if (below(12) == 0) o.top_n_sigma = 1.5f;
    if (below(8) == 0) o.xtc_probability = 0.5f;
    if (below(10) == 0) o.dynatemp_range = 0.5f;
    if (below(16) == 0) o.mirostat = 1 + (int)below(2);
    if (below(6) == 0) o.min_keep = 3;
    if (below(4) == 0) {
        o.logit_bias = biases;
        o.n_logit_bias = 1 + below(4);
        for (size_t i = 0; i < o.n_logit_bias; i++)
            biases[i] = (struct xn_logit_bias){(int32_t)below((uint32_t)vocab), one_of(-INFINITY, -2, 0)};
        if (below(5) == 0) biases[0].bias = 4;
    }
    if (below(3) == 0)
        assert_int_equal(xn_sampler_order_parse(orders[below(sizeof orders / sizeof *orders)], &o.order, NULL), XN_OK);
    return o;
}

static void same_top(const struct xn_token_logprob *a, int32_t n_a, const struct xn_token_logprob *b, int32_t n_b) {
    assert_int_equal(n_a, n_b);
    for (int32_t i = 0; i < n_a; i++) {
        assert_int_equal(a[i].id, b[i].id);
        assert_memory_equal(&a[i].logprob, &b[i].logprob, sizeof a[i].logprob);
    }
}

static void same_logprobs(const float *x, int32_t vocab, const struct xn_row_candidates *best, int32_t id,
                          bool is_among) {
    struct xn_token_logprob one[TOP], other[TOP];
    float chosen, chosen_among;
    int32_t n = (int32_t)below(TOP + 1), written = -1;
    int32_t all = xn_logprobs(x, vocab, id, &chosen, one, n);
    if (!xn_logprobs_among(best, id, &chosen_among, other, n, &written)) {
        assert_false(is_among); // one of many others
        return;
    }
    assert_memory_equal(&chosen, &chosen_among, sizeof chosen);
    same_top(one, all, other, written);
}

// A text by each of two samplers of the same settings. Counts those that take the best tokens, and choices by them.
static void compare_texts(uint32_t *takers, uint32_t *among) {
    static float x[MOST];
    static const int32_t vocabs[] = {1, 7, 128, 129, 300, MOST};
    int32_t vocab = vocabs[below(sizeof vocabs / sizeof *vocabs)];
    struct xn_sampling o = draw_settings(vocab);
    struct xn_sampler *by_all, *by_best;
    assert_int_equal(xn_sampler_new(&o, vocab, &by_all, NULL), XN_OK);
    assert_int_equal(xn_sampler_new(&o, vocab, &by_best, NULL), XN_OK);
    *takers += xn_sampler_takes_candidates(by_best);
    for (int i = 0; i < 40; i++) {
        struct xn_token_logprob one[TOP], other[TOP];
        int32_t id = -1;
        if (i == 0 || below(3)) draw_logits(x, vocab);
        struct xn_row_candidates best = best_of(x, vocab);
        int32_t expected = xn_sampler_choose(by_all, x);
        bool chosen = xn_sampler_choose_among(by_best, &best, &id);
        assert_true(!chosen || xn_sampler_takes_candidates(by_best));
        *among += chosen;
        if (!chosen) id = xn_sampler_choose(by_best, x);
        assert_int_equal(id, expected);
        if (below(4) == 0)
            same_top(one, xn_sampler_top(by_all, one, TOP), other, xn_sampler_top(by_best, other, TOP));
        else if (best.n && (x[id] > -INFINITY)) // else the sum is of nothing
            same_logprobs(x, vocab, &best, id, chosen);
        xn_sampler_accept(by_all, id);
        xn_sampler_accept(by_best, id);
    }
    xn_sampler_free(by_all);
    xn_sampler_free(by_best);
}

static void texts_are_the_same(void **unused) {
    (void)unused;
    enum { TEXTS = 3000 };
    uint32_t takers = 0, among = 0;
    for (int i = 0; i < TEXTS; i++)
        compare_texts(&takers, &among);
    fprintf(stderr, "%u of %d settings take the best tokens, %u choices were made by them\n", takers, TEXTS, among);
    assert_true(takers > TEXTS / 3 && takers < TEXTS);
    assert_true(among > 40 * takers / 2);
}

// The settings of `xenon run` and the server, and greedy choice, take them; what looks at more tokens does not.
static void usual_settings_take_them(void **unused) {
    (void)unused;
    static const struct xn_logit_bias ban = {3, -INFINITY}, favour = {3, 1};
    struct expectation {
        struct xn_sampling sampling;
        bool takes;
    } e[20];
    size_t n = 0;
#define EXPECT(wanted, change)                                                                                         \
    do {                                                                                                               \
        struct xn_sampling o = xn_sampling_default();                                                                  \
        change;                                                                                                        \
        e[n++] = (struct expectation){o, wanted};                                                                      \
    } while (0)
    EXPECT(true, (void)0);
    EXPECT(true, o.temperature = 0);
    EXPECT(true, (o.temperature = 0, o.top_k = 0));
    EXPECT(true, (o.repeat_penalty = 1.1f, o.frequency_penalty = 0.5f));
    EXPECT(true, o.dry_multiplier = 0.8f);
    EXPECT(true, (o.logit_bias = &ban, o.n_logit_bias = 1));
    EXPECT(true, o.xtc_probability = 0.5f);
    EXPECT(false, (o.logit_bias = &favour, o.n_logit_bias = 1));
    EXPECT(true, o.top_k = 0);
    EXPECT(true, (o.top_k = 0, o.top_p = 1, o.repeat_penalty = 1.1f));
    EXPECT(false, (o.top_k = 0, o.repeat_penalty = 1.1f));
    EXPECT(false, (o.top_k = 0, o.top_p = 1, o.min_p = 0));
    EXPECT(false, (o.top_k = 0, o.top_p = 1, o.min_keep = 2));
    EXPECT(false, (o.top_k = 129, o.repeat_penalty = 1.1f));
    EXPECT(false, o.repeat_penalty = 0.9f);
    EXPECT(false, o.presence_penalty = -0.1f);
    EXPECT(false, o.top_n_sigma = 1);
    EXPECT(false, o.mirostat = 2);
#undef EXPECT
    for (size_t i = 0; i < n; i++) {
        struct xn_sampler *s;
        assert_int_equal(xn_sampler_new(&e[i].sampling, 1000, &s, NULL), XN_OK);
        if (xn_sampler_takes_candidates(s) != e[i].takes) fail_msg("expectation %zu", i);
        xn_sampler_free(s);
    }
}

// Where the best tokens are all made impossible, others may be chosen: all logits tell.
static void lowered_tokens_make_room(void **unused) {
    (void)unused;
    static float x[1000];
    static struct xn_logit_bias all[XN_ROW_CANDIDATES];
    struct xn_sampling o = xn_sampling_default();
    struct xn_sampler *s;
    int32_t id = -1;
    for (int i = 0; i < 1000; i++)
        x[i] = (float)-i;
    struct xn_row_candidates best = best_of(x, 1000);
    o.logit_bias = all;
    o.temperature = 0;
    for (int i = 0; i < XN_ROW_CANDIDATES; i++)
        all[i] = (struct xn_logit_bias){i, -INFINITY};
    for (o.n_logit_bias = XN_ROW_CANDIDATES - 1; o.n_logit_bias <= XN_ROW_CANDIDATES; o.n_logit_bias++) {
        bool enough = o.n_logit_bias < XN_ROW_CANDIDATES;
        assert_int_equal(xn_sampler_new(&o, 1000, &s, NULL), XN_OK);
        assert_int_equal(xn_sampler_choose_among(s, &best, &id), enough);
        if (!enough) id = xn_sampler_choose(s, x);
        assert_int_equal(id, o.n_logit_bias);
        xn_sampler_free(s);
    }
    // Lowered, not ruled out, to where tokens that nobody told of stand.
    for (int i = 0; i < XN_ROW_CANDIDATES; i++)
        all[i].bias = -128;
    o.n_logit_bias = XN_ROW_CANDIDATES;
    assert_int_equal(xn_sampler_new(&o, 1000, &s, NULL), XN_OK);
    assert_false(xn_sampler_choose_among(s, &best, &id));
    assert_int_equal(xn_sampler_choose(s, x), 0);
    xn_sampler_free(s);
}

int main(void) {
    state = test_seed(1);
    int32_t line = 5;
    if (xn_dry_breakers_add(&breakers, &line, 1, NULL) != XN_OK) return 1;
    xn_dry_breakers_sort(&breakers);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_the_same),
        cmocka_unit_test(usual_settings_take_them),
        cmocka_unit_test(lowered_tokens_make_room),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    xn_dry_breakers_free(&breakers);
    return failed;
}
