// Checkpoints: copies of recurrent states, so that a sequence can be cut back without evaluating all of it again.
//
// When: before a step of a sequence, of its states as they stand, if its last checkpoint lies AFTER_PROMPT positions or
// more behind and its last step had several rows (a piece of a prompt), or AFTER_TOKEN and it had one. So the ends of a
// prompt's steps have one, among them the position where an answer begins, and a long answer one every AFTER_TOKEN
// tokens. Nothing is copied behind a text's last step. A prompt's last step is moreover divided shortly before its end
// (XN_PROMPT_TAIL), since that is where the next turn of a conversation often differs: what a template writes only
// ahead of the answer.
//
// How many: options.checkpoints. When all are in use the least useful one is replaced: the one whose absence would
// lengthen a replay the least (the distance between its neighbours), in proportion to how far back it lies. So their
// spacing grows with their age.
#include "engine/context_internal.h"

#include <string.h>

enum {
    AFTER_PROMPT = 16,
    AFTER_TOKEN = 64,
    // By default as many as MEMORY_BUDGET bytes hold, within these limits.
    LEAST = 4,
    MOST = 32,
    MEMORY_BUDGET = 256 << 20,
};

uint32_t xn_checkpoints_chosen(const struct xn_plan *plan, int32_t option) {
    if (plan->n_states == 0 || option < 0) return 0;
    if (option > 0) return (uint32_t)option;
    uint64_t bytes = 1;
    for (uint32_t i = 0; i < plan->n_states; i++)
        bytes += 4 * ((uint64_t)plan->states[i].conv_size + plan->states[i].recurrent_size);
    uint64_t fit = MEMORY_BUDGET / bytes;
    return fit < LEAST ? LEAST : fit > MOST ? MOST : (uint32_t)fit;
}

static void release(struct xn_context *c, uint32_t checkpoint) {
    c->checkpoints[checkpoint].references--;
}

void xn_checkpoints_drop(struct xn_context *c, struct xn_sequence *s, uint32_t length) {
    while (s->n_checkpoints && c->checkpoints[s->checkpoints[s->n_checkpoints - 1]].position > length)
        release(c, s->checkpoints[--s->n_checkpoints]);
}

void xn_checkpoints_share(struct xn_context *c, const struct xn_sequence *from, struct xn_sequence *to) {
    for (uint32_t i = 0; i < from->n_checkpoints; i++)
        c->checkpoints[from->checkpoints[i]].references++;
    if (from->n_checkpoints) memcpy(to->checkpoints, from->checkpoints, from->n_checkpoints * sizeof *to->checkpoints);
    to->n_checkpoints = from->n_checkpoints;
}

uint32_t xn_checkpoint_nearest(const struct xn_context *c, const struct xn_sequence *s, uint32_t length,
                               int *checkpoint) {
    for (uint32_t i = s->n_checkpoints; i-- > 0;) {
        uint32_t position = c->checkpoints[s->checkpoints[i]].position;
        if (position > length) continue;
        *checkpoint = (int)s->checkpoints[i];
        return position;
    }
    *checkpoint = -1;
    return 0;
}

int xn_checkpoint_restore(struct xn_context *c, uint32_t id, uint32_t length, uint32_t *from, struct xn_error *err) {
    int checkpoint;
    *from = xn_checkpoint_nearest(c, &c->sequences[id], length, &checkpoint);
    if (checkpoint < 0) return xn_context_device(c)->clear_state(c->executor, id, err);
    return xn_context_device(c)->copy_state(c->executor, c->options.sequences + (uint32_t)checkpoint, id, err);
}

// Of every checkpoint, to the sequence that needs it most. The last of a sequence has its end as the next neighbour.
static void find_usefulness(struct xn_context *c) {
    memset(c->usefulness, 0, c->options.checkpoints * sizeof *c->usefulness);
    for (uint32_t id = 0; id < c->options.sequences; id++) {
        const struct xn_sequence *s = &c->sequences[id];
        for (uint32_t i = 0; s->used && i < s->n_checkpoints; i++) {
            uint32_t checkpoint = s->checkpoints[i], position = c->checkpoints[checkpoint].position;
            uint32_t before = i ? c->checkpoints[s->checkpoints[i - 1]].position : 0;
            uint32_t after = i + 1 < s->n_checkpoints ? c->checkpoints[s->checkpoints[i + 1]].position : s->length;
            double useful = (double)(after - before) / ((double)(s->length - position) + 1);
            if (useful > c->usefulness[checkpoint]) c->usefulness[checkpoint] = useful;
        }
    }
}

// Takes a checkpoint away from all sequences.
static void forget(struct xn_context *c, uint32_t checkpoint) {
    for (uint32_t id = 0; id < c->options.sequences; id++) {
        struct xn_sequence *s = &c->sequences[id];
        uint32_t kept = 0;
        for (uint32_t i = 0; i < s->n_checkpoints; i++)
            if (s->checkpoints[i] != checkpoint) s->checkpoints[kept++] = s->checkpoints[i];
        s->n_checkpoints = kept;
    }
    c->checkpoints[checkpoint].references = 0;
}

static uint32_t take(struct xn_context *c) {
    uint32_t n = (uint32_t)c->options.checkpoints, least = 0;
    for (uint32_t i = 0; i < n; i++)
        if (c->checkpoints[i].references == 0) return i;
    find_usefulness(c);
    for (uint32_t i = 1; i < n; i++)
        if (c->usefulness[i] < c->usefulness[least]) least = i;
    forget(c, least);
    return least;
}

int xn_checkpoint_add(struct xn_context *c, uint32_t id, uint32_t position, struct xn_error *err) {
    struct xn_sequence *s = &c->sequences[id];
    uint32_t k = take(c);
    XN_TRY(xn_context_device(c)->copy_state(c->executor, id, c->options.sequences + k, err));
    c->checkpoints[k] = (struct xn_checkpoint){.position = position, .references = 1};
    s->checkpoints[s->n_checkpoints++] = k;
    return XN_OK;
}

int xn_checkpoint_before_step(struct xn_context *c, uint32_t id, uint32_t position, struct xn_error *err) {
    struct xn_sequence *s = &c->sequences[id];
    if (c->options.checkpoints == 0) return XN_OK;
    int ignored;
    uint32_t last = xn_checkpoint_nearest(c, s, position, &ignored);
    if (position - last < (s->last_rows > 1 ? AFTER_PROMPT : AFTER_TOKEN)) return XN_OK;
    return xn_checkpoint_add(c, id, position, err);
}
