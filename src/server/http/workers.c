// Threads on which handlers run that may block: as many as are busy at once, up to a bound.
#include "base/memory.h"
#include "server/http/internal.h"

#include <stdlib.h>
#include <string.h>

void xn_workers_run(struct xn_exchange *x) {
    struct xn_error err = {0};
    int status = x->route->handle(x->http->options.server, x, &err);
    if (status != XN_OK) {
        err.status = status < 0 ? (enum xn_status)status : XN_ERR_ARGUMENT;
        // Where a reply has begun this does nothing, and letting go of the exchange cuts it off.
        xn_reply_error(x, xn_http_status(&err), err.message);
    }
    xn_exchange_release(x);
}

static void *work(void *user) {
    struct xn_http *http = user;
    pthread_setname_np(pthread_self(), "xenon-handler");
    pthread_mutex_lock(&http->lock);
    for (;;) {
        struct xn_exchange *x = http->jobs;
        if (x) {
            http->jobs = x->next_job;
            if (!http->jobs) http->jobs_end = &http->jobs;
            pthread_mutex_unlock(&http->lock);
            xn_workers_run(x);
            pthread_mutex_lock(&http->lock);
        } else if (http->closing) {
            break;
        } else {
            http->idle_threads++;
            pthread_cond_wait(&http->work, &http->lock);
            http->idle_threads--;
        }
    }
    pthread_mutex_unlock(&http->lock);
    return NULL;
}

int xn_workers_give(struct xn_exchange *x) {
    struct xn_http *http = x->http;
    pthread_mutex_lock(&http->lock);
    uint32_t jobs = 1;
    for (struct xn_exchange *job = http->jobs; job && jobs <= http->idle_threads; job = job->next_job)
        jobs++;
    if (jobs > http->idle_threads && http->n_threads < http->options.threads &&
        pthread_create(&http->threads[http->n_threads], NULL, work, http) == 0)
        http->n_threads++;
    bool there = http->n_threads > 0;
    if (there) {
        x->next_job = NULL;
        *http->jobs_end = x;
        http->jobs_end = &x->next_job;
        pthread_cond_signal(&http->work);
    }
    pthread_mutex_unlock(&http->lock);
    return there ? 0 : -1;
}

void xn_workers_stop(struct xn_http *http) {
    pthread_mutex_lock(&http->lock);
    http->closing = true;
    pthread_cond_broadcast(&http->work);
    pthread_mutex_unlock(&http->lock);
    for (uint32_t i = 0; i < http->n_threads; i++)
        pthread_join(http->threads[i], NULL);
    http->n_threads = 0;
}
