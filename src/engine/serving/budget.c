#include "engine/serving/budget.h"

// A mixed step may take as long as so many plain ones beside its own. A little less than the two that are promised,
// since steps of one size differ.
static const double allowed_steps = 1.8;
enum { FIRST_ROWS = 16, LEAST_ROWS = 4 };

void xn_budget_init(struct xn_budget *b) {
    *b = (struct xn_budget){0};
}

// --- curves ---

// 1, 2, 3, 4, 6, 8, 12, 16, ...
static double rows_at(int point) {
    return point == 0 ? 1 : (double)((point % 2 ? 2ull : 3ull) << (point - 1) / 2);
}

// The last point that is not above `rows` (>= 1).
static int point_below(double rows) {
    int point = 0;
    while (point + 2 < XN_CURVE_POINTS && rows_at(point + 1) <= rows)
        point++;
    return point;
}

static double seconds_of(const struct xn_curve *c, double rows) {
    int low = point_below(rows);
    double from = rows_at(low), part = (rows - from) / (rows_at(low + 1) - from);
    return c->seconds[low] + part * (c->seconds[low + 1] - c->seconds[low]);
}

// Holds the other points to what is known of this one: with fewer rows a step takes neither more time than with these
// nor less for each row, with more rows the other way round.
static void hold_to(struct xn_curve *c, int first, int last) {
    for (int i = first; i-- > 0;) {
        double most = c->seconds[i + 1], least = most * rows_at(i) / rows_at(i + 1);
        c->seconds[i] = c->seconds[i] > most ? most : c->seconds[i] < least ? least : c->seconds[i];
    }
    for (int i = last + 1; i < XN_CURVE_POINTS; i++) {
        double least = c->seconds[i - 1], most = least * rows_at(i) / rows_at(i - 1);
        c->seconds[i] = c->seconds[i] > most ? most : c->seconds[i] < least ? least : c->seconds[i];
    }
}

// What was measured before moves half of the way, and not by more than half, since steps of one size differ.
static void move(struct xn_curve *c, int point, double rows, double seconds, double ratio) {
    double factor = ratio > 2 ? 1.5 : ratio < 0.5 ? 0.75 : 0.5 * (1 + ratio);
    c->seconds[point] = c->measured[point] ? factor * c->seconds[point] : seconds * rows_at(point) / rows;
    c->measured[point] = true;
}

static void learn(struct xn_curve *c, double rows, double seconds) {
    for (int i = 0; i < XN_CURVE_POINTS && !c->known; i++)
        c->seconds[i] = seconds * rows_at(i) / rows;
    c->known = true;
    double ratio = seconds / seconds_of(c, rows);
    int low = point_below(rows), high = rows > rows_at(low) ? low + 1 : low;
    move(c, low, rows, seconds, ratio);
    if (high > low) move(c, high, rows, seconds, ratio);
    if (c->seconds[high] < c->seconds[low]) c->seconds[high] = c->seconds[low];
    hold_to(c, low, high);
}

// --- rows ---

// A step of these streams alone: measured, or what is known of steps of as many rows, whichever is less: both may be
// guesses from other numbers, and too little time is soon found out.
static double plain_seconds(const struct xn_budget *b, uint32_t streams) {
    double all = seconds_of(&b->all, streams), plain = b->plain.known ? seconds_of(&b->plain, streams) : all;
    return plain < all ? plain : all;
}

uint32_t xn_budget_rows(const struct xn_budget *b, uint32_t streams, uint32_t most) {
    uint32_t low = FIRST_ROWS;
    if (b->all.known) {
        double limit = (1 + allowed_steps) * plain_seconds(b, streams);
        uint32_t high = most;
        low = LEAST_ROWS;
        while (low < high) {
            uint32_t rows = low + (high - low + 1) / 2;
            if (seconds_of(&b->all, (double)streams + rows) <= limit)
                low = rows;
            else
                high = rows - 1;
        }
    }
    return low < most ? low : most;
}

void xn_budget_learn(struct xn_budget *b, uint32_t streams, uint32_t rows, double seconds) {
    if (streams + rows == 0 || !(seconds > 0)) return;
    learn(&b->all, (double)streams + rows, seconds);
    if (rows == 0) learn(&b->plain, streams, seconds);
}
