// The parser of statements, and what expressions.c needs.
#include "text/jinja/parser.h"

#include "text/jinja/unicode.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void *xn_jparse_fail(struct jparser *p, const char *format, ...) {
    if (p->failed) return NULL;
    p->failed = true;
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    xn_fail(p->err, XN_ERR_TEMPLATE, "%s:%d: %s", p->t->name, p->token.line, message);
    return NULL;
}

void *xn_jparse_unexpected(struct jparser *p, const char *expected) {
    const struct jtoken *t = &p->token;
    const char *what = t->type == JT_END            ? "end of template"
                       : t->type == JT_BLOCK_END    ? "end of statement block"
                       : t->type == JT_VARIABLE_END ? "end of print statement"
                                                    : NULL;
    if (what) return xn_jparse_fail(p, "expected %s, found %s", expected, what);
    return xn_jparse_fail(p, "expected %s, found '%.*s'", expected, t->n > 40 ? 40 : (int)t->n, t->p);
}

bool xn_jparse_enter(struct jparser *p) {
    if (p->depth >= JP_DEPTH) return xn_jparse_fail(p, "blocks and expressions nest deeper than %d", JP_DEPTH);
    p->depth++;
    return true;
}

struct jnode *xn_jparse_node(struct jparser *p, enum jkind kind, int line) {
    struct jnode *n = p->failed ? NULL : xn_arena_alloc(&p->t->arena, 1, sizeof *n);
    if (!n) return xn_jparse_fail(p, "out of memory");
    n->kind = (uint8_t)kind;
    n->line = line;
    return n;
}

struct jv xn_jparse_string(struct jparser *p, const char *s, size_t n) {
    struct jstr *string = p->failed ? NULL : xn_arena_alloc(&p->t->arena, 1, sizeof *string);
    if (!string) {
        xn_jparse_fail(p, "out of memory");
        return j_error;
    }
    string->o.type = J_STRING;
    string->p = n ? s : "";
    string->n = n;
    string->chars = SIZE_MAX;
    xn_jinja_chars(string); // constants are shared by threads: nothing may be filled in later
    string->hash = xn_jinja_hash_text(string->p, n);
    return (struct jv){.type = J_STRING, .s = string};
}

void xn_jparse_next(struct jparser *p) {
    if (p->failed) {
        p->token.type = JT_END;
        return;
    }
    if (p->has_ahead) {
        p->token = p->ahead;
        p->has_ahead = false;
    } else if (xn_jinja_lex(&p->lexer, &p->token) != XN_OK) {
        p->failed = true;
        p->token.type = JT_END;
    }
}

const struct jtoken *xn_jparse_look(struct jparser *p) {
    if (!p->has_ahead) {
        p->has_ahead = true;
        if (xn_jinja_lex(&p->lexer, &p->ahead) != XN_OK) {
            p->failed = true;
            p->ahead.type = JT_END;
        }
    }
    return &p->ahead;
}

bool xn_jparse_is_op(const struct jparser *p, int op) {
    return p->token.type == JT_OPERATOR && p->token.op == op;
}

bool xn_jparse_is_name(const struct jparser *p, const char *name) {
    return p->token.type == JT_NAME && p->token.n == strlen(name) && memcmp(p->token.p, name, p->token.n) == 0;
}

bool xn_jparse_skip_op(struct jparser *p, int op) {
    if (p->failed || !xn_jparse_is_op(p, op)) return false;
    xn_jparse_next(p);
    return true;
}

bool xn_jparse_skip_name(struct jparser *p, const char *name) {
    if (p->failed || !xn_jparse_is_name(p, name)) return false;
    xn_jparse_next(p);
    return true;
}

bool xn_jparse_expect_op(struct jparser *p, int op, const char *what) {
    if (xn_jparse_skip_op(p, op)) return true;
    return xn_jparse_unexpected(p, what);
}

bool xn_jparse_expect_name(struct jparser *p, const char *name) {
    if (xn_jparse_skip_name(p, name)) return true;
    char quoted[64];
    snprintf(quoted, sizeof quoted, "'%s'", name);
    return xn_jparse_unexpected(p, quoted);
}

// Statements

// Parses up to a tag that starts with one of `ends` (separated by spaces), which is the current token after it.
static struct jnode *parse_body(struct jparser *p, const char *ends);

static struct jnode **append(struct jnode **tail, struct jnode *n) {
    *tail = n;
    return n ? &n->next : tail;
}

static bool expect_block_end(struct jparser *p) {
    if (p->failed) return false;
    if (p->token.type != JT_BLOCK_END) return xn_jparse_unexpected(p, "end of statement block");
    xn_jparse_next(p);
    return true;
}

// The body after the rest of the opening tag, and its closing tag "endNAME".
static struct jnode *parse_block_body(struct jparser *p, const char *end) {
    if (!expect_block_end(p)) return NULL;
    struct jnode *body = parse_body(p, end);
    xn_jparse_expect_name(p, end);
    return body;
}

static bool can_assign(const struct jnode *n) {
    if (n->kind == JN_NAME || n->kind == JN_NSREF) return true;
    if (n->kind != JN_TUPLE && n->kind != JN_LIST) return false;
    for (const struct jnode *i = n->a; i; i = i->next)
        if (!can_assign(i)) return false;
    return true;
}

static struct jnode *parse_target(struct jparser *p, int flags, const char *end) {
    struct jnode *n = xn_jparse_tuple(p, JP_TARGET | flags, end);
    if (n && !can_assign(n)) return xn_jparse_fail(p, "cannot assign to this expression");
    return n;
}

static struct jnode *parse_plain_name(struct jparser *p) {
    if (p->token.type != JT_NAME) return xn_jparse_unexpected(p, "a name");
    struct jnode *n = xn_jparse_primary(p, false);
    if (n && n->kind != JN_NAME) return xn_jparse_fail(p, "cannot assign to a constant");
    return n;
}

static struct jnode *parse_if(struct jparser *p, struct jnode *n) {
    struct jnode *first = n;
    while (!p->failed) {
        n->a = xn_jparse_tuple(p, JP_NO_CONDITION, NULL);
        if (!expect_block_end(p)) return NULL;
        n->b = parse_body(p, "elif else endif");
        if (xn_jparse_is_name(p, "elif")) {
            n->c = xn_jparse_node(p, JN_IF, p->token.line);
            n = n->c;
            if (!n) return NULL;
            n->flag = true; // an elif: run by the statement that it belongs to
            xn_jparse_next(p);
            continue;
        }
        if (xn_jparse_skip_name(p, "else"))
            n->c = parse_block_body(p, "endif");
        else
            xn_jparse_expect_name(p, "endif");
        break;
    }
    return first;
}

static struct jnode *parse_for(struct jparser *p, struct jnode *n) {
    n->a = parse_target(p, 0, "in");
    xn_jparse_expect_name(p, "in");
    n->b = xn_jparse_tuple(p, JP_NO_CONDITION, "recursive");
    if (xn_jparse_skip_name(p, "if")) n->c = xn_jparse_expression(p, true);
    n->flag = xn_jparse_skip_name(p, "recursive");
    if (!expect_block_end(p)) return NULL;
    p->loops++;
    n->body = parse_body(p, "endfor else");
    p->loops--;
    if (xn_jparse_skip_name(p, "else"))
        n->otherwise = parse_block_body(p, "endfor");
    else
        xn_jparse_expect_name(p, "endfor");
    return n;
}

static struct jnode *parse_set(struct jparser *p, struct jnode *n) {
    n->a = parse_target(p, JP_NAMESPACES, NULL);
    if (xn_jparse_skip_op(p, '=')) {
        n->b = xn_jparse_tuple(p, 0, NULL);
        return n;
    }
    n->kind = JN_SETBLOCK;
    n->b = xn_jparse_filters(p, NULL, false);
    n->body = parse_block_body(p, "endset");
    return n;
}

// Parameters and their defaults.
static void parse_signature(struct jparser *p, struct jnode *n) {
    struct jnode **names = &n->a, **defaults = &n->b;
    xn_jparse_expect_op(p, '(', "'('");
    while (!xn_jparse_is_op(p, ')') && !p->failed) {
        if (n->a && !xn_jparse_expect_op(p, ',', "','")) return;
        names = append(names, parse_plain_name(p));
        if (xn_jparse_skip_op(p, '='))
            defaults = append(defaults, xn_jparse_expression(p, true));
        else if (n->b)
            xn_jparse_fail(p, "a parameter without a default follows one with a default");
    }
    xn_jparse_expect_op(p, ')', "')'");
}

// A macro's body: what special variables it uses decides which arguments it takes. Loops outside don't count for break.
static void parse_macro_body(struct jparser *p, struct jnode *n, const char *end) {
    uint8_t outside = p->uses;
    unsigned loops = p->loops;
    p->uses = 0;
    p->loops = 0;
    n->body = parse_block_body(p, end);
    n->uses = p->uses;
    p->uses |= outside;
    p->loops = loops;
}

static struct jnode *parse_macro(struct jparser *p, struct jnode *n) {
    struct jnode *name = parse_plain_name(p);
    if (name) n->value = name->value;
    parse_signature(p, n);
    parse_macro_body(p, n, "endmacro");
    return n;
}

static struct jnode *parse_call_block(struct jparser *p, struct jnode *n) {
    n->b = xn_jparse_node(p, JN_MACRO, n->line);
    if (!n->b) return NULL;
    n->b->value = xn_jparse_string(p, "caller", 6);
    if (xn_jparse_is_op(p, '(')) parse_signature(p, n->b);
    n->a = xn_jparse_expression(p, true);
    if (n->a && n->a->kind != JN_CALL) return xn_jparse_fail(p, "expected a call after 'call'");
    parse_macro_body(p, n->b, "endcall");
    return n;
}

static struct jnode *parse_filter_block(struct jparser *p, struct jnode *n) {
    n->a = xn_jparse_filters(p, NULL, true);
    n->body = parse_block_body(p, "endfilter");
    return n;
}

static struct jnode *parse_with(struct jparser *p, struct jnode *n) {
    struct jnode **targets = &n->a, **values = &n->b;
    while (p->token.type != JT_BLOCK_END && !p->failed) {
        if (n->a && !xn_jparse_expect_op(p, ',', "','")) return NULL;
        targets = append(targets, parse_target(p, 0, NULL));
        xn_jparse_expect_op(p, '=', "'='");
        values = append(values, xn_jparse_expression(p, true));
    }
    n->body = parse_block_body(p, "endwith");
    return n;
}

static struct jnode *parse_print(struct jparser *p, struct jnode *n) {
    struct jnode **tail = &n->a;
    while (p->token.type != JT_BLOCK_END && !p->failed) {
        if (n->a && !xn_jparse_expect_op(p, ',', "','")) return NULL;
        tail = append(tail, xn_jparse_expression(p, true));
    }
    return n;
}

static struct jnode *parse_do(struct jparser *p, struct jnode *n) {
    n->a = xn_jparse_tuple(p, 0, NULL);
    return n;
}

static struct jnode *parse_generation(struct jparser *p, struct jnode *n) {
    n->body = parse_block_body(p, "endgeneration");
    return n;
}

static struct jnode *parse_autoescape(struct jparser *p, struct jnode *n) {
    n->a = xn_jparse_expression(p, true);
    n->body = parse_block_body(p, "endautoescape");
    return n;
}

static struct jnode *parse_block(struct jparser *p, struct jnode *n) {
    struct jnode *name = parse_plain_name(p);
    n->flag = xn_jparse_skip_name(p, "scoped");
    unsigned loops = p->loops;
    p->loops = 0;
    n->body = parse_block_body(p, "endblock");
    p->loops = loops;
    if (name && p->token.type == JT_NAME && p->token.n == name->value.s->n &&
        memcmp(p->token.p, name->value.s->p, p->token.n) == 0)
        xn_jparse_next(p);
    return n;
}

static struct jnode *parse_loop_control(struct jparser *p, struct jnode *n) {
    if (!p->loops) return xn_jparse_fail(p, "break and continue belong into a loop");
    return n;
}

static struct jnode *parse_foreign(struct jparser *p, struct jnode *n) {
    (void)n;
    return xn_jparse_fail(p, "a chat template cannot refer to other templates");
}

static struct jnode *parse_statement(struct jparser *p) {
    static const struct {
        const char *name;
        enum jkind kind;
        struct jnode *(*parse)(struct jparser *p, struct jnode *n);
    } statements[] = {
        {"if", JN_IF, parse_if},
        {"for", JN_FOR, parse_for},
        {"set", JN_SET, parse_set},
        {"macro", JN_MACRO, parse_macro},
        {"call", JN_CALLBLOCK, parse_call_block},
        {"filter", JN_FILTERBLOCK, parse_filter_block},
        {"with", JN_WITH, parse_with},
        {"print", JN_PRINT, parse_print},
        {"do", JN_DO, parse_do},
        {"generation", JN_SCOPE, parse_generation},
        {"autoescape", JN_AUTOESCAPE, parse_autoescape},
        {"block", JN_BLOCK, parse_block},
        {"break", JN_BREAK, parse_loop_control},
        {"continue", JN_CONTINUE, parse_loop_control},
        {"include", JN_BLOCK, parse_foreign},
        {"import", JN_BLOCK, parse_foreign},
        {"from", JN_BLOCK, parse_foreign},
        {"extends", JN_BLOCK, parse_foreign},
    };
    if (p->token.type != JT_NAME) return xn_jparse_unexpected(p, "the name of a statement");
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        if (xn_jparse_is_name(p, statements[i].name)) {
            struct jnode *n = xn_jparse_node(p, statements[i].kind, p->token.line);
            if (!n || !xn_jparse_enter(p)) return NULL;
            xn_jparse_next(p);
            n = p->failed ? NULL : statements[i].parse(p, n);
            p->depth--;
            return expect_block_end(p) ? n : NULL;
        }
    return xn_jparse_fail(p, "unknown statement '%.*s'", p->token.n > 40 ? 40 : (int)p->token.n, p->token.p);
}

static bool is_one_of(const struct jparser *p, const char *names) {
    while (*names) {
        size_t n = strcspn(names, " ");
        if (p->token.type == JT_NAME && p->token.n == n && memcmp(p->token.p, names, n) == 0) return true;
        names += n + (names[n] == ' ');
    }
    return false;
}

static struct jnode *parse_body(struct jparser *p, const char *ends) {
    struct jnode *first = NULL, **tail = &first;
    while (!p->failed) {
        struct jnode *n = NULL;
        switch (p->token.type) {
        case JT_TEXT:
            n = xn_jparse_node(p, JN_TEXT, p->token.line);
            if (n) n->value = xn_jparse_string(p, p->token.p, p->token.n);
            xn_jparse_next(p);
            break;
        case JT_VARIABLE_BEGIN:
            n = xn_jparse_node(p, JN_PRINT, p->token.line);
            xn_jparse_next(p);
            if (n) n->a = xn_jparse_tuple(p, 0, NULL);
            if (p->token.type != JT_VARIABLE_END) xn_jparse_unexpected(p, "end of print statement");
            xn_jparse_next(p);
            break;
        case JT_BLOCK_BEGIN:
            xn_jparse_next(p);
            if (is_one_of(p, ends)) return first;
            n = parse_statement(p);
            break;
        default:
            if (*ends) xn_jparse_fail(p, "unexpected end of template, expected a tag with %s", ends);
            return first;
        }
        tail = append(tail, n);
    }
    return first;
}

int xn_jinja_parse(struct xn_template *t, size_t n, struct xn_error *err) {
    struct jparser p = {.t = t, .err = err};
    xn_jinja_lexer_init(&p.lexer, t->name, t->source, n, err);
    xn_jparse_next(&p);
    t->first = parse_body(&p, "");
    return p.failed ? XN_ERR_TEMPLATE : XN_OK;
}
