#include "api/constraint.h"

#include "base/memory.h"
#include "text/grammar/mask.h"

#include <stdlib.h>
#include <string.h>

struct xn_constraint {
    struct xn_grammar *grammar;
    struct xn_token_tree *tree;
    struct xn_masks *masks;
    struct xn_grammar_state *state;
    const struct xn_tokenizer *tokenizer;
    uint64_t *mask;
    float *logits; // a copy, masked
    int32_t vocab;
};

int xn_constraint_new(struct xn_grammar *grammar, const struct xn_tokenizer *tokenizer, int32_t vocab,
                      struct xn_constraint **out, struct xn_error *err) {
    *out = NULL;
    struct xn_constraint *c = xn_alloc_zero(1, sizeof *c);
    if (!c) {
        xn_grammar_free(grammar);
        return xn_fail(err, XN_ERR_NOMEM, "no memory for a grammar");
    }
    c->grammar = grammar;
    c->tokenizer = tokenizer;
    c->vocab = vocab;
    int status =
        tokenizer ? XN_OK : xn_fail(err, XN_ERR_UNSUPPORTED, "the model has no tokenizer to follow a grammar with");
    if (status == XN_OK) status = xn_token_tree_of(tokenizer, &c->tree, err);
    if (status == XN_OK) status = xn_masks_new(grammar, c->tree, &c->masks, err);
    if (status == XN_OK) {
        c->mask = xn_alloc_zero(xn_mask_words(c->masks) + 1, sizeof *c->mask);
        c->logits = xn_alloc((size_t)vocab, sizeof *c->logits);
        if (!c->mask || !c->logits) status = xn_fail(err, XN_ERR_NOMEM, "no memory for a grammar's masks");
    }
    if (status == XN_OK) status = xn_constraint_begin(c, err);
    if (status != XN_OK) {
        xn_constraint_free(c);
        return status;
    }
    *out = c;
    return XN_OK;
}

void xn_constraint_free(struct xn_constraint *c) {
    if (!c) return;
    xn_grammar_state_free(c->state);
    xn_masks_free(c->masks);
    xn_token_tree_free(c->tree);
    xn_grammar_free(c->grammar);
    free(c->mask);
    free(c->logits);
    free(c);
}

int xn_constraint_begin(struct xn_constraint *c, struct xn_error *err) {
    xn_grammar_state_free(c->state);
    c->state = NULL;
    return xn_grammar_state_new(xn_masks_automaton(c->masks), &c->state, err);
}

int xn_constraint_choose(struct xn_constraint *c, struct xn_sampler *sampler, const float *logits, int32_t *id,
                         struct xn_error *err) {
    *id = -1;
    const size_t words = xn_mask_words(c->masks);
    XN_TRY(xn_mask(c->masks, c->state, c->mask, err));
    size_t used = 0;
    while (used < words && c->mask[used] == 0)
        used++;
    if (used == words) return XN_OK;
    memcpy(c->logits, logits, (size_t)c->vocab * sizeof *logits);
    xn_mask_apply(c->mask, words, c->logits, (size_t)c->vocab);
    const int32_t chosen = xn_sampler_choose(sampler, c->logits);
    // Biases may have left nothing of what the grammar allows, or the model's logits be no numbers.
    if ((size_t)chosen / 64 >= words || !(c->mask[chosen / 64] >> (chosen % 64) & 1)) return XN_OK;
    *id = chosen;
    if (xn_token_ends(c->tokenizer, chosen)) return XN_OK;
    size_t size;
    bool accepted;
    const void *bytes = xn_token_tree_bytes(c->tree, chosen, &size);
    XN_TRY(xn_grammar_state_accept(c->state, bytes, size, &accepted, err));
    return accepted ? XN_OK : xn_fail(err, XN_ERR_LIMIT, "the grammar can't be followed past token %d", chosen);
}

int xn_constraint_grammar(const char *gbnf, const json_t *schema, struct xn_grammar **out, struct xn_error *err) {
    *out = NULL;
    if (gbnf) return xn_grammar_from_gbnf(gbnf, strlen(gbnf), "grammar", out, err);
    return schema ? xn_grammar_from_json_schema(schema, out, err) : XN_OK;
}
