// A context: the cache and states of a number of sequences on one model, and the evaluation of batches over them.
#pragma once

#include "engine/model.h"

#include <stdbool.h>

struct xn_context_options {
    uint32_t context;    // positions, of all sequences together; 0: what the model was trained for, at most 8,192
    uint32_t batch;      // rows a step at the most; 0: 512
    uint32_t sequences;  // at the most at once; 0: 1
    uint32_t cache_type; // XN_F32, XN_F16, or XN_TYPE_COUNT for the device's choice
    uint32_t outputs;    // logit rows a step at the most; 0: sequences
    int32_t checkpoints; // copies of recurrent states to cut sequences back to: each of the size of one sequence's
                         // states. -1: none; 0: as many as fit 256 MiB, 4 to 32. A model without states has none
};
struct xn_context;

int xn_context_create(struct xn_model *model, const struct xn_context_options *options, struct xn_context **out,
                      struct xn_error *err);
void xn_context_free(struct xn_context *context); // accepts NULL
// Options with the choices made, and the limits of a context of such options on a plan.
struct xn_context_options xn_context_chosen(const struct xn_recipe *recipe, const struct xn_plan *plan,
                                            const struct xn_context_options *options);
struct xn_limits xn_context_limits(const struct xn_plan *plan, const struct xn_context_options *chosen);
// The number of checkpoints of a context on this plan, by its option.
uint32_t xn_checkpoints_chosen(const struct xn_plan *plan, int32_t option);
// The options with the choices made (checkpoints: the number; 0 is none).
const struct xn_context_options *xn_context_options(const struct xn_context *context);
struct xn_model *xn_context_model(const struct xn_context *context);
// Bytes of cache and states, and of activations.
void xn_context_memory(const struct xn_context *context, uint64_t *cache, uint64_t *activations);
struct xn_executor *xn_context_executor(const struct xn_context *context);
// Cache pages: all, those that no sequence holds, and the positions of each.
struct xn_context_pages {
    uint32_t pages, free, positions;
};
struct xn_context_pages xn_context_pages(const struct xn_context *context);
// The pages that hold the first positions[i] positions of sequences[i], each counted once.
uint32_t xn_context_pages_of(struct xn_context *context, const uint32_t *sequences, const uint32_t *positions,
                             uint32_t n);

// Sequences are small numbers. A new one is empty.
int xn_sequence_new(struct xn_context *context, uint32_t *sequence, struct xn_error *err);
void xn_sequence_free(struct xn_context *context, uint32_t sequence);
uint32_t xn_sequence_length(const struct xn_context *context, uint32_t sequence); // positions evaluated
// Cache pages that it holds, and those of them that no other does.
uint32_t xn_sequence_pages(const struct xn_context *context, uint32_t sequence, uint32_t *alone);
// The tokens evaluated, [length]; NULL where there are none. Valid until the sequence's next step.
const int32_t *xn_sequence_tokens(const struct xn_context *context, uint32_t sequence);
// A copy with its own future: full cache pages and checkpoints are shared, the last page and the states are copied.
int xn_sequence_fork(struct xn_context *context, uint32_t from, uint32_t *sequence, struct xn_error *err);
// The same of its first `length` positions, from which it can go on at once (xn_sequence_resume(from, length) is
// length).
int xn_sequence_fork_at(struct xn_context *context, uint32_t from, uint32_t length, uint32_t *sequence,
                        struct xn_error *err);
// Says how long the sequence is about to become. Matters to models whose ropes follow the sequence's length (LongRoPE,
// dynamic NTK), of which every position turns by the frequencies of the whole: without it a sequence that grows past
// their original context is then computed anew from its tokens, which costs as much as evaluating it. `exact`:
// frequencies for exactly that length, as the reference implementations have them; otherwise dynamic ones, which change
// with every position, are set ahead by up to a quarter, as they are for a sequence that grows without a word. Holds
// until the sequence is longer, or cut. xn_eval_prompt says it for its prompt where the caller has not.
int xn_sequence_expect(struct xn_context *context, uint32_t sequence, uint32_t length, bool exact,
                       struct xn_error *err);
// Whether the ropes of a sequence are set as those of one that is expected to become `length` positions long: so what
// it holds may be the beginning of that.
bool xn_sequence_ropes_fit(const struct xn_context *context, uint32_t sequence, uint32_t length);
// Drops all positions from `length` on. Recurrent states go back to the sequence's last checkpoint at or before
// `length`, from where its tokens are evaluated again (the logits of the last step are gone then). On an error, of a
// full cache or the device, the length has not changed.
int xn_sequence_cut(struct xn_context *context, uint32_t sequence, uint32_t length, struct xn_error *err);
// The largest length up to `length` that a cut reaches without evaluating anything again.
uint32_t xn_sequence_resume(const struct xn_context *context, uint32_t sequence, uint32_t length);

// What a sequence is, as bytes: its tokens, keys and values, states, and with `checkpoints` those too, so that it can
// be cut back cheaply after it was restored. Another context of the same model, type of cache and version of the
// format, of any size and device, makes a sequence of them. *data: free().
int xn_sequence_save(struct xn_context *context, uint32_t sequence, bool checkpoints, void **data, size_t *size,
                     struct xn_error *err);
// The same into a file, which appears under its name when it is complete.
int xn_sequence_save_file(struct xn_context *context, uint32_t sequence, bool checkpoints, const char *path,
                          struct xn_error *err);
// Makes a new sequence of what was saved; `name` is what errors call it. Anything that does not fit this context
// exactly is refused: XN_ERR_FORMAT (no such bytes, or damaged), XN_ERR_UNSUPPORTED (of another model, cache type or
// version), XN_ERR_LIMIT (longer than what is free). On failure there is no new sequence.
int xn_sequence_restore(struct xn_context *context, const void *data, size_t size, const char *name, uint32_t *sequence,
                        struct xn_error *err);
int xn_sequence_restore_file(struct xn_context *context, const char *path, uint32_t *sequence, struct xn_error *err);

// What is wanted of a row's logits: nothing, all, or the best tokens, which are enough as far as is known
// (xn_eval_candidates); with their sum.
enum xn_feed_logits { XN_NO_LOGITS, XN_ALL_LOGITS, XN_BEST_LOGITS, XN_BEST_LOGITS_AND_SUM };
// One row of a step: the next token of a sequence. Rows of a sequence stand in their order; sequences may be mixed at
// will.
struct xn_feed {
    uint32_t sequence;
    int32_t token;
    enum xn_feed_logits logits; // wanted after this token
};
// Evaluates n <= options.batch rows. On an error no sequence has changed length.
int xn_eval(struct xn_context *context, const struct xn_feed *feeds, uint32_t n, struct xn_error *err);
// After xn_eval: the logits (vocab floats) of feed i, which asked for them; valid until the next xn_eval. NULL where
// its best tokens were to be enough, on a device that tells them, until its logits were read.
const float *xn_eval_logits(const struct xn_context *context, uint32_t i);
// The same of every feed that wanted logits: they are fetched where they are on the device alone.
int xn_eval_read_logits(struct xn_context *context, uint32_t i, const float **logits, struct xn_error *err);
// The best tokens of feed i, which said that they are enough; valid until the next xn_eval. False: the device does not
// tell them.
bool xn_eval_candidates(const struct xn_context *context, uint32_t i, struct xn_row_candidates *out);
// Whether steps from now on leave what the head multiplies, for xn_eval_hidden. At first they do not.
void xn_eval_keep_hidden(struct xn_context *context, bool keep);
// After such a step: the residual stream behind the final norm, out[n][hidden], of n feeds of one sequence from feed i
// on. On every device; costs the memory and the time of a copy of the stream's rows, once somebody asks.
int xn_eval_hidden(struct xn_context *context, uint32_t i, uint32_t n, float *out, struct xn_error *err);

// Appends n tokens to one sequence in steps of options.batch, with progress ("prompt", tokens); the logits after the
// last are then those of xn_eval_logits(context, UINT32_MAX).
int xn_eval_prompt(struct xn_context *context, uint32_t sequence, const int32_t *tokens, uint32_t n,
                   const struct xn_progress *progress, struct xn_error *err);
