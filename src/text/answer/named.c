// Calls as a name, a separator and the arguments as JSON: DeepSeek, Kimi, Mistral, Functionary and Solar share it.
#include "text/answer/internal.h"

#include <string.h>

enum { BETWEEN, ID, NAME, LATE_ID, TYPED_NAME, START, ARGUMENTS, CLOSE };

static const struct xn_named_table *table_of(const struct xn_answer *a) {
    return a->table;
}

static void call(struct xn_answer *a) {
    struct xn_calls_named *c = &a->is.named;
    a->n_name = a->n_id = 0;
    c->marker.n = 0;
    c->step = table_of(a)->id_close ? ID : NAME;
}

void xn_named_begin(struct xn_answer *a, unsigned opener) {
    const struct xn_named_table *t = table_of(a);
    a->is.named = (struct xn_calls_named){.step = BETWEEN};
    if (strcmp(a->notation->openers[opener], t->open) == 0) call(a);
}

static void trim(char *text, uint32_t *n) {
    uint32_t start = 0;
    while (*n && xn_answer_blank(text[*n - 1]))
        --*n;
    while (start < *n && xn_answer_blank(text[start]))
        start++;
    *n -= start;
    memmove(text, text + start, *n);
    text[*n] = 0;
}

// Kimi's: functions.NAME:INDEX is an id, too.
static bool split(struct xn_answer *a) {
    static const char prefix[] = "functions.";
    memcpy(a->id, a->name, a->n_name + 1);
    a->n_id = a->n_name;
    char *colon = strrchr(a->name, ':');
    if (colon) a->n_name = (uint32_t)(colon - a->name);
    a->name[a->n_name] = 0;
    if (strncmp(a->name, prefix, sizeof prefix - 1) == 0) {
        a->n_name -= sizeof prefix - 1;
        memmove(a->name, a->name + sizeof prefix - 1, a->n_name + 1);
    }
    return colon != NULL;
}

static bool named(struct xn_answer *a) {
    trim(a->name, &a->n_name);
    trim(a->id, &a->n_id);
    if (table_of(a)->functions && !split(a)) a->n_id = 0;
    return a->n_name > 0;
}

// A name or an id: up to a marker.
static enum xn_verdict text(struct xn_answer *a, char c) {
    struct xn_calls_named *s = &a->is.named;
    const struct xn_named_table *t = table_of(a);
    if (s->step == NAME && t->brace && c == '{' && s->marker.n == 0) {
        s->step = START;
        return named(a) && xn_answer_tool(a->options.tools, a->name) ? xn_named_take(a, c) : XN_BAD;
    }
    const bool id = s->step == ID || s->step == LATE_ID;
    const char *const markers[] = {s->step == ID ? t->id_close : t->separator, s->step == NAME ? t->id_open : NULL,
                                   NULL};
    char free[XN_ANSWER_MARKER];
    size_t n;
    const int found = xn_marker_take(&s->marker, markers, c, free, &n);
    for (size_t i = 0; i < n; i++) {
        if (free[i] == '{' || free[i] == '<') return XN_BAD;
        if (!(id ? xn_answer_append(a->id, &a->n_id, free[i]) : xn_answer_append(a->name, &a->n_name, free[i])))
            return XN_BAD;
    }
    if (found < 0) return XN_GOING;
    if (s->step == ID) {
        s->step = NAME;
    } else if (found == 1) {
        s->step = LATE_ID;
    } else {
        if (!named(a)) return XN_BAD;
        s->step = START;
    }
    return XN_GOING;
}

static enum xn_verdict arguments(struct xn_answer *a, char c) {
    struct xn_calls_named *s = &a->is.named;
    char out[8];
    size_t n;
    const enum xn_scan scan = xn_json_arguments(&s->arguments, c, out, &n);
    if (scan == XN_SCAN_BAD) return XN_BAD;
    xn_answer_arguments(a, out, n);
    if (scan != XN_SCAN_LAST) return XN_GOING;
    xn_answer_call_end(a);
    s->some = true;
    s->at = 0;
    s->step = CLOSE;
    return table_of(a)->close ? XN_GOING : XN_DONE;
}

static enum xn_verdict start(struct xn_answer *a, char c) {
    struct xn_calls_named *s = &a->is.named;
    const struct xn_named_table *t = table_of(a);
    if (xn_answer_blank(c)) return XN_GOING;
    s->at = 0;
    if (c == '{' || c == '"') {
        xn_answer_call(a);
        s->arguments = (struct xn_json_arguments){0};
        s->step = ARGUMENTS;
        return arguments(a, c);
    }
    if (t->close && c == t->close[0]) { // no arguments
        xn_answer_call(a);
        xn_answer_arguments(a, "{}", 2);
        xn_answer_call_end(a);
        s->some = true;
        s->step = CLOSE;
        s->at = 1;
        return t->close[1] ? XN_GOING : XN_DONE;
    }
    if (t->typed && strcmp(a->name, "function") == 0) {
        s->step = TYPED_NAME;
        a->n_name = 0;
        return xn_answer_append(a->name, &a->n_name, c) ? XN_GOING : XN_BAD;
    }
    return XN_BAD;
}

// DeepSeek V3: the name's line, then ```json.
static enum xn_verdict typed_name(struct xn_answer *a, char c) {
    struct xn_calls_named *s = &a->is.named;
    if (c == '{') {
        char *end = strchr(a->name, '\n');
        if (!end || strcmp(end, "\n```json\n") != 0) return XN_BAD;
        *end = 0;
        a->n_name = (uint32_t)(end - a->name);
        s->step = START;
        return named(a) ? start(a, c) : XN_BAD;
    }
    return xn_answer_append(a->name, &a->n_name, c) ? XN_GOING : XN_BAD;
}

static enum xn_verdict after(struct xn_answer *a) {
    if (!table_of(a)->section) return XN_DONE;
    a->is.named.step = BETWEEN;
    a->is.named.marker.n = 0;
    return XN_GOING;
}

static enum xn_verdict between(struct xn_answer *a, char c) {
    struct xn_calls_named *s = &a->is.named;
    const struct xn_named_table *t = table_of(a);
    if (s->marker.n == 0 && xn_answer_blank(c)) return XN_GOING;
    const char *const markers[] = {t->open, t->section_close, NULL};
    char free[XN_ANSWER_MARKER];
    size_t n;
    const int found = xn_marker_take(&s->marker, markers, c, free, &n);
    if (n) return XN_BAD;
    if (found == 1) return s->some ? XN_DONE : XN_BAD;
    if (found == 0) call(a);
    return XN_GOING;
}

enum xn_verdict xn_named_take(struct xn_answer *a, char c) {
    struct xn_calls_named *s = &a->is.named;
    const char *close = table_of(a)->close;
    switch (s->step) {
    case BETWEEN:
        return between(a, c);
    case ID:
    case NAME:
    case LATE_ID:
        return text(a, c);
    case TYPED_NAME:
        return typed_name(a, c);
    case START:
        return start(a, c);
    case ARGUMENTS:
        return arguments(a, c);
    default:
        if (s->at == 0 && (xn_answer_blank(c) || (c == '`' && table_of(a)->typed))) return XN_GOING;
        if (c != close[s->at]) return s->at ? XN_BAD : XN_DONE_BEFORE;
        return close[++s->at] ? XN_GOING : after(a);
    }
}

void xn_named_end(struct xn_answer *a) {
    const struct xn_calls_named *s = &a->is.named;
    if (s->some && (s->step == CLOSE || s->step == BETWEEN)) a->held.size = 0;
}
