// What changes single logits: logit_bias and the penalties for repeated tokens.
#include "engine/sampling/stages.h"

#include <float.h>
#include <math.h>

float xn_logit_add(float logit, double delta) {
    double sum = (double)logit + delta;
    return sum > (double)FLT_MAX ? FLT_MAX : (float)sum;
}

static void drop_impossible(struct xn_candidates *c) {
    xn_candidates_above(c, -FLT_MAX);
}

void xn_sample_logit_bias(struct xn_candidates *c, const struct xn_logit_bias *bias, size_t n) {
    if (n == 0) return;
    if (!c->dense) {
        for (size_t i = 0; i < n; i++)
            for (int32_t j = 0; j < c->n; j++)
                if (c->list[j].id == bias[i].id)
                    c->list[j].logit = xn_logit_add(c->list[j].logit, (double)bias[i].bias);
        drop_impossible(c);
        return;
    }
    float *logits = xn_candidates_own(c);
    for (size_t i = 0; i < n; i++)
        logits[bias[i].id] = xn_logit_add(logits[bias[i].id], (double)bias[i].bias);
}

// The repetition penalty divides (Keskar and others, CTRL, arXiv 1909.05858, 4.1), or multiplies what is not positive,
// which a division would make more likely. OpenAI's frequency and presence penalties are subtracted.
static float penalized(const struct xn_sampling *o, float logit, int32_t count) {
    if (count == 0) return logit;
    double scaled = logit > 0 ? (double)logit / (double)o->repeat_penalty : (double)logit * (double)o->repeat_penalty;
    double taken = count * (double)o->frequency_penalty + (double)o->presence_penalty;
    if (!(scaled > -INFINITY)) return -INFINITY; // also where the logit is NaN
    scaled -= taken;
    return scaled > (double)FLT_MAX ? FLT_MAX : (float)scaled;
}

void xn_sample_penalties(struct xn_candidates *c, const struct xn_sampling *o, const struct xn_history *history) {
    if (history->n_distinct == 0) return;
    if (c->dense) {
        float *logits = xn_candidates_own(c);
        for (int32_t i = 0; i < history->n_distinct; i++) {
            int32_t id = history->distinct[i];
            logits[id] = penalized(o, logits[id], history->count[id]);
        }
        return;
    }
    for (int32_t i = 0; i < c->n; i++)
        c->list[i].logit = penalized(o, c->list[i].logit, history->count[c->list[i].id]);
    drop_impossible(c);
}
