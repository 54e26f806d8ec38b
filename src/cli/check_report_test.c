// What `xenon check` prints where something is wrong: the case, the command that repeats it, and JSON that says so.
#include "cli/check.h"
#include "quant/format.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct xn_check_device devices[] = {{.name = "c", .spelled = "cpu:c"}, {.name = "avx2", .spelled = "cpu:avx2"}};
static struct xn_check_peak peaks[] = {
    {.unit = {"float32"}, .flops = {50e9}, .n = 1},
    {.unit = {"float32", "int8"}, .flops = {200e9, 400e9}, .n = 2},
};
static struct xn_check_row rows[] = {
    {.device = 0, .kind = XN_OP_ADD, .type = XN_TYPE_COUNT, .cases = 60, .error = 1e-7, .tolerance = 2e-5},
    {.device = 1,
     .kind = XN_OP_HEAD,
     .type = XN_Q4_K,
     .cases = 20,
     .wrong = 2,
     .error = INFINITY,
     .tolerance = 0.02,
     .one = {1.5e-4, 3e6, 0.8},
     .many = {0.02, 4e9, 0.5},
     .unit = "int8"},
};

static struct xn_check_report report_of(void) {
    struct xn_check_report report = {.rows = rows,
                                     .n_rows = 2,
                                     .n_failures = 1,
                                     .cases = 80,
                                     .wrong = 2,
                                     .bandwidth = 25e9,
                                     .launch_queued = 4e-6,
                                     .launch_alone = 1.25e-5,
                                     .peaks = peaks,
                                     .n_devices = 2,
                                     .n_ops = 2,
                                     .n_formats = 1};
    report.failures[0] = (struct xn_check_failure){.device = 1,
                                                   .kind = XN_OP_HEAD,
                                                   .type = XN_Q4_K,
                                                   .what = "head Q4_K hidden 1280 vocab 129 rows 5 of 5",
                                                   .problem = "logits is off by 0.1"};
    return report;
}
static const struct xn_check_subject subject = {
    .machine = {.name = "a processor", .threads = 2}, .devices = devices, .seed = 9, .quick = true};

static void a_table_names_what_is_wrong(void **unused) {
    (void)unused;
    struct xn_check_report report = report_of();
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    xn_check_print(&subject, &report, out);
    fclose(out);
    static const char *const parts[] = {
        "a processor, 2 threads, seed 9, quick\n",
        "25.0 GB/s",
        "a launch (measured): 4.0 us queued behind others, 12.5 us where it is waited for\n",
        "  avx2: float32 200, int8 400\n",
        "avx2            head         Q4_K         20       inf   2.0e-02 WRONG   150.0 us     80.0%",
        " 80.0%   20.00 ms   50.0% int8\n",
        "WRONG avx2, head Q4_K hidden 1280 vocab 129 rows 5 of 5: logits is off by 0.1\n",
        "xenon check --device cpu:avx2 --op head --format Q4_K --quick --seed 9 -t 2\n",
        "and 1 more\n",
        "2 instruction sets, 2 operations, 1 formats, 80 cases in 0 s: 2 WRONG\n",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strstr(text, parts[i])) fail_msg("no \"%s\" in:\n%s", parts[i], text);
    free(text);
}

static void json_says_so_too(void **unused) {
    (void)unused;
    struct xn_check_report report = report_of();
    json_t *json = xn_check_json(&subject, &report);
    assert_non_null(json);
    assert_true(json_is_false(json_object_get(json, "ok")));
    assert_true(json_real_value(json_object_get(json_object_get(json, "launch"), "alone_seconds")) == 1.25e-5);
    const json_t *row = json_array_get(json_object_get(json, "rows"), 1);
    assert_true(json_is_false(json_object_get(row, "ok")));
    assert_true(json_is_null(json_object_get(row, "error"))); // infinite
    assert_string_equal(json_string_value(json_object_get(row, "peak_type")), "int8");
    assert_true(json_is_null(json_object_get(json_array_get(json_object_get(json, "rows"), 0), "format")));
    const json_t *failure = json_array_get(json_object_get(json, "failures"), 0);
    assert_string_equal(json_string_value(json_object_get(failure, "set")), "avx2");
    json_decref(json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_names_what_is_wrong),
        cmocka_unit_test(json_says_so_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
