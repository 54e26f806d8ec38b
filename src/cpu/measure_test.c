// The yardsticks: numbers that a machine can have, and an error for what is no processor.
#include "cpu/measure.h"

#include "cpu/cpu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void measurements_are_plausible(void **state) {
    (void)state;
    struct xn_error err;
    struct xn_device *device;
    struct xn_cpu_options options = {.threads = 0, .level = xn_cpu_level_detect()};
    assert_int_equal(xn_cpu_device_open(&options, &device, &err), XN_OK);
    double bandwidth = 0, peak = 0;
    const char *unit;
    assert_int_equal(xn_cpu_measure_bandwidth(device, &bandwidth, &err), XN_OK);
    assert_int_equal(xn_cpu_measure_peak(device, XN_F32, &peak, &unit, &err), XN_OK);
    assert_true(bandwidth > 1e7 && bandwidth < 1e13);
    assert_true(peak > 1e7 && peak < 1e15);
    device->table->free(device);
}

static void another_device_is_an_error(void **state) {
    (void)state;
    struct xn_error err;
    struct xn_device *device;
    assert_int_equal(xn_reference_device_open(&device, &err), XN_OK);
    double value;
    const char *unit;
    assert_int_equal(xn_cpu_measure_bandwidth(device, &value, &err), XN_ERR_ARGUMENT);
    assert_int_equal(xn_cpu_measure_peak(device, XN_F32, &value, &unit, &err), XN_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "not the processor"));
    device->table->free(device);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measurements_are_plausible),
        cmocka_unit_test(another_device_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
