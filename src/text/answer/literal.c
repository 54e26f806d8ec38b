// Values as Python or Gemma 4 write them, turned into JSON byte by byte.
#include "text/answer/internal.h"

#include "text/grammar/form.h"
#include "text/unicode.h"

#include <string.h>

enum { VALUE, AFTER, KEY, COLON, OPEN_QUOTE, STRING, ESCAPE, HEX, WORD };

static const char *const gemma_quote[] = {"<|\"|>", NULL};

static void emit(char *out, size_t *n, const char *text, size_t size) {
    memcpy(out + *n, text, size);
    *n += size;
}

static enum xn_scan value_done(struct xn_literal *l) {
    l->step = AFTER;
    return l->n_closers ? XN_SCAN_MORE : XN_SCAN_LAST;
}

static enum xn_scan string_done(struct xn_literal *l, char *out, size_t *n) {
    emit(out, n, "\"", 1);
    if (!l->is_key) return value_done(l);
    l->step = COLON;
    return XN_SCAN_MORE;
}

static enum xn_scan close(struct xn_literal *l, char *out, size_t *n) {
    emit(out, n, l->closers[--l->n_closers] == '}' ? "}" : "]", 1);
    l->comma = false;
    return value_done(l);
}

static bool word_character(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' ||
           c == '+' || c == '.' || (unsigned char)c >= 0x80;
}

// A number as JSON has them.
static bool is_number(const char *p) {
    if (*p == '-') p++;
    const size_t whole = strspn(p, "0123456789");
    if (whole == 0 || (*p == '0' && whole > 1)) return false;
    p += whole;
    if (*p == '.') {
        const size_t fraction = strspn(p + 1, "0123456789");
        if (fraction == 0) return false;
        p += 1 + fraction;
    }
    if (*p == 'e' || *p == 'E') {
        p += 1 + (p[1] == '+' || p[1] == '-');
        const size_t exponent = strspn(p, "0123456789");
        if (exponent == 0) return false;
        p += exponent;
    }
    return *p == 0;
}

static void word_done(struct xn_literal *l, char *out, size_t *n) {
    static const char *const words[][2] = {{"True", "true"}, {"False", "false"}, {"None", "null"},
                                           {"true", "true"}, {"false", "false"}, {"null", "null"}};
    l->word[l->n_word] = 0;
    if (!l->is_key) {
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (strcmp(words[i][0], l->word) == 0) {
                emit(out, n, words[i][1], strlen(words[i][1]));
                return;
            }
        if (is_number(l->word)) {
            emit(out, n, l->word, l->n_word);
            return;
        }
    }
    emit(out, n, "\"", 1);
    for (uint32_t i = 0; i < l->n_word; i++)
        *n += xn_json_escape(l->word[i], out + *n);
    emit(out, n, "\"", 1);
}

// The first byte of a value or a key.
static enum xn_scan first(struct xn_literal *l, bool gemma, char c, char *out, size_t *n) {
    const char top = l->n_closers ? l->closers[l->n_closers - 1] : 0;
    if (xn_answer_blank(c)) return XN_SCAN_MORE;
    l->is_key = l->step == KEY;
    if (top && c == top && (l->is_key || top != '}')) return close(l, out, n);
    if (!l->is_key && (c == '[' || c == '(' || c == '{')) {
        if (l->n_closers == XN_ANSWER_DEPTH) return XN_SCAN_BAD;
        if (l->comma) emit(out, n, ", ", 2);
        l->comma = false;
        emit(out, n, c == '{' ? "{" : "[", 1);
        l->closers[l->n_closers++] = c == '{' ? '}' : c == '[' ? ']' : ')';
        l->step = c == '{' ? KEY : VALUE;
        return XN_SCAN_MORE;
    }
    const bool quote = c == '"' || (c == '\'' && !gemma) || (c == '<' && gemma);
    if (!quote && !word_character(c)) return XN_SCAN_BAD;
    if (l->comma) emit(out, n, ", ", 2);
    l->comma = false;
    l->quote = c;
    l->marker.n = 0;
    l->step = !quote ? WORD : c == '<' ? OPEN_QUOTE : STRING;
    if (c == '<') {
        l->marker.bytes[l->marker.n++] = c;
    } else if (quote) {
        emit(out, n, "\"", 1);
    } else {
        l->word[0] = c;
        l->n_word = 1;
    }
    return XN_SCAN_MORE;
}

static enum xn_scan string(struct xn_literal *l, char c, char *out, size_t *n) {
    if (l->quote == '<') {
        char free[XN_ANSWER_MARKER];
        size_t n_free;
        const int found = xn_marker_take(&l->marker, gemma_quote, c, free, &n_free);
        for (size_t i = 0; i < n_free; i++)
            *n += xn_json_escape(free[i], out + *n);
        return found == 0 ? string_done(l, out, n) : XN_SCAN_MORE;
    }
    if (c == l->quote) return string_done(l, out, n);
    if (c == '\\')
        l->step = ESCAPE;
    else
        *n += xn_json_escape(c, out + *n);
    return XN_SCAN_MORE;
}

static enum xn_scan escape(struct xn_literal *l, char c, char *out, size_t *n) {
    static const char from[] = "ntrbf\\'\"/", to[] = "\n\t\r\b\f\\'\"/";
    l->step = STRING;
    if (c == 'x' || c == 'u' || c == 'U') {
        l->digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        l->word[0] = c;
        l->code = 0;
        l->step = HEX;
        return XN_SCAN_MORE;
    }
    if (c == '\n') return XN_SCAN_MORE; // a string that goes on in the next line
    const char *letter = c ? strchr(from, c) : NULL;
    if (!letter) emit(out, n, "\\\\", 2);
    *n += xn_json_escape(letter ? to[letter - from] : c, out + *n);
    return XN_SCAN_MORE;
}

static enum xn_scan hex(struct xn_literal *l, char c, char *out, size_t *n) {
    static const char digits[] = "0123456789abcdef";
    const char *p = &c;
    uint32_t digit;
    if (!xn_form_hex(&p, &c + 1, 1, &digit)) return XN_SCAN_BAD;
    l->code = l->code << 4 | digit;
    if (--l->digits) return XN_SCAN_MORE;
    l->step = STRING;
    if (l->code >= 0x10000) {
        char bytes[4];
        const size_t size = xn_form_utf8(l->code <= XN_LAST_CHARACTER ? l->code : 0xfffd, bytes);
        emit(out, n, bytes, size);
        return XN_SCAN_MORE;
    }
    // As an escape, so that a pair of halves stays one.
    emit(out, n, "\\u", 2);
    for (int shift = 12; shift >= 0; shift -= 4)
        emit(out, n, &digits[l->code >> shift & 15], 1);
    return XN_SCAN_MORE;
}

enum xn_scan xn_literal_take(struct xn_literal *l, bool gemma, char c, char out[XN_LITERAL_OUT], size_t *n) {
    *n = 0;
    if (l->step == WORD) {
        if (word_character(c)) {
            if (l->n_word + 1u >= sizeof l->word) return XN_SCAN_BAD;
            l->word[l->n_word++] = c;
            return XN_SCAN_MORE;
        }
        word_done(l, out, n);
        l->step = l->is_key ? COLON : AFTER;
        if (!l->is_key && l->n_closers == 0) return XN_SCAN_BEFORE;
    }
    switch (l->step) {
    case VALUE:
    case KEY:
        return first(l, gemma, c, out, n);
    case OPEN_QUOTE: {
        char free[XN_ANSWER_MARKER];
        size_t n_free;
        const int found = xn_marker_take(&l->marker, gemma_quote, c, free, &n_free);
        if (n_free) return XN_SCAN_BAD;
        if (found < 0) return XN_SCAN_MORE;
        l->step = STRING;
        emit(out, n, "\"", 1);
        return XN_SCAN_MORE;
    }
    case STRING:
        return string(l, c, out, n);
    case ESCAPE:
        return escape(l, c, out, n);
    case HEX:
        return hex(l, c, out, n);
    case COLON:
        if (xn_answer_blank(c)) return XN_SCAN_MORE;
        if (c != ':') return XN_SCAN_BAD;
        emit(out, n, ": ", 2);
        l->step = VALUE;
        return XN_SCAN_MORE;
    default:
        if (xn_answer_blank(c)) return XN_SCAN_MORE;
        if (l->n_closers && c == l->closers[l->n_closers - 1]) return close(l, out, n);
        if (c != ',' || l->n_closers == 0) return XN_SCAN_BAD;
        l->comma = true;
        l->step = l->closers[l->n_closers - 1] == '}' ? KEY : VALUE;
        return XN_SCAN_MORE;
    }
}

bool xn_literal_python(const char *text, size_t n, struct xn_text *out) {
    struct xn_literal l = {0};
    char bytes[XN_LITERAL_OUT];
    size_t size;
    for (size_t i = 0; i <= n; i++) {
        // A blank behind the end, for words.
        const enum xn_scan scan = xn_literal_take(&l, false, i < n ? text[i] : ' ', bytes, &size);
        if (scan == XN_SCAN_BAD || xn_text_append(out, bytes, size)) return false;
        if (scan == XN_SCAN_BEFORE) return i == n;
        if (scan == XN_SCAN_LAST) return i + 1 == n;
    }
    return false;
}
