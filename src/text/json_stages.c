// The stages of a tokenizer.json (Hugging Face tokenizers' serialization): normalizer, pre-tokenizer, decoder,
// post-processor. Each is an object with a "type"; a Sequence holds several.
#include "text/tokenizer_json.h"

#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NESTING = 8, MAX_CONTENT = 4096 };

int xn_json_wrong(const struct xn_json_reader *r, enum xn_status status, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return xn_fail(r->err, status, "%s: %s", r->path, text);
}

static bool truth(const json_t *j, const char *key, bool otherwise) {
    const json_t *value = json_object_get(j, key);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

static const char *type_of(const json_t *j) {
    const char *type = json_string_value(json_object_get(j, "type"));
    return type ? type : "";
}

// Copies a string member; XN_ERR_FORMAT where it is none, XN_ERR_LIMIT where a short text would grow without bounds.
static int copy_string(const struct xn_json_reader *r, const json_t *j, const char *key, char **out, size_t *size) {
    const json_t *value = json_object_get(j, key);
    if (!json_is_string(value)) return xn_json_wrong(r, XN_ERR_FORMAT, "%s: no string \"%s\"", type_of(j), key);
    size_t n = json_string_length(value);
    if (n > MAX_CONTENT)
        return xn_json_wrong(r, XN_ERR_LIMIT, "%s: \"%s\" of %zu bytes, at most %d expected", type_of(j), key, n,
                             MAX_CONTENT);
    *out = xn_strndup(json_string_value(value), n);
    if (!*out) return xn_json_wrong(r, XN_ERR_NOMEM, "out of memory");
    if (size) *size = n;
    return XN_OK;
}

// Calls `read` for the members of a Sequence.
static int sequence(struct xn_json_reader *r, const json_t *j, const char *key, int depth,
                    int (*read)(struct xn_json_reader *, const json_t *, int)) {
    const json_t *items = json_object_get(j, key), *item;
    if (!json_is_array(items)) return xn_json_wrong(r, XN_ERR_FORMAT, "Sequence: no array \"%s\"", key);
    if (depth >= MAX_NESTING)
        return xn_json_wrong(r, XN_ERR_LIMIT, "\"%s\" nested more than %d deep", key, MAX_NESTING);
    size_t i;
    json_array_foreach(items, i, item) XN_TRY(read(r, item, depth + 1));
    return XN_OK;
}

static const json_t *pattern_of(const json_t *j, bool *regex) {
    const json_t *pattern = json_object_get(j, "pattern"), *text = json_object_get(pattern, "Regex");
    *regex = json_is_string(text);
    if (!*regex) text = json_object_get(pattern, "String");
    if (json_is_string(pattern)) text = pattern;
    return json_is_string(text) ? text : NULL;
}

// ---- normalizers

static const struct {
    const char *type;
    enum xn_normalizer_kind kind;
    enum xn_normal_form form;
} normalizers[] = {
    {"NFC", XN_NORMALIZE_UNICODE, XN_NFC},
    {"NFD", XN_NORMALIZE_UNICODE, XN_NFD},
    {"NFKC", XN_NORMALIZE_UNICODE, XN_NFKC},
    {"NFKD", XN_NORMALIZE_UNICODE, XN_NFKD},
    {"Lowercase", XN_NORMALIZE_LOWERCASE, 0},
    {"Strip", XN_NORMALIZE_STRIP, 0},
    {"StripAccents", XN_NORMALIZE_ACCENTS, 0},
    {"Replace", XN_NORMALIZE_REPLACE, 0},
    {"Prepend", XN_NORMALIZE_PREPEND, 0},
    {"BertNormalizer", XN_NORMALIZE_BERT, 0},
    {"Nmt", XN_NORMALIZE_NMT, 0},
    {"Precompiled", XN_NORMALIZE_CHARSMAP, 0},
    {"ByteLevel", XN_NORMALIZE_BYTES, 0},
};

static int base64_digit(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static int charsmap(struct xn_json_reader *r, const json_t *j, struct xn_charsmap **out) {
    const json_t *value = json_object_get(j, "precompiled_charsmap");
    if (!json_is_string(value))
        return xn_json_wrong(r, XN_ERR_FORMAT, "Precompiled: no string \"precompiled_charsmap\"");
    const char *s = json_string_value(value);
    size_t n = json_string_length(value), size = 0;
    uint8_t *data = xn_alloc(n / 4 + 1, 3);
    if (!data) return xn_json_wrong(r, XN_ERR_NOMEM, "out of memory");
    uint32_t bits = 0;
    int n_bits = 0, status = XN_OK;
    for (size_t i = 0; i < n && s[i] != '=' && status == XN_OK; i++) {
        int digit = base64_digit(s[i]);
        if (digit < 0)
            status = xn_json_wrong(r, XN_ERR_FORMAT, "Precompiled: byte %zu of the charsmap is no base64", i);
        bits = (bits << 6 | (uint32_t)digit) & 0xffff;
        n_bits += 6;
        if (n_bits >= 8) data[size++] = (uint8_t)(bits >> (n_bits -= 8));
    }
    if (status == XN_OK) {
        status = xn_charsmap_new(data, size, out, r->err);
        if (status != XN_OK) xn_error_context(r->err, status, "%s", r->path);
    }
    free(data);
    return status;
}

static int fill_normalizer(struct xn_json_reader *r, const json_t *j, struct xn_normalizer *step) {
    const json_t *text;
    bool regex;
    switch (step->kind) {
    case XN_NORMALIZE_STRIP:
        step->left = truth(j, "strip_left", true);
        step->right = truth(j, "strip_right", true);
        return XN_OK;
    case XN_NORMALIZE_PREPEND:
        return copy_string(r, j, "prepend", &step->content, &step->content_size);
    case XN_NORMALIZE_BERT:
        step->clean = truth(j, "clean_text", true);
        step->cjk = truth(j, "handle_chinese_chars", true);
        step->lowercase = truth(j, "lowercase", true);
        step->accents = truth(j, "strip_accents", step->lowercase);
        return XN_OK;
    case XN_NORMALIZE_CHARSMAP:
        return charsmap(r, j, &step->charsmap);
    case XN_NORMALIZE_REPLACE:
        text = pattern_of(j, &regex);
        if (!text) return xn_json_wrong(r, XN_ERR_FORMAT, "Replace: no \"pattern\" with a \"String\" or \"Regex\"");
        XN_TRY(copy_string(r, j, "content", &step->content, &step->content_size));
        if (regex) {
            int status = xn_regex_compile(json_string_value(text), json_string_length(text), &step->regex, r->err);
            return status == XN_OK ? XN_OK : xn_error_context(r->err, status, "%s", r->path);
        }
        step->pattern_size = json_string_length(text);
        step->pattern = xn_strndup(json_string_value(text), step->pattern_size);
        return step->pattern ? XN_OK : xn_json_wrong(r, XN_ERR_NOMEM, "out of memory");
    default:
        return XN_OK;
    }
}

static int normalizer(struct xn_json_reader *r, const json_t *j, int depth) {
    if (!j || json_is_null(j)) return XN_OK;
    const char *type = type_of(j);
    if (strcmp(type, "Sequence") == 0) return sequence(r, j, "normalizers", depth, normalizer);
    // A Precompiled without a map does nothing.
    if (strcmp(type, "Precompiled") == 0 && json_is_null(json_object_get(j, "precompiled_charsmap"))) return XN_OK;
    for (size_t i = 0; i < sizeof normalizers / sizeof *normalizers; i++) {
        if (strcmp(type, normalizers[i].type) != 0) continue;
        if (r->t->n_normalizers == XN_MAX_STEPS)
            return xn_json_wrong(r, XN_ERR_LIMIT, "more than %d normalizers", XN_MAX_STEPS);
        struct xn_normalizer *step = &r->t->normalizers[r->t->n_normalizers++];
        *step = (struct xn_normalizer){.kind = normalizers[i].kind, .form = normalizers[i].form};
        return fill_normalizer(r, j, step);
    }
    return xn_json_wrong(r, XN_ERR_UNSUPPORTED, "normalizer of type \"%s\"", type);
}

int xn_json_normalizer(struct xn_json_reader *r, const json_t *j) {
    return normalizer(r, j, 0);
}

// ---- pre-tokenizers

static int new_step(struct xn_json_reader *r, enum xn_pretokenizer_kind kind, struct xn_pretokenizer **out) {
    if (r->t->n_pretokenizers == XN_MAX_STEPS)
        return xn_json_wrong(r, XN_ERR_LIMIT, "more than %d pre-tokenizers", XN_MAX_STEPS);
    *out = &r->t->pretokenizers[r->t->n_pretokenizers++];
    **out = (struct xn_pretokenizer){.kind = kind};
    return XN_OK;
}

static int split_at_class(struct xn_json_reader *r, bool (*in_class)(uint32_t c), enum xn_split_behavior behavior) {
    struct xn_pretokenizer *step = NULL;
    XN_TRY(new_step(r, XN_SPLIT_CLASS, &step));
    step->in_class = in_class;
    step->behavior = behavior;
    return XN_OK;
}

static int split_at_regex(struct xn_json_reader *r, const char *pattern, size_t size, enum xn_split_behavior behavior,
                          bool invert) {
    struct xn_pretokenizer *step = NULL;
    XN_TRY(new_step(r, XN_SPLIT_REGEX, &step));
    int status = xn_pretokenizer_regex(step, pattern, size, behavior, invert, r->err);
    return status == XN_OK ? XN_OK : xn_error_context(r->err, status, "%s", r->path);
}

static int behavior_of(struct xn_json_reader *r, const json_t *j, enum xn_split_behavior *out) {
    static const char *const names[] = {
        [XN_SPLIT_ISOLATED] = "Isolated",
        [XN_SPLIT_REMOVED] = "Removed",
        [XN_SPLIT_WITH_PREVIOUS] = "MergedWithPrevious",
        [XN_SPLIT_WITH_NEXT] = "MergedWithNext",
        [XN_SPLIT_CONTIGUOUS] = "Contiguous",
    };
    const char *name = json_string_value(json_object_get(j, "behavior"));
    *out = XN_SPLIT_ISOLATED;
    if (!name) return XN_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0) {
            *out = (enum xn_split_behavior)i;
            return XN_OK;
        }
    return xn_json_wrong(r, XN_ERR_UNSUPPORTED, "%s: behavior \"%.40s\"", type_of(j), name);
}

static int read_split(struct xn_json_reader *r, const json_t *j) {
    bool regex;
    enum xn_split_behavior behavior = XN_SPLIT_ISOLATED;
    const json_t *text = pattern_of(j, &regex);
    if (!text) return xn_json_wrong(r, XN_ERR_FORMAT, "Split: no \"pattern\" with a \"String\" or \"Regex\"");
    XN_TRY(behavior_of(r, j, &behavior));
    bool invert = truth(j, "invert", false);
    if (regex) return split_at_regex(r, json_string_value(text), json_string_length(text), behavior, invert);
    struct xn_pretokenizer *step = NULL;
    XN_TRY(new_step(r, XN_SPLIT_STRING, &step));
    step->behavior = behavior;
    step->invert = invert;
    step->pattern_size = json_string_length(text);
    step->pattern = xn_strndup(json_string_value(text), step->pattern_size);
    return step->pattern ? XN_OK : xn_json_wrong(r, XN_ERR_NOMEM, "out of memory");
}

static int read_byte_level(struct xn_json_reader *r, const json_t *j) {
    static const char gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
    struct xn_pretokenizer *step = NULL;
    if (truth(j, "add_prefix_space", true)) XN_TRY(new_step(r, XN_PREFIX_SPACE, &step));
    if (truth(j, "use_regex", true)) XN_TRY(split_at_regex(r, gpt2, sizeof gpt2 - 1, XN_SPLIT_ISOLATED, false));
    return new_step(r, XN_MAP_BYTES, &step);
}

static enum xn_prepend prepend_of(const json_t *j) {
    const char *scheme = json_string_value(json_object_get(j, "prepend_scheme"));
    if (!scheme) return truth(j, "add_prefix_space", true) ? XN_PREPEND_ALWAYS : XN_PREPEND_NEVER;
    return strcmp(scheme, "never") == 0   ? XN_PREPEND_NEVER
           : strcmp(scheme, "first") == 0 ? XN_PREPEND_FIRST
                                          : XN_PREPEND_ALWAYS;
}

static int read_metaspace(struct xn_json_reader *r, const json_t *j) {
    struct xn_pretokenizer *step = NULL;
    XN_TRY(new_step(r, XN_SPLIT_METASPACE, &step));
    step->prepend = prepend_of(j);
    step->split = truth(j, "split", true);
    return copy_string(r, j, "replacement", &step->pattern, &step->pattern_size);
}

static int read_delimiter(struct xn_json_reader *r, const json_t *j) {
    struct xn_pretokenizer *step = NULL;
    XN_TRY(new_step(r, XN_SPLIT_STRING, &step));
    step->behavior = XN_SPLIT_REMOVED;
    return copy_string(r, j, "delimiter", &step->pattern, &step->pattern_size);
}

static int read_digits(struct xn_json_reader *r, const json_t *j) {
    return split_at_class(r, xn_is_numeric,
                          truth(j, "individual_digits", false) ? XN_SPLIT_ISOLATED : XN_SPLIT_CONTIGUOUS);
}

static int read_punctuation(struct xn_json_reader *r, const json_t *j) {
    enum xn_split_behavior behavior = XN_SPLIT_ISOLATED;
    XN_TRY(behavior_of(r, j, &behavior));
    return split_at_class(r, xn_is_punctuation, behavior);
}

static int read_whitespace(struct xn_json_reader *r, const json_t *j) {
    (void)j;
    static const char words[] = "\\w+|[^\\w\\s]+";
    return split_at_regex(r, words, sizeof words - 1, XN_SPLIT_REMOVED, true);
}

static int read_whitespace_split(struct xn_json_reader *r, const json_t *j) {
    (void)j;
    return split_at_class(r, xn_is_space, XN_SPLIT_REMOVED);
}

static int read_bert(struct xn_json_reader *r, const json_t *j) {
    XN_TRY(read_whitespace_split(r, j));
    return split_at_class(r, xn_is_punctuation, XN_SPLIT_ISOLATED);
}

static const struct {
    const char *type;
    int (*read)(struct xn_json_reader *r, const json_t *j);
} pretokenizers[] = {
    {"Split", read_split},
    {"ByteLevel", read_byte_level},
    {"Metaspace", read_metaspace},
    {"Digits", read_digits},
    {"Punctuation", read_punctuation},
    {"Whitespace", read_whitespace},
    {"WhitespaceSplit", read_whitespace_split},
    {"BertPreTokenizer", read_bert},
    {"CharDelimiterSplit", read_delimiter},
};

static int pretokenizer(struct xn_json_reader *r, const json_t *j, int depth) {
    if (!j || json_is_null(j)) return XN_OK;
    const char *type = type_of(j);
    if (strcmp(type, "Sequence") == 0) return sequence(r, j, "pretokenizers", depth, pretokenizer);
    for (size_t i = 0; i < sizeof pretokenizers / sizeof *pretokenizers; i++)
        if (strcmp(type, pretokenizers[i].type) == 0) return pretokenizers[i].read(r, j);
    return xn_json_wrong(r, XN_ERR_UNSUPPORTED, "pre-tokenizer of type \"%s\"", type);
}

int xn_json_pretokenizer(struct xn_json_reader *r, const json_t *j) {
    struct xn_tokenizer *t = r->t;
    XN_TRY(pretokenizer(r, j, 0));
    // Where bytes become characters last of all, the model may look at bytes at once.
    if (t->n_pretokenizers && t->pretokenizers[t->n_pretokenizers - 1].kind == XN_MAP_BYTES &&
        t->model.kind == XN_MODEL_BPE && !t->model.subword_prefix && !t->model.word_suffix) {
        t->n_pretokenizers--;
        t->model.bytes = true;
        for (size_t i = 0; i < t->n_pretokenizers; i++) // mapped twice: not bytes any more
            if (t->pretokenizers[i].kind == XN_MAP_BYTES) {
                t->n_pretokenizers++;
                t->model.bytes = false;
                break;
            }
    }
    return XN_OK;
}

// ---- decoders

static int new_decoder(struct xn_json_reader *r, enum xn_decoder_kind kind, struct xn_decoder **out) {
    if (r->t->n_decoders == XN_MAX_STEPS) return xn_json_wrong(r, XN_ERR_LIMIT, "more than %d decoders", XN_MAX_STEPS);
    *out = &r->t->decoders[r->t->n_decoders++];
    **out = (struct xn_decoder){.kind = kind};
    return XN_OK;
}

static int decode_byte_level(struct xn_json_reader *r, const json_t *j) {
    (void)j;
    struct xn_decoder *step = NULL;
    return new_decoder(r, XN_DECODE_BYTES, &step);
}

static int decode_metaspace(struct xn_json_reader *r, const json_t *j) {
    struct xn_decoder *step = NULL;
    XN_TRY(new_decoder(r, XN_DECODE_REPLACE, &step));
    if (prepend_of(j) != XN_PREPEND_NEVER) r->t->strip_first = UINT32_MAX;
    step->content = xn_strdup(" ");
    if (!step->content) return xn_json_wrong(r, XN_ERR_NOMEM, "out of memory");
    return copy_string(r, j, "replacement", &step->pattern, NULL);
}

static int decode_wordpiece(struct xn_json_reader *r, const json_t *j) {
    struct xn_decoder *step = NULL;
    XN_TRY(new_decoder(r, XN_DECODE_WORDPIECE, &step));
    step->cleanup = truth(j, "cleanup", true);
    return copy_string(r, j, "prefix", &step->pattern, NULL);
}

static int decode_suffix(struct xn_json_reader *r, const json_t *j) {
    struct xn_decoder *step = NULL;
    XN_TRY(new_decoder(r, XN_DECODE_SUFFIX, &step));
    return copy_string(r, j, "suffix", &step->pattern, NULL);
}

static int decode_replace(struct xn_json_reader *r, const json_t *j) {
    bool regex;
    struct xn_decoder *step = NULL;
    const json_t *text = pattern_of(j, &regex);
    if (!text || regex)
        return xn_json_wrong(r, XN_ERR_UNSUPPORTED, "decoder Replace without a \"String\" as \"pattern\"");
    XN_TRY(new_decoder(r, XN_DECODE_REPLACE, &step));
    step->pattern = xn_strdup(json_string_value(text));
    if (!step->pattern) return xn_json_wrong(r, XN_ERR_NOMEM, "out of memory");
    return copy_string(r, j, "content", &step->content, NULL);
}

static int decode_bytes(struct xn_json_reader *r, const json_t *j) {
    (void)j;
    r->t->decode_bytes = true;
    return XN_OK;
}

static int decode_fuse(struct xn_json_reader *r, const json_t *j) {
    (void)j;
    r->decoder_fused = true;
    return XN_OK;
}

static int decode_strip(struct xn_json_reader *r, const json_t *j) {
    const char *content = json_string_value(json_object_get(j, "content"));
    json_int_t start = json_integer_value(json_object_get(j, "start")),
               stop = json_integer_value(json_object_get(j, "stop"));
    if (!r->decoder_fused || !content || strcmp(content, " ") != 0 || stop != 0 || start < 0 || start > MAX_CONTENT)
        return xn_json_wrong(r, XN_ERR_UNSUPPORTED, "decoder Strip other than of blanks at the start, after Fuse");
    r->t->strip_first = (uint32_t)start;
    return XN_OK;
}

static const struct {
    const char *type;
    int (*read)(struct xn_json_reader *r, const json_t *j);
} decoders[] = {
    {"ByteLevel", decode_byte_level},
    {"Metaspace", decode_metaspace},
    {"WordPiece", decode_wordpiece},
    {"BPEDecoder", decode_suffix},
    {"Replace", decode_replace},
    {"ByteFallback", decode_bytes},
    {"Fuse", decode_fuse},
    {"Strip", decode_strip},
};

static int decoder(struct xn_json_reader *r, const json_t *j, int depth) {
    const char *type = type_of(j);
    if (strcmp(type, "Sequence") == 0) return sequence(r, j, "decoders", depth, decoder);
    for (size_t i = 0; i < sizeof decoders / sizeof *decoders; i++)
        if (strcmp(type, decoders[i].type) == 0) return decoders[i].read(r, j);
    return xn_json_wrong(r, XN_ERR_UNSUPPORTED, "decoder of type \"%s\"", type);
}

int xn_json_decoder(struct xn_json_reader *r, const json_t *j) {
    if (!j || json_is_null(j)) {
        r->t->join_with_spaces = true;
        return XN_OK;
    }
    return decoder(r, j, 0);
}

// ---- post-processors: of these only what is put around a text counts

static int frame(struct xn_json_reader *r, const json_t *name, bool before) {
    struct xn_tokenizer *t = r->t;
    const char *text = json_string_value(name);
    int32_t id = text ? xn_vocabulary_find(&t->vocabulary, text, json_string_length(name)) : -1;
    if (id < 0) return xn_json_wrong(r, XN_ERR_FORMAT, "post_processor: \"%.80s\" is no token", text ? text : "");
    int32_t *list = before ? t->before : t->after;
    size_t *n = before ? &t->n_before : &t->n_after;
    if (*n == XN_MAX_FRAME)
        return xn_json_wrong(r, XN_ERR_LIMIT, "post_processor: more than %d tokens around a text", XN_MAX_FRAME);
    list[(*n)++] = id;
    return XN_OK;
}

static int post_processor(struct xn_json_reader *r, const json_t *j, int depth) {
    if (!j || json_is_null(j)) return XN_OK;
    const char *type = type_of(j);
    if (strcmp(type, "Sequence") == 0) return sequence(r, j, "processors", depth, post_processor);
    if (strcmp(type, "BertProcessing") == 0 || strcmp(type, "RobertaProcessing") == 0) {
        XN_TRY(frame(r, json_array_get(json_object_get(j, "cls"), 0), true));
        return frame(r, json_array_get(json_object_get(j, "sep"), 0), false);
    }
    if (strcmp(type, "TemplateProcessing") != 0) return XN_OK; // ByteLevel only trims offsets
    bool before = true;
    size_t i;
    const json_t *item;
    json_array_foreach(json_object_get(j, "single"), i, item) {
        if (json_object_get(item, "Sequence"))
            before = false;
        else if (json_object_get(item, "SpecialToken"))
            XN_TRY(frame(r, json_object_get(json_object_get(item, "SpecialToken"), "id"), before));
    }
    return XN_OK;
}

int xn_json_post_processor(struct xn_json_reader *r, const json_t *j) {
    return post_processor(r, j, 0);
}
