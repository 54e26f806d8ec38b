// POST /v1/chat/completions: the answer, whole or as chunks.
#include "server/openai/internal.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct choice {
    struct xn_text content, reasoning, arguments; // arguments: of the call that is being made
    json_t *calls;                                // array
    json_t *logprobs;                             // array: of the whole, or since the last chunk
    bool begun;                                   // its role was sent
    const char *finish;
};
struct chat {
    struct xn_call call;
    struct xn_completion *completion;
    struct xn_openai_chat_options options;
    char id[XN_CALL_ID];
    int64_t created;
    bool logprobs;
    struct xn_text head, line; // a chunk of text: up to its index, which is the same in all; the whole
    uint32_t n;
    struct choice choices[];
};

static void end(struct chat *c) {
    for (uint32_t i = 0; i < c->n; i++) {
        free(c->choices[i].content.data);
        free(c->choices[i].reasoning.data);
        free(c->choices[i].arguments.data);
        json_decref(c->choices[i].calls);
        json_decref(c->choices[i].logprobs);
    }
    free(c->head.data);
    free(c->line.data);
    xn_completion_release(c->completion);
    xn_call_end(&c->call);
    free(c);
}

static json_t *envelope(const struct chat *c, const char *object, json_t *choices) {
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:o}", "id", c->id, "object", object, "created", (json_int_t)c->created,
                     "model", c->call.served->name, "system_fingerprint", xn_openai_fingerprint, "choices", choices);
}

// The log probabilities collected since the last time; null where there are none in a chunk.
static json_t *take_logprobs(const struct chat *c, struct choice *choice) {
    if (!c->logprobs || (c->call.stream && !choice->logprobs)) return json_null();
    json_t *taken = choice->logprobs ? choice->logprobs : json_array();
    choice->logprobs = NULL;
    return json_pack("{s:o, s:n}", "content", taken, "refusal");
}

// ---- chunks

static bool send_chunk(struct chat *c, uint32_t i, json_t *delta, const char *finish, json_t *timings) {
    json_t *logprobs = take_logprobs(c, &c->choices[i]);
    json_t *chunk = envelope(c, "chat.completion.chunk",
                             json_pack("[{s:i, s:o, s:o, s:s?}]", "index", (int)i, "delta", delta, "logprobs", logprobs,
                                       "finish_reason", finish));
    if (c->options.include_usage) json_object_set_new(chunk, "usage", json_null());
    if (timings) json_object_set_new(chunk, "timings", timings);
    return xn_call_event(&c->call, NULL, chunk);
}

// Nearly all chunks are some text of one choice, and the serving thread writes them between two steps: those are put
// together from parts, which is several times as fast as through a JSON value.
static bool send_text(struct chat *c, uint32_t i, const char *field, const struct xn_answer_piece *piece) {
    char index[48];
    if (c->head.size == 0) {
        json_t *empty = envelope(c, "chat.completion.chunk", json_array());
        char *text = empty ? json_dumps(empty, JSON_COMPACT) : NULL;
        json_decref(empty);
        // All but the end of "choices":[]}
        int status = text ? xn_text_put(&c->head, "data: ", 6, NULL) : XN_ERR_NOMEM;
        if (status == XN_OK) status = xn_text_put(&c->head, text, strlen(text) - 2, NULL);
        free(text);
        if (status != XN_OK) return false;
    }
    snprintf(index, sizeof index, "{\"index\":%u,\"delta\":{\"", i);
    json_t *string = xn_json_text(piece->text, piece->size);
    char *quoted = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
    json_decref(string);
    const char *parts[] = {
        c->head.data,
        index,
        field,
        "\":",
        quoted,
        "},\"logprobs\":null,\"finish_reason\":null}]",
        c->options.include_usage ? ",\"usage\":null}\n\n" : "}\n\n",
    };
    int status = quoted ? XN_OK : XN_ERR_NOMEM;
    c->line.size = 0;
    for (size_t k = 0; k < sizeof parts / sizeof *parts && status == XN_OK; k++)
        status = xn_text_put(&c->line, parts[k], strlen(parts[k]), NULL);
    free(quoted);
    return status == XN_OK && xn_call_text(&c->call, c->line.data);
}

static bool begin_choice(struct chat *c, uint32_t i) {
    if (c->choices[i].begun) return true;
    c->choices[i].begun = true;
    return send_chunk(c, i, json_pack("{s:s, s:s}", "role", "assistant", "content", ""), NULL, NULL);
}

static json_t *delta_of(const struct xn_answer_piece *piece) {
    json_t *text = xn_json_text(piece->text, piece->size);
    switch (piece->kind) {
    case XN_ANSWER_CONTENT:
        return json_pack("{s:o}", "content", text);
    case XN_ANSWER_REASONING:
        return json_pack("{s:o}", "reasoning_content", text);
    case XN_ANSWER_CALL:
        json_decref(text);
        return json_pack("{s:[{s:i, s:s, s:s, s:{s:s, s:s}}]}", "tool_calls", "index", (int)piece->index, "id",
                         piece->id, "type", "function", "function", "name", piece->name, "arguments", "");
    case XN_ANSWER_ARGUMENTS:
        return json_pack("{s:[{s:i, s:{s:o}}]}", "tool_calls", "index", (int)piece->index, "function", "arguments",
                         text);
    default:
        json_decref(text);
        return NULL;
    }
}

// ---- the whole

static void collect(struct choice *choice, const struct xn_answer_piece *piece) {
    switch (piece->kind) {
    case XN_ANSWER_CONTENT:
        xn_text_put(&choice->content, piece->text, piece->size, NULL);
        break;
    case XN_ANSWER_REASONING:
        xn_text_put(&choice->reasoning, piece->text, piece->size, NULL);
        break;
    case XN_ANSWER_CALL:
        if (!choice->calls) choice->calls = json_array();
        choice->arguments.size = 0;
        json_array_append_new(choice->calls, json_pack("{s:s, s:s, s:{s:s}}", "id", piece->id, "type", "function",
                                                       "function", "name", piece->name));
        break;
    case XN_ANSWER_ARGUMENTS:
        xn_text_put(&choice->arguments, piece->text, piece->size, NULL);
        break;
    case XN_ANSWER_CALL_END: {
        size_t n = json_array_size(choice->calls);
        json_t *function = n ? json_object_get(json_array_get(choice->calls, n - 1), "function") : NULL;
        json_object_set_new(function, "arguments", xn_json_text(choice->arguments.data, choice->arguments.size));
        break;
    }
    }
}

static json_t *message_of(const struct choice *choice) {
    json_t *message = json_pack("{s:s}", "role", "assistant");
    bool calls = json_array_size(choice->calls) > 0;
    json_object_set_new(message, "content",
                        calls && choice->content.size == 0 ? json_null()
                                                           : xn_json_text(choice->content.data, choice->content.size));
    json_object_set_new(message, "refusal", json_null());
    if (choice->reasoning.size)
        json_object_set_new(message, "reasoning_content", xn_json_text(choice->reasoning.data, choice->reasoning.size));
    if (calls) json_object_set(message, "tool_calls", choice->calls);
    return message;
}

static void reply(struct chat *c, const struct xn_completion_event *done) {
    json_t *choices = json_array();
    for (uint32_t i = 0; i < c->n; i++)
        json_array_append_new(choices,
                              json_pack("{s:i, s:o, s:o, s:s}", "index", (int)i, "message", message_of(&c->choices[i]),
                                        "logprobs", take_logprobs(c, &c->choices[i]), "finish_reason",
                                        c->choices[i].finish ? c->choices[i].finish : "stop"));
    json_t *body = envelope(c, "chat.completion", choices);
    json_object_set_new(body, "usage", xn_openai_usage(done));
    json_object_set_new(body, "timings", xn_call_timings(&done->usage));
    struct xn_error ignored;
    xn_reply_json(c->call.x, 200, body, &ignored);
}

static void end_stream(struct chat *c, const struct xn_completion_event *done) {
    if (c->options.include_usage) {
        json_t *last = envelope(c, "chat.completion.chunk", json_array());
        json_object_set_new(last, "usage", xn_openai_usage(done));
        json_object_set_new(last, "timings", xn_call_timings(&done->usage));
        xn_call_event(&c->call, NULL, last);
    }
    xn_call_text(&c->call, "data: [DONE]\n\n");
}

// ---- events, on the serving thread

static void on_done(struct chat *c, const struct xn_completion_event *event) {
    xn_call_note(&c->call, event);
    if (event->error)
        xn_openai_send_error(&c->call, event->error);
    else if (c->call.stream)
        end_stream(c, event);
    else
        reply(c, event);
    if (c->call.begun) xn_stream_end(c->call.x);
    end(c);
}

static bool on_piece(struct chat *c, const struct xn_completion_event *event) {
    if (!c->call.stream) {
        collect(&c->choices[event->choice], event->piece);
        return true;
    }
    bool content = event->piece->kind == XN_ANSWER_CONTENT, reasoning = event->piece->kind == XN_ANSWER_REASONING;
    if (!c->logprobs && (content || reasoning))
        return send_text(c, event->choice, content ? "content" : "reasoning_content", event->piece);
    json_t *delta = delta_of(event->piece);
    return !delta || send_chunk(c, event->choice, delta, NULL, NULL);
}

static bool on_finish(struct chat *c, const struct xn_completion_event *event) {
    c->choices[event->choice].finish = xn_openai_finish(event->finish);
    if (!c->call.stream) return true;
    json_t *timings = c->options.include_usage ? NULL : xn_call_timings(&event->usage);
    if (begin_choice(c, event->choice))
        return send_chunk(c, event->choice, json_object(), c->choices[event->choice].finish, timings);
    json_decref(timings);
    return false;
}

static int on_event(void *user, const struct xn_completion_event *event) {
    struct chat *c = user;
    if (event->kind == XN_COMPLETION_DONE) {
        on_done(c, event);
        return 0;
    }
    if (event->kind == XN_COMPLETION_PIECE && c->call.stream && !begin_choice(c, event->choice)) return 1;
    if (event->token && c->logprobs) {
        struct choice *choice = &c->choices[event->choice];
        if (!choice->logprobs) choice->logprobs = json_array();
        json_array_append_new(choice->logprobs, xn_openai_logprob(c->call.served->model->tokenizer, event->token));
    }
    bool there = true;
    if (event->kind == XN_COMPLETION_PIECE)
        there = on_piece(c, event);
    else if (event->kind == XN_COMPLETION_FINISH)
        there = on_finish(c, event);
    else
        there = xn_call_there(&c->call);
    return !there;
}

// ---- the handler

static int start(struct xn_call *call, const json_t *body, struct xn_completion_request *request,
                 struct xn_error *err) {
    struct xn_openai_chat_options options = {0};
    XN_TRY(xn_openai_read_chat(body, call, request, &options, err));
    struct chat *c = xn_alloc_zero(1, sizeof *c + request->n * sizeof *c->choices);
    if (!c) return xn_fail(err, XN_ERR_NOMEM, "out of memory for a request");
    c->call = *call;
    c->call.stream = options.stream;
    c->options = options;
    c->created = (int64_t)time(NULL);
    c->logprobs = request->logprobs >= 0;
    c->n = request->n;
    xn_call_id(c->id, "chatcmpl-");
    // From here on `c` is the events', the last of which ends it, unless there are none.
    int status = xn_completion_start(call->served, request, on_event, c, &c->completion, err);
    if (status == XN_OK)
        *call = (struct xn_call){0};
    else
        free(c);
    return status;
}

int xn_openai_chat(void *server, struct xn_exchange *x, struct xn_error *err) {
    return xn_call_handle(server, x, start, err);
}
