// Saved sequences: restored anywhere they go on as if nothing had been; anything damaged is refused.
#include "base/file.h"
#include "engine/context_internal.h"
#include "engine/context_testing.h"

#include <stdio.h>
#include <unistd.h>

enum { LENGTH = 150, MIDDLE = 101 };

static struct xn_device *device;
static const enum test_layers kinds[] = {ATTENTION_LAYERS, RECURRENT_LAYERS, HYBRID_LAYERS};
enum { KINDS = sizeof kinds / sizeof *kinds };

static struct xn_context *context_of(struct xn_model *model, uint32_t positions, int32_t checkpoints) {
    struct xn_context *c;
    struct xn_context_options o = {
        .context = positions, .batch = 40, .sequences = 2, .cache_type = XN_TYPE_COUNT, .checkpoints = checkpoints};
    assert_int_equal(xn_context_create(model, &o, &c, NULL), XN_OK);
    return c;
}

static void evaluate(struct xn_context *c, uint32_t s, const int32_t *tokens, uint32_t n) {
    struct xn_error err;
    if (xn_eval_prompt(c, s, tokens, n, NULL, &err) != XN_OK) fail_msg("%s", err.message);
}

struct fixture {
    struct xn_model *model;
    struct xn_context *context;
    int32_t tokens[LENGTH];
    uint32_t sequence; // holds MIDDLE of them
    float *last;       // logits after all
    void *saved;       // of the middle, with checkpoints
    size_t size;
};

static void open_fixture(struct fixture *f, enum test_layers layers) {
    f->model = test_model(device, 7, layers);
    f->context = context_of(f->model, 2 * LENGTH, 0);
    draw_tokens(f->tokens, LENGTH, 1);
    assert_int_equal(xn_sequence_new(f->context, &f->sequence, NULL), XN_OK);
    evaluate(f->context, f->sequence, f->tokens, LENGTH);
    f->last = copy_logits(f->context, UINT32_MAX);
    assert_int_equal(xn_sequence_cut(f->context, f->sequence, MIDDLE, NULL), XN_OK);
    assert_int_equal(xn_sequence_save(f->context, f->sequence, true, &f->saved, &f->size, NULL), XN_OK);
}

static void close_fixture(struct fixture *f) {
    free(f->saved);
    free(f->last);
    xn_context_free(f->context);
    xn_model_close(f->model);
}

static void restored_sequences_go_on(void **state) {
    (void)state;
    for (size_t k = 0; k < KINDS; k++)
        for (int32_t checkpoints = -1; checkpoints <= 2; checkpoints++) {
            struct fixture f;
            open_fixture(&f, kinds[k]);
            struct xn_error err;
            // Beside the one it was saved from, and in a context of other sizes.
            struct xn_context *other = context_of(f.model, LENGTH + 50, checkpoints);
            struct xn_context *const contexts[] = {f.context, other};
            for (size_t i = 0; i < 2; i++) {
                uint32_t s;
                if (xn_sequence_restore(contexts[i], f.saved, f.size, "saved", &s, &err) != XN_OK)
                    fail_msg("%s", err.message);
                assert_int_equal(xn_sequence_length(contexts[i], s), MIDDLE);
                assert_memory_equal(xn_sequence_tokens(contexts[i], s), f.tokens, MIDDLE * sizeof *f.tokens);
                evaluate(contexts[i], s, f.tokens + MIDDLE, LENGTH - MIDDLE);
                assert_same(f.last, xn_eval_logits(contexts[i], UINT32_MAX));
                assert_int_equal(xn_sequence_cut(contexts[i], s, 77, &err), XN_OK);
                evaluate(contexts[i], s, f.tokens + 77, LENGTH - 77);
                assert_same(f.last, xn_eval_logits(contexts[i], UINT32_MAX));
                xn_sequence_free(contexts[i], s);
            }
            evaluate(f.context, f.sequence, f.tokens + MIDDLE, LENGTH - MIDDLE);
            assert_same(f.last, xn_eval_logits(f.context, UINT32_MAX));
            xn_context_free(other);
            close_fixture(&f);
        }
}

static void checkpoints_go_along_where_asked(void **state) {
    (void)state;
    struct fixture f;
    open_fixture(&f, HYBRID_LAYERS);
    uint32_t s, resume = xn_sequence_resume(f.context, f.sequence, 95);
    assert_int_equal(resume, 80);
    void *bare;
    size_t size;
    assert_int_equal(xn_sequence_save(f.context, f.sequence, false, &bare, &size, NULL), XN_OK);
    assert_true(size < f.size);
    struct xn_context *other = context_of(f.model, LENGTH, 1);
    assert_int_equal(xn_sequence_restore(other, f.saved, f.size, "saved", &s, NULL), XN_OK);
    assert_int_equal(xn_sequence_resume(other, s, 95), resume); // the last of them
    xn_sequence_free(other, s);
    assert_int_equal(xn_sequence_restore(other, bare, size, "bare", &s, NULL), XN_OK);
    assert_int_equal(xn_sequence_resume(other, s, 95), 0);
    evaluate(other, s, f.tokens + MIDDLE, 1);
    assert_int_equal(xn_sequence_resume(other, s, MIDDLE), MIDDLE); // where it goes on from becomes one
    free(bare);
    xn_context_free(other);
    close_fixture(&f);
}

static void files_hold_the_same(void **state) {
    (void)state;
    struct fixture f;
    struct xn_error err;
    open_fixture(&f, HYBRID_LAYERS);
    char folder[] = "/tmp/xenon-saved-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/sequence", folder);
    uint32_t s;
    assert_int_equal(xn_sequence_restore_file(f.context, path, &s, &err), XN_ERR_IO);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(xn_sequence_save_file(f.context, f.sequence, true, path, &err), XN_OK);
    char *data;
    size_t size;
    assert_int_equal(xn_read_file(path, 1 << 30, &data, &size, NULL), XN_OK);
    assert_int_equal(size, f.size);
    assert_memory_equal(data, f.saved, size);
    free(data);
    assert_int_equal(xn_sequence_restore_file(f.context, path, &s, &err), XN_OK);
    evaluate(f.context, s, f.tokens + MIDDLE, LENGTH - MIDDLE);
    assert_same(f.last, xn_eval_logits(f.context, UINT32_MAX));
    unlink(path);
    assert_int_equal(xn_sequence_save_file(f.context, f.sequence, true, "/no/such/folder", &err), XN_ERR_IO);
    assert_int_equal(xn_sequence_save_file(f.context, 2, true, path, &err), XN_ERR_ARGUMENT);
    assert_int_equal(rmdir(folder), 0); // nothing was left there
    close_fixture(&f);
}

static void an_empty_sequence_is_saved_too(void **state) {
    (void)state;
    struct fixture f;
    open_fixture(&f, HYBRID_LAYERS);
    uint32_t s;
    void *saved;
    size_t size;
    assert_int_equal(xn_sequence_cut(f.context, f.sequence, 0, NULL), XN_OK);
    assert_int_equal(xn_sequence_save(f.context, f.sequence, true, &saved, &size, NULL), XN_OK);
    assert_int_equal(xn_sequence_restore(f.context, saved, size, "empty", &s, NULL), XN_OK);
    assert_int_equal(xn_sequence_length(f.context, s), 0);
    evaluate(f.context, s, f.tokens, LENGTH);
    assert_same(f.last, xn_eval_logits(f.context, UINT32_MAX));
    free(saved);
    close_fixture(&f);
}

// Restores a changed copy, which must fail, say so, and leave the context as it was.
static void refuse(struct fixture *f, const void *data, size_t size, int status, const char *says) {
    struct xn_error err;
    uint32_t s = 99, free_pages = f->context->n_free;
    assert_int_equal(xn_sequence_restore(f->context, data, size, "FILE", &s, &err), status);
    if (!strstr(err.message, "FILE") || !strstr(err.message, says))
        fail_msg("\"%s\" does not say \"%s\"", err.message, says);
    assert_int_equal(s, 99);
    assert_int_equal(f->context->n_free, free_pages);
    assert_false(f->context->sequences[1 - f->sequence].used);
}

// Writes a value at an offset and makes the checksum right again.
static void forge(struct fixture *f, char *copy, size_t offset, uint32_t value) {
    memcpy(copy, f->saved, f->size);
    memcpy(copy + offset, &value, sizeof value);
    uint64_t hash = 0, word;
    for (size_t i = 0; i + 8 < f->size; i += 8) {
        memcpy(&word, copy + i, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    memcpy(copy + f->size - 8, &hash, 8);
}

static void what_does_not_fit_is_refused(void **state) {
    (void)state;
    static const char *const fields[] = {"version",      "vocab",        "hidden",    "operations",
                                         "cache_layers", "state_layers", "cache_type"};
    enum { HEADER = 8, LENGTH_AT = HEADER + 28, CHECKPOINTS_AT = HEADER + 32, TOTAL_AT = HEADER + 48, TOKENS_AT = 64 };
    struct fixture f;
    open_fixture(&f, HYBRID_LAYERS);
    char *copy = malloc(f.size + 8);
    forge(&f, copy, LENGTH_AT, MIDDLE); // the forger's checksum is right
    assert_memory_equal(copy, f.saved, f.size);
    refuse(&f, copy, 0, XN_ERR_FORMAT, "offset 0");
    refuse(&f, copy, 71, XN_ERR_FORMAT, "offset 0");
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        forge(&f, copy, HEADER + 4 * i, 12345);
        refuse(&f, copy, f.size, XN_ERR_UNSUPPORTED, fields[i]);
    }
    forge(&f, copy, HEADER + 24, XN_Q8_0);
    refuse(&f, copy, f.size, XN_ERR_UNSUPPORTED, "cache_type: found 8 (Q8_0), expected 0 (F32)");
    forge(&f, copy, HEADER + 40, 1);
    refuse(&f, copy, f.size, XN_ERR_UNSUPPORTED, "fingerprint");
    forge(&f, copy, LENGTH_AT, UINT32_MAX);
    refuse(&f, copy, f.size, XN_ERR_LIMIT, "length");
    forge(&f, copy, LENGTH_AT, MIDDLE + 1);
    refuse(&f, copy, f.size, XN_ERR_FORMAT, "bytes");
    forge(&f, copy, CHECKPOINTS_AT, UINT32_MAX);
    refuse(&f, copy, f.size, XN_ERR_FORMAT, "checkpoints");
    forge(&f, copy, CHECKPOINTS_AT, MIDDLE);
    refuse(&f, copy, f.size, XN_ERR_FORMAT, "bytes");
    forge(&f, copy, TOTAL_AT, 1);
    refuse(&f, copy, f.size, XN_ERR_FORMAT, "bytes");
    forge(&f, copy, TOKENS_AT + 4 * 3, TEST_VOCAB);
    refuse(&f, copy, f.size, XN_ERR_FORMAT, "offset 76: token 3: found 97, expected less than 97");
    forge(&f, copy, TOKENS_AT, UINT32_MAX);
    refuse(&f, copy, f.size, XN_ERR_FORMAT, "token 0");
    forge(&f, copy, TOKENS_AT + 4 * (MIDDLE + 1), MIDDLE + 1);
    refuse(&f, copy, f.size, XN_ERR_FORMAT, "checkpoint 0");
    forge(&f, copy, TOKENS_AT + 4 * (MIDDLE + 2), 40); // as the first one
    refuse(&f, copy, f.size, XN_ERR_FORMAT, "checkpoint 1: found position 40, expected 41 to 101");
    forge(&f, copy, TOKENS_AT, 5);
    refuse(&f, copy, f.size - 8, XN_ERR_FORMAT, "bytes");
    refuse(&f, copy, f.size + 8, XN_ERR_FORMAT, "bytes");
    copy[f.size / 2] ^= 1;
    refuse(&f, copy, f.size, XN_ERR_FORMAT, "checksum");
    refuse(&f, copy + 4, f.size - 4, XN_ERR_ARGUMENT, "multiple of 8");
    // Whatever byte is another: refused.
    for (size_t i = 0; i < f.size; i += i < 900 ? 1 : 997) {
        memcpy(copy, f.saved, f.size);
        copy[i] ^= 0x20;
        uint32_t s;
        assert_int_not_equal(xn_sequence_restore(f.context, copy, f.size, "FILE", &s, NULL), XN_OK);
    }
    free(copy);

    // No room, no sequence, another model of the same sizes.
    uint32_t s;
    assert_int_equal(xn_sequence_new(f.context, &s, NULL), XN_OK);
    assert_int_equal(xn_sequence_restore(f.context, f.saved, f.size, "FILE", &s, NULL), XN_ERR_LIMIT);
    xn_sequence_free(f.context, s);
    struct xn_context *small = context_of(f.model, 64, 0);
    assert_int_equal(xn_sequence_new(small, &s, NULL), XN_OK);
    evaluate(small, s, f.tokens, 64);
    assert_int_equal(xn_sequence_restore(small, f.saved, f.size, "FILE", &s, NULL), XN_ERR_LIMIT);
    xn_context_free(small);
    close_fixture(&f);
}

static void another_training_of_the_same_sizes_is_told_apart(void **state) {
    (void)state;
    struct fixture f;
    open_fixture(&f, ATTENTION_LAYERS);
    ((uint8_t *)f.model->recipe.embedding.data[0])[0] ^= 1; // a weight's last bit
    refuse(&f, f.saved, f.size, XN_ERR_UNSUPPORTED, "another model");
    close_fixture(&f);
}

int main(void) {
    if (xn_reference_device_open(&device, NULL) != XN_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(restored_sequences_go_on),
        cmocka_unit_test(checkpoints_go_along_where_asked),
        cmocka_unit_test(files_hold_the_same),
        cmocka_unit_test(an_empty_sequence_is_saved_too),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(another_training_of_the_same_sizes_is_told_apart),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    device->table->free(device);
    return failed;
}
