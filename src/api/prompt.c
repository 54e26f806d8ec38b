// Prompts: chat templates rendered, and text to ids.
#include "api/session.h"
#include "base/memory.h"
#include "text/chat.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

int xn_prompt_ids(const struct xn_model *model, const char *text, size_t size, bool bos, struct xn_ids *ids,
                  struct xn_error *err) {
    const struct xn_tokenizer *t = model->tokenizer;
    if (!t) return xn_fail(err, XN_ERR_UNSUPPORTED, "the model has no tokenizer to read text with");
    size_t begin = ids->n;
    XN_TRY(xn_tokenize(t, text, size, XN_TOKENIZE_SPECIAL, ids, err));
    int32_t id = xn_token_bos(t);
    if (!bos || id < 0 || !xn_tokenizer_adds_bos(t) || (ids->n > begin && ids->data[begin] == id)) return XN_OK;
    if (XN_GROW(ids->data, ids->capacity, ids->n + 1)) return xn_fail(err, XN_ERR_NOMEM, "out of memory for a prompt");
    memmove(ids->data + begin + 1, ids->data + begin, (ids->n - begin) * sizeof *ids->data);
    ids->data[begin] = id;
    ids->n++;
    return XN_OK;
}

// The token as text (free()), or NULL: the model has none.
static char *token_name(const struct xn_tokenizer *t, int32_t id) {
    if (id < 0) return NULL;
    struct xn_str text = xn_token_text(t, id);
    return xn_strndup(text.data, text.size);
}

int xn_prompt_render_with(const struct xn_template *template, const struct xn_model *model, const json_t *messages,
                          const json_t *arguments, bool add_generation_prompt, char **out, size_t *size,
                          struct xn_error *err) {
    const struct xn_tokenizer *t = model->tokenizer;
    if (!t) return xn_fail(err, XN_ERR_UNSUPPORTED, "the model has no tokenizer to read text with");
    char *bos = token_name(t, xn_token_bos(t)), *eos = token_name(t, xn_token_eos(t));
    struct xn_chat chat = {
        .messages = messages,
        .kwargs = arguments,
        .bos = bos ? bos : "",
        .eos = eos ? eos : "",
        .add_generation_prompt = add_generation_prompt,
    };
    int status = xn_chat_render(template, &chat, (int64_t)time(NULL), out, size, err);
    free(bos);
    free(eos);
    return status;
}

int xn_prompt_render(const struct xn_model *model, const json_t *messages, const json_t *arguments,
                     bool add_generation_prompt, char **out, size_t *size, struct xn_error *err) {
    if (!model->chat) return xn_fail(err, XN_ERR_UNSUPPORTED, "the model has no chat template");
    return xn_prompt_render_with(model->chat, model, messages, arguments, add_generation_prompt, out, size, err);
}
