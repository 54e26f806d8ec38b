// For the tests of serving: clients that gather their events, and what one request alone gives.
#pragma once

#include "engine/context_testing.h"
#include "engine/serving/serving.h"

#include <pthread.h>
#include <unistd.h>

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
    int32_t n_top;
    struct xn_serving_counts counts;
    struct xn_error err;
    float vector[4096];
    uint32_t n_vector;
    uint64_t id;
    uint32_t place; // among all clients, when it ended
    // Its first event waits until gate_open; NULL: it does not.
    pthread_cond_t *gate;
    bool gate_open;
};

static inline int client_event(void *user, const struct xn_serving_event *e) {
    static _Atomic uint32_t places;
    struct client *c = user;
    int result = 0;
    pthread_mutex_lock(&c->mutex);
    while (c->gate && !c->gate_open)
        pthread_cond_wait(c->gate, &c->mutex);
    assert_false(c->done);
    c->counts = e->counts;
    if (e->kind == XN_SERVING_PROMPT) c->prompts++;
    if (e->kind == XN_SERVING_TOKEN) {
        assert_true(c->n < 1024);
        c->logprobs[c->n] = e->logprob;
        c->n_top = e->n_top;
        for (int32_t i = 1; i < e->n_top; i++)
            assert_true(e->top[i - 1].logprob >= e->top[i].logprob);
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
        c->place = ++places;
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
    uint32_t retry;
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

// --- random requests ---

enum { LONGEST_PROMPT = 1024 };

struct fixture {
    struct xn_device *device;
    struct xn_model *model;
    struct xn_serving *serving;
};

static inline void open_fixture(struct fixture *f, uint64_t seed, enum test_layers layers,
                                const struct xn_serving_options *options) {
    struct xn_error err;
    assert_int_equal(xn_reference_device_open(&f->device, &err), XN_OK);
    f->model = test_model_sized(f->device, seed, layers, 64); // small: tests are about who runs, and when
    if (xn_serving_create(f->model, options, &f->serving, &err) != XN_OK) fail_msg("%s", err.message);
}

static inline void close_fixture(struct fixture *f) {
    xn_serving_free(f->serving);
    xn_model_close(f->model);
    f->device->table->free(f->device);
}

struct job {
    int32_t ids[LONGEST_PROMPT];
    uint32_t n_ids, most;
    struct xn_sampling sampling;
    struct client *client;
};

static inline uint32_t draw(uint32_t *seed, uint32_t n) {
    *seed = *seed * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)(*seed >> 8) * n >> 24);
}

static inline struct job draw_job(uint32_t *seed, uint32_t longest, uint32_t most) {
    struct job j = {.sampling = xn_sampling_default()};
    j.n_ids = 1 + draw(seed, longest);
    j.most = 1 + draw(seed, most);
    j.sampling.seed = draw(seed, 1000);
    j.sampling.temperature = draw(seed, 3) ? 0.8f : 0;
    j.sampling.repeat_penalty = draw(seed, 3) ? 1 : 1.1f;
    draw_tokens(j.ids, (int)j.n_ids, draw(seed, 1 << 20));
    return j;
}

static inline void submit(struct job *j, struct xn_serving *s, struct xn_serving_request r) {
    j->client = client_new();
    r.ids = j->ids;
    r.n_ids = j->n_ids;
    r.most = j->most;
    r.sampling = &j->sampling;
    client_submit(j->client, s, r);
}

static inline void check(struct job *j, struct xn_model *model) {
    int32_t alone[1024];
    client_wait(j->client);
    assert_int_equal(j->client->finish, XN_SERVING_LENGTH);
    assert_int_equal(j->client->n, j->most);
    assert_int_equal(j->client->counts.generated, j->most);
    assert_int_equal(j->client->counts.prompt, j->n_ids);
    assert_int_equal(j->client->counts.done, j->n_ids);
    generate_alone(model, j->ids, j->n_ids, &j->sampling, j->most, alone);
    assert_memory_equal(j->client->tokens, alone, j->most * sizeof *alone);
    client_free(j->client);
}
