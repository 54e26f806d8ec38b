// POST /v1/messages: the answer as a list of blocks (thinking, text, uses of tools), and the events that tell of it.
#include "server/anthropic/internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum block_kind { NO_BLOCK, TEXT, THINKING, TOOL_USE };

struct message {
    struct xn_call call;
    struct xn_completion *completion;
    struct xn_anthropic_options options;
    char id[XN_CALL_ID];
    json_t *content; // array: blocks that are complete
    bool begun;
    struct xn_serving_counts usage; // as far as known
    // The block that is being made.
    enum block_kind kind;
    struct xn_text text;
    char *use_id, *name;
    enum xn_completion_finish finish;
    char *stop; // the stop string that ended it, or NULL
};

static void end(struct message *m) {
    json_decref(m->content);
    free(m->text.data);
    free(m->use_id);
    free(m->name);
    free(m->stop);
    xn_completion_release(m->completion);
    xn_call_end(&m->call);
    free(m);
}

static const char *reason_of(const struct message *m) {
    switch (m->finish) {
    case XN_FINISHED_LENGTH:
        return "max_tokens";
    case XN_FINISHED_CALLS:
        return "tool_use";
    default:
        return m->stop ? "stop_sequence" : "end_turn";
    }
}

// What was read from the cache is not counted among the input's.
static json_t *usage_of(const struct message *m) {
    const struct xn_serving_counts *u = &m->usage;
    uint32_t computed = u->prompt > u->cached ? u->prompt - u->cached : 0;
    return json_pack("{s:I, s:i, s:I, s:I}", "input_tokens", (json_int_t)computed, "cache_creation_input_tokens", 0,
                     "cache_read_input_tokens", (json_int_t)u->cached, "output_tokens", (json_int_t)u->generated);
}

static json_t *message_of(const struct message *m, bool whole) {
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:s?, s:s?, s:o}", "id", m->id, "type", "message", "role", "assistant",
                     "model", m->call.served->name, "content", whole ? json_incref(m->content) : json_array(),
                     "stop_reason", whole ? reason_of(m) : NULL, "stop_sequence", whole ? m->stop : NULL, "usage",
                     usage_of(m));
}

// ---- events

static bool send(struct message *m, const char *type, json_t *fields) {
    if (!m->call.stream) {
        json_decref(fields);
        return !xn_exchange_gone(m->call.x);
    }
    json_t *event = json_pack("{s:s}", "type", type);
    json_object_update(event, fields);
    json_decref(fields);
    return xn_call_event(&m->call, type, event);
}

static bool begin(struct message *m) {
    if (m->begun || !m->call.stream) return true;
    m->begun = true;
    return send(m, "message_start", json_pack("{s:o}", "message", message_of(m, false))) && send(m, "ping", NULL);
}

static json_int_t index_of(const struct message *m) {
    return (json_int_t)json_array_size(m->content);
}

static json_t *block_of(const struct message *m, bool whole) {
    json_t *text = whole ? xn_json_text(m->text.data, m->text.size) : json_string("");
    if (m->kind == TEXT) return json_pack("{s:s, s:o}", "type", "text", "text", text);
    if (m->kind == THINKING) return json_pack("{s:s, s:o, s:s}", "type", "thinking", "thinking", text, "signature", "");
    json_decref(text);
    json_t *input = whole && m->text.size ? json_loadb(m->text.data, m->text.size, 0, NULL) : NULL;
    if (!json_is_object(input)) {
        json_decref(input);
        input = json_object();
    }
    return json_pack("{s:s, s:s, s:s, s:o}", "type", "tool_use", "id", m->use_id, "name", m->name, "input", input);
}

static bool close_block(struct message *m) {
    if (m->kind == NO_BLOCK) return true;
    bool sent = true;
    if (m->kind == THINKING)
        sent = send(m, "content_block_delta",
                    json_pack("{s:I, s:{s:s, s:s}}", "index", index_of(m), "delta", "type", "signature_delta",
                              "signature", ""));
    if (sent) sent = send(m, "content_block_stop", json_pack("{s:I}", "index", index_of(m)));
    json_array_append_new(m->content, block_of(m, true));
    m->kind = NO_BLOCK;
    return sent;
}

static bool open_block(struct message *m, enum block_kind kind, const struct xn_answer_piece *piece) {
    if (!close_block(m)) return false;
    m->kind = kind;
    m->text.size = 0;
    if (kind == TOOL_USE) {
        free(m->use_id);
        free(m->name);
        m->use_id = xn_strdup(piece->id);
        m->name = xn_strdup(piece->name);
        if (!m->use_id || !m->name) return false;
    }
    return send(m, "content_block_start",
                json_pack("{s:I, s:o}", "index", index_of(m), "content_block", block_of(m, false)));
}

static bool add_text(struct message *m, enum block_kind kind, const struct xn_answer_piece *piece) {
    static const struct {
        const char *type, *field;
    } deltas[] = {
        [TEXT] = {"text_delta", "text"},
        [THINKING] = {"thinking_delta", "thinking"},
        [TOOL_USE] = {"input_json_delta", "partial_json"},
    };
    if (m->kind != kind && !open_block(m, kind, piece)) return false;
    if (xn_text_put(&m->text, piece->text, piece->size, NULL) != XN_OK) return false;
    return send(m, "content_block_delta",
                json_pack("{s:I, s:{s:s, s:o}}", "index", index_of(m), "delta", "type", deltas[kind].type,
                          deltas[kind].field, xn_json_text(piece->text, piece->size)));
}

static bool on_piece(struct message *m, const struct xn_answer_piece *piece) {
    switch (piece->kind) {
    case XN_ANSWER_CONTENT:
        return add_text(m, TEXT, piece);
    case XN_ANSWER_REASONING:
        return m->options.thinking ? add_text(m, THINKING, piece) : xn_call_there(&m->call);
    case XN_ANSWER_CALL:
        return open_block(m, TOOL_USE, piece);
    case XN_ANSWER_ARGUMENTS:
        return m->kind != TOOL_USE || add_text(m, TOOL_USE, piece);
    default:
        return m->kind != TOOL_USE || close_block(m);
    }
}

// ---- the end

static void send_error(struct message *m, const struct xn_error *error) {
    int status = xn_http_status(error);
    json_t *body = xn_anthropic_error(status, NULL, error->message);
    struct xn_error ignored;
    if (m->call.begun)
        xn_call_event(&m->call, "error", body);
    else
        xn_reply_json(m->call.x, status, body, &ignored);
}

static void on_done(struct message *m, const struct xn_completion_event *event) {
    struct xn_error ignored;
    xn_call_note(&m->call, event);
    m->usage = event->usage;
    if (event->error) {
        send_error(m, event->error);
    } else if (!m->call.stream) {
        xn_reply_json(m->call.x, 200, message_of(m, true), &ignored);
    } else {
        begin(m);
        send(m, "message_delta",
             json_pack("{s:{s:s, s:s?}, s:o}", "delta", "stop_reason", reason_of(m), "stop_sequence", m->stop, "usage",
                       usage_of(m)));
        send(m, "message_stop", NULL);
    }
    if (m->call.begun) xn_stream_end(m->call.x);
    end(m);
}

static int on_event(void *user, const struct xn_completion_event *event) {
    struct message *m = user;
    if (event->kind == XN_COMPLETION_DONE) {
        on_done(m, event);
        return 0;
    }
    if (event->kind != XN_COMPLETION_PIECE) m->usage = event->usage;
    if (!begin(m)) return 1;
    if (event->kind == XN_COMPLETION_PIECE) return !on_piece(m, event->piece);
    if (event->kind == XN_COMPLETION_FINISH) {
        m->finish = event->finish;
        if (event->stop) m->stop = xn_strdup(event->stop);
        return !close_block(m);
    }
    return !(xn_call_there(&m->call));
}

// ---- handlers

static int start(struct xn_call *call, const json_t *body, struct xn_completion_request *request,
                 struct xn_error *err) {
    struct xn_anthropic_options options = {0};
    XN_TRY(xn_anthropic_read(body, call, false, request, &options, err));
    struct message *m = xn_alloc_zero(1, sizeof *m);
    if (!m || !(m->content = json_array())) {
        free(m);
        return xn_fail(err, XN_ERR_NOMEM, "out of memory for a request");
    }
    m->call = *call;
    m->call.stream = options.stream;
    m->options = options;
    xn_call_id(m->id, "msg_");
    // From here on `m` is the events', the last of which ends it, unless there are none.
    int status = xn_completion_start(call->served, request, on_event, m, &m->completion, err);
    if (status == XN_OK) {
        *call = (struct xn_call){0};
        return XN_OK;
    }
    m->call = (struct xn_call){0};
    end(m);
    return status;
}

static int count(struct xn_call *call, const json_t *body, struct xn_completion_request *request,
                 struct xn_error *err) {
    struct xn_anthropic_options options = {0};
    struct xn_ids ids = {0};
    XN_TRY(xn_anthropic_read(body, call, true, request, &options, err));
    XN_TRY(xn_completion_ids(call->served, request, &ids, err));
    json_int_t n = (json_int_t)ids.n;
    free(ids.data);
    return xn_reply_json(call->x, 200, json_pack("{s:I}", "input_tokens", n), err);
}

int xn_anthropic_create(void *server, struct xn_exchange *x, struct xn_error *err) {
    return xn_call_handle(server, x, start, err);
}

int xn_anthropic_count(void *server, struct xn_exchange *x, struct xn_error *err) {
    return xn_call_handle(server, x, count, err);
}
