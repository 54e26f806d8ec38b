// The processor under check.
#include "cpu/cpu.h"
#include "check/device.h"
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

// From AVX2 on activations become 8-bit integers in blocks where the weights are of few bits, and beyond AVX-512 they
// may become bfloat16 where the weights (or keys and values) have no more than half precision.
static double cpu_rounding(const struct xn_check_device *device, const struct xn_check_case *c) {
    static const double integers = 0.02, halves = 0.01;
    enum xn_cpu_level level = xn_cpu_device_of(device->device)->kernels.level;
    uint32_t type = c->n_matrices ? c->matrices[0].matrix.type : c->limits.cache_type;
    if (level == XN_CPU_C || type == XN_F32 || type == XN_F64) return 0;
    if (type == XN_F16 || type == XN_BF16 || type == XN_MXFP4) return level > XN_CPU_AVX512 ? halves : 0;
    return integers;
}

int xn_check_device_of(struct xn_device *device, struct xn_check_device *out, struct xn_error *err) {
    const struct xn_cpu_device *cpu = xn_cpu_device_of(device);
    if (!cpu) {
        struct xn_device_info info;
        device->table->describe(device, &info);
        return xn_fail(err, XN_ERR_UNSUPPORTED, "check: device %s can't be checked, only the processor can",
                       info.backend);
    }
    *out = (struct xn_check_device){.device = device,
                                    .write = cpu_write,
                                    .read = cpu_read,
                                    .rounding = cpu_rounding,
                                    .measure_bandwidth = xn_cpu_measure_bandwidth,
                                    .measure_peak = xn_cpu_measure_peak};
    snprintf(out->name, sizeof out->name, "%s", xn_cpu_level_name(cpu->kernels.level));
    return XN_OK;
}
