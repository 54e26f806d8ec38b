#include "engine/sampling/candidates.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 16, BLOCK = 64 }; // of loops over a vocabulary, which the compiler turns into vectors

void xn_candidates_begin(struct xn_candidates *c, const float *logits) {
    c->logits = logits;
    c->dense = true;
    c->n = 0;
    c->size = c->vocab;
}

float *xn_candidates_own(struct xn_candidates *c) {
    if (c->logits != c->own) memcpy(c->own, c->logits, (size_t)c->vocab * sizeof *c->own);
    c->logits = c->own;
    return c->own;
}

static void put(struct xn_candidates *c, int32_t id, float logit) {
    c->list[c->n++] = (struct xn_candidate){.id = id, .logit = logit, .key = -logit};
}

// Whether any of BLOCK logits passes; NaN does not.
static bool any_above(const float *x, float bound) {
    int any = 0;
    for (int i = 0; i < BLOCK; i++)
        any |= x[i] > bound;
    return any;
}

static void list_above(struct xn_candidates *c, float bound) {
    int32_t at = 0;
    c->n = 0;
    c->dense = false;
    for (; at + BLOCK <= c->vocab; at += BLOCK)
        if (any_above(c->logits + at, bound))
            for (int32_t i = at; i < at + BLOCK; i++)
                if (c->logits[i] > bound) put(c, i, c->logits[i]);
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
    for (int32_t i = 0; i < c->n; i++)
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
        if (end - at == BLOCK && !any_above(c->logits + at, bound)) continue;
        for (int32_t i = at; i < end; i++)
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
    if (k < c->n) {
        xn_candidates_select(c->list, c->n, k);
        c->n = k;
    }
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

float xn_candidates_max(const struct xn_candidates *c) {
    if (c->dense) return max_of(c->logits, c->vocab);
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

void xn_candidates_rank(struct xn_candidates *c) {
    for (int32_t i = 0; i < c->n; i++)
        c->list[i].key = -c->list[i].logit;
}

static int by_key(const void *a, const void *b) {
    const struct xn_candidate *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static bool is_first(const struct xn_candidate *a, const struct xn_candidate *b) {
    return a->key != b->key ? a->key < b->key : a->id < b->id;
}

// Splits list[low..high]: afterwards [low..*left] are not after the middle element, [*right..high] not before it, and
// what stands between (nothing, or the element itself) is in its place.
static void split(struct xn_candidate *list, int32_t low, int32_t high, int32_t *left, int32_t *right) {
    struct xn_candidate pivot = list[low + (high - low) / 2];
    int32_t i = low, j = high;
    while (i <= j) {
        while (is_first(&list[i], &pivot))
            i++;
        while (is_first(&pivot, &list[j]))
            j--;
        if (i > j) break;
        struct xn_candidate t = list[i];
        list[i++] = list[j];
        list[j--] = t;
    }
    *left = j;
    *right = i;
}

// Hoare's selection (Algorithm 65, 1961).
void xn_candidates_select(struct xn_candidate *list, int32_t n, int32_t k) {
    int32_t low = 0, high = n - 1, left, right;
    while (low < high) {
        split(list, low, high, &left, &right);
        if (k - 1 <= left)
            high = left;
        else if (k - 1 >= right)
            low = right;
        else
            return;
    }
}

void xn_candidates_sort(struct xn_candidate *list, int32_t n, int32_t k) {
    if (k > n) k = n;
    xn_candidates_select(list, n, k);
    qsort(list, (size_t)k, sizeof *list, by_key);
}

static double weight_of(const struct xn_candidate *list, int32_t begin, int32_t end) {
    double sum = 0;
    for (int32_t i = begin; i < end; i++)
        sum += (double)list[i].weight;
    return sum;
}

// The same selection, led by weights instead of counts: what stands before `low` does not reach the mass.
static int32_t select_mass(struct xn_candidate *list, int32_t n, double mass, bool above) {
    int32_t low = 0, high = n - 1, left, right;
    double before = 0;
    while (low < high) {
        split(list, low, high, &left, &right);
        double with_left = before + weight_of(list, low, left + 1);
        if (above ? with_left > mass : with_left >= mass) {
            high = left;
            continue;
        }
        double with_middle = with_left + weight_of(list, left + 1, right);
        if (above ? with_middle > mass : with_middle >= mass) return right;
        before = with_middle;
        low = right;
    }
    return low + 1 < n ? low + 1 : n;
}

enum { BINS = 2048, BINS_A_UNIT = 64 }; // of keys, from the least on; the last takes all that are beyond

static int bin_of(const struct xn_candidate *x, float least) {
    float at = (x->key - least) * BINS_A_UNIT;
    return at < BINS - 1 ? (int)at : BINS - 1;
}

// Moves those of bins before `bin` to the front of list[from..n), if `equal` also those of that bin. Returns where they
// end.
static int32_t move_bins(struct xn_candidate *list, int32_t from, int32_t n, float least, int bin, bool equal) {
    for (int32_t i = from; i < n; i++) {
        int b = bin_of(&list[i], least);
        if (b > bin || (b == bin && !equal)) continue;
        struct xn_candidate x = list[i];
        list[i] = list[from];
        list[from++] = x;
    }
    return from;
}

// Of many, weights are first summed by narrow ranges of keys, so that the selection is among those of one range.
int32_t xn_candidates_mass(struct xn_candidate *list, int32_t n, double mass, bool above) {
    enum { FEW = 1024 };
    if (n <= FEW) return select_mass(list, n, mass, above);
    double sums[BINS] = {0}, before = 0;
    float least = list[0].key;
    for (int32_t i = 1; i < n; i++)
        least = list[i].key < least ? list[i].key : least;
    for (int32_t i = 0; i < n; i++)
        sums[bin_of(&list[i], least)] += (double)list[i].weight;
    int bin = 0;
    for (; bin < BINS - 1; bin++) {
        double with = before + sums[bin];
        // Empty ones are passed, so that at least one candidate is left to select from.
        if (sums[bin] > 0 && (above ? with > mass : with >= mass)) break;
        before = with;
    }
    int32_t begin = move_bins(list, 0, n, least, bin, false), end = move_bins(list, begin, n, least, bin, true);
    return begin < end ? begin + select_mass(list + begin, end - begin, mass - before, above) : n;
}

void xn_candidates_cut(struct xn_candidates *c, int32_t k) {
    if (k >= c->n) return;
    c->n = c->size = k;
}

// e^x for x <= 0 to 2 units in the last place, without a call, so that a loop over it becomes vectors: x = k ln 2 + r
// with |r| <= ln 2 / 2, the series of e^r to r^7, and k added to the exponent. Below -87 it is 0; NaN gives 0.
static inline float exp_below(float x) {
    const float shift = 0x1.8p23f; // adding it rounds to a whole number
    float inside = x > -87.0f ? x : -87.0f;
    float k = (inside * 0x1.715476p0f + shift) - shift;
    float r = (inside - k * 0x1.62e4p-1f) - k * 0x1.7f7d1cp-20f; // ln 2 in two parts: the first product is exact
    float e =
        1.0f + r * (1.0f + r * (0.5f + r * (0x1.555556p-3f +
                                            r * (0x1.555556p-5f +
                                                 r * (0x1.111112p-7f + r * (0x1.6c16c2p-10f + r * 0x1.a01a02p-13f))))));
    union {
        int32_t bits;
        float value;
    } power = {.bits = ((int32_t)k + 127) * (1 << 23)};
    return x > -87.0f ? e * power.value : 0;
}

enum { CHUNK = 4096 }; // summed in single precision, the sums of chunks in double

static double sum_chunk(const float *x, int32_t n, float max) {
    float sums[LANES] = {0};
    double sum = 0;
    int32_t at = 0;
    for (; at + LANES <= n; at += LANES)
        for (int i = 0; i < LANES; i++)
            sums[i] += exp_below(x[at + i] - max);
    for (; at < n; at++)
        sums[0] += exp_below(x[at] - max);
    for (int i = 0; i < LANES; i++)
        sum += (double)sums[i];
    return sum;
}

double xn_sum_exp(const float *x, int32_t n, float max) {
    double sum = 0;
    for (int32_t at = 0; at < n; at += CHUNK)
        sum += sum_chunk(x + at, n - at < CHUNK ? n - at : CHUNK, max);
    return sum;
}

int32_t xn_find_exp(const float *x, int32_t n, float max, double share, double total) {
    double rest = share * total;
    int32_t last = 0;
    for (int32_t at = 0; at < n; at += CHUNK) {
        int32_t size = n - at < CHUNK ? n - at : CHUNK;
        double sum = sum_chunk(x + at, size, max);
        if (rest >= sum && at + size < n) {
            if (sum > 0) last = at;
            rest -= sum;
            continue;
        }
        for (int32_t i = at; i < at + size; i++) {
            double term = (double)exp_below(x[i] - max);
            if (term > 0) last = i;
            rest -= term;
            if (rest < 0) return i;
        }
    }
    while (!(exp_below(x[last] - max) > 0) && last + 1 < n)
        last++;
    return last;
}
