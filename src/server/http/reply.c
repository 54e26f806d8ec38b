// Replies: written by any thread, sent by the reader.
#include "base/memory.h"
#include "server/http/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { BLOCK = 16 << 10 }; // bytes that libmicrohttpd takes of a stream at once

bool xn_exchange_gone(const struct xn_exchange *x) {
    struct xn_exchange *self = (struct xn_exchange *)x;
    pthread_mutex_lock(&self->lock);
    bool gone = self->gone;
    pthread_mutex_unlock(&self->lock);
    return gone;
}

// With the lock held: the reader goes on with this exchange.
static void wake(struct xn_exchange *x) {
    if (!x->waiting) return;
    x->waiting = false;
    xn_reader_wake(x);
}

void xn_exchange_lose(struct xn_exchange *x) {
    pthread_mutex_lock(&x->lock);
    x->gone = true;
    wake(x);
    while (x->n_on_gone) {
        struct xn_gone gone = x->on_gone[--x->n_on_gone];
        x->called_user = gone.user;
        x->caller = pthread_self();
        pthread_mutex_unlock(&x->lock);
        gone.call(gone.user);
        pthread_mutex_lock(&x->lock);
        x->called_user = NULL;
        pthread_cond_broadcast(&x->called);
    }
    pthread_mutex_unlock(&x->lock);
}

void xn_exchange_on_gone(struct xn_exchange *x, void (*gone)(void *user), void *user) {
    pthread_mutex_lock(&x->lock);
    bool now = x->gone;
    // Without memory nobody is called; who asks now and then (xn_exchange_gone) learns it all the same.
    if (!now && !XN_GROW(x->on_gone, x->on_gone_capacity, x->n_on_gone + 1))
        x->on_gone[x->n_on_gone++] = (struct xn_gone){gone, user};
    pthread_mutex_unlock(&x->lock);
    if (now) gone(user);
}

void xn_exchange_off_gone(struct xn_exchange *x, void *user) {
    pthread_mutex_lock(&x->lock);
    for (size_t i = x->n_on_gone; i-- > 0;)
        if (x->on_gone[i].user == user) x->on_gone[i] = x->on_gone[--x->n_on_gone];
    while (x->called_user == user && !pthread_equal(x->caller, pthread_self()))
        pthread_cond_wait(&x->called, &x->lock);
    pthread_mutex_unlock(&x->lock);
}

void xn_exchange_note(struct xn_exchange *x, const char *name, const char *text) {
    pthread_mutex_lock(&x->lock);
    if (!x->notes) x->notes = json_object();
    json_object_set_new(x->notes, name, json_string(text));
    pthread_mutex_unlock(&x->lock);
}

void xn_exchange_note_number(struct xn_exchange *x, const char *name, double value) {
    bool whole = value > -9e15 && value < 9e15 && value == (double)(json_int_t)value;
    pthread_mutex_lock(&x->lock);
    if (!x->notes) x->notes = json_object();
    json_object_set_new(x->notes, name, whole ? json_integer((json_int_t)value) : json_real(value));
    pthread_mutex_unlock(&x->lock);
}

void xn_reply_header(struct xn_exchange *x, const char *name, const char *value) {
    pthread_mutex_lock(&x->lock);
    for (size_t i = 0; i < x->n_reply_headers && x->state == XN_REPLY_NONE; i++)
        if (strcasecmp(x->reply_headers[i].name, name) == 0) { // the last one counts
            free(x->reply_headers[i].name);
            free(x->reply_headers[i].value);
            x->reply_headers[i] = x->reply_headers[--x->n_reply_headers];
            break;
        }
    if (x->state == XN_REPLY_NONE)
        xn_pair_add(&x->reply_headers, &x->n_reply_headers, &x->reply_headers_capacity, name, strlen(name), value,
                    strlen(value));
    pthread_mutex_unlock(&x->lock);
}

void xn_reply_retry(struct xn_exchange *x, uint32_t seconds) {
    char text[16];
    snprintf(text, sizeof text, "%u", seconds);
    xn_reply_header(x, "Retry-After", text);
}

// With the lock held.
static int begin(struct xn_exchange *x, enum xn_reply_state state, int status, const char *content_type,
                 struct xn_error *err) {
    if (x->state != XN_REPLY_NONE) return xn_fail(err, XN_ERR_ARGUMENT, "a reply has begun already");
    if (x->gone) return xn_fail(err, XN_ERR_CANCELLED, "the client has gone");
    x->type = content_type ? xn_strdup(content_type) : NULL;
    if (content_type && !x->type) return xn_fail(err, XN_ERR_NOMEM, "no memory for a reply");
    x->state = state;
    x->status = status;
    return XN_OK;
}

// With the lock held. Bytes that were sent make room first.
static int append(struct xn_exchange *x, const void *bytes, size_t size) {
    if (x->out_begin && x->out_begin >= x->out_size / 2) {
        x->out_size -= x->out_begin;
        memmove(x->out, x->out + x->out_begin, x->out_size);
        x->out_begin = 0;
    }
    if (xn_grow((void **)&x->out, &x->out_capacity, x->out_size + size + 1, 1)) return -1;
    if (size) memcpy(x->out + x->out_size, bytes, size);
    x->out_size += size;
    return 0;
}

static int reply_locked(struct xn_exchange *x, int status, const char *content_type, const void *body, size_t size,
                        struct xn_error *err) {
    XN_TRY(begin(x, XN_REPLY_WHOLE, status, content_type, err));
    if (append(x, body, size)) {
        x->status = 500;
        x->ended = true;
        wake(x);
        return xn_fail(err, XN_ERR_NOMEM, "no memory for a reply of %zu bytes", size);
    }
    x->ended = true;
    wake(x);
    return XN_OK;
}

int xn_reply(struct xn_exchange *x, int status, const char *content_type, const void *body, size_t size,
             struct xn_error *err) {
    pthread_mutex_lock(&x->lock);
    int result = reply_locked(x, status, content_type, body, size, err);
    pthread_mutex_unlock(&x->lock);
    return result;
}

int xn_reply_json(struct xn_exchange *x, int status, json_t *body, struct xn_error *err) {
    char *text = body ? json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(body);
    if (!text) return xn_fail(err, XN_ERR_NOMEM, "no memory for a reply");
    int result = xn_reply(x, status, "application/json; charset=utf-8", text, strlen(text), err);
    free(text);
    return result;
}

int xn_stream_begin(struct xn_exchange *x, int status, const char *content_type, struct xn_error *err) {
    if (content_type && strncmp(content_type, "text/event-stream", 17) == 0) {
        xn_reply_header(x, "Cache-Control", "no-cache");
        xn_reply_header(x, "X-Accel-Buffering", "no"); // nginx passes events on as they come
    }
    pthread_mutex_lock(&x->lock);
    int result = begin(x, XN_REPLY_STREAM, status, content_type, err);
    if (result == XN_OK) wake(x);
    pthread_mutex_unlock(&x->lock);
    return result;
}

static int put_locked(struct xn_exchange *x, const void *bytes, size_t size, struct xn_error *err) {
    if (x->gone || x->broken) return xn_fail(err, XN_ERR_CANCELLED, "the client has gone");
    if (x->state != XN_REPLY_STREAM || x->ended)
        return xn_fail(err, XN_ERR_ARGUMENT, "no stream has begun, or it ended");
    size_t ahead = x->out_size - x->out_begin, most = x->http->options.stream_most;
    if (size > most || ahead > most - size) {
        x->broken = true;
        wake(x);
        return xn_fail(err, XN_ERR_LIMIT, "the client reads too slowly: %zu bytes are waiting for it", ahead);
    }
    if (append(x, bytes, size)) {
        x->broken = true;
        wake(x);
        return xn_fail(err, XN_ERR_NOMEM, "no memory for %zu bytes of a stream", size);
    }
    wake(x);
    return XN_OK;
}

int xn_stream_put(struct xn_exchange *x, const void *bytes, size_t size, struct xn_error *err) {
    if (!size) return XN_OK;
    pthread_mutex_lock(&x->lock);
    int result = put_locked(x, bytes, size, err);
    pthread_mutex_unlock(&x->lock);
    return result;
}

void xn_stream_end(struct xn_exchange *x) {
    pthread_mutex_lock(&x->lock);
    x->ended = true;
    wake(x);
    pthread_mutex_unlock(&x->lock);
}

void xn_exchange_abandoned(struct xn_exchange *x) {
    pthread_mutex_lock(&x->lock);
    bool silent = x->state == XN_REPLY_NONE && !x->gone;
    if (x->state == XN_REPLY_STREAM && !x->ended) {
        x->broken = true;
        wake(x);
    }
    pthread_mutex_unlock(&x->lock);
    if (silent) xn_reply_error(x, 500, "the server has no answer to this request");
}

static json_t *plain_form(int status, const char *type, const char *message) {
    return json_pack("{s:{s:s, s:s, s:i}}", "error", "message", message, "type", type, "code", status);
}

static bool has_header(struct xn_exchange *x, const char *name) {
    pthread_mutex_lock(&x->lock);
    bool found = xn_pair_find(x->reply_headers, x->n_reply_headers, name, true) != NULL;
    pthread_mutex_unlock(&x->lock);
    return found;
}

void xn_reply_error(struct xn_exchange *x, int status, const char *message) {
    xn_error_form *form = x->form ? x->form : plain_form;
    json_t *body = form(status, xn_http_error_type(status), message);
    // Bytes that are no UTF-8 (of a client's own) can't be told back.
    if (!body) body = form(status, xn_http_error_type(status), "the request can't be served (its text is no UTF-8)");
    if ((status == 429 || status == 503) && !has_header(x, "Retry-After")) xn_reply_retry(x, 1);
    struct xn_error ignored;
    xn_reply_json(x, status, body, &ignored);
}

// --- on the reader's thread

static ssize_t take(void *user, uint64_t position, char *buffer, size_t most) {
    struct xn_exchange *x = user;
    (void)position;
    pthread_mutex_lock(&x->lock);
    ssize_t result = 0;
    size_t there = x->out_size - x->out_begin;
    if (x->gone || x->broken) {
        result = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (there) {
        size_t n = there < most ? there : most;
        memcpy(buffer, x->out + x->out_begin, n);
        x->out_begin += n;
        x->sent += n;
        result = (ssize_t)n;
    } else if (x->ended) {
        result = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        x->waiting = true;
        x->suspended = true;
        MHD_suspend_connection(x->connection);
    }
    pthread_mutex_unlock(&x->lock);
    return result;
}

struct MHD_Response *xn_reply_make(struct xn_exchange *x) {
    xn_reply_origin(x);
    pthread_mutex_lock(&x->lock);
    struct MHD_Response *response;
    if (x->state == XN_REPLY_STREAM) {
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, take, x, NULL);
    } else {
        // Given away: what was built is what is sent.
        response = MHD_create_response_from_buffer(x->out_size, x->out, MHD_RESPMEM_MUST_FREE);
        if (response) {
            x->sent = x->out_size;
            x->out = NULL;
            x->out_size = x->out_capacity = 0;
        }
    }
    if (response) {
        if (x->type) MHD_add_response_header(response, "Content-Type", x->type);
        MHD_add_response_header(response, "X-Request-Id", x->id);
        if (!xn_pair_find(x->reply_headers, x->n_reply_headers, "X-Content-Type-Options", true))
            MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
        for (size_t i = 0; i < x->n_reply_headers; i++)
            MHD_add_response_header(response, x->reply_headers[i].name, x->reply_headers[i].value);
        if (atomic_load(&x->http->draining)) MHD_add_response_header(response, "Connection", "close");
    }
    pthread_mutex_unlock(&x->lock);
    return response;
}
