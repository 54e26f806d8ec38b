#include "text/unicode.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

size_t xn_utf8_decode(const char *text, size_t n, uint32_t *c) {
    const uint8_t *s = (const uint8_t *)text;
    if (s[0] < 0x80) {
        *c = s[0];
        return 1;
    }
    if (s[0] < 0xc2) return 0;
    if (s[0] < 0xe0) {
        if (n < 2 || (s[1] & 0xc0) != 0x80) return 0;
        *c = (s[0] & 0x1fu) << 6 | (s[1] & 0x3fu);
        return 2;
    }
    if (s[0] < 0xf0) {
        if (n < 3 || (s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80) return 0;
        *c = (s[0] & 0x0fu) << 12 | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu);
        return *c < 0x800 || (*c >= 0xd800 && *c < 0xe000) ? 0 : 3;
    }
    if (s[0] > 0xf4 || n < 4 || (s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80 || (s[3] & 0xc0) != 0x80) return 0;
    *c = (s[0] & 0x07u) << 18 | (s[1] & 0x3fu) << 12 | (s[2] & 0x3fu) << 6 | (s[3] & 0x3fu);
    return *c < 0x10000 || *c > 0x10ffff ? 0 : 4;
}

size_t xn_utf8_encode(uint32_t c, char out[4]) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

size_t xn_utf8_step(const char *s, size_t n) {
    uint32_t c;
    size_t length = xn_utf8_decode(s, n, &c);
    return length ? length : 1;
}

size_t xn_utf8_valid_prefix(const char *s, size_t n) {
    size_t i = 0;
    while (i < n) {
        uint64_t eight;
        while (i + 8 <= n && (memcpy(&eight, s + i, 8), (eight & 0x8080808080808080u) == 0))
            i += 8;
        if (i == n) break;
        uint32_t c;
        size_t length = xn_utf8_decode(s + i, n - i, &c);
        if (!length) break;
        i += length;
    }
    return i;
}

static utf8proc_category_t category(uint32_t c) {
    return utf8proc_category((utf8proc_int32_t)c);
}

bool xn_is_space(uint32_t c) {
    return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
           c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool xn_is_punctuation(uint32_t c) {
    if (c < 0x80)
        return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
    utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO;
}

bool xn_is_numeric(uint32_t c) {
    if (c < 0x80) return c >= '0' && c <= '9';
    utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO;
}

bool xn_is_digit(uint32_t c) {
    return c < 0x80 ? c >= '0' && c <= '9' : category(c) == UTF8PROC_CATEGORY_ND;
}

bool xn_is_word(uint32_t c) {
    utf8proc_category_t k = category(c);
    return (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_NL) || k == UTF8PROC_CATEGORY_PC;
}

bool xn_is_other(uint32_t c) {
    utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_CC;
}

bool xn_is_mark(uint32_t c) {
    utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_MN && k <= UTF8PROC_CATEGORY_ME;
}

bool xn_is_nonspacing(uint32_t c) {
    return category(c) == UTF8PROC_CATEGORY_MN;
}

bool xn_is_cjk_ideograph(uint32_t c) {
    // The ranges of BERT's tokenizer, as Hugging Face's implementation spells them (0x2b920 instead of 0x2b820).
    static const uint32_t ranges[][2] = {{0x4e00, 0x9fff},   {0x3400, 0x4dbf},   {0x20000, 0x2a6df},
                                         {0x2a700, 0x2b73f}, {0x2b740, 0x2b81f}, {0x2b920, 0x2ceaf},
                                         {0xf900, 0xfaff},   {0x2f800, 0x2fa1f}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (c >= ranges[i][0] && c <= ranges[i][1]) return true;
    return false;
}

int xn_text_append(struct xn_text *out, const char *data, size_t n) {
    size_t want;
    if (xn_add_overflow(out->size, n, &want) || xn_add_overflow(want, 1, &want) ||
        XN_GROW(out->data, out->capacity, want) != 0)
        return XN_ERR_NOMEM;
    if (n) memcpy(out->data + out->size, data, n);
    out->size += n;
    out->data[out->size] = 0;
    return XN_OK;
}

int xn_text_append_char(struct xn_text *out, uint32_t c) {
    char bytes[4];
    return xn_text_append(out, bytes, xn_utf8_encode(c, bytes));
}

int xn_repair_utf8(const char *s, size_t n, struct xn_text *out) {
    while (n) {
        size_t good = xn_utf8_valid_prefix(s, n);
        XN_TRY(xn_text_append(out, s, good));
        s += good;
        n -= good;
        if (!n) break;
        XN_TRY(xn_text_append(out, "\xef\xbf\xbd", 3));
        s++;
        n--;
    }
    return XN_OK;
}

int xn_lowercase(const char *s, size_t n, struct xn_text *out) {
    for (size_t i = 0; i < n;) {
        uint32_t c;
        size_t length = xn_utf8_decode(s + i, n - i, &c);
        if (!length)
            XN_TRY(xn_text_append(out, s + i, length = 1));
        else if (c == 0x130) // the one character whose lower case is two
            XN_TRY(xn_text_append(out, "i\xcc\x87", 3));
        else
            XN_TRY(xn_text_append_char(out, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c)));
        i += length;
    }
    return XN_OK;
}

static int normalize_run(int options, const char *s, size_t n, struct xn_text *out) {
    utf8proc_uint8_t *result = NULL;
    utf8proc_ssize_t length =
        utf8proc_map((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)n, &result, (utf8proc_option_t)options);
    if (length == UTF8PROC_ERROR_NOMEM) return XN_ERR_NOMEM;
    // What utf8proc refuses for another reason stays as it is.
    int status = length < 0 ? xn_text_append(out, s, n) : xn_text_append(out, (char *)result, (size_t)length);
    free(result);
    return status;
}

// Sorting marks takes utf8proc quadratic time: a run of more than this many (no language has one) is cut.
enum { MAX_MARKS = 128 };

// How much of n well-formed bytes can be normalized at once.
static size_t sortable_prefix(const char *s, size_t n) {
    int marks = 0;
    for (size_t i = 0; i < n;) {
        uint32_t c;
        size_t length = xn_utf8_decode(s + i, n - i, &c);
        marks = utf8proc_get_property((utf8proc_int32_t)c)->combining_class ? marks + 1 : 0;
        if (marks > MAX_MARKS) return i;
        i += length;
    }
    return n;
}

int xn_normalize_unicode(enum xn_normal_form form, const char *s, size_t n, struct xn_text *out) {
    static const int options[] = {
        [XN_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
        [XN_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
        [XN_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
        [XN_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
    };
    // Nothing composes with a following ASCII character, so each run that starts with one stands alone: runs whose
    // characters all stay what they are (for NFC those below U+0300, which take lead bytes below 0xcc) are copied.
    uint8_t touched = form == XN_NFC ? 0xcc : 0x80;
    size_t done = 0, i = 0;
    while (i < n) {
        while (i < n && (uint8_t)s[i] < touched)
            i++;
        if (i == n) break;
        size_t start = i;
        while (start > done && (uint8_t)s[start] >= 0x80)
            start--;
        size_t end = i;
        while (end < n && (uint8_t)s[end] >= 0x80)
            end++;
        XN_TRY(xn_text_append(out, s + done, start - done));
        for (size_t at = start; at < end;) {
            size_t good = sortable_prefix(s + at, xn_utf8_valid_prefix(s + at, end - at));
            if (good) XN_TRY(normalize_run(options[form], s + at, good, out));
            at += good;
            if (at < end) XN_TRY(xn_text_append(out, s + at++, 1));
        }
        done = i = end;
    }
    return xn_text_append(out, s + done, n - done);
}
