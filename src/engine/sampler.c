#include "engine/sampler.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct candidate {
    int32_t id;
    float logit;
};

struct xn_sampler {
    struct xn_sampling sampling;
    int32_t vocab;
    struct candidate *candidates; // [vocab]
    float *weights;               // [vocab]
    int32_t *recent;              // ring of the last tokens
    int32_t n_recent, recent_size, recent_at;
    uint16_t *seen; // [vocab]: how often a token stands in the ring (saturating)
    uint64_t random[4];
};

struct xn_sampling xn_sampling_default(void) {
    return (struct xn_sampling){.temperature = 0.7f,
                                .top_k = 40,
                                .top_p = 0.95f,
                                .min_p = 0.05f,
                                .repeat_penalty = 1.0f,
                                .repeat_last = 64,
                                .seed = 0};
}

// xoshiro256** (https://prng.di.unimi.it), seeded by splitmix64: the same choices on every machine.
static uint64_t rotate(uint64_t x, int k) {
    return x << k | x >> (64 - k);
}

static uint64_t random_next(struct xn_sampler *s) {
    uint64_t *r = s->random, result = rotate(r[1] * 5, 7) * 9, t = r[1] << 17;
    r[2] ^= r[0];
    r[3] ^= r[1];
    r[1] ^= r[2];
    r[0] ^= r[3];
    r[2] ^= t;
    r[3] = rotate(r[3], 45);
    return result;
}

static void random_seed(struct xn_sampler *s, uint64_t seed) {
    for (int i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15;
        uint64_t z = seed;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        s->random[i] = z ^ z >> 31;
    }
}

int xn_sampler_new(const struct xn_sampling *sampling, int32_t vocab, struct xn_sampler **out, struct xn_error *err) {
    enum { MAX_REPEAT = 1 << 20 };
    if (vocab <= 0) return xn_fail(err, XN_ERR_ARGUMENT, "sampler: a vocabulary of %d", vocab);
    if (!(sampling->repeat_penalty > 0))
        return xn_fail(err, XN_ERR_ARGUMENT, "repeat penalty %g: a number above 0 expected (1: none)",
                       (double)sampling->repeat_penalty);
    struct xn_sampler *s = xn_alloc_zero(1, sizeof *s);
    if (!s) return xn_fail(err, XN_ERR_NOMEM, "no memory for a sampler");
    s->sampling = *sampling;
    s->vocab = vocab;
    s->recent_size =
        sampling->repeat_last < 0 || sampling->repeat_last > MAX_REPEAT ? MAX_REPEAT : sampling->repeat_last;
    s->candidates = xn_alloc((size_t)vocab, sizeof *s->candidates);
    s->weights = xn_alloc((size_t)vocab, sizeof *s->weights);
    s->seen = xn_alloc_zero((size_t)vocab, sizeof *s->seen);
    s->recent = xn_alloc((size_t)s->recent_size, sizeof *s->recent);
    if (!s->candidates || !s->weights || !s->seen || !s->recent) {
        xn_sampler_free(s);
        return xn_fail(err, XN_ERR_NOMEM, "no memory for a sampler of %d tokens", vocab);
    }
    random_seed(s, sampling->seed);
    *out = s;
    return XN_OK;
}

void xn_sampler_free(struct xn_sampler *s) {
    if (!s) return;
    free(s->candidates);
    free(s->weights);
    free(s->seen);
    free(s->recent);
    free(s);
}

void xn_sampler_accept(struct xn_sampler *s, int32_t token) {
    if (token < 0 || token >= s->vocab || s->recent_size == 0) return;
    if (s->n_recent == s->recent_size) {
        int32_t old = s->recent[s->recent_at];
        if (s->seen[old] > 0) s->seen[old]--;
    } else {
        s->n_recent++;
    }
    s->recent[s->recent_at] = token;
    s->recent_at = (s->recent_at + 1) % s->recent_size;
    if (s->seen[token] < UINT16_MAX) s->seen[token]++;
}

// NaN counts as impossible, so that a broken model still yields a token.
static float penalized(const struct xn_sampler *s, const float *logits, int32_t id) {
    float logit = logits[id];
    if (isnan(logit)) return -INFINITY;
    if (s->seen[id] && s->sampling.repeat_penalty != 1)
        logit = logit > 0 ? logit / s->sampling.repeat_penalty : logit * s->sampling.repeat_penalty;
    return logit;
}

// Better first; of equal logits the lower id, so that the order does not depend on the sorting.
static int better_first(const void *a, const void *b) {
    const struct candidate *x = a, *y = b;
    if (x->logit != y->logit) return x->logit > y->logit ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int is_better(struct candidate a, struct candidate b) {
    return better_first(&a, &b) < 0;
}

// Moves the k best of n candidates to the front, unordered: Hoare's selection.
static void select_best(struct candidate *c, int32_t n, int32_t k) {
    int32_t low = 0, high = n - 1;
    while (low < high) {
        struct candidate pivot = c[low + (high - low) / 2];
        int32_t i = low, j = high;
        while (i <= j) {
            while (is_better(c[i], pivot))
                i++;
            while (is_better(pivot, c[j]))
                j--;
            if (i <= j) {
                struct candidate t = c[i];
                c[i++] = c[j];
                c[j--] = t;
            }
        }
        if (k - 1 <= j)
            high = j;
        else if (k - 1 >= i)
            low = i;
        else
            return;
    }
}

// The shortest run of the sorted candidates whose probabilities (at temperature 1) reach top_p.
static int32_t cut_top_p(const struct xn_sampler *s, int32_t n) {
    const struct candidate *c = s->candidates;
    double total = 0, sum = 0;
    for (int32_t i = 0; i < n; i++)
        total += s->weights[i] = expf(c[i].logit - c[0].logit);
    for (int32_t i = 0; i < n; i++) {
        sum += s->weights[i];
        if (sum >= (double)s->sampling.top_p * total) return i + 1;
    }
    return n;
}

int32_t xn_sampler_choose(struct xn_sampler *s, const float *logits) {
    const struct xn_sampling *o = &s->sampling;
    struct candidate *c = s->candidates, best = {0, -INFINITY};
    for (int32_t i = 0; i < s->vocab; i++) {
        c[i] = (struct candidate){i, penalized(s, logits, i)};
        if (is_better(c[i], best)) best = c[i];
    }
    if (o->temperature <= 0 || !isfinite(best.logit)) return best.id;

    int32_t n = s->vocab;
    if (o->top_k > 0 && o->top_k < n) {
        select_best(c, n, o->top_k);
        n = o->top_k;
    } else {
        // Tokens e^-30 below the best never matter, and need no sorting.
        int32_t kept = 0;
        for (int32_t i = 0; i < n; i++)
            if (c[i].logit >= best.logit - 30 * (o->temperature > 1 ? o->temperature : 1)) c[kept++] = c[i];
        n = kept;
    }
    qsort(c, (size_t)n, sizeof *c, better_first);
    if (o->top_p < 1) n = cut_top_p(s, n);
    if (o->min_p > 0) {
        float least = best.logit + logf(o->min_p);
        while (n > 1 && c[n - 1].logit < least)
            n--;
    }
    double sum = 0;
    for (int32_t i = 0; i < n; i++)
        sum += s->weights[i] = expf((c[i].logit - best.logit) / o->temperature);
    double at = (double)(random_next(s) >> 11) * 0x1p-53 * sum;
    for (int32_t i = 0; i < n; i++) {
        at -= s->weights[i];
        if (at < 0) return c[i].id;
    }
    return c[0].id;
}
