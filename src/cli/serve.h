// What the files of `xenon serve` share.
#pragma once

#include "cli/cli.h"
#include "cli/sampling.h"
#include "server/server.h"

struct xn_serve_options {
    struct xn_model_options model;
    struct xn_sampling_options sampling;
    const char *host, *key_file, *certificate, *private_key, *log_format, *models_folder;
    int64_t port, slots, context, most, batch, queue, cache_ram, models_most, body_mb, connections, per_address;
    int64_t checkpoints;
    double idle, models_gb, drain, timeout;
    struct xn_strings models, keys, aliases, origins;
    bool preload, log_prompts, read_only;
};

// --- serve_models.c: which models there are, by which names.
// MODEL arguments ("PATH" or "NAME=PATH"), the folder of models, and aliases ("ALIAS", of the first, or "ALIAS=NAME").
// Without any the default model.
int xn_serve_models(const struct xn_serve_options *o, char **arguments, size_t n, struct xn_models *models,
                    struct xn_error *err);

// --- serve_keys.c: keys and certificates.
struct xn_serve_secrets {
    const char **keys; // n_keys
    size_t n_keys, capacity;
    char *key_text, *certificate, *private_key; // what files hold
};
int xn_serve_secrets_read(const struct xn_serve_options *o, struct xn_serve_secrets *secrets, struct xn_error *err);
void xn_serve_secrets_free(struct xn_serve_secrets *secrets);

// --- serve_log.c: a line on stderr for each request. user: struct xn_serve_log.
struct xn_serve_log {
    enum { XN_SERVE_LOG_TEXT, XN_SERVE_LOG_JSON, XN_SERVE_LOG_NONE } format;
    bool prompts; // bodies of requests too
    struct xn_metrics *metrics;
};
void xn_serve_log_request(void *user, const struct xn_http_record *record);
// A model was loaded or dropped. user as above.
void xn_serve_log_model(void *user, const char *name, const char *what, double seconds);
