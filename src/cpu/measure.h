// What this processor can do: the yardsticks for everything else.
#pragma once

#include "device/device.h"

// Bytes a second that the device's threads read from memory together: the best of a few passes over a buffer far larger
// than the caches (up to 1 GiB, an eighth of the machine's memory at the most). An error for a device that is not the
// processor.
int xn_cpu_measure_bandwidth(struct xn_device *device, double *bytes_per_second, struct xn_error *err);

// Operations a second (a multiply-add is two) that the threads reach together in registers, at the device's level and
// in the data type that its products of many rows with weights of this type use; *unit names it: "float32", "bfloat16",
// "int8". (Without VNNI, int8 is summed by several instructions: its peak is float32's then.)
int xn_cpu_measure_peak(struct xn_device *device, uint32_t type, double *flops, const char **unit,
                        struct xn_error *err);
