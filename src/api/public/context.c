// The public API: contexts, sequences, evaluation.
#include "api/public/internal.h"

#include "base/memory.h"
#include "engine/context.h"

#include <stdlib.h>

struct xenon_context {
    xenon_model *model;
    struct xn_context *context;
    struct xn_feed *feeds; // [batch]
};

// What the numbers of XENON_CACHE_* are in the engine.
static const uint32_t cache_types[] = {
    [XENON_CACHE_AUTO] = XN_TYPE_COUNT, [XENON_CACHE_F32] = XN_F32,   [XENON_CACHE_F16] = XN_F16,
    [XENON_CACHE_BF16] = XN_BF16,       [XENON_CACHE_Q8_0] = XN_Q8_0, [XENON_CACHE_Q4_0] = XN_Q4_0,
};
enum { N_CACHE_TYPES = sizeof cache_types / sizeof *cache_types };

int xenon_context_create(xenon_model *model, const xenon_context_options *options, xenon_context **out,
                         xenon_error *error) {
    static const xenon_context_options none;
    const xenon_context_options *o = options ? options : &none;
    struct xn_error err;
    *out = NULL;
    if (o->cache_type < 0 || o->cache_type >= N_CACHE_TYPES)
        return xn_api_refuse(error, XN_ERR_ARGUMENT, "cache_type: expected one of XENON_CACHE_*");
    struct xn_context_options inner = {.context = o->context,
                                       .batch = o->batch,
                                       .sequences = o->sequences,
                                       .cache_type = cache_types[o->cache_type],
                                       .outputs = o->outputs,
                                       .checkpoints = o->checkpoints};
    xenon_context *c = xn_alloc_zero(1, sizeof *c);
    if (!c) return xn_api_refuse(error, XN_ERR_NOMEM, "out of memory for a context");
    c->model = model;
    pthread_mutex_lock(&model->busy);
    int status = xn_context_create(model->model, &inner, &c->context, &err);
    pthread_mutex_unlock(&model->busy);
    if (status == XN_OK) {
        c->feeds = xn_alloc(xn_context_options(c->context)->batch, sizeof *c->feeds);
        if (!c->feeds) status = xn_fail(&err, XN_ERR_NOMEM, "out of memory for a context");
    }
    if (status == XN_OK)
        *out = c;
    else
        xenon_context_free(&c);
    return xn_api_give(status, &err, error);
}

void xenon_context_free(xenon_context **context) {
    xenon_context *c = *context;
    if (!c) return;
    pthread_mutex_lock(&c->model->busy);
    xn_context_free(c->context);
    pthread_mutex_unlock(&c->model->busy);
    free(c->feeds);
    free(c);
    *context = NULL;
}

void xenon_context_get_options(const xenon_context *context, xenon_context_options *options) {
    const struct xn_context_options *o = xn_context_options(context->context);
    int cache_type = XENON_CACHE_AUTO;
    for (int i = 0; i < N_CACHE_TYPES; i++)
        if (cache_types[i] == o->cache_type) cache_type = i;
    *options = (xenon_context_options){.context = o->context,
                                       .batch = o->batch,
                                       .sequences = o->sequences,
                                       .outputs = o->outputs,
                                       .cache_type = cache_type,
                                       .checkpoints = o->checkpoints};
}

void xenon_context_get_memory(const xenon_context *context, uint64_t *cache, uint64_t *activations) {
    uint64_t a, b;
    xn_context_memory(context->context, cache ? cache : &a, activations ? activations : &b);
}

// Calls of the engine that use the device, one at a time.
#define WHILE_BUSY(context, call)                                                                                      \
    struct xn_error err;                                                                                               \
    pthread_mutex_lock(&(context)->model->busy);                                                                       \
    int status = (call);                                                                                               \
    pthread_mutex_unlock(&(context)->model->busy);                                                                     \
    return xn_api_give(status, &err, error)

int xenon_sequence_new(xenon_context *context, uint32_t *sequence, xenon_error *error) {
    WHILE_BUSY(context, xn_sequence_new(context->context, sequence, &err));
}

void xenon_sequence_free(xenon_context *context, uint32_t sequence) {
    xn_sequence_free(context->context, sequence);
}

uint32_t xenon_sequence_length(const xenon_context *context, uint32_t sequence) {
    return xn_sequence_length(context->context, sequence);
}

int xenon_sequence_fork(xenon_context *context, uint32_t from, uint32_t *sequence, xenon_error *error) {
    WHILE_BUSY(context, xn_sequence_fork(context->context, from, sequence, &err));
}

int xenon_sequence_cut(xenon_context *context, uint32_t sequence, uint32_t length, xenon_error *error) {
    WHILE_BUSY(context, xn_sequence_cut(context->context, sequence, length, &err));
}

const int32_t *xenon_sequence_tokens(const xenon_context *context, uint32_t sequence) {
    return xn_sequence_tokens(context->context, sequence);
}

uint32_t xenon_sequence_resume(const xenon_context *context, uint32_t sequence, uint32_t length) {
    return xn_sequence_resume(context->context, sequence, length);
}

int xenon_sequence_save(xenon_context *context, uint32_t sequence, bool checkpoints, void **data, size_t *size,
                        xenon_error *error) {
    WHILE_BUSY(context, xn_sequence_save(context->context, sequence, checkpoints, data, size, &err));
}

int xenon_sequence_save_file(xenon_context *context, uint32_t sequence, bool checkpoints, const char *path,
                             xenon_error *error) {
    WHILE_BUSY(context, xn_sequence_save_file(context->context, sequence, checkpoints, path, &err));
}

int xenon_sequence_restore(xenon_context *context, const void *data, size_t size, uint32_t *sequence,
                           xenon_error *error) {
    WHILE_BUSY(context, xn_sequence_restore(context->context, data, size, "saved sequence", sequence, &err));
}

int xenon_sequence_restore_file(xenon_context *context, const char *path, uint32_t *sequence, xenon_error *error) {
    WHILE_BUSY(context, xn_sequence_restore_file(context->context, path, sequence, &err));
}

int xenon_eval(xenon_context *context, const xenon_feed *feeds, uint32_t n, xenon_error *error) {
    // More than a batch is the engine's to refuse, which looks at the number first.
    for (uint32_t i = 0; i < n && i < xn_context_options(context->context)->batch; i++)
        context->feeds[i] =
            (struct xn_feed){.sequence = feeds[i].sequence, .token = feeds[i].token, .logits = feeds[i].logits};
    WHILE_BUSY(context, xn_eval(context->context, context->feeds, n, &err));
}

int xenon_eval_tokens(xenon_context *context, uint32_t sequence, const int32_t *ids, size_t n, xenon_error *error) {
    if (n == 0 || n > UINT32_MAX)
        return xn_api_refuse(error, XN_ERR_ARGUMENT, "tokens: found none, or more than 2^32 - 1");
    WHILE_BUSY(context, xn_eval_prompt(context->context, sequence, ids, (uint32_t)n, NULL, &err));
}

const float *xenon_logits(const xenon_context *context, uint32_t i) {
    return xn_eval_logits(context->context, i);
}
