// DeepSeek's: V3.1's <｜tool▁call▁begin｜>name<｜tool▁sep｜>{...}; V3's and R1's, where the separator stands between
// "function" and the name; and V3.2's DSML, whose parameters are tags that say whether they are strings.
#include "text/answer/internal.h"

const struct xn_notation xn_notation_deepseek = {
    .name = "deepseek",
    .openers = {"<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>"},
    .special = true,
    .begin = xn_named_begin,
    .take = xn_named_take,
    .end = xn_named_end,
    .grammar = xn_named_grammar,
    .table = &(const struct xn_named_table){.section = "<｜tool▁calls▁begin｜>",
                                            .section_close = "<｜tool▁calls▁end｜>",
                                            .open = "<｜tool▁call▁begin｜>",
                                            .close = "<｜tool▁call▁end｜>",
                                            .separator = "<｜tool▁sep｜>",
                                            .typed = true},
};
const struct xn_notation xn_notation_dsml = {
    .name = "dsml",
    .openers = {"<｜DSML｜function_calls>"},
    .special = true,
    .begin = xn_tags_begin,
    .take = xn_tags_take,
    .end = xn_tags_end,
    .grammar = xn_tags_grammar,
    .table = &(const struct xn_tags_table){.section = "<｜DSML｜function_calls>",
                                           .section_close = "</｜DSML｜function_calls>",
                                           .open = "<｜DSML｜invoke name=\"",
                                           .name_end = "\">",
                                           .key_open = "<｜DSML｜parameter name=\"",
                                           .key_end = "\">",
                                           .typed_end = "\" string=\"",
                                           .value_close = "</｜DSML｜parameter>",
                                           .close = "</｜DSML｜invoke>",
                                           .between = "\n"},
};
