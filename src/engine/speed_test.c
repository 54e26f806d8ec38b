// Speed measurement on a tiny model: what is run, what it costs, how tests are called. (Perplexity over it too: both
// need a model.)
#include "base/memory.h"
#include "engine/perplexity.h"
#include "engine/speed.h"
#include "model/synth.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct xn_device *device;
static struct xn_error err;

static struct xn_model *open_shape(const char *shape, const char *preset) {
    char folder[] = "/tmp/xenon-speed-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *path = xn_format("%s/model.gguf", folder);
    struct xn_synth_options options = {.seed = 1};
    struct xn_model *model = NULL;
    int status = xn_synth_write(xn_shape_find(shape), xn_preset_find(preset), &options, path, NULL, &err);
    if (status == XN_OK) status = xn_model_open(path, device, NULL, NULL, &model, &err);
    unlink(path); // what is mapped stays
    rmdir(folder);
    free(path);
    if (status != XN_OK) fail_msg("%s %s: %s", shape, preset, err.message);
    return model;
}

static void names_of_tests(void **state) {
    (void)state;
    char name[48];
    xn_speed_name(&(struct xn_speed_test){.prompt = 512}, name);
    assert_string_equal(name, "pp512");
    xn_speed_name(&(struct xn_speed_test){.generate = 128}, name);
    assert_string_equal(name, "tg128");
    xn_speed_name(&(struct xn_speed_test){.generate = 1, .depth = 4096}, name);
    assert_string_equal(name, "tg1 @ d4096");
    xn_speed_name(&(struct xn_speed_test){.generate = 32, .depth = 100, .sequences = 8}, name);
    assert_string_equal(name, "tg32 x8 @ d100");
}

static void statistics(void **state) {
    (void)state;
    double mean, deviation;
    xn_speed_statistics((double[]){2, 4, 4, 4, 5, 5, 7, 9}, 8, &mean, &deviation);
    assert_true(mean == 5 && fabs(deviation - sqrt(32.0 / 7)) < 1e-12);
    xn_speed_statistics((double[]){3}, 1, &mean, &deviation);
    assert_true(mean == 3 && deviation == 0);
}

static void tests_run(void **state) {
    (void)state;
    const char *shapes[] = {"tiny-qwen3", "tiny-qwen3.5-moe"};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct xn_model *model = open_shape(shapes[i], "BF16");
        const struct xn_speed_test tests[] = {{.prompt = 7},
                                              {.generate = 3},
                                              {.prompt = 5, .depth = 70},
                                              {.generate = 2, .depth = 9},
                                              {.generate = 2, .depth = 9, .sequences = 3}};
        for (size_t t = 0; t < sizeof tests / sizeof *tests; t++) {
            struct xn_speed speed;
            if (xn_speed_measure(model, &tests[t], 2, XN_TYPE_COUNT, NULL, &speed, &err) != XN_OK)
                fail_msg("%s", err.message);
            assert_true(isfinite(speed.mean) && speed.mean > 0 && speed.deviation >= 0);
        }
        struct xn_speed speed;
        struct xn_speed_test both = {.prompt = 1, .generate = 1};
        struct xn_speed_test prompts = {.prompt = 1, .sequences = 2};
        assert_int_equal(xn_speed_measure(model, &prompts, 1, XN_TYPE_COUNT, NULL, &speed, &err), XN_ERR_ARGUMENT);
        assert_int_equal(xn_speed_measure(model, &both, 1, XN_TYPE_COUNT, NULL, &speed, &err), XN_ERR_ARGUMENT);
        xn_model_close(model);
    }
}

// tiny-qwen3: 8 layers, 2 key heads of 32, so a position holds 8 * 2 * 2 * 32 = 1024 cached values.
static void cost_of_a_token(void **state) {
    (void)state;
    struct xn_model *model = open_shape("tiny-qwen3", "BF16");
    struct xn_recipe_sizes sizes = xn_recipe_sizes(&model->recipe);
    struct xn_speed_test at_0 = {.generate = 2}, at_100 = {.generate = 2, .depth = 100}, prompt = {.prompt = 2};
    struct xn_speed_cost a = xn_speed_cost(model, &at_0, XN_F32), b = xn_speed_cost(model, &at_100, XN_F32);
    assert_true(fabs(b.bytes - a.bytes - 100 * 1024 * 4) < 1);
    assert_true(fabs(a.bytes - (double)sizes.active_bytes - 1 * 1024 * 4) < 1);
    struct xn_speed_cost half = xn_speed_cost(model, &at_100, XN_F16);
    assert_true(fabs(b.bytes - half.bytes - 101 * 1024 * 2) < 1);
    // 8 query heads of 32 a layer: scores and sums of values, 2 operations each
    assert_true(fabs(b.flops - a.flops - 100 * 8 * 8 * 2 * 32 * 2) < 1);
    struct xn_speed_cost p = xn_speed_cost(model, &prompt, XN_F32);
    assert_true(fabs(a.flops - p.flops - 2 * 1024 * 256) < 1); // a prompt computes its head once
    xn_model_close(model);
}

// A recurrent state is read and written; latent attention reads its vectors once, for keys and values.
static void cost_of_states_and_latent_vectors(void **state) {
    (void)state;
    struct xn_model *mamba = open_shape("tiny-mamba2", "BF16"), *latent = open_shape("tiny-deepseek-v3", "BF16");
    struct xn_speed_test at_0 = {.generate = 2}, at_100 = {.generate = 2, .depth = 100};
    double states = 0, cached = 0;
    for (uint32_t i = 0; i < mamba->plan.n_states; i++)
        states += mamba->plan.states[i].recurrent_size;
    assert_true(states > 0);
    double active = (double)xn_recipe_sizes(&mamba->recipe).active_bytes;
    assert_true(fabs(xn_speed_cost(mamba, &at_0, XN_F32).bytes - active - 2 * 4 * states) < 1);
    for (uint32_t i = 0; i < latent->plan.n_cache; i++)
        cached += latent->plan.cache[i].key_size;
    double more = xn_speed_cost(latent, &at_100, XN_F32).bytes - xn_speed_cost(latent, &at_0, XN_F32).bytes;
    assert_true(cached > 0 && fabs(more - 100 * 4 * cached) < 1);
    xn_model_close(mamba);
    xn_model_close(latent);
}

static void perplexity_of_random_tokens(void **state) {
    (void)state;
    struct xn_model *model = open_shape("tiny-llama", "BF16");
    int32_t tokens[70];
    for (int i = 0; i < 70; i++)
        tokens[i] = i * 37 % 1024;
    struct xn_perplexity_options options = {.context = 16, .cache_type = XN_F32};
    struct xn_perplexity all, two;
    if (xn_perplexity_of(model, tokens, 70, &options, NULL, &all, &err) != XN_OK) fail_msg("%s", err.message);
    assert_int_equal(all.chunks, 4);
    assert_int_equal(all.tokens, 4 * 7); // of 16, the 7 that follow the first 9
    // logits have a deviation near 1: about vocabulary * exp(1/2) * noise
    assert_true(all.perplexity > 500 && all.perplexity < 6000 && all.error > 0);
    options.chunks = 2;
    assert_int_equal(xn_perplexity_of(model, tokens, 70, &options, NULL, &two, &err), XN_OK);
    assert_int_equal(two.tokens, 14);
    assert_int_equal(xn_perplexity_of(model, tokens, 31, &options, NULL, &two, &err), XN_ERR_ARGUMENT);
    tokens[3] = 1024;
    assert_int_equal(xn_perplexity_of(model, tokens, 70, &options, NULL, &two, &err), XN_ERR_ARGUMENT);
    xn_model_close(model);
}

// Scores of a chunk do not depend on how it is cut into steps: against one step with all logits.
static void chunks_are_independent(void **state) {
    (void)state;
    struct xn_model *model = open_shape("tiny-qwen3.5", "BF16");
    int32_t tokens[64];
    for (int i = 0; i < 64; i++)
        tokens[i] = i * 101 % 1024;
    struct xn_perplexity_options options = {.context = 32, .cache_type = XN_F32};
    struct xn_perplexity p;
    assert_int_equal(xn_perplexity_of(model, tokens, 64, &options, NULL, &p, &err), XN_OK);
    struct xn_context_options o = {.context = 128, .batch = 64, .sequences = 2, .outputs = 64, .cache_type = XN_F32};
    struct xn_context *context;
    assert_int_equal(xn_context_create(model, &o, &context, &err), XN_OK);
    struct xn_nll_sum sum = {0};
    for (int chunk = 0; chunk < 2; chunk++) {
        struct xn_feed feeds[32];
        uint32_t sequence;
        assert_int_equal(xn_sequence_new(context, &sequence, &err), XN_OK);
        for (int i = 0; i < 32; i++)
            feeds[i] = (struct xn_feed){.sequence = sequence, .token = tokens[32 * chunk + i], .logits = true};
        assert_int_equal(xn_eval(context, feeds, 32, &err), XN_OK);
        for (uint32_t i = 16; i < 31; i++)
            xn_nll_add(&sum, xn_nll(xn_eval_logits(context, i), 1024, feeds[i + 1].token));
    }
    struct xn_perplexity q = xn_nll_perplexity(&sum, 2);
    assert_int_equal(p.tokens, q.tokens);
    if (fabs(p.nll - q.nll) > 1e-5) fail_msg("%.8f, not %.8f", p.nll, q.nll);
    xn_context_free(context);
    xn_model_close(model);
}

static int open_device(void **state) {
    (void)state;
    return xn_reference_device_open(&device, &err);
}
static int close_device(void **state) {
    (void)state;
    device->table->free(device);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_tests),
        cmocka_unit_test(statistics),
        cmocka_unit_test(tests_run),
        cmocka_unit_test(cost_of_a_token),
        cmocka_unit_test(cost_of_states_and_latent_vectors),
        cmocka_unit_test(perplexity_of_random_tokens),
        cmocka_unit_test(chunks_are_independent),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
