// The processor as a device.
#pragma once

#include "device/device.h"

#include <stdbool.h>

// What kernels may use. Each level contains those before it, but for AVX2VNNI: processors with AVX-512 may lack its
// instructions, so later levels replace all of its kernels.
enum xn_cpu_level {
    XN_CPU_C,          // plain C with threads
    XN_CPU_AVX2,       // AVX2, FMA, F16C
    XN_CPU_AVX2VNNI,   // and VNNI of 256 bits (Alder Lake and later without AVX-512)
    XN_CPU_AVX512,     // AVX-512 F, BW, DQ, VL, CD
    XN_CPU_AVX512VNNI, // and VNNI, BF16
    XN_CPU_AMX,        // and tiles with BF16 products (Sapphire Rapids and later)
    XN_CPU_LEVELS,
};
const char *xn_cpu_level_name(enum xn_cpu_level level); // "c", "avx2", "avx2vnni", "avx512", "avx512vnni", "amx"
int xn_cpu_level_from_name(const char *name);           // -1: unknown
bool xn_cpu_level_here(enum xn_cpu_level level);        // whether processor and kernel allow it
enum xn_cpu_level xn_cpu_level_detect(void);            // the highest of them

struct xn_cpu_options {
    int threads;             // 0: one a physical core that this process may use (affinity and cgroup quota respected)
    enum xn_cpu_level level; // the highest to use; above what is there: an error
    bool measures;           // measures from how many rows on products use panels, else a default stands
    const char *crossovers;  // file that keeps what was measured; NULL: measured again at each start
    bool mapped;             // weights stay in the mapped file: slower, but in memory that the system can take back
    bool bf16;               // prompts may round activations to bfloat16 where weights are unquantized, for speed
};
int xn_cpu_device_open(const struct xn_cpu_options *options, struct xn_device **out, struct xn_error *err);
