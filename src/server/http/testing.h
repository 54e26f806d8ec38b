// For tests of the HTTP server: handlers that answer in every way, and a client of raw sockets.
#pragma once

#include "server/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

// cmocka wants the headers above first
#include <cmocka.h>

static struct {
    struct xn_http *http;
    atomic_int gone, finished, failed_puts, records, last_status, cut_records;
    atomic_int threads; // of handlers, that still run: the server does not wait for who holds an exchange
    atomic_bool release;
} t;

static inline void nap(double seconds) {
    struct timespec s = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&s, NULL);
}

enum { PATIENCE = 60 }; // seconds, of a machine that is busy with other work

static inline void await_count(atomic_int *counter, int wanted) {
    for (int i = 0; i < 100 * PATIENCE && atomic_load(counter) < wanted; i++)
        nap(0.01);
    assert_int_equal(atomic_load(counter), wanted);
}

// Until so many requests have come and are not answered.
static inline void await_active(uint32_t wanted) {
    for (int i = 0; i < 100 * PATIENCE && xn_http_active(t.http) != wanted; i++)
        nap(0.01);
    assert_int_equal(xn_http_active(t.http), wanted);
}

// --- handlers

static inline int hello(void *server, struct xn_exchange *x, struct xn_error *err) {
    assert_ptr_equal(server, &t);
    xn_exchange_note(x, "model", "m");
    return xn_reply(x, 200, "text/plain", "hello", 5, err);
}

static inline int echo(void *server, struct xn_exchange *x, struct xn_error *err) {
    size_t size;
    const char *body = xn_exchange_body(x, &size), *name = xn_exchange_query(x, "name");
    (void)server;
    if (name) xn_reply_header(x, "X-Name", name);
    return xn_reply(x, 201, "application/octet-stream", body, size, err);
}

static inline int read_json(void *server, struct xn_exchange *x, struct xn_error *err) {
    json_t *body;
    (void)server;
    XN_TRY(xn_exchange_json(x, &body, err));
    return xn_reply_json(x, 200, body, err);
}

static inline int refuse(void *server, struct xn_exchange *x, struct xn_error *err) {
    (void)server, (void)x;
    return xn_fail(err, XN_ERR_ARGUMENT, "temperature: 9 is too hot");
}

static inline int full(void *server, struct xn_exchange *x, struct xn_error *err) {
    (void)server;
    xn_reply_retry(x, 23);
    return xn_fail(err, XN_ERR_LIMIT, "nothing more fits");
}

static inline int silent(void *server, struct xn_exchange *x, struct xn_error *err) {
    (void)server, (void)x, (void)err;
    return XN_OK;
}

// The end of a handler's thread.
static inline void *leave(struct xn_exchange *x) {
    xn_exchange_release(x);
    atomic_fetch_add(&t.finished, 1);
    atomic_fetch_sub(&t.threads, 1);
    return NULL;
}

static inline void *drip(void *user) {
    struct xn_exchange *x = user;
    char line[64];
    for (int i = 0; i < 20; i++) {
        int n = snprintf(line, sizeof line, "data: %d\n\n", i);
        if (xn_stream_put(x, line, (size_t)n, NULL) != XN_OK) atomic_fetch_add(&t.failed_puts, 1);
        if (i % 5 == 0) nap(0.005);
    }
    xn_stream_end(x);
    return leave(x);
}

static inline int detach(void *(*run)(void *), struct xn_exchange *x) {
    pthread_t thread;
    xn_exchange_hold(x);
    atomic_fetch_add(&t.threads, 1);
    assert_int_equal(pthread_create(&thread, NULL, run, x), 0);
    return pthread_detach(thread);
}

static inline int stream(void *server, struct xn_exchange *x, struct xn_error *err) {
    (void)server;
    XN_TRY(xn_stream_begin(x, 200, "text/event-stream", err));
    return detach(drip, x);
}

static inline void note_gone(void *user) {
    (void)user;
    atomic_fetch_add(&t.gone, 1);
}

// Computes for long, says nothing until its client has gone.
static inline void *brood(void *user) {
    struct xn_exchange *x = user;
    for (int i = 0; i < 1000 && !xn_exchange_gone(x) && !atomic_load(&t.release); i++)
        nap(0.01);
    struct xn_error err;
    if (xn_reply(x, 200, "text/plain", "late", 4, &err) == XN_ERR_CANCELLED) atomic_fetch_add(&t.failed_puts, 1);
    return leave(x);
}

static inline int slow(void *server, struct xn_exchange *x, struct xn_error *err) {
    (void)server, (void)err;
    xn_exchange_on_gone(x, note_gone, x);
    return detach(brood, x);
}

static inline void *flood(void *user) {
    static const char block[4096] = "x";
    struct xn_exchange *x = user;
    struct xn_error err = {0};
    for (int i = 0; i < 1 << 16; i++)
        if (xn_stream_put(x, block, sizeof block, &err) != XN_OK) {
            if (err.status == XN_ERR_LIMIT) atomic_fetch_add(&t.failed_puts, 1);
            break;
        }
    xn_stream_end(x);
    return leave(x);
}

static inline int flooding(void *server, struct xn_exchange *x, struct xn_error *err) {
    (void)server;
    xn_exchange_on_gone(x, note_gone, x);
    XN_TRY(xn_stream_begin(x, 200, "application/octet-stream", err));
    return detach(flood, x);
}

// Leaves a stream that it began.
static inline int broken(void *server, struct xn_exchange *x, struct xn_error *err) {
    (void)server;
    XN_TRY(xn_stream_begin(x, 200, "text/plain", err));
    XN_TRY(xn_stream_put(x, "half", 4, err));
    return xn_fail(err, XN_ERR_DEVICE, "lost");
}

static inline json_t *form(int status, const char *type, const char *message) {
    return json_pack("{s:i,s:s,s:s}", "status", status, "type", type, "said", message);
}

static const struct xn_route first_table[] = {
    {"GET", "/hello", XN_ROUTE_PUBLIC | XN_ROUTE_QUICK, form, hello},
    {"POST", "/echo", 0, form, echo},
    {"GET", "/refuse", 0, form, refuse},
    {"POST", "/json", 0, form, read_json},
    {0},
};
static const struct xn_route second_table[] = {
    {"GET", "/silent", 0, form, silent},
    {"GET", "/stream", 0, form, stream},
    {"GET", "/slow", 0, form, slow},
    {"GET", "/flood", 0, form, flooding},
    {"GET", "/broken", 0, form, broken},
    {"GET", "/files/", XN_ROUTE_PREFIX, NULL, hello},
    {"POST", "/hello", 0, form, echo},
    {"GET", "/full", 0, form, full},
    {0},
};
static const struct xn_route *const tables[] = {first_table, second_table, NULL};

static inline void record(void *user, const struct xn_http_record *r) {
    (void)user;
    assert_non_null(r->id);
    assert_string_equal(r->address, "127.0.0.1");
    if (r->gone) atomic_fetch_add(&t.cut_records, 1);
    atomic_store(&t.last_status, r->status);
    atomic_fetch_add(&t.records, 1);
}

static inline void start(struct xn_http_options o) {
    struct xn_error err = {0};
    atomic_store(&t.gone, 0);
    atomic_store(&t.finished, 0);
    atomic_store(&t.failed_puts, 0);
    atomic_store(&t.records, 0);
    atomic_store(&t.cut_records, 0);
    atomic_store(&t.release, false);
    o.tables = tables;
    o.server = &t;
    o.log = record;
    if (xn_http_start(&o, &t.http, &err) != XN_OK) fail_msg("%s", err.message);
}

static inline int stop(void **state) {
    (void)state;
    xn_http_stop(t.http);
    t.http = NULL;
    // What a thread that is late counts must not be the next test's.
    for (int i = 0; i < 100 * PATIENCE && atomic_load(&t.threads); i++)
        nap(0.01);
    return atomic_load(&t.threads) ? -1 : 0;
}

// --- a client

static inline int dial(void) {
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(xn_http_port(t.http)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), small = 4096;
    struct timeval patience = {PATIENCE, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static inline void say_bytes(int fd, const char *text, size_t n) {
    while (n) {
        ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);
        if (sent <= 0) return; // the server has closed
        text += sent;
        n -= (size_t)sent;
    }
}

static inline void say(int fd, const char *text) {
    say_bytes(fd, text, strlen(text));
}

static char heard[1 << 20];

// Reads until the connection ends, or `until` was seen. Returns whether it ended.
static inline bool hear(int fd, const char *until) {
    size_t n = 0;
    heard[0] = 0;
    while (n < sizeof heard - 1) {
        ssize_t got = recv(fd, heard + n, sizeof heard - 1 - n, 0);
        if (got < 0 && errno != ECONNRESET) fail_msg("no answer within a minute; so far: %s", heard);
        if (got <= 0) return true;
        n += (size_t)got;
        heard[n] = 0;
        if (until && strstr(heard, until)) return false;
    }
    return false;
}

// One request on a connection of its own, which the server is asked to close.
static inline void ask(const char *request) {
    int fd = dial();
    say(fd, request);
    assert_true(hear(fd, NULL));
    close(fd);
}

#define expect(text)                                                                                                   \
    do {                                                                                                               \
        if (!strstr(heard, text)) fail_msg("expected \"%s\" in: %.600s", text, heard);                                 \
    } while (0)
#define END "Host: here\r\nConnection: close\r\n\r\n"
