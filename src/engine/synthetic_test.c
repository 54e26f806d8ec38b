// Synthetic models of every family: they load, their logits are finite and differ from token to token, and every
// processor level gives those of plain C.
#include "base/file.h"
#include "engine/context.h"
#include "model/synth.h"
#include "recipe_check.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { TOKENS = 40, BATCH = 24, SKIPPED = 77 };

static char folder[] = "/tmp/xenon-synthetic-XXXXXX";
static struct recipe_check check;
static struct xn_error err;

// The logits after each of the tokens, n_vocab a row; free().
static float *logits_of(const char *path, struct xn_device *device, uint32_t vocab) {
    struct xn_model *model;
    struct xn_context *c;
    uint32_t s;
    if (xn_model_open(path, device, NULL, NULL, &model, &err) != XN_OK) fail_msg("%s", err.message);
    struct xn_context_options o = {
        .context = 2 * TOKENS, .batch = BATCH, .sequences = 1, .cache_type = XN_F32, .outputs = BATCH};
    if (xn_context_create(model, &o, &c, &err) != XN_OK) fail_msg("%s", err.message);
    assert_int_equal(xn_sequence_new(c, &s, &err), XN_OK);
    float *all = malloc((size_t)TOKENS * vocab * sizeof *all);
    assert_non_null(all);
    for (uint32_t at = 0; at < TOKENS;) { // a step of many rows, then single ones
        struct xn_feed feeds[BATCH];
        uint32_t n = at == 0 ? BATCH : 1;
        for (uint32_t i = 0; i < n; i++)
            feeds[i] = (struct xn_feed){s, (int32_t)((at + i) * 37 % 256), true};
        if (xn_eval(c, feeds, n, &err) != XN_OK) fail_msg("%s", err.message);
        for (uint32_t i = 0; i < n; i++)
            memcpy(all + (size_t)(at + i) * vocab, xn_eval_logits(c, i), vocab * sizeof *all);
        at += n;
    }
    xn_context_free(c);
    xn_model_close(model);
    return all;
}

// The norm of a - b by that of a.
static double difference(const float *a, const float *b, size_t n) {
    double sum = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        norm += (double)a[i] * a[i];
    }
    return sqrt(sum / norm);
}

static void run_shape(const struct xn_shape *shape) {
    char *path = xn_path_join(folder, "model.gguf");
    struct xn_synth_options options = {.seed = 5};
    if (xn_synth_write(shape, xn_preset_find("BF16"), &options, path, NULL, &err) != XN_OK) fail_msg("%s", err.message);
    uint32_t vocab = shape->vocab;
    float *truth = logits_of(path, check.reference, vocab);
    for (size_t i = 0; i < (size_t)TOKENS * vocab; i++)
        if (!isfinite(truth[i])) fail_msg("%s: logit %zu is %g", shape->name, i, (double)truth[i]);
    for (uint32_t i = 1; i < TOKENS; i++)
        if (!(difference(truth + (size_t)(i - 1) * vocab, truth + (size_t)i * vocab, vocab) > 0.05))
            fail_msg("%s: the logits after tokens %u and %u are nearly the same", shape->name, i - 1, i);
    for (int d = 0; d < check.n_devices; d++) {
        float *got = logits_of(path, check.device[d], vocab);
        double off = difference(truth, got, (size_t)TOKENS * vocab);
        if (!(off < 1e-4)) fail_msg("%s: %s differs by %g", shape->name, check.name[d], off);
        free(got);
    }
    free(truth);
    unlink(path);
    free(path);
}

static void every_family_runs(void **state) {
    (void)state;
    for (size_t i = 0; i < xn_shape_count(); i++)
        if (xn_shape_at(i)->flags & XN_SHAPE_HIDDEN) run_shape(xn_shape_at(i));
}

static int begin(void **state) {
    (void)state;
    recipe_check_open(&check);
    if (check.n_devices == 0) exit(SKIPPED);
    return mkdtemp(folder) ? 0 : -1;
}
static int end(void **state) {
    (void)state;
    recipe_check_close(&check);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_family_runs)};
    return cmocka_run_group_tests(tests, begin, end);
}
