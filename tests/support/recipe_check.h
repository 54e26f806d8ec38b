// A random model on every processor level against the plain-C device: the same logits, however the text is cut into
// steps, mixed with other sequences, forked, or cut back.
#pragma once

#include "device/device.h"

#include <stddef.h>
#include <stdint.h>

enum { RECIPE_CHECK_DEVICES = 16 };
struct recipe_check {
    struct xn_device *reference;
    struct xn_device *device[RECIPE_CHECK_DEVICES];
    char name[RECIPE_CHECK_DEVICES][32];
    int n_devices;
    uint64_t ill;   // models whose logits move too far under a rounding's noise to say anything: not compared
    double worst;   // of what was compared, the greatest part of what was allowed
    char what[160]; // of the last model
};

// Opens the devices: each level that the machine has, on one thread, and the highest on three; where the environment
// has XENON_TEST_DEVICES=gpu, all that OpenCL offers instead, which may be none; with XENON_TEST_DEVICES=split, models
// split over two of those, over them and the processor, and with experts on the processor. Ends the process where it
// can't.
void recipe_check_open(struct recipe_check *check);
void recipe_check_close(struct recipe_check *check);

// Draws everything from `seed` (and from `choices` first, where there are some) and compares. false: they differ, or
// something failed; `message` says what.
bool recipe_check_run(struct recipe_check *check, uint64_t seed, const uint8_t *choices, size_t n_choices,
                      char *message, size_t size);
