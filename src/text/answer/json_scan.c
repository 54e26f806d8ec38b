// Values and strings of JSON while their bytes pass.
#include "text/answer/internal.h"

#include "text/grammar/form.h"

#include <string.h>

enum xn_scan xn_json_scan(struct xn_json_scan *s, char c) {
    if (s->string) {
        if (s->escape)
            s->escape = false;
        else if (c == '\\')
            s->escape = true;
        else if (c == '"')
            s->string = false;
        return s->string || s->depth ? XN_SCAN_MORE : XN_SCAN_LAST;
    }
    if (s->word) { // a number or a name, outside of everything
        const bool more =
            (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '.' || c == '+' || c == '-' || c == 'E';
        return more ? XN_SCAN_MORE : XN_SCAN_BEFORE;
    }
    const bool first = !s->started;
    s->started = true;
    switch (c) {
    case '"':
        s->string = true;
        return XN_SCAN_MORE;
    case '{':
    case '[':
        s->depth++;
        return XN_SCAN_MORE;
    case '}':
    case ']':
        if (first) return XN_SCAN_BAD;
        return --s->depth ? XN_SCAN_MORE : XN_SCAN_LAST;
    }
    if (!first) return XN_SCAN_MORE;
    if ((c >= '0' && c <= '9') || c == '-' || c == 't' || c == 'f' || c == 'n') {
        s->word = true;
        return XN_SCAN_MORE;
    }
    return XN_SCAN_BAD;
}

enum xn_scan xn_json_unescape(struct xn_json_unescape *u, char c, char out[8], size_t *n) {
    *n = 0;
    if (u->digits) {
        const char *p = &c;
        uint32_t digit;
        if (!xn_form_hex(&p, &c + 1, 1, &digit)) return XN_SCAN_BAD;
        u->code = u->code << 4 | digit;
        if (--u->digits) return XN_SCAN_MORE;
        if (u->code >= 0xd800 && u->code < 0xdc00) { // the second half follows
            if (u->high) *n = xn_form_utf8(0xfffd, out);
            u->high = u->code;
            return XN_SCAN_MORE;
        }
        if (u->high && u->code >= 0xdc00 && u->code < 0xe000) {
            *n = xn_form_utf8(0x10000 + ((u->high - 0xd800) << 10) + (u->code - 0xdc00), out);
        } else {
            if (u->high) *n = xn_form_utf8(0xfffd, out);
            *n += xn_form_utf8(u->code == 0 || (u->code >= 0xd800 && u->code < 0xe000) ? 0xfffd : u->code, out + *n);
        }
        u->high = 0;
        return XN_SCAN_MORE;
    }
    if (u->escape) {
        u->escape = false;
        if (c == 'u') {
            u->digits = 4;
            u->code = 0;
            return XN_SCAN_MORE;
        }
    } else if (c == '\\') {
        u->escape = true;
        return XN_SCAN_MORE;
    } else if (u->high == 0) {
        if (c == '"') return XN_SCAN_LAST;
        out[(*n)++] = c;
        return XN_SCAN_MORE;
    } else {
        *n = xn_form_utf8(0xfffd, out);
        u->high = 0;
        if (c == '"') return XN_SCAN_LAST;
        out[(*n)++] = c;
        return XN_SCAN_MORE;
    }
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *letter = c ? strchr(from, c) : NULL;
    if (!letter) return XN_SCAN_BAD;
    if (u->high) *n = xn_form_utf8(0xfffd, out);
    u->high = 0;
    out[(*n)++] = to[letter - from];
    return XN_SCAN_MORE;
}

enum xn_scan xn_json_arguments(struct xn_json_arguments *j, char c, char out[8], size_t *n) {
    *n = 0;
    if (!j->begun) {
        j->begun = true;
        j->wrapped = c == '"';
        if (j->wrapped) return XN_SCAN_MORE;
        if (c != '{') return XN_SCAN_BAD;
    }
    if (j->wrapped) return xn_json_unescape(&j->unescape, c, out, n);
    out[(*n)++] = c;
    return xn_json_scan(&j->scan, c);
}

size_t xn_json_escape(char c, char out[8]) {
    static const char letters[0x20] = {['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    const unsigned char u = (unsigned char)c;
    if (u >= 0x20 && c != '"' && c != '\\') {
        out[0] = c;
        return 1;
    }
    out[0] = '\\';
    out[1] = u >= 0x20 ? c : letters[u];
    if (out[1]) return 2;
    memcpy(out + 1, "u00", 3);
    out[4] = (char)('0' + (u >> 4));
    out[5] = "0123456789abcdef"[u & 15];
    return 6;
}
