// What the files of Anthropic's API share.
#pragma once

#include "server/anthropic/anthropic.h"
#include "server/call.h"
#include "server/fields.h"

struct xn_anthropic_options {
    bool stream;
    bool thinking; // asked for; else reasoning is left out of the answer
};
// read.c: a request. `counting`: of count_tokens, which needs no max_tokens.
int xn_anthropic_read(const json_t *body, const struct xn_call *call, bool counting,
                      struct xn_completion_request *request, struct xn_anthropic_options *options,
                      struct xn_error *err);
// messages.c: system and messages, turned into chat's form and held by the request.
int xn_anthropic_messages(const json_t *body, struct xn_completion_request *request, struct xn_error *err);

// Handlers.
int xn_anthropic_create(void *server, struct xn_exchange *x, struct xn_error *err);
int xn_anthropic_count(void *server, struct xn_exchange *x, struct xn_error *err);
