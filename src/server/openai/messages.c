// Conversations of chat completions: checked, so that what follows may rely on their form.
#include "server/openai/internal.h"

#include <string.h>

enum { MOST_MESSAGES = 65536 };

static int check_part(const json_t *part, size_t i, size_t k, struct xn_error *err) {
    const char *type = json_string_value(json_object_get(part, "type"));
    if (!type) return xn_fail(err, XN_ERR_ARGUMENT, "messages[%zu].content[%zu]: expected an object with a type", i, k);
    const char *field = strcmp(type, "refusal") == 0 ? "refusal" : "text";
    if (strcmp(type, "text") != 0 && strcmp(type, "refusal") != 0)
        return xn_fail(err, XN_ERR_ARGUMENT,
                       "messages[%zu].content[%zu]: parts of type \"%.32s\" are not supported: models take text only",
                       i, k, type);
    if (!json_is_string(json_object_get(part, field)))
        return xn_fail(err, XN_ERR_ARGUMENT, "messages[%zu].content[%zu].%s: expected a string, found %s", i, k, field,
                       xn_json_kind(json_object_get(part, field)));
    return XN_OK;
}

static int check_content(const json_t *message, size_t i, bool needed, struct xn_error *err) {
    const json_t *content = json_object_get(message, "content");
    if (json_is_string(content)) return XN_OK;
    if (!content || json_is_null(content))
        return needed ? xn_fail(err, XN_ERR_ARGUMENT, "messages[%zu].content: missing", i) : XN_OK;
    if (!json_is_array(content))
        return xn_fail(err, XN_ERR_ARGUMENT, "messages[%zu].content: expected a string or an array of parts, found %s",
                       i, xn_json_kind(content));
    for (size_t k = 0; k < json_array_size(content); k++)
        XN_TRY(check_part(json_array_get(content, k), i, k, err));
    return XN_OK;
}

static int check_calls(const json_t *message, size_t i, bool *any, struct xn_error *err) {
    const json_t *calls = json_object_get(message, "tool_calls");
    *any = json_array_size(calls) > 0;
    if (calls && !json_is_null(calls) && !json_is_array(calls))
        return xn_fail(err, XN_ERR_ARGUMENT, "messages[%zu].tool_calls: expected an array, found %s", i,
                       xn_json_kind(calls));
    for (size_t k = 0; k < json_array_size(calls); k++) {
        const json_t *call = json_array_get(calls, k), *function = json_object_get(call, "function"),
                     *arguments = json_object_get(function, "arguments"), *id = json_object_get(call, "id");
        if (!json_is_string(json_object_get(function, "name")))
            return xn_fail(err, XN_ERR_ARGUMENT, "messages[%zu].tool_calls[%zu].function.name: expected a string", i,
                           k);
        if (arguments && !json_is_string(arguments) && !json_is_object(arguments))
            return xn_fail(err, XN_ERR_ARGUMENT,
                           "messages[%zu].tool_calls[%zu].function.arguments: expected JSON text, found %s", i, k,
                           xn_json_kind(arguments));
        if (id && !json_is_string(id) && !json_is_null(id))
            return xn_fail(err, XN_ERR_ARGUMENT, "messages[%zu].tool_calls[%zu].id: expected a string", i, k);
    }
    return XN_OK;
}

static int check_message(const json_t *message, size_t i, struct xn_error *err) {
    static const char *const roles[] = {"system", "developer", "user", "assistant", "tool"};
    if (!json_is_object(message))
        return xn_fail(err, XN_ERR_ARGUMENT, "messages[%zu]: expected an object, found %s", i, xn_json_kind(message));
    const char *role = json_string_value(json_object_get(message, "role"));
    bool known = false, calls = false;
    for (size_t k = 0; k < sizeof roles / sizeof *roles && role; k++)
        known |= strcmp(roles[k], role) == 0;
    if (!known)
        return xn_fail(err, XN_ERR_ARGUMENT,
                       "messages[%zu].role: \"%.32s\" is none, expected system, developer, user, assistant or tool", i,
                       role ? role : "");
    bool assistant = strcmp(role, "assistant") == 0;
    if (assistant) XN_TRY(check_calls(message, i, &calls, err));
    const json_t *reasoning = json_object_get(message, "reasoning_content");
    return check_content(message, i, !calls && !json_is_string(reasoning), err);
}

int xn_openai_read_messages(const json_t *body, struct xn_completion_request *r, struct xn_error *err) {
    json_t *messages = NULL;
    XN_TRY(xn_field_array(body, "messages", &messages, err));
    size_t n = json_array_size(messages);
    if (n == 0) return xn_fail(err, XN_ERR_ARGUMENT, "messages: expected an array of at least one message");
    if (n > MOST_MESSAGES)
        return xn_fail(err, XN_ERR_ARGUMENT, "messages: %zu of them, expected at most %d", n, MOST_MESSAGES);
    for (size_t i = 0; i < n; i++)
        XN_TRY(check_message(json_array_get(messages, i), i, err));
    json_decref(r->messages);
    r->messages = json_incref(messages);
    // A conversation that ends with the assistant is one whose last answer is to go on.
    const json_t *last = json_array_get(messages, n - 1);
    bool generate = true, go_on = strcmp(json_string_value(json_object_get(last, "role")), "assistant") == 0 &&
                                  json_array_size(json_object_get(last, "tool_calls")) == 0;
    XN_TRY(xn_field_bool(body, "add_generation_prompt", &generate, err));
    r->no_generation_prompt = go_on || !generate;
    return XN_OK;
}
