// Conversations and tools of Ollama's API in OpenAI's form.
#include "server/ollama/internal.h"
#include "server/openai/internal.h"

#include <stdio.h>
#include <string.h>

int xn_ollama_refuse_images(const json_t *holder, const char *name, struct xn_error *err) {
    if (json_array_size(json_object_get(holder, "images")) == 0) return XN_OK;
    return xn_fail(err, XN_ERR_ARGUMENT, "%simages: not supported, models here take text only", name);
}

// Calls have no ids here: those that the results name are counted.
static json_t *call_of(const json_t *call, size_t number) {
    json_t *function = json_object_get(call, "function"), *arguments = json_object_get(function, "arguments");
    const char *given = json_string_value(json_object_get(call, "id"));
    char id[32];
    snprintf(id, sizeof id, "call_%zu", number);
    return json_pack("{s:s, s:s, s:{s:O?, s:o}}", "id", given && *given ? given : id, "type", "function", "function",
                     "name", json_object_get(function, "name"), "arguments",
                     arguments ? json_incref(arguments) : json_object());
}

struct counts {
    size_t calls, results;
};

static int add_message(json_t *to, const json_t *message, size_t i, struct counts *counts, struct xn_error *err) {
    char name[48], id[32];
    snprintf(name, sizeof name, "messages[%zu].", i);
    if (!json_is_object(message))
        return xn_fail(err, XN_ERR_ARGUMENT, "messages[%zu]: expected an object, found %s", i, xn_json_kind(message));
    XN_TRY(xn_ollama_refuse_images(message, name, err));
    json_t *role = json_object_get(message, "role"), *content = json_object_get(message, "content"),
           *thinking = json_object_get(message, "thinking"), *calls = json_object_get(message, "tool_calls"),
           *tool = json_object_get(message, "tool_name");
    json_t *one = json_pack("{s:O?, s:o}", "role", role, "content",
                            content && !json_is_null(content) ? json_incref(content) : json_string(""));
    if (!one) return xn_fail(err, XN_ERR_NOMEM, "out of memory for a conversation");
    if (json_is_string(thinking) && json_string_length(thinking)) json_object_set(one, "reasoning_content", thinking);
    if (json_array_size(calls)) {
        json_t *list = json_array();
        for (size_t k = 0; k < json_array_size(calls); k++)
            json_array_append_new(list, call_of(json_array_get(calls, k), counts->calls++));
        json_object_set_new(one, "tool_calls", list);
    }
    const char *what = json_string_value(role), *given = json_string_value(json_object_get(message, "tool_call_id"));
    if (what && strcmp(what, "tool") == 0) {
        snprintf(id, sizeof id, "call_%zu", counts->results++);
        json_object_set_new(one, "tool_call_id", json_string(given ? given : id));
        if (!tool) tool = json_object_get(message, "name");
        if (json_is_string(tool)) json_object_set(one, "name", tool);
    }
    json_array_append_new(to, one);
    return XN_OK;
}

int xn_ollama_read_messages(const json_t *body, struct xn_completion_request *r, struct xn_error *err) {
    json_t *messages = NULL, *converted = json_array(), *like = json_pack("{s:o}", "messages", converted);
    struct counts counts = {0};
    int status = like ? xn_field_array(body, "messages", &messages, err)
                      : xn_fail(err, XN_ERR_NOMEM, "out of memory for a conversation");
    for (size_t i = 0; i < json_array_size(messages) && status == XN_OK; i++)
        status = add_message(converted, json_array_get(messages, i), i, &counts, err);
    if (status == XN_OK) status = xn_openai_read_messages(like, r, err);
    if (status == XN_OK) status = xn_openai_read_tools(body, false, r, err);
    // A last message of the model's own is the beginning of its answer.
    const json_t *last = json_array_get(converted, json_array_size(converted) - 1);
    const char *role = json_string_value(json_object_get(last, "role"));
    if (role && strcmp(role, "assistant") == 0 && !json_object_get(last, "tool_calls")) r->no_generation_prompt = true;
    json_decref(like);
    return status;
}

int xn_ollama_prompt_messages(const char *system, const char *prompt, struct xn_completion_request *r,
                              struct xn_error *err) {
    r->messages = json_array();
    if (system && *system)
        json_array_append_new(r->messages, json_pack("{s:s, s:s}", "role", "system", "content", system));
    if (json_array_append_new(r->messages, json_pack("{s:s, s:s}", "role", "user", "content", prompt)))
        return xn_fail(err, XN_ERR_NOMEM, "out of memory for a conversation");
    return XN_OK;
}
