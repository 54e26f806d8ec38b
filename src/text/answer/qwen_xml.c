// Qwen3-Coder's, also Qwen3.5's, Nemotron 3's and Step's: <tool_call> around <function=name> with <parameter=key> tags,
// values between line ends. Models leave <tool_call> out at times; then only names of known tools count. Seed's and
// MiniMax's are alike.
#include "text/answer/internal.h"

// clang-format off
#define FUNCTION_TAGS                                                                                                  \
    .open = "<function=", .name_end = ">", .key_open = "<parameter=", .key_end = ">",                                  \
    .value_close = "</parameter>", .close = "</function>", .each = true, .between = "\n"
// clang-format on

const struct xn_notation xn_notation_qwen_xml = {
    .name = "qwen-xml",
    .openers = {"<tool_call>", "<function="},
    XN_TAGS_MACHINE,
    .table =
        &(const struct xn_tags_table){
            .section = "<tool_call>", .section_close = "</tool_call>", .lines = true, FUNCTION_TAGS},
};
const struct xn_notation xn_notation_seed = {
    .name = "seed",
    .openers = {"<seed:tool_call>"},
    .special = true,
    XN_TAGS_MACHINE,
    .table = &(
        const struct xn_tags_table){.section = "<seed:tool_call>", .section_close = "</seed:tool_call>", FUNCTION_TAGS},
};
const struct xn_notation xn_notation_minimax = {
    .name = "minimax",
    .openers = {"<minimax:tool_call>"},
    .special = true,
    XN_TAGS_MACHINE,
    .table = &(const struct xn_tags_table){.section = "<minimax:tool_call>",
                                           .section_close = "</minimax:tool_call>",
                                           .open = "<invoke name=\"",
                                           .name_end = "\">",
                                           .key_open = "<parameter name=\"",
                                           .key_end = "\">",
                                           .value_close = "</parameter>",
                                           .close = "</invoke>",
                                           .between = "\n"},
};
