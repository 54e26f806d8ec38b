// What the files of the completion share.
#pragma once

#include "server/completion.h"

#include "api/stop.h"
#include "server/http.h"
#include "server/metrics.h"
#include "server/models.h"
#include "text/tokenizer.h"

#include <pthread.h>

// ---- messages.c: a conversation as clients send it, to what chat templates expect: contents as texts, arguments of
// calls as objects (or texts, where `text_arguments`), names of tools beside their results. A new array.
int xn_template_messages(const json_t *messages, const char *source, bool text_arguments, json_t **out,
                         struct xn_error *err);
// What a message says, as one text: a string, or an array of parts of which each has a text (joined by line feeds).
// malloc'ed; "" where there is none.
int xn_message_text(const json_t *content, char **out, struct xn_error *err);

// ---- prompt.c
struct xn_prompt {
    char *text; // NULL: there are ids only
    size_t size;
    struct xn_ids ids;
    bool thinking; // the text ends inside of the reasoning
};
int xn_prompt_make(struct xn_served *served, const struct xn_completion_request *request, struct xn_prompt *out,
                   struct xn_error *err);
void xn_prompt_free(struct xn_prompt *prompt);

// ---- grammars.c: compiled grammars, kept for requests to come. Any thread.
struct xn_kept_grammar;
// *out: NULL where the rules leave everything open. Errors are the client's (ARGUMENT), but for NOMEM.
int xn_grammar_take(const struct xn_answer_rules *rules, struct xn_kept_grammar **out, struct xn_error *err);
struct xn_kept_grammar *xn_grammar_hold(struct xn_kept_grammar *kept); // accepts NULL
void xn_grammar_drop(struct xn_kept_grammar *kept);                    // accepts NULL
const struct xn_grammar *xn_grammar_of(const struct xn_kept_grammar *kept);

// ---- answer.c: one answer, from its tokens to the pieces of a completion's events. All on the serving thread.
struct xn_answer_run {
    struct xn_completion *completion;
    uint32_t choice;
    const struct xn_tokenizer *tokenizer;
    struct xn_detokenizer detokenizer;
    struct xn_stops stops;
    struct xn_answer *answer;    // NULL: all is content
    struct xn_text piece, shown; // of the current token: decoded; past the stop strings
    struct xn_text bytes;        // of the current token, as it is spelled
    const char *echo;            // the text that comes first, or NULL
    size_t echo_size;
    const struct xn_completion_token *token; // the current one, until a piece has carried it
    bool token_reasons;                      // the current one has made a piece of reasoning, and none of else
    bool logprobs, ignore_end, one_call;
    bool told;     // the current token has made a piece
    bool calls;    // some were made
    bool enough;   // of them
    bool unwanted; // the event asked to end
    bool stopped;  // a stop string
    uint32_t reasoning;
    struct xn_serving_counts counts;
    uint64_t id; // of xn_serving
    bool done;
};
struct xn_answer_run_options {
    const struct xn_served *served;
    const struct xn_completion_request *request;
    const struct xn_prompt *prompt;
    char *const *stops; // must live as long
    json_t *tools;      // the same
};
int xn_answer_run_begin(struct xn_answer_run *run, const struct xn_answer_run_options *options, struct xn_error *err);
void xn_answer_run_end(struct xn_answer_run *run);
// xn_serving's events; `user` is the run.
int xn_answer_run_event(void *user, const struct xn_serving_event *event);

// ---- completion.c
struct xn_completion {
    pthread_mutex_t lock; // of what follows; never held while an event is given
    uint32_t holds;       // the caller's, and one until DONE
    bool cancelled, done;
    uint32_t left; // answers without their last event
    struct xn_error error;
    bool failed;
    // From here on nothing changes after the start.
    struct xn_serving *serving;
    struct xn_metrics *metrics;
    struct xn_exchange *exchange; // NULL: none
    const char *model;
    int (*event)(void *user, const struct xn_completion_event *event);
    void *user;
    struct xn_kept_grammar *grammar;
    struct xn_dry_breakers breakers; // the request's own, which must live until DONE
    char **stops;
    size_t n_stops;
    json_t *tools;
    struct xn_prompt prompt;
    uint32_t n;
    struct xn_answer_run runs[];
};
// Gives an event of a run to the caller; nonzero: the caller has had enough.
int xn_completion_tell(struct xn_completion *c, const struct xn_completion_event *event);
// An answer has had its last event; the last of all makes DONE.
void xn_completion_left(struct xn_completion *c, uint32_t answers);
void xn_completion_cut(struct xn_completion *c); // an answer was cancelled, maybe not by us: an error then
void xn_completion_failed(struct xn_completion *c, const struct xn_error *error);
