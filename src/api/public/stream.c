// The public API: tokens to text as they come, up to a stop string.
#include "api/public/internal.h"

#include "api/stop.h"
#include "base/memory.h"

#include <stdlib.h>

struct xenon_stream {
    const struct xn_tokenizer *tokenizer;
    bool show_special;
    struct xn_detokenizer detokenizer;
    char **strings; // of the stops
    struct xn_stops stops;
    struct xn_text piece, shown;
};

static int copy_stops(xenon_stream *s, const xenon_stream_options *o) {
    if (o->n_stops == 0) return XN_OK;
    s->strings = xn_alloc_zero(o->n_stops, sizeof *s->strings);
    if (!s->strings) return XN_ERR_NOMEM;
    for (size_t i = 0; i < o->n_stops; i++) {
        s->strings[i] = xn_strdup(o->stops[i] ? o->stops[i] : "");
        if (!s->strings[i]) return XN_ERR_NOMEM;
        s->stops.n++;
    }
    s->stops.strings = (const char *const *)s->strings;
    return XN_OK;
}

int xenon_stream_create(const xenon_model *model, const xenon_stream_options *options, xenon_stream **out,
                        xenon_error *error) {
    static const xenon_stream_options none;
    const xenon_stream_options *o = options ? options : &none;
    *out = NULL;
    XN_TRY(xn_api_need_tokenizer(model, error));
    xenon_stream *s = xn_alloc_zero(1, sizeof *s);
    if (!s || copy_stops(s, o) != XN_OK) {
        if (s) xenon_stream_free(&s);
        return xn_api_refuse(error, XN_ERR_NOMEM, "out of memory for a stream");
    }
    s->tokenizer = model->model->tokenizer;
    s->show_special = o->show_special;
    xn_detokenizer_init(&s->detokenizer, s->tokenizer, s->show_special);
    *out = s;
    return XN_OK;
}

void xenon_stream_free(xenon_stream **stream) {
    xenon_stream *s = *stream;
    if (!s) return;
    for (size_t i = 0; i < s->stops.n; i++)
        free(s->strings[i]);
    free(s->strings);
    xn_stops_free(&s->stops);
    free(s->piece.data);
    free(s->shown.data);
    free(s);
    *stream = NULL;
}

// Passes what was decoded through the stop strings. *found: one is complete.
static int filter(xenon_stream *s, bool *found, struct xn_error *err) {
    XN_TRY(xn_stops_feed(&s->stops, s->piece.data ? s->piece.data : "", s->piece.size, &s->shown, found, err));
    s->piece.size = 0;
    return XN_OK;
}

// Everything that is held back, into s->shown; then the stream is as new.
static int flush(xenon_stream *s, struct xn_error *err) {
    bool found = false;
    XN_TRY(xn_detokenize_end(&s->detokenizer, &s->piece, err));
    XN_TRY(filter(s, &found, err));
    if (!found) XN_TRY(xn_stops_end(&s->stops, &s->shown, err));
    xn_detokenizer_init(&s->detokenizer, s->tokenizer, s->show_special);
    return XN_OK;
}

static int push(xenon_stream *s, int32_t id, bool *ended, struct xn_error *err) {
    *ended = false;
    if (id < 0) return xn_fail(err, XN_ERR_ARGUMENT, "token %d: expected a token id", id);
    if (xn_token_ends(s->tokenizer, id)) {
        *ended = true;
        return flush(s, err);
    }
    XN_TRY(xn_detokenize(&s->detokenizer, id, &s->piece, err));
    XN_TRY(filter(s, ended, err));
    if (*ended) xn_detokenizer_init(&s->detokenizer, s->tokenizer, s->show_special);
    return XN_OK;
}

static int give_text(xenon_stream *s, int status, const struct xn_error *err, const char **text, size_t *size,
                     xenon_error *error) {
    *text = s->shown.data;
    *size = s->shown.size;
    return xn_api_give(status, err, error);
}

int xenon_stream_push(xenon_stream *s, int32_t id, const char **text, size_t *size, xenon_error *error) {
    struct xn_error err;
    bool ended = false;
    s->shown.size = 0;
    int status = xn_text_put(&s->shown, "", 0, &err);
    if (status == XN_OK) status = push(s, id, &ended, &err);
    give_text(s, status, &err, text, size, error);
    return status != XN_OK ? status : ended ? XENON_STREAM_END : XENON_STREAM_MORE;
}

int xenon_stream_finish(xenon_stream *s, const char **text, size_t *size, xenon_error *error) {
    struct xn_error err;
    s->shown.size = 0;
    int status = xn_text_put(&s->shown, "", 0, &err);
    if (status == XN_OK) status = flush(s, &err);
    return give_text(s, status, &err, text, size, error);
}
