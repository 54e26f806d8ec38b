// What the tests of OpenCL devices share: all devices of the machine are tested; where there are none, tests skip
// themselves. cmocka.h must have been included.
#pragma once

#include "opencl/opencl.h"

#include <stdio.h>
#include <stdlib.h>

enum { SKIPPED = 77 };

// Devices that can be opened here.
static uint32_t test_devices(void) {
    struct xn_opencl_info *list;
    uint32_t n;
    struct xn_error err;
    if (xn_opencl_list(&list, &n, &err) != XN_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 0;
    }
    free(list);
    if (n == 0) fprintf(stderr, "skipped: OpenCL has no devices here\n");
    return n;
}

// The folder in which the tests of a build keep built programs; NULL: none, they are built anew.
static inline const char *test_cache(void) {
    return getenv("XENON_TEST_CACHE");
}

static inline struct xn_device *test_open(struct xn_opencl_options options) {
    struct xn_device *device;
    struct xn_error err;
    if (xn_opencl_device_open(&options, &device, &err) != XN_OK) fail_msg("%s", err.message);
    return device;
}

static inline uint64_t test_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state ^ *state >> 29;
}
