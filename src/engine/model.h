// A model ready to run: its source, recipe, tokenizer and template, its matrices packed on a device, and its plan.
#pragma once

#include "base/log.h"
#include "device/device.h"
#include "text/template.h"
#include "text/tokenizer.h"

struct xn_model {
    struct xn_source *source; // NULL: made in memory
    struct xn_recipe recipe;
    struct xn_tokenizer *tokenizer; // NULL where the source has none
    struct xn_template *chat;       // NULL where the source has no template
    struct xn_device *device;       // that runs it: the one it was opened on, or one of those that that is made of
    struct xn_plan plan;
    struct xn_weights **weights; // all that were packed
    size_t n_weights, weights_capacity;
    struct xn_arena arena; // of the plan
};

// Opens GGUF or folder, reads the recipe, packs every matrix on the device (with progress), and builds the plan. A
// model without a usable tokenizer opens; the reason is logged. The device must outlive the model. expected: contexts
// that the model is about to have, for which a device made of several leaves memory; NULL: of the default options.
struct xn_context_options;
int xn_model_open(const char *path, struct xn_device *device, const struct xn_context_options *expected,
                  const struct xn_progress *progress, struct xn_model **out, struct xn_error *err);
// A model without a source: a recipe made in memory, which the model takes over (also on failure).
int xn_model_from_recipe(struct xn_recipe *recipe, struct xn_device *device, struct xn_model **out,
                         struct xn_error *err);
void xn_model_close(struct xn_model *model); // accepts NULL
