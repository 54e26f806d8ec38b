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

// One reply an exchange, from any thread: whole ...
int xn_reply(struct xn_exchange *x, int status, const char *content_type, const void *body, size_t size,
             struct xn_error *err);
int xn_reply_json(struct xn_exchange *x, int status, json_t *body, struct xn_error *err); // takes the reference
void xn_reply_header(struct xn_exchange *x, const char *name, const char *value);         // before the reply begins
// ... or streamed: begin, any number of puts, end. A put never blocks: it queues (copied) bytes; it fails with
// XN_ERR_CANCELLED where the client has gone, and XN_ERR_LIMIT where a client reads so slowly that the queue is past
// its bound (the connection is then closed).
int xn_stream_begin(struct xn_exchange *x, int status, const char *content_type, struct xn_error *err);
int xn_stream_put(struct xn_exchange *x, const void *bytes, size_t size, struct xn_error *err);
void xn_stream_end(struct xn_exchange *x);
// Called once, on a thread of the server, when the client goes before the reply is complete.
void xn_exchange_on_gone(struct xn_exchange *x, void (*gone)(void *user), void *user);
// Keeps the exchange alive for a thread that still has to reply; the handler's own hold ends when it returns.
struct xn_exchange *xn_exchange_hold(struct xn_exchange *x);
void xn_exchange_release(struct xn_exchange *x);

// How an API says what went wrong. `status`: of HTTP.
typedef json_t *xn_error_form(int status, const char *type, const char *message);
enum { XN_ROUTE_PUBLIC = 1 /* without a key */, XN_ROUTE_PREFIX = 2 /* all paths below */ };
struct xn_route {
    const char *method, *path;
    int flags;
    xn_error_form *form;
    // Replies, or begins something that will. A failure before anything was sent becomes a reply in the route's form.
    int (*handle)(void *server, struct xn_exchange *x, struct xn_error *err);
};
// HTTP's status for an error of the library: 400 for ARGUMENT, TEMPLATE, FORMAT; 429 for LIMIT; 404; 500 ...
int xn_http_status(const struct xn_error *err);
