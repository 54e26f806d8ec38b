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
    double s = products / squares, epsilon = s - 1;
    double inner = epsilon == 0 ? exp2(mu) / log(c->vocab) : epsilon * exp2(mu) / (1 - pow(c->vocab, -epsilon));
    double k = pow(inner, 1 / s);
    return k >= c->n ? c->n : k >= 1 ? (int32_t)k : 1; // NaN gives 1
}

void xn_sample_mirostat(struct xn_candidates *c, int version, double mu) {
    xn_candidates_list(c);
    if (c->n < 2) return;
    double sum = xn_candidates_weigh(c);
    xn_candidates_rank(c);
    if (version == 1) {
        xn_candidates_sort(c->list, c->n, ESTIMATED);
        int32_t k = zipf_k(c, mu);
        xn_candidates_select(c->list, c->n, k);
        xn_candidates_cut(c, k);
        return;
    }
    // Version 2: what is more surprising than mu bits is dropped (algorithm 2).
    double least = exp2(-mu) * sum;
    int32_t k = 0;
    for (int32_t i = 0; i < c->n; i++)
        k += (double)c->list[i].weight >= least;
    if (k < 1) k = 1;
    xn_candidates_select(c->list, c->n, k);
    xn_candidates_cut(c, k);
}

double xn_mirostat_learn(const struct xn_sampling *o, double mu, double probability) {
    double surprise = -log2(probability);
    return mu - (double)o->mirostat_eta * (surprise - (double)o->mirostat_tau);
}
