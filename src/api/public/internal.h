// What the files of the public API (include/xenon/xenon.h) share: models, and how errors are handed out.
#pragma once

#include "xenon/xenon.h"

#include "api/select.h"
#include "engine/model.h"

#include <pthread.h>

struct xenon_model {
    struct xn_device *device;
    struct xn_model *model;
    pthread_mutex_t busy; // the device runs one step at a time
};

// Hands an error of the library to the caller (NULL: it wants none); returns `status`.
int xn_api_give(int status, const struct xn_error *from, xenon_error *to);
// The same of an error that is found here.
int xn_api_refuse(xenon_error *to, int status, const char *message);
// XN_ERR_UNSUPPORTED where the model has no tokenizer.
int xn_api_need_tokenizer(const xenon_model *model, xenon_error *error);
