// What the files of serving share.
//
// A task is a request from xn_serving_submit to its DONE. Its text (prompt, and what was generated) is one list of
// tokens, of which its sequence holds the beginning; what is missing is evaluated, as a piece of a prompt or as the
// next token alike, and when nothing is missing, the next token is chosen. So a task that gave its pages away continues
// by being evaluated again, and the client notices nothing.
//
// Threads: the serving thread owns the context and all tasks. Others touch what stands below "under the mutex", and the
// fields of a task that they made before it was handed over. No callback is called with the mutex held.
#pragma once

#include "base/memory.h"
#include "engine/serving/budget.h"
#include "engine/serving/grammars.h"
#include "engine/serving/pace.h"
#include "engine/serving/prefix.h"
#include "engine/serving/serving.h"

#include <pthread.h>
#include <stdatomic.h>

enum { XN_SERVING_NO_SEQUENCE = UINT32_MAX };

struct xn_task {
    struct xn_task *next;              // of the queue it is in
    uint64_t id;                       // ascending in the order of submission
    struct xn_serving_request request; // its pointers but `event`, `user` and the tokenizer are the submitter's own
    struct xn_ids tokens;              // prompt and generated, without what a shift has dropped
    struct xn_sampler *sampler;        // NULL: embeddings
    atomic_bool cancelled;

    // The serving thread's.
    uint64_t turn;     // when it was (last) admitted, counted
    uint32_t sequence; // XN_SERVING_NO_SEQUENCE: it has none
    uint32_t rows;     // in this step
    uint32_t feed;     // the last of them
    // Behind it, while a step's results are handed out: whether a token is to be chosen, and what by. Where the best
    // tokens were enough, it is chosen already; else there are all logits, or the device failed at giving them.
    bool chooses, chosen;
    int32_t choice;
    struct xn_row_candidates best;
    const float *logits;
    bool started; // it had a slot
    struct xn_serving_counts counts;
    double submitted; // seconds of the clock

    struct xn_grammar_use *grammar; // NULL: none
    struct xn_grammar_state *state; // where the text stands in it, once the task runs
    uint64_t *mask;                 // of the next token
    struct xn_error mask_failed;    // status XN_OK: it stands

    float *vector;          // of an embedding; NULL: text
    double *sum;            // over the rows so far; MEAN
    struct xn_error failed; // where rows could not be read; status XN_OK: they were
};

// A queue in the order of arrival.
struct xn_task_queue {
    struct xn_task *first, **last;
    uint32_t n;
};

// Whom turns are taken between.
struct xn_owner {
    uint64_t owner, turn; // turn: of the last admission
    uint32_t tasks, running;
};

struct xn_serving {
    struct xn_model *model;
    struct xn_serving_options options; // with the choices made
    uint32_t slots, limit;             // limit: positions of one request
    struct xn_context *context;        // of `slots` sequences, and of those that are kept
    pthread_t thread;
    bool has_thread;

    pthread_mutex_t mutex;
    pthread_cond_t wake;
    // Under the mutex.
    struct xn_task_queue inbox; // submitted and not yet seen by the thread
    struct xn_task **tasks;     // all, by ascending id
    size_t n_tasks, tasks_capacity;
    uint32_t waiting; // without a slot so far
    struct xn_pace pace;
    uint64_t next_id;
    bool stop, woken;
    struct xn_serving_state state;
    struct xn_serving_slot *slot_states; // [slots]

    struct xn_grammars grammars;

    // The serving thread's.
    struct xn_task_queue queue; // those that wait, by id
    struct xn_task **running;   // [slots]; NULL: free
    uint32_t n_running;
    struct xn_task **order; // [slots]: the running ones, most important first
    uint32_t n_order;
    uint64_t turns;
    struct xn_owner *owners;
    size_t n_owners, owners_capacity;
    struct xn_feed *feeds; // [batch]
    uint32_t n_feeds;
    uint32_t *sequences, *positions; // [slots + 1]: scratch
    float *logits;                   // [vocab]: scratch, masked
    struct xn_token_logprob *top;    // [top_capacity]
    size_t top_capacity;
    struct xn_budget budget;
    struct xn_prefixes prefixes;
    struct xn_serving_state counters; // what `state` becomes
};

double xn_serving_now(void);

// task.c
// Takes no mutex: to be called by whoever owns the task.
void xn_task_free(struct xn_serving *s, struct xn_task *task);
// Calls back. Nonzero: the caller wants no more.
int xn_task_emit(struct xn_serving *s, struct xn_task *task, struct xn_serving_event *event);
// Ends a task that runs, or waits and is out of its queue: its last event, and it is freed.
void xn_task_finish(struct xn_serving *s, struct xn_task *task, enum xn_serving_finish finish, int32_t token,
                    const struct xn_error *error);
void xn_task_queue_push(struct xn_task_queue *queue, struct xn_task *task);
// Takes out the task that *at points to.
struct xn_task *xn_task_queue_take(struct xn_task_queue *queue, struct xn_task **at);
uint32_t xn_task_length(const struct xn_serving *s, const struct xn_task *task); // positions evaluated

// admission.c
struct xn_owner *xn_owner_of(struct xn_serving *s, uint64_t owner); // NULL: no memory
// Gives slots to those that wait, as far as there are slots and pages.
void xn_serving_admit(struct xn_serving *s);
// The next length of a running task at which one that waits would like to begin, with the states as they are there;
// UINT32_MAX: none.
uint32_t xn_serving_next_branch(const struct xn_serving *s, const struct xn_task *task, uint32_t length);
// Takes the slot and the pages of a running task and puts it back into the queue.
void xn_serving_preempt(struct xn_serving *s, struct xn_task *task);

// step.c
void xn_serving_step(struct xn_serving *s);

// choose.c
// Whether a task's next token is to be chosen by the best tokens of its row, where the device tells them.
bool xn_serving_wants_candidates(const struct xn_task *task);
// Takes what a step has computed for the next token of a task whose text is evaluated, before the context changes.
void xn_serving_take_row(struct xn_serving *s, struct xn_task *task);
// Then chooses it, tells of it, and ends the task where it ends.
void xn_serving_choose(struct xn_serving *s, struct xn_task *task);
// What stands at the end of a text that is full: drops the oldest half. False: it stays full.
void xn_serving_shift(struct xn_ids *tokens, uint32_t keep, uint32_t limit);

// embedding.c
int xn_embedding_begin(const struct xn_serving *s, struct xn_task *task, struct xn_error *err);
// Takes what a step has computed of an embedding's text; then, where that was the last of it, ends the task.
void xn_embedding_take(struct xn_serving *s, struct xn_task *task);
void xn_embedding_finish(struct xn_serving *s, struct xn_task *task);

// thread.c
void *xn_serving_thread(void *serving);
