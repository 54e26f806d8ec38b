// A completion: what every API asks for in its own words. Prompt or conversation in; text, reasoning and calls of tools
// out, piece by piece.
#pragma once

#include "api/sampling.h"
#include "engine/serving/serving.h"
#include "text/answer/answer.h"

#include <jansson.h>

struct xn_exchange; // http.h
struct xn_served;   // a loaded model: model, serving, template, names (models.h)

enum xn_tool_choice { XN_TOOLS_AUTO, XN_TOOLS_NONE, XN_TOOLS_REQUIRED, XN_TOOLS_NAMED };
enum xn_response_format { XN_FORMAT_TEXT, XN_FORMAT_JSON, XN_FORMAT_SCHEMA, XN_FORMAT_GBNF };
enum { XN_COMPLETION_ANSWERS = 128 }; // n at the most

// Filled by an API's reader; zero-initialise, xn_completion_request_free empties. JSON values are held references.
struct xn_completion_request {
    // One of: a conversation as OpenAI's chat API has it (what others have is turned into that), a text, or ids.
    json_t *messages, *tools, *template_arguments;
    bool no_generation_prompt; // the last message is the beginning of the answer
    char *prompt;
    size_t prompt_size;
    struct xn_ids ids;

    struct xn_sampling_held sampling;
    int64_t most; // tokens; < 0: as many as fit
    char **stops;
    size_t n_stops;
    uint32_t n;       // answers; 0: one. Answer i has the seed of `sampling` plus i
    int32_t logprobs; // -1: none
    bool ignore_end, shift, no_cache;
    bool echo; // the first piece of each answer is the prompt's text (not of a conversation)
    enum xn_tool_choice tool_choice;
    char *tool;    // NAMED
    bool one_call; // no parallel calls
    enum xn_response_format format;
    json_t *schema;
    char *grammar;
    bool keep_reasoning; // reasoning stays in the content
    int priority;
    uint64_t owner;
    struct xn_exchange *exchange; // NULL, or whose client's going cancels it; held by the caller until DONE
};
uint64_t xn_random_seed(void); // < 2^63
// What requests to this model begin with: its settings of sampling (a seed of 0 there: a random one), most -1,
// logprobs -1.
void xn_completion_request_init(struct xn_completion_request *request, const struct xn_served *served);
void xn_completion_request_free(struct xn_completion_request *request);

enum xn_completion_kind {
    XN_COMPLETION_PROGRESS, // a piece of the prompt was computed, or a token gave no text (yet): a chance to end it
    XN_COMPLETION_PIECE,    // of answer `choice`
    XN_COMPLETION_FINISH,   // of answer `choice`; not given where it failed
    XN_COMPLETION_DONE,     // last event, once: usage, or error
};
enum xn_completion_finish { XN_FINISHED_STOP, XN_FINISHED_LENGTH, XN_FINISHED_CALLS, XN_FINISHED_CANCELLED };
struct xn_completion_token {
    int32_t id;
    const char *bytes; // as the token is spelled
    size_t size;
    float logprob;
    const struct xn_token_logprob *top;
    int32_t n_top;
};
struct xn_completion_event {
    enum xn_completion_kind kind;
    uint32_t choice;
    const struct xn_answer_piece *piece; // PIECE
    // PIECE and PROGRESS, where logprobs were asked for: the token behind the first piece that it made, or behind none.
    const struct xn_completion_token *token;
    enum xn_completion_finish finish; // FINISH
    const char *stop;                 // FINISH: the stop string that ended it, or NULL
    struct xn_serving_counts usage; // FINISH: of this answer; DONE: of all (the prompt counted once); PROGRESS: so far
    uint32_t reasoning;             // FINISH, DONE: how many of the generated tokens were reasoning
    const struct xn_error *error;   // DONE; NULL: all went well
};

struct xn_completion;
// Renders, tokenizes, compiles grammars (on the calling thread; errors are the client's), and submits. The request may
// be freed when this returns; `served` must stay held until DONE, after which it is not touched.
//
// Events come on the serving thread, one at a time, and may begin before this returns; *out is set before the first.
// Where answer 0 was submitted and a later one can't be, this returns XN_OK and DONE has the error (it may then come on
// the calling thread). A nonzero result of `event` cancels all answers. `*out` is released by the caller at any time.
int xn_completion_start(struct xn_served *served, const struct xn_completion_request *request,
                        int (*event)(void *user, const struct xn_completion_event *event), void *user,
                        struct xn_completion **out, struct xn_error *err);
void xn_completion_cancel(struct xn_completion *completion); // any thread; DONE still comes
void xn_completion_release(struct xn_completion *completion);
// The prompt alone (for /apply-template and tests): malloc'ed.
int xn_completion_prompt(struct xn_served *served, const struct xn_completion_request *request, char **text,
                         size_t *size, struct xn_error *err);
// The ids that the prompt has (for counting tokens): appended.
int xn_completion_ids(struct xn_served *served, const struct xn_completion_request *request, struct xn_ids *ids,
                      struct xn_error *err);
// Forgets the compiled grammars that are kept for requests to come (at the end of a program).
void xn_completion_forget_grammars(void);
