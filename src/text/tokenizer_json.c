// Tokenizers from a Hugging Face tokenizer.json, and what tokenizer_config.json and generation_config.json add.
#include "text/tokenizer_json.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "text/json_spans.h"

#include <stdlib.h>
#include <string.h>

struct counting {
    const struct xn_json_reader *r;
    bool by_place; // ids are places in an array
    size_t n;
    double highest;
};

static int count_token(void *user, const char *text, size_t size, double number, struct xn_error *err) {
    (void)text, (void)err;
    struct counting *c = user;
    double id = c->by_place ? (double)c->n : number;
    c->n++;
    if (!(id >= 0 && id < XN_MAX_TOKENS && id == (double)(int64_t)id))
        return xn_json_wrong(c->r, XN_ERR_FORMAT, "vocabulary: id %g of \"%.*s\", 0 to %d expected", id,
                             (int)(size < 80 ? size : 80), text, XN_MAX_TOKENS - 1);
    if (id > c->highest) c->highest = id;
    return XN_OK;
}

struct filling {
    struct xn_tokenizer *t;
    bool by_place;
    size_t n, twice;
};

static int set_token(void *user, const char *text, size_t size, double number, struct xn_error *err) {
    (void)err;
    struct filling *f = user;
    size_t id = f->by_place ? f->n : (size_t)number;
    f->n++;
    if (f->t->vocabulary.tokens[id].text) {
        f->twice++;
        return XN_OK;
    }
    xn_vocabulary_set(&f->t->vocabulary, id, text, size);
    if (f->by_place) f->t->vocabulary.tokens[id].score = number;
    return XN_OK;
}

static bool truth(const json_t *j, const char *key) {
    return json_is_true(json_object_get(j, key));
}

static unsigned added_flags(const json_t *j) {
    return XN_TOKEN_ADDED | (truth(j, "special") ? XN_TOKEN_CONTROL : XN_TOKEN_USER) |
           (truth(j, "lstrip") ? XN_TOKEN_LSTRIP : 0u) | (truth(j, "rstrip") ? XN_TOKEN_RSTRIP : 0u) |
           (truth(j, "single_word") ? XN_TOKEN_WORD : 0u) | (truth(j, "normalized") ? XN_TOKEN_NORMALIZED : 0u);
}

// Vocabulary and added tokens, whose ids may lie beyond it.
static int read_vocabulary(struct xn_json_reader *r, struct xn_json_span vocab, const json_t *added) {
    struct xn_vocabulary *v = &r->t->vocabulary;
    bool by_place = vocab.data[0] == '[';
    struct counting counting = {.r = r, .by_place = by_place, .highest = -1};
    XN_TRY(xn_json_each_token(r->path, vocab, count_token, &counting, r->err));
    size_t pool = vocab.size, i, n_added = json_array_size(added);
    const json_t *token;
    json_array_foreach(added, i, token) {
        const json_t *id = json_object_get(token, "id"), *content = json_object_get(token, "content");
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= XN_MAX_TOKENS ||
            !json_is_string(content))
            return xn_json_wrong(r, XN_ERR_FORMAT,
                                 "added_tokens: entry %zu has no \"content\" or no \"id\" from 0 to %d", i,
                                 XN_MAX_TOKENS - 1);
        if ((double)json_integer_value(id) > counting.highest) counting.highest = (double)json_integer_value(id);
        pool += json_string_length(content);
    }
    // Holes are allowed, but memory is taken for what is there, not for what an id claims.
    size_t n = (size_t)(counting.highest + 1), n_entries = counting.n + n_added;
    if (n > 2 * n_entries + 100000)
        return xn_json_wrong(r, XN_ERR_LIMIT, "highest token id %zu with %zu tokens", n - 1, n_entries);
    if (!n) return xn_json_wrong(r, XN_ERR_FORMAT, "the vocabulary is empty");
    XN_TRY(xn_vocabulary_init(v, n, pool, r->err));
    struct filling filling = {.t = r->t, .by_place = by_place};
    XN_TRY(xn_json_each_token(r->path, vocab, set_token, &filling, r->err));
    XN_TRY(xn_vocabulary_index(v, NULL, r->err)); // to look up which added tokens the model has
    size_t taken = 0;
    json_array_foreach(added, i, token) {
        const json_t *content = json_object_get(token, "content");
        const char *text = json_string_value(content);
        size_t size = json_string_length(content);
        int32_t known = xn_vocabulary_find(v, text, size);
        size_t id = known >= 0 ? (size_t)known : (size_t)json_integer_value(json_object_get(token, "id"));
        if (!size) continue;
        if (known < 0 && v->tokens[id].text) {
            taken++;
            continue;
        }
        if (known < 0) xn_vocabulary_set(v, id, text, size);
        v->tokens[id].flags |= (uint16_t)added_flags(token);
    }
    free(v->slots);
    v->slots = NULL;
    size_t duplicates;
    XN_TRY(xn_vocabulary_index(v, &duplicates, r->err));
    if (filling.twice || taken || duplicates)
        xn_log(XN_LOG_WARNING, "%s: %zu tokens have the id or the spelling of another one", r->path,
               filling.twice + taken + duplicates);
    return XN_OK;
}

struct merging {
    struct xn_tokenizer *t;
    uint32_t rank;
    size_t unknown;
    bool only_count;
};

static int add_merge(void *user, const char *left, size_t left_size, const char *right, size_t right_size,
                     struct xn_error *err) {
    (void)err;
    struct merging *m = user;
    if (!m->only_count &&
        !xn_model_add_merge(&m->t->model, &m->t->vocabulary, m->rank, left, left_size, right, right_size))
        m->unknown++;
    m->rank++;
    return XN_OK;
}

static int read_merges(struct xn_json_reader *r, struct xn_json_span span) {
    if (!span.size) return xn_json_wrong(r, XN_ERR_FORMAT, "model: no \"merges\"");
    struct merging m = {.t = r->t, .only_count = true};
    XN_TRY(xn_json_each_merge(r->path, span, add_merge, &m, r->err));
    XN_TRY(xn_model_reserve_merges(&r->t->model, m.rank, r->err));
    m = (struct merging){.t = r->t};
    XN_TRY(xn_json_each_merge(r->path, span, add_merge, &m, r->err));
    if (m.unknown)
        xn_log(XN_LOG_WARNING, "%s: %zu of %u merges are not of tokens: left out", r->path, m.unknown, m.rank);
    return XN_OK;
}

// A member that is a string, copied; NULL where it is absent, null or empty.
static int optional_string(const struct xn_json_reader *r, const json_t *j, const char *key, char **out) {
    const char *text = json_string_value(json_object_get(j, key));
    *out = NULL;
    if (!text || !*text) return XN_OK;
    if (strlen(text) > 64)
        return xn_json_wrong(r, XN_ERR_LIMIT, "model: \"%s\" of %zu bytes, at most 64 expected", key, strlen(text));
    *out = xn_strdup(text);
    return *out ? XN_OK : xn_json_wrong(r, XN_ERR_NOMEM, "out of memory");
}

static int model_kind(struct xn_json_reader *r, const json_t *model, bool array, bool merges) {
    static const struct {
        const char *type;
        enum xn_model_kind kind;
    } kinds[] = {{"BPE", XN_MODEL_BPE}, {"Unigram", XN_MODEL_UNIGRAM}, {"WordPiece", XN_MODEL_WORDPIECE}};
    const char *type = json_string_value(json_object_get(model, "type"));
    if (!type) type = array ? "Unigram" : merges ? "BPE" : "WordPiece"; // old files leave it out
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(type, kinds[i].type) == 0) {
            r->t->model.kind = kinds[i].kind;
            if ((kinds[i].kind == XN_MODEL_UNIGRAM) != array)
                return xn_json_wrong(r, XN_ERR_FORMAT, "model: the vocabulary of a %s is %s", type,
                                     array ? "an array" : "no array");
            return XN_OK;
        }
    return xn_json_wrong(r, XN_ERR_UNSUPPORTED, "model of type \"%.40s\"; BPE, Unigram or WordPiece expected", type);
}

static int read_model(struct xn_json_reader *r, const json_t *root, struct xn_json_span vocab,
                      struct xn_json_span merges) {
    const json_t *model = json_object_get(root, "model");
    struct xn_model *m = &r->t->model;
    if (!json_is_object(model) || !vocab.size) return xn_json_wrong(r, XN_ERR_FORMAT, "no \"model\" with a \"vocab\"");
    if (vocab.data[0] != '{' && vocab.data[0] != '[')
        return xn_json_wrong(r, XN_ERR_FORMAT, "model: \"vocab\" is no object and no array");
    XN_TRY(model_kind(r, model, vocab.data[0] == '[', merges.size > 0));
    XN_TRY(read_vocabulary(r, vocab, json_object_get(root, "added_tokens")));
    m->byte_fallback = truth(model, "byte_fallback");
    const json_t *unk = json_object_get(model, "unk_token");
    if (json_is_string(unk))
        m->unk = xn_vocabulary_find(&r->t->vocabulary, json_string_value(unk), json_string_length(unk));
    const json_t *number;
    switch (m->kind) {
    case XN_MODEL_UNIGRAM:
        number = json_object_get(model, "unk_id");
        if (json_is_integer(number)) {
            json_int_t id = json_integer_value(number);
            if (id < 0 || (uint64_t)id >= r->t->vocabulary.n)
                return xn_json_wrong(r, XN_ERR_FORMAT, "model: unk_id %lld, 0 to %zu expected", (long long)id,
                                     r->t->vocabulary.n - 1);
            m->unk = (int32_t)id;
        }
        return XN_OK;
    case XN_MODEL_WORDPIECE:
        XN_TRY(optional_string(r, model, "continuing_subword_prefix", &m->subword_prefix));
        number = json_object_get(model, "max_input_chars_per_word");
        m->max_word = json_is_integer(number) && json_integer_value(number) >= 0 && json_integer_value(number) < 1 << 20
                          ? (uint32_t)json_integer_value(number)
                          : 100;
        return XN_OK;
    default:
        m->ignore_merges = truth(model, "ignore_merges");
        m->fuse_unk = truth(model, "fuse_unk");
        XN_TRY(optional_string(r, model, "continuing_subword_prefix", &m->subword_prefix));
        XN_TRY(optional_string(r, model, "end_of_word_suffix", &m->word_suffix));
        return read_merges(r, merges);
    }
}

// A token that tokenizer_config.json names: a string, or an object with "content".
static int32_t named_token(const struct xn_tokenizer *t, const json_t *config, const char *key) {
    const json_t *value = json_object_get(config, key);
    if (json_is_object(value)) value = json_object_get(value, "content");
    return json_is_string(value)
               ? xn_vocabulary_find(&t->vocabulary, json_string_value(value), json_string_length(value))
               : -1;
}

// Makes a list of framing tokens hold `id` (where it is to) or not.
static void want(int32_t *list, size_t *n, int32_t id, bool wanted, bool at_end) {
    for (size_t i = 0; i < *n; i++) {
        if (list[i] != id) continue;
        if (wanted) return;
        memmove(list + i, list + i + 1, (*n - i - 1) * sizeof *list);
        (*n)--;
        i--;
    }
    if (!wanted || *n == XN_MAX_FRAME) return;
    if (!at_end) memmove(list + 1, list, *n * sizeof *list);
    list[at_end ? *n : 0] = id;
    (*n)++;
}

static void read_config(struct xn_tokenizer *t, const json_t *config) {
    t->bos = named_token(t, config, "bos_token");
    t->eos = named_token(t, config, "eos_token");
    t->pad = named_token(t, config, "pad_token");
    const json_t *add = json_object_get(config, "add_bos_token");
    if (json_is_boolean(add) && t->bos >= 0) want(t->before, &t->n_before, t->bos, json_is_true(add), false);
    add = json_object_get(config, "add_eos_token");
    if (json_is_boolean(add) && t->eos >= 0) want(t->after, &t->n_after, t->eos, json_is_true(add), true);
    // Without a word from the configuration, what the post-processor frames a text with.
    if (t->bos < 0 && t->n_before && t->model.kind != XN_MODEL_WORDPIECE) t->bos = t->before[0];
    if (t->eos < 0 && t->n_after && t->model.kind != XN_MODEL_WORDPIECE) t->eos = t->after[t->n_after - 1];
}

static int read_tokenizer(struct xn_json_reader *r, const char *data, size_t size, const json_t *config) {
    json_t *root;
    struct xn_json_span vocab, merges;
    XN_TRY(xn_tokenizer_json_split(r->path, data, size, &root, &vocab, &merges, r->err));
    int status = read_model(r, root, vocab, merges);
    if (status == XN_OK) status = xn_json_normalizer(r, json_object_get(root, "normalizer"));
    if (status == XN_OK) status = xn_json_pretokenizer(r, json_object_get(root, "pre_tokenizer"));
    if (status == XN_OK) status = xn_json_decoder(r, json_object_get(root, "decoder"));
    if (status == XN_OK) status = xn_json_post_processor(r, json_object_get(root, "post_processor"));
    json_decref(root);
    if (status != XN_OK) return status;
    read_config(r->t, config);
    xn_json_special_tokens(r->t);
    status = xn_tokenizer_finish(r->t, r->err);
    return status == XN_OK ? XN_OK : xn_error_context(r->err, status, "%s", r->path);
}

int xn_tokenizer_from_json_text(const char *name, const char *data, size_t size, const json_t *tokenizer_config,
                                struct xn_tokenizer **out, struct xn_error *err) {
    *out = NULL;
    struct xn_json_reader r = {.path = name, .t = xn_tokenizer_new(), .err = err};
    if (!r.t) return xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", name);
    int status = read_tokenizer(&r, data, size, tokenizer_config);
    if (status != XN_OK) {
        xn_tokenizer_free(r.t);
        return status;
    }
    *out = r.t;
    return XN_OK;
}

int xn_tokenizer_from_json(const char *path, const json_t *tokenizer_config, struct xn_tokenizer **out,
                           struct xn_error *err) {
    *out = NULL;
    struct xn_map map;
    XN_TRY(xn_map_open(path, &map, err));
    int status = xn_tokenizer_from_json_text(path, (const char *)map.data, map.size, tokenizer_config, out, err);
    xn_map_close(&map);
    return status;
}

static void mark_ends(struct xn_tokenizer *t, const json_t *config) {
    const json_t *ends = json_object_get(config, "eos_token_id"), *id;
    size_t i;
    if (json_is_integer(ends)) xn_tokenizer_mark_end(t, json_integer_value(ends));
    json_array_foreach(ends, i, id) if (json_is_integer(id)) xn_tokenizer_mark_end(t, json_integer_value(id));
}

int xn_tokenizer_from_source(const struct xn_source *source, struct xn_tokenizer **out, struct xn_error *err) {
    *out = NULL;
    if (source->gguf) return xn_tokenizer_from_gguf(source->gguf, out, err);
    if (!source->tokenizer_path) return xn_fail(err, XN_ERR_FORMAT, "%s: no tokenizer.json", source->path);
    XN_TRY(xn_tokenizer_from_json(source->tokenizer_path, source->tokenizer_config, out, err));
    mark_ends(*out, source->generation_config);
    mark_ends(*out, source->config);
    mark_ends(*out, json_object_get(source->config, "text_config"));
    return XN_OK;
}
