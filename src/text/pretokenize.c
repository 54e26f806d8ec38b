// Pre-tokenizers, depth first: each step cuts a piece and hands the parts to the next, so that nothing but the current
// piece is held.
#include "text/tokenizer_internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

// Digits in threes from the right, as several families spell it; matched by look-ahead these take quadratic time on
// long numbers.
static const struct {
    const char *pattern;
    enum xn_digits mode;
} digit_patterns[] = {
    {"(?=(\\d{3})+(?!\\d))", XN_DIGITS_CUT},
    {"\\d{1,3}(?=(?:\\d{3})*\\b)", XN_DIGITS_BEFORE_BOUNDARY},
    {"\\p{Nd}{1,3}(?=(?:\\p{Nd}{3})*(?!\\p{Nd}))", XN_DIGITS_ISOLATE},
};

int xn_pretokenizer_regex(struct xn_pretokenizer *step, const char *pattern, size_t size,
                          enum xn_split_behavior behavior, bool invert, struct xn_error *err) {
    *step = (struct xn_pretokenizer){.kind = XN_SPLIT_REGEX, .behavior = behavior, .invert = invert};
    if (behavior == XN_SPLIT_ISOLATED)
        for (size_t i = 0; i < sizeof digit_patterns / sizeof *digit_patterns; i++)
            if (size == strlen(digit_patterns[i].pattern) && memcmp(pattern, digit_patterns[i].pattern, size) == 0) {
                step->kind = XN_SPLIT_DIGITS;
                step->digits = digit_patterns[i].mode;
                return XN_OK;
            }
    return xn_regex_compile(pattern, size, &step->regex, err);
}

void xn_pretokenizer_free(struct xn_pretokenizer *step) {
    xn_regex_free(step->regex);
    free(step->pattern);
    *step = (struct xn_pretokenizer){0};
}

// What a split does with the segments of a text, matches and what lies between them, given in order.
struct splitting {
    const struct xn_pretokenize_run *run;
    size_t step; // the one that receives the parts
    const char *text;
    enum xn_split_behavior behavior;
    bool invert, first;
    bool pending, pending_match, last_match;
    size_t start, end; // pending
};

static int emit(struct splitting *s, size_t start, size_t end) {
    if (start == end) return XN_OK;
    return xn_pretokenize(s->run, s->step, s->text + start, end - start, s->first && start == 0);
}

static int hold(struct splitting *s, size_t start, size_t end, bool match) {
    if (s->pending) XN_TRY(emit(s, s->start, s->end));
    s->pending = true;
    s->pending_match = match;
    s->start = start;
    s->end = end;
    return XN_OK;
}

static int segment(struct splitting *s, size_t start, size_t end, bool match) {
    match = match != s->invert;
    switch (s->behavior) {
    case XN_SPLIT_ISOLATED:
        return emit(s, start, end);
    case XN_SPLIT_REMOVED:
        return match ? XN_OK : emit(s, start, end);
    case XN_SPLIT_CONTIGUOUS:
        if (s->pending && s->pending_match == match) {
            s->end = end;
            return XN_OK;
        }
        return hold(s, start, end, match);
    case XN_SPLIT_WITH_PREVIOUS: {
        // A match joins what is before it, unless that is a match itself.
        bool join = s->pending && match && !s->last_match;
        s->last_match = match;
        if (!join) return hold(s, start, end, match);
        s->end = end;
        return XN_OK;
    }
    case XN_SPLIT_WITH_NEXT:
        if (s->pending && s->pending_match && !match) { // the match that waits joins this
            s->end = end;
            s->pending_match = false;
            return XN_OK;
        }
        return hold(s, start, end, match);
    }
    return XN_OK;
}

static int finish(struct splitting *s) {
    return s->pending ? emit(s, s->start, s->end) : XN_OK;
}

static int split_regex(const struct xn_pretokenizer *p, struct splitting *s, const char *text, size_t size) {
    size_t done = 0, from = 0, start, end;
    while (from <= size && xn_regex_find(p->regex, s->run->scratch, text, size, from, &start, &end)) {
        if (start == end && start == done && done > 0) { // an empty match right behind a match does not count
            if (from >= size) break;
            from += xn_utf8_step(text + from, size - from);
            continue;
        }
        if (start > done) XN_TRY(segment(s, done, start, false));
        XN_TRY(segment(s, start, end, true));
        done = from = end;
        if (start == end) {
            if (end == size) break;
            from += xn_utf8_step(text + end, size - end);
        }
    }
    return done < size ? segment(s, done, size, false) : XN_OK;
}

static int split_string(const struct xn_pretokenizer *p, struct splitting *s, const char *text, size_t size) {
    size_t done = 0;
    const char *hit;
    while (p->pattern_size && (hit = memmem(text + done, size - done, p->pattern, p->pattern_size))) {
        size_t start = (size_t)(hit - text);
        if (start > done) XN_TRY(segment(s, done, start, false));
        done = start + p->pattern_size;
        XN_TRY(segment(s, start, done, true));
    }
    return done < size ? segment(s, done, size, false) : XN_OK;
}

static int split_class(const struct xn_pretokenizer *p, struct splitting *s, const char *text, size_t size) {
    size_t done = 0;
    for (size_t i = 0; i < size;) {
        uint32_t c;
        size_t length = xn_utf8_decode(text + i, size - i, &c);
        if (!length) {
            i++;
            continue;
        }
        if (p->in_class(c)) {
            if (i > done) XN_TRY(segment(s, done, i, false));
            done = i + length;
            XN_TRY(segment(s, i, done, true));
        }
        i += length;
    }
    return done < size ? segment(s, done, size, false) : XN_OK;
}

static int split_digits(const struct xn_pretokenizer *p, struct splitting *s, const char *text, size_t size) {
    size_t done = 0; // emitted up to here
    for (size_t i = 0; i < size;) {
        uint32_t c = 0;
        size_t start = i, digits = 0, length = 0;
        for (; i < size && (length = xn_utf8_decode(text + i, size - i, &c)) && xn_is_digit(c); i += length)
            digits++;
        if (!digits) {
            i += length ? length : 1;
            continue;
        }
        if (p->digits == XN_DIGITS_BEFORE_BOUNDARY && i < size && length && xn_is_word(c)) continue;
        if (p->digits != XN_DIGITS_CUT && start > done) {
            XN_TRY(segment(s, done, start, false));
            done = start;
        }
        for (size_t at = start; at < i;) {
            if (digits % 3 == 0 && at > done) {
                XN_TRY(segment(s, done, at, false));
                done = at;
            }
            at += xn_utf8_step(text + at, i - at);
            digits--;
        }
        if (p->digits != XN_DIGITS_CUT) {
            XN_TRY(segment(s, done, i, false));
            done = i;
        }
    }
    return done < size ? segment(s, done, size, false) : XN_OK;
}

static int metaspace(const struct xn_pretokenizer *p, struct splitting *s, const char *text, size_t size) {
    struct xn_text *buffer = &s->run->buffers[s->step - 1];
    buffer->size = 0;
    bool starts =
        (size >= p->pattern_size && memcmp(text, p->pattern, p->pattern_size) == 0) || (size && text[0] == ' ');
    if (!starts && (p->prepend == XN_PREPEND_ALWAYS || (p->prepend == XN_PREPEND_FIRST && s->first)))
        XN_TRY(xn_text_append(buffer, p->pattern, p->pattern_size));
    for (size_t i = 0; i < size;) {
        const char *blank = memchr(text + i, ' ', size - i);
        size_t end = blank ? (size_t)(blank - text) : size;
        XN_TRY(xn_text_append(buffer, text + i, end - i));
        if (blank) XN_TRY(xn_text_append(buffer, p->pattern, p->pattern_size));
        i = end + (blank ? 1 : 0);
    }
    s->text = buffer->data;
    if (!p->split) return emit(s, 0, buffer->size);
    s->behavior = XN_SPLIT_WITH_NEXT;
    return split_string(p, s, buffer->data, buffer->size);
}

static int rewrite(const struct xn_pretokenizer *p, struct splitting *s, const char *text, size_t size) {
    struct xn_text *buffer = &s->run->buffers[s->step - 1];
    buffer->size = 0;
    uint32_t c;
    if (p->kind == XN_MAP_BYTES) {
        for (size_t i = 0; i < size; i++) {
            char spelled[2];
            XN_TRY(xn_text_append(buffer, spelled, xn_gpt2_byte_char((uint8_t)text[i], spelled)));
        }
    } else {
        if (!xn_utf8_decode(text, size, &c) || !xn_is_space(c)) XN_TRY(xn_text_append(buffer, " ", 1));
        XN_TRY(xn_text_append(buffer, text, size));
    }
    s->text = buffer->data;
    return emit(s, 0, buffer->size);
}

int xn_pretokenize(const struct xn_pretokenize_run *run, size_t step, const char *text, size_t size, bool first) {
    if (!size) return XN_OK;
    if (step == run->n_steps) return run->sink(run->user, text, size);
    const struct xn_pretokenizer *p = &run->steps[step];
    struct splitting s = {
        .run = run, .step = step + 1, .text = text, .behavior = p->behavior, .invert = p->invert, .first = first};
    int status = XN_OK;
    switch (p->kind) {
    case XN_SPLIT_REGEX:
        status = split_regex(p, &s, text, size);
        break;
    case XN_SPLIT_STRING:
        status = split_string(p, &s, text, size);
        break;
    case XN_SPLIT_CLASS:
        status = split_class(p, &s, text, size);
        break;
    case XN_SPLIT_DIGITS:
        status = split_digits(p, &s, text, size);
        break;
    case XN_SPLIT_METASPACE:
        status = metaspace(p, &s, text, size);
        break;
    case XN_PREFIX_SPACE:
    case XN_MAP_BYTES:
        status = rewrite(p, &s, text, size);
        break;
    }
    return status == XN_OK ? finish(&s) : status;
}
