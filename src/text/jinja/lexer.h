// The tokens of a template.
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum jtoken_type {
    JT_END,
    JT_TEXT,
    JT_BLOCK_BEGIN,
    JT_BLOCK_END,
    JT_VARIABLE_BEGIN,
    JT_VARIABLE_END,
    JT_NAME,
    JT_STRING, // as written, with quotes and escapes
    JT_INTEGER,
    JT_FLOAT,
    JT_OPERATOR, // op
};

// Operators: two characters as first << 8 | second.
#define JT_OP2(a, b) ((a) << 8 | (b))

struct jtoken {
    enum jtoken_type type;
    int op;
    int line;
    const char *p;
    size_t n;
};

enum { JX_NESTING = 256 };

struct jlexer {
    const char *name;
    const char *p, *end;
    int line;
    enum { JX_TEXT, JX_BLOCK, JX_VARIABLE } state;
    bool line_starting; // the last token ended with a line end
    bool pending;       // a tag was found after a text: its token is next
    struct jtoken next;
    char brackets[JX_NESTING]; // closing ones that are expected
    size_t n_brackets;
    struct xn_error *err;
};

void xn_jinja_lexer_init(struct jlexer *x, const char *name, const char *source, size_t n, struct xn_error *err);
int xn_jinja_lex(struct jlexer *x, struct jtoken *token); // XN_ERR_TEMPLATE for what is no token
