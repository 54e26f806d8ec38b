#include "engine/serving/budget.h"

// A mixed step may take as long as so many plain ones beside its own. A little less than the two that are promised,
// since steps of one size differ.
static const double allowed_steps = 1.8;
enum { FIRST_ROWS = 16, LEAST_ROWS = 4 };

void xn_budget_init(struct xn_budget *b) {
    *b = (struct xn_budget){.rows = FIRST_ROWS};
}

// The time of a step of `streams` sequences: measured, or that of the nearest number that was.
static double plain_seconds(const struct xn_budget *b, uint32_t streams) {
    uint32_t at = streams < XN_BUDGET_STREAMS ? streams : XN_BUDGET_STREAMS;
    for (uint32_t distance = 0; distance <= XN_BUDGET_STREAMS; distance++) {
        if (distance < at && b->plain[at - distance] > 0) return b->plain[at - distance];
        if (at + distance <= XN_BUDGET_STREAMS && b->plain[at + distance] > 0) return b->plain[at + distance];
    }
    return 0;
}

uint32_t xn_budget_rows(struct xn_budget *b, uint32_t streams, uint32_t most) {
    double plain = plain_seconds(b, streams);
    if (!b->known && plain > 0 && b->row > 0) b->rows = allowed_steps * plain / b->row;
    double rows = b->rows < LEAST_ROWS ? LEAST_ROWS : b->rows;
    return rows < most ? (uint32_t)rows : most;
}

static void average(double *value, double measured) {
    *value = *value > 0 ? 0.75 * *value + 0.25 * measured : measured;
}

void xn_budget_learn(struct xn_budget *b, uint32_t streams, uint32_t rows, bool full, double seconds) {
    if (streams == 0) {
        if (rows >= FIRST_ROWS) average(&b->row, seconds / rows);
        return;
    }
    if (rows == 0) {
        average(&b->plain[streams < XN_BUDGET_STREAMS ? streams : XN_BUDGET_STREAMS], seconds);
        return;
    }
    double plain = plain_seconds(b, streams);
    if (plain == 0) return;
    // Half of the way, and by half at the most: what a row costs changes with their number, so this is no straight
    // line.
    double extra = seconds - plain, factor = extra > 0 ? allowed_steps * plain / extra : 2;
    factor = factor > 2 ? 2 : factor < 0.5 ? 0.5 : factor;
    double fitting = rows * factor;
    if (factor < 1 ? fitting < b->rows : full && fitting > b->rows) {
        b->rows = 0.5 * (b->rows + fitting);
        b->known = true;
    }
    enum { MOST_ROWS = 1 << 20 };
    if (b->rows < LEAST_ROWS) b->rows = LEAST_ROWS;
    if (b->rows > MOST_ROWS) b->rows = MOST_ROWS;
}
