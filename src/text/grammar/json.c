// JSON's own grammar. Numbers are short enough to be read back without loss of range; white space is at most one blank,
// or one line end and its indentation.
#include "text/grammar/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RANGE(a, b) ((struct xn_range){(a), (b)})
#define DIGIT RANGE('0', '9')

static uint32_t hex_digits(struct xn_form *f, uint32_t n) {
    return xn_form_times(f, XN_FORM_SET_OF(f, DIGIT, RANGE('a', 'f'), RANGE('A', 'F')), n, n);
}

// \uXXXX: a character below the surrogates or above them, or a pair of surrogates. Not \u0000, which many can't hold.
static uint32_t unicode_escape(struct xn_form *f) {
    const uint32_t zero = XN_FORM_LITERAL(f, "0"), hex = hex_digits(f, 1), two = hex_digits(f, 2);
    const uint32_t not_zero = XN_FORM_SET_OF(f, RANGE('1', '9'), RANGE('a', 'f'), RANGE('A', 'F'));
    const uint32_t first =
        XN_FORM_SET_OF(f, RANGE('1', '9'), RANGE('a', 'c'), RANGE('A', 'C'), RANGE('e', 'f'), RANGE('E', 'F'));
    const uint32_t d = XN_FORM_SET_OF(f, RANGE('d', 'd'), RANGE('D', 'D'));
    const uint32_t zeros = XN_FORM_CHOICE_OF(f, XN_FORM_SEQUENCE_OF(f, zero, not_zero, two),
                                             XN_FORM_SEQUENCE_OF(f, zero, zero, not_zero, hex),
                                             XN_FORM_SEQUENCE_OF(f, zero, zero, zero, not_zero));
    const uint32_t high = XN_FORM_SET_OF(f, RANGE('8', '9'), RANGE('a', 'b'), RANGE('A', 'B'));
    const uint32_t low = XN_FORM_SET_OF(f, RANGE('c', 'f'), RANGE('C', 'F'));
    const uint32_t pair = XN_FORM_SEQUENCE_OF(f, d, high, two, XN_FORM_LITERAL(f, "\\u"), d, low, two);
    return XN_FORM_SEQUENCE_OF(f, XN_FORM_LITERAL(f, "u"),
                               XN_FORM_CHOICE_OF(f, zeros, XN_FORM_SEQUENCE_OF(f, first, hex_digits(f, 3)),
                                                 XN_FORM_SEQUENCE_OF(f, d, XN_FORM_SET_OF(f, RANGE('0', '7')), two),
                                                 pair));
}

static uint32_t escape(struct xn_form *f) {
    const uint32_t letters = XN_FORM_SET_OF(f, RANGE('"', '"'), RANGE('\\', '\\'), RANGE('/', '/'), RANGE('b', 'b'),
                                            RANGE('f', 'f'), RANGE('n', 'n'), RANGE('r', 'r'), RANGE('t', 't'));
    return XN_FORM_CHOICE_OF(f, letters, unicode_escape(f));
}

uint32_t xn_json_character(struct xn_schema *s) {
    struct xn_form *f = s->form;
    const uint32_t without = s->without ? (uint32_t)s->without : '"';
    const uint32_t plain =
        xn_form_set(f, (struct xn_range[]){{0, 0x1f}, {'"', '"'}, {'\\', '\\'}, {without, without}}, 4, true);
    return XN_FORM_CHOICE_OF(f, plain,
                             XN_FORM_SEQUENCE_OF(f, XN_FORM_LITERAL(f, "\\"), xn_json_common(s, XN_JSON_ESCAPE)));
}

static uint32_t integer(struct xn_form *f) {
    return XN_FORM_SEQUENCE_OF(
        f, xn_form_times(f, XN_FORM_LITERAL(f, "-"), 0, 1),
        XN_FORM_CHOICE_OF(f, XN_FORM_LITERAL(f, "0"),
                          XN_FORM_SEQUENCE_OF(f, XN_FORM_SET_OF(f, RANGE('1', '9')),
                                              xn_form_times(f, XN_FORM_SET_OF(f, DIGIT), 0, 17))));
}

static uint32_t number(struct xn_schema *s) {
    struct xn_form *f = s->form;
    const uint32_t digit = XN_FORM_SET_OF(f, DIGIT);
    const uint32_t fraction = XN_FORM_SEQUENCE_OF(f, XN_FORM_LITERAL(f, "."), xn_form_times(f, digit, 1, 18));
    const uint32_t sign = xn_form_times(f, XN_FORM_SET_OF(f, RANGE('+', '+'), RANGE('-', '-')), 0, 1);
    const uint32_t exponent = XN_FORM_SEQUENCE_OF(f, XN_FORM_SET_OF(f, RANGE('e', 'e'), RANGE('E', 'E')), sign,
                                                  xn_form_times(f, digit, 1, 2));
    return XN_FORM_SEQUENCE_OF(f, integer(f), xn_form_times(f, fraction, 0, 1), xn_form_times(f, exponent, 0, 1));
}

static uint32_t space(struct xn_form *f) {
    const uint32_t indent = xn_form_times(f, XN_FORM_SET_OF(f, RANGE(' ', ' '), RANGE('\t', '\t')), 0, 64);
    return XN_FORM_CHOICE_OF(f, 0, XN_FORM_LITERAL(f, " "), XN_FORM_SEQUENCE_OF(f, XN_FORM_LITERAL(f, "\n"), indent));
}

// Items between brackets: none, or some with commas between.
static uint32_t bracketed(struct xn_schema *s, char open, char close, uint32_t item) {
    struct xn_form *f = s->form;
    const uint32_t blank = xn_json_common(s, XN_JSON_SPACE);
    const uint32_t more = XN_FORM_SEQUENCE_OF(f, XN_FORM_LITERAL(f, ","), blank, item);
    const uint32_t items = XN_FORM_SEQUENCE_OF(f, blank, item, xn_form_times(f, more, 0, XN_FORM_UNBOUNDED));
    return XN_FORM_SEQUENCE_OF(f, xn_form_text(f, &open, 1), xn_form_times(f, items, 0, 1), blank,
                               xn_form_text(f, &close, 1));
}

static uint32_t body_of(struct xn_schema *s, enum xn_json_common which) {
    struct xn_form *f = s->form;
    switch (which) {
    case XN_JSON_VALUE:
        return XN_FORM_CHOICE_OF(f, xn_json_common(s, XN_JSON_OBJECT), xn_json_common(s, XN_JSON_ARRAY),
                                 xn_json_common(s, XN_JSON_STRING), xn_json_common(s, XN_JSON_NUMBER),
                                 XN_FORM_LITERAL(f, "true"), XN_FORM_LITERAL(f, "false"), XN_FORM_LITERAL(f, "null"));
    case XN_JSON_STRING:
        return XN_FORM_SEQUENCE_OF(f, XN_FORM_LITERAL(f, "\""),
                                   xn_form_times(f, xn_json_character(s), 0, XN_FORM_UNBOUNDED),
                                   XN_FORM_LITERAL(f, "\""));
    case XN_JSON_ESCAPE:
        return escape(f);
    case XN_JSON_NUMBER:
        return number(s);
    case XN_JSON_INTEGER:
        return integer(f);
    case XN_JSON_SPACE:
        return space(f);
    case XN_JSON_OBJECT:
        return bracketed(s, '{', '}',
                         XN_FORM_SEQUENCE_OF(f, xn_json_common(s, XN_JSON_STRING), XN_FORM_LITERAL(f, ":"),
                                             xn_json_common(s, XN_JSON_SPACE), xn_json_common(s, XN_JSON_VALUE)));
    case XN_JSON_ARRAY:
        return bracketed(s, '[', ']', xn_json_common(s, XN_JSON_VALUE));
    }
    return 0;
}

uint32_t xn_json_common(struct xn_schema *s, enum xn_json_common which) {
    static const char *const names[] = {"a value",    "a string", "an escape", "a number",
                                        "an integer", "a space",  "an object", "an array"};
    if (!s->common[which]) {
        char name[64];
        const int n = snprintf(name, sizeof name, "%.40s%s", s->prefix ? s->prefix : "", names[which]);
        const uint32_t rule = xn_form_rule(s->form, name, (size_t)n);
        s->common[which] = rule + 1;
        xn_form_define(s->form, rule, body_of(s, which));
    }
    return xn_form_call(s->form, s->common[which] - 1);
}

static bool holds(const struct xn_range *ranges, size_t n, bool negated, uint32_t c) {
    for (size_t i = 0; i < n; i++)
        if (c >= ranges[i].first && c <= ranges[i].last) return !negated;
    return negated;
}

uint32_t xn_json_characters(struct xn_schema *s, const struct xn_range *ranges, size_t n, bool negated) {
    struct xn_form *f = s->form;
    const uint32_t without = s->without ? (uint32_t)s->without : '"';
    static const char letters[0x20] = {['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    uint32_t choices[40];
    size_t n_choices = 0;
    // Everything that need not be escaped: the set without what must be.
    struct xn_range plain[256 + 4];
    if (n > 256) {
        f->status = XN_ERR_LIMIT;
        return 0;
    }
    if (negated) {
        if (n) memcpy(plain, ranges, n * sizeof *plain);
        plain[n] = RANGE(0, 0x1f);
        plain[n + 1] = RANGE('"', '"');
        plain[n + 2] = RANGE('\\', '\\');
        plain[n + 3] = RANGE(without, without);
        choices[n_choices++] = xn_form_set(f, plain, n + 4, true);
    } else {
        struct xn_range cut[4 * 256];
        size_t n_cut = 0;
        for (size_t i = 0; i < n; i++) { // around the quote, the backslash, and what else is left out
            const bool low = without < '\\';
            const uint32_t second = low ? without : '\\', third = low ? '\\' : without;
            const struct xn_range between[] = {
                {0x20, '"' - 1}, {'"' + 1, second - 1}, {second + 1, third - 1}, {third + 1, XN_LAST_CHARACTER}};
            for (int k = 0; k < 4; k++) {
                const uint32_t first = ranges[i].first > between[k].first ? ranges[i].first : between[k].first;
                const uint32_t last = ranges[i].last < between[k].last ? ranges[i].last : between[k].last;
                if (first <= last) cut[n_cut++] = RANGE(first, last);
            }
        }
        choices[n_choices++] = xn_form_set(f, cut, n_cut, false);
    }
    for (uint32_t c = 1; c < 0x20; c++) {
        if (!holds(ranges, n, negated, c)) continue;
        char text[8] = {'\\', letters[c]};
        if (!letters[c]) {
            memcpy(text, "\\u00", 4);
            text[4] = (char)('0' + (c >> 4));
            text[5] = "0123456789abcdef"[c & 15];
        }
        choices[n_choices++] = xn_form_text(f, text, letters[c] ? 2 : 6);
    }
    if (s->without && holds(ranges, n, negated, without)) {
        char text[8];
        snprintf(text, sizeof text, "\\u00%02x", without & 0xff);
        choices[n_choices++] = xn_form_text(f, text, 6);
    }
    if (holds(ranges, n, negated, '"')) choices[n_choices++] = XN_FORM_LITERAL(f, "\\\"");
    if (holds(ranges, n, negated, '\\')) choices[n_choices++] = XN_FORM_LITERAL(f, "\\\\");
    return xn_form_list(f, XN_FORM_CHOICE, choices, n_choices);
}

int xn_json_constant(struct xn_schema *s, const struct xn_where *w, const json_t *value, uint32_t *node) {
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    if (!text) return xn_schema_fail(s, XN_ERR_FORMAT, w, "a value that can't be written as JSON");
    *node = xn_form_text(s->form, text, strlen(text));
    free(text);
    return XN_OK;
}

int xn_json_key(struct xn_schema *s, const struct xn_where *w, const char *key, uint32_t *node) {
    json_t *name = json_string(key);
    if (!name) return xn_schema_fail(s, XN_ERR_FORMAT, w, "a key that can't be written as JSON");
    int status = xn_json_constant(s, w, name, node);
    json_decref(name);
    struct xn_form *f = s->form;
    *node = XN_FORM_SEQUENCE_OF(f, *node, XN_FORM_LITERAL(f, ":"), xn_json_common(s, XN_JSON_SPACE));
    return status;
}
