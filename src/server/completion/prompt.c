// Prompts of completions: rendered from conversations, or as given, and their tokens.
#include "server/completion/internal.h"

#include "api/session.h"
#include "base/memory.h"
#include "text/chat.h"

#include <stdlib.h>
#include <string.h>

// The variables of the template: what the client gave, and the tools.
static int variables(const struct xn_completion_request *r, json_t **out, struct xn_error *err) {
    *out = r->template_arguments ? json_copy(r->template_arguments) : json_object();
    bool tools = json_array_size(r->tools) && r->tool_choice != XN_TOOLS_NONE;
    if (*out && (!tools || json_object_set(*out, "tools", r->tools) == 0)) return XN_OK;
    json_decref(*out);
    *out = NULL;
    return xn_fail(err, XN_ERR_NOMEM, "out of memory for a conversation");
}

static bool has_calls(const json_t *messages) {
    for (size_t i = 0; i < json_array_size(messages); i++)
        if (json_array_size(json_object_get(json_array_get(messages, i), "tool_calls"))) return true;
    return false;
}

static int render(struct xn_served *served, const struct xn_template *template, const json_t *messages,
                  const json_t *arguments, bool open, char **out, size_t *size, struct xn_error *err) {
    json_t *ready;
    XN_TRY(xn_template_messages(messages, served->chat_template, false, &ready, err));
    int status = xn_prompt_render_with(template, served->model, ready, arguments, open, out, size, err);
    json_decref(ready);
    // Some templates put the arguments of calls together as texts, and fail at objects.
    if (status == XN_OK || status == XN_ERR_NOMEM || !has_calls(messages)) return status;
    struct xn_error other;
    if (xn_template_messages(messages, served->chat_template, true, &ready, &other) != XN_OK) return status;
    if (xn_prompt_render_with(template, served->model, ready, arguments, open, out, size, &other) == XN_OK)
        status = XN_OK;
    json_decref(ready);
    return status;
}

static int put(struct xn_text *text, const char *bytes, struct xn_error *err) {
    return xn_text_put(text, bytes, strlen(bytes), err);
}

// Puts the beginning of an answer behind a prompt that opens one. Reasoning that the template has opened is closed,
// unless the beginning has no more than reasoning itself.
static int begin_answer(struct xn_served *served, const json_t *message, struct xn_text *text, struct xn_error *err) {
    const struct xn_answer_style *style = &served->style;
    bool harmony = style->format == XN_ANSWER_HARMONY; // what is not reasoning has a channel as well
    const char *reasoning = json_string_value(json_object_get(message, "reasoning_content"));
    char *content;
    XN_TRY(xn_message_text(json_object_get(message, "content"), &content, err));
    bool thinks = style->think_open && style->think_close,
         open = thinks && xn_answer_thinking(style, text->data, text->size);
    int status = XN_OK;
    if (thinks && reasoning && *reasoning) {
        if (!open) status = put(text, style->think_open, err);
        if (!open && !harmony && status == XN_OK) status = put(text, "\n", err);
        if (status == XN_OK) status = put(text, reasoning, err);
        if (*content && !harmony && status == XN_OK) status = put(text, "\n", err);
        open = true;
    }
    if (status == XN_OK && open && *content) {
        status = put(text, style->think_close, err);
        if (status == XN_OK) status = put(text, harmony ? "<|start|>assistant" : "\n\n", err);
    }
    if (status == XN_OK && harmony && *content) status = put(text, "<|channel|>final<|message|>", err);
    if (status == XN_OK) status = put(text, content, err);
    free(content);
    return status;
}

static int render_conversation(struct xn_served *served, const struct xn_completion_request *r, char **out,
                               size_t *size, struct xn_error *err) {
    *out = NULL;
    struct xn_template *own = NULL;
    if (!served->model->chat)
        XN_TRY(xn_template_parse(xn_chat_default_template, strlen(xn_chat_default_template), "ChatML", &own, err));
    const struct xn_template *template = own ? own : served->model->chat;
    size_t n = json_array_size(r->messages);
    json_t *last = n ? json_array_get(r->messages, n - 1) : NULL, *before = NULL, *arguments = NULL;
    const char *role = json_string_value(json_object_get(last, "role"));
    bool begun = r->no_generation_prompt && role && strcmp(role, "assistant") == 0;
    int status = variables(r, &arguments, err);
    if (status == XN_OK && begun) {
        before = json_copy(r->messages);
        if (!before || json_array_remove(before, n - 1))
            status = xn_fail(err, XN_ERR_NOMEM, "out of memory for a conversation");
    }
    if (status == XN_OK)
        status = render(served, template, begun ? before : r->messages, arguments, begun || !r->no_generation_prompt,
                        out, size, err);
    if (status == XN_OK && begun) {
        struct xn_text text = {.data = *out, .size = *size, .capacity = *size + 1};
        status = begin_answer(served, last, &text, err);
        *out = text.data;
        *size = text.size;
    }
    if (status != XN_OK) {
        free(*out);
        *out = NULL;
    }
    json_decref(before);
    json_decref(arguments);
    xn_template_free(own);
    return status;
}

int xn_completion_prompt(struct xn_served *served, const struct xn_completion_request *r, char **text, size_t *size,
                         struct xn_error *err) {
    *text = NULL;
    *size = 0;
    if (r->messages) return render_conversation(served, r, text, size, err);
    if (r->prompt) {
        *text = xn_strndup(r->prompt, r->prompt_size);
        *size = r->prompt_size;
        return *text ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "out of memory for a prompt");
    }
    const struct xn_tokenizer *t = served->model->tokenizer;
    if (!t) return xn_fail(err, XN_ERR_UNSUPPORTED, "the model has no tokenizer to write text with");
    struct xn_text out = {0};
    struct xn_detokenizer d;
    xn_detokenizer_init(&d, t, true);
    int status = xn_text_put(&out, "", 0, err);
    for (size_t i = 0; i < r->ids.n && status == XN_OK; i++)
        status = xn_detokenize(&d, r->ids.data[i], &out, err);
    if (status == XN_OK) status = xn_detokenize_end(&d, &out, err);
    if (status != XN_OK) free(out.data);
    *text = status == XN_OK ? out.data : NULL;
    *size = out.size;
    return status;
}

static int copy_ids(const struct xn_served *served, const struct xn_ids *from, struct xn_ids *to,
                    struct xn_error *err) {
    for (size_t i = 0; i < from->n; i++)
        if (from->data[i] < 0 || (uint32_t)from->data[i] >= served->model->recipe.vocab)
            return xn_fail(err, XN_ERR_ARGUMENT, "prompt: token %d is none, the vocabulary has %u", from->data[i],
                           served->model->recipe.vocab);
    if (from->n == 0) return XN_OK;
    if (XN_GROW(to->data, to->capacity, to->n + from->n))
        return xn_fail(err, XN_ERR_NOMEM, "out of memory for a prompt");
    memcpy(to->data + to->n, from->data, from->n * sizeof *to->data);
    to->n += from->n;
    return XN_OK;
}

static int make(struct xn_served *served, const struct xn_completion_request *r, struct xn_prompt *p,
                struct xn_error *err) {
    bool given = !r->messages && !r->prompt;
    if (!given || r->echo) XN_TRY(xn_completion_prompt(served, r, &p->text, &p->size, err));
    if (given)
        XN_TRY(copy_ids(served, &r->ids, &p->ids, err));
    else
        XN_TRY(xn_prompt_ids(served->model, p->text, p->size, true, &p->ids, err));
    if (p->ids.n == 0)
        return xn_fail(err, XN_ERR_ARGUMENT, "%s: there is no text in it", r->messages ? "messages" : "prompt");
    if (p->ids.n > UINT32_MAX) return xn_fail(err, XN_ERR_ARGUMENT, "prompt: %zu tokens", p->ids.n);
    p->thinking = r->messages && xn_answer_thinking(&served->style, p->text, p->size);
    return XN_OK;
}

int xn_prompt_make(struct xn_served *served, const struct xn_completion_request *request, struct xn_prompt *out,
                   struct xn_error *err) {
    *out = (struct xn_prompt){0};
    int status = make(served, request, out, err);
    if (status != XN_OK) xn_prompt_free(out);
    return status;
}

void xn_prompt_free(struct xn_prompt *p) {
    free(p->text);
    free(p->ids.data);
    *p = (struct xn_prompt){0};
}

int xn_completion_ids(struct xn_served *served, const struct xn_completion_request *request, struct xn_ids *ids,
                      struct xn_error *err) {
    struct xn_prompt p;
    XN_TRY(xn_prompt_make(served, request, &p, err));
    int status = copy_ids(served, &p.ids, ids, err);
    xn_prompt_free(&p);
    return status;
}
