#include "text/answer/internal.h"
#define STUB(name)                                                                                                     \
    int name(struct xn_grammar_build *b, const void *table, uint32_t *node) {                                          \
        (void)b;                                                                                                       \
        (void)table;                                                                                                   \
        *node = 0;                                                                                                     \
        return XN_OK;                                                                                                  \
    }
STUB(xn_json_grammar)
STUB(xn_named_grammar)
STUB(xn_tags_grammar)
STUB(xn_gemma_grammar)
STUB(xn_lfm2_grammar)
STUB(xn_harmony_grammar)
int xn_grammar_either(struct xn_grammar_build *b, xn_calls_grammar *first, const void *first_table,
                      xn_calls_grammar *second, const void *second_table, uint32_t *node) {
    (void)second;
    (void)second_table;
    return first(b, first_table, node);
}
int xn_answer_grammar(const struct xn_answer_rules *rules, struct xn_grammar **out, struct xn_error *err) {
    (void)rules;
    *out = NULL;
    (void)err;
    return XN_OK;
}
