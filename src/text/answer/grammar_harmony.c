// gpt-oss: the turn is messages. Those of analysis, and of commentary without a recipient, are free; then comes a call,
// which ends the turn, or the final message with its content.
#include "text/answer/grammar.h"

enum { MOST_BEFORE = 8 };

static int call(struct xn_grammar_build *b, const void *table, struct xn_grammar_tool *tool, uint32_t *node) {
    (void)table;
    struct xn_form *f = &b->form;
    uint32_t arguments;
    XN_TRY(xn_build_arguments(b, tool, &arguments));
    const uint32_t channel = xn_build_marker(b, "<|channel|>"),
                   to = XN_FORM_SEQUENCE_OF(f, XN_FORM_LITERAL(f, " to=functions."), xn_build_text(b, tool->name)),
                   constrain = xn_build_maybe(b, XN_FORM_SEQUENCE_OF(f, xn_build_maybe(b, XN_FORM_LITERAL(f, " ")),
                                                                     xn_build_marker(b, "<|constrain|>"),
                                                                     XN_FORM_LITERAL(f, "json"))),
                   json = XN_FORM_CHOICE_OF(f, constrain, XN_FORM_LITERAL(f, " json"));
    const uint32_t before =
        XN_FORM_SEQUENCE_OF(f, to, channel, XN_FORM_LITERAL(f, "commentary"), json); // the recipient in the role
    const uint32_t behind = XN_FORM_SEQUENCE_OF(f, channel, XN_FORM_LITERAL(f, "commentary"), to, json);
    *node = XN_FORM_SEQUENCE_OF(f, XN_FORM_CHOICE_OF(f, before, behind), xn_build_marker(b, "<|message|>"), arguments);
    return XN_OK;
}

int xn_harmony_grammar(struct xn_grammar_build *b, const void *table, uint32_t *node) {
    struct xn_form *f = &b->form;
    const uint32_t channel = xn_build_marker(b, "<|channel|>"), message = xn_build_marker(b, "<|message|>");
    // Texts end at the token, not at what is spelled like it.
    const uint32_t free = XN_FORM_SEQUENCE_OF(
        f, channel, XN_FORM_CHOICE_OF(f, XN_FORM_LITERAL(f, "analysis"), XN_FORM_LITERAL(f, "commentary")), message,
        xn_build_text_without(b, (const char *[]){"<|end|>", NULL}), xn_build_marker(b, "<|end|>"),
        xn_build_marker(b, "<|start|>"), XN_FORM_LITERAL(f, "assistant"));
    // Not for ever: models write one or two.
    const uint32_t before = xn_form_times(f, free, 0, MOST_BEFORE);
    uint32_t calls = 0, content = 0;
    if (b->n_tools) XN_TRY(xn_build_tools(b, table, call, &calls));
    if (!b->rules->required) {
        XN_TRY(xn_build_content(b, &content));
        content = XN_FORM_SEQUENCE_OF(f, channel, XN_FORM_LITERAL(f, "final"), message, content);
        calls = b->n_tools ? XN_FORM_CHOICE_OF(f, calls, content) : content;
    }
    *node = XN_FORM_SEQUENCE_OF(f, before, calls);
    return XN_OK;
}
