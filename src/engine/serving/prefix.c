#include "engine/serving/prefix.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

int xn_prefixes_init(struct xn_prefixes *p, struct xn_context *context, uint32_t most, uint64_t saved_most,
                     struct xn_error *err) {
    *p = (struct xn_prefixes){.context = context, .most = most, .saved_most = saved_most};
    p->kept = xn_alloc((size_t)most + 1, sizeof *p->kept);
    return p->kept ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "no memory for %u prefixes", most);
}

void xn_prefixes_free(struct xn_prefixes *p) {
    xn_saved_prefixes_free(p);
    free(p->kept);
}

uint32_t xn_common_prefix(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b) {
    enum { BLOCK = 32 };
    size_t n = n_a < n_b ? n_a : n_b, i = 0;
    while (i + BLOCK <= n && memcmp(a + i, b + i, BLOCK * sizeof *a) == 0)
        i += BLOCK;
    while (i < n && a[i] == b[i])
        i++;
    return (uint32_t)i;
}

uint32_t xn_prefix_reach(const struct xn_context *c, uint32_t sequence, const int32_t *tokens, uint32_t n) {
    const int32_t *own = xn_sequence_tokens(c, sequence);
    if (!own) return 0;
    uint32_t common = xn_common_prefix(own, xn_sequence_length(c, sequence), tokens, n);
    if (common < XN_PREFIX_LEAST || !xn_sequence_ropes_fit(c, sequence, n + 1)) return 0;
    uint32_t reach = xn_sequence_resume(c, sequence, common);
    return reach < XN_PREFIX_LEAST ? 0 : reach;
}

// A copy from host memory must be worth it.
enum { SAVED_MORE = 64 };

struct xn_prefix xn_prefix_find(const struct xn_prefixes *p, const int32_t *tokens, uint32_t n) {
    struct xn_prefix best = {0};
    for (uint32_t i = 0; i < p->n_kept; i++) {
        uint32_t reach = xn_prefix_reach(p->context, p->kept[i].sequence, tokens, n);
        if (reach > best.reach)
            best = (struct xn_prefix){.source = XN_PREFIX_KEPT, .sequence = p->kept[i].sequence, .reach = reach};
    }
    struct xn_prefix saved = xn_prefix_find_saved(p, tokens, n);
    return saved.reach >= best.reach + SAVED_MORE ? saved : best;
}

static void forget(struct xn_prefixes *p, uint32_t i) {
    p->kept[i] = p->kept[--p->n_kept];
}

// A kept sequence becomes the new one itself, where there is no room for a copy.
static bool take_over(struct xn_prefixes *p, const struct xn_prefix *prefix) {
    struct xn_error err;
    if (prefix->source != XN_PREFIX_KEPT) return false;
    if (xn_sequence_cut(p->context, prefix->sequence, prefix->reach, &err) != XN_OK) return false;
    for (uint32_t i = 0; i < p->n_kept; i++)
        if (p->kept[i].sequence == prefix->sequence) forget(p, i);
    return true;
}

bool xn_prefix_take(struct xn_prefixes *p, const struct xn_prefix *prefix, uint32_t *sequence) {
    struct xn_error err;
    if (prefix->source == XN_PREFIX_NONE) return false;
    if (prefix->source == XN_PREFIX_SAVED) return xn_prefix_restore(p, prefix, sequence);
    struct xn_context_pages pages = xn_context_pages(p->context);
    bool partial = prefix->reach % pages.positions != 0;
    while (partial && xn_context_pages(p->context).free == 0 && xn_prefix_evict(p, prefix->sequence))
        ;
    if (partial && xn_context_pages(p->context).free == 0) {
        *sequence = prefix->sequence;
        return take_over(p, prefix);
    }
    for (uint32_t i = 0; i < p->n_kept; i++)
        if (p->kept[i].sequence == prefix->sequence) p->kept[i].used = ++p->clock;
    return xn_sequence_fork_at(p->context, prefix->sequence, prefix->reach, sequence, &err) == XN_OK;
}

void xn_prefix_drop(struct xn_prefixes *p, uint32_t sequence) {
    if (p->saved_most) xn_prefix_save(p, sequence);
    xn_sequence_free(p->context, sequence);
}

// Whether `longer` gives all that `sequence` could.
static bool covers(const struct xn_context *c, uint32_t longer, uint32_t sequence) {
    uint32_t length = xn_sequence_length(c, sequence);
    return xn_sequence_length(c, longer) >= length &&
           xn_common_prefix(xn_sequence_tokens(c, longer), xn_sequence_length(c, longer),
                            xn_sequence_tokens(c, sequence), length) == length &&
           xn_sequence_resume(c, longer, length) + XN_PREFIX_LEAST >= length;
}

void xn_prefix_keep(struct xn_prefixes *p, uint32_t sequence) {
    struct xn_context *c = p->context;
    if (p->most == 0 || xn_sequence_length(c, sequence) < XN_PREFIX_LEAST) {
        xn_sequence_free(c, sequence);
        return;
    }
    for (uint32_t i = 0; i < p->n_kept; i++)
        if (covers(c, p->kept[i].sequence, sequence)) {
            p->kept[i].used = ++p->clock;
            xn_sequence_free(c, sequence);
            return;
        }
    for (uint32_t i = p->n_kept; i-- > 0;)
        if (covers(c, sequence, p->kept[i].sequence)) {
            xn_sequence_free(c, p->kept[i].sequence);
            forget(p, i);
        }
    p->kept[p->n_kept++] = (struct xn_kept){.sequence = sequence, .used = ++p->clock};
    if (p->n_kept > p->most) xn_prefix_evict(p, UINT32_MAX);
}

// One whose pages others hold as well gives little room, and goes only where there is no other.
bool xn_prefix_evict(struct xn_prefixes *p, uint32_t except) {
    int64_t oldest = -1;
    bool oldest_gives = false;
    for (uint32_t i = 0; i < p->n_kept; i++) {
        uint32_t alone;
        if (p->kept[i].sequence == except) continue;
        xn_sequence_pages(p->context, p->kept[i].sequence, &alone);
        bool gives = alone > 0;
        if (oldest >= 0 && (gives != oldest_gives ? oldest_gives : p->kept[i].used > p->kept[oldest].used)) continue;
        oldest = i;
        oldest_gives = gives;
    }
    if (oldest < 0) return false;
    uint32_t sequence = p->kept[oldest].sequence;
    forget(p, (uint32_t)oldest);
    xn_prefix_drop(p, sequence);
    return true;
}
