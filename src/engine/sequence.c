// Sequences: made, forked, cut back, and evaluated again from their tokens.
#include "engine/context_internal.h"

#include <string.h>

struct xn_sequence *xn_sequence_find(const struct xn_context *c, uint32_t id) {
    return id < c->options.sequences && c->sequences[id].used ? &c->sequences[id] : NULL;
}

int xn_no_sequence(const struct xn_context *c, uint32_t id, struct xn_error *err) {
    return xn_fail(err, XN_ERR_ARGUMENT, "sequence %u is not open (the context has %u)", id, c->options.sequences);
}

int xn_sequence_new(struct xn_context *c, uint32_t *sequence, struct xn_error *err) {
    for (uint32_t i = 0; i < c->options.sequences; i++) {
        struct xn_sequence *s = &c->sequences[i];
        if (s->used) continue;
        XN_TRY(xn_context_device(c)->clear_state(c->executor, i, err));
        s->used = true;
        s->stale = false;
        s->length = s->last_rows = s->n_pages = s->n_checkpoints = 0;
        s->rope_length = s->expected = 0;
        *sequence = i;
        return XN_OK;
    }
    return xn_fail(err, XN_ERR_LIMIT, "all %u sequences of the context are in use", c->options.sequences);
}

int32_t xn_take_page(struct xn_context *c) {
    int32_t page = c->free_pages[--c->n_free];
    c->references[page] = 1;
    return page;
}

static void drop_page(struct xn_context *c, int32_t page) {
    if (--c->references[page] == 0) c->free_pages[c->n_free++] = page;
}

static void drop_pages(struct xn_context *c, struct xn_sequence *s, uint32_t keep) {
    while (s->n_pages > keep)
        drop_page(c, s->pages[--s->n_pages]);
}

void xn_sequence_free(struct xn_context *c, uint32_t id) {
    struct xn_sequence *s = xn_sequence_find(c, id);
    if (!s) return;
    drop_pages(c, s, 0);
    xn_checkpoints_drop(c, s, 0);
    s->used = false;
    s->length = 0;
}

uint32_t xn_sequence_length(const struct xn_context *c, uint32_t id) {
    const struct xn_sequence *s = xn_sequence_find(c, id);
    return s ? s->length : 0;
}

uint32_t xn_sequence_pages(const struct xn_context *c, uint32_t id, uint32_t *alone) {
    const struct xn_sequence *s = xn_sequence_find(c, id);
    *alone = 0;
    for (uint32_t i = 0; s && i < s->n_pages; i++)
        *alone += c->references[s->pages[i]] == 1;
    return s ? s->n_pages : 0;
}

const int32_t *xn_sequence_tokens(const struct xn_context *c, uint32_t id) {
    const struct xn_sequence *s = xn_sequence_find(c, id);
    return s && s->length ? s->tokens : NULL;
}

int xn_sequence_reserve(struct xn_sequence *s, uint32_t length, struct xn_error *err) {
    if (XN_GROW(s->tokens, s->tokens_capacity, length))
        return xn_fail(err, XN_ERR_NOMEM, "no memory for the tokens of %u positions", length);
    return XN_OK;
}

// The states after the first `length` positions of a sequence, which are its own or those of a checkpoint, as
// another's.
static int fork_states(struct xn_context *c, uint32_t from, uint32_t length, uint32_t to, struct xn_error *err) {
    const struct xn_sequence *a = &c->sequences[from];
    int checkpoint;
    if (c->model->plan.n_states == 0) return XN_OK;
    if (length == a->length) return xn_context_device(c)->copy_state(c->executor, from, to, err);
    xn_checkpoint_nearest(c, a, length, &checkpoint);
    if (checkpoint < 0) return XN_OK; // of nothing: a new sequence's
    return xn_context_device(c)->copy_state(c->executor, c->options.sequences + (uint32_t)checkpoint, to, err);
}

int xn_sequence_fork_at(struct xn_context *c, uint32_t from, uint32_t length, uint32_t *sequence,
                        struct xn_error *err) {
    struct xn_sequence *a = xn_sequence_find(c, from);
    if (!a) return xn_no_sequence(c, from, err);
    if (length == a->length) XN_TRY(xn_sequence_settle(c, from, err));
    if (xn_sequence_resume(c, from, length) != length)
        return xn_fail(err, XN_ERR_ARGUMENT, "a fork of %u of %u positions: the states of %u are known, not those",
                       length, a->length, xn_sequence_resume(c, from, length));
    uint32_t full = length / XN_PAGE_SIZE;
    bool partial = length % XN_PAGE_SIZE != 0;
    if (partial && c->n_free == 0)
        return xn_fail(err, XN_ERR_LIMIT, "no free cache page of %u to fork a sequence", c->max_pages);
    uint32_t id = 0;
    XN_TRY(xn_sequence_new(c, &id, err));
    struct xn_sequence *b = &c->sequences[id];
    int status = xn_sequence_reserve(b, length, err);
    if (status == XN_OK) {
        for (uint32_t i = 0; i < full; i++) {
            b->pages[i] = a->pages[i];
            c->references[a->pages[i]]++;
        }
        b->n_pages = full;
    }
    if (status == XN_OK && partial) {
        b->pages[b->n_pages++] = xn_take_page(c);
        status = xn_context_device(c)->copy_page(c->executor, (uint32_t)a->pages[full], (uint32_t)b->pages[full], err);
    }
    if (status == XN_OK) status = fork_states(c, from, length, id, err);
    if (status != XN_OK) {
        xn_sequence_free(c, id);
        return status;
    }
    if (length) memcpy(b->tokens, a->tokens, length * sizeof *b->tokens);
    xn_checkpoints_share(c, a, b);
    xn_checkpoints_drop(c, b, length);
    b->length = length;
    b->last_rows = a->last_rows;
    b->rope_length = a->rope_length;
    *sequence = id;
    return XN_OK;
}

int xn_sequence_fork(struct xn_context *c, uint32_t from, uint32_t *sequence, struct xn_error *err) {
    const struct xn_sequence *a = xn_sequence_find(c, from);
    if (!a) return xn_no_sequence(c, from, err);
    XN_TRY(xn_sequence_fork_at(c, from, a->length, sequence, err));
    c->sequences[*sequence].expected = a->expected;
    c->sequences[*sequence].exact = a->exact;
    return XN_OK;
}

// Rows of the next step of a replay at `at`, and the pages that it uses: up to `most`, and either in one page that is
// shared, of which the spare page becomes a copy, or in pages that are not.
static int replay_pages(struct xn_context *c, const struct xn_sequence *s, uint32_t at, uint32_t *most,
                        struct xn_error *err) {
    if (c->spare_page < 0) return XN_OK;
    memcpy(c->replay_pages, s->pages, s->n_pages * sizeof *c->replay_pages);
    uint32_t page = at / XN_PAGE_SIZE, end = (page + 1) * XN_PAGE_SIZE;
    if (c->references[s->pages[page]] > 1) {
        c->replay_pages[page] = c->spare_page;
        XN_TRY(xn_context_device(c)->copy_page(c->executor, (uint32_t)s->pages[page], (uint32_t)c->spare_page, err));
    } else {
        while (end < at + *most && c->references[s->pages[end / XN_PAGE_SIZE]] == 1)
            end += XN_PAGE_SIZE;
    }
    if (*most > end - at) *most = end - at;
    return XN_OK;
}

int xn_sequence_replay(struct xn_context *c, uint32_t id, uint32_t from, uint32_t to, struct xn_error *err) {
    struct xn_sequence *s = &c->sequences[id];
    c->n_feeds = 0;
    for (uint32_t at = from; at < to;) {
        uint32_t rows = to - at < c->options.batch ? to - at : c->options.batch;
        XN_TRY(replay_pages(c, s, at, &rows, err));
        XN_TRY(xn_checkpoint_before_step(c, id, at, err));
        for (uint32_t i = 0; i < rows; i++)
            c->positions[i] = (int32_t)(at + i);
        struct xn_span span = {.n_rows = rows,
                               .past = at,
                               .pages = c->spare_page < 0 ? s->pages : c->replay_pages,
                               .slot = id,
                               .rope_length = s->rope_length};
        struct xn_batch batch = {
            .n_rows = rows, .tokens = s->tokens + at, .positions = c->positions, .n_spans = 1, .spans = &span};
        XN_TRY(xn_context_device(c)->run(c->executor, &batch, err));
        s->last_rows = rows;
        at += rows;
    }
    return XN_OK;
}

int xn_sequence_rewrite(struct xn_context *c, uint32_t id, struct xn_error *err) {
    struct xn_sequence *s = &c->sequences[id];
    uint32_t shared = 0;
    for (uint32_t i = 0; i < s->n_pages; i++)
        shared += c->references[s->pages[i]] > 1;
    if (shared > c->n_free)
        return xn_fail(err, XN_ERR_LIMIT,
                       "no free cache pages to compute a sequence of %u positions anew (%u wanted, %u of %u free)",
                       s->length, shared, c->n_free, c->max_pages);
    XN_TRY(xn_context_device(c)->clear_state(c->executor, id, err));
    for (uint32_t i = 0; i < s->n_pages; i++) {
        if (c->references[s->pages[i]] == 1) continue;
        drop_page(c, s->pages[i]);
        s->pages[i] = xn_take_page(c);
    }
    xn_checkpoints_drop(c, s, 0);
    s->stale = true;
    XN_TRY(xn_sequence_replay(c, id, 0, s->length, err));
    s->stale = false;
    return XN_OK;
}

int xn_sequence_settle(struct xn_context *c, uint32_t id, struct xn_error *err) {
    struct xn_sequence *s = &c->sequences[id];
    uint32_t from;
    if (!s->stale) return XN_OK;
    XN_TRY(xn_checkpoint_restore(c, id, s->length, &from, err));
    XN_TRY(xn_sequence_replay(c, id, from, s->length, err));
    s->stale = false;
    return XN_OK;
}

// The first page from place `keep` on that no other sequence holds: its place, or 0.
static uint32_t own_page_behind(const struct xn_context *c, const struct xn_sequence *s, uint32_t keep) {
    for (uint32_t i = keep; i < s->n_pages; i++)
        if (c->references[s->pages[i]] == 1) return i;
    return 0;
}

// Others share page keep - 1, which is written to behind the cut: gives the sequence a copy of its own. Where there is
// one behind the cut that nobody shares, that becomes the copy, else a free one, which the caller made sure of. On an
// error nothing has changed.
static int own_last_page(struct xn_context *c, struct xn_sequence *s, uint32_t keep, struct xn_error *err) {
    uint32_t from = own_page_behind(c, s, keep);
    int32_t shared = s->pages[keep - 1], own = from ? s->pages[from] : xn_take_page(c);
    int status = xn_context_device(c)->copy_page(c->executor, (uint32_t)shared, (uint32_t)own, err);
    if (status == XN_OK) {
        s->pages[keep - 1] = own;
        if (from)
            s->pages[from] = shared; // leaves with the pages behind the cut
        else
            c->references[shared]--;
    } else if (!from) {
        drop_page(c, own);
    }
    return status;
}

uint32_t xn_sequence_resume(const struct xn_context *c, uint32_t id, uint32_t length) {
    const struct xn_sequence *s = xn_sequence_find(c, id);
    if (!s) return 0;
    if (length > s->length) length = s->length;
    int checkpoint;
    return c->model->plan.n_states == 0 || (length == s->length && !s->stale)
               ? length
               : xn_checkpoint_nearest(c, s, length, &checkpoint);
}

// Where this fails the states alone are lost, and xn_sequence_settle computes them again.
static int cut_states(struct xn_context *c, uint32_t id, uint32_t length, struct xn_error *err) {
    uint32_t from;
    xn_checkpoints_drop(c, &c->sequences[id], length);
    c->sequences[id].stale = true;
    XN_TRY(xn_checkpoint_restore(c, id, length, &from, err));
    return xn_sequence_replay(c, id, from, length, err);
}

int xn_sequence_cut(struct xn_context *c, uint32_t id, uint32_t length, struct xn_error *err) {
    struct xn_sequence *s = xn_sequence_find(c, id);
    if (!s) return xn_no_sequence(c, id, err);
    s->expected = 0;
    if (length >= s->length) return XN_OK;
    uint32_t keep = xn_pages_for(length);
    bool shared = length % XN_PAGE_SIZE != 0 && c->references[s->pages[keep - 1]] > 1;
    if (shared && c->n_free == 0 && own_page_behind(c, s, keep) == 0)
        return xn_fail(err, XN_ERR_LIMIT, "no free cache page of %u to cut a sequence", c->max_pages);
    if (c->model->plan.n_states) XN_TRY(cut_states(c, id, length, err));
    if (shared) XN_TRY(own_last_page(c, s, keep, err));
    drop_pages(c, s, keep);
    s->length = length;
    s->stale = false;
    return XN_OK;
}
