// Every operation of devices against plain C, in every format, over batch sizes and odd shapes, and the share of the
// hardware's limit that it reaches: what `xenon check` runs.
#pragma once

#include "base/log.h"
#include "check/device.h"
#include "quant/format.h"

struct xn_check_options {
    uint64_t seed;
    bool errors_only; // no measurements
    bool quick;       // fewer sizes, formats and measurements
    uint32_t threads; // that draw cases and compute them in plain C; 0: one a core
    int op;           // only this kind of operation; -1: all
    int type;         // only this format; -1: all
    const struct xn_progress *progress;
};

// A measurement of one operation.
struct xn_check_speed {
    double seconds; // 0: not measured
    double least;   // bytes it must read (one row) or operations it must compute (many); 0: not simply said
    double share;   // of the bandwidth or the peak that this is; 0: not known
};

// One operation in one format on one device.
struct xn_check_row {
    uint32_t device; // index
    enum xn_op_kind kind;
    uint32_t type; // of the weights, or of attention's cache; XN_TYPE_COUNT: the operation has none
    uint32_t cases, wrong;
    double error, tolerance; // of the case that came nearest to its tolerance
    struct xn_check_speed one, many;
    const char *unit; // of the peak that `many` is held against; NULL: none
};

struct xn_check_failure {
    uint32_t device;
    enum xn_op_kind kind;
    uint32_t type;
    char what[256], problem[192]; // the case's sizes, and what is wrong
};

enum { XN_CHECK_FAILURES = 64, XN_CHECK_MANY = 512 }; // failures that are kept; rows of `many`

// Operations a second of a device in the data types that its products of many rows use.
enum { XN_CHECK_UNITS = 4 };
struct xn_check_peak {
    const char *unit[XN_CHECK_UNITS]; // "float32"
    double flops[XN_CHECK_UNITS];
    uint32_t type[XN_CHECK_UNITS]; // of weights that use it
    uint32_t n;
    uint8_t of[XN_TYPE_COUNT + 1]; // weights of each type: 1 + the index; 0: not measured
};

struct xn_check_report {
    struct xn_check_row *rows; // device by device
    size_t n_rows;
    struct xn_check_failure failures[XN_CHECK_FAILURES];
    size_t n_failures; // kept
    uint64_t cases, wrong;
    // The limits: the best of several measurements, before, between and after those of the operations.
    double bandwidth; // bytes a second, of the last device
    // Seconds of a launch that does next to nothing, queued behind others and waited for alone; of the last device.
    // 0: it launches nothing.
    double launch_queued, launch_alone;
    struct xn_check_peak *peaks;          // [n_devices]
    double seconds;                       // that everything took
    uint32_t n_devices, n_ops, n_formats; // different ones
};

// Checks n devices, which take the same cases. An error is what keeps it from going on (memory, cancellation); what is
// wrong is in the report. *report is the caller's to free either way.
int xn_check_run(const struct xn_check_device *devices, uint32_t n, const struct xn_check_options *options,
                 struct xn_check_report *report, struct xn_error *err);
void xn_check_report_free(struct xn_check_report *report);
