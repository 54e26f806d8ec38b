#include "text/chat.h"

const char xn_chat_default_template[] = "{%- for message in messages -%}\n"
                                        "{{ '<|im_start|>' ~ message.role ~ '\\n' -}}\n"
                                        "{%- if message.content is string -%}\n"
                                        "{{ message.content }}\n"
                                        "{%- elif message.content is iterable -%}\n"
                                        "{%- for part in message.content if part.type == 'text' -%}\n"
                                        "{{ part.text }}\n"
                                        "{%- endfor -%}\n"
                                        "{%- endif -%}\n"
                                        "{{ '<|im_end|>\\n' }}\n"
                                        "{%- endfor -%}\n"
                                        "{%- if add_generation_prompt -%}\n"
                                        "{{ '<|im_start|>assistant\\n' }}\n"
                                        "{%- endif -%}\n";

// Sets key to a borrowed value (NULL: null). The variables hold references, which change no value that the caller sees.
static int set(json_t *variables, const char *key, const json_t *value) {
    return value ? json_object_set(variables, key, (json_t *)value) : json_object_set_new(variables, key, json_null());
}

static int fill(json_t *variables, const struct xn_chat *chat) {
    int failed = set(variables, "messages", chat->messages) | set(variables, "tools", chat->tools) |
                 set(variables, "documents", NULL) |
                 json_object_set_new(variables, "add_generation_prompt", json_boolean(chat->add_generation_prompt));
    if (chat->bos) failed |= json_object_set_new(variables, "bos_token", json_string(chat->bos));
    if (chat->eos) failed |= json_object_set_new(variables, "eos_token", json_string(chat->eos));
    if (chat->kwargs) failed |= json_object_update(variables, (json_t *)chat->kwargs);
    return failed;
}

int xn_chat_render(const struct xn_template *t, const struct xn_chat *chat, int64_t now, char **out, size_t *size,
                   struct xn_error *err) {
    *out = NULL;
    *size = 0;
    if (!json_is_array(chat->messages)) return xn_fail(err, XN_ERR_ARGUMENT, "messages: not an array");
    if (chat->tools && !json_is_array(chat->tools) && !json_is_null(chat->tools))
        return xn_fail(err, XN_ERR_ARGUMENT, "tools: not an array");
    if (chat->kwargs && !json_is_object(chat->kwargs))
        return xn_fail(err, XN_ERR_ARGUMENT, "template arguments: not an object");
    json_t *variables = json_object();
    int status = XN_OK;
    if (!variables || fill(variables, chat))
        status = xn_fail(err, XN_ERR_NOMEM, "variables of the template: out of memory, or a token is not UTF-8");
    else
        status = xn_template_render(t, variables, now, NULL, out, size, err);
    json_decref(variables);
    return status;
}
