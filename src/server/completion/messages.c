// Conversations as clients send them, made ready for chat templates.
#include "server/completion/internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static int no_memory(struct xn_error *err) {
    return xn_fail(err, XN_ERR_NOMEM, "out of memory for a conversation");
}

int xn_message_text(const json_t *content, char **out, struct xn_error *err) {
    struct xn_text text = {0};
    int status = xn_text_put(&text, "", 0, err);
    if (status == XN_OK && json_is_string(content))
        status = xn_text_put(&text, json_string_value(content), json_string_length(content), err);
    for (size_t i = 0; i < json_array_size(content) && status == XN_OK; i++) {
        const json_t *item = json_array_get(content, i),
                     *part = json_is_string(item) ? item : json_object_get(item, "text");
        if (i) status = xn_text_put(&text, "\n", 1, err);
        if (status == XN_OK && json_is_string(part))
            status = xn_text_put(&text, json_string_value(part), json_string_length(part), err);
    }
    if (status != XN_OK) free(text.data);
    *out = status == XN_OK ? text.data : NULL;
    return status;
}

// The arguments of a call: JSON text to what it says, where that is an object; the other way round where texts are
// wanted. A new reference, or NULL.
static json_t *arguments_of(json_t *given, bool text_arguments) {
    if (json_is_string(given) && !text_arguments) {
        json_t *object = json_loadb(json_string_value(given), json_string_length(given), JSON_DECODE_ANY, NULL);
        if (json_is_object(object)) return object;
        json_decref(object);
        return json_string_length(given) ? json_incref(given) : json_object();
    }
    if (!json_is_string(given) && given && text_arguments) {
        char *text = json_dumps(given, JSON_ENCODE_ANY);
        json_t *string = text ? json_string(text) : NULL;
        free(text);
        return string;
    }
    return given ? json_incref(given) : json_object();
}

static json_t *calls_of(const json_t *calls, bool text_arguments) {
    json_t *out = json_array();
    for (size_t i = 0; i < json_array_size(calls) && out; i++) {
        json_t *call = json_copy(json_array_get(calls, i)), *function = json_copy(json_object_get(call, "function"));
        json_t *arguments = function ? arguments_of(json_object_get(function, "arguments"), text_arguments) : NULL;
        bool failed = !arguments || json_object_set_new(function, "arguments", arguments);
        failed = json_object_set_new(call, "function", function) || failed; // takes it in any case
        if (json_array_append_new(out, call) || failed) {
            json_decref(out);
            out = NULL;
        }
    }
    return out;
}

// The name of the tool of which the call `id` was made before message `end`; NULL: none is known.
static json_t *name_of_call(const json_t *messages, size_t end, const char *id) {
    for (size_t i = end; i-- > 0;) {
        const json_t *calls = json_object_get(json_array_get(messages, i), "tool_calls");
        for (size_t k = 0; k < json_array_size(calls); k++) {
            const json_t *call = json_array_get(calls, k), *own = json_object_get(call, "id");
            if (json_is_string(own) && strcmp(json_string_value(own), id) == 0)
                return json_object_get(json_object_get(call, "function"), "name");
        }
    }
    return NULL;
}

// Names, reasoning and roles as templates know them.
static int adapt(json_t *message, const json_t *messages, size_t at, const char *source) {
    const char *role = json_string_value(json_object_get(message, "role"));
    int failed = 0;
    if (role && strcmp(role, "developer") == 0 && (!source || !strstr(source, "developer")))
        failed |= json_object_set_new(message, "role", json_string("system"));
    json_t *id = json_object_get(message, "tool_call_id");
    if (json_is_string(id) && !json_is_string(json_object_get(message, "name"))) {
        json_t *name = name_of_call(messages, at, json_string_value(id));
        if (json_is_string(name)) failed |= json_object_set(message, "name", name);
    }
    json_t *reasoning = json_object_get(message, "reasoning_content");
    if (!json_is_string(reasoning)) {
        json_object_del(message, "reasoning_content");
        reasoning = json_object_get(message, "reasoning");
        if (json_is_string(reasoning)) failed |= json_object_set(message, "reasoning_content", reasoning);
    }
    // gpt-oss knows it as `thinking`, beside calls of tools only, and never with content.
    if (json_is_string(reasoning) && source && strstr(source, "message.thinking") &&
        json_object_get(message, "tool_calls") && !json_string_length(json_object_get(message, "content")))
        failed |= json_object_set(message, "thinking", reasoning);
    return failed;
}

// Whether a template looks into the parts of contents, which it then joins in its own way.
static bool reads_parts(const char *source) {
    static const char *const accesses[] = {".text", "['text']", "[\"text\"]"};
    for (size_t i = 0; i < sizeof accesses / sizeof *accesses && source; i++)
        if (strstr(source, accesses[i])) return true;
    return false;
}

// Contents that stay as they are: arrays of texts, for templates that read those.
static bool stays(const json_t *content, const char *source) {
    for (size_t i = 0; i < json_array_size(content); i++) {
        const json_t *part = json_array_get(content, i);
        const char *type = json_string_value(json_object_get(part, "type"));
        if (!type || strcmp(type, "text") != 0 || !json_is_string(json_object_get(part, "text"))) return false;
    }
    return json_array_size(content) && reads_parts(source);
}

int xn_template_messages(const json_t *messages, const char *source, bool text_arguments, json_t **out,
                         struct xn_error *err) {
    *out = NULL;
    json_t *all = json_array();
    int status = all ? XN_OK : no_memory(err);
    for (size_t i = 0; i < json_array_size(messages) && status == XN_OK; i++) {
        json_t *message = json_copy(json_array_get(messages, i)), *calls = json_object_get(message, "tool_calls");
        const json_t *content = json_object_get(message, "content");
        char *text = NULL;
        if (!stays(content, source)) status = xn_message_text(content, &text, err);
        int failed = !message || (text && json_object_set_new(message, "content", json_string(text)));
        free(text);
        if (json_array_size(calls))
            failed |= json_object_set_new(message, "tool_calls", calls_of(calls, text_arguments));
        else
            json_object_del(message, "tool_calls");
        failed |= message ? adapt(message, messages, i, source) : 0;
        failed |= json_array_append_new(all, message);
        if (status == XN_OK && failed) status = no_memory(err);
    }
    if (status != XN_OK) json_decref(all);
    if (status == XN_OK) *out = all;
    return status;
}
