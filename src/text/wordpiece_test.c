// WordPiece models.
#include "text/tokenizer_testing.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wordpiece_takes_the_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
