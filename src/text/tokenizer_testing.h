// For tests of tokenizers of tiny vocabularies: made of JSON, and held to ids and texts.
#pragma once

#include "base/memory.h"
#include "text/tokenizer_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// cmocka wants the headers above first
#include <cmocka.h>

// The text of a tokenizer.json with a BPE model; `more`: further members, with a comma behind each.
#define BPE(more, vocab, merges) "{\"model\":{\"type\":\"BPE\"," more "\"vocab\":{" vocab "},\"merges\":[" merges "]}}"

static inline uint32_t random_below(uint32_t n) {
    static uint32_t seed = 12345;
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(seed >> 8) * n) >> 24);
}

static inline void put(struct xn_text *out, const char *text) {
    xn_text_append(out, text, strlen(text));
}

static inline struct xn_tokenizer *from_text(const char *text, const char *config) {
    struct xn_error err;
    struct xn_tokenizer *t;
    json_t *j = config ? json_loads(config, 0, NULL) : NULL;
    if (xn_tokenizer_from_json_text("test.json", text, strlen(text), j, &t, &err) != XN_OK) fail_msg("%s", err.message);
    json_decref(j);
    return t;
}

// "1 2 3" for the ids of a text.
static inline void encodes(const struct xn_tokenizer *t, const char *text, int flags, const char *expected) {
    struct xn_error err;
    struct xn_ids ids = {0};
    char got[1024] = "";
    assert_int_equal(xn_tokenize(t, text, strlen(text), flags, &ids, &err), XN_OK);
    for (size_t i = 0, n = 0; i < ids.n && n < sizeof got - 16; i++)
        n += (size_t)sprintf(got + n, "%s%d", i ? " " : "", ids.data[i]);
    if (strcmp(got, expected) != 0) fail_msg("\"%s\": %s, expected %s", text, got, expected);
    free(ids.data);
}

// The text of ids given as "1 2 3", with "|" after what each of them brings out.
static inline void decodes(const struct xn_tokenizer *t, const char *ids, bool special, const char *expected) {
    struct xn_error err;
    struct xn_detokenizer d;
    struct xn_text out = {0};
    xn_detokenizer_init(&d, t, special);
    for (char *stop; *ids; ids = stop) {
        long id = strtol(ids, &stop, 10);
        assert_int_equal(xn_detokenize(&d, (int32_t)id, &out, &err), XN_OK);
        xn_text_append(&out, "|", 1);
    }
    assert_int_equal(xn_detokenize_end(&d, &out, &err), XN_OK);
    if (strcmp(out.data, expected) != 0) fail_msg("\"%s\", expected \"%s\"", out.data, expected);
    free(out.data);
}
