// The processor under check.
#include "cpu/cpu.h"
#include "check/kinds.h"
#include "cpu/executor.h"
#include "cpu/measure.h"

#include <stdio.h>

static int cpu_write(struct xn_executor *e, const struct xn_host_memory *from, struct xn_error *err) {
    (void)err;
    xn_check_memory_copy(&e->memory, from);
    return XN_OK;
}

static int cpu_read(struct xn_executor *e, struct xn_host_memory *to, struct xn_error *err) {
    (void)err;
    xn_check_memory_copy(to, &e->memory);
    return XN_OK;
}

// Activations become 8-bit integers in blocks, or bfloat16 where the user let them, as the kernels of the type are; or
// sums of two bfloat16 numbers, which are nearly exact.
static double cpu_rounding(const struct xn_check_device *device, const struct xn_check_case *c) {
    static const double integers = 0.02, halves = 0.01, split = 5e-5;
    const struct xn_cpu_kernels *k = &xn_cpu_device_of(device->device)->kernels;
    if (c->n_matrices == 0) return 0;
    uint32_t type = c->matrices[0].matrix.type, tile = k->type[type].tile;
    if (k->dot[type] || tile == XN_TILE_INT8) return integers;
    if (tile != XN_TILE_BF16) return 0;
    return k->rounds ? halves : k->split16 ? split : 0;
}

static bool cpu_takes(enum xn_op_kind kind, uint32_t type) {
    return kind != XN_OP_ATTEND || type == XN_F32 || type == XN_F16;
}

bool xn_check_cpu(struct xn_device *device, struct xn_check_device *out) {
    const struct xn_cpu_device *cpu = xn_cpu_device_of(device);
    if (!cpu) return false;
    *out = (struct xn_check_device){.device = device,
                                    .takes = cpu_takes,
                                    .write = cpu_write,
                                    .read = cpu_read,
                                    .rounding = cpu_rounding,
                                    .measure_bandwidth = xn_cpu_measure_bandwidth,
                                    .measure_peak = xn_cpu_measure_peak};
    snprintf(out->name, sizeof out->name, "%s%s", xn_cpu_level_name(cpu->kernels.level),
             cpu->kernels.rounds ? "+bf16" : "");
    snprintf(out->spelled, sizeof out->spelled, "cpu:%s", out->name);
    return true;
}
