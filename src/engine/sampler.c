#include "engine/sampler.h"

#include "base/memory.h"
#include "engine/sampling/random.h"
#include "engine/sampling/stages.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct xn_sampler {
    struct xn_sampling sampling; // logit_bias is `bias`
    struct xn_logit_bias *bias;
    uint8_t steps[XN_SAMPLERS_MOST]; // the samplers that do something, in their order
    int n_steps;
    int limit; // the step that leaves few tokens, of which a device may have told; -1: there is none
    struct xn_candidates candidates;
    struct xn_history history;
    int32_t *dry_length, *dry_longest; // NULL without DRY
    double mu;                         // mirostat's
    double total;                      // of the weights that the last choice was drawn from
    uint64_t position;                 // choices made
};

// Whether a sampler could change anything.
static bool acts(const struct xn_sampling *o, int kind) {
    switch ((enum xn_sampler_kind)kind) {
    case XN_SAMPLER_PENALTIES:
        return o->repeat_last != 0 && (o->repeat_penalty != 1 || o->frequency_penalty != 0 || o->presence_penalty != 0);
    case XN_SAMPLER_DRY:
        return o->dry_multiplier > 0 && o->dry_base >= 1 && o->dry_penalty_last != 0;
    case XN_SAMPLER_TOP_N_SIGMA:
        return o->top_n_sigma > 0;
    case XN_SAMPLER_TOP_K:
        return o->top_k > 0;
    case XN_SAMPLER_TYP_P:
        return o->typ_p < 1;
    case XN_SAMPLER_TOP_P:
        return o->top_p < 1;
    case XN_SAMPLER_MIN_P:
        return o->min_p > 0;
    case XN_SAMPLER_XTC:
        return o->xtc_probability > 0 && o->xtc_threshold <= 0.5f;
    case XN_SAMPLER_TEMPERATURE:
        return o->temperature != 1 || o->dynatemp_range > 0;
    case XN_SAMPLER_KINDS:
        break;
    }
    return false;
}

static bool keeps_the_best(int kind) {
    return kind == XN_SAMPLER_TOP_K || kind == XN_SAMPLER_TOP_P || kind == XN_SAMPLER_MIN_P ||
           kind == XN_SAMPLER_TOP_N_SIGMA;
}

static void plan(struct xn_sampler *s) {
    const struct xn_sampling *o = &s->sampling;
    int n = o->order.given ? o->order.n : XN_SAMPLER_KINDS;
    for (int i = 0; i < n && o->mirostat == 0; i++) {
        int kind = o->order.given ? o->order.kinds[i] : i;
        if (!acts(o, kind)) continue;
        // What only drops unlikely tokens is wasted on the most likely one.
        if (kind == XN_SAMPLER_TEMPERATURE && o->temperature <= 0 && o->dynatemp_range <= 0)
            while (s->n_steps && keeps_the_best(s->steps[s->n_steps - 1]))
                s->n_steps--;
        s->steps[s->n_steps++] = (uint8_t)kind;
    }
}

// Whether penalties make no token more likely.
static bool only_lowers(const struct xn_sampling *o) {
    return o->repeat_penalty >= 1 && o->frequency_penalty >= 0 && o->presence_penalty >= 0;
}

// Where a row's best tokens may stand in for all: up to a step that keeps few of the most likely ones nothing may look
// at others, or make them more likely. A nucleus is a share of all, of which the sum is known before anything changes.
static int find_limit(const struct xn_sampler *s, int32_t vocab) {
    const struct xn_sampling *o = &s->sampling;
    bool changed = o->n_logit_bias > 0;
    for (size_t i = 0; i < o->n_logit_bias; i++)
        if (!(o->logit_bias[i].bias <= 0)) return -1;
    for (int i = 0; i < s->n_steps && o->mirostat == 0; i++) {
        int kind = s->steps[i];
        if (kind == XN_SAMPLER_TEMPERATURE && o->temperature <= 0 && o->dynatemp_range <= 0) return i;
        if (kind == XN_SAMPLER_TOP_K && o->top_k <= XN_ROW_CANDIDATES && o->top_k < vocab) return i;
        if (kind == XN_SAMPLER_TOP_P && !changed) return i;
        if (kind == XN_SAMPLER_MIN_P && o->min_keep <= 1) return i;
        bool lowers = kind == XN_SAMPLER_DRY || (kind == XN_SAMPLER_PENALTIES && only_lowers(o));
        if (!lowers && (kind != XN_SAMPLER_TOP_K || o->top_k < vocab)) return -1;
        changed |= lowers;
    }
    return -1;
}

static bool runs(const struct xn_sampler *s, int kind) {
    return memchr(s->steps, kind, (size_t)s->n_steps) != NULL;
}

static int allocate(struct xn_sampler *s, int32_t vocab, struct xn_error *err) {
    const struct xn_sampling *o = &s->sampling;
    bool dry = runs(s, XN_SAMPLER_DRY), failed = false;
    XN_TRY(xn_history_init(&s->history, vocab, dry ? o->dry_penalty_last : 0,
                           runs(s, XN_SAMPLER_PENALTIES) ? o->repeat_last : 0, err));
    s->candidates.vocab = vocab;
    s->candidates.list = xn_alloc((size_t)vocab, sizeof *s->candidates.list);
    s->candidates.own = xn_alloc((size_t)vocab, sizeof *s->candidates.own);
    s->candidates.tops = xn_alloc((size_t)xn_candidate_blocks(vocab), sizeof *s->candidates.tops);
    if (dry) {
        s->dry_length = xn_alloc((size_t)s->history.capacity, sizeof *s->dry_length);
        s->dry_longest = xn_alloc_zero((size_t)vocab, sizeof *s->dry_longest);
        failed = !s->dry_length || !s->dry_longest;
    }
    if (o->n_logit_bias) {
        s->bias = xn_alloc(o->n_logit_bias, sizeof *s->bias);
        if (s->bias) memcpy(s->bias, o->logit_bias, o->n_logit_bias * sizeof *s->bias);
        failed |= !s->bias;
    }
    s->sampling.logit_bias = s->bias;
    if (failed || !s->candidates.list || !s->candidates.own || !s->candidates.tops)
        return xn_fail(err, XN_ERR_NOMEM, "no memory for a sampler of %d tokens", vocab);
    return XN_OK;
}

int xn_sampler_new(const struct xn_sampling *sampling, int32_t vocab, struct xn_sampler **out, struct xn_error *err) {
    XN_TRY(xn_sampling_check(sampling, vocab, err));
    struct xn_sampler *s = xn_alloc_zero(1, sizeof *s);
    if (!s) return xn_fail(err, XN_ERR_NOMEM, "no memory for a sampler");
    s->sampling = *sampling;
    s->mu = 2 * (double)sampling->mirostat_tau;
    plan(s);
    s->limit = find_limit(s, vocab);
    int status = allocate(s, vocab, err);
    if (status == XN_OK)
        *out = s;
    else
        xn_sampler_free(s);
    return status;
}

void xn_sampler_free(struct xn_sampler *s) {
    if (!s) return;
    xn_history_free(&s->history);
    free(s->candidates.list);
    free(s->candidates.own);
    free(s->candidates.tops);
    free(s->dry_length);
    free(s->dry_longest);
    free(s->bias);
    free(s);
}

void xn_sampler_accept(struct xn_sampler *s, int32_t token) {
    xn_history_push(&s->history, token);
}

static void run(struct xn_sampler *s, int kind) {
    const struct xn_sampling *o = &s->sampling;
    struct xn_candidates *c = &s->candidates;
    switch ((enum xn_sampler_kind)kind) {
    case XN_SAMPLER_PENALTIES:
        xn_sample_penalties(c, o, &s->history);
        break;
    case XN_SAMPLER_DRY:
        xn_sample_dry(c, o, &s->history, s->dry_length, s->dry_longest);
        break;
    case XN_SAMPLER_TOP_N_SIGMA:
        xn_sample_top_n_sigma(c, o->top_n_sigma);
        break;
    case XN_SAMPLER_TOP_K:
        xn_sample_top_k(c, o->top_k);
        break;
    case XN_SAMPLER_TYP_P:
        xn_sample_typ_p(c, o->typ_p, o->min_keep);
        break;
    case XN_SAMPLER_TOP_P:
        xn_sample_top_p(c, o->top_p, o->min_keep);
        break;
    case XN_SAMPLER_MIN_P:
        xn_sample_min_p(c, o->min_p, o->min_keep);
        break;
    case XN_SAMPLER_XTC:
        xn_sample_xtc(c, o, xn_random(o->seed, s->position, XN_RANDOM_XTC));
        break;
    case XN_SAMPLER_TEMPERATURE:
        if (o->dynatemp_range > 0)
            xn_sample_dynamic_temperature(c, o);
        else
            xn_sample_temperature(c, o->temperature);
        break;
    case XN_SAMPLER_KINDS:
        break;
    }
}

// Whether anything is possible: what changes logits may have left nothing.
static bool is_empty(struct xn_candidates *c) {
    return c->dense ? xn_candidates_max(c) == -INFINITY : c->n == 0;
}

// Takes the model's most likely token where nothing can be drawn: the only candidate then. 0 where none is possible
// (-1).
static int32_t settle(struct xn_sampler *s, int32_t id) {
    struct xn_candidates *c = &s->candidates;
    if (id < 0) id = 0;
    c->list[0] = (struct xn_candidate){.id = id};
    c->n = c->size = 1;
    c->dense = false;
    s->total = 1;
    s->position++;
    return id;
}

// Draws by the weights. Returns the token; *weight is its own.
static int32_t draw(struct xn_sampler *s, double *weight) {
    struct xn_candidates *c = &s->candidates;
    double at = xn_random(s->sampling.seed, s->position++, XN_RANDOM_TOKEN);
    if (c->dense) {
        float max = xn_candidates_max(c);
        s->total = xn_sum_exp(c->logits, c->vocab, max);
        int32_t id = xn_find_exp(c->logits, c->vocab, max, at, s->total);
        *weight = exp((double)(c->logits[id] - max));
        return id;
    }
    s->total = xn_candidates_weigh(c);
    at *= s->total;
    int32_t chosen = 0;
    for (int32_t i = 0; i < c->n; i++) {
        if (c->list[i].weight > 0) chosen = i; // where rounding leaves `at` beyond the sum: the last possible one
        at -= (double)c->list[i].weight;
        if (at < 0) break;
    }
    *weight = (double)c->list[chosen].weight;
    return c->list[chosen].id;
}

static bool changes(int kind) {
    return kind == XN_SAMPLER_PENALTIES || kind == XN_SAMPLER_DRY;
}

int32_t xn_sampler_choose(struct xn_sampler *s, const float *logits) {
    const struct xn_sampling *o = &s->sampling;
    struct xn_candidates *c = &s->candidates;
    xn_candidates_begin(c, logits);
    float max = xn_candidates_max(c);
    if (!isfinite(max)) return settle(s, xn_best_id(logits, c->vocab));
    xn_sample_logit_bias(c, o->logit_bias, o->n_logit_bias);
    if (o->n_logit_bias && is_empty(c)) return settle(s, xn_best_id(logits, c->vocab));
    for (int i = 0; i < s->n_steps; i++) {
        run(s, s->steps[i]);
        if (changes(s->steps[i]) && is_empty(c)) return settle(s, xn_best_id(logits, c->vocab));
    }
    if (o->mirostat) {
        xn_sample_temperature(c, o->temperature);
        xn_sample_mirostat(c, o->mirostat, s->mu);
    }
    double weight;
    int32_t id = draw(s, &weight);
    if (o->mirostat) s->mu = xn_mirostat_learn(o, s->mu, weight / s->total);
    return id;
}

bool xn_sampler_takes_candidates(const struct xn_sampler *s) {
    return s->limit >= 0;
}

bool xn_sampler_needs_sum(const struct xn_sampler *s) {
    return s->limit >= 0 && s->steps[s->limit] == XN_SAMPLER_TOP_P;
}

// Runs the limiting step on the best tokens, of which the worst was `last` before anything changed. False: of all
// tokens it might keep others. They were no better than `last`, and none has become better; NULL: there are no others.
static bool limit_to_few(struct xn_sampler *s, double sum, const struct xn_row_candidate *last) {
    const struct xn_sampling *o = &s->sampling;
    struct xn_candidates *c = &s->candidates;
    int kind = s->steps[s->limit];
    if (kind == XN_SAMPLER_TOP_P) {
        if (!(sum > 0) || !xn_sample_nucleus(c, (double)o->top_p * sum, o->min_keep)) return false;
        xn_sample_keep_size(c, o->min_keep);
        return true;
    }
    if (kind == XN_SAMPLER_MIN_P) {
        if (last && !(last->logit < xn_min_p_bound(c, o->min_p))) return false;
        run(s, kind);
        xn_candidates_sort_by_id(c->list, c->n); // as they are found among all
        return true;
    }
    int32_t k = kind == XN_SAMPLER_TOP_K ? o->top_k : 1;
    run(s, kind);
    if (!last) return true;
    if (c->n < k) return false;
    const struct xn_candidate *worst = &c->list[k - 1];
    return worst->logit > last->logit || (worst->logit == last->logit && worst->id <= last->id);
}

bool xn_sampler_choose_among(struct xn_sampler *s, const struct xn_row_candidates *best, int32_t *id) {
    const struct xn_sampling *o = &s->sampling;
    struct xn_candidates *c = &s->candidates;
    if (s->limit < 0 || best->n > (uint32_t)c->vocab) return false;
    int32_t most_likely = best->n ? best->items[0].id : -1;
    if (best->n == 0 || best->items[0].logit == INFINITY) {
        *id = settle(s, most_likely);
        return true;
    }
    const struct xn_row_candidate *last = best->n < XN_ROW_CANDIDATES ? NULL : &best->items[best->n - 1];
    xn_candidates_begin_best(c, best);
    xn_sample_logit_bias(c, o->logit_bias, o->n_logit_bias);
    for (int i = 0; i < s->n_steps && c->n; i++) {
        if (i != s->limit)
            run(s, s->steps[i]);
        else if (!limit_to_few(s, best->sum, last))
            return false;
    }
    if (c->n == 0 && last) return false;
    double weight;
    *id = c->n ? draw(s, &weight) : settle(s, most_likely);
    return true;
}

int32_t xn_sampler_top(struct xn_sampler *s, struct xn_token_logprob *out, int32_t n) {
    struct xn_candidates *c = &s->candidates;
    if (s->position == 0 || n <= 0) return 0;
    float max = xn_candidates_max(c);
    if (c->dense) xn_candidates_best(c, n < c->vocab ? n : c->vocab);
    xn_candidates_rank(c);
    if (n > c->n) n = c->n;
    xn_candidates_sort(c->list, c->n, n);
    for (int32_t i = 0; i < n; i++)
        out[i] = (struct xn_token_logprob){c->list[i].id, (float)((double)(c->list[i].logit - max) - log(s->total))};
    return n;
}
