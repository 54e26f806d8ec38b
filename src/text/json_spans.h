// The two large parts of a tokenizer.json, read without building a tree: a vocabulary of 262,144 tokens and 514,906
// merges (Gemma 3) would be two million values. Everything else goes to jansson.
#pragma once

#include "text/tokenizer.h"

#include <jansson.h>

// A view of one JSON value in the file.
struct xn_json_span {
    const char *data;
    size_t size;
};

// Reads a tokenizer.json of `size` bytes: *rest is everything but model.vocab and model.merges (null in it), whose
// texts are *vocab and *merges (size 0: absent). `name` is for messages.
int xn_tokenizer_json_split(const char *name, const char *data, size_t size, json_t **rest, struct xn_json_span *vocab,
                            struct xn_json_span *merges, struct xn_error *err);

// Walks {"token": id, ...} or [["token", score], ...].
typedef int xn_vocab_entry(void *user, const char *text, size_t size, double number, struct xn_error *err);
int xn_json_each_token(const char *name, struct xn_json_span span, xn_vocab_entry *entry, void *user,
                       struct xn_error *err);
// Walks ["a b", ...] or [["a", "b"], ...].
typedef int xn_merge_entry(void *user, const char *left, size_t left_size, const char *right, size_t right_size,
                           struct xn_error *err);
int xn_json_each_merge(const char *name, struct xn_json_span span, xn_merge_entry *entry, void *user,
                       struct xn_error *err);
