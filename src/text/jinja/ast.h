// The parsed template: nodes in an arena that nothing changes after parsing.
#pragma once

#include "base/memory.h"
#include "text/jinja/value.h"

// What each kind of node uses of struct jnode; "list" is a chain through `next`.
enum jkind {
    // expressions
    JN_CONST,   // value
    JN_NAME,    // value: its name
    JN_TUPLE,   // list a
    JN_LIST,    // list a
    JN_DICT,    // list a: key, value, key, value, ...
    JN_COND,    // a: the condition, b: then, c: else or NULL
    JN_OR,      // a, b
    JN_AND,     // a, b
    JN_NOT,     // a
    JN_NEGATE,  // a
    JN_PLUS,    // a
    JN_BINARY,  // op, a, b
    JN_CONCAT,  // list a
    JN_COMPARE, // a, list b of JN_OPERAND
    JN_OPERAND, // op, a
    JN_ATTR,    // a, value: the name
    JN_ITEM,    // a, b
    JN_SLICE,   // a, b, c: start, stop, step, each may be NULL (only as b of JN_ITEM or in a tuple there)
    JN_CALL,    // a, args
    JN_FILTER,  // a (NULL: the output of a block), value: the name, args
    JN_TEST,    // a, value: the name, args
    JN_NSREF,   // value: the namespace's variable, b: a JN_CONST with the attribute's name; only as a target
    // statements
    JN_TEXT,        // value
    JN_PRINT,       // list a
    JN_IF,          // a: the condition, b: the body, c: NULL, or an else body, or the JN_IF of an elif alone
    JN_FOR,         // a: the target, b: what is iterated over, c: the filter or NULL, body, otherwise, flag: recursive
    JN_SET,         // a: the target, b: the value
    JN_SETBLOCK,    // a: the target, b: a filter or NULL, body
    JN_MACRO,       // value: the name, list a: parameters (JN_NAME), list b: defaults of the last of them, body, uses
    JN_CALLBLOCK,   // a: JN_CALL, b: JN_MACRO of the body
    JN_FILTERBLOCK, // a: JN_FILTER, body
    JN_WITH,        // list a: targets, list b: values, body
    JN_SCOPE,       // body, with variables of its own
    JN_BLOCK,       // body, which sees the outermost variables only; flag: scoped, it sees all
    JN_AUTOESCAPE,  // a, body
    JN_DO,          // a
    JN_BREAK,
    JN_CONTINUE,
};

enum jop {
    JO_ADD,
    JO_SUB,
    JO_MUL,
    JO_DIV,
    JO_FLOORDIV,
    JO_MOD,
    JO_POW,
    JO_EQ,
    JO_NE,
    JO_LT,
    JO_LE,
    JO_GT,
    JO_GE,
    JO_IN,
    JO_NOTIN
};

// The arguments of a call as written.
struct jargs {
    struct jnode *pos;              // list
    struct jnode *kw;               // list: value in the order of the names
    struct jnode *names;            // list of JN_CONST
    struct jnode *star, *star_star; // *args and **kwargs
    size_t n_pos;
};

// Which of the special variables the body of a macro uses.
enum { JM_CALLER = 1, JM_VARARGS = 2, JM_KWARGS = 4 };

struct jnode {
    uint8_t kind, op, uses;
    bool flag;
    int line;
    struct jnode *next;
    struct jnode *a, *b, *c;
    struct jnode *body, *otherwise;
    struct jv value;
    struct jargs *args;
};

struct xn_template {
    struct xn_arena arena;
    char *name;
    char *source; // with line ends normalised; strings point into it
    struct jnode *first;
};

// parser.c. Parses t->source (n bytes) into t->first.
int xn_jinja_parse(struct xn_template *t, size_t n, struct xn_error *err);
