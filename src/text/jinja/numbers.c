// Numbers from text, as Python's int() and float() read them.
#include "text/jinja/ast.h"
#include "text/jinja/unicode.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

// Copies without surrounding white space, decimal digits of any script as ASCII, and without single underscores between
// digits. False: too long or not such a text.
static bool plain(const char *p, size_t n, char *out, size_t room) {
    const char *end = p + n;
    while (p < end) {
        const char *q = p;
        if (!xn_jinja_is_space(xn_jinja_next(&q))) break;
        p = q;
    }
    while (end > p) {
        const char *q = xn_jinja_back(end), *r = q;
        if (!xn_jinja_is_space(xn_jinja_next(&r))) break;
        end = q;
    }
    size_t o = 0;
    while (p < end) {
        uint32_t c = xn_jinja_next(&p);
        if (c == '_') {
            bool between = o && ((out[o - 1] | 0x20) >= 'a' || (out[o - 1] >= '0' && out[o - 1] <= '9')) && p < end &&
                           *p != '_' && *p != '.' && *p != '-' && *p != '+';
            if (!between) return false;
            continue;
        }
        int digit = xn_jinja_decimal(c);
        if (digit >= 0) c = (uint32_t)('0' + digit);
        if (c >= 0x80 || c <= 0x20 || o + 1 >= room) return false;
        out[o++] = (char)c;
    }
    out[o] = 0;
    return o > 0;
}

bool xn_jinja_parse_int(const char *p, size_t n, int base, int64_t *out) {
    char text[128];
    if (!plain(p, n, text, sizeof text)) return false;
    const char *s = text;
    bool negative = *s == '-';
    if (*s == '-' || *s == '+') s++;
    char kind = s[0] == '0' ? (char)(s[1] | 0x20) : 0;
    int prefix = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 0;
    if (prefix && (base == 0 || base == prefix)) {
        s += 2;
        base = prefix;
    } else if (base == 0) {
        if (s[0] == '0' && s[strspn(s, "0")]) return false;
        base = 10;
    }
    if (!*s || *s == '-' || *s == '+') return false;
    int64_t value = 0;
    for (; *s; s++) {
        int digit = *s >= '0' && *s <= '9'                     ? *s - '0'
                    : (*s | 0x20) >= 'a' && (*s | 0x20) <= 'z' ? (*s | 0x20) - 'a' + 10
                                                               : 99;
        if (digit >= base) return false;
        if (__builtin_mul_overflow(value, (int64_t)base, &value) ||
            __builtin_sub_overflow(value, (int64_t)digit, &value)) // negative: the range is larger there
            return false;
    }
    if (!negative && value == INT64_MIN) return false;
    *out = negative ? value : -value;
    return true;
}

bool xn_jinja_parse_float(const char *p, size_t n, double *out) {
    char text[512], *end;
    if (!plain(p, n, text, sizeof text)) return false;
    const char *s = text + (*text == '-' || *text == '+');
    bool word = strcasecmp(s, "inf") == 0 || strcasecmp(s, "infinity") == 0 || strcasecmp(s, "nan") == 0;
    if (!word && s[strspn(s, "0123456789.eE+-")]) return false; // not what strtod reads beyond Python
    *out = strtod(text, &end);
    return *end == 0;
}
