// The HTTP server by raw sockets: what it says to right and to hostile clients, and what it notices of them.
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
    atomic_bool release;
} t;

static void nap(double seconds) {
    struct timespec s = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&s, NULL);
}

static void await_count(atomic_int *counter, int wanted) {
    for (int i = 0; i < 500 && atomic_load(counter) < wanted; i++)
        nap(0.01);
    assert_int_equal(atomic_load(counter), wanted);
}

// --- handlers

static int hello(void *server, struct xn_exchange *x, struct xn_error *err) {
    assert_ptr_equal(server, &t);
    xn_exchange_note(x, "model", "m");
    return xn_reply(x, 200, "text/plain", "hello", 5, err);
}

static int echo(void *server, struct xn_exchange *x, struct xn_error *err) {
    size_t size;
    const char *body = xn_exchange_body(x, &size), *name = xn_exchange_query(x, "name");
    (void)server;
    if (name) xn_reply_header(x, "X-Name", name);
    return xn_reply(x, 201, "application/octet-stream", body, size, err);
}

static int refuse(void *server, struct xn_exchange *x, struct xn_error *err) {
    (void)server, (void)x;
    return xn_fail(err, XN_ERR_ARGUMENT, "temperature: 9 is too hot");
}

static int silent(void *server, struct xn_exchange *x, struct xn_error *err) {
    (void)server, (void)x, (void)err;
    return XN_OK;
}

static void *drip(void *user) {
    struct xn_exchange *x = user;
    char line[64];
    for (int i = 0; i < 20; i++) {
        int n = snprintf(line, sizeof line, "data: %d\n\n", i);
        if (xn_stream_put(x, line, (size_t)n, NULL) != XN_OK) atomic_fetch_add(&t.failed_puts, 1);
        if (i % 5 == 0) nap(0.005);
    }
    xn_stream_end(x);
    atomic_fetch_add(&t.finished, 1);
    xn_exchange_release(x);
    return NULL;
}

static int detach(void *(*run)(void *), struct xn_exchange *x) {
    pthread_t thread;
    xn_exchange_hold(x);
    assert_int_equal(pthread_create(&thread, NULL, run, x), 0);
    return pthread_detach(thread);
}

static int stream(void *server, struct xn_exchange *x, struct xn_error *err) {
    (void)server;
    XN_TRY(xn_stream_begin(x, 200, "text/event-stream", err));
    return detach(drip, x);
}

static void note_gone(void *user) {
    (void)user;
    atomic_fetch_add(&t.gone, 1);
}

// Computes for long, says nothing until its client has gone.
static void *brood(void *user) {
    struct xn_exchange *x = user;
    for (int i = 0; i < 1000 && !xn_exchange_gone(x) && !atomic_load(&t.release); i++)
        nap(0.01);
    struct xn_error err;
    if (xn_reply(x, 200, "text/plain", "late", 4, &err) == XN_ERR_CANCELLED) atomic_fetch_add(&t.failed_puts, 1);
    atomic_fetch_add(&t.finished, 1);
    xn_exchange_release(x);
    return NULL;
}

static int slow(void *server, struct xn_exchange *x, struct xn_error *err) {
    (void)server, (void)err;
    xn_exchange_on_gone(x, note_gone, NULL);
    return detach(brood, x);
}

static void *flood(void *user) {
    static const char block[4096] = "x";
    struct xn_exchange *x = user;
    struct xn_error err = {0};
    for (int i = 0; i < 1 << 16; i++)
        if (xn_stream_put(x, block, sizeof block, &err) != XN_OK) {
            if (err.status == XN_ERR_LIMIT) atomic_fetch_add(&t.failed_puts, 1);
            break;
        }
    xn_stream_end(x);
    atomic_fetch_add(&t.finished, 1);
    xn_exchange_release(x);
    return NULL;
}

static int flooding(void *server, struct xn_exchange *x, struct xn_error *err) {
    (void)server;
    xn_exchange_on_gone(x, note_gone, NULL);
    XN_TRY(xn_stream_begin(x, 200, "application/octet-stream", err));
    return detach(flood, x);
}

// Leaves a stream that it began.
static int broken(void *server, struct xn_exchange *x, struct xn_error *err) {
    (void)server;
    XN_TRY(xn_stream_begin(x, 200, "text/plain", err));
    XN_TRY(xn_stream_put(x, "half", 4, err));
    return xn_fail(err, XN_ERR_DEVICE, "lost");
}

static json_t *form(int status, const char *type, const char *message) {
    return json_pack("{s:i,s:s,s:s}", "status", status, "type", type, "said", message);
}

static const struct xn_route first_table[] = {
    {"GET", "/hello", XN_ROUTE_PUBLIC | XN_ROUTE_QUICK, form, hello},
    {"POST", "/echo", 0, form, echo},
    {"GET", "/refuse", 0, form, refuse},
    {0},
};
static const struct xn_route second_table[] = {
    {"GET", "/silent", 0, form, silent}, {"GET", "/stream", 0, form, stream},
    {"GET", "/slow", 0, form, slow},     {"GET", "/flood", 0, form, flooding},
    {"GET", "/broken", 0, form, broken}, {"GET", "/files/", XN_ROUTE_PREFIX, NULL, hello},
    {"POST", "/hello", 0, form, echo},   {0},
};
static const struct xn_route *const tables[] = {first_table, second_table, NULL};

static void record(void *user, const struct xn_http_record *r) {
    (void)user;
    assert_non_null(r->id);
    assert_string_equal(r->address, "127.0.0.1");
    if (r->gone) atomic_fetch_add(&t.cut_records, 1);
    atomic_store(&t.last_status, r->status);
    atomic_fetch_add(&t.records, 1);
}

static void start(struct xn_http_options o) {
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

static int stop(void **state) {
    (void)state;
    xn_http_stop(t.http);
    t.http = NULL;
    return 0;
}

// --- a client

static int dial(void) {
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(xn_http_port(t.http)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), small = 4096;
    struct timeval patience = {10, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static void say_bytes(int fd, const char *text, size_t n) {
    while (n) {
        ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);
        if (sent <= 0) return; // the server has closed
        text += sent;
        n -= (size_t)sent;
    }
}

static void say(int fd, const char *text) {
    say_bytes(fd, text, strlen(text));
}

static char heard[1 << 20];

// Reads until the connection ends, or `until` was seen. Returns whether it ended.
static bool hear(int fd, const char *until) {
    size_t n = 0;
    heard[0] = 0;
    while (n < sizeof heard - 1) {
        ssize_t got = recv(fd, heard + n, sizeof heard - 1 - n, 0);
        if (got < 0 && errno != ECONNRESET) fail_msg("no answer within 10 seconds; so far: %s", heard);
        if (got <= 0) return true;
        n += (size_t)got;
        heard[n] = 0;
        if (until && strstr(heard, until)) return false;
    }
    return false;
}

// One request on a connection of its own, which the server is asked to close.
static void ask(const char *request) {
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

// --- tests

static void answers(void **state) {
    (void)state;
    start((struct xn_http_options){0});
    ask("GET /hello HTTP/1.1\r\n" END);
    expect("HTTP/1.1 200");
    expect("X-Request-Id: req-");
    expect("\r\n\r\nhello");
    ask("GET /hello HTTP/1.1\r\nX-Request-Id: mine-7\r\n" END);
    expect("X-Request-Id: mine-7\r\n");
    ask("GET /hello HTTP/1.1\r\nX-Request-Id: mi(n)e\r\n" END);
    expect("X-Request-Id: req-");
    ask("HEAD /hello HTTP/1.1\r\n" END);
    expect("Content-Length: 5\r\n");
    assert_null(strstr(heard, "hello"));
    ask("GET /hello HTTP/1.0\r\n\r\n");
    expect("200");
    ask("POST /echo?name=a%20b HTTP/1.1\r\nContent-Length: 5\r\n" END "abcde");
    expect("HTTP/1.1 201");
    expect("X-Name: a b");
    expect("\r\n\r\nabcde");
    ask("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    expect("\r\n\r\nabcde");
    ask("GET /files/any/where HTTP/1.1\r\n" END);
    expect("hello");
    ask("POST /hello HTTP/1.1\r\nContent-Length: 2\r\n" END "hi");
    expect("\r\n\r\nhi");
    await_count(&t.records, 9);
}

static void refusals(void **state) {
    (void)state;
    start((struct xn_http_options){.body_most = 1000});
    ask("GET /nowhere HTTP/1.1\r\n" END);
    expect("HTTP/1.1 404");
    expect("\"type\":\"not_found_error\"");
    ask("DELETE /echo HTTP/1.1\r\n" END);
    expect("HTTP/1.1 405");
    expect("Allow: POST, OPTIONS\r\n");
    expect("\"said\":");
    ask("PUT /hello HTTP/1.1\r\nContent-Length: 3\r\n" END "abc");
    expect("HTTP/1.1 405");
    expect("Allow: GET, HEAD, POST, OPTIONS\r\n");
    ask("OPTIONS /echo HTTP/1.1\r\n" END);
    expect("HTTP/1.1 204");
    expect("Allow: POST, OPTIONS\r\n");
    ask("GET /refuse HTTP/1.1\r\n" END);
    expect("HTTP/1.1 400");
    expect("{\"status\":400,\"type\":\"invalid_request_error\",\"said\":\"temperature: 9 is too hot\"}");
    ask("GET /silent HTTP/1.1\r\n" END);
    expect("HTTP/1.1 500");
    ask("GET /hello%00.css HTTP/1.1\r\n" END);
    expect("HTTP/1.1 400");
    // Too large: told before, in the midst of it, and with chunks whose sum nobody announced.
    char big[4096];
    memset(big, 'x', sizeof big);
    int fd = dial();
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n");
    say_bytes(fd, big, 1001);
    assert_false(hear(fd, "}"));
    expect("HTTP/1.1 413");
    expect("request_too_large");
    say(fd, "GET /hello HTTP/1.1\r\n" END); // the connection lives on
    assert_true(hear(fd, NULL));
    expect("hello");
    close(fd);
    ask("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\nabc");
    expect("HTTP/1.1 413");
    ask("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n");
    expect("HTTP/1.1 413");
    assert_null(strstr(heard, "100 Continue"));
    fd = dial();
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n");
    say_bytes(fd, big, 0x800);
    say(fd, "\r\n0\r\n\r\n");
    hear(fd, NULL);
    expect("HTTP/1.1 413");
    close(fd);
    fd = dial(); // without an end
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 20; i++) {
        say(fd, "400\r\n");
        say_bytes(fd, big, 0x400);
        say(fd, "\r\n");
    }
    assert_true(hear(fd, NULL));
    close(fd);
    // Headers.
    fd = dial();
    say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\nX-Long: ");
    for (int i = 0; i < 50; i++)
        say_bytes(fd, big, sizeof big);
    say(fd, "\r\n\r\n");
    hear(fd, NULL);
    expect(" 431 ");
    close(fd);
}

static void garbage(void **state) {
    (void)state;
    start((struct xn_http_options){.header_seconds = 3, .body_seconds = 3, .write_seconds = 3});
    static const char *const hostile[] = {
        "\r\n\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", // TLS to a server without
        "GET\r\n\r\n",
        "GET /hello\r\n\r\n",
        "GET /hello HTTP/9.9\r\nHost: a\r\n\r\n",
        "GET  /hello  HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /hello HTTP/1.1\r\n\r\n", // no host
        "GET /hello HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        "GET /hello HTTP/1.1\r\n : x\r\nHost: a\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999999\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0x10\r\n\r\n0123456789abcdef",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\nabc\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\nabc\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        "GET /%00%ff%zz/../..?%=&&==&%00=%00 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://[::1/hello HTTP/1.1\r\nHost: a\r\n\r\n",
        "* * *\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\ntruncated",
        "GET /hello HTTP/1.1\r\nHost: a\r\nX: \x01\x02\xff\xfe\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        int fd = dial();
        say(fd, hostile[i]);
        shutdown(fd, SHUT_WR);
        hear(fd, NULL);
        assert_null(strstr(heard, "HTTP/1.1 500"));
        close(fd);
    }
    // Random bytes, and requests with random bytes in them.
    unsigned seed = 7;
    for (int i = 0; i < 200; i++) {
        char text[256] = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nX-Some: thing\r\n\r\n0123456789";
        size_t n = strlen(text);
        for (int k = 0; k < 1 + i % 7; k++)
            text[rand_r(&seed) % n] = (char)rand_r(&seed);
        int fd = dial();
        say_bytes(fd, text, n - (size_t)(rand_r(&seed) % 12));
        if (i % 20 == 0) {
            shutdown(fd, SHUT_WR);
            hear(fd, NULL);
        }
        close(fd);
    }
    ask("GET /hello HTTP/1.1\r\n" END);
    expect("hello");
}

static void pipelined(void **state) {
    (void)state;
    start((struct xn_http_options){0});
    int fd = dial();
    say(fd, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none"
            "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"
            "POST /echo HTTP/1.1\r\nContent-Length: 3\r\n" END "two");
    assert_true(hear(fd, NULL));
    close(fd);
    const char *a = strstr(heard, "hello"), *b = strstr(heard, "\r\n\r\none"), *c = strstr(heard, "data: 19"),
               *d = strstr(heard, "\r\n\r\ntwo");
    assert_true(a && b && c && d && a < b && b < c && c < d);
    assert_int_equal(atomic_load(&t.failed_puts), 0);
}

static void streams(void **state) {
    (void)state;
    start((struct xn_http_options){0});
    enum { N = 16 };
    int fds[N];
    for (int i = 0; i < N; i++) {
        fds[i] = dial();
        say(fds[i], "GET /stream HTTP/1.1\r\n" END);
    }
    for (int i = 0; i < N; i++) {
        assert_true(hear(fds[i], NULL));
        expect("Transfer-Encoding: chunked");
        expect("Content-Type: text/event-stream");
        const char *at = heard;
        for (int k = 0; k < 20; k++) {
            char line[32];
            snprintf(line, sizeof line, "data: %d\n\n", k);
            assert_non_null(at = strstr(at, line));
        }
        expect("\r\n0\r\n\r\n");
        close(fds[i]);
    }
    await_count(&t.finished, N);
    assert_int_equal(atomic_load(&t.failed_puts), 0);
    // A stream that its handler leaves has no proper end.
    ask("GET /broken HTTP/1.1\r\n" END);
    assert_null(strstr(heard, "\r\n0\r\n\r\n"));
    // HTTP/1.0 knows no chunks.
    ask("GET /stream HTTP/1.0\r\n\r\n");
    assert_null(strstr(heard, "chunked"));
    expect("data: 19\n\n");
}

static void clients_go(void **state) {
    (void)state;
    start((struct xn_http_options){0});
    for (int way = 0; way < 3; way++) { // closed, reset, only the sending side closed
        int fd = dial();
        say(fd, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
        nap(0.05);
        struct linger reset = {1, 0};
        if (way == 1) setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        if (way == 2)
            shutdown(fd, SHUT_WR);
        else
            close(fd);
        await_count(&t.gone, way + 1);
        await_count(&t.finished, way + 1);
        await_count(&t.records, way + 1);
        if (way == 2) close(fd);
    }
    await_count(&t.failed_puts, 3);
    assert_int_equal(atomic_load(&t.cut_records), 3);
    // One that stays gets its reply, and nobody is told that it went.
    int fd = dial();
    say(fd, "GET /slow HTTP/1.1\r\n" END);
    nap(0.05);
    atomic_store(&t.release, true);
    assert_true(hear(fd, NULL));
    expect("late");
    close(fd);
    assert_int_equal(atomic_load(&t.gone), 3);
}

static void slow_readers(void **state) {
    (void)state;
    start((struct xn_http_options){.stream_most = 1 << 20, .write_seconds = 30});
    int fd = dial();
    say(fd, "GET /flood HTTP/1.1\r\nHost: a\r\n\r\n");
    await_count(&t.finished, 1);
    await_count(&t.failed_puts, 1);
    nap(0.1);
    // What was sent before is there; then the connection ends without the stream's end.
    size_t n = 0;
    ssize_t got;
    while ((got = recv(fd, heard, sizeof heard, 0)) > 0)
        n += (size_t)got;
    assert_true(n < 64u << 20);
    close(fd);
    await_count(&t.records, 1);
    await_count(&t.gone, 1);
}

// A client that takes nothing at all is left after a while, though all that it should get is there.
static void stuck_readers(void **state) {
    (void)state;
    start((struct xn_http_options){.stream_most = 1u << 30, .write_seconds = 1});
    int fd = dial();
    say(fd, "GET /flood HTTP/1.1\r\nHost: a\r\n\r\n");
    await_count(&t.records, 1);
    assert_int_equal(atomic_load(&t.cut_records), 1);
    close(fd);
}

static void slow_senders(void **state) {
    (void)state;
    start((struct xn_http_options){.header_seconds = 0.7, .body_seconds = 0.7});
    int body = dial(), headers = dial(), nothing = dial();
    say(body, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
    say(headers, "GET /hello HTTP/1.1\r\n");
    for (int i = 0; i < 14; i++) { // each trickles on
        nap(0.1);
        say(body, "x");
        say(headers, "A: b\r\n");
    }
    assert_true(hear(body, NULL));
    expect("HTTP/1.1 408");
    hear(headers, NULL);
    expect("HTTP/1.1 408");
    assert_true(hear(nothing, NULL));
    assert_string_equal(heard, "");
    close(body);
    close(headers);
    close(nothing);
}

static void keys(void **state) {
    (void)state;
    static const char *const two[] = {"sk-one", "sk-two-longer"};
    start((struct xn_http_options){.keys = two, .n_keys = 2});
    ask("GET /hello HTTP/1.1\r\n" END); // public
    expect("HTTP/1.1 200");
    static const char *const wrong[] = {"",
                                        "Authorization: Bearer sk-on\r\n",
                                        "Authorization: Bearer sk-onee\r\n",
                                        "Authorization: Bearer \r\n",
                                        "Authorization: sk-one\r\n",
                                        "X-Api-Key: nope\r\n",
                                        "Authorization: Basic sk-one\r\n"};
    static const char *const right[] = {"Authorization: Bearer sk-one\r\n", "authorization: bearer  sk-two-longer\r\n",
                                        "X-Api-Key: sk-one\r\n"};
    char request[512];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(request, sizeof request, "POST /echo HTTP/1.1\r\nContent-Length: 2\r\n%s" END "ab", wrong[i]);
        ask(request);
        expect("HTTP/1.1 401");
        expect("WWW-Authenticate: Bearer");
        expect("{\"status\":401,\"type\":\"authentication_error\"");
        assert_null(strstr(heard, "sk-"));
    }
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        snprintf(request, sizeof request, "POST /echo HTTP/1.1\r\nContent-Length: 2\r\n%s" END "ab", right[i]);
        ask(request);
        expect("HTTP/1.1 201");
    }
}

static void origins(void **state) {
    (void)state;
    start((struct xn_http_options){0});
    ask("POST /echo HTTP/1.1\r\nOrigin: http://evil.example\r\nContent-Length: 0\r\n" END);
    expect("HTTP/1.1 403");
    ask("POST /echo HTTP/1.1\r\nOrigin: null\r\nContent-Length: 0\r\n" END);
    expect("HTTP/1.1 403");
    ask("POST /echo HTTP/1.1\r\nOrigin: http://here\r\nContent-Length: 0\r\n" END);
    expect("HTTP/1.1 201");
    assert_null(strstr(heard, "Access-Control"));
    stop(NULL);
    static const char *const good[] = {"http://good.example"};
    start((struct xn_http_options){.origins = good, .n_origins = 1});
    ask("OPTIONS /echo HTTP/1.1\r\nOrigin: http://good.example\r\nAccess-Control-Request-Method: POST\r\n"
        "Access-Control-Request-Headers: authorization, content-type\r\n" END);
    expect("HTTP/1.1 204");
    expect("Access-Control-Allow-Origin: http://good.example\r\n");
    expect("Access-Control-Allow-Methods: POST, OPTIONS\r\n");
    expect("Access-Control-Allow-Headers: authorization, content-type\r\n");
    ask("POST /echo HTTP/1.1\r\nOrigin: http://good.example\r\nContent-Length: 0\r\n" END);
    expect("HTTP/1.1 201");
    expect("Access-Control-Allow-Origin: http://good.example\r\n");
    ask("POST /echo HTTP/1.1\r\nOrigin: http://evil.example\r\nContent-Length: 0\r\n" END);
    expect("HTTP/1.1 403");
    assert_null(strstr(heard, "Access-Control"));
}

static void too_many(void **state) {
    (void)state;
    start((struct xn_http_options){.queue = 2, .per_address = 6});
    int fds[2];
    for (int i = 0; i < 2; i++) {
        fds[i] = dial();
        say(fds[i], "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    for (int i = 0; i < 100 && xn_http_active(t.http) < 2; i++)
        nap(0.01);
    ask("GET /slow HTTP/1.1\r\n" END);
    expect("HTTP/1.1 429");
    expect("Retry-After: ");
    ask("GET /hello HTTP/1.1\r\n" END); // quick ones pass
    expect("HTTP/1.1 200");
    // Of connections from one address the seventh is closed.
    int more[5];
    for (int i = 0; i < 5; i++)
        more[i] = dial();
    assert_true(hear(more[4], NULL));
    for (int i = 0; i < 5; i++)
        close(more[i]);
    for (int i = 0; i < 2; i++)
        close(fds[i]);
    await_count(&t.gone, 2);
    await_count(&t.finished, 2);
}

static void drains(void **state) {
    (void)state;
    start((struct xn_http_options){0});
    int busy = dial(), idle = dial();
    say(busy, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    say(idle, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_false(hear(idle, "hello"));
    for (int i = 0; i < 100 && xn_http_active(t.http) < 1; i++)
        nap(0.01);
    xn_http_drain(t.http);
    nap(0.1);
    say(idle, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(hear(idle, NULL));
    expect("HTTP/1.1 503");
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(xn_http_port(t.http)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int late = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(late, (struct sockaddr *)&a, sizeof a), -1);
    assert_int_equal(xn_http_active(t.http), 1);
    atomic_store(&t.release, true);
    assert_true(hear(busy, NULL)); // and is then closed
    expect("late");
    for (int i = 0; i < 100 && xn_http_active(t.http); i++)
        nap(0.01);
    assert_int_equal(xn_http_active(t.http), 0);
    close(busy);
    close(idle);
    close(late);
}

// Stopping in the midst of everything: clients are gone for those who still work for them.
static void stops(void **state) {
    (void)state;
    for (int round = 0; round < 5; round++) {
        start((struct xn_http_options){.stream_most = 8 << 20});
        int fds[12];
        static const char *const requests[] = {
            "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n", "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", "GET /flood HTTP/1.1\r\nHost: a\r\n\r\n"};
        for (int i = 0; i < 12; i++) {
            fds[i] = dial();
            say(fds[i], requests[i % 4]);
        }
        nap(0.01 * round);
        stop(NULL);
        for (int i = 0; i < 12; i++)
            close(fds[i]);
        nap(0.05);
    }
}

static void busy_port(void **state) {
    (void)state;
    struct xn_http *second;
    struct xn_error err;
    start((struct xn_http_options){0});
    struct xn_http_options o = {.port = xn_http_port(t.http), .tables = tables};
    assert_int_equal(xn_http_start(&o, &second, &err), XN_ERR_IO);
    assert_non_null(strstr(err.message, "in use"));
    o = (struct xn_http_options){.host = "no such host", .tables = tables};
    assert_int_equal(xn_http_start(&o, &second, &err), XN_ERR_ARGUMENT);
    o = (struct xn_http_options){.certificate = "rubbish", .key = "rubbish", .tables = tables};
    assert_int_not_equal(xn_http_start(&o, &second, &err), XN_OK);
}

int main(void) {
#define TEST(name) cmocka_unit_test_teardown(name, stop)
    const struct CMUnitTest tests[] = {
        TEST(answers),    TEST(refusals),     TEST(garbage),       TEST(pipelined),    TEST(streams),
        TEST(clients_go), TEST(slow_readers), TEST(stuck_readers), TEST(slow_senders), TEST(keys),
        TEST(origins),    TEST(too_many),     TEST(drains),        TEST(stops),        TEST(busy_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
