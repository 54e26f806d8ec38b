// What drops candidates: top-k, top-p, min-p, typical, top-n-sigma, XTC.
#include "engine/sampling/stages.h"

#include <math.h>

// The k most likely (Fan and others, Hierarchical Neural Story Generation, arXiv 1805.04833, 5.2).
void xn_sample_top_k(struct xn_candidates *c, int32_t k) {
    if (k > 0 && k < c->size) xn_candidates_best(c, k);
}

// The fewest of the most likely whose probabilities reach p (Holtzman and others, The Curious Case of Neural Text
// Degeneration, arXiv 1904.09751, 3.1).
void xn_sample_top_p(struct xn_candidates *c, float p, int32_t min_keep) {
    if (p >= 1) return;
    xn_candidates_list(c);
    double sum = xn_candidates_weigh(c);
    xn_candidates_rank(c);
    int32_t k = xn_candidates_mass(c->list, c->n, (double)p * sum, false);
    if (k < min_keep) k = min_keep;
    if (k >= c->n) return;
    xn_candidates_select(c->list, c->n, k);
    xn_candidates_cut(c, k);
}

// Those with at least p times the probability of the most likely (Nguyen and others, Turning Up the Heat, arXiv
// 2407.01082, 3).
void xn_sample_min_p(struct xn_candidates *c, float p, int32_t min_keep) {
    if (p <= 0) return;
    float max = xn_candidates_max(c), least = max + logf(p);
    if (least > max) least = max;
    if (min_keep > 1) {
        int32_t kept = 0;
        xn_candidates_list(c);
        for (int32_t i = 0; i < c->n; i++)
            kept += c->list[i].logit >= least;
        if (kept < min_keep) {
            xn_sample_top_k(c, min_keep);
            return;
        }
    }
    xn_candidates_above(c, least);
    c->size = c->n;
}

// The fewest whose surprise -ln q lies nearest to the entropy and whose probabilities exceed p (Meister and others,
// Locally Typical Sampling, arXiv 2202.00666, 4).
void xn_sample_typ_p(struct xn_candidates *c, float p, int32_t min_keep) {
    if (p >= 1) return;
    xn_candidates_list(c);
    double sum = xn_candidates_weigh(c), log_sum = log(sum), entropy = 0;
    float max = xn_candidates_max(c);
    for (int32_t i = 0; i < c->n; i++) {
        double surprise = log_sum - (double)(c->list[i].logit - max);
        entropy += (double)c->list[i].weight / sum * surprise;
    }
    for (int32_t i = 0; i < c->n; i++)
        c->list[i].key = (float)fabs(log_sum - (double)(c->list[i].logit - max) - entropy);
    int32_t k = xn_candidates_mass(c->list, c->n, (double)p * sum, true);
    if (k < min_keep) k = min_keep;
    if (k >= c->n) return;
    xn_candidates_select(c->list, c->n, k);
    xn_candidates_cut(c, k);
}

// Sum of the logits (power 1) or of the squares of their distances from `mean` (power 2), over the possible ones.
static double moment(const struct xn_candidates *c, int power, double mean, int32_t *count) {
    double sum[4] = {0};
    int32_t n = c->dense ? c->vocab : c->n, counted[4] = {0};
    for (int32_t i = 0; i < n; i++) {
        float x = c->dense ? c->logits[i] : c->list[i].logit;
        bool possible = x > -INFINITY;
        double d = possible ? (double)x - mean : 0;
        sum[i & 3] += power == 1 ? d : d * d;
        counted[i & 3] += possible;
    }
    *count = counted[0] + counted[1] + counted[2] + counted[3];
    return sum[0] + sum[1] + (sum[2] + sum[3]);
}

// Those within n standard deviations of the highest logit (Tang and others, Top-n-sigma: Not All Logits Are You Need,
// arXiv 2411.07641, 3).
void xn_sample_top_n_sigma(struct xn_candidates *c, float n) {
    int32_t count;
    if (n <= 0 || c->size <= 1) return;
    double mean = moment(c, 1, 0, &count) / count;
    double sigma = sqrt(moment(c, 2, mean, &count) / count);
    float max = xn_candidates_max(c);
    xn_candidates_above(c, (float)((double)max - (double)n * sigma)); // the others stay in `size`, as in llama.cpp
}

// Exclude top choices: with a given probability all that reach the threshold but the least likely of them are dropped
// (p-e-w, oobabooga/text-generation-webui pull request 6335).
void xn_sample_xtc(struct xn_candidates *c, const struct xn_sampling *o, double chance) {
    if (o->xtc_probability <= 0 || o->xtc_threshold > 0.5f || c->size < 2 || chance >= (double)o->xtc_probability)
        return;
    xn_candidates_list(c);
    double least = (double)o->xtc_threshold * xn_candidates_weigh(c);
    const struct xn_candidate *last = NULL;
    int32_t reached = 0;
    for (int32_t i = 0; i < c->n; i++) {
        const struct xn_candidate *x = &c->list[i];
        if ((double)x->weight < least) continue;
        reached++;
        if (!last || x->logit < last->logit || (x->logit == last->logit && x->id > last->id)) last = x;
    }
    if (reached < 2 || c->size - (reached - 1) < o->min_keep) return;
    int32_t keeps = last->id, n = 0;
    for (int32_t i = 0; i < c->n; i++)
        if ((double)c->list[i].weight < least || c->list[i].id == keeps) c->list[n++] = c->list[i];
    c->size -= c->n - n;
    c->n = n;
}
