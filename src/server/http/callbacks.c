// What libmicrohttpd calls, all on the reader's thread: a connection comes and goes, a request's headers and body come,
// a reply was sent.
#include "base/log.h"
#include "base/memory.h"
#include "server/http/internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum { DRAIN_FACTOR = 4 }; // a body of at most so many times the bound is read to its end, so that its 413 arrives

static struct xn_link *link_of(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static void connection_notify(void *user, struct MHD_Connection *connection, void **context,
                              enum MHD_ConnectionNotificationCode code) {
    struct xn_http *http = user;
    struct xn_link *link = *context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        link = xn_alloc_zero(1, sizeof *link);
        *context = link;
        if (!link) return; // every request on it is then refused
        link->fd = info ? info->connect_fd : -1;
        link->since = xn_now();
        // Told when the client has closed its sending side, whatever else goes on.
        struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = link};
        if (link->fd >= 0) epoll_ctl(http->poll, EPOLL_CTL_ADD, link->fd, &event);
        link->after = http->links;
        if (http->links) http->links->before = link;
        http->links = link;
    } else if (link) {
        if (link->fd >= 0) epoll_ctl(http->poll, EPOLL_CTL_DEL, link->fd, NULL);
        *(link->before ? &link->before->after : &http->links) = link->after;
        if (link->after) link->after->before = link->before;
        *context = NULL;
        free(link);
    }
}

static void *line_came(void *user, const char *uri, struct MHD_Connection *connection) {
    struct xn_link *link = link_of(connection);
    (void)user;
    if (!link) return NULL;
    link->line = true;
    link->nul = strstr(uri, "%00") != NULL; // decoded, it would end the text that it stands in
    return NULL;                            // no exchange yet
}

static void begin(struct xn_http *http, struct xn_exchange *x, struct xn_link *link) {
    x->link = link;
    link->busy = x;
    x->after = http->live;
    if (http->live) http->live->before = x;
    http->live = x;
    unsigned before = atomic_fetch_add(&http->active, 1);
    if (link->nul) {
        x->refused = 400;
        x->refusal = "the address has a NUL in it";
    }
    xn_route_find(x);
    if (!x->refused && before >= http->options.queue && !(x->route->flags & XN_ROUTE_QUICK)) {
        x->refused = 429;
        x->refusal = "the server has too many requests in progress; try again later";
    }
}

// Seconds without anything from or to a client. While requests are read, the sweep is stricter.
static unsigned longest_wait(const struct xn_http_options *o) {
    double seconds = o->write_seconds;
    if (seconds < o->header_seconds) seconds = o->header_seconds;
    if (seconds < o->body_seconds) seconds = o->body_seconds;
    return (unsigned)(seconds + 2);
}

static void completed(void *user, struct MHD_Connection *connection, void **context,
                      enum MHD_RequestTerminationCode code) {
    struct xn_http *http = user;
    struct xn_exchange *x = *context;
    struct xn_link *link = link_of(connection);
    if (link) {
        link->busy = NULL;
        link->line = false;
        link->since = xn_now();
    }
    if (!x) return;
    *context = NULL;
    MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, longest_wait(&http->options));
    pthread_mutex_lock(&x->lock);
    bool gone = code != MHD_REQUEST_TERMINATED_COMPLETED_OK || x->gone || x->broken;
    int status = x->queued ? x->status : 0;
    uint64_t sent = x->sent;
    json_t *notes = json_incref(x->notes);
    pthread_mutex_unlock(&x->lock);
    if (gone) xn_exchange_lose(x);
    x->connection = NULL;
    x->link = NULL;
    *(x->before ? &x->before->after : &http->live) = x->after;
    if (x->after) x->after->before = x->before;
    http->bodies -= x->body_size;
    atomic_fetch_sub(&http->active, 1);
    struct xn_http_record record = {.id = x->id,
                                    .method = x->method,
                                    .path = x->path,
                                    .address = x->address,
                                    .status = status,
                                    .gone = gone,
                                    .seconds = xn_now() - x->began,
                                    .received = x->received,
                                    .sent = sent,
                                    .notes = notes,
                                    .body = x->body,
                                    .body_size = x->body_size};
    if (http->options.log) http->options.log(http->options.user, &record);
    json_decref(notes);
    if (!x->complete) xn_exchange_release(x); // no handler ever had it
    xn_exchange_unref(x);
}

static enum MHD_Result send_reply(struct xn_exchange *x) {
    struct MHD_Response *response = xn_reply_make(x);
    if (!response) return MHD_NO;
    enum MHD_Result result = MHD_queue_response(x->connection, (unsigned)x->status, response);
    MHD_destroy_response(response);
    x->queued = result == MHD_YES;
    MHD_set_connection_option(x->connection, MHD_CONNECTION_OPTION_TIMEOUT,
                              (unsigned)(x->http->options.write_seconds + 0.999));
    return result;
}

static enum MHD_Result send_refusal(struct xn_exchange *x) {
    struct xn_error ignored;
    x->complete = true;
    if (x->refused == 204)
        xn_reply(x, 204, NULL, NULL, 0, &ignored);
    else
        xn_reply_error(x, x->refused, x->refusal);
    xn_exchange_release(x);
    return send_reply(x);
}

static bool has_content_length(const struct xn_exchange *x, uint64_t *length) {
    const char *text = xn_exchange_header(x, "Content-Length");
    if (!text) return false;
    errno = 0;
    *length = strtoull(text, NULL, 10); // libmicrohttpd has checked it
    if (errno) *length = UINT64_MAX;
    return true;
}

static void refuse_body(struct xn_exchange *x) {
    if (x->refused) return;
    x->refused = 413;
    x->refusal = "the body is larger than this server takes";
}

// The headers are there.
static enum MHD_Result headers_came(struct xn_exchange *x) {
    uint64_t length;
    const struct xn_http_options *o = &x->http->options;
    if (!has_content_length(x, &length)) return MHD_YES;
    if (length > o->body_most) refuse_body(x);
    // Who waits to be told to go on is told at once; a body that would be read for nothing ends the connection.
    bool waits = xn_exchange_header(x, "Expect") != NULL;
    if (x->refused && (waits || length / DRAIN_FACTOR > o->body_most)) return send_refusal(x);
    return MHD_YES;
}

static enum MHD_Result body_came(struct xn_exchange *x, const char *bytes, size_t size) {
    struct xn_http *http = x->http;
    size_t most = http->options.body_most;
    x->received += size;
    if (x->received > most) refuse_body(x);
    if (x->received / DRAIN_FACTOR > most) return MHD_NO;
    if (x->refused) return MHD_YES;
    // All bodies together take no more than a few of the largest.
    if (http->bodies + size > (size_t)DRAIN_FACTOR * most || xn_exchange_add_body(x, bytes, size)) {
        x->refused = 503;
        x->refusal = "the server holds too many requests; try again later";
        return MHD_YES;
    }
    http->bodies += size;
    return MHD_YES;
}

static enum MHD_Result all_came(struct xn_exchange *x) {
    if (x->refused) return send_refusal(x);
    x->complete = true;
    bool quick = x->route->flags & XN_ROUTE_QUICK;
    if (quick) {
        xn_workers_run(x);
    } else if (x->link->closed > 0) { // nobody waits for this one
        xn_exchange_lose(x);
        xn_exchange_release(x);
        return MHD_NO;
    } else if (xn_workers_give(x)) {
        xn_reply_error(x, 503, "the server has no thread for this request");
        xn_exchange_release(x);
    }
    pthread_mutex_lock(&x->lock);
    bool there = x->state != XN_REPLY_NONE;
    if (!there) {
        x->waiting = x->suspended = true;
        MHD_suspend_connection(x->connection);
    }
    pthread_mutex_unlock(&x->lock);
    return there ? send_reply(x) : MHD_YES;
}

static enum MHD_Result came(void *user, struct MHD_Connection *connection, const char *path, const char *method,
                            const char *version, const char *bytes, size_t *size, void **context) {
    struct xn_http *http = user;
    struct xn_exchange *x = *context;
    (void)version;
    if (!x) {
        struct xn_link *link = link_of(connection);
        *context = x = link ? xn_exchange_new(http, connection, method, path) : NULL;
        if (!x) return MHD_NO;
        begin(http, x, link);
        return headers_came(x);
    }
    if (*size) {
        enum MHD_Result result = body_came(x, bytes, *size);
        *size = 0;
        return result;
    }
    if (!x->complete) return all_came(x);
    if (x->queued) return MHD_YES;
    pthread_mutex_lock(&x->lock);
    bool gone = x->gone, there = x->state != XN_REPLY_NONE;
    pthread_mutex_unlock(&x->lock);
    return gone || !there ? MHD_NO : send_reply(x);
}

static void daemon_log(void *user, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));
static void daemon_log(void *user, const char *format, va_list arguments) {
    char line[512];
    (void)user;
    vsnprintf(line, sizeof line, format, arguments);
    line[strcspn(line, "\r\n")] = 0;
    xn_log(XN_LOG_DEBUG, "http: %s", line);
}

int xn_daemon_start(struct xn_http *http, struct xn_error *err) {
    const struct xn_http_options *o = &http->options;
    bool tls = o->certificate && o->key;
    if (tls && MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES)
        return xn_fail(err, XN_ERR_UNSUPPORTED, "TLS is asked for, but this libmicrohttpd was built without it");
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | (tls ? MHD_USE_TLS : 0);
    struct MHD_OptionItem secure[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)o->certificate},
                                      {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)o->key},
                                      {MHD_OPTION_END, 0, NULL}},
                          none[] = {{MHD_OPTION_END, 0, NULL}};
    // A connection's memory holds what is read of a request and the headers of the reply.
    size_t memory = (size_t)o->headers_most + (16 << 10);
    http->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, came, http, MHD_OPTION_EXTERNAL_LOGGER, daemon_log, NULL, MHD_OPTION_LISTEN_SOCKET,
        http->listener, MHD_OPTION_CONNECTION_LIMIT, (unsigned)o->connections, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        (unsigned)o->per_address, MHD_OPTION_CONNECTION_TIMEOUT, longest_wait(o), MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        memory, MHD_OPTION_NOTIFY_COMPLETED, completed, http, MHD_OPTION_NOTIFY_CONNECTION, connection_notify, http,
        MHD_OPTION_URI_LOG_CALLBACK, line_came, http, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY,
        tls ? secure : none, MHD_OPTION_END);
    if (!http->daemon)
        return xn_fail(err, tls ? XN_ERR_ARGUMENT : XN_ERR_IO, "the HTTP server can't start%s",
                       tls ? "; are certificate and key PEM files that belong together?" : "");
    return XN_OK;
}
