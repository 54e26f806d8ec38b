// What ends a repetition in the eyes of DRY: sequences of tokens that spell a string like a line end or a quotation
// mark.
#pragma once

#include "text/tokenizer.h"

enum { XN_DRY_BREAKER_BYTES = 40, XN_DRY_BREAKER_TAIL = 20 }; // longer strings and tails are cut, as in llama.cpp

struct xn_dry_breaker {
    int32_t head;
    int32_t n_tail; // further tokens, `tail` in xn_dry_breakers.tails on
    size_t tail;
};
// Immutable once filled; may serve several samplers at once. Zero-initialise.
struct xn_dry_breakers {
    struct xn_dry_breaker *items; // sorted by head once xn_dry_breakers_sort was called
    size_t n, capacity;
    struct xn_ids tails;
};
void xn_dry_breakers_free(struct xn_dry_breakers *breakers);

// Adds a sequence of n >= 1 tokens.
int xn_dry_breakers_add(struct xn_dry_breakers *breakers, const int32_t *ids, size_t n, struct xn_error *err);
// Adds all sequences of a vocabulary that spell `text`: a token that holds it, or one whose end is its beginning and
// the tokens of the rest (KoboldCpp pull request 982). An empty string is XN_ERR_ARGUMENT.
int xn_dry_breakers_spell(struct xn_dry_breakers *breakers, const struct xn_tokenizer *tokenizer, const char *text,
                          struct xn_error *err);
// "\n", ":", "\"", "*"
int xn_dry_breakers_usual(struct xn_dry_breakers *breakers, const struct xn_tokenizer *tokenizer, struct xn_error *err);
// To be called after the last addition and before use.
void xn_dry_breakers_sort(struct xn_dry_breakers *breakers);
// The first breaker with this head, *n of them; NULL: none.
const struct xn_dry_breaker *xn_dry_breakers_find(const struct xn_dry_breakers *breakers, int32_t head, size_t *n);
