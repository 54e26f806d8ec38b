// Gemma 4's: <|tool_call>call:name{key:<|"|>text<|"|>,other:1}<tool_call|>.
#include "text/answer/internal.h"

enum { PREFIX, NAME, VALUE, CLOSE };

static void begin(struct xn_answer *a, unsigned opener) {
    (void)opener;
    a->is.literal = (struct xn_calls_literal){.step = PREFIX};
}

static enum xn_verdict value(struct xn_answer *a, char c) {
    struct xn_calls_literal *s = &a->is.literal;
    char out[XN_LITERAL_OUT];
    size_t n;
    const enum xn_scan scan = xn_literal_take(&s->value, true, c, out, &n);
    if (scan == XN_SCAN_BAD) return XN_BAD;
    xn_answer_arguments(a, out, n);
    if (scan == XN_SCAN_LAST) {
        xn_answer_call_end(a);
        s->some = true;
        s->step = CLOSE;
        s->at = 0;
    }
    return XN_GOING;
}

static enum xn_verdict take(struct xn_answer *a, char c) {
    static const char prefix[] = "call:", close[] = "<tool_call|>";
    struct xn_calls_literal *s = &a->is.literal;
    switch (s->step) {
    case PREFIX:
        if (s->at == 0 && xn_answer_blank(c)) return XN_GOING;
        if (c != prefix[s->at]) return XN_BAD;
        if (prefix[++s->at] == 0) s->step = NAME;
        return XN_GOING;
    case NAME:
        if (c != '{')
            return c != '<' && !xn_answer_blank(c) && xn_answer_append(a->name, &a->n_name, c) ? XN_GOING : XN_BAD;
        if (a->n_name == 0) return XN_BAD;
        xn_answer_call(a);
        s->step = VALUE;
        return value(a, c);
    case VALUE:
        return value(a, c);
    default:
        if (s->at == 0 && xn_answer_blank(c)) return XN_GOING;
        if (c != close[s->at]) return s->at ? XN_BAD : XN_DONE_BEFORE;
        return close[++s->at] ? XN_GOING : XN_DONE;
    }
}

static void end(struct xn_answer *a) {
    if (a->is.literal.some) a->held.size = 0;
}

const struct xn_notation xn_notation_gemma4 = {
    .name = "gemma4",
    .openers = {"<|tool_call>"},
    .special = true,
    .begin = begin,
    .take = take,
    .end = end,
    .grammar = xn_gemma_grammar,
};
