// Golden files: what a family's reference implementation computes with a model (JSON).
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xn_golden {
    char *text; // NULL: none; the prompt's ids are the first of this text's tokens
    size_t text_size;
    int32_t *prompt; // [n_prompt], n_prompt >= 2
    uint32_t n_prompt;
    double mean_nll;                   // of the prompt's tokens from the second on
    float *logits_first, *logits_last; // [n_logits]: after the first and the last token of the prompt
    uint32_t n_logits;
    int32_t *greedy; // [n_greedy]: the most likely tokens, one after the other, after the prompt
    float *margin;   // [n_greedy]: gap between the best two logits
    uint32_t n_greedy;
};

// Reads and checks: every array there and of fitting length, ids in [0, n_logits). On failure *golden is empty.
int xn_golden_read(const char *path, struct xn_golden *golden, struct xn_error *err);
void xn_golden_free(struct xn_golden *golden);
