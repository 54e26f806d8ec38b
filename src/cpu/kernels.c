#include "cpu/kernels.h"

#include "cpu/declare.h"

#include <string.h>

void xn_cpu_kernels_init(struct xn_cpu_kernels *k, enum xn_cpu_level level) {
    memset(k, 0, sizeof *k);
    k->level = level;
    for (uint32_t type = 0; type < XN_TYPE_COUNT; type++) {
        const struct xn_format *format = xn_format_of(type);
        if (format) k->decode[type] = format->decode;
    }
#define KERNEL(LEVEL, suffix, slot)                                                                                    \
    if (level >= XN_CPU_##LEVEL) k->slot = xn_cpu_##slot##_##suffix;
#define TYPE_KERNEL(LEVEL, suffix, slot, name, type)                                                                   \
    if (level >= XN_CPU_##LEVEL) k->slot[type] = xn_cpu_##slot##_##name##_##suffix;
#include "cpu/kernels.inc"
#undef KERNEL
#undef TYPE_KERNEL
}
