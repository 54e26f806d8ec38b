// Sessions: only what is new is computed, also on models with recurrent states; and generation ends as it should.
#include "api/session.h"

#include "api/select.h"
#include "base/file.h"
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct xn_error err;

struct fixture {
    struct xn_device *device;
    struct xn_model *model;
    struct xn_context *context;
    struct xn_session session;
};

// Skips the test where the reference models are missing.
static struct fixture *open_fixture(const char *name, uint32_t positions) {
    const char *root = getenv("XENON_SHARED");
    char *path = xn_format("%s/models/%s/model.gguf", root ? root : "", name);
    if (!xn_file_exists(path)) {
        print_message("skipped: no %s\n", path);
        free(path);
        skip();
    }
    struct fixture *f = xn_alloc_zero(1, sizeof *f);
    struct xn_context_options options = {.context = positions, .batch = 8, .cache_type = XN_TYPE_COUNT};
    int status = xn_device_select("reference", 0, 0, &f->device, &err);
    if (status == XN_OK) status = xn_model_open(path, f->device, NULL, NULL, &f->model, &err);
    if (status == XN_OK) status = xn_context_create(f->model, &options, &f->context, &err);
    if (status == XN_OK) status = xn_session_open(&f->session, f->context, &err);
    if (status != XN_OK) fail_msg("%s", err.message);
    free(path);
    return f;
}

static void close_fixture(struct fixture *f) {
    xn_session_close(&f->session);
    xn_context_free(f->context);
    xn_model_close(f->model);
    f->device->table->free(f->device);
    free(f);
}

static const int32_t ids[] = {5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24};

static void assert_same_logits(const float *a, const float *b, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        assert_true(a[i] - b[i] < 1e-3f && b[i] - a[i] < 1e-3f);
}

static uint32_t length_of(const struct xn_session *s) {
    return xn_sequence_length(s->context, s->sequence);
}

// The prompt again, longer, shorter and otherwise: how much is reused, and the logits as computed from nothing. A model
// with states goes back to a checkpoint, of which a prompt in steps of 8 has one after 16.
static void reuse(const char *name, bool recurrent) {
    struct fixture *f = open_fixture(name, 64);
    struct xn_session *s = &f->session;
    uint32_t vocab = f->model->recipe.vocab;
    size_t reused;
    float *eighteen = xn_alloc(vocab, sizeof *eighteen);
    assert_int_equal(xn_session_prompt(s, ids, 18, NULL, &reused, &err), XN_OK);
    assert_int_equal(reused, 0);
    memcpy(eighteen, xn_eval_logits(f->context, UINT32_MAX), vocab * sizeof *eighteen);

    assert_int_equal(xn_session_prompt(s, ids, 20, NULL, &reused, &err), XN_OK);
    assert_int_equal(reused, 18);
    assert_int_equal(length_of(s), 20);
    assert_int_equal(xn_session_prompt(s, ids, 18, NULL, &reused, &err), XN_OK);
    assert_int_equal(reused, recurrent ? 16 : 17); // the last one always anew, for its logits
    assert_same_logits(xn_eval_logits(f->context, UINT32_MAX), eighteen, vocab);
    assert_int_equal(xn_session_prompt(s, ids, 18, NULL, &reused, &err), XN_OK);
    assert_int_equal(reused, recurrent ? 16 : 17);
    assert_same_logits(xn_eval_logits(f->context, UINT32_MAX), eighteen, vocab);

    int32_t other[18];
    memcpy(other, ids, sizeof other);
    other[4] = 500;
    assert_int_equal(xn_session_prompt(s, other, 18, NULL, &reused, &err), XN_OK);
    assert_int_equal(reused, recurrent ? 0 : 4);
    assert_memory_equal(xn_sequence_tokens(f->context, s->sequence), other, sizeof other);
    assert_int_equal(xn_session_append(s, 99, &err), XN_OK);
    assert_int_equal(xn_sequence_tokens(f->context, s->sequence)[18], 99);
    assert_int_equal(xn_session_prompt(s, ids, 18, NULL, &reused, &err), XN_OK);
    assert_int_equal(reused, recurrent ? 0 : 4);
    assert_same_logits(xn_eval_logits(f->context, UINT32_MAX), eighteen, vocab);
    free(eighteen);
    close_fixture(f);
}

static void attention_keeps_prefixes(void **state) {
    (void)state;
    reuse("qwen3", false);
}

static void recurrent_states_go_back_to_a_checkpoint(void **state) {
    (void)state;
    reuse("qwen3_5", true);
}

// Turns of a conversation whose template writes something only ahead of an answer: of each turn little more than what
// is new is computed.
static void a_recurrent_conversation_is_cheap(void **state) {
    (void)state;
    enum { AHEAD = 5, ANSWER = 30, QUESTION = 40, TURNS = 6, LONGEST = TURNS * (QUESTION + ANSWER) + AHEAD };
    struct fixture *f = open_fixture("qwen3_5", LONGEST + 64);
    int32_t text[LONGEST];
    for (int i = 0; i < LONGEST; i++)
        text[i] = 5 + i * 37 % 400;
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        // What stands there from earlier turns, a question, and what is written ahead of the answer alone.
        uint32_t n = turn * (QUESTION + ANSWER) + QUESTION;
        int32_t prompt[LONGEST];
        size_t reused;
        memcpy(prompt, text, n * sizeof *prompt);
        for (uint32_t i = 0; i < AHEAD; i++)
            prompt[n + i] = (int32_t)(450 + i);
        assert_int_equal(xn_session_prompt(&f->session, prompt, n + AHEAD, NULL, &reused, &err), XN_OK);
        if (turn) assert_in_range(n + AHEAD - reused, QUESTION + ANSWER, QUESTION + ANSWER + AHEAD + 24);
        for (uint32_t i = 0; i < ANSWER; i++)
            assert_int_equal(xn_session_append(&f->session, text[n + i], &err), XN_OK);
    }
    close_fixture(f);
}

static int cancel_after_first_step(void *user, const char *what, uint64_t done, uint64_t total) {
    (void)user;
    (void)what;
    return done > 0 && done < total;
}

static void a_cancelled_prompt_is_a_prefix(void **state) {
    (void)state;
    struct fixture *f = open_fixture("qwen3", 64);
    const struct xn_progress progress = {cancel_after_first_step, NULL};
    size_t reused;
    assert_int_equal(xn_session_prompt(&f->session, ids, 20, &progress, &reused, &err), XN_ERR_CANCELLED);
    assert_int_equal(length_of(&f->session), 8); // one step of 8
    assert_false(f->session.evaluated);
    assert_int_equal(xn_session_prompt(&f->session, ids, 20, NULL, &reused, &err), XN_OK);
    assert_int_equal(reused, 8);
    close_fixture(f);
}

static void limits(void **state) {
    (void)state;
    struct fixture *f = open_fixture("qwen3", 16);
    assert_int_equal(xn_session_prompt(&f->session, ids, 0, NULL, NULL, &err), XN_ERR_ARGUMENT);
    assert_int_equal(xn_session_prompt(&f->session, ids, 17, NULL, NULL, &err), XN_ERR_LIMIT);
    assert_int_equal(xn_session_prompt(&f->session, ids, 15, NULL, NULL, &err), XN_OK);
    assert_false(xn_session_full(&f->session));
    assert_int_equal(xn_session_append(&f->session, 1, &err), XN_OK);
    assert_true(xn_session_full(&f->session));
    assert_int_equal(xn_session_append(&f->session, 1, &err), XN_ERR_LIMIT);
    close_fixture(f);
}

struct collected {
    struct xn_text text;
    int calls, most_calls;
};

static int collect(void *user, const char *text, size_t size) {
    struct collected *c = user;
    assert_int_equal(xn_text_put(&c->text, text, size, &err), XN_OK);
    return ++c->calls == c->most_calls;
}

// Generates greedily after the same prompt; returns the text (free()).
static char *generate(struct fixture *f, struct xn_generation *g, int most_calls) {
    struct xn_sampling sampling = xn_sampling_default();
    struct collected c = {.most_calls = most_calls};
    sampling.temperature = 0;
    g->sampling = &sampling;
    g->emit = collect;
    g->user = &c;
    assert_int_equal(xn_text_put(&c.text, "", 0, &err), XN_OK);
    assert_int_equal(xn_session_prompt(&f->session, ids, 10, NULL, NULL, &err), XN_OK);
    if (xn_session_generate(&f->session, g, &err) != XN_OK) fail_msg("%s", err.message);
    return c.text.data;
}

static void ends_of_a_generation(void **state) {
    (void)state;
    struct fixture *f = open_fixture("qwen3", 40);
    struct xn_generation g = {.most = 0};
    char *text = generate(f, &g, -1);
    assert_string_equal(text, "");
    assert_int_equal(g.finish, XN_FINISH_LENGTH);
    assert_int_equal(g.generated, 0);
    free(text);

    g = (struct xn_generation){.most = 12};
    char *twelve = generate(f, &g, -1);
    assert_int_equal(g.finish, XN_FINISH_LENGTH);
    assert_int_equal(g.generated, 12);
    assert_int_equal(length_of(&f->session), 10 + 11); // the last token was not needed in the cache

    g = (struct xn_generation){.most = 12};
    text = generate(f, &g, 3);
    assert_int_equal(g.finish, XN_FINISH_CALLER);
    assert_int_equal(g.generated, 3);
    assert_memory_equal(text, twelve, strlen(text));
    free(text);

    // A piece out of the middle of the text, wherever tokens end, stops it there.
    char stop[4] = {0};
    size_t middle = strlen(twelve) / 2;
    memcpy(stop, twelve + middle, 3);
    const char *const stops[] = {stop};
    g = (struct xn_generation){.most = 12, .stops = stops, .n_stops = 1};
    text = generate(f, &g, -1);
    assert_int_equal(g.finish, XN_FINISH_STOP);
    assert_int_equal(strlen(text), strstr(twelve, stop) - twelve);
    assert_memory_equal(text, twelve, strlen(text));
    free(text);
    free(twelve);

    g = (struct xn_generation){.most = -1};
    free(generate(f, &g, -1));
    assert_true(g.finish == XN_FINISH_CONTEXT || g.finish == XN_FINISH_END);
    if (g.finish == XN_FINISH_CONTEXT) assert_int_equal(length_of(&f->session), 40);
    close_fixture(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_recurrent_conversation_is_cheap),
        cmocka_unit_test(attention_keeps_prefixes),
        cmocka_unit_test(recurrent_states_go_back_to_a_checkpoint),
        cmocka_unit_test(a_cancelled_prompt_is_a_prefix),
        cmocka_unit_test(limits),
        cmocka_unit_test(ends_of_a_generation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
