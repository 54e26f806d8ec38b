// The HTTP server by raw sockets: clients that go, that are slow, or too many; and how it ends.
#include "server/http/testing.h"

static void clients_go(void **state) {
    (void)state;
    start((struct xn_http_options){0});
    for (int way = 0; way < 3; way++) { // closed, reset, only the sending side closed
        int fd = dial();
        say(fd, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
        await_active(1);
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
    await_active(1);
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

static void too_many(void **state) {
    (void)state;
    start((struct xn_http_options){.queue = 2, .per_address = 6});
    int fds[2];
    for (int i = 0; i < 2; i++) {
        fds[i] = dial();
        say(fds[i], "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    await_active(2);
    ask("GET /slow HTTP/1.1\r\n" END);
    expect("HTTP/1.1 429");
    expect("\r\nRetry-After: 1\r\n");
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
    await_count(&t.records, 1);
    await_active(1);
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
    await_active(0);
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
        TEST(clients_go), TEST(slow_readers), TEST(stuck_readers), TEST(slow_senders),
        TEST(too_many),   TEST(drains),       TEST(stops),         TEST(busy_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
