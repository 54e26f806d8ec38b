#include "engine/context.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE_SIZE = 64, NO_FEED = -1 };

// A sequence: its pages in order, and its state slot (its own number).
struct sequence {
    bool used;
    uint32_t length;
    int32_t *pages; // [max_pages]
    uint32_t n_pages;
};

struct xn_context {
    struct xn_model *model;
    struct xn_context_options options;
    struct xn_limits limits;
    struct xn_executor *executor;
    uint32_t max_pages; // of one sequence, and of the cache

    struct sequence *sequences; // [options.sequences]
    int32_t *free_pages;        // a stack
    uint32_t n_free;
    uint32_t *references; // of each page: sequences that hold it

    // The batch of a step, and what each feed's logits are.
    int32_t *tokens, *positions;
    struct xn_span *spans;
    uint32_t *outputs;
    uint32_t *row_of_feed;   // [batch]
    int32_t *output_of_feed; // [batch]: row of logits, or NO_FEED
    uint32_t *span_of;       // [sequences]
    uint32_t n_feeds;
};

static const struct xn_device_table *device_of(const struct xn_context *context) {
    return context->model->device->table;
}

static struct xn_context_options with_defaults(const struct xn_model *model, const struct xn_context_options *o) {
    struct xn_context_options r = *o;
    enum { DEFAULT_CONTEXT = 8192, DEFAULT_BATCH = 512 };
    if (r.context == 0)
        r.context =
            model->recipe.context < DEFAULT_CONTEXT && model->recipe.context ? model->recipe.context : DEFAULT_CONTEXT;
    if (r.batch == 0) r.batch = DEFAULT_BATCH;
    if (r.sequences == 0) r.sequences = 1;
    if (r.batch < r.sequences) r.batch = r.sequences;
    if (r.outputs == 0) r.outputs = r.sequences;
    if (r.outputs > r.batch) r.outputs = r.batch;
    return r;
}

static int allocate(struct xn_context *c, struct xn_error *err) {
    const struct xn_context_options *o = &c->options;
    c->sequences = xn_alloc_zero(o->sequences, sizeof *c->sequences);
    c->free_pages = xn_alloc(c->max_pages, sizeof *c->free_pages);
    c->references = xn_alloc_zero(c->max_pages, sizeof *c->references);
    c->tokens = xn_alloc(o->batch, sizeof *c->tokens);
    c->positions = xn_alloc(o->batch, sizeof *c->positions);
    c->spans = xn_alloc(o->sequences, sizeof *c->spans);
    c->outputs = xn_alloc(o->outputs, sizeof *c->outputs);
    c->row_of_feed = xn_alloc(o->batch, sizeof *c->row_of_feed);
    c->output_of_feed = xn_alloc(o->batch, sizeof *c->output_of_feed);
    c->span_of = xn_alloc(o->sequences, sizeof *c->span_of);
    bool ok = c->sequences && c->free_pages && c->references && c->tokens && c->positions && c->spans && c->outputs &&
              c->row_of_feed && c->output_of_feed && c->span_of;
    for (uint32_t i = 0; ok && i < o->sequences; i++)
        ok = (c->sequences[i].pages = xn_alloc(c->max_pages, sizeof(int32_t))) != NULL;
    return ok ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "no memory for a context of %u positions", o->context);
}

int xn_context_create(struct xn_model *model, const struct xn_context_options *options, struct xn_context **out,
                      struct xn_error *err) {
    struct xn_context *c = xn_alloc_zero(1, sizeof *c);
    if (!c) return xn_fail(err, XN_ERR_NOMEM, "no memory for a context");
    c->model = model;
    c->options = with_defaults(model, options);
    enum { MAX_CONTEXT = 1 << 28, MAX_ROWS = 1 << 20 };
    if (c->options.context > MAX_CONTEXT || c->options.batch > MAX_ROWS || c->options.sequences > MAX_ROWS) {
        int status =
            xn_fail(err, XN_ERR_LIMIT,
                    "a context of %u positions, %u sequences and batches of %u rows: "
                    "at most %d, %d and %d are possible",
                    c->options.context, c->options.sequences, c->options.batch, MAX_CONTEXT, MAX_ROWS, MAX_ROWS);
        free(c);
        return status;
    }
    // Positions are counted for all sequences together; each may leave its last page partly empty.
    c->max_pages = (c->options.context + PAGE_SIZE - 1) / PAGE_SIZE + c->options.sequences - 1;
    c->limits = (struct xn_limits){.rows = c->options.batch,
                                   .outputs = c->options.outputs,
                                   .page_size = PAGE_SIZE,
                                   .pages = c->max_pages,
                                   .slots = c->options.sequences,
                                   .cache_type = c->options.cache_type};
    int status = allocate(c, err);
    if (status == XN_OK) status = device_of(c)->prepare(model->device, &model->plan, &c->limits, &c->executor, err);
    if (status != XN_OK) {
        xn_context_free(c);
        return status;
    }
    for (uint32_t i = 0; i < c->max_pages; i++)
        c->free_pages[i] = (int32_t)(c->max_pages - 1 - i);
    c->n_free = c->max_pages;
    *out = c;
    return XN_OK;
}

void xn_context_free(struct xn_context *c) {
    if (!c) return;
    device_of(c)->release(c->model->device, c->executor);
    for (uint32_t i = 0; c->sequences && i < c->options.sequences; i++)
        free(c->sequences[i].pages);
    free(c->sequences);
    free(c->free_pages);
    free(c->references);
    free(c->tokens);
    free(c->positions);
    free(c->spans);
    free(c->outputs);
    free(c->row_of_feed);
    free(c->output_of_feed);
    free(c->span_of);
    free(c);
}

const struct xn_context_options *xn_context_options(const struct xn_context *c) {
    return &c->options;
}

struct xn_model *xn_context_model(const struct xn_context *c) {
    return c->model;
}

struct xn_executor *xn_context_executor(const struct xn_context *c) {
    return c->executor;
}

void xn_context_memory(const struct xn_context *c, uint64_t *cache, uint64_t *activations) {
    device_of(c)->memory(c->model->device, &c->model->plan, &c->limits, cache, activations);
}

static struct sequence *find_sequence(const struct xn_context *c, uint32_t id) {
    return id < c->options.sequences && c->sequences[id].used ? &c->sequences[id] : NULL;
}

int xn_sequence_new(struct xn_context *c, uint32_t *sequence, struct xn_error *err) {
    for (uint32_t i = 0; i < c->options.sequences; i++) {
        if (c->sequences[i].used) continue;
        XN_TRY(device_of(c)->clear_state(c->executor, i, err));
        c->sequences[i].used = true;
        c->sequences[i].length = 0;
        c->sequences[i].n_pages = 0;
        *sequence = i;
        return XN_OK;
    }
    return xn_fail(err, XN_ERR_LIMIT, "all %u sequences of the context are in use", c->options.sequences);
}

static void drop_pages(struct xn_context *c, struct sequence *s, uint32_t keep) {
    while (s->n_pages > keep) {
        int32_t page = s->pages[--s->n_pages];
        if (--c->references[page] == 0) c->free_pages[c->n_free++] = page;
    }
}

void xn_sequence_free(struct xn_context *c, uint32_t id) {
    struct sequence *s = find_sequence(c, id);
    if (!s) return;
    drop_pages(c, s, 0);
    s->used = false;
    s->length = 0;
}

uint32_t xn_sequence_length(const struct xn_context *c, uint32_t id) {
    const struct sequence *s = find_sequence(c, id);
    return s ? s->length : 0;
}

static int no_sequence(const struct xn_context *c, uint32_t id, struct xn_error *err) {
    return xn_fail(err, XN_ERR_ARGUMENT, "sequence %u is not open (the context has %u)", id, c->options.sequences);
}

static uint32_t pages_for(uint32_t positions) {
    return positions / PAGE_SIZE + (positions % PAGE_SIZE != 0);
}

static int32_t take_page(struct xn_context *c) {
    int32_t page = c->free_pages[--c->n_free];
    c->references[page] = 1;
    return page;
}

int xn_sequence_fork(struct xn_context *c, uint32_t from, uint32_t *sequence, struct xn_error *err) {
    const struct sequence *a = find_sequence(c, from);
    if (!a) return no_sequence(c, from, err);
    uint32_t full = a->length / PAGE_SIZE;
    bool partial = a->length % PAGE_SIZE != 0;
    if (partial && c->n_free == 0)
        return xn_fail(err, XN_ERR_LIMIT, "no free cache page of %u to fork a sequence", c->max_pages);
    uint32_t id = 0;
    XN_TRY(xn_sequence_new(c, &id, err));
    struct sequence *b = &c->sequences[id];
    for (uint32_t i = 0; i < full; i++) {
        b->pages[i] = a->pages[i];
        c->references[a->pages[i]]++;
    }
    b->n_pages = full;
    int status = XN_OK;
    if (partial) {
        b->pages[b->n_pages++] = take_page(c);
        status = device_of(c)->copy_page(c->executor, (uint32_t)a->pages[full], (uint32_t)b->pages[full], err);
    }
    if (status == XN_OK) status = device_of(c)->copy_state(c->executor, from, id, err);
    if (status != XN_OK) {
        xn_sequence_free(c, id);
        return status;
    }
    b->length = a->length;
    *sequence = id;
    return XN_OK;
}

// Others share page keep - 1, which is written to behind the cut: gives the sequence a copy of its own. Where no page
// is free, one behind the cut that nobody shares becomes the copy. On an error nothing has changed.
static int own_last_page(struct xn_context *c, struct sequence *s, uint32_t keep, struct xn_error *err) {
    int32_t shared = s->pages[keep - 1], own = -1;
    uint32_t from = 0; // the own page's place in the table, if it has one
    for (uint32_t i = keep; i < s->n_pages && own < 0; i++)
        if (c->references[s->pages[i]] == 1) own = s->pages[from = i];
    if (own < 0 && c->n_free == 0)
        return xn_fail(err, XN_ERR_LIMIT, "no free cache page of %u to cut a sequence", c->max_pages);
    if (own < 0) own = take_page(c);
    int status = device_of(c)->copy_page(c->executor, (uint32_t)shared, (uint32_t)own, err);
    if (status == XN_OK) {
        s->pages[keep - 1] = own;
        if (from)
            s->pages[from] = shared; // leaves with the pages behind the cut
        else
            c->references[shared]--;
    } else if (!from) {
        c->references[own] = 0;
        c->free_pages[c->n_free++] = own;
    }
    return status;
}

int xn_sequence_cut(struct xn_context *c, uint32_t id, uint32_t length, struct xn_error *err) {
    struct sequence *s = find_sequence(c, id);
    if (!s) return no_sequence(c, id, err);
    if (length >= s->length) return XN_OK;
    if (length == 0)
        XN_TRY(device_of(c)->clear_state(c->executor, id, err));
    else if (c->model->plan.n_states)
        return xn_fail(err, XN_ERR_UNSUPPORTED,
                       "a model with recurrent states can't be cut from %u positions back to %u, only to 0", s->length,
                       length);
    uint32_t keep = pages_for(length);
    if (length % PAGE_SIZE != 0 && c->references[s->pages[keep - 1]] > 1) XN_TRY(own_last_page(c, s, keep, err));
    drop_pages(c, s, keep);
    s->length = length;
    return XN_OK;
}

// Checks the feeds and counts the rows of each sequence into spans, in the order of first appearance.
static int count_rows(struct xn_context *c, const struct xn_feed *feeds, uint32_t n, uint32_t *n_spans,
                      uint32_t *n_outputs, struct xn_error *err) {
    if (n == 0 || n > c->options.batch)
        return xn_fail(err, XN_ERR_ARGUMENT, "a step of %u tokens, 1 to %u expected", n, c->options.batch);
    memset(c->span_of, 0xff, c->options.sequences * sizeof *c->span_of);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t id = feeds[i].sequence;
        const struct sequence *s = find_sequence(c, id);
        if (!s) return no_sequence(c, id, err);
        if (feeds[i].token < 0 || (uint32_t)feeds[i].token >= c->model->recipe.vocab)
            return xn_fail(err, XN_ERR_ARGUMENT, "token %d: the vocabulary has %u", feeds[i].token,
                           c->model->recipe.vocab);
        if (c->span_of[id] == UINT32_MAX) {
            c->span_of[id] = (*n_spans)++;
            c->spans[c->span_of[id]] = (struct xn_span){.past = s->length, .pages = s->pages, .slot = id};
        }
        c->spans[c->span_of[id]].n_rows++;
        *n_outputs += feeds[i].logits;
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
        if (end > (uint64_t)c->max_pages * PAGE_SIZE || end > INT32_MAX)
            return xn_fail(err, XN_ERR_LIMIT, "a sequence of %llu tokens: the context has room for %u",
                           (unsigned long long)end, c->options.context);
        // A step that failed may have left it more pages than its length needs.
        uint32_t need = pages_for((uint32_t)end), have = c->sequences[span->slot].n_pages;
        want += need > have ? need - have : 0;
    }
    if (want > c->n_free)
        return xn_fail(err, XN_ERR_LIMIT, "the context of %u positions is full (%llu pages of %d wanted, %u free)",
                       c->options.context, (unsigned long long)want, PAGE_SIZE, c->n_free);
    for (uint32_t i = 0; i < n_spans; i++) {
        struct sequence *s = &c->sequences[c->spans[i].slot];
        for (uint32_t need = pages_for(c->spans[i].past + c->spans[i].n_rows); s->n_pages < need;)
            s->pages[s->n_pages++] = take_page(c);
    }
    return XN_OK;
}

int xn_eval(struct xn_context *c, const struct xn_feed *feeds, uint32_t n, struct xn_error *err) {
    uint32_t n_spans = 0, n_outputs = 0;
    c->n_feeds = 0;
    XN_TRY(count_rows(c, feeds, n, &n_spans, &n_outputs, err));
    XN_TRY(take_pages(c, n_spans, err));
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
        if (feeds[i].logits) c->output_of_feed[c->row_of_feed[i]] = 1;
    uint32_t output = 0;
    for (uint32_t r = 0; r < n; r++)
        if (c->output_of_feed[r]) {
            c->outputs[output] = r;
            c->output_of_feed[r] = (int32_t)output++;
        } else {
            c->output_of_feed[r] = NO_FEED;
        }
    struct xn_batch batch = {.n_rows = n,
                             .tokens = c->tokens,
                             .positions = c->positions,
                             .n_spans = n_spans,
                             .spans = c->spans,
                             .n_outputs = n_outputs,
                             .outputs = c->outputs};
    XN_TRY(device_of(c)->run(c->executor, &batch, err));
    for (uint32_t i = 0; i < n_spans; i++)
        c->sequences[c->spans[i].slot].length += c->spans[i].n_rows;
    c->n_feeds = n;
    return XN_OK;
}

const float *xn_eval_logits(const struct xn_context *c, uint32_t i) {
    if (i == UINT32_MAX) i = c->n_feeds - 1; // of no step: UINT32_MAX again
    if (i >= c->n_feeds) return NULL;
    int32_t output = c->output_of_feed[c->row_of_feed[i]];
    if (output == NO_FEED) return NULL;
    return device_of(c)->logits(c->executor) + (size_t)output * c->model->recipe.vocab;
}

int xn_eval_prompt(struct xn_context *c, uint32_t sequence, const int32_t *tokens, uint32_t n,
                   const struct xn_progress *progress, struct xn_error *err) {
    struct xn_feed *feeds = xn_alloc(c->options.batch, sizeof *feeds);
    if (!feeds) return xn_fail(err, XN_ERR_NOMEM, "no memory for a step of %u tokens", c->options.batch);
    int status = XN_OK;
    for (uint32_t done = 0; done < n && status == XN_OK;) {
        uint32_t step = n - done < c->options.batch ? n - done : c->options.batch;
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
