// Mirostat: truncation led by the surprise of what was chosen (Basu and others, arXiv 2007.14966). The surprise is
// that among the truncated candidates, as in llama.cpp.
#include "engine/sampling/stages.h"

#include <math.h>

enum { ESTIMATED = 100 }; // of the most likely tokens, from which Zipf's exponent is estimated

// Version 1: k from an estimate of Zipf's exponent (algorithm 1 and equation 30).
static int32_t zipf_k(const struct xn_candidates *c, double mu) {
    double products = 0, squares = 0;
    for (int32_t i = 0; i + 1 < c->n && i + 1 < ESTIMATED; i++) {
        double t = log((i + 2.0) / (i + 1.0)), b = (double)c->list[i].logit - (double)c->list[i + 1].logit;
        products += t * b;
        squares += t * t;
    }
    if (c->n < 2) return 1;
    double s = products / squares, epsilon = s - 1;
    double inner = epsilon == 0 ? exp2(mu) / log(c->vocab) : epsilon * exp2(mu) / (1 - pow(c->vocab, -epsilon));
    double k = pow(inner, 1 / s);
    return k >= c->vocab ? c->vocab : k >= 1 ? (int32_t)k : 1; // NaN gives 1
}

static void mirostat_1(struct xn_candidates *c, double mu) {
    struct xn_candidates before = *c;
    xn_candidates_best(c, ESTIMATED);
    xn_candidates_sort(c->list, c->n, c->n);
    int32_t k = zipf_k(c, mu);
    if (k > c->n) { // of all again
        *c = before;
        xn_candidates_best(c, k);
    } else {
        xn_candidates_cut(c, k);
    }
}

// Version 2: what is more surprising than mu bits is dropped (algorithm 2).
static void mirostat_2(struct xn_candidates *c, double mu) {
    float max = xn_candidates_max(c);
    double sum = c->dense ? xn_sum_exp(c->logits, c->vocab, max) : xn_candidates_weigh(c);
    double least = (double)max + log(sum) - mu * log(2);
    xn_candidates_above(c, least < (double)max ? (float)least : max);
    if (least > (double)max) xn_candidates_best(c, 1);
    c->size = c->n;
}

void xn_sample_mirostat(struct xn_candidates *c, int version, double mu) {
    if (!c->dense && c->n < 2) return;
    if (version == 1)
        mirostat_1(c, mu);
    else
        mirostat_2(c, mu);
}

double xn_mirostat_learn(const struct xn_sampling *o, double mu, double probability) {
    double surprise = -log2(probability);
    return mu - (double)o->mirostat_eta * (surprise - (double)o->mirostat_tau);
}
