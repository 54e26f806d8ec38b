// The parser of expressions: Jinja's precedences, from conditional expressions down to literals.
#include "text/jinja/parser.h"
#include "text/jinja/unicode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct jnode *parse_unary(struct jparser *p, bool filters);

static struct jnode *binary_node(struct jparser *p, enum jkind kind, int op, struct jnode *a, struct jnode *b) {
    if (!a || !b) return NULL;
    struct jnode *n = xn_jparse_node(p, kind, a->line);
    if (n) {
        n->op = (uint8_t)op;
        n->a = a;
        n->b = b;
    }
    return n;
}

static struct jnode *constant(struct jparser *p, struct jv v, int line) {
    struct jnode *n = xn_jparse_node(p, JN_CONST, line);
    if (n) n->value = v;
    return n;
}

// Appends to a list whose last link is *tail.
static struct jnode **append(struct jnode **tail, struct jnode *n) {
    *tail = n;
    return n ? &n->next : tail;
}

// Literals

static int hex_value(char c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

// Decodes what is between the quotes as Python does; `out` has room for as many bytes.
static bool unescape(struct jparser *p, const char *s, const char *end, char *out, size_t *n) {
    char *o = out;
    while (s < end) {
        if (*s != '\\') {
            *o++ = *s++;
            continue;
        }
        s++;
        static const char letters[] = "abfnrtv\\'\"", values[] = "\a\b\f\n\r\t\v\\'\"";
        const char *letter = *s ? strchr(letters, *s) : NULL;
        if (letter) {
            *o++ = values[letter - letters];
            s++;
        } else if (*s == '\n') {
            s++;
        } else if (*s >= '0' && *s <= '7') {
            uint32_t c = 0;
            for (int i = 0; i < 3 && s < end && *s >= '0' && *s <= '7'; i++)
                c = c * 8 + (uint32_t)(*s++ - '0');
            o += xn_utf8_encode(c, o);
        } else if (*s == 'x' || *s == 'u' || *s == 'U') {
            int digits = *s == 'x' ? 2 : *s == 'u' ? 4 : 8;
            uint32_t c = 0;
            char kind = *s++;
            for (int i = 0; i < digits; i++, s++) {
                if (s >= end || hex_value(*s) < 0)
                    return xn_jparse_fail(p, "a truncated \\%c escape in a string", kind);
                c = c << 4 | (uint32_t)hex_value(*s);
            }
            if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
                return xn_jparse_fail(p, "the escape \\%c of U+%X is no character", kind, (unsigned)c);
            o += xn_utf8_encode(c, o);
        } else {
            *o++ = '\\'; // an unknown escape stays as it is
        }
    }
    *n = (size_t)(o - out);
    return true;
}

static struct jnode *parse_string(struct jparser *p) {
    int line = p->token.line;
    char *joined = NULL;
    size_t n = 0;
    while (p->token.type == JT_STRING && !p->failed) { // neighbours are one string
        char *grown = xn_arena_alloc(&p->t->arena, n + p->token.n, 1);
        if (!grown) return xn_jparse_fail(p, "out of memory");
        if (n) memcpy(grown, joined, n);
        joined = grown;
        size_t more = 0;
        if (!unescape(p, p->token.p + 1, p->token.p + p->token.n - 1, joined + n, &more)) return NULL;
        n += more;
        xn_jparse_next(p);
    }
    return constant(p, xn_jparse_string(p, joined, n), line);
}

static struct jnode *parse_number(struct jparser *p) {
    char digits[512];
    size_t n = 0;
    for (size_t i = 0; i < p->token.n && n + 1 < sizeof digits; i++)
        if (p->token.p[i] != '_') digits[n++] = p->token.p[i];
    digits[n] = 0;
    int line = p->token.line;
    struct jv v;
    if (n + 1 == sizeof digits) return xn_jparse_fail(p, "a number of more than %zu digits", n);
    if (p->token.type == JT_FLOAT) {
        v = j_float(strtod(digits, NULL));
    } else {
        char kind = n > 1 ? (char)(digits[1] | 0x20) : 0;
        int base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 10;
        errno = 0;
        v = j_int(strtoll(base == 10 ? digits : digits + 2, NULL, base));
        if (errno) return xn_jparse_fail(p, "the integer %.40s does not fit 64 bits", digits);
    }
    xn_jparse_next(p);
    return constant(p, v, line);
}

static struct jnode *parse_list(struct jparser *p) {
    struct jnode *list = xn_jparse_node(p, JN_LIST, p->token.line);
    if (!list) return NULL;
    struct jnode **tail = &list->a;
    xn_jparse_next(p);
    while (!xn_jparse_is_op(p, ']') && !p->failed) {
        if (list->a && !xn_jparse_expect_op(p, ',', "','")) return NULL;
        if (xn_jparse_is_op(p, ']')) break;
        tail = append(tail, xn_jparse_expression(p, true));
    }
    return xn_jparse_expect_op(p, ']', "']'") ? list : NULL;
}

static struct jnode *parse_dict(struct jparser *p) {
    struct jnode *dict = xn_jparse_node(p, JN_DICT, p->token.line);
    if (!dict) return NULL;
    struct jnode **tail = &dict->a;
    xn_jparse_next(p);
    while (!xn_jparse_is_op(p, '}') && !p->failed) {
        if (dict->a && !xn_jparse_expect_op(p, ',', "','")) return NULL;
        if (xn_jparse_is_op(p, '}')) break;
        tail = append(tail, xn_jparse_expression(p, true));
        if (!xn_jparse_expect_op(p, ':', "':'")) return NULL;
        tail = append(tail, xn_jparse_expression(p, true));
    }
    return xn_jparse_expect_op(p, '}', "'}'") ? dict : NULL;
}

static struct jnode *parse_name(struct jparser *p, bool namespaces) {
    static const struct {
        const char *name;
        struct jv value;
    } constants[] = {
        {"true", {.type = J_BOOL, .b = true}},
        {"True", {.type = J_BOOL, .b = true}},
        {"false", {.type = J_BOOL}},
        {"False", {.type = J_BOOL}},
        {"none", {.type = J_NONE}},
        {"None", {.type = J_NONE}},
    };
    static const struct {
        const char *name;
        uint8_t use;
    } specials[] = {{"caller", JM_CALLER}, {"varargs", JM_VARARGS}, {"kwargs", JM_KWARGS}};
    int line = p->token.line;
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
        if (xn_jparse_skip_name(p, constants[i].name)) return constant(p, constants[i].value, line);
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++)
        if (xn_jparse_is_name(p, specials[i].name)) p->uses |= specials[i].use;
    struct jnode *n = xn_jparse_node(p, JN_NAME, line);
    if (!n) return NULL;
    n->value = xn_jparse_string(p, p->token.p, p->token.n);
    xn_jparse_next(p);
    if (namespaces && xn_jparse_skip_op(p, '.')) {
        if (p->token.type != JT_NAME) return xn_jparse_unexpected(p, "a name");
        n->kind = JN_NSREF;
        n->b = constant(p, xn_jparse_string(p, p->token.p, p->token.n), line);
        xn_jparse_next(p);
    }
    return n;
}

struct jnode *xn_jparse_primary(struct jparser *p, bool namespaces) {
    if (p->failed || !xn_jparse_enter(p)) return NULL;
    struct jnode *n = NULL;
    switch (p->token.type) {
    case JT_NAME:
        n = parse_name(p, namespaces);
        break;
    case JT_STRING:
        n = parse_string(p);
        break;
    case JT_INTEGER:
    case JT_FLOAT:
        n = parse_number(p);
        break;
    default:
        if (xn_jparse_skip_op(p, '(')) {
            n = xn_jparse_tuple(p, JP_PARENTHESES, NULL);
            if (!xn_jparse_expect_op(p, ')', "')'")) n = NULL;
        } else if (xn_jparse_is_op(p, '[')) {
            n = parse_list(p);
        } else if (xn_jparse_is_op(p, '{')) {
            n = parse_dict(p);
        } else {
            xn_jparse_unexpected(p, "an expression");
        }
    }
    p->depth--;
    return p->failed ? NULL : n;
}

struct jnode *xn_jparse_tuple(struct jparser *p, int flags, const char *end) {
    struct jnode *first = NULL, **tail = &first;
    int line = p->token.line;
    bool tuple = false;
    while (!p->failed) {
        if (first && !xn_jparse_expect_op(p, ',', "','")) return NULL;
        if (p->token.type == JT_BLOCK_END || p->token.type == JT_VARIABLE_END || xn_jparse_is_op(p, ')') ||
            (end && xn_jparse_is_name(p, end)))
            break;
        struct jnode *n = flags & JP_TARGET ? xn_jparse_primary(p, flags & JP_NAMESPACES)
                                            : xn_jparse_expression(p, !(flags & JP_NO_CONDITION));
        tail = append(tail, n);
        if (!xn_jparse_is_op(p, ',')) break;
        tuple = true;
    }
    if (p->failed) return NULL;
    if (!tuple && first) return first;
    if (!tuple && !(flags & JP_PARENTHESES)) return xn_jparse_unexpected(p, "an expression");
    struct jnode *n = xn_jparse_node(p, JN_TUPLE, line);
    if (n) n->a = first;
    return n;
}

// Postfix: attributes, items, calls, filters, tests

static struct jargs *parse_args(struct jparser *p) {
    struct jargs *args = xn_arena_alloc(&p->t->arena, 1, sizeof *args);
    if (!args) return xn_jparse_fail(p, "out of memory");
    struct jnode **pos = &args->pos, **kw = &args->kw, **names = &args->names;
    xn_jparse_next(p); // (
    bool comma = false;
    while (!xn_jparse_is_op(p, ')') && !p->failed) {
        if (comma) {
            if (!xn_jparse_expect_op(p, ',', "','")) return NULL;
            if (xn_jparse_is_op(p, ')')) break;
        }
        comma = true;
        bool in_order = true;
        if (xn_jparse_skip_op(p, '*')) {
            in_order = !args->star && !args->star_star;
            args->star = xn_jparse_expression(p, true);
        } else if (xn_jparse_skip_op(p, JT_OP2('*', '*'))) {
            in_order = !args->star_star;
            args->star_star = xn_jparse_expression(p, true);
        } else if (p->token.type == JT_NAME && xn_jparse_look(p)->type == JT_OPERATOR && xn_jparse_look(p)->op == '=') {
            in_order = !args->star_star;
            names = append(names, constant(p, xn_jparse_string(p, p->token.p, p->token.n), p->token.line));
            xn_jparse_next(p);
            xn_jparse_next(p);
            kw = append(kw, xn_jparse_expression(p, true));
        } else {
            in_order = !args->star && !args->star_star && !args->kw;
            pos = append(pos, xn_jparse_expression(p, true));
            args->n_pos++;
        }
        if (!in_order) return xn_jparse_fail(p, "invalid syntax for function call expression");
    }
    return xn_jparse_expect_op(p, ')', "')'") ? args : NULL;
}

static struct jnode *parse_call(struct jparser *p, struct jnode *callee) {
    struct jnode *n = xn_jparse_node(p, JN_CALL, p->token.line);
    if (!n) return NULL;
    n->a = callee;
    n->args = parse_args(p);
    return n->args ? n : NULL;
}

static struct jnode *parse_subscribed(struct jparser *p) {
    struct jnode *part[3] = {NULL, NULL, NULL};
    int line = p->token.line;
    if (!xn_jparse_is_op(p, ':')) {
        part[0] = xn_jparse_expression(p, true);
        if (!xn_jparse_is_op(p, ':')) return part[0];
    }
    for (int i = 1; i < 3 && xn_jparse_skip_op(p, ':'); i++)
        if (!xn_jparse_is_op(p, ':') && !xn_jparse_is_op(p, ']') && !xn_jparse_is_op(p, ','))
            part[i] = xn_jparse_expression(p, true);
    struct jnode *n = xn_jparse_node(p, JN_SLICE, line);
    if (!n) return NULL;
    n->a = part[0];
    n->b = part[1];
    n->c = part[2];
    return n;
}

static struct jnode *parse_subscript(struct jparser *p, struct jnode *on) {
    int line = p->token.line;
    if (xn_jparse_skip_op(p, '.')) {
        if (p->token.type == JT_INTEGER) return binary_node(p, JN_ITEM, 0, on, parse_number(p));
        if (p->token.type != JT_NAME) return xn_jparse_unexpected(p, "a name or number after '.'");
        struct jnode *n = xn_jparse_node(p, JN_ATTR, line);
        if (!n) return NULL;
        n->a = on;
        n->value = xn_jparse_string(p, p->token.p, p->token.n);
        xn_jparse_next(p);
        return n;
    }
    xn_jparse_next(p); // [
    struct jnode *first = NULL, **tail = &first;
    while (!xn_jparse_is_op(p, ']') && !p->failed) {
        if (first && !xn_jparse_expect_op(p, ',', "','")) return NULL;
        tail = append(tail, parse_subscribed(p));
    }
    if (!xn_jparse_expect_op(p, ']', "']'")) return NULL;
    if (!first || first->next) {
        struct jnode *tuple = xn_jparse_node(p, JN_TUPLE, line);
        if (!tuple) return NULL;
        tuple->a = first;
        first = tuple;
    }
    return binary_node(p, JN_ITEM, 0, on, first);
}

static struct jnode *parse_postfix(struct jparser *p, struct jnode *n) {
    unsigned deeper = 0;
    while (n && !p->failed) {
        bool subscript = xn_jparse_is_op(p, '.') || xn_jparse_is_op(p, '[');
        if (!subscript && !xn_jparse_is_op(p, '(')) break;
        if (!xn_jparse_enter(p)) return NULL;
        deeper++;
        n = subscript ? parse_subscript(p, n) : parse_call(p, n);
    }
    p->depth -= deeper;
    return p->failed ? NULL : n;
}

// A dotted name, as filters and tests may have.
static struct jv parse_dotted(struct jparser *p) {
    if (p->token.type != JT_NAME) {
        xn_jparse_unexpected(p, "a name");
        return j_error;
    }
    const char *start = p->token.p, *end = start + p->token.n;
    xn_jparse_next(p);
    while (xn_jparse_skip_op(p, '.')) {
        if (p->token.type != JT_NAME) {
            xn_jparse_unexpected(p, "a name");
            return j_error;
        }
        end = p->token.p + p->token.n;
        xn_jparse_next(p);
    }
    return xn_jparse_string(p, start, (size_t)(end - start));
}

struct jnode *xn_jparse_filters(struct jparser *p, struct jnode *on, bool inline_first) {
    while (!p->failed && (inline_first || xn_jparse_is_op(p, '|'))) {
        if (!inline_first) xn_jparse_next(p);
        inline_first = false;
        struct jnode *n = xn_jparse_node(p, JN_FILTER, p->token.line);
        if (!n) return NULL;
        n->a = on;
        n->value = parse_dotted(p);
        if (xn_jparse_is_op(p, '(')) n->args = parse_args(p);
        on = n;
    }
    return p->failed ? NULL : on;
}

static struct jnode *parse_test(struct jparser *p, struct jnode *on) {
    int line = p->token.line;
    xn_jparse_next(p); // is
    bool negated = xn_jparse_skip_name(p, "not");
    struct jnode *n = xn_jparse_node(p, JN_TEST, line);
    if (!n) return NULL;
    n->a = on;
    n->value = parse_dotted(p);
    if (xn_jparse_is_op(p, '(')) {
        n->args = parse_args(p);
    } else if ((p->token.type == JT_NAME && !xn_jparse_is_name(p, "else") && !xn_jparse_is_name(p, "or") &&
                !xn_jparse_is_name(p, "and")) ||
               p->token.type == JT_STRING || p->token.type == JT_INTEGER || p->token.type == JT_FLOAT ||
               xn_jparse_is_op(p, '[') || xn_jparse_is_op(p, '{')) {
        if (xn_jparse_is_name(p, "is")) return xn_jparse_fail(p, "tests with 'is' cannot be chained");
        n->args = xn_arena_alloc(&p->t->arena, 1, sizeof *n->args);
        if (!n->args) return xn_jparse_fail(p, "out of memory");
        n->args->pos = parse_postfix(p, xn_jparse_primary(p, false));
        n->args->n_pos = 1;
    }
    if (p->failed || !negated) return p->failed ? NULL : n;
    struct jnode *inverse = xn_jparse_node(p, JN_NOT, line);
    if (inverse) inverse->a = n;
    return inverse;
}

static struct jnode *parse_filters_and_tests(struct jparser *p, struct jnode *n) {
    unsigned deeper = 0;
    while (n && !p->failed) {
        bool filter = xn_jparse_is_op(p, '|'), test = xn_jparse_is_name(p, "is");
        if (!filter && !test && !xn_jparse_is_op(p, '(')) break;
        if (!xn_jparse_enter(p)) return NULL;
        deeper++;
        n = filter ? xn_jparse_filters(p, n, false) : test ? parse_test(p, n) : parse_call(p, n);
    }
    p->depth -= deeper;
    return p->failed ? NULL : n;
}

static struct jnode *parse_unary(struct jparser *p, bool filters) {
    if (p->failed || !xn_jparse_enter(p)) return NULL;
    struct jnode *n;
    if (xn_jparse_is_op(p, '-') || xn_jparse_is_op(p, '+')) {
        n = xn_jparse_node(p, xn_jparse_is_op(p, '-') ? JN_NEGATE : JN_PLUS, p->token.line);
        xn_jparse_next(p);
        if (n) n->a = parse_unary(p, false);
    } else {
        n = xn_jparse_primary(p, false);
    }
    n = parse_postfix(p, n);
    if (filters) n = parse_filters_and_tests(p, n);
    p->depth--;
    return p->failed ? NULL : n;
}

// Binary operators, loosest level first within each function's own level.

enum { LEVEL_ADD, LEVEL_CONCAT, LEVEL_MULTIPLY, LEVEL_POWER, LEVEL_UNARY };

static const struct {
    int token;
    uint8_t level, op;
} operators[] = {
    {'+', LEVEL_ADD, JO_ADD},
    {'-', LEVEL_ADD, JO_SUB},
    {'*', LEVEL_MULTIPLY, JO_MUL},
    {'/', LEVEL_MULTIPLY, JO_DIV},
    {JT_OP2('/', '/'), LEVEL_MULTIPLY, JO_FLOORDIV},
    {'%', LEVEL_MULTIPLY, JO_MOD},
    {JT_OP2('*', '*'), LEVEL_POWER, JO_POW},
};

static int operator_of(const struct jparser *p, int level) {
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (operators[i].level == level && xn_jparse_is_op(p, operators[i].token)) return operators[i].op;
    return -1;
}

static struct jnode *parse_level(struct jparser *p, int level) {
    if (level == LEVEL_UNARY) return parse_unary(p, true);
    struct jnode *left = parse_level(p, level + 1);
    if (level == LEVEL_CONCAT) {
        if (!xn_jparse_is_op(p, '~') || !left) return left;
        struct jnode *n = xn_jparse_node(p, JN_CONCAT, left->line);
        if (!n) return NULL;
        struct jnode **tail = append(&n->a, left);
        while (xn_jparse_skip_op(p, '~'))
            tail = append(tail, parse_level(p, level + 1));
        return p->failed ? NULL : n;
    }
    for (int op; !p->failed && (op = operator_of(p, level)) >= 0;) {
        xn_jparse_next(p);
        left = binary_node(p, JN_BINARY, op, left, parse_level(p, level + 1));
    }
    return p->failed ? NULL : left;
}

static int comparison_of(struct jparser *p) {
    static const struct {
        int token, op;
    } comparisons[] = {{JT_OP2('=', '='), JO_EQ},
                       {JT_OP2('!', '='), JO_NE},
                       {JT_OP2('<', '='), JO_LE},
                       {JT_OP2('>', '='), JO_GE},
                       {'<', JO_LT},
                       {'>', JO_GT}};
    for (size_t i = 0; i < sizeof comparisons / sizeof *comparisons; i++)
        if (xn_jparse_skip_op(p, comparisons[i].token)) return comparisons[i].op;
    if (xn_jparse_skip_name(p, "in")) return JO_IN;
    if (xn_jparse_is_name(p, "not")) {
        const struct jtoken *ahead = xn_jparse_look(p);
        if (ahead->type == JT_NAME && ahead->n == 2 && memcmp(ahead->p, "in", 2) == 0) {
            xn_jparse_next(p);
            xn_jparse_next(p);
            return JO_NOTIN;
        }
    }
    return -1;
}

static struct jnode *parse_compare(struct jparser *p) {
    struct jnode *first = parse_level(p, LEVEL_ADD), *operands = NULL, **tail = &operands;
    for (int op; first && !p->failed && (op = comparison_of(p)) >= 0;) {
        struct jnode *operand = xn_jparse_node(p, JN_OPERAND, p->token.line);
        if (!operand) return NULL;
        operand->op = (uint8_t)op;
        operand->a = parse_level(p, LEVEL_ADD);
        tail = append(tail, operand);
    }
    if (p->failed || !operands) return p->failed ? NULL : first;
    return binary_node(p, JN_COMPARE, 0, first, operands);
}

static struct jnode *parse_not(struct jparser *p) {
    if (!xn_jparse_is_name(p, "not")) return parse_compare(p);
    if (!xn_jparse_enter(p)) return NULL;
    struct jnode *n = xn_jparse_node(p, JN_NOT, p->token.line);
    xn_jparse_next(p);
    if (n) n->a = parse_not(p);
    p->depth--;
    return p->failed ? NULL : n;
}

static struct jnode *parse_and(struct jparser *p) {
    struct jnode *left = parse_not(p);
    while (!p->failed && xn_jparse_skip_name(p, "and"))
        left = binary_node(p, JN_AND, 0, left, parse_not(p));
    return left;
}

static struct jnode *parse_or(struct jparser *p) {
    struct jnode *left = parse_and(p);
    while (!p->failed && xn_jparse_skip_name(p, "or"))
        left = binary_node(p, JN_OR, 0, left, parse_and(p));
    return left;
}

struct jnode *xn_jparse_expression(struct jparser *p, bool conditional) {
    if (p->failed || !xn_jparse_enter(p)) return NULL;
    struct jnode *n = parse_or(p);
    while (conditional && !p->failed && xn_jparse_skip_name(p, "if")) {
        struct jnode *condition = xn_jparse_node(p, JN_COND, n->line);
        if (!condition) break;
        condition->b = n;
        condition->a = parse_or(p);
        if (xn_jparse_skip_name(p, "else")) condition->c = xn_jparse_expression(p, true);
        n = condition;
    }
    p->depth--;
    return p->failed ? NULL : n;
}
