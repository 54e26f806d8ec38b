// What the tests of answers share: an answer's pieces as one text, and texts cut in many ways.
#pragma once

#include "text/answer/answer.h"
#include "text/unicode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// The pieces as "C(content)R(reasoning)0:id:name(arguments)!"; ids are left out unless asked for.
struct collected {
    struct xn_text text;
    enum xn_answer_kind kind;
    bool open, ids;
    uint32_t calls;
};

static inline int collect(void *user, const struct xn_answer_piece *p, struct xn_error *err) {
    struct collected *c = user;
    (void)err;
    char head[700];
    switch (p->kind) {
    case XN_ANSWER_CALL:
        assert_int_equal(p->index, c->calls);
        assert_non_null(p->id);
        assert_true(strlen(p->id) > 0 && strlen(p->name) > 0);
        if (c->open) xn_text_append(&c->text, ")", 1);
        snprintf(head, sizeof head, "%u:%s%s%s(", p->index, c->ids ? p->id : "", c->ids ? ":" : "", p->name);
        xn_text_append(&c->text, head, strlen(head));
        c->calls++;
        c->open = true;
        c->kind = XN_ANSWER_ARGUMENTS;
        return XN_OK;
    case XN_ANSWER_CALL_END:
        assert_int_equal(p->index + 1, c->calls);
        assert_true(c->open && c->kind == XN_ANSWER_ARGUMENTS);
        xn_text_append(&c->text, ")", 1);
        c->open = false;
        return XN_OK;
    default:
        break;
    }
    assert_true(p->size > 0);
    if (p->kind == XN_ANSWER_ARGUMENTS) {
        assert_true(c->open && p->index + 1 == c->calls);
    } else if (!c->open || p->kind != c->kind) {
        if (c->open) xn_text_append(&c->text, ")", 1);
        xn_text_append(&c->text, p->kind == XN_ANSWER_CONTENT ? "C(" : "R(", 2);
        c->open = true;
    }
    c->kind = p->kind;
    // Whole characters: no piece ends within one.
    for (size_t i = 0; i < p->size;) {
        const unsigned char u = (unsigned char)p->text[i];
        const size_t n = u < 0x80 ? 1 : u >= 0xf0 ? 4 : u >= 0xe0 ? 3 : 2;
        assert_true(i + n <= p->size);
        i += n;
    }
    xn_text_append(&c->text, p->text, p->size);
    return XN_OK;
}

// The next character at text[i], to keep cuts between characters.
static inline size_t next_character(const char *text, size_t n, size_t i) {
    for (i++; i < n && ((unsigned char)text[i] & 0xc0) == 0x80; i++)
        ;
    return i;
}

static inline uint64_t draw(uint64_t *seed) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

// cut: 0: whole; 1: each character; else a seed of random cuts of up to 12 characters.
static inline char *parse(const struct xn_answer_options *options, const char *text, size_t n, uint64_t cut, bool ids) {
    struct xn_answer *a;
    struct xn_error err;
    struct collected c = {.ids = ids};
    if (xn_answer_new(options, &a, &err) != XN_OK) fail_msg("%s", err.message);
    uint64_t seed = cut;
    for (size_t i = 0; i < n;) {
        size_t end = n;
        if (cut) {
            uint64_t characters = cut == 1 ? 1 : 1 + draw(&seed) % 12;
            for (end = i; characters && end < n; characters--)
                end = next_character(text, n, end);
        }
        char *part = malloc(end - i); // its own memory, so that reading past its end shows
        memcpy(part, text + i, end - i);
        if (xn_answer_feed(a, part, end - i, collect, &c, &err) != XN_OK) fail_msg("%s", err.message);
        free(part);
        i = end;
    }
    if (xn_answer_end(a, collect, &c, &err) != XN_OK) fail_msg("%s", err.message);
    xn_answer_free(a);
    if (c.open) xn_text_append(&c.text, ")", 1);
    xn_text_append(&c.text, "", 0);
    return c.text.data ? c.text.data : strdup("");
}
