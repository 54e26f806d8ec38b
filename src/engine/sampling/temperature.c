// The temperature: fixed, or between two by how sure the model is.
#include "engine/sampling/stages.h"

#include <float.h>
#include <math.h>

void xn_sample_temperature(struct xn_candidates *c, float temperature) {
    if (temperature <= 0) {
        int32_t size = c->size;
        xn_candidates_best(c, 1);
        c->size = size;
        return;
    }
    if (temperature == 1) return;
    // Relative to the best, so that no temperature makes a logit leave single precision upwards.
    float max = xn_candidates_max(c);
    if (c->dense) {
        float *logits = xn_candidates_own(c);
        for (int32_t i = 0; i < c->vocab; i++)
            logits[i] = (logits[i] - max) / temperature;
        for (int32_t b = 0; b < xn_candidate_blocks(c->vocab) && c->tops; b++)
            c->tops[b] = (c->tops[b] - max) / temperature;
        c->max = 0; // so nothing has to be found anew
        return;
    }
    for (int32_t i = 0; i < c->n; i++)
        c->list[i].logit = (c->list[i].logit - max) / temperature;
    xn_candidates_above(c, -FLT_MAX);
}

// Entropy-based dynamic temperature (kalomaze; llama.cpp pull request 4972): (t - range) + 2 range (H / ln n)^exponent.
void xn_sample_dynamic_temperature(struct xn_candidates *c, const struct xn_sampling *o) {
    double low = (double)o->temperature - (double)o->dynatemp_range;
    double high = (double)o->temperature + (double)o->dynatemp_range;
    if (low < 0) low = 0;
    if (c->size <= 1) return;
    xn_candidates_list(c);
    double sum = xn_candidates_weigh(c), entropy = 0;
    float max = xn_candidates_max(c);
    for (int32_t i = 0; i < c->n; i++)
        entropy += (double)c->list[i].weight / sum * (log(sum) - (double)(c->list[i].logit - max));
    double share = entropy / log(c->size);
    if (share < 0) share = 0; // rounding, where one token is all but certain
    xn_sample_temperature(c, (float)(low + (high - low) * pow(share, (double)o->dynatemp_exponent)));
}
