// Which device a command or a program gets: by name, by the environment, else the best there is.
#pragma once

#include "device/device.h"

// name: "cpu", "cpu:LEVEL" (c, avx2, avx2vnni, avx512, avx512vnni, amx), either with "+bf16" or "+mapped" behind it
// (xn_cpu_options), "gpu0", "gpu1", ... (the numbers of xn_opencl_list), "reference", or NULL for what the environment
// variable XENON_CPU names ("reference" or a level), else the processor at its best. threads: 0 chooses.
int xn_device_select(const char *name, int threads, struct xn_device **out, struct xn_error *err);
