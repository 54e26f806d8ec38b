// How many rows of prompts a step may take while others generate, such that no stream waits longer than two steps more
// than it would without them. Steps are timed, since what a row costs is the processor's or the GPU's affair.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { XN_BUDGET_STREAMS = 64 };
struct xn_budget {
    double
        plain[XN_BUDGET_STREAMS + 1]; // seconds of a step of so many generating sequences and nothing else; 0: unknown
    double row;                       // seconds of a row of a step of prompts only; 0: unknown
    double rows;                      // that a mixed step may take
    bool known;                       // rows was measured
};
void xn_budget_init(struct xn_budget *budget);
// Rows for prompts beside `streams` > 0 generating sequences, at least 1.
uint32_t xn_budget_rows(struct xn_budget *budget, uint32_t streams, uint32_t most);
// A step has taken so long. full: it had as many rows of prompts as it might.
void xn_budget_learn(struct xn_budget *budget, uint32_t streams, uint32_t rows, bool full, double seconds);
