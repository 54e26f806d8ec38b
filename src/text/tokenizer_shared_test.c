// Every case of ../shared/text: tokenize/*.jsonl and vocab/gguf/*.inp with *.out, from GGUF or tokenizer.json; and what
// holds for any vocabulary on the same texts: the text comes back, whole characters only.
#include "base/file.h"
#include "base/memory.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/xenon-tokenizer-test-XXXXXX";

#define BYTE_LEVEL(regex)                                                                                              \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":" regex "}"
#define SPLIT(regex)                                                                                                   \
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" regex "\"},\"behavior\":\"Isolated\",\"invert\":false}"
#define DIGITS(individual) "{\"type\":\"Digits\",\"individual_digits\":" individual "}"
#define BYTE_BPE(steps)                                                                                                \
    "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[" steps "]},\"decoder\":{\"type\":\"ByteLevel\"},"   \
    "\"model\":{\"type\":\"BPE\"}}"
#define LLAMA                                                                                                          \
    "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"\xe2\x96\x81\"},"     \
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\" "                                                                \
    "\"},\"content\":\"\xe2\x96\x81\"}]},\"decoder\":{\"type\":\"Sequence\","                                          \
    "\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"\xe2\x96\x81\"},\"content\":\" "                    \
    "\"},{\"type\":\"ByteFallback\"},"                                                                                 \
    "{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]},"                             \
    "\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"fuse_unk\":true,\"byte_fallback\":true}}"

static const struct vocabulary {
    const char *name;    // of tokenize/NAME.jsonl
    const char *file;    // below vocab/; NULL: made from Llama 3.2's parts; .xz: unpacked
    const char *vectors; // vocab/gguf/NAME.inp and .out; NULL: none
    bool lossless;       // decoding gives the text back
    // Converted first: to a tokenizer.json with these stages (the original model's), or to a GGUF of this model and
    // pre-tokenizer.
    const char *stages, *model, *pre;
} vocabularies[] = {
    {"qwen2_5", "qwen2_5/tokenizer.json", "ggml-vocab-qwen2.gguf", false, NULL, NULL, NULL}, // NFC
    {"gemma3", "gemma3/tokenizer.json.xz", NULL, false, NULL, NULL, NULL},                   // U+2581 becomes a blank
    {"llama3.2", NULL, "ggml-vocab-llama-bpe.gguf", true, NULL, NULL, NULL},
    {"baichuan", "gguf/ggml-vocab-baichuan.gguf", NULL, false, NULL, NULL, NULL},
    {"bert-bge", "gguf/ggml-vocab-bert-bge.gguf", "ggml-vocab-bert-bge.gguf", false, NULL, NULL, NULL},
    {"deepseek-coder", "gguf/ggml-vocab-deepseek-coder.gguf", "ggml-vocab-deepseek-coder.gguf", true, NULL, NULL, NULL},
    {"deepseek-llm", "gguf/ggml-vocab-deepseek-llm.gguf", "ggml-vocab-deepseek-llm.gguf", true, NULL, NULL, NULL},
    {"falcon", "gguf/ggml-vocab-falcon.gguf", "ggml-vocab-falcon.gguf", false, NULL, NULL,
     NULL}, // has no tokens for some bytes
    {"gpt-2", "gguf/ggml-vocab-gpt-2.gguf", "ggml-vocab-gpt-2.gguf", true, NULL, NULL, NULL},
    {"gpt-neox", "gguf/ggml-vocab-gpt-neox.gguf", NULL, true, NULL, NULL, NULL},
    {"llama-spm", "gguf/ggml-vocab-llama-spm.gguf", "ggml-vocab-llama-spm.gguf", false, NULL, NULL, NULL},
    {"mpt", "gguf/ggml-vocab-mpt.gguf", "ggml-vocab-mpt.gguf", true, NULL, NULL, NULL},
    {"phi-3", "gguf/ggml-vocab-phi-3.gguf", "ggml-vocab-phi-3.gguf", false, NULL, NULL, NULL},
    {"refact", "gguf/ggml-vocab-refact.gguf", "ggml-vocab-refact.gguf", true, NULL, NULL, NULL},
    {"starcoder", "gguf/ggml-vocab-starcoder.gguf", "ggml-vocab-starcoder.gguf", true, NULL, NULL, NULL},
    {.name = "qwen2_5", .file = "qwen2_5/tokenizer.json", .model = "gpt2", .pre = "qwen2"},
    {.name = "llama3.2", .model = "gpt2", .pre = "llama-bpe", .lossless = true},
    {.name = "gemma3", .file = "gemma3/tokenizer.json.xz", .model = "llama", .pre = "default"},
    {.name = "gpt-2", .file = "gguf/ggml-vocab-gpt-2.gguf", .stages = BYTE_BPE(BYTE_LEVEL("true"))},
    {.name = "mpt", .file = "gguf/ggml-vocab-mpt.gguf", .stages = BYTE_BPE(BYTE_LEVEL("true"))},
    {.name = "starcoder",
     .file = "gguf/ggml-vocab-starcoder.gguf",
     .stages = BYTE_BPE(DIGITS("true") "," BYTE_LEVEL("true"))},
    {.name = "refact",
     .file = "gguf/ggml-vocab-refact.gguf",
     .stages = BYTE_BPE(DIGITS("true") "," BYTE_LEVEL("true"))},
    {.name = "falcon",
     .file = "gguf/ggml-vocab-falcon.gguf",
     .stages = BYTE_BPE("{\"type\":\"Punctuation\",\"behavior\":\"Contiguous\"}," BYTE_LEVEL("true") "," DIGITS(
         "false") "," SPLIT("[0-9][0-9][0-9]"))},
    {.name = "deepseek-coder",
     .file = "gguf/ggml-vocab-deepseek-coder.gguf",
     .stages = BYTE_BPE(SPLIT("[\\r\\n]") "," SPLIT("\\\\s?\\\\p{L}+") "," SPLIT("\\\\s?\\\\p{P}+") "," SPLIT(
         "[\\u4e00-\\u9fa5\\u0800-\\u4e00\\uac00-\\ud7ff]+") "," DIGITS("true") "," BYTE_LEVEL("false"))},
    {.name = "llama-spm", .file = "gguf/ggml-vocab-llama-spm.gguf", .stages = LLAMA},
    {.name = "baichuan", .file = "gguf/ggml-vocab-baichuan.gguf", .stages = LLAMA},
};
enum { N_VOCABULARIES = sizeof vocabularies / sizeof *vocabularies };

static char *shared(const char *a, const char *b, const char *c) {
    const char *root = getenv("XENON_SHARED");
    return xn_format("%s/text/%s%s%s", root ? root : "../shared", a, b, c);
}

static void ends_with_newlines_cut(char *s) {
    s[strcspn(s, "\r\n")] = 0;
}

// Llama 3.2's tokenizer.json, from its three parts as the set's own script joins them.
static char *make_llama(void) {
    struct xn_error err;
    char *skeleton = shared("vocab/llama3.2/", "tokenizer_skeleton.json", ""),
         *encoder = shared("vocab/llama3.2/", "encoder.json", ""), *merges = shared("vocab/llama3.2/", "vocab.bpe", ""),
         *path = xn_path_join(folder, "llama.json");
    json_t *root = json_load_file(skeleton, 0, NULL), *vocab = json_load_file(encoder, 0, NULL), *list = json_array();
    char *text = NULL;
    size_t size;
    if (root && vocab && xn_read_file(merges, 1 << 26, &text, &size, &err) == XN_OK) {
        for (char *save, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
            ends_with_newlines_cut(line);
            json_array_append_new(list, json_string(line));
        }
        json_t *model = json_object_get(root, "model");
        json_object_set(model, "vocab", vocab);
        json_object_set(model, "merges", list);
        json_dump_file(root, path, 0);
    } else {
        free(path);
        path = NULL;
    }
    json_decref(root);
    json_decref(vocab);
    json_decref(list);
    free(text);
    free(skeleton);
    free(encoder);
    free(merges);
    return path;
}

// The path of a vocabulary's file, unpacked or put together where that is needed; NULL where the set is missing.
static char *locate(const struct vocabulary *v) {
    if (!v->file) return make_llama();
    char *path = shared("vocab/", v->file, "");
    size_t n = strlen(path);
    if (!xn_file_exists(path)) {
        free(path);
        return NULL;
    }
    if (strcmp(path + n - 3, ".xz") != 0) return path;
    char *unpacked = xn_path_join(folder, "unpacked.json"), *command = xn_format("xz -dc '%s' > '%s'", path, unpacked);
    int failed = system(command);
    free(command);
    free(path);
    if (failed) {
        free(unpacked);
        return NULL;
    }
    return unpacked;
}

// ---- the same vocabularies in the other container

static const char *type_names[] = {"normal", "unknown", "control", "user", "unused", "byte"}; // GGUF's types 1 to 6

static json_t *added_token(size_t id, const char *content, bool special) {
    return json_pack("{s:I,s:s,s:b,s:b,s:b,s:b,s:b}", "id", (json_int_t)id, "content", content, "special", special,
                     "lstrip", 0, "rstrip", 0, "single_word", 0, "normalized", 0);
}

struct merge {
    struct xn_str left, right;
    double score;
    int64_t ids[2];
};

static int by_score(const void *a, const void *b) {
    const struct merge *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    for (int i = 0; i < 2; i++)
        if (x->ids[i] != y->ids[i]) return x->ids[i] < y->ids[i] ? -1 : 1;
    return 0;
}

// The merges that a SentencePiece vocabulary implies: every way to join two tokens to one, the best score first.
static json_t *implied_merges(const struct xn_gguf_value *tokens, const struct xn_gguf_value *scores,
                              const json_t *vocab) {
    struct merge *list = NULL;
    size_t n = 0, capacity = 0;
    for (uint64_t id = 0; id < tokens->n; id++)
        for (size_t cut = 1; cut < tokens->strings[id].size; cut++) {
            struct xn_str whole = tokens->strings[id];
            struct merge m = {{whole.data, cut}, {whole.data + cut, whole.size - cut}, 0, {0, 0}};
            const json_t *l = json_object_getn(vocab, m.left.data, cut),
                         *r = json_object_getn(vocab, m.right.data, m.right.size);
            if (!l || !r) continue;
            xn_gguf_float(scores, id, &m.score);
            m.ids[0] = json_integer_value(l);
            m.ids[1] = json_integer_value(r);
            assert_int_equal(XN_GROW(list, capacity, n + 1), 0);
            list[n++] = m;
        }
    qsort(list, n, sizeof *list, by_score);
    json_t *merges = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(
            merges, json_pack("[s%,s%]", list[i].left.data, list[i].left.size, list[i].right.data, list[i].right.size));
    free(list);
    return merges;
}

// A GGUF's vocabulary as a tokenizer.json with the given stages.
static char *to_json(const char *gguf_path, const char *stages) {
    struct xn_error err;
    struct xn_gguf *gguf;
    if (xn_gguf_open(gguf_path, &gguf, &err) != XN_OK) fail_msg("%s", err.message);
    const struct xn_gguf_value *tokens = xn_gguf_find(gguf, "tokenizer.ggml.tokens"),
                               *types = xn_gguf_find(gguf, "tokenizer.ggml.token_type"),
                               *merges = xn_gguf_find(gguf, "tokenizer.ggml.merges"),
                               *scores = xn_gguf_find(gguf, "tokenizer.ggml.scores");
    json_t *root = json_loads(stages, 0, NULL), *added = json_array(), *vocab = json_object(), *list;
    assert_non_null(root);
    for (uint64_t id = 0; id < tokens->n; id++) {
        int64_t type = 1;
        char *text = xn_strndup(tokens->strings[id].data, tokens->strings[id].size);
        xn_gguf_int(types, id, &type);
        const char *name = type_names[type - 1];
        json_object_set_new(vocab, text, json_integer((json_int_t)id));
        if (strcmp(name, "control") == 0 || strcmp(name, "unknown") == 0)
            json_array_append_new(added, added_token(id, text, true));
        if (strcmp(name, "user") == 0) json_array_append_new(added, added_token(id, text, false));
        free(text);
    }
    if (merges) {
        list = json_array();
        for (uint64_t i = 0; i < merges->n; i++)
            json_array_append_new(list, json_stringn(merges->strings[i].data, merges->strings[i].size));
    } else {
        list = implied_merges(tokens, scores, vocab);
    }
    json_t *model = json_object_get(root, "model");
    json_object_set_new(model, "vocab", vocab);
    json_object_set_new(model, "merges", list);
    json_object_set_new(root, "added_tokens", added);
    char *path = xn_path_join(folder, "converted.json");
    assert_int_equal(json_dump_file(root, path, 0), 0);
    json_decref(root);
    xn_gguf_close(gguf);
    return path;
}

// A tokenizer.json's vocabulary as a GGUF of this model and pre-tokenizer. With model "llama" the scores are the
// merges' ranks.
static char *to_gguf(const char *json_path, const char *model_name, const char *pre) {
    struct xn_error err;
    struct xn_gguf_writer *w;
    json_t *root = json_load_file(json_path, JSON_ALLOW_NUL, NULL), *model = json_object_get(root, "model"), *entry;
    json_t *vocab = json_object_get(model, "vocab"), *merges = json_object_get(model, "merges");
    size_t n = json_object_size(vocab), n_merges = json_array_size(merges), i;
    const char *key;
    json_array_foreach(json_object_get(root, "added_tokens"), i, entry) {
        size_t id = (size_t)json_integer_value(json_object_get(entry, "id"));
        if (id + 1 > n) n = id + 1;
    }
    struct xn_str *tokens = calloc(n, sizeof *tokens), *joined = calloc(n_merges, sizeof *joined);
    int32_t *types = calloc(n, sizeof *types);
    float *scores = calloc(n, sizeof *scores);
    for (i = 0; i < n; i++)
        types[i] = 1;
    for (i = 0; i < n; i++)
        scores[i] = -1e6f;
    json_object_foreach(vocab, key, entry) {
        size_t id = (size_t)json_integer_value(entry);
        unsigned byte;
        tokens[id] = (struct xn_str){key, strlen(key)};
        if (strlen(key) == 6 && sscanf(key, "<0x%2x>", &byte) == 1) types[id] = 6;
    }
    json_array_foreach(json_object_get(root, "added_tokens"), i, entry) {
        size_t id = (size_t)json_integer_value(json_object_get(entry, "id"));
        const char *content = json_string_value(json_object_get(entry, "content"));
        tokens[id] = (struct xn_str){content, strlen(content)};
        types[id] = json_is_true(json_object_get(entry, "special")) ? 3 : 4;
    }
    json_array_foreach(merges, i, entry) {
        const char *l = json_string_value(json_is_array(entry) ? json_array_get(entry, 0) : entry);
        const char *r = json_is_array(entry) ? json_string_value(json_array_get(entry, 1)) : NULL;
        char *line = r ? xn_format("%s %s", l, r) : xn_strdup(l), *whole = r ? xn_format("%s%s", l, r) : xn_strdup("");
        joined[i] = (struct xn_str){line, strlen(line)};
        const json_t *id = json_object_get(vocab, whole);
        if (id && scores[json_integer_value(id)] == -1e6f) scores[json_integer_value(id)] = -(float)i;
        free(whole);
    }
    char *path = xn_path_join(folder, "converted.gguf");
    bool llama = strcmp(model_name, "llama") == 0;
    assert_int_equal(xn_gguf_writer_new(&w, &err), XN_OK);
    xn_gguf_add_string(w, "tokenizer.ggml.model", model_name, &err);
    xn_gguf_add_string(w, "tokenizer.ggml.pre", pre, &err);
    xn_gguf_add_bool(w, "tokenizer.ggml.add_space_prefix", false, &err);
    xn_gguf_add_strings(w, "tokenizer.ggml.tokens", tokens, n, &err);
    xn_gguf_add_array(w, "tokenizer.ggml.token_type", XN_GGUF_I32, types, n, &err);
    if (llama)
        xn_gguf_add_array(w, "tokenizer.ggml.scores", XN_GGUF_F32, scores, n, &err);
    else
        xn_gguf_add_strings(w, "tokenizer.ggml.merges", joined, n_merges, &err);
    if (xn_gguf_write(w, path, NULL, &err) != XN_OK) fail_msg("%s", err.message);
    xn_gguf_writer_free(w);
    for (i = 0; i < n_merges; i++)
        free((char *)joined[i].data);
    free(tokens);
    free(joined);
    free(types);
    free(scores);
    json_decref(root);
    return path;
}

static struct xn_tokenizer *open_tokenizer(const struct vocabulary *v) {
    struct xn_error err;
    struct xn_tokenizer *t = NULL;
    char *path = locate(v);
    if (!path) return NULL;
    char *original = path;
    if (v->stages) path = to_json(original, v->stages);
    if (v->model) path = to_gguf(original, v->model, v->pre);
    if (path != original) free(original);
    if (strstr(path, ".gguf")) {
        struct xn_gguf *gguf;
        if (xn_gguf_open(path, &gguf, &err) != XN_OK || xn_tokenizer_from_gguf(gguf, &t, &err) != XN_OK)
            fail_msg("%s", err.message);
        xn_gguf_close(gguf);
    } else {
        struct timespec a, b;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
        if (xn_tokenizer_from_json(path, NULL, &t, &err) != XN_OK) fail_msg("%s", err.message);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
        print_message("%s: loaded in %.2f s\n", v->name,
                      (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec));
    }
    free(path);
    return t;
}

static bool same_ids(const struct xn_ids *ids, const json_t *expected) {
    bool same = ids->n == json_array_size(expected);
    for (size_t i = 0; same && i < ids->n; i++)
        same = ids->data[i] == json_integer_value(json_array_get(expected, i));
    return same;
}

static void print_difference(const struct vocabulary *v, const char *line, const struct xn_ids *ids) {
    print_message("%s: %.300s\n  got:", v->name, line);
    for (size_t i = 0; i < ids->n && i < 40; i++)
        print_message(" %d", ids->data[i]);
    print_message("\n");
}

static size_t unhex(const char *hex, char *out) {
    size_t n = 0;
    for (unsigned byte; sscanf(hex + 2 * n, "%2x", &byte) == 1; n++)
        out[n] = (char)byte;
    return n;
}

// Ids one by one give well-formed text after each, and (lossless vocabularies) the text itself.
static void decodes(const struct vocabulary *v, const struct xn_tokenizer *t, const struct xn_ids *ids,
                    const char *text, size_t size) {
    struct xn_detokenizer d;
    struct xn_text out = {0};
    struct xn_error err;
    xn_detokenizer_init(&d, t, true);
    for (size_t i = 0; i < ids->n; i++) {
        size_t before = out.size;
        assert_int_equal(xn_detokenize(&d, ids->data[i], &out, &err), XN_OK);
        assert_int_equal(xn_utf8_valid_prefix(out.data + before, out.size - before), out.size - before);
    }
    assert_int_equal(xn_detokenize_end(&d, &out, &err), XN_OK);
    assert_int_equal(xn_utf8_valid_prefix(out.data, out.size), out.size);
    if (v->lossless && xn_utf8_valid_prefix(text, size) == size &&
        (out.size != size || memcmp(out.data, text, size) != 0))
        fail_msg("%s: \"%s\" (%zu bytes) came back as \"%s\" (%zu)", v->name, text, size, out.data, out.size);
    free(out.data);
}

static const char *container(const struct vocabulary *v) {
    return v->stages ? " (as tokenizer.json)" : v->model ? " (as GGUF)" : "";
}

static int check_cases(const struct vocabulary *v, const struct xn_tokenizer *t) {
    struct xn_error err;
    char *path = shared("tokenize/", v->name, ".jsonl"), *data = NULL;
    size_t size;
    int n = 0, wrong = 0;
    if (xn_read_file(path, 1 << 26, &data, &size, &err) != XN_OK) fail_msg("%s", err.message);
    free(path);
    for (char *save, *line = strtok_r(data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        json_t *j = json_loads(line, JSON_ALLOW_NUL, NULL);
        assert_non_null(j);
        const json_t *text = json_object_get(j, "text");
        const char *hex = json_string_value(json_object_get(j, "hex"));
        // An exact copy on the heap, so that AddressSanitizer sees any step beyond it.
        size_t length = hex ? strlen(hex) / 2 : json_string_length(text);
        char *bytes = malloc(length ? length : 1), scratch[4096];
        if (hex) {
            assert_true(strlen(hex) / 2 < sizeof scratch);
            unhex(hex, scratch);
        }
        memcpy(bytes, hex ? scratch : json_string_value(text), length);
        struct xn_ids ids = {0};
        int flags = json_is_true(json_object_get(j, "parse_special")) ? XN_TOKENIZE_SPECIAL : 0;
        assert_int_equal(xn_tokenize(t, bytes, length, flags, &ids, &err), XN_OK);
        n++;
        if (!same_ids(&ids, json_object_get(j, "ids"))) {
            if (wrong++ < 8) print_difference(v, line, &ids);
        } else if (!hex) {
            decodes(v, t, &ids, json_string_value(text), length);
        }
        free(bytes);
        free(ids.data);
        json_decref(j);
    }
    free(data);
    print_message("%s%s: %d of %d cases\n", v->name, container(v), n - wrong, n);
    return wrong;
}

static int check_vectors(const struct vocabulary *v, const struct xn_tokenizer *t) {
    static const char marker[] = "\n__ggml_vocab_test__\n";
    struct xn_error err;
    char *in_path = shared("vocab/gguf/", v->vectors, ".inp"), *out_path = shared("vocab/gguf/", v->vectors, ".out"),
         *in = NULL, *out = NULL;
    size_t in_size, out_size;
    int n = 0, wrong = 0;
    if (xn_read_file(in_path, 1 << 20, &in, &in_size, &err) != XN_OK ||
        xn_read_file(out_path, 1 << 20, &out, &out_size, &err) != XN_OK)
        fail_msg("%s", err.message);
    char *ids_at = out;
    for (char *at = in; at < in + in_size;) {
        char *end = memmem(at, (size_t)(in + in_size - at), marker, sizeof marker - 1);
        size_t length = end ? (size_t)(end - at) : (size_t)(in + in_size - at);
        struct xn_ids ids = {0};
        assert_int_equal(xn_tokenize(t, at, length, 0, &ids, &err), XN_OK);
        json_t *expected = json_array();
        for (char *stop; *ids_at && *ids_at != '\n'; ids_at = stop) {
            long id = strtol(ids_at, &stop, 10);
            if (stop == ids_at) {
                stop++;
                continue;
            }
            json_array_append_new(expected, json_integer(id));
        }
        if (*ids_at) ids_at++;
        n++;
        if (!same_ids(&ids, expected) && wrong++ < 8) {
            char *line = xn_strndup(at, length);
            print_difference(v, line, &ids);
            free(line);
        }
        json_decref(expected);
        free(ids.data);
        at = end ? end + sizeof marker - 1 : in + in_size;
    }
    print_message("%s: %d of %d of llama.cpp's vectors\n", v->name, n - wrong, n);
    free(in);
    free(out);
    free(in_path);
    free(out_path);
    return wrong;
}

static void ids_are_the_references(void **state) {
    const struct vocabulary *v = *state;
    struct xn_tokenizer *t = open_tokenizer(v);
    if (!t) {
        print_message("%s: no ../shared/text\n", v->name);
        skip();
    }
    int wrong = check_cases(v, t);
    if (v->vectors) wrong += check_vectors(v, t);
    xn_tokenizer_free(t);
    assert_int_equal(wrong, 0);
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    struct CMUnitTest tests[N_VOCABULARIES];
    char *probe = shared("tokenize/", "gpt-2", ".jsonl");
    bool there = xn_file_exists(probe);
    free(probe);
    for (int i = 0; i < N_VOCABULARIES; i++)
        tests[i] =
            (struct CMUnitTest){vocabularies[i].name, ids_are_the_references, NULL, NULL, (void *)&vocabularies[i]};
    int failed = there ? cmocka_run_group_tests(tests, NULL, NULL) : 77;
    if (!there) printf("skipped: no ../shared/text\n");
    char *command = xn_format("rm -rf '%s'", folder);
    if (system(command) != 0) failed = 1;
    free(command);
    return failed;
}
