// Each sampler against its formula: computed here in double precision over fully sorted distributions, small ones by
// hand and random ones, one sampler at a time and in chains.
#include "engine/sampler.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 3000 };

// A distribution as the definitions see it: candidates sorted, best first. `size` counts those masked to -inf as well.
struct reference {
    int id[MOST];
    double logit[MOST], p[MOST];
    int n, size;
};

static int best_first(const struct reference *r, int a, int b) {
    if (r->logit[a] != r->logit[b]) return r->logit[a] > r->logit[b] ? -1 : 1;
    return r->id[a] < r->id[b] ? -1 : 1;
}

static void move(struct reference *r, int to, int from) {
    r->id[to] = r->id[from];
    r->logit[to] = r->logit[from];
    r->p[to] = r->p[from];
}

static int *order_of; // qsort has no argument for it
static const struct reference *sorted_one;
static int compare(const void *a, const void *b) {
    return best_first(sorted_one, *(const int *)a, *(const int *)b);
}

static void sort(struct reference *r) {
    static int order[MOST];
    static struct reference copy;
    order_of = order;
    copy = *r;
    sorted_one = &copy;
    for (int i = 0; i < r->n; i++)
        order_of[i] = i;
    qsort(order_of, (size_t)r->n, sizeof *order_of, compare);
    for (int i = 0; i < r->n; i++) {
        r->id[i] = copy.id[order_of[i]];
        r->logit[i] = copy.logit[order_of[i]];
    }
}

// Drops what is impossible, sorts and normalises.
static void settle(struct reference *r) {
    int n = 0;
    double sum = 0;
    for (int i = 0; i < r->n; i++)
        if (r->logit[i] > -INFINITY) move(r, n++, i);
    r->n = n;
    sort(r);
    for (int i = 0; i < n; i++)
        sum += r->p[i] = exp(r->logit[i] - r->logit[0]);
    for (int i = 0; i < n; i++)
        r->p[i] /= sum;
}

static void begin(struct reference *r, const float *logits, int n) {
    r->n = r->size = n;
    for (int i = 0; i < n; i++) {
        r->id[i] = i;
        r->logit[i] = isnan(logits[i]) ? -INFINITY : (double)logits[i];
    }
    settle(r);
}

static void cut(struct reference *r, int k) {
    if (k < r->n) r->n = r->size = k;
    settle(r);
}

static void top_k(struct reference *r, int k) {
    if (k <= 0) return;
    if (k < r->size) r->size = k;
    if (k < r->n) r->n = k;
    settle(r);
}

static void top_p(struct reference *r, double p, int min_keep) {
    double sum = 0;
    int k = r->n;
    for (int i = 0; i < r->n; i++) {
        sum += r->p[i];
        if (sum >= p && i + 1 >= min_keep) {
            k = i + 1;
            break;
        }
    }
    if (p < 1) cut(r, k);
}

static void min_p(struct reference *r, double p, int min_keep) {
    int k = 0;
    while (k < r->n && (r->p[k] >= p * r->p[0] || k < min_keep))
        k++;
    if (p > 0) cut(r, k);
}

static double entropy_of(const struct reference *r) {
    double h = 0;
    for (int i = 0; i < r->n; i++)
        if (r->p[i] > 0) h -= r->p[i] * log(r->p[i]);
    return h;
}

static void typical(struct reference *r, double p, int min_keep) {
    static bool taken[MOST];
    double h = entropy_of(r), sum = 0;
    int k = 0, n = 0;
    if (p >= 1) return;
    memset(taken, 0, sizeof taken);
    do { // the nearest that is left
        int nearest = -1;
        for (int i = 0; i < r->n; i++)
            if (!taken[i] && (nearest < 0 || (float)fabs(-log(r->p[i]) - h) < (float)fabs(-log(r->p[nearest]) - h)))
                nearest = i;
        taken[nearest] = true;
        sum += r->p[nearest];
        k++;
    } while (k < r->n && !(sum > p && k >= min_keep));
    for (int i = 0; i < r->n; i++)
        if (taken[i]) move(r, n++, i);
    r->n = n;
    if (k == n && n < r->size) r->size = n;
    settle(r);
}

static void top_n_sigma(struct reference *r, double n) {
    double mean = 0, variance = 0;
    if (n <= 0 || r->size <= 1) return;
    for (int i = 0; i < r->n; i++)
        mean += r->logit[i] / r->n;
    for (int i = 0; i < r->n; i++)
        variance += pow(r->logit[i] - mean, 2) / r->n;
    for (int i = r->n - 1; i > 0; i--)
        if (r->logit[i] < r->logit[0] - n * sqrt(variance)) r->logit[i] = -INFINITY;
    settle(r); // size stays
}

static void xtc_that_strikes(struct reference *r, double threshold, int min_keep) {
    int reached = 0;
    while (reached < r->n && r->p[reached] >= threshold)
        reached++;
    if (threshold > 0.5 || reached < 2 || r->size - (reached - 1) < min_keep) return;
    for (int i = 0; i < reached - 1; i++)
        r->logit[i] = -INFINITY;
    r->size -= reached - 1;
    settle(r);
}

static void temperature(struct reference *r, double t) {
    if (t <= 0) r->n = 1;
    for (int i = 0; i < r->n && t > 0; i++)
        r->logit[i] /= t;
    settle(r);
}

static void dynamic_temperature(struct reference *r, double t, double range, double exponent) {
    double low = t - range > 0 ? t - range : 0;
    if (r->size > 1) temperature(r, low + (t + range - low) * pow(entropy_of(r) / log(r->size), exponent));
}

// --- random numbers, and the sampler beside its reference

static uint64_t state = 1;
static double uniform(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) * 0x1p-53;
}

static void draw_logits(float *x, int n) {
    double spread = 0.1 + 5 * uniform();
    for (int i = 0; i < n; i++)
        x[i] = (float)(spread * sqrt(-2 * log(uniform() + 1e-300)) * cos(6.283185307179586 * uniform()));
    if (uniform() < 0.3)
        for (int i = 0; i < n / 10; i++)
            x[(int)(uniform() * n)] = uniform() < 0.5 ? -INFINITY : NAN;
    x[(int)(uniform() * n)] = 1; // one is possible
}

static struct xn_sampling only(const char *samplers) {
    struct xn_sampling o = xn_sampling_default();
    o.temperature = 1;
    assert_int_equal(xn_sampler_order_parse(samplers, &o.order, NULL), XN_OK);
    return o;
}

// What the sampler draws from equals the reference.
static void expect(const struct xn_sampling *o, const float *logits, int vocab, const struct reference *r) {
    static struct xn_token_logprob got[MOST];
    static double p_of[MOST];
    static bool is_in[MOST];
    struct xn_sampler *s;
    assert_int_equal(xn_sampler_new(o, vocab, &s, NULL), XN_OK);
    int32_t id = xn_sampler_choose(s, logits);
    int n = xn_sampler_top(s, got, vocab);
    memset(p_of, 0, sizeof p_of);
    memset(is_in, 0, sizeof is_in);
    for (int i = 0; i < r->n; i++) {
        p_of[r->id[i]] = r->p[i];
        is_in[r->id[i]] = true;
    }
    // What rounds to nothing may or may not be there.
    int certain = 0;
    for (int i = 0; i < r->n; i++)
        certain += r->p[i] > 1e-30;
    assert_in_range(n, certain, r->n);
    for (int i = 0; i < n; i++) {
        double want = p_of[got[i].id];
        if (!is_in[got[i].id] || fabs(exp((double)got[i].logprob) - want) > 5e-6 * want + 1e-12)
            fail_msg("%d of %d: token %d: %.9g, expected %.9g", i, n, got[i].id, exp((double)got[i].logprob), want);
    }
    assert_true(p_of[id] > 0);
    xn_sampler_free(s);
}

static const int sizes[] = {1, 2, 5, 63, 64, 65, 200, 1000, 2999};
enum { N_SIZES = sizeof sizes / sizeof *sizes, ROUNDS = 6 };

// Calls `test` with random logits of several sizes.
static void over_random(void (*test)(const float *logits, int n)) {
    static float x[MOST];
    state = 88172645463325252u;
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < N_SIZES; i++) {
            draw_logits(x, sizes[i]);
            test(x, sizes[i]);
        }
}

static struct reference r; // large

static void check_top_k(const float *x, int n) {
    static const int ks[] = {-1, 0, 1, 2, 7, 40, 200, 2998, 2999, 5000, INT32_MAX};
    for (size_t i = 0; i < sizeof ks / sizeof *ks; i++) {
        struct xn_sampling o = only("top_k");
        o.top_k = ks[i];
        begin(&r, x, n);
        top_k(&r, ks[i]);
        expect(&o, x, n, &r);
    }
}

static const double ps[] = {0, 1e-6, 0.05, 0.3, 0.5, 0.9, 0.95, 0.999, 1};
enum { N_PS = sizeof ps / sizeof *ps };

static void check_cuts_by_p(const float *x, int n) {
    for (int i = 0; i < N_PS; i++)
        for (int min_keep = 0; min_keep < 30; min_keep += 9) {
            struct xn_sampling o = only("top_p");
            o.min_keep = min_keep;
            o.top_p = o.min_p = o.typ_p = (float)ps[i];
            begin(&r, x, n);
            top_p(&r, (double)(float)ps[i], min_keep);
            expect(&o, x, n, &r);
            assert_int_equal(xn_sampler_order_parse("min_p", &o.order, NULL), XN_OK);
            begin(&r, x, n);
            min_p(&r, (double)(float)ps[i], min_keep);
            expect(&o, x, n, &r);
            if (n > 1000 && i % 3) continue; // the reference is quadratic
            assert_int_equal(xn_sampler_order_parse("typ-p", &o.order, NULL), XN_OK);
            begin(&r, x, n);
            typical(&r, (double)(float)ps[i], min_keep);
            expect(&o, x, n, &r);
        }
}

static void check_sigma_and_xtc(const float *x, int n) {
    static const double values[] = {-1, 0, 0.01, 0.1, 0.2, 0.5, 0.51, 1, 2.5};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct xn_sampling o = only("top_n_sigma");
        o.top_n_sigma = (float)values[i];
        begin(&r, x, n);
        top_n_sigma(&r, (double)o.top_n_sigma);
        expect(&o, x, n, &r);
        if (values[i] < 0) continue;
        for (int min_keep = 0; min_keep < 3 * n; min_keep += n) {
            o = only("xtc");
            o.xtc_probability = 1;
            o.xtc_threshold = (float)values[i];
            o.min_keep = min_keep;
            begin(&r, x, n);
            xtc_that_strikes(&r, (double)o.xtc_threshold, min_keep);
            expect(&o, x, n, &r);
        }
    }
}

static void check_temperature(const float *x, int n) {
    static const double ts[] = {0, 0.2, 0.7, 1, 1.5, 10};
    for (size_t i = 0; i < sizeof ts / sizeof *ts; i++) {
        struct xn_sampling o = only("temperature");
        o.temperature = (float)ts[i];
        begin(&r, x, n);
        temperature(&r, (double)o.temperature);
        expect(&o, x, n, &r);
        o.dynatemp_range = 0.5f;
        for (o.dynatemp_exponent = 0.5f; o.dynatemp_exponent < 3; o.dynatemp_exponent *= 2) {
            begin(&r, x, n);
            dynamic_temperature(&r, (double)o.temperature, 0.5, (double)o.dynatemp_exponent);
            if (r.n > 1 && r.logit[0] - r.logit[1] < 1e-3) continue; // near 0 degrees a tie is decided by rounding
            expect(&o, x, n, &r);
        }
    }
}

static void check_chains(const float *x, int n) {
    struct xn_sampling o = only("top_n_sigma;top_k;typ_p;top_p;min_p;xtc;temperature");
    o.top_n_sigma = 3;
    o.top_k = 50;
    o.typ_p = 0.97f;
    o.top_p = 0.93f;
    o.min_p = 0.02f;
    o.xtc_probability = 1;
    o.xtc_threshold = 0.08f;
    o.temperature = 1.3f;
    begin(&r, x, n);
    top_n_sigma(&r, 3);
    top_k(&r, 50);
    typical(&r, (double)o.typ_p, 0);
    top_p(&r, (double)o.top_p, 0);
    min_p(&r, (double)o.min_p, 0);
    xtc_that_strikes(&r, (double)o.xtc_threshold, 0);
    temperature(&r, (double)o.temperature);
    expect(&o, x, n, &r);
    // Another order is another distribution.
    assert_int_equal(xn_sampler_order_parse("temp;nucleus;top-k;min-p;top-p", &o.order, NULL), XN_OK);
    o.top_k = 9;
    begin(&r, x, n);
    temperature(&r, (double)o.temperature);
    top_p(&r, (double)o.top_p, 0);
    top_k(&r, 9);
    min_p(&r, (double)o.min_p, 0);
    top_p(&r, (double)o.top_p, 0);
    expect(&o, x, n, &r);
    // Masked tokens count in the normalisation of the dynamic temperature.
    assert_int_equal(xn_sampler_order_parse("top_n_sigma;temperature", &o.order, NULL), XN_OK);
    o.top_n_sigma = 1;
    o.dynatemp_range = 0.5f;
    begin(&r, x, n);
    top_n_sigma(&r, 1);
    dynamic_temperature(&r, (double)o.temperature, 0.5, 1);
    expect(&o, x, n, &r);
    o = only("");
    begin(&r, x, n);
    expect(&o, x, n, &r);
}

static void top_k_keeps_the_best(void **unused) {
    (void)unused;
    over_random(check_top_k);
}

static void probabilities_cut_as_defined(void **unused) {
    (void)unused;
    over_random(check_cuts_by_p);
}

static void sigma_and_xtc_cut_as_defined(void **unused) {
    (void)unused;
    over_random(check_sigma_and_xtc);
}

static void temperatures_scale(void **unused) {
    (void)unused;
    over_random(check_temperature);
}

static void chains_run_in_their_order(void **unused) {
    (void)unused;
    over_random(check_chains);
}

static void equal_logits_keep_the_lower_ids(void **unused) {
    (void)unused;
    static float x[MOST];
    for (int i = 0; i < MOST; i++)
        x[i] = 3;
    check_top_k(x, 2000);
    check_cuts_by_p(x, 64);
    check_sigma_and_xtc(x, 64);
}

// By hand: probabilities 1/2, 1/4, 1/8, 1/16, 1/16.
static void what_is_kept_of_a_distribution_known_by_heart(void **unused) {
    (void)unused;
    const float x[] = {4, 3, 2, 1, 1};
    float logits[5];
    for (int i = 0; i < 5; i++)
        logits[i] = x[i] * 0.69314718f;
    const struct {
        const char *samplers;
        int n;
        int ids[5];
    } cases[] = {
        {"top_p", 2, {0, 1}},     // 1/2 + 1/4 reach 0.7
        {"min_p", 3, {0, 1, 2}},  // a fifth of 1/2 is 1/10
        {"typ_p", 2, {0, 1}},     // entropy 1.875 bits: 2, 1, 3, 4, 4 bits are 0.125, 0.875, ... away; 1/4 + 1/2 > 0.7
        {"xtc", 4, {1, 2, 3, 4}}, // 1/2 and 1/4 reach 0.2; the last of them stays
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct xn_sampling o = only(cases[i].samplers);
        struct xn_token_logprob top[5];
        struct xn_sampler *s;
        o.top_p = 0.7f;
        o.min_p = 0.2f;
        o.typ_p = 0.7f;
        o.xtc_probability = 1;
        o.xtc_threshold = 0.2f;
        assert_int_equal(xn_sampler_new(&o, 5, &s, NULL), XN_OK);
        assert_int_equal(xn_sampler_top(s, top, 5), 0);
        xn_sampler_choose(s, logits);
        assert_int_equal(xn_sampler_top(s, top, 5), cases[i].n);
        for (int k = 0; k < cases[i].n; k++)
            assert_int_equal(top[k].id, cases[i].ids[k]);
        xn_sampler_free(s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(top_k_keeps_the_best),
        cmocka_unit_test(probabilities_cut_as_defined),
        cmocka_unit_test(sigma_and_xtc_cut_as_defined),
        cmocka_unit_test(temperatures_scale),
        cmocka_unit_test(chains_run_in_their_order),
        cmocka_unit_test(equal_logits_keep_the_lower_ids),
        cmocka_unit_test(what_is_kept_of_a_distribution_known_by_heart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
