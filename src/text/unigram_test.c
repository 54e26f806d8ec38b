// Unigram models: against all ways to cut a text.
#include "text/tokenizer_testing.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unigram_takes_the_best_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
