// Where random cases of tests begin.
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// XENON_TEST_SEED: a number, or "random", which takes the time. Without it, `usual`: the same cases at each run, so
// that a test that passed fails only when something changed. It is printed, to repeat a failure.
static inline uint64_t test_seed(uint64_t usual) {
    const char *given = getenv("XENON_TEST_SEED");
    uint64_t chosen = !given                         ? usual
                      : strcmp(given, "random") == 0 ? (uint64_t)time(NULL) * 1000003 + 1
                                                     : strtoull(given, NULL, 10);
    fprintf(stderr, "XENON_TEST_SEED=%llu\n", (unsigned long long)chosen);
    return chosen;
}
