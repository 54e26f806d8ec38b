// Mistral's two: [TOOL_CALLS][{"name": ..., "arguments": {...}}, ...] up to Nemo and Small 3, and since then
// [TOOL_CALLS]name[ARGS]{...} for each call, with [CALL_ID]id behind the name in between. Ids have nine characters.
#include "text/answer/internal.h"

static const struct xn_json_table list = {.list = true, .name = "name", .arguments = "arguments"};
static const struct xn_named_table named = {
    .open = "[TOOL_CALLS]", .separator = "[ARGS]", .id_open = "[CALL_ID]", .brace = true};

static void begin(struct xn_answer *a, unsigned opener) {
    (void)opener;
    a->table = NULL; // the first byte tells
}

static enum xn_verdict take(struct xn_answer *a, char c) {
    if (!a->table) {
        if (xn_answer_blank(c)) return XN_GOING;
        const bool json = c == '[' || c == '{';
        a->table = json ? (const void *)&list : (const void *)&named;
        if (json)
            xn_json_begin(a, 0);
        else
            xn_named_begin(a, 0);
    }
    return a->table == &list ? xn_json_take(a, c) : xn_named_take(a, c);
}

static void end(struct xn_answer *a) {
    if (a->table == &list) xn_json_end(a);
    if (a->table == &named) xn_named_end(a);
}

static int grammar(struct xn_grammar_build *b, const void *table, uint32_t *node) {
    (void)table;
    return xn_grammar_either(b, xn_json_grammar, &list, xn_named_grammar, &named, node);
}

const struct xn_notation xn_notation_mistral = {
    .name = "mistral",
    .openers = {"[TOOL_CALLS]"},
    .special = true,
    .short_ids = true,
    .begin = begin,
    .take = take,
    .end = end,
    .grammar = grammar,
};
