// DeepSeek's: V3.1's <｜tool▁call▁begin｜>name<｜tool▁sep｜>{...}; V3's and R1's, where the separator stands between
// "function" and the name; and V3.2's DSML, whose parameters are tags that say whether they are strings.
#include "text/answer/internal.h"

const struct xn_notation xn_notation_deepseek = {
    .name = "deepseek",
    .openers = {"<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>"},
    .special = true,
    XN_NAMED_MACHINE,
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
    XN_TAGS_MACHINE,
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
