// Conversations of Anthropic's API: checked, and turned into those of chat completions. Results of tools, which are
// blocks of the user's messages there, become messages of their own.
#include "server/anthropic/internal.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_MESSAGES = 65536 };

struct reader {
    json_t *messages; // chat's
    size_t at, block; // of the message and block, for messages
    struct xn_text text;
    bool has_text;
    struct xn_error *err;
};

static int no_memory(struct xn_error *err) {
    return xn_fail(err, XN_ERR_NOMEM, "out of memory for messages");
}

static int wrong(struct reader *r, const char *field, const char *expected) {
    return xn_fail(r->err, XN_ERR_ARGUMENT, "messages[%zu].content[%zu].%s: expected %s", r->at, r->block, field,
                   expected);
}

static int add_text(struct reader *r, const json_t *text) {
    if (r->has_text) XN_TRY(xn_text_put(&r->text, "\n", 1, r->err));
    r->has_text = true;
    return xn_text_put(&r->text, json_string_value(text), json_string_length(text), r->err);
}

static json_t *take_text(struct reader *r) {
    json_t *text = xn_json_text(r->text.data, r->has_text ? r->text.size : 0);
    r->text.size = 0;
    r->has_text = false;
    return text;
}

// The text of a result: a string, or text blocks.
static int result_text(struct reader *r, const json_t *content, json_t **out) {
    if (!content || json_is_null(content)) {
        *out = json_string("");
        return XN_OK;
    }
    if (json_is_string(content)) {
        *out = json_incref((json_t *)content);
        return XN_OK;
    }
    if (!json_is_array(content)) return wrong(r, "content", "a string or an array of text blocks");
    struct xn_text text = {0};
    int status = XN_OK;
    for (size_t i = 0; i < json_array_size(content) && status == XN_OK; i++) {
        const json_t *block = json_array_get(content, i), *part = json_object_get(block, "text");
        const char *type = json_string_value(json_object_get(block, "type"));
        if (!type || strcmp(type, "text") != 0 || !json_is_string(part)) {
            status = wrong(r, "content", "text blocks only: models take text only");
            break;
        }
        if (i) status = xn_text_put(&text, "\n", 1, r->err);
        if (status == XN_OK) status = xn_text_put(&text, json_string_value(part), json_string_length(part), r->err);
    }
    if (status == XN_OK) *out = xn_json_text(text.data, text.size);
    free(text.data);
    return status;
}

// ---- the user's blocks

static int flush_user(struct reader *r) {
    if (!r->has_text) return XN_OK;
    json_t *message = json_pack("{s:s, s:o}", "role", "user", "content", take_text(r));
    return json_array_append_new(r->messages, message) ? no_memory(r->err) : XN_OK;
}

static int user_block(struct reader *r, const char *type, const json_t *block) {
    if (strcmp(type, "tool_result") == 0) {
        json_t *id = json_object_get(block, "tool_use_id"), *content = NULL;
        if (!json_is_string(id)) return wrong(r, "tool_use_id", "a string");
        XN_TRY(flush_user(r));
        XN_TRY(result_text(r, json_object_get(block, "content"), &content));
        json_t *message = json_pack("{s:s, s:O, s:o}", "role", "tool", "tool_call_id", id, "content", content);
        return json_array_append_new(r->messages, message) ? no_memory(r->err) : XN_OK;
    }
    if (strcmp(type, "document") == 0) {
        const json_t *source = json_object_get(block, "source"), *data = json_object_get(source, "data");
        const char *kind = json_string_value(json_object_get(source, "type"));
        if (!kind || strcmp(kind, "text") != 0 || !json_is_string(data))
            return wrong(r, "source", "a document of type \"text\": models take text only");
        return add_text(r, data);
    }
    return xn_fail(r->err, XN_ERR_ARGUMENT,
                   "messages[%zu].content[%zu]: blocks of type \"%.32s\" are not supported: models take text only",
                   r->at, r->block, type);
}

// ---- the assistant's

static int assistant_block(struct reader *r, json_t *message, const char *type, const json_t *block) {
    if (strcmp(type, "redacted_thinking") == 0) return XN_OK;
    if (strcmp(type, "thinking") == 0) {
        json_t *thinking = json_object_get(block, "thinking");
        if (!json_is_string(thinking)) return wrong(r, "thinking", "a string");
        return json_object_set(message, "reasoning_content", thinking) ? no_memory(r->err) : XN_OK;
    }
    if (strcmp(type, "tool_use") != 0)
        return xn_fail(r->err, XN_ERR_ARGUMENT,
                       "messages[%zu].content[%zu]: blocks of type \"%.32s\" are not supported in the assistant's",
                       r->at, r->block, type);
    json_t *id = json_object_get(block, "id"), *name = json_object_get(block, "name"),
           *input = json_object_get(block, "input"), *calls = json_object_get(message, "tool_calls");
    if (!json_is_string(id)) return wrong(r, "id", "a string");
    if (!json_is_string(name)) return wrong(r, "name", "a string");
    if (!json_is_object(input)) return wrong(r, "input", "an object");
    if (!calls) {
        calls = json_array();
        if (json_object_set_new(message, "tool_calls", calls)) return no_memory(r->err);
    }
    json_t *call = json_pack("{s:O, s:s, s:{s:O, s:O}}", "id", id, "type", "function", "function", "name", name,
                             "arguments", input);
    return json_array_append_new(calls, call) ? no_memory(r->err) : XN_OK;
}

// ---- messages

static int read_blocks(struct reader *r, const json_t *content, json_t *assistant) {
    for (r->block = 0; r->block < json_array_size(content); r->block++) {
        const json_t *block = json_array_get(content, r->block);
        const char *type = json_string_value(json_object_get(block, "type"));
        if (!type) return wrong(r, "type", "a string");
        if (strcmp(type, "text") == 0) {
            const json_t *text = json_object_get(block, "text");
            if (!json_is_string(text)) return wrong(r, "text", "a string");
            XN_TRY(add_text(r, text));
        } else if (assistant) {
            XN_TRY(assistant_block(r, assistant, type, block));
        } else {
            XN_TRY(user_block(r, type, block));
        }
    }
    return XN_OK;
}

static int read_message(struct reader *r, const json_t *message) {
    const char *role = json_string_value(json_object_get(message, "role"));
    const json_t *content = json_object_get(message, "content");
    bool assistant = role && strcmp(role, "assistant") == 0, system = role && strcmp(role, "system") == 0;
    if (!assistant && !system && !(role && strcmp(role, "user") == 0))
        return xn_fail(r->err, XN_ERR_ARGUMENT, "messages[%zu].role: \"%.32s\" is none, expected user or assistant",
                       r->at, role ? role : "");
    if (!json_is_string(content) && !json_is_array(content))
        return xn_fail(r->err, XN_ERR_ARGUMENT, "messages[%zu].content: expected a string or an array, found %s", r->at,
                       xn_json_kind(content));
    json_t *turn = assistant || system ? json_pack("{s:s}", "role", role) : NULL;
    int status = json_is_string(content) ? add_text(r, content) : read_blocks(r, content, assistant ? turn : NULL);
    if (!turn) return status == XN_OK ? flush_user(r) : status;
    json_object_set_new(turn, "content", take_text(r));
    if (json_array_append_new(r->messages, turn) && status == XN_OK) status = no_memory(r->err);
    return status;
}

static int read_system(const json_t *body, struct reader *r) {
    const json_t *system = json_object_get(body, "system");
    if (!system || json_is_null(system)) return XN_OK;
    if (!json_is_string(system) && !json_is_array(system))
        return xn_fail(r->err, XN_ERR_ARGUMENT, "system: expected a string or an array of text blocks, found %s",
                       xn_json_kind(system));
    if (json_is_string(system)) XN_TRY(add_text(r, system));
    for (size_t i = 0; i < json_array_size(system); i++) {
        const json_t *text = json_object_get(json_array_get(system, i), "text");
        if (!json_is_string(text))
            return xn_fail(r->err, XN_ERR_ARGUMENT, "system[%zu].text: expected a string, found %s", i,
                           xn_json_kind(text));
        XN_TRY(add_text(r, text));
    }
    if (!r->has_text) return XN_OK;
    json_t *message = json_pack("{s:s, s:o}", "role", "system", "content", take_text(r));
    return json_array_append_new(r->messages, message) ? no_memory(r->err) : XN_OK;
}

int xn_anthropic_messages(const json_t *body, struct xn_completion_request *request, struct xn_error *err) {
    json_t *messages = NULL;
    XN_TRY(xn_field_array(body, "messages", &messages, err));
    size_t n = json_array_size(messages);
    if (n == 0 || n > MOST_MESSAGES)
        return xn_fail(err, XN_ERR_ARGUMENT, "messages: expected an array of 1 to %d messages", MOST_MESSAGES);
    json_decref(request->messages);
    request->messages = json_array();
    if (!request->messages) return no_memory(err);
    struct reader r = {.messages = request->messages, .err = err};
    int status = read_system(body, &r);
    for (; r.at < n && status == XN_OK; r.at++)
        status = read_message(&r, json_array_get(messages, r.at));
    free(r.text.data);
    if (status != XN_OK) return status;
    // A conversation that ends with the assistant is one whose last answer is to go on.
    const json_t *last = json_array_get(request->messages, json_array_size(request->messages) - 1);
    const char *role = json_string_value(json_object_get(last, "role"));
    if (!role) return xn_fail(err, XN_ERR_ARGUMENT, "messages: there is no text in them");
    request->no_generation_prompt = strcmp(role, "assistant") == 0 && !json_object_get(last, "tool_calls");
    return XN_OK;
}
