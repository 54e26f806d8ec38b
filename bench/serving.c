// A load on the engine of serving alone, without HTTP: how many tokens a second so many streams get together, how long
// they wait for the first, the longest gap between two, and what is spent beside the steps.
//
// (THREADS in the environment: of the processor; with 1 the processor's time a token is told apart from other
// programs'.)
//
// GRAMMAR in the environment: answers are JSON objects.
//
//     bench_serving MODEL.gguf DEVICE STREAMS REQUESTS PROMPT TOKENS [LONG]
//
// STREAMS clients, one after the other REQUESTS requests in all, random prompts of PROMPT tokens, TOKENS answered.
// LONG: a prompt of so many tokens comes on top when a quarter of the requests have ended.
#include "engine/serving/serving.h"
#include "api/select.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct xn_serving *serving;
static struct xn_model *model;
static struct xn_grammar *grammar;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static uint32_t live, submitted, ended, tokens_seen;
static double firsts[65536], gaps[1 << 20];
static uint32_t n_firsts, n_gaps;

struct stream {
    double last;
    bool measured;
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double processor_time(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int event(void *user, const struct xn_serving_event *e) {
    struct stream *s = user;
    double t = now();
    if (e->kind == XN_SERVING_TOKEN && s->measured) {
        if (e->counts.generated == 1)
            firsts[n_firsts++ % 65536] = e->counts.first;
        else
            gaps[n_gaps++ % (1 << 20)] = t - s->last;
        tokens_seen++;
        s->last = t;
    }
    if (e->kind != XN_SERVING_DONE) return 0;
    if (e->finish == XN_SERVING_ERROR) fprintf(stderr, "%s\n", e->error->message);
    free(s);
    pthread_mutex_lock(&mutex);
    live--;
    ended++;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&mutex);
    return 0;
}

static void submit(uint32_t n, uint32_t most, bool measured) {
    struct xn_error err;
    struct stream *s = calloc(1, sizeof *s);
    int32_t *ids = malloc(n * sizeof *ids);
    for (uint32_t i = 0; i < n; i++)
        ids[i] = (int32_t)((uint32_t)rand() % model->recipe.vocab);
    s->measured = measured;
    uint64_t id;
    uint32_t retry;
    struct xn_sampling sampling = xn_sampling_default();
    sampling.seed = submitted;
    struct xn_serving_request r = {.ids = ids,
                                   .n_ids = n,
                                   .most = most,
                                   .sampling = &sampling,
                                   .ignore_end = true,
                                   .tokenizer = model->tokenizer,
                                   .grammar = grammar,
                                   .logprobs = -1,
                                   .event = event,
                                   .user = s};
    live++;
    submitted++;
    if (xn_serving_submit(serving, &r, &id, &retry, &err) != XN_OK) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    free(ids);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double share_of(double *values, uint32_t n, double share) {
    if (n == 0) return 0;
    qsort(values, n, sizeof *values, by_value);
    return values[(uint32_t)((n - 1) * share)];
}

int main(int argc, char **argv) {
    if (argc < 7) return 2;
    uint32_t streams = (uint32_t)atoi(argv[3]), requests = (uint32_t)atoi(argv[4]), prompt = (uint32_t)atoi(argv[5]),
             most = (uint32_t)atoi(argv[6]), extra = argc > 7 ? (uint32_t)atoi(argv[7]) : 0;
    struct xn_error err;
    struct xn_device *device;
    struct xn_serving_options o = {.context = {.context = streams * (prompt + most + 64) + extra + 64,
                                               .sequences = streams + (extra > 0),
                                               .cache_type = XN_TYPE_COUNT}};
    if (xn_device_select(argv[2], getenv("THREADS") ? atoi(getenv("THREADS")) : 0, 0, &device, &err) != XN_OK ||
        xn_model_open(argv[1], device, &o.context, NULL, &model, &err) != XN_OK ||
        xn_serving_create(model, &o, &serving, &err) != XN_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    if (getenv("GRAMMAR") && xn_grammar_from_json_object(&grammar, &err) != XN_OK) return 1;
    double start = now(), cpu = processor_time();
    pthread_mutex_lock(&mutex);
    while (ended < requests + (extra > 0)) {
        while (live < streams && submitted < requests) {
            submit(prompt, most, true);
        }
        if (extra && ended >= requests / 4) {
            submit(extra, 1, false);
            extra = 0;
            streams++;
            requests++;
        }
        pthread_cond_wait(&changed, &mutex);
        if (ended >= requests) break;
    }
    pthread_mutex_unlock(&mutex);
    double wall = now() - start;
    cpu = processor_time() - cpu;
    struct xn_serving_state state;
    xn_serving_state(serving, &state, NULL, 0);
    printf("%u streams: %.1f tokens/s, prompts %.1f tokens/s in their steps; first token: median %.3f s, 95th %.3f s; "
           "between tokens: median %.1f ms, 99th %.1f ms, longest %.1f ms; %.2f ms a plain step; "
           "beside the steps %.2f %% of them; %.2f ms of the processor a token\n",
           streams, tokens_seen / wall, (double)state.prompt_tokens / state.prompt_seconds,
           share_of(firsts, n_firsts, 0.5), share_of(firsts, n_firsts, 0.95), 1e3 * share_of(gaps, n_gaps, 0.5),
           1e3 * share_of(gaps, n_gaps, 0.99), 1e3 * share_of(gaps, n_gaps, 1),
           1e3 * state.generate_seconds / (double)(state.steps ? state.steps : 1),
           100 * (wall - state.step_seconds) / state.step_seconds, 1e3 * cpu / tokens_seen);
    xn_serving_free(serving);
    xn_grammar_free(grammar);
    xn_model_close(model);
    device->table->free(device);
    return 0;
}
