// The next token: chosen, told of, and what ends a text.
#include "engine/serving/internal.h"

#include <stdlib.h>
#include <string.h>

void xn_serving_shift(struct xn_ids *tokens, uint32_t keep, uint32_t limit) {
    if (keep > limit / 2) keep = limit / 2;
    size_t drop = (limit - keep + 1) / 2;
    while (tokens->n > limit && drop) {
        size_t behind = tokens->n - keep - drop;
        memmove(tokens->data + keep, tokens->data + keep + drop, behind * sizeof *tokens->data);
        tokens->n -= drop;
    }
}

// The bytes of a token go through the grammar.
static int accept_bytes(const struct xn_serving *s, struct xn_task *t, int32_t token, struct xn_error *err) {
    size_t size;
    const void *bytes = xn_token_tree_bytes(s->grammars.tree, token, &size);
    bool accepted = false;
    XN_TRY(xn_grammar_state_accept(t->state, bytes, size, &accepted, err));
    if (accepted) return XN_OK;
    return xn_fail(err, XN_ERR_FORMAT, "token %d is in the grammar's mask and not accepted", token);
}

// Leaves only what the grammar allows. *none: nothing.
static int mask(struct xn_serving *s, struct xn_task *t, const float **logits, bool *none, struct xn_error *err) {
    uint32_t vocab = s->model->recipe.vocab;
    size_t words = xn_mask_words(t->grammar->masks), used = 0;
    if (t->mask_failed.status != XN_OK) {
        if (err) *err = t->mask_failed;
        return t->mask_failed.status;
    }
    while (used < words && t->mask[used] == 0)
        used++;
    *none = used == words;
    if (*none) return XN_OK;
    memcpy(s->logits, *logits, vocab * sizeof **logits);
    xn_mask_apply(t->mask, words, s->logits, vocab);
    *logits = s->logits;
    return XN_OK;
}

bool xn_serving_wants_candidates(const struct xn_task *t) {
    return !t->grammar && t->request.logprobs <= XN_ROW_CANDIDATES && xn_sampler_takes_candidates(t->sampler);
}

void xn_serving_take_row(struct xn_serving *s, struct xn_task *t) {
    t->failed.status = XN_OK;
    t->chosen = xn_serving_wants_candidates(t) && xn_eval_candidates(s->context, t->feed, &t->best) &&
                xn_sampler_choose_among(t->sampler, &t->best, &t->choice);
    if (!t->chosen) xn_eval_read_logits(s->context, t->feed, &t->logits, &t->failed);
}

// The token, and whether the grammar ends the text before there is one.
static int choose(struct xn_serving *s, struct xn_task *t, int32_t *token, bool *ended, struct xn_error *err) {
    const float *logits = t->logits;
    *ended = false;
    if (t->failed.status != XN_OK) {
        *err = t->failed;
        return err->status;
    }
    if (t->chosen) {
        *token = t->choice;
        return XN_OK;
    }
    if (t->grammar) XN_TRY(mask(s, t, &logits, ended, err));
    if (!*ended) *token = xn_sampler_choose(t->sampler, logits);
    return XN_OK;
}

static int append(struct xn_task *t, int32_t token, struct xn_error *err) {
    if (XN_GROW(t->tokens.data, t->tokens.capacity, t->tokens.n + 1))
        return xn_fail(err, XN_ERR_NOMEM, "no memory for the %zu tokens of a text", t->tokens.n + 1);
    t->tokens.data[t->tokens.n++] = token;
    return XN_OK;
}

// Goes on behind a full context: the sequence keeps what the text still begins with.
static int shift(struct xn_serving *s, struct xn_task *t, struct xn_error *err) {
    uint32_t keep = t->request.keep < s->limit / 2 ? t->request.keep : s->limit / 2;
    xn_serving_shift(&t->tokens, keep, s->limit);
    return xn_sequence_cut(s->context, t->sequence, xn_sequence_resume(s->context, t->sequence, keep), err);
}

static void logprobs(struct xn_serving *s, struct xn_task *t, struct xn_serving_event *event) {
    int32_t n = t->request.logprobs, vocab = (int32_t)s->model->recipe.vocab, found = 0;
    if (n < 0) return;
    if (n > vocab) n = vocab;
    if (XN_GROW(s->top, s->top_capacity, (size_t)n)) n = 0;
    if (!t->chosen)
        found = xn_logprobs(t->logits, vocab, event->token, &event->logprob, s->top, n);
    else if (!xn_logprobs_among(&t->best, event->token, &event->logprob, s->top, n, &found))
        found = 0; // not so: what was chosen is among them, and there are as many as were asked for
    event->n_top = found > 0 ? found : 0;
    event->top = s->top;
}

void xn_serving_choose(struct xn_serving *s, struct xn_task *t) {
    const struct xn_serving_request *r = &t->request;
    struct xn_serving_event event = {.kind = XN_SERVING_TOKEN, .token = -1};
    struct xn_error err;
    bool ended;
    if (r->most >= 0 && t->counts.generated >= r->most) {
        xn_task_finish(s, t, XN_SERVING_LENGTH, -1, NULL);
        return;
    }
    int status = choose(s, t, &event.token, &ended, &err);
    if (status == XN_OK && ended) {
        xn_task_finish(s, t, XN_SERVING_GRAMMAR, -1, NULL);
        return;
    }
    bool ends = status == XN_OK && r->tokenizer && xn_token_ends(r->tokenizer, event.token);
    if (status == XN_OK) {
        t->counts.generated++;
        s->counters.generated_tokens++;
        if (t->counts.first == 0) t->counts.first = xn_serving_now() - t->submitted;
        xn_sampler_accept(t->sampler, event.token);
        // A grammar's mask has such a token only where the text may end.
        if (ends && (t->grammar || !r->ignore_end)) {
            xn_task_finish(s, t, XN_SERVING_END, event.token, NULL);
            return;
        }
        if (t->grammar) status = accept_bytes(s, t, event.token, &err);
    }
    if (status == XN_OK) status = append(t, event.token, &err);
    if (status != XN_OK) {
        xn_task_finish(s, t, XN_SERVING_ERROR, -1, &err);
        return;
    }
    logprobs(s, t, &event);
    if (xn_task_emit(s, t, &event))
        xn_task_finish(s, t, XN_SERVING_CALLER, -1, NULL);
    else if (t->grammar && xn_grammar_state_must_end(t->state))
        xn_task_finish(s, t, XN_SERVING_GRAMMAR, -1, NULL);
    else if (r->most >= 0 && t->counts.generated >= r->most)
        xn_task_finish(s, t, XN_SERVING_LENGTH, -1, NULL);
    else if (t->tokens.n > s->limit && !r->shift)
        xn_task_finish(s, t, XN_SERVING_CONTEXT, -1, NULL);
    else if (t->tokens.n > s->limit && shift(s, t, &err) != XN_OK)
        xn_task_finish(s, t, XN_SERVING_ERROR, -1, &err);
}
