// A device under check: its table, and the little that the table does not give, which each kind of device adds.
#pragma once

#include "check/memory.h"

struct xn_check_device {
    struct xn_device *device;
    char name[48];    // "avx512": of the instruction set, or whatever tells devices of one run apart
    char spelled[56]; // as --device has it
    // Whether the device has the operation in a format, where not all have it: NULL: any.
    bool (*takes)(enum xn_op_kind kind, uint32_t type);
    // All memory of an executor (cache type resolved as the limits say) from and to memory of the same plan and limits.
    int (*write)(struct xn_executor *executor, const struct xn_host_memory *from, struct xn_error *err);
    int (*read)(struct xn_executor *executor, struct xn_host_memory *to, struct xn_error *err);
    // What rounding may cost a product of a case, relative: 0 where float32 activations meet decoded weights.
    double (*rounding)(const struct xn_check_device *device, const struct xn_check_case *c);
    // What shares are of: bytes a second that it reads, and operations a second in the data type in which it multiplies
    // many rows with weights of a type (*unit names that: "int8"). NULL: not known.
    int (*measure_bandwidth)(struct xn_device *device, double *bytes_per_second, struct xn_error *err);
    int (*measure_peak)(struct xn_device *device, uint32_t type, double *flops, const char **unit,
                        struct xn_error *err);
    // Seconds of a launch of a kernel that does next to nothing: queued with others, and waited for. NULL: there is
    // none.
    int (*measure_launch)(struct xn_device *device, double *queued, double *alone, struct xn_error *err);
};

// What is known of a device's kind. The device stays the caller's. An error for kinds that can't be checked: the
// reference itself.
int xn_check_device_of(struct xn_device *device, struct xn_check_device *out, struct xn_error *err);

// Runs a case that has been expected on the device, and compares. What the device refuses or fails is a problem of the
// result, not an error.
int xn_check_case_run(struct xn_check_case *c, const struct xn_check_device *device, struct xn_check_result *result,
                      struct xn_error *err);

// Seconds of one operation of a case: the best of a few steps after one that warms up. `enough`: seconds after which no
// further step begins.
int xn_check_case_time(struct xn_check_case *c, const struct xn_check_device *device, double enough, double *seconds,
                       struct xn_error *err);
