// Sequences that go back: cut to any length, forked, with checkpoints or without, and when things fail, the logits are
// those of the text as it then is.
#include "engine/context_internal.h"
#include "engine/context_testing.h"

enum { LENGTH = 150 };

static struct xn_device *device;

struct fixture {
    struct xn_model *model;
    struct xn_context *context;
    int32_t tokens[LENGTH];
    float *truth[LENGTH]; // logits after each token, of a context of its own
};

static struct xn_context *context_of(struct xn_model *model, struct xn_context_options o) {
    struct xn_context *c;
    struct xn_error err;
    o.cache_type = XN_TYPE_COUNT;
    if (xn_context_create(model, &o, &c, &err) != XN_OK) fail_msg("%s", err.message);
    return c;
}

static void open_fixture(struct fixture *f, uint64_t seed, enum test_layers layers, struct xn_context_options o) {
    f->model = test_model(device, seed, layers);
    f->context = context_of(f->model, o);
    draw_tokens(f->tokens, LENGTH, (uint32_t)seed);
    struct xn_context *c =
        context_of(f->model, (struct xn_context_options){.context = LENGTH, .batch = LENGTH, .outputs = LENGTH});
    struct xn_feed feeds[LENGTH];
    uint32_t s;
    assert_int_equal(xn_sequence_new(c, &s, NULL), XN_OK);
    for (uint32_t i = 0; i < LENGTH; i++)
        feeds[i] = (struct xn_feed){s, f->tokens[i], true};
    assert_int_equal(xn_eval(c, feeds, LENGTH, NULL), XN_OK);
    for (uint32_t i = 0; i < LENGTH; i++)
        f->truth[i] = copy_logits(c, i);
    xn_context_free(c);
}

static void close_fixture(struct fixture *f) {
    for (uint32_t i = 0; i < LENGTH; i++)
        free(f->truth[i]);
    xn_context_free(f->context);
    xn_model_close(f->model);
}

static uint32_t new_sequence(struct xn_context *c) {
    uint32_t s;
    struct xn_error err;
    if (xn_sequence_new(c, &s, &err) != XN_OK) fail_msg("%s", err.message);
    return s;
}

// Evaluates the text's tokens up to `to` and holds the last one's logits to the truth.
static void go_on(struct fixture *f, uint32_t s, uint32_t to) {
    struct xn_error err;
    uint32_t from = xn_sequence_length(f->context, s);
    if (xn_eval_prompt(f->context, s, f->tokens + from, to - from, NULL, &err) != XN_OK) fail_msg("%s", err.message);
    assert_int_equal(xn_sequence_length(f->context, s), to);
    assert_memory_equal(xn_sequence_tokens(f->context, s), f->tokens, to * sizeof *f->tokens);
    assert_same(f->truth[to - 1], xn_eval_logits(f->context, UINT32_MAX));
}

// Other tokens behind the text, which a cut must forget.
static void go_astray(struct fixture *f, uint32_t s, uint32_t n) {
    int32_t other[LENGTH];
    draw_tokens(other, (int)n, 77);
    assert_int_equal(xn_eval_prompt(f->context, s, other, n, NULL, NULL), XN_OK);
}

static void cut(struct fixture *f, uint32_t s, uint32_t length) {
    struct xn_error err;
    if (xn_sequence_cut(f->context, s, length, &err) != XN_OK) fail_msg("%s", err.message);
    assert_int_equal(xn_sequence_length(f->context, s), length);
}

static const enum test_layers kinds[] = {ATTENTION_LAYERS, RECURRENT_LAYERS, HYBRID_LAYERS};
enum { KINDS = sizeof kinds / sizeof *kinds };

// In a context of these checkpoints and steps: back to every length, or some, from the end and from just behind.
static void every_length(enum test_layers layers, int32_t checkpoints, uint32_t batch, uint32_t stride) {
    struct fixture f;
    open_fixture(
        &f, 100, layers,
        (struct xn_context_options){.context = 2 * LENGTH, .batch = batch, .sequences = 1, .checkpoints = checkpoints});
    uint32_t s = new_sequence(f.context);
    go_on(&f, s, LENGTH);
    for (uint32_t length = LENGTH; length-- > 0;) {
        if (length % stride) continue;
        cut(&f, s, length);
        go_on(&f, s, length + 1);
        if (length % 16 == 5) go_astray(&f, s, length % 3 ? 1 : 40);
    }
    for (uint32_t length = 1; length < LENGTH; length += 37) {
        go_on(&f, s, LENGTH);
        cut(&f, s, length);
    }
    close_fixture(&f);
}

static void cut_to_every_length(void **state) {
    (void)state;
    for (size_t k = 0; k < KINDS; k++)
        every_length(kinds[k], 0, 32, kinds[k] == HYBRID_LAYERS ? 1 : 5);
}
static void cut_with_one_checkpoint(void **state) {
    (void)state;
    every_length(HYBRID_LAYERS, 1, 7, 7);
}
static void cut_without_checkpoints(void **state) {
    (void)state;
    every_length(RECURRENT_LAYERS, -1, 64, 29);
    every_length(HYBRID_LAYERS, -1, 64, 29);
}

static struct xn_device_table watching;
static const struct xn_device_table *real;
static const struct xn_context *watched;

// No step writes to a page that another sequence holds (a model without attention writes to none).
static int watching_run(struct xn_executor *e, const struct xn_batch *batch, struct xn_error *err) {
    for (uint32_t i = 0; i < batch->n_spans && watched->model->plan.n_cache; i++) {
        const struct xn_span *span = &batch->spans[i];
        for (uint32_t p = span->past / XN_PAGE_SIZE; p * XN_PAGE_SIZE < span->past + span->n_rows; p++)
            if (span->pages[p] != watched->spare_page) assert_int_equal(watched->references[span->pages[p]], 1);
    }
    return real->run(e, batch, err);
}

// Cuts inside what forks share, whatever is free: the others' logits stay bit for bit.
static void forks_share_pages_that_no_cut_overwrites(void **state) {
    (void)state;
    for (size_t k = 0; k < KINDS; k++)
        for (int32_t checkpoints = -1; checkpoints < 2; checkpoints++) {
            struct fixture f;
            open_fixture(&f, 200 + k, kinds[k],
                         (struct xn_context_options){
                             .context = 200, .batch = 48, .sequences = 3, .checkpoints = checkpoints}); // six pages
            uint32_t a = new_sequence(f.context), b, c;
            real = device->table;
            watching = *real;
            watching.run = watching_run;
            watched = f.context;
            device->table = &watching;
            go_on(&f, a, LENGTH - 1);
            go_on(&f, a, LENGTH);
            float *before = copy_logits(f.context, UINT32_MAX);
            cut(&f, a, LENGTH - 1);
            assert_int_equal(xn_sequence_fork(f.context, a, &b, NULL), XN_OK);
            assert_int_equal(xn_sequence_fork(f.context, a, &c, NULL), XN_OK); // five pages are in use
            cut(&f, b, 100);                                                   // in a page that all share
            cut(&f, c, 64);
            cut(&f, b, 70);
            go_astray(&f, b, 20);
            go_on(&f, c, 80);
            assert_int_equal(xn_eval_prompt(f.context, a, f.tokens + LENGTH - 1, 1, NULL, NULL), XN_OK);
            assert_memory_equal(before, xn_eval_logits(f.context, UINT32_MAX), TEST_VOCAB * sizeof *before);
            cut(&f, b, 69);
            go_on(&f, b, 90);
            cut(&f, a, 0);
            go_on(&f, a, 3);
            device->table = real;
            free(before);
            close_fixture(&f);
        }
}

static void a_full_cache_does_not_keep_a_sequence_from_going_back(void **state) {
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        struct fixture f;
        open_fixture(&f, 300 + k, kinds[k],
                     (struct xn_context_options){.context = 128, .batch = 50, .sequences = 2, .checkpoints = -1});
        uint32_t a = new_sequence(f.context), b;
        struct xn_error err;
        go_on(&f, a, 128); // two pages of three
        assert_int_equal(xn_sequence_fork(f.context, a, &b, NULL), XN_OK);
        go_on(&f, b, 150); // and the third
        assert_int_equal(xn_sequence_cut(f.context, a, 100, &err), XN_ERR_LIMIT);
        assert_int_equal(xn_sequence_length(f.context, a), 128);
        cut(&f, a, 64);
        assert_int_equal(xn_eval_prompt(f.context, a, f.tokens, 1, NULL, &err), XN_ERR_LIMIT);
        cut(&f, b, 100); // its own page becomes the copy of the one shared until now
        go_on(&f, b, 128);
        go_on(&f, a, 66);
        close_fixture(&f);
    }
}

static struct xn_device_table failing;
static int fail_after; // calls that succeed; negative: all

static int may_fail(struct xn_error *err) {
    return fail_after < 0 || fail_after-- > 0 ? XN_OK : xn_fail(err, XN_ERR_DEVICE, "the device fails");
}
static int failing_run(struct xn_executor *e, const struct xn_batch *batch, struct xn_error *err) {
    XN_TRY(real->run(e, batch, err)); // a step that fails may have changed the states
    return may_fail(err);
}
static int failing_copy_page(struct xn_executor *e, uint32_t from, uint32_t to, struct xn_error *err) {
    XN_TRY(may_fail(err));
    return real->copy_page(e, from, to, err);
}
static int failing_copy_state(struct xn_executor *e, uint32_t from, uint32_t to, struct xn_error *err) {
    XN_TRY(may_fail(err));
    return real->copy_state(e, from, to, err);
}
static int failing_clear_state(struct xn_executor *e, uint32_t slot, struct xn_error *err) {
    XN_TRY(may_fail(err));
    return real->clear_state(e, slot, err);
}

// Whatever call of the device fails, the sequences are as they were, and go on.
static void a_device_that_fails_changes_nothing(void **state) {
    (void)state;
    real = device->table;
    failing = *real;
    failing.run = failing_run;
    failing.copy_page = failing_copy_page;
    failing.copy_state = failing_copy_state;
    failing.clear_state = failing_clear_state;
    for (size_t k = 0; k < KINDS; k++) {
        struct fixture f;
        open_fixture(&f, 400 + k, kinds[k],
                     (struct xn_context_options){.context = 256, .batch = 20, .sequences = 2, .checkpoints = 2});
        uint32_t a = new_sequence(f.context), b;
        go_on(&f, a, 90);
        device->table = &failing;
        for (int calls = 0; calls < 8; calls++) {
            fail_after = calls;
            if (xn_eval_prompt(f.context, a, f.tokens + 90, 10, NULL, NULL) == XN_OK)
                assert_int_equal(xn_sequence_length(f.context, a), 100);
            else
                assert_int_equal(xn_sequence_length(f.context, a), 90);
            fail_after = -1;
            if (xn_sequence_length(f.context, a) == 90) go_on(&f, a, 100);
            fail_after = calls;
            bool forked = xn_sequence_fork(f.context, a, &b, NULL) == XN_OK;
            fail_after = calls;
            bool did_cut = xn_sequence_cut(f.context, a, 75, NULL) == XN_OK;
            assert_int_equal(xn_sequence_length(f.context, a), did_cut ? 75 : 100);
            fail_after = -1;
            go_on(&f, a, 110);
            if (forked) go_on(&f, b, 110);
            if (forked) xn_sequence_free(f.context, b);
            cut(&f, a, 90);
        }
        device->table = real;
        close_fixture(&f);
    }
}

static void checkpoints_are_bounded_and_spread_with_age(void **state) {
    (void)state;
    struct xn_model *model = test_model(device, 500, RECURRENT_LAYERS);
    struct xn_context *c =
        context_of(model, (struct xn_context_options){.context = 4096, .batch = 16, .sequences = 2, .checkpoints = 6});
    uint32_t s = new_sequence(c), fork;
    int32_t tokens[64];
    draw_tokens(tokens, 64, 1);
    for (int i = 0; i < 30; i++)
        assert_int_equal(xn_eval_prompt(c, s, tokens, 16, NULL, NULL), XN_OK);
    assert_int_equal(xn_sequence_length(c, s), 480);
    const struct xn_sequence *q = &c->sequences[s];
    assert_int_equal(q->n_checkpoints, 6);
    uint32_t position[6];
    for (int i = 0; i < 6; i++)
        position[i] = c->checkpoints[q->checkpoints[i]].position;
    // The last step made the newest; the gaps behind it grow, and what is older than all is not far from the beginning.
    assert_int_equal(position[5], 480 - 16);
    assert_true(position[5] - position[4] <= 32);
    assert_true(position[1] - position[0] > position[5] - position[4]);
    assert_true(position[0] < 350);
    for (int i = 1; i < 6; i++)
        assert_true(position[i] > position[i - 1]);
    assert_int_equal(xn_sequence_resume(c, s, 480), 480);
    assert_int_equal(xn_sequence_resume(c, s, 479), position[5]);
    assert_int_equal(xn_sequence_resume(c, s, position[2]), position[2]);
    assert_int_equal(xn_sequence_resume(c, s, position[0] - 1), 0);

    // A fork shares them, and what one of both lets go the other keeps.
    assert_int_equal(xn_sequence_fork(c, s, &fork, NULL), XN_OK);
    assert_int_equal(c->sequences[fork].n_checkpoints, 6);
    assert_int_equal(xn_sequence_cut(c, s, position[2], NULL), XN_OK);
    assert_int_equal(q->n_checkpoints, 3);
    assert_int_equal(xn_sequence_resume(c, fork, 479), position[5]);
    xn_sequence_free(c, fork);
    for (int i = 0; i < 6; i++)
        assert_int_equal(c->checkpoints[i].references, (uint32_t)(c->checkpoints[i].position <= position[2]));
    // Single tokens: one where they begin, and then one every 64.
    assert_int_equal(xn_sequence_cut(c, s, 0, NULL), XN_OK);
    assert_int_equal(xn_eval_prompt(c, s, tokens, 16, NULL, NULL), XN_OK);
    for (int i = 0; i < 70; i++)
        assert_int_equal(xn_eval_prompt(c, s, tokens, 1, NULL, NULL), XN_OK);
    assert_int_equal(q->n_checkpoints, 2);
    assert_int_equal(xn_sequence_resume(c, s, 79), 16);
    assert_int_equal(xn_sequence_resume(c, s, 85), 80);
    xn_context_free(c);

    struct xn_context_options none = {.context = 64, .checkpoints = -1}, chosen = {.context = 64},
                              many = {.context = 64, .checkpoints = INT32_MAX};
    c = context_of(model, none);
    assert_int_equal(xn_context_options(c)->checkpoints, 0);
    xn_context_free(c);
    c = context_of(model, chosen);
    assert_in_range(xn_context_options(c)->checkpoints, 4, 32);
    xn_context_free(c);
    assert_int_equal(xn_context_create(model, &many, &c, NULL), XN_ERR_LIMIT);
    xn_model_close(model);
    model = test_model(device, 500, ATTENTION_LAYERS);
    c = context_of(model, chosen);
    assert_int_equal(xn_context_options(c)->checkpoints, 0); // there are no states
    xn_context_free(c);
    xn_model_close(model);
}

// Everything computed anew, into pages of its own.
static void a_sequence_rewritten_is_the_same_and_shares_nothing(void **state) {
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        struct fixture f;
        open_fixture(&f, 600 + k, kinds[k],
                     (struct xn_context_options){.context = 192, .batch = 30, .sequences = 2}); // four pages
        uint32_t a = new_sequence(f.context), b;
        struct xn_error err;
        go_on(&f, a, 70);
        assert_int_equal(xn_sequence_fork(f.context, a, &b, NULL), XN_OK); // three of them
        assert_int_equal(xn_sequence_rewrite(f.context, b, NULL), XN_OK);
        assert_int_equal(f.context->n_free, 0);
        assert_int_equal(f.context->references[f.context->sequences[a].pages[0]], 1);
        go_on(&f, b, 128);
        go_on(&f, a, 128);
        cut(&f, b, 0);
        xn_sequence_free(f.context, b);
        assert_int_equal(xn_sequence_fork(f.context, a, &b, NULL), XN_OK);
        go_on(&f, a, LENGTH);
        assert_int_equal(f.context->n_free, 1);
        assert_int_equal(xn_sequence_rewrite(f.context, a, &err), XN_ERR_LIMIT);
        cut(&f, a, 40); // also there
        go_on(&f, a, 60);
        go_on(&f, b, 130);
        close_fixture(&f);
    }
}

int main(void) {
    if (xn_reference_device_open(&device, NULL) != XN_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_to_every_length),
        cmocka_unit_test(cut_with_one_checkpoint),
        cmocka_unit_test(cut_without_checkpoints),
        cmocka_unit_test(forks_share_pages_that_no_cut_overwrites),
        cmocka_unit_test(a_full_cache_does_not_keep_a_sequence_from_going_back),
        cmocka_unit_test(a_device_that_fails_changes_nothing),
        cmocka_unit_test(checkpoints_are_bounded_and_spread_with_age),
        cmocka_unit_test(a_sequence_rewritten_is_the_same_and_shares_nothing),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    device->table->free(device);
    return failed;
}
