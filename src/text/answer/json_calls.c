// Calls as objects with a name and arguments, alone or in a list: what Hermes, Llama 3, Mistral, Nemotron and others
// share. Arguments are passed on as the model writes them, from the moment when the name is known.
#include "text/answer/internal.h"

#include <string.h>

enum { BEFORE, ITEM, KEY, KEY_TEXT, COLON, VALUE, NAME, ID, ARGUMENTS, WRAPPED, SKIPPED, NEXT, CLOSE };
enum { KEY_NAME, KEY_ARGUMENTS, KEY_ID, KEY_OTHER };

static const struct xn_json_table *table_of(const struct xn_answer *a) {
    return a->table;
}

static void object(struct xn_answer *a) {
    struct xn_calls_json *j = &a->is.json;
    j->step = KEY;
    a->n_name = a->n_id = 0;
    a->value.size = 0;
}

static int key_kind(const char *key) {
    static const struct {
        const char *name;
        int kind;
    } keys[] = {{"name", KEY_NAME},      {"tool_name", KEY_NAME},       {"arguments", KEY_ARGUMENTS},
                {"args", KEY_ARGUMENTS}, {"parameters", KEY_ARGUMENTS}, {"id", KEY_ID},
                {"call_id", KEY_ID},     {"tool_call_id", KEY_ID}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(keys[i].name, key) == 0) return keys[i].kind;
    return KEY_OTHER;
}

// Gives the call, if it may be one; and the arguments that came before its name.
static bool begin_call(struct xn_answer *a) {
    if (a->n_name == 0 || (table_of(a)->known && !xn_answer_tool(a->options.tools, a->name))) return false;
    xn_answer_call(a);
    xn_answer_arguments(a, a->value.data, a->value.size);
    return true;
}

static void give_or_keep(struct xn_answer *a, const char *text, size_t n, bool *fits) {
    *fits = true;
    if (a->open)
        xn_answer_arguments(a, text, n);
    else
        *fits = xn_answer_value(a, text, n);
}

// The first byte of a key's value.
static enum xn_verdict value(struct xn_answer *a, char c) {
    struct xn_calls_json *j = &a->is.json;
    bool fits;
    if (xn_answer_blank(c)) return XN_GOING;
    j->scan = (struct xn_json_scan){0};
    j->unescape = (struct xn_json_unescape){0};
    if (a->open || (j->key != KEY_ARGUMENTS && j->key != KEY_NAME && j->key != KEY_ID)) {
        j->step = SKIPPED;
        return xn_json_scan(&j->scan, c) == XN_SCAN_BAD ? XN_BAD : XN_GOING;
    }
    if (j->key == KEY_ARGUMENTS) {
        if (c == 'n') { // null: none
            j->step = SKIPPED;
            xn_json_scan(&j->scan, c);
            return XN_GOING;
        }
        if ((c != '{' && c != '"') || a->value.size) return XN_BAD;
        if (a->n_name && !begin_call(a)) return XN_BAD;
        j->step = c == '"' ? WRAPPED : ARGUMENTS;
        if (c == '"') return XN_GOING;
        xn_json_scan(&j->scan, c);
        give_or_keep(a, &c, 1, &fits);
        return XN_GOING;
    }
    if (c != '"') { // a name must be text; an id that is a number is none of ours
        j->step = SKIPPED;
        return j->key == KEY_NAME || xn_json_scan(&j->scan, c) == XN_SCAN_BAD ? XN_BAD : XN_GOING;
    }
    j->step = j->key == KEY_NAME ? NAME : ID;
    return XN_GOING;
}

static enum xn_verdict object_end(struct xn_answer *a) {
    struct xn_calls_json *j = &a->is.json;
    if (table_of(a)->single && !a->open && a->n_name == 0) return XN_BAD;
    if (!a->open) {
        if (table_of(a)->known && a->value.size == 0) return XN_BAD;
        if (!begin_call(a)) return XN_BAD;
        if (a->value.size == 0) xn_answer_arguments(a, "{}", 2);
    }
    xn_answer_call_end(a);
    a->value.size = 0;
    j->some = true;
    j->n_close = 0;
    j->step = j->list ? NEXT : CLOSE;
    return XN_GOING;
}

static enum xn_verdict text(struct xn_answer *a, char c) {
    struct xn_calls_json *j = &a->is.json;
    char bytes[8];
    size_t n;
    const enum xn_scan scan = xn_json_unescape(&j->unescape, c, bytes, &n);
    if (scan == XN_SCAN_BAD) return XN_BAD;
    for (size_t i = 0; i < n; i++) {
        const bool fits = j->step == KEY_TEXT ? xn_answer_append(j->text, &j->n_key, bytes[i])
                          : j->step == NAME   ? xn_answer_append(a->name, &a->n_name, bytes[i])
                                              : xn_answer_append(a->id, &a->n_id, bytes[i]);
        if (!fits) return XN_BAD;
    }
    if (scan == XN_SCAN_MORE) return XN_GOING;
    if (j->step != KEY_TEXT) {
        j->step = KEY;
        return XN_GOING;
    }
    j->step = COLON;
    j->key = (uint8_t)key_kind(j->text);
    if (table_of(a)->single) { // the key is the name
        j->key = KEY_ARGUMENTS;
        if (a->open || a->n_name) return XN_BAD;
        for (uint32_t i = 0; i < j->n_key; i++)
            xn_answer_append(a->name, &a->n_name, j->text[i]);
    }
    return XN_GOING;
}

static enum xn_verdict wrapped(struct xn_answer *a, char c) {
    struct xn_calls_json *j = &a->is.json;
    char bytes[8];
    size_t n;
    bool fits;
    const enum xn_scan scan = xn_json_unescape(&j->unescape, c, bytes, &n);
    if (scan == XN_SCAN_BAD) return XN_BAD;
    give_or_keep(a, bytes, n, &fits);
    if (scan == XN_SCAN_LAST) j->step = KEY;
    return fits ? XN_GOING : XN_BAD;
}

static enum xn_verdict arguments(struct xn_answer *a, char c) {
    struct xn_calls_json *j = &a->is.json;
    bool fits;
    const enum xn_scan scan = xn_json_scan(&j->scan, c);
    give_or_keep(a, &c, 1, &fits);
    if (scan == XN_SCAN_LAST) j->step = KEY;
    return fits ? XN_GOING : XN_BAD;
}

static enum xn_verdict between_keys(struct xn_answer *a, char c) {
    struct xn_calls_json *j = &a->is.json;
    if (xn_answer_blank(c) || c == ',') return XN_GOING;
    if (c == '}') return object_end(a);
    if (c != '"') return XN_BAD;
    j->step = KEY_TEXT;
    j->n_key = 0;
    j->text[0] = 0;
    j->unescape = (struct xn_json_unescape){0};
    return XN_GOING;
}

static enum xn_verdict close(struct xn_answer *a, char c) {
    struct xn_calls_json *j = &a->is.json;
    const struct xn_json_table *t = table_of(a);
    if (j->n_close == 0) {
        if (xn_answer_blank(c)) return XN_GOING;
        if (!j->list && c == '{') {
            object(a);
            return XN_GOING;
        }
        if (!j->list && t->separator && c == t->separator) {
            j->step = ITEM;
            return XN_GOING;
        }
        if (!t->close) return XN_DONE_BEFORE;
    }
    if (c != t->close[j->n_close]) return j->n_close ? XN_BAD : XN_DONE_BEFORE;
    if (t->close[++j->n_close]) return XN_GOING;
    return j->some ? XN_DONE : XN_BAD;
}

void xn_json_begin(struct xn_answer *a, unsigned opener) {
    struct xn_calls_json *j = &a->is.json;
    *j = (struct xn_calls_json){.step = BEFORE};
    const char *text = a->notation->openers[opener];
    if (table_of(a)->opened) {
        j->list = true;
        j->step = ITEM;
    } else if (text[strlen(text) - 1] == '{') {
        object(a);
    }
}

enum xn_verdict xn_json_take(struct xn_answer *a, char c) {
    struct xn_calls_json *j = &a->is.json;
    switch (j->step) {
    case BEFORE:
    case ITEM:
        if (xn_answer_blank(c)) return XN_GOING;
        if (c == '[' && j->step == BEFORE) {
            j->list = true;
            j->step = ITEM;
            return XN_GOING;
        }
        if (c != '{') return XN_BAD;
        object(a);
        return XN_GOING;
    case KEY:
        return between_keys(a, c);
    case COLON:
        if (c == ':') j->step = VALUE;
        return c == ':' || xn_answer_blank(c) ? XN_GOING : XN_BAD;
    case VALUE:
        return value(a, c);
    case KEY_TEXT:
    case NAME:
    case ID:
        return text(a, c);
    case ARGUMENTS:
        return arguments(a, c);
    case WRAPPED:
        return wrapped(a, c);
    case SKIPPED:
        switch (xn_json_scan(&j->scan, c)) {
        case XN_SCAN_LAST:
            j->step = KEY;
            return XN_GOING;
        case XN_SCAN_BEFORE:
            j->step = KEY;
            return between_keys(a, c);
        default:
            return XN_GOING;
        }
    case NEXT:
        if (c == ']') {
            j->step = CLOSE;
            j->n_close = 0;
            return table_of(a)->close ? XN_GOING : XN_DONE;
        }
        if (c == ',') j->step = ITEM;
        return c == ',' || xn_answer_blank(c) ? XN_GOING : XN_BAD;
    default:
        return close(a, c);
    }
}

void xn_json_end(struct xn_answer *a) {
    const struct xn_calls_json *j = &a->is.json;
    if (j->some && (j->step == CLOSE || j->step == NEXT || j->step == ITEM)) a->held.size = 0;
}
