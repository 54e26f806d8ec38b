// Tokenizers of tiny vocabularies: the models against naive ones, added tokens, framing, detokenization, and hostile
// files.
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "text/tokenizer_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static uint32_t seed = 12345;

static uint32_t random_below(uint32_t n) {
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(seed >> 8) * n) >> 24);
}

static struct xn_tokenizer *from_text(const char *text, const char *config) {
    struct xn_error err;
    struct xn_tokenizer *t;
    json_t *j = config ? json_loads(config, 0, NULL) : NULL;
    if (xn_tokenizer_from_json_text("test.json", text, strlen(text), j, &t, &err) != XN_OK) fail_msg("%s", err.message);
    json_decref(j);
    return t;
}

// "1 2 3" for the ids of a text.
static void encodes(const struct xn_tokenizer *t, const char *text, int flags, const char *expected) {
    struct xn_error err;
    struct xn_ids ids = {0};
    char got[1024] = "";
    assert_int_equal(xn_tokenize(t, text, strlen(text), flags, &ids, &err), XN_OK);
    for (size_t i = 0, n = 0; i < ids.n && n < sizeof got - 16; i++)
        n += (size_t)sprintf(got + n, "%s%d", i ? " " : "", ids.data[i]);
    if (strcmp(got, expected) != 0) fail_msg("\"%s\": %s, expected %s", text, got, expected);
    free(ids.data);
}

// The text of ids given as "1 2 3", with "|" after what each of them brings out.
static void decodes(const struct xn_tokenizer *t, const char *ids, bool special, const char *expected) {
    struct xn_error err;
    struct xn_detokenizer d;
    struct xn_text out = {0};
    xn_detokenizer_init(&d, t, special);
    for (char *stop; *ids; ids = stop) {
        long id = strtol(ids, &stop, 10);
        assert_int_equal(xn_detokenize(&d, (int32_t)id, &out, &err), XN_OK);
        xn_text_append(&out, "|", 1);
    }
    assert_int_equal(xn_detokenize_end(&d, &out, &err), XN_OK);
    if (strcmp(out.data, expected) != 0) fail_msg("\"%s\", expected \"%s\"", out.data, expected);
    free(out.data);
}

// ---- models

// A random vocabulary over a few letters; merges join two earlier tokens.
enum { LETTERS = 3, TOKENS = 40, LONGEST = 24 };
struct random_bpe {
    char token[TOKENS][LONGEST + 1];
    int left[TOKENS], right[TOKENS], n;
};

static void make_random_bpe(struct random_bpe *b) {
    b->n = LETTERS;
    for (int i = 0; i < LETTERS; i++)
        sprintf(b->token[i], "%c", 'a' + i);
    for (int tries = 0; tries < 1000 && b->n < TOKENS; tries++) {
        int l = (int)random_below((uint32_t)b->n), r = (int)random_below((uint32_t)b->n);
        char joined[2 * LONGEST + 1];
        sprintf(joined, "%s%s", b->token[l], b->token[r]);
        bool known = strlen(joined) > LONGEST;
        for (int i = 0; i < b->n && !known; i++)
            known = strcmp(b->token[i], joined) == 0;
        if (known) continue;
        strcpy(b->token[b->n], joined);
        b->left[b->n] = l;
        b->right[b->n] = r;
        b->n++;
    }
}

static void put(struct xn_text *out, const char *text) {
    xn_text_append(out, text, strlen(text));
}

static char *bpe_json(const struct random_bpe *b) {
    struct xn_text out = {0};
    char line[128];
    put(&out, "{\"model\":{\"type\":\"BPE\",\"merges\":[");
    for (int i = LETTERS; i < b->n; i++) {
        const char *l = b->token[b->left[i]], *r = b->token[b->right[i]];
        int n = i % 2 ? sprintf(line, "%s[\"%s\",\"%s\"]", i > LETTERS ? "," : "", l, r) // both spellings of merges
                      : sprintf(line, "%s\"%s %s\"", i > LETTERS ? "," : "", l, r);
        xn_text_append(&out, line, (size_t)n);
    }
    put(&out, "],\"vocab\":{");
    for (int i = 0; i < b->n; i++)
        xn_text_append(&out, line, (size_t)sprintf(line, "%s\"%s\":%d", i ? "," : "", b->token[i], i));
    put(&out, "}}}");
    return out.data;
}

// The definition: while some neighbours can merge, merge the leftmost of those with the best rank.
static size_t naive_bpe(const struct random_bpe *b, const char *text, int *ids) {
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++)
        ids[i] = text[i] - 'a';
    for (;;) {
        int best = b->n;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++)
            for (int m = LETTERS; m < best; m++)
                if (b->left[m] == ids[i] && b->right[m] == ids[i + 1]) {
                    best = m;
                    at = i;
                }
        if (best == b->n) return n;
        ids[at] = best;
        memmove(ids + at + 1, ids + at + 2, (n - at - 2) * sizeof *ids);
        n--;
    }
}

static void bpe_merges_by_rank_then_leftmost(void **state) {
    (void)state;
    for (int round = 0; round < 60; round++) {
        struct random_bpe b;
        make_random_bpe(&b);
        char *json = bpe_json(&b);
        struct xn_tokenizer *t = from_text(json, NULL);
        for (int k = 0; k < 30; k++) { // below and above the length where the heap takes over
            char text[301];
            int expected[300];
            size_t n = 1 + random_below(k < 15 ? 50 : 300);
            for (size_t i = 0; i < n; i++)
                text[i] = (char)('a' + random_below(LETTERS));
            text[n] = 0;
            struct xn_error err;
            struct xn_ids ids = {0};
            assert_int_equal(xn_tokenize(t, text, n, 0, &ids, &err), XN_OK);
            size_t count = naive_bpe(&b, text, expected);
            assert_int_equal(ids.n, count);
            assert_memory_equal(ids.data, expected, count * sizeof *expected);
            free(ids.data);
        }
        xn_tokenizer_free(t);
        free(json);
    }
}

#define BPE(more, vocab, merges) "{\"model\":{\"type\":\"BPE\"," more "\"vocab\":{" vocab "},\"merges\":[" merges "]}}"

static void bpe_falls_back(void **state) {
    (void)state;
    struct xn_tokenizer *t = from_text(BPE("", "\"a\":0,\"b\":1", ""), NULL);
    encodes(t,
            "axb\xc3\xa9"
            "a",
            0, "0 1 0"); // no unknown token: dropped
    xn_tokenizer_free(t);
    t = from_text(BPE("\"unk_token\":\"?\",", "\"a\":0,\"?\":1", ""), NULL);
    encodes(t, "axya\xc3\xa9", 0, "0 1 1 0 1");
    xn_tokenizer_free(t);
    t = from_text(BPE("\"unk_token\":\"?\",\"fuse_unk\":true,", "\"a\":0,\"?\":1", ""), NULL);
    encodes(t, "axya\xc3\xa9", 0, "0 1 0 1");
    xn_tokenizer_free(t);
    t = from_text(BPE("\"unk_token\":\"?\",\"byte_fallback\":true,", "\"a\":0,\"?\":1,\"<0xC3>\":2,\"<0xA9>\":3", ""),
                  NULL);
    encodes(t, "a\xc3\xa9\xc3\xa8", 0, "0 2 3 1"); // only where all its bytes have tokens
    xn_tokenizer_free(t);
    t = from_text(BPE("\"ignore_merges\":true,", "\"a\":0,\"b\":1,\"ab\":2,\"aba\":3", "\"a b\""), NULL);
    encodes(t, "aba", 0, "3");
    encodes(t, "abab", 0, "2 2");
    xn_tokenizer_free(t);
    t = from_text(BPE("\"end_of_word_suffix\":\"</w>\",", "\"a\":0,\"b</w>\":1,\"ab</w>\":2,\"b\":3", "\"a b</w>\""),
                  NULL);
    encodes(t, "ab", 0, "2");
    encodes(t, "aab", 0, "0 2");
    xn_tokenizer_free(t);
    t = from_text(BPE("\"continuing_subword_prefix\":\"##\",", "\"a\":0,\"##b\":1,\"ab\":2,\"##a\":3", "\"a ##b\""),
                  NULL);
    encodes(t, "ab", 0, "2");
    encodes(t, "aab", 0, "0 3 1");
    xn_tokenizer_free(t);
}

// Cutting before U+2581 must not change anything: a token that has one inside keeps its neighbours together.
static void blocks_inside_tokens_hold_pieces_together(void **state) {
    (void)state;
    struct xn_tokenizer *t = from_text(
        "{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xe2\x96\x81\"},"
        "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"\xe2\x96\x81\":2,\"a\xe2\x96\x81\":3,\"a\xe2\x96\x81"
        "b\":4,"
        "\"\xe2\x96\x81"
        "a\":5,\"\xe2\x96\x81\xe2\x96\x81\":6},"
        "\"merges\":[\"a \xe2\x96\x81\",\"a\xe2\x96\x81 b\",\"\xe2\x96\x81 a\",\"\xe2\x96\x81 \xe2\x96\x81\"]}}",
        NULL);
    encodes(t, "a b", 0, "4");
    encodes(t, "b a", 0, "1 5");
    encodes(t, "b  a", 0, "1 2 5"); // the merge with a comes before that of the two blanks
    encodes(t, "b  b", 0, "1 6 1");
    xn_tokenizer_free(t);
}

static void unigram_takes_the_best_path(void **state) {
    (void)state;
    for (int round = 0; round < 200; round++) {
        // Tokens over two letters, with random scores; the best segmentation by dynamic programming over all pieces.
        static const char *const tokens[] = {"<unk>", "a", "b", "ab", "ba", "aa", "aab", "bab", "abba"};
        double score[9] = {0};
        char json[2048];
        int n = sprintf(json, "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[");
        for (int i = 0; i < 9; i++) {
            score[i] = i ? -(double)(1 + random_below(1000)) / 16 : 0;
            n += sprintf(json + n, "%s[\"%s\",%.4f]", i ? "," : "", tokens[i], score[i]);
        }
        sprintf(json + n, "]}}");
        struct xn_tokenizer *t = from_text(json, NULL);
        char text[33];
        size_t length = 1 + random_below(32);
        for (size_t i = 0; i < length; i++)
            text[i] = (char)('a' + random_below(2));
        text[length] = 0;
        double best[33] = {0};
        for (size_t end = 1; end <= length; end++) {
            best[end] = -1e9;
            for (int i = 1; i < 9; i++) {
                size_t size = strlen(tokens[i]);
                if (size <= end && memcmp(text + end - size, tokens[i], size) == 0 &&
                    best[end - size] + score[i] > best[end])
                    best[end] = best[end - size] + score[i];
            }
        }
        struct xn_error err;
        struct xn_ids ids = {0};
        assert_int_equal(xn_tokenize(t, text, length, 0, &ids, &err), XN_OK);
        double sum = 0;
        char joined[64] = "";
        for (size_t i = 0; i < ids.n; i++) {
            sum += score[ids.data[i]];
            strcat(joined, tokens[ids.data[i]]);
        }
        assert_string_equal(joined, text);
        assert_true(sum > best[length] - 1e-9 && sum < best[length] + 1e-9);
        free(ids.data);
        xn_tokenizer_free(t);
    }
    struct xn_tokenizer *t = from_text(
        "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"?\",0],[\"a\",-1],[\"\xc3\xa9\",-2]]}}", NULL);
    encodes(t, "axy\xc3\xa9z", 0, "1 0 2 0");
    xn_tokenizer_free(t);
    t = from_text("{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"byte_fallback\":true,\"vocab\":[[\"?\",0],[\"a\",-1]"
                  ",[\"<0x78>\",-3]]}}",
                  NULL);
    encodes(t, "axxaxy", 0, "1 2 2 1 0");
    xn_tokenizer_free(t);
}

static void wordpiece_takes_the_longest(void **state) {
    (void)state;
    struct xn_tokenizer *t =
        from_text("{\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"decoder\":{\"type\":\"WordPiece\",\"prefix\":"
                  "\"##\",\"cleanup\":true},"
                  "\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",7],\"cls\":[\"[CLS]\",6]},"
                  "\"added_tokens\":[{\"id\":6,\"content\":\"[CLS]\",\"special\":true},{\"id\":7,\"content\":\"[SEP]\","
                  "\"special\":true}],"
                  "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"?\",\"continuing_subword_prefix\":\"##\",\"max_"
                  "input_chars_per_word\":12,"
                  "\"vocab\":{\"?\":0,\"un\":1,\"##aff\":2,\"##able\":3,\"a\":4,\".\":5,\"[CLS]\":6,\"[SEP]\":7}}}",
                  NULL);
    encodes(t, "unaffable a.", 0, "1 2 3 4 5");
    encodes(t, "unx a", 0, "0 4");
    encodes(t, "un a", XN_TOKENIZE_BOS_EOS, "6 1 4 7");
    encodes(t, "ununununununun a", 0, "0 4"); // too long to be looked at
    decodes(t, "1 2 3 4 5", false, "un|aff|able| a|.|");
    decodes(t, "6 1 4 7", false, "|un| a||");
    decodes(t, "6 1 7", true, "[CLS]| un|[SEP]|");
    xn_tokenizer_free(t);
}

// ---- added tokens

#define ADDED(id, content, more) "{\"id\":" id ",\"content\":\"" content "\"" more "}"
#define WITH_ADDED(stages, added)                                                                                      \
    "{" stages "\"added_tokens\":[" added                                                                              \
    "],\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\" \":3,\"<\":4,"                                \
    "\"s\":5,\">\":6,\"A\":7},\"merges\":[]}}"

static void added_tokens_are_found_first(void **state) {
    (void)state;
    struct xn_tokenizer *t =
        from_text(WITH_ADDED("", ADDED("10", "<s>", ",\"special\":true") "," ADDED("11", "ab", "") "," ADDED(
                                     "12", "abc", "") "," ADDED("13", "bcc", "")),
                  NULL);
    encodes(t, "<s>a", 0, "4 5 6 0");
    encodes(t, "<s>a", XN_TOKENIZE_SPECIAL, "10 0");
    encodes(t, "ab abc abcc", 0, "11 3 12 3 12 2"); // the longest at the leftmost place
    encodes(t, "<<s>", XN_TOKENIZE_SPECIAL, "4 10");
    assert_int_equal(xn_tokenizer_size(t), 14);
    assert_int_equal(xn_token_id(t, "<s>"), 10);
    assert_int_equal(xn_token_id(t, "nothing"), -1);
    assert_true(xn_token_is_special(t, 10));
    assert_false(xn_token_is_special(t, 11));
    assert_false(xn_token_is_special(t, -1));
    assert_false(xn_token_is_special(t, 14));
    assert_int_equal(xn_token_text(t, 9).size, 0); // a hole
    decodes(t, "10 0 11", false, "|a| ab|");       // no decoder: blanks between tokens
    decodes(t, "10 0 9 -5 99", true, "<s>| a||||");
    xn_tokenizer_free(t);

    t = from_text(WITH_ADDED("", ADDED("10", "<s>", ",\"special\":true,\"lstrip\":true,\"rstrip\":true") "," ADDED(
                                     "11", "ca", ",\"single_word\":true")),
                  NULL);
    encodes(t, "a  <s>  a", XN_TOKENIZE_SPECIAL, "0 10 0");
    encodes(t, " <s> <s> ", XN_TOKENIZE_SPECIAL, "10 10");
    encodes(t, "ca aca ca", 0, "11 3 0 2 0 3 11");
    xn_tokenizer_free(t);

    // Normalized tokens are looked for in normalized text, by their normalized spelling.
    t = from_text(WITH_ADDED("\"normalizer\":{\"type\":\"Lowercase\"},",
                             ADDED("10", "Ab", ",\"normalized\":true") "," ADDED("11", "AC", "")),
                  NULL);
    encodes(t, "AB ab aB", 0, "10 3 10 3 10");
    encodes(t, "ac AC A", 0, "0 2 3 11 3 0");
    xn_tokenizer_free(t);
}

static void texts_are_framed_as_the_file_says(void **state) {
    (void)state;
    static const char file[] =
        WITH_ADDED("\"post_processor\":{\"type\":\"Sequence\",\"processors\":[{\"type\":\"ByteLevel\"},{\"type\":"
                   "\"TemplateProcessing\",\"single\":["
                   "{\"SpecialToken\":{\"id\":\"<b>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},{"
                   "\"SpecialToken\":{\"id\":\"<e>\",\"type_id\":0}}]}]},",
                   ADDED("10", "<b>", ",\"special\":true") "," ADDED("11", "<e>", ",\"special\":true") "," ADDED(
                       "12", "<|im_end|>", ",\"special\":true"));
    struct xn_tokenizer *t = from_text(file, NULL);
    encodes(t, "a", XN_TOKENIZE_BOS_EOS, "10 0 11");
    encodes(t, "", XN_TOKENIZE_BOS_EOS, "10 11");
    encodes(t, "a", 0, "0");
    assert_int_equal(xn_token_bos(t), 10);
    assert_int_equal(xn_token_eos(t), 11);
    assert_int_equal(xn_token_pad(t), -1);
    assert_true(xn_tokenizer_adds_bos(t));
    assert_true(xn_token_ends(t, 11));
    assert_true(xn_token_ends(t, 12)); // known by its spelling
    assert_false(xn_token_ends(t, 10));
    assert_false(xn_token_ends(t, 0));
    xn_tokenizer_free(t);
    t = from_text(file, "{\"bos_token\":{\"content\":\"<b>\"},\"eos_token\":\"<|im_end|>\",\"pad_token\":\"<e>\",\"add_"
                        "bos_token\":false}");
    encodes(t, "a", XN_TOKENIZE_BOS_EOS, "0 11");
    assert_int_equal(xn_token_eos(t), 12);
    assert_int_equal(xn_token_pad(t), 11);
    assert_false(xn_tokenizer_adds_bos(t));
    xn_tokenizer_free(t);
    t = from_text(WITH_ADDED("", ADDED("10", "<b>", ",\"special\":true")),
                  "{\"bos_token\":\"<b>\",\"add_bos_token\":true,\"eos_token\":null}");
    encodes(t, "a", XN_TOKENIZE_BOS_EOS, "10 0");
    assert_int_equal(xn_token_eos(t), -1);
    xn_tokenizer_free(t);
}

// ---- detokenization

static void characters_come_out_whole(void **state) {
    (void)state;
    // U+1F600 is f0 9f 98 80; as byte-level tokens: one of two bytes and two of one.
    struct xn_tokenizer *t = from_text(
        "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},\"decoder\":{\"type\":\"ByteLevel\"},"
        "\"added_tokens\":[{\"id\":9,\"content\":\"<s>\",\"special\":true}],"
        "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"\xc3\xb0\xc5\x81\":1,\"\xc4\xba\":2,\"\xc4\xa2\":3,"
        "\"\xc3\xb0\":4,\"\xc5\x81\":5,"
        "\"\xc4\xa0\":6,\"\xc3\xa9\":7,\"\xc3\xbf"
        "a\":8},\"merges\":[\"\xc3\xb0 \xc5\x81\"]}}",
        NULL);
    encodes(t, "a\xf0\x9f\x98\x80 ", 0, "0 1 2 3 6");
    decodes(t, "0 1 2 3 6", false, "a|||\xf0\x9f\x98\x80| |");
    decodes(t, "1 2 0", false,
            "||\xef\xbf\xbd"
            "a|"); // given up when something else comes
    decodes(t, "1 9 0", false,
            "||\xef\xbf\xbd"
            "a|"); // a hidden token changes nothing
    decodes(t, "1 9 0", true, "|\xef\xbf\xbd<s>|a|");
    decodes(t, "1 1 2 3", false, "|\xef\xbf\xbd||\xf0\x9f\x98\x80|");
    decodes(t, "3 2", false, "\xef\xbf\xbd|\xef\xbf\xbd|"); // continuations of nothing
    decodes(t, "7 8", false,
            "|\xef\xbf\xbd\xef\xbf\xbd"
            "a|");
    decodes(t, "0 1 2", false, "a|||\xef\xbf\xbd");
    xn_tokenizer_free(t);
}

static void sentencepiece_drops_the_first_blank(void **state) {
    (void)state;
    struct xn_tokenizer *t =
        from_text("{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":"
                  "\"\xe2\x96\x81\"},{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},"
                  "\"content\":\"\xe2\x96\x81\"}]},\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":"
                  "\"Replace\",\"pattern\":{\"String\":\"\xe2\x96\x81\"},\"content\":\" \"},"
                  "{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" "
                  "\",\"start\":1,\"stop\":0}]},"
                  "\"added_tokens\":[{\"id\":1,\"content\":\"<s>\",\"special\":true}],"
                  "\"model\":{\"type\":\"BPE\",\"unk_token\":\"?\",\"fuse_unk\":true,\"byte_fallback\":true,\"vocab\":{"
                  "\"?\":0,\"<s>\":1,\"\xe2\x96\x81\":2,\"a\":3,\"\xe2\x96\x81"
                  "a\":4,"
                  "\"<0xC3>\":5,\"<0xA9>\":6},\"merges\":[\"\xe2\x96\x81 a\"]}}",
                  NULL);
    encodes(t, "a a", 0, "4 4");
    encodes(t, "<s>a", XN_TOKENIZE_SPECIAL, "1 4");
    encodes(t, "\xc3\xa9", 0, "2 5 6");
    decodes(t, "4 4", false, "a| a|");
    decodes(t, "1 4 4", false, "|a| a|");
    decodes(t, "1 4", true, "<s>| a|");
    decodes(t, "2 5 6 4", false, "||\xc3\xa9| a|");
    decodes(t, "2 4", false, "| a|");
    xn_tokenizer_free(t);
    t = from_text("{\"decoder\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"always\"},"
                  "\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"?\",0],[\"_a\",-1],[\"b\",-1]]}}",
                  NULL);
    decodes(t, "1 2 1", false, "a|b| a|");
    xn_tokenizer_free(t);
    t = from_text("{\"decoder\":{\"type\":\"BPEDecoder\",\"suffix\":\"</"
                  "w>\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a</w>\":0,\"b\":1},\"merges\":[]}}",
                  NULL);
    decodes(t, "1 0 1 0", false, "b|a| b|a|");
    xn_tokenizer_free(t);
}

// ---- hostile files and texts

static void wrong_files_are_errors_that_name_them(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "",
        "{",
        "[]",
        "{}",
        "{\"model\":1}",
        "{\"model\":{}}",
        "{\"model\":{\"vocab\":1}}",
        "nonsense",
        "{\"model\":{\"vocab\":{\"a\":0}}} x",
        BPE("", "\"a\":-1", ""),
        BPE("", "\"a\":0.5", ""),
        BPE("", "\"a\":16777216", ""),
        BPE("", "\"a\":1e30", ""),
        BPE("", "\"a\":\"0\"", ""),
        BPE("", "\"a\":16777215", ""),
        BPE("", "", ""),
        BPE("", "\"a\" 0", ""),
        BPE("", "\"a\":0,", ""),
        BPE("", "\"\\q\":0", ""),
        BPE("", "\"\\u12\":0", ""),
        BPE("", "\"\xff\":0", ""),
        BPE("", "\"a\":0", "1"),
        BPE("", "\"a\":0", "\"a\""),
        BPE("", "\"a\":0", "[\"a\"]"),
        BPE("", "\"a\":0", "[\"a\",\"b\",\"c\"]"),
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0}}}",
        "{\"model\":{\"type\":\"BPE\",\"vocab\":[[\"a\",0]],\"merges\":[]}}",
        "{\"model\":{\"type\":\"Unigram\",\"vocab\":{\"a\":0}}}",
        "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}}}",
        "{\"model\":{\"type\":\"Unigram\",\"unk_id\":5,\"vocab\":[[\"a\",0]]}}",
        "{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\"]]}}",
        WITH_ADDED("", "1"),
        WITH_ADDED("", ADDED("-1", "x", "")),
        WITH_ADDED("", ADDED("16777215", "x", "")),
        WITH_ADDED("", "{\"id\":1}"),
        WITH_ADDED("\"normalizer\":{\"type\":\"x\"},", ""),
        WITH_ADDED("\"decoder\":{\"type\":\"x\"},", ""),
        WITH_ADDED("\"pre_tokenizer\":{\"type\":\"x\"},", ""),
        WITH_ADDED("\"post_processor\":{\"type\":\"BertProcessing\"},", ""),
        WITH_ADDED("\"decoder\":null,\"decoder\":null,", ""),
        "{\"model\":{\"vocab\":{\"a\":0},\"vocab\":{\"a\":0},\"merges\":[]}}",
        "{\"model\":{\"vocab\":{\"a\":0},\"merges\":[]},\"model\":{}}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct xn_error err = {0};
        struct xn_tokenizer *t;
        size_t n = strlen(wrong[i]);
        char *exact = malloc(n ? n : 1);
        memcpy(exact, wrong[i], n);
        if (xn_tokenizer_from_json_text("test.json", exact, n, NULL, &t, &err) == XN_OK)
            fail_msg("%s was accepted", wrong[i]);
        assert_null(t);
        if (strncmp(err.message, "test.json: ", 11) != 0) fail_msg("%s: %s", wrong[i], err.message);
        free(exact);
    }
}

static void odd_files_still_tokenize(void **state) {
    (void)state;
    struct xn_tokenizer *t =
        from_text(BPE("", "\"a\":0,\"b\":0,\"a\":1,\"c\":2,\"\":3", "\"a zz\",\"a a\",[\"c\",\"c\"]"), NULL);
    encodes(t, "aac", 0, "0 0 2"); // duplicates: the first counts; merges of what is no token are left out
    xn_tokenizer_free(t);
    t = from_text(BPE("", "\"a\\u0000b\":0,\"\\ud83d\\ude00\":1,\"\\ud83d\":2", ""), NULL);
    assert_int_equal(xn_token_text(t, 0).size, 3);
    assert_int_equal(xn_token_id(t, "\xf0\x9f\x98\x80"), 1);
    assert_int_equal(xn_token_id(t, "\xef\xbf\xbd"), 2);
    xn_tokenizer_free(t);
    // An added token that is the text's largest part, and one whose id is taken.
    enum { HUGE_TOKEN = 200000 };
    struct xn_text file = {0};
    put(&file, "{\"added_tokens\":[{\"id\":0,\"content\":\"taken\"},{\"id\":1,\"content\":\"");
    for (int i = 0; i < HUGE_TOKEN; i++)
        xn_text_append(&file, "a", 1);
    put(&file, "\"}],\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}");
    t = from_text(file.data, NULL);
    struct xn_error err;
    struct xn_ids ids = {0};
    char *text = malloc(2 * HUGE_TOKEN);
    memset(text, 'a', 2 * HUGE_TOKEN);
    assert_int_equal(xn_tokenize(t, text, 2 * HUGE_TOKEN - 1, 0, &ids, &err), XN_OK);
    assert_int_equal(ids.n, HUGE_TOKEN);
    assert_int_equal(ids.data[0], 1);
    free(ids.data);
    free(text);
    free(file.data);
    xn_tokenizer_free(t);
}

static void long_runs_take_linear_time(void **state) {
    (void)state;
    enum { SIZE = 1 << 20 };
    struct random_bpe b = {.n = LETTERS};
    for (int i = 0; i < LETTERS; i++)
        sprintf(b.token[i], "%c", 'a' + i);
    for (int i = LETTERS; i < LETTERS + 4; i++, b.n++) { // aa, aaaa, ...
        b.left[i] = b.right[i] = i == LETTERS ? 0 : i - 1;
        memset(b.token[i], 'a', (size_t)2 << (i - LETTERS));
    }
    char *json = bpe_json(&b), *text = malloc(SIZE);
    struct xn_tokenizer *t = from_text(json, NULL);
    struct xn_error err;
    struct xn_ids ids = {0};
    memset(text, 'a', SIZE);
    clock_t start = clock();
    assert_int_equal(xn_tokenize(t, text, SIZE, 0, &ids, &err), XN_OK);
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 10); // a quadratic one takes hours
    assert_int_equal(ids.n, SIZE / 16);
    free(ids.data);
    free(text);
    free(json);
    xn_tokenizer_free(t);
}

// ---- GGUF

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

static void a_folder_names_more_ends(void **state) {
    (void)state;
    struct xn_error err;
    struct xn_tokenizer *t;
    struct xn_source source = {.path = folder};
    assert_int_equal(xn_tokenizer_from_source(&source, &t, &err), XN_ERR_FORMAT);
    assert_non_null(strstr(err.message, "tokenizer.json"));
    source.tokenizer_path = xn_path_join(folder, "tokenizer.json");
    FILE *f = fopen(source.tokenizer_path, "w");
    assert_non_null(f);
    fputs(BPE("", "\"a\":0,\"b\":1,\"c\":2,\"d\":3,\"e\":4", ""), f);
    fclose(f);
    source.tokenizer_config = json_pack("{s:s}", "eos_token", "a");
    source.generation_config = json_pack("{s:[i,i]}", "eos_token_id", 1, 999);
    source.config = json_pack("{s:i,s:{s:i}}", "eos_token_id", 2, "text_config", "eos_token_id", 3);
    if (xn_tokenizer_from_source(&source, &t, &err) != XN_OK) fail_msg("%s", err.message);
    for (int32_t id = 0; id < 5; id++)
        assert_int_equal(xn_token_ends(t, id), id < 4);
    xn_tokenizer_free(t);
    json_decref(source.tokenizer_config);
    json_decref(source.generation_config);
    json_decref(source.config);
    unlink(source.tokenizer_path);
    free(source.tokenizer_path);
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bpe_merges_by_rank_then_leftmost),
        cmocka_unit_test(bpe_falls_back),
        cmocka_unit_test(blocks_inside_tokens_hold_pieces_together),
        cmocka_unit_test(unigram_takes_the_best_path),
        cmocka_unit_test(wordpiece_takes_the_longest),
        cmocka_unit_test(added_tokens_are_found_first),
        cmocka_unit_test(texts_are_framed_as_the_file_says),
        cmocka_unit_test(characters_come_out_whole),
        cmocka_unit_test(sentencepiece_drops_the_first_blank),
        cmocka_unit_test(wrong_files_are_errors_that_name_them),
        cmocka_unit_test(odd_files_still_tokenize),
        cmocka_unit_test(long_runs_take_linear_time),
        cmocka_unit_test(gguf_sentencepiece_merges_by_score),
        cmocka_unit_test(gguf_byte_level_bpe),
        cmocka_unit_test(gguf_unigram_and_wordpiece),
        cmocka_unit_test(wrong_gguf_are_errors),
        cmocka_unit_test(a_folder_names_more_ends),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
