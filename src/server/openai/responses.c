// POST /v1/responses: the response as a list of items (reasoning, messages, calls), and the events that tell of it.
#include "server/openai/responses.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum item_kind { NO_ITEM, REASONING, MESSAGE, CALL };

struct response {
    struct xn_call call;
    struct xn_completion *completion;
    struct xn_response_options options;
    char id[XN_CALL_ID];
    int64_t created;
    uint64_t owner;
    json_t *output; // array: items that are complete
    uint64_t sequence;
    bool logprobs, begun;
    // The item that is being made.
    enum item_kind kind;
    char item_id[XN_CALL_ID];
    struct xn_text text;
    json_t *item_logprobs, *delta_logprobs; // arrays, or NULL
    char *call_id, *name;                   // CALL
    enum xn_completion_finish finish;
};

static void end(struct response *r) {
    json_decref(r->output);
    json_decref(r->item_logprobs);
    json_decref(r->delta_logprobs);
    free(r->text.data);
    free(r->call_id);
    free(r->name);
    xn_response_options_free(&r->options);
    xn_completion_release(r->completion);
    xn_call_end(&r->call);
    free(r);
}

// ---- the response

static json_t *usage_of(const struct xn_completion_event *done) {
    const struct xn_serving_counts *u = &done->usage;
    return json_pack("{s:I, s:{s:I}, s:I, s:{s:I}, s:I}", "input_tokens", (json_int_t)u->prompt, "input_tokens_details",
                     "cached_tokens", (json_int_t)u->cached, "output_tokens", (json_int_t)u->generated,
                     "output_tokens_details", "reasoning_tokens", (json_int_t)done->reasoning, "total_tokens",
                     (json_int_t)u->prompt + u->generated);
}

// As it stands; `done` NULL: it is being made.
static json_t *response_of(const struct response *r, const struct xn_completion_event *done) {
    json_t *body = json_pack("{s:s}", "id", r->id);
    json_object_set_new(body, "created_at", json_integer((json_int_t)r->created));
    json_object_update(body, r->options.echo);
    bool failed = done && done->error, cut = done && !failed && r->finish == XN_FINISHED_LENGTH;
    json_object_set_new(body, "status",
                        json_string(!done    ? "in_progress"
                                    : failed ? "failed"
                                    : cut    ? "incomplete"
                                             : "completed"));
    json_object_set_new(body, "error",
                        failed ? json_pack("{s:s, s:s}", "code", "server_error", "message", done->error->message)
                               : json_null());
    json_object_set_new(body, "incomplete_details",
                        cut ? json_pack("{s:s}", "reason", "max_output_tokens") : json_null());
    json_object_set_new(body, "output", done ? json_copy(r->output) : json_array());
    json_object_set_new(body, "usage", done && !failed ? usage_of(done) : json_null());
    if (done && !failed && !cut) json_object_set_new(body, "completed_at", json_integer((json_int_t)time(NULL)));
    return body;
}

// ---- events

static bool send(struct response *r, const char *type, json_t *fields) {
    if (!r->call.stream) {
        json_decref(fields);
        return !xn_exchange_gone(r->call.x);
    }
    json_t *event = json_pack("{s:s, s:I}", "type", type, "sequence_number", (json_int_t)r->sequence++);
    json_object_update(event, fields);
    json_decref(fields);
    return xn_call_event(&r->call, type, event);
}

static bool begin(struct response *r) {
    if (r->begun || !r->call.stream) return true;
    r->begun = true;
    return send(r, "response.created", json_pack("{s:o}", "response", response_of(r, NULL))) &&
           send(r, "response.in_progress", json_pack("{s:o}", "response", response_of(r, NULL)));
}

// ---- items

static json_t *part_of(const struct response *r, bool whole) {
    json_t *text = whole ? xn_json_text(r->text.data, r->text.size) : json_string("");
    if (r->kind == REASONING) return json_pack("{s:s, s:o}", "type", "reasoning_text", "text", text);
    json_t *logprobs = whole && r->item_logprobs ? json_copy(r->item_logprobs) : json_array();
    return json_pack("{s:s, s:o, s:[], s:o}", "type", "output_text", "text", text, "annotations", "logprobs", logprobs);
}

static json_t *item_of(const struct response *r, const char *status) {
    bool whole = strcmp(status, "in_progress") != 0;
    if (r->kind == CALL)
        return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "id", r->item_id, "type", "function_call", "status", status,
                         "call_id", r->call_id, "name", r->name, "arguments",
                         whole ? xn_json_text(r->text.data, r->text.size) : json_string(""));
    json_t *content = whole ? json_pack("[o]", part_of(r, true)) : json_array();
    if (r->kind == REASONING)
        return json_pack("{s:s, s:s, s:s, s:[], s:o}", "id", r->item_id, "type", "reasoning", "status", status,
                         "summary", "content", content);
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "id", r->item_id, "type", "message", "status", status, "role",
                     "assistant", "content", content);
}

// The fields by which an event says where it belongs.
static json_t *place_of(const struct response *r) {
    json_t *place =
        json_pack("{s:s, s:I}", "item_id", r->item_id, "output_index", (json_int_t)json_array_size(r->output));
    if (r->kind != CALL) json_object_set_new(place, "content_index", json_integer(0));
    return place;
}

static json_t *place_with(const struct response *r, const char *key, json_t *value) {
    json_t *place = place_of(r);
    json_object_set_new(place, key, value);
    return place;
}

static bool open_item(struct response *r, enum item_kind kind, const struct xn_answer_piece *piece) {
    static const char *const prefixes[] = {[REASONING] = "rs_", [MESSAGE] = "msg_", [CALL] = "fc_"};
    r->kind = kind;
    r->text.size = 0;
    xn_call_id(r->item_id, prefixes[kind]);
    if (kind == CALL) {
        free(r->call_id);
        free(r->name);
        r->call_id = xn_strdup(piece->id);
        r->name = xn_strdup(piece->name);
        if (!r->call_id || !r->name) return false;
    }
    bool sent = send(r, "response.output_item.added",
                     json_pack("{s:I, s:o}", "output_index", (json_int_t)json_array_size(r->output), "item",
                               item_of(r, "in_progress")));
    if (kind == CALL || !sent) return sent;
    return send(r, "response.content_part.added", place_with(r, "part", part_of(r, false)));
}

static bool close_item(struct response *r, bool complete) {
    if (r->kind == NO_ITEM) return true;
    json_t *text = xn_json_text(r->text.data, r->text.size);
    bool sent;
    if (r->kind == CALL) {
        json_t *fields = place_with(r, "arguments", text);
        json_object_set_new(fields, "name", json_string(r->name));
        sent = send(r, "response.function_call_arguments.done", fields);
    } else {
        json_t *fields = place_with(r, "text", text);
        if (r->kind == MESSAGE)
            json_object_set_new(fields, "logprobs", r->item_logprobs ? json_copy(r->item_logprobs) : json_array());
        sent = send(r, r->kind == MESSAGE ? "response.output_text.done" : "response.reasoning_text.done", fields) &&
               send(r, "response.content_part.done", place_with(r, "part", part_of(r, true)));
    }
    json_t *item = item_of(r, complete ? "completed" : "incomplete");
    if (sent)
        sent = send(r, "response.output_item.done",
                    json_pack("{s:I, s:O}", "output_index", (json_int_t)json_array_size(r->output), "item", item));
    json_array_append_new(r->output, item);
    json_decref(r->item_logprobs);
    json_decref(r->delta_logprobs);
    r->item_logprobs = r->delta_logprobs = NULL;
    r->kind = NO_ITEM;
    return sent;
}

// More of the text of the item of this kind, which is opened where another one was before.
static bool add_text(struct response *r, enum item_kind kind, const struct xn_answer_piece *piece) {
    static const char *const events[] = {
        [REASONING] = "response.reasoning_text.delta",
        [MESSAGE] = "response.output_text.delta",
        [CALL] = "response.function_call_arguments.delta",
    };
    if (r->kind != kind && !(close_item(r, true) && open_item(r, kind, piece))) return false;
    if (xn_text_put(&r->text, piece->text, piece->size, NULL) != XN_OK) return false;
    json_t *fields = place_with(r, "delta", xn_json_text(piece->text, piece->size));
    if (kind == MESSAGE) {
        json_object_set_new(fields, "logprobs", r->delta_logprobs ? r->delta_logprobs : json_array());
        r->delta_logprobs = NULL;
    }
    return send(r, events[kind], fields);
}

static bool on_piece(struct response *r, const struct xn_answer_piece *piece) {
    switch (piece->kind) {
    case XN_ANSWER_CONTENT:
        return add_text(r, MESSAGE, piece);
    case XN_ANSWER_REASONING:
        return add_text(r, REASONING, piece);
    case XN_ANSWER_CALL:
        return close_item(r, true) && open_item(r, CALL, piece);
    case XN_ANSWER_ARGUMENTS:
        return r->kind != CALL || add_text(r, CALL, piece);
    default:
        return r->kind != CALL || close_item(r, true);
    }
}

static void add_logprob(struct response *r, const struct xn_completion_token *token) {
    json_t *entry = xn_openai_logprob(r->call.served->model->tokenizer, token);
    if (!r->item_logprobs) r->item_logprobs = json_array();
    if (!r->delta_logprobs) r->delta_logprobs = json_array();
    json_array_append(r->item_logprobs, entry);
    json_array_append_new(r->delta_logprobs, entry);
}

// ---- the end

// The conversation with this response's items at its end, kept for the next.
static void keep(struct response *r, json_t *body) {
    struct xn_error ignored;
    if (!r->options.store) return;
    if (json_array_size(r->output) && xn_response_input(r->output, r->options.conversation, &ignored) != XN_OK) return;
    xn_response_keep(r->id, r->owner, r->options.conversation, body);
}

static void on_done(struct response *r, const struct xn_completion_event *event) {
    struct xn_error ignored;
    xn_call_note(&r->call, event);
    if (event->error && !r->call.begun) {
        xn_openai_send_error(&r->call, event->error);
        end(r);
        return;
    }
    begin(r);
    json_t *body = response_of(r, event);
    if (!event->error) keep(r, body);
    if (!r->call.stream) {
        xn_reply_json(r->call.x, 200, body, &ignored);
    } else {
        send(r,
             event->error                      ? "response.failed"
             : r->finish == XN_FINISHED_LENGTH ? "response.incomplete"
                                               : "response.completed",
             json_pack("{s:o}", "response", body));
        if (r->call.begun) xn_stream_end(r->call.x);
    }
    end(r);
}

static int on_event(void *user, const struct xn_completion_event *event) {
    struct response *r = user;
    if (event->kind == XN_COMPLETION_DONE) {
        on_done(r, event);
        return 0;
    }
    if (event->token && r->logprobs) add_logprob(r, event->token);
    if (event->kind == XN_COMPLETION_PIECE) return !(begin(r) && on_piece(r, event->piece));
    if (event->kind == XN_COMPLETION_FINISH) {
        r->finish = event->finish;
        return !(begin(r) && close_item(r, event->finish != XN_FINISHED_LENGTH));
    }
    return !(begin(r) && (xn_call_there(&r->call)));
}

// ---- handlers

static int start(struct xn_call *call, const json_t *body, struct xn_completion_request *request,
                 struct xn_error *err) {
    struct response *r = xn_alloc_zero(1, sizeof *r);
    if (!r) return xn_fail(err, XN_ERR_NOMEM, "out of memory for a request");
    int status = xn_response_read(body, call, request, &r->options, err);
    if (status == XN_OK && !(r->output = json_array()))
        status = xn_fail(err, XN_ERR_NOMEM, "out of memory for a request");
    r->call = *call;
    r->call.stream = r->options.stream;
    r->created = (int64_t)time(NULL);
    r->owner = xn_exchange_owner(call->x);
    r->logprobs = request->logprobs >= 0;
    xn_call_id(r->id, "resp_");
    // From here on `r` is the events', the last of which ends it, unless there are none.
    if (status == XN_OK) status = xn_completion_start(call->served, request, on_event, r, &r->completion, err);
    if (status == XN_OK) {
        *call = (struct xn_call){0};
        return XN_OK;
    }
    r->call = (struct xn_call){0};
    end(r);
    return status;
}

int xn_openai_responses(void *server, struct xn_exchange *x, struct xn_error *err) {
    return xn_call_handle(server, x, start, err);
}

// The id at the end of the path.
static const char *id_of(const struct xn_exchange *x) {
    const char *slash = strrchr(xn_exchange_path(x), '/');
    return slash ? slash + 1 : "";
}

static int missing(const char *id, struct xn_error *err) {
    return xn_fail(err, XN_ERR_MISSING, "no response \"%.64s\" is kept", id);
}

int xn_openai_response_get(void *server, struct xn_exchange *x, struct xn_error *err) {
    (void)server;
    json_t *body = NULL;
    if (!xn_response_find(id_of(x), xn_exchange_owner(x), NULL, &body)) return missing(id_of(x), err);
    return xn_reply_json(x, 200, body, err);
}

int xn_openai_response_delete(void *server, struct xn_exchange *x, struct xn_error *err) {
    (void)server;
    if (!xn_response_drop(id_of(x), xn_exchange_owner(x))) return missing(id_of(x), err);
    return xn_reply_json(x, 200, json_pack("{s:s, s:s, s:b}", "id", id_of(x), "object", "response", "deleted", 1), err);
}
