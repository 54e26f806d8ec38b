// The models of a server: each known by several names, loaded when it is first asked for, and dropped when it was idle
// for long or another one needs its room. All functions may be called by any thread.
#pragma once

#include "api/select.h"
#include "engine/sampling/breakers.h"
#include "engine/serving/serving.h"
#include "text/answer/answer.h"

struct xn_metrics; // metrics.h

// A loaded model. Nothing in it changes while it is held.
struct xn_served {
    const char *name; // the first of its names: what answers call it
    const char *path;
    int64_t created; // seconds since 1970: of the file
    struct xn_model *model;
    struct xn_serving *serving;
    const char *chat_template; // source; NULL: the model brings none
    struct xn_answer_style style;
    uint32_t context;                // positions that one request may take
    struct xn_dry_breakers breakers; // in this model's tokens
    struct xn_sampling sampling;     // what a request's settings begin with
    struct xn_metrics *metrics;      // of the server; may be NULL
};

struct xn_models;

// How a model comes up: the default opens the device that `choice` names and then the model (xn_models_open). What it
// fills of *served: model, serving.
struct xn_models_options {
    struct xn_device_choice choice;
    struct xn_serving_options serving;
    bool trained;                // no request is longer than what its model was trained for
    struct xn_sampling sampling; // what requests begin with
    const char *const *breakers; // n_breakers texts that end repetitions for DRY, in place of the usual ones
    size_t n_breakers;
    bool no_breakers;            // none at all
    double idle;                 // seconds without a request after which a model is dropped; <= 0: never
    uint32_t most;               // models loaded at once; 0: all
    uint64_t bytes;              // of the files of those loaded at once; 0: no bound
    double wait;                 // seconds that an acquire waits for another model to become free; 0: 30
    struct xn_metrics *metrics;  // may be NULL; must outlive
    struct xn_progress progress; // of loading; on the loading thread
    // Told of loading and dropping, for logs; on any thread. May be NULL.
    void (*told)(void *user, const char *name, const char *what, double seconds);
    void *user;
};
int xn_models_create(const struct xn_models_options *options, struct xn_models **out, struct xn_error *err);
// Nobody may hold a model, nor call. Accepts NULL.
void xn_models_free(struct xn_models *models);
// Before the server starts: a model by its path, and n >= 1 names (all copied), of which the first is its own. The
// file must be there. XN_ERR_ARGUMENT where a name is taken.
int xn_models_add(struct xn_models *models, const char *path, const char *const *names, size_t n, struct xn_error *err);

// The model of this name (also with ":latest" behind it, and in any case of letters), loaded if need be: that can take
// minutes, and the caller waits. NULL or "": the first one. With only one model there is, every name is its own.
// XN_ERR_MISSING: no such model; XN_ERR_LIMIT: no room became free in time.
int xn_served_acquire(struct xn_models *models, const char *name, struct xn_served **out, struct xn_error *err);
void xn_served_release(struct xn_models *models, struct xn_served *served); // accepts NULL
// Another holder of the same. Never fails.
struct xn_served *xn_served_hold(struct xn_models *models, struct xn_served *served);
// How long this one stays without a request: seconds; 0: until it is free; < 0: for ever. Ollama's keep_alive.
void xn_served_keep(struct xn_models *models, struct xn_served *served, double seconds);

enum xn_model_state { XN_MODEL_UNLOADED, XN_MODEL_LOADING, XN_MODEL_LOADED, XN_MODEL_FAILED };
struct xn_model_entry {
    const char *path;
    const char *const *names; // names[0] is its own; valid as long as the models
    size_t n_names;
    uint64_t size; // bytes of its file or folder
    int64_t created;
    enum xn_model_state state;
    uint32_t holders;
    struct xn_serving_state past; // sums of those of its times that ended: requests, tokens, steps, seconds
    double expires;               // seconds until it is dropped if nobody asks; < 0: never, or not loaded
};
size_t xn_models_count(const struct xn_models *models);
void xn_models_entry(struct xn_models *models, size_t i, struct xn_model_entry *entry);
// The number of the model of that name, as xn_served_acquire finds it; SIZE_MAX: none.
size_t xn_models_find(const struct xn_models *models, const char *name);
// As xn_served_acquire of model i where it is loaded; NULL where it isn't (it is not loaded then). For /metrics,
// /slots.
struct xn_served *xn_served_peek(struct xn_models *models, size_t i);
// Drops model i now, or as soon as nobody holds it.
void xn_models_unload(struct xn_models *models, size_t i);
