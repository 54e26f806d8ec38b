// The HTTP server by raw sockets: what it says to right and to hostile clients.
#include "server/http/testing.h"

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
    ask("GET /full HTTP/1.1\r\n" END); // who refuses knows better than the server how long it takes
    expect("HTTP/1.1 429");
    expect("\r\nRetry-After: 23\r\n");
    assert_null(strstr(strstr(heard, "Retry-After") + 1, "Retry-After"));
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
    await_count(&t.finished, 1);
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
    await_count(&t.finished, N + 1);
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

static char *post_json(const char *body, size_t size) {
    static char request[4 << 20];
    int n = snprintf(request, sizeof request, "POST /json HTTP/1.1\r\nContent-Length: %zu\r\n" END, size);
    memcpy(request + n, body, size);
    request[(size_t)n + size] = 0;
    return request;
}

static void bodies_of_json(void **state) {
    (void)state;
    start((struct xn_http_options){0});
    static char many[3 << 20];
    static const char right[] = "{\"a\": [1, \"x,\\\",[\"]}";
    ask(post_json(right, strlen(right)));
    expect("{\"a\":[1,\"x,\\\",[\"]}");
    static const char *const wrong[] = {"", "[1]", "{", "\"x\"", "{\"a\": 1, \"a\"}", "nul", "{\"a\": \"\xff\"}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ask(post_json(wrong[i], strlen(wrong[i])));
        expect("HTTP/1.1 400");
        expect("the body");
    }
    // Deep, and with very many values; commas in a text are none.
    memset(many, '[', 100000);
    ask(post_json(many, 100000));
    expect("HTTP/1.1 400");
    for (size_t i = 0; i < sizeof many; i++)
        many[i] = "[],"[i % 3];
    memcpy(many, "{\"a\":[", 6);
    ask(post_json(many, sizeof many - 3));
    expect("more than 1048576 values");
    memset(many, ',', 2 << 20);
    memcpy(many, "{\"a\":\"", 6);
    memcpy(many + (2 << 20), "\"}", 2);
    int fd = dial();
    const char *request = post_json(many, (2 << 20) + 2);
    say_bytes(fd, request, strlen(request));
    assert_false(hear(fd, "\r\n\r\n{\"a\""));
    expect("HTTP/1.1 200");
    close(fd);
}

// A page whose name was made to mean this machine.
static void other_names(void **state) {
    (void)state;
    static const char *const allowed[] = {"https://chat.example:444"};
    start((struct xn_http_options){.own_names = true, .origins = allowed, .n_origins = 1});
    static const char *const right[] = {"127.0.0.1",      "127.0.0.1:8080", "[::1]:8080",
                                        "localhost",      "LocalHost:1",    "a.localhost",
                                        "192.168.1.2:80", "chat.example",   "chat.example:8080"};
    static const char *const wrong[] = {"evil.example", "127.0.0.1.evil.example:8080", "localhost.evil.example",
                                        "xlocalhost",   "chat.example.evil",           "chat.exampl"};
    char request[256];
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        snprintf(request, sizeof request, "GET /hello HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", right[i]);
        ask(request);
        expect("HTTP/1.1 200");
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(request, sizeof request, "GET /hello HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", wrong[i]);
        ask(request);
        expect("HTTP/1.1 403");
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_teardown(name, stop)
    const struct CMUnitTest tests[] = {
        TEST(answers), TEST(refusals), TEST(garbage),     TEST(pipelined),      TEST(streams),
        TEST(keys),    TEST(origins),  TEST(other_names), TEST(bodies_of_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
