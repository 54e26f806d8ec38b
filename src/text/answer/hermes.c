// Hermes' notation, which Qwen 2.5 and 3 use as well: <tool_call>{"name": ..., "arguments": {...}}</tool_call>.
#include "text/answer/internal.h"

const struct xn_notation xn_notation_hermes = {
    .name = "hermes",
    .openers = {"<tool_call>"},
    XN_JSON_MACHINE,
    .table =
        &(const struct xn_json_table){
            .close = "</tool_call>", .name = "name", .arguments = "arguments", .before = "\n", .after = "\n"},
};
