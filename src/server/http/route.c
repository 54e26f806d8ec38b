// Which route answers a request, and what is said where none does, or it may not.
#include "base/memory.h"
#include "server/http/internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool fits(const struct xn_route *route, const char *path) {
    if (route->flags & XN_ROUTE_PREFIX) return strncmp(path, route->path, strlen(route->path)) == 0;
    return strcmp(path, route->path) == 0;
}

// A list of methods, each once.
static void allow(char *list, size_t size, const char *method) {
    size_t n = strlen(list), m = strlen(method);
    for (const char *at = list; (at = strstr(at, method)); at += m)
        if (at[m] == 0 || at[m] == ',') return;
    if (n + m + 3 < size) snprintf(list + n, size - n, "%s%s", n ? ", " : "", method);
}

static bool origin_allowed(const struct xn_http_options *o, const char *origin) {
    for (size_t i = 0; i < o->n_origins; i++)
        if (strcmp(o->origins[i], "*") == 0 || strcasecmp(o->origins[i], origin) == 0) return true;
    return false;
}

void xn_reply_origin(struct xn_exchange *x) {
    const char *origin = xn_exchange_header(x, "Origin");
    if (!origin || !origin_allowed(&x->http->options, origin)) return;
    pthread_mutex_lock(&x->lock);
    const char *const add[][2] = {{"Access-Control-Allow-Origin", origin},
                                  {"Access-Control-Expose-Headers", "X-Request-Id, Retry-After"},
                                  {"Vary", "Origin"}};
    for (size_t i = 0; i < sizeof add / sizeof *add; i++)
        xn_pair_add(&x->reply_headers, &x->n_reply_headers, &x->reply_headers_capacity, add[i][0], strlen(add[i][0]),
                    add[i][1], strlen(add[i][1]));
    pthread_mutex_unlock(&x->lock);
}

// A page of another site must not make a browser act on this server, which without keys asks nobody who he is.
static bool foreign(const struct xn_exchange *x) {
    const char *origin = xn_exchange_header(x, "Origin"), *host = xn_exchange_header(x, "Host");
    if (!origin || x->http->options.n_keys || origin_allowed(&x->http->options, origin)) return false;
    if (strcmp(x->method, "GET") == 0 || strcmp(x->method, "HEAD") == 0) return false; // it can't read the reply
    const char *site = strstr(origin, "://");
    return !site || !host || strcasecmp(site + 3, host) != 0;
}

// The name in "name:port" or "[::1]:port": an address, localhost, or that of an allowed origin?
static bool own_name(const struct xn_http_options *o, const char *host) {
    const char *end = *host == '[' ? strchr(host, ']') : host + strcspn(host, ":");
    size_t n = end ? (size_t)(end - host) : 0;
    struct in_addr address;
    char name[256];
    if (*host == '[') return end != NULL; // no name has brackets
    if (n >= sizeof name) return false;
    memcpy(name, host, n);
    name[n] = 0;
    if (inet_pton(AF_INET, name, &address) == 1 || strcasecmp(name, "localhost") == 0) return true;
    if (n > 10 && strcasecmp(name + n - 10, ".localhost") == 0) return true;
    for (size_t i = 0; i < o->n_origins; i++) {
        const char *site = strstr(o->origins[i], "://");
        if (strcmp(o->origins[i], "*") == 0) return true;
        if (site && strncasecmp(site + 3, name, n) == 0 && (site[3 + n] == 0 || site[3 + n] == ':')) return true;
    }
    return false;
}

static void refuse(struct xn_exchange *x, int status, const char *message) {
    if (x->refused) return;
    x->refused = status;
    x->refusal = message;
}

// What a browser asks before it lets a page ask.
static void preflight(struct xn_exchange *x, const char *allowed) {
    const char *origin = xn_exchange_header(x, "Origin");
    if (origin && origin_allowed(&x->http->options, origin)) {
        const char *wanted = xn_exchange_header(x, "Access-Control-Request-Headers");
        xn_reply_header(x, "Access-Control-Allow-Methods", allowed);
        if (wanted) xn_reply_header(x, "Access-Control-Allow-Headers", wanted);
        xn_reply_header(x, "Access-Control-Max-Age", "86400");
    }
    xn_reply_header(x, "Allow", allowed);
    refuse(x, 204, "");
}

static void admit(struct xn_exchange *x) {
    const struct xn_http_options *o = &x->http->options;
    bool admitted =
        xn_keys_admit(o, xn_exchange_header(x, "Authorization"), xn_exchange_header(x, "X-Api-Key"), &x->owner);
    if (admitted || (x->route->flags & XN_ROUTE_PUBLIC)) return;
    xn_reply_header(x, "WWW-Authenticate", "Bearer");
    refuse(x, 401, "no valid API key: expected a header \"Authorization: Bearer KEY\" (or \"X-Api-Key: KEY\")");
}

void xn_route_find(struct xn_exchange *x) {
    const char *host = xn_exchange_header(x, "Host");
    if (x->http->options.own_names && host && !own_name(&x->http->options, host))
        refuse(x, 403, "this server answers to its addresses and to localhost (another name: --cors https://NAME)");
    const char *method = strcmp(x->method, "HEAD") == 0 ? "GET" : x->method;
    char allowed[96] = "";
    for (const struct xn_route *const *table = x->http->options.tables; *table && !x->route; table++)
        for (const struct xn_route *row = *table; row->method && !x->route; row++) {
            if (!fits(row, x->path)) continue;
            if (!x->form) x->form = row->form;
            allow(allowed, sizeof allowed, row->method);
            if (strcmp(row->method, "GET") == 0) allow(allowed, sizeof allowed, "HEAD");
            if (strcmp(row->method, method) == 0) x->route = row;
        }
    if (x->route) x->form = x->route->form;
    if (atomic_load(&x->http->draining)) {
        refuse(x, 503, "the server is shutting down");
    } else if (!*allowed) {
        refuse(x, 404, "there is nothing at this path");
    } else if (!x->route) {
        allow(allowed, sizeof allowed, "OPTIONS");
        if (strcmp(method, "OPTIONS") == 0) {
            preflight(x, allowed);
        } else {
            xn_reply_header(x, "Allow", allowed);
            refuse(x, 405, "this path does not take this method");
        }
    } else if (foreign(x)) {
        refuse(x, 403, "a page of another site asks; its origin has to be allowed where the server starts (--cors)");
    } else {
        admit(x);
    }
}
