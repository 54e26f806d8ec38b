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

static const struct vocabulary {
    const char *name;    // of tokenize/NAME.jsonl
    const char *file;    // below vocab/; NULL: made from Llama 3.2's parts; .xz: unpacked
    const char *vectors; // vocab/gguf/NAME.inp and .out; NULL: none
    bool lossless;       // decoding gives the text back
} vocabularies[] = {
    {"qwen2_5", "qwen2_5/tokenizer.json", "ggml-vocab-qwen2.gguf", false}, // NFC
    {"gemma3", "gemma3/tokenizer.json.xz", NULL, false},                   // U+2581 becomes a blank
    {"llama3.2", NULL, "ggml-vocab-llama-bpe.gguf", true},
    {"baichuan", "gguf/ggml-vocab-baichuan.gguf", NULL, false},
    {"bert-bge", "gguf/ggml-vocab-bert-bge.gguf", "ggml-vocab-bert-bge.gguf", false},
    {"deepseek-coder", "gguf/ggml-vocab-deepseek-coder.gguf", "ggml-vocab-deepseek-coder.gguf", true},
    {"deepseek-llm", "gguf/ggml-vocab-deepseek-llm.gguf", "ggml-vocab-deepseek-llm.gguf", true},
    {"falcon", "gguf/ggml-vocab-falcon.gguf", "ggml-vocab-falcon.gguf", false}, // has no tokens for some bytes
    {"gpt-2", "gguf/ggml-vocab-gpt-2.gguf", "ggml-vocab-gpt-2.gguf", true},
    {"gpt-neox", "gguf/ggml-vocab-gpt-neox.gguf", NULL, true},
    {"llama-spm", "gguf/ggml-vocab-llama-spm.gguf", "ggml-vocab-llama-spm.gguf", false},
    {"mpt", "gguf/ggml-vocab-mpt.gguf", "ggml-vocab-mpt.gguf", true},
    {"phi-3", "gguf/ggml-vocab-phi-3.gguf", "ggml-vocab-phi-3.gguf", false},
    {"refact", "gguf/ggml-vocab-refact.gguf", "ggml-vocab-refact.gguf", true},
    {"starcoder", "gguf/ggml-vocab-starcoder.gguf", "ggml-vocab-starcoder.gguf", true},
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

static struct xn_tokenizer *open_tokenizer(const struct vocabulary *v) {
    struct xn_error err;
    struct xn_tokenizer *t = NULL;
    char *path = locate(v);
    if (!path) return NULL;
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
    print_message("%s: %d of %d cases\n", v->name, n - wrong, n);
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
