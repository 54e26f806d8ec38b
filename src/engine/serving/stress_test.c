// Many threads submit, cancel and look at once: every request ends once, and nothing is left behind. Meant for the
// thread sanitizer as well (-fsanitize=thread).
#include "engine/serving/testing.h"

enum { THREADS = 6, EACH = 40 };

static struct fixture f;

static void *submit_many(void *number) {
    uint32_t seed = 1000 + *(const uint32_t *)number;
    struct client *clients[EACH];
    for (int i = 0; i < EACH; i++) {
        struct job j = draw_job(&seed, 60, 20);
        struct xn_error err;
        uint32_t retry = 0;
        struct client *c = clients[i] = client_new();
        if (draw(&seed, 3) == 0) c->stop_after = 1 + draw(&seed, 5);
        struct xn_serving_request r = {.ids = j.ids,
                                       .n_ids = j.n_ids,
                                       .most = draw(&seed, 10) ? (int64_t)j.most : -1,
                                       .sampling = &j.sampling,
                                       .logprobs = (int32_t)draw(&seed, 4) - 1,
                                       .shift = draw(&seed, 2),
                                       .owner = *(const uint32_t *)number,
                                       .priority = (int)draw(&seed, 3),
                                       .no_cache = draw(&seed, 5) == 0,
                                       .pooling = draw(&seed, 6) ? XN_POOL_NONE : XN_POOL_MEAN,
                                       .event = client_event,
                                       .user = c};
        if (r.most < 0) r.shift = false;
        if (draw(&seed, 2)) draw_tokens(j.ids, (int)j.n_ids, 1); // shared beginnings
        while (xn_serving_submit(f.serving, &r, &c->id, &retry, &err) != XN_OK) {
            if (!retry) fail_msg("%s", err.message);
            if (i) // the queue is full
                client_wait(clients[i / 2]);
            else // of others' requests: there is none of its own to wait for
                usleep(1000);
        }
        if (draw(&seed, 3) == 0) xn_serving_cancel(f.serving, c->id);
        struct xn_serving_state state;
        struct xn_serving_slot slots[4];
        xn_serving_state(f.serving, &state, slots, 4);
        assert_true(state.running <= 4 && state.pages_used <= state.pages && state.pages_cached <= state.pages_used);
        if (draw(&seed, 4) == 0) client_wait(clients[draw(&seed, (uint32_t)i + 1)]);
    }
    for (int i = 0; i < EACH; i++) {
        client_wait(clients[i]);
        assert_int_equal(clients[i]->dones, 1);
        client_free(clients[i]);
    }
    return NULL;
}

static void many_threads_leave_nothing_behind(void **unused) {
    (void)unused;
    struct xn_serving_options o = {
        .context = {.context = 400, .batch = 32, .sequences = 4}, .cache_ram = 1 << 20, .queue = 12, .most = 300};
    pthread_t threads[THREADS];
    uint32_t numbers[THREADS];
    open_fixture(&f, 90, HYBRID_LAYERS, &o);
    for (uint32_t i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, submit_many, &numbers[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    struct xn_serving_state state;
    for (int i = 0; i < 1000; i++) { // the last event comes a little before the books are closed
        xn_serving_state(f.serving, &state, NULL, 0);
        if (state.finished == THREADS * EACH && state.running == 0) break;
        usleep(10000);
    }
    assert_int_equal(state.requests, THREADS * EACH);
    assert_int_equal(state.finished, THREADS * EACH);
    assert_int_equal(state.failed, 0);
    assert_int_equal(state.waiting, 0);
    assert_int_equal(state.running, 0);
    assert_int_equal(state.pages_used, state.pages_cached);
    close_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(many_threads_leave_nothing_behind)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
