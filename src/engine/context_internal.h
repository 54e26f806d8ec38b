// What the files of the context share: its sequences, cache pages and checkpoints.
#pragma once

#include "base/memory.h"
#include "engine/context.h"

enum { XN_PAGE_SIZE = 64 };

// A sequence: its tokens, its pages in order, and its state slot (its own number).
struct xn_sequence {
    bool used;
    bool stale;         // a step failed in the middle: the states are none of this length's (see xn_sequence_settle)
    uint32_t length;    // positions evaluated
    uint32_t last_rows; // of its last step
    int32_t *tokens;    // [length]
    size_t tokens_capacity;
    int32_t *pages; // [max_pages]
    uint32_t n_pages;
    uint32_t *checkpoints; // [options.checkpoints]: numbers of checkpoints, by ascending position
    uint32_t n_checkpoints;
    uint32_t rope_length; // that keys, values and states were computed for; 0 where no rope follows the length
    uint32_t expected;    // length that the caller named, whose ropes it gets from now on; 0: none
    bool exact;           // `expected` is meant exactly
};

// A copy of a sequence's states after its first `position` tokens, in the state slot options.sequences + its number.
// Forks share it.
struct xn_checkpoint {
    uint32_t position;
    uint32_t references; // sequences that hold it; 0: free
};

struct xn_context {
    struct xn_model *model;
    struct xn_context_options options;
    struct xn_limits limits;
    struct xn_executor *executor;
    uint32_t max_pages; // of one sequence, and of the cache
    int32_t spare_page; // for xn_sequence_replay, behind the others; -1: sequences can't share pages

    struct xn_sequence *sequences; // [options.sequences]
    int32_t *free_pages;           // a stack
    uint32_t n_free;
    uint32_t *references;              // of each page: sequences that hold it
    struct xn_checkpoint *checkpoints; // [options.checkpoints]
    double *usefulness;                // [options.checkpoints]: to compare them
    int32_t *replay_pages;             // [max_pages]
    bool *counted;                     // [max_pages]: for xn_context_pages_of

    // The batch of a step, and what each feed's logits are.
    int32_t *tokens, *positions;
    struct xn_span *spans;
    uint32_t *outputs;
    bool *whole;             // [outputs]: whose logits are on the host
    uint32_t *row_of_feed;   // [batch]
    int32_t *output_of_feed; // [batch]: row of logits, or -1
    uint32_t *span_of;       // [sequences]
    uint32_t n_feeds;        // of the last step; 0: there are no logits
    bool keep_hidden;        // steps leave X to be read
    float *hidden;           // [batch][hidden]: rows of X of the last step, where somebody asks; NULL before
    uint32_t n_hidden;       // rows that were read
};

static inline const struct xn_device_table *xn_context_device(const struct xn_context *c) {
    return c->model->device->table;
}
static inline uint32_t xn_pages_for(uint32_t positions) {
    return positions / XN_PAGE_SIZE + (positions % XN_PAGE_SIZE != 0);
}

// NULL: not open. xn_no_sequence is the error that says so.
struct xn_sequence *xn_sequence_find(const struct xn_context *context, uint32_t sequence);
int xn_no_sequence(const struct xn_context *context, uint32_t sequence, struct xn_error *err);
int32_t xn_take_page(struct xn_context *context); // n_free > 0
// Room for the tokens of `length` positions.
int xn_sequence_reserve(struct xn_sequence *sequence, uint32_t length, struct xn_error *err);

// Evaluates the remembered tokens [from, to) of a sequence again, in steps of options.batch, without logits (those of
// the step before are gone). Its states stand after `from` tokens, and after `to` when it succeeds; its cache holds the
// keys and values of [0, from). Pages that other sequences share are read and not written: their positions are computed
// in a spare page. Length, tokens and pages stay. On an error the states are undefined.
int xn_sequence_replay(struct xn_context *context, uint32_t sequence, uint32_t from, uint32_t to, struct xn_error *err);
// Evaluates all remembered tokens of a sequence anew, into pages of its own, and forgets its checkpoints: for when
// something has changed on which keys, values and states depend. XN_ERR_LIMIT, and nothing changed, where too few pages
// are free to replace those that other sequences share.
int xn_sequence_rewrite(struct xn_context *context, uint32_t sequence, struct xn_error *err);
// Computes the states again where a failed step left them undefined.
int xn_sequence_settle(struct xn_context *context, uint32_t sequence, struct xn_error *err);

// Sets the ropes of a sequence for a step that makes it `length` positions long: by what the caller expects, else ahead
// of its growth. Where that changes what keys were turned by, all of the sequence is computed anew (rope_length.c).
int xn_sequence_set_ropes(struct xn_context *context, uint32_t sequence, uint32_t length, struct xn_error *err);

enum { XN_PROMPT_TAIL = 16 }; // rows of the last step of a prompt that is longer by some
// Makes a checkpoint of the sequence's states as they stand after `position` tokens, behind its other checkpoints,
// where one is due before its next step.
int xn_checkpoint_before_step(struct xn_context *context, uint32_t sequence, uint32_t position, struct xn_error *err);
// The last position <= length at which the sequence has a checkpoint, and its number; 0 and -1: none.
uint32_t xn_checkpoint_nearest(const struct xn_context *context, const struct xn_sequence *sequence, uint32_t length,
                               int *checkpoint);
// Puts the sequence's states back to its nearest checkpoint at or before `length`, or to the beginning; *from: where.
int xn_checkpoint_restore(struct xn_context *context, uint32_t sequence, uint32_t length, uint32_t *from,
                          struct xn_error *err);
// Forgets a sequence's checkpoints at positions above `length`.
void xn_checkpoints_drop(struct xn_context *context, struct xn_sequence *sequence, uint32_t length);
// Lets `to` hold the checkpoints of `from`.
void xn_checkpoints_share(struct xn_context *context, const struct xn_sequence *from, struct xn_sequence *to);
// A copy of the sequence's states as they stand, as its checkpoint at a position above its others. Replaces the least
// useful one of the context where none is free.
int xn_checkpoint_add(struct xn_context *context, uint32_t sequence, uint32_t position, struct xn_error *err);
