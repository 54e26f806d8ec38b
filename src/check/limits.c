// Measuring limits. Of several measurements the best counts: another program that takes a share of the machine makes
// each worse, none better.
#include "check/limits.h"

#include <math.h>
#include <string.h>

uint32_t xn_check_peak_type(enum xn_op_kind kind, uint32_t type) {
    return kind == XN_OP_ATTEND || type == XN_TYPE_COUNT ? (uint32_t)XN_F32 : type;
}

int xn_check_know_peak(const struct xn_check_device *d, uint32_t type, struct xn_check_peak *peak,
                       struct xn_error *err) {
    if (!d->measure_peak || peak->of[type]) return XN_OK;
    const char *unit;
    double flops;
    XN_TRY(d->measure_peak(d->device, type, &flops, &unit, err));
    uint32_t i = 0;
    while (i < peak->n && strcmp(peak->unit[i], unit) != 0)
        i++;
    if (i == XN_CHECK_UNITS) return xn_fail(err, XN_ERR_LIMIT, "check: more than %d data types", XN_CHECK_UNITS);
    if (i == peak->n) {
        peak->unit[peak->n++] = unit;
        peak->type[i] = type;
    }
    peak->flops[i] = fmax(peak->flops[i], flops);
    peak->of[type] = (uint8_t)(i + 1);
    return XN_OK;
}

int xn_check_measure_limits(const struct xn_check_device *devices, uint32_t n, struct xn_check_report *report,
                            struct xn_error *err) {
    const struct xn_check_device *last = &devices[n - 1];
    double rate = 0;
    if (last->measure_bandwidth) XN_TRY(last->measure_bandwidth(last->device, &rate, err));
    report->bandwidth = fmax(report->bandwidth, rate);
    if (last->measure_launch) {
        double queued, alone;
        XN_TRY(last->measure_launch(last->device, &queued, &alone, err));
        bool first = report->launch_alone == 0;
        report->launch_queued = first ? queued : fmin(report->launch_queued, queued);
        report->launch_alone = first ? alone : fmin(report->launch_alone, alone);
    }
    for (uint32_t d = 0; d < n; d++)
        for (uint32_t i = 0; i < report->peaks[d].n; i++) {
            struct xn_check_peak *peak = &report->peaks[d];
            const char *unit;
            XN_TRY(devices[d].measure_peak(devices[d].device, peak->type[i], &rate, &unit, err));
            peak->flops[i] = fmax(peak->flops[i], rate);
        }
    return XN_OK;
}

static void set_share(struct xn_check_speed *speed, double limit) {
    if (speed->seconds > 0 && limit > 0) speed->share = speed->least / speed->seconds / limit;
}

void xn_check_set_shares(struct xn_check_report *report) {
    for (size_t i = 0; i < report->n_rows; i++) {
        struct xn_check_row *row = &report->rows[i];
        const struct xn_check_peak *peak = &report->peaks[row->device];
        uint32_t known = peak->of[xn_check_peak_type(row->kind, row->type)];
        set_share(&row->one, report->bandwidth);
        if (known) {
            set_share(&row->many, peak->flops[known - 1]);
            row->unit = peak->unit[known - 1];
        }
    }
}
