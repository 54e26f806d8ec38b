// What a run goes through: groups of cases, each an operation in a format.
#pragma once

#include "check/check.h"

struct group {
    enum xn_op_kind kind;
    uint32_t type; // XN_TYPE_COUNT: none
    uint32_t columns, outputs;
    const uint32_t *rows; // [n_rows]: of batches
    uint32_t n_rows;
    uint32_t trials; // of each
    bool timed, quick;
};

// The groups that the options ask for, in the order of the report. *out is the caller's to free().
int xn_check_list(const struct xn_check_options *options, struct group **out, uint32_t *n, struct xn_error *err);

// Case i of a group, i < n_rows * trials.
struct xn_check_wish xn_check_group_wish(const struct group *group, uint64_t seed, uint32_t i);

// Measures a group on every device: fills `one` and `many` of rows[d * stride], but for their shares, and the peaks
// that those will be of.
int xn_check_time_group(const struct xn_check_device *devices, uint32_t n, const struct group *group,
                        const struct xn_check_blocks *blocks, struct xn_check_report *report, struct xn_check_row *rows,
                        size_t stride, struct xn_error *err);
