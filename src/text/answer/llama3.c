// Llama 3's: {"name": ..., "parameters": {...}} as the whole answer, or behind <|python_tag|>. Any other JSON that a
// model writes may have a name, so only those of known tools, with arguments, count.
#include "text/answer/internal.h"

const struct xn_notation xn_notation_llama3 = {
    .name = "llama3",
    .openers = {"{", "<|python_tag|>"},
    .special = true,
    .at_start = true,
    XN_JSON_MACHINE,
    .table =
        &(const struct xn_json_table){
            .known = true, .separator = ';', .name = "name", .arguments = "parameters", .between = "; "},
};
