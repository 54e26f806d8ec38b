// The stages of encoding one by one: regular expressions, normalizers, pre-tokenizers, and the pre-tokenizers that GGUF
// names.
#include "base/memory.h"
#include "text/tokenizer_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

// ---- Unicode

static void only_well_formed_characters_decode(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
        uint32_t c;
    } cases[] = {
        {"a", 1, 'a'},
        {"\xc3\xa9", 2, 0xe9},
        {"\xe2\x96\x81", 3, 0x2581},
        {"\xf0\x9f\x98\x80", 4, 0x1f600},
        {"\xf4\x8f\xbf\xbf", 4, 0x10ffff},
        {"\x80", 0, 0},
        {"\xc0\xaf", 0, 0},
        {"\xc3", 0, 0},
        {"\xe0\x9f\xbf", 0, 0},
        {"\xed\xa0\x80", 0, 0},
        {"\xf0\x8f\xbf\xbf", 0, 0},
        {"\xf4\x90\x80\x80", 0, 0},
        {"\xf8\x88\x80\x80", 0, 0},
        {"\xe2\x96", 0, 0},
        {"\xf0\x9f\x98", 0, 0},
        {"\xff", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t c = 0;
        size_t n = strlen(cases[i].bytes);
        char *exact = malloc(n); // so that a sanitizer sees a read too far
        memcpy(exact, cases[i].bytes, n);
        assert_int_equal(xn_utf8_decode(exact, n, &c), cases[i].length);
        if (cases[i].length) {
            char back[4];
            assert_int_equal(c, cases[i].c);
            assert_int_equal(xn_utf8_encode(c, back), n);
            assert_memory_equal(back, exact, n);
        }
        free(exact);
    }
}

static void gpt2_characters_are_a_bijection(void **state) {
    (void)state;
    bool seen[0x200] = {false};
    for (int b = 0; b < 256; b++) {
        char text[2];
        uint32_t c;
        size_t n = xn_gpt2_byte_char((uint8_t)b, text);
        assert_int_equal(xn_utf8_decode(text, n, &c), n);
        assert_true(c < 0x200 && !seen[c]);
        seen[c] = true;
        assert_int_equal(xn_gpt2_char_byte(c), b);
    }
    assert_int_equal(xn_gpt2_char_byte(0x120), ' '); // the G with a dot that everyone knows
    assert_int_equal(xn_gpt2_char_byte(0x144), -1);
    assert_int_equal(xn_gpt2_char_byte(' '), -1);
}

// ---- regular expressions

// The matches of a pattern in a text, each in brackets.
static void matches(const char *pattern, const char *text, const char *expected) {
    struct xn_error err;
    struct xn_regex *regex;
    if (xn_regex_compile(pattern, strlen(pattern), &regex, &err) != XN_OK) fail_msg("%s", err.message);
    struct xn_regex_scratch *scratch = xn_regex_scratch_new();
    struct xn_text got = {0};
    size_t start, end, n = strlen(text);
    assert_int_equal(xn_text_append(&got, "", 0), XN_OK);
    for (size_t from = 0; from < n && xn_regex_find(regex, scratch, text, n, from, &start, &end) && end > start;
         from = end) {
        xn_text_append(&got, "[", 1);
        xn_text_append(&got, text + start, end - start);
        xn_text_append(&got, "]", 1);
    }
    if (strcmp(got.data, expected) != 0) fail_msg("%s in \"%s\": %s, expected %s", pattern, text, got.data, expected);
    free(got.data);
    xn_regex_scratch_free(scratch);
    xn_regex_free(regex);
}

static void onigurumas_syntax_is_understood(void **state) {
    (void)state;
    matches("\\s+",
            "a \t\xc2\xa0\xe1\xa0\x8e"
            "b",
            "[ \t\xc2\xa0]"); // U+180E is no white space any more
    matches("[^\\s]+",
            "a\xe3\x80\x80"
            "b",
            "[a][b]");
    matches("\\S+", "ab cd", "[ab][cd]");
    matches("\\w+",
            "a_b\xcc\x81"
            "1-\xd9\xa3 \xc2\xb2",
            "[a_b\xcc\x81"
            "1][\xd9\xa3]"); // superscript two is no word
    matches("\\h+", "xfe09g", "[fe09]");
    matches("[\\h_]+", "xfe_9g", "[fe_9]");
    matches("[\\H]+", "fxyf", "[xy]");
    matches("\\d+", "1\xd9\xa3x", "[1\xd9\xa3]");
    matches("[a-z&&[^aeiou]]+", "strength area", "[str][ngth][r]");
    matches("[a-z&&[^aeiou]&&[^s]]+", "strength", "[tr][ngth]");
    matches("[^a-z&&[^aeiou]]+", "stAaeBr", "[AaeB]");
    matches("[\\p{L}&&[^\\p{Han}]]+",
            "ab\xe6\xbc\xa2"
            "cd",
            "[ab][cd]");
    matches("[a[0-9]_]+", "xa1_b", "[a1_]");
    matches("[]a]+", "x]a", "[]a]");
    matches("[x^]+", "a^x", "[^x]");
    matches("\\p{N}{1,3}+", "1234567 8", "[1234567][8]"); // not possessive, but repeated
    matches("(?:ab){2}+", "ababab abab", "[abab][abab]");
    matches("a{,2}b", "aaab", "[aab]");
    matches("a{x", "a{x", "[a{x]");
    matches("(?m:a.)b", "a\nb", "[a\nb]");
    matches("(?i:'s|'t)", "'S't'x", "['S]['t]");
    matches("\\p{^L}+", "ab12", "[12]");
    matches("\\p{Letter}+|\\p{Punct}", "ab!", "[ab][!]");
    matches("[[:digit:]x]+", "a1x2b", "[1x2]");
    matches("x$", "ax\nbx", "[x][x]");
    matches("\\s+$", "a  b  ", "[  ]");
    matches("\\[\\]\\\\[\\]]", "[]\\]", "[[]\\]]");
}

static void what_is_no_expression_is_an_error(void **state) {
    (void)state;
    static const char *const wrong[] = {"[a", "(", "[a&&[b]", "a{2,1}", "\\p{Nonsense}", "*a", "[[[[[[", "(?<name"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct xn_error err;
        struct xn_regex *regex;
        assert_int_equal(xn_regex_compile(wrong[i], strlen(wrong[i]), &regex, &err), XN_ERR_UNSUPPORTED);
        assert_null(regex);
        assert_non_null(strstr(err.message, "regular expression"));
    }
}

// ---- normalizers

static void a_normalizer_gives(const char *json, const char *text, size_t size, const char *expected) {
    struct xn_error err;
    struct xn_json_reader r = {.path = "test", .t = xn_tokenizer_new(), .err = &err};
    json_t *j = json_loads(json, JSON_DECODE_ANY, NULL);
    assert_non_null(j);
    if (xn_json_normalizer(&r, j) != XN_OK) fail_msg("%s", err.message);
    struct xn_regex_scratch *scratch = xn_regex_scratch_new();
    struct xn_text a = {0}, b = {0};
    xn_text_append(&a, text, size);
    for (size_t i = 0; i < r.t->n_normalizers; i++) {
        b.size = 0;
        assert_int_equal(xn_text_append(&b, "", 0), XN_OK);
        assert_int_equal(xn_normalizer_apply(&r.t->normalizers[i], scratch, a.data, a.size, &b), XN_OK);
        struct xn_text swap = a;
        a = b;
        b = swap;
    }
    if (strcmp(a.data, expected) != 0) fail_msg("%s of \"%s\": \"%s\", expected \"%s\"", json, text, a.data, expected);
    free(a.data);
    free(b.data);
    json_decref(j);
    xn_regex_scratch_free(scratch);
    xn_tokenizer_free(r.t);
}

static void normalizers_normalize(void **state) {
    (void)state;
    static const char *const cases[][3] = {
        {"{\"type\":\"NFC\"}", "cafe\xcc\x81 \xe2\x84\xa6 e", "caf\xc3\xa9 \xce\xa9 e"},
        {"{\"type\":\"NFC\"}", "a\xcc\x87\xcc\xa3", "\xe1\xba\xa1\xcc\x87"},
        {"{\"type\":\"NFC\"}",
         "\xff"
         "e\xcc\x81\xfe",
         "\xff\xc3\xa9\xfe"},
        {"{\"type\":\"NFD\"}", "caf\xc3\xa9", "cafe\xcc\x81"},
        {"{\"type\":\"NFKC\"}", "\xef\xac\x81 \xe2\x91\xa0 x\xc2\xb2", "fi 1 x2"},
        {"{\"type\":\"NFKD\"}", "\xef\xac\x81\xc3\xa9", "fie\xcc\x81"},
        {"{\"type\":\"Lowercase\"}", "ABC \xc3\x89 \xc4\xb0 \xce\xa3", "abc \xc3\xa9 i\xcc\x87 \xcf\x83"},
        {"{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true}", " \xe3\x80\x80 a b\xc2\xa0\n", "a b"},
        {"{\"type\":\"Strip\",\"strip_left\":false,\"strip_right\":true}", "  a  ", "  a"},
        {"{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true}", " \n ", ""},
        {"{\"type\":\"StripAccents\"}",
         "e\xcc\x81"
         "a",
         "ea"},
        {"{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xe2\x96\x81\"}", "a  b",
         "a\xe2\x96\x81\xe2\x96\x81"
         "b"},
        {"{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" {2,}\"},\"content\":\" \"}", "a    b c", "a b c"},
        {"{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"x*\"},\"content\":\"-\"}", "axb", "-a-b-"},
        {"{\"type\":\"Prepend\",\"prepend\":\"\xe2\x96\x81\"}", "a",
         "\xe2\x96\x81"
         "a"},
        {"{\"type\":\"Prepend\",\"prepend\":\"\xe2\x96\x81\"}", "", ""},
        {"{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true,\"strip_accents\":null,"
         "\"lowercase\":true}",
         "H\xc3\x89llo\t\xe4\xb8\xad\x01\xef\xbf\xbd!", "hello  \xe4\xb8\xad !"},
        {"{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":false,\"strip_accents\":null,"
         "\"lowercase\":false}",
         "H\xc3\x89\xe4\xb8\xad", "H\xc3\x89\xe4\xb8\xad"},
        {"{\"type\":\"Nmt\"}",
         "a\x07\tb\xe2\x80\x8b"
         "c",
         "a b c"},
        {"{\"type\":\"ByteLevel\"}", "a \xc3\xa9", "a\xc4\xa0\xc3\x83\xc2\xa9"},
        {"{\"type\":\"Precompiled\",\"precompiled_charsmap\":null}", "a", "a"},
        {"{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFD\"},{\"type\":\"Lowercase\"},{\"type\":"
         "\"StripAccents\"}]}",
         "\xc3\x89", "e"},
        {"null", "As It Is", "As It Is"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        a_normalizer_gives(cases[i][0], cases[i][1], strlen(cases[i][1]), cases[i][2]);
}

// A charsmap with the one rule "a" -> "xy", made as Darts lays it out: the root's offset is 1 (shifted), its child
// stands at offset ^ 'a' with a leaf, whose value is the offset of the replacement.
static void a_charsmap_replaces(void **state) {
    (void)state;
    uint32_t units[256] = {0};
    units[0] = 1u << 10;                       // offset 1
    units['a' ^ 1] = 'a' | 1u << 8 | 2u << 10; // label, leaf, offset 2
    units['a' ^ 1 ^ 2] = 1u << 31 | 4;         // value 4
    char data[4 + sizeof units + 8];
    uint32_t bytes = sizeof units;
    memcpy(data, &bytes, 4);
    memcpy(data + 4, units, sizeof units);
    memcpy(data + 4 + sizeof units, "???\0xy\0", 8);
    struct xn_error err;
    struct xn_charsmap *map;
    struct xn_text out = {0};
    assert_int_equal(xn_charsmap_new(data, sizeof data, &map, &err), XN_OK);
    assert_int_equal(xn_charsmap_apply(map, "bab\xff", 4, &out), XN_OK);
    assert_string_equal(out.data, "bxyb\xff");
    free(out.data);
    xn_charsmap_free(map);
    for (size_t cut = 0; cut < 16; cut++)
        assert_int_not_equal(xn_charsmap_new(data, cut, &map, &err), XN_OK);
    // Hostile units lead nowhere.
    uint32_t seed = 1;
    for (int round = 0; round < 200; round++) {
        for (size_t i = 4; i < sizeof data; i++)
            data[i] = (char)((seed = seed * 1664525 + 1013904223) >> 24);
        assert_int_equal(xn_charsmap_new(data, sizeof data, &map, &err), XN_OK);
        out = (struct xn_text){0};
        assert_int_equal(xn_charsmap_apply(map, data + 8, sizeof data - 8, &out), XN_OK);
        free(out.data);
        xn_charsmap_free(map);
    }
}

// ---- pre-tokenizers

static int collect(void *user, const char *piece, size_t size) {
    struct xn_text *out = user;
    XN_TRY(xn_text_append(out, piece, size));
    return xn_text_append(out, "|", 1);
}

static void cut(const struct xn_tokenizer *t, const char *text, size_t size, bool first, struct xn_text *out) {
    struct xn_text buffers[XN_MAX_STEPS] = {{0}};
    struct xn_regex_scratch *scratch = xn_regex_scratch_new();
    const struct xn_pretokenize_run run = {.steps = t->pretokenizers,
                                           .n_steps = t->n_pretokenizers,
                                           .scratch = scratch,
                                           .buffers = buffers,
                                           .sink = collect,
                                           .user = out};
    assert_int_equal(xn_text_append(out, "", 0), XN_OK);
    assert_int_equal(xn_pretokenize(&run, 0, text, size, first), XN_OK);
    for (int i = 0; i < XN_MAX_STEPS; i++)
        free(buffers[i].data);
    xn_regex_scratch_free(scratch);
}

static void a_pretokenizer_gives(const char *json, bool first, const char *text, const char *expected) {
    struct xn_error err;
    struct xn_json_reader r = {.path = "test", .t = xn_tokenizer_new(), .err = &err};
    r.t->model.kind = XN_MODEL_WORDPIECE; // so that ByteLevel stays a step
    json_t *j = json_loads(json, JSON_DECODE_ANY, NULL);
    assert_non_null(j);
    if (xn_json_pretokenizer(&r, j) != XN_OK) fail_msg("%s", err.message);
    struct xn_text out = {0};
    cut(r.t, text, strlen(text), first, &out);
    if (strcmp(out.data, expected) != 0)
        fail_msg("%s of \"%s\": \"%s\", expected \"%s\"", json, text, out.data, expected);
    free(out.data);
    json_decref(j);
    xn_tokenizer_free(r.t);
}

#define SPLIT(pattern, behavior, invert)                                                                               \
    "{\"type\":\"Split\",\"pattern\":" pattern ",\"behavior\":\"" behavior "\",\"invert\":" invert "}"
#define BLOCK "\xe2\x96\x81"

static void pretokenizers_cut(void **state) {
    (void)state;
    static const char *const cases[][3] = {
        {SPLIT("{\"String\":\"-\"}", "Removed", "false"), "the-final--countdown", "the|final|countdown|"},
        {SPLIT("{\"String\":\"-\"}", "Isolated", "false"), "the-final--countdown", "the|-|final|-|-|countdown|"},
        {SPLIT("{\"String\":\"-\"}", "MergedWithPrevious", "false"), "the-final--countdown",
         "the-|final-|-|countdown|"},
        {SPLIT("{\"String\":\"-\"}", "MergedWithNext", "false"), "the-final--countdown", "the|-final|-|-countdown|"},
        {SPLIT("{\"String\":\"-\"}", "Contiguous", "false"), "the-final--countdown", "the|-|final|--|countdown|"},
        {SPLIT("{\"String\":\"-\"}", "MergedWithPrevious", "false"), "--a-", "-|-|a-|"},
        {SPLIT("{\"String\":\"-\"}", "MergedWithNext", "false"), "-a--", "-a|-|-|"},
        {SPLIT("{\"Regex\":\"[0-9]+\"}", "Removed", "true"), "a12b3", "12|3|"},
        {SPLIT("{\"Regex\":\"[0-9]\"}", "Contiguous", "false"), "a12b", "a|12|b|"},
        {SPLIT("{\"Regex\":\"(?=[0-9])\"}", "Isolated", "false"), "a12b", "a|1|2b|"},
        {SPLIT("{\"Regex\":\"(?=(\\\\d{3})+(?!\\\\d))\"}", "Isolated", "false"), "ab1234567 123 12",
         "ab1|234|567 |123 12|"},
        {SPLIT("{\"Regex\":\"\\\\d{1,3}(?=(?:\\\\d{3})*\\\\b)\"}", "Isolated", "false"), "x 1234567,12a 123456",
         "x |1|234|567|,12a |123|456|"},
        {"{\"type\":\"Digits\",\"individual_digits\":true}", "a12\xc2\xbd", "a|1|2|\xc2\xbd|"},
        {"{\"type\":\"Digits\",\"individual_digits\":false}", "a12b", "a|12|b|"},
        {"{\"type\":\"Punctuation\"}", "a!?b\xe3\x80\x82", "a|!|?|b|\xe3\x80\x82|"},
        {"{\"type\":\"Punctuation\",\"behavior\":\"Contiguous\"}", "a!?b", "a|!?|b|"},
        {"{\"type\":\"Whitespace\"}", "Hey friend!?  a_b", "Hey|friend|!?|a_b|"},
        {"{\"type\":\"WhitespaceSplit\"}", " Hey,\tfriend! ", "Hey,|friend!|"},
        {"{\"type\":\"BertPreTokenizer\"}", "Hey,  friend!", "Hey|,|friend|!|"},
        {"{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"x\"}", "axbxx", "a|b|"},
        {"{\"type\":\"Metaspace\",\"replacement\":\"" BLOCK "\",\"prepend_scheme\":\"always\"}", "Hey  you",
         BLOCK "Hey|" BLOCK "|" BLOCK "you|"},
        {"{\"type\":\"Metaspace\",\"replacement\":\"" BLOCK "\",\"prepend_scheme\":\"always\"}", " Hey", BLOCK "Hey|"},
        {"{\"type\":\"Metaspace\",\"replacement\":\"" BLOCK "\",\"prepend_scheme\":\"never\",\"split\":false}", "a b",
         "a" BLOCK "b|"},
        {"{\"type\":\"Metaspace\",\"replacement\":\"" BLOCK "\",\"prepend_scheme\":\"first\",\"split\":false}", "a b",
         BLOCK "a" BLOCK "b|"},
        {"{\"type\":\"Metaspace\",\"replacement\":\"" BLOCK "\",\"add_prefix_space\":false}", "a b", "a|" BLOCK "b|"},
        {"{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"use_regex\":true}", "Hello my friend, 12",
         "\xc4\xa0Hello|\xc4\xa0my|\xc4\xa0"
         "friend|,|\xc4\xa0"
         "12|"},
        {"{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}", "a b",
         "a\xc4\xa0"
         "b|"},
        {"{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},{\"type\":\"Digits\",\"individual_"
         "digits\":true}]}",
         "a12 b", "a|1|2|b|"},
        {"null", "a b", "a b|"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        a_pretokenizer_gives(cases[i][0], true, cases[i][1], cases[i][2]);
    a_pretokenizer_gives("{\"type\":\"Metaspace\",\"replacement\":\"" BLOCK
                         "\",\"prepend_scheme\":\"first\",\"split\":false}",
                         false, "a b", "a" BLOCK "b|");
}

static void wrong_stages_are_errors(void **state) {
    (void)state;
    static const char *const normalizers[] = {
        "{\"type\":\"Nonsense\"}",
        "{}",
        "[]",
        "{\"type\":\"Replace\"}",
        "{\"type\":\"Prepend\",\"prepend\":1}",
        "{\"type\":\"Sequence\",\"normalizers\":1}",
        "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"*\"}",
        "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAA\"}",
        "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"(\"},\"content\":\"\"}",
    };
    static const char *const pretokenizers[] = {
        "{\"type\":\"Nonsense\"}",  "{\"type\":\"Split\"}",    SPLIT("{\"String\":\"-\"}", "Nonsense", "false"),
        "{\"type\":\"Metaspace\"}", "{\"type\":\"Sequence\"}", SPLIT("{\"Regex\":\"[\"}", "Isolated", "false"),
    };
    struct xn_error err;
    for (size_t i = 0; i < sizeof normalizers / sizeof *normalizers + sizeof pretokenizers / sizeof *pretokenizers;
         i++) {
        size_t n = sizeof normalizers / sizeof *normalizers;
        struct xn_json_reader r = {.path = "test.json", .t = xn_tokenizer_new(), .err = &err};
        json_t *j = json_loads(i < n ? normalizers[i] : pretokenizers[i - n], JSON_DECODE_ANY, NULL);
        assert_non_null(j);
        err.message[0] = 0;
        assert_int_not_equal(i < n ? xn_json_normalizer(&r, j) : xn_json_pretokenizer(&r, j), XN_OK);
        assert_int_equal(strncmp(err.message, "test.json: ", 11), 0);
        json_decref(j);
        xn_tokenizer_free(r.t);
    }
}

// ---- GGUF's names

static void open_named(const char *name, struct xn_tokenizer *t) {
    struct xn_error err;
    const struct xn_gguf_pretokenizer *p = xn_gguf_pretokenizer(name, strlen(name));
    if (!p) fail_msg("%s is unknown", name);
    for (size_t i = 0; i < 6 && p->patterns[i]; i++) {
        struct xn_pretokenizer *step = &t->pretokenizers[t->n_pretokenizers++];
        if (xn_pretokenizer_regex(step, p->patterns[i], strlen(p->patterns[i]), XN_SPLIT_ISOLATED, false, &err) !=
            XN_OK)
            fail_msg("%s: %s", name, err.message);
    }
}

static void named_pretokenizers_cut(void **state) {
    (void)state;
    static const char *const cases[][3] = {
        {"gpt-2", "I'm  here123 now!\n", "I|'m| | here|123| now|!|\n|"},
        {"llama-bpe", "I'M  here1234!\n\nx", "I|'M| | here|123|4|!\n\n|x|"},
        {"qwen2", "a12 b", "a|1|2| b|"},
        {"qwen35", "e\xcc\x81x 12", "e\xcc\x81x| |1|2|"},
        {"tekken", "HTMLParser iOS12", "HTMLParser| i|OS|1|2|"},
        {"gpt-4o", "HTMLparser's x/\n", "HTMLparser's| x|/\n|"},
        {"kimi-k2",
         "\xe6\xbc\xa2\xe5\xad\x97"
         "abc 1234",
         "\xe6\xbc\xa2\xe5\xad\x97|abc| |123|4|"},
        {"deepseek-v3", "abc1234 \xe6\xbc\xa2!", "abc|123|4| |\xe6\xbc\xa2|!|"},
        {"superbpe", "x 1234567 yz", "x |1|234|567| yz|"},
        {"afmoe", "ab 1234567 x", "ab| |1|234|567| x|"},
        {"starcoder", "a12 b", "a|1|2| b|"},
        {"bloom", "Hello, world", "Hello|,| world|"},
        {"viking", "ab12", "ab|1|2|"},
        {"gemma4", "a b\n\nc", "a b|\n\n|c|"},
        {"deepseek-llm", "Hi there,\n12", "Hi| there|,|\n|12|"},
        {"falcon", "a+b 1234", "a|+|b| |123|4|"},
        {"tiny_aya", "a 1234", "a| |1|234|"},
        {"exaone-moe", "ab cd 1", "ab cd| |1|"},
        {"bailingmoe", "it's\n\n", "it|'s|\n\n|"},
        {"seed-coder", "a!\n", "a|!|\n|"},
        {"default", "Hello, 1234", "Hello|,| |123|4|"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct xn_tokenizer *t = xn_tokenizer_new();
        struct xn_text out = {0};
        open_named(cases[i][0], t);
        cut(t, cases[i][1], strlen(cases[i][1]), true, &out);
        if (strcmp(out.data, cases[i][2]) != 0)
            fail_msg("%s: \"%s\", expected \"%s\"", cases[i][0], out.data, cases[i][2]);
        free(out.data);
        xn_tokenizer_free(t);
    }
    assert_null(xn_gguf_pretokenizer("nonsense", 8));
    assert_null(xn_gguf_pretokenizer("", 0));
}

static int count_bytes(void *user, const char *piece, size_t size) {
    (void)piece;
    *(size_t *)user += size;
    return XN_OK;
}

// Every named pre-tokenizer takes long runs of one thing in reasonable time, and loses nothing.
static void named_pretokenizers_are_linear(void **state) {
    (void)state;
    static const char *const units[] = {"a",        " ",  "1",   "\n", "A", "!", "\xe6\xbc\xa2",
                                        "\xcc\x81", "a ", " \n", "'s", "1a"};
    enum { SIZE = 60000 };
    char *text = malloc(SIZE + 16);
    for (size_t i = 0; xn_gguf_pretokenizer_at(i); i++) {
        char *name = xn_strndup(xn_gguf_pretokenizer_at(i)->name, strcspn(xn_gguf_pretokenizer_at(i)->name, " "));
        struct xn_tokenizer *t = xn_tokenizer_new();
        open_named(name, t);
        for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
            size_t n = 0, bytes = 0, unit = strlen(units[u]);
            for (; n + unit <= SIZE; n += unit)
                memcpy(text + n, units[u], unit);
            memcpy(text + n, "\xe4\xb8\xadz", 4); // so that a run does not end the text
            n += 4;
            struct xn_regex_scratch *scratch = xn_regex_scratch_new();
            const struct xn_pretokenize_run run = {.steps = t->pretokenizers,
                                                   .n_steps = t->n_pretokenizers,
                                                   .scratch = scratch,
                                                   .sink = count_bytes,
                                                   .user = &bytes};
            clock_t start = clock();
            assert_int_equal(xn_pretokenize(&run, 0, text, n, true), XN_OK);
            double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
            assert_int_equal(bytes, n);
            if (seconds > 1) fail_msg("%s: %.1f s for %d bytes of \"%s\"", name, seconds, SIZE, units[u]);
            xn_regex_scratch_free(scratch);
        }
        xn_tokenizer_free(t);
        free(name);
    }
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_well_formed_characters_decode),
        cmocka_unit_test(gpt2_characters_are_a_bijection),
        cmocka_unit_test(onigurumas_syntax_is_understood),
        cmocka_unit_test(what_is_no_expression_is_an_error),
        cmocka_unit_test(normalizers_normalize),
        cmocka_unit_test(a_charsmap_replaces),
        cmocka_unit_test(pretokenizers_cut),
        cmocka_unit_test(wrong_stages_are_errors),
        cmocka_unit_test(named_pretokenizers_cut),
        cmocka_unit_test(named_pretokenizers_are_linear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
