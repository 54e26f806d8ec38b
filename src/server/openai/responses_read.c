// POST /v1/responses: the request.
#include "server/openai/responses.h"

#include <string.h>

void xn_response_options_free(struct xn_response_options *o) {
    json_decref(o->echo);
    json_decref(o->conversation);
    *o = (struct xn_response_options){0};
}

static int no_memory(struct xn_error *err) {
    return xn_fail(err, XN_ERR_NOMEM, "out of memory for a request");
}

static int refuse(const json_t *body, struct xn_error *err) {
    static const char *const fields[] = {"conversation", "prompt", "context_management"};
    bool background = false;
    XN_TRY(xn_field_bool(body, "background", &background, err));
    if (background) return xn_fail(err, XN_ERR_ARGUMENT, "background: not supported");
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const json_t *value = json_object_get(body, fields[i]);
        if (value && !json_is_null(value))
            return xn_fail(err, XN_ERR_ARGUMENT, "%s: not supported; send the items, or previous_response_id",
                           fields[i]);
    }
    return XN_OK;
}

// The conversation: what came before, the instructions in front of it (which are not carried on), and the input.
static int read_conversation(const json_t *body, uint64_t owner, struct xn_completion_request *r,
                             struct xn_response_options *o, struct xn_error *err) {
    const char *previous = NULL, *instructions = NULL;
    XN_TRY(xn_field_string(body, "previous_response_id", &previous, err));
    XN_TRY(xn_field_string(body, "instructions", &instructions, err));
    if (previous) {
        if (!xn_response_find(previous, owner, &o->conversation, NULL))
            return xn_fail(err, XN_ERR_MISSING,
                           "previous_response_id: no response \"%.64s\" is kept (they are for a while, in memory)",
                           previous);
    } else {
        o->conversation = json_array();
    }
    if (!o->conversation) return no_memory(err);
    XN_TRY(xn_response_input(json_object_get(body, "input"), o->conversation, err));
    r->messages = json_copy(o->conversation);
    if (!r->messages) return no_memory(err);
    if (instructions && *instructions &&
        json_array_insert_new(r->messages, 0, json_pack("{s:s, s:s}", "role", "system", "content", instructions)))
        return no_memory(err);
    return XN_OK;
}

static int read_text(const json_t *body, struct xn_completion_request *r, struct xn_error *err) {
    json_t *text = NULL, *format = NULL;
    XN_TRY(xn_field_object(body, "text", &text, err));
    if (text && xn_field_object(text, "format", &format, err) != XN_OK)
        return xn_error_context(err, XN_ERR_ARGUMENT, "text");
    return format ? xn_openai_read_format(format, "text.format", format, r, err) : XN_OK;
}

static int read_reasoning(const json_t *body, struct xn_completion_request *r, struct xn_error *err) {
    json_t *reasoning = NULL;
    const char *effort = NULL;
    XN_TRY(xn_field_object(body, "reasoning", &reasoning, err));
    if (reasoning) XN_TRY(xn_field_string(reasoning, "effort", &effort, err));
    return effort ? xn_openai_effort(r, effort, "reasoning.effort", err) : XN_OK;
}

// Whether `include` asks for log probabilities; other words in it name what there is none of.
static bool wants_logprobs(const json_t *body) {
    const json_t *include = json_object_get(body, "include");
    for (size_t i = 0; i < json_array_size(include); i++) {
        const char *word = json_string_value(json_array_get(include, i));
        if (word && strcmp(word, "message.output_text.logprobs") == 0) return true;
    }
    return false;
}

static json_t *or_null(const json_t *body, const char *key) {
    json_t *value = json_object_get(body, key);
    return value ? json_incref(value) : json_null();
}
static json_t *or_else(const json_t *body, const char *key, json_t *other) {
    json_t *value = json_object_get(body, key);
    if (!value || json_is_null(value)) return other;
    json_decref(other);
    return json_incref(value);
}

// What of the request the response repeats.
static json_t *echo_of(const json_t *body, const struct xn_completion_request *r, const struct xn_call *call,
                       bool store) {
    json_t *echo = json_object();
    struct {
        const char *key;
        json_t *value;
    } fields[] = {
        {"object", json_string("response")},
        {"background", json_false()},
        {"instructions", or_null(body, "instructions")},
        {"max_output_tokens", or_null(body, "max_output_tokens")},
        {"max_tool_calls", json_null()},
        {"model", json_string(call->served->name)},
        {"parallel_tool_calls", or_else(body, "parallel_tool_calls", json_true())},
        {"previous_response_id", or_null(body, "previous_response_id")},
        {"reasoning", or_else(body, "reasoning", json_pack("{s:n, s:n}", "effort", "summary"))},
        {"service_tier", json_string("default")},
        {"store", json_boolean(store)},
        {"temperature", json_real((double)r->sampling.sampling.temperature)},
        {"text", or_else(body, "text", json_pack("{s:{s:s}}", "format", "type", "text"))},
        {"tool_choice", or_else(body, "tool_choice", json_string("auto"))},
        {"tools", or_else(body, "tools", json_array())},
        {"top_logprobs", or_else(body, "top_logprobs", json_integer(0))},
        {"top_p", json_real((double)r->sampling.sampling.top_p)},
        {"truncation", or_else(body, "truncation", json_string("disabled"))},
        {"user", or_null(body, "user")},
        {"metadata", or_else(body, "metadata", json_object())},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        json_object_set_new(echo, fields[i].key, fields[i].value);
    return echo;
}

int xn_response_read(const json_t *body, const struct xn_call *call, struct xn_completion_request *r,
                     struct xn_response_options *o, struct xn_error *err) {
    static const char *const most[] = {"max_output_tokens"};
    int64_t top = 0;
    bool usage = false;
    const char *truncation = NULL;
    o->store = true;
    XN_TRY(refuse(body, err));
    XN_TRY(read_conversation(body, xn_exchange_owner(call->x), r, o, err));
    XN_TRY(xn_openai_read_stream(body, &o->stream, &usage, err));
    XN_TRY(xn_openai_read_tools(body, true, r, err));
    XN_TRY(xn_openai_read_common(body, call, r, err));
    XN_TRY(xn_openai_read_most(body, most, 1, &r->most, err));
    XN_TRY(read_text(body, r, err));
    XN_TRY(read_reasoning(body, r, err));
    XN_TRY(xn_field_bool(body, "store", &o->store, err));
    XN_TRY(xn_field_int(body, "top_logprobs", 0, 20, &top, err));
    XN_TRY(xn_field_string(body, "truncation", &truncation, err));
    if (top || wants_logprobs(body)) r->logprobs = (int32_t)top;
    if (truncation && strcmp(truncation, "auto") == 0) r->shift = true;
    r->n = 1;
    o->echo = echo_of(body, r, call, o->store);
    return o->echo ? XN_OK : no_memory(err);
}
