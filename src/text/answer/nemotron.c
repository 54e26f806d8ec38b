// Nemotron's (Nano v2, Llama-Nemotron): <TOOLCALL>[{"name": ..., "arguments": {...}}]</TOOLCALL>.
#include "text/answer/internal.h"

const struct xn_notation xn_notation_nemotron = {
    .name = "nemotron",
    .openers = {"<TOOLCALL>"},
    XN_JSON_MACHINE,
    .table =
        &(const struct xn_json_table){.close = "</TOOLCALL>", .list = true, .name = "name", .arguments = "arguments"},
};
