// LFM2's: a list of calls as Python writes them, <|tool_call_start|>[name(key="value", other=1)]<|tool_call_end|>.
#include "text/answer/internal.h"

enum { LIST, NAME, KEY, VALUE, AFTER, NEXT, CLOSE };

static void begin(struct xn_answer *a, unsigned opener) {
    (void)opener;
    a->is.literal = (struct xn_calls_literal){.step = LIST};
}

static enum xn_verdict call_end(struct xn_answer *a) {
    struct xn_calls_literal *s = &a->is.literal;
    if (!a->open) {
        xn_answer_call(a);
        xn_answer_arguments(a, "{", 1);
    }
    xn_answer_arguments(a, "}", 1);
    xn_answer_call_end(a);
    s->some = true;
    s->step = NEXT;
    return XN_GOING;
}

static enum xn_verdict after_value(struct xn_answer *a, char c) {
    struct xn_calls_literal *s = &a->is.literal;
    if (c == ')') return call_end(a);
    if (c == ',') {
        s->step = KEY;
        s->n_key = 0;
    }
    return c == ',' || xn_answer_blank(c) ? XN_GOING : XN_BAD;
}

static bool letter(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' ||
           c == '.' || c == '/' || (unsigned char)c >= 0x80;
}

static enum xn_verdict key(struct xn_answer *a, char c) {
    struct xn_calls_literal *s = &a->is.literal;
    if (letter(c)) return xn_answer_append(s->key, &s->n_key, c) ? XN_GOING : XN_BAD;
    if (xn_answer_blank(c)) return XN_GOING;
    if (c == ')' && s->n_key == 0) return call_end(a);
    if (c != '=' || s->n_key == 0) return XN_BAD;
    if (a->open) {
        xn_answer_arguments(a, ", ", 2);
    } else {
        xn_answer_call(a);
        xn_answer_arguments(a, "{", 1);
    }
    xn_answer_arguments(a, "\"", 1);
    xn_answer_arguments(a, s->key, s->n_key);
    xn_answer_arguments(a, "\": ", 3);
    s->step = VALUE;
    s->value = (struct xn_literal){0};
    return XN_GOING;
}

static enum xn_verdict take(struct xn_answer *a, char c) {
    static const char close[] = "<|tool_call_end|>";
    struct xn_calls_literal *s = &a->is.literal;
    switch (s->step) {
    case LIST:
        if (c == '[') s->step = NAME;
        return c == '[' || xn_answer_blank(c) ? XN_GOING : XN_BAD;
    case NAME:
        if (letter(c)) return xn_answer_append(a->name, &a->n_name, c) ? XN_GOING : XN_BAD;
        if (xn_answer_blank(c)) return XN_GOING;
        if (c != '(' || a->n_name == 0) return XN_BAD;
        s->step = KEY;
        s->n_key = 0;
        return XN_GOING;
    case KEY:
        return key(a, c);
    case VALUE: {
        char out[XN_LITERAL_OUT];
        size_t n;
        const enum xn_scan scan = xn_literal_take(&s->value, false, c, out, &n);
        if (scan == XN_SCAN_BAD) return XN_BAD;
        xn_answer_arguments(a, out, n);
        if (scan != XN_SCAN_MORE) s->step = AFTER;
        return scan == XN_SCAN_BEFORE ? after_value(a, c) : XN_GOING;
    }
    case AFTER:
        return after_value(a, c);
    case NEXT:
        if (c == ']') {
            s->step = CLOSE;
            s->at = 0;
        } else if (c == ',') {
            s->step = NAME;
            a->n_name = 0;
        } else if (!xn_answer_blank(c)) {
            return XN_BAD;
        }
        return XN_GOING;
    default:
        if (s->at == 0 && xn_answer_blank(c)) return XN_GOING;
        if (c != close[s->at]) return s->at ? XN_BAD : XN_DONE_BEFORE;
        return close[++s->at] ? XN_GOING : XN_DONE;
    }
}

static void end(struct xn_answer *a) {
    const struct xn_calls_literal *s = &a->is.literal;
    if (s->some && (s->step == NEXT || s->step == CLOSE)) a->held.size = 0;
}

const struct xn_notation xn_notation_lfm2 = {
    .name = "lfm2",
    .openers = {"<|tool_call_start|>"},
    .special = true,
    .begin = begin,
    .take = take,
    .end = end,
    .grammar = xn_lfm2_grammar,
};
