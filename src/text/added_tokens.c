// Added tokens: found in the text before the model sees it, leftmost first and there the longest (as Hugging Face
// tokenizers does).
#include "text/tokenizer_internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static int normalized_spelling(const struct xn_tokenizer *t, const struct xn_token *token,
                               struct xn_regex_scratch *scratch, struct xn_text *text) {
    struct xn_text next = {0};
    text->size = 0;
    int status = xn_text_append(text, token->text, token->size);
    for (size_t i = 0; i < t->n_normalizers && status == XN_OK; i++) {
        next.size = 0;
        status = xn_normalizer_apply(&t->normalizers[i], scratch, text->data, text->size, &next);
        struct xn_text swap = *text;
        *text = next;
        next = swap;
    }
    free(next.data);
    return status;
}

static int build(struct xn_tokenizer *t, struct xn_added_tokens *added, bool normalized, struct xn_error *err) {
    size_t n = 0, pool = 0;
    struct xn_vocabulary *v = &t->vocabulary;
    for (size_t id = 0; id < v->n; id++)
        if (v->tokens[id].flags & (XN_TOKEN_SPECIAL | XN_TOKEN_USER) && v->tokens[id].text &&
            !(v->tokens[id].flags & XN_TOKEN_NORMALIZED) == !normalized)
            n++;
    if (!n) return XN_OK;
    added->ids = xn_alloc(n, sizeof *added->ids);
    added->index.ids = xn_alloc(n, sizeof *added->index.ids);
    struct xn_text *spelled = xn_alloc_zero(n, sizeof *spelled);
    struct xn_regex_scratch *scratch = xn_regex_scratch_new();
    int status = added->ids && added->index.ids && spelled && scratch ? XN_OK : XN_ERR_NOMEM;
    size_t at = 0;
    for (size_t id = 0; id < v->n && status == XN_OK; id++) {
        const struct xn_token *token = &v->tokens[id];
        if (!(token->flags & (XN_TOKEN_SPECIAL | XN_TOKEN_USER)) || !token->text ||
            !(token->flags & XN_TOKEN_NORMALIZED) != !normalized)
            continue;
        status = normalized ? normalized_spelling(t, token, scratch, &spelled[at])
                            : xn_text_append(&spelled[at], token->text, token->size);
        pool += spelled[at].size;
        added->ids[at] = (int32_t)id;
        added->index.ids[at] = (int32_t)at;
        at++;
    }
    if (status == XN_OK)
        status = xn_vocabulary_init(&added->spelled, n, pool, err);
    else
        xn_fail(err, status, "no memory for %zu added tokens", n);
    if (status == XN_OK) {
        for (size_t i = 0; i < n; i++) {
            xn_vocabulary_set(&added->spelled, i, spelled[i].data, spelled[i].size);
            added->spelled.tokens[i].flags = v->tokens[added->ids[i]].flags;
        }
        added->index.n = n;
        status = xn_prefix_index_build(&added->index, &added->spelled, err);
    }
    for (size_t i = 0; spelled && i < n; i++)
        free(spelled[i].data);
    free(spelled);
    xn_regex_scratch_free(scratch);
    return status;
}

int xn_added_tokens_build(struct xn_tokenizer *t, struct xn_error *err) {
    XN_TRY(build(t, &t->plain, false, err));
    return build(t, &t->normalized, true, err);
}

void xn_added_tokens_free(struct xn_added_tokens *added) {
    xn_prefix_index_free(&added->index);
    xn_vocabulary_free(&added->spelled);
    free(added->ids);
    *added = (struct xn_added_tokens){0};
}

struct longest {
    const struct xn_added_tokens *added;
    bool special;
    int32_t at;
    size_t size;
};

static void keep_longest(void *user, int32_t at, size_t size) {
    struct longest *l = user;
    if (!l->special && l->added->spelled.tokens[at].flags & XN_TOKEN_SPECIAL) return;
    l->at = at;
    l->size = size;
}

// The character that ends before `end`; 0 at the start.
static uint32_t character_before(const char *text, size_t end, size_t *start) {
    size_t i = end;
    do
        i--;
    while (i > 0 && end - i < 4 && ((uint8_t)text[i] & 0xc0) == 0x80);
    uint32_t c = 0;
    size_t length = xn_utf8_decode(text + i, end - i, &c);
    *start = i;
    return length == end - i ? c : 0xfffd;
}

static bool stands_alone(const char *text, size_t size, size_t start, size_t end) {
    size_t before;
    uint32_t c;
    if (start > 0 && xn_is_word(character_before(text, start, &before))) return false;
    return end == size || !xn_utf8_decode(text + end, size - end, &c) || !xn_is_word(c);
}

bool xn_added_tokens_find(const struct xn_tokenizer *t, const struct xn_added_tokens *added, bool special,
                          const char *text, size_t size, size_t from, struct xn_added_match *match) {
    if (!added->index.n) return false;
    const struct xn_prefix_index *index = &added->index;
    for (size_t i = from; i < size; i++) {
        uint8_t b = (uint8_t)text[i];
        if (index->first[b] == index->first[b + 1]) continue;
        struct longest longest = {.added = added, .special = special, .at = -1};
        xn_prefix_index_each(index, &added->spelled, text + i, size - i, keep_longest, &longest);
        if (longest.at < 0) continue;
        size_t start = i, end = i + longest.size;
        int32_t id = added->ids[longest.at];
        uint16_t flags = t->vocabulary.tokens[id].flags;
        if (flags & XN_TOKEN_WORD && !stands_alone(text, size, start, end)) {
            i = end - 1; // what it covers is passed over
            continue;
        }
        if (flags & XN_TOKEN_LSTRIP)
            for (size_t before; start > from && xn_is_space(character_before(text, start, &before)) && before >= from;)
                start = before;
        if (flags & XN_TOKEN_RSTRIP) {
            uint32_t c;
            for (size_t length; end < size && (length = xn_utf8_decode(text + end, size - end, &c)) && xn_is_space(c);)
                end += length;
        }
        *match = (struct xn_added_match){.id = id, .start = start, .end = end};
        return true;
    }
    return false;
}
