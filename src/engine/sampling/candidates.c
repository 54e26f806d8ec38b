#include "engine/sampling/candidates.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 16, BLOCK = XN_CANDIDATE_BLOCK }; // of loops over a vocabulary, which the compiler turns into vectors

void xn_candidates_begin(struct xn_candidates *c, const float *logits) {
    c->logits = logits;
    c->max = NAN;
    c->dense = true;
    c->n = 0;
    c->size = c->vocab;
}

void xn_candidates_begin_best(struct xn_candidates *c, const struct xn_row_candidates *best) {
    xn_candidates_begin(c, NULL);
    c->dense = false;
    for (uint32_t i = 0; i < best->n; i++)
        c->list[c->n++] =
            (struct xn_candidate){.id = best->items[i].id, .logit = best->items[i].logit, .key = -best->items[i].logit};
}

float *xn_candidates_own(struct xn_candidates *c) {
    if (c->logits != c->own) memcpy(c->own, c->logits, (size_t)c->vocab * sizeof *c->own);
    c->logits = c->own;
    c->max = NAN;
    return c->own;
}

static void put(struct xn_candidates *c, int32_t id, float logit) {
    c->list[c->n++] = (struct xn_candidate){.id = id, .logit = logit, .key = -logit};
}

static bool knows_tops(const struct xn_candidates *c) {
    return c->tops && !isnan(c->max);
}

// How many of BLOCK logits pass; NaN does not.
static int count_above(const float *x, float bound) {
    int n = 0;
    for (int i = 0; i < BLOCK; i++)
        n += x[i] > bound;
    return n;
}

// Appends those of the whole block at id `at` that pass to the list, which must have room for one more.
static void put_above(struct xn_candidates *c, int32_t at, float bound) {
    enum { FEW = 12 }; // with more, branches are foreseen wrongly too often
    if (knows_tops(c) && !(c->tops[at / BLOCK] > bound)) return;
    int n = count_above(c->logits + at, bound);
    if (n == 0) return;
    for (int32_t i = at; i < at + BLOCK && n <= FEW; i++)
        if (c->logits[i] > bound) put(c, i, c->logits[i]);
    for (int32_t i = at; i < at + BLOCK && n > FEW; i++) {
        put(c, i, c->logits[i]);
        c->n -= !(c->logits[i] > bound);
    }
}

static void list_above(struct xn_candidates *c, float bound) {
    int32_t at = 0;
    c->n = 0;
    c->dense = false;
    for (; at + BLOCK <= c->vocab; at += BLOCK)
        put_above(c, at, bound);
    for (; at < c->vocab; at++)
        if (c->logits[at] > bound) put(c, at, c->logits[at]);
}

void xn_candidates_list(struct xn_candidates *c) {
    if (c->dense) list_above(c, -INFINITY);
}

void xn_candidates_above(struct xn_candidates *c, float least) {
    if (c->dense) {
        // The next number below, so that one comparison serves both kinds of bound.
        list_above(c, least > -INFINITY ? nextafterf(least, -INFINITY) : least);
        return;
    }
    int32_t n = 0;
    while (n < c->n && c->list[n].logit >= least)
        n++; // mostly all of them: nothing has to move
    for (int32_t i = n; i < c->n; i++)
        if (c->list[i].logit >= least) c->list[n++] = c->list[i];
    c->n = n;
}

// The k best of a dense vocabulary: those above the k-th best so far gather in the list, which is cut back to k each
// time that it is full. After a first few hundred hardly any pass.
static void best_of_dense(struct xn_candidates *c, int32_t k) {
    int32_t room = 2 * k + BLOCK;
    float bound = -INFINITY;
    c->n = 0;
    c->dense = false;
    for (int32_t at = 0; at < c->vocab; at += BLOCK) {
        int32_t end = at + BLOCK < c->vocab ? at + BLOCK : c->vocab;
        if (end - at == BLOCK) put_above(c, at, bound);
        for (int32_t i = at; i < end && end - at < BLOCK; i++)
            if (c->logits[i] > bound) put(c, i, c->logits[i]);
        if (c->n + BLOCK <= room) continue;
        xn_candidates_select(c->list, c->n, k);
        if (c->n > k) c->n = k;
        bound = INFINITY;
        for (int32_t i = 0; i < c->n; i++)
            if (c->list[i].logit < bound) bound = c->list[i].logit;
    }
}

void xn_candidates_best(struct xn_candidates *c, int32_t k) {
    if (c->dense && k < c->vocab / 4 - BLOCK) {
        best_of_dense(c, k);
    } else {
        xn_candidates_list(c);
        xn_candidates_rank(c);
    }
    if (k <= XN_ROW_CANDIDATES)
        xn_candidates_sort(c->list, c->n, k);
    else
        xn_candidates_select(c->list, c->n, k);
    if (k < c->n) c->n = k;
    if (k < c->size) c->size = k;
}

static float max_of(const float *x, int32_t n) {
    float best[LANES], max = -INFINITY;
    int32_t at = 0;
    for (int i = 0; i < LANES; i++)
        best[i] = -INFINITY;
    for (; at + LANES <= n; at += LANES)
        for (int i = 0; i < LANES; i++)
            best[i] = x[at + i] > best[i] ? x[at + i] : best[i];
    for (; at < n; at++)
        max = x[at] > max ? x[at] : max;
    for (int i = 0; i < LANES; i++)
        max = best[i] > max ? best[i] : max;
    return max;
}

static inline float higher(float x, float best) { // NaN is not
    return x > best ? x : best;
}

// Of BLOCK logits; -INFINITY where none is possible.
static float block_max(const float *x) {
    enum { WIDTH = 4 };
    float best[WIDTH] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
    for (int at = 0; at < BLOCK; at += WIDTH)
        for (int i = 0; i < WIDTH; i++)
            best[i] = higher(x[at + i], best[i]);
    return higher(higher(best[0], best[1]), higher(best[2], best[3]));
}

static void find_max(struct xn_candidates *c) {
    if (!c->tops) {
        c->max = max_of(c->logits, c->vocab);
        return;
    }
    int32_t whole = c->vocab / BLOCK, n = xn_candidate_blocks(c->vocab);
    for (int32_t b = 0; b < whole; b++)
        c->tops[b] = block_max(c->logits + b * BLOCK);
    if (n > whole) c->tops[whole] = max_of(c->logits + whole * BLOCK, c->vocab - whole * BLOCK);
    c->max = max_of(c->tops, n);
}

float xn_candidates_max(struct xn_candidates *c) {
    if (c->dense) {
        if (isnan(c->max)) find_max(c);
        return c->max;
    }
    float max = -INFINITY;
    for (int32_t i = 0; i < c->n; i++)
        if (c->list[i].logit > max) max = c->list[i].logit;
    return max;
}

int32_t xn_best_id(const float *x, int32_t n) {
    float max = max_of(x, n);
    if (max == -INFINITY) return -1;
    int32_t id = 0;
    while (x[id] != max)
        id++;
    return id;
}

double xn_candidates_weigh(struct xn_candidates *c) {
    float max = xn_candidates_max(c);
    double sum = 0;
    for (int32_t i = 0; i < c->n; i++) {
        struct xn_candidate *x = &c->list[i];
        x->weight = max == INFINITY ? (float)(x->logit == max) : expf(x->logit - max);
        sum += (double)x->weight;
    }
    return sum;
}

void xn_candidates_cut(struct xn_candidates *c, int32_t k) {
    if (k >= c->n) return;
    c->n = c->size = k;
}
