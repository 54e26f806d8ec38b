// Tokenizers of GGUF files: the models that there are, what a file does not say, and files that are wrong.
#include "base/file.h"
#include "base/log.h"
#include "text/tokenizer_testing.h"

#include <unistd.h>

static char folder[] = "/tmp/xenon-tokenizer-test-XXXXXX";
static int warnings;

static void count_warnings(void *user, enum xn_log_level level, const char *line) {
    (void)user, (void)line;
    warnings += level == XN_LOG_WARNING;
}

struct tiny {
    const char *model, *pre;
    const char *tokens[16], *merges[8];
    float scores[16];
    int32_t types[16];
    int n_tokens, n_merges, n_scores, n_types;
    int64_t bos, eos;          // -1: not said
    int add_bos, space_prefix; // -1: not said
};

static int open_tiny(const struct tiny *tiny, struct xn_tokenizer **t, struct xn_error *err) {
    struct xn_gguf_writer *w;
    struct xn_str strings[16];
    char *path = xn_path_join(folder, "tiny.gguf");
    assert_int_equal(xn_gguf_writer_new(&w, err), XN_OK);
    if (tiny->model) xn_gguf_add_string(w, "tokenizer.ggml.model", tiny->model, err);
    if (tiny->pre) xn_gguf_add_string(w, "tokenizer.ggml.pre", tiny->pre, err);
    for (int i = 0; i < tiny->n_tokens; i++)
        strings[i] = (struct xn_str){tiny->tokens[i], strlen(tiny->tokens[i])};
    if (tiny->n_tokens) xn_gguf_add_strings(w, "tokenizer.ggml.tokens", strings, (uint64_t)tiny->n_tokens, err);
    for (int i = 0; i < tiny->n_merges; i++)
        strings[i] = (struct xn_str){tiny->merges[i], strlen(tiny->merges[i])};
    if (tiny->n_merges) xn_gguf_add_strings(w, "tokenizer.ggml.merges", strings, (uint64_t)tiny->n_merges, err);
    if (tiny->n_scores)
        xn_gguf_add_array(w, "tokenizer.ggml.scores", XN_GGUF_F32, tiny->scores, (uint64_t)tiny->n_scores, err);
    if (tiny->n_types)
        xn_gguf_add_array(w, "tokenizer.ggml.token_type", XN_GGUF_I32, tiny->types, (uint64_t)tiny->n_types, err);
    if (tiny->bos >= 0) xn_gguf_add_u32(w, "tokenizer.ggml.bos_token_id", (uint32_t)tiny->bos, err);
    if (tiny->eos >= 0) xn_gguf_add_u32(w, "tokenizer.ggml.eos_token_id", (uint32_t)tiny->eos, err);
    if (tiny->add_bos >= 0) xn_gguf_add_bool(w, "tokenizer.ggml.add_bos_token", tiny->add_bos, err);
    if (tiny->space_prefix >= 0) xn_gguf_add_bool(w, "tokenizer.ggml.add_space_prefix", tiny->space_prefix, err);
    if (xn_gguf_write(w, path, NULL, err) != XN_OK) fail_msg("%s", err->message);
    xn_gguf_writer_free(w);
    struct xn_gguf *gguf;
    if (xn_gguf_open(path, &gguf, err) != XN_OK) fail_msg("%s", err->message);
    int status = xn_tokenizer_from_gguf(gguf, t, err);
    xn_gguf_close(gguf);
    unlink(path);
    free(path);
    return status;
}

static struct xn_tokenizer *tiny_tokenizer(const struct tiny *tiny) {
    struct xn_error err;
    struct xn_tokenizer *t;
    if (open_tiny(tiny, &t, &err) != XN_OK) fail_msg("%s", err.message);
    return t;
}

static void gguf_sentencepiece_merges_by_score(void **state) {
    (void)state;
    struct tiny tiny = {
        .model = "llama",
        .tokens = {"<unk>", "<s>", "</s>", "<0x78>", "\xe2\x96\x81", "a", "b", "ab",
                   "\xe2\x96\x81"
                   "a",
                   "ba", "<u>"},
        .scores = {0, 0, 0, 0, -3, -4, -5, -1, -2, -1, 0},
        .types = {2, 3, 3, 6, 1, 1, 1, 1, 1, 1, 4},
        .n_tokens = 11,
        .n_scores = 11,
        .n_types = 11,
        .bos = -1,
        .eos = -1,
        .add_bos = -1,
        .space_prefix = -1,
    };
    struct xn_tokenizer *t = tiny_tokenizer(&tiny);
    encodes(t, "ab", 0, "4 7");    // ab (-1) comes before U+2581 a (-2)
    encodes(t, "aba", 0, "4 7 5"); // of equal scores the leftmost
    encodes(t, "ax", 0, "8 3");
    encodes(t, "ay", 0, "8 0"); // neither token nor byte
    encodes(t, "<s>a", XN_TOKENIZE_SPECIAL, "1 8");
    encodes(t, "a<u>a", 0, "8 10 8"); // a blank again after an added token
    encodes(t, "a", XN_TOKENIZE_BOS_EOS, "1 8");
    decodes(t, "1 8 7 8", false, "|a|ab| a|");
    decodes(t, "8 3 10", false, "a|x|<u>|");
    assert_true(xn_token_ends(t, 2));
    xn_tokenizer_free(t);
    tiny.space_prefix = 0;
    tiny.add_bos = 0;
    t = tiny_tokenizer(&tiny);
    encodes(t, "a a", XN_TOKENIZE_BOS_EOS, "5 8");
    decodes(t, "8 8", false, " a| a|");
    xn_tokenizer_free(t);
}

static void gguf_byte_level_bpe(void **state) {
    (void)state;
    struct tiny tiny = {
        .model = "gpt2",
        .pre = "gpt-2",
        .tokens = {"a", "b", "\xc4\xa0",
                   "\xc4\xa0"
                   "a",
                   "ab", "<|im_end|>", "<t>", "\xc3\xaf", "\xc2\xbf", "\xc2\xbd"},
        .merges = {"\xc4\xa0 a", "a b", "nonsense", "x y", " "},
        .types = {1, 1, 1, 1, 1, 1, 4, 1, 1, 1},
        .n_tokens = 10,
        .n_merges = 5,
        .n_types = 10,
        .bos = -1,
        .eos = 5,
        .add_bos = -1,
        .space_prefix = -1,
    };
    warnings = 0;
    xn_log_set_sink(count_warnings, NULL);
    struct xn_tokenizer *t = tiny_tokenizer(&tiny);
    assert_int_equal(warnings, 1); // about the merges
    encodes(t, "a ab", 0, "0 3 1");
    encodes(t, "a\xff", 0, "0 7 8 9"); // a bad byte is U+FFFD
    encodes(t, "<t>a<|im_end|>", XN_TOKENIZE_SPECIAL, "6 0 5");
    encodes(t, "<t>", 0, "6");
    assert_true(xn_token_is_special(t, 5)); // whatever its type says
    assert_true(xn_token_ends(t, 5));
    assert_int_equal(xn_token_bos(t), -1); // the default of this model, 11, is beyond the vocabulary
    decodes(t, "3 7 8 9", false, " a|||\xef\xbf\xbd|");
    xn_tokenizer_free(t);
    tiny.pre = "nonsense";
    tiny.n_merges = 2;
    warnings = 0;
    t = tiny_tokenizer(&tiny);
    assert_int_equal(warnings, 1); // the default pre-tokenizer is used
    encodes(t, "a ab", 0, "0 3 1");
    xn_tokenizer_free(t);
    tiny.pre = "llama-bpe"; // a piece that is a token is that token
    tiny.tokens[9] = "\xc4\xa0"
                     "ab";
    t = tiny_tokenizer(&tiny);
    encodes(t, "a ab", 0, "0 9");
    xn_tokenizer_free(t);
    xn_log_set_sink(NULL, NULL);
}

static void gguf_unigram_and_wordpiece(void **state) {
    (void)state;
    struct tiny tiny = {
        .model = "t5",
        .tokens = {"<pad>", "</s>", "<unk>", "\xe2\x96\x81",
                   "\xe2\x96\x81"
                   "a",
                   "b",
                   "\xe2\x96\x81"
                   "ab",
                   "a"},
        .scores = {0, 0, 0, -2, -1, -1, -5, -3},
        .types = {3, 3, 2, 1, 1, 1, 1, 1},
        .n_tokens = 8,
        .n_scores = 8,
        .n_types = 8,
        .bos = -1,
        .eos = -1,
        .add_bos = -1,
        .space_prefix = -1,
    };
    struct xn_tokenizer *t = tiny_tokenizer(&tiny);
    encodes(t, "ab a", 0, "4 5 4");
    encodes(t, "ab", XN_TOKENIZE_BOS_EOS, "4 5 1");
    encodes(t, "axyb", 0, "4 2 5");
    decodes(t, "4 5 4", false, "a|b| a|");
    xn_tokenizer_free(t);
    struct tiny bert = {
        .model = "bert",
        .tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "\xe2\x96\x81un", "able", "\xe2\x96\x81!",
                   "\xe2\x96\x81\xe4\xb8\xad"},
        .n_tokens = 8,
        .bos = 2,
        .eos = -1,
        .add_bos = -1,
        .space_prefix = -1,
    };
    t = tiny_tokenizer(&bert);
    encodes(t,
            "Un\xc3\xa0"
            "ble!\xe4\xb8\xad",
            0, "4 5 6 7");
    decodes(t, "4 5 6 7", false, "un|able|!| \xe4\xb8\xad|");
    xn_tokenizer_free(t);
}

static void wrong_gguf_are_errors(void **state) {
    (void)state;
    struct xn_error err;
    struct xn_tokenizer *t;
    struct tiny good = {.model = "gpt2",
                        .tokens = {"a", "b"},
                        .merges = {"a b"},
                        .n_tokens = 2,
                        .n_merges = 1,
                        .bos = -1,
                        .eos = -1,
                        .add_bos = -1,
                        .space_prefix = -1};
    struct tiny wrong[6] = {good, good, good, good, good, good};
    wrong[0].model = NULL;
    wrong[1].model = "rwkv";
    wrong[2].n_tokens = 0;
    wrong[3].n_merges = 0;
    wrong[4].n_scores = 1;
    wrong[5].n_types = 1;
    for (int i = 0; i < 6; i++) {
        err.message[0] = 0;
        assert_int_not_equal(open_tiny(&wrong[i], &t, &err), XN_OK);
        assert_null(t);
        assert_non_null(strstr(err.message, "tiny.gguf"));
        assert_non_null(strstr(err.message, "tokenizer.ggml."));
    }
    good.bos = 77; // out of range: as if not said
    good.tokens[1] = "a";
    t = tiny_tokenizer(&good);
    assert_int_equal(xn_token_bos(t), -1);
    encodes(t, "ab", 0, "0");
    xn_tokenizer_free(t);
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gguf_sentencepiece_merges_by_score),
        cmocka_unit_test(gguf_byte_level_bpe),
        cmocka_unit_test(gguf_unigram_and_wordpiece),
        cmocka_unit_test(wrong_gguf_are_errors),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
