// Sequences whose ropes follow their length: however a text comes about (token by token past the border, announced,
// cut back, forked, saved), its logits are those of the whole evaluated at once.
#include "engine/context_internal.h"
#include "engine/context_testing.h"

#include "model/rope.h"

enum { LENGTH = 110, ORIGINAL = 40, STEPS = 5 }; // steps of 5/4 from 40 on: 51, 64, 81, 102, 128

static struct xn_device *device;

enum following { LONGROPE, DYNAMIC };
static const struct {
    enum following following;
    enum test_layers layers;
} cases[] = {{LONGROPE, ATTENTION_LAYERS}, {DYNAMIC, ATTENTION_LAYERS}, {LONGROPE, ANY_LAYERS}, {DYNAMIC, ANY_LAYERS}};
enum { CASES = sizeof cases / sizeof *cases };

struct fixture {
    struct xn_model *model;
    int32_t tokens[LENGTH];
    enum following following;
    uint32_t original;
};

// Gives an attention one of these ropes.
static void follow(const struct fixture *f, struct xn_recipe *recipe, struct xn_mixer *mixer) {
    if (!mixer || mixer->kind != XN_MIXER_ATTENTION) return;
    uint32_t half = mixer->attention.head_size / 2;
    float *frequency = xn_arena_alloc(&recipe->arena, half, sizeof *frequency);
    float *longer = xn_arena_alloc(&recipe->arena, half, sizeof *longer);
    for (uint32_t i = 0; i < half; i++) {
        frequency[i] = powf(10000, -(float)i / (float)half);
        longer[i] = frequency[i] / (1.5f + (float)i);
    }
    mixer->attention.rope = (struct xn_rope){.kind = XN_ROPE_HALVES,
                                             .dims = 2 * half,
                                             .frequency = frequency,
                                             .magnitude = 1,
                                             .original = f->original,
                                             .long_frequency = f->following == LONGROPE ? longer : NULL,
                                             .theta = 10000,
                                             .growth = 6};
}

// Whether some rope follows the length, and all that do are those of `follow` (a random recipe may have its own).
static bool has_these(const struct fixture *f) {
    const struct xn_plan *plan = &f->model->plan;
    for (uint32_t i = 0; i < plan->n_following_ropes; i++)
        if (plan->following_ropes[i]->original != f->original) return false;
    return plan->n_following_ropes > 0;
}

static void open_fixture(struct fixture *f, size_t which, uint32_t original) {
    struct random_recipe_options o = {.seed = 11, .n_layers = 2, .type = XN_BF16};
    o.attention_only = cases[which].layers == ATTENTION_LAYERS;
    f->following = cases[which].following;
    f->original = original;
    draw_tokens(f->tokens, LENGTH, 5);
    for (;; o.seed++) {
        struct xn_recipe recipe;
        struct xn_error err;
        assert_int_equal(random_recipe(&o, &recipe), XN_OK);
        for (uint32_t i = 0; i < recipe.n_layers; i++) {
            follow(f, &recipe, &recipe.layers[i].mixer);
            follow(f, &recipe, recipe.layers[i].beside);
        }
        if (xn_model_from_recipe(&recipe, device, &f->model, &err) != XN_OK) fail_msg("%s", err.message);
        if (has_these(f) && (o.attention_only || f->model->plan.n_states)) return;
        xn_model_close(f->model);
    }
}

static struct xn_context *context_of(const struct fixture *f, uint32_t positions, uint32_t sequences) {
    struct xn_context_options o = {
        .context = positions, .batch = LENGTH, .sequences = sequences, .cache_type = XN_TYPE_COUNT};
    struct xn_context *c;
    struct xn_error err;
    if (xn_context_create(f->model, &o, &c, &err) != XN_OK) fail_msg("%s", err.message);
    return c;
}

static uint32_t new_sequence(struct xn_context *c) {
    uint32_t s;
    struct xn_error err;
    if (xn_sequence_new(c, &s, &err) != XN_OK) fail_msg("%s", err.message);
    return s;
}

// The tokens up to `to`, in one step.
static void go_on(const struct fixture *f, struct xn_context *c, uint32_t s, uint32_t to) {
    struct xn_feed feeds[LENGTH];
    struct xn_error err;
    uint32_t from = xn_sequence_length(c, s);
    for (uint32_t i = from; i < to; i++)
        feeds[i - from] = (struct xn_feed){s, f->tokens[i], i + 1 == to};
    if (xn_eval(c, feeds, to - from, &err) != XN_OK) fail_msg("%s", err.message);
}

// Logits after n tokens, evaluated at once by a context of its own. 0: nothing announced; else the length expected.
static float *truth(const struct fixture *f, uint32_t n, uint32_t exact) {
    struct xn_context *c = context_of(f, LENGTH, 1);
    uint32_t s = new_sequence(c);
    if (exact) assert_int_equal(xn_sequence_expect(c, s, exact, true, NULL), XN_OK);
    go_on(f, c, s, n);
    float *logits = copy_logits(c, n - 1);
    xn_context_free(c);
    return logits;
}

static void check(const struct fixture *f, struct xn_context *c, uint32_t s, uint32_t exact) {
    float *expected = truth(f, xn_sequence_length(c, s), exact);
    assert_same(expected, xn_eval_logits(c, UINT32_MAX));
    free(expected);
}

static bool differ(const float *a, const float *b) {
    double difference = 0, norm = 0;
    for (int i = 0; i < TEST_VOCAB; i++) {
        difference += pow(a[i] - b[i], 2);
        norm += pow(a[i], 2);
    }
    return difference > 1e-8 * norm;
}

// Token by token past the border: as evaluated at once. Computed anew a few times alone.
static void growth_is_as_at_once(void **state) {
    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        struct fixture f;
        open_fixture(&f, i, ORIGINAL);
        struct xn_context *c = context_of(&f, LENGTH, 1);
        uint32_t s = new_sequence(c), sets = 0, last = 0;
        for (uint32_t n = 1; n <= LENGTH; n++) {
            go_on(&f, c, s, n);
            uint32_t set = xn_rope_set(f.model->plan.following_ropes[0], c->sequences[s].rope_length);
            sets += set != last;
            last = set;
            if (n % 9 == 0 || (n >= ORIGINAL && n <= ORIGINAL + 2)) check(&f, c, s, 0);
        }
        assert_int_equal(sets, f.following == LONGROPE ? 1 : STEPS);
        xn_context_free(c);
        xn_model_close(f.model);
    }
}

// What is announced is computed once, and exactly so where that is wanted.
static void announced_lengths(void **state) {
    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        struct fixture f;
        struct xn_error err;
        open_fixture(&f, i, ORIGINAL);
        struct xn_context *c = context_of(&f, 2 * LENGTH, 2);
        float *whole = truth(&f, 60, 0), *part = truth(&f, 30, 0), *part_of_60 = truth(&f, 30, 60),
              *exact = truth(&f, 60, 60);
        assert_true(differ(part, part_of_60));
        assert_int_equal(differ(whole, exact), f.following == DYNAMIC);
        uint32_t s = new_sequence(c);
        assert_int_equal(xn_sequence_expect(c, s, 60, true, &err), XN_OK);
        go_on(&f, c, s, 30);
        assert_same(part_of_60, xn_eval_logits(c, UINT32_MAX));
        go_on(&f, c, s, 60);
        assert_same(exact, xn_eval_logits(c, UINT32_MAX));
        assert_int_equal(xn_sequence_expect(c, s, 61, true, &err), XN_OK); // a step longer, exactly
        go_on(&f, c, s, 61);
        check(&f, c, s, 61);
        go_on(&f, c, s, 62); // longer than was said
        check(&f, c, s, 0);
        assert_int_equal(xn_sequence_expect(c, s, 1000, false, &err), XN_OK); // then it stays shorter
        assert_int_equal(xn_sequence_cut(c, s, 20, &err), XN_OK);             // a cut forgets what was said
        go_on(&f, c, s, 30);
        assert_same(part, xn_eval_logits(c, UINT32_MAX));
        xn_sequence_free(c, s);
        s = new_sequence(c); // a prompt announces itself
        assert_int_equal(xn_eval_prompt(c, s, f.tokens, 60, NULL, &err), XN_OK);
        assert_same(whole, xn_eval_logits(c, UINT32_MAX));
        assert_int_equal(xn_sequence_expect(c, 7, 1, true, &err), XN_ERR_ARGUMENT);
        assert_int_equal(xn_eval_prompt(c, 7, f.tokens, 60, NULL, &err), XN_ERR_ARGUMENT);
        free(whole);
        free(part);
        free(part_of_60);
        free(exact);
        xn_context_free(c);
        xn_model_close(f.model);
    }
}

static void back_and_forth(void **state) {
    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        struct fixture f;
        struct xn_error err;
        uint32_t fork, restored;
        void *saved;
        size_t size;
        open_fixture(&f, i, ORIGINAL);
        struct xn_context *c = context_of(&f, 4 * LENGTH, 4);
        uint32_t s = new_sequence(c);
        go_on(&f, c, s, 70);
        assert_int_equal(xn_sequence_cut(c, s, 35, &err), XN_OK);
        go_on(&f, c, s, 36); // below the border again
        check(&f, c, s, 0);
        assert_int_equal(xn_sequence_fork(c, s, &fork, &err), XN_OK);
        go_on(&f, c, fork, 66); // the fork passes it alone
        check(&f, c, fork, 0);
        go_on(&f, c, s, 39);
        check(&f, c, s, 0);
        assert_int_equal(xn_sequence_save(c, fork, true, &saved, &size, &err), XN_OK);
        if (xn_sequence_restore(c, saved, size, "saved", &restored, &err) != XN_OK) fail_msg("%s", err.message);
        assert_int_equal(c->sequences[restored].rope_length, c->sequences[fork].rope_length);
        go_on(&f, c, restored, 90);
        check(&f, c, restored, 0);
        // A length that these keys can't have been computed for.
        uint32_t wrong = 65;
        memcpy((char *)saved + 8 + 9 * 4, &wrong, 4);
        assert_int_equal(xn_sequence_restore(c, saved, size, "saved", &restored, &err), XN_ERR_FORMAT);
        assert_non_null(strstr(err.message, "rope_length: found 65 for 66 positions"));
        free(saved);
        // Two sequences in one step, on different sides of the border.
        struct xn_feed feeds[2] = {{s, f.tokens[39], true}, {fork, f.tokens[66], true}};
        assert_int_equal(xn_eval(c, feeds, 2, &err), XN_OK);
        float *a = truth(&f, 40, 0), *b = truth(&f, 67, 0);
        assert_same(a, xn_eval_logits(c, 0));
        assert_same(b, xn_eval_logits(c, 1));
        free(a);
        free(b);
        xn_context_free(c);
        xn_model_close(f.model);
    }
}

// Passing the border takes pages of its own for what is shared; without them nothing changes.
static void no_room_to_compute_anew(void **state) {
    (void)state;
    struct fixture f;
    struct xn_error err;
    open_fixture(&f, 0, 70);                       // behind a full page
    struct xn_context *c = context_of(&f, 130, 2); // 4 pages
    uint32_t a = new_sequence(c), b;
    go_on(&f, c, a, 66);
    assert_int_equal(xn_sequence_fork(c, a, &b, &err), XN_OK);
    go_on(&f, c, a, 70);
    assert_int_equal(c->n_free, 1);
    struct xn_feed feed = {a, f.tokens[70], true};
    int32_t page = xn_take_page(c);
    assert_int_equal(xn_eval(c, &feed, 1, &err), XN_ERR_LIMIT);
    assert_int_equal(xn_sequence_length(c, a), 70);
    c->references[page] = 0;
    c->free_pages[c->n_free++] = page;
    go_on(&f, c, a, 71);
    check(&f, c, a, 0);
    go_on(&f, c, b, 71); // nothing is shared any more
    check(&f, c, b, 0);
    xn_context_free(c);
    xn_model_close(f.model);
}

static void nothing_to_other_models(void **state) {
    (void)state;
    struct fixture f;
    struct xn_error err;
    draw_tokens(f.tokens, LENGTH, 5);
    for (uint64_t seed = 3;; seed++) {
        f.model = test_model(device, seed, ATTENTION_LAYERS);
        if (f.model->plan.n_following_ropes == 0) break;
        xn_model_close(f.model);
    }
    struct xn_context *c = context_of(&f, LENGTH, 1);
    uint32_t s = new_sequence(c);
    assert_int_equal(xn_sequence_expect(c, s, 1000000, true, &err), XN_OK);
    go_on(&f, c, s, 50);
    assert_int_equal(c->sequences[s].rope_length, 0);
    check(&f, c, s, 0);
    xn_context_free(c);
    xn_model_close(f.model);
}

int main(void) {
    if (xn_reference_device_open(&device, NULL) != XN_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(growth_is_as_at_once),    cmocka_unit_test(announced_lengths),
        cmocka_unit_test(back_and_forth),          cmocka_unit_test(no_room_to_compute_anew),
        cmocka_unit_test(nothing_to_other_models),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    device->table->free(device);
    return failed;
}
