// The best tokens of rows of logits, as each OpenCL device finds them, against plain C.
//
// XENON_TEST_SEED (base/testing.h) gives other cases.
#include "base/testing.h"
#include "opencl/check.h"
#include "opencl/opencl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "candidates_check.h"
#include "opencl/testing.h"

static uint64_t seed;
static uint32_t n_devices;

static void check_way(struct xn_opencl_options options) {
    static const uint32_t few[] = {1, 3, 8}, many[] = {30};
    options.cache = test_cache();
    for (options.index = 0; options.index < n_devices; options.index++) {
        char problem[256];
        struct xn_device *device = test_open(options);
        uint32_t compared = xn_candidates_check(device, few, sizeof few / sizeof *few, 40000, true, seed, problem);
        bool infinite = !xn_opencl_halves(device, many[0]);
        if (!problem[0]) compared += xn_candidates_check(device, many, 1, 40000, infinite, seed, problem);
        device->table->free(device);
        if (problem[0]) fail_msg("%s", problem);
        assert_true(compared > 100);
    }
}

static void best_tokens_agree(void **unused) {
    (void)unused;
    check_way((struct xn_opencl_options){0});
}

// Whose steps are launched, and whose are recorded, also where steps with and without them take turns.
static void launches_agree(void **unused) {
    (void)unused;
    check_way((struct xn_opencl_options){.way = XN_OPENCL_BY_LAUNCHES});
}

// A device that is to give all logits finds no best tokens.
static void all_logits_are_given(void **unused) {
    (void)unused;
    struct xn_device *device = test_open((struct xn_opencl_options){.cache = test_cache(), .all_logits = true});
    static const uint32_t rows[] = {1};
    char problem[256];
    assert_int_equal(xn_candidates_check(device, rows, 1, 1, true, seed, problem), 0);
    assert_non_null(strstr(problem, "are on the host"));
    device->table->free(device);
}

int main(void) {
    seed = test_seed(1);
    if ((n_devices = test_devices()) == 0) return SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(best_tokens_agree),
        cmocka_unit_test(launches_agree),
        cmocka_unit_test(all_logits_are_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
