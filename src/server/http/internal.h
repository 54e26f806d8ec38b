// The parts of the HTTP server. One thread, the reader (reader.c), does all that sockets need and makes every call into
// libmicrohttpd; handlers run on it where their route is quick, else on threads of their own (workers.c). Whoever
// replies from elsewhere writes into the exchange (reply.c) and wakes the reader.
#pragma once

#include "server/http.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

struct xn_pair {
    char *name, *value;
};

enum xn_reply_state { XN_REPLY_NONE, XN_REPLY_WHOLE, XN_REPLY_STREAM };

struct xn_exchange {
    struct xn_http *http; // not to be touched once the client is gone, but by the reader
    atomic_uint refs;     // the reader's, those of all holders together, and of the list of the woken
    atomic_uint holds;    // the handler's, and xn_exchange_hold's

    // The request; constant once the handler has it.
    char *method, *path, *address, *body;
    size_t body_size, body_capacity;
    struct xn_pair *headers, *arguments;
    size_t n_headers, headers_capacity, n_arguments, arguments_capacity;
    char id[65];
    uint64_t owner;
    const struct xn_route *route; // NULL: none fits
    xn_error_form *form;
    double began; // monotonic seconds

    // The reader's own.
    struct MHD_Connection *connection; // NULL: done
    struct xn_link *link;
    struct xn_exchange *before, *after; // all that are not done
    bool complete;                      // the body is there
    bool suspended, queued;             // queued: libmicrohttpd has the reply
    int refused;                        // status of the reply that it gets whatever its body is; 0: none
    const char *refusal;
    uint64_t received;

    // Of all threads, under the lock.
    pthread_mutex_t lock;
    pthread_cond_t called;
    bool gone, waiting /* the reader is to be woken by what is written */, ended, broken;
    void *called_user; // of on_gone's call that is running; NULL: none
    pthread_t caller;
    enum xn_reply_state state;
    int status;
    char *type;
    struct xn_pair *reply_headers;
    size_t n_reply_headers, reply_headers_capacity;
    char *out; // bytes from `out_begin` on are still to be sent
    size_t out_begin, out_size, out_capacity;
    uint64_t sent;
    struct xn_gone {
        void (*call)(void *user);
        void *user;
    } * on_gone;
    size_t n_on_gone, on_gone_capacity;
    json_t *notes;
    struct xn_exchange *next_ready, *next_job;
};

// A connection.
struct xn_link {
    struct xn_link *before, *after;
    int fd;
    double since;             // of its begin, or the end of its last exchange
    double closed;            // when its client closed the sending side; 0: it has not
    bool line;                // the request line of the next is there
    bool nul;                 // with an encoded NUL
    struct xn_exchange *busy; // NULL: between requests
};

struct xn_http {
    struct xn_http_options options;
    struct MHD_Daemon *daemon;
    int listener, poll, event;
    uint16_t port;
    pthread_t reader;
    atomic_bool draining, stopping;
    bool quiesced; // the listener is closed to newcomers
    atomic_uint active;
    atomic_ullong serial;
    uint64_t salt; // of request ids

    struct xn_exchange *live; // the reader's
    struct xn_link *links;
    size_t bodies; // bytes of all that are held

    pthread_mutex_t lock; // ready, and the workers
    struct xn_exchange *ready;
    pthread_cond_t work;
    struct xn_exchange *jobs, **jobs_end;
    pthread_t *threads;
    uint32_t n_threads, idle_threads;
    bool closing; // the workers end when nothing is left to do
};

double xn_now(void); // monotonic seconds

// --- exchange.c
struct xn_exchange *xn_exchange_new(struct xn_http *http, struct MHD_Connection *connection, const char *method,
                                    const char *path); // NULL without memory
void xn_exchange_ref(struct xn_exchange *x);
void xn_exchange_unref(struct xn_exchange *x);
int xn_exchange_add_body(struct xn_exchange *x, const void *bytes, size_t size); // -1 without memory
int xn_pair_add(struct xn_pair **pairs, size_t *n, size_t *capacity, const char *name, size_t name_size,
                const char *value, size_t value_size); // -1 without memory
const char *xn_pair_find(const struct xn_pair *pairs, size_t n, const char *name, bool any_case);
void xn_pairs_free(struct xn_pair *pairs, size_t n);

// --- reply.c
// The client is not there any more: its callback is called, and the reader woken.
void xn_exchange_lose(struct xn_exchange *x);
// What is left of an exchange that nobody holds any more gets an end.
void xn_exchange_abandoned(struct xn_exchange *x);
void xn_reply_error(struct xn_exchange *x, int status, const char *message);
// The reply as libmicrohttpd takes it; NULL without memory.
struct MHD_Response *xn_reply_make(struct xn_exchange *x);

// --- route.c
// Finds the route, or says what the reply is without one: x->refused, x->refusal and headers of the reply.
void xn_route_find(struct xn_exchange *x);
void xn_reply_origin(struct xn_exchange *x); // CORS

// --- keys.c
bool xn_keys_admit(const struct xn_http_options *options, const char *authorization, const char *api_key,
                   uint64_t *owner);
uint64_t xn_owner_of_address(const struct sockaddr *address);

// --- workers.c
void xn_workers_run(struct xn_exchange *x); // on this thread
int xn_workers_give(struct xn_exchange *x); // on another; -1: there is no thread
void xn_workers_stop(struct xn_http *http);

// --- callbacks.c
int xn_daemon_start(struct xn_http *http, struct xn_error *err);

// --- reader.c
void *xn_reader_run(void *http);
void xn_reader_wake(struct xn_exchange *x); // by any thread; takes its own reference

// --- listen.c
int xn_listen(const char *host, uint16_t port, int *fd, uint16_t *chosen, struct xn_error *err);
