// WordPiece (BERT): the longest token at the start of a word, then the longest continuation, and so on; a word that
// can't be covered whole is unknown.
#include "text/tokenizer_internal.h"

#include <string.h>

// The longest token for piece[start..], whose spelling begins with `prefix`; 0 where there is none.
static int longest(struct xn_encoder *e, const char *prefix, const char *piece, size_t size, size_t *length,
                   int32_t *id) {
    const struct xn_vocabulary *v = &e->t->vocabulary;
    size_t skip = prefix ? strlen(prefix) : 0;
    e->word.size = 0;
    if (skip) XN_TRY(xn_text_append(&e->word, prefix, skip));
    size_t most = v->longest > skip ? v->longest - skip : 0;
    if (most > size) most = size;
    XN_TRY(xn_text_append(&e->word, piece, most));
    *length = 0;
    *id = -1;
    for (size_t n = most; n > 0; n--) {
        if (n < size && ((uint8_t)piece[n] & 0xc0) == 0x80) continue; // inside a character
        int32_t found = xn_vocabulary_find(v, e->word.data, skip + n);
        if (found < 0) continue;
        *length = n;
        *id = found;
        break;
    }
    return XN_OK;
}

int xn_encode_wordpiece(struct xn_encoder *e, const char *piece, size_t size) {
    const struct xn_model *m = &e->t->model;
    size_t before = e->ids->n, characters = 0;
    for (size_t i = 0; i < size && characters <= m->max_word; i += xn_utf8_step(piece + i, size - i))
        characters++;
    bool covered = characters <= m->max_word;
    for (size_t at = 0; at < size && covered;) {
        size_t length;
        int32_t id;
        XN_TRY(longest(e, at ? m->subword_prefix : m->word_prefix, piece + at, size - at, &length, &id));
        covered = id >= 0;
        if (covered) XN_TRY(xn_encoder_emit(e, id));
        at += length;
    }
    if (covered) return XN_OK;
    e->ids->n = before;
    return m->unk >= 0 ? xn_encoder_emit(e, m->unk) : XN_OK;
}
