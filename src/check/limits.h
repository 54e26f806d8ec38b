// What the hardware can do, measured, and the shares of it.
#pragma once

#include "check/check.h"

// The type that stands for an operation's in the peaks: without weights what is computed is float32.
uint32_t xn_check_peak_type(enum xn_op_kind kind, uint32_t type);
// Measures the peak of a device for weights of a type, unless it is known.
int xn_check_know_peak(const struct xn_check_device *device, uint32_t type, struct xn_check_peak *peak,
                       struct xn_error *err);
// Measures the bandwidth, and the peaks that are known once more; keeps the best.
int xn_check_measure_limits(const struct xn_check_device *devices, uint32_t n, struct xn_check_report *report,
                            struct xn_error *err);
// Sets the shares of all that was measured.
void xn_check_set_shares(struct xn_check_report *report);
