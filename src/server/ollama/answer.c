// Answers of /api/chat and /api/generate: a line of JSON a piece, or one object in all.
#include "server/ollama/internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

struct answer {
    struct xn_call call;
    struct xn_completion *completion;
    struct xn_ollama_options options;
    bool chat;
    double load_seconds;
    struct xn_text content, thinking; // of the whole, where nothing is streamed
    json_t *calls;                    // likewise
    struct xn_text arguments;         // of the call that is being written
    char *name;                       // of it
    enum xn_completion_finish finish;
};

static void end(struct answer *a) {
    xn_completion_release(a->completion);
    free(a->content.data);
    free(a->thinking.data);
    free(a->arguments.data);
    free(a->name);
    json_decref(a->calls);
    xn_call_end(&a->call);
    free(a);
}

static bool is_there(const struct xn_call *call) {
    return !call->broken && !xn_exchange_gone(call->x);
}

// One line; takes the reference.
static bool send(struct xn_call *call, json_t *object) {
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    struct xn_text line = {0};
    bool good = text && is_there(call) && xn_text_put(&line, text, strlen(text), NULL) == XN_OK &&
                xn_text_put(&line, "\n", 1, NULL) == XN_OK;
    if (good && !call->begun) {
        good = xn_stream_begin(call->x, 200, "application/x-ndjson", NULL) == XN_OK;
        call->begun = good;
    }
    if (good) good = xn_stream_put(call->x, line.data, line.size, NULL) == XN_OK;
    call->broken |= !good;
    free(line.data);
    free(text);
    return good;
}

static json_t *envelope(const struct xn_call *call, bool done) {
    char now[XN_OLLAMA_TIME];
    xn_ollama_time(now, 0);
    return json_pack("{s:s, s:s, s:b}", "model", call->served->name, "created_at", now, "done", done);
}

// What is said of the text: a message, or fields of their own. Takes the references; NULL: not there.
static void put_text(const struct answer *a, json_t *object, json_t *content, json_t *thinking, json_t *calls) {
    json_t *to = a->chat ? json_pack("{s:s}", "role", "assistant") : object;
    json_object_set_new(to, a->chat ? "content" : "response", content ? content : json_string(""));
    if (thinking) json_object_set_new(to, "thinking", thinking);
    if (calls) json_object_set_new(to, "tool_calls", calls);
    if (a->chat) json_object_set_new(object, "message", to);
}

static json_t *nanoseconds(double seconds) {
    return json_integer(seconds > 0 ? (json_int_t)(seconds * 1e9) : 0);
}

static void put_counts(const struct answer *a, json_t *object, const struct xn_serving_counts *u) {
    json_object_set_new(object, "done_reason", json_string(a->finish == XN_FINISHED_LENGTH ? "length" : "stop"));
    json_object_set_new(object, "total_duration", nanoseconds(a->load_seconds + u->last));
    json_object_set_new(object, "load_duration", nanoseconds(a->load_seconds));
    json_object_set_new(object, "prompt_eval_count", json_integer(u->prompt));
    json_object_set_new(object, "prompt_eval_duration", nanoseconds(u->first - u->queued));
    json_object_set_new(object, "eval_count", json_integer(u->generated));
    json_object_set_new(object, "eval_duration", nanoseconds(u->last - u->first));
}

// The call that has been written, with its arguments as an object.
static json_t *finished_call(struct answer *a, const struct xn_answer_piece *piece) {
    json_t *arguments = json_loadb(a->arguments.size ? a->arguments.data : "{}",
                                   a->arguments.size ? a->arguments.size : 2, JSON_DECODE_ANY, NULL);
    if (!arguments) arguments = json_object();
    return json_pack("{s:{s:i, s:s?, s:o}}", "function", "index", (int)piece->index, "name", a->name, "arguments",
                     arguments);
}

static bool on_call(struct answer *a, const struct xn_answer_piece *piece) {
    switch (piece->kind) {
    case XN_ANSWER_CALL:
        free(a->name);
        a->name = xn_strdup(piece->name);
        a->arguments.size = 0;
        return true;
    case XN_ANSWER_ARGUMENTS:
        return xn_text_put(&a->arguments, piece->text, piece->size, NULL) == XN_OK;
    default:
        break;
    }
    json_t *call = finished_call(a, piece);
    if (a->options.stream) {
        json_t *object = envelope(&a->call, false);
        put_text(a, object, NULL, NULL, json_pack("[o]", call));
        return send(&a->call, object);
    }
    if (!a->calls) a->calls = json_array();
    return json_array_append_new(a->calls, call) == 0;
}

static bool on_piece(struct answer *a, const struct xn_answer_piece *piece) {
    bool thinks = piece->kind == XN_ANSWER_REASONING;
    if (!thinks && piece->kind != XN_ANSWER_CONTENT) return on_call(a, piece);
    if (!a->options.stream)
        return xn_text_put(thinks ? &a->thinking : &a->content, piece->text, piece->size, NULL) == XN_OK;
    json_t *object = envelope(&a->call, false), *text = xn_json_text(piece->text, piece->size);
    put_text(a, object, thinks ? NULL : text, thinks ? text : NULL, NULL);
    return send(&a->call, object);
}

static void on_done(struct answer *a, const struct xn_completion_event *event) {
    struct xn_error ignored;
    xn_call_note(&a->call, event);
    if (event->error) {
        json_t *body = json_pack("{s:s}", "error", event->error->message);
        if (a->call.begun)
            send(&a->call, body);
        else
            xn_reply_json(a->call.x, xn_http_status(event->error), body, &ignored);
    } else {
        json_t *object = envelope(&a->call, true), *calls = a->calls;
        a->calls = NULL;
        put_text(a, object, xn_json_text(a->content.data, a->content.size),
                 a->thinking.size ? xn_json_text(a->thinking.data, a->thinking.size) : NULL, calls);
        put_counts(a, object, &event->usage);
        if (a->options.stream)
            send(&a->call, object);
        else
            xn_reply_json(a->call.x, 200, object, &ignored);
    }
    if (a->call.begun) xn_stream_end(a->call.x);
    end(a);
}

static int on_event(void *user, const struct xn_completion_event *event) {
    struct answer *a = user;
    if (event->kind == XN_COMPLETION_DONE) {
        on_done(a, event);
        return 0;
    }
    if (event->kind == XN_COMPLETION_FINISH) a->finish = event->finish;
    if (event->kind == XN_COMPLETION_PIECE) return !on_piece(a, event->piece);
    return !is_there(&a->call);
}

static void keep(struct xn_call *call, const struct xn_ollama_options *o) {
    if (o->keep && !call->server->read_only) xn_served_keep(call->server->models, call->served, o->keep_alive);
}

int xn_ollama_answer(struct xn_call *call, struct xn_completion_request *request,
                     const struct xn_ollama_options *options, bool chat, double load_seconds, struct xn_error *err) {
    struct answer *a = xn_alloc_zero(1, sizeof *a);
    if (!a) return xn_fail(err, XN_ERR_NOMEM, "out of memory for a request");
    keep(call, options);
    a->call = *call;
    a->options = *options;
    a->chat = chat;
    a->load_seconds = load_seconds;
    // From here on `a` is the events', the last of which ends it, unless there are none.
    int status = xn_completion_start(call->served, request, on_event, a, &a->completion, err);
    if (status == XN_OK)
        *call = (struct xn_call){0};
    else
        free(a);
    return status;
}

int xn_ollama_loaded(struct xn_call *call, const struct xn_ollama_options *options, bool chat, struct xn_error *err) {
    struct answer a = {.chat = chat};
    keep(call, options);
    json_t *object = envelope(call, true);
    put_text(&a, object, NULL, NULL, NULL);
    json_object_set_new(object, "done_reason", json_string(options->unload ? "unload" : "load"));
    return xn_reply_json(call->x, 200, object, err);
}
