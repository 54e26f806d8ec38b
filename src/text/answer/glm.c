// GLM's (4.5 and later): <tool_call>name, then <arg_key>key</arg_key> and <arg_value>value</arg_value> in turn. 4.7 has
// no line ends between them.
#include "text/answer/internal.h"

static void begin(struct xn_answer *a, unsigned opener) {
    (void)opener;
    xn_tags_begin(a, 1);
    a->is.tags.bare = false;
}

const struct xn_notation xn_notation_glm = {
    .name = "glm",
    .openers = {"<tool_call>"},
    .begin = begin,
    .take = xn_tags_take,
    .end = xn_tags_end,
    .grammar = xn_tags_grammar,
    .table = &(const struct xn_tags_table){.open = "<tool_call>",
                                           .key_open = "<arg_key>",
                                           .key_end = "</arg_key>",
                                           .value_open = "<arg_value>",
                                           .value_close = "</arg_value>",
                                           .close = "</tool_call>",
                                           .between = "\n"},
};
