#include "engine/sampler.h"

#include "base/memory.h"
#include "engine/sampling/candidates.h"

#include <math.h>
#include <stdlib.h>

int32_t xn_logprobs(const float *logits, int32_t vocab, int32_t id, float *chosen, struct xn_token_logprob *top,
                    int32_t n) {
    struct xn_candidates c = {.vocab = vocab};
    xn_candidates_begin(&c, logits);
    float max = xn_candidates_max(&c);
    double log_sum = max == INFINITY ? 0 : log(xn_sum_exp(logits, vocab, max));
    // Beside +inf nothing else is possible, and nothing is where all are impossible.
#define LOGPROB(x)                                                                                                     \
    ((x) == INFINITY ? 0 : max == INFINITY || !((x) > -INFINITY) ? -INFINITY : (float)((double)((x)-max) - log_sum))
    if (chosen) *chosen = id < 0 || id >= vocab ? -INFINITY : LOGPROB(logits[id]);
    if (n > vocab) n = vocab;
    if (n <= 0) return 0;
    c.list = xn_alloc((size_t)vocab, sizeof *c.list);
    if (!c.list) return -1;
    xn_candidates_best(&c, n);
    xn_candidates_sort(c.list, c.n, c.n);
    int32_t written = 0;
    for (; written < c.n && LOGPROB(c.list[written].logit) > -INFINITY; written++)
        top[written] = (struct xn_token_logprob){c.list[written].id, LOGPROB(c.list[written].logit)};
#undef LOGPROB
    free(c.list);
    return written;
}
