// The checker finds what is wrong: kernels that are off by little, values written where none belong, devices that fail.
#include "check/check.h"

#include "check/list.h"
#include "cpu/cpu.h"
#include "cpu/executor.h"
#include "quant/format.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct xn_check_device open_level(enum xn_cpu_level level) {
    struct xn_error err;
    struct xn_device *device;
    struct xn_check_device checked;
    assert_int_equal(xn_cpu_device_open(&(struct xn_cpu_options){.threads = 2, .level = level}, &device, &err), XN_OK);
    assert_int_equal(xn_check_device_of(device, &checked, &err), XN_OK);
    assert_string_equal(checked.name, xn_cpu_level_name(level));
    return checked;
}
static void close_device(struct xn_check_device *d) {
    d->device->table->free(d->device);
}

static const struct xn_check_options quick = {.seed = 1, .quick = true, .threads = 2, .op = -1, .type = -1};

static void run(struct xn_check_device *devices, uint32_t n, enum xn_op_kind op, int type,
                struct xn_check_report *report) {
    struct xn_error err = {0};
    struct xn_check_options options = quick;
    options.op = op;
    options.type = type;
    options.errors_only = true;
    if (xn_check_run(devices, n, &options, report, &err) != XN_OK) fail_msg("%s", err.message);
}

// Every row's last value is lost: of 1,280.
static void decode_without_the_last(const void *blocks, float *out, size_t n) {
    xn_format_of(XN_Q4_K)->decode(blocks, out, n);
    if (n % 1024) out[n - 1] = 0;
}

static void a_wrong_kernel_is_found_and_named(void **unused) {
    (void)unused;
    struct xn_check_device devices[] = {open_level(XN_CPU_C), open_level(XN_CPU_C)};
    xn_cpu_device_of(devices[1].device)->kernels.decode[XN_Q4_K] = decode_without_the_last;
    struct xn_check_report report;
    run(devices, 2, XN_OP_PROJECT_ADD, -1, &report);
    assert_true(report.wrong > 0 && report.n_failures == report.wrong);
    for (size_t i = 0; i < report.n_rows; i++) {
        const struct xn_check_row *row = &report.rows[i];
        bool bad = row->device == 1 && row->type == XN_Q4_K;
        assert_true(row->cases == 6 && row->kind == XN_OP_PROJECT_ADD);
        assert_true(bad ? row->wrong > 0 && row->error > row->tolerance : !row->wrong && row->error <= row->tolerance);
    }
    for (size_t i = 0; i < report.n_failures; i++) {
        assert_int_equal(report.failures[i].device, 1);
        assert_int_equal(report.failures[i].type, XN_Q4_K);
        assert_non_null(strstr(report.failures[i].what, "project_add Q4_K hidden 129 columns 1280"));
        assert_non_null(strstr(report.failures[i].problem, "is off by"));
    }
    xn_check_report_free(&report);
    close_device(&devices[0]);
    close_device(&devices[1]);
}

// An integer kernel, allowed to round, that loses the last block (32 of 1,056 values) of the first row it is given.
static xn_cpu_dot_fn *right_dot;
static void dot_without_a_block(const void *w, size_t row_bytes, uint32_t rows, const struct xn_cpu_row *x, uint32_t n,
                                uint32_t k, float *out, size_t ld) {
    right_dot(w, row_bytes, rows, x, n, k, out, ld);
    right_dot(w, row_bytes, 1, x, n, k - 32, out, ld);
}

static void an_error_of_few_values_is_found_where_rounding_is_allowed(void **unused) {
    (void)unused;
    enum xn_cpu_level best = xn_cpu_level_detect();
    struct xn_check_device device = open_level(best);
    struct xn_cpu_kernels *kernels = &xn_cpu_device_of(device.device)->kernels;
    uint32_t type = kernels->type[XN_Q8_0].lanes ? kernels->type[XN_Q8_0].lanes : XN_Q8_0;
    if (!(right_dot = kernels->dot[type])) {
        close_device(&device);
        skip();
    }
    kernels->dot[type] = dot_without_a_block;
    struct xn_check_report report;
    run(&device, 1, XN_OP_PROJECT_ADD, XN_Q8_0, &report);
    assert_true(report.wrong > 0);
    xn_check_report_free(&report);
    close_device(&device);
}

// A recurrence may be judged by what noise in its inputs does, but not where it is wrong: here by a thousandth.
static xn_cpu_state_step_fn *right_step;
static void step_with_little_decay(float *s, size_t ld, uint32_t size, size_t n, float decay, float time, float skip,
                                   const float *x, const float *b, const float *c, float *y) {
    right_step(s, ld, size, n, decay * 1.001f, time, skip, x, b, c, y);
}

static void an_error_of_a_recurrence_is_found(void **unused) {
    (void)unused;
    struct xn_check_device device = open_level(XN_CPU_C);
    struct xn_cpu_kernels *kernels = &xn_cpu_device_of(device.device)->kernels;
    right_step = kernels->state_step;
    kernels->state_step = step_with_little_decay;
    struct xn_check_report report;
    run(&device, 1, XN_OP_STATE_SPACE, -1, &report);
    assert_true(report.wrong > 0);
    xn_check_report_free(&report);
    close_device(&device);
}

// --- memory that a device reads back ---

static int (*right_read)(struct xn_executor *e, struct xn_host_memory *to, struct xn_error *err);

static int read_with_a_stray(struct xn_executor *e, struct xn_host_memory *to, struct xn_error *err) {
    int status = right_read(e, to, err);
    to->buffer[XN_BUF_Q][3] *= 1.001f; // attention only reads its queries
    if (to->plan->width[XN_BUF_ABSORBED]) to->buffer[XN_BUF_ABSORBED][3] *= 1.001f;
    return status;
}
static int read_with_a_nan(struct xn_executor *e, struct xn_host_memory *to, struct xn_error *err) {
    int status = right_read(e, to, err);
    for (int b = XN_BUF_MIX; b <= XN_BUF_LATENT; b++)
        if (to->plan->width[b] && b != XN_BUF_ABSORBED) to->buffer[b][0] = NAN;
    return status;
}
static int fail_to_read(struct xn_executor *e, struct xn_host_memory *to, struct xn_error *err) {
    (void)e;
    (void)to;
    return xn_fail(err, XN_ERR_DEVICE, "the device is lost");
}

static void expect_problem(int (*read)(struct xn_executor *, struct xn_host_memory *, struct xn_error *),
                           const char *problem) {
    struct xn_error err;
    struct xn_check_blocks *blocks;
    struct xn_check_case *c;
    struct xn_check_result result;
    struct xn_check_device device = open_level(XN_CPU_C);
    assert_int_equal(xn_check_blocks_make(1, &blocks, &err), XN_OK);
    // Plain: the queries are in Q.
    struct xn_check_wish wish = {.kind = XN_OP_ATTEND, .type = XN_F32, .rows = 3, .plain = true, .past = 5, .seed = 1};
    assert_int_equal(xn_check_case_make(&wish, blocks, &c, &err), XN_OK);
    assert_int_equal(xn_check_case_expect(c, &err), XN_OK);
    assert_int_equal(xn_check_case_run(c, &device, &result, &err), XN_OK);
    assert_string_equal(result.problem, "");
    assert_true(result.seconds > 0 && result.error <= result.tolerance);
    right_read = device.read;
    device.read = read;
    assert_int_equal(xn_check_case_run(c, &device, &result, &err), XN_OK);
    if (!strstr(result.problem, problem)) fail_msg("\"%s\" lacks \"%s\"", result.problem, problem);
    xn_check_case_free(c);
    xn_check_blocks_free(blocks);
    close_device(&device);
}

static void a_stray_value_is_found(void **unused) {
    (void)unused;
    expect_problem(read_with_a_stray, "Q[3] is written");
}
static void what_is_not_finite_is_found(void **unused) {
    (void)unused;
    expect_problem(read_with_a_nan, "MIX[0] is not finite");
}
static void what_a_device_fails_at_is_wrong(void **unused) {
    (void)unused;
    expect_problem(fail_to_read, "the device is lost");
}

// --- the list and the cases ---

static void every_operation_and_format_is_in_the_list(void **unused) {
    (void)unused;
    struct group *groups;
    uint32_t n, formats = 0, last = XN_OP_KINDS, ops = 0, products = 0;
    struct xn_check_options all = quick;
    all.quick = false;
    assert_int_equal(xn_check_list(&all, &groups, &n, NULL), XN_OK);
    for (uint32_t type = 0; type < XN_TYPE_COUNT; type++)
        formats += xn_format_of(type) && xn_format_of(type)->decode;
    for (uint32_t i = 0; i < n; i++) {
        ops += groups[i].kind != last;
        last = groups[i].kind;
        products += groups[i].kind == XN_OP_PROJECT_ADD;
        assert_true(groups[i].columns % 1024 != 0 || groups[i].columns == 0);
    }
    assert_int_equal(ops, XN_OP_KINDS);
    assert_int_equal(products, formats);
    free(groups);
    all.op = XN_OP_ROUTE; // which has no quantized router
    all.type = XN_Q4_K;
    struct xn_error err;
    assert_int_equal(xn_check_list(&all, &groups, &n, &err), XN_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "route has no format Q4_K"));
}

static void a_wish_repeats_its_case(void **unused) {
    (void)unused;
    struct xn_check_blocks *blocks;
    struct xn_error err;
    assert_int_equal(xn_check_blocks_make(5, &blocks, &err), XN_OK);
    for (int kind = 0; kind < XN_OP_KINDS; kind++) {
        struct xn_check_wish wish = {.kind = (enum xn_op_kind)kind, .type = XN_TYPE_COUNT, .seed = 7};
        struct xn_check_case *a, *b;
        assert_int_equal(xn_check_case_make(&wish, blocks, &a, &err), XN_OK);
        assert_int_equal(xn_check_case_make(&wish, blocks, &b, &err), XN_OK);
        assert_string_equal(a->what, b->what);
        assert_memory_equal(a->before.buffer[XN_BUF_X], b->before.buffer[XN_BUF_X],
                            (size_t)a->limits.rows * a->plan.hidden * 4);
        xn_check_case_free(a);
        xn_check_case_free(b);
    }
    struct xn_check_wish wish = {.kind = XN_OP_HEAD, .type = XN_Q4_K, .columns = 1056};
    struct xn_check_case *c;
    assert_int_equal(xn_check_case_make(&wish, blocks, &c, &err), XN_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "multiple of 256"));
    xn_check_blocks_free(blocks);
}

static int stop(void *user, const char *what, uint64_t done, uint64_t total) {
    (void)user;
    (void)what;
    assert_true(done <= total);
    return done > 10;
}

static void speed_is_measured_of_what_is_right(void **unused) {
    (void)unused;
    struct xn_check_device devices[] = {open_level(XN_CPU_C), open_level(XN_CPU_C)};
    xn_cpu_device_of(devices[1].device)->kernels.decode[XN_Q4_K] = decode_without_the_last;
    struct xn_check_options options = quick;
    options.op = XN_OP_HEAD;
    options.type = XN_Q4_K;
    struct xn_check_report report;
    struct xn_error err;
    assert_int_equal(xn_check_run(devices, 2, &options, &report, &err), XN_OK);
    assert_int_equal(report.n_rows, 2);
    const struct xn_check_row *right = &report.rows[0], *wrong = &report.rows[1];
    assert_true(report.bandwidth > 0 && report.peaks[0].n == 1 && report.peaks[0].flops[0] > 0);
    assert_true(right->one.seconds > 0 && right->one.share > 0 && right->many.seconds > 0 && right->many.share > 0);
    assert_true(wrong->wrong && wrong->one.seconds == 0 && wrong->many.seconds == 0);
    xn_check_report_free(&report);
    close_device(&devices[0]);
    close_device(&devices[1]);
}

static void a_run_can_be_stopped(void **unused) {
    (void)unused;
    struct xn_check_device device = open_level(XN_CPU_C);
    struct xn_progress progress = {stop, NULL};
    struct xn_check_options options = quick;
    options.progress = &progress;
    struct xn_check_report report;
    struct xn_error err;
    assert_int_equal(xn_check_run(&device, 1, &options, &report, &err), XN_ERR_CANCELLED);
    xn_check_report_free(&report);
    close_device(&device);
}

static void the_reference_is_the_yardstick(void **unused) {
    (void)unused;
    struct xn_device *reference;
    struct xn_check_device device;
    struct xn_error err;
    assert_int_equal(xn_reference_device_open(&reference, &err), XN_OK);
    assert_int_equal(xn_check_device_of(reference, &device, &err), XN_ERR_UNSUPPORTED);
    reference->table->free(reference);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_kernel_is_found_and_named),
        cmocka_unit_test(an_error_of_few_values_is_found_where_rounding_is_allowed),
        cmocka_unit_test(an_error_of_a_recurrence_is_found),
        cmocka_unit_test(a_stray_value_is_found),
        cmocka_unit_test(what_is_not_finite_is_found),
        cmocka_unit_test(what_a_device_fails_at_is_wrong),
        cmocka_unit_test(every_operation_and_format_is_in_the_list),
        cmocka_unit_test(a_wish_repeats_its_case),
        cmocka_unit_test(speed_is_measured_of_what_is_right),
        cmocka_unit_test(a_run_can_be_stopped),
        cmocka_unit_test(the_reference_is_the_yardstick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
