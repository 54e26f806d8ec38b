// Code points, and what Python's str methods say about them. Texts are valid UTF-8: template sources are checked when
// parsed, and jansson checks JSON.
#pragma once

#include "text/unicode.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The code point at *p, which moves past it.
static inline uint32_t xn_jinja_next(const char **p) {
    const unsigned char *s = (const unsigned char *)*p;
    if (s[0] < 0x80) {
        *p += 1;
        return s[0];
    }
    if (s[0] < 0xe0) {
        *p += 2;
        return (uint32_t)(s[0] & 0x1f) << 6 | (s[1] & 0x3f);
    }
    if (s[0] < 0xf0) {
        *p += 3;
        return (uint32_t)(s[0] & 0x0f) << 12 | (uint32_t)(s[1] & 0x3f) << 6 | (s[2] & 0x3f);
    }
    *p += 4;
    return (uint32_t)(s[0] & 0x07) << 18 | (uint32_t)(s[1] & 0x3f) << 12 | (uint32_t)(s[2] & 0x3f) << 6 | (s[3] & 0x3f);
}
// The start of the code point before p.
static inline const char *xn_jinja_back(const char *p) {
    do
        p--;
    while (((unsigned char)*p & 0xc0) == 0x80);
    return p;
}

bool xn_jinja_is_space(uint32_t c);     // str.isspace, and \s of a regular expression
bool xn_jinja_is_line_end(uint32_t c);  // str.splitlines
bool xn_jinja_is_printable(uint32_t c); // str.isprintable
bool xn_jinja_is_alpha(uint32_t c);
bool xn_jinja_is_decimal(uint32_t c);
bool xn_jinja_is_digit(uint32_t c);
bool xn_jinja_is_numeric(uint32_t c);
bool xn_jinja_is_word(uint32_t c); // \w of a regular expression
bool xn_jinja_is_upper(uint32_t c);
bool xn_jinja_is_lower(uint32_t c);
bool xn_jinja_is_title(uint32_t c);
bool xn_jinja_is_cased(uint32_t c);
bool xn_jinja_is_case_ignorable(uint32_t c);
int xn_jinja_decimal(uint32_t c); // the value of a decimal digit, or -1

enum jcase { J_UPPER, J_LOWER, J_TITLE, J_FOLD };
// The full mapping of one code point (without context) into out; the number of code points, 1 to 3.
size_t xn_jinja_map_case(uint32_t c, enum jcase to, uint32_t out[4]);
