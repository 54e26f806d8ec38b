// One conversation on a model: a sequence that computes only what is new in a prompt, and the loop that generates.
#pragma once

#include "api/constraint.h"
#include "api/stop.h"
#include "engine/context.h"
#include "engine/sampler.h"

// Zero-initialise; xn_session_close empties. What it holds are the tokens of its sequence (xn_sequence_tokens).
struct xn_session {
    struct xn_context *context; // not owned
    uint32_t sequence;
    bool open;
    bool evaluated; // the context's last step computed the logits after the last token
};
int xn_session_open(struct xn_session *session, struct xn_context *context, struct xn_error *err);
// With what xn_sequence_save_file wrote to `path`. On failure the session is empty.
int xn_session_open_file(struct xn_session *session, struct xn_context *context, const char *path,
                         struct xn_error *err);
void xn_session_close(struct xn_session *session);

// Makes the session hold exactly these n >= 1 tokens, with the logits after the last. Of the prefix that it holds
// already nothing is computed again, but for what lies behind the last checkpoint in a model with recurrent states (see
// engine/checkpoint.c), and for the last token; *reused (may be NULL) says how many tokens were kept. On failure (too
// long for the context, cancelled) the session holds a prefix of what was wanted.
int xn_session_prompt(struct xn_session *session, const int32_t *ids, size_t n, const struct xn_progress *progress,
                      size_t *reused, struct xn_error *err);
// Appends one token. XN_ERR_LIMIT where the context is full.
int xn_session_append(struct xn_session *session, int32_t id, struct xn_error *err);
// Whether another token fits.
bool xn_session_full(const struct xn_session *session);

enum xn_finish {
    XN_FINISH_END,     // the model ended its text
    XN_FINISH_STOP,    // a stop string
    XN_FINISH_LENGTH,  // the number of tokens asked for
    XN_FINISH_CONTEXT, // the context is full
    XN_FINISH_CALLER,  // the callback asked for it
};
const char *xn_finish_name(enum xn_finish finish); // "end", "stop", "length", "context", "caller"

struct xn_generation {
    const struct xn_sampling *sampling;
    int64_t most;             // tokens; < 0: no limit
    const char *const *stops; // strings
    size_t n_stops;
    bool show_special;
    struct xn_constraint *constraint; // the text is held to it; NULL: it is free. A text begins
    // Called after every token, with the text that became complete by it (maybe none); nonzero ends the generation.
    int (*emit)(void *user, const char *text, size_t size);
    void *user;

    // Results.
    uint64_t generated;
    enum xn_finish finish;
};
// Generates after the session's last logits. The model needs a tokenizer.
int xn_session_generate(struct xn_session *session, struct xn_generation *generation, struct xn_error *err);

// The ids of a prompt: special tokens in it become their ids; `bos`: the model's BOS is put first where it wants one
// and the text does not begin with it.
int xn_prompt_ids(const struct xn_model *model, const char *text, size_t size, bool bos, struct xn_ids *ids,
                  struct xn_error *err);
// Renders messages ([{"role", "content"}, ...]) with the model's chat template, ready for an answer where
// add_generation_prompt; `arguments` (an object or NULL) are further variables of the template. *out: malloc'ed.
// XN_ERR_UNSUPPORTED where the model has no template.
int xn_prompt_render(const struct xn_model *model, const json_t *messages, const json_t *arguments,
                     bool add_generation_prompt, char **out, size_t *size, struct xn_error *err);
// The same with another template than the model's.
int xn_prompt_render_with(const struct xn_template *chat, const struct xn_model *model, const json_t *messages,
                          const json_t *arguments, bool add_generation_prompt, char **out, size_t *size,
                          struct xn_error *err);
