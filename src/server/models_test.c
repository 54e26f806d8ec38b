// The registry of models, with the default model under several names: names, loading once, room, idleness, failures.
#include "server/models.h"

#include "base/file.h"
#include "server/metrics.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char *model_path;
static atomic_int loads, drops, failures;

static void told(void *user, const char *name, const char *what, double seconds) {
    (void)user, (void)name, (void)seconds;
    atomic_fetch_add(strcmp(what, "loaded") == 0 ? &loads : strcmp(what, "unloaded") == 0 ? &drops : &failures, 1);
}

static void nap(double seconds) {
    struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&t, NULL);
}

static void await_count(atomic_int *counter, int wanted) {
    for (int i = 0; i < 6000 && atomic_load(counter) < wanted; i++)
        nap(0.01);
    assert_int_equal(atomic_load(counter), wanted);
}

static struct xn_models *make(struct xn_models_options o) {
    struct xn_models *models;
    struct xn_error err;
    atomic_store(&loads, 0);
    atomic_store(&drops, 0);
    atomic_store(&failures, 0);
    o.choice = (struct xn_device_choice){.devices = "cpu", .threads = 1, .layers = -1};
    o.serving.context = (struct xn_context_options){.context = 256, .sequences = 1};
    o.told = told;
    if (xn_models_create(&o, &models, &err) != XN_OK) fail_msg("%s", err.message);
    static const char *const a[] = {"Alpha", "first"}, *const b[] = {"beta"}, *const c[] = {"gamma:7b"};
    assert_int_equal(xn_models_add(models, model_path, a, 2, &err), XN_OK);
    assert_int_equal(xn_models_add(models, model_path, b, 1, &err), XN_OK);
    assert_int_equal(xn_models_add(models, model_path, c, 1, &err), XN_OK);
    return models;
}

static struct xn_served *acquire(struct xn_models *models, const char *name) {
    struct xn_served *served;
    struct xn_error err;
    if (xn_served_acquire(models, name, &served, &err) != XN_OK) fail_msg("%s", err.message);
    return served;
}

static void names(void **state) {
    (void)state;
    struct xn_models *models = make((struct xn_models_options){0});
    struct xn_error err;
    assert_int_equal(xn_models_count(models), 3);
    assert_int_equal(xn_models_find(models, "Alpha"), 0);
    assert_int_equal(xn_models_find(models, "alpha:latest"), 0);
    assert_int_equal(xn_models_find(models, "FIRST"), 0);
    assert_int_equal(xn_models_find(models, NULL), 0);
    assert_int_equal(xn_models_find(models, ""), 0);
    assert_int_equal(xn_models_find(models, "beta"), 1);
    assert_int_equal(xn_models_find(models, "gamma:7b"), 2);
    assert_true(xn_models_find(models, "gamma") == SIZE_MAX);
    assert_true(xn_models_find(models, ":latest") == SIZE_MAX);
    static const char *const taken[] = {"other", "BETA"}, *const fresh[] = {"delta"};
    assert_int_equal(xn_models_add(models, model_path, taken, 2, &err), XN_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "BETA"));
    assert_int_equal(xn_models_add(models, "/no/such/file.gguf", fresh, 1, &err), XN_ERR_IO);
    struct xn_served *served;
    assert_int_equal(xn_served_acquire(models, "delta", &served, &err), XN_ERR_MISSING);
    assert_null(served);
    struct xn_model_entry entry;
    xn_models_entry(models, 0, &entry);
    assert_string_equal(entry.names[0], "Alpha");
    assert_int_equal(entry.state, XN_MODEL_UNLOADED);
    assert_true(entry.size > 1000 && entry.created > 0 && entry.expires < 0);
    assert_null(xn_served_peek(models, 0));
    xn_models_free(models);
    assert_int_equal(atomic_load(&loads), 0);
}

static void *acquire_beta(void *models) {
    struct xn_served *served;
    if (xn_served_acquire(models, "beta", &served, NULL) != XN_OK) return NULL;
    nap(0.02);
    xn_served_release(models, served);
    return served;
}

static void loads_once(void **state) {
    (void)state;
    struct xn_metrics *metrics;
    assert_int_equal(xn_metrics_create(&metrics, NULL), XN_OK);
    struct xn_models *models = make((struct xn_models_options){.metrics = metrics});
    enum { N = 6 };
    pthread_t threads[N];
    void *served[N];
    for (int i = 0; i < N; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, acquire_beta, models), 0);
    for (int i = 0; i < N; i++) {
        pthread_join(threads[i], &served[i]);
        assert_non_null(served[i]);
        assert_ptr_equal(served[i], served[0]);
    }
    assert_int_equal(atomic_load(&loads), 1);
    struct xn_served *one = acquire(models, "Beta:latest"), *two = xn_served_peek(models, 1),
                     *three = xn_served_hold(models, one);
    assert_ptr_equal(one, two);
    assert_ptr_equal(one, three);
    assert_string_equal(one->name, "beta");
    assert_true(one->model && one->serving && one->chat_template && one->metrics == metrics);
    assert_int_equal(one->context, 256);
    assert_true(one->breakers.n > 0);
    struct xn_model_entry entry;
    xn_models_entry(models, 1, &entry);
    assert_int_equal(entry.holders, 3);
    assert_int_equal(entry.state, XN_MODEL_LOADED);
    for (int i = 0; i < 3; i++)
        xn_served_release(models, one);
    xn_models_free(models);
    xn_metrics_free(metrics);
}

static void *release_later(void *user) {
    void **what = user;
    nap(0.15);
    xn_served_release(what[0], what[1]);
    return NULL;
}

static void makes_room(void **state) {
    (void)state;
    struct xn_models *models = make((struct xn_models_options){.most = 2, .wait = 0.1});
    struct xn_served *a = acquire(models, "alpha"), *b = acquire(models, "beta"), *c;
    struct xn_error err;
    assert_int_equal(xn_served_acquire(models, "gamma:7b", &c, &err), XN_ERR_LIMIT); // both are in use
    assert_non_null(strstr(err.message, "gamma:7b"));
    xn_served_release(models, a);
    xn_served_release(models, b);
    xn_served_release(models, acquire(models, "alpha")); // so beta is the older one
    c = acquire(models, "gamma:7b");
    struct xn_model_entry entry;
    xn_models_entry(models, 0, &entry);
    assert_int_equal(entry.state, XN_MODEL_LOADED);
    xn_models_entry(models, 1, &entry);
    assert_int_equal(entry.state, XN_MODEL_UNLOADED);
    a = acquire(models, "alpha");
    void *later[] = {models, a};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, release_later, later), 0);
    // Comes as soon as alpha is let go, within a longer wait than the one above.
    xn_models_free(NULL);
    while (xn_served_acquire(models, "beta", &b, &err) == XN_ERR_LIMIT)
        continue;
    assert_non_null(b);
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&drops), 2);
    xn_served_release(models, b);
    xn_served_release(models, c);
    xn_models_free(models);
    // By bytes: two of these files are too many.
    struct xn_models_options o = {.bytes = entry.size * 3 / 2, .wait = 0.05};
    models = make(o);
    a = acquire(models, "alpha");
    assert_int_equal(xn_served_acquire(models, "beta", &b, &err), XN_ERR_LIMIT);
    xn_served_release(models, a);
    xn_served_release(models, acquire(models, "beta"));
    await_count(&drops, 1);
    xn_models_free(models);
}

static void goes_when_idle(void **state) {
    (void)state;
    struct xn_models *models = make((struct xn_models_options){.idle = 0.2});
    struct xn_served *a = acquire(models, "alpha");
    nap(0.4);
    assert_int_equal(atomic_load(&drops), 0); // in use
    xn_served_release(models, a);
    struct xn_model_entry entry;
    xn_models_entry(models, 0, &entry);
    assert_true(atomic_load(&drops) == 1 || (entry.expires >= 0 && entry.expires <= 0.2));
    for (int i = 0; i < 100 && atomic_load(&drops) == 0; i++) { // who only looks at it does not keep it
        xn_served_release(models, xn_served_peek(models, 0));
        nap(0.01);
    }
    await_count(&drops, 1);
    // For ever, until it is told else.
    a = acquire(models, "alpha");
    xn_served_keep(models, a, -1);
    xn_served_release(models, a);
    nap(0.4);
    assert_int_equal(atomic_load(&drops), 1);
    a = acquire(models, "alpha");
    xn_served_keep(models, a, 0);
    nap(0.1);
    assert_int_equal(atomic_load(&drops), 1);
    xn_served_release(models, a);
    await_count(&drops, 2);
    // By name, as soon as it is free.
    a = acquire(models, "alpha");
    xn_served_keep(models, a, -1);
    xn_models_unload(models, 0);
    nap(0.1);
    assert_int_equal(atomic_load(&drops), 2);
    xn_served_release(models, a);
    await_count(&drops, 3);
    xn_models_free(models);
}

static void failing(void **state) {
    (void)state;
    char path[] = "/tmp/xenon-models-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, "this is no model", 16) == 16);
    close(fd);
    struct xn_models *models = make((struct xn_models_options){0});
    static const char *const name[] = {"broken"};
    struct xn_served *served;
    struct xn_error err;
    assert_int_equal(xn_models_add(models, path, name, 1, &err), XN_OK);
    for (int i = 0; i < 2; i++) { // whoever asks again has it tried again
        assert_int_equal(xn_served_acquire(models, "broken", &served, &err), XN_ERR_IO);
        assert_non_null(strstr(err.message, "\"broken\""));
        assert_null(served);
    }
    assert_int_equal(atomic_load(&failures), 2);
    struct xn_model_entry entry;
    xn_models_entry(models, 3, &entry);
    assert_int_equal(entry.state, XN_MODEL_FAILED);
    xn_served_release(models, acquire(models, "alpha")); // the others are as they were
    xn_models_free(models);
    unlink(path);
    // One alone answers to every name.
    struct xn_models_options o = {.choice = {.devices = "cpu", .threads = 1, .layers = -1}};
    assert_int_equal(xn_models_create(&o, &models, &err), XN_OK);
    assert_true(xn_models_find(models, "any") == SIZE_MAX); // there is none yet
    assert_int_equal(xn_models_add(models, model_path, name, 1, &err), XN_OK);
    assert_int_equal(xn_models_find(models, "gpt-4o"), 0);
    xn_models_free(models);
}

static void tells_metrics(void **state) {
    (void)state;
    struct xn_metrics *metrics;
    assert_int_equal(xn_metrics_create(&metrics, NULL), XN_OK);
    struct xn_models *models = make((struct xn_models_options){0});
    for (int i = 1; i <= 100; i++)
        xn_metrics_finished(
            metrics, "Alpha",
            &(struct xn_serving_counts){
                .prompt = 10, .generated = 5, .queued = 0.01, .first = 0.02 * i, .last = 0.02 * i + 0.4},
            i % 2 ? XN_SERVING_END : XN_SERVING_LENGTH);
    xn_metrics_finished(NULL, "Alpha", &(struct xn_serving_counts){0}, XN_SERVING_END);
    xn_metrics_http(metrics, 200, 0.1);
    xn_metrics_http(metrics, 200, 0.1);
    xn_metrics_http(metrics, 429, 0.1);
    char *text;
    size_t size;
    assert_int_equal(xn_metrics_text(metrics, models, &text, &size, NULL), XN_OK);
    static const char *const lines[] = {
        "# TYPE vllm:time_to_first_token_seconds histogram\n",
        "vllm:time_to_first_token_seconds_bucket{model_name=\"Alpha\",le=\"0.02\"} 1\n",
        "vllm:time_to_first_token_seconds_bucket{model_name=\"Alpha\",le=\"1\"} 50\n",
        "vllm:time_to_first_token_seconds_bucket{model_name=\"Alpha\",le=\"+Inf\"} 100\n",
        "vllm:time_to_first_token_seconds_sum{model_name=\"Alpha\"} 101\n",
        "vllm:time_to_first_token_seconds_count{model_name=\"Alpha\"} 100\n",
        "vllm:inter_token_latency_seconds_count{model_name=\"Alpha\"} 400\n",
        "vllm:request_success_total{model_name=\"Alpha\",finished_reason=\"length\"} 50\n",
        "vllm:request_success_total{model_name=\"beta\",finished_reason=\"stop\"} 0\n",
        "llamacpp:tokens_predicted_seconds_total{model=\"Alpha\"} 40\n",
        "llamacpp:requests_processing{model=\"gamma:7b\"} 0\n",
        "xenon:http_requests_total{status=\"200\"} 2\n",
        "xenon:http_requests_total{status=\"429\"} 1\n",
        "xenon:http_request_seconds_bucket{le=\"0.1\"} 3\n",
        "xenon:http_request_seconds_count 3\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (!strstr(text, lines[i])) fail_msg("no line %s in:\n%s", lines[i], text);
    assert_int_equal(strlen(text), size);
    free(text);
    xn_models_free(models);
    xn_metrics_free(metrics);
}

int main(void) {
    const char *source = getenv("XENON_SOURCE");
    model_path = xn_path_join(source ? source : ".", "models/xenon-default-q8_0.gguf");
    if (!model_path || !xn_file_exists(model_path)) {
        puts("skipped: no default model");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),          cmocka_unit_test(loads_once), cmocka_unit_test(makes_room),
        cmocka_unit_test(goes_when_idle), cmocka_unit_test(failing),    cmocka_unit_test(tells_metrics),
    };
    int status = cmocka_run_group_tests(tests, NULL, NULL);
    free(model_path);
    return status;
}
