// Steps: batches of any mix of sequences, and the prompt of one.
#include "device/reference/math.h"
#include "engine/context_internal.h"

#include <stdlib.h>
#include <string.h>

enum { NO_FEED = -1 };

// Checks the feeds and counts the rows of each sequence into spans, in the order of first appearance.
static int count_rows(struct xn_context *c, const struct xn_feed *feeds, uint32_t n, uint32_t *n_spans,
                      uint32_t *n_outputs, struct xn_error *err) {
    if (n == 0 || n > c->options.batch)
        return xn_fail(err, XN_ERR_ARGUMENT, "a step of %u tokens, 1 to %u expected", n, c->options.batch);
    memset(c->span_of, 0xff, c->options.sequences * sizeof *c->span_of);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t id = feeds[i].sequence;
        const struct xn_sequence *s = xn_sequence_find(c, id);
        if (!s) return xn_no_sequence(c, id, err);
        if (feeds[i].token < 0 || (uint32_t)feeds[i].token >= c->model->recipe.vocab)
            return xn_fail(err, XN_ERR_ARGUMENT, "token %d: the vocabulary has %u", feeds[i].token,
                           c->model->recipe.vocab);
        if (c->span_of[id] == UINT32_MAX) {
            c->span_of[id] = (*n_spans)++;
            c->spans[c->span_of[id]] = (struct xn_span){.past = s->length, .pages = s->pages, .slot = id};
        }
        c->spans[c->span_of[id]].n_rows++;
        *n_outputs += feeds[i].logits != XN_NO_LOGITS;
    }
    if (*n_outputs > c->options.outputs)
        return xn_fail(err, XN_ERR_LIMIT, "logits of %u tokens wanted, at most %u a step are possible", *n_outputs,
                       c->options.outputs);
    return XN_OK;
}

// Makes room for the new positions of every span, or for none.
static int take_pages(struct xn_context *c, uint32_t n_spans, struct xn_error *err) {
    uint64_t want = 0;
    for (uint32_t i = 0; i < n_spans; i++) {
        const struct xn_span *span = &c->spans[i];
        uint64_t end = (uint64_t)span->past + span->n_rows;
        if (end > (uint64_t)c->max_pages * XN_PAGE_SIZE || end > INT32_MAX)
            return xn_fail(err, XN_ERR_LIMIT, "a sequence of %llu tokens: the context has room for %u",
                           (unsigned long long)end, c->options.context);
        // A step that failed may have left it more pages than its length needs.
        uint32_t need = xn_pages_for((uint32_t)end), have = c->sequences[span->slot].n_pages;
        want += need > have ? need - have : 0;
    }
    if (want > c->n_free)
        return xn_fail(err, XN_ERR_LIMIT, "the context of %u positions is full (%llu pages of %d wanted, %u free)",
                       c->options.context, (unsigned long long)want, XN_PAGE_SIZE, c->n_free);
    for (uint32_t i = 0; i < n_spans; i++) {
        struct xn_sequence *s = &c->sequences[c->spans[i].slot];
        for (uint32_t need = xn_pages_for(c->spans[i].past + c->spans[i].n_rows); s->n_pages < need;)
            s->pages[s->n_pages++] = xn_take_page(c);
    }
    return XN_OK;
}

// Everything else that a sequence needs before a step: room for its tokens, states that are right, and a copy of those
// where one is due.
static int make_ready(struct xn_context *c, struct xn_span *span, struct xn_error *err) {
    uint32_t id = span->slot;
    XN_TRY(xn_sequence_reserve(&c->sequences[id], span->past + span->n_rows, err));
    XN_TRY(xn_sequence_settle(c, id, err));
    XN_TRY(xn_sequence_set_ropes(c, id, span->past + span->n_rows, err));
    span->rope_length = c->sequences[id].rope_length;
    return xn_checkpoint_before_step(c, id, span->past, err);
}

static void advance(struct xn_context *c, const struct xn_span *span) {
    struct xn_sequence *s = &c->sequences[span->slot];
    memcpy(s->tokens + s->length, c->tokens + span->first_row, span->n_rows * sizeof *s->tokens);
    s->length += span->n_rows;
    s->last_rows = span->n_rows;
}

// Of which outputs all logits are wanted. False: of all. *sums: whether a sum is wanted of others.
static bool mark_whole(struct xn_context *c, const struct xn_feed *feeds, uint32_t n, bool *sums) {
    bool tells = xn_context_device(c)->candidates != NULL, partly = false;
    for (uint32_t i = 0; i < n; i++) {
        int32_t output = c->output_of_feed[c->row_of_feed[i]];
        if (output == NO_FEED) continue;
        c->whole[output] = feeds[i].logits == XN_ALL_LOGITS || !tells;
        partly |= !c->whole[output];
        *sums |= feeds[i].logits == XN_BEST_LOGITS_AND_SUM;
    }
    return partly;
}

int xn_eval(struct xn_context *c, const struct xn_feed *feeds, uint32_t n, struct xn_error *err) {
    uint32_t n_spans = 0, n_outputs = 0;
    c->n_feeds = c->n_hidden = 0;
    XN_TRY(count_rows(c, feeds, n, &n_spans, &n_outputs, err));
    XN_TRY(take_pages(c, n_spans, err));
    for (uint32_t i = 0; i < n_spans; i++)
        XN_TRY(make_ready(c, &c->spans[i], err));
    uint32_t row = 0;
    for (uint32_t i = 0; i < n_spans; i++) {
        c->spans[i].first_row = row;
        row += c->spans[i].n_rows;
        c->spans[i].n_rows = 0; // counted again while rows are placed
    }
    for (uint32_t i = 0; i < n; i++) {
        struct xn_span *span = &c->spans[c->span_of[feeds[i].sequence]];
        uint32_t r = c->row_of_feed[i] = span->first_row + span->n_rows;
        c->tokens[r] = feeds[i].token;
        c->positions[r] = (int32_t)(span->past + span->n_rows++);
    }
    // Outputs ascend by row: mark the rows, then number them.
    memset(c->output_of_feed, 0, n * sizeof *c->output_of_feed);
    for (uint32_t i = 0; i < n; i++)
        if (feeds[i].logits != XN_NO_LOGITS) c->output_of_feed[c->row_of_feed[i]] = 1;
    uint32_t output = 0;
    for (uint32_t r = 0; r < n; r++)
        if (c->output_of_feed[r]) {
            c->outputs[output] = r;
            c->output_of_feed[r] = (int32_t)output++;
        } else {
            c->output_of_feed[r] = NO_FEED;
        }
    bool sums = false, partly = mark_whole(c, feeds, n, &sums);
    struct xn_batch batch = {.n_rows = n,
                             .tokens = c->tokens,
                             .positions = c->positions,
                             .n_spans = n_spans,
                             .spans = c->spans,
                             .n_outputs = n_outputs,
                             .outputs = c->outputs,
                             .keep_rows = c->keep_hidden,
                             .whole = partly ? c->whole : NULL,
                             .sums = sums};
    int status = xn_context_device(c)->run(c->executor, &batch, err);
    for (uint32_t i = 0; i < n_spans; i++)
        if (status == XN_OK)
            advance(c, &c->spans[i]);
        else
            c->sequences[c->spans[i].slot].stale = c->model->plan.n_states > 0;
    XN_TRY(status);
    c->n_feeds = n;
    return XN_OK;
}

// The row of logits of feed i (UINT32_MAX: the last); NO_FEED: it has none.
static int32_t output_of(const struct xn_context *c, uint32_t i) {
    if (i == UINT32_MAX) i = c->n_feeds - 1; // of no step: UINT32_MAX again
    return i < c->n_feeds ? c->output_of_feed[c->row_of_feed[i]] : NO_FEED;
}

const float *xn_eval_logits(const struct xn_context *c, uint32_t i) {
    int32_t output = output_of(c, i);
    if (output == NO_FEED || !c->whole[output]) return NULL;
    return xn_context_device(c)->logits(c->executor) + (size_t)output * c->model->recipe.vocab;
}

int xn_eval_read_logits(struct xn_context *c, uint32_t i, const float **logits, struct xn_error *err) {
    int32_t output = output_of(c, i);
    if (output == NO_FEED) return xn_fail(err, XN_ERR_ARGUMENT, "there are no logits of feed %u", i);
    if (!c->whole[output]) XN_TRY(xn_context_device(c)->read_logits(c->executor, (uint32_t)output, err));
    c->whole[output] = true;
    *logits = xn_eval_logits(c, i);
    return XN_OK;
}

bool xn_eval_candidates(const struct xn_context *c, uint32_t i, struct xn_row_candidates *out) {
    int32_t output = output_of(c, i);
    if (output == NO_FEED || c->whole[output]) return false;
    return xn_context_device(c)->candidates(c->executor, (uint32_t)output, out);
}

void xn_eval_keep_hidden(struct xn_context *c, bool keep) {
    c->keep_hidden = keep;
}

// Reads the first `rows` rows of the last step's residual stream, unless that was done.
static int read_hidden(struct xn_context *c, uint32_t rows, struct xn_error *err) {
    if (rows <= c->n_hidden) return XN_OK;
    if (!c->hidden) c->hidden = xn_alloc((size_t)c->options.batch * c->model->plan.hidden, sizeof *c->hidden);
    if (!c->hidden) return xn_fail(err, XN_ERR_NOMEM, "no memory for the hidden states of a step");
    XN_TRY(xn_context_device(c)->read_rows(c->executor, XN_BUF_X, rows, c->hidden, err));
    c->n_hidden = rows;
    return XN_OK;
}

int xn_eval_hidden(struct xn_context *c, uint32_t i, uint32_t n, float *out, struct xn_error *err) {
    size_t hidden = c->model->plan.hidden;
    if (!c->keep_hidden || i >= c->n_feeds || n > c->n_feeds - i || n == 0)
        return xn_fail(err, XN_ERR_ARGUMENT, "hidden states of feeds %u to %u: the last step kept those of %u", i,
                       i + n, c->keep_hidden ? c->n_feeds : 0);
    uint32_t row = c->row_of_feed[i];
    XN_TRY(read_hidden(c, c->row_of_feed[i + n - 1] + 1, err));
    for (uint32_t j = 0; j < n; j++)
        xn_ref_norm(&c->model->recipe.final_norm, c->hidden + (row + j) * hidden, out + j * hidden, (uint32_t)hidden);
    return XN_OK;
}

static int expect_prompt(struct xn_context *c, uint32_t id, uint32_t n, struct xn_error *err) {
    const struct xn_sequence *s = xn_sequence_find(c, id);
    if (!s) return xn_no_sequence(c, id, err);
    uint64_t end = (uint64_t)s->length + n;
    if (end > UINT32_MAX) end = UINT32_MAX; // its steps will say that this is too long
    return s->expected >= end ? XN_OK : xn_sequence_expect(c, id, (uint32_t)end, false, err);
}

int xn_eval_prompt(struct xn_context *c, uint32_t sequence, const int32_t *tokens, uint32_t n,
                   const struct xn_progress *progress, struct xn_error *err) {
    struct xn_feed *feeds = xn_alloc(c->options.batch, sizeof *feeds);
    if (!feeds) return xn_fail(err, XN_ERR_NOMEM, "no memory for a step of %u tokens", c->options.batch);
    int status = expect_prompt(c, sequence, n, err);
    for (uint32_t done = 0; done < n && status == XN_OK;) {
        uint32_t step = n - done < c->options.batch ? n - done : c->options.batch;
        if (step == n - done && step > 4 * XN_PROMPT_TAIL && c->options.checkpoints) step -= XN_PROMPT_TAIL;
        for (uint32_t i = 0; i < step; i++)
            feeds[i] = (struct xn_feed){.sequence = sequence, .token = tokens[done + i], .logits = done + i + 1 == n};
        status = xn_eval(c, feeds, step, err);
        done += step;
        if (status == XN_OK && xn_progress_report(progress, "prompt", done, n) && done < n)
            status = xn_fail(err, XN_ERR_CANCELLED, "cancelled after %u of %u tokens", done, n);
    }
    free(feeds);
    return status;
}
