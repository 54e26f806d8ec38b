// Masks: which tokens of a vocabulary may come next.
//
// What a token may do within the rule that stands on top of the stack does not depend on the callers, so it is found
// once for each state, by walking the tree of tokens: the tokens that are taken there, and the nodes of the tree at
// which the rule may end. A mask joins the first of all the states of a place, and walks on below the second with the
// stack as it is. Masks of places are kept as well, as long as there is room.
#pragma once

#include "text/grammar/automaton.h"
#include "text/grammar/vocabulary.h"

// One grammar over one vocabulary; one thread's at a time. Grammar and tree must outlive it.
struct xn_masks;
int xn_masks_new(const struct xn_grammar *grammar, const struct xn_token_tree *tree, struct xn_masks **out,
                 struct xn_error *err);
void xn_masks_free(struct xn_masks *masks); // its sequences are freed first
// For xn_grammar_state_new: the sequences whose masks these are.
struct xn_automaton *xn_masks_automaton(struct xn_masks *masks);
// Words of a mask: token i is bit i % 64 of word i / 64.
size_t xn_mask_words(const struct xn_masks *masks);
// The tokens that may come next, those that end the text included where it may end. Empty only where the grammar's
// limit of depth leaves no way on. Fails as xn_grammar_state_accept does.
int xn_mask(struct xn_masks *masks, const struct xn_grammar_state *sequence, uint64_t *mask, struct xn_error *err);
// Finds out ahead what takes longest, at most `seconds` long: the parts of masks that any text may need.
int xn_masks_warm(struct xn_masks *masks, double seconds, struct xn_error *err);
// Sets to -inf the logits of tokens that the mask leaves out, and those past its end (n: the model's outputs).
void xn_mask_apply(const uint64_t *mask, size_t words, float *logits, size_t n);
