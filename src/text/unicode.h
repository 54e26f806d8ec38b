// Unicode for tokenizers: UTF-8, character classes, normalization. The data is utf8proc's.
#pragma once

#include "text/tokenizer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Decodes the character at the start of n > 0 bytes. Returns its length (1 to 4), or 0 where the bytes are no
// well-formed character (overlong forms, surrogates and what lies beyond U+10FFFF are none).
size_t xn_utf8_decode(const char *s, size_t n, uint32_t *c);
size_t xn_utf8_encode(uint32_t c, char out[4]); // returns the length
// The length of the character at the start of n > 0 bytes; 1 for a byte that belongs to none.
size_t xn_utf8_step(const char *s, size_t n);
// How many bytes at the start of s are well-formed.
size_t xn_utf8_valid_prefix(const char *s, size_t n);

bool xn_is_space(uint32_t c);         // White_Space
bool xn_is_punctuation(uint32_t c);   // P*, and the ASCII symbols
bool xn_is_numeric(uint32_t c);       // Nd, Nl, No
bool xn_is_digit(uint32_t c);         // Nd
bool xn_is_word(uint32_t c);          // letters, marks, decimal digits, letter numbers, connectors
bool xn_is_other(uint32_t c);         // Cc, Cf, Cs, Co
bool xn_is_mark(uint32_t c);          // Mn, Mc, Me
bool xn_is_nonspacing(uint32_t c);    // Mn
bool xn_is_cjk_ideograph(uint32_t c); // what BERT sets apart as a word of its own

// Appends to a byte string; data stays NUL-terminated. XN_ERR_NOMEM without memory.
int xn_text_append(struct xn_text *out, const char *data, size_t n);
int xn_text_append_char(struct xn_text *out, uint32_t c);

enum xn_normal_form { XN_NFC, XN_NFD, XN_NFKC, XN_NFKD };
// Each appends its result to *out. Bytes that are no UTF-8 pass unchanged.
int xn_normalize_unicode(enum xn_normal_form form, const char *s, size_t n, struct xn_text *out);
int xn_lowercase(const char *s, size_t n, struct xn_text *out);
// As it is, but U+FFFD for every byte that belongs to no well-formed character.
int xn_repair_utf8(const char *s, size_t n, struct xn_text *out);
