// gpt-oss: an answer is messages, each a header and a text: <|channel|>NAME<|message|>text<|end|>, the next behind
// <|start|>assistant. analysis is reasoning, final is content; a recipient in the header (to=functions.name), before or
// behind the channel, makes a call of it, and its text the arguments.
#include "text/answer/internal.h"

#include <string.h>

enum { HEADER, MESSAGE };
enum { CONTENT, REASONING, CALL };

static void header(struct xn_answer *a) {
    struct xn_calls_harmony *s = &a->is.harmony;
    s->step = HEADER;
    s->n_header = 0;
    s->header[0] = 0;
    s->marker.n = 0;
    s->some = s->wrapped = false;
    s->scan = (struct xn_json_scan){0};
    s->unescape = (struct xn_json_unescape){0};
}

static void begin(struct xn_answer *a, unsigned opener) {
    header(a);
    if (a->held.size) { // its opener belongs to the header
        const char *text = a->notation->openers[opener];
        a->is.harmony.n_header = (uint32_t)strlen(text);
        memcpy(a->is.harmony.header, text, strlen(text) + 1);
    }
}

// The recipient, as a->name.
static bool recipient(struct xn_answer *a) {
    static const char prefix[] = "functions.";
    const char *to = strstr(a->is.harmony.header, "to=");
    a->n_name = 0;
    if (!to) return false;
    to += 3;
    const bool function = strncmp(to, prefix, sizeof prefix - 1) == 0;
    if (function) to += sizeof prefix - 1;
    for (; *to && !xn_answer_blank(*to) && *to != '<'; to++)
        if (!xn_answer_append(a->name, &a->n_name, *to)) return false;
    return a->n_name > 0 && (function || xn_answer_tool(a->options.tools, a->name));
}

static void message(struct xn_answer *a) {
    struct xn_calls_harmony *s = &a->is.harmony;
    s->step = MESSAGE;
    s->marker.n = 0;
    if (recipient(a) && a->options.tools) {
        s->kind = CALL;
        xn_answer_call(a);
    } else {
        const char *channel = strstr(s->header, "<|channel|>");
        s->kind = channel && strncmp(channel + 11, "analysis", 8) == 0 && a->options.reasoning ? REASONING : CONTENT;
    }
    a->holding = false;
    a->held.size = 0;
}

static void text(struct xn_answer *a, const char *bytes, size_t n) {
    struct xn_calls_harmony *s = &a->is.harmony;
    for (size_t i = 0; i < n; i++) {
        if (!s->some && xn_answer_blank(bytes[i])) continue;
        if (!s->some && s->kind == CALL && bytes[i] == '"') { // arguments written as a string
            s->some = s->wrapped = true;
            continue;
        }
        s->some = true;
        if (s->wrapped) {
            char out[8];
            size_t size;
            if (xn_json_unescape(&s->unescape, bytes[i], out, &size) == XN_SCAN_MORE) xn_answer_arguments(a, out, size);
            continue;
        }
        if (s->kind == CALL) xn_json_scan(&s->scan, bytes[i]);
        xn_answer_put(a,
                      s->kind == CALL        ? XN_ANSWER_ARGUMENTS
                      : s->kind == REASONING ? XN_ANSWER_REASONING
                                             : XN_ANSWER_CONTENT,
                      bytes + i, 1);
    }
}

static void message_end(struct xn_answer *a) {
    struct xn_calls_harmony *s = &a->is.harmony;
    if (s->kind == CALL && !s->some) xn_answer_arguments(a, "{}", 2);
    xn_answer_call_end(a);
    header(a);
    a->holding = true;
}

static enum xn_verdict take(struct xn_answer *a, char c) {
    static const char *const ends[] = {"<|end|>", "<|call|>", "<|return|>", "<|start|>", "<|channel|>", NULL};
    static const char *const heads[] = {"<|message|>", NULL};
    struct xn_calls_harmony *s = &a->is.harmony;
    char free[XN_ANSWER_MARKER];
    size_t n;
    if (s->step == MESSAGE && s->kind == CALL && s->scan.string) { // what is spelled like a marker there is none
        text(a, &c, 1);
        return XN_GOING;
    }
    const int found = xn_marker_take(&s->marker, s->step == HEADER ? heads : ends, c, free, &n);
    if (s->step == MESSAGE) {
        text(a, free, n);
        if (found < 0) return XN_GOING;
        message_end(a);
        if (found >= 3) { // the next one's header begins
            s->n_header = (uint32_t)strlen(ends[found]);
            memcpy(s->header, ends[found], s->n_header + 1);
        }
        return XN_GOING;
    }
    for (size_t i = 0; i < n; i++) {
        // A header begins with a marker or a recipient; what doesn't is text without a header.
        if (s->n_header == 0 && xn_answer_blank(free[i])) continue;
        if (s->n_header == 0 && free[i] != '<' && free[i] != 't') return XN_BAD;
        if (!xn_answer_append(s->header, &s->n_header, free[i])) return XN_BAD;
        if (s->n_header == 3 && s->header[0] == 't' && strcmp(s->header, "to=") != 0) return XN_BAD;
    }
    if (found == 0) message(a);
    return XN_GOING;
}

static void end(struct xn_answer *a) {
    struct xn_calls_harmony *s = &a->is.harmony;
    if (s->step == MESSAGE) {
        const struct xn_marker rest = s->marker;
        text(a, rest.bytes, rest.n);
        if (s->kind == CALL && !s->some) xn_answer_arguments(a, "{}", 2);
    } else if (strchr(s->header, '<') || strstr(s->header, "to=")) {
        a->held.size = 0; // a header that was cut off
    }
}

const struct xn_notation xn_notation_harmony = {
    .name = "harmony",
    .openers = {"<|start|>", "<|channel|>"},
    .special = true,
    .own = true,
    .begin = begin,
    .take = take,
    .end = end,
    .grammar = xn_harmony_grammar,
};
