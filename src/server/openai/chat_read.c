// POST /v1/chat/completions: the request.
#include "server/openai/internal.h"

#include <string.h>

// What goes to the template: chat_template_kwargs, and single fields that mean the same.
static int read_arguments(const json_t *body, struct xn_completion_request *r, struct xn_error *err) {
    json_t *kwargs = NULL, *reasoning = NULL, *value;
    const char *effort = NULL, *key;
    bool thinking = true;
    const json_t *switched = json_object_get(body, "enable_thinking");
    XN_TRY(xn_field_string(body, "reasoning_effort", &effort, err));
    XN_TRY(xn_field_object(body, "reasoning", &reasoning, err)); // {"effort": ...}, as some routers write it
    if (!effort) effort = json_string_value(json_object_get(reasoning, "effort"));
    if (effort) XN_TRY(xn_openai_effort(r, effort, "reasoning_effort", err));
    XN_TRY(xn_field_bool(body, "enable_thinking", &thinking, err));
    if (json_is_boolean(switched)) XN_TRY(xn_openai_argument(r, "enable_thinking", json_boolean(thinking), err));
    XN_TRY(xn_field_object(body, "chat_template_kwargs", &kwargs, err));
    json_object_foreach(kwargs, key, value) {
        static const char *const own[] = {"messages", "tools", "add_generation_prompt", "bos_token", "eos_token"};
        for (size_t i = 0; i < sizeof own / sizeof *own; i++)
            if (strcmp(own[i], key) == 0)
                return xn_fail(err, XN_ERR_ARGUMENT, "chat_template_kwargs: %s can't be set here", key);
        XN_TRY(xn_openai_argument(r, key, json_incref(value), err));
    }
    return XN_OK;
}

static int read_logprobs(const json_t *body, struct xn_completion_request *r, struct xn_error *err) {
    bool wanted = false;
    int64_t top = 0, probs = 0;
    XN_TRY(xn_field_bool(body, "logprobs", &wanted, err));
    XN_TRY(xn_field_int(body, "top_logprobs", 0, 20, &top, err));
    XN_TRY(xn_field_int(body, "n_probs", 0, 100, &probs, err)); // llama-server's
    if (top && !wanted) return xn_fail(err, XN_ERR_ARGUMENT, "top_logprobs: logprobs must be true as well");
    if (wanted || probs) r->logprobs = (int32_t)(probs > top ? probs : top);
    return XN_OK;
}

// What can't be done is refused rather than left out silently.
static int refuse(const json_t *body, struct xn_error *err) {
    const json_t *modalities = json_object_get(body, "modalities");
    for (size_t i = 0; i < json_array_size(modalities); i++) {
        const char *word = json_string_value(json_array_get(modalities, i));
        if (!word || strcmp(word, "text") != 0)
            return xn_fail(err, XN_ERR_ARGUMENT, "modalities: only text is supported");
    }
    if (json_array_size(json_object_get(body, "functions")))
        return xn_fail(err, XN_ERR_ARGUMENT, "functions: not supported any more, use tools");
    if (json_is_object(json_object_get(body, "web_search_options")))
        return xn_fail(err, XN_ERR_ARGUMENT, "web_search_options: not supported");
    return XN_OK;
}

int xn_openai_read_chat(const json_t *body, const struct xn_call *call, struct xn_completion_request *r,
                        struct xn_openai_chat_options *options, struct xn_error *err) {
    static const char *const most[] = {"max_completion_tokens", "max_tokens", "n_predict"};
    const char *reasoning = NULL;
    XN_TRY(xn_openai_read_messages(body, r, err));
    XN_TRY(refuse(body, err));
    XN_TRY(xn_openai_read_stream(body, &options->stream, &options->include_usage, err));
    XN_TRY(xn_openai_read_tools(body, false, r, err));
    XN_TRY(xn_openai_read_common(body, call, r, err));
    XN_TRY(xn_openai_read_most(body, most, sizeof most / sizeof *most, &r->most, err));
    XN_TRY(read_logprobs(body, r, err));
    XN_TRY(read_arguments(body, r, err));
    XN_TRY(xn_field_string(body, "reasoning_format", &reasoning, err)); // llama-server's
    r->keep_reasoning = reasoning && strcmp(reasoning, "none") == 0;
    return XN_OK;
}
