// What this processor can do: the yardsticks for everything else.
#pragma once

#include "device/device.h"

// Bytes a second that the device's threads read from memory together: the best of a few passes over a buffer far larger
// than the caches (up to 1 GiB, an eighth of the machine's memory at the most). An error for a device that is not the
// processor.
int xn_cpu_measure_bandwidth(struct xn_device *device, double *bytes_per_second, struct xn_error *err);

// Float32 operations a second (a fused multiply-add is two) that the threads reach together in registers, at the
// device's level.
int xn_cpu_measure_peak(struct xn_device *device, double *flops, struct xn_error *err);
