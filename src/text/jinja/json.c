// JSON: the variables of a template from it, and the filter tojson, which writes as Python's json.dumps does.
#include "text/jinja/ast.h"
#include "text/jinja/unicode.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static struct jv from_object(struct jinja *j, const json_t *json) {
    struct jdict *d = xn_jinja_dict(j, J_DICT);
    const char *key;
    size_t n;
    json_t *item;
    json_object_keylen_foreach((json_t *)json, key, n, item) {
        struct jv name = xn_jinja_borrow(j, key, n), v = j->failed ? j_error : xn_jinja_from_json(j, item);
        if (j->failed || !xn_jinja_set(j, d, name, v)) break;
    }
    return xn_jinja_value(j, d);
}

struct jv xn_jinja_from_json(struct jinja *j, const json_t *json) {
    if (!xn_jinja_enter(j)) return j_error;
    struct jv v = j_none;
    switch (json ? json_typeof(json) : JSON_NULL) {
    case JSON_OBJECT:
        v = from_object(j, json);
        break;
    case JSON_ARRAY: {
        struct jlist *l = xn_jinja_list(j, J_LIST);
        for (size_t i = 0; i < json_array_size(json) && !j->failed; i++)
            xn_jinja_push(j, l, xn_jinja_from_json(j, json_array_get(json, i)));
        v = xn_jinja_value(j, l);
        break;
    }
    case JSON_STRING: // lives as long as the variables do, which the caller keeps
        v = xn_jinja_borrow(j, json_string_value(json), json_string_length(json));
        break;
    case JSON_INTEGER:
        v = j_int(json_integer_value(json));
        break;
    case JSON_REAL:
        v = j_float(json_real_value(json));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        v = j_bool(json_is_true(json));
        break;
    case JSON_NULL:
        break;
    }
    j->depth--;
    return j->failed ? j_error : v;
}

struct dump {
    struct jstr *b;
    struct jv indent; // a string, or J_NONE
    struct jv item_separator, key_separator;
    bool ascii, sort;
    unsigned level;
};

static void dump_string(struct jinja *j, const struct dump *o, const struct jstr *s) {
    xn_jinja_puts(j, o->b, "\"");
    for (const char *p = s->p, *end = p + s->n; p < end && !j->failed;) {
        const char *start = p;
        while (p < end && (unsigned char)*p >= 0x20 && *p != '"' && *p != '\\' &&
               (!o->ascii || (unsigned char)*p < 0x80))
            p++;
        xn_jinja_put(j, o->b, start, (size_t)(p - start));
        if (p == end) break;
        uint32_t c = xn_jinja_next(&p);
        static const char letters[] = "\"\\\n\r\t\b\f", names[] = "\"\\nrtbf";
        const char *letter = c && c < 0x80 ? strchr(letters, (int)c) : NULL;
        char escape[16];
        if (letter)
            snprintf(escape, sizeof escape, "\\%c", names[letter - letters]);
        else if (c < 0x10000)
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)c);
        else
            snprintf(escape, sizeof escape, "\\u%04x\\u%04x", 0xd800 + ((unsigned)(c - 0x10000) >> 10),
                     0xdc00 + ((unsigned)c & 0x3ff));
        xn_jinja_puts(j, o->b, escape);
    }
    xn_jinja_puts(j, o->b, "\"");
}

static bool dump(struct jinja *j, struct dump *o, struct jv v);

static void dump_line(struct jinja *j, const struct dump *o) {
    if (o->indent.type != J_STRING) return;
    xn_jinja_puts(j, o->b, "\n");
    for (unsigned i = 0; i < o->level && !j->failed; i++)
        xn_jinja_put_str(j, o->b, o->indent.s);
}

static void dump_scalar(struct jinja *j, const struct dump *o, struct jv v) {
    char text[40];
    switch (v.type) {
    case J_STRING:
        dump_string(j, o, v.s);
        return;
    case J_NONE:
        strcpy(text, "null");
        break;
    case J_BOOL:
        strcpy(text, v.b ? "true" : "false");
        break;
    case J_INT:
        snprintf(text, sizeof text, "%" PRId64, v.i);
        break;
    case J_FLOAT:
        if (isfinite(v.f))
            xn_jinja_float_repr(v.f, text);
        else
            strcpy(text, isnan(v.f) ? "NaN" : v.f < 0 ? "-Infinity" : "Infinity");
        break;
    default:
        xn_jinja_fail(j, "Object of type %s is not JSON serializable", xn_jinja_type_name(v));
        return;
    }
    xn_jinja_puts(j, o->b, text);
}

static void dump_key(struct jinja *j, const struct dump *o, struct jv key) {
    if (key.type == J_STRING) {
        dump_string(j, o, key.s);
    } else if (key.type == J_NONE || key.type == J_BOOL || key.type == J_INT || key.type == J_FLOAT) {
        xn_jinja_puts(j, o->b, "\"");
        dump_scalar(j, o, key);
        xn_jinja_puts(j, o->b, "\"");
    } else {
        xn_jinja_fail(j, "keys must be str, int, float, bool or None, not %s", xn_jinja_type_name(key));
    }
}

static void dump_dict(struct jinja *j, struct dump *o, struct jdict *d) {
    struct jlist *keys = xn_jinja_list(j, J_LIST), *values = xn_jinja_list(j, J_LIST);
    for (size_t i = 0; i < d->n; i++) {
        xn_jinja_push(j, keys, d->v[i].key);
        xn_jinja_push(j, values, d->v[i].value);
    }
    if (j->failed || (o->sort && !xn_jinja_sort(j, values->v, keys->v, keys->n, false))) return;
    xn_jinja_puts(j, o->b, "{");
    o->level++;
    for (size_t i = 0; i < keys->n && !j->failed; i++) {
        if (i) xn_jinja_put_str(j, o->b, o->item_separator.s);
        dump_line(j, o);
        dump_key(j, o, keys->v[i]);
        xn_jinja_put_str(j, o->b, o->key_separator.s);
        dump(j, o, values->v[i]);
    }
    o->level--;
    if (keys->n) dump_line(j, o);
    xn_jinja_puts(j, o->b, "}");
}

static void dump_list(struct jinja *j, struct dump *o, const struct jlist *l) {
    xn_jinja_puts(j, o->b, "[");
    o->level++;
    for (size_t i = 0; i < l->n && !j->failed; i++) {
        if (i) xn_jinja_put_str(j, o->b, o->item_separator.s);
        dump_line(j, o);
        dump(j, o, l->v[i]);
    }
    o->level--;
    if (l->n) dump_line(j, o);
    xn_jinja_puts(j, o->b, "]");
}

static bool dump(struct jinja *j, struct dump *o, struct jv v) {
    if (!xn_jinja_step(j, 1) || !xn_jinja_enter(j)) return false;
    if (v.type == J_DICT)
        dump_dict(j, o, v.d);
    else if (v.type == J_LIST || v.type == J_TUPLE)
        dump_list(j, o, v.l);
    else
        dump_scalar(j, o, v);
    j->depth--;
    return !j->failed;
}

// tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False)
struct jv xn_jinja_tojson(struct jinja *j, struct jv value, struct jcall *call) {
    struct jv indent = call->a[1], separators = call->a[2];
    struct dump o = {.b = xn_jinja_build(j), .indent = j_none};
    o.ascii = xn_jinja_truth(call->a[0]);
    o.sort = xn_jinja_truth(call->a[3]);
    if (indent.type == J_STRING) {
        o.indent = indent;
    } else if (indent.type == J_INT || indent.type == J_BOOL) {
        struct jstr *spaces = xn_jinja_build(j);
        xn_jinja_put_fill(j, spaces, ' ', indent.type == J_BOOL ? indent.b : indent.i);
        o.indent = xn_jinja_value(j, spaces);
    } else if (indent.type != J_NONE && indent.type != J_ABSENT) {
        return xn_jinja_fail(j, "can't multiply sequence by non-int of type '%s'", xn_jinja_type_name(indent));
    }
    if (separators.type == J_NONE || separators.type == J_ABSENT) {
        o.item_separator = xn_jinja_text(j, o.indent.type == J_STRING ? "," : ", ");
        o.key_separator = xn_jinja_text(j, ": ");
    } else {
        struct jlist *l = xn_jinja_iterate(j, separators);
        if (!l) return j_error;
        if (l->n != 2 || l->v[0].type != J_STRING || l->v[1].type != J_STRING)
            return xn_jinja_fail(j, "separators must be a pair of strings");
        o.item_separator = l->v[0];
        o.key_separator = l->v[1];
    }
    if (!j->failed) dump(j, &o, value);
    return xn_jinja_value(j, o.b);
}
