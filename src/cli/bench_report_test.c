// What `xenon bench` writes: the schema of its JSON, the table, and lists of numbers on its command line.
#include "base/memory.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "model/synth.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct xn_bench_subject subject = {.model = "Tiny",
                                                .format = "Q4_K_M",
                                                .bytes = 3 << 20,
                                                .parameters = 5000000,
                                                .device = {.name = "A processor", .backend = "CPU c", .threads = 2},
                                                .bandwidth = 50e9,
                                                .peak = 200e9};
static const struct xn_bench_row rows[] = {
    {.test = {.prompt = 512},
     .speed = {.mean = 100, .deviation = 2, .seconds = {[XN_OP_GATE] = 3}},
     .cost = {4e6, 1e9}},
    {.test = {.generate = 128}, .speed = {.mean = 5000, .deviation = 1}, .cost = {4e6, 1e7}},
};

static void shares(void **state) {
    (void)state;
    assert_true(fabs(xn_bench_share(&subject, &rows[0]) - 0.5) < 1e-12); // 1 GFLOP a token, 100 a second, of 200
    assert_true(fabs(xn_bench_share(&subject, &rows[1]) - 0.4) < 1e-12); // 4 MB a token, 5000 a second, of 50 GB/s
    struct xn_bench_subject unmeasured = subject;
    unmeasured.peak = 0;
    assert_true(isnan(xn_bench_share(&unmeasured, &rows[0])));
}

static void json_schema(void **state) {
    (void)state;
    json_t *array = xn_bench_json(&subject, rows, 2, true);
    assert_int_equal(json_array_size(array), 2);
    const char *strings[] = {"model", "format", "device", "backend", "test"};
    const char *numbers[] = {
        "size",      "params", "threads", "tps", "tps_stddev", "bytes_per_token", "flops_per_token",
        "bandwidth", "peak",   "share"};
    for (size_t i = 0; i < 2; i++) {
        const json_t *row = json_array_get(array, i);
        for (size_t k = 0; k < sizeof strings / sizeof *strings; k++)
            if (!json_is_string(json_object_get(row, strings[k]))) fail_msg("%s is no string", strings[k]);
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
            if (!json_is_number(json_object_get(row, numbers[k]))) fail_msg("%s is no number", numbers[k]);
        assert_true(json_is_object(json_object_get(row, "ops")));
    }
    const json_t *first = json_array_get(array, 0), *second = json_array_get(array, 1);
    assert_string_equal(json_string_value(json_object_get(first, "test")), "pp512");
    assert_string_equal(json_string_value(json_object_get(second, "test")), "tg128");
    assert_true(json_number_value(json_object_get(second, "bytes_per_token")) == 4e6);
    assert_true(json_number_value(json_object_get(json_object_get(first, "ops"), "gate")) == 3);
    json_decref(array);

    struct xn_bench_subject unmeasured = subject;
    unmeasured.bandwidth = unmeasured.peak = 0;
    array = xn_bench_json(&unmeasured, rows, 1, false);
    assert_true(json_is_null(json_object_get(json_array_get(array, 0), "share")));
    assert_true(json_is_null(json_object_get(json_array_get(array, 0), "peak")));
    assert_null(json_object_get(json_array_get(array, 0), "ops"));
    json_decref(array);
}

static void table(void **state) {
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    xn_bench_print(&subject, rows, 2, true, out);
    fclose(out);
    const char *expected[] = {
        "| model       |     size | params |",
        "| Tiny Q4_K_M | 3.00 MiB | 5.00 M |   CPU c |       2 | pp512 |  100.00 ± 2.00 |\n",
        "| tg128 | 5000.00 ± 1.00 |\n",
        "A processor, CPU c, 2 threads",
        "memory bandwidth (measured): 50.0 GB/s",
        "pp512: 1 GFLOP a token, 50.0% of the peak",
        "tg128: 0.004 GB a token, 40.0% of the bandwidth",
        "gate               3.000000  100.0%",
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        if (!strstr(text, expected[i])) fail_msg("not in the table: %s\n%s", expected[i], text);
    if (strstr(text, "a step")) fail_msg("a processor launches nothing:\n%s", text);
    free(text);
    struct xn_bench_row launched = rows[1];
    static const struct way {
        uint32_t launches;
        const char *how, *printed;
    } ways[] = {
        {1, "walk", "tg128: 1 launch a step, which walks all operations\n"},
        {143, "command buffer", "tg128: 143 launches a step, recorded once and enqueued as one command\n"},
        {143, "launches", "tg128: 143 launches a step, one by one\n"},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        launched.speed.launches = ways[i].launches;
        launched.speed.how = ways[i].how;
        out = open_memstream(&text, &size);
        xn_bench_print(&subject, &launched, 1, false, out);
        fclose(out);
        if (!strstr(text, ways[i].printed)) fail_msg("no launches in\n%s", text);
        free(text);
    }
}

static void lists_of_numbers(void **state) {
    (void)state;
    uint32_t numbers[3];
    size_t n;
    struct xn_error err;
    assert_int_equal(xn_bench_numbers("-p", "512", numbers, 3, &n, &err), XN_OK);
    assert_true(n == 1 && numbers[0] == 512);
    assert_int_equal(xn_bench_numbers("-p", "0,16777216,7", numbers, 3, &n, &err), XN_OK);
    assert_true(n == 3 && numbers[0] == 0 && numbers[1] == 16777216 && numbers[2] == 7);
    const char *wrong[] = {"", ",", "1,", "-1", "x", "1x", "1 ", "1,2,3,4", "16777217", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (xn_bench_numbers("-p", wrong[i], numbers, 3, &n, &err) != XN_ERR_ARGUMENT)
            fail_msg("%s accepted", wrong[i]);
        assert_non_null(strstr(err.message, "-p"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares),
        cmocka_unit_test(json_schema),
        cmocka_unit_test(table),
        cmocka_unit_test(lists_of_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
