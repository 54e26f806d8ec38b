#include "cpu/kernels.h"

#include "cpu/declare.h"

#include <string.h>

_Atomic bool xn_cpu_asks_ahead = true;

static bool contains(enum xn_cpu_level level, enum xn_cpu_level part) {
    return level >= part && (part != XN_CPU_AVX2VNNI || level == part);
}

uint32_t xn_cpu_file_type(uint32_t kernel_type) {
    switch (kernel_type) {
#define X(name, type)                                                                                                  \
    case XN_CPU_LANES_##name:                                                                                          \
        return type;
#include "cpu/lane_formats.inc"
#undef X
    }
    return kernel_type;
}

void xn_cpu_kernels_init(struct xn_cpu_kernels *k, enum xn_cpu_level level) {
    memset(k, 0, sizeof *k);
    k->level = level;
    for (uint32_t type = 0; type < XN_TYPE_COUNT; type++) {
        const struct xn_format *format = xn_format_of(type);
        if (format) k->decode[type] = format->decode;
    }
#define KERNEL(LEVEL, suffix, slot)                                                                                    \
    if (contains(level, XN_CPU_##LEVEL)) k->slot = xn_cpu_##slot##_##suffix;
#define TYPE_KERNEL(LEVEL, suffix, slot, name, type)                                                                   \
    if (contains(level, XN_CPU_##LEVEL)) k->slot[type] = xn_cpu_##slot##_##name##_##suffix;
#include "cpu/kernels.inc"
#undef KERNEL
#undef TYPE_KERNEL
    k->split16 = level >= XN_CPU_AMX;
#define X(name, number, values, largest)                                                                               \
    k->type[number].group = values;                                                                                    \
    k->type[number].most = largest;
#include "cpu/int_formats.inc"
#undef X
#define X(name, file_type)                                                                                             \
    if (level == XN_CPU_AVX2) k->type[file_type].lanes = XN_CPU_LANES_##name;                                          \
    k->type[XN_CPU_LANES_##name].group = k->type[file_type].group;                                                     \
    k->type[XN_CPU_LANES_##name].most = k->type[file_type].most;
#include "cpu/lane_formats.inc"
#undef X
    for (uint32_t type = 0; type < XN_CPU_TYPES; type++) {
        k->type[type].stream = XN_CPU_STREAM_DEFAULT;
        k->type[type].terms = type == XN_F16 || type == XN_F32 ? 2 : 1;
        if (k->gemm16 && k->decode16[type])
            k->type[type].tile = XN_TILE_BF16;
        else if (k->gemm8 && k->unpack8[type])
            k->type[type].tile = XN_TILE_INT8;
    }
}
