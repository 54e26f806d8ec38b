// Prefixes: what was computed before and may be the beginning of another prompt. Sequences of finished requests are
// kept while there is room, and copied by fork, so that their full pages are shared; running ones serve as well. The
// least recently used one gives way where pages or sequences lack, and goes to host memory where some was set aside.
//
// A prompt is compared with the tokens of each: sequences are few, and comparing is as quick as reading memory. So
// prefixes need not end at a page's border, and recurrent states need no rule of their own: how far a sequence can be
// cut back to without computing is what xn_sequence_resume says.
#pragma once

#include "engine/context.h"

enum { XN_PREFIX_LEAST = 16 }; // positions; shorter ones are not worth a copy

struct xn_kept {
    uint32_t sequence;
    uint64_t used; // the last time, counted
};
// One in host memory.
struct xn_saved_prefix {
    void *data;
    size_t size;
    int32_t *tokens;
    uint32_t *resumes; // lengths to which it can be cut without computing, ascending, the last its own
    uint32_t length, n_resumes;
    uint64_t id, used;
};
struct xn_prefixes {
    struct xn_context *context;
    struct xn_kept *kept; // [most]
    uint32_t n_kept, most;
    uint64_t clock;
    struct xn_saved_prefix *saved;
    size_t n_saved, saved_capacity;
    uint64_t saved_bytes, saved_most;
    uint64_t pinned; // id of the one that is being restored; 0: none
};
int xn_prefixes_init(struct xn_prefixes *p, struct xn_context *context, uint32_t most, uint64_t saved_most,
                     struct xn_error *err);
void xn_prefixes_free(struct xn_prefixes *p); // sequences are the context's

// The number of leading tokens that two lists share.
uint32_t xn_common_prefix(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b);
// How many of these n tokens, behind which one more is to come, a sequence of the context gives without computing; 0:
// fewer than are worth it.
uint32_t xn_prefix_reach(const struct xn_context *context, uint32_t sequence, const int32_t *tokens, uint32_t n);

// Where a prompt's beginning may come from.
enum xn_prefix_source { XN_PREFIX_NONE, XN_PREFIX_KEPT, XN_PREFIX_RUNNING, XN_PREFIX_SAVED };
struct xn_prefix {
    enum xn_prefix_source source;
    uint64_t saved;    // SAVED: its id
    uint32_t sequence; // KEPT, RUNNING
    uint32_t reach;    // positions that it gives
    uint32_t length;   // SAVED: positions that it takes while it is restored
};
// The best of the kept ones and those in host memory.
struct xn_prefix xn_prefix_find(const struct xn_prefixes *p, const int32_t *tokens, uint32_t n);
// A new sequence of the first `reach` positions. False: there is none (no pages, say), and nothing is lost by it.
bool xn_prefix_take(struct xn_prefixes *p, const struct xn_prefix *prefix, uint32_t *sequence);

// Takes over a sequence that nobody runs any more.
void xn_prefix_keep(struct xn_prefixes *p, uint32_t sequence);
// Frees a sequence, of which host memory gets a copy where there is some.
void xn_prefix_drop(struct xn_prefixes *p, uint32_t sequence);
// Lets the least recently used one go, but not `except` (UINT32_MAX: none). False: there is none.
bool xn_prefix_evict(struct xn_prefixes *p, uint32_t except);

// saved.c
void xn_prefix_save(struct xn_prefixes *p, uint32_t sequence);
struct xn_prefix xn_prefix_find_saved(const struct xn_prefixes *p, const int32_t *tokens, uint32_t n);
bool xn_prefix_restore(struct xn_prefixes *p, const struct xn_prefix *prefix, uint32_t *sequence);
void xn_saved_prefixes_free(struct xn_prefixes *p);
