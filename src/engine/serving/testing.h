// For the tests of serving: clients that gather their events, and what one request alone gives.
#pragma once

#include "engine/context_testing.h"
#include "engine/serving/serving.h"

#include <pthread.h>

struct client {
    pthread_mutex_t mutex;
    pthread_cond_t done_now;
    int32_t tokens[1024];
    float logprobs[1024];
    uint32_t n, prompts, stop_after; // stop_after: tokens until the callback wants no more; 0: never
    bool done;
    uint32_t dones;
    enum xn_serving_finish finish;
    int32_t last_token; // of DONE
    struct xn_serving_counts counts;
    struct xn_error err;
    float vector[4096];
    uint32_t n_vector;
    uint64_t id;
};

static inline int client_event(void *user, const struct xn_serving_event *e) {
    struct client *c = user;
    int result = 0;
    pthread_mutex_lock(&c->mutex);
    assert_false(c->done);
    c->counts = e->counts;
    if (e->kind == XN_SERVING_PROMPT) c->prompts++;
    if (e->kind == XN_SERVING_TOKEN) {
        assert_true(c->n < 1024);
        c->logprobs[c->n] = e->logprob;
        c->tokens[c->n++] = e->token;
        result = c->stop_after && c->n == c->stop_after;
    }
    if (e->kind == XN_SERVING_VECTOR) {
        assert_true(e->n_vector <= 4096);
        memcpy(c->vector, e->vector, e->n_vector * sizeof *e->vector);
        c->n_vector = e->n_vector;
    }
    if (e->kind == XN_SERVING_DONE) {
        c->finish = e->finish;
        c->last_token = e->token;
        if (e->finish == XN_SERVING_ERROR) c->err = *e->error;
        c->dones++;
        c->done = true;
        pthread_cond_signal(&c->done_now);
    }
    pthread_mutex_unlock(&c->mutex);
    return result;
}

static inline struct client *client_new(void) {
    struct client *c = calloc(1, sizeof *c);
    pthread_mutex_init(&c->mutex, NULL);
    pthread_cond_init(&c->done_now, NULL);
    return c;
}

static inline void client_submit(struct client *c, struct xn_serving *s, struct xn_serving_request r) {
    struct xn_error err;
    bool retry;
    r.event = client_event;
    r.user = c;
    if (xn_serving_submit(s, &r, &c->id, &retry, &err) != XN_OK) fail_msg("%s", err.message);
}

static inline void client_wait(struct client *c) {
    pthread_mutex_lock(&c->mutex);
    while (!c->done)
        pthread_cond_wait(&c->done_now, &c->mutex);
    pthread_mutex_unlock(&c->mutex);
    if (c->finish == XN_SERVING_ERROR) fail_msg("%s", c->err.message);
}

static inline void client_free(struct client *c) {
    pthread_mutex_destroy(&c->mutex);
    pthread_cond_destroy(&c->done_now);
    free(c);
}

// What a request alone gives, on a context of its own: up to `most` tokens into out. Returns how many.
static inline uint32_t generate_alone(struct xn_model *model, const int32_t *ids, uint32_t n_ids,
                                      const struct xn_sampling *sampling, uint32_t most, int32_t *out) {
    struct xn_context *c;
    struct xn_sampler *sampler;
    struct xn_error err;
    uint32_t sequence = 0, n = 0;
    struct xn_context_options o = {.context = n_ids + most + 64, .batch = 512, .sequences = 1};
    if (xn_context_create(model, &o, &c, &err) != XN_OK || xn_sequence_new(c, &sequence, &err) != XN_OK ||
        xn_sampler_new(sampling, (int32_t)model->recipe.vocab, &sampler, &err) != XN_OK)
        fail_msg("%s", err.message);
    for (uint32_t i = 0; i < n_ids; i++)
        xn_sampler_accept(sampler, ids[i]);
    if (xn_eval_prompt(c, sequence, ids, n_ids, NULL, &err) != XN_OK) fail_msg("%s", err.message);
    while (n < most) {
        out[n] = xn_sampler_choose(sampler, xn_eval_logits(c, UINT32_MAX));
        xn_sampler_accept(sampler, out[n]);
        n++;
        if (n < most && xn_eval_prompt(c, sequence, &out[n - 1], 1, NULL, &err) != XN_OK) fail_msg("%s", err.message);
    }
    xn_sampler_free(sampler);
    xn_context_free(c);
    return n;
}
