#include "engine/context_internal.h"

#include <stdlib.h>
#include <string.h>

struct xn_context_options xn_context_chosen(const struct xn_recipe *recipe, const struct xn_plan *plan,
                                            const struct xn_context_options *o) {
    struct xn_context_options r = *o;
    enum { DEFAULT_CONTEXT = 8192, DEFAULT_BATCH = 512 };
    if (r.context == 0)
        r.context = recipe->context < DEFAULT_CONTEXT && recipe->context ? recipe->context : DEFAULT_CONTEXT;
    if (r.batch == 0) r.batch = DEFAULT_BATCH;
    if (r.sequences == 0) r.sequences = 1;
    if (r.batch < r.sequences) r.batch = r.sequences;
    if (r.outputs == 0) r.outputs = r.sequences;
    if (r.outputs > r.batch) r.outputs = r.batch;
    r.checkpoints = (int32_t)xn_checkpoints_chosen(plan, o->checkpoints);
    return r;
}

// Positions are counted for all sequences together; each may leave its last page partly empty.
static uint32_t pages_of(const struct xn_context_options *o) {
    return (o->context + XN_PAGE_SIZE - 1) / XN_PAGE_SIZE + o->sequences - 1;
}

// Recurrent states are replayed through cache pages that may be shared: one more stands in for those.
static bool has_spare(const struct xn_plan *plan, const struct xn_context_options *o) {
    return plan->n_states && plan->n_cache && o->sequences > 1;
}

struct xn_limits xn_context_limits(const struct xn_plan *plan, const struct xn_context_options *o) {
    return (struct xn_limits){.rows = o->batch,
                              .outputs = o->outputs,
                              .page_size = XN_PAGE_SIZE,
                              .pages = pages_of(o) + has_spare(plan, o),
                              .slots = o->sequences + (uint32_t)o->checkpoints,
                              .cache_type = o->cache_type};
}

static int allocate(struct xn_context *c, struct xn_error *err) {
    const struct xn_context_options *o = &c->options;
    c->sequences = xn_alloc_zero(o->sequences, sizeof *c->sequences);
    c->free_pages = xn_alloc(c->max_pages, sizeof *c->free_pages);
    c->references = xn_alloc_zero(c->max_pages, sizeof *c->references);
    c->replay_pages = xn_alloc(c->max_pages, sizeof *c->replay_pages);
    c->counted = xn_alloc(c->max_pages, sizeof *c->counted);
    c->checkpoints = xn_alloc_zero((size_t)o->checkpoints, sizeof *c->checkpoints);
    c->usefulness = xn_alloc((size_t)o->checkpoints, sizeof *c->usefulness);
    c->tokens = xn_alloc(o->batch, sizeof *c->tokens);
    c->positions = xn_alloc(o->batch, sizeof *c->positions);
    c->spans = xn_alloc(o->sequences, sizeof *c->spans);
    c->outputs = xn_alloc(o->outputs, sizeof *c->outputs);
    c->whole = xn_alloc(o->outputs, sizeof *c->whole);
    c->row_of_feed = xn_alloc(o->batch, sizeof *c->row_of_feed);
    c->output_of_feed = xn_alloc(o->batch, sizeof *c->output_of_feed);
    c->span_of = xn_alloc(o->sequences, sizeof *c->span_of);
    bool ok = c->sequences && c->free_pages && c->references && c->replay_pages && c->counted && c->checkpoints &&
              c->usefulness && c->tokens && c->positions && c->spans && c->outputs && c->whole && c->row_of_feed &&
              c->output_of_feed && c->span_of;
    for (uint32_t i = 0; ok && i < o->sequences; i++) {
        struct xn_sequence *s = &c->sequences[i];
        s->pages = xn_alloc(c->max_pages, sizeof *s->pages);
        s->checkpoints = xn_alloc((size_t)o->checkpoints, sizeof *s->checkpoints);
        ok = s->pages && s->checkpoints;
    }
    return ok ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "no memory for a context of %u positions", o->context);
}

int xn_context_create(struct xn_model *model, const struct xn_context_options *options, struct xn_context **out,
                      struct xn_error *err) {
    struct xn_context *c = xn_alloc_zero(1, sizeof *c);
    if (!c) return xn_fail(err, XN_ERR_NOMEM, "no memory for a context");
    c->model = model;
    c->options = xn_context_chosen(&model->recipe, &model->plan, options);
    enum { MAX_CONTEXT = 1 << 28, MAX_ROWS = 1 << 20 };
    if (c->options.context > MAX_CONTEXT || c->options.batch > MAX_ROWS || c->options.sequences > MAX_ROWS ||
        c->options.checkpoints > MAX_ROWS) {
        int status = xn_fail(err, XN_ERR_LIMIT,
                             "a context of %u positions, %u sequences, batches of %u rows and %d checkpoints: "
                             "at most %d, %d, %d and %d are possible",
                             c->options.context, c->options.sequences, c->options.batch, c->options.checkpoints,
                             MAX_CONTEXT, MAX_ROWS, MAX_ROWS, MAX_ROWS);
        free(c);
        return status;
    }
    c->max_pages = pages_of(&c->options);
    c->spare_page = has_spare(&model->plan, &c->options) ? (int32_t)c->max_pages : -1;
    c->limits = xn_context_limits(&model->plan, &c->options);
    int status = allocate(c, err);
    if (status == XN_OK)
        status = xn_context_device(c)->prepare(model->device, &model->plan, &c->limits, &c->executor, err);
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
    xn_context_device(c)->release(c->model->device, c->executor);
    for (uint32_t i = 0; c->sequences && i < c->options.sequences; i++) {
        free(c->sequences[i].pages);
        free(c->sequences[i].checkpoints);
        free(c->sequences[i].tokens);
    }
    free(c->sequences);
    free(c->free_pages);
    free(c->references);
    free(c->replay_pages);
    free(c->counted);
    free(c->checkpoints);
    free(c->usefulness);
    free(c->tokens);
    free(c->positions);
    free(c->spans);
    free(c->outputs);
    free(c->whole);
    free(c->row_of_feed);
    free(c->output_of_feed);
    free(c->span_of);
    free(c->hidden);
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
    xn_context_device(c)->memory(c->model->device, &c->model->plan, &c->limits, cache, activations);
}

struct xn_context_pages xn_context_pages(const struct xn_context *c) {
    return (struct xn_context_pages){.pages = c->max_pages, .free = c->n_free, .positions = XN_PAGE_SIZE};
}

uint32_t xn_context_pages_of(struct xn_context *c, const uint32_t *sequences, const uint32_t *positions, uint32_t n) {
    uint32_t pages = 0;
    memset(c->counted, 0, c->max_pages * sizeof *c->counted);
    for (uint32_t i = 0; i < n; i++) {
        const struct xn_sequence *s = xn_sequence_find(c, sequences[i]);
        uint32_t last = s ? xn_pages_for(positions[i]) : 0;
        for (uint32_t p = 0; p < last && p < s->n_pages; p++) {
            pages += !c->counted[s->pages[p]];
            c->counted[s->pages[p]] = true;
        }
    }
    return pages;
}
