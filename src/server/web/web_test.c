// The web pages as they are sent: headers, tags, packing; and that they name nothing which is not there.
#include "server/web/web.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// cmocka wants the headers above first
#include <cmocka.h>

static struct xn_http *http;

struct reply {
    char head[4096];
    uint8_t *body;
    size_t size;
    int status;
};

// One request on a connection of its own.
static struct reply ask(const char *method, const char *path, const char *headers) {
    char request[1024];
    int n = snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", method, path,
                     headers);
    assert_in_range(n, 1, (int)sizeof request - 1);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(xn_http_port(http))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_return_code(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(send(fd, request, (size_t)n, MSG_NOSIGNAL), n);
    struct reply r = {0};
    size_t capacity = 2 << 20, size = 0;
    uint8_t *all = malloc(capacity);
    assert_non_null(all);
    for (ssize_t got; (got = recv(fd, all + size, capacity - size, 0)) > 0;)
        size += (size_t)got;
    close(fd);
    const uint8_t *end = memmem(all, size, "\r\n\r\n", 4);
    assert_non_null(end);
    size_t head = (size_t)(end - all);
    assert_true(head < sizeof r.head);
    memcpy(r.head, all, head);
    r.size = size - head - 4;
    r.body = all;
    memmove(all, end + 4, r.size);
    assert_int_equal(sscanf(r.head, "HTTP/1.1 %d", &r.status), 1);
    return r;
}

// The value of a header, in a buffer of its own; "" where it is not there.
static const char *header(const struct reply *r, const char *name) {
    static char value[2048];
    char begin[64];
    snprintf(begin, sizeof begin, "\r\n%s: ", name);
    const char *at = strcasestr(r->head, begin);
    snprintf(value, sizeof value, "%.*s", at ? (int)strcspn(at + strlen(begin), "\r") : 0,
             at ? at + strlen(begin) : "");
    return value;
}

static const struct xn_web_file *file(const char *name) {
    for (size_t i = 0; i < xn_web_file_count; i++)
        if (strcmp(xn_web_files[i].name, name) == 0) return &xn_web_files[i];
    return NULL;
}

static void all_files_are_sent(void **state) {
    (void)state;
    for (size_t i = 0; i < xn_web_file_count; i++) {
        const struct xn_web_file *f = &xn_web_files[i];
        char path[128];
        snprintf(path, sizeof path, "/web/%s", f->name);
        struct reply plain = ask("GET", path, "");
        assert_int_equal(plain.status, 200);
        assert_int_equal(plain.size, f->plain_size);
        assert_memory_equal(plain.body, f->plain, f->plain_size);
        assert_string_equal(header(&plain, "Content-Type"), f->type);
        assert_string_equal(header(&plain, "Content-Encoding"), "");
        struct reply packed = ask("GET", path, "Accept-Encoding: br, gzip;q=0.8\r\n");
        assert_int_equal(packed.status, 200);
        assert_string_equal(header(&packed, "Content-Encoding"), f->packed ? "gzip" : "");
        assert_int_equal(packed.size, f->packed ? f->packed_size : f->plain_size);
        if (f->packed) assert_memory_equal(packed.body, "\x1f\x8b", 2);
        free(plain.body);
        free(packed.body);
    }
}

static void pages_have_a_strict_policy(void **state) {
    (void)state;
    static const char *const pages[][2] = {{"/", "index.html"}, {"/dashboard", "dashboard.html"}};
    for (size_t i = 0; i < 2; i++) {
        struct reply r = ask("GET", pages[i][0], "");
        assert_int_equal(r.status, 200);
        assert_string_equal(header(&r, "Content-Type"), "text/html; charset=utf-8");
        assert_string_equal(header(&r, "X-Content-Type-Options"), "nosniff");
        assert_string_equal(header(&r, "Referrer-Policy"), "no-referrer");
        assert_string_equal(header(&r, "Cache-Control"), "no-cache");
        const char *policy = header(&r, "Content-Security-Policy");
        assert_ptr_equal(strstr(policy, "default-src 'none'; "), policy);
        static const char *const parts[] = {"script-src 'self';", "connect-src 'self';", "base-uri 'none';",
                                            "form-action 'none';", "frame-ancestors 'none';"};
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++)
            assert_non_null(strstr(policy, parts[p]));
        assert_null(strstr(policy, "unsafe"));
        assert_null(strstr(policy, "http"));
        assert_int_equal(r.size, file(pages[i][1])->plain_size);
        free(r.body);
    }
}

static void what_a_browser_has_is_not_sent_again(void **state) {
    (void)state;
    struct reply first = ask("GET", "/", "Accept-Encoding: gzip\r\n");
    char tag[128], again[256];
    assert_in_range(strlen(header(&first, "ETag")), 10, sizeof tag - 1);
    strcpy(tag, header(&first, "ETag"));
    snprintf(again, sizeof again, "Accept-Encoding: gzip\r\nIf-None-Match: \"other\", W/%s\r\n", tag);
    struct reply r = ask("GET", "/", again);
    assert_int_equal(r.status, 304);
    assert_int_equal(r.size, 0);
    assert_string_equal(header(&r, "ETag"), tag);
    free(r.body);
    snprintf(again, sizeof again, "If-None-Match: %s\r\n", tag); // of the packed one, but now it is wanted plain
    r = ask("GET", "/", again);
    assert_int_equal(r.status, 200);
    free(r.body);
    free(first.body);
}

static void heads_have_no_body(void **state) {
    (void)state;
    struct reply r = ask("HEAD", "/web/chat.css", "");
    assert_int_equal(r.status, 200);
    assert_int_equal(r.size, 0);
    assert_string_equal(header(&r, "Content-Type"), "text/css; charset=utf-8");
    free(r.body);
}

static void others_are_not_there(void **state) {
    (void)state;
    static const char *const paths[] = {"/web/",       "/web/nothing.js",   "/web/lib/",   "/web/lib/../chat.js",
                                        "/web/../web", "/web/%2e%2e/web.c", "/index.html", "/dashboard/",
                                        "/web//",      "/web/pages/web.c"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct reply r = ask("GET", paths[i], "");
        if (r.status != 404 && r.status != 400) fail_msg("%s: %d", paths[i], r.status);
        free(r.body);
    }
    struct reply r = ask("POST", "/", "Content-Length: 0\r\n");
    assert_int_equal(r.status, 405);
    free(r.body);
}

// Whatever the pages and modules name is embedded, and no other host is named.
static void pages_name_what_is_there(void **state) {
    (void)state;
    size_t names = 0;
    for (size_t i = 0; i < xn_web_file_count; i++) {
        const struct xn_web_file *f = &xn_web_files[i];
        if (strncmp(f->name, "lib/", 4) == 0) continue;
        char *text = calloc(1, f->plain_size + 1);
        assert_non_null(text);
        memcpy(text, f->plain, f->plain_size);
        static const char *const begins[] = {"\"/web/", "from \"./"};
        for (size_t b = 0; b < 2; b++)
            for (const char *at = text; (at = strstr(at, begins[b]));) {
                char name[64];
                at += strlen(begins[b]);
                snprintf(name, sizeof name, "%.*s", (int)strcspn(at, "\""), at);
                names++;
                if (!file(name)) fail_msg("%s names %s, which is not there", f->name, name);
            }
        for (const char *at = text; (at = strstr(at, "://")); at++)
            if (strncmp(at - 4, "http://www.w3.org/", 18) != 0) // SVG's name, which nobody asks for
                fail_msg("%s names another host: %.40s", f->name, at - 5);
        free(text);
    }
    assert_true(names > 30);
}

static void what_clients_take(void **state) {
    (void)state;
    static const char *const takes[] = {"gzip", "br, GZIP", "gzip;q=0.5", "deflate, gzip ; q=1.0", "*", "br,gzip"};
    static const char *const refuses[] = {"", "br", "gzip;q=0", "gzip; q=0.000", "x-gzip2", "gzipped", "*;q=0"};
    assert_false(xn_web_takes_gzip(NULL));
    for (size_t i = 0; i < sizeof takes / sizeof *takes; i++)
        assert_true(xn_web_takes_gzip(takes[i]));
    for (size_t i = 0; i < sizeof refuses / sizeof *refuses; i++)
        assert_false(xn_web_takes_gzip(refuses[i]));
    assert_true(xn_web_matches("\"a\"", "\"a\""));
    assert_true(xn_web_matches("W/\"b\" , W/\"a\"", "\"a\""));
    assert_true(xn_web_matches("*", "\"a\""));
    assert_false(xn_web_matches(NULL, "\"a\""));
    assert_false(xn_web_matches("\"ab\",a,\"", "\"a\""));
}

static int begin(void **state) {
    (void)state;
    static const struct xn_route *const tables[] = {xn_routes_web, NULL};
    static const char *const keys[] = {"secret"}; // which the pages do not ask for
    struct xn_http_options options = {.tables = tables, .keys = keys, .n_keys = 1};
    struct xn_error err;
    return xn_http_start(&options, &http, &err);
}

static int end(void **state) {
    (void)state;
    xn_http_stop(http);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_files_are_sent),
        cmocka_unit_test(pages_have_a_strict_policy),
        cmocka_unit_test(what_a_browser_has_is_not_sent_again),
        cmocka_unit_test(heads_have_no_body),
        cmocka_unit_test(others_are_not_there),
        cmocka_unit_test(pages_name_what_is_there),
        cmocka_unit_test(what_clients_take),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
