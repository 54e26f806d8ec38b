// What the registry (models.c) and the loading of one model (models/slot.c) share.
#pragma once

#include "server/models.h"

#include <pthread.h>

struct xn_slot {
    char *path, **names;
    size_t n_names;
    uint64_t size;
    int64_t created;
    // Under the lock.
    enum xn_model_state state; // LOADING also while it is dropped
    uint32_t holders;
    bool busy;    // one of them has more than a look at it
    bool leaving; // is dropped as soon as it is free
    double used;  // when it was last asked for, or let go
    double keep;  // seconds that it stays without a request; NaN: as the options say
    struct xn_error error;
    struct xn_serving_state past;
    // Of whoever loads or drops it, else constant.
    struct xn_served served;
    struct xn_device *device;
};

struct xn_models {
    struct xn_models_options options;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct xn_slot *slots; // constant once the server runs
    size_t n, capacity;
    pthread_t keeper;
    bool closing;
};

double xn_models_now(void);

// The size and the time of a model's file, or of the files of its folder.
int xn_slot_measure(const char *path, struct xn_slot *slot, struct xn_error *err);
// Without the lock.
int xn_slot_load(struct xn_slot *slot, const struct xn_models_options *options, struct xn_error *err);
void xn_slot_unload(struct xn_slot *slot, struct xn_serving_state *last); // its counts at the end; may be NULL
void xn_slot_empty(struct xn_slot *slot);                                 // frees the names
