// A sequence's logits are the same, bit for bit, whatever else its steps hold: how many others generate beside it,
// whose prompts are computed in the same steps, and in which pieces its own was. So a seed gives the same answer on a
// busy server as on an idle one. Holds on processors of the level avx2 for attention and feed-forwards with weights of
// integer formats; floats (routers, F16) are summed otherwise from some rows on.
#include "device/host.h"
#include "engine/context_testing.h"
#include "processor.h"

enum { PROMPT = 330, ANSWER = 24, OTHERS = 9, SKIPPED = 77 };

static struct xn_device *device;
static struct xn_error err;

// Logits after the prompt and after each token of the answer; the answer's tokens are given. Steps hold `others` other
// sequences' next tokens each, and `piece` rows of another prompt (0: none).
static float *logits_of(struct xn_model *model, const uint32_t *pieces, uint32_t n_pieces, uint32_t others,
                        uint32_t piece) {
    struct xn_context *c;
    struct xn_context_options o = {
        .context = 8192, .batch = 400, .sequences = OTHERS + 2, .outputs = OTHERS + 2, .cache_type = XN_TYPE_COUNT};
    if (xn_context_create(model, &o, &c, &err) != XN_OK) fail_msg("%s", err.message);
    int32_t tokens[PROMPT + ANSWER], other[512];
    draw_tokens(tokens, PROMPT + ANSWER, 7);
    draw_tokens(other, 512, 8);
    uint32_t mine, theirs[OTHERS], long_one;
    assert_int_equal(xn_sequence_new(c, &mine, &err), XN_OK);
    assert_int_equal(xn_sequence_new(c, &long_one, &err), XN_OK);
    for (uint32_t i = 0; i < others; i++) {
        assert_int_equal(xn_sequence_new(c, &theirs[i], &err), XN_OK);
        assert_int_equal(xn_eval_prompt(c, theirs[i], other, 1 + 37 * i, NULL, &err), XN_OK);
    }
    float *all = malloc((size_t)(ANSWER + 1) * TEST_VOCAB * sizeof *all);
    uint32_t at = 0, next = 0, rows_done = 0;
    for (uint32_t step = 0; at < PROMPT + ANSWER; step++) {
        struct xn_feed feeds[400];
        uint32_t n = 0, take = at < PROMPT ? pieces[next++ % n_pieces] : 1;
        for (uint32_t i = 0; i < others; i++)
            feeds[n++] = (struct xn_feed){theirs[i], other[(step + i) % 512], true};
        if (at < PROMPT && take > PROMPT - at) take = PROMPT - at;
        for (uint32_t i = 0; i < take; i++, at++)
            feeds[n++] = (struct xn_feed){mine, tokens[at], at + 1 >= PROMPT};
        uint32_t last = n - 1;
        for (uint32_t i = 0; i < piece; i++)
            feeds[n++] = (struct xn_feed){long_one, other[rows_done++ % 512], false};
        if (xn_eval(c, feeds, n, &err) != XN_OK) fail_msg("%s", err.message);
        if (at >= PROMPT) memcpy(all + (size_t)(at - PROMPT) * TEST_VOCAB, xn_eval_logits(c, last), TEST_VOCAB * 4);
    }
    xn_context_free(c);
    return all;
}

// A random model of attention and plain feed-forwards, all of whose matrices have this format (where rows do not fill
// its blocks they have not) and are by no head's own.
static struct xn_model *model_of(uint32_t type) {
    struct random_recipe_options o = {.type = type, .n_layers = 2, .attention_only = true, .dense_only = true};
    for (;; o.seed++) {
        struct xn_recipe recipe;
        struct xn_model *model;
        assert_int_equal(random_recipe(&o, &recipe), XN_OK);
        if (xn_model_from_recipe(&recipe, device, &model, &err) != XN_OK) fail_msg("%s", err.message);
        bool fits = true;
        for (size_t i = 0; i < model->n_weights; i++)
            fits &= model->weights[i]->matrix.type == type;
        for (uint32_t i = 0; i < model->plan.n_ops; i++)
            fits &= model->plan.ops[i].kind != XN_OP_HEADS;
        if (fits) return model;
        xn_model_close(model);
        assert_true(o.seed < 1000);
    }
}

static void logits_do_not_depend_on_what_else_runs(void **state) {
    (void)state;
    static const uint32_t types[] = {XN_Q4_0, XN_Q8_0, XN_Q5_0, XN_IQ4_NL};
    static const uint32_t whole[] = {PROMPT}, some[] = {64, 2, 17, 9, 33}, few[] = {3, 8, 5};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct xn_model *model = model_of(types[i]);
        float *alone = logits_of(model, whole, 1, 0, 0);
        for (uint32_t way = 0; way < 6; way++) {
            float *beside = way == 0   ? logits_of(model, whole, 1, 1, 0)
                            : way == 1 ? logits_of(model, whole, 1, OTHERS, 0)
                            : way == 2 ? logits_of(model, some, 5, 3, 0)
                            : way == 3 ? logits_of(model, whole, 1, 0, 5)
                            : way == 4 ? logits_of(model, few, 3, OTHERS, 40)
                                       : logits_of(model, some, 5, 2, 33);
            for (uint32_t t = 0; t <= ANSWER; t++)
                if (memcmp(alone + t * TEST_VOCAB, beside + t * TEST_VOCAB, TEST_VOCAB * sizeof *alone) != 0)
                    fail_msg("%s: logits of token %u differ (way %u)", xn_format_of(types[i])->name, t, way);
            free(beside);
        }
        free(alone);
        xn_model_close(model);
    }
}

int main(void) {
    device = test_processor("avx2", 2);
    if (!device) return SKIPPED;
    const struct CMUnitTest tests[] = {cmocka_unit_test(logits_do_not_depend_on_what_else_runs)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    device->table->free(device);
    return failed;
}
