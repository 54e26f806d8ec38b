// Tokenizers from a GGUF's metadata: tokenizer.ggml.*, read as llama.cpp does.
#include "text/tokenizer_internal.h"

#include "base/log.h"
#include "base/memory.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define KEY(name) "tokenizer.ggml." name

// What tokenizer.ggml.model names.
static const struct model_row {
    const char *name;
    enum xn_model_kind kind;
    int32_t bos, eos, unk, sep, pad; // where the file does not say
    bool add_bos, add_eos, add_sep, space_prefix;
} models[] = {
    {"llama", XN_MODEL_SENTENCEPIECE, 1, 2, 0, -1, -1, true, false, false, true},
    {"gpt2", XN_MODEL_BPE, 11, 11, -1, -1, -1, false, false, false, false},
    {"gemma4", XN_MODEL_BPE, -1, -1, -1, -1, -1, true, false, false, false},
    {"whitespace", XN_MODEL_BPE, 11, 11, -1, -1, -1, false, false, false, false},
    {"t5", XN_MODEL_UNIGRAM, -1, 1, 2, -1, 0, false, true, false, true},
    {"bert", XN_MODEL_WORDPIECE, 101, -1, 100, 102, 0, true, false, true, false},
};

struct reader {
    const struct xn_gguf *gguf;
    const char *path;
    struct xn_tokenizer *t;
    struct xn_error *err;
    const struct model_row *model;
    const struct xn_gguf_pretokenizer *pre;
    struct xn_str pre_name;
};

static const struct xn_gguf_value *find(const struct reader *r, const char *key) {
    return xn_gguf_find(r->gguf, key);
}

static bool string_value(const struct reader *r, const char *key, struct xn_str *out) {
    const struct xn_gguf_value *value = find(r, key);
    if (!value || value->is_array || value->kind != XN_GGUF_STRING || value->n != 1) return false;
    *out = value->strings[0];
    return true;
}

static bool flag(const struct reader *r, const char *key, bool otherwise) {
    const struct xn_gguf_value *value = find(r, key);
    int64_t i;
    return value && !value->is_array && xn_gguf_int(value, 0, &i) ? i != 0 : otherwise;
}

// The id that a key names, checked; -1 where there is none.
static int32_t token_id(const struct reader *r, const char *key, int32_t otherwise) {
    const struct xn_gguf_value *value = find(r, key);
    int64_t n = (int64_t)r->t->vocabulary.n, id = otherwise;
    if (value && !value->is_array && xn_gguf_int(value, 0, &id) && (id < 0 || id >= n)) {
        if (id != UINT32_MAX && id != -1)
            xn_log(XN_LOG_WARNING, "%s: %s is %lld, but there are %lld tokens: ignored", r->path, key, (long long)id,
                   (long long)n);
        id = otherwise;
    }
    return id < n ? (int32_t)id : -1;
}

static int string_array(const struct reader *r, const char *key, const struct xn_gguf_value **out) {
    *out = find(r, key);
    if (!*out) return xn_fail(r->err, XN_ERR_FORMAT, "%s: no %s", r->path, key);
    if (!(*out)->is_array || (*out)->kind != XN_GGUF_STRING)
        return xn_fail(r->err, XN_ERR_FORMAT, "%s: %s is no array of strings", r->path, key);
    return XN_OK;
}

// An array of numbers with one for each token; NULL where the file has none.
static int number_array(const struct reader *r, const char *key, const struct xn_gguf_value **out) {
    *out = find(r, key);
    if (!*out) return XN_OK;
    if (!(*out)->is_array || (*out)->kind == XN_GGUF_STRING || (*out)->n < r->t->vocabulary.n)
        return xn_fail(r->err, XN_ERR_FORMAT, "%s: %s is no array of %zu numbers, one for each token", r->path, key,
                       r->t->vocabulary.n);
    return XN_OK;
}

static unsigned flags_of_type(int64_t type) {
    switch (type) { // llama.cpp's token types
    case 2:
        return XN_TOKEN_UNKNOWN;
    case 3:
        return XN_TOKEN_CONTROL;
    case 4:
        return XN_TOKEN_USER;
    case 5:
        return XN_TOKEN_UNUSED;
    case 6:
        return XN_TOKEN_BYTE;
    default:
        return 0;
    }
}

static int read_vocabulary(struct reader *r) {
    const struct xn_gguf_value *tokens, *scores, *types;
    struct xn_vocabulary *v = &r->t->vocabulary;
    XN_TRY(string_array(r, KEY("tokens"), &tokens));
    if (!tokens->n || tokens->n > XN_MAX_TOKENS)
        return xn_fail(r->err, XN_ERR_LIMIT, "%s: %s has %llu entries, 1 to %d expected", r->path, KEY("tokens"),
                       (unsigned long long)tokens->n, XN_MAX_TOKENS);
    size_t pool = 0;
    for (uint64_t i = 0; i < tokens->n; i++)
        pool += tokens->strings[i].size; // lies within the file
    XN_TRY(xn_vocabulary_init(v, (size_t)tokens->n, pool, r->err));
    XN_TRY(number_array(r, KEY("scores"), &scores));
    XN_TRY(number_array(r, KEY("token_type"), &types));
    for (size_t i = 0; i < v->n; i++) {
        int64_t type = 1;
        if (tokens->strings[i].size) xn_vocabulary_set(v, i, tokens->strings[i].data, tokens->strings[i].size);
        if (scores) xn_gguf_float(scores, i, &v->tokens[i].score);
        if (types) xn_gguf_int(types, i, &type);
        v->tokens[i].flags = (uint16_t)flags_of_type(type);
    }
    size_t duplicates;
    XN_TRY(xn_vocabulary_index(v, &duplicates, r->err));
    if (duplicates) xn_log(XN_LOG_WARNING, "%s: %zu tokens are spelled like another one", r->path, duplicates);
    return XN_OK;
}

static int read_merges(struct reader *r) {
    const struct xn_gguf_value *merges;
    struct xn_model *m = &r->t->model;
    XN_TRY(string_array(r, KEY("merges"), &merges));
    if (merges->n > XN_MAX_TOKENS)
        return xn_fail(r->err, XN_ERR_LIMIT, "%s: %s has %llu entries, at most %d expected", r->path, KEY("merges"),
                       (unsigned long long)merges->n, XN_MAX_TOKENS);
    XN_TRY(xn_model_reserve_merges(m, (size_t)merges->n, r->err));
    size_t unknown = 0;
    for (uint64_t i = 0; i < merges->n; i++) {
        struct xn_str s = merges->strings[i];
        // The parts are separated by the first blank that does not begin the line.
        const char *blank = s.size > 1 ? memchr(s.data + 1, ' ', s.size - 1) : NULL;
        size_t left = blank ? (size_t)(blank - s.data) : 0;
        if (!blank ||
            !xn_model_add_merge(m, &r->t->vocabulary, (uint32_t)i, s.data, left, blank + 1, s.size - left - 1))
            unknown++;
    }
    if (unknown)
        xn_log(XN_LOG_WARNING, "%s: %zu of %llu merges are not of tokens: left out", r->path, unknown,
               (unsigned long long)merges->n);
    return XN_OK;
}

static struct xn_normalizer *add_normalizer(struct xn_tokenizer *t, enum xn_normalizer_kind kind) {
    struct xn_normalizer *step = &t->normalizers[t->n_normalizers++];
    *step = (struct xn_normalizer){.kind = kind};
    return step;
}

static int blanks_to_blocks(struct reader *r) {
    struct xn_normalizer *step = add_normalizer(r->t, XN_NORMALIZE_REPLACE);
    step->pattern = xn_strdup(" ");
    step->content = xn_strdup(XN_LOWER_BLOCK);
    step->pattern_size = 1;
    step->content_size = 3;
    if (!step->pattern || !step->content) return xn_fail(r->err, XN_ERR_NOMEM, "%s: out of memory", r->path);
    return XN_OK;
}

static int add_decoder(struct reader *r, enum xn_decoder_kind kind, const char *pattern, const char *content) {
    struct xn_decoder *step = &r->t->decoders[r->t->n_decoders++];
    *step = (struct xn_decoder){
        .kind = kind, .pattern = xn_strdup(pattern), .content = content ? xn_strdup(content) : NULL};
    if (!step->pattern || (content && !step->content))
        return xn_fail(r->err, XN_ERR_NOMEM, "%s: out of memory", r->path);
    return XN_OK;
}

static int read_sentencepiece(struct reader *r) {
    struct xn_tokenizer *t = r->t;
    t->model.byte_fallback = true;
    if (flag(r, KEY("add_space_prefix"), r->model->space_prefix)) {
        struct xn_normalizer *step = add_normalizer(t, XN_NORMALIZE_PREPEND);
        step->content = xn_strdup(" ");
        step->content_size = 1;
        if (!step->content) return xn_fail(r->err, XN_ERR_NOMEM, "%s: out of memory", r->path);
        t->strip_first = 1;
    }
    XN_TRY(blanks_to_blocks(r));
    t->decode_bytes = true;
    return add_decoder(r, XN_DECODE_REPLACE, XN_LOWER_BLOCK, " ");
}

static int read_unigram(struct reader *r) {
    struct xn_tokenizer *t = r->t;
    const struct xn_gguf_value *map = find(r, KEY("precompiled_charsmap"));
    if (map && map->n) {
        if (!map->is_array || (map->kind != XN_GGUF_U8 && map->kind != XN_GGUF_I8))
            return xn_fail(r->err, XN_ERR_FORMAT, "%s: %s is no array of bytes", r->path, KEY("precompiled_charsmap"));
        struct xn_charsmap *charsmap;
        int status = xn_charsmap_new(map->raw, (size_t)map->n, &charsmap, r->err);
        if (status != XN_OK) return xn_error_context(r->err, status, "%s", r->path);
        add_normalizer(t, XN_NORMALIZE_CHARSMAP)->charsmap = charsmap;
    }
    struct xn_normalizer *step = add_normalizer(t, XN_NORMALIZE_SPACES);
    step->left = flag(r, KEY("add_space_prefix"), r->model->space_prefix);
    step->merge_spaces = flag(r, KEY("remove_extra_whitespaces"), false);
    t->strip_first = step->left || step->merge_spaces;
    t->decode_bytes = true;
    return add_decoder(r, XN_DECODE_REPLACE, XN_LOWER_BLOCK, " ");
}

static int read_wordpiece(struct reader *r) {
    struct xn_tokenizer *t = r->t;
    struct xn_normalizer *step = add_normalizer(t, XN_NORMALIZE_BERT);
    step->clean = step->cjk = true;
    step->lowercase = flag(r, KEY("normalizer.lowercase"), true);
    step->accents = flag(r, KEY("normalizer.strip_accents"), step->lowercase);
    t->pretokenizers[t->n_pretokenizers++] =
        (struct xn_pretokenizer){.kind = XN_SPLIT_CLASS, .behavior = XN_SPLIT_REMOVED, .in_class = xn_is_space};
    t->pretokenizers[t->n_pretokenizers++] =
        (struct xn_pretokenizer){.kind = XN_SPLIT_CLASS, .behavior = XN_SPLIT_ISOLATED, .in_class = xn_is_punctuation};
    t->model.max_word = 100; // as the original has it
    t->model.word_prefix = xn_strdup(XN_LOWER_BLOCK);
    if (!t->model.word_prefix) return xn_fail(r->err, XN_ERR_NOMEM, "%s: out of memory", r->path);
    XN_TRY(add_decoder(r, XN_DECODE_WORDPIECE, "", XN_LOWER_BLOCK));
    t->decoders[t->n_decoders - 1].cleanup = true;
    return XN_OK;
}

static int read_bpe(struct reader *r) {
    struct xn_tokenizer *t = r->t;
    bool named = string_value(r, KEY("pre"), &r->pre_name);
    if (strcmp(r->model->name, "gpt2") != 0)
        r->pre_name = (struct xn_str){r->model->name, strlen(r->model->name)}, named = true;
    r->pre = named ? xn_gguf_pretokenizer(r->pre_name.data, r->pre_name.size) : NULL;
    if (!r->pre) {
        r->pre = xn_gguf_pretokenizer_at(0);
        if (named)
            xn_log(XN_LOG_WARNING,
                   "%s: unknown pre-tokenizer \"%.*s\" (%s): the default one is used, and text may be cut into "
                   "other tokens than the model knows",
                   r->path, (int)r->pre_name.size, r->pre_name.data, KEY("pre"));
        else
            xn_log(XN_LOG_WARNING,
                   "%s: no %s: the default pre-tokenizer is used, and text may be cut into other tokens than the "
                   "model knows",
                   r->path, KEY("pre"));
    }
    unsigned flags = r->pre->flags;
    t->model.bytes = !(flags & XN_PRE_CHARACTERS);
    t->model.ignore_merges = flags & XN_PRE_IGNORE_MERGES;
    t->model.whole_newlines = t->model.byte_fallback = flags & XN_PRE_SPACES;
    XN_TRY(read_merges(r));
    if (flags & XN_PRE_SPACES) XN_TRY(blanks_to_blocks(r));
    if (flags & XN_PRE_WHITESPACE) {
        if (flag(r, KEY("normalizer.lowercase"), false)) add_normalizer(t, XN_NORMALIZE_LOWERCASE);
        t->pretokenizers[t->n_pretokenizers++] =
            (struct xn_pretokenizer){.kind = XN_SPLIT_CLASS, .behavior = XN_SPLIT_REMOVED, .in_class = xn_is_space};
    }
    for (size_t i = 0; i < sizeof r->pre->patterns / sizeof *r->pre->patterns && r->pre->patterns[i]; i++) {
        const char *pattern = r->pre->patterns[i];
        int status = xn_pretokenizer_regex(&t->pretokenizers[t->n_pretokenizers], pattern, strlen(pattern),
                                           XN_SPLIT_ISOLATED, false, r->err);
        if (status != XN_OK) return xn_error_context(r->err, status, "%s: %s", r->path, KEY("pre"));
        t->n_pretokenizers++;
    }
    if (t->model.bytes) return add_decoder(r, XN_DECODE_BYTES, "", NULL);
    t->decode_bytes = true;
    return add_decoder(r, XN_DECODE_REPLACE, XN_LOWER_BLOCK, " ");
}

static int read_special(struct reader *r) {
    struct xn_tokenizer *t = r->t;
    const struct model_row *m = r->model;
    unsigned pre = r->pre ? r->pre->flags : 0;
    t->bos = token_id(r, KEY("bos_token_id"), pre & XN_PRE_NO_BOS ? -1 : m->bos);
    t->eos = token_id(r, KEY("eos_token_id"), m->eos);
    t->pad = token_id(r, KEY("padding_token_id"), m->pad);
    t->model.unk = token_id(r, KEY("unknown_token_id"), m->unk);
    int32_t sep = token_id(r, KEY("seperator_token_id"), token_id(r, KEY("separator_token_id"), m->sep));
    if (flag(r, KEY("add_bos_token"), m->add_bos || pre & XN_PRE_ADD_BOS) && t->bos >= 0)
        t->before[t->n_before++] = t->bos;
    if (m->kind == XN_MODEL_WORDPIECE && flag(r, KEY("add_sep_token"), m->add_sep) && sep >= 0)
        t->after[t->n_after++] = sep;
    if (flag(r, KEY("add_eos_token"), m->add_eos) && t->eos >= 0 && !t->n_after) t->after[t->n_after++] = t->eos;
    xn_gguf_special_tokens(t);
    xn_tokenizer_mark_end(t, token_id(r, KEY("eot_token_id"), -1));
    xn_tokenizer_mark_end(t, token_id(r, KEY("eom_token_id"), -1));
    const struct xn_gguf_value *ends = find(r, KEY("eos_token_ids"));
    for (uint64_t i = 0; ends && ends->is_array && ends->kind != XN_GGUF_STRING && i < ends->n && i < t->vocabulary.n;
         i++) {
        int64_t id;
        if (xn_gguf_int(ends, i, &id)) xn_tokenizer_mark_end(t, id);
    }
    return XN_OK;
}

static bool contains(struct xn_str s, const char *part) { // in lower case
    size_t n = strlen(part);
    for (size_t i = 0; i + n <= s.size; i++) {
        size_t k = 0;
        while (k < n && tolower((unsigned char)s.data[i + k]) == part[k])
            k++;
        if (k == n) return true;
    }
    return false;
}

static void set_flag(struct xn_tokenizer *t, const char *text, unsigned flag_, bool on) {
    int32_t id = xn_vocabulary_find(&t->vocabulary, text, strlen(text));
    if (id < 0) return;
    uint16_t *flags = &t->vocabulary.tokens[id].flags;
    *flags = (uint16_t)(on ? *flags | flag_ : *flags & ~flag_);
}

// GGUF has no field for the white space that a token swallows: the model's name tells (as in llama.cpp).
static void read_strips(struct reader *r) {
    struct xn_tokenizer *t = r->t;
    struct xn_str name = {"", 0}, architecture = {"", 0};
    string_value(r, "general.name", &name);
    string_value(r, "general.architecture", &architecture);
    if (contains(r->pre_name, "jina-v2-de") || contains(r->pre_name, "jina-v2-es") ||
        contains(r->pre_name, "jina-v2-code") || contains(architecture, "nomic-bert-moe") ||
        contains(architecture, "jina-bert-v3")) {
        set_flag(t, "<mask>", XN_TOKEN_LSTRIP, true);
    } else if (contains(name, "phi-3") || contains(name, "phi3")) {
        for (size_t i = 0; i < t->vocabulary.n; i++)
            if (t->vocabulary.tokens[i].flags & (XN_TOKEN_SPECIAL | XN_TOKEN_USER))
                t->vocabulary.tokens[i].flags |= XN_TOKEN_RSTRIP;
        set_flag(t, "</s>", XN_TOKEN_RSTRIP, true);
        set_flag(t, "<unk>", XN_TOKEN_RSTRIP, false);
        set_flag(t, "<s>", XN_TOKEN_RSTRIP, false);
        set_flag(t, "<|endoftext|>", XN_TOKEN_RSTRIP, false);
    } else if (contains(name, "modern-bert")) {
        set_flag(t, "[MASK]", XN_TOKEN_LSTRIP, true);
    }
}

static int read_tokenizer(struct reader *r) {
    struct xn_str name;
    if (!string_value(r, KEY("model"), &name))
        return xn_fail(r->err, XN_ERR_FORMAT, "%s: no string %s", r->path, KEY("model"));
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (strlen(models[i].name) == name.size && memcmp(models[i].name, name.data, name.size) == 0)
            r->model = &models[i];
    if (!r->model)
        return xn_fail(r->err, XN_ERR_UNSUPPORTED,
                       "%s: %s is \"%.*s\"; gpt2, llama, gemma4, t5, bert or whitespace expected", r->path,
                       KEY("model"), (int)(name.size < 64 ? name.size : 64), name.data);
    r->t->model.kind = r->model->kind;
    XN_TRY(read_vocabulary(r));
    switch (r->model->kind) {
    case XN_MODEL_SENTENCEPIECE:
        XN_TRY(read_sentencepiece(r));
        break;
    case XN_MODEL_BPE:
        XN_TRY(read_bpe(r));
        break;
    case XN_MODEL_UNIGRAM:
        XN_TRY(read_unigram(r));
        break;
    case XN_MODEL_WORDPIECE:
        XN_TRY(read_wordpiece(r));
        break;
    }
    XN_TRY(read_special(r));
    read_strips(r);
    return xn_tokenizer_finish(r->t, r->err);
}

int xn_tokenizer_from_gguf(const struct xn_gguf *gguf, struct xn_tokenizer **out, struct xn_error *err) {
    *out = NULL;
    struct reader r = {
        .gguf = gguf, .path = xn_gguf_path(gguf), .err = err, .t = xn_tokenizer_new(), .pre_name = {"", 0}};
    if (!r.t) return xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", r.path);
    int status = read_tokenizer(&r);
    if (status != XN_OK) {
        xn_tokenizer_free(r.t);
        return status;
    }
    *out = r.t;
    return XN_OK;
}
