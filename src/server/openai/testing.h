// For tests of OpenAI's API: a post to one of its handlers, of a model that answers what is written down.
#pragma once

#include "server/completion/testing.h"
#include "server/openai/internal.h"

static const char *answer; // of the next posts; NULL: "Hello there."

// The reply, which must have this status.
static inline json_t *post(int (*handle)(void *server, struct xn_exchange *x, struct xn_error *err), const char *body,
                           int status) {
    scripted_reset();
    scripted.answer = answer ? answer : "Hello there.";
    scripted_post(handle, xn_openai_error, body);
    return scripted_reply(status);
}

// The reply must be a stream that has ended; it is in `scripted`.
static inline void stream(int (*handle)(void *server, struct xn_exchange *x, struct xn_error *err), const char *body) {
    scripted_reset();
    scripted.answer = answer ? answer : "Hello there.";
    scripted_post(handle, xn_openai_error, body);
    assert_int_equal(scripted.status, 200);
    assert_true(scripted.streaming && scripted.ended);
}
