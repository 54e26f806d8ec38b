// The last tokens of a text, and how often each stands among the last few.
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

enum { XN_HISTORY_MOST = 1 << 20 };

struct xn_history {
    int32_t vocab;
    int32_t capacity;  // tokens that are kept
    int32_t *tokens;   // ring
    int32_t n, next;   // tokens kept; where the next one goes
    int32_t window;    // of the counts: the last so many tokens, at most `capacity`; 0: no counts
    int32_t *count;    // [vocab]: how often a token stands in the window
    int32_t *distinct; // the tokens of the window, each once
    int32_t *place;    // [vocab]: where in `distinct`
    int32_t n_distinct;
};
// window, capacity: -1: XN_HISTORY_MOST, which they are cut to. On failure the history is empty.
int xn_history_init(struct xn_history *h, int32_t vocab, int32_t capacity, int32_t window, struct xn_error *err);
void xn_history_free(struct xn_history *h);
void xn_history_push(struct xn_history *h, int32_t token);
// The i-th token from the end, 0 <= i < h->n.
static inline int32_t xn_history_back(const struct xn_history *h, int32_t i) {
    int32_t at = h->next - 1 - i;
    return h->tokens[at < 0 ? at + h->capacity : at];
}
