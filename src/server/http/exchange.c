// An exchange: the request as handlers see it, and who holds it.
#include "base/memory.h"
#include "server/http/internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int xn_pair_add(struct xn_pair **pairs, size_t *n, size_t *capacity, const char *name, size_t name_size,
                const char *value, size_t value_size) {
    if (xn_grow((void **)pairs, capacity, *n + 1, sizeof **pairs)) return -1;
    struct xn_pair pair = {xn_strndup(name, name_size), xn_strndup(value ? value : "", value ? value_size : 0)};
    if (!pair.name || !pair.value) {
        free(pair.name);
        free(pair.value);
        return -1;
    }
    (*pairs)[(*n)++] = pair;
    return 0;
}

const char *xn_pair_find(const struct xn_pair *pairs, size_t n, const char *name, bool any_case) {
    for (size_t i = 0; i < n; i++)
        if ((any_case ? strcasecmp : strcmp)(pairs[i].name, name) == 0) return pairs[i].value;
    return NULL;
}

void xn_pairs_free(struct xn_pair *pairs, size_t n) {
    for (size_t i = 0; i < n; i++) {
        free(pairs[i].name);
        free(pairs[i].value);
    }
    free(pairs);
}

struct copying {
    struct xn_exchange *x;
    bool failed;
};

static enum MHD_Result copy_pair(void *user, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                 const char *value, size_t value_size) {
    struct copying *c = user;
    struct xn_exchange *x = c->x;
    int failed =
        kind == MHD_HEADER_KIND
            ? xn_pair_add(&x->headers, &x->n_headers, &x->headers_capacity, name, name_size, value, value_size)
            : xn_pair_add(&x->arguments, &x->n_arguments, &x->arguments_capacity, name, name_size, value, value_size);
    c->failed = failed;
    return failed ? MHD_NO : MHD_YES;
}

static char *address_text(const struct sockaddr *address) {
    char text[INET6_ADDRSTRLEN] = "?";
    if (address && address->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, text, sizeof text);
    else if (address && address->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)address)->sin6_addr, text, sizeof text);
    return xn_strdup(text);
}

// The client's own id where it sends a harmless one, so that its logs and ours can be held together.
static void choose_id(struct xn_exchange *x) {
    const char *given = xn_exchange_header(x, "X-Request-Id");
    size_t n = given ? strlen(given) : 0;
    if (n && n < sizeof x->id &&
        strspn(given, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n) {
        memcpy(x->id, given, n + 1);
        return;
    }
    uint64_t z = x->http->salt + 0x9e3779b97f4a7c15u * atomic_fetch_add(&x->http->serial, 1); // splitmix64
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    snprintf(x->id, sizeof x->id, "req-%016llx", (unsigned long long)(z ^ (z >> 31)));
}

struct xn_exchange *xn_exchange_new(struct xn_http *http, struct MHD_Connection *connection, const char *method,
                                    const char *path) {
    struct xn_exchange *x = xn_alloc_zero(1, sizeof *x);
    if (!x) return NULL;
    x->http = http;
    atomic_init(&x->refs, 2); // the reader's, and that of the first holder
    atomic_init(&x->holds, 1);
    pthread_mutex_init(&x->lock, NULL);
    pthread_cond_init(&x->called, NULL);
    x->connection = connection;
    x->began = xn_now();
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info ? info->client_addr : NULL;
    x->owner = xn_owner_of_address(address);
    x->method = xn_strdup(method);
    x->path = xn_strdup(path);
    x->address = address_text(address);
    struct copying copying = {.x = x};
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, copy_pair, &copying);
    if (!copying.failed) MHD_get_connection_values_n(connection, MHD_GET_ARGUMENT_KIND, copy_pair, &copying);
    if (copying.failed || !x->method || !x->path || !x->address) {
        xn_exchange_unref(x);
        xn_exchange_unref(x);
        return NULL;
    }
    choose_id(x);
    return x;
}

void xn_exchange_ref(struct xn_exchange *x) {
    atomic_fetch_add(&x->refs, 1);
}

void xn_exchange_unref(struct xn_exchange *x) {
    if (atomic_fetch_sub(&x->refs, 1) != 1) return;
    free(x->method);
    free(x->path);
    free(x->address);
    free(x->body);
    xn_pairs_free(x->headers, x->n_headers);
    xn_pairs_free(x->arguments, x->n_arguments);
    xn_pairs_free(x->reply_headers, x->n_reply_headers);
    free(x->on_gone);
    free(x->type);
    free(x->out);
    json_decref(x->notes);
    pthread_cond_destroy(&x->called);
    pthread_mutex_destroy(&x->lock);
    free(x);
}

struct xn_exchange *xn_exchange_hold(struct xn_exchange *x) {
    atomic_fetch_add(&x->holds, 1);
    return x;
}

void xn_exchange_release(struct xn_exchange *x) {
    if (!x || atomic_fetch_sub(&x->holds, 1) != 1) return;
    xn_exchange_abandoned(x);
    xn_exchange_unref(x);
}

int xn_exchange_add_body(struct xn_exchange *x, const void *bytes, size_t size) {
    if (XN_GROW(x->body, x->body_capacity, x->body_size + size + 1)) return -1;
    memcpy(x->body + x->body_size, bytes, size);
    x->body_size += size;
    x->body[x->body_size] = 0;
    return 0;
}

const char *xn_exchange_method(const struct xn_exchange *x) {
    return x->method;
}
const char *xn_exchange_path(const struct xn_exchange *x) {
    return x->path;
}
const char *xn_exchange_id(const struct xn_exchange *x) {
    return x->id;
}
const char *xn_exchange_header(const struct xn_exchange *x, const char *name) {
    return xn_pair_find(x->headers, x->n_headers, name, true);
}
const char *xn_exchange_query(const struct xn_exchange *x, const char *name) {
    return xn_pair_find(x->arguments, x->n_arguments, name, false);
}
const char *xn_exchange_body(const struct xn_exchange *x, size_t *size) {
    *size = x->body_size;
    return x->body ? x->body : "";
}
uint64_t xn_exchange_owner(const struct xn_exchange *x) {
    return x->owner;
}

// A value takes memory that is many times its text: "[]," is three bytes, and a hundred and more once it is read.
enum { VALUES_MOST = 1 << 20 };
static bool has_too_many_values(const char *text, size_t size) {
    bool quoted = false;
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        if (quoted && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            quoted = !quoted;
        else if (!quoted && (text[i] == ',' || text[i] == '[' || text[i] == '{'))
            n++;
    }
    return n > VALUES_MOST;
}

int xn_exchange_json(const struct xn_exchange *x, json_t **out, struct xn_error *err) {
    json_error_t wrong;
    size_t size;
    const char *body = xn_exchange_body(x, &size);
    *out = NULL;
    if (!size) return xn_fail(err, XN_ERR_ARGUMENT, "the body is empty; expected a JSON object");
    if (has_too_many_values(body, size))
        return xn_fail(err, XN_ERR_ARGUMENT, "the body has more than %d values", VALUES_MOST);
    json_t *value = json_loadb(body, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &wrong);
    if (!value)
        return xn_fail(err, XN_ERR_ARGUMENT, "the body is no JSON: %s (line %d, column %d)", wrong.text, wrong.line,
                       wrong.column);
    if (!json_is_object(value)) {
        json_decref(value);
        return xn_fail(err, XN_ERR_ARGUMENT, "the body is JSON, but no object");
    }
    *out = value;
    return XN_OK;
}
