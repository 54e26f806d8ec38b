// A device made of others (its members): each operation of a plan runs on one of them. Layers are dealt out in order;
// what fits none of them stays on the one that is named for that, usually the processor. Which members there are, and
// what they are, it does not know.
#pragma once

#include "device/device.h"

#include <stdbool.h>

enum { XN_SPLIT_MEMBERS = 32 }; // at the most

struct xn_split_member {
    struct xn_device *device;
    char name[32];        // as the user spells it, for messages: "gpu0"
    double share;         // of the layers, relative to the others'; negative: by free memory
    uint64_t most_memory; // bytes of it to use at the most; 0: what is free, less a little
};

struct xn_split_options {
    const struct xn_split_member *members; // layers go to them in this order
    uint32_t n_members;
    int spill;  // the member that takes what does not fit the others: the first layers, and experts. -1: there is none
    int layers; // that the others take, of the last ones; -1: as many as fit
    bool experts; // the spill member takes the experts of every layer
    bool few;     // one of the others alone where it has room for all of it
};

// Opens the device, which owns its members from then on; on failure they stay the caller's. Errors: a number or an
// order of members that can't be.
int xn_split_device_open(const struct xn_split_options *options, struct xn_device **out, struct xn_error *err);
