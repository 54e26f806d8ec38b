#include "text/grammar/mask.h"

#include "base/memory.h"
#include "text/grammar/place.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    LOCAL_MEMORY = 96 << 20, // bytes of masks kept by state
    KEPT_MEMORY = 16 << 20,  // ... and by place
    MANY_STATES = 32,        // not looked at yet: then one walk from the place is quicker
};

// What tokens do from a state, within its rule.
struct local {
    uint64_t *bits; // or NULL: the tokens are listed
    int32_t *tokens;
    uint32_t n_tokens, n_leaves;
    // Nodes before whose byte the rule may be over, sorted by that byte: leaves[first_leaf[b]] on have byte b.
    uint32_t *leaves, *first_leaf;
};
struct kept {
    uint64_t *bits;
    int32_t place; // -1: free
};
struct xn_masks {
    struct xn_automaton *automaton;
    const struct xn_token_tree *tree;
    size_t words;
    struct local **locals; // by state; NULL: not found yet
    size_t local_memory;
    struct kept *kept; // place's number mod n_kept
    size_t n_kept;
    uint64_t epoch;
    int32_t *tokens; // scratch of a walk
    uint32_t *leaves;
    size_t tokens_capacity, leaves_capacity;
};

static int no_memory(struct xn_error *err) {
    return xn_fail(err, XN_ERR_NOMEM, "no memory for a grammar's masks");
}

int xn_masks_new(const struct xn_grammar *grammar, const struct xn_token_tree *tree, struct xn_masks **out,
                 struct xn_error *err) {
    struct xn_masks *m = *out = xn_alloc_zero(1, sizeof *m);
    if (!m) return no_memory(err);
    m->tree = tree;
    m->words = (tree->n_tokens + 63) / 64;
    m->n_kept = KEPT_MEMORY / 8 / (m->words + 1) + 1;
    if (m->n_kept > 1024) m->n_kept = 1024;
    int status = xn_automaton_new(grammar, &m->automaton, err);
    m->locals = xn_alloc_zero(grammar->n_states, sizeof *m->locals);
    m->kept = xn_alloc_zero(m->n_kept, sizeof *m->kept);
    if (status == XN_OK && (!m->locals || !m->kept)) status = no_memory(err);
    for (size_t i = 0; m->kept && i < m->n_kept; i++)
        m->kept[i].place = -1;
    if (status != XN_OK) {
        xn_masks_free(m);
        *out = NULL;
    }
    return status;
}

static void local_free(struct local *l) {
    if (!l) return;
    free(l->bits);
    free(l->tokens);
    free(l->leaves);
    free(l->first_leaf);
    free(l);
}

static void forget_locals(struct xn_masks *m) {
    for (size_t i = 0; i < m->automaton->grammar->n_states; i++) {
        local_free(m->locals[i]);
        m->locals[i] = NULL;
    }
    m->local_memory = 0;
}

void xn_masks_free(struct xn_masks *m) {
    if (!m) return;
    if (m->automaton && m->locals) forget_locals(m);
    for (size_t i = 0; m->kept && i < m->n_kept; i++)
        free(m->kept[i].bits);
    xn_automaton_free(m->automaton);
    free(m->locals);
    free(m->kept);
    free(m->tokens);
    free(m->leaves);
    free(m);
}

struct xn_automaton *xn_masks_automaton(struct xn_masks *m) {
    return m->automaton;
}

size_t xn_mask_words(const struct xn_masks *m) {
    return m->words;
}

static void set(uint64_t *bits, int32_t token) {
    bits[token / 64] |= UINT64_C(1) << (token % 64);
}

// ---- by state

static bool pack_leaves(const struct xn_masks *m, struct local *l) {
    if (l->n_leaves == 0) return true;
    const struct xn_token_node *nodes = m->tree->usual.nodes;
    l->leaves = xn_alloc(l->n_leaves, sizeof *l->leaves);
    l->first_leaf = xn_alloc_zero(258, sizeof *l->first_leaf);
    if (!l->leaves || !l->first_leaf) return false;
    for (uint32_t i = 0; i < l->n_leaves; i++)
        l->first_leaf[nodes[m->leaves[i]].byte + 2]++;
    for (int b = 2; b < 258; b++)
        l->first_leaf[b] += l->first_leaf[b - 1];
    for (uint32_t i = 0; i < l->n_leaves; i++)
        l->leaves[l->first_leaf[nodes[m->leaves[i]].byte + 1]++] = m->leaves[i];
    return true;
}

static struct local *pack(const struct xn_masks *m, size_t n_tokens, size_t n_leaves) {
    struct local *l = xn_alloc_zero(1, sizeof *l);
    if (!l) return NULL;
    l->n_tokens = (uint32_t)n_tokens;
    l->n_leaves = (uint32_t)n_leaves;
    bool good = pack_leaves(m, l);
    if (n_tokens > m->words / 2) {
        l->bits = xn_alloc_zero(m->words, sizeof *l->bits);
        good = good && l->bits;
        for (size_t i = 0; good && i < n_tokens; i++)
            set(l->bits, m->tokens[i]);
    } else {
        l->tokens = xn_alloc(n_tokens + 1, sizeof *l->tokens);
        good = good && l->tokens;
        if (good && n_tokens) memcpy(l->tokens, m->tokens, n_tokens * sizeof *l->tokens);
    }
    if (good) return l;
    local_free(l);
    return NULL;
}

static int find_local(struct xn_masks *m, uint32_t state, struct local **out, struct xn_error *err) {
    const struct xn_token_node *nodes = m->tree->usual.nodes;
    struct xn_automaton *a = m->automaton;
    int32_t at[XN_GRAMMAR_HORIZON + 1]; // places by depth
    size_t n_tokens = 0, n_leaves = 0;
    XN_TRY(xn_place_of(a, state, XN_STACK_UNKNOWN, &at[0], err));
    for (uint32_t i = 0; i < m->tree->usual.n;) {
        const struct xn_token_node *node = &nodes[i];
        int32_t place;
        XN_TRY(xn_place_step(a, at[node->depth], node->byte, &place, err));
        if (place == XN_PLACE_DEAD) {
            i = node->past;
            continue;
        }
        at[node->depth + 1] = place;
        for (int32_t token = node->token; token >= 0; token = m->tree->same[token]) {
            if (XN_GROW(m->tokens, m->tokens_capacity, n_tokens + 1)) return no_memory(err);
            m->tokens[n_tokens++] = token;
        }
        const bool leaves = a->places[place].flags & XN_PLACE_LEAVES;
        for (uint32_t child = i + 1; leaves && child < node->past; child = nodes[child].past) {
            if (XN_GROW(m->leaves, m->leaves_capacity, n_leaves + 1)) return no_memory(err);
            m->leaves[n_leaves++] = child;
        }
        i++;
    }
    *out = m->locals[state] = pack(m, n_tokens, n_leaves);
    if (!*out) return no_memory(err);
    m->local_memory +=
        sizeof **out + ((*out)->bits ? 8 * m->words : 4 * n_tokens) + (n_leaves ? 1032 : 0) + 4 * n_leaves;
    return XN_OK;
}

static int local_of(struct xn_masks *m, uint32_t state, struct local **out, struct xn_error *err) {
    state = m->automaton->grammar->states[state].twin;
    *out = m->locals[state];
    return *out ? XN_OK : find_local(m, state, out, err);
}

// ---- by place

// The tokens of nodes first..end, which are whole subtrees, from the place before the first one's byte.
static int walk(struct xn_masks *m, const struct xn_token_node *nodes, size_t first, size_t end, int32_t place,
                uint64_t *mask, struct xn_error *err) {
    struct xn_automaton *a = m->automaton;
    int32_t at[XN_TOKEN_LONGEST + 1];
    if (first < end) at[nodes[first].depth] = place;
    for (size_t i = first; i < end;) {
        const struct xn_token_node *node = &nodes[i];
        XN_TRY(xn_place_step(a, at[node->depth], node->byte, &place, err));
        if (place == XN_PLACE_DEAD) {
            i = node->past;
            continue;
        }
        at[node->depth + 1] = place;
        for (int32_t token = node->token; token >= 0; token = m->tree->same[token])
            set(mask, token);
        i++;
    }
    return XN_OK;
}

// What tokens do after they have left the rule, for the place that the call returns to.
static int add_leaves(struct xn_masks *m, const struct local *l, int32_t after, uint64_t *mask, struct xn_error *err) {
    const struct xn_token_node *nodes = m->tree->usual.nodes;
    for (int b = 0; b < 256; b++) {
        int32_t place;
        if (l->first_leaf[b] == l->first_leaf[b + 1]) continue;
        XN_TRY(xn_place_step(m->automaton, after, (uint8_t)b, &place, err));
        if (place == XN_PLACE_DEAD) continue;
        for (uint32_t i = l->first_leaf[b]; i < l->first_leaf[b + 1]; i++) {
            const uint32_t leaf = l->leaves[i];
            for (int32_t token = nodes[leaf].token; token >= 0; token = m->tree->same[token])
                set(mask, token);
            XN_TRY(walk(m, nodes, leaf + 1, nodes[leaf].past, place, mask, err));
        }
    }
    return XN_OK;
}

static int add_item(struct xn_masks *m, struct xn_item item, uint64_t *mask, struct xn_error *err) {
    struct local *l;
    XN_TRY(local_of(m, item.state, &l, err));
    if (l->bits)
        for (size_t i = 0; i < m->words; i++)
            mask[i] |= l->bits[i];
    else
        for (uint32_t i = 0; i < l->n_tokens; i++)
            set(mask, l->tokens[i]);
    if (l->n_leaves == 0 || item.stack == XN_STACK_EMPTY) return XN_OK;
    int32_t after;
    XN_TRY(xn_place_after(m->automaton, item.stack, &after, err));
    if (m->automaton->places[after].n_items == 0) return XN_OK;
    return add_leaves(m, l, after, mask, err);
}

static int compute(struct xn_masks *m, int32_t number, uint64_t *mask, struct xn_error *err) {
    memset(mask, 0, m->words * sizeof *mask);
    const struct xn_place place = m->automaton->places[number];
    uint32_t missing = 0;
    for (uint32_t i = 0; i < place.n_items; i++) {
        const uint32_t state = m->automaton->items[place.first_item + i].state;
        missing += !m->locals[m->automaton->grammar->states[state].twin];
    }
    if (missing > MANY_STATES) XN_TRY(walk(m, m->tree->usual.nodes, 0, m->tree->usual.n, number, mask, err));
    for (uint32_t i = 0; missing <= MANY_STATES && i < place.n_items; i++)
        XN_TRY(add_item(m, m->automaton->items[place.first_item + i], mask, err));
    // Lengthy tokens see farther than twins look: they are tried from the place itself.
    XN_TRY(walk(m, m->tree->lengthy.nodes, 0, m->tree->lengthy.n, number, mask, err));
    if (place.flags & XN_PLACE_MAY_END)
        for (size_t i = 0; i < m->tree->n_tokens; i++)
            if (m->tree->ends[i]) set(mask, (int32_t)i);
    return XN_OK;
}

int xn_mask(struct xn_masks *m, const struct xn_grammar_state *sequence, uint64_t *mask, struct xn_error *err) {
    XN_TRY(xn_automaton_tidy(m->automaton, err));
    if (m->local_memory > LOCAL_MEMORY) forget_locals(m);
    if (m->epoch != m->automaton->epoch) {
        for (size_t i = 0; i < m->n_kept; i++)
            m->kept[i].place = -1;
        m->epoch = m->automaton->epoch;
    }
    struct kept *kept = &m->kept[(size_t)sequence->place % m->n_kept];
    if (kept->place != sequence->place) {
        kept->place = -1;
        if (!kept->bits && !(kept->bits = xn_alloc(m->words + 1, sizeof *kept->bits))) return no_memory(err);
        XN_TRY(compute(m, sequence->place, kept->bits, err));
        kept->place = sequence->place;
    }
    memcpy(mask, kept->bits, m->words * sizeof *mask);
    return XN_OK;
}

static double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int xn_masks_warm(struct xn_masks *m, double seconds, struct xn_error *err) {
    const double end = seconds_now() + seconds;
    const struct xn_grammar *g = m->automaton->grammar;
    for (uint32_t i = 0; i < g->n_states && seconds_now() < end; i++) {
        struct local *l;
        if (!(g->states[i].flags & XN_STATE_BYTES)) continue;
        XN_TRY(xn_automaton_tidy(m->automaton, err));
        if (m->local_memory > LOCAL_MEMORY) break;
        XN_TRY(local_of(m, i, &l, err));
    }
    return XN_OK;
}

void xn_mask_apply(const uint64_t *mask, size_t words, float *logits, size_t n) {
    for (size_t i = 0; i < n; i += 64) {
        uint64_t out = i / 64 < words ? ~mask[i / 64] : UINT64_MAX;
        if (n - i < 64) out &= (UINT64_C(1) << (n - i)) - 1;
        for (; out; out &= out - 1)
            logits[i + (size_t)__builtin_ctzll(out)] = -INFINITY;
    }
}
