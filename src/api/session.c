#include "api/session.h"

#include <stdlib.h>

int xn_session_open(struct xn_session *s, struct xn_context *context, struct xn_error *err) {
    *s = (struct xn_session){.context = context};
    XN_TRY(xn_sequence_new(context, &s->sequence, err));
    s->open = true;
    return XN_OK;
}

int xn_session_open_file(struct xn_session *s, struct xn_context *context, const char *path, struct xn_error *err) {
    *s = (struct xn_session){.context = context};
    XN_TRY(xn_sequence_restore_file(context, path, &s->sequence, err));
    s->open = true;
    return XN_OK;
}

void xn_session_close(struct xn_session *s) {
    if (s->open) xn_sequence_free(s->context, s->sequence);
    *s = (struct xn_session){0};
}

bool xn_session_full(const struct xn_session *s) {
    return xn_sequence_length(s->context, s->sequence) >= xn_context_options(s->context)->context;
}

int xn_session_prompt(struct xn_session *s, const int32_t *ids, size_t n, const struct xn_progress *progress,
                      size_t *reused, struct xn_error *err) {
    if (reused) *reused = 0;
    uint32_t room = xn_context_options(s->context)->context;
    if (n == 0) return xn_fail(err, XN_ERR_ARGUMENT, "the prompt has no tokens");
    if (n > room) return xn_fail(err, XN_ERR_LIMIT, "the prompt has %zu tokens, the context room for %u", n, room);
    const int32_t *held = xn_sequence_tokens(s->context, s->sequence);
    uint32_t length = xn_sequence_length(s->context, s->sequence), same = 0;
    // The last token is always computed, for its logits.
    while (same < n - 1 && same < length && ids[same] == held[same])
        same++;
    // What the states have to be computed again for is a part of the prompt as well: it goes into the same steps.
    same = xn_sequence_resume(s->context, s->sequence, same);
    s->evaluated = false;
    XN_TRY(xn_sequence_cut(s->context, s->sequence, same, err));
    XN_TRY(xn_eval_prompt(s->context, s->sequence, ids + same, (uint32_t)n - same, progress, err));
    s->evaluated = true;
    if (reused) *reused = same;
    return XN_OK;
}

// logits: what is wanted of them, to choose the next token by.
static int append(struct xn_session *s, int32_t id, enum xn_feed_logits logits, struct xn_error *err) {
    if (xn_session_full(s))
        return xn_fail(err, XN_ERR_LIMIT, "the context of %u positions is full",
                       xn_context_options(s->context)->context);
    struct xn_feed feed = {s->sequence, id, logits};
    s->evaluated = false;
    XN_TRY(xn_eval(s->context, &feed, 1, err));
    s->evaluated = true;
    return XN_OK;
}

int xn_session_append(struct xn_session *s, int32_t id, struct xn_error *err) {
    return append(s, id, XN_ALL_LOGITS, err);
}

const char *xn_finish_name(enum xn_finish finish) {
    static const char *const names[] = {
        [XN_FINISH_END] = "end",         [XN_FINISH_STOP] = "stop",     [XN_FINISH_LENGTH] = "length",
        [XN_FINISH_CONTEXT] = "context", [XN_FINISH_CALLER] = "caller",
    };
    return names[finish];
}

// What a generation holds besides the session.
struct stream {
    struct xn_sampler *sampler;
    struct xn_detokenizer detokenizer;
    struct xn_stops stops;
    struct xn_text piece, shown; // of the current token: decoded; past the stop strings
};

// Passes decoded text through the stop strings to the caller. *ended: a stop string, or the caller's wish.
static int show(struct stream *t, struct xn_generation *g, bool *ended, struct xn_error *err) {
    bool found;
    XN_TRY(xn_stops_feed(&t->stops, t->piece.data ? t->piece.data : "", t->piece.size, &t->shown, &found, err));
    t->piece.size = 0;
    bool unwanted = g->emit && g->emit(g->user, t->shown.data ? t->shown.data : "", t->shown.size) != 0;
    t->shown.size = 0;
    *ended = found || unwanted;
    if (found)
        g->finish = XN_FINISH_STOP;
    else if (unwanted)
        g->finish = XN_FINISH_CALLER;
    return XN_OK;
}

// The next token; -1: the grammar ends the text.
static int choose(struct xn_session *s, struct stream *t, struct xn_generation *g, int32_t *id, struct xn_error *err) {
    struct xn_row_candidates best;
    const float *logits;
    if (!g->constraint && xn_eval_candidates(s->context, UINT32_MAX, &best) &&
        xn_sampler_choose_among(t->sampler, &best, id))
        return XN_OK;
    XN_TRY(xn_eval_read_logits(s->context, UINT32_MAX, &logits, err));
    if (g->constraint) return xn_constraint_choose(g->constraint, t->sampler, logits, id, err);
    *id = xn_sampler_choose(t->sampler, logits);
    return XN_OK;
}

static int generate(struct xn_session *s, struct stream *t, struct xn_generation *g, struct xn_error *err) {
    const struct xn_tokenizer *tokenizer = xn_context_model(s->context)->tokenizer;
    enum xn_feed_logits logits = XN_ALL_LOGITS;
    bool ended = false;
    if (!g->constraint && xn_sampler_takes_candidates(t->sampler))
        logits = xn_sampler_needs_sum(t->sampler) ? XN_BEST_LOGITS_AND_SUM : XN_BEST_LOGITS;
    while (!ended) {
        if (g->most >= 0 && g->generated >= (uint64_t)g->most) {
            g->finish = XN_FINISH_LENGTH;
            break;
        }
        int32_t id;
        XN_TRY(choose(s, t, g, &id, err));
        if (g->constraint && id < 0) {
            g->finish = XN_FINISH_END;
            break;
        }
        g->generated++;
        if (xn_token_ends(tokenizer, id)) {
            g->finish = XN_FINISH_END;
            break;
        }
        xn_sampler_accept(t->sampler, id);
        XN_TRY(xn_detokenize(&t->detokenizer, id, &t->piece, err));
        XN_TRY(show(t, g, &ended, err));
        if (ended || g->generated == (uint64_t)g->most) continue;
        if (xn_session_full(s)) {
            g->finish = XN_FINISH_CONTEXT;
            break;
        }
        XN_TRY(append(s, id, logits, err));
    }
    if (g->finish == XN_FINISH_STOP || g->finish == XN_FINISH_CALLER) return XN_OK;
    // What was held back for a character or a stop string that did not come.
    enum xn_finish finish = g->finish;
    XN_TRY(xn_detokenize_end(&t->detokenizer, &t->piece, err));
    XN_TRY(show(t, g, &ended, err));
    if (ended && g->finish == XN_FINISH_STOP) return XN_OK;
    g->finish = finish;
    XN_TRY(xn_stops_end(&t->stops, &t->shown, err));
    if (g->emit && t->shown.size) g->emit(g->user, t->shown.data, t->shown.size);
    return XN_OK;
}

int xn_session_generate(struct xn_session *s, struct xn_generation *g, struct xn_error *err) {
    const struct xn_model *model = xn_context_model(s->context);
    g->generated = 0;
    g->finish = XN_FINISH_LENGTH;
    if (!model->tokenizer) return xn_fail(err, XN_ERR_UNSUPPORTED, "the model has no tokenizer to write text with");
    if (!s->evaluated) return xn_fail(err, XN_ERR_ARGUMENT, "nothing to generate from: no prompt was evaluated");
    if (g->constraint) XN_TRY(xn_constraint_begin(g->constraint, err));
    struct stream t = {.stops = {.strings = g->stops, .n = g->n_stops}};
    xn_detokenizer_init(&t.detokenizer, model->tokenizer, g->show_special);
    int status = xn_sampler_new(g->sampling, (int32_t)model->recipe.vocab, &t.sampler, err);
    if (status == XN_OK) {
        const int32_t *ids = xn_sequence_tokens(s->context, s->sequence);
        for (uint32_t i = 0; i < xn_sequence_length(s->context, s->sequence); i++)
            xn_sampler_accept(t.sampler, ids[i]);
        status = generate(s, &t, g, err);
    }
    xn_sampler_free(t.sampler);
    xn_stops_free(&t.stops);
    free(t.piece.data);
    free(t.shown.data);
    return status;
}
