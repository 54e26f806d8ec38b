// The HTTP server begins, drains and ends.
#include "base/memory.h"
#include "server/http/internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static void set_defaults(struct xn_http_options *o) {
    if (!o->host) o->host = "127.0.0.1";
    if (!o->body_most) o->body_most = 64 << 20;
    if (!o->headers_most) o->headers_most = 32 << 10;
    if (!o->connections) o->connections = 1024;
    if (!o->queue) o->queue = 512;
    if (!o->threads) o->threads = 32;
    if (!o->stream_most) o->stream_most = 4 << 20;
    if (o->header_seconds <= 0) o->header_seconds = 60;
    if (o->body_seconds <= 0) o->body_seconds = 60;
    if (o->write_seconds <= 0) o->write_seconds = 60;
}

static int poll_add(struct xn_http *http, int fd, void *who) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = who};
    return epoll_ctl(http->poll, EPOLL_CTL_ADD, fd, &event);
}

static int start_reader(struct xn_http *http, struct xn_error *err) {
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    http->poll = epoll_create1(EPOLL_CLOEXEC);
    http->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!info || http->poll < 0 || http->event < 0 || poll_add(http, http->event, &http->event) ||
        poll_add(http, info->epoll_fd, &http->daemon))
        return xn_fail_errno(err, errno, "the HTTP server can't wait for its sockets");
    // Signals belong to the threads of the program, not to those of the server (SIGPIPE to none).
    sigset_t all, kept;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &kept);
    int failed = pthread_create(&http->reader, NULL, xn_reader_run, http);
    pthread_sigmask(SIG_SETMASK, &kept, NULL);
    return failed ? xn_fail_errno(err, failed, "the HTTP server can't start a thread") : XN_OK;
}

static void free_http(struct xn_http *http) {
    if (http->listener >= 0) close(http->listener);
    if (http->poll >= 0) close(http->poll);
    if (http->event >= 0) close(http->event);
    pthread_cond_destroy(&http->work);
    pthread_mutex_destroy(&http->lock);
    free(http->threads);
    free(http);
}

static int start(struct xn_http *http, struct xn_error *err) {
    XN_TRY(xn_listen(http->options.host, http->options.port, &http->listener, &http->port, err));
    XN_TRY(xn_daemon_start(http, err));
    int status = start_reader(http, err);
    if (status != XN_OK) {
        MHD_stop_daemon(http->daemon);
        http->listener = -1; // closed with it
    }
    return status;
}

int xn_http_start(const struct xn_http_options *options, struct xn_http **out, struct xn_error *err) {
    struct xn_http *http = xn_alloc_zero(1, sizeof *http);
    *out = NULL;
    if (!http) return xn_fail(err, XN_ERR_NOMEM, "no memory for the HTTP server");
    http->options = *options;
    set_defaults(&http->options);
    http->listener = http->poll = http->event = -1;
    http->jobs_end = &http->jobs;
    pthread_mutex_init(&http->lock, NULL);
    pthread_cond_init(&http->work, NULL);
    if (getrandom(&http->salt, sizeof http->salt, GRND_NONBLOCK) != sizeof http->salt)
        http->salt = (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();
    http->threads = xn_alloc_zero(http->options.threads, sizeof *http->threads);
    int status = http->threads ? start(http, err) : xn_fail(err, XN_ERR_NOMEM, "no memory for the HTTP server");
    if (status != XN_OK)
        free_http(http);
    else
        *out = http;
    return status;
}

uint16_t xn_http_port(const struct xn_http *http) {
    return http->port;
}

static void poke(struct xn_http *http) {
    uint64_t one = 1;
    if (write(http->event, &one, sizeof one) < 0) return; // it is awake already
}

void xn_http_drain(struct xn_http *http) {
    atomic_store(&http->draining, true);
    poke(http);
}

uint32_t xn_http_active(struct xn_http *http) {
    return atomic_load(&http->active);
}

void xn_http_stop(struct xn_http *http) {
    if (!http) return;
    atomic_store(&http->draining, true);
    atomic_store(&http->stopping, true);
    poke(http);
    pthread_join(http->reader, NULL);
    xn_workers_stop(http);
    if (!http->quiesced) http->listener = -1; // MHD_stop_daemon has closed it
    free_http(http);
}
