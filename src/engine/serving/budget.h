// How many rows of prompts a step may take while others generate, such that no stream waits longer than two steps more
// than it would without them. Steps are timed, since what a row costs is the processor's or the GPU's affair.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// What steps take by their number of rows: seconds at the numbers 1, 2, 3, 4, 6, 8, 12, 16, 24 and so on, straight
// lines between them. More rows never take less time, and never more time each.
enum { XN_CURVE_POINTS = 40 };
struct xn_curve {
    double seconds[XN_CURVE_POINTS];
    bool measured[XN_CURVE_POINTS]; // the others are guesses from these
    bool known;                     // any was
};

struct xn_budget {
    struct xn_curve plain; // steps of so many generating sequences and nothing else
    struct xn_curve all;   // all steps, by all their rows
};
void xn_budget_init(struct xn_budget *budget);
// Rows for prompts beside `streams` > 0 generating sequences: at least 1, at most `most` (> 0).
uint32_t xn_budget_rows(const struct xn_budget *budget, uint32_t streams, uint32_t most);
// A step of so many generating sequences and rows of prompts has taken so long.
void xn_budget_learn(struct xn_budget *budget, uint32_t streams, uint32_t rows, double seconds);
