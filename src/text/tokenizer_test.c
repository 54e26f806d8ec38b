// Tokenizers of tiny vocabularies: added tokens, framing, detokenization, and hostile files.
#include "base/file.h"
#include "text/tokenizer_testing.h"

#include <unistd.h>

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

static char folder[] = "/tmp/xenon-tokenizer-test-XXXXXX";

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
        cmocka_unit_test(added_tokens_are_found_first),
        cmocka_unit_test(texts_are_framed_as_the_file_says),
        cmocka_unit_test(characters_come_out_whole),
        cmocka_unit_test(sentencepiece_drops_the_first_blank),
        cmocka_unit_test(wrong_files_are_errors_that_name_them),
        cmocka_unit_test(odd_files_still_tokenize),
        cmocka_unit_test(a_folder_names_more_ends),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
