// Many requests at once give what each gives alone, on the reference device, whose rows do not depend on each other.
#include "engine/serving/pace.h"
#include "engine/serving/testing.h"

static void run_mix(enum test_layers layers, uint64_t model, uint32_t seed, uint32_t positions, uint32_t slots) {
    struct xn_serving_options o = {.context = {.context = positions, .batch = 48, .sequences = slots}};
    struct fixture f;
    struct job jobs[24];
    open_fixture(&f, model, layers, &o);
    for (int i = 0; i < 24; i++) {
        jobs[i] = draw_job(&seed, 150, 40);
        submit(&jobs[i], f.serving, (struct xn_serving_request){.owner = draw(&seed, 3), .logprobs = -1});
    }
    for (int i = 0; i < 24; i++)
        check(&jobs[i], f.model);
    struct xn_serving_state state;
    struct xn_serving_slot slot;
    xn_serving_state(f.serving, &state, &slot, 1);
    assert_int_equal(state.requests, 24);
    close_fixture(&f);
}

static void mixes_give_what_each_gives_alone(void **unused) {
    (void)unused;
    run_mix(ATTENTION_LAYERS, 1, 11, 4096, 8);
    run_mix(RECURRENT_LAYERS, 2, 12, 4096, 5);
    run_mix(HYBRID_LAYERS, 3, 13, 4096, 8);
}

// The cache has room for one long text, and a little more.
static void tiny_caches_make_tasks_give_way(void **unused) {
    (void)unused;
    run_mix(ATTENTION_LAYERS, 4, 14, 200, 6);
    run_mix(RECURRENT_LAYERS, 5, 15, 200, 6);
    run_mix(HYBRID_LAYERS, 6, 16, 200, 6);
}

static void cancelled_requests_end_and_disturb_nobody(void **unused) {
    (void)unused;
    struct xn_serving_options o = {.context = {.context = 1024, .batch = 48, .sequences = 4}};
    struct fixture f;
    struct job jobs[20];
    uint32_t seed = 21;
    open_fixture(&f, 7, HYBRID_LAYERS, &o);
    for (int i = 0; i < 20; i++) {
        jobs[i] = draw_job(&seed, 100, 60);
        if (i % 2) jobs[i].most = 900;
        submit(&jobs[i], f.serving, (struct xn_serving_request){.logprobs = -1});
    }
    for (int i = 1; i < 20; i += 2) {
        xn_serving_cancel(f.serving, jobs[i].client->id);
        xn_serving_cancel(f.serving, jobs[i].client->id + 1000);
    }
    for (int i = 0; i < 20; i++)
        if (i % 2) {
            client_wait(jobs[i].client);
            assert_int_equal(jobs[i].client->finish, XN_SERVING_CANCELLED);
            client_free(jobs[i].client);
        } else {
            check(&jobs[i], f.model);
        }
    close_fixture(&f);
}

static void callbacks_end_requests(void **unused) {
    (void)unused;
    struct xn_serving_options o = {.context = {.context = 512, .sequences = 2}};
    struct fixture f;
    uint32_t seed = 31;
    open_fixture(&f, 8, ATTENTION_LAYERS, &o);
    struct job j = draw_job(&seed, 20, 60), all;
    j.most = 60;
    all = j;
    j.client = client_new();
    j.client->stop_after = 7;
    client_submit(j.client, f.serving,
                  (struct xn_serving_request){.ids = j.ids, .n_ids = j.n_ids, .most = -1, .sampling = &j.sampling});
    client_wait(j.client);
    assert_int_equal(j.client->finish, XN_SERVING_CALLER);
    assert_int_equal(j.client->n, 7);
    client_free(j.client);
    submit(&all, f.serving, (struct xn_serving_request){.logprobs = -1});
    check(&all, f.model);
    close_fixture(&f);
}

static void what_does_not_fit_is_refused_with_numbers(void **unused) {
    (void)unused;
    struct xn_serving_options o = {.context = {.context = 256, .sequences = 1}, .most = 100, .queue = 2};
    struct fixture f;
    struct xn_error err;
    int32_t ids[200];
    uint64_t id;
    uint32_t retry = 7;
    open_fixture(&f, 9, ATTENTION_LAYERS, &o);
    draw_tokens(ids, 200, 1);
    struct xn_serving_request r = {.ids = ids, .n_ids = 150, .most = -1};
    assert_int_equal(xn_serving_submit(f.serving, &r, &id, &retry, &err), XN_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "150"));
    assert_non_null(strstr(err.message, "100"));
    assert_int_equal(retry, 0);
    ids[3] = TEST_VOCAB;
    r.n_ids = 10;
    assert_int_equal(xn_serving_submit(f.serving, &r, &id, &retry, &err), XN_ERR_ARGUMENT);
    r.n_ids = 0;
    assert_int_equal(xn_serving_submit(f.serving, &r, &id, &retry, &err), XN_ERR_ARGUMENT);
    // A text that fills its context ends there.
    uint32_t seed = 3;
    struct job j = draw_job(&seed, 90, 1);
    j.most = 1000;
    submit(&j, f.serving, (struct xn_serving_request){.logprobs = -1});
    client_wait(j.client);
    assert_int_equal(j.client->finish, XN_SERVING_CONTEXT);
    assert_int_equal(j.client->n + j.n_ids, 101);
    client_free(j.client);
    close_fixture(&f);
}

static void full_queues_ask_to_retry_and_the_end_ends_all(void **unused) {
    (void)unused;
    struct xn_serving_options o = {.context = {.context = 8192, .sequences = 1}, .queue = 3};
    struct fixture f;
    struct job jobs[32];
    uint32_t seed = 41, n = 0;
    uint32_t retry = 0;
    open_fixture(&f, 10, ATTENTION_LAYERS, &o);
    for (; n < 32 && !retry; n++) {
        struct xn_error err;
        jobs[n] = draw_job(&seed, 50, 1);
        jobs[n].client = client_new();
        struct xn_serving_request r = {
            .ids = jobs[n].ids, .n_ids = jobs[n].n_ids, .most = 1000, .event = client_event, .user = jobs[n].client};
        int status = xn_serving_submit(f.serving, &r, &jobs[n].client->id, &retry, &err);
        assert_int_equal(status, retry ? XN_ERR_LIMIT : XN_OK);
    }
    assert_in_range(retry, XN_PACE_LEAST, XN_PACE_MOST);
    assert_true(n >= 4 && n <= 6); // three that wait, one that runs, or has just ended
    xn_serving_free(f.serving);
    f.serving = NULL;
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(jobs[i].client->dones, i + 1 < n);
        client_free(jobs[i].client);
    }
    close_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mixes_give_what_each_gives_alone),
        cmocka_unit_test(tiny_caches_make_tasks_give_way),
        cmocka_unit_test(cancelled_requests_end_and_disturb_nobody),
        cmocka_unit_test(callbacks_end_requests),
        cmocka_unit_test(what_does_not_fit_is_refused_with_numbers),
        cmocka_unit_test(full_queues_ask_to_retry_and_the_end_ends_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
