// What is kept of large vocabularies, which are never sorted: held to full sorts, token by token, in the places where
// counting by ranges could go wrong: ties, nothing but ties, impossible tokens, temperatures that leave one value or
// drive all apart, p at its ends. And that sums over vocabularies are the same on every processor.
#include "engine/sampler.h"
#include "engine/sampling/candidates.h"
#include "engine/sampling/exponentials.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 20000 };

// The plain way: all that is possible, sorted.
static struct token {
    int32_t id;
    float logit;
    double weight;
} sorted[MOST];
static int32_t n_sorted;

static int by_logit(const void *a, const void *b) {
    const struct token *x = a, *y = b;
    if (x->logit != y->logit) return x->logit > y->logit ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

static void sort_all(const float *logits, int32_t n) {
    n_sorted = 0;
    for (int32_t i = 0; i < n; i++)
        if (logits[i] > -INFINITY) sorted[n_sorted++] = (struct token){i, logits[i], 0};
    qsort(sorted, (size_t)n_sorted, sizeof *sorted, by_logit);
    for (int32_t i = 0; i < n_sorted; i++)
        sorted[i].weight = exp((double)(sorted[i].logit - sorted[0].logit));
}

static void heat(float temperature) {
    float max = sorted[0].logit;
    for (int32_t i = 0; i < n_sorted; i++)
        sorted[i].logit = (sorted[i].logit - max) / temperature;
    while (n_sorted > 1 && !(sorted[n_sorted - 1].logit > -INFINITY))
        n_sorted--;
    // Values that became equal stand by their ids from now on.
    qsort(sorted, (size_t)n_sorted, sizeof *sorted, by_logit);
    for (int32_t i = 0; i < n_sorted; i++)
        sorted[i].weight = exp((double)sorted[i].logit);
}

// How many the nucleus has at least and at most: where the sum of weights all but equals p of the whole, rounding may
// decide.
static void nucleus(double p, double tolerance, int32_t *least, int32_t *most) {
    double all = 0, sum = 0;
    *least = *most = 0;
    for (int32_t i = 0; i < n_sorted; i++)
        all += sorted[i].weight;
    for (int32_t i = 0; i < n_sorted; i++) {
        sum += sorted[i].weight;
        if (!*least && sum >= p * all * (1 - tolerance)) *least = i + 1;
        if (!*most && sum >= p * all * (1 + tolerance)) *most = i + 1;
    }
    if (!*least) *least = n_sorted;
    if (!*most) *most = n_sorted;
}

// What the sampler draws from: the first of the sorted ones, in their order, with the probabilities that they have
// among themselves.
static void expect(const struct xn_sampling *o, const float *logits, int32_t n, int32_t least, int32_t most) {
    static struct xn_token_logprob got[MOST];
    struct xn_sampler *s;
    double sum = 0;
    assert_int_equal(xn_sampler_new(o, n, &s, NULL), XN_OK);
    int32_t chosen = xn_sampler_choose(s, logits), kept = xn_sampler_top(s, got, n);
    bool found = false;
    if (kept < least || kept > most)
        fail_msg("%d kept of %d, T %g p %g: expected %d to %d", kept, n, (double)o->temperature, (double)o->top_p,
                 least, most);
    for (int32_t i = 0; i < kept; i++)
        sum += sorted[i].weight;
    for (int32_t i = 0; i < kept; i++) {
        double want = (double)(sorted[i].logit - sorted[0].logit) - log(sum), is = (double)got[i].logprob;
        if (got[i].id != sorted[i].id || !(is == want || fabs(is - want) <= 1e-6 * (1 + fabs(want))))
            fail_msg("%d of %d: token %d: %.9g, expected token %d: %.9g", i, kept, got[i].id, is, sorted[i].id, want);
        found |= got[i].id == chosen && sorted[i].weight > 0;
    }
    assert_true(found);
    xn_sampler_free(s);
}

static struct xn_sampling only(const char *samplers, float temperature) {
    struct xn_sampling o = xn_sampling_default();
    assert_int_equal(xn_sampler_order_parse(samplers, &o.order, NULL), XN_OK);
    o.temperature = temperature;
    return o;
}

static const float ps[] = {0, 1e-7f, 0.1f, 0.5f, 0.9f, 0.95f, 0.9999f, 1};
static const float temperatures[] = {1, 1e-30f, 1e-3f, 0.7f, 50, 1e6f};

// Every p and temperature in both orders. exact: the weights are whole numbers, so that nothing is rounded.
static void check(const float *logits, int32_t n, bool exact) {
    double tolerance = exact ? 0 : 5e-6; // equal terms round in the same direction each time
    for (size_t t = 0; t < sizeof temperatures / sizeof *temperatures; t++)
        for (size_t i = 0; i < sizeof ps / sizeof *ps; i++) {
            float p = ps[i], temperature = temperatures[t];
            int32_t least, most;
            struct xn_sampling o = only("temperature;top_p", temperature);
            o.top_p = p;
            sort_all(logits, n);
            if (temperature != 1) heat(temperature);
            nucleus((double)p, tolerance, &least, &most);
            expect(&o, logits, n, p < 1 ? least : n_sorted, p < 1 ? most : n_sorted);
            o = only("temperature;min_p", temperature);
            o.min_p = p;
            float bound = sorted[0].logit + logf(p);
            for (least = 0; least < n_sorted && sorted[least].logit >= bound;)
                least++;
            if (p > 0 && n < 6000) expect(&o, logits, n, least, least);
            o = only("top_p;temperature", temperature);
            o.top_p = p;
            sort_all(logits, n);
            nucleus((double)p, tolerance, &least, &most);
            if (p >= 1) least = most = n_sorted;
            if (least != most || temperature == 1) continue;
            n_sorted = least;
            heat(temperature);
            expect(&o, logits, n, n_sorted, n_sorted);
        }
}

static uint64_t state = 88172645463325252u;
static double uniform(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) * 0x1p-53;
}
static float normal(double sigma) {
    return (float)(sigma * sqrt(-2 * log(uniform() + 1e-300)) * cos(6.283185307179586 * uniform()));
}

// No multiples of a block, one below and one above the size from which on logits are counted.
static const int32_t sizes[] = {1, 63, 64, 1024, 1025, 5001, MOST};
enum { N_SIZES = sizeof sizes / sizeof *sizes };
static float x[MOST];

static void spreads(void **unused) {
    (void)unused;
    static const double sigmas[] = {0.01, 0.5, 2.5, 8};
    for (int i = 0; i < N_SIZES; i++)
        for (size_t s = 0; s < sizeof sigmas / sizeof *sigmas; s++) {
            for (int32_t k = 0; k < sizes[i]; k++)
                x[k] = normal(sigmas[s]);
            check(x, sizes[i], false);
        }
}

static void ties(void **unused) {
    (void)unused;
    for (int i = 0; i < N_SIZES; i++) {
        for (int32_t k = 0; k < sizes[i]; k++)
            x[k] = roundf(normal(1.5)); // a dozen values
        check(x, sizes[i], false);
        for (int32_t k = 0; k < sizes[i]; k++)
            x[k] = -3.25f;
        check(x, sizes[i], true);
        for (int32_t k = 0; k < sizes[i]; k++)
            x[k] = k % 3 ? -200 : 40; // what weighs nothing beside what is equal, while it is cold
        check(x, sizes[i], false);
    }
}

static void few_are_possible(void **unused) {
    (void)unused;
    for (int i = 0; i < N_SIZES; i++)
        for (int possible = 1; possible < 40; possible += 38) {
            for (int32_t k = 0; k < sizes[i]; k++)
                x[k] = k % 5 ? -INFINITY : NAN;
            for (int k = 0; k < possible; k++)
                x[(int32_t)(uniform() * sizes[i])] = normal(2);
            check(x, sizes[i], false);
        }
}

static void one_stands_out(void **unused) {
    (void)unused;
    for (int i = 0; i < N_SIZES; i++)
        for (int last = 0; last < 2; last++) {
            for (int32_t k = 0; k < sizes[i]; k++)
                x[k] = normal(2);
            x[last ? sizes[i] - 1 : sizes[i] / 2] = 60;
            check(x, sizes[i], false);
        }
}

static void values_of_every_size(void **unused) {
    (void)unused;
    for (int i = 0; i < N_SIZES; i++) {
        for (int32_t k = 0; k < sizes[i]; k++)
            x[k] = normal(1) * (float)pow(10, 60 * uniform() - 30);
        check(x, sizes[i], false);
        for (int32_t k = 0; k < sizes[i]; k++)
            x[k] = 1e6f + normal(2); // so far from 0 that neighbours are 1/16 apart
        check(x, sizes[i], false);
        for (int32_t k = 0; k < sizes[i]; k++)
            x[k] = (float)(k % 7 ? k : sizes[i] - k) * 1e-3f;
        check(x, sizes[i], false);
    }
}

static void sums_are_the_same_however_wide_vectors_are(void **unused) {
    (void)unused;
    for (int i = 0; i < N_SIZES; i++) {
        double plain = 0, exact = 0;
        float max = -INFINITY;
        for (int32_t k = 0; k < sizes[i]; k++) {
            x[k] = k % 100 ? normal(6) : k % 200 ? -INFINITY : NAN;
            if (k == 0) x[k] = 1;
            if (x[k] > max) max = x[k];
        }
        // Here without vectors beyond the least that there are.
        for (int32_t at = 0; at < sizes[i]; at += XN_EXP_CHUNK)
            plain += xn_sum_terms(x + at, sizes[i] - at < XN_EXP_CHUNK ? sizes[i] - at : XN_EXP_CHUNK, max);
        for (int32_t k = 0; k < sizes[i]; k++)
            if (x[k] > -INFINITY) exact += exp((double)(x[k] - max));
        double sum = xn_sum_exp(x, sizes[i], max);
        assert_memory_equal(&sum, &plain, sizeof sum);
        assert_true(fabs(sum - exact) <= 1e-6 * exact);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spreads),
        cmocka_unit_test(ties),
        cmocka_unit_test(few_are_possible),
        cmocka_unit_test(one_stands_out),
        cmocka_unit_test(values_of_every_size),
        cmocka_unit_test(sums_are_the_same_however_wide_vectors_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
