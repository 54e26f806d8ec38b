// What happens once the candidates are known: the draw itself, seeds, Mirostat's control loop, log-probabilities; and
// what is done with settings and logits that make no sense.
#include "engine/sampler.h"
#include "engine/sampling/candidates.h"
#include "engine/sampling/random.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { VOCAB = 500 };

static uint64_t state;
static double uniform(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) * 0x1p-53;
}

static void draw_logits(float *x, int n, double spread) {
    for (int i = 0; i < n; i++)
        x[i] = (float)(spread * sqrt(-2 * log(uniform() + 1e-300)) * cos(6.283185307179586 * uniform()));
}

static struct xn_sampler *make(const struct xn_sampling *o, int32_t vocab) {
    struct xn_sampler *s;
    assert_int_equal(xn_sampler_new(o, vocab, &s, NULL), XN_OK);
    return s;
}

// --- the draw

// Pearson's statistic of `draws` choices against softmax(x / t) of n tokens, in which all are likely.
static double chi_square(const struct xn_sampling *o, const float *x, int n, double t, int draws) {
    static int counts[VOCAB];
    double sum = 0, chi = 0;
    struct xn_sampler *s = make(o, n);
    memset(counts, 0, sizeof counts);
    for (int i = 0; i < draws; i++)
        counts[xn_sampler_choose(s, x)]++;
    xn_sampler_free(s);
    for (int i = 0; i < n; i++)
        sum += exp((double)x[i] / t);
    for (int i = 0; i < n; i++) {
        double want = draws * exp((double)x[i] / t) / sum;
        chi += (counts[i] - want) * (counts[i] - want) / want;
    }
    return chi;
}

// With k degrees of freedom the statistic has mean k and variance 2k; six deviations are never seen by chance.
static void frequencies_are_the_probabilities(void **unused) {
    (void)unused;
    float x[VOCAB];
    struct xn_sampling o = xn_sampling_default();
    state = 3;
    draw_logits(x, VOCAB, 1);
    o.top_k = 0;
    o.top_p = 1;
    o.min_p = 0;
    for (o.seed = 0; o.seed < 2; o.seed++) {
        o.temperature = 1; // from the whole vocabulary
        double whole = chi_square(&o, x, VOCAB, 1, 60000);
        o.temperature = 2;
        double scaled = chi_square(&o, x, VOCAB, 2, 60000);
        o.temperature = 1;
        o.top_p = 0.9999999f; // from a list
        double listed = chi_square(&o, x, VOCAB, 1, 60000);
        o.top_p = 1;
        const double most = VOCAB - 1 + 6 * sqrt(2 * (VOCAB - 1)), least = VOCAB - 1 - 6 * sqrt(2 * (VOCAB - 1));
        assert_true(whole < most && whole > least);
        assert_true(scaled < most && scaled > least);
        assert_true(listed < most && listed > least);
    }
}

static void random_numbers_are_uniform_and_independent(void **unused) {
    (void)unused;
    enum { N = 100000 };
    double mean = 0, square = 0, next = 0, other = 0, stream = 0;
    for (uint64_t i = 0; i < N; i++) {
        double u = xn_random(5, i, XN_RANDOM_TOKEN) - 0.5;
        assert_true(u >= -0.5 && u < 0.5);
        mean += u / N;
        square += u * u / N;
        next += u * (xn_random(5, i + 1, XN_RANDOM_TOKEN) - 0.5) / N;
        other += u * (xn_random(6, i, XN_RANDOM_TOKEN) - 0.5) / N;
        stream += u * (xn_random(5, i, XN_RANDOM_XTC) - 0.5) / N;
    }
    const double deviation = 1 / sqrt(12.0 * N), product = 1 / (12 * sqrt((double)N));
    assert_true(fabs(mean) < 5 * deviation);
    assert_true(fabs(square - 1 / 12.0) < 5 * 0.0745 / sqrt((double)N));
    assert_true(fabs(next) < 5 * product && fabs(other) < 5 * product && fabs(stream) < 5 * product);
}

// The n-th choice depends on the seed and n, not on what the choices before looked like.
static void choices_depend_on_seed_and_place_alone(void **unused) {
    (void)unused;
    static float x[200][VOCAB], noise[VOCAB];
    struct xn_sampling o = xn_sampling_default(), xtc = o;
    int32_t chosen[200];
    int differ = 0, by_xtc = 0;
    state = 9;
    o.temperature = 1.5f;
    o.seed = 77;
    struct xn_sampler *a = make(&o, VOCAB), *b = make(&o, VOCAB);
    o.seed = 78;
    struct xn_sampler *c = make(&o, VOCAB);
    for (int i = 0; i < 200; i++) {
        draw_logits(x[i], VOCAB, 2);
        chosen[i] = xn_sampler_choose(a, x[i]);
        differ += xn_sampler_choose(c, x[i]) != chosen[i];
    }
    for (int i = 0; i < 200; i++) {
        draw_logits(noise, VOCAB, i % 5);
        int32_t id = xn_sampler_choose(b, i % 2 ? x[i] : noise);
        if (i % 2) assert_int_equal(id, chosen[i]);
    }
    assert_true(differ > 100);
    xn_sampler_free(b);
    // A sampler that takes random numbers as well does not shift those of the draw.
    xtc.temperature = 1.5f;
    xtc.seed = 77;
    xtc.xtc_probability = 0.3f;
    xtc.xtc_threshold = 0.1f;
    b = make(&xtc, VOCAB);
    for (int i = 0; i < 200; i++)
        by_xtc += xn_sampler_choose(b, x[i]) != chosen[i];
    assert_in_range(by_xtc, 10, 100);
    xn_sampler_free(a);
    xn_sampler_free(b);
    xn_sampler_free(c);
}

static void xtc_strikes_as_often_as_it_should(void **unused) {
    (void)unused;
    const float x[] = {2, 1.9f, 0, -1};
    const int draws = 20000;
    int struck = 0;
    struct xn_sampling o = xn_sampling_default();
    struct xn_token_logprob top[4];
    o.xtc_probability = 0.3f;
    o.xtc_threshold = 0.2f;
    struct xn_sampler *s = make(&o, 4);
    for (int i = 0; i < draws; i++) {
        xn_sampler_choose(s, x);
        xn_sampler_top(s, top, 4);
        struck += top[0].id == 1; // 0, more likely, is gone
    }
    xn_sampler_free(s);
    assert_true(fabs(struck - 0.3 * draws) < 5 * sqrt(0.21 * draws));
}

// --- Mirostat

static int by_logit(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return x > y ? -1 : x < y;
}

// How many candidates Mirostat keeps of n logits, sorted best first, by the paper's algorithms.
static int mirostat_keeps(int version, const float *x, int n, double mu) {
    double sum = 0, tb = 0, tt = 0;
    int k = 0;
    for (int i = 0; i < n; i++)
        sum += exp((double)(x[i] - x[0]));
    if (version == 2) {
        while (k < n && -log2(exp((double)(x[k] - x[0])) / sum) <= mu)
            k++;
        return k > 0 ? k : 1;
    }
    for (int i = 1; i < 100 && i < n; i++) {
        double t = log((i + 1.0) / i), b = (double)x[i - 1] - (double)x[i];
        tb += t * b;
        tt += t * t;
    }
    double s = tb / tt, e = s - 1, found = pow(e * pow(2, mu) / (1 - pow(n, -e)), 1 / s);
    return found < 1 ? 1 : found > n ? n : (int)found;
}

static void mirostat_follows_its_algorithm(void **unused) {
    (void)unused;
    static float x[VOCAB], sorted[VOCAB];
    static struct xn_token_logprob top[VOCAB];
    state = 21;
    for (int version = 1; version <= 2; version++)
        for (int warm = 0; warm < 2; warm++) {
            struct xn_sampling o = xn_sampling_default();
            o.mirostat = version;
            o.mirostat_tau = 3;
            o.mirostat_eta = 0.2f;
            o.temperature = warm ? 0.8f : 1;
            o.top_k = 1; // which does not run, nor do penalties
            o.repeat_penalty = 5;
            struct xn_sampler *s = make(&o, VOCAB);
            double mu = 6, surprise = 0;
            for (int i = 0; i < 400; i++) {
                draw_logits(x, VOCAB, 1.5);
                int32_t id = xn_sampler_choose(s, x);
                int n = xn_sampler_top(s, top, VOCAB);
                for (int k = 0; k < VOCAB; k++)
                    sorted[k] = warm ? x[k] / 0.8f : x[k];
                qsort(sorted, VOCAB, sizeof *sorted, by_logit);
                assert_int_equal(n, mirostat_keeps(version, sorted, VOCAB, mu));
                int at = 0;
                while (at < n && top[at].id != id)
                    at++;
                assert_true(at < n);
                double bits = -(double)top[at].logprob / log(2);
                mu -= (double)o.mirostat_eta * (bits - 3);
                if (i >= 100) surprise += bits / 300;
                xn_sampler_accept(s, id);
            }
            assert_true(fabs(surprise - 3) < 0.15); // the loop holds what it aims at
            xn_sampler_free(s);
        }
}

// --- log-probabilities

static void logprobs_are_of_the_model(void **unused) {
    (void)unused;
    enum { BIG = 20000, TOP = 20 };
    static float x[BIG];
    struct xn_token_logprob top[TOP];
    float chosen;
    state = 4;
    for (int round = 0; round < 10; round++) {
        double sum = 0;
        draw_logits(x, BIG, 1 + round);
        x[7] = -INFINITY;
        x[8] = NAN;
        for (int i = 0; i < BIG; i++)
            if (x[i] > -INFINITY) sum += exp((double)x[i]);
        int32_t id = round * 1000 + 9;
        assert_int_equal(xn_logprobs(x, BIG, id, &chosen, top, TOP), TOP);
        assert_true(fabs((double)chosen - ((double)x[id] - log(sum))) < 2e-5);
        for (int i = 0; i < TOP; i++) {
            int better = 0;
            for (int k = 0; k < BIG; k++)
                better += x[k] > x[top[i].id] || (x[k] == x[top[i].id] && k < top[i].id);
            assert_int_equal(better, i);
            assert_true(fabs((double)top[i].logprob - ((double)x[top[i].id] - log(sum))) < 2e-5);
        }
    }
    xn_logprobs(x, BIG, 7, &chosen, NULL, 0);
    assert_true(chosen == -INFINITY);
    xn_logprobs(x, BIG, 8, &chosen, NULL, 0);
    assert_true(chosen == -INFINITY);
    xn_logprobs(x, BIG, BIG, &chosen, NULL, 0);
    assert_true(chosen == -INFINITY);
    const float few[] = {-INFINITY, 2, NAN, 2};
    assert_int_equal(xn_logprobs(few, 4, 1, &chosen, top, 9), 2);
    assert_true(fabs((double)chosen + log(2)) < 1e-6);
    assert_int_equal(top[0].id, 1);
    assert_int_equal(top[1].id, 3);
    const float infinite[] = {1, INFINITY, 2};
    assert_int_equal(xn_logprobs(infinite, 3, 1, &chosen, top, 3), 1);
    assert_true(chosen == 0 && top[0].id == 1 && top[0].logprob == 0);
    const float none[] = {-INFINITY, NAN};
    assert_int_equal(xn_logprobs(none, 2, 0, &chosen, top, 2), 0);
    assert_true(chosen == -INFINITY);
}

static void sums_of_exponentials_are_accurate(void **unused) {
    (void)unused;
    // Each term alone, over the whole range.
    for (double v = 0; v > -86; v -= 0.00371) {
        float x = (float)v;
        double want = exp((double)x);
        assert_true(fabs(xn_sum_exp(&x, 1, 0) - want) < 2.5e-7 * want);
    }
    const float none[] = {-200, -INFINITY, NAN, -FLT_MAX};
    assert_true(xn_sum_exp(none, 4, 0) == 0);
    // Where a draw falls: just before and after each border.
    const float x[] = {-INFINITY, 0, NAN, 0, -INFINITY, 0, 0, -INFINITY};
    double total = xn_sum_exp(x, 8, 0);
    assert_true(fabs(total - 4) < 1e-6);
    const int at[] = {1, 3, 5, 6};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(xn_find_exp(x, 8, 0, i / 4.0 + 1e-6, total), at[i]);
        assert_int_equal(xn_find_exp(x, 8, 0, (i + 1) / 4.0 - 1e-6, total), at[i]);
    }
    assert_int_equal(xn_find_exp(x, 8, 0, 0, total), 1);
    assert_int_equal(xn_find_exp(x, 8, 0, 1 - 0x1p-53, total * 1.001), 6); // beyond the sum
}

// --- what makes no sense

static void settings_out_of_range_are_refused(void **unused) {
    (void)unused;
    const struct xn_sampling defaults = xn_sampling_default();
    const struct xn_logit_bias outside[] = {{VOCAB, 1}}, infinite[] = {{0, INFINITY}}, nan[] = {{0, NAN}};
    struct xn_sampling o;
    struct xn_sampler *s;
    struct xn_error err;
#define REFUSED(change, text)                                                                                          \
    do {                                                                                                               \
        o = defaults;                                                                                                  \
        change;                                                                                                        \
        assert_int_equal(xn_sampler_new(&o, VOCAB, &s, &err), XN_ERR_ARGUMENT);                                        \
        assert_non_null(strstr(err.message, text));                                                                    \
    } while (0)
    REFUSED(o.temperature = NAN, "temperature");
    REFUSED(o.top_p = NAN, "top_p");
    REFUSED(o.min_p = NAN, "min_p");
    REFUSED(o.typ_p = NAN, "typ_p");
    REFUSED(o.repeat_penalty = 0, "repeat_penalty");
    REFUSED(o.repeat_penalty = INFINITY, "repeat_penalty");
    REFUSED(o.frequency_penalty = INFINITY, "frequency_penalty");
    REFUSED(o.presence_penalty = NAN, "presence_penalty");
    REFUSED(o.dry_multiplier = -1, "dry_multiplier");
    REFUSED(o.dry_allowed_length = -1, "dry_allowed_length");
    REFUSED(o.xtc_threshold = -0.1f, "xtc_threshold");
    REFUSED(o.dynatemp_exponent = -1, "dynatemp_exponent");
    REFUSED(o.mirostat = 3, "mirostat: 3");
    REFUSED(o.mirostat_tau = -1, "mirostat_tau");
    REFUSED(o.mirostat_eta = NAN, "mirostat_eta");
    REFUSED((o.logit_bias = outside, o.n_logit_bias = 1), "0 to 499");
    REFUSED((o.logit_bias = infinite, o.n_logit_bias = 1), "-inf");
    REFUSED((o.logit_bias = nan, o.n_logit_bias = 1), "token 0");
    REFUSED((o.order.given = true, o.order.n = 17), "17");
    REFUSED((o.order.given = true, o.order.n = 1, o.order.kinds[0] = XN_SAMPLER_KINDS), "unknown");
#undef REFUSED
    assert_int_equal(xn_sampler_new(&defaults, 0, &s, &err), XN_ERR_ARGUMENT);
}

static void orders_are_read_by_name(void **unused) {
    (void)unused;
    struct xn_sampler_order order = {0};
    struct xn_error err;
    const uint8_t want[] = {XN_SAMPLER_TYP_P, XN_SAMPLER_TEMPERATURE, XN_SAMPLER_TOP_P, XN_SAMPLER_TOP_K};
    assert_int_equal(xn_sampler_order_parse("typical;temp;nucleus;top-k", &order, &err), XN_OK);
    assert_int_equal(order.n, 4);
    assert_memory_equal(order.kinds, want, 4);
    assert_int_equal(
        xn_sampler_order_parse("penalties;dry;top_n_sigma;top_k;typ_p;top_p;min_p;xtc;temperature;", &order, &err),
        XN_OK);
    assert_int_equal(order.n, XN_SAMPLER_KINDS);
    for (int i = 0; i < XN_SAMPLER_KINDS; i++) // llama.cpp's order is the enum's
        assert_int_equal(order.kinds[i], i);
    assert_int_equal(xn_sampler_order_parse("top_k;;top_p", &order, &err), XN_ERR_ARGUMENT);
    assert_int_equal(xn_sampler_order_parse("top_k,top_p", &order, &err), XN_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "\"top_k,top_p\" is none of: penalties"));
    assert_int_equal(order.n, XN_SAMPLER_KINDS); // as it was
    assert_int_equal(
        xn_sampler_order_parse("xtc;xtc;xtc;xtc;xtc;xtc;xtc;xtc;xtc;xtc;xtc;xtc;xtc;xtc;xtc;xtc;xtc", &order, &err),
        XN_ERR_ARGUMENT);
    assert_int_equal(xn_sampler_order_parse("", &order, &err), XN_OK);
    assert_true(order.given && order.n == 0);
}

// Logits of every broken kind, through every sampler at once: always a token that is possible, if one is.
static void broken_logits_give_possible_tokens(void **unused) {
    (void)unused;
    static float x[VOCAB];
    const struct xn_logit_bias bias[] = {{3, -INFINITY}, {4, FLT_MAX}};
    state = 5;
    for (int round = 0; round < 3000; round++) {
        struct xn_sampling o = xn_sampling_default();
        int n = 1 + round % 70, possible = 0, endless = -1;
        o.mirostat = round % 5 < 3 ? 0 : round % 5 - 2;
        o.temperature = round % 3 ? (float)(round % 7) : 1e-30f;
        o.dynatemp_range = (float)(round % 2);
        o.top_k = round % 11;
        o.typ_p = round % 13 ? 1 : 0.5f;
        o.top_n_sigma = (float)(round % 4);
        o.xtc_probability = 0.5f;
        o.repeat_penalty = round % 6 ? 1.2f : 1e-6f;
        o.frequency_penalty = round % 9 ? 0.1f : 1e6f;
        o.dry_multiplier = round % 10 ? 1 : 1e6f;
        o.logit_bias = bias;
        o.n_logit_bias = n > 4 && round % 2 ? 2 : 0;
        for (int i = 0; i < n; i++) {
            double kind = uniform();
            x[i] = kind < 0.3     ? NAN
                   : kind < 0.6   ? -INFINITY
                   : kind < 0.602 ? INFINITY
                   : kind < 0.65  ? (uniform() < 0.5 ? FLT_MAX : -FLT_MAX)
                   : kind < 0.7   ? 1e-45f
                                  : (float)uniform() * 8;
            if (x[i] == INFINITY && endless < 0) endless = i;
        }
        struct xn_sampler *s = make(&o, n);
        for (int i = 0; i < round % 30; i++)
            xn_sampler_accept(s, i % (n < 4 ? n : 4));
        for (int i = 0; i < n; i++)
            possible += x[i] > -INFINITY;
        struct xn_token_logprob top[70];
        int32_t id = xn_sampler_choose(s, x);
        assert_in_range(id, 0, n - 1);
        if (endless >= 0)
            assert_int_equal(id, endless);
        else if (possible)
            assert_true(x[id] > -INFINITY);
        else
            assert_int_equal(id, 0);
        int n_top = xn_sampler_top(s, top, n);
        assert_in_range(n_top, 1, n);
        for (int i = 0; i < n_top; i++)
            assert_true(top[i].logprob <= 1e-6f);
        xn_sampler_free(s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frequencies_are_the_probabilities),
        cmocka_unit_test(random_numbers_are_uniform_and_independent),
        cmocka_unit_test(choices_depend_on_seed_and_place_alone),
        cmocka_unit_test(xtc_strikes_as_often_as_it_should),
        cmocka_unit_test(mirostat_follows_its_algorithm),
        cmocka_unit_test(logprobs_are_of_the_model),
        cmocka_unit_test(sums_of_exponentials_are_accurate),
        cmocka_unit_test(settings_out_of_range_are_refused),
        cmocka_unit_test(orders_are_read_by_name),
        cmocka_unit_test(broken_logits_give_possible_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
