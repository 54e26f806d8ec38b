// Grammars at work: one set of masks for each grammar, which requests with the same one share and which outlives them
// for a while; and a thread that finds masks while a step runs.
#pragma once

#include "text/grammar/mask.h"

#include <pthread.h>

// A grammar's masks. Its automaton and masks are the serving thread's, and the mask thread's during a step.
struct xn_grammar_use {
    struct xn_grammar *grammar; // a copy
    struct xn_masks *masks;
    uint32_t users;
    uint64_t used; // counted
};

enum { XN_GRAMMARS_MOST = 4 }; // that are kept without users: masks of a large one may take 100 MB

struct xn_mask_job {
    struct xn_masks *masks;
    const struct xn_grammar_state *state;
    uint64_t *mask;
    struct xn_error *err; // status XN_OK where it went well
};

struct xn_grammars {
    pthread_mutex_t mutex;      // of all that follows down to `clock`
    struct xn_token_tree *tree; // made when a grammar first needs it
    const struct xn_tokenizer *tokenizer;
    struct xn_grammar_use **uses;
    size_t n_uses, capacity;
    uint64_t clock;

    // The mask thread, which exists once there was a grammar. Under `turn`.
    pthread_mutex_t turn;
    pthread_cond_t changed;
    pthread_t thread;
    bool has_thread, stop, busy;
    struct xn_mask_job *jobs; // [jobs_capacity]
    size_t n_jobs, jobs_capacity;
};
void xn_grammars_init(struct xn_grammars *g);
void xn_grammars_free(struct xn_grammars *g);

// By any thread. May take long, for the tokenizer's first grammar and each new one.
int xn_grammar_use(struct xn_grammars *g, const struct xn_grammar *grammar, const struct xn_tokenizer *tokenizer,
                   struct xn_grammar_use **out, struct xn_error *err);
void xn_grammar_leave(struct xn_grammars *g, struct xn_grammar_use *use); // accepts NULL

// The serving thread: hands over jobs before a step, and waits for their ends behind it.
int xn_masks_prepare(struct xn_grammars *g, size_t n_jobs, struct xn_error *err); // room for so many
void xn_masks_begin(struct xn_grammars *g);
void xn_masks_end(struct xn_grammars *g);
