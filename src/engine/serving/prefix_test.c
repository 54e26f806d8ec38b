// Prefixes: what is computed once is not computed again, and nobody's text changes by it.
#include "engine/serving/prefix.h"
#include "engine/serving/testing.h"

static const enum test_layers kinds[] = {ATTENTION_LAYERS, RECURRENT_LAYERS, HYBRID_LAYERS};

static struct xn_serving_state state_of(struct xn_serving *s) {
    struct xn_serving_state state;
    xn_serving_state(s, &state, NULL, 0);
    return state;
}

static void run(struct job *j, struct fixture *f) {
    submit(j, f->serving, (struct xn_serving_request){.logprobs = -1});
    client_wait(j->client);
}

// A conversation: each turn is the text so far, and more.
static void the_next_turn_computes_only_what_is_new(void **unused) {
    (void)unused;
    for (int k = 0; k < 3; k++) {
        struct xn_serving_options o = {.context = {.context = 2048, .batch = 64, .sequences = 2}};
        struct fixture f;
        uint32_t seed = 50 + (uint32_t)k, length = 0;
        open_fixture(&f, 20 + (uint64_t)k, kinds[k], &o);
        struct job j = draw_job(&seed, 10, 30);
        j.n_ids = 300;
        draw_tokens(j.ids, 300, 7);
        for (int turn = 0; turn < 4; turn++) {
            j.most = 20;
            run(&j, &f);
            // The last token of the turn before was never evaluated.
            assert_int_equal(j.client->counts.cached, turn ? length - 1 : 0);
            memcpy(j.ids + j.n_ids, j.client->tokens, j.most * sizeof *j.ids);
            length = j.n_ids + j.most;
            check(&j, f.model);
            draw_tokens(j.ids + length, 15, 100 + (uint32_t)turn);
            j.n_ids = length + 15;
        }
        close_fixture(&f);
    }
}

static void answers_to_one_prompt_compute_it_once(void **unused) {
    (void)unused;
    for (int k = 0; k < 3; k++) {
        struct xn_serving_options o = {.context = {.context = 2048, .batch = 64, .sequences = 6}};
        struct fixture f;
        struct job jobs[5];
        uint32_t seed = 60 + (uint32_t)k;
        open_fixture(&f, 30 + (uint64_t)k, kinds[k], &o);
        jobs[0] = draw_job(&seed, 10, 30);
        jobs[0].n_ids = 230;
        jobs[0].most = 20;
        jobs[0].sampling.temperature = 1;
        draw_tokens(jobs[0].ids, 230, 8);
        for (int i = 0; i < 5; i++) {
            jobs[i] = jobs[0];
            jobs[i].sampling.seed = (uint64_t)i;
            submit(&jobs[i], f.serving, (struct xn_serving_request){.logprobs = -1});
        }
        uint32_t cached = 0;
        for (int i = 0; i < 5; i++) {
            client_wait(jobs[i].client);
            cached += jobs[i].client->counts.cached;
            check(&jobs[i], f.model);
        }
        assert_int_equal(cached, 4 * 228); // all but two tokens
        struct xn_serving_state state = state_of(f.serving);
        assert_int_equal(state.cached_tokens, cached);
        close_fixture(&f);
    }
}

// Prompts that share beginnings, in caches with room for few of them; some share nothing, leave nothing, or go.
static void run_shared(enum test_layers layers, uint64_t model, uint32_t seed, uint32_t positions, uint64_t ram) {
    enum { JOBS = 30 };
    struct xn_serving_options o = {.context = {.context = positions, .batch = 40, .sequences = 4}, .cache_ram = ram};
    struct fixture f;
    struct job jobs[JOBS];
    bool cancelled[JOBS];
    open_fixture(&f, model, layers, &o);
    for (int i = 0; i < JOBS; i++) {
        uint32_t shared = 20 + draw(&seed, 130), which = draw(&seed, 3);
        jobs[i] = draw_job(&seed, 40, 25);
        memmove(jobs[i].ids + shared, jobs[i].ids, jobs[i].n_ids * sizeof *jobs[i].ids);
        draw_tokens(jobs[i].ids, (int)shared, which);
        jobs[i].n_ids += shared;
        submit(&jobs[i], f.serving,
               (struct xn_serving_request){.logprobs = -1,
                                           .owner = draw(&seed, 2),
                                           .priority = (int)draw(&seed, 2),
                                           .no_cache = draw(&seed, 6) == 0});
        cancelled[i] = draw(&seed, 6) == 0;
        if (cancelled[i]) xn_serving_cancel(f.serving, jobs[i].client->id);
        if (draw(&seed, 3) == 0) client_wait(jobs[i].client);
        assert_true(state_of(f.serving).ram_used <= ram);
    }
    for (int i = 0; i < JOBS; i++)
        if (cancelled[i]) {
            client_wait(jobs[i].client);
            client_free(jobs[i].client);
        } else {
            check(&jobs[i], f.model);
        }
    struct xn_serving_state state = state_of(f.serving);
    assert_true(state.cached_tokens > 0);
    close_fixture(&f);
}

static void shared_beginnings_change_no_text(void **unused) {
    (void)unused;
    for (int k = 0; k < 3; k++) {
        run_shared(kinds[k], 40 + (uint64_t)k, 70 + (uint32_t)k, 2048, 0);
        run_shared(kinds[k], 40 + (uint64_t)k, 80 + (uint32_t)k, 320, 0);
        run_shared(kinds[k], 40 + (uint64_t)k, 90 + (uint32_t)k, 320, 4 << 20);
    }
}

// Two texts that do not fit the cache together, in turn: with host memory the second time costs nothing.
static void what_left_the_cache_comes_back_from_host_memory(void **unused) {
    (void)unused;
    for (int k = 0; k < 3; k++) {
        struct xn_serving_options o = {.context = {.context = 448, .batch = 64, .sequences = 1}, .cache_ram = 64 << 20};
        struct fixture f;
        struct job jobs[2];
        uint32_t seed = 100 + (uint32_t)k;
        if (kinds[k] == RECURRENT_LAYERS) continue; // never short of pages
        open_fixture(&f, 50 + (uint64_t)k, kinds[k], &o);
        for (int i = 0; i < 2; i++) {
            jobs[i] = draw_job(&seed, 10, 10);
            jobs[i].n_ids = 300;
            draw_tokens(jobs[i].ids, 300, 200 + (uint32_t)i);
        }
        for (int turn = 0; turn < 3; turn++)
            for (int i = 0; i < 2; i++) {
                run(&jobs[i], &f);
                if (turn) {
                    // With states: back to the checkpoint before the prompt's last piece.
                    assert_true(jobs[i].client->counts.cached >= (kinds[k] == ATTENTION_LAYERS ? 298 : 256));
                    assert_true(state_of(f.serving).ram_used > 0);
                }
                check(&jobs[i], f.model);
            }
        close_fixture(&f);
    }
}

static void common_prefixes_are_counted(void **unused) {
    (void)unused;
    int32_t a[200], b[200];
    draw_tokens(a, 200, 1);
    for (uint32_t n = 0; n <= 200; n++) {
        memcpy(b, a, sizeof b);
        if (n < 200) b[n]++;
        assert_int_equal(xn_common_prefix(a, 200, b, 200), n);
        assert_int_equal(xn_common_prefix(a, n, b, 200), n);
        assert_int_equal(xn_common_prefix(a, 200, b, n / 2), n / 2);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_turn_computes_only_what_is_new),
        cmocka_unit_test(answers_to_one_prompt_compute_it_once),
        cmocka_unit_test(shared_beginnings_change_no_text),
        cmocka_unit_test(what_left_the_cache_comes_back_from_host_memory),
        cmocka_unit_test(common_prefixes_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
