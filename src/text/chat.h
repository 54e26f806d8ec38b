// Conversations to prompts: a model's chat template with the variables that Hugging Face transformers gives it.
#pragma once

#include "text/template.h"

#include <stdbool.h>

// The template of models that bring none: ChatML.
extern const char xn_chat_default_template[];

// A conversation as the OpenAI chat API has it. All is borrowed.
struct xn_chat {
    const json_t *messages; // an array of objects with role, content, tool_calls, ...
    const json_t *tools;    // an array, or NULL: none
    const json_t
        *kwargs; // an object of further variables (enable_thinking, documents, ...), or NULL; they win over the rest
    const char *bos, *eos;      // the tokens as text; NULL: the variable is not defined
    bool add_generation_prompt; // end with what opens the assistant's turn
};

// Renders into malloc'ed, NUL-terminated *out. `now` is what strftime_now formats (seconds since 1970, UTC). Errors as
// xn_template_render; XN_ERR_ARGUMENT where messages is no array, tools neither array nor null, or kwargs no object.
int xn_chat_render(const struct xn_template *t, const struct xn_chat *chat, int64_t now, char **out, size_t *size,
                   struct xn_error *err);
