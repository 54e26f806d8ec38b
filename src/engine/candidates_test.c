// Steps on a device that tells the best tokens of its logits: who asks for them gets them, who wants all logits gets
// those, and texts are what they are on a device that tells none.
#include "device/split/split.h"
#include "engine/sampler.h"
#include "engine/sampling/candidates.h"
#include "engine/serving/testing.h"

#include "telling.h"

static struct test_telling telling = {.vocab = TEST_VOCAB};

// Two devices and the same model on both, of which the second tells.
struct both {
    struct xn_device *device[2];
    struct xn_model *model[2];
};

static void open_both(struct both *b, uint64_t seed) {
    telling = (struct test_telling){.vocab = TEST_VOCAB};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(xn_reference_device_open(&b->device[i], NULL), XN_OK);
        if (i) test_tell(b->device[i], &telling);
        b->model[i] = test_model_sized(b->device[i], seed, HYBRID_LAYERS, 64);
    }
}

static void close_both(struct both *b) {
    for (int i = 0; i < 2; i++) {
        xn_model_close(b->model[i]);
        b->device[i]->table->free(b->device[i]);
    }
    test_telling_end();
}

static struct xn_context *context_of(struct xn_model *model, uint32_t *sequences) {
    struct xn_context *c;
    struct xn_context_options o = {.context = 512, .batch = 32, .sequences = 3, .outputs = 6};
    assert_int_equal(xn_context_create(model, &o, &c, NULL), XN_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(xn_sequence_new(c, &sequences[i], NULL), XN_OK);
    return c;
}

// Rows of three sequences, which want nothing, all logits, or the best tokens.
static void each_row_gets_what_it_wants(void **unused) {
    (void)unused;
    enum { ROWS = 12 };
    struct both b;
    struct xn_context *c[2];
    uint32_t sequences[2][3];
    struct xn_row_candidates best;
    struct xn_error err;
    const float *logits;
    open_both(&b, 3);
    for (int i = 0; i < 2; i++) {
        struct xn_feed feeds[ROWS];
        c[i] = context_of(b.model[i], sequences[i]);
        for (uint32_t r = 0; r < ROWS; r++)
            feeds[r] = (struct xn_feed){sequences[i][r % 3], (int32_t)(7 * r % TEST_VOCAB),
                                        r % 2 ? XN_NO_LOGITS : (enum xn_feed_logits)(1 + r / 2 % 3)};
        assert_int_equal(xn_eval(c[i], feeds, ROWS, &err), XN_OK);
    }
    assert_int_equal(telling.sums, 1);
    for (uint32_t r = 0; r < ROWS; r++) {
        const float *expected = xn_eval_logits(c[0], r);
        bool all = r % 2 == 0 && r / 2 % 3 == 0;
        assert_int_equal(expected != NULL, r % 2 == 0);
        assert_int_equal(xn_eval_logits(c[1], r) != NULL, all);
        assert_false(xn_eval_candidates(c[0], r, &best));
        assert_int_equal(xn_eval_candidates(c[1], r, &best), r % 2 == 0 && !all);
        if (r % 2) {
            assert_int_equal(xn_eval_read_logits(c[1], r, &logits, &err), XN_ERR_ARGUMENT);
            continue;
        }
        if (!all) assert_int_equal(best.items[0].id, xn_best_id(expected, TEST_VOCAB));
        assert_int_equal(xn_eval_read_logits(c[1], r, &logits, &err), XN_OK);
        assert_memory_equal(logits, expected, TEST_VOCAB * sizeof *logits);
        assert_ptr_equal(xn_eval_logits(c[1], r), logits);
    }
    assert_int_equal(telling.fetched, 4);
    for (int i = 0; i < 2; i++)
        xn_context_free(c[i]);
    close_both(&b);
}

// As generate_alone, with each token's log-probability.
static void text_alone(struct xn_model *model, const struct job *j, int32_t *out, float *logprobs) {
    struct xn_context *c;
    struct xn_sampler *sampler;
    uint32_t sequence;
    struct xn_context_options o = {.context = 512, .batch = 512, .sequences = 1};
    assert_int_equal(xn_context_create(model, &o, &c, NULL), XN_OK);
    assert_int_equal(xn_sequence_new(c, &sequence, NULL), XN_OK);
    assert_int_equal(xn_sampler_new(&j->sampling, TEST_VOCAB, &sampler, NULL), XN_OK);
    for (uint32_t i = 0; i < j->n_ids; i++)
        xn_sampler_accept(sampler, j->ids[i]);
    for (uint32_t n = 0; n < j->most; n++) {
        const int32_t *ids = n ? &out[n - 1] : j->ids;
        assert_int_equal(xn_eval_prompt(c, sequence, ids, n ? 1 : j->n_ids, NULL, NULL), XN_OK);
        out[n] = xn_sampler_choose(sampler, xn_eval_logits(c, UINT32_MAX));
        xn_sampler_accept(sampler, out[n]);
        xn_logprobs(xn_eval_logits(c, UINT32_MAX), TEST_VOCAB, out[n], &logprobs[n], NULL, 0);
    }
    xn_sampler_free(sampler);
    xn_context_free(c);
}

// Requests beside each other, of which some look at all logits, on a device that forgets a row now and then.
static void served_texts_are_the_same(void **unused) {
    (void)unused;
    enum { JOBS = 24, TOKENS = 40 };
    for (uint32_t forgets = 0; forgets < 8; forgets += 7) {
        struct both b;
        struct xn_serving *serving;
        struct xn_error err;
        struct xn_serving_options o = {.context = {.context = 2048, .batch = 64, .sequences = 5}};
        static struct job jobs[JOBS];
        uint32_t seed = 11;
        open_both(&b, 5);
        telling.forgets = forgets;
        if (xn_serving_create(b.model[1], &o, &serving, &err) != XN_OK) fail_msg("%s", err.message);
        for (int i = 0; i < JOBS; i++) {
            jobs[i] = draw_job(&seed, 60, TOKENS);
            jobs[i].sampling.top_k = i % 5 == 0 ? 0 : 20;
            jobs[i].sampling.dry_multiplier = i % 6 == 1 ? 0.8f : 0;
            submit(&jobs[i], serving, (struct xn_serving_request){.logprobs = i % 3 - 1});
        }
        for (int i = 0; i < JOBS; i++) {
            int32_t tokens[TOKENS];
            float logprobs[TOKENS];
            struct client *client = jobs[i].client;
            client_wait(client);
            assert_int_equal(client->n, jobs[i].most);
            text_alone(b.model[0], &jobs[i], tokens, logprobs);
            assert_memory_equal(client->tokens, tokens, jobs[i].most * sizeof *tokens);
            for (uint32_t n = 0; n < jobs[i].most && i % 3; n++)
                assert_memory_equal(&client->logprobs[n], &logprobs[n], sizeof *logprobs);
            client_free(client);
        }
        xn_serving_free(serving);
        assert_true(telling.told > 100);
        assert_true(telling.fetched < telling.told);
        if (forgets) assert_true(telling.fetched > 0);
        close_both(&b);
    }
}

// A device that fails at reading what it did not tell ends the text with its error.
static void a_failed_reading_ends_the_text(void **unused) {
    (void)unused;
    struct both b;
    struct xn_serving *serving;
    struct xn_error err;
    struct xn_serving_options o = {.context = {.context = 256, .batch = 64, .sequences = 2}};
    struct job j;
    uint32_t seed = 4;
    open_both(&b, 5);
    telling.forgets = 3;
    telling.fails = true;
    if (xn_serving_create(b.model[1], &o, &serving, &err) != XN_OK) fail_msg("%s", err.message);
    j = draw_job(&seed, 20, 20);
    j.most = 20;
    submit(&j, serving, (struct xn_serving_request){.logprobs = -1});
    pthread_mutex_lock(&j.client->mutex);
    while (!j.client->done)
        pthread_cond_wait(&j.client->done_now, &j.client->mutex);
    pthread_mutex_unlock(&j.client->mutex);
    assert_int_equal(j.client->finish, XN_SERVING_ERROR);
    assert_int_equal(j.client->err.status, XN_ERR_DEVICE);
    assert_int_equal(j.client->n, 2);
    client_free(j.client);
    xn_serving_free(serving);
    close_both(&b);
}

// Of a model on two devices that with the head tells, and not where a step goes through them in pieces.
static void a_split_device_tells(void **unused) {
    (void)unused;
    enum { MANY = 300 };
    struct both b;
    struct xn_context *c[2];
    struct xn_row_candidates best;
    struct xn_error err;
    const float *logits;
    open_both(&b, 3);
    xn_model_close(b.model[1]);
    struct xn_split_member members[2] = {{.name = "plain", .share = 1}, {.name = "telling", .share = 1}};
    struct xn_split_options o = {.members = members, .n_members = 2, .spill = -1, .layers = -1};
    assert_int_equal(xn_reference_device_open(&members[0].device, NULL), XN_OK);
    members[1].device = b.device[1];
    if (xn_split_device_open(&o, &b.device[1], &err) != XN_OK) fail_msg("%s", err.message);
    b.model[1] = test_model_sized(b.device[1], 3, HYBRID_LAYERS, 64);
    for (uint32_t rows = 3; rows <= MANY; rows += MANY - 3) {
        for (int i = 0; i < 2; i++) {
            static struct xn_feed feeds[MANY];
            uint32_t sequence;
            struct xn_context_options of = {.context = 512, .batch = MANY, .sequences = 1, .outputs = 1};
            if (xn_context_create(b.model[i], &of, &c[i], &err) != XN_OK) fail_msg("%s", err.message);
            assert_int_equal(xn_sequence_new(c[i], &sequence, &err), XN_OK);
            for (uint32_t r = 0; r < rows; r++)
                feeds[r] = (struct xn_feed){sequence, (int32_t)(5 * r % TEST_VOCAB),
                                            r + 1 < rows ? XN_NO_LOGITS : XN_BEST_LOGITS_AND_SUM};
            if (xn_eval(c[i], feeds, rows, &err) != XN_OK) fail_msg("%s", err.message);
        }
        const float *expected = xn_eval_logits(c[0], UINT32_MAX);
        assert_int_equal(xn_eval_candidates(c[1], UINT32_MAX, &best), rows < MANY);
        if (rows < MANY) assert_int_equal(best.items[0].id, xn_best_id(expected, TEST_VOCAB));
        assert_int_equal(xn_eval_read_logits(c[1], UINT32_MAX, &logits, &err), XN_OK);
        assert_same(logits, expected);
        for (int i = 0; i < 2; i++)
            xn_context_free(c[i]);
    }
    assert_int_equal(telling.told, 1);
    assert_int_equal(telling.fetched, 1);
    close_both(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_gets_what_it_wants),
        cmocka_unit_test(served_texts_are_the_same),
        cmocka_unit_test(a_failed_reading_ends_the_text),
        cmocka_unit_test(a_split_device_tells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
