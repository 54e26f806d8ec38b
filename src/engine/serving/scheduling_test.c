// Who is served when: priorities, turns, full contexts; and what requests ask for besides text.
#include "engine/serving/internal.h"
#include "engine/serving/testing.h"

// A request that holds the only slot until the others have been submitted.
struct gate {
    struct job job;
    pthread_cond_t opened;
};

static void close_gate(struct gate *g, struct xn_serving *s) {
    uint32_t seed = 1;
    pthread_cond_init(&g->opened, NULL);
    g->job = draw_job(&seed, 10, 1);
    g->job.client = client_new();
    g->job.client->gate = &g->opened;
    client_submit(g->job.client, s,
                  (struct xn_serving_request){
                      .ids = g->job.ids, .n_ids = g->job.n_ids, .most = 1, .owner = 999, .priority = 100});
}

static void open_gate(struct gate *g) {
    pthread_mutex_lock(&g->job.client->mutex);
    g->job.client->gate_open = true;
    pthread_cond_signal(&g->opened);
    pthread_mutex_unlock(&g->job.client->mutex);
    client_wait(g->job.client);
    client_free(g->job.client);
    pthread_cond_destroy(&g->opened);
}

// Submits while the slot is taken, and checks in which order they are served.
static void expect_order(const uint64_t *owners, const int *priorities, const uint32_t *places, uint32_t n) {
    struct xn_serving_options o = {.context = {.context = 512, .sequences = 1}};
    struct fixture f;
    struct gate gate;
    struct job jobs[8];
    uint32_t seed = 5, first = UINT32_MAX;
    open_fixture(&f, 60, ATTENTION_LAYERS, &o);
    close_gate(&gate, f.serving);
    for (uint32_t i = 0; i < n; i++) {
        jobs[i] = draw_job(&seed, 10, 3);
        submit(&jobs[i], f.serving, (struct xn_serving_request){.owner = owners[i], .priority = priorities[i]});
    }
    open_gate(&gate);
    for (uint32_t i = 0; i < n; i++) {
        client_wait(jobs[i].client);
        if (jobs[i].client->place < first) first = jobs[i].client->place;
    }
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(jobs[i].client->place - first, places[i]);
        check(&jobs[i], f.model);
    }
    close_fixture(&f);
}

static void the_highest_priority_goes_first(void **unused) {
    (void)unused;
    expect_order((uint64_t[]){1, 1, 1, 1}, (int[]){0, -1, 5, 0}, (uint32_t[]){1, 3, 0, 2}, 4);
}

static void owners_take_turns(void **unused) {
    (void)unused;
    expect_order((uint64_t[]){1, 1, 1, 1, 2, 2}, (int[]){0, 0, 0, 0, 0, 0}, (uint32_t[]){0, 2, 4, 5, 1, 3}, 6);
}

// A text that outgrows its context goes on behind the tokens that are kept, as if it had been given so.
static void full_contexts_shift_where_that_was_asked(void **unused) {
    (void)unused;
    static const enum test_layers kinds[] = {ATTENTION_LAYERS, RECURRENT_LAYERS, HYBRID_LAYERS};
    for (int k = 0; k < 3; k++) {
        struct xn_serving_options o = {.context = {.context = 256, .batch = 32, .sequences = 2}, .most = 60};
        struct fixture f;
        uint32_t seed = 9;
        open_fixture(&f, 70 + (uint64_t)k, kinds[k], &o);
        struct job j = draw_job(&seed, 10, 1);
        j.n_ids = 50;
        draw_tokens(j.ids, 50, 3);
        j.most = 100;
        j.sampling = xn_sampling_default();
        submit(&j, f.serving, (struct xn_serving_request){.shift = true, .keep = 10, .logprobs = -1});
        client_wait(j.client);
        assert_int_equal(j.client->finish, XN_SERVING_LENGTH);
        assert_int_equal(j.client->n, 100);
        // By hand: the text is given anew whenever it has grown by one.
        int32_t all[200], one;
        struct xn_ids text = {.data = all, .n = 50};
        memcpy(all, j.ids, 50 * sizeof *all);
        struct xn_context *c;
        struct xn_sampler *sampler;
        struct xn_context_options one_sequence = {.context = 128};
        assert_int_equal(xn_context_create(f.model, &one_sequence, &c, NULL), XN_OK);
        assert_int_equal(xn_sampler_new(&j.sampling, (int32_t)f.model->recipe.vocab, &sampler, NULL), XN_OK);
        for (uint32_t i = 0; i < 100; i++) {
            uint32_t sequence = 0;
            assert_int_equal(xn_sequence_new(c, &sequence, NULL), XN_OK);
            assert_int_equal(xn_eval_prompt(c, sequence, text.data, (uint32_t)text.n, NULL, NULL), XN_OK);
            one = xn_sampler_choose(sampler, xn_eval_logits(c, UINT32_MAX));
            assert_int_equal(j.client->tokens[i], one);
            text.data[text.n++] = one;
            xn_serving_shift(&text, 10, 60);
            assert_true(text.n <= 60 && memcmp(all, j.ids, 10 * sizeof *all) == 0);
            xn_sequence_free(c, sequence);
        }
        xn_sampler_free(sampler);
        xn_context_free(c);
        client_free(j.client);
        // And a prompt that is too long.
        struct job longer = j;
        longer.n_ids = 500;
        draw_tokens(longer.ids, 500, 4);
        longer.most = 5;
        submit(&longer, f.serving, (struct xn_serving_request){.shift = true, .keep = 10, .logprobs = -1});
        client_wait(longer.client);
        assert_int_equal(longer.client->finish, XN_SERVING_LENGTH);
        assert_in_range(longer.client->counts.prompt, 35, 60);
        client_free(longer.client);
        close_fixture(&f);
    }
}

static void embeddings_are_pooled_hidden_states(void **unused) {
    (void)unused;
    struct xn_serving_options o = {.context = {.context = 1024, .batch = 32, .sequences = 4}};
    struct fixture f;
    uint32_t seed = 11;
    open_fixture(&f, 80, HYBRID_LAYERS, &o);
    uint32_t hidden = f.model->recipe.hidden;
    struct job texts[3], jobs[9];
    for (int i = 0; i < 9; i++) {
        jobs[i] = draw_job(&seed, 100, 10);
        jobs[i].client = client_new();
        client_submit(jobs[i].client, f.serving,
                      (struct xn_serving_request){.ids = jobs[i].ids,
                                                  .n_ids = jobs[i].n_ids,
                                                  .pooling = (enum xn_serving_pooling)(XN_POOL_LAST + i % 3)});
        if (i % 3) continue; // texts run beside them
        texts[i / 3] = draw_job(&seed, 100, 30);
        submit(&texts[i / 3], f.serving, (struct xn_serving_request){.logprobs = -1});
    }
    for (int i = 0; i < 9; i++) {
        struct client *e = jobs[i].client;
        struct xn_context *c;
        uint32_t sequence = 0, n = jobs[i].n_ids;
        client_wait(e);
        assert_int_equal(e->finish, XN_SERVING_END);
        assert_int_equal(e->n_vector, hidden);
        assert_int_equal(e->counts.done, n);
        struct xn_context_options all = {.context = 128, .batch = 128};
        struct xn_feed feeds[128];
        assert_int_equal(xn_context_create(f.model, &all, &c, NULL), XN_OK);
        assert_int_equal(xn_sequence_new(c, &sequence, NULL), XN_OK);
        for (uint32_t r = 0; r < n; r++)
            feeds[r] = (struct xn_feed){.sequence = sequence, .token = jobs[i].ids[r]};
        xn_eval_keep_hidden(c, true);
        assert_int_equal(xn_eval(c, feeds, n, NULL), XN_OK);
        float *rows = malloc((size_t)n * hidden * sizeof *rows);
        assert_int_equal(xn_eval_hidden(c, 0, n, rows, NULL), XN_OK);
        for (uint32_t v = 0; v < hidden; v++) {
            double sum = 0;
            for (uint32_t r = 0; r < n; r++)
                sum += (double)rows[r * hidden + v];
            double want = i % 3 == 0 ? rows[(n - 1) * hidden + v] : i % 3 == 1 ? sum / n : rows[v];
            assert_true(fabs(e->vector[v] - want) <= 1e-5 * (1 + fabs(want)));
        }
        free(rows);
        xn_context_free(c);
        client_free(e);
    }
    for (int i = 0; i < 3; i++)
        check(&texts[i], f.model);
    close_fixture(&f);
}

static void logprobs_are_the_models_own(void **unused) {
    (void)unused;
    struct xn_serving_options o = {.context = {.context = 256, .sequences = 2}};
    struct fixture f;
    uint32_t seed = 13, sequence = 0;
    struct xn_context *c;
    open_fixture(&f, 81, ATTENTION_LAYERS, &o);
    struct job j = draw_job(&seed, 30, 10);
    submit(&j, f.serving, (struct xn_serving_request){.logprobs = 5});
    client_wait(j.client);
    struct xn_context_options one = {.context = 128};
    assert_int_equal(xn_context_create(f.model, &one, &c, NULL), XN_OK);
    assert_int_equal(xn_sequence_new(c, &sequence, NULL), XN_OK);
    assert_int_equal(xn_eval_prompt(c, sequence, j.ids, j.n_ids, NULL, NULL), XN_OK);
    for (uint32_t i = 0; i < j.most; i++) {
        float chosen = 0;
        xn_logprobs(xn_eval_logits(c, UINT32_MAX), TEST_VOCAB, j.client->tokens[i], &chosen, NULL, 0);
        assert_true(fabsf(chosen - j.client->logprobs[i]) < 1e-4f);
        assert_int_equal(xn_eval_prompt(c, sequence, &j.client->tokens[i], 1, NULL, NULL), XN_OK);
    }
    assert_int_equal(j.client->n_top, 5);
    xn_context_free(c);
    check(&j, f.model);
    close_fixture(&f);
}

static void nothing_may_be_asked_for(void **unused) {
    (void)unused;
    struct xn_serving_options o = {.context = {.context = 256, .sequences = 2}};
    struct fixture f;
    uint32_t seed = 17;
    open_fixture(&f, 82, ATTENTION_LAYERS, &o);
    struct job j = draw_job(&seed, 60, 10), again = j;
    j.n_ids = again.n_ids = 50;
    draw_tokens(j.ids, 50, 2);
    memcpy(again.ids, j.ids, sizeof j.ids);
    j.most = 0;
    submit(&j, f.serving, (struct xn_serving_request){.logprobs = -1});
    client_wait(j.client);
    assert_int_equal(j.client->finish, XN_SERVING_LENGTH);
    assert_int_equal(j.client->n, 0);
    assert_int_equal(j.client->counts.done, 50);
    client_free(j.client);
    submit(&again, f.serving, (struct xn_serving_request){.logprobs = -1});
    client_wait(again.client);
    assert_int_equal(again.client->counts.cached, 48); // what it was computed for
    check(&again, f.model);
    close_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_highest_priority_goes_first),
        cmocka_unit_test(owners_take_turns),
        cmocka_unit_test(full_contexts_shift_where_that_was_asked),
        cmocka_unit_test(embeddings_are_pooled_hidden_states),
        cmocka_unit_test(logprobs_are_the_models_own),
        cmocka_unit_test(nothing_may_be_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
