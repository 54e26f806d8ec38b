// Byte-pair encoding: the pair of neighbours with the lowest rank is merged until none is left; of equal ranks the
// leftmost.
//
// Two kinds share the machinery. BPE proper (Sennrich et al., 2016) looks a pair of ids up in the list of merges.
// SentencePiece's (Kudo and Richardson, 2018) has scores instead: two neighbours merge where their text is a token, the
// best score first.
//
// Short pieces are merged by scanning, long ones with a heap (a megabyte of one letter is n log n). Pieces seen before
// come from a small cache that lives as long as one encoding.
#include "text/tokenizer_internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { SCAN_MAX = 40 };

// ---- the model

int xn_model_reserve_merges(struct xn_model *m, size_t n, struct xn_error *err) {
    size_t slots = 16;
    if (n > XN_MAX_TOKENS) return xn_fail(err, XN_ERR_LIMIT, "%zu merges, at most %d expected", n, XN_MAX_TOKENS);
    while (slots < 2 * n)
        slots *= 2;
    m->merges = xn_alloc(slots, sizeof *m->merges);
    if (!m->merges) return xn_fail(err, XN_ERR_NOMEM, "no memory for %zu merges", n);
    for (size_t i = 0; i < slots; i++)
        m->merges[i] = (struct xn_merge){.merged = -1};
    m->merges_mask = slots - 1;
    return XN_OK;
}

static struct xn_merge *merge_slot(const struct xn_model *m, int32_t left, int32_t right) {
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t slot = (size_t)((pair * 0x9e3779b97f4a7c15u) >> 20) & m->merges_mask;
    while (m->merges[slot].merged >= 0 && m->merges[slot].pair != pair)
        slot = (slot + 1) & m->merges_mask;
    return &m->merges[slot];
}

bool xn_model_add_merge(struct xn_model *m, const struct xn_vocabulary *v, uint32_t rank, const char *left,
                        size_t left_size, const char *right, size_t right_size) {
    int32_t a = xn_vocabulary_find(v, left, left_size), b = xn_vocabulary_find(v, right, right_size);
    size_t prefix = m->subword_prefix ? strlen(m->subword_prefix) : 0;
    if (a < 0 || b < 0 || right_size < prefix) return false;
    // The result is the text of both, less the prefix that marks the second as a continuation.
    char small[256];
    size_t size = left_size + right_size - prefix;
    char *text = size <= sizeof small ? small : xn_alloc(size, 1);
    if (!text) return false;
    memcpy(text, left, left_size);
    memcpy(text + left_size, right + prefix, right_size - prefix);
    int32_t merged = xn_vocabulary_find(v, text, size);
    if (text != small) free(text);
    if (merged < 0) return false;
    struct xn_merge *slot = merge_slot(m, a, b);
    if (slot->merged < 0) // of a pair listed twice the first counts
        *slot = (struct xn_merge){.pair = (uint64_t)(uint32_t)a << 32 | (uint32_t)b, .rank = rank, .merged = merged};
    return true;
}

static unsigned joined_bit(const char *character, size_t size) {
    return (unsigned)(xn_hash_bytes(character, size) & 0xffff);
}

// Notes after which characters some token has a U+2581; a piece can be cut before every other one, since no merge
// crosses there.
static void note_blocks(struct xn_model *m, const struct xn_vocabulary *v) {
    for (size_t id = 0; id < v->n; id++) {
        const struct xn_token *token = &v->tokens[id];
        if (!token->text) continue;
        size_t before = 0; // start of the character before i
        for (size_t i = 0; i < token->size; i += xn_utf8_step(token->text + i, token->size - i)) {
            if (i && token->size - i >= 3 && memcmp(token->text + i, XN_LOWER_BLOCK, 3) == 0) {
                unsigned bit = joined_bit(token->text + before, i - before);
                m->joined[bit / 64] |= (uint64_t)1 << bit % 64;
            }
            before = i;
        }
    }
}

int xn_model_finish(struct xn_model *m, const struct xn_vocabulary *v, struct xn_error *err) {
    for (int b = 0; b < 256; b++) {
        char spelled[2];
        size_t n = xn_gpt2_byte_char((uint8_t)b, spelled);
        m->symbol[b] = xn_vocabulary_find(v, spelled, n);
    }
    bool all_bytes = true;
    for (int b = 0; b < 256; b++)
        all_bytes = all_bytes && v->byte[b] >= 0;
    // Cutting would break runs of unknown characters that become one token, and what looks at a whole piece.
    m->cut_at_blocks = !m->ignore_merges && !m->bytes && !m->subword_prefix && !m->word_suffix &&
                       (m->kind == XN_MODEL_SENTENCEPIECE || m->kind == XN_MODEL_BPE) &&
                       (m->unk < 0 || (m->byte_fallback && all_bytes));
    if (m->cut_at_blocks) note_blocks(m, v);
    if (m->kind != XN_MODEL_UNIGRAM) return XN_OK;

    double lowest = 0;
    bool any = false;
    m->prefixes.ids = xn_alloc(v->n, sizeof *m->prefixes.ids);
    if (!m->prefixes.ids) return xn_fail(err, XN_ERR_NOMEM, "no memory for %zu tokens", v->n);
    for (size_t id = 0; id < v->n; id++) {
        const struct xn_token *token = &v->tokens[id];
        if (!token->text || token->flags & (XN_TOKEN_SPECIAL | XN_TOKEN_BYTE)) continue;
        m->prefixes.ids[m->prefixes.n++] = (int32_t)id;
        if (!(token->flags & (XN_TOKEN_USER | XN_TOKEN_UNUSED)) && (!any || token->score < lowest)) {
            lowest = token->score;
            any = true;
        }
    }
    m->unknown_score = lowest - 10; // SentencePiece's penalty
    return xn_prefix_index_build(&m->prefixes, v, err);
}

void xn_model_free(struct xn_model *m) {
    free(m->subword_prefix);
    free(m->word_suffix);
    free(m->word_prefix);
    free(m->merges);
    xn_prefix_index_free(&m->prefixes);
    *m = (struct xn_model){0};
}

// ---- merging

// An order of scores as unsigned integers, the best first; what is no number comes last.
static uint32_t rank_of_score(double score) {
    float f = (float)score;
    if (f != f) return UINT32_MAX;
    if (f == 0) f = 0; // -0 is 0
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits & 0x80000000u ? bits : ~bits & 0x7fffffffu;
}

// The rank at which two neighbours merge and what they become; false where they don't.
static inline bool pair_rank(const struct xn_encoder *e, const char *piece, const struct xn_symbol *left,
                             const struct xn_symbol *right, uint32_t *rank, int32_t *merged) {
    const struct xn_model *m = &e->t->model;
    if (m->kind == XN_MODEL_SENTENCEPIECE) {
        const struct xn_vocabulary *v = &e->t->vocabulary;
        int32_t id = xn_vocabulary_find(v, piece + left->start, left->size + right->size);
        if (id < 0) return false;
        *merged = id;
        *rank = rank_of_score(v->tokens[id].score);
        return true;
    }
    if (left->id < 0 || right->id < 0) return false;
    const struct xn_merge *slot = merge_slot(m, left->id, right->id);
    if (slot->merged < 0) return false;
    *merged = slot->merged;
    *rank = slot->rank;
    return true;
}

// Merges n <= SCAN_MAX symbols in place; returns how many are left.
static size_t merge_by_scan(const struct xn_encoder *e, const char *piece, struct xn_symbol *s, size_t n) {
    uint32_t rank[SCAN_MAX];
    int32_t merged[SCAN_MAX]; // what symbols i and i + 1 become, or -1
    for (size_t i = 0; i + 1 < n; i++)
        if (!pair_rank(e, piece, &s[i], &s[i + 1], &rank[i], &merged[i])) merged[i] = -1;
    for (;;) {
        size_t best = n;
        for (size_t i = 0; i + 1 < n; i++)
            if (merged[i] >= 0 && (best == n || rank[i] < rank[best])) best = i;
        if (best == n) return n;
        s[best].size += s[best + 1].size;
        s[best].id = merged[best];
        n--;
        memmove(s + best + 1, s + best + 2, (n - best - 1) * sizeof *s);
        if (best + 1 < n) {
            memmove(rank + best + 1, rank + best + 2, (n - best - 2) * sizeof *rank);
            memmove(merged + best + 1, merged + best + 2, (n - best - 2) * sizeof *merged);
            if (!pair_rank(e, piece, &s[best], &s[best + 1], &rank[best], &merged[best])) merged[best] = -1;
        }
        if (best > 0 && !pair_rank(e, piece, &s[best - 1], &s[best], &rank[best - 1], &merged[best - 1]))
            merged[best - 1] = -1;
    }
}

static int heap_push(struct xn_encoder *e, struct xn_candidate c) {
    if (XN_GROW(e->heap, e->heap_capacity, e->heap_n + 1) != 0) return XN_ERR_NOMEM;
    size_t i = e->heap_n++;
    for (size_t parent; i > 0 && e->heap[parent = (i - 1) / 2].key > c.key; i = parent)
        e->heap[i] = e->heap[parent];
    e->heap[i] = c;
    return XN_OK;
}

static struct xn_candidate heap_pop(struct xn_encoder *e) {
    struct xn_candidate top = e->heap[0], last = e->heap[--e->heap_n];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < e->heap_n; i = child) {
        if (child + 1 < e->heap_n && e->heap[child + 1].key < e->heap[child].key) child++;
        if (e->heap[child].key >= last.key) break;
        e->heap[i] = e->heap[child];
    }
    e->heap[i] = last;
    return top;
}

static int push_pair(struct xn_encoder *e, const char *piece, int32_t left) {
    struct xn_symbol *s = e->symbols;
    int32_t right = left < 0 ? -1 : s[left].next;
    struct xn_candidate c;
    uint32_t rank;
    if (right < 0 || !pair_rank(e, piece, &s[left], &s[right], &rank, &c.merged)) return XN_OK;
    c.key = (uint64_t)rank << 32 | (uint32_t)left;
    c.size = s[left].size + s[right].size;
    return heap_push(e, c);
}

// Merges any number of symbols, which are linked; those merged away have size 0.
static int merge_by_heap(struct xn_encoder *e, const char *piece, size_t n) {
    struct xn_symbol *s = e->symbols;
    for (size_t i = 0; i < n; i++) {
        s[i].prev = (int32_t)i - 1;
        s[i].next = i + 1 < n ? (int32_t)i + 1 : -1;
    }
    e->heap_n = 0;
    for (size_t i = 0; i + 1 < n; i++)
        XN_TRY(push_pair(e, piece, (int32_t)i));
    while (e->heap_n) {
        struct xn_candidate c = heap_pop(e);
        int32_t left = (int32_t)(uint32_t)c.key, right = s[left].next;
        // Symbols only grow, so a candidate is of the present pair exactly where the sizes agree.
        if (!s[left].size || right < 0 || s[left].size + s[right].size != c.size) continue;
        s[left].size = c.size;
        s[left].id = c.merged;
        s[right].size = 0;
        s[left].next = s[right].next;
        if (s[right].next >= 0) s[s[right].next].prev = left;
        XN_TRY(push_pair(e, piece, s[left].prev));
        XN_TRY(push_pair(e, piece, left));
    }
    return XN_OK;
}

// ---- pieces

// The length of a SentencePiece vocabulary's symbol at the start of n > 0 bytes: what its first byte announces, also
// where the text is no UTF-8.
static size_t announced_length(const char *s, size_t n) {
    size_t length = (uint8_t)*s < 0xc0 ? 1 : (uint8_t)*s < 0xe0 ? 2 : (uint8_t)*s < 0xf0 ? 3 : 4;
    return length < n ? length : n;
}

// Cuts a piece into its first symbols: bytes, or characters with the fallbacks of those that have no token.
static int first_symbols(struct xn_encoder *e, const char *piece, size_t size, size_t *n_symbols) {
    const struct xn_model *m = &e->t->model;
    const struct xn_vocabulary *v = &e->t->vocabulary;
    size_t n = 0;
    if (XN_GROW(e->symbols, e->symbols_capacity, size) != 0) return XN_ERR_NOMEM;
    struct xn_symbol *s = e->symbols;
    bool fusing = false;
    for (size_t i = 0, length; i < size; i += length) {
        if (m->bytes) {
            length = 1;
            int32_t id = m->symbol[(uint8_t)piece[i]];
            if (id >= 0 || m->unk >= 0)
                s[n++] = (struct xn_symbol){.start = (uint32_t)i, .size = 1, .id = id >= 0 ? id : m->unk};
            continue;
        }
        length = m->byte_fallback ? announced_length(piece + i, size - i) : xn_utf8_step(piece + i, size - i);
        struct xn_symbol symbol = {.start = (uint32_t)i, .size = (uint32_t)length};
        bool first = i == 0, last = i + length == size;
        if ((m->subword_prefix && !first) || (m->word_suffix && last)) {
            e->word.size = 0;
            if (m->subword_prefix && !first)
                XN_TRY(xn_text_append(&e->word, m->subword_prefix, strlen(m->subword_prefix)));
            XN_TRY(xn_text_append(&e->word, piece + i, length));
            if (m->word_suffix && last) XN_TRY(xn_text_append(&e->word, m->word_suffix, strlen(m->word_suffix)));
            symbol.id = xn_vocabulary_find(v, e->word.data, e->word.size);
        } else {
            symbol.id = xn_vocabulary_find(v, piece + i, length);
        }
        if (symbol.id >= 0 ||
            m->kind == XN_MODEL_SENTENCEPIECE) { // SentencePiece looks at what is left when all is merged
            s[n++] = symbol;
            fusing = false;
            continue;
        }
        bool all = m->byte_fallback;
        for (size_t k = 0; k < length; k++)
            all = all && v->byte[(uint8_t)piece[i + k]] >= 0;
        for (size_t k = 0; all && k < length; k++)
            s[n++] = (struct xn_symbol){.start = (uint32_t)(i + k), .size = 1, .id = v->byte[(uint8_t)piece[i + k]]};
        if (all || m->unk < 0) continue;
        if (fusing && m->fuse_unk) {
            s[n - 1].size += symbol.size;
        } else {
            symbol.id = m->unk;
            s[n++] = symbol;
        }
        fusing = true;
    }
    *n_symbols = n;
    return XN_OK;
}

static int emit_symbol(struct xn_encoder *e, const char *piece, const struct xn_symbol *s) {
    if (s->id >= 0) return xn_encoder_emit(e, s->id);
    for (uint32_t k = 0; k < s->size; k++) { // a character without a token
        int32_t id = e->t->vocabulary.byte[(uint8_t)piece[s->start + k]];
        if (id >= 0) {
            XN_TRY(xn_encoder_emit(e, id));
        } else if (e->t->model.unk >= 0) {
            return xn_encoder_emit(e, e->t->model.unk);
        }
    }
    return XN_OK;
}

static int whole_piece(struct xn_encoder *e, const char *piece, size_t size, int32_t *id) {
    const struct xn_vocabulary *v = &e->t->vocabulary;
    *id = -1;
    if (size > v->longest) return XN_OK;
    if (!e->t->model.bytes) {
        *id = xn_vocabulary_find(v, piece, size);
        return XN_OK;
    }
    e->word.size = 0;
    for (size_t i = 0; i < size; i++) {
        char spelled[2];
        XN_TRY(xn_text_append(&e->word, spelled, xn_gpt2_byte_char((uint8_t)piece[i], spelled)));
    }
    *id = xn_vocabulary_find(v, e->word.data, e->word.size);
    return XN_OK;
}

static size_t newlines_at_start(const char *s, size_t n) {
    size_t i = 0;
    while (i < n && s[i] == '\n')
        i++;
    return i;
}

static int encode_piece(struct xn_encoder *e, const char *piece, size_t size) {
    const struct xn_model *m = &e->t->model;
    if (m->ignore_merges || (m->whole_newlines && newlines_at_start(piece, size) == size)) {
        int32_t id;
        XN_TRY(whole_piece(e, piece, size, &id));
        if (id >= 0) return xn_encoder_emit(e, id);
    }
    size_t n;
    XN_TRY(first_symbols(e, piece, size, &n));
    if (n <= SCAN_MAX) {
        n = merge_by_scan(e, piece, e->symbols, n);
    } else {
        XN_TRY(merge_by_heap(e, piece, n));
    }
    for (size_t i = 0; i < n; i++)
        if (e->symbols[i].size) XN_TRY(emit_symbol(e, piece, &e->symbols[i]));
    return XN_OK;
}

// Direct-mapped: a piece and its ids, one cache line each.
enum { CACHED_BYTES = 30, CACHED_IDS = 8, CACHE_SLOTS = 1 << 14, CACHE_WORTH = 4096 };
struct xn_piece_cache {
    struct {
        uint8_t size, n;
        char piece[CACHED_BYTES];
        int32_t ids[CACHED_IDS];
    } slots[CACHE_SLOTS];
};

struct xn_piece_cache *xn_piece_cache_new(size_t text_size) {
    return text_size < CACHE_WORTH ? NULL : xn_alloc_zero(1, sizeof(struct xn_piece_cache));
}

static int encode_cached(struct xn_encoder *e, const char *piece, size_t size) {
    if (!e->cache || size > CACHED_BYTES || size < 2) return encode_piece(e, piece, size);
    uint64_t hash = xn_hash_bytes(piece, size);
    __typeof__(&e->cache->slots[0]) slot = &e->cache->slots[hash & (CACHE_SLOTS - 1)];
    if (slot->size == size && memcmp(slot->piece, piece, size) == 0) {
        for (uint8_t i = 0; i < slot->n; i++)
            XN_TRY(xn_encoder_emit(e, slot->ids[i]));
        return XN_OK;
    }
    size_t before = e->ids->n;
    XN_TRY(encode_piece(e, piece, size));
    size_t n = e->ids->n - before;
    if (n > CACHED_IDS) return XN_OK;
    slot->size = (uint8_t)size;
    slot->n = (uint8_t)n;
    memcpy(slot->piece, piece, size);
    memcpy(slot->ids, e->ids->data + before, n * sizeof *slot->ids);
    return XN_OK;
}

int xn_encode_bpe(struct xn_encoder *e, const char *piece, size_t size) {
    const struct xn_model *m = &e->t->model;
    if (!m->cut_at_blocks || e->ragged) return encode_cached(e, piece, size);
    size_t done = 0;
    for (size_t at = 0; at < size;) {
        const char *hit = memmem(piece + at, size - at, XN_LOWER_BLOCK, 3);
        if (!hit) break;
        size_t block = (size_t)(hit - piece), before = block;
        at = block + 3;
        if (block == done) continue;
        // Start of the character in front, as the vocabulary's spellings are stepped through.
        do
            before--;
        while (before > done && block - before < 4 && ((uint8_t)piece[before] & 0xc0) == 0x80);
        if (before + xn_utf8_step(piece + before, block - before) != block) before = block - 1;
        unsigned bit = joined_bit(piece + before, block - before);
        if (m->joined[bit / 64] >> bit % 64 & 1) continue;
        XN_TRY(encode_cached(e, piece + done, block - done));
        done = block;
    }
    return done < size ? encode_cached(e, piece + done, size - done) : XN_OK;
}
