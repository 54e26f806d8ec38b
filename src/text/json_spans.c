#include "text/json_spans.h"

#include "base/memory.h"
#include "text/unicode.h"

#include <stdlib.h>
#include <string.h>

struct cursor {
    const char *name, *begin, *s, *end;
    struct xn_error *err;
};

static int expected(const struct cursor *c, const char *what) {
    return xn_fail(c->err, XN_ERR_FORMAT, "%s: at byte %zu: %s expected", c->name, (size_t)(c->s - c->begin), what);
}

static char peek(struct cursor *c) { // the next character that is no white space; 0 at the end
    while (c->s < c->end && (*c->s == ' ' || *c->s == '\n' || *c->s == '\r' || *c->s == '\t'))
        c->s++;
    return c->s < c->end ? *c->s : 0;
}

static bool take(struct cursor *c, char wanted) {
    if (peek(c) != wanted) return false;
    c->s++;
    return true;
}

// Passes over a string, whose text (between the quotes, still escaped) it gives.
static int skip_string(struct cursor *c, struct xn_json_span *text) {
    if (!take(c, '"')) return expected(c, "a string");
    const char *start = c->s;
    while (c->s < c->end && *c->s != '"')
        c->s += *c->s == '\\' ? 2 : 1;
    if (c->s >= c->end) {
        c->s = c->end;
        return expected(c, "the end of a string");
    }
    *text = (struct xn_json_span){start, (size_t)(c->s - start)};
    c->s++;
    return XN_OK;
}

// Passes over any value. Only brackets and strings are understood; jansson, or who reads the span, judges the rest.
static int skip_value(struct cursor *c, struct xn_json_span *span) {
    struct xn_json_span text;
    size_t depth = 0;
    peek(c);
    const char *start = c->s;
    do {
        char next = peek(c);
        if (!next) return expected(c, "a value");
        if (next == '"') {
            XN_TRY(skip_string(c, &text));
            continue;
        }
        if (depth == 0 && (next == '}' || next == ']' || next == ',' || next == ':')) return expected(c, "a value");
        if (next == '{' || next == '[') depth++;
        if (next == '}' || next == ']') depth--;
        c->s++;
        if (depth == 0 && next != '}' && next != ']') // a number or a word
            while (c->s < c->end && !strchr(",]} \n\r\t", *c->s))
                c->s++;
    } while (depth);
    *span = (struct xn_json_span){start, (size_t)(c->s - start)};
    return XN_OK;
}

static bool is_key(struct xn_json_span key, const char *name) {
    return key.size == strlen(name) && memcmp(key.data, name, key.size) == 0;
}

// Copies an object to `rest`; the values of the keys `large` become null there and are given instead.
static int copy_object(struct cursor *c, bool top, struct xn_text *rest, struct xn_json_span *vocab,
                       struct xn_json_span *merges) {
    const char *done = c->s;
    bool seen_model = false;
    if (!take(c, '{')) return expected(c, "an object");
    if (!take(c, '}')) {
        do {
            struct xn_json_span key, value;
            XN_TRY((peek(c), skip_string(c, &key)));
            if (!take(c, ':')) return expected(c, "':'");
            char next = peek(c);
            struct xn_json_span *large = top                     ? NULL
                                         : is_key(key, "vocab")  ? vocab
                                         : is_key(key, "merges") ? merges
                                                                 : NULL;
            if (top && is_key(key, "model") && next == '{' && !seen_model) {
                seen_model = true;
                XN_TRY(xn_text_append(rest, done, (size_t)(c->s - done)) == XN_OK ? XN_OK : XN_ERR_NOMEM);
                XN_TRY(copy_object(c, false, rest, vocab, merges));
                done = c->s;
                continue;
            }
            const char *before = c->s;
            XN_TRY(skip_value(c, &value));
            if (large && !large->size) { // a second one is left for jansson to refuse
                *large = value;
                XN_TRY(xn_text_append(rest, done, (size_t)(before - done)));
                XN_TRY(xn_text_append(rest, "null", 4));
                done = c->s;
            }
        } while (take(c, ','));
        if (!take(c, '}')) return expected(c, "',' or '}'");
    }
    return xn_text_append(rest, done, (size_t)(c->s - done));
}

int xn_tokenizer_json_split(const char *name, const char *data, size_t size, json_t **rest, struct xn_json_span *vocab,
                            struct xn_json_span *merges, struct xn_error *err) {
    *rest = NULL;
    *vocab = *merges = (struct xn_json_span){NULL, 0};
    if (err) err->message[0] = 0;
    if (size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) data += 3, size -= 3;
    struct cursor c = {.name = name, .begin = data, .s = data, .end = data + size, .err = err};
    struct xn_text text = {0};
    int status = copy_object(&c, true, &text, vocab, merges);
    if (status == XN_OK && peek(&c)) status = expected(&c, "the end of the file");
    if (status == XN_ERR_NOMEM) xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", name);
    if (status == XN_OK) {
        json_error_t error;
        *rest = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
        if (!*rest)
            status =
                xn_fail(err, XN_ERR_FORMAT, "%s: line %d (without the vocabulary): %s", name, error.line, error.text);
    }
    free(text.data);
    return status;
}

static int hex4(const char *s, const char *end, uint32_t *out) {
    *out = 0;
    if (end - s < 4) return -1;
    for (int i = 0; i < 4; i++) {
        char h = s[i];
        uint32_t digit = h >= '0' && h <= '9'   ? (uint32_t)(h - '0')
                         : h >= 'a' && h <= 'f' ? (uint32_t)(h - 'a' + 10)
                         : h >= 'A' && h <= 'F' ? (uint32_t)(h - 'A' + 10)
                                                : 16;
        if (digit > 15) return -1;
        *out = *out << 4 | digit;
    }
    return 0;
}

// Reads a string; the result lies in the file where it has no escapes, else in `buffer`.
static int read_string(struct cursor *c, struct xn_text *buffer, struct xn_json_span *out) {
    struct xn_json_span raw;
    XN_TRY(skip_string(c, &raw));
    const char *s = raw.data, *end = raw.data + raw.size;
    if (xn_utf8_valid_prefix(s, raw.size) != raw.size) return expected(c, "UTF-8 in the string before");
    *out = raw;
    const char *escape = memchr(s, '\\', raw.size);
    if (!escape) return XN_OK;
    buffer->size = 0;
    while (escape) {
        XN_TRY(xn_text_append(buffer, s, (size_t)(escape - s)));
        s = escape + 1; // skip_string saw that something follows
        static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
        const char *letter = *s ? strchr(letters, *s) : NULL;
        if (letter) {
            XN_TRY(xn_text_append(buffer, &meanings[letter - letters], 1));
            s++;
        } else {
            uint32_t unit, low;
            if (*s != 'u' || hex4(s + 1, end, &unit) != 0) return expected(c, "valid escapes in the string before");
            s += 5;
            if (unit >= 0xd800 && unit < 0xdc00 && end - s >= 6 && s[0] == '\\' && s[1] == 'u' &&
                hex4(s + 2, end, &low) == 0 && low >= 0xdc00 && low < 0xe000) {
                unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                s += 6;
            }
            XN_TRY(xn_text_append_char(buffer, unit >= 0xd800 && unit < 0xe000 ? 0xfffd : unit));
        }
        escape = memchr(s, '\\', (size_t)(end - s));
    }
    XN_TRY(xn_text_append(buffer, s, (size_t)(end - s)));
    *out = (struct xn_json_span){buffer->data, buffer->size};
    return XN_OK;
}

static int read_number(struct cursor *c, double *out) {
    char digits[64], *stop;
    struct xn_json_span span;
    XN_TRY(skip_value(c, &span));
    if (!span.size || span.size >= sizeof digits || !strchr("-0123456789", span.data[0]))
        return expected(c, "a number before this");
    memcpy(digits, span.data, span.size);
    digits[span.size] = 0;
    *out = strtod(digits, &stop);
    return *stop ? expected(c, "a number before this") : XN_OK;
}

static int no_memory(const struct cursor *c, int status) {
    return status == XN_ERR_NOMEM ? xn_fail(c->err, XN_ERR_NOMEM, "%s: out of memory", c->name) : status;
}

static int each_token(struct cursor *c, struct xn_text *buffer, xn_vocab_entry *entry, void *user) {
    bool object = take(c, '{');
    char close = object ? '}' : ']';
    if (!object && !take(c, '[')) return expected(c, "a vocabulary: an object or an array");
    if (take(c, close)) return XN_OK;
    do {
        struct xn_json_span text;
        double number = 0;
        if (!object && !take(c, '[')) return expected(c, "[token, score]");
        XN_TRY(read_string(c, buffer, &text));
        if (!take(c, object ? ':' : ',')) return expected(c, object ? "':'" : "','");
        XN_TRY(read_number(c, &number));
        if (!object && !take(c, ']')) return expected(c, "']'");
        XN_TRY(entry(user, text.data, text.size, number, c->err));
    } while (take(c, ','));
    return take(c, close) ? XN_OK : expected(c, "',' or the end of the vocabulary");
}

int xn_json_each_token(const char *name, struct xn_json_span span, xn_vocab_entry *entry, void *user,
                       struct xn_error *err) {
    struct cursor c = {.name = name, .begin = span.data, .s = span.data, .end = span.data + span.size, .err = err};
    struct xn_text buffer = {0};
    int status = no_memory(&c, each_token(&c, &buffer, entry, user));
    free(buffer.data);
    return status;
}

static int each_merge(struct cursor *c, struct xn_text buffers[2], xn_merge_entry *entry, void *user) {
    if (!take(c, '[')) return expected(c, "an array of merges");
    if (take(c, ']')) return XN_OK;
    do {
        struct xn_json_span left, right;
        if (take(c, '[')) {
            XN_TRY(read_string(c, &buffers[0], &left));
            if (!take(c, ',')) return expected(c, "','");
            XN_TRY(read_string(c, &buffers[1], &right));
            if (!take(c, ']')) return expected(c, "']'");
        } else {
            XN_TRY(read_string(c, &buffers[0], &left));
            const char *blank = left.size ? memchr(left.data, ' ', left.size) : NULL;
            if (!blank) return expected(c, "two tokens and a blank in the merge before");
            right = (struct xn_json_span){blank + 1, left.size - (size_t)(blank + 1 - left.data)};
            left.size = (size_t)(blank - left.data);
        }
        XN_TRY(entry(user, left.data, left.size, right.data, right.size, c->err));
    } while (take(c, ','));
    return take(c, ']') ? XN_OK : expected(c, "',' or the end of the merges");
}

int xn_json_each_merge(const char *name, struct xn_json_span span, xn_merge_entry *entry, void *user,
                       struct xn_error *err) {
    struct cursor c = {.name = name, .begin = span.data, .s = span.data, .end = span.data + span.size, .err = err};
    struct xn_text buffers[2] = {{0}, {0}};
    int status = no_memory(&c, each_merge(&c, buffers, entry, user));
    free(buffers[0].data);
    free(buffers[1].data);
    return status;
}
