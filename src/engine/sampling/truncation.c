// What drops candidates: top-k, top-p, min-p, typical, top-n-sigma, XTC.
#include "engine/sampling/stages.h"

#include <math.h>

// The k most likely (Fan and others, Hierarchical Neural Story Generation, arXiv 1805.04833, 5.2).
void xn_sample_top_k(struct xn_candidates *c, int32_t k) {
    if (k > 0 && k < c->size) xn_candidates_best(c, k);
}

enum { BINS = 4096, BINS_A_UNIT = 128, BLOCK = XN_CANDIDATE_BLOCK };

// Counts the logits of whole blocks by how far they are from the best: of blocks of which the nearest is `from` to
// before `to` bins away.
static void count_distances(const struct xn_candidates *c, float max, float from, float to, int32_t count[BINS + 1]) {
    int32_t bins[BLOCK];
    for (int32_t b = 0; b < c->vocab / BLOCK; b++) {
        const float *x = c->logits + b * BLOCK;
        float nearest = (max - c->tops[b]) * BINS_A_UNIT;
        if (!(nearest >= from && nearest < to)) continue;
        for (int i = 0; i < BLOCK; i++) {
            float distance = (max - x[i]) * BINS_A_UNIT;
            bins[i] = (int32_t)(distance < BINS ? distance : BINS); // NaN, and what is too far, count nowhere else
        }
        for (int i = 0; i < BLOCK; i++)
            count[bins[i]]++;
    }
}

// How far from the best the fewest tokens that weigh `mass` reach at the most, told from a count of logits by their
// distance, without sorting or listing them; at least min_keep are nearer. INFINITY: no saying.
static double find_mass(const struct xn_candidates *c, float max, double mass, int32_t min_keep) {
    enum { FEW = 1024, STEP = 2 * BINS_A_UNIT };
    if (c->vocab <= FEW) return INFINITY;
    int32_t count[BINS + 1] = {0};
    double least = 0, seen = 0, step = exp(-1.0 / BINS_A_UNIT), weight = 1;
    for (int32_t i = c->vocab / BLOCK * BLOCK; i < c->vocab; i++) {
        float distance = (max - c->logits[i]) * BINS_A_UNIT;
        if (distance < BINS) count[(int32_t)distance]++;
    }
    // Where a model is sure of something a few blocks have it all, so that the others need not be counted.
    for (int from = 0; from < BINS; from += STEP) {
        count_distances(c, max, (float)from, (float)(from + STEP), count);
        for (int i = from; i < from + STEP; i++) {
            least += count[i] * (weight *= step);
            seen += count[i];
            // One more, for what rounding puts into the next.
            if (least * (1 - 1e-5) >= mass && seen >= min_keep) return (i + 2.0) / BINS_A_UNIT;
        }
    }
    return INFINITY;
}

// Keeps the k first by key, which stand in front already, or min_keep where that is more.
static void keep_first(struct xn_candidates *c, int32_t k, int32_t min_keep) {
    if (k < min_keep) {
        k = min_keep;
        xn_candidates_select(c->list, c->n, k);
    }
    xn_candidates_cut(c, k);
}

bool xn_sample_nucleus(struct xn_candidates *c, double mass, int32_t min_keep) {
    double sum = 0;
    int32_t k = 0, most = c->n < XN_ROW_CANDIDATES ? c->n : XN_ROW_CANDIDATES;
    xn_candidates_weigh(c);
    while (k < most && sum < mass)
        sum += (double)c->list[k++].weight;
    if (k < min_keep) k = min_keep;
    if (k < 1) k = 1;
    if (sum < mass || k > most) return false;
    c->n = k;
    return true;
}

// The same of a whole vocabulary: most of the time it is a few tokens, which then stand in their order whoever found
// them (device/candidates.h).
static bool nucleus_of_best(struct xn_candidates *c, double mass, int32_t min_keep) {
    struct xn_candidates before = *c;
    xn_candidates_best(c, XN_ROW_CANDIDATES);
    c->size = before.size;
    if (xn_sample_nucleus(c, mass, min_keep)) return true;
    *c = before;
    return false;
}

void xn_sample_keep_size(struct xn_candidates *c, int32_t min_keep) {
    if (c->n < c->size) c->size = c->n > min_keep ? c->n : min_keep < c->size ? min_keep : c->size;
}

// The fewest of the most likely whose probabilities reach p (Holtzman and others, The Curious Case of Neural Text
// Degeneration, arXiv 1904.09751, 3.1).
void xn_sample_top_p(struct xn_candidates *c, float p, int32_t min_keep) {
    if (p >= 1) return;
    double mass;
    if (c->dense) {
        float max = xn_candidates_max(c);
        mass = (double)p * xn_sum_exp(c->logits, c->vocab, max);
        if (nucleus_of_best(c, mass, min_keep)) {
            xn_sample_keep_size(c, min_keep);
            return;
        }
        xn_candidates_above(c, (float)((double)max - find_mass(c, max, mass, min_keep)));
        xn_candidates_weigh(c);
    } else {
        mass = (double)p * xn_candidates_weigh(c);
        xn_candidates_rank(c);
    }
    int32_t k = xn_candidates_mass(c->list, c->n, mass, false);
    keep_first(c, k, min_keep);
    xn_sample_keep_size(c, min_keep);
}

float xn_min_p_bound(struct xn_candidates *c, float p) {
    float max = xn_candidates_max(c), least = max + logf(p);
    return least > max ? max : least;
}

// Those with at least p times the probability of the most likely (Nguyen and others, Turning Up the Heat, arXiv
// 2407.01082, 3).
void xn_sample_min_p(struct xn_candidates *c, float p, int32_t min_keep) {
    if (p <= 0) return;
    float least = xn_min_p_bound(c, p);
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
    keep_first(c, k, min_keep);
}

// Adds to the sums of the possible logits' distances from `from` and of their squares, in lanes that become vectors.
static void moments(const float *x, int32_t n, double from, double *sum, double *squares, double *count) {
    enum { LANES = 8 };
    double sums[LANES] = {0}, square_sums[LANES] = {0}, counts[LANES] = {0};
    for (int32_t at = 0; at < n; at += LANES)
        for (int32_t i = 0; i < LANES; i++) {
            float value = at + i < n ? x[at + i] : -INFINITY;
            double d = value > -INFINITY ? (double)value - from : 0;
            sums[i] += d;
            square_sums[i] += d * d;
            counts[i] += value > -INFINITY ? 1 : 0;
        }
    for (int i = 0; i < LANES; i++) {
        *sum += sums[i];
        *squares += square_sums[i];
        *count += counts[i];
    }
}

// Those within n standard deviations of the highest logit (Tang and others, Top-n-sigma: Not All Logits Are You Need,
// arXiv 2411.07641, 3).
void xn_sample_top_n_sigma(struct xn_candidates *c, float n) {
    if (n <= 0 || c->size <= 1) return;
    // From the best logit, so that the squares do not cancel where all logits are far from 0.
    float max = xn_candidates_max(c);
    double sum = 0, squares = 0, count = 0;
    if (c->dense) moments(c->logits, c->vocab, (double)max, &sum, &squares, &count);
    for (int32_t i = 0; i < c->n && !c->dense; i++)
        moments(&c->list[i].logit, 1, (double)max, &sum, &squares, &count);
    double mean = sum / count, variance = squares / count - mean * mean, sigma = sqrt(variance > 0 ? variance : 0);
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
