// Serving: many requests on one model at once. One thread owns the context and runs steps, each of the next token of
// every running request and of pieces of prompts (continuous batching); prefixes that were computed before are shared.
//
// Tokens only: texts, templates and stop strings belong to the callers. All functions may be called by any thread.
#pragma once

#include "engine/context.h"
#include "engine/sampler.h"
#include "text/grammar/grammar.h"

struct xn_serving_options {
    struct xn_context_options context; // sequences: requests that run at once (slots); context: positions of all
    uint64_t cache_ram;                // bytes of host memory for prefixes that had to leave the cache; 0: none
    uint32_t queue;                    // requests that may wait for a slot; 0: 256
    uint32_t most;                     // positions of one request; 0: all that there are
};

struct xn_serving;
// The model must outlive it. Starts the thread.
int xn_serving_create(struct xn_model *model, const struct xn_serving_options *options, struct xn_serving **out,
                      struct xn_error *err);
// Ends what runs and waits (each request gets its last event), then stops the thread. Accepts NULL.
void xn_serving_free(struct xn_serving *serving);

enum xn_serving_finish {
    XN_SERVING_END,       // a token that ends the text
    XN_SERVING_CALLER,    // the callback asked for it (a stop string, say)
    XN_SERVING_LENGTH,    // the number of tokens asked for
    XN_SERVING_CONTEXT,   // no room for another position
    XN_SERVING_GRAMMAR,   // the grammar allows nothing more
    XN_SERVING_CANCELLED, // xn_serving_cancel, or the server ends
    XN_SERVING_ERROR,     // event.error
};

enum xn_serving_event_kind {
    XN_SERVING_PROMPT, // pieces of the prompt were computed (progress); the first: it has a slot
    XN_SERVING_TOKEN,  // one more token
    XN_SERVING_VECTOR, // an embedding
    XN_SERVING_DONE,   // the last event of a request, always given once
};
struct xn_serving_counts {
    uint32_t prompt, cached, done; // tokens of the prompt; of those taken from the cache; of those computed or taken
    uint32_t generated;
    double queued, first, last; // seconds since it was submitted: until it had a slot, its first token, now
};
struct xn_serving_event {
    enum xn_serving_event_kind kind;
    struct xn_serving_counts counts;
    int32_t token; // TOKEN; DONE with XN_SERVING_END: the token that ended the text (it has no TOKEN); -1: none
    float logprob; // of it, where logprobs were asked for
    const struct xn_token_logprob *top; // n_top, best first; valid during the call
    int32_t n_top;
    const float *vector; // VECTOR: n_vector values, pooled as asked, not normalized
    uint32_t n_vector;
    enum xn_serving_finish finish; // DONE
    const struct xn_error *error;  // DONE with XN_SERVING_ERROR
};

enum xn_serving_pooling { XN_POOL_NONE /* generate */, XN_POOL_LAST, XN_POOL_MEAN, XN_POOL_FIRST };

// What is asked. Copied by submit, but for the grammar (which must live until DONE) and `user`.
struct xn_serving_request {
    const int32_t *ids; // n_ids >= 1
    uint32_t n_ids;
    const struct xn_sampling *sampling;   // NULL: the defaults
    const struct xn_grammar *grammar;     // NULL: none
    const struct xn_tokenizer *tokenizer; // for the grammar and the tokens that end
    int64_t most;                         // tokens to generate; < 0: as many as fit
    bool ignore_end;                      // tokens that end a text do not
    bool shift; // where the context is full, drop the oldest half behind `keep` tokens and go on
    uint32_t keep;
    bool no_cache;    // neither uses prefixes that others computed nor leaves its own
    int32_t logprobs; // the most likely tokens wanted with each; 0: only its own; -1: none
    int priority;     // higher ones first
    uint64_t owner;   // among equals, owners take turns
    enum xn_serving_pooling pooling;
    // On the serving thread; must be quick and never block. A nonzero result ends the request (XN_SERVING_CALLER).
    int (*event)(void *user, const struct xn_serving_event *event);
    void *user;
};
// *id: for cancel. *retry: where the queue is full (XN_ERR_LIMIT), the seconds after which there may be room, by how
// fast it has been moving (pace.h); else 0. XN_ERR_ARGUMENT: the prompt does not fit (the message has the numbers), or
// a setting is wrong.
int xn_serving_submit(struct xn_serving *serving, const struct xn_serving_request *request, uint64_t *id,
                      uint32_t *retry, struct xn_error *err);
// DONE comes soon, unless it has come already.
void xn_serving_cancel(struct xn_serving *serving, uint64_t id);

// Forks: `n` answers to one prompt are n requests with the same ids; the prompt is computed once.

// For /metrics, /slots and the dashboard.
struct xn_serving_slot {
    bool busy;
    uint64_t id;
    uint32_t length, prompt, done, generated; // tokens: held, of the prompt, of it computed, generated
};
struct xn_serving_state {
    uint32_t slots, running, waiting;
    uint32_t pages, pages_used, pages_cached; // pages_cached: held for prefixes only
    uint64_t requests, finished, cancelled, failed;
    uint64_t prompt_tokens, cached_tokens, generated_tokens, steps;
    double step_seconds, prompt_seconds, generate_seconds; // in steps, all; those with and without prompts
    uint64_t ram_used;
    uint32_t context; // positions a request may take
};
void xn_serving_state(struct xn_serving *serving, struct xn_serving_state *state, struct xn_serving_slot *slots,
                      uint32_t n_slots);
