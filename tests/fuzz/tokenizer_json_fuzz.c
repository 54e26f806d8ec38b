// Any bytes as a tokenizer.json: an error or a tokenizer, which then takes any text and gives whole characters back.
// The input is the file, a byte 0xff (which no JSON holds), and a text.
#include "text/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct xn_tokenizer *t, const char *text, size_t size, int flags) {
    struct xn_error err;
    struct xn_ids ids = {0};
    struct xn_text out = {0};
    struct xn_detokenizer d;
    if (xn_tokenize(t, text, size, flags, &ids, &err) != XN_OK) abort();
    xn_detokenizer_init(&d, t, flags & XN_TOKENIZE_SPECIAL);
    for (size_t i = 0; i < ids.n; i++) {
        if (ids.data[i] < 0 || ids.data[i] >= xn_tokenizer_size(t)) abort();
        if (xn_detokenize(&d, ids.data[i], &out, &err) != XN_OK) abort();
        if (xn_utf8_valid_prefix(out.data, out.size) != out.size) abort();
    }
    if (xn_detokenize_end(&d, &out, &err) != XN_OK || xn_utf8_valid_prefix(out.data, out.size) != out.size) abort();
    free(ids.data);
    free(out.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct xn_error err;
    struct xn_tokenizer *t;
    const uint8_t *end = size ? memchr(data, 0xff, size) : NULL;
    size_t file = end ? (size_t)(end - data) : size;
    if (xn_tokenizer_from_json_text("fuzz", (const char *)data, file, NULL, &t, &err) != XN_OK) return 0;
    const char *text = end ? (const char *)end + 1 : "some text";
    size_t n = end ? size - file - 1 : 9;
    check(t, text, n, 0);
    check(t, text, n, XN_TOKENIZE_SPECIAL | XN_TOKENIZE_BOS_EOS);
    xn_tokenizer_free(t);
    return 0;
}
