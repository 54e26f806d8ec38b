// The first candidates by their keys, by selection instead of sorting.
#include "engine/sampling/candidates.h"

#include <stdlib.h>

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

static bool in_order(const struct xn_candidate *list, int32_t n) {
    int32_t i = 1;
    while (i < n && is_first(&list[i - 1], &list[i]))
        i++;
    return i >= n;
}

void xn_candidates_sort(struct xn_candidate *list, int32_t n, int32_t k) {
    if (k > n) k = n;
    if (in_order(list, n)) return; // as devices give them
    xn_candidates_select(list, n, k);
    qsort(list, (size_t)k, sizeof *list, by_key);
}

static int by_id(const void *a, const void *b) {
    const struct xn_candidate *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

void xn_candidates_sort_by_id(struct xn_candidate *list, int32_t n) {
    qsort(list, (size_t)n, sizeof *list, by_id);
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
