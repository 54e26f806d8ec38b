#include "server/embed.h"

#include "base/memory.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { AT_ONCE = 32 /* inputs submitted, so that the queue keeps room for others */, MOST_INPUTS = 1 << 16 };

enum xn_serving_pooling xn_embed_pooling(const struct xn_served *served) {
    // none, mean, first, last: as GGUF numbers them
    static const enum xn_serving_pooling known[] = {XN_POOL_LAST, XN_POOL_MEAN, XN_POOL_FIRST, XN_POOL_LAST};
    static const char suffix[] = ".pooling_type";
    const struct xn_source *source = served->model->source;
    for (size_t i = 0; source && source->gguf && i < xn_gguf_n_values(source->gguf); i++) {
        const struct xn_gguf_value *value = xn_gguf_value_at(source->gguf, i);
        size_t n = strlen(value->key);
        int64_t kind;
        if (n >= sizeof suffix && strcmp(value->key + n - (sizeof suffix - 1), suffix) == 0 &&
            xn_gguf_int(value, 0, &kind) && kind >= 0 && kind < 4)
            return known[kind];
    }
    return XN_POOL_LAST;
}

int xn_embed_ids(const struct xn_served *served, const char *text, size_t size, struct xn_ids *ids,
                 struct xn_error *err) {
    const struct xn_tokenizer *t = served->model->tokenizer;
    if (!t) return xn_fail(err, XN_ERR_UNSUPPORTED, "the model has no tokenizer to read text with");
    return xn_tokenize(t, text, size, XN_TOKENIZE_SPECIAL | XN_TOKENIZE_BOS_EOS, ids, err);
}

struct batch;
struct input {
    struct batch *batch;
    float *vector;
    uint64_t id;
    bool submitted, done;
};
struct batch {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t running;
    uint32_t width;
    double longest_wait;
    bool failed;
    struct xn_error error;
};

static void fail_locked(struct batch *b, const struct xn_error *error) {
    if (b->failed) return;
    b->failed = true;
    b->error = *error;
}

// With the lock held.
static void take_vector(struct input *in, const struct xn_serving_event *event) {
    struct batch *b = in->batch;
    struct xn_error err;
    if (in->vector || (b->width && b->width != event->n_vector)) return;
    b->width = event->n_vector;
    in->vector = xn_alloc(event->n_vector, sizeof *in->vector);
    if (in->vector) {
        memcpy(in->vector, event->vector, event->n_vector * sizeof *in->vector);
    } else {
        xn_fail(&err, XN_ERR_NOMEM, "out of memory for an embedding");
        fail_locked(b, &err);
    }
}

static int on_event(void *user, const struct xn_serving_event *event) {
    struct input *in = user;
    struct batch *b = in->batch;
    struct xn_error err;
    pthread_mutex_lock(&b->lock);
    if (event->kind == XN_SERVING_VECTOR) take_vector(in, event);
    if (event->kind == XN_SERVING_DONE) {
        in->done = true;
        b->running--;
        if (event->counts.queued > b->longest_wait) b->longest_wait = event->counts.queued;
        if (event->finish == XN_SERVING_ERROR && event->error) {
            fail_locked(b, event->error);
        } else if (!in->vector) {
            xn_fail(&err, XN_ERR_CANCELLED, "the embedding was not computed");
            fail_locked(b, &err);
        }
        pthread_cond_signal(&b->changed);
    }
    pthread_mutex_unlock(&b->lock);
    return 0;
}

// Waits, with the lock held, until no more than `most` inputs are being computed, or something failed.
static void wait_locked(struct batch *b, struct xn_exchange *x, size_t most) {
    struct xn_error err;
    while (b->running > most && !b->failed) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += 200 * 1000 * 1000;
        if (until.tv_nsec >= 1000 * 1000 * 1000) {
            until.tv_nsec -= 1000 * 1000 * 1000;
            until.tv_sec++;
        }
        pthread_cond_timedwait(&b->changed, &b->lock, &until);
        if (x && xn_exchange_gone(x)) {
            xn_fail(&err, XN_ERR_CANCELLED, "the client has gone");
            fail_locked(b, &err);
        }
    }
}

// Submits all; what runs when one fails is cancelled. Comes back when none runs.
static void run(struct batch *b, struct input *inputs, const struct xn_served *served, struct xn_exchange *x,
                const struct xn_ids *ids, size_t n, enum xn_serving_pooling pooling) {
    struct xn_error err;
    size_t given = 0;
    pthread_mutex_lock(&b->lock);
    while (given < n && !b->failed) {
        wait_locked(b, x, AT_ONCE - 1);
        if (b->failed) break;
        struct xn_serving_request request = {
            .ids = ids[given].data,
            .n_ids = (uint32_t)ids[given].n,
            .tokenizer = served->model->tokenizer,
            .most = 0,
            .logprobs = -1,
            .owner = x ? xn_exchange_owner(x) : 0,
            .pooling = pooling,
            .event = on_event,
            .user = &inputs[given],
        };
        uint32_t retry = 0;
        size_t before = b->running++; // an event of it may come before submit returns
        pthread_mutex_unlock(&b->lock);
        int status = xn_serving_submit(served->serving, &request, &inputs[given].id, &retry, &err);
        pthread_mutex_lock(&b->lock);
        if (status == XN_OK) {
            inputs[given++].submitted = true;
            continue;
        }
        b->running--;
        if (retry && before) { // the queue is full: when one of ours is done, again
            wait_locked(b, x, before - 1);
        } else {
            if (retry && x) xn_reply_retry(x, retry);
            fail_locked(b, &err);
        }
    }
    if (!b->failed) wait_locked(b, x, 0);
    if (b->failed) {
        pthread_mutex_unlock(&b->lock);
        for (size_t i = 0; i < given; i++)
            if (inputs[i].submitted) xn_serving_cancel(served->serving, inputs[i].id);
        pthread_mutex_lock(&b->lock);
    }
    while (b->running)
        pthread_cond_wait(&b->changed, &b->lock);
    pthread_mutex_unlock(&b->lock);
}

// Of length 1, unless it has none.
static void scale(float *v, uint32_t n) {
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += (double)v[i] * v[i];
    if (!(sum > 0)) return;
    double by = 1 / sqrt(sum);
    for (uint32_t i = 0; i < n; i++)
        v[i] = (float)(v[i] * by);
}

static int gather(const struct batch *b, const struct input *inputs, size_t n, bool normalize, uint32_t dimensions,
                  struct xn_embedding *out, struct xn_error *err) {
    if (b->failed) {
        if (err) *err = b->error;
        return b->error.status;
    }
    if (dimensions > b->width)
        return xn_fail(err, XN_ERR_ARGUMENT, "dimensions: %u is out of range, the model's vectors have %u", dimensions,
                       b->width);
    out->width = dimensions ? dimensions : b->width;
    out->longest_wait = b->longest_wait;
    out->vectors = xn_alloc(n * out->width, sizeof *out->vectors);
    if (!out->vectors) return xn_fail(err, XN_ERR_NOMEM, "out of memory for %zu embeddings", n);
    for (size_t i = 0; i < n; i++) {
        float *to = out->vectors + i * out->width;
        memcpy(to, inputs[i].vector, out->width * sizeof *to);
        if (normalize) scale(to, out->width);
    }
    return XN_OK;
}

int xn_embed(struct xn_served *served, struct xn_exchange *x, const struct xn_ids *ids, size_t n,
             enum xn_serving_pooling pooling, bool normalize, uint32_t dimensions, struct xn_embedding *out,
             struct xn_error *err) {
    *out = (struct xn_embedding){0};
    if (n == 0 || n > MOST_INPUTS)
        return xn_fail(err, XN_ERR_ARGUMENT, "input: %zu texts, expected 1 to %d", n, MOST_INPUTS);
    for (size_t i = 0; i < n; i++) {
        if (ids[i].n == 0 || ids[i].n > UINT32_MAX) return xn_fail(err, XN_ERR_ARGUMENT, "input: text %zu is empty", i);
        out->tokens += ids[i].n;
    }
    struct input *inputs = xn_alloc_zero(n, sizeof *inputs);
    if (!inputs) return xn_fail(err, XN_ERR_NOMEM, "out of memory for %zu embeddings", n);
    struct batch b = {0};
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&b.changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&b.lock, NULL);
    for (size_t i = 0; i < n; i++)
        inputs[i].batch = &b;
    run(&b, inputs, served, x, ids, n, pooling);
    int status = gather(&b, inputs, n, normalize, dimensions, out, err);
    for (size_t i = 0; i < n; i++)
        free(inputs[i].vector);
    free(inputs);
    pthread_cond_destroy(&b.changed);
    pthread_mutex_destroy(&b.lock);
    return status;
}
