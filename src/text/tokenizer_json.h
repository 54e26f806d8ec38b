// The parts of tokenizer.json's reader.
#pragma once

#include "text/tokenizer_internal.h"

#include <jansson.h>

struct xn_json_reader {
    const char *path;
    struct xn_tokenizer *t;
    struct xn_error *err;
    bool decoder_fused; // decoders after this one see the whole text
};

int xn_json_wrong(const struct xn_json_reader *r, enum xn_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4))); // xn_fail with the path in front

// json_stages.c: "normalizer", "pre_tokenizer", "decoder" and "post_processor"; each may be null.
int xn_json_normalizer(struct xn_json_reader *r, const json_t *j);
int xn_json_pretokenizer(struct xn_json_reader *r, const json_t *j);
int xn_json_decoder(struct xn_json_reader *r, const json_t *j);
int xn_json_post_processor(struct xn_json_reader *r, const json_t *j);
