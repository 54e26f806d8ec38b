// GBNF. One function reads each level: rules, alternatives, sequences, items, and the marks of repetition after them.
#include "base/memory.h"
#include "text/grammar/compile.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TEXT = 1 << 20 };

struct reader {
    const char *start, *p, *end;
    const char *name;
    struct xn_form *form;
    struct xn_error *err;
    int depth;
    const char *counted; // up to where `line` has counted
    unsigned line;
};

__attribute__((format(printf, 3, 4))) static int complain(const struct reader *r, const char *at, const char *format,
                                                          ...) {
    unsigned line = 1, column = 1;
    for (const char *p = r->start; p < at; p++) {
        column = *p == '\n' ? 1 : column + ((*p & 0xc0) != 0x80);
        line += *p == '\n';
    }
    char what[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return xn_fail(r->err, XN_ERR_FORMAT, "%s:%u:%u: %s", r->name, line, column, what);
}

static bool at(const struct reader *r, char c) {
    return r->p < r->end && *r->p == c;
}

static bool is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

// Blanks and comments; line ends too, where the rule goes on.
static void skip(struct reader *r, bool lines) {
    while (r->p < r->end) {
        if (*r->p == '#') {
            while (r->p < r->end && *r->p != '\n' && *r->p != '\r')
                r->p++;
        } else if (*r->p == ' ' || *r->p == '\t' || (lines && (*r->p == '\n' || *r->p == '\r'))) {
            r->p++;
        } else {
            return;
        }
    }
}

static int hex(struct reader *r, int digits, uint32_t *c) {
    const char *start = r->p;
    if (!xn_form_hex(&r->p, r->end, digits, c)) return complain(r, r->p, "expected %d hexadecimal digits", digits);
    if (*c > XN_LAST_CHARACTER || (*c >= 0xd800 && *c <= 0xdfff))
        return complain(r, start, "U+%04X is no character", *c);
    return XN_OK;
}

// One character of a literal or a class, escaped or not.
static int character(struct reader *r, uint32_t *c) {
    if (*r->p != '\\') {
        size_t n = xn_form_character(r->p, (size_t)(r->end - r->p), c);
        if (n == 0) return complain(r, r->p, "not UTF-8");
        r->p += n;
        return XN_OK;
    }
    const char *start = r->p++;
    if (r->p == r->end) return complain(r, start, "an escape is not complete");
    const char sign = *r->p++;
    switch (sign) {
    case 'x':
        return hex(r, 2, c);
    case 'u':
        return hex(r, 4, c);
    case 'U':
        return hex(r, 8, c);
    case 'n':
        *c = '\n';
        return XN_OK;
    case 'r':
        *c = '\r';
        return XN_OK;
    case 't':
        *c = '\t';
        return XN_OK;
    case '\\':
    case '"':
    case '[':
    case ']':
    case '-':
    case '^':
        *c = (unsigned char)sign;
        return XN_OK;
    default:
        return complain(r, start, "unknown escape");
    }
}

static int literal(struct reader *r, uint32_t *node) {
    const char *start = r->p++;
    char *bytes = NULL;
    size_t n = 0, capacity = 0;
    int status = XN_OK;
    while (status == XN_OK && !at(r, '"')) {
        uint32_t c;
        if (r->p == r->end || *r->p == '\n')
            status = complain(r, start, "a literal is not closed");
        else if ((status = character(r, &c)) == XN_OK && XN_GROW(bytes, capacity, n + 4))
            status = xn_fail(r->err, XN_ERR_NOMEM, "no memory for the grammar");
        else if (status == XN_OK)
            n += xn_form_utf8(c, bytes + n);
    }
    r->p++;
    if (status == XN_OK) *node = xn_form_text(r->form, bytes, n);
    free(bytes);
    return status;
}

static int class(struct reader *r, uint32_t *node) {
    const char *start = r->p++;
    const bool negated = at(r, '^');
    r->p += negated;
    struct xn_range *ranges = NULL;
    size_t n = 0, capacity = 0;
    int status = XN_OK;
    while (status == XN_OK && !at(r, ']')) {
        struct xn_range range;
        const char *from = r->p;
        if (r->p == r->end) {
            status = complain(r, start, "a class is not closed");
            break;
        }
        if ((status = character(r, &range.first)) != XN_OK) break;
        range.last = range.first;
        if (r->end - r->p >= 2 && r->p[0] == '-' && r->p[1] != ']') {
            r->p++;
            if ((status = character(r, &range.last)) != XN_OK) break;
            if (range.last < range.first) status = complain(r, from, "a range ends before it starts");
        }
        if (status == XN_OK && XN_GROW(ranges, capacity, n + 1))
            status = xn_fail(r->err, XN_ERR_NOMEM, "no memory for the grammar");
        else if (status == XN_OK)
            ranges[n++] = range;
    }
    r->p++;
    if (status == XN_OK) *node = xn_form_set(r->form, ranges, n, negated);
    free(ranges);
    return status;
}

static int number(struct reader *r, uint32_t *value) {
    const char *start = r->p;
    *value = 0;
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9') {
        *value = 10 * *value + (uint32_t)(*r->p++ - '0');
        if (*value > XN_FORM_REPEAT) return complain(r, start, "more than %d repetitions", XN_FORM_REPEAT);
    }
    if (r->p == start) return complain(r, start, "expected a number of repetitions");
    return XN_OK;
}

static int repetition(struct reader *r, uint32_t *node, bool lines) {
    for (int marks = 0;; marks++) {
        uint32_t least = 0, most = XN_FORM_UNBOUNDED;
        const char *start = r->p;
        if (at(r, '*') || at(r, '+') || at(r, '?')) {
            least = *r->p == '+';
            if (*r->p == '?') most = 1;
            r->p++;
        } else if (at(r, '{')) {
            r->p++;
            skip(r, lines);
            XN_TRY(number(r, &least));
            skip(r, lines);
            if (at(r, ',')) {
                r->p++;
                skip(r, lines);
                if (!at(r, '}')) XN_TRY(number(r, &most));
                skip(r, lines);
            } else {
                most = least;
            }
            if (!at(r, '}')) return complain(r, r->p, "expected '}' after the repetitions");
            r->p++;
            if (most < least) return complain(r, start, "at most %u repetitions, but at least %u", most, least);
        } else {
            return XN_OK;
        }
        if (marks >= 8) return complain(r, start, "more than 8 repetitions of one item");
        *node = xn_form_times(r->form, *node, least, most);
        skip(r, lines);
    }
}

static int alternatives(struct reader *r, bool nested, uint32_t *node);

// Whether a name stands here that starts the next rule.
static bool starts_rule(const struct reader *r) {
    struct reader ahead = *r;
    while (ahead.p < ahead.end && is_name(*ahead.p))
        ahead.p++;
    skip(&ahead, false);
    return ahead.end - ahead.p >= 3 && memcmp(ahead.p, "::=", 3) == 0;
}

// The line of where the reader is; it only moves on, so lines are counted once.
static unsigned line_of(struct reader *r) {
    for (; r->counted < r->p; r->counted++)
        r->line += *r->counted == '\n';
    return r->line;
}

static int item(struct reader *r, bool nested, uint32_t *node) {
    const char *start = r->p;
    if (at(r, '"')) {
        XN_TRY(literal(r, node));
    } else if (at(r, '[')) {
        XN_TRY(class(r, node));
    } else if (at(r, '.')) {
        r->p++;
        *node = xn_form_set(r->form, NULL, 0, true);
    } else if (at(r, '(')) {
        if (++r->depth > XN_FORM_DEPTH) return complain(r, start, "groups nest more than %d deep", XN_FORM_DEPTH);
        r->p++;
        XN_TRY(alternatives(r, true, node));
        if (!at(r, ')')) return complain(r, r->p, "expected ')' for the '(' before");
        r->p++;
        r->depth--;
    } else if (at(r, '<') || at(r, '!')) {
        return complain(r, start, "tokens in a grammar are not supported");
    } else {
        while (r->p < r->end && is_name(*r->p))
            r->p++;
        const size_t known = r->form->n_rules;
        const uint32_t rule = xn_form_rule(r->form, start, (size_t)(r->p - start));
        if (r->form->n_rules > known) r->form->rules[rule].line = line_of(r);
        *node = xn_form_call(r->form, rule);
    }
    skip(r, nested);
    return repetition(r, node, nested);
}

static bool starts_item(const struct reader *r) {
    return r->p < r->end && (is_name(*r->p) || strchr("\"[(.<!", *r->p)) && *r->p;
}

static int sequence(struct reader *r, bool nested, uint32_t *node) {
    uint32_t *items = NULL;
    size_t n = 0, capacity = 0;
    int status = XN_OK;
    while (status == XN_OK && starts_item(r) && !(is_name(*r->p) && starts_rule(r))) {
        if (XN_GROW(items, capacity, n + 1))
            status = xn_fail(r->err, XN_ERR_NOMEM, "no memory for the grammar");
        else
            status = item(r, nested, &items[n++]);
    }
    if (status == XN_OK) *node = n ? xn_form_list(r->form, XN_FORM_SEQUENCE, items, n) : 0;
    free(items);
    return status;
}

static int alternatives(struct reader *r, bool nested, uint32_t *node) {
    uint32_t *items = NULL;
    size_t n = 0, capacity = 0;
    int status = XN_OK;
    do {
        r->p += n > 0; // the bar
        skip(r, nested || n > 0);
        if (XN_GROW(items, capacity, n + 1))
            status = xn_fail(r->err, XN_ERR_NOMEM, "no memory for the grammar");
        else
            status = sequence(r, nested, &items[n++]);
    } while (status == XN_OK && at(r, '|'));
    if (status == XN_OK) *node = xn_form_list(r->form, XN_FORM_CHOICE, items, n);
    free(items);
    return status;
}

static int rule(struct reader *r) {
    const char *start = r->p;
    while (r->p < r->end && is_name(*r->p))
        r->p++;
    const size_t n = (size_t)(r->p - start);
    if (n == 0) return complain(r, start, "expected the name of a rule");
    skip(r, false);
    if (r->end - r->p < 3 || memcmp(r->p, "::=", 3) != 0)
        return complain(r, r->p, "expected '::=' after a rule's name");
    r->p += 3;
    skip(r, true);
    const uint32_t index = xn_form_rule(r->form, start, n);
    XN_TRY(xn_form_check(r->form, r->err));
    if (r->form->rules[index].defined)
        return complain(r, start, "rule '%s' is defined twice", r->form->rules[index].name);
    if (r->form->rules[index].line == 0) r->form->rules[index].line = line_of(r);
    uint32_t body = 0;
    XN_TRY(alternatives(r, false, &body));
    XN_TRY(xn_form_check(r->form, r->err));
    xn_form_define(r->form, index, body);
    if (r->p < r->end && *r->p != '\n' && *r->p != '\r' && !is_name(*r->p))
        return complain(r, r->p, "expected the end of the rule, found '%.1s'", r->p);
    return XN_OK;
}

int xn_form_read_gbnf(struct xn_form *form, const char *text, size_t size, const char *name, struct xn_error *err) {
    if (size > MAX_TEXT)
        return xn_fail(err, XN_ERR_LIMIT, "%s: %zu bytes of grammar, at most %d", name, size, MAX_TEXT);
    struct reader r = {.start = text,
                       .p = text,
                       .end = text + size,
                       .name = name,
                       .form = form,
                       .err = err,
                       .counted = text,
                       .line = 1};
    const size_t before = form->n_rules;
    skip(&r, true);
    while (r.p < r.end) {
        XN_TRY(rule(&r));
        skip(&r, true);
    }
    XN_TRY(xn_form_check(form, err));
    for (size_t i = before; i < form->n_rules; i++)
        if (!form->rules[i].defined)
            return xn_fail(err, XN_ERR_FORMAT, "%s:%u: rule '%s' is not defined", name, form->rules[i].line,
                           form->rules[i].name);
    return XN_OK;
}

int xn_grammar_from_gbnf(const char *text, size_t size, const char *name, struct xn_grammar **out,
                         struct xn_error *err) {
    *out = NULL;
    struct xn_form form;
    xn_form_init(&form);
    int status = xn_form_read_gbnf(&form, text, size, name, err);
    if (status == XN_OK) {
        status = xn_grammar_compile(&form, "root", out, err);
        if (status != XN_OK) status = xn_error_context(err, status, "%s", name);
    }
    xn_form_free(&form);
    return status;
}
