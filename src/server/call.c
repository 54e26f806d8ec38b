#include "server/call.h"

#include "server/fields.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { QUIET_SECONDS = 10 };

int xn_call_begin(struct xn_call *call, void *server, struct xn_exchange *x, const char *model, struct xn_error *err) {
    call->server = server;
    XN_TRY(xn_served_acquire(call->server->models, model, &call->served, err));
    call->x = xn_exchange_hold(x);
    xn_exchange_note(x, "model", call->served->name);
    return XN_OK;
}

void xn_call_end(struct xn_call *call) {
    if (call->served) xn_served_release(call->server->models, call->served);
    if (call->x) xn_exchange_release(call->x);
    call->served = NULL;
    call->x = NULL;
}

void xn_call_note(struct xn_call *call, const struct xn_completion_event *done) {
    const struct xn_serving_counts *u = &done->usage;
    xn_exchange_note_number(call->x, "prompt_tokens", u->prompt);
    xn_exchange_note_number(call->x, "cached_tokens", u->cached);
    xn_exchange_note_number(call->x, "generated_tokens", u->generated);
    xn_exchange_note_number(call->x, "queue_seconds", u->queued);
    xn_exchange_note_number(call->x, "first_token_seconds", u->first);
    if (done->error) xn_exchange_note(call->x, "error", done->error->message);
}

int xn_call_handle(void *server, struct xn_exchange *x, xn_call_start *with, struct xn_error *err) {
    json_t *body;
    const char *model = NULL;
    struct xn_call call = {0};
    struct xn_completion_request request = {0};
    XN_TRY(xn_exchange_json(x, &body, err));
    int status = xn_field_string(body, "model", &model, err);
    if (status == XN_OK) status = xn_call_begin(&call, server, x, model, err);
    if (status == XN_OK) xn_completion_request_init(&request, call.served);
    request.exchange = call.x;
    if (status == XN_OK) status = with(&call, body, &request, err);
    xn_completion_request_free(&request);
    xn_call_end(&call);
    json_decref(body);
    return status;
}

// ---- events

static bool put(struct xn_call *call, const char *bytes, size_t size) {
    struct xn_error err;
    if (call->broken || xn_exchange_gone(call->x)) return false;
    if (!call->begun) {
        xn_reply_header(call->x, "Cache-Control", "no-cache");
        xn_reply_header(call->x, "X-Accel-Buffering", "no");
        call->broken = xn_stream_begin(call->x, 200, "text/event-stream; charset=utf-8", &err) != XN_OK;
        call->begun = true;
    }
    if (!call->broken && size) call->broken = xn_stream_put(call->x, bytes, size, &err) != XN_OK;
    clock_gettime(CLOCK_MONOTONIC, &call->last);
    return !call->broken;
}

bool xn_call_text(struct xn_call *call, const char *text) {
    return put(call, text, strlen(text));
}

bool xn_call_event(struct xn_call *call, const char *name, json_t *data) {
    char *body = data ? json_dumps(data, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(data);
    struct xn_text text = {0};
    int status = body ? XN_OK : XN_ERR_NOMEM;
    if (status == XN_OK && name) {
        status = xn_text_put(&text, "event: ", 7, NULL);
        if (status == XN_OK) status = xn_text_put(&text, name, strlen(name), NULL);
        if (status == XN_OK) status = xn_text_put(&text, "\n", 1, NULL);
    }
    if (status == XN_OK) status = xn_text_put(&text, "data: ", 6, NULL);
    if (status == XN_OK) status = xn_text_put(&text, body, strlen(body), NULL);
    if (status == XN_OK) status = xn_text_put(&text, "\n\n", 2, NULL);
    if (status != XN_OK) call->broken = true;
    bool sent = put(call, text.data, text.size);
    free(text.data);
    free(body);
    return sent;
}

bool xn_call_alive(struct xn_call *call) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (call->begun && now.tv_sec - call->last.tv_sec >= QUIET_SECONDS) return xn_call_text(call, ": working\n\n");
    return call->begun ? !call->broken && !xn_exchange_gone(call->x) : put(call, "", 0);
}

bool xn_call_there(struct xn_call *call) {
    return call->stream ? xn_call_alive(call) : !xn_exchange_gone(call->x);
}

// ---- names and numbers

void xn_call_id(char id[XN_CALL_ID], const char *prefix) {
    static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint8_t random[24];
    if (getrandom(random, sizeof random, 0) != sizeof random) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        for (size_t i = 0; i < sizeof random; i++)
            random[i] = (uint8_t)((uint64_t)now.tv_nsec * (2 * i + 1) >> (i % 8));
    }
    size_t n = (size_t)snprintf(id, XN_CALL_ID, "%.14s", prefix);
    for (size_t i = 0; i < sizeof random; i++)
        id[n++] = letters[random[i] % (sizeof letters - 1)];
    id[n] = 0;
}

json_t *xn_json_text(const char *text, size_t size) {
    json_t *string = json_stringn(text ? text : "", size);
    return string ? string : json_null();
}

json_t *xn_call_timings(const struct xn_serving_counts *u) {
    uint32_t computed = u->prompt > u->cached ? u->prompt - u->cached : 0;
    double prompt = u->first > u->queued ? u->first - u->queued : 0,
           predicted = u->last > u->first ? u->last - u->first : 0;
    // The first token comes out of the prompt's last step.
    uint32_t behind = u->generated ? u->generated - 1 : 0;
    return json_pack("{s:I, s:I, s:f, s:f, s:f, s:I, s:f, s:f, s:f, s:f}", "cache_n", (json_int_t)u->cached, "prompt_n",
                     (json_int_t)computed, "prompt_ms", prompt * 1e3, "prompt_per_token_ms",
                     computed ? prompt * 1e3 / computed : 0, "prompt_per_second", prompt > 0 ? computed / prompt : 0,
                     "predicted_n", (json_int_t)u->generated, "predicted_ms", predicted * 1e3, "predicted_per_token_ms",
                     behind ? predicted * 1e3 / behind : 0, "predicted_per_second",
                     predicted > 0 ? behind / predicted : 0, "queue_ms", u->queued * 1e3);
}
