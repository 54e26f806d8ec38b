// Unigram language model (Kudo, 2018): the segmentation with the highest sum of scores, by Viterbi's algorithm over
// characters. A character without a token of its own may be unknown, at a penalty; neighbouring unknown characters are
// one unknown token.
#include "text/tokenizer_internal.h"

#include "base/memory.h"

#include <string.h>

struct step {
    struct xn_encoder *e;
    size_t at, character;
    double score;
    bool covered; // some token is exactly this character
};

static void reach(struct xn_best *best, size_t from, int32_t id, double score) {
    if (best->id == -1 || score > best->score)
        *best = (struct xn_best){.score = score, .from = (uint32_t)from, .id = id};
}

static void try_token(void *user, int32_t id, size_t size) {
    struct step *s = user;
    const struct xn_token *token = &s->e->t->vocabulary.tokens[id];
    if (size == s->character) s->covered = true;
    reach(&s->e->best[s->at + size], s->at, id, s->score + (token->flags & XN_TOKEN_USER ? 0 : token->score));
}

// An unknown run of the piece: as bytes where the model has them, else one unknown token.
static int emit_unknown(struct xn_encoder *e, const char *piece, size_t size) {
    const struct xn_model *m = &e->t->model;
    const struct xn_vocabulary *v = &e->t->vocabulary;
    bool all = m->byte_fallback;
    for (size_t i = 0; i < size && all; i++)
        all = v->byte[(uint8_t)piece[i]] >= 0;
    if (!all) return m->unk >= 0 ? xn_encoder_emit(e, m->unk) : XN_OK;
    for (size_t i = 0; i < size; i++)
        XN_TRY(xn_encoder_emit(e, v->byte[(uint8_t)piece[i]]));
    return XN_OK;
}

int xn_encode_unigram(struct xn_encoder *e, const char *piece, size_t size) {
    enum { UNREACHED = -1, UNKNOWN = -2 };
    const struct xn_model *m = &e->t->model;
    if (XN_GROW(e->best, e->best_capacity, size + 1) != 0) return XN_ERR_NOMEM;
    for (size_t i = 0; i <= size; i++)
        e->best[i].id = UNREACHED;
    e->best[0] = (struct xn_best){.id = UNKNOWN};
    for (size_t i = 0; i < size;) {
        size_t length = xn_utf8_step(piece + i, size - i);
        struct step step = {.e = e, .at = i, .character = length, .score = e->best[i].score};
        xn_prefix_index_each(&m->prefixes, &e->t->vocabulary, piece + i, size - i, try_token, &step);
        if (!step.covered) reach(&e->best[i + length], i, UNKNOWN, step.score + m->unknown_score);
        i += length;
    }
    // Turn the chain around: best[i].from, the start of the token that ends at i, becomes the end of the one that
    // starts there.
    for (uint32_t at = (uint32_t)size, next = at; at > 0;) {
        uint32_t from = e->best[at].from;
        e->best[at].from = next;
        next = at;
        at = from;
        if (at == 0) e->best[0].from = next;
    }
    for (uint32_t at = 0; at < size;) {
        uint32_t end = e->best[at].from;
        if (e->best[end].id >= 0) {
            XN_TRY(xn_encoder_emit(e, e->best[end].id));
        } else {
            while (end < size && e->best[e->best[end].from].id == UNKNOWN)
                end = e->best[end].from;
            XN_TRY(emit_unknown(e, piece + at, end - at));
        }
        at = end;
    }
    return XN_OK;
}
