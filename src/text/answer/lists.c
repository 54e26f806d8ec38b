// Calls as objects of JSON behind other markers: Apertus, Apriel, Granite, FireFunction, Command R+, GigaChat.
#include "text/answer/internal.h"

const struct xn_notation xn_notation_apertus = {
    .name = "apertus",
    .openers = {"<|tools_prefix|>"},
    .special = true,
    XN_JSON_MACHINE,
    .table = &(const struct xn_json_table){.close = "<|tools_suffix|>", .list = true, .single = true},
};
const struct xn_notation xn_notation_apriel = {
    .name = "apriel",
    .openers = {"<tool_calls>"},
    XN_JSON_MACHINE,
    .table =
        &(const struct xn_json_table){.close = "</tool_calls>", .list = true, .name = "name", .arguments = "arguments"},
};
const struct xn_notation xn_notation_granite = {
    .name = "granite",
    .openers = {"<|tool_call|>", "<tool_call>"},
    .special = true,
    XN_JSON_MACHINE,
    .table = &(const struct xn_json_table){.list = true, .name = "name", .arguments = "arguments"},
};
const struct xn_notation xn_notation_firefunction = {
    .name = "firefunction",
    .openers = {"functools["},
    XN_JSON_MACHINE,
    .table = &(const struct xn_json_table){.opened = true, .list = true, .name = "name", .arguments = "arguments"},
};
const struct xn_notation xn_notation_command_r = {
    .name = "command-r",
    .openers = {"Action:\n```json\n", "Action: ```json\n"},
    XN_JSON_MACHINE,
    .table =
        &(const struct xn_json_table){
            .close = "```", .list = true, .name = "tool_name", .arguments = "parameters", .after = "\n"},
};
const struct xn_notation xn_notation_gigachat = {
    .name = "gigachat",
    .openers = {"<|message_sep|>\n\nfunction call<|role_sep|>\n", "function call<|role_sep|>\n"},
    .special = true,
    XN_JSON_MACHINE,
    .table =
        &(const struct xn_json_table){
            .close = "<|message_sep|>", .loose = true, .name = "name", .arguments = "arguments"},
};
