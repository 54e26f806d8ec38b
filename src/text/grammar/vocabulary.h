// A vocabulary as masks need it: the tokens' bytes as a tree, so that tokens that start alike are tried together.
#pragma once

#include "base/error.h"
#include "text/tokenizer.h"

#include <stdint.h>

struct xn_token_bytes {
    const void *data;
    uint32_t size; // 0: the token stands for no text and is never allowed
};
// A node is a byte after those of the nodes above it. Depth first, so that a subtree is a run of nodes.
struct xn_token_node {
    uint32_t past;  // the first node that is not below this one
    int32_t token;  // that ends here, or -1
    uint16_t depth; // 0: first byte
    uint8_t byte;
};
struct xn_token_branches {
    struct xn_token_node *nodes;
    size_t n;
};
enum {
    XN_TOKEN_LONGEST = 1024, // longer ones are never allowed
    // Before the spelling of a special token: a byte that no text has. So only grammars that name the token admit it,
    // and a text that is spelled alike is another.
    XN_TOKEN_SPECIAL = 0xff,
};
struct xn_token_tree {
    struct xn_token_branches usual, lengthy; // tokens of up to XN_GRAMMAR_HORIZON bytes, and of more
    int32_t *same;                           // by token: another with the same bytes, or -1
    uint8_t *ends;                           // by token: it ends a text
    char *bytes;                             // of all tokens
    size_t *starts;                          // n_tokens + 1
    size_t n_tokens;
};
// Immutable once made; any number of grammars may use it at once.
// ends: of each token, whether it ends the text (its bytes don't matter then); NULL: none does.
int xn_token_tree_new(const struct xn_token_bytes *tokens, const bool *ends, size_t n, struct xn_token_tree **out,
                      struct xn_error *err);
// Of a tokenizer: special tokens are XN_TOKEN_SPECIAL and their spelling, those that end a generation are where the
// text may end.
int xn_token_tree_of(const struct xn_tokenizer *tokenizer, struct xn_token_tree **out, struct xn_error *err);
// What xn_grammar_state_accept takes for a token (nothing for one that ends, or is none). Valid as long as the tree.
const void *xn_token_tree_bytes(const struct xn_token_tree *tree, int32_t token, size_t *size);
void xn_token_tree_free(struct xn_token_tree *tree); // also NULL
