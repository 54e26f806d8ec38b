// The processor as a device.
#pragma once

#include "device/device.h"

// What kernels may use, each level containing those before it.
enum xn_cpu_level {
    XN_CPU_C,          // plain C with threads
    XN_CPU_AVX2,       // AVX2, FMA, F16C
    XN_CPU_AVX512,     // AVX-512 F, BW, DQ, VL, CD
    XN_CPU_AVX512VNNI, // and VNNI, BF16
    XN_CPU_LEVELS,
};
const char *xn_cpu_level_name(enum xn_cpu_level level); // "c", "avx2", "avx512", "avx512vnni"
int xn_cpu_level_from_name(const char *name);           // -1: unknown
enum xn_cpu_level xn_cpu_level_detect(void);            // the highest that processor and kernel allow

struct xn_cpu_options {
    int threads;             // 0: one a physical core that this process may use (affinity and cgroup quota respected)
    enum xn_cpu_level level; // the highest to use; above what is there: an error
};
int xn_cpu_device_open(const struct xn_cpu_options *options, struct xn_device **out, struct xn_error *err);
