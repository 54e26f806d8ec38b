#include "text/jinja/lexer.h"

#include "text/jinja/unicode.h"

#include <string.h>

void xn_jinja_lexer_init(struct jlexer *x, const char *name, const char *source, size_t n, struct xn_error *err) {
    *x = (struct jlexer){.name = name, .p = source, .end = source + n, .line = 1, .line_starting = true, .err = err};
}

static bool at(const struct jlexer *x, const char *p, const char *what) {
    size_t n = strlen(what);
    return (size_t)(x->end - p) >= n && memcmp(p, what, n) == 0;
}

static const char *skip_space(const struct jlexer *x, const char *p) {
    while (p < x->end) {
        const char *q = p;
        if (!xn_jinja_is_space(xn_jinja_next(&q))) break;
        p = q;
    }
    return p;
}

static const char *skip_space_back(const char *start, const char *p) {
    while (p > start) {
        const char *q = xn_jinja_back(p), *r = q;
        if (!xn_jinja_is_space(xn_jinja_next(&r))) break;
        p = q;
    }
    return p;
}

static void count_lines(struct jlexer *x, const char *from, const char *to) {
    for (; from < to; from++)
        x->line += *from == '\n';
}

// Moves to `to`, the end of something that matched.
static void advance(struct jlexer *x, const char *to) {
    count_lines(x, x->p, to);
    if (to > x->p) x->line_starting = to[-1] == '\n';
    x->p = to;
}

// trim_blocks: one line end after a tag goes with it.
static const char *trim(const struct jlexer *x, const char *p) {
    return p < x->end && *p == '\n' ? p + 1 : p;
}

// The end of a text before a tag with this sign. lstrip_blocks: white space from the start of the line to the tag goes.
static const char *strip_text(const struct jlexer *x, const char *start, const char *tag, char sign, bool lstrip) {
    if (sign == '-') return skip_space_back(start, tag);
    if (sign == '+' || !lstrip) return tag;
    const char *line = tag;
    while (line > start && line[-1] != '\n')
        line--;
    if (line == start && !x->line_starting) return tag;
    return skip_space(x, line) >= tag ? line : tag;
}

// Whether a raw tag starts at p (which is at "{%"): *after its end.
static bool raw_begin(const struct jlexer *x, const char *p, const char **after) {
    p += 2;
    if (p < x->end && (*p == '-' || *p == '+')) p++;
    p = skip_space(x, p);
    if (!at(x, p, "raw")) return false;
    p = skip_space(x, p + 3);
    if (at(x, p, "-%}")) {
        *after = skip_space(x, p + 3);
        return true;
    }
    if (!at(x, p, "%}")) return false;
    *after = p + 2;
    return true;
}

static bool raw_end(const struct jlexer *x, const char *p, const char **after) {
    p += 2;
    if (p < x->end && (*p == '-' || *p == '+')) p++;
    p = skip_space(x, p);
    if (!at(x, p, "endraw")) return false;
    p = skip_space(x, p + 6);
    if (at(x, p, "-%}")) {
        *after = skip_space(x, p + 3);
        return true;
    }
    if (at(x, p, "+%}")) {
        *after = p + 3;
        return true;
    }
    if (!at(x, p, "%}")) return false;
    *after = trim(x, p + 2);
    return true;
}

static struct jtoken text_token(const struct jlexer *x, const char *p, const char *end) {
    return (struct jtoken){.type = JT_TEXT, .line = x->line, .p = p, .n = (size_t)(end - p)};
}

static char sign_at(const struct jlexer *x, const char *p) {
    return p < x->end && (*p == '-' || *p == '+') ? *p : 0;
}

// The body of a raw block, from after its opening tag: one text.
static int lex_raw(struct jlexer *x, struct jtoken *token) {
    for (const char *p = x->p; p + 1 < x->end; p++) {
        const char *after;
        if (p[0] != '{' || p[1] != '%' || !raw_end(x, p, &after)) continue;
        *token = text_token(x, x->p, strip_text(x, x->p, p, sign_at(x, p + 2), true));
        advance(x, after);
        return XN_OK;
    }
    return xn_fail(x->err, XN_ERR_TEMPLATE, "%s:%d: missing end of raw directive", x->name, x->line);
}

static int lex_comment(struct jlexer *x, int line) {
    for (const char *p = x->p; p + 1 < x->end; p++) {
        if (p[0] != '#' || p[1] != '}') continue;
        const char *after = trim(x, p + 2);
        if (p > x->p && p[-1] == '-') after = skip_space(x, p + 2);
        if (p > x->p && p[-1] == '+') after = p + 2;
        advance(x, after);
        return XN_OK;
    }
    return xn_fail(x->err, XN_ERR_TEMPLATE, "%s:%d: missing end of comment tag", x->name, line);
}

// The text up to the next tag, and the tag's begin as the token after it.
static int lex_text(struct jlexer *x, struct jtoken *token) {
    while (true) {
        const char *p = x->p;
        while (p < x->end && !(p + 1 < x->end && p[0] == '{' && (p[1] == '{' || p[1] == '%' || p[1] == '#')))
            p++;
        if (p >= x->end) {
            *token = text_token(x, x->p, x->end);
            advance(x, x->end);
            if (!token->n) token->type = JT_END;
            return XN_OK;
        }
        char sign = sign_at(x, p + 2), tag = p[1];
        *token = text_token(x, x->p, strip_text(x, x->p, p, sign, tag != '{'));
        const char *raw;
        if (tag == '%' && raw_begin(x, p, &raw)) {
            advance(x, raw);
            if (!token->n) return lex_raw(x, token);
            // A text before the raw block and the block are two tokens: come back for the second.
            struct jtoken before = *token;
            int status = lex_raw(x, &x->next);
            x->pending = true;
            *token = before;
            return status;
        }
        int line = x->line;
        advance(x, p + 2 + (sign != 0));
        if (tag == '#') {
            int status = lex_comment(x, line);
            if (status != XN_OK || token->n) return status;
            continue;
        }
        x->state = tag == '{' ? JX_VARIABLE : JX_BLOCK;
        struct jtoken begin = {.type = tag == '{' ? JT_VARIABLE_BEGIN : JT_BLOCK_BEGIN, .line = x->line};
        if (token->n) {
            x->next = begin;
            x->pending = true;
        } else {
            *token = begin;
        }
        return XN_OK;
    }
}

// Numbers. Digits may be separated by single underscores.
static const char *digits(const struct jlexer *x, const char *p, int base) {
    const char *end = p;
    while (p < x->end) {
        if (*p == '_' && ++p >= x->end) break;
        char c = (char)(*p | 0x20);
        int value = *p >= '0' && *p <= '9' ? *p - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
        if (value >= base) break;
        end = ++p;
    }
    return end;
}

static const char *float_end(const struct jlexer *x, const char *p) {
    if (p[-1] == '.') return NULL; // an index: a.0.1
    const char *q = digits(x, p, 10), *end = NULL;
    if (q + 1 < x->end && q[0] == '.' && q[1] >= '0' && q[1] <= '9') end = q = digits(x, q + 1, 10);
    if (q < x->end && (*q == 'e' || *q == 'E')) {
        const char *e = q + 1;
        if (e < x->end && (*e == '+' || *e == '-')) e++;
        if (e < x->end && *e >= '0' && *e <= '9') end = digits(x, e, 10);
    }
    return end;
}

static const char *integer_end(const struct jlexer *x, const char *p) {
    char kind = p + 1 < x->end && p[0] == '0' ? (char)(p[1] | 0x20) : 0;
    int base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 0;
    if (base) {
        const char *first = p + 2;
        if (first < x->end && *first == '_') first++;
        const char *end = digits(x, first, base);
        if (end > first) return end;
    }
    if (*p != '0') return digits(x, p, 10);
    return digits(x, p, 1); // zeros only
}

static const char *string_end(const struct jlexer *x, const char *p) {
    char quote = *p++;
    for (; p < x->end; p++) {
        if (*p == quote) return p + 1;
        if (*p == '\\') p++;
    }
    return NULL;
}

static const char *word_end(const struct jlexer *x, const char *p) {
    while (p < x->end) {
        const char *q = p;
        if (!xn_jinja_is_word(xn_jinja_next(&q))) break;
        p = q;
    }
    return p;
}

static int operator_at(const struct jlexer *x, const char *p) {
    static const char twos[][3] = {"//", "**", "==", "!=", ">=", "<="};
    for (size_t i = 0; i < sizeof twos / sizeof *twos; i++)
        if (at(x, p, twos[i])) return JT_OP2(twos[i][0], twos[i][1]);
    return *p && strchr("+-/*%~[](){}><=.:|,;", *p) ? *p : 0;
}

static int bracket(struct jlexer *x, char c) {
    const char *closing = c == '(' ? ")" : c == '[' ? "]" : c == '{' ? "}" : NULL;
    if (closing) {
        if (x->n_brackets == JX_NESTING)
            return xn_fail(x->err, XN_ERR_TEMPLATE, "%s:%d: brackets nest deeper than %d", x->name, x->line,
                           JX_NESTING);
        x->brackets[x->n_brackets++] = *closing;
    } else if (c == ')' || c == ']' || c == '}') {
        if (!x->n_brackets) return xn_fail(x->err, XN_ERR_TEMPLATE, "%s:%d: unexpected '%c'", x->name, x->line, c);
        char expected = x->brackets[--x->n_brackets];
        if (expected != c)
            return xn_fail(x->err, XN_ERR_TEMPLATE, "%s:%d: unexpected '%c', expected '%c'", x->name, x->line, c,
                           expected);
    }
    return XN_OK;
}

// Whether a tag ends at p, and where.
static bool tag_end(const struct jlexer *x, const char *p, const char **after) {
    const char *end = x->state == JX_BLOCK ? "%}" : "}}";
    if (*p == '-' && at(x, p + 1, end)) {
        *after = skip_space(x, p + 3);
        return true;
    }
    if (x->state == JX_BLOCK && *p == '+' && at(x, p + 1, end)) {
        *after = p + 3;
        return true;
    }
    if (!at(x, p, end)) return false;
    *after = x->state == JX_BLOCK ? trim(x, p + 2) : p + 2;
    return true;
}

static int lex_tag(struct jlexer *x, struct jtoken *token) {
    advance(x, skip_space(x, x->p));
    *token = (struct jtoken){.line = x->line, .p = x->p};
    if (x->p >= x->end) {
        token->type = JT_END;
        return XN_OK;
    }
    const char *p = x->p, *end = NULL;
    if (!x->n_brackets && tag_end(x, p, &end)) {
        token->type = x->state == JX_BLOCK ? JT_BLOCK_END : JT_VARIABLE_END;
        x->state = JX_TEXT;
    } else if (*p >= '0' && *p <= '9') {
        token->type = JT_FLOAT;
        end = float_end(x, p);
        if (!end) {
            token->type = JT_INTEGER;
            end = integer_end(x, p);
        }
    } else if (*p == '"' || *p == '\'') {
        token->type = JT_STRING;
        end = string_end(x, p);
        if (!end) return xn_fail(x->err, XN_ERR_TEMPLATE, "%s:%d: a string is not closed", x->name, x->line);
    } else if ((end = word_end(x, p)) > p) {
        token->type = JT_NAME;
    } else if ((token->op = operator_at(x, p))) {
        token->type = JT_OPERATOR;
        end = p + (token->op > 0xff ? 2 : 1);
        int status = bracket(x, token->op > 0xff ? 0 : *p);
        if (status != XN_OK) return status;
    } else {
        const char *q = p;
        return xn_fail(x->err, XN_ERR_TEMPLATE, "%s:%d: unexpected character U+%04X", x->name, x->line,
                       (unsigned)xn_jinja_next(&q));
    }
    token->n = (size_t)(end - p);
    advance(x, end);
    return XN_OK;
}

int xn_jinja_lex(struct jlexer *x, struct jtoken *token) {
    if (x->pending) {
        x->pending = false;
        *token = x->next;
        return XN_OK;
    }
    return x->state == JX_TEXT ? lex_text(x, token) : lex_tag(x, token);
}
