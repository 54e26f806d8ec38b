// Texts and tokens: /tokenize, /detokenize, /apply-template.
#include "server/llama/internal.h"
#include "server/openai/internal.h" // a conversation has the same fields there

#include <stdlib.h>

// A token's bytes: a text, or numbers where they are none by themselves.
static json_t *piece_of(const struct xn_tokenizer *tokenizer, int32_t id) {
    struct xn_text bytes = {0};
    if (xn_token_append_bytes(tokenizer, id, &bytes, NULL) != XN_OK) bytes.size = 0;
    json_t *piece = json_stringn(bytes.size ? bytes.data : "", bytes.size);
    if (!piece) {
        piece = json_array();
        for (size_t i = 0; i < bytes.size; i++)
            json_array_append_new(piece, json_integer((unsigned char)bytes.data[i]));
    }
    free(bytes.data);
    return piece;
}

static int tokenize(struct xn_call *call, const json_t *body, struct xn_completion_request *request,
                    struct xn_error *err) {
    const struct xn_tokenizer *tokenizer = call->served->model->tokenizer;
    const json_t *content = json_object_get(body, "content");
    bool add = false, parse = true, pieces = false;
    (void)request;
    if (!json_is_string(content))
        return xn_fail(err, XN_ERR_ARGUMENT, "content: expected a string, found %s", xn_json_kind(content));
    XN_TRY(xn_field_bool(body, "add_special", &add, err));
    XN_TRY(xn_field_bool(body, "parse_special", &parse, err));
    XN_TRY(xn_field_bool(body, "with_pieces", &pieces, err));
    struct xn_ids ids = {0};
    int status = xn_tokenize(tokenizer, json_string_value(content), json_string_length(content),
                             (add ? XN_TOKENIZE_BOS_EOS : 0) | (parse ? XN_TOKENIZE_SPECIAL : 0), &ids, err);
    json_t *tokens = json_array();
    for (size_t i = 0; i < ids.n && status == XN_OK; i++)
        json_array_append_new(
            tokens, pieces ? json_pack("{s:i, s:o}", "id", ids.data[i], "piece", piece_of(tokenizer, ids.data[i]))
                           : json_integer(ids.data[i]));
    free(ids.data);
    json_t *reply = json_pack("{s:o}", "tokens", tokens);
    if (status == XN_OK) return xn_reply_json(call->x, 200, reply, err);
    json_decref(reply);
    return status;
}

static int detokenize(struct xn_call *call, const json_t *body, struct xn_completion_request *request,
                      struct xn_error *err) {
    json_t *tokens = NULL;
    (void)request;
    XN_TRY(xn_field_array(body, "tokens", &tokens, err));
    if (!tokens) return xn_fail(err, XN_ERR_ARGUMENT, "tokens: missing");
    struct xn_detokenizer d;
    struct xn_text text = {0};
    int status = XN_OK;
    xn_detokenizer_init(&d, call->served->model->tokenizer, true);
    for (size_t i = 0; i < json_array_size(tokens) && status == XN_OK; i++) {
        const json_t *id = json_array_get(tokens, i);
        json_int_t token = json_is_integer(id) ? json_integer_value(id) : -1;
        if (token < 0 || token >= (json_int_t)call->served->model->recipe.vocab)
            status = xn_fail(err, XN_ERR_ARGUMENT, "tokens: element %zu is no token", i);
        else
            status = xn_detokenize(&d, (int32_t)token, &text, err);
    }
    if (status == XN_OK) status = xn_detokenize_end(&d, &text, err);
    if (status == XN_OK)
        status = xn_reply_json(call->x, 200, json_pack("{s:o}", "content", xn_json_text(text.data, text.size)), err);
    free(text.data);
    return status;
}

static int apply_template(struct xn_call *call, const json_t *body, struct xn_completion_request *request,
                          struct xn_error *err) {
    struct xn_openai_chat_options options = {0};
    char *text;
    size_t size;
    XN_TRY(xn_openai_read_chat(body, call, request, &options, err));
    XN_TRY(xn_completion_prompt(call->served, request, &text, &size, err));
    int status = xn_reply_json(call->x, 200, json_pack("{s:o}", "prompt", xn_json_text(text, size)), err);
    free(text);
    return status;
}

int xn_llama_tokenize(void *server, struct xn_exchange *x, struct xn_error *err) {
    return xn_call_handle(server, x, tokenize, err);
}
int xn_llama_detokenize(void *server, struct xn_exchange *x, struct xn_error *err) {
    return xn_call_handle(server, x, detokenize, err);
}
int xn_llama_apply_template(void *server, struct xn_exchange *x, struct xn_error *err) {
    return xn_call_handle(server, x, apply_template, err);
}
