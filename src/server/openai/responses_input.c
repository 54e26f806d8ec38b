// Items of the responses API, turned into messages of chat's form.
#include "server/openai/responses.h"

#include "server/completion/internal.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_ITEMS = 65536 };

struct input {
    json_t *messages;
    json_t *reasoning; // of the assistant's message that follows, or NULL
    size_t at;         // of the item, for messages
    struct xn_error *err;
};

static int no_memory(struct xn_error *err) {
    return xn_fail(err, XN_ERR_NOMEM, "out of memory for an input");
}

static int check_parts(struct input *in, const json_t *content, const char *field) {
    static const char *const types[] = {"input_text", "output_text",    "text",
                                        "refusal",    "reasoning_text", "summary_text"};
    if (json_is_string(content)) return XN_OK;
    if (!json_is_array(content))
        return xn_fail(in->err, XN_ERR_ARGUMENT, "input[%zu].%s: expected a string or an array, found %s", in->at,
                       field, xn_json_kind(content));
    for (size_t k = 0; k < json_array_size(content); k++) {
        const json_t *part = json_array_get(content, k);
        const char *type = json_string_value(json_object_get(part, "type"));
        bool known = false;
        for (size_t i = 0; i < sizeof types / sizeof *types && type; i++)
            known |= strcmp(types[i], type) == 0;
        if (!known)
            return xn_fail(in->err, XN_ERR_ARGUMENT,
                           "input[%zu].%s[%zu]: parts of type \"%.32s\" are not supported: models take text only",
                           in->at, field, k, type ? type : "");
        if (strcmp(type, "refusal") != 0 && !json_is_string(json_object_get(part, "text")))
            return xn_fail(in->err, XN_ERR_ARGUMENT, "input[%zu].%s[%zu].text: expected a string", in->at, field, k);
    }
    return XN_OK;
}

// A new message, whose reference the list has.
static json_t *add(struct input *in, const char *role) {
    json_t *message = json_pack("{s:s}", "role", role);
    if (json_array_append_new(in->messages, message)) return NULL;
    if (strcmp(role, "assistant") == 0 && in->reasoning) {
        json_object_set_new(message, "reasoning_content", in->reasoning);
        in->reasoning = NULL;
    }
    return message;
}

static int set_text(struct input *in, json_t *message, const json_t *content) {
    char *text;
    XN_TRY(xn_message_text(content, &text, in->err));
    int failed = !message || json_object_set_new(message, "content", json_string(text));
    free(text);
    return failed ? no_memory(in->err) : XN_OK;
}

static int add_message(struct input *in, const json_t *item) {
    static const char *const roles[] = {"user", "assistant", "system", "developer"};
    const char *role = json_string_value(json_object_get(item, "role"));
    bool known = false;
    for (size_t i = 0; i < sizeof roles / sizeof *roles && role; i++)
        known |= strcmp(roles[i], role) == 0;
    if (!known)
        return xn_fail(in->err, XN_ERR_ARGUMENT,
                       "input[%zu].role: \"%.32s\" is none, expected user, assistant, system or developer", in->at,
                       role ? role : "");
    const json_t *content = json_object_get(item, "content");
    XN_TRY(check_parts(in, content, "content"));
    return set_text(in, add(in, role), content);
}

static int add_call(struct input *in, const json_t *item) {
    const json_t *name = json_object_get(item, "name"), *arguments = json_object_get(item, "arguments"),
                 *id = json_object_get(item, "call_id");
    if (!json_is_string(name) || !json_is_string(arguments) || !json_is_string(id))
        return xn_fail(in->err, XN_ERR_ARGUMENT, "input[%zu]: a call needs call_id, name and arguments, all strings",
                       in->at);
    size_t n = json_array_size(in->messages);
    json_t *last = n ? json_array_get(in->messages, n - 1) : NULL;
    const char *role = json_string_value(json_object_get(last, "role"));
    // Calls of one turn belong to one message.
    if (!role || strcmp(role, "assistant") != 0 || in->reasoning) {
        last = add(in, "assistant");
        if (!last || json_object_set_new(last, "content", json_string(""))) return no_memory(in->err);
    }
    json_t *calls = json_object_get(last, "tool_calls");
    if (!calls) {
        calls = json_array();
        if (json_object_set_new(last, "tool_calls", calls)) return no_memory(in->err);
    }
    json_t *call = json_pack("{s:O, s:s, s:{s:O, s:O}}", "id", id, "type", "function", "function", "name", name,
                             "arguments", arguments);
    return json_array_append_new(calls, call) ? no_memory(in->err) : XN_OK;
}

static int add_result(struct input *in, const json_t *item) {
    const json_t *id = json_object_get(item, "call_id"), *output = json_object_get(item, "output");
    if (!json_is_string(id)) return xn_fail(in->err, XN_ERR_ARGUMENT, "input[%zu].call_id: expected a string", in->at);
    XN_TRY(check_parts(in, output, "output"));
    json_t *message = add(in, "tool");
    if (!message || json_object_set(message, "tool_call_id", (json_t *)id)) return no_memory(in->err);
    return set_text(in, message, output);
}

static int add_reasoning(struct input *in, const json_t *item) {
    const json_t *content = json_object_get(item, "content"), *summary = json_object_get(item, "summary");
    if (json_array_size(content) == 0) content = summary;
    if (json_array_size(content) == 0) return XN_OK;
    XN_TRY(check_parts(in, content, "content"));
    char *text;
    XN_TRY(xn_message_text(content, &text, in->err));
    json_decref(in->reasoning);
    in->reasoning = json_string(text);
    free(text);
    return in->reasoning ? XN_OK : no_memory(in->err);
}

static int add_item(struct input *in, const json_t *item) {
    static const struct {
        const char *type;
        int (*add)(struct input *in, const json_t *item);
    } kinds[] = {
        {"message", add_message},
        {"function_call", add_call},
        {"function_call_output", add_result},
        {"reasoning", add_reasoning},
    };
    if (!json_is_object(item))
        return xn_fail(in->err, XN_ERR_ARGUMENT, "input[%zu]: expected an object, found %s", in->at,
                       xn_json_kind(item));
    const char *type = json_string_value(json_object_get(item, "type"));
    if (!type) type = "message";
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].type, type) == 0) return kinds[i].add(in, item);
    return xn_fail(in->err, XN_ERR_ARGUMENT, "input[%zu].type: items of type \"%.48s\" are not supported", in->at,
                   type);
}

int xn_response_input(const json_t *input, json_t *messages, struct xn_error *err) {
    struct input in = {.messages = messages, .err = err};
    if (json_is_string(input)) return set_text(&in, add(&in, "user"), input);
    size_t n = json_array_size(input);
    if (n == 0 || n > MOST_ITEMS)
        return xn_fail(err, XN_ERR_ARGUMENT, "input: expected a string or an array of 1 to %d items, found %s",
                       MOST_ITEMS, json_is_array(input) ? "an array of another size" : xn_json_kind(input));
    int status = XN_OK;
    for (in.at = 0; in.at < n && status == XN_OK; in.at++)
        status = add_item(&in, json_array_get(input, in.at));
    json_decref(in.reasoning);
    return status;
}
