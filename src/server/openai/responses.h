// OpenAI's responses API.
#pragma once

#include "server/openai/internal.h"

int xn_openai_responses(void *server, struct xn_exchange *x, struct xn_error *err);
int xn_openai_response_get(void *server, struct xn_exchange *x, struct xn_error *err);
int xn_openai_response_delete(void *server, struct xn_exchange *x, struct xn_error *err);

// ---- responses_read.c
struct xn_response_options {
    bool stream, store;
    // The response without what changes while it is made: an object, whose reference is the reader's caller's.
    json_t *echo;
    // The conversation without the instructions: what the next response goes on from. The same.
    json_t *conversation;
};
int xn_response_read(const json_t *body, const struct xn_call *call, struct xn_completion_request *request,
                     struct xn_response_options *options, struct xn_error *err);
void xn_response_options_free(struct xn_response_options *options);
// ---- responses_input.c: items of an input, appended to messages of chat's form.
int xn_response_input(const json_t *input, json_t *messages, struct xn_error *err);

// ---- responses_store.c: responses that later ones may go on from. Bounded; the longest unused one goes first. Any
// thread. Owners see none but their own.
void xn_response_keep(const char *id, uint64_t owner, json_t *conversation, json_t *response); // borrows both
// Held references, or false. Either may be NULL.
bool xn_response_find(const char *id, uint64_t owner, json_t **conversation, json_t **response);
bool xn_response_drop(const char *id, uint64_t owner);
void xn_openai_forget_responses(void); // all, at the end of a program
