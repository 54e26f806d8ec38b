// The reader: the thread that waits for sockets, runs libmicrohttpd, resumes what others have written for, notices
// clients that go while nothing is read from or written to them, and ends what takes too long.
#include "server/http/internal.h"

#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

double xn_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void xn_reader_wake(struct xn_exchange *x) {
    struct xn_http *http = x->http;
    uint64_t one = 1;
    xn_exchange_ref(x);
    pthread_mutex_lock(&http->lock);
    bool first = !http->ready;
    x->next_ready = http->ready;
    http->ready = x;
    pthread_mutex_unlock(&http->lock);
    // It never is full enough to fail.
    if (first && write(http->event, &one, sizeof one) < 0) return;
}

static void resume_ready(struct xn_http *http) {
    pthread_mutex_lock(&http->lock);
    struct xn_exchange *x = http->ready;
    http->ready = NULL;
    pthread_mutex_unlock(&http->lock);
    while (x) {
        struct xn_exchange *next = x->next_ready;
        if (x->connection && x->suspended) {
            x->suspended = false;
            MHD_resume_connection(x->connection);
        }
        xn_exchange_unref(x);
        x = next;
    }
}

// libmicrohttpd can't reply in the midst of a body, so this is said past it, and the connection closed.
static void cut(const struct xn_http *http, const struct xn_link *link) {
    static const char reply[] = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    bool tls = http->options.certificate && http->options.key;
    if (!tls && link->line) send(link->fd, reply, sizeof reply - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    shutdown(link->fd, SHUT_RDWR);
}

// Each connection has so long for its next headers, and a request for its body, however busily it trickles.
static void sweep(struct xn_http *http) {
    double now = xn_now();
    for (struct xn_link *link = http->links; link; link = link->after) {
        const struct xn_exchange *x = link->busy;
        if (link->fd < 0) continue;
        if (link->closed > 0 && (!x || !x->complete) && now - link->closed > 0.5) {
            shutdown(link->fd, SHUT_RDWR); // what it had sent is read by now, and no more comes
            continue;
        }
        if (!x ? now - link->since > http->options.header_seconds
               : !x->complete && now - x->began > http->options.body_seconds)
            cut(http, link);
    }
}

static int timeout_ms(struct xn_http *http) {
    MHD_UNSIGNED_LONG_LONG ms;
    if (MHD_get_timeout(http->daemon, &ms) == MHD_YES && ms < 250) return (int)ms;
    return 250;
}

// Whether a client that closes now misses something. Who has its whole reply may close before we are told that the
// last byte was taken.
static bool is_owed(struct xn_exchange *x) {
    pthread_mutex_lock(&x->lock);
    bool sent = x->queued && x->ended && (x->state == XN_REPLY_WHOLE || x->out_begin == x->out_size);
    pthread_mutex_unlock(&x->lock);
    return !sent;
}

static void await(struct xn_http *http) {
    struct epoll_event events[64];
    int n = epoll_wait(http->poll, events, sizeof events / sizeof *events, timeout_ms(http));
    for (int i = 0; i < n; i++) {
        uint64_t counted;
        if (events[i].data.ptr == &http->event) {
            if (read(http->event, &counted, sizeof counted) < 0) continue;
        } else if (events[i].data.ptr != &http->daemon) {
            struct xn_link *link = events[i].data.ptr; // connections end in MHD_run alone
            link->closed = xn_now();
            if (link->busy && link->busy->complete && is_owed(link->busy)) xn_exchange_lose(link->busy);
        }
    }
}

// Everything that waits is told that its client is gone, and all connections are closed.
static void close_all(struct xn_http *http) {
    for (int round = 0; round < 100 && (http->live || http->ready); round++) {
        for (struct xn_exchange *x = http->live; x; x = x->after)
            xn_exchange_lose(x);
        for (struct xn_link *link = http->links; link; link = link->after)
            if (link->fd >= 0) shutdown(link->fd, SHUT_RDWR);
        resume_ready(http);
        MHD_run(http->daemon);
    }
    MHD_stop_daemon(http->daemon);
    resume_ready(http);
}

void *xn_reader_run(void *user) {
    struct xn_http *http = user;
    pthread_setname_np(pthread_self(), "xenon-http");
    double swept = xn_now();
    while (!atomic_load(&http->stopping)) {
        if (atomic_load(&http->draining) && !http->quiesced) {
            MHD_quiesce_daemon(http->daemon); // hands the listening socket back, which xn_http_stop closes
            shutdown(http->listener, SHUT_RDWR);
            http->quiesced = true;
        }
        resume_ready(http);
        MHD_run(http->daemon);
        if (xn_now() - swept > 0.25) {
            sweep(http);
            swept = xn_now();
        }
        await(http);
    }
    close_all(http);
    return NULL;
}
