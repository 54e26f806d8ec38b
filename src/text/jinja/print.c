// Values as Python prints them: str and repr, and text escaped for HTML.
#include "text/jinja/ast.h"
#include "text/jinja/unicode.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void xn_jinja_float_repr(double f, char out[40]) {
    if (isnan(f) || isinf(f)) {
        strcpy(out, isnan(f) ? "nan" : f < 0 ? "-inf" : "inf");
        return;
    }
    char digits[40];
    int precision = 0;
    do
        snprintf(digits, sizeof digits, "%.*e", precision, f);
    while (strtod(digits, NULL) != f && precision++ < 17);
    // d.ddde[+-]xx: decimal unless the exponent is below -4 or from 16 on
    char *e = strchr(digits, 'e');
    int exponent = atoi(e + 1);
    if (exponent >= -4 && exponent < 16) {
        int decimals = precision - exponent;
        snprintf(out, 40, "%.*f", decimals > 1 ? decimals : 1, f);
        return;
    }
    *e = 0;
    snprintf(out, 40, "%.24se%c%02d", digits, exponent < 0 ? '-' : '+', abs(exponent) % 1000);
}

static void put_string_repr(struct jinja *j, struct jstr *b, const struct jstr *s) {
    char quote = memchr(s->p, '\'', s->n) && !memchr(s->p, '"', s->n) ? '"' : '\'';
    xn_jinja_put(j, b, &quote, 1);
    for (const char *p = s->p, *end = p + s->n; p < end && !j->failed;) {
        const char *start = p;
        uint32_t c = xn_jinja_next(&p);
        char escape[16];
        if (c == (uint32_t)quote || c == '\\')
            snprintf(escape, sizeof escape, "\\%c", (int)c);
        else if (c == '\n')
            strcpy(escape, "\\n");
        else if (c == '\r')
            strcpy(escape, "\\r");
        else if (c == '\t')
            strcpy(escape, "\\t");
        else if (xn_jinja_is_printable(c)) {
            xn_jinja_put(j, b, start, (size_t)(p - start));
            continue;
        } else
            snprintf(escape, sizeof escape, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)c);
        xn_jinja_puts(j, b, escape);
    }
    xn_jinja_put(j, b, &quote, 1);
}

static void put_items(struct jinja *j, struct jstr *b, const struct jlist *l, const char *open, const char *close) {
    xn_jinja_puts(j, b, open);
    for (size_t i = 0; i < l->n && !j->failed; i++) {
        if (i) xn_jinja_puts(j, b, ", ");
        xn_jinja_put_repr(j, b, l->v[i]);
    }
    xn_jinja_puts(j, b, close);
}

static void put_dict(struct jinja *j, struct jstr *b, const struct jdict *d) {
    xn_jinja_puts(j, b, "{");
    for (size_t i = 0; i < d->n && !j->failed; i++) {
        if (i) xn_jinja_puts(j, b, ", ");
        xn_jinja_put_repr(j, b, d->v[i].key);
        xn_jinja_puts(j, b, ": ");
        xn_jinja_put_repr(j, b, d->v[i].value);
    }
    xn_jinja_puts(j, b, "}");
}

static void put_range(struct jinja *j, struct jstr *b, const struct jrange *r) {
    char text[96];
    snprintf(text, sizeof text,
             r->step == 1 ? "range(%" PRId64 ", %" PRId64 ")" : "range(%" PRId64 ", %" PRId64 ", %" PRId64 ")",
             r->start, r->stop, r->step);
    xn_jinja_puts(j, b, text);
}

// What Python prints with an address in memory; here without one.
static void put_object(struct jinja *j, struct jstr *b, struct jv v) {
    char text[256];
    switch (v.type) {
    case J_MACRO:
        snprintf(text, sizeof text, "<Macro '%.200s'>", xn_jinja_cstring(j, v.macro->node->value));
        break;
    case J_LOOP:
        snprintf(text, sizeof text, "<LoopContext %" PRId64 "/%zu>", v.loop->index0 + 1, v.loop->items->n);
        break;
    case J_FUNCTION:
        snprintf(text, sizeof text, "<function %.100s>", v.row->name);
        break;
    case J_METHOD:
        snprintf(text, sizeof text, "<built-in method %.100s of %.50s object>", v.method->row->name,
                 xn_jinja_type_name(v.method->self));
        break;
    default:
        snprintf(text, sizeof text, "<%s object>", xn_jinja_type_name(v));
    }
    xn_jinja_puts(j, b, text);
}

static void put_repr(struct jinja *j, struct jstr *b, struct jv v) {
    char text[40];
    switch (v.type) {
    case J_UNDEFINED:
        xn_jinja_puts(j, b, "Undefined");
        break;
    case J_NONE:
        xn_jinja_puts(j, b, "None");
        break;
    case J_BOOL:
        xn_jinja_puts(j, b, v.b ? "True" : "False");
        break;
    case J_INT:
        snprintf(text, sizeof text, "%" PRId64, v.i);
        xn_jinja_puts(j, b, text);
        break;
    case J_FLOAT:
        xn_jinja_float_repr(v.f, text);
        xn_jinja_puts(j, b, text);
        break;
    case J_STRING:
        if (v.s->markup) xn_jinja_puts(j, b, "Markup(");
        put_string_repr(j, b, v.s);
        if (v.s->markup) xn_jinja_puts(j, b, ")");
        break;
    case J_LIST:
        put_items(j, b, v.l, "[", "]");
        break;
    case J_TUPLE:
        put_items(j, b, v.l, "(", v.l->n == 1 ? ",)" : ")");
        break;
    case J_KEYS:
    case J_VALUES:
    case J_ITEMS:
        xn_jinja_puts(j, b, xn_jinja_type_name(v));
        put_items(j, b, v.l, "([", "])");
        break;
    case J_DICT:
        put_dict(j, b, v.d);
        break;
    case J_NAMESPACE:
        xn_jinja_puts(j, b, "<Namespace ");
        put_dict(j, b, v.d);
        xn_jinja_puts(j, b, ">");
        break;
    case J_RANGE:
        put_range(j, b, v.range);
        break;
    default:
        put_object(j, b, v);
    }
}

void xn_jinja_put_repr(struct jinja *j, struct jstr *b, struct jv v) {
    if (!xn_jinja_step(j, 1) || !xn_jinja_enter(j)) return;
    put_repr(j, b, v);
    j->depth--;
}

void xn_jinja_put_value(struct jinja *j, struct jstr *b, struct jv v) {
    if (v.type == J_STRING)
        xn_jinja_put_str(j, b, v.s);
    else if (v.type != J_UNDEFINED)
        xn_jinja_put_repr(j, b, v);
}

struct jv xn_jinja_str(struct jinja *j, struct jv v) {
    if (v.type == J_STRING) return v;
    struct jstr *b = xn_jinja_build(j);
    xn_jinja_put_value(j, b, v);
    return xn_jinja_value(j, b);
}

struct jv xn_jinja_repr(struct jinja *j, struct jv v) {
    struct jstr *b = xn_jinja_build(j);
    xn_jinja_put_repr(j, b, v);
    return xn_jinja_value(j, b);
}

void xn_jinja_put_escaped(struct jinja *j, struct jstr *b, struct jv v) {
    v = xn_jinja_str(j, v);
    if (j->failed) return;
    if (v.s->markup) {
        xn_jinja_put_str(j, b, v.s);
        return;
    }
    for (const char *p = v.s->p, *end = p + v.s->n; p < end && !j->failed; p++) {
        const char *plain = p;
        while (p < end && !strchr("&<>'\"", *p))
            p++;
        // strchr finds the NUL that a text may hold as well; it is put as it is below.
        xn_jinja_put(j, b, plain, (size_t)(p - plain));
        if (p == end) break;
        const char *entity = *p == '&'   ? "&amp;"
                             : *p == '<' ? "&lt;"
                             : *p == '>' ? "&gt;"
                             : *p == '"' ? "&#34;"
                                         : "&#39;";
        if (*p)
            xn_jinja_puts(j, b, entity);
        else
            xn_jinja_put(j, b, p, 1);
    }
}

struct jv xn_jinja_escape(struct jinja *j, struct jv v) {
    if (v.type == J_STRING && v.s->markup) return v;
    struct jstr *b = xn_jinja_build(j);
    xn_jinja_put_escaped(j, b, v);
    if (b) b->markup = true;
    return xn_jinja_value(j, b);
}
