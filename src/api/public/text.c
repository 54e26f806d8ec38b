// The public API: text to tokens and back, and conversations.
#include "api/public/internal.h"

#include "api/session.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

int xenon_tokenize(const xenon_model *model, const char *text, size_t size, int flags, int32_t **ids, size_t *n_ids,
                   xenon_error *error) {
    struct xn_error err;
    struct xn_ids list = {0};
    *ids = NULL;
    *n_ids = 0;
    XN_TRY(xn_api_need_tokenizer(model, error));
    int wanted = (flags & XENON_TOKENIZE_SPECIAL ? XN_TOKENIZE_SPECIAL : 0) |
                 (flags & XENON_TOKENIZE_BOS ? XN_TOKENIZE_BOS_EOS : 0);
    int status = xn_tokenize(model->model->tokenizer, text, size, wanted, &list, &err);
    if (status != XN_OK) {
        free(list.data);
        return xn_api_give(status, &err, error);
    }
    *ids = list.data;
    *n_ids = list.n;
    return XN_OK;
}

static int detokenize_all(const struct xn_tokenizer *t, const int32_t *ids, size_t n, bool show_special,
                          struct xn_text *text, struct xn_error *err) {
    struct xn_detokenizer d;
    xn_detokenizer_init(&d, t, show_special);
    XN_TRY(xn_text_put(text, "", 0, err));
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= xn_tokenizer_size(t))
            return xn_fail(err, XN_ERR_ARGUMENT, "token %d: the vocabulary has %d", ids[i], xn_tokenizer_size(t));
        XN_TRY(xn_detokenize(&d, ids[i], text, err));
    }
    return xn_detokenize_end(&d, text, err);
}

int xenon_detokenize(const xenon_model *model, const int32_t *ids, size_t n_ids, bool show_special, char **text,
                     size_t *size, xenon_error *error) {
    struct xn_error err;
    struct xn_text out = {0};
    *text = NULL;
    *size = 0;
    XN_TRY(xn_api_need_tokenizer(model, error));
    int status = detokenize_all(model->model->tokenizer, ids, n_ids, show_special, &out, &err);
    if (status != XN_OK) {
        free(out.data);
        return xn_api_give(status, &err, error);
    }
    *text = out.data;
    *size = out.size;
    return XN_OK;
}

bool xenon_token_is_end(const xenon_model *model, int32_t id) {
    return model->model->tokenizer && xn_token_ends(model->model->tokenizer, id);
}

int32_t xenon_token_find(const xenon_model *model, const char *text) {
    return model->model->tokenizer ? xn_token_id(model->model->tokenizer, text) : -1;
}

static int messages_json(const xenon_message *messages, size_t n, json_t **out, struct xn_error *err) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *message = messages[i].role && messages[i].content
                              ? json_pack("{s:s s:s}", "role", messages[i].role, "content", messages[i].content)
                              : NULL;
        if (json_array_append_new(list, message) != 0) {
            json_decref(list);
            return xn_fail(err, XN_ERR_ARGUMENT, "message %zu: role or content is NULL or no valid UTF-8", i);
        }
    }
    *out = list;
    return XN_OK;
}

static int arguments_json(const char *text, json_t **out, struct xn_error *err) {
    json_error_t error;
    *out = NULL;
    if (!text) return XN_OK;
    *out = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (json_is_object(*out)) return XN_OK;
    json_decref(*out);
    *out = NULL;
    return xn_fail(err, XN_ERR_ARGUMENT, "template arguments: expected a JSON object, found %s", text);
}

static int chat_text(const xenon_model *model, const xenon_message *messages, size_t n_messages, const char *arguments,
                     char **text, size_t *size, struct xn_error *err) {
    json_t *list = NULL, *more = NULL;
    XN_TRY(messages_json(messages, n_messages, &list, err));
    int status = arguments_json(arguments, &more, err);
    if (status == XN_OK) status = xn_prompt_render(model->model, list, more, true, text, size, err);
    json_decref(list);
    json_decref(more);
    return status;
}

int xenon_chat_text(const xenon_model *model, const xenon_message *messages, size_t n_messages, const char *arguments,
                    char **text, size_t *size, xenon_error *error) {
    struct xn_error err;
    char *rendered = NULL;
    *text = NULL;
    *size = 0;
    int status = chat_text(model, messages, n_messages, arguments, &rendered, size, &err);
    if (status == XN_OK) *text = rendered;
    return xn_api_give(status, &err, error);
}

int xenon_chat_tokens(const xenon_model *model, const xenon_message *messages, size_t n_messages, const char *arguments,
                      int32_t **ids, size_t *n_ids, xenon_error *error) {
    struct xn_error err;
    struct xn_ids list = {0};
    char *rendered;
    size_t size;
    *ids = NULL;
    *n_ids = 0;
    int status = chat_text(model, messages, n_messages, arguments, &rendered, &size, &err);
    if (status != XN_OK) return xn_api_give(status, &err, error);
    status = xn_prompt_ids(model->model, rendered, size, false, &list, &err);
    free(rendered);
    if (status != XN_OK) {
        free(list.data);
        return xn_api_give(status, &err, error);
    }
    *ids = list.data;
    *n_ids = list.n;
    return XN_OK;
}
