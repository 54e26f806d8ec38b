// A generation held to a grammar: the sampler sees only the logits of tokens that may come next.
#pragma once

#include "engine/sampler.h"
#include "text/grammar/grammar.h"
#include "text/tokenizer.h"

struct xn_constraint; // one generation's at a time; may be used for one after the other
// Takes the grammar over, also where it fails. The tokenizer must outlive it. vocab: the number of logits.
int xn_constraint_new(struct xn_grammar *grammar, const struct xn_tokenizer *tokenizer, int32_t vocab,
                      struct xn_constraint **out, struct xn_error *err);
void xn_constraint_free(struct xn_constraint *constraint); // also NULL
// A text begins.
int xn_constraint_begin(struct xn_constraint *constraint, struct xn_error *err);
// Chooses among the tokens that may come next, and takes it. *id is -1 where there is none: the text is complete, or
// the grammar can't be followed any deeper. The sampler is not told (xn_sampler_accept).
int xn_constraint_choose(struct xn_constraint *constraint, struct xn_sampler *sampler, const float *logits, int32_t *id,
                         struct xn_error *err);

// A grammar from text: GBNF where gbnf is set, else a JSON schema where schema is; none of both leaves NULL.
int xn_constraint_grammar(const char *gbnf, const json_t *schema, struct xn_grammar **out, struct xn_error *err);
