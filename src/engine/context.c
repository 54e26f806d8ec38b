#include "engine/context_internal.h"

#include <stdlib.h>

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
    r.checkpoints = (int32_t)xn_checkpoints_chosen(&model->plan, o->checkpoints);
    return r;
}

static int allocate(struct xn_context *c, struct xn_error *err) {
    const struct xn_context_options *o = &c->options;
    c->sequences = xn_alloc_zero(o->sequences, sizeof *c->sequences);
    c->free_pages = xn_alloc(c->max_pages, sizeof *c->free_pages);
    c->references = xn_alloc_zero(c->max_pages, sizeof *c->references);
    c->replay_pages = xn_alloc(c->max_pages, sizeof *c->replay_pages);
    c->checkpoints = xn_alloc_zero((size_t)o->checkpoints, sizeof *c->checkpoints);
    c->usefulness = xn_alloc((size_t)o->checkpoints, sizeof *c->usefulness);
    c->tokens = xn_alloc(o->batch, sizeof *c->tokens);
    c->positions = xn_alloc(o->batch, sizeof *c->positions);
    c->spans = xn_alloc(o->sequences, sizeof *c->spans);
    c->outputs = xn_alloc(o->outputs, sizeof *c->outputs);
    c->row_of_feed = xn_alloc(o->batch, sizeof *c->row_of_feed);
    c->output_of_feed = xn_alloc(o->batch, sizeof *c->output_of_feed);
    c->span_of = xn_alloc(o->sequences, sizeof *c->span_of);
    bool ok = c->sequences && c->free_pages && c->references && c->replay_pages && c->checkpoints && c->usefulness &&
              c->tokens && c->positions && c->spans && c->outputs && c->row_of_feed && c->output_of_feed && c->span_of;
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
    c->options = with_defaults(model, options);
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
    // Positions are counted for all sequences together; each may leave its last page partly empty.
    c->max_pages = (c->options.context + XN_PAGE_SIZE - 1) / XN_PAGE_SIZE + c->options.sequences - 1;
    // Recurrent states are replayed through cache pages that may be shared: one more stands in for those.
    bool spare = model->plan.n_states && model->plan.n_cache && c->options.sequences > 1;
    c->spare_page = spare ? (int32_t)c->max_pages : -1;
    c->limits = (struct xn_limits){.rows = c->options.batch,
                                   .outputs = c->options.outputs,
                                   .page_size = XN_PAGE_SIZE,
                                   .pages = c->max_pages + spare,
                                   .slots = c->options.sequences + (uint32_t)c->options.checkpoints,
                                   .cache_type = c->options.cache_type};
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
    free(c->checkpoints);
    free(c->usefulness);
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
    xn_context_device(c)->memory(c->model->device, &c->model->plan, &c->limits, cache, activations);
}
