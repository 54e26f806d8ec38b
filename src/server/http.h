// HTTP over libmicrohttpd: routes, limits, keys, TLS, and replies that are written by other threads while they stream.
#pragma once

#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xn_http;     // a server
struct xn_exchange; // one request and its reply

// What a handler sees. All strings are valid until the exchange is done.
const char *xn_exchange_method(const struct xn_exchange *x);
const char *xn_exchange_path(const struct xn_exchange *x);
const char *xn_exchange_id(const struct xn_exchange *x);                       // request id, for logs and X-Request-Id
const char *xn_exchange_header(const struct xn_exchange *x, const char *name); // NULL: not sent
const char *xn_exchange_query(const struct xn_exchange *x, const char *name);  // NULL: not there; "" without a value
const char *xn_exchange_body(const struct xn_exchange *x, size_t *size);
uint64_t xn_exchange_owner(const struct xn_exchange *x); // whom to be fair to: a number of the key, else of the address
bool xn_exchange_gone(const struct xn_exchange *x);      // the client has closed its connection
// The body as one JSON object (released by the caller). XN_ERR_ARGUMENT where it is none.
int xn_exchange_json(const struct xn_exchange *x, json_t **out, struct xn_error *err);
// What the log line of this request says besides: a copy of the text, or a number. No text of prompts or answers.
void xn_exchange_note(struct xn_exchange *x, const char *name, const char *text);
void xn_exchange_note_number(struct xn_exchange *x, const char *name, double value);

// One reply an exchange, from any thread: whole ...
int xn_reply(struct xn_exchange *x, int status, const char *content_type, const void *body, size_t size,
             struct xn_error *err);
int xn_reply_json(struct xn_exchange *x, int status, json_t *body, struct xn_error *err); // takes the reference
void xn_reply_header(struct xn_exchange *x, const char *name, const char *value);         // before the reply begins
// Of an error that is still to be replied (429, 503): seconds after which to ask again, where that is known.
void xn_reply_retry(struct xn_exchange *x, uint32_t seconds);
// ... or streamed: begin, any number of puts, end. A put never blocks: it queues (copied) bytes; it fails with
// XN_ERR_CANCELLED where the client has gone, and XN_ERR_LIMIT where a client reads so slowly that the queue is past
// its bound (the connection is then closed).
int xn_stream_begin(struct xn_exchange *x, int status, const char *content_type, struct xn_error *err);
int xn_stream_put(struct xn_exchange *x, const void *bytes, size_t size, struct xn_error *err);
void xn_stream_end(struct xn_exchange *x);
// gone(user) is called once when the client goes before the reply is complete: on a thread of the server, without
// locks; at once where it has gone already. Several may be asked for. A client that closes only its sending side has
// gone too.
void xn_exchange_on_gone(struct xn_exchange *x, void (*gone)(void *user), void *user);
// Takes that back: nothing is called with this user any more, and no such call (but the caller's own) still runs when
// this returns.
void xn_exchange_off_gone(struct xn_exchange *x, void *user);
// Keeps the exchange alive for a thread that still has to reply; the handler's own hold ends when it returns.
struct xn_exchange *xn_exchange_hold(struct xn_exchange *x);
void xn_exchange_release(struct xn_exchange *x);

// How an API says what went wrong. `status`: of HTTP.
typedef json_t *xn_error_form(int status, const char *type, const char *message);
enum {
    XN_ROUTE_PUBLIC = 1, // without a key
    XN_ROUTE_PREFIX = 2, // all paths that begin with `path`
    XN_ROUTE_QUICK = 4,  // never blocks, and takes well under a millisecond: runs on the thread that reads, even where
                         // all others are busy. The rest runs on threads that may wait (for a model to load, say)
};
struct xn_route {
    const char *method, *path;
    int flags;
    xn_error_form *form;
    // Replies, or begins something that will (then it holds x). A failure before anything was sent becomes a reply in
    // the route's form; where nobody holds x and nothing was said, 500 does. HEAD finds GET's route; its body is left
    // out by the server.
    int (*handle)(void *server, struct xn_exchange *x, struct xn_error *err);
};
// HTTP's status for an error of the library: 400 for ARGUMENT, TEMPLATE, FORMAT; 404 for MISSING; 429 for LIMIT (429
// and 503 get a Retry-After: that of xn_reply_retry, else 1); 499 for CANCELLED; 501 for UNSUPPORTED; 503 for NOMEM;
// 500 ...
int xn_http_status(const struct xn_error *err);
// What that is called in the forms of errors: "invalid_request_error", "not_found_error", ...
const char *xn_http_error_type(int status);

// One request that was answered (or whose client went), for logs. Valid during the call.
struct xn_http_record {
    const char *id, *method, *path, *address; // path: without the query
    int status;                               // 0: none was sent
    bool gone;                                // the client went before the reply was complete
    double seconds;                           // since its headers were there
    uint64_t received, sent;                  // bytes of the bodies
    const json_t *notes;                      // an object: of xn_exchange_note; NULL: none
    const char *body;                         // of the request, body_size bytes; NULL where there was none
    size_t body_size;
};

struct xn_http_options {
    const char *host;                     // an address, or a name; NULL: 127.0.0.1
    uint16_t port;                        // 0: any that is free
    const struct xn_route *const *tables; // ended by NULL; each ended by a row without a method
    void *server;                         // for the handlers
    const char *const *keys;              // n_keys; none: all may ask
    size_t n_keys;
    const char *certificate, *key; // text of PEM files; NULL: no TLS
    const char *const *origins;    // of other sites that may read replies (CORS); "*": all
    size_t n_origins;
    bool own_names;   // only requests to an address, to localhost, or to the host of one of `origins` are answered: a
                      // name that somebody else's page had resolved to this machine is none of them
    size_t body_most; // bytes; 0: 64 MiB
    uint32_t headers_most; // bytes of a connection's request line and headers; 0: 32 KiB
    uint32_t connections;  // 0: 1024
    uint32_t per_address;  // connections from one address; 0: as many as there may be
    uint32_t queue;        // requests in progress; more get 429. 0: 512
    uint32_t threads;      // that run handlers at the most; 0: 32
    size_t stream_most;    // bytes that a stream may be ahead of its reader; 0: 4 MiB
    double header_seconds; // from a connection's begin, or its last reply, to the end of headers; 0: 60
    double body_seconds;   // from there to the body's end; 0: 60
    double write_seconds;  // without a byte taken by the client; 0: 60
    void (*log)(void *user, const struct xn_http_record *record); // on the server's thread; NULL: none
    void *user;
};
// Listens, and starts the threads. Copies nothing: what the options point to must stay.
int xn_http_start(const struct xn_http_options *options, struct xn_http **out, struct xn_error *err);
uint16_t xn_http_port(const struct xn_http *http);
// Takes no more connections, and answers new requests on old ones with 503. Any thread, not in a signal handler.
void xn_http_drain(struct xn_http *http);
uint32_t xn_http_active(struct xn_http *http); // requests that are not yet answered to the last byte
// Ends all, also what is not answered yet (its clients are "gone"). Exchanges that others still hold stay valid until
// they are released, but no more is sent. Accepts NULL.
void xn_http_stop(struct xn_http *http);
