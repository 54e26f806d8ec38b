// What `xenon check` found, and how it is written down.
#pragma once

#include "check/check.h"

#include <jansson.h>
#include <stdio.h>

// What was checked, for headings and for repeating it.
struct xn_check_subject {
    struct xn_device_info machine; // of the last device
    const struct xn_check_device *devices;
    uint32_t n_devices;
    uint64_t seed;
    bool quick;
};
// One row an instruction set, operation and format; then what is wrong, and a line that sums up.
void xn_check_print(const struct xn_check_subject *subject, const struct xn_check_report *report, FILE *out);
// The machine, the program and the system, for a bug report.
void xn_check_print_machine(const struct xn_check_subject *subject, FILE *out);
// The same as an object; NULL without memory.
json_t *xn_check_json(const struct xn_check_subject *subject, const struct xn_check_report *report);
