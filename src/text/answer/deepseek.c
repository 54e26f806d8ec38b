// DeepSeek's: V3.1's <｜tool▁call▁begin｜>name<｜tool▁sep｜>{...}; V3's and R1's, where the separator stands between
// "function" and the name; and V3.2's DSML, whose parameters are tags that say whether they are strings.
#include "text/answer/internal.h"

static const struct xn_named_table named = {.section = "<｜tool▁calls▁begin｜>",
                                            .section_close = "<｜tool▁calls▁end｜>",
                                            .open = "<｜tool▁call▁begin｜>",
                                            .close = "<｜tool▁call▁end｜>",
                                            .separator = "<｜tool▁sep｜>",
                                            .typed = true};
static const struct xn_tags_table dsml = {.section = "<｜DSML｜function_calls>",
                                          .section_close = "</｜DSML｜function_calls>",
                                          .open = "<｜DSML｜invoke name=\"",
                                          .name_end = "\">",
                                          .key_open = "<｜DSML｜parameter name=\"",
                                          .key_end = "\">",
                                          .typed_end = "\" string=\"",
                                          .value_close = "</｜DSML｜parameter>",
                                          .close = "</｜DSML｜invoke>",
                                          .between = "\n"};

static void begin(struct xn_answer *a, unsigned opener) {
    a->table = opener < 2 ? (const void *)&named : (const void *)&dsml;
    if (opener < 2)
        xn_named_begin(a, opener);
    else
        xn_tags_begin(a, 0);
}

static enum xn_verdict take(struct xn_answer *a, char c) {
    return a->table == &named ? xn_named_take(a, c) : xn_tags_take(a, c);
}

static void end(struct xn_answer *a) {
    if (a->table == &named)
        xn_named_end(a);
    else
        xn_tags_end(a);
}

static int grammar(struct xn_grammar_build *b, const void *table, uint32_t *node) {
    (void)table;
    return xn_grammar_either(b, xn_named_grammar, &named, xn_tags_grammar, &dsml, node);
}

const struct xn_notation xn_notation_deepseek = {
    .name = "deepseek",
    .openers = {"<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜DSML｜function_calls>"},
    .special = true,
    .begin = begin,
    .take = take,
    .end = end,
    .grammar = grammar,
};
