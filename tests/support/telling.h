// A device that tells the best tokens of rows of logits, as GPUs do, for tests of those who ask for them.
#pragma once

#include "device/device.h"

// What the devices of this kind were asked for, and what they do otherwise than well.
struct test_telling {
    uint32_t vocab;         // of the models
    uint32_t told, fetched; // rows: of which the best tokens were told, and of which all logits were read afterwards
    uint32_t sums;          // steps that asked for sums
    uint32_t forgets;       // every so many-th row is not told; 0: all are
    bool fails;             // at reading logits
};

// Makes the plain-C device a telling one; `telling` outlives it. One context at a time. Rows that are not whole are
// NaN on the host until they are read.
void test_tell(struct xn_device *device, struct test_telling *telling);
void test_telling_end(void); // frees what they held
