// DRY, "don't repeat yourself": a token that would prolong a repetition is penalised exponentially in the repetition's
// length (p-e-w, oobabooga/text-generation-webui pull request 5677; sequence breakers as in KoboldCpp's 982).
#include "engine/sampling/stages.h"

#include <float.h>
#include <math.h>

// How many of the last `n` tokens may be part of a repetition: those after the last sequence breaker.
static int32_t reach(const struct xn_history *h, const struct xn_dry_breakers *breakers, int32_t n) {
    if (!breakers) return n;
    for (int32_t i = 0; i < n; i++) {
        size_t n_found;
        const struct xn_dry_breaker *found = xn_dry_breakers_find(breakers, xn_history_back(h, i), &n_found);
        int32_t longest = -1;
        for (size_t k = 0; k < n_found; k++) {
            const int32_t *tail = breakers->tails.data + found[k].tail;
            int32_t matched = 0;
            if (found[k].n_tail > i) continue;
            while (matched < found[k].n_tail && tail[matched] == xn_history_back(h, i - matched - 1))
                matched++;
            if (matched == found[k].n_tail && matched > longest) longest = matched;
        }
        if (longest >= 0) return i - longest;
    }
    return n;
}

// length[k], 1 <= k < n: how many tokens before the k-th from the end repeat the text's last ones; the Z function of
// the tokens read backwards (Gusfield, Algorithms on Strings, 1.4), linear in n.
static void repeats(const struct xn_history *h, int32_t n, int32_t *length) {
    int32_t left = 0, right = 0; // the box [left, right) that reaches farthest equals the beginning
    for (int32_t k = 1; k < n; k++) {
        int32_t m = k < right ? length[k - left] : 0;
        if (k < right && m >= right - k) m = right - k;
        if (k + m >= right) {
            while (k + m < n && xn_history_back(h, m) == xn_history_back(h, k + m))
                m++;
            left = k;
            right = k + m;
        }
        length[k] = m;
    }
}

static bool is_breaker(const struct xn_dry_breakers *breakers, int32_t id) {
    size_t n;
    const struct xn_dry_breaker *found = breakers ? xn_dry_breakers_find(breakers, id, &n) : NULL;
    return found && found->n_tail == 0; // sorted: the shortest first
}

static float penalized(const struct xn_sampling *o, float logit, int32_t id, int32_t longest) {
    if (is_breaker(o->dry_breakers, id)) return logit;
    int32_t beyond = longest - o->dry_allowed_length;
    // Further on the power leaves single precision.
    double most = o->dry_base > 1.000001f ? floor(log((double)FLT_MAX) / log((double)o->dry_base)) : 0;
    double exponent = most > 0 && beyond > most ? most : beyond;
    return xn_logit_add(logit, -(double)o->dry_multiplier * pow((double)o->dry_base, exponent));
}

void xn_sample_dry(struct xn_candidates *c, const struct xn_sampling *o, const struct xn_history *h, int32_t *length,
                   int32_t *longest) {
    int32_t n = o->dry_penalty_last >= 0 && o->dry_penalty_last < h->n ? o->dry_penalty_last : h->n;
    if (n <= o->dry_allowed_length) return;
    int32_t most = reach(h, o->dry_breakers, n);
    if (most < o->dry_allowed_length) return;
    repeats(h, n, length);
    // The token after each repetition would prolong it; `longest` holds the length + 1.
    bool any = false;
    for (int32_t k = 1; k < n; k++) {
        int32_t m = length[k] < most ? length[k] : most, next = xn_history_back(h, k - 1);
        if (m < o->dry_allowed_length) continue;
        if (longest[next] < m + 1) longest[next] = m + 1;
        any = true;
    }
    if (!any) return;
    float *logits = c->dense ? xn_candidates_own(c) : NULL;
    for (int32_t i = 0; i < c->n && !logits; i++) {
        struct xn_candidate *x = &c->list[i];
        if (longest[x->id]) x->logit = penalized(o, x->logit, x->id, longest[x->id] - 1);
    }
    for (int32_t k = 0; k < n - 1; k++) {
        int32_t id = xn_history_back(h, k);
        if (logits && longest[id]) logits[id] = penalized(o, logits[id], id, longest[id] - 1);
        longest[id] = 0;
    }
    if (!logits) xn_candidates_above(c, -FLT_MAX);
}
