// Calls whose parameters are tags, their values plain text: Qwen's XML, Seed, MiniMax, GLM, DeepSeek's DSML. What the
// tool's schema says of a parameter decides what JSON its value becomes. Strings are passed on while they come, other
// values when they are complete.
#include "text/answer/internal.h"

#include <stdlib.h>
#include <string.h>

enum { BETWEEN, NAME, PARAMETERS, KEY, TYPE, VALUE_OPEN, VALUE, SECTION_CLOSE };

static const struct xn_tags_table *table_of(const struct xn_answer *a) {
    return a->table;
}

static void call(struct xn_answer *a) {
    struct xn_calls_tags *s = &a->is.tags;
    a->n_name = a->n_id = 0;
    s->marker.n = 0;
    s->step = NAME;
    s->first = true;
}

void xn_tags_begin(struct xn_answer *a, unsigned opener) {
    a->is.tags = (struct xn_calls_tags){.step = BETWEEN, .bare = opener == 1};
    if (opener == 1) call(a);
}

// ---- arguments

static void open_arguments(struct xn_answer *a) {
    if (a->open) return;
    xn_answer_call(a);
    xn_answer_arguments(a, "{", 1);
}

static void quoted(struct xn_answer *a, const char *text, size_t n) {
    for (size_t i = 0; i < n; i++) {
        char out[8];
        xn_answer_arguments(a, out, xn_json_escape(text[i], out));
    }
}

static void key(struct xn_answer *a) {
    struct xn_calls_tags *s = &a->is.tags;
    if (!s->first) xn_answer_arguments(a, ", ", 2);
    s->first = false;
    xn_answer_arguments(a, "\"", 1);
    quoted(a, s->key, s->n_key);
    xn_answer_arguments(a, "\": ", 3);
    // The name is still there: it is overwritten by the next call's.
    s->types = xn_param_types(a->options.tools, a->name, s->key);
}

static void value_begin(struct xn_answer *a) {
    struct xn_calls_tags *s = &a->is.tags;
    s->step = VALUE;
    s->marker.n = 0;
    s->begun = false;
    s->string = s->types == XN_PARAM_STRING;
    a->value.size = 0;
    if (s->string) xn_answer_arguments(a, "\"", 1);
}

static bool value_end(struct xn_answer *a) {
    struct xn_calls_tags *s = &a->is.tags;
    s->step = PARAMETERS;
    s->marker.n = 0;
    if (s->string) {
        xn_answer_arguments(a, "\"", 1);
        return true;
    }
    size_t n;
    char *json = xn_param_json(a->value.size ? a->value.data : "", a->value.size, s->types, &n);
    if (json) xn_answer_arguments(a, json, n);
    free(json);
    a->value.size = 0;
    return json != NULL;
}

static enum xn_verdict value(struct xn_answer *a, char c) {
    struct xn_calls_tags *s = &a->is.tags;
    const struct xn_tags_table *t = table_of(a);
    if (!s->begun) {
        s->begun = true;
        if (t->lines && c == '\n') return XN_GOING;
    }
    char with_line[XN_ANSWER_MARKER] = "\n", free[XN_ANSWER_MARKER];
    strcpy(with_line + 1, t->value_close);
    const char *const markers[] = {t->value_close, t->lines ? with_line : NULL, NULL};
    size_t n;
    const int found = xn_marker_take(&s->marker, markers, c, free, &n);
    if (s->string)
        quoted(a, free, n);
    else if (!xn_answer_value(a, free, n))
        return XN_BAD;
    return found < 0 || value_end(a) ? XN_GOING : XN_BAD;
}

// ---- tags

static enum xn_verdict call_end(struct xn_answer *a) {
    struct xn_calls_tags *s = &a->is.tags;
    const struct xn_tags_table *t = table_of(a);
    open_arguments(a);
    xn_answer_arguments(a, "}", 1);
    xn_answer_call_end(a);
    s->some = true;
    s->marker.n = 0;
    s->step = BETWEEN;
    return s->bare || !t->section ? XN_DONE : XN_GOING;
}

static enum xn_verdict between(struct xn_answer *a, char c) {
    struct xn_calls_tags *s = &a->is.tags;
    const struct xn_tags_table *t = table_of(a);
    if (s->marker.n == 0 && xn_answer_blank(c)) return XN_GOING;
    char free[XN_ANSWER_MARKER];
    size_t n;
    const int found = xn_marker_take(&s->marker, (const char *const[]){t->open, t->section_close, NULL}, c, free, &n);
    if (n) return XN_BAD;
    if (found == 1) return s->some ? XN_DONE : XN_BAD;
    if (found == 0) call(a);
    return XN_GOING;
}

static bool name_done(struct xn_answer *a) {
    struct xn_calls_tags *s = &a->is.tags;
    s->step = PARAMETERS;
    s->marker.n = 0;
    return a->n_name > 0 && (!s->bare || xn_answer_tool(a->options.tools, a->name));
}

static enum xn_verdict parameters(struct xn_answer *a, char c) {
    struct xn_calls_tags *s = &a->is.tags;
    const struct xn_tags_table *t = table_of(a);
    if (s->marker.n == 0 && xn_answer_blank(c)) return XN_GOING;
    char free[XN_ANSWER_MARKER];
    size_t n;
    const int found = xn_marker_take(&s->marker, (const char *const[]){t->key_open, t->close, NULL}, c, free, &n);
    if (n) return XN_BAD;
    if (found == 1) return call_end(a);
    if (found == 0) {
        open_arguments(a);
        s->step = KEY;
        s->n_key = 0;
    }
    return XN_GOING;
}

static enum xn_verdict name(struct xn_answer *a, char c) {
    struct xn_calls_tags *s = &a->is.tags;
    const struct xn_tags_table *t = table_of(a);
    if (!t->name_end) {
        const bool blank = xn_answer_blank(c);
        if (blank && a->n_name == 0) return XN_GOING;
        if (blank || c == '<') return !name_done(a) ? XN_BAD : blank ? XN_GOING : parameters(a, c);
        return c != '{' && xn_answer_append(a->name, &a->n_name, c) ? XN_GOING : XN_BAD;
    }
    char free[XN_ANSWER_MARKER];
    size_t n;
    const int found = xn_marker_take(&s->marker, (const char *const[]){t->name_end, NULL}, c, free, &n);
    for (size_t i = 0; i < n; i++)
        if (xn_answer_blank(free[i]) || free[i] == '<' || !xn_answer_append(a->name, &a->n_name, free[i]))
            return XN_BAD;
    return found < 0 || name_done(a) ? XN_GOING : XN_BAD;
}

static enum xn_verdict key_text(struct xn_answer *a, char c) {
    struct xn_calls_tags *s = &a->is.tags;
    const struct xn_tags_table *t = table_of(a);
    char free[XN_ANSWER_MARKER];
    size_t n;
    const int found = xn_marker_take(&s->marker, (const char *const[]){t->key_end, t->typed_end, NULL}, c, free, &n);
    for (size_t i = 0; i < n; i++)
        if (!xn_answer_append(s->key, &s->n_key, free[i])) return XN_BAD;
    if (found < 0) return XN_GOING;
    if (s->n_key == 0) return XN_BAD;
    key(a);
    s->at = 0;
    if (found == 1)
        s->step = TYPE;
    else if (t->value_open)
        s->step = VALUE_OPEN;
    else
        value_begin(a);
    return XN_GOING;
}

// true or false, of whether it is a string.
static enum xn_verdict type(struct xn_answer *a, char c) {
    struct xn_calls_tags *s = &a->is.tags;
    char free[XN_ANSWER_MARKER];
    size_t n;
    const int found = xn_marker_take(&s->marker, (const char *const[]){table_of(a)->key_end, NULL}, c, free, &n);
    if (n && s->at == 0) {
        s->types = free[0] == 't' ? XN_PARAM_STRING : XN_PARAM_OTHER | XN_PARAM_NULL;
        s->at = 1;
    }
    if (found == 0) value_begin(a);
    return XN_GOING;
}

enum xn_verdict xn_tags_take(struct xn_answer *a, char c) {
    struct xn_calls_tags *s = &a->is.tags;
    const struct xn_tags_table *t = table_of(a);
    switch (s->step) {
    case BETWEEN:
        return between(a, c);
    case NAME:
        return name(a, c);
    case PARAMETERS:
        return parameters(a, c);
    case KEY:
        return key_text(a, c);
    case TYPE:
        return type(a, c);
    case VALUE_OPEN:
        if (s->at == 0 && xn_answer_blank(c)) return XN_GOING;
        if (c != t->value_open[s->at]) return XN_BAD;
        if (t->value_open[++s->at] == 0) value_begin(a);
        return XN_GOING;
    default:
        return value(a, c);
    }
}

void xn_tags_end(struct xn_answer *a) {
    const struct xn_calls_tags *s = &a->is.tags;
    if (s->some && s->step == BETWEEN) a->held.size = 0;
}
