// Byte-pair encoding: against the definition over random vocabularies, what has no token, and time.
#include "text/tokenizer_testing.h"

#include <time.h>

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bpe_merges_by_rank_then_leftmost),
        cmocka_unit_test(bpe_falls_back),
        cmocka_unit_test(blocks_inside_tokens_hold_pieces_together),
        cmocka_unit_test(long_runs_take_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
