// What the files of OpenAI's API share.
#pragma once

#include "server/call.h"
#include "server/fields.h"
#include "server/openai/openai.h"

// ---- read.c: fields that several endpoints have
// Sampling with llama-server's further fields, stop, seed, n, priority, cache_prompt, response_format, json_schema,
// grammar. `request` was initialised for the call's model.
int xn_openai_read_common(const json_t *body, const struct xn_call *call, struct xn_completion_request *request,
                          struct xn_error *err);
// The first of the named fields that is there: tokens to generate.
int xn_openai_read_most(const json_t *body, const char *const *names, size_t n, int64_t *most, struct xn_error *err);
// {"type": "text" | "json_object" | "json_schema", ...}; `schema_holder` has name, schema and strict, and `name` is
// what messages call it.
int xn_openai_read_format(const json_t *format, const char *name, const json_t *schema_holder,
                          struct xn_completion_request *request, struct xn_error *err);
// stream, stream_options.include_usage
int xn_openai_read_stream(const json_t *body, bool *stream, bool *usage, struct xn_error *err);
int xn_openai_set_string(char **to, const char *text, struct xn_error *err); // a copy
// An argument of the template.
int xn_openai_argument(struct xn_completion_request *request, const char *name, json_t *value, struct xn_error *err);
// reasoning_effort's word ("none" turns reasoning off)
int xn_openai_effort(struct xn_completion_request *request, const char *effort, const char *name, struct xn_error *err);

// ---- tools.c
// tools, tool_choice and parallel_tool_calls. `flat`: as the responses API writes them.
int xn_openai_read_tools(const json_t *body, bool flat, struct xn_completion_request *request, struct xn_error *err);

// ---- messages.c: a conversation checked, and held by the request.
int xn_openai_read_messages(const json_t *body, struct xn_completion_request *request, struct xn_error *err);

// ---- chat_read.c
struct xn_openai_chat_options {
    bool stream, include_usage;
};
int xn_openai_read_chat(const json_t *body, const struct xn_call *call, struct xn_completion_request *request,
                        struct xn_openai_chat_options *options, struct xn_error *err);

// ---- write.c
json_t *xn_openai_usage(const struct xn_completion_event *done);
const char *xn_openai_finish(enum xn_completion_finish finish);
// {"token", "logprob", "bytes", "top_logprobs"} of chat's logprobs
json_t *xn_openai_logprob(const struct xn_tokenizer *tokenizer, const struct xn_completion_token *token);
// Bytes of a token as a JSON text: what is no UTF-8 is replaced.
json_t *xn_openai_token_text(const char *bytes, size_t size);
double xn_openai_finite(float logprob); // -9999 for what is impossible
extern const char xn_openai_fingerprint[];
// Sends an error in place of an answer: as a reply, or within a stream that has begun (which it does not end).
void xn_openai_send_error(struct xn_call *call, const struct xn_error *error);

// Handlers.
int xn_openai_chat(void *server, struct xn_exchange *x, struct xn_error *err);
int xn_openai_completions(void *server, struct xn_exchange *x, struct xn_error *err);
int xn_openai_embeddings(void *server, struct xn_exchange *x, struct xn_error *err);
int xn_openai_models(void *server, struct xn_exchange *x, struct xn_error *err);
int xn_openai_model(void *server, struct xn_exchange *x, struct xn_error *err);
