// The context: however a text is cut into steps, mixed with others, forked or cut back, the logits are the same.
#include "engine/context_testing.h"
#include "model/matrix.h"

enum { LENGTH = 150, SEEDS = 4 };

static struct xn_device *device;

static struct xn_model *random_model(uint64_t seed, bool attention_only) {
    return test_model(device, seed, attention_only ? ATTENTION_LAYERS : ANY_LAYERS);
}

static struct xn_context *context_of(struct xn_model *model, uint32_t positions, uint32_t sequences) {
    struct xn_context *c;
    struct xn_context_options o = {
        .context = positions, .batch = 200, .sequences = sequences, .cache_type = XN_TYPE_COUNT, .outputs = 8};
    assert_int_equal(xn_context_create(model, &o, &c, NULL), XN_OK);
    return c;
}

// The logits after all tokens, evaluated in one go on a context of its own.
static float *in_one_go(struct xn_model *model, const int32_t *tokens, uint32_t n) {
    struct xn_context *c = context_of(model, 256, 1);
    uint32_t s;
    assert_int_equal(xn_sequence_new(c, &s, NULL), XN_OK);
    assert_int_equal(xn_eval_prompt(c, s, tokens, n, NULL, NULL), XN_OK);
    assert_int_equal(xn_sequence_length(c, s), n);
    float *logits = copy_logits(c, UINT32_MAX);
    xn_context_free(c);
    return logits;
}

static void steps_of_any_size_give_the_same_logits(void **state) {
    (void)state;
    static const uint32_t sizes[] = {1, 7, 64, 149};
    int32_t tokens[LENGTH];
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct xn_model *model = random_model(seed, false);
        draw_tokens(tokens, LENGTH, (uint32_t)seed);
        float *whole = in_one_go(model, tokens, LENGTH);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            struct xn_context *c = context_of(model, 256, 1);
            uint32_t s;
            assert_int_equal(xn_sequence_new(c, &s, NULL), XN_OK);
            for (uint32_t at = 0; at < LENGTH; at += sizes[i]) {
                uint32_t n = LENGTH - at < sizes[i] ? LENGTH - at : sizes[i];
                assert_int_equal(xn_eval_prompt(c, s, tokens + at, n, NULL, NULL), XN_OK);
            }
            float *pieces = copy_logits(c, UINT32_MAX);
            assert_same(whole, pieces);
            free(pieces);
            xn_context_free(c);
        }
        free(whole);
        xn_model_close(model);
    }
}

static void interleaved_sequences_do_not_see_each_other(void **state) {
    (void)state;
    int32_t a[LENGTH], b[LENGTH];
    for (uint64_t seed = 10; seed < 10 + SEEDS; seed++) {
        struct xn_model *model = random_model(seed, false);
        draw_tokens(a, LENGTH, 1);
        draw_tokens(b, LENGTH, 2);
        struct xn_context *c = context_of(model, 512, 2);
        uint32_t sa, sb;
        assert_int_equal(xn_sequence_new(c, &sa, NULL), XN_OK);
        assert_int_equal(xn_sequence_new(c, &sb, NULL), XN_OK);
        for (uint32_t at = 0; at < LENGTH; at += 75) {
            struct xn_feed feeds[150];
            for (uint32_t i = 0; i < 75; i++) {
                bool last = at + i + 1 == LENGTH;
                feeds[2 * i] = (struct xn_feed){sb, b[at + i], last};
                feeds[2 * i + 1] = (struct xn_feed){sa, a[at + i], last};
            }
            assert_int_equal(xn_eval(c, feeds, 150, NULL), XN_OK);
        }
        float *la = copy_logits(c, 149), *lb = copy_logits(c, 148);
        assert_null(xn_eval_logits(c, 147)); // did not ask
        assert_null(xn_eval_logits(c, 150)); // is not there
        float *wa = in_one_go(model, a, LENGTH), *wb = in_one_go(model, b, LENGTH);
        assert_same(wa, la);
        assert_same(wb, lb);
        free(la);
        free(lb);
        free(wa);
        free(wb);
        xn_context_free(c);
        xn_model_close(model);
    }
}

static void a_fork_and_its_origin_go_their_own_ways(void **state) {
    (void)state;
    int32_t a[LENGTH], b[LENGTH];
    for (uint64_t seed = 20; seed < 20 + SEEDS; seed++) {
        struct xn_model *model = random_model(seed, false);
        draw_tokens(a, LENGTH, 3);
        memcpy(b, a, sizeof b);
        draw_tokens(b + 100, LENGTH - 100, 4);
        struct xn_context *c = context_of(model, 512, 2);
        uint32_t sa, sb, none;
        assert_int_equal(xn_sequence_new(c, &sa, NULL), XN_OK);
        assert_int_equal(xn_eval_prompt(c, sa, a, 100, NULL, NULL), XN_OK);
        assert_int_equal(xn_sequence_fork(c, sa, &sb, NULL), XN_OK);
        assert_int_equal(xn_sequence_fork(c, sa, &none, NULL), XN_ERR_LIMIT);
        assert_int_equal(xn_eval_prompt(c, sb, b + 100, LENGTH - 100, NULL, NULL), XN_OK);
        float *lb = copy_logits(c, UINT32_MAX);
        assert_int_equal(xn_eval_prompt(c, sa, a + 100, LENGTH - 100, NULL, NULL), XN_OK);
        float *la = copy_logits(c, UINT32_MAX);
        float *wa = in_one_go(model, a, LENGTH), *wb = in_one_go(model, b, LENGTH);
        assert_same(wa, la);
        assert_same(wb, lb);
        free(la);
        free(lb);
        free(wa);
        free(wb);
        xn_context_free(c);
        xn_model_close(model);
    }
}

static void a_cut_forgets_what_lies_behind_it(void **state) {
    (void)state;
    int32_t a[LENGTH], b[LENGTH];
    struct xn_model *model = random_model(30, true);
    draw_tokens(a, LENGTH, 5);
    memcpy(b, a, sizeof b);
    draw_tokens(b + 70, LENGTH - 70, 6);
    struct xn_context *c = context_of(model, 512, 2);
    uint32_t sa, sb;
    assert_int_equal(xn_sequence_new(c, &sa, NULL), XN_OK);
    assert_int_equal(xn_eval_prompt(c, sa, a, LENGTH, NULL, NULL), XN_OK);
    assert_int_equal(xn_sequence_fork(c, sa, &sb, NULL), XN_OK);
    assert_int_equal(xn_sequence_cut(c, sb, 70, NULL), XN_OK); // inside a page that both share
    assert_int_equal(xn_eval_prompt(c, sb, b + 70, LENGTH - 70, NULL, NULL), XN_OK);
    float *lb = copy_logits(c, UINT32_MAX), *wb = in_one_go(model, b, LENGTH);
    assert_same(wb, lb);
    assert_int_equal(xn_sequence_cut(c, sa, LENGTH - 1, NULL), XN_OK); // the origin still has its own
    assert_int_equal(xn_eval_prompt(c, sa, a + LENGTH - 1, 1, NULL, NULL), XN_OK);
    float *la = copy_logits(c, UINT32_MAX), *wa = in_one_go(model, a, LENGTH);
    assert_same(wa, la);
    free(la);
    free(lb);
    free(wa);
    free(wb);
    xn_context_free(c);
    xn_model_close(model);
}

static void a_cut_that_fails_changes_nothing(void **state) {
    (void)state;
    enum { FULL = 192 };
    int32_t a[FULL + 1];
    struct xn_model *model = random_model(50, true);
    draw_tokens(a, FULL + 1, 9);
    struct xn_context *c = context_of(model, FULL, 2); // four pages: three shared, and the fork's next
    struct xn_error err;
    uint32_t sa, sb;
    assert_int_equal(xn_sequence_new(c, &sa, NULL), XN_OK);
    assert_int_equal(xn_eval_prompt(c, sa, a, FULL, NULL, NULL), XN_OK);
    assert_int_equal(xn_sequence_fork(c, sa, &sb, NULL), XN_OK);
    assert_int_equal(xn_eval_prompt(c, sb, a, 1, NULL, NULL), XN_OK);
    assert_int_equal(xn_sequence_cut(c, sa, 70, &err), XN_ERR_LIMIT); // no page for a copy of the second
    assert_int_equal(xn_sequence_length(c, sa), FULL);
    assert_int_equal(xn_sequence_cut(c, sb, 70, NULL), XN_OK); // its own page becomes the copy
    assert_int_equal(xn_eval_prompt(c, sb, a + 70, 50, NULL, NULL), XN_OK);
    float *l = copy_logits(c, UINT32_MAX), *w = in_one_go(model, a, 120);
    assert_same(w, l);
    free(l);
    free(w);
    xn_sequence_free(c, sb);
    assert_int_equal(xn_eval_prompt(c, sa, a + FULL, 1, NULL, NULL), XN_OK);
    l = copy_logits(c, UINT32_MAX);
    w = in_one_go(model, a, FULL + 1);
    assert_same(w, l);
    free(l);
    free(w);
    xn_context_free(c);
    xn_model_close(model);
}

static void what_does_not_fit_is_refused_and_changes_nothing(void **state) {
    (void)state;
    struct xn_model *model = random_model(40, true);
    struct xn_context *c = context_of(model, 128, 2); // three pages
    struct xn_error err;
    uint32_t a, b, none;
    int32_t tokens[200];
    draw_tokens(tokens, 200, 8);
    assert_int_equal(xn_sequence_new(c, &a, NULL), XN_OK);
    assert_int_equal(xn_sequence_new(c, &b, NULL), XN_OK);
    assert_int_equal(xn_sequence_new(c, &none, &err), XN_ERR_LIMIT);
    assert_int_equal(xn_eval_prompt(c, a, tokens, 200, NULL, &err), XN_ERR_LIMIT);
    assert_non_null(strstr(err.message, "200 tokens"));
    assert_int_equal(xn_sequence_length(c, a), 0);
    assert_int_equal(xn_eval_prompt(c, a, tokens, 128, NULL, NULL), XN_OK);
    assert_int_equal(xn_eval_prompt(c, b, tokens, 65, NULL, &err), XN_ERR_LIMIT);
    assert_int_equal(xn_sequence_length(c, b), 0);
    assert_int_equal(xn_eval_prompt(c, b, tokens, 64, NULL, NULL), XN_OK);
    xn_sequence_free(c, a);
    assert_int_equal(xn_eval_prompt(c, a, tokens, 1, NULL, NULL), XN_ERR_ARGUMENT);
    assert_int_equal(xn_eval_prompt(c, b, tokens, 64, NULL, NULL), XN_OK); // a's pages are free again
    tokens[0] = 97;
    assert_int_equal(xn_eval_prompt(c, b, tokens, 1, NULL, &err), XN_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "token 97"));
    assert_int_equal(xn_eval(c, NULL, 0, NULL), XN_ERR_ARGUMENT);
    xn_context_free(c);
    xn_model_close(model);
}

// The head's matrix as floats, by its format.
static float *head_values(const struct xn_model *model) {
    const struct xn_matrix *m = &model->recipe.head;
    const struct xn_format *format = xn_format_of(xn_matrix_ordered_type(m));
    size_t n = (size_t)m->rows * m->cols, bytes = 0;
    assert_true(xn_format_bytes(format, n, &bytes));
    void *ordered = malloc(bytes);
    float *values = malloc(n * sizeof *values);
    assert_int_equal(xn_matrix_order(m, 0, ordered, NULL), XN_OK);
    format->decode(ordered, values, n);
    free(ordered);
    return values;
}

static void hidden_states_are_what_the_head_multiplies(void **unused) {
    (void)unused;
    for (uint64_t seed = 50; seed < 54; seed++) {
        struct xn_model *model = test_model(device, seed, ANY_LAYERS);
        struct xn_context *c;
        uint32_t a = 0, b = 0, hidden = model->recipe.hidden, vocab = model->recipe.vocab;
        int32_t tokens[12];
        draw_tokens(tokens, 12, (uint32_t)seed);
        struct xn_context_options o = {.context = 64, .batch = 12, .sequences = 2, .outputs = 12};
        assert_int_equal(xn_context_create(model, &o, &c, NULL), XN_OK);
        assert_int_equal(xn_sequence_new(c, &a, NULL), XN_OK);
        assert_int_equal(xn_sequence_new(c, &b, NULL), XN_OK);
        struct xn_feed feeds[12]; // mixed: rows are not in the order of feeds
        for (uint32_t i = 0; i < 12; i++)
            feeds[i] = (struct xn_feed){i % 3 ? a : b, tokens[i], true};
        float *out = malloc(hidden * sizeof *out), *head = head_values(model);
        assert_int_equal(xn_eval(c, feeds, 12, NULL), XN_OK);
        assert_int_equal(xn_eval_hidden(c, 0, 1, out, NULL), XN_ERR_ARGUMENT);
        xn_sequence_cut(c, a, 0, NULL);
        xn_sequence_cut(c, b, 0, NULL);
        xn_eval_keep_hidden(c, true);
        assert_int_equal(xn_eval(c, feeds, 12, NULL), XN_OK);
        for (uint32_t i = 0; i < 12; i++) {
            assert_int_equal(xn_eval_hidden(c, i, 1, out, NULL), XN_OK);
            float *got = calloc(vocab, sizeof *got);
            for (uint32_t v = 0; v < vocab; v++) {
                double sum = 0;
                for (uint32_t k = 0; k < hidden; k++)
                    sum += (double)head[(size_t)v * hidden + k] * out[k];
                got[v] = (float)sum * model->recipe.logit_scale;
                float cap = model->recipe.logit_soft_cap;
                if (cap != 0) got[v] = cap * tanhf(got[v] / cap);
            }
            assert_same(got, xn_eval_logits(c, i));
            free(got);
        }
        assert_int_equal(xn_eval_hidden(c, 12, 1, out, NULL), XN_ERR_ARGUMENT);
        free(out);
        free(head);
        xn_context_free(c);
        xn_model_close(model);
    }
}

// A fork of a sequence's beginning goes on as the beginning itself would.
static void a_fork_may_be_of_a_beginning(void **unused) {
    (void)unused;
    for (int layers = ATTENTION_LAYERS; layers <= HYBRID_LAYERS; layers++) {
        struct xn_model *model = test_model(device, 60, (enum test_layers)layers);
        struct xn_context *c;
        uint32_t a = 0, b = 0, fork = 0, alone, n_reached = 0;
        int32_t tokens[200];
        draw_tokens(tokens, 200, 61);
        struct xn_context_options o = {.context = 512, .batch = 40, .sequences = 3, .checkpoints = 4};
        assert_int_equal(xn_context_create(model, &o, &c, NULL), XN_OK);
        assert_int_equal(xn_sequence_new(c, &a, NULL), XN_OK);
        assert_int_equal(xn_eval_prompt(c, a, tokens, 190, NULL, NULL), XN_OK);
        for (uint32_t want = 0; want <= 190; want += 38) {
            uint32_t at = xn_sequence_resume(c, a, want);
            if (at != want) assert_int_equal(xn_sequence_fork_at(c, a, want, &fork, NULL), XN_ERR_ARGUMENT);
            n_reached += at > 0;
            assert_int_equal(xn_sequence_fork_at(c, a, at, &fork, NULL), XN_OK);
            assert_int_equal(xn_sequence_length(c, fork), at);
            if (at) assert_memory_equal(xn_sequence_tokens(c, fork), tokens, at * sizeof *tokens);
            assert_true(xn_sequence_pages(c, fork, &alone) == (at + 63) / 64);
            assert_true(model->plan.n_cache == 0 || alone == (at % 64 != 0));
            uint32_t both[] = {a, fork}, positions[] = {190, at};
            assert_int_equal(xn_context_pages_of(c, both, positions, 2), 3 + (at % 64 != 0));
            assert_int_equal(xn_eval_prompt(c, fork, tokens + 190, 10, NULL, NULL), XN_OK);
            float *got = copy_logits(c, UINT32_MAX);
            assert_int_equal(xn_sequence_new(c, &b, NULL), XN_OK);
            if (at) assert_int_equal(xn_eval_prompt(c, b, tokens, at, NULL, NULL), XN_OK);
            assert_int_equal(xn_eval_prompt(c, b, tokens + 190, 10, NULL, NULL), XN_OK);
            assert_same(got, xn_eval_logits(c, UINT32_MAX));
            free(got);
            xn_sequence_free(c, b);
            xn_sequence_free(c, fork);
        }
        assert_true(n_reached >= 2);
        xn_context_free(c);
        xn_model_close(model);
    }
}

int main(void) {
    if (xn_reference_device_open(&device, NULL) != XN_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_of_any_size_give_the_same_logits),
        cmocka_unit_test(interleaved_sequences_do_not_see_each_other),
        cmocka_unit_test(a_fork_and_its_origin_go_their_own_ways),
        cmocka_unit_test(a_cut_forgets_what_lies_behind_it),
        cmocka_unit_test(a_cut_that_fails_changes_nothing),
        cmocka_unit_test(what_does_not_fit_is_refused_and_changes_nothing),
        cmocka_unit_test(hidden_states_are_what_the_head_multiplies),
        cmocka_unit_test(a_fork_may_be_of_a_beginning),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    device->table->free(device);
    return failed;
}
