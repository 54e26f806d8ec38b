#include "text/tokenizer_internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

// GPT-2 prints bytes as characters: those that are printable in Latin-1 as themselves, the others as U+0100 and on.
static bool prints_itself(unsigned b) {
    return (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
}

size_t xn_gpt2_byte_char(uint8_t byte, char out[2]) {
    char bytes[4];
    uint32_t c = byte;
    if (!prints_itself(byte)) // 0-0x20, 0x7f-0xa0 and 0xad in this order
        c = 0x100u + (byte <= 0x20 ? byte : byte <= 0xa0 ? byte - 0x7fu + 33 : 67);
    size_t n = xn_utf8_encode(c, bytes);
    memcpy(out, bytes, 2);
    return n;
}

int xn_gpt2_char_byte(uint32_t c) {
    if (c < 0x100) return prints_itself(c) ? (int)c : -1;
    if (c < 0x121) return (int)c - 0x100;
    if (c < 0x143) return (int)c - 0x121 + 0x7f;
    return c == 0x143 ? 0xad : -1;
}

static int strip(const struct xn_normalizer *step, const char *s, size_t n, struct xn_text *out) {
    uint32_t c;
    size_t length;
    while (step->left && n && (length = xn_utf8_decode(s, n, &c)) && xn_is_space(c)) {
        s += length;
        n -= length;
    }
    while (step->right && n) {
        size_t start = n - 1;
        while (start && n - start < 4 && ((uint8_t)s[start] & 0xc0) == 0x80)
            start--;
        if (xn_utf8_decode(s + start, n - start, &c) != n - start || !xn_is_space(c)) break;
        n = start;
    }
    return xn_text_append(out, s, n);
}

static int drop(bool (*unwanted)(uint32_t c), const char *s, size_t n, struct xn_text *out) {
    for (size_t i = 0; i < n;) {
        uint32_t c;
        size_t length = xn_utf8_decode(s + i, n - i, &c);
        if (!length || !unwanted(c)) XN_TRY(xn_text_append(out, s + i, length ? length : 1));
        i += length ? length : 1;
    }
    return XN_OK;
}

static int replace_string(const struct xn_normalizer *step, const char *s, size_t n, struct xn_text *out) {
    const char *end = s + n;
    while (step->pattern_size) {
        const char *hit = memmem(s, (size_t)(end - s), step->pattern, step->pattern_size);
        if (!hit) break;
        XN_TRY(xn_text_append(out, s, (size_t)(hit - s)));
        XN_TRY(xn_text_append(out, step->content, step->content_size));
        s = hit + step->pattern_size;
    }
    return xn_text_append(out, s, (size_t)(end - s));
}

static int replace_regex(const struct xn_normalizer *step, struct xn_regex_scratch *scratch, const char *s, size_t n,
                         struct xn_text *out) {
    size_t done = 0, from = 0, start, end;
    while (from <= n && xn_regex_find(step->regex, scratch, s, n, from, &start, &end)) {
        if (start == end && start == done && done > 0) { // an empty match right behind a match does not count
            if (from >= n) break;
            from += xn_utf8_step(s + from, n - from);
            continue;
        }
        XN_TRY(xn_text_append(out, s + done, start - done));
        XN_TRY(xn_text_append(out, step->content, step->content_size));
        done = from = end;
        if (start == end) { // an empty match: go on behind the next character
            if (end == n) break;
            from += xn_utf8_step(s + end, n - end);
        }
    }
    return xn_text_append(out, s + done, n - done);
}

static int bert_clean(const struct xn_normalizer *step, const char *s, size_t n, struct xn_text *out) {
    for (size_t i = 0; i < n;) {
        uint32_t c;
        size_t length = xn_utf8_decode(s + i, n - i, &c);
        if (!length) { // no character: not kept
            i++;
            continue;
        }
        i += length;
        if (step->clean) {
            bool blank = c == '\t' || c == '\n' || c == '\r';
            if (c == 0 || c == 0xfffd || (!blank && xn_is_other(c))) continue;
            if (blank || xn_is_space(c)) c = ' ';
        }
        bool apart = step->cjk && xn_is_cjk_ideograph(c);
        if (apart) XN_TRY(xn_text_append(out, " ", 1));
        XN_TRY(xn_text_append_char(out, c));
        if (apart) XN_TRY(xn_text_append(out, " ", 1));
    }
    return XN_OK;
}

static int bert(const struct xn_normalizer *step, const char *s, size_t n, struct xn_text *out) {
    struct xn_text a = {0}, b = {0};
    int status = bert_clean(step, s, n, &a);
    if (status == XN_OK && step->accents) {
        status = xn_normalize_unicode(XN_NFD, a.data ? a.data : "", a.size, &b);
        a.size = 0;
        if (status == XN_OK) status = drop(xn_is_nonspacing, b.data, b.size, &a);
    }
    if (status == XN_OK && a.size)
        status = step->lowercase ? xn_lowercase(a.data, a.size, out) : xn_text_append(out, a.data, a.size);
    free(a.data);
    free(b.data);
    return status;
}

static int nmt(const char *s, size_t n, struct xn_text *out) {
    for (size_t i = 0; i < n;) {
        uint32_t c;
        size_t length = xn_utf8_decode(s + i, n - i, &c);
        if (!length) {
            XN_TRY(xn_text_append(out, s + i++, 1));
            continue;
        }
        i += length;
        if ((c >= 1 && c <= 8) || c == 0xb || (c >= 0xe && c <= 0x1f) || c == 0x7f || c == 0x8f || c == 0x9f) continue;
        if (c == 9 || c == 0xa || c == 0xc || c == 0xd || c == 0x1680 || (c >= 0x200b && c <= 0x200f) || c == 0x2028 ||
            c == 0x2029 || c == 0x2581 || c == 0xfeff || c == 0xfffd)
            c = ' ';
        XN_TRY(xn_text_append_char(out, c));
    }
    return XN_OK;
}

// As SentencePiece treats blanks: each becomes U+2581, runs become one and those at the ends go (merge_spaces), one is
// put in front of the first word (left).
static int spaces(const struct xn_normalizer *step, const char *s, size_t n, struct xn_text *out) {
    bool in_word = false, prefixed = false;
    for (size_t i = 0; i < n; i++) {
        if (s[i] == ' ') {
            in_word = false;
            if (!step->merge_spaces) XN_TRY(xn_text_append(out, XN_LOWER_BLOCK, 3));
            continue;
        }
        if (!in_word && ((step->left && !prefixed) || step->merge_spaces)) {
            XN_TRY(xn_text_append(out, XN_LOWER_BLOCK, 3));
            prefixed = true;
        }
        in_word = true;
        XN_TRY(xn_text_append(out, s + i, 1));
    }
    return XN_OK;
}

static int gpt2_characters(const char *s, size_t n, struct xn_text *out) {
    for (size_t i = 0; i < n; i++) {
        char c[2];
        XN_TRY(xn_text_append(out, c, xn_gpt2_byte_char((uint8_t)s[i], c)));
    }
    return XN_OK;
}

int xn_normalizer_apply(const struct xn_normalizer *step, struct xn_regex_scratch *scratch, const char *s, size_t n,
                        struct xn_text *out) {
    switch (step->kind) {
    case XN_NORMALIZE_UNICODE:
        return xn_normalize_unicode(step->form, s, n, out);
    case XN_NORMALIZE_LOWERCASE:
        return xn_lowercase(s, n, out);
    case XN_NORMALIZE_STRIP:
        return strip(step, s, n, out);
    case XN_NORMALIZE_ACCENTS:
        return drop(xn_is_mark, s, n, out);
    case XN_NORMALIZE_REPLACE:
        return step->regex ? replace_regex(step, scratch, s, n, out) : replace_string(step, s, n, out);
    case XN_NORMALIZE_PREPEND:
        if (n) XN_TRY(xn_text_append(out, step->content, step->content_size));
        return xn_text_append(out, s, n);
    case XN_NORMALIZE_BERT:
        return bert(step, s, n, out);
    case XN_NORMALIZE_NMT:
        return nmt(s, n, out);
    case XN_NORMALIZE_CHARSMAP:
        return xn_charsmap_apply(step->charsmap, s, n, out);
    case XN_NORMALIZE_BYTES:
        return gpt2_characters(s, n, out);
    case XN_NORMALIZE_SPACES:
        return spaces(step, s, n, out);
    }
    return XN_OK;
}

void xn_normalizer_free(struct xn_normalizer *step) {
    xn_regex_free(step->regex);
    free(step->pattern);
    free(step->content);
    xn_charsmap_free(step->charsmap);
    *step = (struct xn_normalizer){0};
}
