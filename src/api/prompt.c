// Prompts: chat templates rendered, and text to ids.
#include "api/session.h"
#include "base/memory.h"

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

static json_t *token_json(const struct xn_tokenizer *t, int32_t id) {
    if (id < 0) return json_string("");
    struct xn_str text = xn_token_text(t, id);
    return json_stringn(text.data, text.size);
}

int xn_prompt_render(const struct xn_model *model, const json_t *messages, const json_t *arguments,
                     bool add_generation_prompt, char **out, size_t *size, struct xn_error *err) {
    if (!model->chat) return xn_fail(err, XN_ERR_UNSUPPORTED, "the model has no chat template");
    if (!model->tokenizer) return xn_fail(err, XN_ERR_UNSUPPORTED, "the model has no tokenizer to read text with");
    json_t *variables =
        json_pack("{s:O s:n s:n s:b s:o s:o}", "messages", messages, "tools", "documents", "add_generation_prompt",
                  add_generation_prompt, "bos_token", token_json(model->tokenizer, xn_token_bos(model->tokenizer)),
                  "eos_token", token_json(model->tokenizer, xn_token_eos(model->tokenizer)));
    int status = XN_ERR_NOMEM;
    if (!variables || (arguments && json_object_update(variables, (json_t *)arguments) != 0))
        xn_fail(err, status, "out of memory for a prompt");
    else
        status = xn_template_render(model->chat, variables, (int64_t)time(NULL), NULL, out, size, err);
    json_decref(variables);
    return status;
}
