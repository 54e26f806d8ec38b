// Steps as command buffers against the same kernels launched one by one: the same values, bit for bit, for every shape
// of step, whatever came before, in parts, and where the driver fails to record.
#include "opencl/recorded.h"

#include "base/log.h"
#include "check/case.h"
#include "check/device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "opencl/testing.h"

static struct xn_check_blocks *blocks;
static int warnings;
static char last_warning[256];

static void count_warnings(void *user, enum xn_log_level level, const char *line) {
    (void)user;
    if (level != XN_LOG_WARNING) return;
    warnings++;
    snprintf(last_warning, sizeof last_warning, "%s", line);
}

// A case on a device that launches and on one that records.
struct both {
    struct xn_check_case *c;
    struct xn_device *device[2];
    struct xn_check_device check[2];
    struct xn_check_weights weights[2];
    struct xn_executor *e[2];
    struct xn_host_memory memory[2];
};
enum { LAUNCHED, RECORDED };

static bool records(struct xn_device *device) {
    return xn_cl_device_of(device)->recording.Create != NULL;
}

static void begin(struct both *b, const struct xn_check_wish *wish) {
    static const enum xn_opencl_way ways[] = {XN_OPENCL_BY_LAUNCHES, XN_OPENCL_BY_BUFFER};
    struct xn_error err;
    if (xn_check_case_make(wish, blocks, &b->c, &err) != XN_OK) fail_msg("%s", err.message);
    for (int i = 0; i < 2; i++) {
        b->device[i] = test_open((struct xn_opencl_options){.cache = test_cache(), .way = ways[i]});
        assert_int_equal(xn_check_device_of(b->device[i], &b->check[i], &err), XN_OK);
        assert_int_equal(xn_host_memory_init(&b->memory[i], &b->c->plan, &b->c->limits, &err), XN_OK);
        // Weights are bound to the plan as an executor is prepared, which reads them then.
        if (xn_check_bind(b->c, b->device[i], &b->weights[i], &err) != XN_OK ||
            b->device[i]->table->prepare(b->device[i], &b->c->plan, &b->c->limits, &b->e[i], &err) != XN_OK ||
            b->check[i].write(b->e[i], &b->c->before, &err) != XN_OK)
            fail_msg("%s", err.message);
    }
}

static void end(struct both *b) {
    for (int i = 0; i < 2; i++) {
        b->device[i]->table->release(b->device[i], b->e[i]);
        xn_check_unbind(&b->weights[i]);
        xn_host_memory_free(&b->memory[i]);
        b->device[i]->table->free(b->device[i]);
    }
    xn_check_case_free(b->c);
}

static void expect_same_bytes(const struct both *b, const char *what, const void *x, const void *y, size_t bytes) {
    if (bytes && memcmp(x, y, bytes) != 0) fail_msg("%s: %s differ", b->c->what, what);
}

// All that either device's executor holds.
static void expect_same(struct both *b) {
    const struct xn_plan *plan = &b->c->plan;
    const struct xn_limits *limits = &b->c->limits;
    const struct xn_host_memory *x = &b->memory[LAUNCHED], *y = &b->memory[RECORDED];
    struct xn_error err;
    for (int i = 0; i < 2; i++)
        if (b->check[i].read(b->e[i], &b->memory[i], &err) != XN_OK) fail_msg("%s", err.message);
    for (int i = 0; i < XN_BUFFERS; i++)
        expect_same_bytes(b, "activations", x->buffer[i], y->buffer[i],
                          (size_t)limits->rows * plan->width[i] * sizeof(float));
    for (uint32_t i = 0; i < plan->n_states; i++)
        expect_same_bytes(b, "states", x->states[i], y->states[i],
                          (size_t)limits->slots * sizeof(float) *
                              ((size_t)plan->states[i].conv_size + plan->states[i].recurrent_size));
    for (uint32_t i = 0; i < plan->n_cache; i++) {
        const struct xn_cache_layer *c = &plan->cache[i];
        size_t positions = (size_t)limits->pages * limits->page_size;
        struct xn_cache_layer keys = *c, values = *c;
        keys.value_size = values.key_size = 0;
        expect_same_bytes(b, "keys", x->cache[i].keys, y->cache[i].keys,
                          xn_cache_layer_bytes(&keys, limits->cache_type, (uint32_t)positions));
        expect_same_bytes(b, "values", x->cache[i].values, y->cache[i].values,
                          xn_cache_layer_bytes(&values, limits->cache_type, (uint32_t)positions));
    }
    expect_same_bytes(b, "logits", x->logits, y->logits, (size_t)limits->outputs * plan->vocab * sizeof(float));
}

// The first rows of the case's batch, which is one sequence's.
static struct xn_batch first_rows(const struct xn_check_case *c, uint32_t rows, uint32_t outputs,
                                  struct xn_span *span) {
    struct xn_batch batch = c->batch;
    assert_int_equal(c->batch.n_spans, 1);
    *span = c->batch.spans[0];
    span->n_rows = batch.n_rows = rows;
    batch.spans = span;
    batch.n_outputs = outputs;
    return batch;
}

static void run_both(struct both *b, uint32_t rows, uint32_t outputs) {
    struct xn_span span;
    struct xn_batch batch = first_rows(b->c, rows, outputs, &span);
    struct xn_error err;
    for (int i = 0; i < 2; i++)
        if (b->device[i]->table->run(b->e[i], &batch, &err) != XN_OK) fail_msg("%s", err.message);
    expect_same(b);
}

static void expect_way(struct both *b, const char *expected) {
    const char *how;
    uint32_t launched = b->device[LAUNCHED]->table->launches(b->e[LAUNCHED], &how);
    assert_string_equal(how, "launches");
    assert_int_equal(b->device[RECORDED]->table->launches(b->e[RECORDED], &how), launched);
    assert_string_equal(how, expected);
    assert_true(launched > 1);
}

// Few rows after many and the other way about: the batch's buffer grows in between, so that what was recorded before is
// recorded again; and every step adds to what the one before left.
static void steps_are_the_same(void **unused) {
    (void)unused;
    static const struct xn_check_wish wishes[] = {
        {.kind = XN_OP_PROJECT_ADD, .type = XN_Q8_0, .rows = 40, .columns = 256, .outputs = 256, .copies = 5},
        {.kind = XN_OP_EXPERT_ADD, .type = XN_Q4_0, .rows = 40, .columns = 64, .outputs = 64, .copies = 3},
        {.kind = XN_OP_PROJECT, .type = XN_Q4_K, .rows = 40, .columns = 256, .cache_type = XN_Q8_0, .copies = 3},
        {.kind = XN_OP_DELTA_NET, .type = XN_TYPE_COUNT, .rows = 40, .copies = 2},
        {.kind = XN_OP_STATE_SPACE, .type = XN_TYPE_COUNT, .rows = 40, .copies = 2},
        {.kind = XN_OP_ATTEND, .type = XN_F16, .rows = 40, .past = 700, .copies = 2},
    };
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
        struct xn_check_wish wish = wishes[i];
        struct both b = {0};
        wish.plain = true;
        wish.seed = 7 + i;
        begin(&b, &wish);
        bool can = records(b.device[RECORDED]);
        static const uint32_t rows[] = {1, 1, 5, 40, 9, 1, 40, 8, 1};
        uint64_t grown = 0, size = 0;
        for (size_t j = 0; j < sizeof rows / sizeof *rows; j++) {
            run_both(&b, rows[j], 0);
            expect_way(&b, can ? "command buffer" : "launches");
            grown += size && b.e[RECORDED]->size[XN_CL_STEP] > size;
            size = b.e[RECORDED]->size[XN_CL_STEP];
        }
        assert_true(grown >= 1);
        assert_true(b.e[RECORDED]->n_recorded == (can ? 2 : 0)); // few rows and many
        end(&b);
    }
}

// Rows and those whose logits are wanted have shapes of their own, and logits that nobody wants no launch.
static void logits_are_the_same(void **unused) {
    (void)unused;
    struct both b = {0};
    begin(&b,
          &(struct xn_check_wish){
              .kind = XN_OP_HEAD, .type = XN_Q8_0, .rows = 40, .columns = 256, .plain = true, .copies = 2, .seed = 3});
    static const uint32_t steps[][2] = {{1, 1}, {40, 1}, {40, 40}, {12, 9}, {5, 3}, {40, 40}, {1, 1}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        run_both(&b, steps[i][0], steps[i][1]);
        expect_way(&b, records(b.device[RECORDED]) ? "command buffer" : "launches");
    }
    run_both(&b, 40, 0);
    const char *how;
    assert_int_equal(b.device[RECORDED]->table->launches(b.e[RECORDED], &how), 0);
    end(&b);
}

// As a split model has them: the same operations in parts, each of them a buffer.
static void parts_are_the_same(void **unused) {
    (void)unused;
    enum { COPIES = 6 };
    struct both b = {0};
    struct xn_span span;
    struct xn_error err;
    begin(&b, &(struct xn_check_wish){.kind = XN_OP_PROJECT_ADD,
                                      .type = XN_Q8_0,
                                      .rows = 20,
                                      .columns = 256,
                                      .outputs = 256,
                                      .plain = true,
                                      .copies = COPIES,
                                      .seed = 11});
    for (uint32_t step = 0; step < 3; step++) {
        struct xn_batch batch = first_rows(b.c, step == 1 ? 20 : 2, 0, &span);
        for (int i = 0; i < 2; i++) {
            const struct xn_device_table *t = b.device[i]->table;
            if (t->run_part(b.e[i], &batch, 0, 2, &err) != XN_OK || t->run_part(b.e[i], NULL, 2, 1, &err) != XN_OK ||
                t->run_part(b.e[i], NULL, 3, COPIES - 3, &err) != XN_OK)
                fail_msg("%s", err.message);
        }
        expect_same(&b);
        expect_way(&b, records(b.device[RECORDED]) ? "command buffer" : "launches");
    }
    assert_int_equal(b.e[RECORDED]->n_recorded, records(b.device[RECORDED]) ? 5 : 0); // of few rows 2, of many 3
    end(&b);
}

// --- a driver that fails to record ---

static struct xn_cl_recording real;
static int countdown, created, released;

static bool fails(void) {
    return countdown-- == 0;
}
static xn_cl_command_buffer CL_API_CALL create(cl_uint n, const cl_command_queue *q, const void *p, cl_int *code) {
    if (fails()) {
        *code = CL_OUT_OF_HOST_MEMORY;
        return NULL;
    }
    created++;
    return real.Create(n, q, p, code);
}
static cl_int CL_API_CALL record_kernel(xn_cl_command_buffer b, cl_command_queue q, const void *p, cl_kernel k,
                                        cl_uint d, const size_t *o, const size_t *g, const size_t *l, cl_uint n,
                                        const cl_uint *w, cl_uint *s, void *h) {
    return fails() ? CL_OUT_OF_RESOURCES : real.NDRangeKernel(b, q, p, k, d, o, g, l, n, w, s, h);
}
static cl_int CL_API_CALL finalize(xn_cl_command_buffer b) {
    return fails() ? CL_INVALID_OPERATION : real.Finalize(b);
}
static cl_int CL_API_CALL enqueue(cl_uint n, cl_command_queue *q, xn_cl_command_buffer b, cl_uint w, const cl_event *l,
                                  cl_event *e) {
    return fails() ? CL_INVALID_VALUE : real.Enqueue(n, q, b, w, l, e);
}
static cl_int CL_API_CALL release(xn_cl_command_buffer b) {
    released++;
    return real.Release(b);
}

// At each of its calls: the step is launched, with one warning, and so are those that follow.
static void a_driver_may_fail_to_record(void **unused) {
    (void)unused;
    static const struct xn_check_wish wish = {.kind = XN_OP_PROJECT_ADD,
                                              .type = XN_Q8_0,
                                              .rows = 20,
                                              .columns = 256,
                                              .outputs = 256,
                                              .plain = true,
                                              .copies = 3,
                                              .seed = 13};
    bool failed = true;
    for (int at = 0; failed; at++) {
        struct both b = {0};
        begin(&b, &wish);
        struct xn_cl_device *d = xn_cl_device_of(b.device[RECORDED]);
        if (!d->recording.Create) skip();
        real = d->recording;
        d->recording = (struct xn_cl_recording){create, record_kernel, finalize, enqueue, release};
        countdown = at;
        created = released = warnings = 0;
        xn_log_set_sink(count_warnings, NULL);
        for (int step = 0; step < 4; step++)
            run_both(&b, step == 1 ? 20 : 2, 0);
        failed = countdown < 0;
        expect_way(&b, failed ? "launches" : "command buffer");
        xn_log_set_sink(NULL, NULL);
        assert_int_equal(warnings, failed);
        if (failed) assert_non_null(strstr(last_warning, "CL_"));
        end(&b);
        assert_int_equal(created, released);
        assert_true(failed || at > 10);
    }
}

static int make_blocks(void **unused) {
    (void)unused;
    return xn_check_blocks_make(1, &blocks, NULL);
}
static int free_blocks(void **unused) {
    (void)unused;
    xn_check_blocks_free(blocks);
    return 0;
}

int main(void) {
    if (test_devices() == 0) return SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_the_same),
        cmocka_unit_test(logits_are_the_same),
        cmocka_unit_test(parts_are_the_same),
        cmocka_unit_test(a_driver_may_fail_to_record),
    };
    return cmocka_run_group_tests(tests, make_blocks, free_blocks);
}
