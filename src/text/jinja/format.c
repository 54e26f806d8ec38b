// Formatting: "..." % arguments, and str.format.
#include "text/jinja/ast.h"
#include "text/jinja/unicode.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

// What a directive asks for, of either language.
struct spec {
    uint32_t fill;
    char align; // < > ^ = or 0: the type's own
    char sign;  // + - or space
    bool alternate, zero;
    char group;               // , or _ or 0
    int64_t width, precision; // precision < 0: none
    char type;                // 0: the value's own
};

enum { MOST_PRECISION = 1000, NUMBER_ROOM = 2048 };

static void put_padded(struct jinja *j, struct jstr *b, const struct spec *s, const char *p, size_t n, char align) {
    struct jstr text = {.p = p, .n = n, .chars = SIZE_MAX};
    int64_t missing = s->width - (int64_t)xn_jinja_chars(&text);
    if (missing < 0) missing = 0;
    int64_t left = align == '>' ? missing : align == '^' ? missing / 2 : 0;
    xn_jinja_put_fill(j, b, s->fill, left);
    xn_jinja_put(j, b, p, n);
    xn_jinja_put_fill(j, b, s->fill, missing - left);
}

// Digits with a sign and a prefix (0x): zeros and '=' go between them and the digits.
static void put_number(struct jinja *j, struct jstr *b, const struct spec *s, bool negative, const char *prefix,
                       const char *digits) {
    char head[8], text[NUMBER_ROOM + 1100];
    snprintf(head, sizeof head, "%s%s", negative ? "-" : s->sign == '+' ? "+" : s->sign == ' ' ? " " : "", prefix);
    size_t n = strlen(digits), whole = strspn(digits, "0123456789"), o = 0;
    for (size_t i = 0; i < n; i++) {
        if (s->group && i && i < whole && (whole - i) % 3 == 0) text[o++] = s->group;
        text[o++] = digits[i];
    }
    text[o] = 0;
    char align = s->align ? s->align : '>';
    bool zeros = s->zero && !s->align;
    if (!zeros && align != '=') {
        char all[sizeof text + sizeof head];
        size_t h = strlen(head);
        memcpy(all, head, h);
        memcpy(all + h, text, o);
        put_padded(j, b, s, all, h + o, align);
        return;
    }
    xn_jinja_puts(j, b, head);
    int64_t room = s->width - (int64_t)(strlen(head) + o);
    if (zeros && s->group && room > 0) { // the zeros are grouped as the digits are
        int64_t have = (int64_t)strcspn(text, ".e%"), at = room + have;
        if (at % 4 == 0) at++; // a separator needs a digit before it
        for (; at > have && !j->failed; at--)
            xn_jinja_put(j, b, at % 4 == 0 ? &s->group : "0", 1);
    } else {
        xn_jinja_put_fill(j, b, zeros ? '0' : s->fill, room);
    }
    xn_jinja_put(j, b, text, o);
}

static void put_int(struct jinja *j, struct jstr *b, const struct spec *s, int64_t i, bool prefixed) {
    uint64_t size = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    char digits[NUMBER_ROOM], plain[80];
    const char *prefix = "";
    if (s->type == 'x' || s->type == 'X') {
        snprintf(plain, sizeof plain, s->type == 'x' ? "%" PRIx64 : "%" PRIX64, size);
        prefix = s->type == 'x' ? "0x" : "0X";
    } else if (s->type == 'o') {
        snprintf(plain, sizeof plain, "%" PRIo64, size);
        prefix = "0o";
    } else if (s->type == 'b') {
        int n = size ? 64 - __builtin_clzll(size) : 1;
        for (int k = 0; k < n; k++)
            plain[k] = (char)('0' + (size >> (n - 1 - k) & 1));
        plain[n] = 0;
        prefix = "0b";
    } else {
        snprintf(plain, sizeof plain, "%" PRIu64, size);
    }
    size_t n = strlen(plain), zeros = s->precision > (int64_t)n ? (size_t)s->precision - n : 0;
    memset(digits, '0', zeros);
    memcpy(digits + zeros, plain, n + 1);
    put_number(j, b, s, i < 0, prefixed ? prefix : "", digits);
}

static void put_float(struct jinja *j, struct jstr *b, const struct spec *s, double f) {
    char digits[NUMBER_ROOM];
    bool negative = signbit(f) && !isnan(f), capital = s->type && strchr("EFG", s->type);
    int precision = s->precision < 0 ? 6 : (int)s->precision;
    if (!isfinite(f)) {
        strcpy(digits, isnan(f) ? (capital ? "NAN" : "nan") : capital ? "INF" : "inf");
    } else if (!s->type && s->precision < 0) {
        xn_jinja_float_repr(fabs(f), digits);
    } else if (!s->type) { // as g, but at least one digit behind the point
        snprintf(digits, sizeof digits, "%.*g", precision ? precision : 1, fabs(f));
        if (!strpbrk(digits, ".e")) strcat(digits, ".0");
    } else {
        char format[8];
        snprintf(format, sizeof format, "%%%s.*%c", s->alternate ? "#" : "",
                 s->type == '%'   ? 'f'
                 : s->type == 'n' ? 'g'
                                  : s->type);
        // The format is one of %.*e %.*f %.*g in either case, with or without '#'.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(digits, sizeof digits - 1, format, precision, fabs(s->type == '%' ? f * 100 : f));
#pragma GCC diagnostic pop
        if (s->type == '%') strcat(digits, "%");
    }
    put_number(j, b, s, negative, "", digits);
}

// Arguments of %

struct percent {
    struct jv args;
    bool tuple, markup;
    size_t at;
};

static struct jv next_argument(struct jinja *j, struct percent *p) {
    if (p->tuple && p->at < p->args.l->n) return p->args.l->v[p->at++];
    if (!p->tuple && p->at == 0) {
        p->at = 1;
        return p->args;
    }
    return xn_jinja_fail(j, "not enough arguments for format string");
}

static bool star(struct jinja *j, struct percent *p, int64_t *out) {
    struct jv v = next_argument(j, p);
    if (j->failed) return false;
    if (v.type != J_INT) {
        xn_jinja_fail(j, "* wants int");
        return false;
    }
    *out = v.i;
    return true;
}

static const char *number(struct jinja *j, const char *p, const char *end, int64_t *out) {
    int64_t n = 0;
    for (; p < end && *p >= '0' && *p <= '9'; p++) {
        n = n * 10 + (*p - '0');
        if (n > INT32_MAX) {
            xn_jinja_fail(j, "width or precision too big");
            return end;
        }
    }
    *out = n;
    return p;
}

static void percent_string(struct jinja *j, struct jstr *b, const struct percent *p, struct spec *s, struct jv v) {
    v = s->type == 's' ? xn_jinja_str(j, v) : xn_jinja_repr(j, v);
    if (p->markup) v = xn_jinja_escape(j, v);
    if (j->failed) return;
    size_t n = v.s->n;
    if (s->precision >= 0 && (size_t)s->precision < xn_jinja_chars(v.s)) n = xn_jinja_offset(v.s, (size_t)s->precision);
    put_padded(j, b, s, v.s->p, n, s->align == '<' ? '<' : '>');
}

static void percent_char(struct jinja *j, struct jstr *b, const struct spec *s, struct jv v) {
    char bytes[4];
    if (v.type == J_STRING && xn_jinja_chars(v.s) == 1) {
        put_padded(j, b, s, v.s->p, v.s->n, s->align == '<' ? '<' : '>');
    } else if (v.type == J_INT && v.i >= 0 && v.i <= 0x10ffff && (v.i < 0xd800 || v.i > 0xdfff)) {
        put_padded(j, b, s, bytes, xn_utf8_encode((uint32_t)v.i, bytes), s->align == '<' ? '<' : '>');
    } else {
        xn_jinja_fail(j, "%%c requires int or char");
    }
}

static void percent_number(struct jinja *j, struct jstr *b, struct spec *s, struct jv v) {
    char type = s->type;
    if (v.type == J_UNDEFINED) {
        xn_jinja_undefined_error(j, v);
        return;
    }
    if (v.type != J_INT && v.type != J_BOOL && v.type != J_FLOAT) {
        if (strchr("eEfFgG", type))
            xn_jinja_fail(j, "must be real number, not %s", xn_jinja_type_name(v));
        else
            xn_jinja_fail(j, "%%%c format: %s is required, not %s", type,
                          strchr("di", type) || type == 'u' ? "a real number" : "an integer", xn_jinja_type_name(v));
        return;
    }
    if (strchr("eEfFgG", type)) {
        put_float(j, b, s, v.type == J_FLOAT ? v.f : v.type == J_INT ? (double)v.i : v.b);
        return;
    }
    if (v.type == J_FLOAT && strchr("oxX", type)) {
        xn_jinja_fail(j, "%%%c format: an integer is required, not float", type);
        return;
    }
    if (v.type == J_FLOAT && !(fabs(v.f) < 9.2e18)) {
        xn_jinja_fail(j, "cannot convert this float to an integer");
        return;
    }
    put_int(j, b, s, v.type == J_FLOAT ? (int64_t)v.f : v.type == J_INT ? v.i : v.b, s->alternate);
}

// One directive, from after its '%'; where it ends.
static const char *percent_one(struct jinja *j, struct jstr *b, struct percent *args, const char *p, const char *end) {
    const char *start = p;
    struct spec s = {.fill = ' ', .precision = -1};
    struct jv keyed = j_absent;
    if (p < end && *p == '(') {
        int depth = 1;
        const char *key = ++p;
        for (; p < end && (depth += (*p == '(') - (*p == ')')); p++)
            ;
        if (p >= end) return xn_jinja_fail(j, "incomplete format key"), end;
        if (args->args.type != J_DICT) return xn_jinja_fail(j, "format requires a mapping"), end;
        struct jv name = xn_jinja_string(j, key, (size_t)(p - key));
        if (!j->failed && !xn_jinja_get(j, args->args.d, name, &keyed) && !j->failed)
            xn_jinja_fail(j, "KeyError: '%s'", xn_jinja_cstring(j, name));
        args->at = 1;
        p++;
    }
    bool left = false;
    for (; p < end && strchr("-+ #0", *p) && *p; p++) {
        left |= *p == '-';
        s.zero |= *p == '0';
        s.alternate |= *p == '#';
        if (*p == '+' || (*p == ' ' && s.sign != '+')) s.sign = *p;
    }
    if (p < end && *p == '*') {
        if (!star(j, args, &s.width)) return end;
        p++;
        if (s.width < 0) {
            left = true;
            s.width = s.width == INT64_MIN ? INT64_MAX : -s.width;
        }
    } else {
        p = number(j, p, end, &s.width);
    }
    if (left) s.align = '<';
    if (p < end && *p == '.') {
        p++;
        if (p < end && *p == '*') {
            if (!star(j, args, &s.precision)) return end;
            if (s.precision < 0) s.precision = 0;
            p++;
        } else {
            p = number(j, p, end, &s.precision);
        }
    }
    if (p < end && (*p == 'h' || *p == 'l' || *p == 'L')) p++;
    if (p >= end) return xn_jinja_fail(j, "incomplete format"), end;
    s.type = *p++;
    if (s.type == '%' && p == start + 1) return xn_jinja_put(j, b, "%", 1), p;
    if (!s.type || !strchr("diuoxXeEfFgGcrsa", s.type))
        return xn_jinja_fail(j, "unsupported format character U+%04X", (unsigned)(unsigned char)s.type), end;
    struct jv v = keyed.type == J_ABSENT ? next_argument(j, args) : keyed;
    if (j->failed) return end;
    if (s.type == 's' || s.type == 'r' || s.type == 'a') {
        percent_string(j, b, args, &s, v);
    } else if (s.type == 'c') {
        percent_char(j, b, &s, v);
    } else if (s.precision > MOST_PRECISION) {
        xn_jinja_fail(j, "precision too large");
    } else {
        percent_number(j, b, &s, v);
    }
    return p;
}

struct jv xn_jinja_percent(struct jinja *j, struct jv format, struct jv args) {
    struct percent p = {.args = args, .tuple = args.type == J_TUPLE, .markup = format.s->markup};
    struct jstr *b = xn_jinja_build(j);
    for (const char *s = format.s->p, *end = s + format.s->n; s < end && xn_jinja_step(j, 1);) {
        const char *directive = memchr(s, '%', (size_t)(end - s));
        xn_jinja_put(j, b, s, (size_t)((directive ? directive : end) - s));
        if (!directive) break;
        s = percent_one(j, b, &p, directive + 1, end);
    }
    // A mapping (and in Python whatever has items) may be left unused.
    bool mapping = args.type == J_DICT || args.type == J_LIST || args.type == J_UNDEFINED;
    if (!j->failed && (p.tuple ? p.at < args.l->n : !p.at && !mapping))
        return xn_jinja_fail(j, "not all arguments converted during string formatting");
    if (b) b->markup = p.markup;
    return xn_jinja_value(j, b);
}

// str.format

static bool parse_spec(struct jinja *j, const char *p, const char *end, struct spec *s) {
    *s = (struct spec){.fill = ' ', .precision = -1};
    const char *after = p;
    bool filled = false;
    if (p < end) xn_jinja_next(&after);
    if (after < end && strchr("<>^=", *after)) {
        const char *fill = p;
        s->fill = xn_jinja_next(&fill);
        s->align = *after;
        filled = true;
        p = after + 1;
    } else if (p < end && strchr("<>^=", *p)) {
        s->align = *p++;
    }
    if (p < end && strchr("+- ", *p)) s->sign = *p++;
    if (p < end && *p == '#') {
        s->alternate = true;
        p++;
    }
    if (p < end && *p == '0') {
        p++;
        s->zero = !s->align;
        if (!filled) s->fill = '0';
    }
    p = number(j, p, end, &s->width);
    if (p < end && (*p == ',' || *p == '_')) s->group = *p++;
    if (p < end && *p == '.') {
        const char *digits = p + 1;
        p = number(j, digits, end, &s->precision);
        if (p == digits) xn_jinja_fail(j, "Format specifier missing precision");
    }
    if (p < end) s->type = *p++;
    if (p < end) xn_jinja_fail(j, "Invalid format specifier");
    return !j->failed;
}

static void format_value(struct jinja *j, struct jstr *b, struct jv v, const char *p, const char *end) {
    struct spec s;
    bool number = v.type == J_INT || v.type == J_FLOAT || v.type == J_BOOL;
    if (p == end) {
        xn_jinja_put_value(j, b, v);
        return;
    }
    if (!parse_spec(j, p, end, &s)) return;
    if (v.type == J_STRING) {
        if ((s.type && s.type != 's') || s.sign || s.alternate || s.group || s.align == '=') {
            xn_jinja_fail(j, "Invalid format specifier for a string");
            return;
        }
        size_t n = v.s->n;
        if (s.precision >= 0 && (size_t)s.precision < xn_jinja_chars(v.s))
            n = xn_jinja_offset(v.s, (size_t)s.precision);
        put_padded(j, b, &s, v.s->p, n, s.align ? s.align : '<');
    } else if (!number) {
        xn_jinja_fail(j, "unsupported format string passed to %s.__format__", xn_jinja_type_name(v));
    } else if (s.precision > MOST_PRECISION) {
        xn_jinja_fail(j, "precision too large");
    } else if ((s.type && strchr("eEfFgG%", s.type)) || (v.type == J_FLOAT && s.type == 'n') ||
               (v.type == J_FLOAT && !s.type)) {
        put_float(j, b, &s, v.type == J_FLOAT ? v.f : v.type == J_INT ? (double)v.i : v.b);
    } else if (v.type == J_INT && s.type == 'c' && s.precision < 0 && !s.sign) {
        percent_char(j, b, &s, v);
    } else if (v.type != J_FLOAT && (!s.type || strchr("bdnoxX", s.type)) && s.precision < 0) {
        put_int(j, b, &s, v.type == J_INT ? v.i : v.b, s.alternate);
    } else {
        xn_jinja_fail(j, "Invalid format specifier for object of type '%s'", xn_jinja_type_name(v));
    }
}

struct fields {
    struct jcall *call;
    int64_t automatic; // the next automatic number; -1: numbers are given
};

// The value that a field name leads to: a number or a name, then .attributes and [items].
static struct jv field_value(struct jinja *j, struct fields *f, const char *p, const char *end) {
    const char *first = p;
    while (p < end && *p != '.' && *p != '[')
        p++;
    int64_t index = 0;
    struct jv v;
    bool digits = first < p && strspn(first, "0123456789") >= (size_t)(p - first);
    if (p == first || digits) {
        if (p == first) {
            if (f->automatic < 0)
                return xn_jinja_fail(j, "cannot switch from manual field specification to automatic field numbering");
            index = f->automatic++;
        } else {
            if (f->automatic > 0)
                return xn_jinja_fail(j, "cannot switch from automatic field numbering to manual field specification");
            f->automatic = -1;
            number(j, first, p, &index);
        }
        if (j->failed || (size_t)index >= f->call->n_pos)
            return xn_jinja_fail(j, "Replacement index %" PRId64 " out of range for positional args tuple", index);
        v = f->call->pos[index];
    } else {
        struct jv name = xn_jinja_string(j, first, (size_t)(p - first));
        if (j->failed) return j_error;
        if (!f->call->kw || !xn_jinja_get(j, f->call->kw, name, &v))
            return xn_jinja_fail(j, "KeyError: '%s'", xn_jinja_cstring(j, name));
    }
    while (p < end && !j->failed) {
        bool item = *p++ == '[';
        const char *start = p;
        while (p < end && (item ? *p != ']' : *p != '.' && *p != '['))
            p++;
        if (p == start || (item && p == end)) return xn_jinja_fail(j, "Empty attribute in format string");
        struct jv name = xn_jinja_string(j, start, (size_t)(p - start));
        if (j->failed) return j_error;
        if (item) {
            int64_t at;
            bool numeric =
                strspn(name.s->p, "0123456789") == name.s->n && xn_jinja_parse_int(name.s->p, name.s->n, 10, &at);
            v = xn_jinja_getitem(j, v, numeric ? j_int(at) : name);
            p++;
            if (p < end && *p != '.' && *p != '[')
                return xn_jinja_fail(j, "Only '.' or '[' may follow ']' in format field specifier");
        } else {
            v = xn_jinja_getattr(j, v, name);
        }
    }
    return j->failed ? j_error : v;
}

static void format_into(struct jinja *j, struct jstr *b, struct fields *f, const char *p, const char *end, int depth);

// One field, from after its '{'; where it ends.
static const char *format_field(struct jinja *j, struct jstr *b, struct fields *f, const char *p, const char *end,
                                int depth) {
    const char *name = p;
    for (bool inside = false; p < end && (inside || (*p != '!' && *p != ':' && *p != '}')); p++)
        inside = inside ? *p != ']' : *p == '[';
    struct jv v = field_value(j, f, name, p);
    char conversion = 0;
    if (p + 1 < end && *p == '!') {
        conversion = p[1];
        p += 2;
    }
    const char *spec = p;
    if (p < end && *p == ':') {
        spec = ++p;
        for (int open = 0; p < end && (open || *p != '}'); p++)
            open += (*p == '{') - (*p == '}');
    }
    if (p >= end || *p != '}') return xn_jinja_fail(j, "expected '}' before end of string"), end;
    if (conversion == 'r' || conversion == 'a')
        v = j->failed ? v : xn_jinja_repr(j, v);
    else if (conversion == 's')
        v = j->failed ? v : xn_jinja_str(j, v);
    else if (conversion)
        xn_jinja_fail(j, "Unknown conversion specifier in a format string");
    struct jstr *inner = xn_jinja_build(j);
    format_into(j, inner, f, spec, p, depth + 1);
    if (!j->failed && b->markup && inner->n == 0)
        xn_jinja_put_escaped(j, b, v);
    else if (!j->failed)
        format_value(j, b, v, inner->p, inner->p + inner->n);
    return p + 1;
}

static void format_into(struct jinja *j, struct jstr *b, struct fields *f, const char *p, const char *end, int depth) {
    if (depth > 2) {
        xn_jinja_fail(j, "Max string recursion exceeded");
        return;
    }
    while (p < end && xn_jinja_step(j, 1)) {
        const char *plain = p;
        while (p < end && *p != '{' && *p != '}')
            p++;
        xn_jinja_put(j, b, plain, (size_t)(p - plain));
        if (p == end) return;
        if (p + 1 < end && p[1] == *p) {
            xn_jinja_put(j, b, p, 1);
            p += 2;
        } else if (*p == '}') {
            xn_jinja_fail(j, "Single '}' encountered in format string");
        } else if (p + 1 == end) {
            xn_jinja_fail(j, "Single '{' encountered in format string");
        } else {
            p = format_field(j, b, f, p + 1, end, depth);
        }
    }
}

struct jv xn_jinja_format(struct jinja *j, struct jv format, struct jcall *call) {
    struct fields f = {.call = call};
    struct jstr *b = xn_jinja_build(j);
    if (!b) return j_error;
    b->markup = format.s->markup;
    format_into(j, b, &f, format.s->p, format.s->p + format.s->n, 0);
    return xn_jinja_value(j, b);
}
