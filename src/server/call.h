// A call: a request of an API from its body to the last byte of its reply. What all APIs that stream have in common.
#pragma once

#include "api/stop.h"
#include "server/completion.h"
#include "server/server.h"

#include <time.h>

// Zero-initialise. A handler embeds it in what it keeps until the completion is done.
struct xn_call {
    struct xn_server *server;
    struct xn_exchange *x;    // held
    struct xn_served *served; // held
    bool stream;              // wanted
    bool begun;               // the stream has
    bool broken;              // nothing more can be sent
    struct timespec last;     // when something was sent
};
// Takes hold of the exchange, and of the model of that name (which may have to be loaded). On failure nothing is held.
int xn_call_begin(struct xn_call *call, void *server, struct xn_exchange *x, const char *model, struct xn_error *err);
void xn_call_end(struct xn_call *call);
// Notes for the log, of a completion's DONE event.
void xn_call_note(struct xn_call *call, const struct xn_completion_event *done);

// Server-sent events, on the serving thread. The first one begins the stream. All take the reference to `data`; they do
// nothing once something failed, and return whether the client is still there.
bool xn_call_event(struct xn_call *call, const char *name, json_t *data); // name NULL: none is written
bool xn_call_text(struct xn_call *call, const char *text);                // as it is ("data: [DONE]\n\n")
// Nothing to say at the moment: begins the stream, and sends a comment now and then, so that nobody between gives up.
bool xn_call_alive(struct xn_call *call);
// Whether anybody still waits for the answer; keeps a stream alive.
bool xn_call_there(struct xn_call *call);
// A handler of a route: the body as an object, its field "model" as the call's model, and then what `with` does. A call
// that goes on is taken by `with` out of *call (set to zero).
typedef int xn_call_start(struct xn_call *call, const json_t *body, struct xn_completion_request *request,
                          struct xn_error *err);
int xn_call_handle(void *server, struct xn_exchange *x, xn_call_start *with, struct xn_error *err);

// A random name: prefix and 24 letters and digits.
enum { XN_CALL_ID = 40 };
void xn_call_id(char id[XN_CALL_ID], const char *prefix);
// The text that has been collected as a JSON string (never NULL: without memory, or where it is no UTF-8, JSON null).
json_t *xn_json_text(const char *text, size_t size);
// {"prompt_n", "prompt_ms", ...}: llama-server's.
json_t *xn_call_timings(const struct xn_serving_counts *usage);
