// Calls as a name and its arguments in JSON, behind other markers: Kimi K2, Functionary, Solar.
#include "text/answer/internal.h"

const struct xn_notation xn_notation_kimi = {
    .name = "kimi",
    .openers = {"<|tool_calls_section_begin|>", "<|tool_call_begin|>"},
    .special = true,
    XN_NAMED_MACHINE,
    .table = &(const struct xn_named_table){.section = "<|tool_calls_section_begin|>",
                                            .section_close = "<|tool_calls_section_end|>",
                                            .open = "<|tool_call_begin|>",
                                            .close = "<|tool_call_end|>",
                                            .separator = "<|tool_call_argument_begin|>",
                                            .functions = true},
};
const struct xn_notation xn_notation_functionary = {
    .name = "functionary",
    .openers = {"<function="},
    XN_NAMED_MACHINE,
    .table = &(const struct xn_named_table){.open = "<function=", .close = "</function>", .separator = ">"},
};
const struct xn_notation xn_notation_solar = {
    .name = "solar",
    .openers = {"<|tool_calls|>", "<|tool_call:begin|>"},
    .special = true,
    .drops = {"<|begin|>assistant", "<|content|>", "<|end|>"},
    XN_NAMED_MACHINE,
    .table = &(const struct xn_named_table){.section = "<|tool_calls|>",
                                            .section_close = "<|calls|>",
                                            .closed_by_end = true,
                                            .open = "<|tool_call:begin|>",
                                            .close = "<|tool_call:end|>",
                                            .id_close = "<|tool_call:name|>",
                                            .separator = "<|tool_call:args|>"},
};
