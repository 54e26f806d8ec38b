// What several replies of OpenAI's API have in common.
#include "server/openai/internal.h"

#include "xenon/xenon.h"

#include <math.h>
#include <stdlib.h>

const char xn_openai_fingerprint[] = "xenon-" XENON_VERSION_STRING;

json_t *xn_openai_usage(const struct xn_completion_event *done) {
    const struct xn_serving_counts *u = &done->usage;
    return json_pack("{s:I, s:I, s:I, s:{s:I}, s:{s:I}}", "prompt_tokens", (json_int_t)u->prompt, "completion_tokens",
                     (json_int_t)u->generated, "total_tokens", (json_int_t)u->prompt + u->generated,
                     "prompt_tokens_details", "cached_tokens", (json_int_t)u->cached, "completion_tokens_details",
                     "reasoning_tokens", (json_int_t)done->reasoning);
}

const char *xn_openai_finish(enum xn_completion_finish finish) {
    switch (finish) {
    case XN_FINISHED_LENGTH:
        return "length";
    case XN_FINISHED_CALLS:
        return "tool_calls";
    default:
        return "stop";
    }
}

double xn_openai_finite(float logprob) {
    return isfinite(logprob) && logprob > -9999.0f ? (double)logprob : -9999.0;
}

// The length of the UTF-8 character at s, or 0.
static size_t character(const unsigned char *s, size_t n) {
    size_t size = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (size > n) return 0;
    json_t *valid = json_stringn((const char *)s, size);
    json_decref(valid);
    return valid ? size : 0;
}

json_t *xn_openai_token_text(const char *bytes, size_t size) {
    json_t *whole = json_stringn(size ? bytes : "", size);
    if (whole) return whole;
    struct xn_text text = {0};
    int status = XN_OK;
    for (size_t i = 0, n; i < size && status == XN_OK; i += n ? n : 1) {
        n = character((const unsigned char *)bytes + i, size - i);
        status = xn_text_put(&text, n ? bytes + i : "\xef\xbf\xbd", n ? n : 3, NULL);
    }
    whole = xn_json_text(text.data, text.size);
    free(text.data);
    return whole;
}

static json_t *one(const char *bytes, size_t size, float logprob) {
    json_t *numbers = json_array();
    for (size_t i = 0; i < size; i++)
        json_array_append_new(numbers, json_integer((unsigned char)bytes[i]));
    return json_pack("{s:o, s:f, s:o}", "token", xn_openai_token_text(bytes, size), "logprob",
                     xn_openai_finite(logprob), "bytes", numbers);
}

json_t *xn_openai_logprob(const struct xn_tokenizer *tokenizer, const struct xn_completion_token *token) {
    json_t *entry = one(token->bytes, token->size, token->logprob), *top = json_array();
    struct xn_text bytes = {0};
    for (int32_t i = 0; i < token->n_top; i++) {
        bytes.size = 0;
        if (xn_token_append_bytes(tokenizer, token->top[i].id, &bytes, NULL) == XN_OK)
            json_array_append_new(top, one(bytes.data ? bytes.data : "", bytes.size, token->top[i].logprob));
    }
    free(bytes.data);
    json_object_set_new(entry, "top_logprobs", top);
    return entry;
}
