#include "text/tokenizer_internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_TEXT = 1 << 29 }; // bytes; places in it, also after normalization, must fit 32 bits

struct xn_tokenizer *xn_tokenizer_new(void) {
    struct xn_tokenizer *t = xn_alloc_zero(1, sizeof *t);
    if (!t) return NULL;
    t->bos = t->eos = t->pad = t->model.unk = -1;
    return t;
}

void xn_tokenizer_free(struct xn_tokenizer *t) {
    if (!t) return;
    xn_vocabulary_free(&t->vocabulary);
    xn_added_tokens_free(&t->plain);
    xn_added_tokens_free(&t->normalized);
    for (size_t i = 0; i < t->n_normalizers; i++)
        xn_normalizer_free(&t->normalizers[i]);
    for (size_t i = 0; i < t->n_pretokenizers; i++)
        xn_pretokenizer_free(&t->pretokenizers[i]);
    for (size_t i = 0; i < t->n_decoders; i++) {
        free(t->decoders[i].pattern);
        free(t->decoders[i].content);
    }
    xn_model_free(&t->model);
    free(t);
}

// Bytes that are no UTF-8 may reach the model where it has tokens for them and nothing in front of it needs characters.
static bool keeps_bytes(const struct xn_tokenizer *t) {
    if (t->model.bytes || t->model.kind == XN_MODEL_UNIGRAM || t->model.kind == XN_MODEL_WORDPIECE ||
        !t->model.byte_fallback)
        return false;
    for (size_t i = 0; i < t->n_normalizers; i++)
        if (t->normalizers[i].regex) return false;
    for (size_t i = 0; i < t->n_pretokenizers; i++)
        if (t->pretokenizers[i].regex) return false;
    return true;
}

void xn_tokenizer_mark_end(struct xn_tokenizer *t, int64_t id) {
    if (id >= 0 && (uint64_t)id < t->vocabulary.n) t->vocabulary.tokens[id].flags |= XN_TOKEN_ENDS;
}

int xn_tokenizer_finish(struct xn_tokenizer *t, struct xn_error *err) {
    XN_TRY(xn_model_finish(&t->model, &t->vocabulary, err));
    XN_TRY(xn_added_tokens_build(t, err));
    xn_tokenizer_mark_end(t, t->eos);
    t->keep_bytes = keeps_bytes(t);
    return XN_OK;
}

// ---- encoding

int xn_encoder_emit(struct xn_encoder *e, int32_t id) {
    struct xn_ids *ids = e->ids;
    if (XN_GROW(ids->data, ids->capacity, ids->n + 1) != 0) return XN_ERR_NOMEM;
    ids->data[ids->n++] = id;
    return XN_OK;
}

static int encode_piece(void *user, const char *piece, size_t size) {
    struct xn_encoder *e = user;
    if (size > INT32_MAX) return XN_ERR_LIMIT;
    switch (e->t->model.kind) {
    case XN_MODEL_BPE:
    case XN_MODEL_SENTENCEPIECE:
        return xn_encode_bpe(e, piece, size);
    case XN_MODEL_UNIGRAM:
        return xn_encode_unigram(e, piece, size);
    case XN_MODEL_WORDPIECE:
        return xn_encode_wordpiece(e, piece, size);
    }
    return XN_OK;
}

static int pretokenize(struct xn_encoder *e, const char *text, size_t size, bool first) {
    struct xn_pretokenize_run run = {
        .steps = e->t->pretokenizers,
        .n_steps = e->t->n_pretokenizers,
        .scratch = e->scratch,
        .buffers = e->buffers,
        .sink = encode_piece,
        .user = e,
    };
    return xn_pretokenize(&run, 0, text, size, first);
}

// Text between added tokens: normalized, and searched for the tokens that are spelled in normalized text.
static int encode_text(struct xn_encoder *e, const char *text, size_t size, bool first) {
    const struct xn_tokenizer *t = e->t;
    if (!size) return XN_OK;
    for (size_t i = 0; i < t->n_normalizers; i++) {
        struct xn_text *out = &e->normal[i & 1];
        out->size = 0;
        XN_TRY(xn_text_append(out, "", 0));
        XN_TRY(xn_normalizer_apply(&t->normalizers[i], e->scratch, text, size, out));
        text = out->data;
        size = out->size;
    }
    size_t done = 0;
    struct xn_added_match match;
    while (xn_added_tokens_find(t, &t->normalized, e->special, text, size, done, &match)) {
        XN_TRY(pretokenize(e, text + done, match.start - done, first && done == 0));
        XN_TRY(xn_encoder_emit(e, match.id));
        done = match.end;
    }
    return pretokenize(e, text + done, size - done, first && done == 0);
}

static int encode(struct xn_encoder *e, const char *text, size_t size) {
    const struct xn_tokenizer *t = e->t;
    size_t done = 0;
    for (;;) {
        struct xn_added_match match = {.start = size, .end = size};
        bool found = xn_added_tokens_find(t, &t->plain, e->special, text, size, done, &match);
        XN_TRY(encode_text(e, text + done, match.start - done, done == 0));
        if (!found) return XN_OK;
        XN_TRY(xn_encoder_emit(e, match.id));
        done = match.end;
    }
}

static void encoder_free(struct xn_encoder *e) {
    xn_regex_scratch_free(e->scratch);
    for (size_t i = 0; e->buffers && i < e->t->n_pretokenizers; i++)
        free(e->buffers[i].data);
    free(e->buffers);
    free(e->repaired.data);
    free(e->normal[0].data);
    free(e->normal[1].data);
    free(e->word.data);
    free(e->symbols);
    free(e->heap);
    free(e->best);
    free(e->cache);
}

int xn_tokenize(const struct xn_tokenizer *t, const char *text, size_t size, int flags, struct xn_ids *ids,
                struct xn_error *err) {
    if (size > MAX_TEXT) return xn_fail(err, XN_ERR_LIMIT, "text of %zu bytes, at most %d expected", size, MAX_TEXT);
    size_t before = ids->n;
    struct xn_encoder e = {.t = t, .ids = ids, .special = flags & XN_TOKENIZE_SPECIAL};
    bool frame = flags & XN_TOKENIZE_BOS_EOS;
    int status = XN_OK;
    for (size_t i = 0; frame && i < t->n_before && status == XN_OK; i++)
        status = xn_encoder_emit(&e, t->before[i]);
    if (size && status == XN_OK) {
        e.scratch = xn_regex_scratch_new();
        e.buffers = xn_alloc_zero(t->n_pretokenizers, sizeof *e.buffers);
        e.cache = xn_piece_cache_new(size);
        status = e.scratch && e.buffers ? XN_OK : XN_ERR_NOMEM;
        e.ragged = xn_utf8_valid_prefix(text, size) < size;
        if (status == XN_OK && e.ragged && !t->keep_bytes) {
            e.ragged = false;
            status = xn_repair_utf8(text, size, &e.repaired);
            text = e.repaired.data;
            size = e.repaired.size;
        }
        if (status == XN_OK) status = encode(&e, text, size);
    }
    for (size_t i = 0; frame && i < t->n_after && status == XN_OK; i++)
        status = xn_encoder_emit(&e, t->after[i]);
    encoder_free(&e);
    if (status == XN_OK) return XN_OK;
    ids->n = before;
    return xn_fail(err, status, "tokenizing %zu bytes: %s", size, xn_status_text(status));
}

// ---- questions

int32_t xn_tokenizer_size(const struct xn_tokenizer *t) {
    return (int32_t)t->vocabulary.n;
}

int32_t xn_token_id(const struct xn_tokenizer *t, const char *text) {
    return xn_vocabulary_find(&t->vocabulary, text, strlen(text));
}

int32_t xn_token_bos(const struct xn_tokenizer *t) {
    return t->bos;
}

int32_t xn_token_eos(const struct xn_tokenizer *t) {
    return t->eos;
}

int32_t xn_token_pad(const struct xn_tokenizer *t) {
    return t->pad;
}

bool xn_tokenizer_adds_bos(const struct xn_tokenizer *t) {
    return t->n_before > 0;
}

static unsigned flags_of(const struct xn_tokenizer *t, int32_t id) {
    return id >= 0 && (size_t)id < t->vocabulary.n ? t->vocabulary.tokens[id].flags : 0;
}

bool xn_token_ends(const struct xn_tokenizer *t, int32_t id) {
    return flags_of(t, id) & XN_TOKEN_ENDS;
}

bool xn_token_is_special(const struct xn_tokenizer *t, int32_t id) {
    return flags_of(t, id) & XN_TOKEN_SPECIAL;
}

struct xn_str xn_token_text(const struct xn_tokenizer *t, int32_t id) {
    if (id < 0 || (size_t)id >= t->vocabulary.n || !t->vocabulary.tokens[id].text) return (struct xn_str){"", 0};
    return (struct xn_str){t->vocabulary.tokens[id].text, t->vocabulary.tokens[id].size};
}
