// The regular expressions of pre-tokenizers, on PCRE2. Tokenizer files spell them in Oniguruma's syntax (Ruby's), which
// is translated where PCRE2 reads it differently: white space and word classes, class set operations, quantifiers.
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct xn_regex; // compiled; immutable; may be used by several threads at once

int xn_regex_compile(const char *pattern, size_t size, struct xn_regex **out, struct xn_error *err);
void xn_regex_free(struct xn_regex *regex);

// What one thread needs to match; made once and used for any number of expressions and texts.
struct xn_regex_scratch;
struct xn_regex_scratch *xn_regex_scratch_new(void); // NULL without memory
void xn_regex_scratch_free(struct xn_regex_scratch *scratch);

// Finds the first match at or after `from` in `size` bytes of well-formed UTF-8. False where there is none, and where
// matching gives up (PCRE2's limits): the rest is then one unmatched piece.
bool xn_regex_find(const struct xn_regex *regex, struct xn_regex_scratch *scratch, const char *text, size_t size,
                   size_t from, size_t *start, size_t *end);

// Translates Oniguruma's syntax into PCRE2's: a malloc'ed string, NULL without memory. (Exposed for the test.)
char *xn_regex_translate(const char *pattern, size_t size);
