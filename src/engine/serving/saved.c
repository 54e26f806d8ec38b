// Prefixes in host memory: saved when they leave the cache, copied back when a prompt begins like them.
#include "base/memory.h"
#include "engine/context_internal.h"
#include "engine/serving/prefix.h"

#include <stdlib.h>
#include <string.h>

static void discard(struct xn_prefixes *p, size_t i) {
    struct xn_saved_prefix *s = &p->saved[i];
    p->saved_bytes -= s->size;
    free(s->data);
    free(s->tokens);
    free(s->resumes);
    *s = p->saved[--p->n_saved];
}

void xn_saved_prefixes_free(struct xn_prefixes *p) {
    while (p->n_saved)
        discard(p, p->n_saved - 1);
    free(p->saved);
}

// Whether what is saved already gives all of these tokens. Those that they give all of are discarded.
static bool is_saved(struct xn_prefixes *p, const int32_t *tokens, uint32_t n) {
    for (size_t i = p->n_saved; i-- > 0;) {
        struct xn_saved_prefix *s = &p->saved[i];
        uint32_t common = xn_common_prefix(s->tokens, s->length, tokens, n);
        if (common == n) {
            s->used = ++p->clock;
            return true;
        }
        if (common == s->length && s->id != p->pinned) discard(p, i);
    }
    return false;
}

// Bytes that a sequence takes at least, before it is saved.
static uint64_t bytes_of(const struct xn_context *c, uint32_t sequence) {
    uint64_t cache, activations;
    uint32_t alone, pages = xn_sequence_pages(c, sequence, &alone);
    xn_context_memory(c, &cache, &activations);
    const struct xn_plan *plan = &c->model->plan;
    uint64_t states = 0;
    for (uint32_t i = 0; i < plan->n_states; i++)
        states += 4 * ((uint64_t)plan->states[i].conv_size + plan->states[i].recurrent_size);
    uint64_t slots = (uint64_t)c->limits.slots * states;
    uint64_t kept = (uint64_t)c->sequences[sequence].n_checkpoints + 1;
    return (cache > slots ? (cache - slots) / c->limits.pages * pages : 0) + kept * states;
}

static bool make_room(struct xn_prefixes *p, uint64_t bytes) {
    if (bytes > p->saved_most) return false;
    while (p->saved_bytes > p->saved_most - bytes) {
        size_t oldest = p->n_saved;
        for (size_t i = 0; i < p->n_saved; i++)
            if (p->saved[i].id != p->pinned && (oldest == p->n_saved || p->saved[i].used < p->saved[oldest].used))
                oldest = i;
        if (oldest == p->n_saved) return false;
        discard(p, oldest);
    }
    return true;
}

// The tokens, and the lengths that a restored copy resumes at.
static bool copy_facts(const struct xn_context *c, uint32_t sequence, struct xn_saved_prefix *s) {
    const struct xn_sequence *q = &c->sequences[sequence];
    s->length = q->length;
    s->tokens = xn_alloc(q->length, sizeof *s->tokens);
    s->resumes = xn_alloc((size_t)q->n_checkpoints + 1, sizeof *s->resumes);
    if (!s->tokens || !s->resumes) return false;
    memcpy(s->tokens, q->tokens, q->length * sizeof *s->tokens);
    for (uint32_t i = 0; i < q->n_checkpoints; i++)
        s->resumes[s->n_resumes++] = c->checkpoints[q->checkpoints[i]].position;
    s->resumes[s->n_resumes++] = q->length;
    return true;
}

void xn_prefix_save(struct xn_prefixes *p, uint32_t sequence) {
    struct xn_context *c = p->context;
    uint32_t length = xn_sequence_length(c, sequence);
    struct xn_saved_prefix s = {.id = p->clock + 1, .used = p->clock + 1};
    struct xn_error err;
    if (length < XN_PREFIX_LEAST || is_saved(p, xn_sequence_tokens(c, sequence), length)) return;
    p->clock++;
    // Room is made before the bytes are taken, so that there are never more than were allowed.
    if (!make_room(p, bytes_of(c, sequence))) return;
    bool ok = copy_facts(c, sequence, &s) && XN_GROW(p->saved, p->saved_capacity, p->n_saved + 1) == 0 &&
              xn_sequence_save(c, sequence, true, &s.data, &s.size, &err) == XN_OK && make_room(p, s.size);
    if (ok) {
        p->saved_bytes += s.size;
        p->saved[p->n_saved++] = s;
        return;
    }
    free(s.data);
    free(s.tokens);
    free(s.resumes);
}

static uint32_t reach_of(const struct xn_context *c, const struct xn_saved_prefix *s, uint32_t common) {
    if (c->model->plan.n_states == 0) return common;
    for (uint32_t i = s->n_resumes; i-- > 0;)
        if (s->resumes[i] <= common) return s->resumes[i];
    return 0;
}

struct xn_prefix xn_prefix_find_saved(const struct xn_prefixes *p, const int32_t *tokens, uint32_t n) {
    struct xn_prefix best = {0};
    for (size_t i = 0; i < p->n_saved; i++) {
        const struct xn_saved_prefix *s = &p->saved[i];
        uint32_t reach = reach_of(p->context, s, xn_common_prefix(s->tokens, s->length, tokens, n));
        if (reach >= XN_PREFIX_LEAST && reach > best.reach)
            best = (struct xn_prefix){.source = XN_PREFIX_SAVED, .saved = s->id, .reach = reach, .length = s->length};
    }
    return best;
}

static size_t find_id(const struct xn_prefixes *p, uint64_t id) {
    size_t i = 0;
    while (i < p->n_saved && p->saved[i].id != id)
        i++;
    return i;
}

// The copy in host memory stays where others may yet want what lies behind the common beginning.
bool xn_prefix_restore(struct xn_prefixes *p, const struct xn_prefix *prefix, uint32_t *sequence) {
    struct xn_context *c = p->context;
    struct xn_error err;
    // Those that make room for it may be saved, and must not drive it out.
    p->pinned = prefix->saved;
    while (xn_context_pages(c).free < xn_pages_for(prefix->length) && xn_prefix_evict(p, UINT32_MAX))
        ;
    p->pinned = 0;
    size_t i = find_id(p, prefix->saved);
    if (i == p->n_saved) return false;
    struct xn_saved_prefix *s = &p->saved[i];
    if (xn_sequence_restore(c, s->data, s->size, "a saved prefix", sequence, &err) != XN_OK) return false;
    s->used = ++p->clock;
    if (xn_sequence_cut(c, *sequence, prefix->reach, &err) != XN_OK) {
        xn_sequence_free(c, *sequence);
        return false;
    }
    if (prefix->reach + XN_PREFIX_LEAST >= s->length) discard(p, i);
    return true;
}
