#include "text/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

void xn_detokenizer_init(struct xn_detokenizer *d, const struct xn_tokenizer *t, bool show_special) {
    *d = (struct xn_detokenizer){.tokenizer = t, .show_special = show_special};
}

// What the start of n > 0 bytes is: a whole character (its length), the beginning of one (0), or a maximal part of
// none, which one U+FFFD replaces (minus its length; Unicode 3.9, "substitution of maximal subparts").
static int classify(const uint8_t *s, size_t n) {
    uint32_t c;
    size_t whole = xn_utf8_decode((const char *)s, n, &c);
    if (whole) return (int)whole;
    size_t want = s[0] >= 0xf0 && s[0] <= 0xf4  ? 4
                  : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
                  : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
                                                : 1;
    uint8_t low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80; // bounds of the second byte
    uint8_t high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
    size_t i = 1;
    for (; i < want && i < n && s[i] >= low && s[i] <= high; i++) {
        low = 0x80;
        high = 0xbf;
    }
    return want > 1 && i == n ? 0 : -(int)i;
}

// Passes on whole characters and holds the beginning of one back.
static int feed(struct xn_detokenizer *d, const char *bytes, size_t n, struct xn_text *out) {
    while (n && d->n_held) {
        d->held[d->n_held++] = (uint8_t)*bytes;
        int kind = classify(d->held, d->n_held);
        if (kind >= 0) {
            bytes++;
            n--;
        }
        if (kind == 0) continue;
        // Either the character is complete, or what was held before this byte is none.
        XN_TRY(kind > 0 ? xn_text_append(out, (char *)d->held, d->n_held) : xn_text_append(out, "\xef\xbf\xbd", 3));
        d->n_held = 0;
    }
    while (n) {
        size_t good = xn_utf8_valid_prefix(bytes, n);
        XN_TRY(xn_text_append(out, bytes, good));
        bytes += good;
        n -= good;
        if (!n) break;
        int kind = classify((const uint8_t *)bytes, n);
        if (kind == 0) {
            memcpy(d->held, bytes, n);
            d->n_held = (uint8_t)n;
            break;
        }
        XN_TRY(xn_text_append(out, "\xef\xbf\xbd", 3));
        bytes += -kind;
        n -= (size_t)-kind;
    }
    return XN_OK;
}

static int flush(struct xn_detokenizer *d, struct xn_text *out) {
    if (d->n_held) XN_TRY(xn_text_append(out, "\xef\xbf\xbd", 3));
    d->n_held = 0;
    return xn_text_append(out, "", 0);
}

static int replace_all(struct xn_text *text, const char *pattern, const char *content, struct xn_text *work) {
    size_t n = strlen(pattern), done = 0;
    if (!n) return XN_OK;
    work->size = 0;
    const char *hit;
    while ((hit = memmem(text->data + done, text->size - done, pattern, n))) {
        XN_TRY(xn_text_append(work, text->data + done, (size_t)(hit - text->data) - done));
        XN_TRY(xn_text_append(work, content, strlen(content)));
        done = (size_t)(hit - text->data) + n;
    }
    if (!done) return XN_OK;
    XN_TRY(xn_text_append(work, text->data + done, text->size - done));
    struct xn_text swap = *text;
    *text = *work;
    *work = swap;
    return XN_OK;
}

// GPT-2's characters back to bytes; a token with another character is its text.
static int gpt2_bytes(struct xn_text *text, struct xn_text *work) {
    work->size = 0;
    for (size_t i = 0; i < text->size;) {
        uint32_t c;
        size_t length = xn_utf8_decode(text->data + i, text->size - i, &c);
        int byte = length ? xn_gpt2_char_byte(c) : -1;
        if (byte < 0) return XN_OK;
        char b = (char)byte;
        XN_TRY(xn_text_append(work, &b, 1));
        i += length;
    }
    struct xn_text swap = *text;
    *text = *work;
    *work = swap;
    return XN_OK;
}

// BERT's decoder takes the blanks back that its pre-tokenizer put around punctuation and contractions.
static int wordpiece_cleanup(struct xn_text *text, struct xn_text *work) {
    static const char *const rules[][2] = {
        {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},    {" n't", "n't"},
        {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        XN_TRY(replace_all(text, rules[i][0], rules[i][1], work));
    return XN_OK;
}

static int wordpiece(struct xn_detokenizer *d, const struct xn_decoder *step, struct xn_text *text,
                     struct xn_text *work) {
    size_t n = strlen(step->pattern);
    // "##" marks what continues a word; with the other spelling (U+2581 marks what starts one) `content` is that mark.
    bool continues =
        step->content ? text->size < strlen(step->content) || memcmp(text->data, step->content, strlen(step->content))
                      : n && text->size >= n && memcmp(text->data, step->pattern, n) == 0;
    size_t skip = step->content ? (continues ? 0 : strlen(step->content)) : continues && d->started ? n : 0;
    work->size = 0;
    if (!continues && d->started) XN_TRY(xn_text_append(work, " ", 1));
    XN_TRY(xn_text_append(work, text->data + skip, text->size - skip));
    struct xn_text swap = *text;
    *text = *work;
    *work = swap;
    return step->cleanup ? wordpiece_cleanup(text, work) : XN_OK;
}

static int suffix(struct xn_detokenizer *d, const struct xn_decoder *step, struct xn_text *text, struct xn_text *work) {
    size_t n = strlen(step->pattern);
    bool ends = n && text->size >= n && memcmp(text->data + text->size - n, step->pattern, n) == 0;
    if (ends) text->size -= n;
    XN_TRY(replace_all(text, step->pattern, " ", work));
    if (d->blank) { // the blank that the word before owes
        work->size = 0;
        XN_TRY(xn_text_append(work, " ", 1));
        XN_TRY(xn_text_append(work, text->data, text->size));
        struct xn_text swap = *text;
        *text = *work;
        *work = swap;
    }
    d->blank = ends;
    return XN_OK;
}

static int decode(struct xn_detokenizer *d, const struct xn_token *token, struct xn_text *text, struct xn_text *work) {
    const struct xn_tokenizer *t = d->tokenizer;
    XN_TRY(xn_text_append(text, token->text, token->size));
    for (size_t i = 0; i < t->n_decoders; i++) {
        const struct xn_decoder *step = &t->decoders[i];
        switch (step->kind) {
        case XN_DECODE_REPLACE:
            XN_TRY(replace_all(text, step->pattern, step->content, work));
            break;
        case XN_DECODE_BYTES:
            // An added token was found in the text as it is spelled: DeepSeek's u with grave is that letter, not byte
            // 0xf9.
            if (!(token->flags & XN_TOKEN_USER)) XN_TRY(gpt2_bytes(text, work));
            break;
        case XN_DECODE_WORDPIECE:
            XN_TRY(wordpiece(d, step, text, work));
            break;
        case XN_DECODE_SUFFIX:
            XN_TRY(suffix(d, step, text, work));
            break;
        }
    }
    return XN_OK;
}

// The bytes of a token that isn't special, appended to *text.
static int token_bytes(struct xn_detokenizer *d, int32_t id, const struct xn_token *token, struct xn_text *text,
                       struct xn_text *work) {
    const struct xn_tokenizer *t = d->tokenizer;
    for (int b = 0; t->decode_bytes && token->size == 6 && b < 256; b++)
        if (t->vocabulary.byte[b] == id) return xn_text_append(text, &(char){(char)b}, 1);
    return decode(d, token, text, work);
}

static int detokenize(struct xn_detokenizer *d, int32_t id, const struct xn_token *token, struct xn_text *out,
                      struct xn_text *text, struct xn_text *work) {
    const struct xn_tokenizer *t = d->tokenizer;
    if (token->flags & XN_TOKEN_SPECIAL) {
        if (!d->show_special) return XN_OK;
        XN_TRY(flush(d, out));
        if (d->started && t->join_with_spaces) XN_TRY(xn_text_append(out, " ", 1));
        d->started = true;
        return feed(d, token->text, token->size, out);
    }
    XN_TRY(token_bytes(d, id, token, text, work));
    size_t skip = 0;
    while (!d->started && skip < text->size && skip < t->strip_first && text->data[skip] == ' ')
        skip++;
    if (d->started && t->join_with_spaces) XN_TRY(feed(d, " ", 1, out));
    d->started = true;
    return feed(d, text->data + skip, text->size - skip, out);
}

int xn_detokenize(struct xn_detokenizer *d, int32_t id, struct xn_text *out, struct xn_error *err) {
    const struct xn_vocabulary *v = &d->tokenizer->vocabulary;
    size_t before = out->size;
    if (xn_text_append(out, "", 0) != XN_OK)
        return xn_fail(err, XN_ERR_NOMEM, "out of memory for the text of token %d", id);
    // A model's head may be wider than its vocabulary: what has no token has no text.
    if (id < 0 || (size_t)id >= v->n || !v->tokens[id].text) return XN_OK;
    struct xn_text text = {0}, work = {0};
    int status = detokenize(d, id, &v->tokens[id], out, &text, &work);
    free(text.data);
    free(work.data);
    if (status == XN_OK) return XN_OK;
    out->size = before;
    return xn_fail(err, status, "out of memory for the text of token %d", id);
}

int xn_token_append_bytes(const struct xn_tokenizer *t, int32_t id, struct xn_text *out, struct xn_error *err) {
    if (id < 0 || (size_t)id >= t->vocabulary.n || !t->vocabulary.tokens[id].text) return XN_OK;
    struct xn_detokenizer d = {.tokenizer = t, .started = true};
    struct xn_text text = {0}, work = {0};
    int status = t->join_with_spaces ? xn_text_append(out, " ", 1) : XN_OK;
    if (status == XN_OK) status = token_bytes(&d, id, &t->vocabulary.tokens[id], &text, &work);
    if (status == XN_OK) status = xn_text_append(out, text.data, text.size);
    free(text.data);
    free(work.data);
    return status == XN_OK ? XN_OK : xn_fail(err, status, "out of memory for the bytes of token %d", id);
}

int xn_detokenize_end(struct xn_detokenizer *d, struct xn_text *out, struct xn_error *err) {
    if (flush(d, out) != XN_OK) return xn_fail(err, XN_ERR_NOMEM, "out of memory for the end of a text");
    return XN_OK;
}
