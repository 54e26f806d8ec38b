// Filters on text.
#include "text/jinja/ast.h"
#include "text/jinja/unicode.h"

#include <stdio.h>
#include <string.h>

#define FILTER(name) static struct jv name(struct jinja *j, struct jv v, struct jcall *call)

static bool given(struct jv v) {
    return v.type != J_ABSENT && v.type != J_NONE;
}

static bool integer(struct jinja *j, struct jv v, int64_t fallback, int64_t *out) {
    *out = v.type == J_INT ? v.i : v.type == J_BOOL ? v.b : fallback;
    if (v.type == J_INT || v.type == J_BOOL || v.type == J_ABSENT) return true;
    xn_jinja_fail(j, "'%s' object cannot be interpreted as an integer", xn_jinja_type_name(v));
    return false;
}

// A filter that is a method of the value's text.
static struct jv by_method(struct jinja *j, struct jv v, const char *method, struct jv *pos, size_t n) {
    v = xn_jinja_str(j, v);
    if (j->failed) return j_error;
    struct jcall call = {.pos = pos, .n_pos = n};
    return xn_jinja_call_row(j, xn_jinja_method(v, method, strlen(method)), v, &call);
}

FILTER(do_upper) {
    (void)call;
    return by_method(j, v, "upper", NULL, 0);
}
FILTER(do_lower) {
    (void)call;
    return by_method(j, v, "lower", NULL, 0);
}
FILTER(do_capitalize) {
    (void)call;
    return by_method(j, v, "capitalize", NULL, 0);
}
FILTER(do_trim) { // chars
    return by_method(j, v, "strip", call->a, given(call->a[0]));
}
FILTER(do_center) { // width
    struct jv width = call->a[0].type == J_ABSENT ? j_int(80) : call->a[0];
    return by_method(j, v, "center", &width, 1);
}
FILTER(do_string) {
    (void)call;
    return xn_jinja_str(j, v);
}
FILTER(do_escape) {
    (void)call;
    return xn_jinja_escape(j, v);
}
FILTER(do_forceescape) {
    (void)call;
    return xn_jinja_escape(j, xn_jinja_markup(j, xn_jinja_str(j, v), false));
}
FILTER(do_safe) {
    (void)call;
    return xn_jinja_markup(j, xn_jinja_str(j, v), true);
}

FILTER(do_replace) { // old new count
    struct jv args[3] = {xn_jinja_str(j, call->a[0]), xn_jinja_str(j, call->a[1]),
                         given(call->a[2]) ? call->a[2] : j_int(-1)};
    v = xn_jinja_str(j, v);
    if (j->failed) return j_error;
    if (!j->autoescape) return by_method(j, xn_jinja_markup(j, v, false), "replace", args, 3);
    if (args[0].s->markup || (args[1].s->markup && !v.s->markup)) v = xn_jinja_escape(j, v);
    return j->failed ? j_error : by_method(j, v, "replace", args, 3);
}

FILTER(do_join) { // d attribute
    struct jlist *items = xn_jinja_iterate(j, v);
    struct jv d = call->a[0].type == J_ABSENT ? xn_jinja_borrow(j, "", 0) : xn_jinja_str(j, call->a[0]);
    struct jstr *b = xn_jinja_build(j);
    if (items && given(call->a[1])) {
        struct jv name = xn_jinja_text(j, "map"), key = xn_jinja_text(j, "attribute");
        struct jdict *kw = xn_jinja_dict(j, J_DICT);
        struct jcall map = {.kw = kw};
        if (j->failed || !xn_jinja_set(j, kw, key, call->a[1])) return j_error;
        items = xn_jinja_iterate(
            j, xn_jinja_call_row(j, xn_jinja_filter(name.s->p, name.s->n), xn_jinja_value(j, items), &map));
    }
    if (!items || j->failed) return j_error;
    bool markup = j->autoescape && d.s->markup;
    for (size_t i = 0; j->autoescape && i < items->n; i++)
        markup |= items->v[i].type == J_STRING && items->v[i].s->markup;
    for (size_t i = 0; i < items->n && xn_jinja_step(j, 1); i++) {
        if (i && markup)
            xn_jinja_put_escaped(j, b, d);
        else if (i)
            xn_jinja_put_str(j, b, d.s);
        if (markup)
            xn_jinja_put_escaped(j, b, items->v[i]);
        else
            xn_jinja_put_value(j, b, items->v[i]);
    }
    if (b) b->markup = markup;
    return xn_jinja_value(j, b);
}

FILTER(do_format) {
    v = xn_jinja_str(j, v);
    if (call->n_pos && call->kw)
        return xn_jinja_fail(j, "can't handle positional and keyword arguments at the same time");
    if (j->failed) return j_error;
    if (call->kw && call->kw->n) return xn_jinja_percent(j, v, xn_jinja_value(j, call->kw));
    struct jlist *args = xn_jinja_list(j, J_TUPLE);
    for (size_t i = 0; i < call->n_pos; i++)
        xn_jinja_push(j, args, call->pos[i]);
    return j->failed ? j_error : xn_jinja_percent(j, v, xn_jinja_value(j, args));
}

// Words begin after hyphens, white space and opening brackets; the rest of each is in lower case.
FILTER(do_title) {
    (void)call;
    v = xn_jinja_str(j, v);
    struct jstr *b = xn_jinja_build(j);
    if (j->failed) return j_error;
    for (const char *p = v.s->p, *end = p + v.s->n; p < end && !j->failed;) {
        const char *start = p, *first = p;
        bool separators = false;
        for (bool any = false; p < end; any = true) {
            const char *q = p;
            uint32_t c = xn_jinja_next(&q);
            bool is = c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || xn_jinja_is_space(c);
            if (any && is != separators) break;
            if (!any) first = q;
            separators = is;
            p = q;
        }
        struct jv head = by_method(j, xn_jinja_string(j, start, (size_t)(first - start)), "upper", NULL, 0);
        struct jv tail = by_method(j, xn_jinja_string(j, first, (size_t)(p - first)), "lower", NULL, 0);
        if (j->failed) return j_error;
        xn_jinja_put_str(j, b, head.s);
        xn_jinja_put_str(j, b, tail.s);
    }
    return xn_jinja_value(j, b);
}

FILTER(do_indent) { // width first blank
    struct jv width = call->a[0];
    if (v.type == J_UNDEFINED) return xn_jinja_undefined_error(j, v);
    if (v.type != J_STRING)
        return xn_jinja_fail(j, "unsupported operand type(s) for +=: '%s' and 'str'", xn_jinja_type_name(v));
    struct jstr *by = xn_jinja_build(j);
    if (width.type == J_STRING) {
        if (v.s->markup)
            xn_jinja_put_escaped(j, by, width);
        else
            xn_jinja_put_str(j, by, width.s);
    } else {
        int64_t n;
        if (!integer(j, width, 4, &n)) return j_error;
        xn_jinja_put_fill(j, by, ' ', n);
    }
    struct jv with_end = xn_jinja_binary(j, JO_ADD, v, xn_jinja_markup(j, xn_jinja_text(j, "\n"), v.s->markup));
    struct jlist *lines = xn_jinja_iterate(j, by_method(j, with_end, "splitlines", NULL, 0));
    bool first = xn_jinja_truth(call->a[1]), blank = xn_jinja_truth(call->a[2]);
    struct jstr *b = xn_jinja_build(j);
    for (size_t i = 0; lines && i < lines->n && !j->failed; i++) {
        if (i) xn_jinja_puts(j, b, "\n");
        if (i ? blank || lines->v[i].s->n : first) xn_jinja_put_str(j, b, by);
        xn_jinja_put_str(j, b, lines->v[i].s);
    }
    if (b) b->markup = v.s->markup;
    return xn_jinja_value(j, b);
}

FILTER(do_truncate) { // length killwords end leeway
    int64_t length, leeway;
    struct jv end = call->a[2].type == J_ABSENT ? xn_jinja_text(j, "...") : call->a[2];
    if (!integer(j, call->a[0], 255, &length) || !integer(j, given(call->a[3]) ? call->a[3] : j_absent, 5, &leeway))
        return j_error;
    if (j->failed || end.type != J_STRING) return xn_jinja_fail(j, "truncate() takes a string as end");
    if (v.type == J_UNDEFINED) return v;
    if (v.type != J_STRING) return xn_jinja_fail(j, "object of type '%s' has no len()", xn_jinja_type_name(v));
    int64_t mark = (int64_t)xn_jinja_chars(end.s), most;
    if (length < mark) return xn_jinja_fail(j, "expected length >= %lld, got %lld", (long long)mark, (long long)length);
    if (leeway < 0) return xn_jinja_fail(j, "expected leeway >= 0, got %lld", (long long)leeway);
    if (__builtin_add_overflow(length, leeway, &most) || (int64_t)xn_jinja_chars(v.s) <= most) return v;
    struct jv head = xn_jinja_slice(j, v, j_none, j_int(length - mark), j_none);
    if (j->failed) return j_error;
    const char *space = xn_jinja_truth(call->a[1]) ? NULL : memrchr(head.s->p, ' ', head.s->n);
    if (space) head = xn_jinja_markup(j, xn_jinja_string(j, head.s->p, (size_t)(space - head.s->p)), v.s->markup);
    return j->failed ? j_error : xn_jinja_binary(j, JO_ADD, head, end);
}

FILTER(do_wordcount) {
    (void)call;
    int64_t n = 0;
    v = xn_jinja_str(j, v);
    if (j->failed) return j_error;
    bool inside = false;
    for (const char *p = v.s->p, *end = p + v.s->n; p < end;) {
        bool word = xn_jinja_is_word(xn_jinja_next(&p));
        n += word && !inside;
        inside = word;
    }
    return j_int(n);
}

FILTER(do_filesizeformat) { // binary
    static const char *const prefixes[] = {"k", "M", "G", "T", "P", "E", "Z", "Y"};
    struct jcall none = {0};
    if (v.type == J_STRING || v.type == J_UNDEFINED) v = xn_jinja_call_row(j, xn_jinja_filter("float", 5), v, &none);
    if (j->failed) return j_error;
    if (v.type != J_INT && v.type != J_FLOAT && v.type != J_BOOL)
        return xn_jinja_fail(j, "float() argument must be a string or a real number, not '%s'", xn_jinja_type_name(v));
    double bytes = v.type == J_FLOAT ? v.f : v.type == J_INT ? (double)v.i : v.b;
    bool binary = xn_jinja_truth(call->a[0]);
    double base = binary ? 1024 : 1000, unit = base;
    char text[400];
    if (bytes == 1) return xn_jinja_text(j, "1 Byte");
    if (bytes < base) {
        snprintf(text, sizeof text, "%.0f Bytes", __builtin_trunc(bytes));
        return xn_jinja_text(j, text);
    }
    size_t i = 0;
    for (;; i++) {
        unit *= base;
        if (bytes < unit || i == 7) break;
    }
    snprintf(text, sizeof text, "%.1f %s%sB", base * bytes / unit, i == 0 && binary ? "K" : prefixes[i],
             binary ? "i" : "");
    return xn_jinja_text(j, text);
}

static void put_quoted(struct jinja *j, struct jstr *b, struct jv v, bool query) {
    v = xn_jinja_str(j, v);
    for (size_t i = 0; !j->failed && i < v.s->n; i++) {
        unsigned char c = (unsigned char)v.s->p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     (c && strchr("_.-~", c)) || (c == '/' && !query);
        char text[4];
        snprintf(text, sizeof text, plain ? "%c" : query && c == ' ' ? "+" : "%%%02X", c);
        xn_jinja_puts(j, b, text);
    }
}

FILTER(do_urlencode) {
    (void)call;
    struct jstr *b = xn_jinja_build(j);
    if (v.type == J_STRING || !xn_jinja_is_iterable(v)) {
        put_quoted(j, b, v, false);
        return xn_jinja_value(j, b);
    }
    struct jlist *items = v.type == J_DICT ? NULL : xn_jinja_iterate(j, v);
    size_t n = v.type == J_DICT ? v.d->n : items ? items->n : 0;
    for (size_t i = 0; i < n && !j->failed; i++) {
        struct jv key, value;
        if (v.type == J_DICT) {
            key = v.d->v[i].key;
            value = v.d->v[i].value;
        } else {
            struct jlist *pair = xn_jinja_iterate(j, items->v[i]);
            if (!pair) return j_error;
            if (pair->n != 2) return xn_jinja_fail(j, "urlencode() takes pairs, found %zu values", pair->n);
            key = pair->v[0];
            value = pair->v[1];
        }
        if (i) xn_jinja_puts(j, b, "&");
        put_quoted(j, b, key, true);
        xn_jinja_puts(j, b, "=");
        put_quoted(j, b, value, true);
    }
    return xn_jinja_value(j, b);
}

FILTER(do_xmlattr) { // autospace
    struct jstr *b = xn_jinja_build(j);
    if (v.type != J_DICT) return xn_jinja_fail(j, "'%s' object has no attribute 'items'", xn_jinja_type_name(v));
    bool space = call->a[0].type == J_ABSENT || xn_jinja_truth(call->a[0]);
    for (size_t i = 0; i < v.d->n && !j->failed; i++) {
        struct jv key = v.d->v[i].key, value = v.d->v[i].value;
        if (value.type == J_NONE || value.type == J_UNDEFINED) continue;
        if (key.type != J_STRING)
            return xn_jinja_fail(j, "expected string or bytes-like object, got '%s'", xn_jinja_type_name(key));
        for (size_t k = 0; k < key.s->n; k++)
            if (strchr(" \t\n\r\f\v/>=", key.s->p[k]) && key.s->p[k]) {
                struct jv name = xn_jinja_repr(j, key);
                return j->failed
                           ? j_error
                           : xn_jinja_fail(j, "Invalid character in attribute name: %s", xn_jinja_cstring(j, name));
            }
        if (b->n || space) xn_jinja_puts(j, b, " ");
        xn_jinja_put_escaped(j, b, key);
        xn_jinja_puts(j, b, "=\"");
        xn_jinja_put_escaped(j, b, value);
        xn_jinja_puts(j, b, "\"");
    }
    if (b) b->markup = j->autoescape;
    return xn_jinja_value(j, b);
}

const struct jrow xn_jinja_text_filters[] = {
    {"capitalize", do_capitalize, "", 0},
    {"center", do_center, "width", 0},
    {"e", do_escape, "", 0},
    {"escape", do_escape, "", 0},
    {"filesizeformat", do_filesizeformat, "binary", 0},
    {"forceescape", do_forceescape, "", 0},
    {"format", do_format, "*", 0},
    {"indent", do_indent, "width first blank", 0},
    {"join", do_join, "d attribute", 0},
    {"lower", do_lower, "", 0},
    {"replace", do_replace, "old new count", 2},
    {"safe", do_safe, "", 0},
    {"string", do_string, "", 0},
    {"title", do_title, "", 0},
    {"trim", do_trim, "chars", 0},
    {"truncate", do_truncate, "length killwords end leeway", 0},
    {"upper", do_upper, "", 0},
    {"urlencode", do_urlencode, "", 0},
    {"wordcount", do_wordcount, "", 0},
    {"xmlattr", do_xmlattr, "autospace", 0},
    {0},
};
