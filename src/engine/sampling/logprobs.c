#include "engine/sampler.h"

#include "base/memory.h"
#include "engine/sampling/candidates.h"

#include <math.h>
#include <stdlib.h>

// Beside +inf nothing else is possible, and nothing is where all are impossible.
static float logprob(float x, float max, double log_sum) {
    if (x == INFINITY) return 0;
    return max == INFINITY || !(x > -INFINITY) ? -INFINITY : (float)((double)(x - max) - log_sum);
}

int32_t xn_logprobs(const float *logits, int32_t vocab, int32_t id, float *chosen, struct xn_token_logprob *top,
                    int32_t n) {
    struct xn_candidates c = {.vocab = vocab};
    xn_candidates_begin(&c, logits);
    float max = xn_candidates_max(&c);
    double log_sum = max == INFINITY ? 0 : log(xn_sum_exp(logits, vocab, max));
    if (chosen) *chosen = id < 0 || id >= vocab ? -INFINITY : logprob(logits[id], max, log_sum);
    if (n > vocab) n = vocab;
    if (n <= 0) return 0;
    c.list = xn_alloc((size_t)vocab, sizeof *c.list);
    if (!c.list) return -1;
    xn_candidates_best(&c, n);
    xn_candidates_sort(c.list, c.n, c.n);
    int32_t written = 0;
    for (; written < c.n && logprob(c.list[written].logit, max, log_sum) > -INFINITY; written++)
        top[written] = (struct xn_token_logprob){c.list[written].id, logprob(c.list[written].logit, max, log_sum)};
    free(c.list);
    return written;
}

bool xn_logprobs_among(const struct xn_row_candidates *best, int32_t id, float *chosen, struct xn_token_logprob *top,
                       int32_t n, int32_t *written) {
    bool all = best->n < XN_ROW_CANDIDATES;
    uint32_t most = n < 0 ? 0 : (uint32_t)n, i = 0;
    while (i < best->n && best->items[i].id != id)
        i++;
    if (!all && (most > best->n || i == best->n)) return false;
    float max = best->n ? best->items[0].logit : -INFINITY;
    double log_sum = max == INFINITY ? 0 : log(best->sum);
    if (chosen) *chosen = i < best->n ? logprob(best->items[i].logit, max, log_sum) : -INFINITY;
    *written = 0;
    for (i = 0; i < most && i < best->n; i++) {
        float x = logprob(best->items[i].logit, max, log_sum);
        if (!(x > -INFINITY)) break;
        top[(*written)++] = (struct xn_token_logprob){best->items[i].id, x};
    }
    return true;
}
