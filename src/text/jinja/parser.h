// What the two halves of the parser share: parser.c (statements) and expressions.c.
#pragma once

#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"

enum { JP_DEPTH = 200 /* nesting of blocks and expressions */ };

struct jparser {
    struct xn_template *t;
    struct xn_error *err;
    struct jlexer lexer;
    struct jtoken token, ahead;
    bool has_ahead, failed;
    unsigned depth, loops;
    uint8_t uses; // special variables named since the innermost macro began
};

// Each records the first failure and returns NULL (or false); later calls do nothing.
void *xn_jparse_fail(struct jparser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
void *xn_jparse_unexpected(struct jparser *p, const char *expected); // names the current token
bool xn_jparse_enter(struct jparser *p);                             // answered by p->depth--
struct jnode *xn_jparse_node(struct jparser *p, enum jkind kind, int line);
struct jv xn_jparse_string(struct jparser *p, const char *s,
                           size_t n); // a constant; s must live as long as the template

void xn_jparse_next(struct jparser *p);
const struct jtoken *xn_jparse_look(struct jparser *p); // the token after the current one
bool xn_jparse_is_op(const struct jparser *p, int op);
bool xn_jparse_is_name(const struct jparser *p, const char *name);
bool xn_jparse_skip_op(struct jparser *p, int op);
bool xn_jparse_skip_name(struct jparser *p, const char *name);
bool xn_jparse_expect_op(struct jparser *p, int op, const char *what);
bool xn_jparse_expect_name(struct jparser *p, const char *name);

struct jnode *xn_jparse_expression(struct jparser *p, bool conditional);
struct jnode *xn_jparse_primary(struct jparser *p, bool namespaces);
// One expression or several separated by commas: a tuple. `end`: a name that ends it as well, or NULL.
enum { JP_TARGET = 1, JP_NO_CONDITION = 2, JP_PARENTHESES = 4, JP_NAMESPACES = 8 };
struct jnode *xn_jparse_tuple(struct jparser *p, int flags, const char *end);
struct jnode *xn_jparse_filters(struct jparser *p, struct jnode *on, bool inline_first);
