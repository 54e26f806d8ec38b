// What `xenon run` and its chat share.
#pragma once

#include "api/session.h"
#include "cli/cli.h"
#include "cli/constraint.h"
#include "cli/sampling.h"

struct xn_run_options {
    struct xn_model_options model;
    const char *model_path, *prompt, *file, *system, *template_arguments, *session;
    int64_t most, context, batch, checkpoints;
    struct xn_sampling_options sampling;
    struct xn_constraint_options constraint;
    struct xn_strings stops;
    bool raw, special, quiet, json;
};

// A run in progress.
struct xn_run {
    const struct xn_run_options *options;
    struct xn_loaded loaded;
    struct xn_context *context;
    struct xn_session session;
    struct xn_sampling_held sampling;
    json_t *arguments; // of the template; NULL: none
    struct xn_constraint *constraint;
    struct xn_text answer;

    // Of the last answer.
    size_t prompt_tokens, reused;
    uint64_t generated;
    double prompt_seconds, generation_seconds;
    enum xn_finish finish;
};

// Computes the prompt and streams the answer to stdout (not with --json), also into run->answer. Ctrl-C ends it early,
// with XN_FINISH_CALLER, or while the prompt is computed with XN_ERR_CANCELLED.
int xn_run_answer(struct xn_run *run, const struct xn_ids *prompt, struct xn_error *err);
// The numbers of the last answer, on stderr.
void xn_run_print_numbers(const struct xn_run *run);
// What is to be said of the way in which the last answer ended, if anything.
void xn_run_print_finish(const struct xn_run *run);

// A conversation at the terminal, until it is left. Returns an exit status.
int xn_chat(struct xn_run *run);
