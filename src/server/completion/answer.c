// One answer: tokens to text, text past the stop strings, and what is left taken apart into pieces.
#include "server/completion/internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

int xn_answer_run_begin(struct xn_answer_run *run, const struct xn_answer_run_options *o, struct xn_error *err) {
    const struct xn_completion_request *r = o->request;
    run->tokenizer = o->served->model->tokenizer;
    run->logprobs = r->logprobs >= 0;
    run->ignore_end = r->ignore_end;
    run->one_call = r->one_call;
    run->stops = (struct xn_stops){.strings = (const char *const *)o->stops, .n = r->n_stops};
    if (r->echo && !r->messages) {
        run->echo = o->prompt->text;
        run->echo_size = o->prompt->size;
    }
    bool special = r->messages && xn_answer_wants_special(&o->served->style, run->tokenizer);
    xn_detokenizer_init(&run->detokenizer, run->tokenizer, special);
    // A text goes on: its next token's leading blank stays.
    run->detokenizer.started = !r->messages;
    if (!r->messages) return XN_OK;
    struct xn_answer_options options = {
        .style = o->served->style,
        .tools = o->tools,
        .reasoning = !r->keep_reasoning,
        .thinking = o->prompt->thinking,
        .seed = xn_random_seed(), // ids of calls are not to come again in the conversation's next turn
    };
    return xn_answer_new(&options, &run->answer, err);
}

void xn_answer_run_end(struct xn_answer_run *run) {
    xn_answer_free(run->answer);
    xn_stops_free(&run->stops);
    free(run->piece.data);
    free(run->shown.data);
    free(run->bytes.data);
}

static void tell(struct xn_answer_run *run, const struct xn_completion_event *event) {
    if (xn_completion_tell(run->completion, event)) run->unwanted = true;
}

// A sink of xn_answer, whose `user` is the run.
static int give(void *user, const struct xn_answer_piece *piece, struct xn_error *err) {
    (void)err;
    struct xn_answer_run *run = user;
    if (piece->kind == XN_ANSWER_CALL && run->one_call && run->calls) run->enough = true;
    if (run->unwanted || run->enough) return XN_OK;
    if (piece->kind == XN_ANSWER_CALL) run->calls = true;
    run->told = true;
    run->token_reasons = piece->kind == XN_ANSWER_REASONING;
    const struct xn_completion_token *token = run->token;
    run->token = NULL;
    tell(run, &(struct xn_completion_event){
                  .kind = XN_COMPLETION_PIECE, .choice = run->choice, .piece = piece, .token = token});
    return XN_OK;
}

static int give_text(struct xn_answer_run *run, const char *text, size_t size, struct xn_error *err) {
    if (size == 0 || run->unwanted || run->enough) return XN_OK;
    if (run->answer) return xn_answer_feed(run->answer, text, size, give, run, err);
    struct xn_answer_piece piece = {.kind = XN_ANSWER_CONTENT, .text = text, .size = size};
    return give(run, &piece, err);
}

// What was decoded: through the stop strings, and on.
static int pass(struct xn_answer_run *run, bool last, struct xn_error *err) {
    bool found = false;
    if (run->piece.size) XN_TRY(xn_stops_feed(&run->stops, run->piece.data, run->piece.size, &run->shown, &found, err));
    run->piece.size = 0;
    if (found) run->stopped = true;
    if (last && !found) XN_TRY(xn_stops_end(&run->stops, &run->shown, err));
    size_t size = run->shown.size;
    run->shown.size = 0;
    return give_text(run, run->shown.data, size, err);
}

static int take_token(struct xn_answer_run *run, const struct xn_serving_event *event, struct xn_error *err) {
    if (!run->ignore_end && xn_token_ends(run->tokenizer, event->token)) return XN_OK;
    struct xn_completion_token token = {
        .id = event->token, .logprob = event->logprob, .top = event->top, .n_top = event->n_top};
    if (run->logprobs) {
        run->bytes.size = 0;
        XN_TRY(xn_text_put(&run->bytes, "", 0, err));
        XN_TRY(xn_token_append_bytes(run->tokenizer, event->token, &run->bytes, err));
        token.bytes = run->bytes.data;
        token.size = run->bytes.size;
        run->token = &token;
    }
    run->told = false;
    bool before = run->token_reasons;
    XN_TRY(xn_detokenize(&run->detokenizer, event->token, &run->piece, err));
    bool text = run->piece.size > 0;
    int status = pass(run, false, err);
    // A token that gave no text yet is counted as the one before it.
    if (!text) run->token_reasons = before;
    if (run->token_reasons) run->reasoning++;
    if (status == XN_OK && !run->told)
        tell(run,
             &(struct xn_completion_event){
                 .kind = XN_COMPLETION_PROGRESS, .choice = run->choice, .token = run->token, .usage = event->counts});
    run->token = NULL;
    return status;
}

static enum xn_completion_finish finish_of(const struct xn_answer_run *run, enum xn_serving_finish finish) {
    if (finish == XN_SERVING_CANCELLED || run->unwanted) return XN_FINISHED_CANCELLED;
    if (!run->stopped && !run->enough && (finish == XN_SERVING_LENGTH || finish == XN_SERVING_CONTEXT))
        return XN_FINISHED_LENGTH;
    return run->calls ? XN_FINISHED_CALLS : XN_FINISHED_STOP;
}

// The end of the text: what was held back, and FINISH.
static int finish(struct xn_answer_run *run, const struct xn_serving_event *event, struct xn_error *err) {
    if (!run->stopped) {
        XN_TRY(xn_detokenize_end(&run->detokenizer, &run->piece, err));
        XN_TRY(pass(run, true, err));
    }
    if (run->answer && !run->unwanted && !run->enough) XN_TRY(xn_answer_end(run->answer, give, run, err));
    tell(run, &(struct xn_completion_event){.kind = XN_COMPLETION_FINISH,
                                            .choice = run->choice,
                                            .finish = finish_of(run, event->finish),
                                            .stop = run->stopped ? run->stops.stopped : NULL,
                                            .usage = event->counts,
                                            .reasoning = run->reasoning});
    return XN_OK;
}

int xn_answer_run_event(void *user, const struct xn_serving_event *event) {
    struct xn_answer_run *run = user;
    struct xn_completion *c = run->completion;
    struct xn_error err;
    int status = XN_OK;
    run->counts = event->counts;
    if (run->echo && event->kind != XN_SERVING_DONE) {
        const char *echo = run->echo;
        run->echo = NULL;
        status = give_text(run, echo, run->echo_size, &err);
    }
    if (status == XN_OK && event->kind == XN_SERVING_TOKEN) status = take_token(run, event, &err);
    if (status == XN_OK && event->kind == XN_SERVING_PROMPT)
        tell(run, &(struct xn_completion_event){
                      .kind = XN_COMPLETION_PROGRESS, .choice = run->choice, .usage = event->counts});
    if (event->kind == XN_SERVING_DONE) {
        xn_metrics_finished(c->metrics, c->model, &event->counts, event->finish);
        if (event->finish == XN_SERVING_ERROR)
            xn_completion_failed(c, event->error);
        else if (event->finish == XN_SERVING_CANCELLED)
            xn_completion_cut(c);
        if (event->finish != XN_SERVING_ERROR && status == XN_OK) status = finish(run, event, &err);
    }
    if (status != XN_OK) {
        xn_completion_failed(c, &err);
        run->unwanted = true;
        run->token = NULL;
    }
    if (event->kind == XN_SERVING_DONE) {
        xn_completion_left(c, 1); // the run may be gone behind this
        return 0;
    }
    return run->stopped || run->enough || run->unwanted;
}
